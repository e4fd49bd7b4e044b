"""Whatever a server says, none of its words reach an error, its context, a log or a repr."""

import logging
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_org import KEY, ORDER, fake_config
from odd_server import Fail, OddServer, Say, odd_server

from connectors.salesforce.client import CallRetry, OrgClient
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import OrgUnavailableError
from connectors.salesforce.refusals import Call
from schemas.errors import HomeportError

CANARY = "jane.canary@example.com"
TOKEN = Say(200, {"access_token": "00D!canary"})
LIMITS = Say(200, {"DailyApiRequests": {"Max": CANARY, "Remaining": [CANARY]}})


def coded(status: int, code: str, message: str = CANARY) -> Say:
    return Say(status, [{"errorCode": code, "message": message, "fields": [CANARY]}])


ODD = {
    "401": coded(401, "INVALID_SESSION_ID"),
    "401 html": Say(401, f"<html>{CANARY}</html>"),
    "401 lasting": coded(401, "X", f"This session is not valid for use with the REST API {CANARY}"),
    "400 data": coded(400, "STRING_TOO_LONG"),
    "400 column": coded(400, "INVALID_FIELD", f"No such column '{CANARY}'"),
    "400 odd code": coded(400, CANARY),
    "403 day": coded(403, "REQUEST_LIMIT_EXCEEDED", f"TotalRequests Limit exceeded. {CANARY}"),
    "403 moment": coded(403, "REQUEST_LIMIT_EXCEEDED", f"ConcurrentRequests {CANARY}"),
    "404": coded(404, "NOT_FOUND"),
    "429": Say(429, CANARY, {"Retry-After": CANARY}),
    "500": coded(500, "UNKNOWN_EXCEPTION"),
    "502": Say(502, f"<html>{CANARY}</html>"),
    "302": Say(302, CANARY, {"Location": f"https://{CANARY}/"}),
    "no JSON": Say(200, CANARY),
    "other JSON": Say(200, {CANARY: CANARY}),
    "a string": Say(200, f'"{CANARY}"'),
    "a number": Say(200, "7"),
    "limits": Say(200, CANARY, {"Sforce-Limit-Info": f"api-usage={CANARY}/1"}),
    "reset": Fail("reset"),
    "silence": Fail("silence"),
    "cut": Fail("cut", f'[{{"{CANARY}"'),
}
OUTAGES = ("429", "502", "reset", "silence", "cut", "no JSON")
UNKNOWN = {"429": False, "502": True, "reset": True, "silence": True, "cut": True}
REFUSED_LOGINS = {
    "grant": Say(400, {"error": "invalid_grant", "error_description": CANARY}),
    "odd": Say(400, {"error": CANARY, "error_description": [CANARY]}),
    "html": Say(400, f"<html>{CANARY}</html>"),
    "503": Say(503, CANARY),
    "list": Say(200, [CANARY]),
    "no token": Say(200, {"access_token": f"{CANARY}\n"}),
    "302": Say(302, "", {"Location": f"https://{CANARY}/"}),
    "reset": Fail("reset"),
    "silence": Fail("silence"),
    "cut": Fail("cut", f'{{"{CANARY}"'),
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SalesforceConfig:
    return replace(fake_config(tmp_path_factory.mktemp("app")), read_timeout_s=0.2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddServer]:
    with odd_server(tmp_path_factory.mktemp("home"), lambda _: TOKEN) as running:
        yield running


def answers(server: OddServer, login: Say | Fail, call: Say | Fail) -> None:
    def decide(path: str) -> Say | Fail:
        if path.endswith("/oauth2/token"):
            return login
        return LIMITS if path.endswith("/limits") else call

    server.decide = decide


def client_of(config: SalesforceConfig, server: OddServer, deadline_s: float = 0) -> OrgClient:
    local = replace(config, instance_url=server.url, ca_file=server.ca_file)
    return OrgClient(local, "eu", retry=CallRetry(deadline_s, 0.01, 0.05))


CALLS: dict[str, Any] = {
    "upsert": lambda c: c.upsert(ORDER, KEY, [{KEY: CANARY}]),
    "query": lambda c: list(c.query_all(f"SELECT {CANARY}")),
    "describe": lambda c: c.describe(ORDER),
    "send": lambda c: c.send(Call("send", ORDER, "POST", f"composite/{CANARY}", body=b"{}")),
    "raw": lambda c: c.send(Call("send", ORDER, "GET", f"jobs/{CANARY}", raw=True)),
}


def attempt(client: OrgClient, call: str) -> BaseException | None:
    try:
        CALLS[call](client)
    except HomeportError as error:
        return error
    return None


def told(error: BaseException | None) -> str:
    """Return all that somebody could see of an error, and of what rides along with it."""
    parts: list[str] = []
    while error is not None:
        held = {name: getattr(error, name) for name in vars(error)}
        parts += [repr(error), repr(error.args), repr(held), *traceback.format_exception(error)]
        parts += getattr(error, "__notes__", [])
        error = error.__cause__ or error.__context__
    return " ".join(parts)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("odd", ODD)
def test_no_word_of_an_answer_gets_out(
    config: SalesforceConfig,
    server: OddServer,
    caplog: pytest.LogCaptureFixture,
    odd: str,
    call: str,
) -> None:
    answers(server, TOKEN, ODD[odd])

    asked = len(server.paths)
    with caplog.at_level(logging.INFO):
        error = attempt(client_of(config, server), call)

    assert len(server.paths) - asked >= 3, "a login, the limits and the call"
    assert "canary" not in told(error)
    assert "canary" not in caplog.text
    if error is not None:
        assert error.__context__ is None
        assert error.__cause__ is None


@pytest.mark.parametrize("odd", REFUSED_LOGINS)
def test_no_word_of_a_refused_login_gets_out(
    config: SalesforceConfig, server: OddServer, caplog: pytest.LogCaptureFixture, odd: str
) -> None:
    answers(server, REFUSED_LOGINS[odd], TOKEN)

    with caplog.at_level(logging.INFO):
        error = attempt(client_of(config, server), "describe")

    assert error is not None
    assert "canary" not in told(error) + caplog.text
    assert error.__context__ is None
    assert not getattr(error, "fate_unknown", False), "nothing but a login was sent"


@pytest.mark.parametrize("odd", UNKNOWN)
def test_an_outage_says_whether_the_request_may_still_be_carried_out(
    config: SalesforceConfig, server: OddServer, odd: str
) -> None:
    answers(server, TOKEN, ODD[odd])

    error = attempt(client_of(config, server), "upsert")

    assert isinstance(error, OrgUnavailableError)
    assert error.fate_unknown is UNKNOWN[odd]


@pytest.mark.parametrize("where", ["login", "call"])
def test_a_server_that_stays_silent_costs_no_more_than_the_deadline(
    config: SalesforceConfig, server: OddServer, where: str
) -> None:
    silence = Fail("silence")
    answers(server, silence if where == "login" else TOKEN, silence)
    started = time.monotonic()

    error = attempt(client_of(replace(config, read_timeout_s=30), server, 1.0), "describe")

    assert isinstance(error, OrgUnavailableError)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("where", ["login", "call"])
@pytest.mark.parametrize("part", ["drip", "drip body"])
def test_an_answer_without_end_costs_no_more_than_one_call_may(
    config: SalesforceConfig, server: OddServer, where: str, part: str
) -> None:
    answers(server, Fail(part) if where == "login" else TOKEN, Fail(part))
    started = time.monotonic()

    error = attempt(client_of(replace(config, call_timeout_s=0.5), server), "upsert")

    assert isinstance(error, OrgUnavailableError)
    assert error.fate_unknown is (where == "call")
    assert time.monotonic() - started < 5


def test_the_next_call_of_a_connection_has_its_own_time(
    config: SalesforceConfig, server: OddServer
) -> None:
    answers(server, TOKEN, Say(200, {"fields": []}))
    client = client_of(replace(config, call_timeout_s=0.4), server)

    for _ in range(3):
        assert attempt(client, "describe") is None
        time.sleep(0.3)


def test_an_answer_that_asks_for_patience_gets_it(
    config: SalesforceConfig, server: OddServer
) -> None:
    waiting = [Say(429, "", {"Retry-After": "1"})]
    done = Say(200, {"fields": []})
    server.decide = lambda path: (
        TOKEN
        if path.endswith("/token")
        else LIMITS
        if path.endswith("/limits")
        else (waiting.pop() if waiting else done)
    )
    started = time.monotonic()

    error = attempt(client_of(config, server, 10), "describe")

    assert error is None
    assert time.monotonic() - started >= 1


def test_an_unreadable_secret_is_named_by_its_file(
    config: SalesforceConfig, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(CANARY)
    file.chmod(0o644)
    open_to_all = replace(config, private_key_file=None, client_secret_file=file)

    with pytest.raises(HomeportError, match="chmod 600") as caught:
        OrgClient(open_to_all, "eu", retry=CallRetry(0)).describe(ORDER)

    assert "canary" not in told(caught.value)
