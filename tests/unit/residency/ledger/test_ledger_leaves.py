"""A leaf is canonical, strict, and holds no value."""

import dataclasses
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

import residency.ledger
from residency.ledger.errors import FormatError, UnknownKindError
from residency.ledger.forms import BASIS, CODE, OBJECT, RELEASE, TOPIC, TOPIC_ID
from residency.ledger.leaves import (
    Leaf,
    TransferLeaf,
    commitment,
    month_key,
    parse_leaf,
    quantise,
)
from residency.ledger.notices import NOTICES
from residency.ledger.outcomes import MAX_FIELDS, MAX_NAMED, OutcomeLeaf, Result, SentWith
from residency.ledger.tiles import MAX_ENTRY_BYTES
from schemas.events import Coordinates, RecordId

RECORD = RecordId(Coordinates("eu.commerce.orders.v1", 0, 7), 1, topic_id="mKf0Jv4aQ3ywXKzQ2hVQ1A")
TRANSFER = TransferLeaf(
    time="2026-11-23T16:40Z",
    record=RECORD,
    object="Commerce_Order__c",
    schema=12,
    plan="ab" * 32,
    keys=1,
    release="0.1.0",
    basis=("dpv:DataTransferLegalBasis", "eu-gdpr:A45-3"),
    commitment="cd" * 32,
)
OUTCOME = OutcomeLeaf("2026-11-23T16:40Z", RECORD, 3, "accepted", None)

coordinates = st.builds(
    Coordinates,
    st.from_regex(r"[a-z.]{1,9}", fullmatch=True),
    st.integers(0, 9),
    st.integers(0, 2**53 - 1),
)
records = st.builds(
    RecordId,
    coordinates,
    st.integers(0, 3),
    st.integers(0, 3),
    st.from_regex(r"[A-Za-z0-9_-]{1,22}", fullmatch=True),
)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
transfers = st.builds(
    TransferLeaf,
    time=st.datetimes(timezones=st.just(UTC), min_value=datetime(1000, 1, 1)).map(quantise),  # noqa: DTZ001
    record=records,
    object=st.just("Commerce_Case__c"),
    schema=st.integers(0, 2**53 - 1),
    plan=digests,
    keys=st.integers(0, 9),
    release=st.just("0.1.0+a"),
    basis=st.frozensets(st.sampled_from(["a:b", "c", "d/e#f"])).map(lambda ids: tuple(sorted(ids))),
    commitment=digests,
    deletes=st.booleans(),
    model=st.none() | digests,
)


@given(transfers)
def test_a_leaf_is_rfc_8785_and_parses_back(leaf: TransferLeaf) -> None:
    data = leaf.to_bytes()

    assert data == rfc8785.dumps(orjson.loads(data))
    assert parse_leaf(data) == leaf


@given(
    st.dictionaries(
        st.text(st.characters(max_codepoint=127)),
        st.none() | st.integers(0, 2**53 - 1) | st.text() | st.lists(st.text()),
    )
)
def test_orjson_with_sorted_keys_is_rfc_8785_for_what_leaves_hold(row: dict[str, Any]) -> None:
    assert orjson.dumps(row, option=orjson.OPT_SORT_KEYS) == rfc8785.dumps(row)


@pytest.mark.parametrize(
    ("transfer", "result", "code"),
    [
        (3, "accepted", None),
        (3, "superseded", None),
        (0, "rejected", "REQUIRED_FIELD_MISSING"),
        (None, "gate-refused", "scanner"),
    ],
)
def test_every_outcome_parses_back(transfer: int | None, result: Result, code: str | None) -> None:
    leaf = OutcomeLeaf("2026-11-23T16:40Z", RECORD, transfer, result, code)

    assert parse_leaf(leaf.to_bytes()) == leaf


def company(size: int) -> tuple[RecordId, ...]:
    """Return *size* records of one row, the tests' own first."""
    at = RECORD.at
    later = (Coordinates(at.topic, at.partition, at.offset + n) for n in range(1, size))
    return (RECORD, *(dataclasses.replace(RECORD, at=where) for where in later))


REJECTED = OutcomeLeaf(
    "2026-11-23T16:40Z", RECORD, 3, "rejected", "STRING_TOO_LONG", ("City__c", "Sku__c")
)
MERGED = dataclasses.replace(OUTCOME, sent_with=SentWith.of(company(2)))
MERGED_FROM_MANY = dataclasses.replace(OUTCOME, sent_with=SentWith.of(company(MAX_NAMED + 1)))


@pytest.mark.parametrize("leaf", [REJECTED, MERGED, MERGED_FROM_MANY])
def test_what_an_outcome_says_now_and_then_parses_back_in_rfc_8785(leaf: OutcomeLeaf) -> None:
    data = leaf.to_bytes()

    assert data == rfc8785.dumps(orjson.loads(data))
    assert parse_leaf(data) == leaf


