"""Promise 1 through the core: what differs in regulated values only looks alike from outside.

And the other way round: each thing that could show is planted once, and found.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from residency.generalise import Context, generaliser
from residency.keys import TokenKeys
from residency.plan import strip as strip_module
from residency.plan.book import Crossed, Crossing, PlanBook
from residency.plan.model import FieldPlan
from residency.plan.strip import look_up
from residency.policy.rules import Action
from residency.tokens import Tokeniser
from schemas.codec import decode_physical
from schemas.errors import QuarantineError, Reason
from schemas.events import RawBatch, RawEvent
from schemas.registry import load_registry
from streams.noninterference import observe, patterns, texts
from streams.noninterference.compare import Comparer, Renaming
from streams.noninterference.core import Core, Job
from streams.noninterference.report import Report

TOP = Path(__file__).parents[2]
KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32)
JOB = Job("eu", KEYS, 2_200, 1)
Change = Callable[[RawEvent, Crossing], Crossing]


def run(core: Core, pairs: int) -> Report:
    report = Report()
    for _ in core.run(pairs, report):
        pass
    return report


@pytest.fixture(scope="module")
def core() -> Core:
    return Core.load(JOB)


def fresh(core: Core) -> Core:
    """Return *core* without the tokens that it has seen, both its ways as of now."""
    ways = tuple(observe.interpreters(core.book).values())
    return replace(core, comparer=Comparer(load_registry()), ways=ways)


@pytest.mark.parametrize("region", ["eu", "uk", "us"])
def test_pairs_that_differ_in_regulated_values_only_look_alike(region: str, long_run: bool) -> None:
    pairs = 100_000 if long_run else 2_200
    job = Job(region, replace(KEYS, region=region), pairs, 7)

    report = run(Core.load(job), pairs)

    assert [str(one) for one in report.shown] == []
    assert report.unvaried == []
    assert report.is_fine
    assert report.pairs.total() == pairs
    assert report.endings["crosses"] > 0.8 * pairs  # else hardly anything would leave
    assert set(report.verdicts) == {"passes"}


def test_every_event_with_an_approved_plan_is_tried(core: Core) -> None:
    tried = {source.schema.id for source in core.sources}

    assert tried == set(core.book.plans)
    assert tried == {schema.id for schema in load_registry().raw()}


def test_both_sides_agree_in_what_the_plan_lets_out_and_in_nothing_it_does_not(
    core: Core,
) -> None:
    """The pairs' own premise, checked on decoded values and not by what made them."""
    registry, differing = load_registry(), 0
    for source in core.sources:
        for number in range(100):
            pair = source.pair(number)

            a, b = (decode_physical(registry, side)[1] for side in (pair.a, pair.b))

            for field in mapped(source.plan.outputs):
                assert outcome(field, a) == outcome(field, b), field.path
            differing += pair.a != pair.b
    assert differing == 100 * len(core.sources)


def mapped(outputs: Any) -> list[FieldPlan]:
    fields = [field for o in outputs for field in (o.external_id, *o.fields)]
    return [f for f in fields if f.path is not None and f.action is not Action.LABEL]


def outcome(field: FieldPlan, event: dict[str, Any]) -> Any:
    """Return what may be told of a field: tokens only by whether there is something."""
    value = look_up(event, field.path or "")
    if field.source == "count":
        return len(value) if isinstance(value, list) else 0
    if value is None or field.action is Action.TOKENISE:
        return value is None
    if field.action is Action.GENERALISE:
        country, at = (look_up(event, p) if p else None for p in (field.country, field.at))
        return generaliser(field.how or "").apply(value, Context(country, at))
    return int.from_bytes(value, "big", signed=True) if isinstance(value, bytes) else value


def test_the_same_seed_makes_the_same_pairs_and_another_one_others() -> None:
    first, again, other = (
        [
            s.pair(n)
            for s in Core.load(replace(JOB, seed=seed, schema="OrderCancelled")).sources
            for n in range(20)
        ]
        for seed in (3, 3, 4)
    )

    assert first == again
    assert [pair.a for pair in first] != [pair.a for pair in other]


