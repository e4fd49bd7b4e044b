"""`dry-run` says what would leave: one answer per event, every leaf decided, no private value.

Promises 1, 2 and 8 as an outsider can try them.
"""

import random
import stat
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from residency.keys import TokenKeys
from residency.policy.rules import Action
from schemas.errors import Reason
from schemas.registry import load_registry
from streams.cli.dryrun import dry_run
from streams.demo.generate import Publication, Shop
from streams.demo.leaks import LeakSearch
from streams.dryrun import MALFORMED, TECHNICAL, DryRun

ON = datetime.now(UTC).date()
KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32)
EVENTS = [e for e in Shop(random.Random(11), ["eu"]).publications(300) if e.region == "eu"]
CANARY = "zucanary"


@pytest.fixture(scope="module")
def eu() -> DryRun:
    return DryRun.load("eu", KEYS, ON)


def line(event: Publication) -> bytes:
    return orjson.dumps(event.cloudevent())


def one(kind: str = "OrderPlaced", trap: str | None = None) -> dict[str, Any]:
    return next(
        deepcopy(e.cloudevent())
        for e in EVENTS
        if e.type.endswith(f".{kind}") and e.trap == trap and e.region == "eu"
    )


def changed(path: str, value: object) -> bytes:
    event = one()
    *way, last = path.split(".")
    target = event
    for step in way:
        target = target[step]
    target[last] = value
    return orjson.dumps(event)


def values(data: object) -> Iterator[object]:
    if isinstance(data, dict):
        for value in data.values():
            yield from values(value)
    elif isinstance(data, list):
        for value in data:
            yield from values(value)
    else:
        yield data


def test_an_order_becomes_one_minimal_record(eu: DryRun) -> None:
    answer = eu.answer(orjson.dumps(one()))

    (record,) = answer["minimal"]
    assert answer.keys() == {"minimal", "decisions", "quarantine"}
    assert record.keys() == {"object", "external_id", "fields"}
    assert record["object"] == "Commerce_Order__c"
    assert record["external_id"].startswith("tok_eu1_")
    assert not record["fields"].keys() & TECHNICAL
    assert record["fields"]["Status__c"] == "placed"
    assert answer["quarantine"] is None


@pytest.mark.parametrize("schema", load_registry().raw(), ids=lambda s: f"{s.subject}@{s.version}")
def test_every_leaf_is_decided_with_one_of_five_words(eu: DryRun, schema: Any) -> None:
    found = eu.book.plans[schema.id].decisions

    assert [d.path for d in found] == [leaf.path for leaf in schema.leaves]
    assert {d.action.value for d in found} <= {"drop", "tokenise", "generalise", "label", "keep"}


def test_the_answer_lists_every_leaf_of_the_events_schema(eu: DryRun) -> None:
    answer = eu.answer(orjson.dumps(one()))

    leaves = load_registry().latest("commerce.orders.OrderPlaced").leaves
    assert list(answer["decisions"]) == [leaf.path for leaf in leaves]
    assert {"customer.email", "items[].sku", "attributes{}"} <= answer["decisions"].keys()
    assert answer["decisions"]["customer.email"] == "tokenise"
    assert answer["decisions"]["items[].gift_note"] == "label"
    assert set(answer["decisions"].values()) <= set(Action)


def test_an_older_schema_is_decided_by_its_own_plan(eu: DryRun) -> None:
    answer = eu.answer(orjson.dumps(one(trap="old-schema")))

    older = load_registry().versions("commerce.orders.OrderPlaced")[0]
    assert list(answer["decisions"]) == [leaf.path for leaf in older.leaves]
    assert len(answer["minimal"]) == 1


def test_an_event_the_crm_needs_nothing_of_gives_nothing(eu: DryRun) -> None:
    answer = eu.answer(orjson.dumps(one("CustomerSignedIn")))

    assert answer["minimal"] == []
    assert answer["quarantine"] is None
    assert answer["decisions"]["username"] != "keep"


@pytest.mark.parametrize(
    "asked",
    [
        b"{",
        b"\xff",
        b"null",
        b"7",
        b'"commerce.orders.OrderPlaced"',
        b"[]",
        b"{}",
        b'{"type": "commerce.orders.OrderPlaced"}',
        b'{"type": "commerce.orders.OrderPlaced", "data": null}',
        b'{"type": "commerce.orders.OrderPlaced", "data": {}}',
        b'{"type": "commerce.orders.Unknown", "data": {}}',
        b'{"type": "homeport.crm.CommerceOrder", "data": {}}',
        b'{"type": ["commerce.orders.OrderPlaced"], "data": {}}',
        b'{"type": null, "data": {}}',
        b'{"type":' + b"[" * 100_000,
        changed("data.channel", CANARY),
        changed("data.customer.email", 7),
        changed("data.customer.birth_date", CANARY),
        changed("data.zucanary", 1),
        changed("data.placed_at", "yesterday"),
        changed("data.totals.tax", 1.5),
        changed("schemaversion", 99),
        changed("schemaversion", 0),
        changed("schemaversion", value=True),
        changed("schemaversion", "1"),
        changed("schemaversion", ""),
        changed("schemaversion", []),
    ],
)
def test_what_is_no_event_of_ours_is_malformed_and_nothing_more(eu: DryRun, asked: bytes) -> None:
    answer = eu.answer(asked)

    assert answer == {
        "minimal": [],
        "decisions": {},
        "quarantine": {"reason": "malformed", "path": None},
    }


