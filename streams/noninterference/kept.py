"""Values of kept leaves: most as the plan and the gate want them, a few that are refused."""

import random
import re
from collections.abc import Sequence
from typing import Any

from residency.plan.model import FieldPlan
from residency.regions import load_regions
from schemas.resolve import Leaf
from streams.noninterference.patterns import matching
from streams.noninterference.pools import Pools, decimal
from streams.noninterference.wire import encode_value

GOOD = 64  # values that cross, and one that does not where format or range is declared


def kept_values(
    leaf: Leaf,
    avro: Any,  # noqa: ANN401, an Avro schema is JSON
    fields: Sequence[FieldPlan],
    rng: random.Random,
    pools: Pools,
) -> list[Any]:
    """Return values for a leaf that leaves as it is, as Python has them."""
    if isinstance(avro, dict) and avro.get("type") == "enum":
        return list(avro["symbols"])
    limits = [one.range for one in fields if one.range is not None]
    low, high = (max(a for a, _ in limits), min(b for _, b in limits)) if limits else (0, 0)
    kind = avro["type"] if isinstance(avro, dict) else avro
    match kind:
        case "string" if leaf.pattern is not None:
            return _texts(leaf.pattern, rng, pools)
        case "int" | "long" if limits:
            return [low, high, *(rng.randint(low, high) for _ in range(GOOD)), low - 1]
        case "bytes" | "fixed" if limits:
            unit = 10 ** avro.get("scale", 0)
            whole = [low * unit, high * unit, *(rng.randint(low, high) for _ in range(GOOD))]
            numbers = [*whole, (high + 1) * unit]
            if kind == "fixed":
                return [n.to_bytes(avro["size"], "big", signed=True) for n in numbers]
            return [decimal(n) for n in numbers]
        case _:
            values = pools.values(avro)
            return rng.sample(values, min(GOOD, len(values)))


def encodings(avro: Any, value: Any) -> tuple[bytes, ...]:  # noqa: ANN401, as above
    """Return every encoding of *value* that is tried: one, but for decimals."""
    plain = encode_value(avro, value)
    is_decimal = isinstance(avro, dict) and avro.get("logicalType") == "decimal"
    if not is_decimal or avro["type"] != "bytes":
        return (plain,)
    unscaled = int.from_bytes(value, "big", signed=True)
    return (plain, *(encode_value(avro, decimal(unscaled, more)) for more in (1, 7)))


def _texts(pattern: str, rng: random.Random, pools: Pools) -> list[str]:
    codes = [code for region in load_regions().values() for code in region.jurisdictions]
    known = [code for code in codes if re.fullmatch(pattern, code)]
    return [*known[:GOOD], *matching(pattern, rng, GOOD), rng.choice(pools.texts)]
