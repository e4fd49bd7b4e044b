"""What a plan's outputs need of a walk: a slot per path and way, a fill per made value."""

from typing import Any

import pytest

from residency.generalise import generaliser
from residency.keys import TokenKeys
from residency.plan.model import FieldPlan, OutputPlan, Plan
from residency.plan.walk import ops
from residency.plan.walk.build import Builder
from residency.plan.walk.emission import Emission
from residency.plan.walk.fills import GeneralisedFill, TokenFill, text, varint
from residency.plan.walk.wish import UnwalkableError, Wish
from residency.policy.rules import Action
from residency.tokens import NORMALISER, Tokeniser
from schemas.registry import EventSchema, Registry

TOKENISER = Tokeniser(TokenKeys("eu", b"i" * 32, b"a" * 32), "crm")
ENUM = {"type": "enum", "name": "E", "namespace": "t", "symbols": ["S", "M"]}
NUMBERS = {"type": "array", "items": "long"}
TYPES: dict[str, Any] = {
    "id": "string", "mail": "string", "land": "string", "time": "long", "size": ENUM,
    "ok": "boolean", "numbers": NUMBERS, "more": NUMBERS,
}  # fmt: skip
FIELDS = [{"name": name, "type": avro} for name, avro in TYPES.items()]
AVRO = {"type": "record", "name": "Event", "namespace": "t", "fields": FIELDS}
SCHEMA = EventSchema(1, "t.Event", 1, "", AVRO, "t")
EXTERNAL = FieldPlan(
    "Id__c", "string", "path", "id", action=Action.TOKENISE, identity=True, domain="thing"
)


def built(*plans: FieldPlan) -> tuple[Builder, Emission, int]:
    """Return the builder, and the emission and external id's fill that it made."""
    minimal = [{"name": "Id__c", "type": "string"}]
    minimal += [{"name": one.name, "type": one.to} for one in plans]
    made = {"type": "record", "name": "M", "namespace": "m", "fields": minimal}
    registry = Registry((SCHEMA, EventSchema(99, "m.M", 1, "", made, "minimal")))
    output = OutputPlan("Thing__c", 99, EXTERNAL, plans, ())
    plan = Plan("eu", "crm", "t.Event", 1, "", NORMALISER, (), (output,), None)
    builder = Builder(plan, SCHEMA, TOKENISER)
    return builder, *builder.output(0, registry)


def rows(emission: Emission) -> list[list[int]]:
    """Return (opcode, source) of each field after the external id."""
    code = list(emission.code)
    return [code[at : at + 2] for at in range(2 * ops.EMIT_WIDTH, len(code), ops.EMIT_WIDTH)]


def kept(name: str, to: str, path: str, **more: Any) -> FieldPlan:
    return FieldPlan(name, to, "path", path, action=Action.KEEP, **more)


def test_a_path_has_one_slot_for_each_way_to_take_it() -> None:
    builder = Builder(Plan("eu", "crm", "t", 1, "", 1, (), (), None), SCHEMA, TOKENISER)

    slots = [builder.slot("id"), builder.slot("mail"), builder.slot("id"),
             builder.slot("time", ops.SUM), builder.slot("time")]  # fmt: skip

    assert slots == [0, 1, 0, 2, 3]
    assert builder.slots == 4
    assert builder.wish == Wish(
        fields={
            "id": Wish(stores=[(0, ops.SET)]),
            "mail": Wish(stores=[(1, ops.SET)]),
            "time": Wish(stores=[(2, ops.SUM), (3, ops.SET)]),
        }
    )


def test_the_external_id_is_a_token_that_is_there_for_every_event() -> None:
    builder, _, external = built()

    assert external == 0
    assert builder.fills == [TokenFill(0, "identity", "thing", TOKENISER, is_required=True)]


def test_a_tokenised_field_is_a_token_where_there_is_a_value() -> None:
    builder, emission, _ = built(
        FieldPlan("A__c", "string", "path", "mail", action=Action.TOKENISE, domain="user.name"),
        FieldPlan("B__c", "string", "path", "mail", action=Action.TOKENISE, identity=True),
    )

    assert builder.fills[1:] == [
        TokenFill(1, "attribute", "user.name", TOKENISER),
        TokenFill(1, "identity", "", TOKENISER),
    ]
    assert rows(emission) == [[ops.FILL, 1], [ops.FILL, 2]]


