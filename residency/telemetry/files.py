"""An append-only text file of bounded size, for spans and metrics without a collector."""

import io
import os
from pathlib import Path
from threading import Lock

MAX_BYTES = 16 * 1024 * 1024  # then the file becomes `.1`, and the older `.1` goes


class LineFile(io.TextIOBase):
    """A text stream that writes JSON lines to a file that only its owner can read."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        """Open *path* to append, making its folder; both for the owner alone."""
        super().__init__()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._max_bytes = max_bytes
        self._lock = Lock()  # exporters run on threads of their own
        self._file = _open(path)

    def write(self, text: str, /) -> int:
        """Append *text*, whole lines, and return its length in characters."""
        data = text.encode()
        with self._lock:
            if self._file.tell() and self._file.tell() + len(data) > self._max_bytes:
                self._file.close()
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._file = _open(self._path)
            self._file.write(data)
        return len(text)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            self._file.close()
        super().close()


def _open(path: Path) -> io.FileIO:
    """Return *path*, unbuffered, at its end: a killed process loses no line it wrote."""
    file = io.FileIO(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
    file.seek(0, os.SEEK_END)
    return file
