"""The sink against the local test org, over TLS: rows right, none twice, whatever breaks.

Faults of the network are played between client and org, so that the org really commits, or
really does not, before the answer is lost.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from org_process import (
    CUSTOMER,
    KEY,
    ORDER,
    client_of,
    deletion,
    logged,
    running_org,
    versions,
)
from requests.adapters import HTTPAdapter

from connectors.embedded.pki import ensure_ca
from connectors.salesforce.auth import open_session
from connectors.salesforce.client import OrgClient
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import LoginRefusedError
from connectors.salesforce.options import SinkOptions
from connectors.salesforce.outcome import Outcome, Result
from connectors.salesforce.sink import SalesforceSink
from schemas.errors import HaltError, RetriableError
from schemas.events import LoggedRecord

WRITES = 6  # calls of `batch_of`
PLACED = datetime(2026, 11, 23, 8, 15, 30, tzinfo=UTC)  # orgs keep whole seconds


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SalesforceConfig]:
    with running_org(tmp_path_factory.mktemp("home")) as config:
        yield config


class LossyNetwork(HTTPAdapter):
    """Loses the request (before the org sees it) or the answer (after) of one write.

    Attributes:
        writes: How many writes were tried.

    """

    def __init__(self, lose: str = "", at: int = -1) -> None:
        super().__init__()
        self.lose = lose
        self.at = at
        self.writes = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        is_write = "/composite" in str(request.url)
        hit = is_write and self.writes == self.at
        self.writes += is_write
        if hit and self.lose == "request":
            raise requests.ConnectionError
        response = super().send(request, *args, **kwargs)
        if hit and self.lose == "answer":
            assert response.content  # the org has committed
            raise requests.ReadTimeout
        return response


def open_sink(client: OrgClient, **options: Any) -> SalesforceSink:
    """Return a sink of an org that no earlier run of ours can have asked anything."""
    return SalesforceSink(client, options=SinkOptions(**options), settled=True)


def open_small_sink(client: OrgClient) -> SalesforceSink:
    """Return a sink of small calls, that waits for none whose answer is lost."""
    return open_sink(client, fate_s=0, max_bytes=13_000)


def batch_of(prefix: str) -> list[LoggedRecord]:
    """Return 206 records of 202 rows, on two objects, that take `WRITES` calls of a small sink."""
    keys = [(ORDER, f"{prefix}o{i}") for i in range(201)]
    keys += [(ORDER, f"{prefix}o7"), (ORDER, f"{prefix}O7"), (CUSTOMER, f"{prefix}c1")]
    keys += [(ORDER, f"{prefix}o7")]
    batch = [
        logged(i, sobject, key, Region__c="eu", Last_Event_At__c=PLACED + timedelta(seconds=i))
        for i, (sobject, key) in enumerate(keys)
    ]
    anew = f"{prefix}o8"
    return [*batch, deletion(300, ORDER, anew), logged(301, ORDER, anew, Region__c="uk")]


def assert_rows_are_the_last_of(batch: list[LoggedRecord], client: OrgClient, prefix: str) -> None:
    for sobject in (ORDER, CUSTOMER):
        last = {
            record.record.external_id: record.record.version
            for record in batch
            if record.record.object == sobject
        }
        assert versions(client, sobject, prefix) == sorted(last.items())


def results(outcomes: list[Outcome]) -> set[Result]:
    return {outcome.result for outcome in outcomes}


def test_values_come_back_as_they_were_sent(org: SalesforceConfig) -> None:
    client = client_of(org)
    sink = open_sink(client)

    (first,) = sink.write(
        [
            logged(
                1,
                ORDER,
                "v-a",
                Total__c=Decimal("1234567.80"),
                Placed_At__c=PLACED,
                Status__c="placed",
            )
        ]
    )
    (second,) = sink.write([logged(2, ORDER, "v-a", Status__c=None)])

    assert (first.created, second.created) == (True, False)
    soql = f"SELECT Total__c, Placed_At__c, Status__c FROM {ORDER} WHERE {KEY} = 'v-a'"  # noqa: S608
    (row,) = client.query_all(soql)
    assert row["Total__c"] == Decimal("1234567.80")
    assert row["Placed_At__c"] == "2026-11-23T08:15:30.000+0000"
    assert row["Status__c"] is None


@pytest.mark.parametrize("at", range(WRITES))
@pytest.mark.parametrize("lose", ["request", "answer"])
def test_a_message_lost_at_any_call_loses_and_doubles_no_row(
    org: SalesforceConfig, lose: str, at: int
) -> None:
    prefix = f"l-{lose}-{at}-"
    network = LossyNetwork(lose, at)
    client = client_of(org, network)

    outcomes = open_small_sink(client).write(batch_of(prefix))

    assert network.writes == WRITES + 1
    assert results(outcomes) == {Result.ACCEPTED}
    assert_rows_are_the_last_of(batch_of(prefix), client, prefix)


def test_a_deleted_row_is_gone_also_when_it_was_before_and_can_be_written_anew(
    org: SalesforceConfig,
) -> None:
    client = client_of(org)
    sink = open_sink(client)
    other = "d-b"

    outcomes = sink.write(
        [
            logged(1, ORDER, "d-a", Status__c="placed"),
            logged(2, ORDER, other),
            deletion(3, ORDER, "d-a"),
            deletion(4, ORDER, "d-a"),
        ]
    )
    after = versions(client, ORDER, "d-")
    sink.write([logged(5, ORDER, "d-a")])

    assert results(outcomes) == {Result.ACCEPTED}
    assert after == [(other, 2)]
    assert versions(client, ORDER, "d-") == [("d-a", 5), (other, 2)]
    soql = f"SELECT Status__c FROM {ORDER} WHERE {KEY} = 'd-a'"  # noqa: S608
    assert [row["Status__c"] for row in client.query_all(soql)] == [None]


@pytest.mark.parametrize("at", range(WRITES))
@pytest.mark.parametrize("lose", ["request", "answer"])
def test_a_batch_sent_again_after_a_crash_at_any_call_doubles_no_row(
    org: SalesforceConfig, lose: str, at: int
) -> None:
    prefix = f"c-{lose}-{at}-"
    with pytest.raises(RetriableError):
        open_small_sink(client_of(org, LossyNetwork(lose, at), 0)).write(batch_of(prefix))
    client = client_of(org)

    outcomes = open_small_sink(client).write(batch_of(prefix))  # as after a restart

    assert {o.result for o in outcomes if o.record.leaf != 8} == {Result.ACCEPTED}
    (anew,) = {o.result for o in outcomes if o.record.leaf == 8}
    assert anew in {Result.ACCEPTED, Result.SUPERSEDED}, "its row may be of after the deletion"
    assert_rows_are_the_last_of(batch_of(prefix), client, prefix)


def test_a_revoked_session_is_renewed_on_the_way(org: SalesforceConfig) -> None:
    tokens: list[str] = []

    class Watching(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
            tokens.append(request.headers.get("Authorization", "").removeprefix("Bearer "))
            return super().send(request, *args, **kwargs)

    client = client_of(org, Watching())
    sink = open_sink(client)
    sink.write([logged(1, ORDER, "r-a")])
    url = f"{org.instance_url}/services/oauth2/revoke"
    assert open_session(org).post(url, data={"token": tokens[-1]}, timeout=5).ok

    outcomes = sink.write([logged(2, ORDER, "r-a")])

    assert results(outcomes) == {Result.ACCEPTED}
    assert versions(client, ORDER, "r-") == [("r-a", 2)]
    assert len(set(tokens)) == 3, "none for logins, the first, the second"


def test_a_refused_row_is_rejected_alone(org: SalesforceConfig) -> None:
    client = client_of(org)
    long = "x" * 300

    outcomes = open_sink(client).write(
        [
            logged(1, ORDER, "j-a"),
            logged(2, ORDER, "j-b", First_Sku__c=long),
            logged(3, ORDER, "j-c"),
        ]
    )

    assert [(o.result, o.code) for o in outcomes] == [
        (Result.ACCEPTED, None),
        (Result.REJECTED, "STRING_TOO_LONG"),
        (Result.ACCEPTED, None),
    ]
    assert versions(client, ORDER, "j-") == [("j-a", 1), ("j-c", 3)]


def test_a_value_of_the_wrong_type_costs_only_its_row(org: SalesforceConfig) -> None:
    client = client_of(org)

    outcomes = open_sink(client).write(
        [logged(i, ORDER, f"t-{i}", Placed_At__c="soon" if i == 5 else None) for i in range(12)]
    )

    assert [o.record.leaf for o in outcomes if o.result is Result.REJECTED] == [5]
    assert len(versions(client, ORDER, "t-")) == 11


def test_thousands_of_rows_and_their_deletion_take_few_calls(org: SalesforceConfig) -> None:
    network = LossyNetwork()
    client = client_of(org, network)
    sink = open_sink(client)
    keys = [f"m-{i:04}" for i in range(1_001)]

    written = sink.write([logged(i, ORDER, key, Region__c="eu") for i, key in enumerate(keys)])
    after = network.writes
    deleted = sink.write([deletion(2_000 + i, ORDER, key) for i, key in enumerate(keys)])

    assert results(written) == results(deleted) == {Result.ACCEPTED}
    assert (after, network.writes) == (2, 2 + 6)
    assert versions(client, ORDER, "m-") == []


def test_one_bad_record_among_those_of_a_row_is_rejected_alone(org: SalesforceConfig) -> None:
    client = client_of(org)
    fields: list[dict[str, Any]] = [
        {"Region__c": "eu"},
        {"First_Sku__c": "x" * 300},
        {"Placed_At__c": "soon"},
        {"Status__c": "placed"},
    ]
    batch = [logged(n, ORDER, "g-a", **values) for n, values in enumerate(fields, 1)]

    outcomes = open_sink(client).write([*batch, logged(9, ORDER, "g-b")])

    assert [(o.result, o.code) for o in outcomes] == [
        (Result.ACCEPTED, None),
        (Result.REJECTED, "STRING_TOO_LONG"),
        (Result.REJECTED, outcomes[2].code),
        (Result.ACCEPTED, None),
        (Result.ACCEPTED, None),
    ]
    assert versions(client, ORDER, "g-") == [("g-a", 4), ("g-b", 9)]
    soql = f"SELECT Region__c, Status__c, First_Sku__c FROM {ORDER} WHERE {KEY} = 'g-a'"  # noqa: S608
    (row,) = client.query_all(soql)
    assert list(row.values()) == ["eu", "placed", None]


def test_a_row_is_anonymised_by_an_upsert_of_nulls(org: SalesforceConfig) -> None:
    client = client_of(org)
    tokens = {"Email_Token__c": "tok_a", "Phone_Token__c": "tok_b", "Birth_Year__c": 1980}
    erased = {**dict.fromkeys(tokens), "Status__c": "erasure_requested"}

    outcomes = open_sink(client).write(
        [logged(1, CUSTOMER, "n-a", **tokens), logged(2, CUSTOMER, "n-a", **erased)]
    )
    apart = [
        open_sink(client).write([logged(n, CUSTOMER, "n-b", **values)])
        for n, values in enumerate((tokens, erased), 1)
    ]

    assert {o.result for o in (*outcomes, *apart[0], *apart[1])} == {Result.ACCEPTED}
    names = ", ".join(erased)
    soql = f"SELECT {names} FROM {CUSTOMER} WHERE {KEY} IN ('n-a', 'n-b')"  # noqa: S608
    assert [list(row.values()) for row in client.query_all(soql)] == [list(erased.values())] * 2


def test_a_row_is_not_deleted_while_a_lost_upsert_could_come(org: SalesforceConfig) -> None:
    client = client_of(org, LossyNetwork("answer", 0))
    sink = open_sink(client)
    sink.write([logged(1, ORDER, "u-a")])

    (early,) = sink.write([deletion(2, ORDER, "u-a")])
    (late,) = open_sink(client).write([deletion(2, ORDER, "u-a")])

    assert (early.result, early.code) == (Result.PARKED, "FATE_UNKNOWN")
    assert late.result is Result.ACCEPTED
    assert versions(client, ORDER, "u-") == []


def test_an_unknown_field_or_object_halts(org: SalesforceConfig) -> None:
    sink = open_sink(client_of(org))

    with pytest.raises(HaltError, match=r"Commerce_Order__c: .*No_Such__c; deploy the field"):
        sink.write([logged(1, ORDER, "h-a", No_Such__c="canary")])
    with pytest.raises(HaltError, match=r"Nothing__c.*deploy the object"):
        sink.write([logged(1, "Nothing__c", "h-a")])


def test_an_app_the_org_does_not_know_cannot_log_in(org: SalesforceConfig) -> None:
    stranger = replace(org, consumer_key="3MVG9-unknown")

    with pytest.raises(LoginRefusedError, match="check consumer_key"):
        list(client_of(stranger).query_all("SELECT Id FROM Commerce_Order__c"))


def test_an_org_whose_certificate_we_do_not_trust_gets_nothing(
    org: SalesforceConfig, tmp_path: Path
) -> None:
    other = replace(org, ca_file=ensure_ca(tmp_path))

    with pytest.raises(HaltError, match="not signed by an authority in ca_file"):
        client_of(other).describe(ORDER)
