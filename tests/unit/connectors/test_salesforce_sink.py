"""Every record gets one outcome, an id's records keep their order, nothing is lost or doubled.

The sink and its client run whole; an org in memory stands at the HTTP boundary, because it has
to fail, lock and refuse on command.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from connectors.salesforce.client import CallRetry, OrgClient
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.outcome import Result
from connectors.salesforce.sink import RowRetry, SalesforceSink, waves
from schemas.errors import HaltError, RetriableError
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RecordId

ORDER, CUSTOMER = "Commerce_Order__c", "Commerce_Customer__c"
KEY = "External_Id__c"
AT_ONCE = CallRetry(deadline_s=30, first_wait_s=0, max_wait_s=0)
ONE_TRY = CallRetry(deadline_s=0, first_wait_s=0, max_wait_s=0)

ROW_ERRORS = {  # kind -> (code, text); each text echoes a value as the org's do
    "lock": ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access: tok_canary"),
    "race": ("DUPLICATE_VALUE", f"duplicate value found: {KEY} duplicates value tok_canary"),
    "long": ("STRING_TOO_LONG", "data value too large: tok_canary (max length=80)"),
    "odd": ("A_CODE_OF_NEXT_YEAR", "tok_canary"),
}
AGAIN = {"lock", "race"}

REFUSALS: dict[str, tuple[int, object]] = {
    "401": (401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired"}]),
    "limit": (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests"}]),
    "503": (503, "<html>maintenance</html>"),
}


class FakeOrg(HTTPAdapter):
    """Keeps rows by id, as an org with a case-sensitive unique external id does.

    Attributes:
        rows: (object, external id) -> fields.
        commits: (object, external id, version) of every row written, in order.
        requests: External ids of every upsert that arrived.
        row_errors: (object, external id) -> kinds of error its next tries meet.
        poison: External ids whose presence spoils a whole request.
        faults: Number of an upsert, from 0 -> what goes wrong with it.

    """

    def __init__(
        self,
        row_errors: Mapping[tuple[str, str], Sequence[str]] | None = None,
        poison: Iterable[str] = (),
        faults: Mapping[int, str] | None = None,
    ) -> None:
        super().__init__()
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.commits: list[tuple[str, str, int]] = []
        self.requests: list[list[str]] = []
        self.row_errors = {key: list(kinds) for key, kinds in (row_errors or {}).items()}
        self.poison = frozenset(poison)
        self.faults = dict(faults or {})
        self.logins = 0

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        assert request.url is not None
        if request.url.endswith("/oauth2/token"):
            self.logins += 1
            return self.answer(request, 200, {"access_token": f"00D!{self.logins}"})
        *_, sobject, key_field = request.url.split("/")
        assert key_field == KEY
        assert isinstance(request.body, bytes)
        records = json.loads(request.body)["records"]
        self.requests.append([record[KEY] for record in records])
        return self.play(request, sobject, records)

    def play(
        self, request: requests.PreparedRequest, sobject: str, records: list[dict[str, Any]]
    ) -> requests.Response:
        fault = self.faults.pop(len(self.requests) - 1, "")
        if fault == "reset before":
            raise requests.ConnectionError
        if fault in REFUSALS:
            return self.answer(request, *REFUSALS[fault])
        if self.poison & {record[KEY] for record in records}:
            error = {"errorCode": "JSON_PARSER_ERROR", "message": "VALUE_STRING tok_canary"}
            return self.answer(request, 400, [error])
        verdicts = [self.upsert(sobject, record) for record in records]
        if fault == "reset after":
            raise requests.ConnectionError
        if fault == "time-out after":
            raise requests.ReadTimeout
        cuts = {"short answer": verdicts[1:], "cut answer": json.dumps(verdicts)[:-9]}
        return self.answer(request, 200, cuts.get(fault, verdicts))

    def upsert(self, sobject: str, record: dict[str, Any]) -> dict[str, Any]:
        key = (sobject, record[KEY])
        assert record.pop("attributes") == {"type": sobject}
        if kinds := self.row_errors.get(key):
            code, message = ROW_ERRORS[kinds.pop(0)]
            return {"success": False, "errors": [{"statusCode": code, "message": message}]}
        created = key not in self.rows
        self.rows[key] = self.rows.get(key, {}) | record
        self.commits.append((*key, record["Base_Version__c"]))
        return {"id": "a00", "success": True, "errors": [], "created": created}

    def answer(
        self, request: requests.PreparedRequest, status: int, body: object
    ) -> requests.Response:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        raw = HTTPResponse(BytesIO(content), status=status, preload_content=False)
        return self.build_response(request, raw)


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


def open_sink(
    config: SalesforceConfig,
    org: FakeOrg,
    retry: CallRetry = AT_ONCE,
    sleeps: list[float] | None = None,
) -> SalesforceSink:
    session = requests.Session()
    session.mount("https://", org)
    client = OrgClient(config, "eu", session=session, retry=retry)
    return SalesforceSink(client, sleep=(sleeps if sleeps is not None else []).append)


def logged(offset: int, sobject: str, key: str, **fields: Any) -> LoggedRecord:
    at = RecordId(Coordinates("eu.commerce.orders.v1", 0, offset))
    record = MinimalRecord(at, sobject, key, offset, 1, "", 1, b"")
    return LoggedRecord(record, offset, {KEY: key, "Base_Version__c": offset, **fields})


def batch_of(keys: Iterable[tuple[str, str]]) -> list[LoggedRecord]:
    return [
        logged(offset, sobject, key, **{f"F{offset % 3}__c": f"v{offset}"})
        for offset, (sobject, key) in enumerate(keys)
    ]


def rows_of(records: Iterable[LoggedRecord]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows the org should have after *records*: later fields over earlier ones."""
    rows: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for record in records:
        rows[record.record.object, record.record.external_id] |= record.fields
    return dict(rows)


