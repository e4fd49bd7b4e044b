"""Pairs of events that must look alike from outside, for every approved plan of a region."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from residency.keys import TokenKeys
from residency.plan.book import MAX_VALUE_BYTES, PlanBook
from residency.plan.model import Plan
from residency.plan.residence import COUNTRY, SUBDIVISION
from residency.policy.rules import Action
from residency.tokens import Tokeniser
from schemas.codec import HEADER, MAGIC
from schemas.registry import EventSchema, Registry
from streams.noninterference.draw import Draw, Node
from streams.noninterference.pools import Pools
from streams.noninterference.residence import Residence
from streams.noninterference.roles import Roles, roles_of
from streams.noninterference.shape import Shaper


@dataclass(frozen=True, slots=True)
class Pair:
    """Two raw values of one schema, equal in all that may be told of them.

    Attributes:
        number: From 0, in the run.

    """

    number: int
    schema: EventSchema
    a: bytes = field(repr=False)
    b: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """What makes the pairs of one schema, and counts what varied in them."""

    schema: EventSchema
    plan: Plan
    roles: Roles
    draw: Draw
    root: Node = field(repr=False)

    def pair(self, number: int) -> Pair:
        """Return the next pair. Both values are small enough to be carried."""
        head = HEADER.pack(MAGIC, self.schema.id)
        while True:
            self.draw.memo.clear()
            a, b = self.root.pair(self.draw)
            if max(len(a), len(b)) + len(head) <= MAX_VALUE_BYTES:
                return Pair(number, self.schema, head + a, head + b)

    def varied(self) -> Mapping[str, int]:
        """Return how often each leaf that must not show had two values, by path."""
        counts = zip(self.schema.leaves, self.draw.varied, strict=True)
        return {leaf.path: n for leaf, n in counts if leaf.path not in self.held()}

    def held(self) -> frozenset[str]:
        """Return the leaves that leave as they are, wherever they stand: equal on both sides."""
        return frozenset(
            path
            for path, fields in self.roles.mapped.items()
            if {one.action for one in fields} == {Action.KEEP}
        )


def sources(
    book: PlanBook, registry: Registry, keys: TokenKeys, seed: str, only: str | None = None
) -> list[Source]:
    """Return a source of pairs per plan of *book*.

    Args:
        book: The approved plans.
        registry: Their schemas.
        keys: Of its region; which values share a token depends on nothing secret, but only
            tokens can tell.
        seed: The same seed gives the same pairs.
        only: A subject, or its last part, or a schema id; None: every plan.

    """
    made: list[Source] = []
    for plan in sorted(book.plans.values(), key=lambda p: p.schema_id):
        names = {plan.subject, plan.subject.rpartition(".")[2], str(plan.schema_id)}
        if only is None or only in names:
            made.append(_source(registry, plan, keys, seed))
    return made


def _source(registry: Registry, plan: Plan, keys: TokenKeys, seed: str) -> Source:
    rng = random.Random(f"{seed}/{plan.schema_id}")
    pools = Pools(random.Random(seed))
    schema, roles = registry.by_id(plan.schema_id), roles_of(plan)
    kept = COUNTRY in roles.mapped, SUBDIVISION in roles.mapped
    numbers = {leaf.path: n for n, leaf in enumerate(schema.leaves)}
    shaper = Shaper(
        schema=schema,
        roles=roles,
        tokeniser=Tokeniser(keys, plan.destination),
        pools=pools,
        residence=Residence(plan.region, pools, rng, kept, numbers.get(COUNTRY, 0)),
        rng=rng,
        seed=seed,
        numbers=numbers,
    )
    return Source(schema, plan, roles, Draw(rng, [0] * len(schema.leaves)), shaper.root())
