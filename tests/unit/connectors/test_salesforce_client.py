"""A call ends in time, logs in again once, and lets none of the org's texts out."""

import json
import time
import traceback
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from connectors.salesforce.access import Access
from connectors.salesforce.client import CallRetry, OrgClient
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import (
    BodyRefusedError,
    OrgUnavailableError,
    RequestRefusedError,
    SessionRefusedError,
)
from schemas.errors import HaltError

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
ROW = {KEY: "tok_canary"}
DONE = (200, [{"id": "a00", "success": True, "errors": [], "created": True}])
EXPIRED = (401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])


class Script(HTTPAdapter):
    """Gives the answers it was told to, in turn; every login succeeds."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)
        self.seen: list[requests.PreparedRequest] = []
        self.options: list[dict[str, Any]] = []
        self.logins = 0
        self.headers: dict[str, str] = {}  # of every answer

    def send(self, request: requests.PreparedRequest, *_: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        if request.url.endswith("/services/oauth2/token"):
            self.logins += 1
            return self.answer(request, 200, {"access_token": f"00D!{self.logins}"})
        if request.url.endswith("/limits"):
            return self.answer(request, 200, {})
        self.seen.append(request)
        self.options.append(kwargs)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return self.answer(request, *answer)

    def answer(
        self, request: requests.PreparedRequest, status: int, body: object
    ) -> requests.Response:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        headers = dict(self.headers)
        if 300 <= status < 400:
            headers["Location"] = "https://elsewhere.example/"
        raw = HTTPResponse(BytesIO(content), headers, status, preload_content=False)
        return self.build_response(request, raw)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SalesforceConfig:
    path = tmp_path_factory.mktemp("app") / "app.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return SalesforceConfig(
        instance_url="https://org.example:8443",
        consumer_key="3MVG9",
        username="integration.eu@homeport.example",
        private_key_file=path,
    )


def open_client(config: SalesforceConfig, script: Script, deadline_s: float = 30) -> OrgClient:
    session = requests.Session()
    session.mount("https://", script)
    retry = CallRetry(deadline_s=deadline_s, first_wait_s=0, max_wait_s=0)
    return OrgClient(config, "eu", session=session, retry=retry)


def test_an_upsert_is_one_collections_request_that_names_its_region(
    config: SalesforceConfig,
) -> None:
    script = Script(DONE)

    (result,) = open_client(config, script).upsert(ORDER, KEY, [ROW])

    assert result.success
    assert result.created
    (request,) = script.seen
    assert request.method == "PATCH"
    assert request.url == (
        "https://org.example:8443/services/data/v62.0/composite/sobjects/"
        "Commerce_Order__c/External_Id__c"
    )
    assert request.headers["Sforce-Call-Options"] == "client=homeport-eu"
    assert request.headers["Authorization"] == "Bearer 00D!1"
    assert request.headers["Content-Type"] == "application/json"
    assert "X-PrettyPrint" not in request.headers
    connect_s, read_s = script.options[0]["timeout"]
    assert connect_s == 5
    assert 29 < read_s <= 30  # no longer than the call may take in all


def test_a_dead_session_is_renewed_once_and_the_new_one_is_kept(config: SalesforceConfig) -> None:
    script = Script(DONE, EXPIRED, DONE, DONE)
    client = open_client(config, script)

    for _ in range(3):
        client.upsert(ORDER, KEY, [ROW])

    tokens = [request.headers["Authorization"][-1] for request in script.seen]
    assert tokens == ["1", "1", "2", "2"]
    assert script.seen[2].body == script.seen[1].body
    assert script.seen[2].headers["Sforce-Call-Options"] == "client=homeport-eu"


@pytest.mark.parametrize("answer", [EXPIRED, (401, "<html>edge</html>"), (401, {"a": 1})])
def test_a_session_refused_as_soon_as_it_opens_halts(
    config: SalesforceConfig, answer: tuple[int, Any]
) -> None:
    script = Script(*[answer] * 6)

    with pytest.raises(SessionRefusedError, match="a session it has just opened"):
        open_client(config, script).upsert(ORDER, KEY, [ROW])

    assert script.logins == 4, "the first, and three that were refused"


@pytest.mark.parametrize(
    "message",
    [
        "This session is not valid for use with the REST API",
        "Connected app is not attached to Agent",
    ],
)
def test_a_refusal_that_a_login_cannot_mend_causes_none(
    config: SalesforceConfig, message: str
) -> None:
    script = Script((401, [{"message": message, "errorCode": "INVALID_SESSION_ID"}]))

    with pytest.raises(SessionRefusedError, match="give the user API access"):
        open_client(config, script).upsert(ORDER, KEY, [ROW])

    assert script.logins == 1


PASSING = [
    requests.ConnectionError("tok_canary"),
    requests.ReadTimeout("tok_canary"),
    requests.exceptions.ChunkedEncodingError("tok_canary"),
    requests.exceptions.SSLError("EOF occurred in violation of protocol"),
    (500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": "tok_canary"}]),
    (502, "<html>tok_canary</html>"),
    (503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "Server too busy"}]),
    (429, ""),
    (420, ""),
    (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests"}]),
    (200, "[{"),
    (200, "7"),
    (200, []),
    (204, ""),
]


@pytest.mark.parametrize("answer", PASSING, ids=str)
def test_a_passing_fault_is_tried_again_and_given_up_at_the_deadline(
    config: SalesforceConfig, answer: Any
) -> None:
    (result,) = open_client(config, Script(answer, DONE)).upsert(ORDER, KEY, [ROW])
    assert result.success

    with pytest.raises(OrgUnavailableError) as caught:
        open_client(config, Script(answer), deadline_s=0).upsert(ORDER, KEY, [ROW])

    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


REFUSED = [
    (400, "INVALID_FIELD", RequestRefusedError, "deploy the field"),
    (404, "NOT_FOUND", RequestRefusedError, "deploy the object"),
    (403, "API_DISABLED_FOR_ORG", RequestRefusedError, "turn on API access"),
    (403, "UNKNOWN", RequestRefusedError, "HTTP 403 UNKNOWN"),
    (410, "UNKNOWN", RequestRefusedError, "HTTP 410 UNKNOWN"),
    (302, "UNKNOWN", RequestRefusedError, "HTTP 302 UNKNOWN"),
    (307, "UNKNOWN", RequestRefusedError, "HTTP 307 UNKNOWN"),
    (400, "JSON_PARSER_ERROR", BodyRefusedError, "JSON_PARSER_ERROR"),
    (400, "REQUEST_RUNNING_TOO_LONG", BodyRefusedError, "REQUEST_RUNNING"),  # fewer may be quick
    (400, "UNABLE_TO_LOCK_ROW", BodyRefusedError, "UNABLE_TO_LOCK_ROW"),
    (413, "UNKNOWN", BodyRefusedError, "UNKNOWN"),
]


@pytest.mark.parametrize(("status", "code", "kind", "text"), REFUSED)
def test_a_lasting_refusal_is_told_at_once_without_the_orgs_words(
    config: SalesforceConfig, status: int, code: str, kind: type[HaltError], text: str
) -> None:
    script = Script((status, [{"errorCode": code, "message": "No tok_canary"}]))

    with pytest.raises(kind, match=text) as caught:
        open_client(config, script).upsert(ORDER, KEY, [ROW])

    assert type(caught.value) is kind
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
    assert len(script.seen) == 1, "no retry, and no redirect followed"


def test_a_certificate_we_do_not_trust_halts(config: SalesforceConfig) -> None:
    fault = requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")

    with pytest.raises(HaltError, match="not signed by an authority in ca_file"):
        open_client(config, Script(fault)).upsert(ORDER, KEY, [ROW])


@pytest.mark.parametrize("name", ["", "../Account", "A/B", "Ä__c", "1x"])
def test_a_name_never_bends_the_path(config: SalesforceConfig, name: str) -> None:
    client = open_client(config, Script())

    with pytest.raises(HaltError):
        client.upsert(name, KEY, [ROW])
    with pytest.raises(HaltError):
        client.upsert(ORDER, name, [ROW])
    with pytest.raises(HaltError):
        client.describe(name)


def test_more_rows_than_salesforce_takes_are_our_mistake(config: SalesforceConfig) -> None:
    with pytest.raises(ValueError, match="201 rows"):
        open_client(config, Script()).upsert(ORDER, KEY, [ROW] * 201)


def page(url: str | None, *totals: str) -> tuple[int, str]:
    rows = ",".join(f'{{"attributes": {{}}, "Total__c": {total}}}' for total in totals)
    more = f', "nextRecordsUrl": "{url}"' if url else ""
    done = "false" if url else "true"
    return 200, f'{{"totalSize": 3, "done": {done}{more}, "records": [{rows}]}}'


def test_a_query_yields_every_page_and_exact_numbers(config: SalesforceConfig) -> None:
    script = Script(
        page("/services/data/v62.0/query/01g-2", "1.10", "2"),
        (503, ""),
        page(None, "9999999999999999.99"),
    )

    rows = list(open_client(config, script).query_all("SELECT Total__c FROM Commerce_Order__c"))

    totals = [row["Total__c"] for row in rows]
    assert rows[0].keys() == {"Total__c"}
    assert totals == [Decimal("1.10"), 2, Decimal("9999999999999999.99")]
    assert [request.url for request in script.seen][1:] == [
        "https://org.example:8443/services/data/v62.0/query/01g-2"
    ] * 2


@pytest.mark.parametrize(
    "answer",
    [
        page("https://elsewhere.example/query/01g"),
        page("/services/data/v62.0/sobjects"),
        (200, {"done": False, "records": []}),
        (200, {"records": []}),
        (200, {"done": True}),
        (400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": ""}]),
    ],
)
def test_a_query_that_cannot_be_finished_never_looks_finished(
    config: SalesforceConfig, answer: tuple[int, Any]
) -> None:
    with pytest.raises(OrgUnavailableError):
        list(open_client(config, Script(answer), deadline_s=0).query_all("SELECT Id FROM X"))


def test_a_refused_query_halts_without_showing_it(config: SalesforceConfig) -> None:
    script = Script((400, [{"errorCode": "MALFORMED_QUERY", "message": "near tok_canary"}]))

    with pytest.raises(RequestRefusedError) as caught:
        list(open_client(config, script).query_all("SELECT tok_canary"))

    text = "query rows: Salesforce refuses with MALFORMED_QUERY; the query is ours to mend"
    assert str(caught.value) == text
    assert caught.value.__context__ is None


SPENT = (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}])


def test_when_the_days_calls_are_used_up_none_is_made_for_a_while(
    config: SalesforceConfig,
) -> None:
    script = Script(SPENT, DONE)
    client = open_client(config, script, deadline_s=0.5)

    with pytest.raises(OrgUnavailableError, match="share of the org's API calls"):
        client.upsert(ORDER, KEY, [ROW])

    assert len(script.seen) == 1


def test_an_org_that_is_out_is_left_alone_until_the_breaker_closes(
    config: SalesforceConfig,
) -> None:
    script = Script(*[(503, "<html>")] * 8, DONE)
    client = open_client(config, script, deadline_s=0.5)

    with pytest.raises(OrgUnavailableError, match="did not answer 8 calls in a row"):
        client.upsert(ORDER, KEY, [ROW])

    assert len(script.seen) == 8


def test_the_org_may_say_how_long_to_wait(config: SalesforceConfig) -> None:
    script = Script((429, "<html>"), DONE)
    script.headers = {"Retry-After": "1"}
    began = time.monotonic()

    (result,) = open_client(config, script).upsert(ORDER, KEY, [ROW])

    assert result.success
    assert time.monotonic() - began >= 1


def test_clients_that_share_their_access_log_in_once(config: SalesforceConfig) -> None:
    script = Script(DONE, DONE)
    session = requests.Session()
    session.mount("https://", script)
    access = Access(config, session=session)

    for client in [OrgClient(config, "eu", access=access) for _ in range(2)]:
        client.upsert(ORDER, KEY, [ROW])

    assert script.logins == 1
