"""Bytes as the leak search reads them: folded, compacted, unescaped.

A view remembers where each of its bytes came from, and works that out only when asked.
"""

import re
from collections.abc import Callable
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

_Origins: TypeAlias = npt.NDArray[np.int64]

# NUL among them, so that UTF-16 text reads like its ASCII; + stands for a space in forms.
SEPARATORS: Final = b" \t\r\n+-_.,/\\:;()\"'\0"
_WRAPS: Final = b"\r\n"
_TO_STANDARD_BASE64: Final = bytes.maketrans(b"-_", b"+/")

# Backslashes and %25 repeat where an escaped text was escaped again.
# Begins with one character class: re skips to the next candidate at the speed of C.
_ESCAPE: Final = re.compile(
    rb"[%\\](?:(?<=%)(?:25)*[0-9a-fA-F]{2}"
    rb"|(?<=\\)\\*(?:u[0-9a-fA-F]{4}(?:\\+u[0-9a-fA-F]{4})*|x[0-9a-fA-F]{2}|[\"/bfnrt]))"
)
_UNIT: Final = re.compile(rb"u([0-9a-fA-F]{4})")
_LETTERS: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


class View:
    """Bytes, and the offset in the first of all views that each came from."""

    def __init__(self, data: bytes, origins: Callable[[], _Origins] | None = None) -> None:
        """Take the bytes and a function to their origins; None: each is its own."""
        self.data = data
        self._compute = origins

    @cached_property
    def _origins(self) -> _Origins:
        return self._compute() if self._compute else np.arange(len(self.data))

    def origin(self, position: int) -> int:
        """Return where the byte at *position* came from."""
        return int(self._origins[position]) if self._compute else position

    def folded(self) -> "View":
        """Return the view with ASCII letters in lower case."""
        return View(self.data.lower(), self._compute and (lambda: self._origins))

    def without(self, drop: bytes) -> "View":
        """Return the view with every byte of *drop* taken out."""

        def origins() -> _Origins:
            keep = np.ones(256, dtype=np.bool_)
            keep[list(drop)] = False
            kept = np.flatnonzero(keep[np.frombuffer(self.data, dtype=np.uint8)])
            return self._origins[kept]

        return View(self.data.translate(None, drop), origins)

    def base64(self) -> "View":
        """Return the view with the URL alphabet read as the standard one, unwrapped."""
        flat = self.without(_WRAPS)
        return View(flat.data.translate(_TO_STANDARD_BASE64), lambda: flat._origins)  # noqa: SLF001

    def unescaped(self) -> "View | None":
        """Return the view with JSON and percent escapes read; None if it has none."""
        starts: list[int] = []
        ends: list[int] = []
        texts: list[bytes] = []
        pieces: list[bytes] = []
        done = 0
        for match in _ESCAPE.finditer(self.data):
            start, end = match.span()
            text = _unescape(match[0])
            pieces += (self.data[done:start], text)
            starts.append(start)
            ends.append(end)
            texts.append(text)
            done = end
        if not starts:
            return None
        pieces.append(self.data[done:])

        def origins() -> _Origins:
            begin, size = np.array(starts), np.array([len(text) for text in texts])
            # Plain bytes lie as far ahead as the escapes before them have shrunk.
            plain = np.diff([0, *starts], append=len(self.data))
            plain[1:] -= np.array(ends) - begin
            lengths = np.empty(2 * len(starts) + 1, dtype=np.int64)
            lengths[0::2], lengths[1::2] = plain, size
            bases = np.empty_like(lengths)
            bases[0::2], bases[1::2] = [0, *ends], begin
            result = np.repeat(bases, lengths)
            steps = np.arange(len(result)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            is_plain = np.repeat(np.arange(len(lengths)) % 2 == 0, lengths)
            found: _Origins = self._origins[result + steps * is_plain]
            return found

        return View(b"".join(pieces), origins)


def _unescape(text: bytes) -> bytes:
    """Return what one match of the escapes stands for."""
    if text[:1] == b"%":
        return bytes.fromhex(text[-2:].decode())
    rest = text.lstrip(b"\\")
    if rest[:1] == b"u":
        units = b"".join(_UNIT.findall(text)).decode()
        return bytes.fromhex(units).decode("utf-16-be", "replace").encode()
    if rest[:1] == b"x":
        return bytes.fromhex(rest[1:].decode())
    return _LETTERS.get(rest, rest)
