"""Two interpreters of one plan say the same, byte for byte: over random schemas, plans, events."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_avro import event_bytes, event_schema
from walk_cases import soon

from residency.generalise import generaliser
from residency.generalise.numbers import SCALE
from residency.keys import TokenKeys
from residency.plan.kinds import digits, kind_of
from residency.plan.labels import request_value
from residency.plan.model import FieldPlan, LabelPlan, OutputPlan, Plan
from residency.plan.strip import ask, strip
from residency.plan.walk.walker import Walker
from residency.policy.rules import Action
from residency.tokens import NORMALISER, Tokeniser
from schemas.codec import decode_physical
from schemas.errors import QuarantineError
from schemas.events import ClassifiedEvent, Coordinates, RawEvent, row_version
from schemas.registry import EventSchema, Leaf, Registry
from schemas.resolve import digest

KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32)
EVENTS = 6
KEPT = {
    "string": "string", "enum": "string", "long": "long", "boolean": "boolean",
    "timestamp-millis": "timestamp-millis", "decimal": "decimal",
}  # fmt: skip
AVRO: dict[str, Any] = {
    "string": "string",
    "long": "long",
    "boolean": "boolean",
    "timestamp-millis": {"type": "long", "logicalType": "timestamp-millis"},
}
HOWS = (
    "year", "age-band:10", "timestamp:day", "timestamp:hour", "postcode-area", "country",
    "ip-network", "email-domain", "number-band:100", "rounded:5", "last-four", "gender-group",
)  # fmt: skip
NEEDS, TIME = ("country", "at"), "time"
CATEGORIES = ("user.contact.email", "user.contact.phone_number", "user.name", "user.device")


def keyed(rng: Random, path: str) -> str:
    """Return *path* with a key for each map on the way; every element of each array."""
    while "{}" in path:
        path = path.replace("{}", "{%s}" % rng.choice(("a", "key", "ключ")), 1)  # noqa: UP031
    return path


def placed(rng: Random, path: str) -> str:
    """Return *path* with a position for each array and a key for each map on the way."""
    while "[]" in path:
        path = path.replace("[]", f"[{rng.choice((0, 0, 1, 4))}]", 1)
    return keyed(rng, path)


def field_plans(rng: Random, leaf: Leaf, name: str) -> Iterator[FieldPlan]:
    """Yield the ways in which a plan could send *leaf*."""
    kind, path = kind_of(leaf.avro), placed(rng, leaf.path)
    if kind == "string":
        domain = rng.choice(CATEGORIES)
        token = {"action": Action.TOKENISE, "domain": domain, "identity": rng.random() < 0.3}
        yield FieldPlan(name, "string", "path", path, **token)
        yield FieldPlan(name, "string", "path", path, **token)
    for how in HOWS:
        way = generaliser(how)
        if kind in way.takes and (kind != "decimal" or leaf.avro["scale"] == SCALE):
            beside = {need: TIME if need == "at" else rng.choice((None, "id")) for need in NEEDS}
            general = {"action": Action.GENERALISE, "how": how, **beside}
            yield FieldPlan(name, way.output, "path", path, **general)
    if kind in KEPT:
        pattern = rng.choice((r"(?s:.*)", r"^[A-Za-z ]{0,9}$")) if kind == "string" else None
        bounds = rng.choice((None, None, (0, 10_000))) if kind in {"long", "decimal"} else None
        scale = leaf.avro["scale"] if kind == "decimal" else None
        kept = {"action": Action.KEEP, "pattern": pattern, "range": bounds, "scale": scale}
        yield FieldPlan(name, KEPT[kind], "path", path, **kept)
    if "[]" in leaf.path:
        before, _, after = leaf.path.rpartition("[]")
        limits = {"range": rng.choice((None, (0, 2)))}
        if not ("[]" in before and "{}" in before):
            yield FieldPlan(name, "long", "count", keyed(rng, before), **limits)
        if "{}" not in leaf.path and kind in {"long", "decimal", "timestamp-millis"}:
            how = rng.choice(
                ("min", "max") if kind == "timestamp-millis" else ("sum", "min", "max")
            )
            bounded = {**kept, "range": (-(10**14), 10**14) if how == "sum" else bounds}
            every = f"{placed(rng, before)}[]{after}"
            yield FieldPlan(name, KEPT[kind], how, every, **bounded)


def minimal_schema(rng: Random, fields: list[FieldPlan], leaves: dict[str, Leaf]) -> EventSchema:
    """Return the minimal schema that *fields* fill, in another order, with more fields."""
    made: list[dict[str, Any]] = [{"name": "Unset__c", "type": ["null", "string"]}]
    for one in fields:
        avro = AVRO.get(one.to) or leaves[one.name].avro
        if one.to == "decimal" and one.how:
            avro = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": SCALE}
        elif one.to == "decimal":
            avro = {"type": "bytes", **{k: avro[k] for k in ("logicalType", "precision", "scale")}}
        made.append({"name": one.name, "type": ["null", avro]})
    rng.shuffle(made)
    for name, avro in (("External_Id__c", "string"), ("Base_Version__c", "long")):
        made.insert(rng.randrange(len(made) + 1), {"name": name, "type": avro})
    made.append({"name": "cleared", "type": {"type": "array", "items": "string"}})
    made.append({"name": "deleted", "type": "boolean"})
    schema = {"type": "record", "name": "M", "namespace": "m", "fields": made}
    return EventSchema(99, "m.M", 1, digest(schema), schema, "minimal")


def request_schema(rng: Random, texts: list[str]) -> EventSchema:
    """Return a request schema for *texts* and one that is never filled, in any order."""
    made: list[dict[str, Any]] = [
        {"name": name, "type": ["null", "string"]} for name in (*texts, "text_unset")
    ]
    made += [{"name": name, "type": "string"} for name in ("External_Id__c", "subject")]
    made.append({"name": "Base_Version__c", "type": "long"})
    rng.shuffle(made)
    schema = {"type": "record", "name": "R", "namespace": "m", "fields": made}
    return EventSchema(98, "m.R", 1, digest(schema), schema, "requests")


def identity(rng: Random, name: str, paths: list[str]) -> FieldPlan:
    """Return the plan of an identity at one of *paths*."""
    path = placed(rng, rng.choice(paths))
    return FieldPlan(
        name, "string", "path", path, action=Action.TOKENISE, identity=True, domain="thing"
    )


def asked(rng: Random, paths: list[str]) -> tuple[OutputPlan, EventSchema]:
    """Return an output with labels of some of the texts at *paths*, and its request schema."""
    texts = [
        FieldPlan(f"text_{n}", "string", "path", placed(rng, path), action=Action.LABEL)
        for n, path in enumerate(rng.sample(paths, min(3, len(paths))))
    ]
    labels = tuple(LabelPlan(f"L{t.name}__c", "task", 1, "ab", t.name, ("unknown",)) for t in texts)
    fields = (identity(rng, "subject", paths), *texts)
    output = OutputPlan(
        "Thing__c", 98, identity(rng, "External_Id__c", paths), fields, (), labels=labels
    )
    return output, request_schema(rng, [text.name for text in texts])


def random_plan(rng: Random, schema: EventSchema) -> tuple[Plan, Registry]:
    """Return a plan that compiles could have made for *schema*, and the schemas it needs."""
    fields, leaves = [], {}
    for number, leaf in enumerate(rng.sample(schema.leaves, min(8, len(schema.leaves)))):
        name = f"F{number}__c"
        ways = list(field_plans(rng, leaf, name))
        if ways:
            fields.append(rng.choice(ways))
            leaves[name] = leaf
    fields.append(FieldPlan("Gone__c", "string", "clear"))
    fields.append(FieldPlan("Status__c", "string", "constant", value="plaċed"))
    fields.append(FieldPlan("Zone__c", "string", "region"))
    minimal = minimal_schema(rng, fields, leaves)
    texts = ["id", *(leaf.path for leaf in schema.leaves if kind_of(leaf.avro) == "string")]
    external = identity(rng, "External_Id__c", texts)
    output = OutputPlan("Thing__c", 99, external, tuple(sorted(fields, key=lambda f: f.name)), ())
    request, requests = asked(rng, texts)
    outputs = (output, request) if rng.random() < 0.7 else (output,)
    plan = Plan("eu", "crm", schema.subject, 1, schema.digest, NORMALISER, (), outputs, None)
    return plan, Registry((schema, minimal, requests))


def reference(plan: Plan, registry: Registry, wire: bytes, offset: int) -> Any:
    """Return what `strip` and `ask` make of an event: (key, value) per output, or why not."""
    tokeniser = Tokeniser(KEYS, "crm")
    try:
        _, values = decode_physical(registry, wire)
        event = ClassifiedEvent(RawEvent(Coordinates("t", 0, offset), "id", 1, wire), 1, values)
        records = strip(event, plan, tokeniser, registry)
    except QuarantineError as error:
        return error.reason
    requests = ask(event, plan, tokeniser)
    return (
        *((record.external_id.encode(), record.value) for record in records),
        *((one.external_id.encode(), request_value(one, registry)) for one in requests),
    )


def is_wide(schema: EventSchema) -> bool:
    """Tell whether *schema* has decimals that 64 bits may not hold: those are left to strip."""
    return any(digits(leaf.avro)[0] > 18 for leaf in schema.leaves)


@pytest.mark.parametrize("wild", [False, True])
@given(seed=st.integers(0, 2**48))
def test_the_walker_says_what_strip_says(seed: int, wild: bool) -> None:
    rng = Random(seed)
    schema = event_schema(rng)
    plan, registry = random_plan(rng, schema)
    events = [event_bytes(rng, schema, wild=wild) for _ in range(EVENTS)]
    walker = Walker(plan, schema, Tokeniser(KEYS, "crm"), registry)

    with soon():
        rows = walker.walk(events, [row_version(1, n) for n in range(EVENTS)]).rows

    expected = [reference(plan, registry, wire, n) for n, wire in enumerate(events)]
    for row, wanted in zip(rows, expected, strict=True):
        if row is not None:
            assert row == wanted
        else:
            assert isinstance(wanted, str) or is_wide(schema), "strip can do what the walker left"


def spoilt(rng: Random, wire: bytes) -> bytes:
    """Return *wire* with a few bytes of its body changed, cut out or put in."""
    out = bytearray(wire)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(5, len(out) + 1)
        match rng.randrange(5):
            case 0:
                out[at:at] = rng.choice((b"\x80", b"\0", b"\xff" * 10, b"\x01", rng.randbytes(2)))
            case 1:
                del out[at : at + rng.choice((1, 1, 3))]
            case 2:
                out[at:] = b""
            case _ if at < len(out):
                out[at] = rng.choice((0, 1, 2, 0x7F, 0x80, 0xC3, 0xFF, rng.randrange(256)))
            case _:
                out += b"\0"
    return bytes(out)


@given(seed=st.integers(0, 2**48))
def test_the_walker_takes_exactly_the_bytes_that_strip_takes(seed: int) -> None:
    rng = Random(seed)
    schema = event_schema(rng)
    plan, registry = random_plan(rng, schema)
    events = [
        spoilt(rng, event_bytes(rng, schema, wild=rng.random() < 0.3)) for _ in range(3 * EVENTS)
    ]
    walker = Walker(plan, schema, Tokeniser(KEYS, "crm"), registry)

    with soon():
        rows = walker.walk(events, [row_version(1, n) for n in range(len(events))]).rows

    expected = [reference(plan, registry, wire, n) for n, wire in enumerate(events)]
    for row, wanted in zip(rows, expected, strict=True):
        if row is not None:
            assert row == wanted
        else:
            assert isinstance(wanted, str) or is_wide(schema), "strip can do what the walker left"
