"""Tell two observations apart, tokens renamed; say where and what, never the values."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.codec import decode_physical
from schemas.errors import QuarantineError
from schemas.registry import Registry
from streams.noninterference.observe import Seen, SeenRecord

# 128 bits in base32; residency/tokens.py. Of one length each, so that sizes must agree, too
_TOKEN = re.compile(rb"tok_[a-z0-9-]{1,16}?[0-9]+_[a-z2-7]{26}")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that told an observer which of two events it was.

    Attributes:
        record: The record's name, or the raw record's.
        subject: The event's full name.
        path: The field, header or reason that differs; empty for the whole record.
        what: What differs about it: ``value``, ``size``, ``count``, ``ending``, ...

    """

    record: str
    subject: str
    path: str
    what: str

    def __str__(self) -> str:
        """Return one line for people."""
        where = f", {self.path}" if self.path else ""
        return f"{self.record} ({self.subject}){where}: {self.what}"


@dataclass(slots=True)
class Renaming:
    """Which token of side B stands for which of side A; one for one, over a whole run."""

    forward: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    backward: dict[bytes, bytes] = field(default_factory=dict, repr=False)

    def same(self, a: bytes, b: bytes) -> bool:
        """Return whether *a* and *b* are equal up to the renaming, which grows by this."""
        if a == b and b"tok_" not in a:
            return True
        if _TOKEN.split(a) != _TOKEN.split(b):
            return False
        tokens = list(zip(_TOKEN.findall(a), _TOKEN.findall(b), strict=True))
        return all(self._stands(x, y) for x, y in tokens)

    def _stands(self, a: bytes, b: bytes) -> bool:
        return self.forward.setdefault(a, b) == b and self.backward.setdefault(b, a) == a


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares the two sides of pair after pair.

    Attributes:
        registry: Knows the minimal schemas, to name the fields that differ.

    """

    registry: Registry
    renaming: Renaming = field(default_factory=Renaming)

    def differences(self, subject: str, at: str, a: Seen, b: Seen) -> list[Difference]:
        """Return everything that tells *a* from *b*; none where they look alike.

        An error other than quarantine is a difference even if both sides have it: some
        third event of the same kept values has none.
        """
        found = [
            Difference(at, subject, "", f"fails with {side.fault}, which is no quarantine")
            for side in (a, b)
            if side.fault is not None
        ]
        if a.ending != b.ending:
            return [*found, Difference(at, subject, "", "ending: crossing, reason or path")]
        if not self.renaming.same(a.error.encode(), b.error.encode()):
            found.append(Difference(at, subject, "", "error text"))
        if len(a.records) != len(b.records):
            return [*found, Difference(at, subject, "", "count of records")]
        for one, other in zip(a.records, b.records, strict=True):
            found += [Difference(one.name, subject, *told) for told in self._record(one, other)]
        return found

    def _record(self, a: SeenRecord, b: SeenRecord) -> Iterator[tuple[str, str]]:
        if (a.name, a.object) != (b.name, b.object):
            yield "", "record id or object"
        same = self.renaming.same
        if not same(a.key, b.key):
            yield "", "key"
        if not same(a.value, b.value):
            yield from self._fields(a, b)
        yield from self._headers(a.headers, b.headers)
        if not same(a.verdict.encode(), b.verdict.encode()):
            yield "", "the gate's verdict"
        elif not same(a.sent, b.sent):
            yield "", "what the sink gets"
        if a.leaf != b.leaf:
            yield "", "the ledger's leaf"

    def _headers(
        self, a: tuple[tuple[str, bytes], ...], b: tuple[tuple[str, bytes], ...]
    ) -> Iterator[tuple[str, str]]:
        if [name for name, _ in a] != [name for name, _ in b]:
            yield "", "names or order of headers"
            return
        for (name, mine), (_, theirs) in zip(a, b, strict=True):
            if not self.renaming.same(mine, theirs):
                yield f"header {name}", "value" if len(mine) == len(theirs) else "size"

    def _fields(self, a: SeenRecord, b: SeenRecord) -> Iterator[tuple[str, str]]:
        """Yield the fields of a minimal record that differ, by decoding both."""
        mine, theirs = self._decoded(a.value), self._decoded(b.value)
        names = sorted(
            name
            for name in mine.keys() | theirs.keys()
            if not self.renaming.same(
                repr(mine.get(name)).encode(), repr(theirs.get(name)).encode()
            )
        )
        for name in names:
            size = len(repr(mine.get(name))) != len(repr(theirs.get(name)))
            yield f"{a.object}.{name}", "size and value" if size else "value"
        if not names:
            yield a.object, "bytes that decode alike"

    def _decoded(self, value: bytes) -> Mapping[str, Any]:
        try:
            return decode_physical(self.registry, value)[1]
        except QuarantineError:
            return {}


def summed(differences: Counter[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Return how often what differed, most often first."""
    return [
        {"subject": subject, "path": path, "what": what, "times": times}
        for (subject, path, what), times in differences.most_common()
    ]