@pytest.mark.parametrize(
    ("asked", "reason", "path"),
    [
        (
            changed("data.customer.residence.country", "GB"),
            Reason.WRONG_REGION,
            "customer.residence.country",
        ),
        (
            changed("data.customer.residence.country", "ZZ"),
            Reason.UNKNOWN_JURISDICTION,
            "customer.residence.country",
        ),
        (changed("data.currency", "eur"), Reason.FORMAT, "currency"),
        (orjson.dumps(one(trap="email-as-sku")), Reason.FORMAT, "items[0].sku"),
        (orjson.dumps(one(trap="iban-as-sku")), Reason.SCANNER, "First_Sku__c"),
        (changed("data.gift_note", "x" * 1_000_000), Reason.OVERSIZE, None),
    ],
)
def test_what_would_go_to_quarantine_is_said_with_reason_and_path(
    eu: DryRun, asked: bytes, reason: Reason, path: str | None
) -> None:
    answer = eu.answer(asked)

    assert answer["minimal"] == []
    assert answer["quarantine"] == {"reason": reason.value, "path": path}
    assert answer["decisions"]["customer.email"] == "tokenise"


@pytest.mark.parametrize("country", ["CH", "NO", "DE"])
def test_switzerland_and_the_eea_live_in_region_eu(eu: DryRun, country: str) -> None:
    answer = eu.answer(changed("data.customer.residence.country", country))

    assert [made["object"] for made in answer["minimal"]] == ["Commerce_Order__c"]
    assert answer["quarantine"] is None


def test_no_private_value_is_in_any_answer(eu: DryRun) -> None:
    """Every generated value that must stay has a canary; none comes out, in any encoding."""
    answers = [eu.answer(line(event)) for event in EVENTS]

    looking = LeakSearch({canary for event in EVENTS for canary in event.canaries})
    assert looking.search("answers", b"\n".join(map(orjson.dumps, answers))) == []
    planted = orjson.dumps([*answers, EVENTS[0].canaries[0]])
    assert looking.search("planted", planted) != []
    assert sum(bool(answer["minimal"]) for answer in answers) > len(EVENTS) / 2


def test_private_values_change_tokens_only(eu: DryRun) -> None:
    one_answer = eu.answer(changed("data.gift_note", "for Bob"))
    other_answer = eu.answer(changed("data.gift_note", f"{CANARY}@mail.example +4930123456"))

    assert one_answer == other_answer


def test_answers_come_in_order_one_for_each_line_that_is_not_blank(eu: DryRun) -> None:
    good, visit = orjson.dumps(one()), orjson.dumps(one("CustomerSignedIn"))

    answers = list(eu.answers([b"\n", good + b"\n", b"  \t\n", b"{\n", visit, b"\r\n", good]))

    shapes = [(len(a["minimal"]), bool(a["decisions"]), bool(a["quarantine"])) for a in answers]
    assert shapes == [(1, True, False), (0, False, True), (0, True, False), (1, True, False)]
    assert answers[0] == answers[3]


def test_the_malformed_answer_is_not_shared_between_lines(eu: DryRun) -> None:
    eu.answer(b"{")["decisions"]["a"] = "keep"

    assert MALFORMED["decisions"] == {}


def run(home: Path, asked: bytes, region: str = "eu") -> Result:
    return CliRunner().invoke(dry_run, ["--region", region, "--home", str(home)], input=asked)


class TestCommand:
    """``homeport dry-run`` around it."""

    def test_two_runs_agree_and_keep_their_keys_for_the_owner_alone(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        asked = b"\n\n".join(line(event) for event in EVENTS[:5])

        first, second = run(home, asked), run(home, asked)

        assert (first.exit_code, second.exit_code) == (0, 0)
        assert first.stdout_bytes == second.stdout_bytes
        assert len(first.stdout.splitlines()) == 5
        (keys,) = [path for path in home.rglob("*") if path.is_file()]
        assert keys == home / "eu" / "keys" / "tokens.json"
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600
        assert stat.S_IMODE(keys.parent.stat().st_mode) == 0o700

    def test_another_home_has_other_tokens(self, tmp_path: Path) -> None:
        asked = orjson.dumps(one())

        found = [orjson.loads(run(tmp_path / name, asked).stdout) for name in ("a", "b")]

        ids = {answer["minimal"][0]["external_id"] for answer in found}
        assert len(ids) == 2
        assert found[0]["decisions"] == found[1]["decisions"]

    def test_it_ran_is_exit_0_even_if_nothing_would_leave(self, tmp_path: Path) -> None:
        result = run(tmp_path, b"{\n\n7")

        assert result.exit_code == 0
        assert [orjson.loads(row) for row in result.stdout.splitlines()] == [dict(MALFORMED)] * 2

    def test_nothing_in_is_nothing_out(self, tmp_path: Path) -> None:
        assert run(tmp_path, b"\n \n").stdout == ""

    def test_keys_that_others_can_read_are_not_used(self, tmp_path: Path) -> None:
        run(tmp_path, b"")
        (tmp_path / "eu" / "keys" / "tokens.json").chmod(0o644)

        result = run(tmp_path, orjson.dumps(one()))

        assert result.exit_code != 0
        assert result.stdout == ""


def test_a_text_that_waits_for_its_labels_is_not_among_what_leaves(eu: DryRun) -> None:
    event = one("SupportMessageReceived")

    answer = eu.answer(orjson.dumps(event))

    (record,) = answer["minimal"]
    assert record["fields"]["Kind__c"] == "support"
    assert not any(
        name.startswith(("Intent", "Label", "text", "subject")) for name in record["fields"]
    )
    assert answer["decisions"]["body"] == "label"
