"""What goes over the wire is what the record says, digit for digit, or nothing goes."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce.codes import Handling
from connectors.salesforce.errors import OrgUnavailableError, UnsendableValueError
from connectors.salesforce.rows import RowResult, encode_rows, read_results

ORDER = "Commerce_Order__c"
ROW = {"External_Id__c": "tok_eu1_a"}


def sent(value: Any) -> Any:
    """Return *value* as a strict reader of the request's body sees it."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    body = encode_rows(ORDER, [{"V__c": value}])
    document = json.loads(body, parse_float=Decimal, parse_int=Decimal, parse_constant=refuse)
    return document["records"][0]["V__c"]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**25), max_value=10**25))
def test_a_decimal_keeps_every_digit(value: Decimal) -> None:
    arrived = sent(value)

    assert arrived == value
    assert format(arrived, "f") == format(value, "f")  # trailing zeros too


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.10"), b"0.10"),  # a float would drop the cents' zero
        (Decimal("1E+3"), b"1000"),
        (Decimal("9999999999999999.99"), b"9999999999999999.99"),  # no double holds this one
        (True, b"true"),
        (None, b"null"),
        (2**63, b"9223372036854775808"),
        ("ünïcode", '"ünïcode"'.encode()),
        (date(2026, 2, 28), b'"2026-02-28"'),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), b'"2026-03-01T12:00:00.000Z"'),
        (
            datetime(2026, 3, 1, 0, 30, 5, 123999, timezone(timedelta(hours=2))),
            b'"2026-02-28T22:30:05.123Z"',
        ),
    ],
)
def test_a_value_has_one_form_on_the_wire(value: Any, text: bytes) -> None:
    body = encode_rows(ORDER, [{"V__c": value}])

    assert body == (
        b'{"allOrNone":false,"records":[{"attributes":{"type":"Commerce_Order__c"},"V__c":'
        + text
        + b"}]}"
    )


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(2, 1, 1)))  # noqa: DTZ001
def test_a_time_is_sent_in_utc_to_the_millisecond(value: datetime) -> None:
    if value.year > 9998:
        return
    whole = value.astimezone(UTC).replace(microsecond=value.microsecond // 1000 * 1000)

    assert datetime.fromisoformat(sent(value)) == whole


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Decimal("NaN"), "not finite"),
        (Decimal("sNaN"), "not finite"),
        (Decimal("-Infinity"), "not finite"),
        (float("nan"), "not finite"),  # orjson would write null: a cleared field
        (float("inf"), "not finite"),
        (datetime(2026, 3, 1), "no zone"),  # noqa: DTZ001  the point of the test
        (datetime.max.replace(tzinfo=UTC), "no form in UTC"),
        ("\ud800", "surrogate"),
        (2**64, "too large"),
        (b"12345", "bytes"),
        ({"nested": 1}, "dict"),
        (timedelta(1), "timedelta"),
    ],
)
def test_a_value_the_org_could_not_hold_is_refused_by_its_name(value: Any, problem: str) -> None:
    with pytest.raises(UnsendableValueError, match=problem) as caught:
        encode_rows(ORDER, [ROW, ROW | {"Total__c": value}])

    assert (caught.value.row, caught.value.field) == (1, "Total__c")
    assert "12345" not in str(caught.value)


def test_a_verdict_keeps_the_code_and_drops_the_text() -> None:
    answer = [
        {"id": "a00", "success": True, "errors": [], "created": True},
        {"id": "a01", "success": True, "errors": [], "created": False},
        {
            "success": False,
            "errors": [
                {
                    "statusCode": "STRING_TOO_LONG",
                    "message": "Sku: data value too large: jane@example.com (max length=80)",
                    "fields": ["sku__C", "jane@example.com"],
                }
            ],
        },
    ]

    results = read_results(answer, [ROW, ROW, ROW | {"Sku__c": "x"}], "External_Id__c")

    assert results == [
        RowResult(success=True, created=True),
        RowResult(success=True, created=False),
        RowResult(
            success=False,
            created=False,
            code="STRING_TOO_LONG",
            fields=("Sku__c",),
            handling=Handling.REJECT,
        ),
    ]


@pytest.mark.parametrize(
    "answer", [None, {}, [], [{"success": True}] * 2, ["yes"], [{"success": "true"}], [{}]]
)
def test_an_answer_that_does_not_account_for_every_row_is_no_answer(answer: Any) -> None:
    with pytest.raises(OrgUnavailableError):
        read_results(answer, [ROW], "External_Id__c")
