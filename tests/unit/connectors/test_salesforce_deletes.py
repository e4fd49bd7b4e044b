"""A record that deletes leaves no row, keeps its turn among its id's records, has one outcome."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from connectors.salesforce.client import CallRetry, OrgClient
from connectors.salesforce.codes import Handling, OrgError
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import OrgUnavailableError
from connectors.salesforce.outcome import Result
from connectors.salesforce.rows import RowResult
from connectors.salesforce.sink import SalesforceSink
from schemas.errors import HaltError
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RecordId

ORDER, CUSTOMER, KEY = "Commerce_Order__c", "Commerce_Customer__c", "External_Id__c"


@dataclass
class Rows:
    """An org of rows alone.

    Attributes:
        rows: (object, external id) -> the version that wrote it.
        requests: What came: the ids of an upsert, or the one id of a deletion.
        refusals: External id -> what its deletions meet, in turn.

    """

    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    requests: list[tuple[str, ...]] = field(default_factory=list)
    refusals: dict[str, list[OrgError]] = field(default_factory=dict)

    def upsert(
        self, sobject: str, key_field: str, rows: Sequence[Mapping[str, Any]]
    ) -> list[RowResult]:
        self.requests.append(tuple(row[key_field] for row in rows))
        for row in rows:
            self.rows[sobject, row[key_field]] = row["Base_Version__c"]
        return [RowResult(success=True, created=False) for _ in rows]

    def delete(self, sobject: str, _key_field: str, key: str) -> RowResult:
        self.requests.append((key,))
        if refusals := self.refusals.get(key):
            return RowResult.refused(refusals.pop(0))
        self.rows.pop((sobject, key), None)
        return RowResult(success=True, created=False)


def logged(offset: int, sobject: str, key: str, *, deletes: bool) -> LoggedRecord:
    at = RecordId(Coordinates("eu.commerce.orders.v1", 0, offset))
    record = MinimalRecord(at, sobject, key, offset, 1, "", 1, b"", deletes)
    return LoggedRecord(record, offset, {KEY: key, "Base_Version__c": offset})


STEPS = st.tuples(st.sampled_from([ORDER, CUSTOMER]), st.sampled_from("abc"), st.booleans())


@given(st.lists(STEPS, max_size=30))
def test_rows_are_written_and_deleted_in_the_order_of_their_records(
    steps: list[tuple[str, str, bool]],
) -> None:
    batch = [logged(n, sobject, key, deletes=d) for n, (sobject, key, d) in enumerate(steps)]
    wanted: dict[tuple[str, str], int] = {}
    for offset, (sobject, key, deletes) in enumerate(steps):
        wanted.pop((sobject, key), None)
        if not deletes:
            wanted[sobject, key] = offset
    org = Rows()

    outcomes = SalesforceSink(org).write(batch)

    assert [outcome.record for outcome in outcomes] == batch
    assert {outcome.result for outcome in outcomes} <= {Result.ACCEPTED}
    assert org.rows == wanted


def test_rows_to_write_still_share_a_request_beside_rows_to_delete() -> None:
    org = Rows()

    SalesforceSink(org).write([logged(n, ORDER, str(n), deletes=n == 1) for n in range(4)])

    assert org.requests == [("0", "2", "3"), ("1",)]


def test_a_deletion_the_org_refuses_is_tried_again_or_rejected_with_its_code() -> None:
    race = OrgError("UNKNOWN_EXCEPTION", (), Handling.RACE)
    final = OrgError("DELETE_FAILED", (), Handling.REJECT)
    org = Rows(refusals={"a": [race], "b": [final]})
    batch = [logged(n, ORDER, key, deletes=True) for n, key in enumerate("ab")]

    outcomes = SalesforceSink(org, sleep=lambda _s: None).write(batch)

    assert [(o.result, o.code) for o in outcomes] == [
        (Result.ACCEPTED, None),
        (Result.REJECTED, "DELETE_FAILED"),
    ]
    assert org.requests == [("a",), ("b",), ("a",)]


class Script(HTTPAdapter):
    """Gives the answers it was told to, in turn; every login succeeds."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)
        self.seen: list[str] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        assert request.url is not None
        if request.url.endswith("/services/oauth2/token"):
            return self.answer(request, 200, {"access_token": "00D!1"})
        self.seen.append(f"{request.method} {request.url.partition('/sobjects/')[2]}")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return self.answer(request, *answer)

    def answer(
        self, request: requests.PreparedRequest, status: int, body: object
    ) -> requests.Response:
        content = b"" if body is None else json.dumps(body).encode()
        return self.build_response(
            request, HTTPResponse(BytesIO(content), status=status, preload_content=False)
        )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SalesforceConfig:
    path = tmp_path_factory.mktemp("app") / "app.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return SalesforceConfig(
        instance_url="https://org.example",
        consumer_key="3MVG9",
        username="integration.eu@homeport.example",
        private_key_file=path,
    )


def delete(config: SalesforceConfig, script: Script, key: str = "tok_canary") -> RowResult:
    session = requests.Session()
    session.mount("https://", script)
    retry = CallRetry(deadline_s=30, first_wait_s=0, max_wait_s=0)
    return OrgClient(config, "eu", session=session, retry=retry).delete(ORDER, KEY, key)


DONE = (204, None)
ABSENT = (404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])
DESCRIBED = (200, {"fields": [{"name": KEY}]})


def test_a_deletion_names_the_row_by_its_external_id_alone(config: SalesforceConfig) -> None:
    script = Script(DONE)

    result = delete(config, script, "a/b?c")

    assert result.success
    assert script.seen == [f"DELETE {ORDER}/{KEY}/a%2Fb%3Fc"]


def test_a_row_that_is_not_there_is_deleted_already(config: SalesforceConfig) -> None:
    script = Script(requests.ConnectionError(), ABSENT, DESCRIBED)  # the first try's answer is lost

    assert delete(config, script).success

    assert script.seen[2] == f"GET {ORDER}/describe"


@pytest.mark.parametrize("described", [ABSENT, (200, {"fields": [{"name": "Name"}]})])
def test_a_row_we_may_not_see_is_not_taken_for_deleted(
    config: SalesforceConfig, described: tuple[int, Any]
) -> None:
    with pytest.raises(HaltError, match="NOT_FOUND") as caught:
        delete(config, Script(ABSENT, described))

    assert "tok_canary" not in str(caught.value)


def test_a_user_who_may_not_delete_stops_the_worker(config: SalesforceConfig) -> None:
    code = "INSUFFICIENT_ACCESS_OR_READONLY"
    script = Script((403, [{"errorCode": code, "message": "tok_canary"}]))

    with pytest.raises(HaltError, match=f"{code}; let the permission set .*delete"):
        delete(config, script)


def test_a_row_that_something_holds_on_to_is_refused_with_the_code(
    config: SalesforceConfig,
) -> None:
    script = Script((400, [{"errorCode": "DELETE_FAILED", "message": "tok_canary"}]))

    result = delete(config, script)

    assert (result.success, result.code, result.handling) == (
        False,
        "DELETE_FAILED",
        Handling.REJECT,
    )


def test_a_locked_row_is_waited_for_and_then_handed_back(config: SalesforceConfig) -> None:
    locked = (400, [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "tok_canary"}])
    session = requests.Session()
    session.mount("https://", Script(locked))
    retry = CallRetry(deadline_s=0, first_wait_s=0, max_wait_s=0)

    with pytest.raises(OrgUnavailableError, match="UNABLE_TO_LOCK_ROW"):
        OrgClient(config, "eu", session=session, retry=retry).delete(ORDER, KEY, "tok_canary")
