"""Unicode frozen at one version, so that every Python makes the same tokens.

Python 3.11 knows Unicode 14.0, later ones know more. A code point that 14.0 does not
assign passes unchanged here, also where the running Python has a rule for it. For what
14.0 does assign, Unicode promises that normal form and case folding never change.

Source: Unicode character encoding stability policies, normalisation and case folding.
"""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

VERSION = "14.0.0"
TABLE_FILE = Path(__file__).with_name("unassigned-14.0.txt")
# What str.strip takes off in every Python we run on; listed, so that it stays.
SPACE = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def _unassigned() -> re.Pattern[str]:
    rows = TABLE_FILE.read_text(encoding="ascii").splitlines()[1:]
    spans = [row.split("-") for row in rows]
    inside = "".join(rf"\U{int(a, 16):08x}-\U{int(b, 16):08x}" for a, b in spans)
    return re.compile(f"([{inside}]+)")


_UNASSIGNED = _unassigned()


def nfkc(text: str) -> str:
    """Return the compatibility normal form, as of Unicode 14.0."""
    return _known(text, lambda run: unicodedata.normalize("NFKC", run))


def casefold(text: str) -> str:
    """Return the full case folding of *text* in its normal form, as of Unicode 14.0."""
    return _known(text, str.casefold)


def decimal(character: str) -> int | None:
    """Return the value of a decimal digit of any script, or None."""
    return None if _UNASSIGNED.match(character) else unicodedata.decimal(character, None)


def _known(text: str, change: Callable[[str], str]) -> str:
    """Apply *change* to each run of code points that Unicode 14.0 assigns.

    Cutting there changes nothing: in 14.0 an unassigned code point neither composes
    with its neighbours nor lets marks pass.
    """
    if text.isascii() or _UNASSIGNED.search(text) is None:
        return change(text)
    runs = _UNASSIGNED.split(text)  # at odd places what was split at
    return "".join(run if n % 2 else change(run) for n, run in enumerate(runs))
