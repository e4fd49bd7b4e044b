"""Results of a job: matched by key, whatever their order; short, odd and echoing ones included."""

import pytest

from connectors.salesforce.bulk.results import MAX_CELL, ResultSets, read_row_error, read_sets
from connectors.salesforce.codes import Handling
from connectors.salesforce.rows import RowResult

KEY = "External_Id__c"
SENT = (KEY, "Status__c", "Placed_At__c")
OLDER = "FIELD_CUSTOM_VALIDATION_EXCEPTION:homeport:older-base-version:--"

UNREADABLE = (
    "INVALID_FIELD:Failed to deserialize field at col 2. Due to, 'x' is not a valid value for the"
    " type xsd:dateTime:Placed_At__c --"
)


def good(*rows: tuple[str, str]) -> bytes:
    lines = [f'"sf__Id","sf__Created","{KEY}","Status__c"']
    lines += [f'"a01","{created}","{key}","x, ""y"""' for key, created in rows]
    return ("\n".join(lines) + "\n").encode()


def bad(*rows: tuple[str, str]) -> bytes:
    lines = [f'"sf__Id","sf__Error","{KEY}","Status__c"']
    lines += [f'"","{error}","{key}","x"' for key, error in rows]
    return ("\n".join(lines) + "\n").encode()


def left(*keys: str) -> bytes:
    return ("\n".join([f'"{KEY}","Status__c"', *(f'"{key}","x"' for key in keys)]) + "\n").encode()


def read(
    successful: bytes = b"", failed: bytes = b"", unprocessed: bytes = b""
) -> dict[str, RowResult]:
    sets = ResultSets(successful, failed, unprocessed)
    return read_sets(sets, KEY, SENT, Handling.BUSY, KEY)


def test_each_row_has_the_result_of_the_file_that_it_is_in() -> None:
    found = read(
        good(("k3", "true"), ("k1", "false")),
        bad(("k2", "REQUIRED_FIELD_MISSING:Required fields are missing: [Status__c]:Status__c --")),
        left("k4"),
    )

    assert found["k3"] == RowResult(success=True, created=True)
    assert found["k1"] == RowResult(success=True, created=False)
    assert (found["k2"].code, found["k2"].fields) == ("REQUIRED_FIELD_MISSING", ("Status__c",))
    assert found["k2"].handling is Handling.REJECT
    assert (found["k4"].code, found["k4"].handling) == ("UNPROCESSED", Handling.BUSY)


@pytest.mark.parametrize(
    ("text", "code", "fields", "handling"),
    [
        (OLDER, "FIELD_CUSTOM_VALIDATION_EXCEPTION", (), Handling.OLDER),
        ("UNABLE_TO_LOCK_ROW:unable to obtain:--", "UNABLE_TO_LOCK_ROW", (), Handling.AGAIN),
        ("STRING_TOO_LONG:data: too long: x:A__c,Status__c --", "STRING_TOO_LONG",
         ("Status__c",), Handling.REJECT),
        (UNREADABLE, "INVALID_FIELD", ("Placed_At__c",), Handling.REJECT),
        ("INVALID_FIELD:Foreign key external ID: x not found for field A of B:--",
         "INVALID_FIELD", (), Handling.PARK),
        ("INVALID_FIELD:No such column 'Status__c' on entity:--", "INVALID_FIELD",
         ("Status__c",), Handling.HALT),
        (f"DUPLICATE_VALUE:duplicate value found: {KEY} duplicates value on record with id: a:--",
         "DUPLICATE_VALUE", (), Handling.RACE),
        ("", "UNKNOWN", (), Handling.REJECT),
        ("no code at all", "UNKNOWN", (), Handling.REJECT),
    ],
)  # fmt: skip
def test_an_error_is_handled_as_over_rest(
    text: str, code: str, fields: tuple[str, ...], handling: Handling
) -> None:
    error = read_row_error(text, SENT, KEY)

    assert (error.code, error.fields, error.handling) == (code, fields, handling)


def test_a_value_that_an_error_echoes_decides_nothing() -> None:
    value = "x:-- INVALID_FIELD:No such column 'Status__c':Status__c --"

    error = read_row_error(f"STRING_TOO_LONG:data value too large: {value}:--", SENT, KEY)

    assert (error.code, error.handling) == ("STRING_TOO_LONG", Handling.REJECT)
    assert value not in repr(error)


def test_every_cut_through_a_file_leaves_out_rows_and_invents_none() -> None:
    whole = good(("k1", "true"), ("kä2", "false"), ("k33", "true"))
    all_results = read(whole)

    for end in range(len(whole)):
        found = read(whole[:end])
        assert found.items() <= all_results.items(), end

    assert all_results.keys() == {"k1", "kä2", "k33"}


def test_a_row_in_two_files_is_in_none() -> None:
    found = read(good(("k1", "true"), ("k2", "true")), bad(("k1", "STRING_TOO_LONG:x:--")))

    assert found.keys() == {"k2"}


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b'"sf__Id","sf__Error"\n', b"<html>\n"])
def test_a_file_without_rows_of_ours_says_nothing(content: bytes) -> None:
    assert read(content, content, content) == {}


def test_a_byte_order_mark_and_another_case_of_names_do_no_harm() -> None:
    content = b"\xef\xbb\xbf" + good(("k1", "TRUE")).replace(KEY.encode(), KEY.upper().encode())

    assert read(content) == {"k1": RowResult(success=True, created=True)}
    assert read(unprocessed=b"\xef\xbb\xbf" + left("k1")).keys() == {"k1"}


def test_an_error_that_echoes_a_whole_field_is_read() -> None:
    echo = "x" * (MAX_CELL // 2)

    found = read(failed=bad(("k1", f"STRING_TOO_LONG:too large: {echo}:--"), ("k2", OLDER)))

    assert [result.code for result in found.values()] == [
        "STRING_TOO_LONG",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    ]


def test_no_repr_shows_what_the_files_say() -> None:
    assert "k1" not in repr(ResultSets(good(("k1", "true")), b"", b""))