def judge(
    batch: Sequence[LoggedRecord],
    row_errors: Mapping[tuple[str, str], Sequence[str]],
    poison: Iterable[str],
) -> list[tuple[Result, str | None]]:
    """Say how each record must end: each of an id's records uses up that id's errors in turn."""
    left = {key: list(kinds) for key, kinds in row_errors.items()}
    verdicts: list[tuple[Result, str | None]] = []
    for record in batch:
        kinds = left.get((record.record.object, record.record.external_id), [])
        while kinds and kinds[0] in AGAIN:
            kinds.pop(0)
        if record.record.external_id in poison:
            verdicts.append((Result.REJECTED, "JSON_PARSER_ERROR"))
        elif kinds:
            verdicts.append((Result.REJECTED, ROW_ERRORS[kinds.pop(0)][0]))
        else:
            verdicts.append((Result.ACCEPTED, None))
    return verdicts


IDS = st.sampled_from("abcdeABC")
KEYS = st.tuples(st.sampled_from([ORDER, CUSTOMER]), IDS)
KINDS = st.lists(st.sampled_from(sorted(ROW_ERRORS)), max_size=4)


@settings(deadline=None)  # each example logs in, which loads and checks an RSA key
@given(st.lists(KEYS, max_size=40), st.dictionaries(KEYS, KINDS), st.sets(IDS, max_size=3))
@example([(ORDER, "a")] * 3, {(ORDER, "a"): ["lock", "race", "long", "lock"]}, set())
@example([(ORDER, "a"), (ORDER, "b"), (ORDER, "a")], {}, {"a"})
def test_every_record_has_its_outcome_whatever_the_org_says_of_its_rows(
    config: SalesforceConfig,
    keys: list[tuple[str, str]],
    row_errors: dict[tuple[str, str], list[str]],
    poison: set[str],
) -> None:
    batch = batch_of(keys)
    org = FakeOrg(row_errors, poison)

    outcomes = open_sink(config, org).write(batch)

    assert [outcome.record for outcome in outcomes] == batch
    assert [(o.result, o.code) for o in outcomes] == judge(batch, row_errors, poison)
    accepted = [o.record for o in outcomes if o.result is Result.ACCEPTED]
    assert org.rows == rows_of(accepted)
    assert_each_once_and_in_order(org, accepted)
    assert sum(outcome.created for outcome in outcomes) == len(org.rows)


