"""The release digest covers every file that can change a record."""

from residency.release import PACKAGES, ROOT, SUFFIXES

# What people review or take away, run as the test org or start brokers with: nothing of it makes a
# record.
BESIDE = (
    "residency/approved_plans/",
    "residency/ledger/schemas/",
    "connectors/",
    "streams/replay/report.html",
    "streams/takeaway/",
    "streams/looking/templates/",
    "streams/exporting/README.md",
    "inference/heads/",  # each named with its SHA-256 in its task's file, which counts
    "inference/training/",
)


def test_every_data_file_of_the_core_counts_into_the_release() -> None:
    files = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".typed"
    ]

    outside = [f for f in files if not f.endswith(tuple(SUFFIXES)) and "py.typed" not in f]

    assert [f for f in outside if not f.startswith(BESIDE)] == []
    assert "residency/unassigned-14.0.txt" in files
