"""Files only their owner may read, written whole or not at all."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from schemas.errors import SetupError

PRIVATE_FILE = 0o600
PRIVATE_DIR = 0o700


def private_dir(path: Path) -> Path:
    """Create *path* and its parents for the owner alone, where missing, and return it.

    Raises:
        SetupError: The folder cannot be made.

    """
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.exists():
                folder.mkdir(mode=PRIVATE_DIR, exist_ok=True)
    except OSError as exc:
        msg = f"cannot create {path}: {exc.strerror}; choose another folder with --home"
        raise SetupError(msg) from exc
    return path


def write_private(path: Path, text: str) -> None:
    """Replace *path* by *text* in one step, readable by the owner alone."""
    private_dir(path.parent)
    # pid in the name: `up` and the supervisor never write the same file, but two runs may
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def write_json(path: Path, document: object) -> None:
    """Replace *path* by *document* as JSON, readable by the owner alone."""
    write_private(path, json.dumps(document, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in *path*, or an empty one if there is no such file.

    Raises:
        SetupError: The file is not a JSON object.

    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as exc:
        msg = f"{path} is not JSON; run `homeport down`, then remove it"
        raise SetupError(msg) from exc
    if not isinstance(document, dict):
        msg = f"{path} is not a JSON object; run `homeport down`, then remove it"
        raise SetupError(msg)
    return document


@contextmanager
def exclusive(path: Path, *, wait: bool, busy: str) -> Iterator[IO[str]]:
    """Hold the lock file *path* while the block runs.

    Args:
        path: The lock file; made if missing.
        wait: Whether to wait for the one who holds it.
        busy: What to say if somebody holds it and *wait* is false.

    Raises:
        SetupError: Somebody else holds it.

    """
    private_dir(path.parent)
    with path.open("a+", encoding="utf-8") as file:
        path.chmod(PRIVATE_FILE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as exc:
            raise SetupError(busy) from exc
        yield file
