"""Faults on request: each does what it says, to the calls it says, and only if asked for."""

import json
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from connectors.sandbox.faults.remote import Control, control
from schemas.errors import SetupError

KEY, ORDER = "External_Id__c", "Commerce_Order__c"
COLLECTIONS = f"composite/sobjects/{ORDER}/{KEY}"


def value(client: Any, key: str, field: str = "Currency__c") -> Any:
    """Return a field of the row with that external id, None if there is no such row."""
    soql = f"SELECT {field} FROM {ORDER} WHERE {KEY} = '{key}'"  # noqa: S608 -- SOQL of our own
    rows = client.query(soql)["records"]
    return rows[0][field] if rows else None


def codes(response: requests.Response) -> list[str | None]:
    """Return the error code of each item of a collection's answer, None if it went well."""
    return [i["errors"][0]["statusCode"] if i["errors"] else None for i in response.json()]


def soon(is_so: Callable[[], bool], within_s: float = 5) -> None:
    """Wait until it is so."""
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_without_the_option_there_is_no_control_path(org: Any) -> None:
    url = f"{org.url}/__sandbox__/faults"

    answer = requests.get(url, verify=org.ready["ca_file"], timeout=10)

    assert answer.status_code == 404
    with pytest.raises(SetupError, match="--faults"):
        control(org.home, org.port)


@pytest.mark.parametrize("name", ["faults", "locks", "expire-sessions"])
@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_without_the_token_the_control_path_is_as_one_that_does_not_exist(
    faulty: Any, client: Any, name: str, token: str | None
) -> None:
    headers = {} if token is None else {"X-Sandbox-Control": token}

    refused = requests.post(
        f"{faulty.url}/__sandbox__/{name}", json={}, headers=headers, timeout=10
    )
    absent = requests.post(f"{faulty.url}/__elsewhere__", json={}, timeout=10)

    assert refused.status_code == absent.status_code == 404
    assert refused.content == absent.content
    assert client.call("GET", "limits").status_code == 200  # the sessions live


def test_the_token_is_for_the_owner_alone(faulty: Any) -> None:
    file = faulty.home / "sandbox/control"

    mode = stat.S_IMODE(file.stat().st_mode)

    assert mode == 0o600
    assert len(file.read_text()) >= 32


