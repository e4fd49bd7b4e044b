"""Which code made a record: the digest that a ledger leaf names."""

import hashlib
import sys
import unicodedata
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "residency", "connectors", "inference", "streams")
SUFFIXES = {".py", ".toml", ".avsc", ".txt"}


@cache
def release_digest() -> str:
    """Return the SHA-256, hex, of everything that can change a record.

    Our source and data files, the lock of the libraries we decode and match with, Python
    itself and its Unicode tables.
    """
    digest = hashlib.sha256(f"{sys.version}\x00{unicodedata.unidata_version}\x00".encode())
    lock = ROOT / "requirements.lock"
    digest.update(lock.read_bytes() if lock.exists() else b"")
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in SUFFIXES:
                digest.update(f"{path.relative_to(ROOT).as_posix()}\x00".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
