"""Which code made a record: the digest that a ledger leaf names."""

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "residency", "connectors", "inference", "streams")
SUFFIXES = {".py", ".toml", ".avsc"}


@cache
def release_digest() -> str:
    """Return the SHA-256, hex, of every source and data file that can change a record."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in SUFFIXES:
                digest.update(f"{path.relative_to(ROOT).as_posix()}\x00".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
