"""Labels: a plan says which texts are labelled and what can come out, and nothing else leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from residency.contracts.check import contract_problems
from residency.contracts.model import Contract, FieldSource, Output
from residency.contracts.read import BadContractError, load_contract
from residency.plan.book import load_policy
from residency.plan.compile import Policy, compile_plan
from residency.plan.faults import PlanError
from residency.plan.fields import Decided, Target, make_text
from residency.plan.labels import label_record, read_request, request_value
from residency.plan.model import FieldPlan, Plan
from residency.plan.tasks import text_field
from residency.policy.rules import Action, Decision
from schemas.codec import decode
from schemas.errors import HaltError
from schemas.events import Coordinates, LabelRequest, RecordId
from schemas.registry import load_registry

ON = date(2026, 11, 23)
REGISTRY = load_registry()
RECEIVED = REGISTRY.latest("commerce.messages.SupportMessageReceived")
CASE, ORDER = "Commerce_Case__c", "Commerce_Order__c"
ID = FieldSource(path="message_id", identity="message")
WHOSE = FieldSource(path="customer.customer_id", identity="customer")
BASE = Output(CASE, ID, {"Channel__c": FieldSource(path="channel")})
TEXT = "my account 12345 was charged twice"


@dataclass(frozen=True)
class Task:
    name: str = "intent"
    version: int = 3
    sha256: str = "ab" * 32
    labels: tuple[str, ...] = ("return", "unknown", "other")


TASKS = {name: Task(name) for name in ("intent", "urgency")}
INTENT = FieldSource(path="body", task="intent")
URGENCY = FieldSource(path="body", task="urgency")


def labels(subject: FieldSource = WHOSE, **fields: FieldSource) -> Output:
    return Output(CASE, ID, fields, subject=subject)


def compiled(
    *outputs: Output, tasks: Mapping[str, Task] = TASKS, policy: Policy | None = None
) -> Plan:
    contract = Contract({RECEIVED.subject: outputs})
    return compile_plan(RECEIVED, contract, policy or load_policy("eu", ON), REGISTRY, tasks=tasks)


def problems(*outputs: Output, tasks: Mapping[str, Task] = TASKS) -> list[str]:
    with pytest.raises(PlanError) as caught:
        compiled(*outputs, tasks=tasks)
    return [fault.text for fault in caught.value.faults]


PLAN = compiled(BASE, labels(Intent__c=INTENT, Urgency__c=URGENCY))


def test_the_plan_names_text_task_and_everything_that_can_come_out() -> None:
    base, asked = PLAN.outputs

    assert (base.labels, base.label_schema_id, PLAN.requests) == ((), None, 1)
    assert (asked.object, asked.schema_id, asked.label_schema_id) == (CASE, 3001, 2004)
    assert [(f.name, f.path, f.action, f.identity) for f in asked.fields] == [
        ("subject", "customer.customer_id", Action.TOKENISE, True),
        ("text_body", "body", Action.LABEL, False),
    ]
    (intent, urgency) = asked.labels
    assert (intent.field, intent.task, intent.version, intent.text) == (
        "Intent__c",
        "intent",
        3,
        "text_body",
    )
    assert intent.values == ("other", "return", "unknown", "withheld")
    assert (intent.sha256, urgency.field) == ("ab" * 32, "Urgency__c")
    assert "eu-gdpr:A45-3" in asked.basis  # of the row that gives labels


def test_a_text_has_one_name_in_its_request_whatever_its_path() -> None:
    assert text_field("body") == "text_body"
    assert text_field("items[0].gift_note") == "text_items_0_gift_note"


def test_a_plan_counts_its_requests_apart_from_its_records() -> None:
    """The border's count of a record's outputs leaves them out: they stay in the region."""
    assert compiled(BASE).requests == 0
    assert PLAN.requests == 1


def test_a_plan_with_another_task_file_is_another_plan() -> None:
    tasks = {**TASKS, "urgency": Task("urgency", sha256="cd" * 32)}

    other = compiled(BASE, labels(Intent__c=INTENT, Urgency__c=URGENCY), tasks=tasks)

    assert other.digest != PLAN.digest


@pytest.mark.parametrize(
    ("name", "source", "told"),
    [
        ("Intent__c", FieldSource(path="body", task="mood"), "there is no inference/tasks/mood"),
        ("Mood__c", INTENT, "the minimal schema for labels has no such text"),
        ("Channel__c", INTENT, "the minimal schema for labels has no such text"),
        ("External_Id__c", INTENT, "the minimal schema for labels has no such text"),
        ("Label_Version__c", INTENT, "the minimal schema for labels has no such text"),
        (
            "Intent__c",
            FieldSource(path="subject", task="intent"),
            "has no nullable string text_subject",
        ),
    ],
)
def test_a_label_that_cannot_be_made_is_named(name: str, source: FieldSource, told: str) -> None:
    (problem,) = problems(BASE, labels(**{name: source}))

    assert told in problem


def test_an_object_without_schemas_for_labels_is_told_where_to_add_them() -> None:
    told = problems(BASE, Output(ORDER, ID, {"Intent__c": INTENT}, subject=WHOSE))

    assert f"there is no minimal schema for labels of {ORDER}; add it under avro/minimal/" in told
    assert f"there is no request schema of {ORDER}; add it under avro/requests/" in told


@pytest.mark.parametrize("action", [Action.DROP, Action.TOKENISE, Action.GENERALISE])
def test_only_what_the_policy_gives_for_labels_or_keeps_may_be_read(action: Action) -> None:
    how = "year" if action is Action.GENERALISE else None
    policy = load_policy("eu", ON)
    rules = tuple(
        replace(rule, action=action, how=how) if rule.category == "user.content.private" else rule
        for rule in policy.rules
    )
    strict = replace(policy, rules=rules)

    with pytest.raises(PlanError, match=f"the policy gives {action} for body"):
        compiled(BASE, labels(Intent__c=INTENT), policy=strict)
    (left,) = compiled(
        BASE, labels(Intent__c=replace(INTENT, otherwise="omit")), policy=strict
    ).outputs
    assert left.labels == ()


@pytest.mark.parametrize(
    ("vocabulary"), [("return", "other"), ("unknown", "withheld"), ()], ids=repr
)
def test_a_task_whose_vocabulary_is_not_closed_around_unknown_makes_no_plan(
    vocabulary: tuple[str, ...],
) -> None:
    tasks = {"intent": Task(labels=vocabulary)}

    (problem,) = problems(BASE, labels(Intent__c=INTENT), tasks=tasks)

    assert problem == "task intent: 'unknown' is one of its labels, and 'withheld' never"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("received_at", "received_at is timestamp-millis, and a task reads text"),
        ("channel", "channel is enum, and a task reads text"),
        ("attachments[].file_name", "is many values; name a position"),
        ("words", "the schema has no leaf 'words'"),
    ],
)
def test_a_task_reads_one_text(path: str, told: str) -> None:
    kept = Decision(Action.KEEP, None)
    leaves = {leaf.path: Decided(leaf, kept) for leaf in RECEIVED.leaves}

    assert told in str(make_text(Target("text", "string", None, 0, 0), path, leaves))


def test_a_kept_text_may_be_read_and_is_copied_without_its_format() -> None:
    kept = Decision(Action.KEEP, None)
    leaves = {leaf.path: Decided(leaf, kept) for leaf in RECEIVED.leaves}

    made = make_text(Target("text_sku", "string", None, 0, 0), "sku", leaves)

    assert made == FieldPlan("text_sku", "string", "path", "sku", action=Action.LABEL)


def test_a_text_in_a_base_record_stays_an_error() -> None:
    base = Output(CASE, ID, {"Sku__c": FieldSource(path="body")})

    (problem,) = problems(base)

    assert problem.startswith("the policy gives label for body")


@pytest.mark.parametrize(
    "subject",
    [
        FieldSource(path="channel", identity="customer"),
        FieldSource(path="customer.customer_id"),
        FieldSource(constant="everybody"),
    ],
)
def test_the_subject_must_be_an_identity(subject: FieldSource) -> None:
    told = problems(BASE, labels(subject, Intent__c=INTENT))

    assert "needs a path with an identity" in told


REQUEST = LabelRequest(
    id=RecordId(Coordinates("eu.commerce.messages.v1", 2, 7), 1, 0, "topic"),
    object=CASE,
    external_id="tok_eu1_x",
    subject="tok_eu1_y",
    version=1_000_000_000_007,
    schema_id=3001,
    plan=PLAN.digest,
    keys=4,
    texts={"text_body": TEXT},
)
ANSWER = {"Intent__c": "return", "Urgency__c": "withheld"}


@pytest.mark.parametrize("text", [TEXT, "", None, "\x00\ud7ff\U0010ffff", "e" * 100_000])
def test_a_request_is_read_as_it_was_written_whatever_the_text(text: str | None) -> None:
    asked = replace(REQUEST, texts={"text_body": text})

    value = request_value(asked, REGISTRY)

    assert read_request(asked.id, asked.plan, asked.keys, value, REGISTRY) == asked


@pytest.mark.parametrize("value", [b"", b"\x00\x00\x00\x0b\xb9", b"\x00\x00\x00\x07\xd3\x00"])
def test_what_is_no_request_halts(value: bytes) -> None:
    with pytest.raises(HaltError, match=r"eu\.commerce\.messages\.v1\[2\]@7#1: not a request"):
        read_request(REQUEST.id, REQUEST.plan, REQUEST.keys, value, REGISTRY)


def test_a_minimal_record_is_no_request() -> None:
    record = label_record(REQUEST, PLAN, ANSWER, REGISTRY)

    with pytest.raises(HaltError, match="not a request"):
        read_request(record.id, record.plan, record.keys, record.value, REGISTRY)


def test_a_request_shows_no_text_and_no_token() -> None:
    shown = repr(REQUEST)

    assert all(hidden not in shown for hidden in (TEXT, "tok_eu1_x", "tok_eu1_y"))


def test_a_label_record_holds_tokens_version_and_labels() -> None:
    record = label_record(REQUEST, PLAN, ANSWER, REGISTRY)

    schema, fields = decode(REGISTRY, record.value)
    assert schema.id == record.schema_id == 2004
    assert {name: value for name, value in fields.items() if value is not None} == {
        "External_Id__c": "tok_eu1_x",
        "Label_Version__c": 1_000_000_000_007,
        **ANSWER,
    }
    assert (record.id, record.external_id, record.version) == (
        REQUEST.id,
        REQUEST.external_id,
        REQUEST.version,
    )
    assert (record.object, record.plan, record.keys, record.deletes) == (
        CASE,
        PLAN.digest,
        4,
        False,
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({**ANSWER, "Intent__c": TEXT}, "Intent__c: not a label of its task"),
        ({**ANSWER, "Intent__c": "Return"}, "Intent__c: not a label of its task"),
        ({"Intent__c": "return"}, "wants a label for Intent__c, Urgency__c"),
        ({**ANSWER, "Sentiment__c": "unknown"}, "no more and no fewer"),
        ({}, "wants a label for"),
    ],
)
def test_what_the_plan_does_not_list_halts_and_is_not_quoted(
    answer: dict[str, str], told: str
) -> None:
    with pytest.raises(HaltError, match=told) as caught:
        label_record(REQUEST, PLAN, answer, REGISTRY)

    assert TEXT not in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, plan="0" * 64),
        replace(REQUEST, id=replace(REQUEST.id, output=0)),
        replace(REQUEST, id=replace(REQUEST.id, output=2)),
        replace(REQUEST, object=ORDER),
        replace(REQUEST, schema_id=2003),
        replace(REQUEST, id=replace(REQUEST.id, output=0), schema_id=2003),
    ],
)
def test_a_request_of_another_plan_or_output_halts(other: LabelRequest) -> None:
    with pytest.raises(HaltError, match="the plan at hand did not make this request"):
        label_record(other, PLAN, ANSWER, REGISTRY)


# --- in contract files -------------------------------------------------------------------

HEAD = f"""[[output]]
events = ["{RECEIVED.subject}"]
object = "{CASE}"
external_id = {{ path = "message_id", identity = "message" }}
"""
LABELS = f"""
[[labels]]
events = ["{RECEIVED.subject}"]
object = "{CASE}"
external_id = {{ path = "message_id", identity = "message" }}
subject = {{ path = "customer.customer_id", identity = "customer" }}
"""
FIELDS = 'fields = { Intent__c = { path = "body", task = "intent" } }\n'


def read(folder: Path, *texts: str) -> Contract:
    for number, text in enumerate(texts):
        (folder / f"{'abc'[number]}.toml").write_text(text, encoding="utf-8")
    return load_contract(folder)


def test_labels_are_the_last_outputs_wherever_they_stand(tmp_path: Path) -> None:
    contract = read(tmp_path, LABELS + FIELDS, HEAD)

    base, asked = contract.outputs[RECEIVED.subject]
    assert (base.kind, asked.kind) == ("base", "labels")
    assert asked.subject == WHOSE
    assert asked.fields == {"Intent__c": INTENT}
    assert (asked.place("Intent__c"), asked.place("subject")) == ("a.toml:7", "a.toml:6")


def test_blocks_of_labels_add_up(tmp_path: Path) -> None:
    more = FIELDS.replace("Intent__c", "Urgency__c")

    contract = read(tmp_path, HEAD, LABELS + FIELDS, LABELS + more)

    (_, asked) = contract.outputs[RECEIVED.subject]
    assert set(asked.fields) == {"Intent__c", "Urgency__c"}


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (HEAD + FIELDS, 5, "Intent__c: a task labels text; put it under [[labels]]"),
        (
            LABELS + 'fields = { Intent__c = { path = "body" } }\n',
            7,
            "Intent__c: names no task; put it under [[output]]",
        ),
        (LABELS, 2, "Field required"),
        (LABELS + FIELDS + "deletes = true\n", 8, "deletes: Unexpected keyword argument"),
        (
            LABELS + 'fields = { Intent__c = { constant = "x", task = "intent" } }\n',
            7,
            "Intent__c: task goes with path alone",
        ),
        (
            LABELS + 'fields = { Intent__c = { path = "body", at = "x", task = "intent" } }\n',
            7,
            "Intent__c: task goes with path alone",
        ),
    ],
)
def test_a_block_that_cannot_be_read_is_named_by_line(
    text: str, line: int, told: str, tmp_path: Path
) -> None:
    with pytest.raises(BadContractError) as caught:
        read(tmp_path, text)

    (problem,) = caught.value.problems
    assert problem.startswith(f"a.toml:{line}: ")
    assert told in problem


def test_two_subjects_for_one_row_are_named(tmp_path: Path) -> None:
    other = LABELS.replace("customer.customer_id", "order_id")

    with pytest.raises(BadContractError, match=r"b\.toml:6: .* two subjects for the labels"):
        read(tmp_path, LABELS + FIELDS, other + FIELDS.replace("Intent__c", "Urgency__c"))


def test_labels_and_nothing_of_one_event_exclude_each_other(tmp_path: Path) -> None:
    nothing = f'[[nothing]]\nevent = "{RECEIVED.subject}"\nbecause = "x"\n'

    with pytest.raises(BadContractError, match=r"listed under \[\[labels\]\] and \[\[nothing\]\]"):
        read(tmp_path, LABELS + FIELDS, nothing)


@pytest.mark.parametrize("base", ["", HEAD + "deletes = true\n", HEAD.replace(CASE, ORDER)])
def test_labels_of_a_row_that_the_event_does_not_write_are_named(base: str, tmp_path: Path) -> None:
    found = contract_problems(read(tmp_path, LABELS + FIELDS, base), REGISTRY)

    (problem,) = [one for one in found if "for labels to follow" in one]
    assert problem.startswith(f"a.toml:2: {RECEIVED.subject} writes no row of {CASE} for labels")


def test_labels_of_a_row_that_the_event_writes_are_no_problem(tmp_path: Path) -> None:
    erased = f'[[erasure]]\nobject = "{CASE}"\naction = "delete"\n'

    assert contract_problems(read(tmp_path, LABELS + FIELDS, HEAD + erased), REGISTRY) == []


def test_a_label_of_a_path_that_no_version_has_is_named(tmp_path: Path) -> None:
    fields = FIELDS.replace('"body"', '"words", otherwise = "omit"')

    (problem, _) = contract_problems(read(tmp_path, HEAD, LABELS + fields), REGISTRY)

    assert problem.startswith(f"b.toml:7: {RECEIVED.subject}: Intent__c: 'words' is in no version")