def assert_each_once_and_in_order(org: FakeOrg, accepted: Iterable[LoggedRecord]) -> None:
    for ids in org.requests:
        assert len(ids) == len(set(ids)) <= 200
    written: dict[tuple[str, str], list[int]] = defaultdict(list)
    for sobject, key, version in org.commits:
        written[sobject, key].append(version)
    expected: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in accepted:
        expected[record.record.object, record.record.external_id].append(record.record.version)
    assert written == expected


@given(st.lists(KEYS))
def test_waves_place_each_record_once_and_no_key_twice(keys: list[tuple[str, str]]) -> None:
    groups = waves(keys)

    assert sorted(place for group in groups for place in group) == list(range(len(keys)))
    for group in groups:
        assert len({keys[place] for place in group}) == len(group)
        assert len({keys[place][0] for place in group}) == 1
    assert len(groups) <= sum(
        max(n for key, n in Counter(keys).items() if key[0] == sobject)
        for sobject in {key[0] for key in keys}
    )


def long_batch() -> list[LoggedRecord]:
    """Return records that take five requests: 201 ids, one of them three times, two objects."""
    keys = [(ORDER, f"o{i}") for i in range(201)] + [(ORDER, "o7"), (CUSTOMER, "c1"), (ORDER, "o7")]
    return batch_of(keys)