def test_counts_and_aggregates_have_slots_of_their_own() -> None:
    builder, emission, _ = built(
        FieldPlan("A__c", "long", "count", "numbers"),
        FieldPlan("B__c", "long", "sum", "numbers[]"),
        FieldPlan("C__c", "long", "min", "numbers[]"),
        FieldPlan("D__c", "long", "max", "numbers[]"),
        FieldPlan("E__c", "long", "count", "more"),
        kept("F__c", "long", "time"),
    )

    assert builder.slots == 7
    assert builder.wish.fields["numbers"] == Wish(
        counts=[1], each=Wish(stores=[(2, ops.SUM), (3, ops.LEAST), (4, ops.MOST)])
    )
    assert builder.wish.fields["more"] == Wish(counts=[5])
    assert rows(emission) == [
        [ops.NUMBER_OR_ZERO, 1], [ops.NUMBER_OR_ZERO, 2], [ops.NUMBER, 3], [ops.NUMBER, 4],
        [ops.NUMBER_OR_ZERO, 5], [ops.NUMBER, 6],
    ]  # fmt: skip


def test_a_kept_value_is_read_from_its_slot_and_a_kept_enum_by_its_symbols() -> None:
    builder, emission, _ = built(
        kept("A__c", "string", "mail"),
        kept("B__c", "string", "size"),
        kept("C__c", "boolean", "ok"),
    )

    assert rows(emission) == [[ops.TEXT, 1], [ops.SYMBOL, 2], [ops.TRUTH, 3]]
    assert bytes(emission.literals)[-4:] == b"\2S\2M"
    assert builder.checks == []


def test_a_kept_text_with_a_pattern_is_checked() -> None:
    builder, _, _ = built(
        kept("A__c", "string", "mail", pattern="a+"), kept("B__c", "string", "id")
    )

    assert len(builder.checks) == 1


def test_a_constant_takes_no_slot() -> None:
    builder, _, _ = built(FieldPlan("A__c", "string", "constant", value="x"))

    assert (builder.slots, len(builder.fills)) == (1, 1)


@pytest.mark.parametrize("beside", [{}, {"country": "land"}, {"at": "time"}])
def test_a_generalised_field_is_made_of_its_value_and_what_the_plan_names_beside(
    beside: dict[str, str],
) -> None:
    how = {"action": Action.GENERALISE, "how": "postcode-area"}

    builder, emission, _ = built(FieldPlan("A__c", "string", "path", "mail", **how, **beside))  # type: ignore[arg-type]

    fill = builder.fills[1]
    assert isinstance(fill, GeneralisedFill)
    assert fill.value.slot == 1
    assert fill.generaliser == generaliser("postcode-area")
    assert (fill.country.slot if fill.country else None) == (2 if "country" in beside else None)
    assert (fill.at.slot if fill.at else None) == (2 if "at" in beside else None)
    assert rows(emission) == [[ops.FILL, 1]]


@pytest.mark.parametrize(
    ("to", "made", "raw"),
    [
        ("string", "é", text("é".encode())),
        ("decimal", b"\1\2", text(b"\1\2")),
        ("long", -5, varint(-5)),
        ("timestamp-millis", 1 << 40, varint(1 << 40)),
    ],
)
def test_a_general_value_is_written_as_its_kind_of_field_is(
    to: str, made: object, raw: bytes
) -> None:
    plan = FieldPlan("A__c", to, "path", "mail", action=Action.GENERALISE, how="country")

    fill = built(plan)[0].fills[1]

    assert isinstance(fill, GeneralisedFill)
    assert fill.write(made) == raw


@pytest.mark.parametrize("action", [Action.DROP, None])
def test_a_field_whose_action_sends_nothing_is_refused_by_name(action: Action | None) -> None:
    with pytest.raises(UnwalkableError, match="A__c: a plan never maps"):
        built(FieldPlan("A__c", "string", "path", "mail", action=action))
