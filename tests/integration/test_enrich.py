"""Enrichment on a real broker and database: each text once, and nothing of it but labels.

The model is hand-made, for its faults; tests/integration/inference asks the real one.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from enrich_line import AMPLE, EnrichLine, by_record, labels, text, wait_until, working
from label_world import FIELDS, MODEL, HandMade, label_of, made_asked, made_request

from connectors.embedded.stack import Stack
from connectors.kafka import headers
from connectors.kafka.clients import TRANSACTION_TIMEOUT_MS, transactional_producer
from connectors.postgres.decisions import Decisions
from residency import topics
from residency.decisions import Answered
from residency.leak import MILLIBITS
from residency.policy.budgets import Budget
from schemas.errors import HaltError
from streams import enrich, fence, patience
from streams.demo.leaks import LeakSearch
from streams.settings import load_settings

HEADERS = [
    headers.RECORD, headers.VERSION, headers.TOPIC_ID, headers.OBJECT, headers.PLAN, headers.KEYS,
    headers.BASIS, headers.RELEASE, headers.MODEL, headers.TRACEPARENT,
]  # fmt: skip


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker look for the model every second; the product's 30 s are for real outages."""
    monkeypatch.setattr(patience, "MAX_WAIT_S", 1.0)


@pytest.fixture
def line(stack: Stack) -> Iterator[EnrichLine]:
    """Return a line whose topic of requests is empty."""
    with closing(EnrichLine(stack.home)) as found:
        if found.open_requests():
            with working(stack.home, HandMade()):
                wait_until("the requests of others", lambda: not found.open_requests())
        yield found


def said(word: str) -> dict[str, str]:
    return {field: label_of(task, word) for field, task in FIELDS.items()}


def test_each_request_becomes_one_label_record_under_its_own_name(
    stack: Stack, line: EnrichLine
) -> None:
    requests = line.requests([f"text {n}" for n in range(150)])

    line.send(requests)
    with working(stack.home, HandMade()):
        found = line.wait_for(150)

    assert by_record(found) == {str(one.id): said(one.texts["text_body"] or "") for one in requests}
    assert {one.key.decode() for one in found} == {one.external_id for one in requests}
    assert [[name for name, _ in one.headers] for one in found] == [HEADERS] * 150
    assert {text(one, headers.MODEL) for one in found} == {MODEL}


