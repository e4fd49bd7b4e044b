"""Which terms of an event go into the blind index, and what finds them in whole batches.

Of each schema: the customer's id, the order's, every e-mail address and phone number by its tag,
and whatever the region's plans make tokens of for the org, so that a row there leads home.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from residency.plan.model import Each, FieldPlan, MapKey, Plan, parse_path
from residency.plan.strip import find_all
from residency.plan.walk import ops
from residency.plan.walk.accelerator import IS_ACCELERATED
from residency.plan.walk.assemble import TOKEN_TEXT
from residency.plan.walk.fills import token_texts
from residency.plan.walk.found import walk_all
from residency.plan.walk.program import Program, write_program
from residency.plan.walk.wish import UnwalkableError, Wish
from residency.policy.rules import Action
from residency.tokens import Kind as TokenKind
from residency.tokens import Tokeniser
from residency.vault.index import CATEGORIES, Kind, terms_utf8
from schemas.codec import decode_physical
from schemas.errors import QuarantineError
from schemas.registry import EventSchema, Registry
from schemas.resolve import steps_of

PATHS = {"customer.customer_id": Kind.CUSTOMER, "order_id": Kind.ORDER}
_KINDS = {category: kind for kind, category in CATEGORIES.items()}
ANY_KEY = "{}"  # in a schema's path: every value of a map

# A text in an event before a term is made of it: the number of the `Place` it stood at (equal
# places of several schemas share one), and UTF-8. A plain tuple: there are five for each event.
Found: TypeAlias = tuple[int, bytes]


class Made(NamedTuple):
    """Terms of one kind.

    Attributes:
        numbers: Of the texts they were made of.
        terms: One for each of those, UTF-8.

    """

    kind: Kind
    numbers: Sequence[int]
    terms: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class TokenOf:
    """A token that the org may hold of the text at a path."""

    kind: TokenKind
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
            tuple(sorted(tokens.get(path, ()), key=lambda t: (t.kind, t.domain, t.destination))),
        )
        for path in sorted({*kinds, *tokens})
    )


def _tokens(plan: Plan) -> Iterator[tuple[str, TokenOf]]:
    for output in plan.outputs:
        made: tuple[FieldPlan, ...] = (output.external_id, *output.fields)
        for one in made:
            if one.path and (one.identity or one.action is Action.TOKENISE):
                kind: TokenKind = "identity" if one.identity else "attribute"
                yield one.path, TokenOf(kind, one.domain or "", plan.destination)


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

    def find(self, schema_id: int, values: Sequence[bytes]) -> list[tuple[int, Found]]:
        """Return the texts of events of one schema, each with the number of its event.

        None where an event is malformed.
        """
        reader = self._readers[schema_id]
        if reader.program is None:
            return [(n, f) for n, value in enumerate(values) for f in self._slowly(reader, value)]
        walked = walk_all(reader.program, values, len(reader.places))
        data = walked.data
        found: list[tuple[int, Found]] = []
        for slot, (place, _) in enumerate(reader.places):
            firsts, lasts = walked.slots[slot].tolist()
            spans = zip(range(len(values)), firsts, lasts, strict=True)
            found += [(n, (place, data[first:last])) for n, first, last in spans if last >= 0]
        for n in (walked.status == ops.ODD).nonzero()[0].tolist():
            found += [(n, one) for one in self._slowly(reader, values[n])]
        return found

    def make(self, found: Sequence[Found]) -> Iterator[Made]:
        """Yield the terms that texts give: each in normal form, and its tokens; by kind."""
        numbers: dict[int, list[int]] = {}
        for number, one in enumerate(found):
            numbers.setdefault(one[0], []).append(number)
        for place_number, mine in numbers.items():
            place = self._places[place_number]
            texts = [found[number][1] for number in mine]
            for kind in place.kinds:
                yield Made(kind, mine, terms_utf8(kind, texts))
            for token in place.tokens:
                yield Made(Kind.TOKEN, mine, self._tokens(token, texts))

    def of(self, schema_id: int, value: bytes) -> set[tuple[Kind, str]]:
        """Return all terms of one event."""
        found = [one for _, one in self.find(schema_id, [value])]
        return {
            (made.kind, text.decode("utf-8", "surrogatepass"))
            for made in self.make(found)
            for text in made.terms
        }

    def _tokens(self, one: TokenOf, texts: Sequence[bytes]) -> list[bytes]:
        maker = self._tokenisers[one.destination]
        normal = maker.normal_form(one.kind, one.domain)
        prefix = maker.prefix(one.kind, one.domain)
        macs = maker.macs(one.kind, one.domain, [normal(text) for text in texts])
        joined, size = token_texts(prefix, macs), len(prefix) + TOKEN_TEXT
        return [joined[at : at + size] for at in range(0, len(joined), size)]

    def _slowly(self, reader: _Reader, value: bytes) -> list[Found]:
        """Return the texts of one event by decoding all of it."""
        try:
            _, event = decode_physical(self._registry, value)
        except QuarantineError:
            return []
        return [
            (place, text.encode("utf-8", "surrogatepass"))
            for place, one in reader.places
            for text in _at(event, one.path)
            if isinstance(text, str)
        ]


def _at(event: Mapping[str, Any], path: str) -> list[Any]:
    """Return every value at a path of a plan, or at one of a schema, which may go through a map."""
    if ANY_KEY not in path:
        return find_all(event, path)
    found: list[Any] = [event]
    for step in steps_of(path):
        if step == "[]":
            found = [one for value in found if isinstance(value, list) for one in value]
        elif step == ANY_KEY:
            found = [one for value in found if isinstance(value, Mapping) for one in value.values()]
        else:
            found = [value.get(step) for value in found if isinstance(value, Mapping)]
    return found


def _reader(schema: EventSchema, places: tuple[tuple[int, Place], ...]) -> _Reader:
    paths = [place.path for _, place in places]
    repeats = any(
        ANY_KEY in path or any(isinstance(s, Each | MapKey) for s in parse_path(path))
        for path in paths
    )
    if repeats or not IS_ACCELERATED:
        return _Reader(places, None)  # a walk has room for one value per path
    wish = Wish()
    for slot, path in enumerate(paths):
        wish.at(path).stores.append((slot, ops.SET))
    try:
        return _Reader(places, write_program(schema.avro, wish))
    except UnwalkableError:
        return _Reader(places, None)
