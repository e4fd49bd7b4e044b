"""Search what left a region for what should have stayed, however it is written.

Every canary is looked for as it is, in other case, without its separators, in base64 at
each of the three alignments, in hex, percent-encoded and JSON-escaped. Not found: text
that was compressed, encrypted, hashed or cut into pieces.

Speed: an eight-byte window slides over the data in numpy; a hash table of one window per
pattern, the rarest of each, leaves few places to compare in full.
"""

import base64
import io
import json
import unicodedata
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from streams.demo.views import SEPARATORS, View

Encoding: TypeAlias = Literal["raw", "case", "separators", "base64", "hex", "escaped"]

MIN_BYTES: Final = 8  # of a canary and of every pattern: the window's width
CHUNK_BYTES: Final = 4 << 20  # searched at a time
_GROWTH: Final = 16  # a canary takes at most so many times its bytes in any encoding we read
_TABLE_BITS: Final = 22  # 4 MiB of flags: stays in cache, about 1 in 40 windows passes
_CHOICES: Final = 12  # windows of a pattern among which the rarest is its key
_BLOCK: Final = 1 << 18  # windows hashed at a time
_HASH: Final = np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hash, 2^64 / phi
_SHIFT: Final = np.uint64(64 - _TABLE_BITS)
_Windows: TypeAlias = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """A canary found where it must not be.

    Attributes:
        place: What was searched, such as a file's name.
        position: Byte offset where it begins, leading separators not counted; in base64,
            where its first whole character does.
        canary: Its number in the order given; never its text.
        encoding: How it was written there.

    """

    place: str
    position: int
    canary: int
    encoding: Encoding