def planted(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Let *change* look at the raw bytes before the decision is handed on."""
    minimise = PlanBook.minimise
    monkeypatch.setattr(PlanBook, "minimise", lambda self, raw: change(raw, minimise(self, raw)))


def odd(raw: RawEvent) -> bool:
    """Return a single bit of what must not show."""
    return len(raw.value) % 2 == 1


def a_header_tells_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(raw: RawEvent, made: Crossing) -> Crossing:
        told = tuple(replace(r, keys=len(raw.value)) for r in made.records)
        return replace(made, records=told)

    planted(monkeypatch, change)


def a_record_more_tells_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(raw: RawEvent, made: Crossing) -> Crossing:
        return replace(made, records=()) if odd(raw) and made.records else made

    planted(monkeypatch, change)
    monkeypatch.setattr("streams.noninterference.observe.zip", lossy_zip, raising=False)


def lossy_zip(*columns: Any, strict: bool) -> Any:
    del strict
    return zip(*columns, strict=False)


def a_request_less_tells_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(raw: RawEvent, made: Crossing) -> Crossing:
        return replace(made, requests=()) if odd(raw) else made

    planted(monkeypatch, change)


def a_label_goes_to_a_row_that_depends_on_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(raw: RawEvent, made: Crossing) -> Crossing:
        row = "tok_eu1_" + ("b" if odd(raw) else "a") * 26
        return replace(made, requests=tuple(replace(r, external_id=row) for r in made.requests))

    planted(monkeypatch, change)


def a_quarantine_tells_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(raw: RawEvent, made: Crossing) -> Crossing:
        if odd(raw):
            raise QuarantineError(Reason.FORMAT, "customer.email")
        return made

    planted(monkeypatch, change)


def an_error_tells_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(raw: RawEvent, _made: Crossing) -> Crossing:
        error = QuarantineError(Reason.FORMAT, "currency")
        error.args = (f"{error} after {len(raw.value)} bytes",)
        raise error

    planted(monkeypatch, change)


def planted_generaliser(
    monkeypatch: pytest.MonkeyPatch, how: str, apply: Callable[[Any, Context], Any]
) -> None:
    """Put it where strip runs it alone: what may be told stays what the honest one declares."""

    def found(name: str) -> Any:
        return replace(generaliser(name), apply=apply) if name == how else generaliser(name)

    monkeypatch.setattr(strip_module, "generaliser", found)


def a_generaliser_tells_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = generaliser("postcode-area").apply
    planted_generaliser(
        monkeypatch,
        "postcode-area",
        lambda value, context: honest(value, context) if len(value) % 2 else "00",
    )


def a_generaliser_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    planted_generaliser(
        monkeypatch, "ip-network", lambda value, _context: value.encode("ascii").decode()
    )


def a_value_stands_where_its_token_should(monkeypatch: pytest.MonkeyPatch) -> None:
    attribute = Tokeniser.attribute
    monkeypatch.setattr(
        Tokeniser,
        "attribute",
        lambda self, domain, value: value if "@" in value else attribute(self, domain, value),
    )


def two_spellings_have_two_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = Tokeniser.identity
    monkeypatch.setattr(
        Tokeniser,
        "identity",
        lambda self, name, value: identity(self, name, value + "." * value.startswith(" ")),
    )


def a_token_is_of_the_text_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal customers would get two tokens: the pattern of equal ones is told, not kept."""
    identity = Tokeniser.identity
    monkeypatch.setattr(
        Tokeniser,
        "identity",
        lambda self, name, value: identity(self, name, value[:1]),
    )


def a_kept_amount_keeps_its_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = strip_module._keep  # noqa: SLF001, what makes the amount canonical

    def padded(field: FieldPlan, value: Any) -> Any:
        made = keep(field, value)
        return value if field.to == "decimal" else made

    monkeypatch.setattr(strip_module, "_keep", padded)


def the_walker_alone_tells_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = PlanBook.minimise_batch

    def leaky(book: PlanBook, raw: RawBatch, generation_of: Any) -> list[Any]:
        made = batch(book, raw, generation_of)
        return [
            m._replace(rows=()) if isinstance(m, Crossed) and len(value) % 2 else m
            for m, value in zip(made, raw.values, strict=True)
        ]

    monkeypatch.setattr(PlanBook, "minimise_batch", leaky)
    monkeypatch.setattr(PlanBook, "is_fast", property(lambda _book: True))
    monkeypatch.setattr("streams.noninterference.observe.zip", lossy_zip, raising=False)


PLANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = {
    "header": (a_header_tells_the_size, {"value", "size", "the ledger's leaf"}),
    "count": (a_record_more_tells_a_bit, {"count of records"}),
    "quarantine": (a_quarantine_tells_a_bit, {"ending: crossing, reason or path"}),
    "error": (an_error_tells_the_size, {"error text"}),
    "generaliser": (a_generaliser_tells_a_bit, {"value", "size and value", "what the sink gets"}),
    "raises": (a_generaliser_raises, {"fails with UnicodeEncodeError, which is no quarantine"}),
    "no token": (a_value_stands_where_its_token_should, {"size and value"}),
    "spelling": (two_spellings_have_two_tokens, {"value", "key"}),
    "mixed tokens": (a_token_is_of_the_text_beside_it, {"value", "key"}),
    "walker": (the_walker_alone_tells_a_bit, {"the interpreters disagree", "count of records"}),
    "padding": (a_kept_amount_keeps_its_padding, {"size and value"}),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_leak_is_found_and_told_without_values(
    monkeypatch: pytest.MonkeyPatch, core: Core, plant: str
) -> None:
    sow, expected = PLANTS[plant]
    sow(monkeypatch)

    report = run(fresh(core), 1_100)

    assert not report.is_fine
    assert expected <= {what for _, _, what in report.found}
    shown = json.dumps(report.to_json(), ensure_ascii=False)
    personal = [text for text in texts.PERSONAL if "@" in text or len(text) > 12]
    assert [text for text in personal if text in shown] == []


def test_a_difference_names_record_and_field(monkeypatch: pytest.MonkeyPatch, core: Core) -> None:
    orders = [source for source in core.sources if source.plan.subject.endswith("OrderPlaced")]
    a_generaliser_tells_a_bit(monkeypatch)

    report = run(replace(fresh(core), sources=orders), 400)

    fields = {path for _, path, what in report.found if what.endswith("value")}
    assert fields == {"Commerce_Order__c.Ship_Postcode_Area__c"}
    assert all("eu.commerce.orders.v1[0]@" in str(one) for one in report.shown)


@pytest.mark.parametrize(
    ("sow", "told"),
    [
        (a_request_less_tells_a_bit, "count of records"),
        (a_label_goes_to_a_row_that_depends_on_the_text, "key"),
    ],
)
def test_labels_tell_nothing_but_themselves(
    sow: Callable[[pytest.MonkeyPatch], None],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    core: Core,
) -> None:
    messages = [source for source in core.sources if source.plan.requests]
    honest = run(replace(fresh(core), sources=messages), 400)
    sow(monkeypatch)

    report = run(replace(fresh(core), sources=messages), 400)

    assert honest.is_fine
    assert any("body" in fields for fields in honest.varied.values())
    assert told in {what for _, _, what in report.found}


def test_a_leaf_that_never_varied_is_named_and_is_a_failure() -> None:
    report = run(Core.load(replace(JOB, schema="OrderPlaced")), 2)

    assert not report.found
    assert report.unvaried
    assert not report.is_fine


def test_tokens_are_renamed_one_for_one_over_the_whole_run() -> None:
    x, y, z = (f"tok_eu1_{letter * 26}".encode() for letter in "xyz")
    renaming = Renaming()

    assert renaming.same(b"a " + x, b"a " + y)
    assert renaming.same(x + x, y + y)
    assert not renaming.same(x, z)  # x is y already
    assert not renaming.same(z, y)  # y is x's
    assert not renaming.same(b"a " + z, b"b " + z)
    assert not renaming.same(b"tok_eu1_" + b"x" * 25, b"tok_eu1_" + b"y" * 25)


@pytest.mark.parametrize(
    "pattern", ["^[A-Z]{2}$", "^[A-Z0-9][A-Z0-9-]{2,31}$", r"^(?:ab|c\d+)[^a-z]?$", "^x*$"]
)
def test_texts_of_a_format_have_it(pattern: str) -> None:
    made = patterns.matching(pattern, random.Random(1), 20)

    assert len(made) > 5
    assert all(re.fullmatch(pattern, text) for text in made)


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "streams.cli", "noninterference", "--region", "eu", *argv]


def test_the_command_prints_one_document_and_says_fine() -> None:
    argv = command("--schema", "OrderCancelled", "--pairs", "600", "--json", "--jobs", "2")

    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, check=False)

    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (told["pairs"], told["differences"], told["never_varied"]) == (600, 0, [])
    assert "600 of 600 pairs" in done.stderr


@pytest.mark.parametrize(
    ("argv", "code"),
    [(("--schema", "NoSuchEvent"), 2), (("--pairs", "0"), 2), (("--pairs", "3"), 1)],
)
def test_the_exit_code_says_what_went_wrong(argv: tuple[str, ...], code: int) -> None:
    done = subprocess.run(command(*argv), cwd=TOP, capture_output=True, text=True, check=False)

    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupted_run_tells_what_it_has(jobs: str) -> None:
    argv = command("--pairs", "10000000", "--json", "--jobs", jobs)
    with subprocess.Popen(
        argv, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as running:  # fmt: skip
        assert running.stderr is not None
        assert "pairs" in running.stderr.readline()  # with two, their processes still start

        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        out, _ = running.communicate(timeout=60)

    told = json.loads(out)
    assert running.returncode == 130
    assert told["interrupted"]
    assert not told["fine"]
