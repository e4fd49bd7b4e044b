"""Which terms of an event go into the blind index, and what finds them in whole batches.

Of each schema: the customer's id, the order's, every e-mail address and phone number by its tag,
and whatever the region's plans make tokens of for the org, so that a row there leads home.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from residency.plan.model import Each, FieldPlan, MapKey, Plan, parse_path
from residency.plan.strip import find_all
from residency.plan.walk import ops
from residency.plan.walk.accelerator import IS_ACCELERATED
from residency.plan.walk.found import walk_all
from residency.plan.walk.program import Program, write_program
from residency.plan.walk.wish import UnwalkableError, Wish
from residency.policy.rules import Action
from residency.tokens import Tokeniser
from residency.vault.index import CATEGORIES, Kind, term
from schemas.codec import decode_physical
from schemas.errors import QuarantineError
from schemas.registry import EventSchema, Registry

PATHS = {"customer.customer_id": Kind.CUSTOMER, "order_id": Kind.ORDER}
_KINDS = {category: kind for kind, category in CATEGORIES.items()}


class Found(NamedTuple):
    """A text in an event, before it is made a term of.

    Attributes:
        place: Number of the `Place` it stood at; equal places of several schemas share one.
        text: UTF-8.

    """

    place: int
    text: bytes


@dataclass(frozen=True, slots=True)
class TokenOf:
    """A token that the org may hold of the text at a path."""

    is_identity: bool
    domain: str
    destination: str


@dataclass(frozen=True, slots=True)
class Place:
    """A path that is indexed: as which kinds, and by which tokens."""

    path: str
    kinds: tuple[Kind, ...]
    tokens: tuple[TokenOf, ...]


def places_of(schema: EventSchema, plans: Iterable[Plan]) -> tuple[Place, ...]:
    """Return the paths of a schema that are indexed, by its tags and by its plans."""
    kinds: dict[str, set[Kind]] = {}
    tokens: dict[str, set[TokenOf]] = {}
    for leaf in schema.leaves:
        kind = PATHS.get(leaf.path) or _KINDS.get(leaf.category)
        if kind is not None:
            kinds.setdefault(leaf.path, set()).add(kind)
    for plan in plans:
        if plan.schema_id == schema.id:
            for path, one in _tokens(plan):
                tokens.setdefault(path, set()).add(one)
    return tuple(
        Place(
            path,
            tuple(sorted(kinds.get(path, ()))),
            tuple(sorted(tokens.get(path, ()), key=lambda t: (t.is_identity, t.domain))),
        )
        for path in sorted({*kinds, *tokens})
    )


def _tokens(plan: Plan) -> Iterator[tuple[str, TokenOf]]:
    for output in plan.outputs:
        made: tuple[FieldPlan, ...] = (output.external_id, *output.fields)
        for one in made:
            if one.path and (one.identity or one.action is Action.TOKENISE):
                yield one.path, TokenOf(one.identity, one.domain or "", plan.destination)


@dataclass(frozen=True, slots=True)
class _Reader:
    """How one schema's texts are found: by a walk where there is one."""

    places: tuple[tuple[int, Place], ...]
    program: Program | None = field(repr=False)


class Terms:
    """Finds the texts of events and makes terms of them. Holds token keys, no values."""

    def __init__(
        self, registry: Registry, plans: Iterable[Plan], tokenisers: Mapping[str, Tokeniser]
    ) -> None:
        """Take the region's plans, old ones too, and a tokeniser per destination they name."""
        self._registry = registry
        known, numbers = list(plans), dict[Place, int]()
        self._readers = {
            schema.id: _reader(
                schema,
                tuple(
                    (numbers.setdefault(place, len(numbers)), place)
                    for place in places_of(schema, known)
                ),
            )
            for schema in registry.raw()
        }
        self._places = tuple(numbers)
        self._tokenisers = tokenisers

    def find(self, schema_id: int, values: Sequence[bytes]) -> list[list[Found]]:
        """Return the texts of each event of one schema; none where it is malformed."""
        reader = self._readers[schema_id]
        if reader.program is None:
            return [self._slowly(reader, value) for value in values]
        walked = walk_all(reader.program, values, len(reader.places))
        data, odd = walked.data, walked.status == ops.ODD
        texts: list[list[Found]] = [[] for _ in values]
        for slot, (place, _) in enumerate(reader.places):
            starts, ends = walked.slots[slot].tolist()
            for mine, start, end in zip(texts, starts, ends, strict=True):
                if end >= 0:
                    mine.append(Found(place, data[start:end]))
        for n in odd.nonzero()[0].tolist():
            texts[n] = self._slowly(reader, values[n])
        return texts

    def make(self, found: Found) -> set[tuple[Kind, str]]:
        """Return the terms that a text gives: itself in normal form, and its tokens."""
        place = self._places[found.place]
        text = found.text.decode("utf-8", "surrogatepass")
        terms = {(kind, term(kind, text)) for kind in place.kinds}
        for one in place.tokens:
            maker = self._tokenisers[one.destination]
            make = maker.identity if one.is_identity else maker.attribute
            terms.add((Kind.TOKEN, make(one.domain, text)))
        return terms

    def of(self, schema_id: int, value: bytes) -> set[tuple[Kind, str]]:
        """Return all terms of one event."""
        (found,) = self.find(schema_id, [value])
        return {one for text in found for one in self.make(text)}

    def _slowly(self, reader: _Reader, value: bytes) -> list[Found]:
        """Return the texts of one event by decoding all of it."""
        try:
            _, event = decode_physical(self._registry, value)
        except QuarantineError:
            return []
        return [
            Found(place, text.encode("utf-8", "surrogatepass"))
            for place, one in reader.places
            for text in find_all(event, one.path)
            if isinstance(text, str)
        ]


def _reader(schema: EventSchema, places: tuple[tuple[int, Place], ...]) -> _Reader:
    paths = [place.path for _, place in places]
    repeats = any(isinstance(s, Each | MapKey) for path in paths for s in parse_path(path))
    if repeats or not IS_ACCELERATED:
        return _Reader(places, None)  # a walk has room for one value per path
    wish = Wish()
    for slot, path in enumerate(paths):
        wish.at(path).stores.append((slot, ops.SET))
    try:
        return _Reader(places, write_program(schema.avro, wish))
    except UnwalkableError:
        return _Reader(places, None)
