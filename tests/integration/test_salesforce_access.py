"""Logging in to the test org and being refused by it: which app, how often, what is learnt."""

import gzip
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from org_process import KEY, ORDER, FaultPlan, client_of, running_org
from requests.adapters import HTTPAdapter

from connectors.embedded.pki import ensure_app, write_apps
from connectors.salesforce.access import Access
from connectors.salesforce.auth import open_session
from connectors.salesforce.budget import Budget
from connectors.salesforce.client import CallRetry, OrgClient
from connectors.salesforce.config import App, SalesforceConfig
from connectors.salesforce.errors import (
    LoginRefusedError,
    OrgRestedError,
    OrgUnavailableError,
    SessionRefusedError,
)
from connectors.salesforce.refusals import Call
from connectors.sandbox.logins.apps import change_app, new_secret

EU = "Region_Sink_EU"
ROW = {KEY: "a-a", "Status__c": "placed"}
CALL = Call("read", "limits", "GET", "limits")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[tuple[SalesforceConfig, FaultPlan]]:
    with running_org(home, "--faults") as config:
        yield replace(config, read_timeout_s=1.0), FaultPlan(home, config)


@pytest.fixture
def org(running: tuple[SalesforceConfig, FaultPlan]) -> Iterator[SalesforceConfig]:
    running[1].clear()
    yield running[0]
    running[1].clear()


@pytest.fixture
def faults(running: tuple[SalesforceConfig, FaultPlan]) -> FaultPlan:
    return running[1]