def test_a_merged_row_is_named_up_to_a_limit_and_then_counted_under_a_digest() -> None:
    names = [f"{record.topic_id}/{record}" for record in company(MAX_NAMED + 1)]
    digest = hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()

    few = SentWith.of(company(MAX_NAMED))
    many = SentWith.of(company(MAX_NAMED + 1))

    assert few is not None
    assert few.to_json() == names[:-1]
    assert many is not None
    assert many.to_json() == {"count": MAX_NAMED + 1, "sha256": digest}
    assert SentWith.of(company(1)) is SentWith.of(()) is None


def test_the_longest_outcome_fits_an_entry() -> None:
    at = Coordinates("t" * 249, 2**53 - 1, 2**53 - 1)
    many = tuple(RecordId(at, 2**53 - 1, 2**53 - 1 - n, "i" * 64) for n in range(MAX_NAMED))
    fields = tuple(sorted("F" * 77 + f"{n:03}" for n in range(MAX_FIELDS)))

    leaf = OutcomeLeaf(
        "2026-11-23T16:40Z", many[0], 2**53 - 1, "rejected", "C" * 80, fields, SentWith.of(many)
    )

    assert len(leaf.to_bytes()) < MAX_ENTRY_BYTES


@pytest.mark.parametrize(
    "change",
    [
        {"fields": ("Sku__c", "City__c")},
        {"fields": ("Sku__c", "Sku__c")},
        {"fields": ("Ada Lovelace",)},
        {"fields": tuple(f"F{n:03}" for n in range(MAX_FIELDS + 1))},
        {"result": "accepted"},  # and has fields
        {"result": "gate-refused", "transfer": None, "fields": (), "sent_with": MERGED.sent_with},
        {"sent_with": SentWith.of(company(3)[1:])},  # without itself
    ],
)
def test_fields_and_company_of_an_outcome_take_only_their_forms(change: Any) -> None:
    with pytest.raises(FormatError):
        dataclasses.replace(REJECTED, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"fields": []},
        {"fields": None},
        {"fields": "Sku__c"},
        {"fields": [1]},
        {"sent_with": None},
        {"sent_with": []},
        {"sent_with": [f"{RECORD.topic_id}/{RECORD}"]},
        {"sent_with": [f"{RECORD.topic_id}/{RECORD}"] * 2},
        {"sent_with": [str(record) for record in company(2)]},
        {"sent_with": [f"a/b/{record}" for record in company(2)]},
        {"sent_with": {"count": 33}},
        {"sent_with": {"count": 32, "sha256": "ab" * 32}},
        {"sent_with": {"count": True, "sha256": "ab" * 32}},
        {"sent_with": {"count": 33, "sha256": "AB" * 32}},
        {"sent_with": {"count": 33, "sha256": "ab" * 32, "more": 1}},
        {"more": 1},
    ],
)
def test_there_is_one_way_to_write_what_an_outcome_says_now_and_then(change: Any) -> None:
    data = rfc8785.dumps({**orjson.loads(REJECTED.to_bytes()), **change})

    with pytest.raises(FormatError):
        parse_leaf(data)
    assert not schema("outcome").is_valid(json.loads(data))


@pytest.mark.parametrize(
    ("form", "most"),
    [(TOPIC, 249), (TOPIC_ID, 64), (OBJECT, 80), (RELEASE, 128), (BASIS, 128), (CODE, 80)],
)
def test_a_word_of_a_leaf_has_one_character_at_least_and_a_bound(
    form: re.Pattern[str], most: int
) -> None:
    fine = [n for n in (0, 1, most, most + 1) if form.fullmatch("A" * n)]

    assert fine == [1, most]


@pytest.mark.parametrize(
    "change",
    [
        {"time": "2026-11-23T16:40:05Z"},
        {"time": "2026-02-30T16:40Z"},
        {"time": "2026-11-23T16:40+01:00"},
        {"record": RecordId(Coordinates("t", 0, 7))},  # no topic id
        {"record": RecordId(Coordinates("t opic", 0, 7), topic_id="a")},
        {"object": "Ada Lovelace"},
        {"schema": -1},
        {"schema": True},
        {"schema": 2**53},
        {"plan": "AB" * 32},
        {"plan": "ab"},
        {"keys": 1.0},
        {"release": ""},
        {"release": "a b"},
        {"basis": ("b", "a")},
        {"basis": ("a", "a")},
        {"basis": ("ada@example.com",)},
        {"commitment": "tok_eu1_abc"},
        {"model": "minilm"},
        {"model": "AB" * 32},
    ],
)
def test_a_transfer_leaf_takes_only_its_forms_and_does_not_repeat_the_value(change: Any) -> None:
    with pytest.raises(FormatError) as caught:
        dataclasses.replace(TRANSFER, **change)

    value = str(next(iter(change.values())))
    assert len(value) < 3 or value not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"transfer": None},
        {"transfer": -1},
        {"result": "gate-refused"},
        {"result": "fine"},
        {"code": "Ada Lovelace"},
        {"code": ""},
    ],
)
def test_an_outcome_leaf_takes_only_its_forms(change: Any) -> None:
    with pytest.raises(FormatError):
        dataclasses.replace(OUTCOME, **change)