class _Patterns:
    """Byte strings to find all at once, and whose they are."""

    def __init__(self, owned: Iterable[tuple[int, bytes]]) -> None:
        """Index *owned* patterns (canary number, at least 8 bytes each)."""
        rows = list(dict.fromkeys(owned))
        self._owners = [owner for owner, _ in rows]
        self._patterns = [pattern for _, pattern in rows]
        windows, offsets = _rarest_windows(self._patterns)
        order = np.argsort(windows, kind="stable")
        self._by_key = order.tolist()
        self._offsets = offsets.tolist()
        self._keys, first = np.unique(windows[order], return_index=True)
        self._first = [*first.tolist(), len(order)]
        self._flags = np.zeros(1 << _TABLE_BITS, dtype=np.bool_)
        self._flags[_hash(self._keys)] = True

    def find(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield (canary, position, pattern) for every place where *data* has a pattern."""
        if not self._patterns:
            return
        for position, key in self._candidates(data):
            for number in self._by_key[self._first[key] : self._first[key + 1]]:
                begin = position - self._offsets[number]
                pattern = self._patterns[number]
                if begin >= 0 and data.startswith(pattern, begin):
                    yield self._owners[number], begin, pattern

    def _candidates(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield (position, key number) wherever eight bytes of *data* are a key."""
        for start in range(0, len(data) - MIN_BYTES + 1, _BLOCK):
            count = min(_BLOCK, len(data) - MIN_BYTES + 1 - start)
            windows = _windows(data, start, count)
            likely = np.flatnonzero(self._flags.take(_hash(windows)))
            values = windows[likely]
            keys = np.minimum(np.searchsorted(self._keys, values), len(self._keys) - 1)
            sure = self._keys[keys] == values
            yield from zip((likely[sure] + start).tolist(), keys[sure].tolist(), strict=True)


def _windows(data: bytes, start: int, count: int) -> _Windows:
    """Return the *count* eight-byte windows of *data* from *start*, one byte apart."""
    return np.ndarray((count,), np.dtype("<u8"), data, start, (1,)).astype(np.uint64)


def _hash(windows: _Windows) -> npt.NDArray[np.int64]:
    """Return the place of each window in the table of flags."""
    return ((windows * _HASH) >> _SHIFT).view(np.int64)  # numpy indexes by int64 fastest


def _rarest_windows(patterns: Sequence[bytes]) -> tuple[_Windows, npt.NDArray[np.int64]]:
    """Return for each pattern a window that few others have, and its offset.

    Patterns with a common beginning or end, such as a mail domain, are then told apart
    by the part that differs. Only windows spread evenly over a pattern are compared.
    """
    if not patterns:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    lengths = np.array([len(pattern) for pattern in patterns])
    begins = np.cumsum(lengths) - lengths
    spread = np.linspace(0, 1, _CHOICES)
    offsets = ((lengths - MIN_BYTES)[:, np.newaxis] * spread).astype(np.int64)
    joined = b"".join(patterns)
    windows = _windows(joined, 0, len(joined) - MIN_BYTES + 1)[begins[:, np.newaxis] + offsets]
    _, inverse, counts = np.unique(windows, return_inverse=True, return_counts=True)
    best = counts[inverse].reshape(windows.shape).argmin(axis=1)
    rows = np.arange(len(patterns))
    return windows[rows, best], offsets[rows, best]


class LeakSearch:
    """Finds canaries in bytes. Built once, used for every place.

    A canary with fewer than eight bytes besides its separators is only found with them.
    """

    def __init__(self, canaries: Iterable[str], *, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Take the canaries: random texts, each of 8 bytes of UTF-8 or more.

        Args:
            canaries: What to look for. A short run of digits is found by chance wherever
                there are many numbers: use none under some 60 bits of randomness.
            chunk_bytes: How much is searched at a time.

        Raises:
            ValueError: One is shorter; the text gives its number.

        """
        self._raw = [canary.encode() for canary in canaries]
        for number, raw in enumerate(self._raw):
            if len(raw) < MIN_BYTES:
                msg = f"canary {number} has fewer than {MIN_BYTES} bytes; chance would find it"
                raise ValueError(msg)
        self._overlap = _GROWTH * max(map(len, self._raw), default=0)
        self._chunk_bytes = max(chunk_bytes, self._overlap)
        spellings = [
            (number, spelling) for number, raw in enumerate(self._raw) for spelling in _spell(raw)
        ]
        compact = [(n, View(spelling).without(SEPARATORS).data) for n, spelling in spellings]
        is_long = [len(pattern) >= MIN_BYTES for _, pattern in compact]
        self._compact = _Patterns(
            [row for row, keep in zip(compact, is_long, strict=True) if keep]
            + [(number, raw.hex().encode()) for number, raw in enumerate(self._raw)]
        )
        # Too short without their separators: only searched with them.
        self._folded = _Patterns(
            row for row, keep in zip(spellings, is_long, strict=True) if not keep
        )
        self._base64 = _Patterns(
            (number, stable)
            for number, raw in enumerate(self._raw)
            for stable in _stable_base64(raw)
        )

    def search(self, name: str, data: bytes) -> list[Leak]:
        """Return every canary found in *data*, by position; *name* becomes the place."""
        return self._search(name, io.BytesIO(data))

    def search_file(self, path: Path, name: str | None = None) -> list[Leak]:
        """Return every canary found in the file's bytes, by position.

        Args:
            path: Any file: a log, a tile, an SQLite database or its WAL.
            name: The place to report; by default the path.

        """
        with path.open("rb") as file:
            return self._search(name or str(path), file)

    def _search(self, name: str, file: BinaryIO) -> list[Leak]:
        leaks: list[Leak] = []
        base, chunk = 0, file.read(self._chunk_bytes)
        while chunk:
            following = file.read(self._chunk_bytes)
            leaks += [
                Leak(name, base + position, canary, encoding)
                for (canary, position), encoding in self._search_chunk(
                    chunk + following[: self._overlap]
                ).items()
                if position < len(chunk)  # else the next chunk has all of it
            ]
            base, chunk = base + len(chunk), following
        return sorted(leaks)

    def _search_chunk(self, chunk: bytes) -> Mapping[tuple[int, int], Encoding]:
        """Return the encoding by (canary, position); the plainest where several fit."""
        found: dict[tuple[int, int], Encoding] = {}
        plain = View(chunk)
        escaped = plain.unescaped()
        for view in (plain, escaped):
            if view is None:
                continue
            for patterns, reading in (
                (self._compact, view.folded().without(SEPARATORS)),
                (self._folded, view.folded()),
                (self._base64, view.base64()),
            ):
                for canary, position, pattern in patterns.find(reading.data):
                    origin = reading.origin(position)
                    encoding = self._name(chunk, canary, origin, pattern)
                    if patterns is self._base64:
                        encoding = "base64"
                    if view is escaped:
                        encoding = "escaped"
                    found.setdefault((canary, origin), encoding)
        return found

    def _name(self, chunk: bytes, canary: int, origin: int, pattern: bytes) -> Encoding:
        """Return how a canary is written at *origin*, base64 and escapes aside."""
        raw = self._raw[canary]
        begin = max(0, origin - (len(raw) - len(raw.lstrip(SEPARATORS))))
        written = chunk[begin : begin + len(raw)]
        if written == raw:
            return "raw"
        if pattern == raw.hex().encode():
            return "hex"
        return "case" if written.lower() in _spell(raw) else "separators"


def _spell(raw: bytes) -> frozenset[bytes]:
    """Return the spellings of *raw* to look for, with ASCII letters in lower case.

    Letters outside ASCII are looked for as given and in all lower, upper or folded case.
    """
    if raw.isascii():
        return frozenset({raw.lower()})
    text = raw.decode()
    forms = {text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)}
    cases = (str.lower, str.upper, str.casefold)
    return frozenset(
        spelling.encode().lower()
        for form, case in product(forms, cases)
        for spelling in (form, case(form))
    )


def _stable_base64(raw: bytes) -> Iterator[bytes]:
    """Yield, for each alignment, the characters that no neighbour of *raw* can change.

    From 8 bytes on these are at least 10 characters, so none is too short to look for.
    """
    for lead in range(3):
        text = base64.b64encode(bytes(lead) + raw)
        bits = 8 * (lead + len(raw))
        yield text[-(-8 * lead // 6) : bits // 6]


def encodings(canary: str) -> Mapping[str, bytes]:
    """Return *canary* written in every way the search must find, by name.

    For self-tests: plant each, and see that it is found.
    """
    raw = canary.encode()
    middle = len(raw.decode()) // 2
    units = canary.encode("utf-16-be").hex()
    samples = {
        "raw": raw,
        "case": (canary.lower() if canary.isupper() else canary.upper()).encode(),
        "separators-added": f"{canary[:middle]}-{canary[middle:]}".encode(),
        "separators-removed": raw.translate(None, SEPARATORS),
        "hex-lower": raw.hex().encode(),
        "hex-upper": raw.hex().upper().encode(),
        "hex-colons": raw.hex(":").encode(),
        "percent": urllib.parse.quote(canary, safe="").encode(),
        "percent-upper": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "percent-lower": "".join(f"%{byte:02x}" for byte in raw).encode(),
        "form": urllib.parse.quote_plus(canary).encode(),
        "json": json.dumps(canary).replace("/", "\\/").encode(),
        "json-units": "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)).encode(),
    }
    for lead in range(3):
        blob = b"~" * lead + raw + b"~"
        samples[f"base64-{lead}"] = base64.b64encode(blob)
        samples[f"base64-url-{lead}"] = base64.urlsafe_b64encode(blob)
    return samples