FAULTS = [
    "reset before",
    "reset after",
    "time-out after",
    "short answer",
    "cut answer",
    "503",
    "limit",
    "401",
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("fail_on", range(5))
def test_a_fault_at_any_call_is_waited_out(
    config: SalesforceConfig, fault: str, fail_on: int
) -> None:
    org = FakeOrg(faults={fail_on: fault})

    outcomes = open_sink(config, org).write(long_batch())

    assert len(org.requests) == 6, "five requests, and one of them again"
    assert [outcome.record for outcome in outcomes] == long_batch()
    assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
    assert org.rows == rows_of(long_batch())


@pytest.mark.parametrize("fault", FAULTS[:-1])
@pytest.mark.parametrize("fail_on", range(5))
def test_the_same_batch_again_after_a_fault_at_any_call_leaves_the_right_rows(
    config: SalesforceConfig, fault: str, fail_on: int
) -> None:
    org = FakeOrg(faults={fail_on: fault})

    with pytest.raises(RetriableError):
        open_sink(config, org, ONE_TRY).write(long_batch())
    outcomes = open_sink(config, org, ONE_TRY).write(long_batch())  # as after a restart

    assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
    assert org.rows == rows_of(long_batch())


def test_a_later_record_of_a_locked_id_waits_for_the_earlier_one(config: SalesforceConfig) -> None:
    org = FakeOrg({(ORDER, "a"): ["lock", "lock"]})
    sleeps: list[float] = []

    open_sink(config, org, sleeps=sleeps).write(
        batch_of([(ORDER, "a"), (ORDER, "b"), (ORDER, "a")])
    )

    assert org.requests == [["a", "b"], ["a"], ["a"], ["a"]]
    assert org.commits == [(ORDER, "b", 1), (ORDER, "a", 0), (ORDER, "a", 2)]
    assert len(sleeps) == 2


@pytest.mark.parametrize(
    ("attempt", "chance", "wait_s"), [(1, 0.0, 0.5), (1, 1.0, 1.0), (3, 0.5, 3.0), (9, 1.0, 30.0)]
)
def test_waits_double_up_to_their_limit(attempt: int, chance: float, wait_s: float) -> None:
    assert RowRetry().wait_s(attempt, chance) == wait_s


def test_a_row_that_stays_locked_hands_the_batch_back_by_its_record_id(
    config: SalesforceConfig,
) -> None:
    org = FakeOrg({(ORDER, "tok_canary"): ["lock"] * 5})

    with pytest.raises(RetriableError) as caught:
        open_sink(config, org).write(batch_of([(ORDER, "tok_canary")]))

    text = "eu.commerce.orders.v1[0]@0#0: Commerce_Order__c is still UNABLE_TO_LOCK_ROW"
    assert str(caught.value) == text


def test_a_row_gets_five_tries(config: SalesforceConfig) -> None:
    org = FakeOrg({(ORDER, "a"): ["lock"] * 4})

    (outcome,) = open_sink(config, org).write(batch_of([(ORDER, "a")]))

    assert outcome.result is Result.ACCEPTED


def test_a_race_that_does_not_end_is_a_rejection(config: SalesforceConfig) -> None:
    org = FakeOrg({(ORDER, "a"): ["race"] * 5})

    (outcome,) = open_sink(config, org).write(batch_of([(ORDER, "a")]))

    assert (outcome.result, outcome.code) == (Result.REJECTED, "DUPLICATE_VALUE")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("INVALID_FIELD", r"INVALID_FIELD at F0__c; deploy the field"),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", r"at F0__c; let the permission set edit the field"),
        ("INSUFFICIENT_ACCESS_OR_READONLY", r"at F0__c; let the permission set create, read"),
    ],
)
def test_a_set_up_error_halts_and_names_object_field_and_next_step(
    config: SalesforceConfig, monkeypatch: pytest.MonkeyPatch, code: str, text: str
) -> None:
    monkeypatch.setitem(ROW_ERRORS, "setup", (code, "No such column 'F0__c' tok_canary"))
    org = FakeOrg({(ORDER, "tok_canary"): ["setup"]})

    with pytest.raises(HaltError, match=text) as caught:
        open_sink(config, org).write(batch_of([(ORDER, "tok_canary")]))

    assert str(caught.value).startswith("eu.commerce.orders.v1[0]@0#0: Commerce_Order__c: ")
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_poisoned_row_costs_only_itself(config: SalesforceConfig) -> None:
    batch = batch_of((ORDER, f"o{i}") for i in range(200))
    org = FakeOrg(poison={"o137"})

    outcomes = open_sink(config, org).write(batch)

    assert [o.record.leaf for o in outcomes if o.result is Result.REJECTED] == [137]
    assert len(org.rows) == 199
    assert len(org.requests) <= 1 + 2 * 8, "halved about log2(200) times"


def test_a_record_without_its_external_id_is_never_sent(config: SalesforceConfig) -> None:
    org = FakeOrg()
    good = logged(0, ORDER, "a")
    bad = LoggedRecord(good.record, 0, {"Base_Version__c": 0})

    with pytest.raises(HaltError, match=r"@0#0: Commerce_Order__c has no External_Id__c"):
        open_sink(config, org).write([good, bad])

    assert not org.requests


def test_a_value_that_cannot_be_sent_halts_by_record_and_field(config: SalesforceConfig) -> None:
    batch = [logged(0, ORDER, "a"), logged(1, ORDER, "b", Total__c=float("nan"))]

    with pytest.raises(HaltError) as caught:
        open_sink(config, FakeOrg()).write(batch)

    text = "eu.commerce.orders.v1[0]@1#0: Commerce_Order__c.Total__c: the number is not finite"
    assert str(caught.value) == text


def test_none_clears_and_absence_leaves_alone(config: SalesforceConfig) -> None:
    org = FakeOrg()
    sink = open_sink(config, org)

    sink.write([logged(0, ORDER, "a", Sku__c="1", Channel__c="web")])
    sink.write([logged(1, ORDER, "a", Sku__c=None)])

    row = org.rows[ORDER, "a"]
    assert (row["Sku__c"], row["Channel__c"]) == (None, "web")


def test_an_empty_batch_asks_nothing(config: SalesforceConfig) -> None:
    org = FakeOrg()

    assert open_sink(config, org).write([]) == []
    assert (org.logins, org.requests) == (0, [])
