"""What a tool sends is a question of a strict form, or it is refused by a word and its key."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from residency.ledger.accesses import Purpose
from residency.telemetry.setup import Telemetry, telemetry
from residency.vault.index import Kind
from residency.vault.looking import (
    MAX_TERM,
    Ask,
    ByValue,
    Refused,
    RefusedError,
)
from schemas.errors import RetriableError
from streams.looking.callers import Caller
from streams.looking.desk import Found
from streams.looking.web import (
    MAX_BODY_BYTES,
    STATUSES,
    Service,
    asked,
    post_find,
    status_of,
)
from streams.noninterference.signals import metrics

TOPICS = {"eu.commerce.orders.v1": "aWQ"}
BODY: dict[str, Any] = {
    "by": {"email": "ada@example.com"},
    "purpose": "support",
    "ticket": "CASE-17",
    "fields": ["customer.email"],
}


def test_a_question_is_read_as_it_is_meant() -> None:
    term, ask = asked({**BODY, "event": "a.B", "limit": 3}, TOPICS)

    assert term == ByValue(Kind.EMAIL, "ada@example.com")
    assert ask == Ask(Purpose.SUPPORT, "CASE-17", ("customer.email",), "a.B", 3)
    assert "ada" not in repr(term)
    assert asked(BODY, TOPICS)[1] == Ask(Purpose.SUPPORT, "CASE-17", ("customer.email",))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"by": None}, Refused.TERM),
        ({"by": {}}, Refused.TERM),
        ({"by": {"email": "a", "phone": "b"}}, Refused.TERM),
        ({"by": {"name": "ada"}}, Refused.TERM),
        ({"by": {"email": 1}}, Refused.TERM),
        ({"by": {"email": ""}}, Refused.TERM),
        ({"by": {"email": "a" * (MAX_TERM + 1)}}, Refused.TERM),
        ({"by": {"record": "orders"}}, Refused.TERM),
        ({"by": {"record": "us.commerce.orders.v1[0]@7"}}, Refused.TERM),
        ({"purpose": None}, Refused.PURPOSE),
        ({"purpose": "curiosity"}, Refused.PURPOSE),
        ({"ticket": 17}, Refused.TICKET),
        ({"fields": None}, Refused.FIELD),
        ({"fields": "customer.email"}, Refused.FIELD),
        ({"fields": [1]}, Refused.FIELD),
        ({"event": 1}, Refused.EVENT),
        ({"limit": "3"}, Refused.EVENT),
        ({"limit": True}, Refused.EVENT),
        ({"caller": "operator"}, Refused.TERM),
    ],
)
def test_a_question_of_another_form_is_refused_without_its_values(
    change: dict[str, Any], why: Refused
) -> None:
    with pytest.raises(RefusedError) as caught:
        asked({**BODY, **change}, TOPICS)

    assert caught.value.why is why
    assert "ada@example.com" not in str(caught.value)


def test_what_is_no_object_is_no_question() -> None:
    for document in (None, [], "x", 1):
        with pytest.raises(RefusedError):
            asked(document, TOPICS)


class Desk:
    """Finds nobody; or does as it is told."""

    topic_ids = TOPICS

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault

    def find(self, *_: object) -> Found:
        if self.fault is not None:
            raise self.fault
        return Found("0f" * 16, 7)


class Callers:
    """Knows one token."""

    def by_token(self, token: str) -> Caller:
        if token != "known":
            raise RefusedError(Refused.CALLER, "nobody's")
        return Caller("desk-returns", "agent")


def posted(service: Service, body: bytes, token: str) -> int:
    """Return the status of the answer to a request."""

    async def post() -> int:
        handler = partial(post_find, service)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/find", handler)
        async with TestClient(TestServer(app)) as client:
            bearer = {"Authorization": f"Bearer {token}"}
            return (await client.post("/find", data=body, headers=bearer)).status

    return asyncio.run(post())


def measured(folder: Path, signals: Telemetry) -> dict[str, Any]:
    signals.shutdown()
    return metrics(folder / "lookup-metrics.jsonl")


@pytest.mark.parametrize(
    ("change", "token", "fault", "outcome", "purpose"),
    [
        ({}, "known", None, "answered", "support"),
        ({"purpose": "fraud"}, "known", RefusedError(Refused.RATE, "x", 9), "refused", "fraud"),
        ({}, "known", RetriableError("no database"), "failed", "support"),
        ({}, "other", None, "refused", "none"),
        ({"purpose": "curiosity of ada"}, "known", None, "refused", "none"),
        ({"ticket": "x" * MAX_BODY_BYTES}, "known", None, "refused", "none"),
    ],
)
def test_a_look_up_is_counted_once_by_how_it_ended_and_why_and_measured(  # noqa: PLR0913, PLR0917
    tmp_path: Path,
    change: dict[str, Any],
    token: str,
    fault: Exception | None,
    outcome: str,
    purpose: str,
) -> None:
    signals, desk, callers = telemetry("lookup", "eu", tmp_path, {}), Desk(fault), Callers()
    service = Service(desk, callers, signals.recorder)  # type: ignore[arg-type]

    posted(service, orjson.dumps({**BODY, **change}), token)

    assert service.counter.counts == {"answered": 0, "refused": 0, "failed": 0, outcome: 1}
    found = measured(tmp_path, signals)
    lookups = {name: value for name, value in found.items() if name.endswith(" value")}
    assert lookups == {f"homeport.lookups{{outcome={outcome},purpose={purpose}}} value": 1}
    assert f"homeport.lookup.duration{{outcome={outcome}}} unit" in found
    assert "ada" not in (tmp_path / "lookup-metrics.jsonl").read_text()


def test_every_refusal_has_its_status_and_says_when_to_come_back() -> None:
    assert STATUSES.keys() == set(Refused)
    assert status_of(RefusedError(Refused.RATE, "x", 17)) == (429, {"Retry-After": "17"})
    assert status_of(RefusedError(Refused.CALLER, "x")) == (401, {"WWW-Authenticate": "Bearer"})
    assert status_of(RefusedError(Refused.FIELD, "x")) == (403, {})