REFUSALS = {
    "unauthorised": (401, "INVALID_SESSION_ID", "Session expired or invalid"),
    "request-limit": (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    "error-500-json": (500, "UNKNOWN_EXCEPTION", "An unexpected error occurred."),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_has_the_form_of_the_api_and_nothing_is_done(
    plan: Control, client: Any, kind: str
) -> None:
    plan.set([{"kind": kind, "on": "collections", "once": True}])

    refused = client.upsert([{KEY: f"refused-{kind}"}])
    again = client.upsert([{KEY: f"refused-{kind}"}])

    status, code, text = REFUSALS[kind]
    assert refused.status_code == status
    assert refused.json()[0]["errorCode"] == code
    assert refused.json()[0]["message"].startswith(text)
    assert again.json()[0]["created"] is True


def test_a_limit_can_be_that_of_concurrent_calls(plan: Control, client: Any) -> None:
    plan.set([{"kind": "request-limit", "on": "query", "once": True, "limit": "concurrent"}])

    refused = client.call("GET", "query", params={"q": f"SELECT Id FROM {ORDER}"})  # noqa: S608

    text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    assert (refused.status_code, refused.json()[0]["message"]) == (403, text)


EDGE = {
    "no-route": 420,
    "too-many-requests": 429,
    "error-500": 500,
    "error-502": 502,
    "error-503": 503,
}


@pytest.mark.parametrize("kind", EDGE)
def test_the_edge_refuses_in_html(plan: Control, client: Any, kind: str) -> None:
    plan.set([{"kind": kind, "on": "collections", "once": True}])

    refused = client.upsert([{KEY: f"edge-{kind}"}])

    assert refused.status_code == EDGE[kind]
    assert refused.headers["Content-Type"].startswith("text/html")
    assert refused.text.startswith("<html>")
    assert value(client, f"edge-{kind}", "Id") is None


def test_an_expired_session_stays_expired(plan: Control, faulty: Any, client: Any) -> None:
    plan.set([{"kind": "expired-session", "on": "any", "once": True}])

    first, second = client.call("GET", "limits"), client.call("GET", "limits")

    assert [first.status_code, second.status_code] == [401, 401]
    assert faulty.login().call("GET", "limits").status_code == 200


@pytest.mark.parametrize("app", [None, "homeport-cli"])
def test_sessions_can_be_ended_all_at_once_or_by_app(
    plan: Control, client: Any, app: str | None
) -> None:
    with pytest.raises(SetupError, match="app"):
        plan.expire_sessions("no-such-app")
    assert client.call("GET", "limits").status_code == 200

    ended = plan.expire_sessions(app)

    assert ended >= 1
    assert client.call("GET", "limits").status_code == 401


def test_a_slow_answer_comes_whole_and_late(plan: Control, client: Any) -> None:
    plan.set([{"kind": "slow", "on": "collections", "once": True, "seconds": 0.4}])
    started = time.monotonic()

    answer = client.upsert([{KEY: "slow-1"}])

    assert time.monotonic() - started >= 0.4
    assert answer.json()[0]["created"] is True


@pytest.mark.parametrize(("kind", "is_done"), [("reset-before", False), ("reset-after", True)])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_reset_is_a_reset_before_or_after_the_commit(
    start_org: Any, scheme: str, kind: str, is_done: bool
) -> None:
    running = start_org("--faults", *(["--plain"] if scheme == "http" else []))
    client, plan = running.login(), control(running.home, running.port)
    plan.set([{"kind": kind, "on": "collections", "once": True}])

    with pytest.raises(requests.ConnectionError) as caught:
        client.upsert([{KEY: kind, "Currency__c": "EUR"}])

    # Python's TLS shows the socket's ECONNRESET as an end of file, of one kind or another
    assert scheme == "https" or "ConnectionResetError" in repr(caught.value)
    assert value(client, kind) == ("EUR" if is_done else None)


def test_silence_after_the_commit_ends_in_a_cut(plan: Control, client: Any) -> None:
    plan.set([{"kind": "timeout-after", "on": "collections", "every": 1, "seconds": 0.5}])

    with pytest.raises(requests.ReadTimeout):
        client.http.patch(*upsert(client, "silent-1", "EUR"), timeout=0.2)
    started = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        client.http.patch(*upsert(client, "silent-2", "EUR"), timeout=5)

    assert 0.4 < time.monotonic() - started < 3
    assert [value(client, "silent-1"), value(client, "silent-2")] == ["EUR", "EUR"]


def upsert(client: Any, key: str, currency: str) -> tuple[str, bytes]:
    """Return URL and body of a collections call."""
    url = f"{client.org.url}/services/data/v62.0/{COLLECTIONS}"
    record = {"attributes": {"type": ORDER}, KEY: key, "Currency__c": currency}
    return url, json.dumps({"records": [record]}).encode()


def test_a_late_commit_lands_after_the_next_request(plan: Control, client: Any) -> None:
    plan.set([{"kind": "late-commit", "on": "collections", "once": True, "seconds": 3}])
    started = time.monotonic()
    with pytest.raises(requests.ReadTimeout):
        client.http.patch(*upsert(client, "late-1", "OLD"), timeout=0.5)
    client.http.close()  # the client and its connections are gone

    answer = client.upsert([{KEY: "late-1", "Currency__c": "NEW"}])
    between = value(client, "late-1")
    soon(lambda: plan.state()["late"]["done"] == 1)

    assert answer.json()[0]["created"] is True  # the late one had not been carried out
    assert between == "NEW"
    assert value(client, "late-1") == "OLD"
    assert time.monotonic() - started >= 3
    assert plan.state()["late"]["pending"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_late_commit_is_lost_when_the_org_stops(start_org: Any, number: signal.Signals) -> None:
    running = start_org("--faults", "--plain")
    client, plan = running.login(), control(running.home, running.port)
    plan.set([{"kind": "late-commit", "on": "any", "once": True, "seconds": 30}])
    held = threading.Thread(target=quietly, args=(client, "lost-1"))
    held.start()
    soon(lambda: plan.state()["late"]["pending"] == 1)
    started = time.monotonic()

    running.stop(number)
    held.join(5)

    assert time.monotonic() - started < 5  # the silent connection does not delay the stop
    assert not held.is_alive()
    client.org = start_org("--faults", "--plain")
    assert value(client, "lost-1", "Id") is None
    assert control(client.org.home, client.org.port).state()["faults"] == []


def quietly(client: Any, key: str) -> None:
    """Send one row; however it ends."""
    try:
        client.upsert([{KEY: key}])
    except requests.RequestException:
        return


ROW_FAULTS = {
    "lock": ("UNABLE_TO_LOCK_ROW", []),
    "partial": ("UNKNOWN_EXCEPTION", []),
    "duplicate-race": ("DUPLICATE_VALUE", [KEY]),
}


@pytest.mark.parametrize("kind", ROW_FAULTS)
def test_some_rows_fail_and_the_others_are_written(plan: Control, client: Any, kind: str) -> None:
    plan.set([{"kind": kind, "on": "collections", "once": True, "rows": 0.3}], seed=5)
    keys = [f"{kind}-{n}" for n in range(10)]

    answer = client.upsert([{KEY: key} for key in keys])

    code, fields = ROW_FAULTS[kind]
    failed = [key for key, found in zip(keys, codes(answer), strict=True) if found]
    assert {found for found in codes(answer) if found} == {code}
    assert len(failed) == 3
    assert all(item["errors"][0]["fields"] == fields for item in answer.json() if item["errors"])
    assert [key for key in keys if value(client, key, "Id") is None] == failed
    assert codes(client.upsert([{KEY: key} for key in keys])) == [None] * 10


def test_a_lock_and_a_race_name_the_row(plan: Control, client: Any) -> None:
    made = client.upsert([{KEY: "named"}]).json()[0]["id"]
    plan.set(
        [{"kind": kind, "on": "collections", "once": True} for kind in ("lock", "duplicate-race")]
    )

    texts = [client.upsert([{KEY: "named"}]).json()[0]["errors"][0]["message"] for _ in range(2)]

    assert texts == [
        f"unable to obtain exclusive access to this record or 1 records: {made}",
        f"duplicate value found: {KEY} duplicates value on record with id: {made}",
    ]


def test_a_single_row_that_is_locked_refuses_the_request(plan: Control, client: Any) -> None:
    made = client.upsert([{KEY: "single"}]).json()[0]["id"]
    plan.set([{"kind": "lock", "on": "any", "every": 1}])

    answers = [
        client.call("PATCH", f"sobjects/{ORDER}/{KEY}/single", json={"Currency__c": "EUR"}),
        client.call("PATCH", f"sobjects/{ORDER}/{made}", json={"Currency__c": "EUR"}),
        client.call("DELETE", f"sobjects/{ORDER}/{made}"),
    ]

    assert [a.status_code for a in answers] == [400, 400, 400]
    assert {a.json()[0]["errorCode"] for a in answers} == {"UNABLE_TO_LOCK_ROW"}
    assert value(client, "single", "Id") == made


def test_all_or_none_rolls_the_others_back(plan: Control, client: Any) -> None:
    plan.set([{"kind": "lock", "on": "collections", "once": True, "rows": 0}])

    answer = client.upsert([{KEY: "all-1"}, {KEY: "all-2"}], all_or_none=True)

    assert sorted(codes(answer), key=str) == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "UNABLE_TO_LOCK_ROW",
    ]


def test_rows_of_a_collections_delete_can_be_locked(plan: Control, client: Any) -> None:
    made = [i["id"] for i in client.upsert([{KEY: f"bin-{n}"} for n in range(4)]).json()]
    plan.set([{"kind": "lock", "on": "delete", "once": True, "rows": 0.5}])

    answer = client.call("DELETE", "composite/sobjects", params={"ids": ",".join(made)})

    assert codes(answer).count("UNABLE_TO_LOCK_ROW") == 2
    assert codes(answer).count(None) == 2


def test_rows_of_a_composite_can_be_locked(plan: Control, client: Any) -> None:
    plan.set([{"kind": "lock", "on": "composite", "once": True, "rows": 1}])
    part = {
        "method": "PATCH",
        "url": f"/services/data/v62.0/{COLLECTIONS}",
        "referenceId": "one",
        "body": {"records": [{"attributes": {"type": ORDER}, KEY: "part-1"}]},
    }

    answer = client.call("POST", "composite", json={"compositeRequest": [part]}).json()

    item = answer["compositeResponse"][0]["body"][0]
    assert item["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert value(client, "part-1", "Id") is None


def test_an_answer_can_lack_its_charset(plan: Control, client: Any) -> None:
    plan.set([{"kind": "no-charset", "on": "query", "once": True}])
    query = {"q": f"SELECT Id FROM {ORDER} LIMIT 1"}  # noqa: S608

    first, second = (client.call("GET", "query", params=query) for _ in range(2))

    assert first.headers["Content-Type"] == "application/json"
    assert second.headers["Content-Type"] == "application/json;charset=UTF-8"


def test_a_held_row_is_waited_for_then_refused(plan: Control, client: Any) -> None:
    made = client.upsert([{KEY: "held"}, {KEY: "free"}]).json()[0]["id"]
    plan.set([], wait_s=0.3)
    assert plan.hold(ORDER, "held", 60) == [made]
    started = time.monotonic()

    answer = client.upsert([{KEY: "held", "Currency__c": "EUR"}, {KEY: "free"}])
    waited = time.monotonic() - started

    text = f"unable to obtain exclusive access to this record or 1 records: {made}"
    assert 0.3 <= waited < 3
    assert codes(answer) == ["UNABLE_TO_LOCK_ROW", None]
    assert answer.json()[0]["errors"][0]["message"] == text
    assert value(client, "held") is None


def test_a_held_row_stops_nobody_else_and_is_written_when_it_is_free(
    plan: Control, client: Any
) -> None:
    client.upsert([{KEY: "busy"}])
    plan.set([], wait_s=10)
    plan.hold(ORDER, "busy", 0.6)
    started = time.monotonic()
    answers: list[requests.Response] = []
    waiting = threading.Thread(
        target=lambda: answers.append(client.upsert([{KEY: "busy", "Currency__c": "EUR"}]))
    )
    waiting.start()

    other = client.org.login().upsert([{KEY: "elsewhere"}])
    other_took = time.monotonic() - started
    waiting.join(10)

    assert other.json()[0]["success"] is True
    assert codes(answers[0]) == [None]
    assert value(client, "busy") == "EUR"
    assert time.monotonic() - started >= 0.6
    assert other_took < time.monotonic() - started


def test_held_rows_are_let_go_with_the_plan(plan: Control, client: Any) -> None:
    client.upsert([{KEY: "let go"}])
    plan.set([], wait_s=0)
    plan.hold(ORDER, "let go", 60)

    held = client.upsert([{KEY: "let go"}])
    plan.clear()
    plan.set([], wait_s=0)
    free = client.upsert([{KEY: "let go"}])

    assert [codes(held), codes(free)] == [["UNABLE_TO_LOCK_ROW"], [None]]


def test_a_row_that_does_not_exist_cannot_be_held(plan: Control) -> None:
    with pytest.raises(SetupError, match="external_id"):
        plan.hold(ORDER, "no such row", 1)
    with pytest.raises(SetupError, match="object"):
        plan.hold("Nothing__c", "no such row", 1)


def test_faults_hit_their_own_surface_only(plan: Control, client: Any) -> None:
    surfaces = ["collections", "composite", "query", "delete", "describe", "bulk", "login"]
    plan.set([{"kind": "error-503", "on": surface, "once": True} for surface in surfaces])
    made = client.upsert([{KEY: "surface"}])
    calls = {
        "composite": ("POST", "composite"),
        "query": ("GET", "query?q=SELECT+Id+FROM+Commerce_Order__c"),
        "delete": ("DELETE", "composite/sobjects?ids=a00RO0000000001"),
        "describe": ("GET", f"sobjects/{ORDER}/describe"),
        "bulk": ("GET", "jobs/ingest"),
    }

    before = client.call("GET", "limits")
    answers = {on: client.call(*call).status_code for on, call in calls.items()}
    login = client.http.post(f"{client.org.url}/services/oauth2/token", data={}, timeout=10)

    assert made.status_code == 503
    assert before.status_code == 200
    assert answers == dict.fromkeys(calls, 503)
    assert login.status_code == 503
    assert [fault["fired"] for fault in plan.state()["faults"]] == [1] * len(surfaces)


def statuses(client: Any, calls: int = 12) -> list[int]:
    return [client.call("GET", "limits").status_code for _ in range(calls)]


WHEN = {
    "once": ({"once": True}, [1]),
    "at": ({"at": 3}, [3]),
    "every": ({"every": 5}, [5, 10]),
    "every, capped": ({"every": 2, "times": 3}, [2, 4, 6]),
}


@pytest.mark.parametrize("name", WHEN)
def test_the_calls_that_a_fault_hits_can_be_numbered(plan: Control, client: Any, name: str) -> None:
    when, hit = WHEN[name]
    plan.set([{"kind": "error-502", "on": "any", **when}])

    found = statuses(client)

    assert [n for n, status in enumerate(found, 1) if status == 502] == hit
    assert plan.state()["faults"][0] == {
        "kind": "error-502",
        "on": "any",
        **when,
        "calls": 12,
        "fired": len(hit),
    }


def test_the_same_seed_hits_the_same_calls_and_rows(plan: Control, client: Any) -> None:
    faults = [
        {"kind": "error-502", "on": "any", "probability": 0.4},
        {"kind": "partial", "on": "collections", "every": 1, "rows": 0.2},
    ]

    def run(seed: int) -> list[Any]:
        plan.set(faults, seed=seed)
        found: list[Any] = list(statuses(client))
        answers = [client.upsert([{KEY: f"seed-{n}"} for n in range(20)]) for _ in range(4)]
        return found + [codes(a) if a.status_code == 200 else a.status_code for a in answers]

    first, same, other = run(1), run(1), run(2)

    assert first == same
    assert first != other
    assert {200, 502} <= set(first[:12])


def test_one_fault_hits_a_call_and_one_that_was_due_comes_next(plan: Control, client: Any) -> None:
    plan.set(
        [
            {"kind": "error-502", "on": "any", "at": 2},
            {"kind": "error-503", "on": "any", "at": 2},
            {"kind": "error-500", "on": "any", "every": 3, "times": 1},
        ]
    )

    assert statuses(client, 5) == [200, 502, 503, 500, 200]


def test_a_plan_that_is_cleared_hits_nothing(plan: Control, client: Any) -> None:
    plan.set([{"kind": "error-502", "on": "any", "every": 1}])
    assert statuses(client, 2) == [502, 502]

    left = plan.clear()

    assert left["faults"] == []
    assert statuses(client, 2) == [200, 200]


def test_a_plan_with_a_mistake_changes_nothing(plan: Control, client: Any) -> None:
    plan.set([{"kind": "error-502", "on": "any", "every": 1}])

    with pytest.raises(SetupError, match=r"faults\[1\]\.kind: must be one of: unauthorised"):
        plan.set([{"kind": "slow", "on": "any", "once": True}, {"kind": "x", "on": "any"}])

    assert statuses(client, 1) == [502]


def test_the_log_names_the_fault_and_no_data(plan: Control, client: Any) -> None:
    plan.set([{"kind": "reset-after", "on": "collections", "once": True}])
    with pytest.raises(requests.ConnectionError):
        client.upsert([{KEY: "canary-7"}])

    log = (client.org.home / "sandbox/access.log").read_text()

    assert '"status": 0' in log
    assert '"fault": "reset-after"' in log
    assert "canary-7" not in log


def test_a_silent_connection_is_held_for_everybody_else_alone(plan: Control, client: Any) -> None:
    plan.set([{"kind": "late-commit", "on": "collections", "once": True, "seconds": 0.1}])
    url, body = upsert(client, "quiet-1", "EUR")
    path = url.removeprefix(client.org.url)
    head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    with socket.create_connection(("127.0.0.1", client.org.port), timeout=1) as wire:
        wire.sendall(request)
        soon(lambda: value(client, "quiet-1") == "EUR")  # carried out, and still not answered
        wire.settimeout(0.3)
        with pytest.raises(TimeoutError):
            wire.recv(1)
