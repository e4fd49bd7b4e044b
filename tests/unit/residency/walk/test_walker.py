"""A walker's batches: a row for each event, whatever the others are, however long they are."""

from collections.abc import Sequence
from typing import Any

import pytest
from random_avro import varint

from residency.keys import TokenKeys
from residency.plan.model import FieldPlan, OutputPlan, Plan
from residency.plan.walk.walker import Walked, Walker
from residency.plan.walk.wish import UnwalkableError
from residency.policy.rules import Action
from residency.tokens import NORMALISER, Tokeniser
from schemas.registry import EventSchema, Registry

HEAD, MADE = b"\0\0\0\0\1", b"\0\0\0\0\x63"
TEXT = ["null", "string"]
AVRO = {
    "type": "record", "name": "Event", "namespace": "t", "fields": [
        {"name": "id", "type": "string"},
        {"name": "mail", "type": TEXT},
    ],
}  # fmt: skip
SCHEMA = EventSchema(1, "t.Event", 1, "", AVRO, "t")


def tokeniser(region: str = "eu") -> Tokeniser:
    return Tokeniser(TokenKeys(region, b"i" * 32, b"a" * 32), "crm")


def token(name: str, path: str, **more: Any) -> FieldPlan:
    return FieldPlan(
        name, "string", "path", path, action=Action.TOKENISE, domain="thing", **more
    )  # fmt: skip


def walker(
    *outputs: Sequence[FieldPlan],
    ask: Sequence[str] = (),
    normaliser: int = NORMALISER,
    region: str = "eu",
) -> Walker:
    """Return the walker of a plan with these fields in each of its outputs."""
    schemas, plans = [SCHEMA], []
    for number, fields in enumerate(outputs):
        made = [{"name": "Id__c", "type": "string"}]
        made += [{"name": one.name, "type": TEXT} for one in fields]
        made += [{"name": "Base_Version__c", "type": "long"}]
        avro = {"type": "record", "name": f"M{number}", "namespace": "m", "fields": made}
        schemas.append(EventSchema(99 + number, f"m.M{number}", 1, "", avro, "minimal"))
        external = token("Id__c", "id" if number == 0 else "mail", identity=True)
        plans.append(OutputPlan(f"T{number}__c", 99 + number, external, tuple(fields), ()))
    plan = Plan(region, "crm", "t.Event", 1, "", normaliser, (), tuple(plans), None)
    return Walker(plan, SCHEMA, tokeniser(region), Registry(tuple(schemas)), ask)


def prefixed(text: str) -> bytes:
    raw = text.encode()
    return varint(len(raw)) + raw


def event(name: str, mail: str | None) -> bytes:
    return HEAD + prefixed(name) + (b"\0" if mail is None else b"\2" + prefixed(mail))


def identity(value: str, region: str = "eu") -> str:
    return tokeniser(region).identity("thing", value)


KEPT = FieldPlan("Mail__c", "string", "path", "mail", action=Action.KEEP, pattern="(?s:[^!]*)")


def row(name: str, mail: str | None, version: int) -> tuple[bytes, bytes]:
    key = identity(name)
    kept = b"\0" if mail is None else b"\2" + prefixed(mail)
    return key.encode(), MADE + prefixed(key) + kept + varint(version)


def test_an_event_that_is_not_plain_is_left_and_the_others_have_their_rows() -> None:
    values = [event("a", "x"), event("b", "y")[:-1], event("c", "z!"), event("d", None)]

    made = walker([KEPT], ask=["mail", "id"]).walk(values, (1, 2, 3, 400))

    assert made.rows == [(row("a", "x", 1),), None, None, (row("d", None, 400),)]
    assert made.asked[0] == (b"x", b"a")
    assert made.asked[1] == (None, None)
    assert made.asked[3] == (None, b"d")


@pytest.mark.parametrize("names", ["", "a", "ab"])
def test_a_batch_of_any_size_has_a_row_for_each_event(names: str) -> None:
    made = walker([KEPT]).walk([event(name, "x") for name in names], [7] * len(names))

    assert made == Walked([(row(name, "x", 7),) for name in names], [()] * len(names))


def test_each_output_has_its_own_row_of_an_event() -> None:
    more = token("More__c", "id"), KEPT

    made = walker([KEPT], more).walk([event("a", "x"), event("b", None)], (1, 2))

    first, second = made.rows
    assert first is not None
    assert second is not None
    assert (first[0], second[0]) == (row("a", "x", 1), row("b", None, 2))
    assert [one[1][0].decode() for one in (first, second)] == [identity("x"), identity("")]
    for one, name in ((first, "a"), (second, "b")):
        assert one[1][1].startswith(b"\0\0\0\0\x64" + prefixed(one[1][0].decode()))
        assert prefixed(tokeniser().attribute("thing", name)) in one[1][1]


def test_a_plan_without_outputs_sends_nothing_of_any_event() -> None:
    made = walker(ask=["id"]).walk([event("a", "x"), event("b", "y")], (1, 2))

    assert made == Walked([(), ()], [(b"a",), (b"b",)])


@pytest.mark.parametrize("length", range(30, 40))
def test_an_external_id_is_cut_out_of_its_column_whatever_its_length(length: int) -> None:
    region = "r" * (length - 6)  # of a token tok_REGION1_ and 26 characters: some 62 to 72

    made = walker([], region=region).walk([event("a", None), event("b", None)], (1, 2))

    keys = [identity(name, region).encode() for name in "ab"]
    assert [one[0][0] if one else b"" for one in made.rows] == keys
    assert len(keys[0]) == length + 26


@pytest.mark.parametrize(
    ("number", "length", "constant"),
    [(50, 1, 1), (1, 20_000, 1), (3, 5_000, 1), (1, 1, 30_000), (4, 1, 9_000)],
)
def test_a_batch_is_written_however_much_its_rows_take(
    number: int, length: int, constant: int
) -> None:
    status = FieldPlan("Status__c", "string", "constant", value="s" * constant)
    values = [event("a", "m" * length)] * number

    made = walker([KEPT, status]).walk(values, [1] * number)

    key = identity("a")
    record = MADE + prefixed(key) + b"\2" + prefixed("m" * length) + b"\2"
    record += prefixed("s" * constant) + b"\2"
    assert made.rows == [((key.encode(), record),)] * number


def test_a_batch_is_written_however_little_its_many_tokens_are_made_of() -> None:
    fields = [token(f"T{number}__c", "id") for number in range(10)]

    made = walker(fields).walk([event("a", None)] * 40, [1] * 40)

    key = identity("a")
    tokens = (b"\2" + prefixed(tokeniser().attribute("thing", "a"))) * 10
    assert made.rows == [((key.encode(), MADE + prefixed(key) + tokens + b"\2"),)] * 40


def test_a_plan_of_another_normaliser_is_left_to_strip() -> None:
    with pytest.raises(UnwalkableError, match="normaliser 99"):
        walker([KEPT], normaliser=99)


def test_what_a_walk_made_does_not_show_its_values() -> None:
    made = Walked([((b"key", b"record"),)], [(b"asked",)])

    assert not any(word in repr(made) for word in ("key", "record", "asked"))
