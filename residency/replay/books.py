"""What raw records give under the plans and key versions that leaves name: pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from residency.keys import TokenKeys
from residency.plan.book import Crossed, PlanBook
from residency.plan.model import Plan
from residency.plan.processors import Processors
from residency.replay.claims import TRANSFER, Claim, Terms
from schemas.errors import QuarantineError
from schemas.events import RawBatch
from schemas.registry import load_registry

Made: TypeAlias = Crossed | QuarantineError
MadeBy: TypeAlias = Mapping[int, Sequence[Made] | Mapping[int, Made]]
"""By key version, then by the record's number in its batch; the current version has them all."""


class Books:
    """The plans of a region, to be carried out with any version of its token keys."""

    def __init__(
        self, region: str, plans: Mapping[str, Plan], keys: TokenKeys, processors: Processors
    ) -> None:
        """Take the approved plans by digest, and all versions of the keys."""
        self.plans = plans
        self.current = keys.attribute_version
        self.versions = {key.version: key for key in keys.versions}
        self._region = region
        self._keys = keys
        self._processors = processors
        self._made: dict[int, PlanBook] = {}

    def of(self, version: int) -> PlanBook:
        """Return the plan book with one version of the keys; it must be one of `versions`."""
        if version not in self._made:
            by_schema = {plan.schema_id: plan for plan in self.plans.values()}
            keys = self._keys.at(self.versions[version])
            book = PlanBook(self._region, by_schema, keys, load_registry(), self._processors)
            self._made[version] = book
        return self._made[version]


@dataclass(frozen=True, slots=True)
class Place:
    """A partition of a raw topic, as it was made."""

    topic: str
    partition: int
    topic_id: str
    generation: int


def by_offset(claims: Iterable[Claim]) -> dict[int, list[Claim]]:
    """Return *claims* by the offset of their raw record, each in its order."""
    found: dict[int, list[Claim]] = {}
    for claim in claims:
        found.setdefault(claim.offset, []).append(claim)
    return found


def make(
    books: Books,
    place: Place,
    raw: RawBatch,
    claims: Mapping[int, Sequence[Claim]],
    terms: Sequence[Terms],
) -> MadeBy:
    """Return what each record gives under the current key version, and under those named.

    Args:
        books: Plans and keys.
        place: Where all of *raw* lie.
        raw: The records.
        claims: On them, by offset.
        terms: Those of all claims.

    """
    current, versions = books.current, books.versions
    older: dict[int, list[int]] = {}
    for n, offset in enumerate(raw.offsets):
        for claim in claims.get(offset, ()):
            version = terms[claim.terms].keys if claim.what == TRANSFER else current
            if version != current and version in versions:
                older.setdefault(version, []).append(n)

    def generation(topic: str) -> int:
        del topic  # a batch is of one
        return place.generation

    made: dict[int, Sequence[Made] | Mapping[int, Made]] = {
        current: books.of(current).minimise_batch(raw, generation)
    }
    for version, numbers in older.items():
        some = books.of(version).minimise_batch(raw.part(numbers), generation)
        made[version] = dict(zip(numbers, some, strict=True))
    return made