def test_while_the_model_is_down_requests_wait_and_the_worker_stays_in_its_group(
    stack: Stack, line: EnrichLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than a member may go without asking for records."""
    monkeypatch.setattr(enrich, "MAX_POLL_MS", 6_000 // enrich.PATIENCE)
    model = HandMade(down=True)

    with working(stack.home, model) as running:
        line.send(line.requests(["a", "b"]))
        wait_until("the worker waits", lambda: running.worker.health()["waiting"] is True)
        line.send(line.requests(["c", "d", "e"]))
        time.sleep(8)
        meanwhile = running.worker.health(), list(line.made())
        model.down = False
        found = line.wait_for(5)

    assert meanwhile[0]["partitions"] == 4
    assert meanwhile[1] == []
    assert sorted(labels(one)["Intent__c"] for one in found) == sorted(
        said(word)["Intent__c"] for word in "abcde"
    )
    assert len(by_record(found)) == 5


def test_a_worker_that_joins_while_the_other_waits_doubles_and_loses_nothing(
    stack: Stack, line: EnrichLine
) -> None:
    model = HandMade(down=True)
    requests = line.requests([f"text {n}" for n in range(300)])

    with working(stack.home, model) as first:
        line.send(requests)
        wait_until("the first waits", lambda: first.worker.health()["waiting"] is True)
        with working(stack.home, model, slot=1) as second:
            wait_until("both work", lambda: second.worker.health()["partitions"] == 2)
            model.down = False
            found = line.wait_for(300)

    assert by_record(found) == {str(one.id): said(one.texts["text_body"] or "") for one in requests}


def test_a_text_that_no_model_can_take_is_unknown_and_no_other_waits_for_it(
    stack: Stack, line: EnrichLine
) -> None:
    requests = line.requests(["a", "\x00poison", "b"])

    line.send(requests)
    with working(stack.home, HandMade(dies=1)):
        found = by_record(line.wait_for(3))

    assert found[str(requests[1].id)] == dict.fromkeys(FIELDS, "unknown")
    assert found[str(requests[0].id)] == said("a")


def test_what_was_decided_goes_out_and_the_model_is_not_asked_again(
    stack: Stack, line: EnrichLine
) -> None:
    """After a crash between decision and commit, and for a resend."""
    model = HandMade()
    (first, second) = line.requests(["a", "b"])
    answers = {
        name: Answered(task, 1, "unknown", "made", is_cut=False) for name, task in FIELDS.items()
    }
    postgres = load_settings(stack.home, "eu", "enrich").postgres
    assert postgres is not None
    with closing(Decisions(postgres.dsn)) as store:
        asked = [made_asked(one).question for one in (first, second)]
        taken = store.take(asked, AMPLE, datetime.now(UTC))
        store.settle([replace(one, model="ef" * 32, answers=answers) for one in taken])

    resent = replace(first, id=replace(first.id, resend=1))
    line.send([first, second, resent])
    with working(stack.home, model):
        found = line.wait_for(3)

    assert model.asked == []
    assert {str(resent.id), str(first.id)} < by_record(found).keys()
    assert [labels(one) for one in found] == [dict.fromkeys(FIELDS, "unknown")] * 3
    assert {text(one, headers.MODEL) for one in found} == {"ef" * 32}  # of who said it


def test_past_the_budget_the_constant_goes_out_and_a_resend_says_the_same(
    stack: Stack, line: EnrichLine
) -> None:
    cost = made_asked(made_request(0, None)).question.cost
    budget = Budget("b", "eu", -(-2 * cost // MILLIBITS), 30, "test")
    requests = line.requests(["a", "b", "c"], subject=f"tok_eu1_{line.topic_id}")
    again = [replace(one, id=replace(one.id, resend=1)) for one in requests]
    one_key = [replace(one, external_id="tok_eu1_same") for one in [*requests, *again]]

    line.send(one_key)
    with working(stack.home, HandMade(), budget):
        found = by_record(line.wait_for(6))

    withheld = dict.fromkeys(FIELDS, "withheld")
    assert [found[str(one.id)] for one in requests] == [said("a"), said("b"), withheld]
    assert [found[str(one.id)] for one in again] == [said("a"), said("b"), withheld]


def test_a_request_for_a_right_alerts_by_its_name_alone(
    stack: Stack, line: EnrichLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (request,) = line.requests(["zucanarytext delete my data"])
    model = HandMade(says={"privacy_request": "erasure"})

    line.send([request])
    with working(stack.home, model, folder=tmp_path):
        line.wait_for(1)

    told = [one.getMessage() for one in caplog.records if one.name == "homeport.enrich"]
    assert told == [f"{request.id}: asks for a right of its customer; read it"]
    metrics = (tmp_path / "enrich-metrics.jsonl").read_text()
    assert '"privacy-request"' in metrics


def test_no_canary_of_a_thousand_texts_is_in_anything_that_leaves(
    stack: Stack, line: EnrichLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canaries = [f"zucanary{n:04d}q{line.topic_id[-6:]}" for n in range(1_000)]
    texts: list[str | None] = [f"my secret is {one}, delete it" for one in canaries]
    texts[500] = f"{texts[500]}\x00poison"

    line.send(line.requests(texts, subject=f"tok_eu1_{line.topic_id}"))
    model = HandMade(says={"privacy_request": "erasure", "intent": "made up by an attack"})
    with working(stack.home, model, folder=tmp_path):
        found = line.wait_for(1_000)

    out = {
        "records": b"\n".join(
            b"\n".join([one.key, one.value, repr(one).encode()]) for one in found
        ),
        "headers": b"\n".join(value for one in found for _, value in one.headers),
        "logs": "\n".join(
            f"{r.getMessage()} {r.args} {r.exc_text}" for r in caplog.records
        ).encode(),
        "signals": b"\n".join(path.read_bytes() for path in sorted(tmp_path.iterdir())),
    }
    looking = LeakSearch(canaries)
    assert all(out.values())
    assert [leak for name, data in out.items() for leak in looking.search(name, data)] == []
    assert b'"enrich.request"' in out["signals"]
    assert b'"enrich.validate"' in out["signals"]
    assert b'"enrich.queue"' in out["signals"]
    assert b'"homeport.labels"' in out["signals"]
    assert b'"homeport.enrich.latency"' in out["signals"]


def test_a_worker_s_first_act_ends_what_a_killed_one_left_open(
    stack: Stack, line: EnrichLine
) -> None:
    """A process is not killed here: its producer is left alone with a transaction open."""
    settings = load_settings(stack.home, "eu", "enrich")
    name = topics.worker("enrich", "eu", 0)
    killed = transactional_producer(settings.kafka.librdkafka(), name, fence.DEAF)
    killed.begin_transaction()
    killed.produce(topics.labels("eu"), b"never", b"key")
    killed.flush(10)
    hidden = line.visible()

    fence.fence(settings)

    wait_until("it hides nothing", lambda: line.visible() > hidden, TRANSACTION_TIMEOUT_MS / 2_000)
    with pytest.raises(KafkaException, match="FENCED"):
        killed.commit_transaction(10)


def test_a_request_that_our_border_did_not_write_stops_the_worker(
    stack: Stack, line: EnrichLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays where it is: nobody may decide what it is but a person."""
    (request,) = line.requests(["a"])
    worker = enrich.Enrich.decide
    refused: list[str] = []

    def decide(self: enrich.Enrich, batch: object) -> object:
        forged = replace(batch, headers=[[*batch.headers[0], ("x", b"zucanary")]])  # type: ignore[type-var, attr-defined]
        try:
            return worker(self, forged)  # type: ignore[arg-type]
        except HaltError as error:
            refused.append(str(error))
        return worker(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(enrich.Enrich, "decide", decide)
    line.send([request])
    with working(stack.home, HandMade()):
        line.wait_for(1)

    assert len(refused) == 1
    assert "not written by our border" in refused[0]
    assert "zucanary" not in refused[0]
