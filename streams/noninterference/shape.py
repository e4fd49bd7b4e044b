"""Turn a schema and its plan into what makes pairs of its events."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from residency.generalise import Context, generaliser
from residency.plan.model import FieldPlan
from residency.plan.residence import COUNTRY, SUBDIVISION
from residency.policy.rules import Action
from residency.regions import load_regions
from residency.tokens import Tokeniser
from schemas.registry import EventSchema, Leaf
from schemas.resolve import PRIMITIVES
from streams.noninterference import leaves
from streams.noninterference.classes import candidates, token_classes, tokens_of
from streams.noninterference.draw import Node, Places
from streams.noninterference.kept import encodings, kept_values
from streams.noninterference.nodes import ArrayNode, MapNode, RecordNode, UnionNode
from streams.noninterference.pools import Pools
from streams.noninterference.residence import Residence, ResidenceLeaf
from streams.noninterference.roles import Roles, context_paths, generic
from streams.noninterference.wire import encode_value, sized

CONTEXTS = 16  # values of a context that leaves in no other way
KEYS = 64


@dataclass(frozen=True, slots=True)
class Shaper:
    """Makes the parts of one schema's events under one plan.

    Attributes:
        seed: The run's; see `token_classes`.

    """

    schema: EventSchema
    roles: Roles
    tokeniser: Tokeniser
    pools: Pools
    residence: Residence
    rng: random.Random
    seed: str
    numbers: dict[str, int]
    places: Places = field(default_factory=lambda: Places({}, {}))

    def root(self) -> Node:
        """Return what makes whole events."""
        return self._record(self.schema.avro, "")

    def _record(self, avro: Any, prefix: str) -> Node:  # noqa: ANN401, an Avro schema is JSON
        return RecordNode([self._node(f["type"], prefix + f["name"]) for f in avro["fields"]])

    def _node(self, avro: Any, path: str) -> Node:  # noqa: ANN401, as above
        avro = self._bare(avro)
        if path in {COUNTRY, SUBDIVISION}:
            return self._residence(avro, path)
        if isinstance(avro, list):
            return self._union(avro, path)
        kind = avro["type"] if isinstance(avro, dict) else avro
        if kind == "record":
            return self._record(avro, path + ".")
        if kind == "array":
            return self._array(avro, path)
        if kind == "map":
            return self._map(avro, path)
        return self._leaf(avro, path)

    def _bare(self, avro: Any) -> Any:  # noqa: ANN401, as above
        while isinstance(avro, dict) and not isinstance(avro["type"], str):
            avro = avro["type"]
        return self.schema.types[avro] if isinstance(avro, str) and avro not in PRIMITIVES else avro

    def _residence(self, avro: Any, path: str) -> Node:  # noqa: ANN401, as above
        null = avro.index("null") if isinstance(avro, list) else None
        part = 0 if path == COUNTRY else 1
        node = ResidenceLeaf(self.numbers[path], self.residence, part, null)
        self.places.leaves[path] = node
        return node

    def _union(self, branches: Sequence[Any], path: str) -> Node:
        null = branches.index("null") if "null" in branches else None
        is_read = self.roles.is_read_below(path)
        node = UnionNode(
            [self._node(branch, path) for branch in branches],
            null,
            self.roles.is_mapped_below(path),
            path if is_read else None,
        )
        if is_read:
            self.places.unions[path] = node
        return node

    def _array(self, avro: Any, path: str) -> Node:  # noqa: ANN401, as above
        first = [
            self._node(avro["items"], f"{path}[{n}]") for n in range(self.roles.elements(path))
        ]
        is_summed = self.roles.is_aggregated(path)
        is_counted = path in self.roles.counted or generic(path) in self.roles.counted
        rest = self._node(avro["items"], path + "[]")
        return ArrayNode(first, rest, is_counted or is_summed, is_summed)

    def _map(self, avro: Any, path: str) -> Node:  # noqa: ANN401, as above
        mapped = {k: self._node(avro["values"], f"{path}{{{k}}}") for k in self.roles.keys(path)}
        keys = [text for text in self.rng.sample(self.pools.texts, KEYS) if text not in mapped]
        return MapNode(
            mapped, self._node(avro["values"], path + "{}"), [sized(k.encode()) for k in keys]
        )

    def _leaf(self, avro: Any, path: str) -> Node:  # noqa: ANN401, as above
        if avro == "null":
            return leaves.FreeLeaf(0, (b"",))
        number = self.numbers[_leaf_of(path)]
        fields = self.roles.fields(path)
        actions = {one.action for one in fields}
        if not fields:
            return self._free(number, avro, path)
        if actions == {Action.TOKENISE}:
            tokens = tokens_of(self.tokeniser, [(f.identity, f.domain or "") for f in fields])
            return leaves.TokenLeaf(number, token_classes(self.pools, self.seed, tokens))
        if actions == {Action.GENERALISE}:
            return self._generalised(number, avro, fields)
        is_read = path in self.roles.contexts
        values = kept_values(self._described(path), avro, fields, self.rng, self.pools)
        pool = [(value, encodings(avro, value)) for value in values]
        node = leaves.KeptLeaf(pool, path if is_read else None)
        if is_read:
            self.places.leaves[path] = node
        return node

    def _described(self, path: str) -> Leaf:
        return self.schema.leaves[self.numbers[_leaf_of(path)]]

    def _free(self, number: int, avro: Any, path: str) -> Node:  # noqa: ANN401, as above
        if path in self.roles.contexts:
            values = self._context_values(avro)
            pool = [(value, encode_value(avro, value)) for value in values]
            node = leaves.ContextLeaf(number, path, pool)
            self.places.leaves[path] = node
            return node
        if avro == "string":
            return leaves.FreeText(number, self.pools.raw_texts)
        return leaves.FreeLeaf(number, self.pools.of(avro))

    def _context_values(self, avro: Any) -> list[Any]:  # noqa: ANN401, as above
        values = self.pools.values(avro)
        chosen = self.rng.sample(values, min(CONTEXTS, len(values)))
        codes = (code for r in load_regions().values() for code in r.jurisdictions[:3])
        return chosen + (list(codes) if avro == "string" else [])

    def _generalised(
        self,
        number: int,
        avro: Any,  # noqa: ANN401, as above
        fields: Sequence[FieldPlan],
    ) -> Node:
        paths = list(dict.fromkeys(p for one in fields for p in context_paths(one)))
        slots = [[paths.index(p) for p in context_paths(one)] for one in fields]
        made = [_maker(one.how or "") for one in fields]
        values = candidates(self.pools, self.rng, avro)
        grouping = leaves.Grouping(
            [(value, encode_value(avro, value)) for value in values], leaves.Output(made, slots)
        )
        return leaves.Generalised(number, self.places, paths, grouping)


def _maker(how: str) -> Callable[[Any, Any, Any], Any]:
    """Return what a generaliser makes of a value, a country and a time."""
    apply = generaliser(how).apply
    return lambda value, country, at: apply(value, Context(country, at))


def _leaf_of(path: str) -> str:
    """Return the schema's name of a place: without positions and keys."""
    found, _, rest = generic(path).partition("{")
    while rest:
        _, _, after = rest.partition("}")
        before, _, rest = after.partition("{")
        found += "{}" + before
    return found
