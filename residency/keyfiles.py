"""Files of keys: 0600, made on first use, replaced as a whole, durable before anybody uses them."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.errors import SetupError


def load_or_create(path: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a file of keys holds, making it on first use.

    Raises:
        SetupError: Others can read the file.
        ValueError: It is not JSON.

    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        draft = _draft(path, make())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # atomic, and the first of two writers wins
        draft.unlink()
        _sync(path.parent)
    if path.stat().st_mode & 0o077:
        msg = f"{path}: others can read this key file; run `chmod 600` on it"
        raise SetupError(msg)
    raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return raw


def replace_file(path: Path, content: Mapping[str, Any]) -> None:
    """Put *content* in the place of what a file of keys holds; durable when this returns."""
    os.replace(_draft(path, content), path)  # noqa: PTH105, atomic
    _sync(path.parent)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a file of keys for one change: two rotations at once would lose one's version."""
    lock = path.with_name(f".{path.name}.lock")
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _draft(path: Path, content: Mapping[str, Any]) -> Path:
    """Return a durable 0600 file beside *path*: a key that is lost takes its data with it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
