"""The published JSON Schemas of the leaves: one per kind, named after it."""

from pathlib import Path

SCHEMAS = Path(__file__).with_name("schemas")


def kinds() -> tuple[str, ...]:
    """Return every kind of leaf that this release writes, sorted."""
    return tuple(sorted(path.stem for path in SCHEMAS.glob("*.json")))