class Watching(HTTPAdapter):
    """Keeps what was sent.

    Attributes:
        sent: Requests, in order.

    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        self.sent.append(request)
        return super().send(request, *args, **kwargs)

    @property
    def logins(self) -> int:
        return sum((one.url or "").endswith("/oauth2/token") for one in self.sent)


def test_client_credentials_let_us_write(org: SalesforceConfig, home: Path, tmp_path: Path) -> None:
    key, secret = new_secret(home, EU)
    file = tmp_path / "secret"
    file.write_text(secret)
    file.chmod(0o600)
    config = replace(
        org, consumer_key=key, private_key_file=None, client_secret_file=file, username=""
    )

    (result,) = client_of(config).upsert(ORDER, KEY, [ROW])

    assert result.success


def test_a_certificate_is_rotated_by_a_second_app_without_a_stop(
    org: SalesforceConfig, home: Path
) -> None:
    other = replace(ensure_app(home, "uk"), username=org.username)
    write_apps(home, [other])
    standby = App(consumer_key=other.consumer_key, private_key_file=other.private_key_file)
    watching = Watching()
    client = client_of(replace(org, standby=(standby,)), watching)
    client.upsert(ORDER, KEY, [ROW])

    change_app(home, EU, lambda app: replace(app, blocked=True))  # ends its sessions, too
    try:
        (result,) = client.upsert(ORDER, KEY, [ROW])
    finally:
        change_app(home, EU, lambda app: replace(app, blocked=False))

    assert result.success
    assert watching.logins == 3, "the first, the one that was refused, the standby's"


def test_a_blocked_app_that_stands_alone_halts_with_the_reason(
    org: SalesforceConfig, home: Path
) -> None:
    change_app(home, EU, lambda app: replace(app, blocked=True))
    try:
        with pytest.raises(LoginRefusedError, match="OAUTH_APP_BLOCKED; an administrator"):
            client_of(org).send(CALL)
    finally:
        change_app(home, EU, lambda app: replace(app, blocked=False))


def test_threads_that_share_the_way_in_log_in_once_when_the_session_ends(
    org: SalesforceConfig, faults: FaultPlan
) -> None:
    watching, session = Watching(), open_session(org)
    session.mount("https://", watching)
    access = Access(org, session=session)
    clients = [OrgClient(org, "eu", access=access) for _ in range(4)]
    for client in clients:
        client.send(CALL)
    faults.set({"kind": "expired-session", "on": "any", "once": True})

    threads = [threading.Thread(target=client.send, args=(CALL,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert watching.logins == 2


def test_a_refusal_of_good_sessions_that_lasts_ends(
    org: SalesforceConfig, faults: FaultPlan
) -> None:
    faults.set({"kind": "unauthorised", "on": "any", "every": 1})
    watching = Watching()

    with pytest.raises(SessionRefusedError):
        client_of(org, watching).send(CALL)

    assert watching.logins <= 5


def test_a_burst_of_refused_sessions_is_outlasted(org: SalesforceConfig, faults: FaultPlan) -> None:
    faults.set({"kind": "unauthorised", "on": "collections", "every": 1, "times": 3})

    (result,) = client_of(org).upsert(ORDER, KEY, [ROW])

    assert result.success


@pytest.mark.parametrize(
    ("kind", "is_unknown"),
    [
        ("reset-before", True),
        ("reset-after", True),
        ("timeout-after", True),
        ("error-502", True),
        ("too-many-requests", False),
        ("request-limit", False),
    ],
)
def test_an_error_says_whether_the_request_may_still_be_carried_out(
    org: SalesforceConfig, faults: FaultPlan, kind: str, is_unknown: bool
) -> None:
    waits = {"seconds": 3} if kind == "timeout-after" else {}
    client = client_of(org, deadline_s=0)
    client.send(CALL)
    faults.set({"kind": kind, "on": "collections", "every": 1, **waits})

    with pytest.raises(OrgUnavailableError) as caught:
        client.upsert(ORDER, KEY, [ROW])

    assert caught.value.fate_unknown is is_unknown


def test_a_success_after_a_try_that_was_lost_says_so(
    org: SalesforceConfig, faults: FaultPlan
) -> None:
    client = client_of(org)
    client.send(CALL)  # also logs in, and asks for limits
    faults.set({"kind": "reset-after", "on": "any", "once": True})

    first, second = client.send(CALL), client.send(CALL)

    assert (first.fate_unknown, second.fate_unknown) == (True, False)


def test_an_org_that_is_away_is_left_alone_and_the_error_says_until_when(
    org: SalesforceConfig,
) -> None:
    away = replace(org, instance_url="https://127.0.0.1:1")
    client = client_of(away)

    with pytest.raises(OrgRestedError) as caught:
        client.send(CALL)

    assert 0 < caught.value.again_in_s <= 30
    assert not caught.value.fate_unknown, "there was never a connection"


def test_a_large_body_goes_packed_and_arrives(org: SalesforceConfig) -> None:
    watching = Watching()
    rows = [{KEY: f"g-{number}", "Status__c": "placed"} for number in range(200)]

    results = client_of(replace(org, gzip_from=1_000), watching).upsert(ORDER, KEY, rows)

    assert all(result.success for result in results)
    body = watching.sent[-1].body
    assert isinstance(body, bytes)
    assert len(body) < len(gzip.decompress(body)) / 5


def test_a_raw_call_has_bytes_status_and_headers(org: SalesforceConfig) -> None:
    answer = client_of(org).send(replace(CALL, raw=True))

    assert answer.status == 200
    assert answer.content.startswith(b'{"DailyApiRequests"')
    assert "api-usage=" in answer.headers["sforce-limit-info"]


def test_the_orgs_limits_are_known_from_the_start_and_a_share_that_is_used_up_costs_no_call(
    org: SalesforceConfig,
) -> None:
    watching, session = Watching(), open_session(org)
    session.mount("https://", watching)
    budget = Budget(share=0.00001)  # one call of 100,000
    retry = CallRetry(deadline_s=5, first_wait_s=0.01, max_wait_s=0.1)
    access = Access(org, session=session, budget=budget)
    client = OrgClient(org, "eu", access=access, retry=retry)
    client.send(CALL)
    client.send(CALL)  # one call in a while may ask whether there are more
    sent = len(watching.sent)

    with pytest.raises(OrgRestedError, match="its share of the org's API calls"):
        client.send(CALL)

    assert len(watching.sent) == sent
    assert client.budget.is_tight
    assert client.budget.left == 0
