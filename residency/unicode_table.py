"""Write the table of the code points that Unicode 14.0 leaves unassigned.

Run once, with a Python whose tables are of that version (3.11):
``python -m residency.unicode_table > residency/unassigned-14.0.txt``.
"""

import sys
import unicodedata

from residency.unicode import VERSION


def ranges() -> list[tuple[int, int]]:
    """Return the runs of unassigned code points, both ends included, lowest first."""
    found: list[tuple[int, int]] = []
    start: int | None = None
    for point in range(sys.maxunicode + 2):
        absent = point <= sys.maxunicode and unicodedata.category(chr(point)) == "Cn"
        if absent and start is None:
            start = point
        elif not absent and start is not None:
            found.append((start, point - 1))
            start = None
    return found


def table() -> str:
    """Return the file's text: one run a line, in hex, ``first-last``."""
    rows = [f"{first:04X}-{last:04X}" for first, last in ranges()]
    head = f"# Code points unassigned in Unicode {VERSION} (general category Cn).\n"
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    if unicodedata.unidata_version != VERSION:
        sys.exit(f"this Python knows Unicode {unicodedata.unidata_version}, not {VERSION}")
    sys.stdout.write(table())