def changed(**fields: Any) -> bytes:
    return rfc8785.dumps({**orjson.loads(TRANSFER.to_bytes()), **fields})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        TRANSFER.to_bytes() + b"\n",
        TRANSFER.to_bytes().replace(b'"keys":1', b'"keys": 1'),
        TRANSFER.to_bytes().replace(b'"keys":1', b'"keys":1.0'),
        TRANSFER.to_bytes().replace(b'"keys":1', b'"keys":1,"keys":1'),
        TRANSFER.to_bytes()
        .replace(b"transfers", b"transfer\\u0073")
        .replace(b"orders", b"order\\u0073"),
        orjson.dumps(dict(reversed(orjson.loads(TRANSFER.to_bytes()).items()))),
        changed(email="x"),
        changed(record="eu.commerce.orders.v1[00]@7#1"),
        changed(record=7),
        changed(topic_id=None),
        changed(basis="a"),
        changed(basis=[1]),
        changed(kind="outcome"),
        changed(deletes=None),
        changed(deletes=1),
        changed(model=None),
        changed(model=7),
    ],
)
def test_what_is_not_the_one_way_to_write_a_leaf_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        parse_leaf(data)

    assert not isinstance(caught.value, UnknownKindError)


@pytest.mark.parametrize("data", [b"{}", changed(kind="consent"), changed(kind=None)])
def test_an_unknown_kind_has_its_own_error(data: bytes) -> None:
    with pytest.raises(UnknownKindError):
        parse_leaf(data)


def test_time_is_utc_and_cut_to_the_minute() -> None:
    summer = timezone(timedelta(hours=2))

    assert quantise(datetime(2026, 7, 1, 0, 30, 59, tzinfo=summer)) == "2026-06-30T22:30Z"
    with pytest.raises(ValueError, match="time zone"):
        quantise(datetime(2026, 7, 1))  # noqa: DTZ001 -- the point


def test_a_commitment_binds_value_record_topic_id_and_month() -> None:
    root = bytes(32)
    key = month_key(root, "2026-11")
    twin = dataclasses.replace(RECORD, topic_id="another")

    made = {
        commitment(key, RECORD, b"value"),
        commitment(key, RECORD, b"other"),
        commitment(key, dataclasses.replace(RECORD, resend=1), b"value"),
        commitment(key, twin, b"value"),
        commitment(month_key(root, "2026-12"), RECORD, b"value"),
        commitment(month_key(bytes(31) + b"\1", "2026-11"), RECORD, b"value"),
    }

    assert len(made) == 6
    # worked out with the openssl command: kdf HKDF, dgst -mac HMAC, sha256
    assert commitment(key, RECORD, b"value") == (
        "616f61478897052032c20f93778357c84c23cf9bd0f99c53de1e6f9dbe746e24"
    )


@pytest.mark.parametrize(
    ("root", "month"), [(bytes(31), "2026-11"), (bytes(32), "2026-13"), (bytes(32), "2026-1")]
)
def test_a_month_key_needs_a_whole_root_and_a_month(root: bytes, month: str) -> None:
    with pytest.raises(ValueError, match="month key needs"):
        month_key(root, month)


SCHEMAS = Path(str(residency.ledger.__file__)).with_name("schemas")


def schema(kind: str) -> jsonschema.Draft202012Validator:
    text = json.loads((SCHEMAS / f"{kind}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(text)
    return jsonschema.Draft202012Validator(text)


@pytest.mark.parametrize(
    "leaf",
    [TRANSFER, OUTCOME, OutcomeLeaf("2026-11-23T16:40Z", RECORD, None, "gate-refused", "x"),
     REJECTED, MERGED, MERGED_FROM_MANY],
)  # fmt: skip
def test_the_published_schemas_accept_what_we_write_and_nothing_more(leaf: Leaf) -> None:
    validator, row = schema(leaf.kind), json.loads(leaf.to_bytes())

    assert validator.is_valid(row)
    assert not validator.is_valid({**row, "email": "x"})
    for name in row:
        if name not in {"fields", "sent_with"}:
            assert not validator.is_valid({k: v for k, v in row.items() if k != name})
        assert not validator.is_valid({**row, name: "Ada Lovelace <ada@example.com>"})


def test_every_kind_has_a_published_schema() -> None:
    known = {TransferLeaf.kind, OutcomeLeaf.kind, *NOTICES}

    assert {path.stem for path in SCHEMAS.iterdir()} == known
