"""sObject Collections upsert: order, errors word for word, all or none, nulls, ids."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest

KEY = "External_Id__c"
ORDER = "Commerce_Order__c"


def errors_of(item: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    assert item["success"] is False
    assert item.keys() == {"success", "errors"}
    return [(e["statusCode"], e["message"], e["fields"]) for e in item["errors"]]


def test_outcomes_keep_the_order_and_say_what_was_created(admin: Any) -> None:
    first = admin.upsert([{KEY: "ord-1"}, {KEY: "ord-2"}]).json()

    again = admin.upsert([{KEY: "ord-2"}, {KEY: "ord-3"}, {KEY: "ord-1"}]).json()

    assert [i["created"] for i in first] == [True, True]
    assert [i["created"] for i in again] == [False, True, False]
    assert [again[2]["id"], again[0]["id"]] == [i["id"] for i in first]
    assert all(len(i["id"]) == 18 and i["errors"] == [] and i["success"] for i in first + again)


DATA_ERRORS = {
    "too long": (
        {"Currency__c": "EURO"},
        "STRING_TOO_LONG",
        "Currency: data value too large: EURO (max length=3)",
        ["Currency__c"],
    ),
    "not in the picklist": (
        {"Status__c": "lost"},
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Status: bad value for restricted picklist field: lost",
        ["Status__c"],
    ),
    "picklist is case-sensitive": (
        {"Status__c": "Placed"},
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Status: bad value for restricted picklist field: Placed",
        ["Status__c"],
    ),
    "too many digits": (
        {"Item_Count__c": 1_000_000_000},
        "NUMBER_OUTSIDE_VALID_RANGE",
        "Item Count: value outside of valid range on numeric field: 1000000000",
        ["Item_Count__c"],
    ),
    "a read-only field": (
        {"CreatedDate": "2026-01-01T00:00:00Z"},
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        (
            "Unable to create/update fields: CreatedDate. Please check the security settings of"
            " this field and verify that it is read/write for your profile or permission set."
        ),
        ["CreatedDate"],
    ),
    "an unknown field": (
        {"Shoe_Size__c": 43},
        "INVALID_FIELD",
        "No such column 'Shoe_Size__c' on sobject of type Commerce_Order__c",
        [],
    ),
    "a year no org holds": (
        {"Placed_At__c": "9999-12-31T00:00:00Z"},
        "FIELD_INTEGRITY_EXCEPTION",
        "Placed At: invalid date: Fri Dec 31 00:00:00 GMT 9999",
        ["Placed_At__c"],
    ),
    "no key": ({KEY: ""}, "MISSING_ARGUMENT", "External_Id__c not specified", []),
}


@pytest.mark.parametrize("case", DATA_ERRORS)
def test_a_bad_record_fails_alone_with_the_documented_text(admin: Any, case: str) -> None:
    bad, code, message, fields = DATA_ERRORS[case]

    answer = admin.upsert([{KEY: f"good-{case}"}, {KEY: f"bad-{case}", **bad}])

    good, refused = answer.json()
    assert answer.status_code == 200
    assert good["success"]
    assert errors_of(refused) == [(code, message, fields)]
    assert admin.query(f"SELECT Id FROM {ORDER} WHERE {KEY} = 'bad-{case}'")["totalSize"] == 0


@pytest.mark.parametrize(
    ("field", "value", "wanted", "token"),
    [
        ("Placed_At__c", "2026-13-01T00:00:00Z", "datetime", "VALUE_STRING value 2026-13-01T00:00"),
        ("Placed_At__c", "2026-01-01T00:00:00", "datetime", "VALUE_STRING value 2026-01-01T00:00"),
        ("Currency__c", 5, "string", "VALUE_NUMBER_INT value 5"),
        ("Total__c", "a lot", "double", "VALUE_STRING value a lot"),
        ("Total__c", True, "double", "VALUE_TRUE value true"),
        ("Total__c", {}, "double", "START_OBJECT value {"),
    ],
)
def test_the_wrong_kind_of_json_is_a_parser_error(
    admin: Any, field: str, value: object, wanted: str, token: str
) -> None:
    item = admin.upsert([{KEY: "kind", field: value}]).json()[0]

    (code, message, fields) = errors_of(item)[0]
    assert (code, fields) == ("JSON_PARSER_ERROR", [])
    assert message.startswith(f"Cannot deserialize instance of {wanted} from {token}")
    assert "or request may be missing a required field at [line:1, column:" in message


def test_strict_json_refuses_the_whole_request_instead(start_org: Any) -> None:
    client = start_org("--strict-json", "--plain").login()

    answer = client.upsert([{KEY: "a"}, {KEY: "b", "Shoe_Size__c": 43}])

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "INVALID_FIELD"
    assert client.query(f"SELECT COUNT() FROM {ORDER}")["totalSize"] == 0


def test_one_key_twice_in_a_request_fails_both_rows(admin: Any) -> None:
    items = admin.upsert([{KEY: "twin"}, {KEY: "single"}, {KEY: "twin"}]).json()

    text = "Duplicate external id specified: twin"
    assert [i["success"] for i in items] == [False, True, False]
    assert errors_of(items[0]) == errors_of(items[2]) == [("DUPLICATE_VALUE", text, [KEY])]


def test_external_ids_are_case_sensitive(admin: Any) -> None:
    items = admin.upsert([{KEY: "CaseKey"}, {KEY: "casekey"}]).json()

    assert [i["created"] for i in items] == [True, True]
    assert items[0]["id"] != items[1]["id"]


def test_all_or_none_rolls_everything_back(admin: Any) -> None:
    records = [{KEY: "aon-1"}, {KEY: "aon-2", "Status__c": "lost"}, {KEY: "aon-3"}]

    items = admin.upsert(records, all_or_none=True).json()

    codes = [errors_of(i)[0][0] for i in items]
    rolled_back = "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert codes == [rolled_back, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", rolled_back]
    assert errors_of(items[0])[0][1] == (
        "Record rolled back because not all records were valid and the request was using"
        " AllOrNone header"
    )
    assert admin.query(f"SELECT Id FROM {ORDER} WHERE {KEY} LIKE 'aon-%'")["totalSize"] == 0


def test_null_empties_absent_leaves_and_an_empty_text_is_null(admin: Any) -> None:
    full = {KEY: "nulls", "Currency__c": "EUR", "First_Sku__c": "S-1", "Ship_Country__c": "DE"}
    admin.upsert([full])

    admin.upsert([{KEY: "nulls", "Currency__c": None, "First_Sku__c": ""}])

    row = admin.query(
        f"SELECT Currency__c, First_Sku__c, Ship_Country__c FROM {ORDER} WHERE {KEY} = 'nulls'"
    )["records"][0]
    assert (row["Currency__c"], row["First_Sku__c"]) == (None, None)
    assert row["Ship_Country__c"] == "DE"


def test_a_checkbox_is_never_null(admin: Any) -> None:
    sobject = "Commerce_Customer__c"
    made = admin.upsert([{KEY: "box"}], sobject=sobject).json()[0]

    refused = admin.upsert([{KEY: "box", "Marketing_Consent__c": None}], sobject=sobject).json()

    row = admin.call("GET", f"sobjects/{sobject}/{made['id']}").json()
    assert row["Marketing_Consent__c"] is False
    assert errors_of(refused[0]) == [
        (
            "INVALID_TYPE_ON_FIELD_IN_RECORD",
            "Marketing Consent: value not of required type: null",
            ["Marketing_Consent__c"],
        )
    ]


def test_names_are_case_insensitive_and_come_back_canonical(admin: Any) -> None:
    answer = admin.call(
        "PATCH",
        "composite/sobjects/COMMERCE_ORDER__C/external_id__C",
        json={"records": [{"attributes": {"type": "commerce_order__c"}, "EXTERNAL_ID__C": "cn"}]},
    )

    assert answer.json()[0]["created"] is True
    row = admin.query(f"select id, external_id__c from commerce_order__c where {KEY} = 'cn'")
    assert list(row["records"][0]) == ["attributes", "Id", KEY]
    assert row["records"][0]["attributes"]["type"] == ORDER


def test_amounts_keep_every_digit_and_extra_decimals_are_cut(admin: Any) -> None:
    body = (
        '{"records": [{"attributes": {"type": "Commerce_Order__c"}, "External_Id__c": "digits",'
        ' "Total__c": 1234567890123456.789, "Discount_Total__c": -0.019,'
        ' "Base_Version__c": 123456789012345678}]}'
    )
    headers = {"Content-Type": "application/json"}

    admin.call("PATCH", f"composite/sobjects/{ORDER}/{KEY}", data=body, headers=headers)

    soql = f"SELECT Total__c, Discount_Total__c, Base_Version__c FROM {ORDER}"
    answer = admin.call("GET", "query", params={"q": f"{soql} WHERE {KEY} = 'digits'"})
    row = json.loads(answer.text, parse_float=Decimal)["records"][0]
    assert row["Total__c"] == Decimal("1234567890123456.78")
    assert row["Discount_Total__c"] == Decimal("-0.01")
    assert row["Base_Version__c"] == Decimal("123456789012345678.0")


def test_a_hostile_exponent_is_refused_not_computed(admin: Any) -> None:
    body = (
        '{"records": [{"attributes": {"type": "Commerce_Order__c"}, "External_Id__c": "exp",'
        ' "Total__c": 1e999999999}]}'
    )
    headers = {"Content-Type": "application/json"}

    answer = admin.call("PATCH", f"composite/sobjects/{ORDER}/{KEY}", data=body, headers=headers)

    assert errors_of(answer.json()[0])[0][0] == "NUMBER_OUTSIDE_VALID_RANGE"


def test_times_keep_whole_seconds_in_utc(admin: Any) -> None:
    admin.upsert([{KEY: "time", "Placed_At__c": "2026-11-23T01:02:03.987+02:00"}])

    row = admin.query(f"SELECT Placed_At__c FROM {ORDER} WHERE {KEY} = 'time'")["records"][0]

    assert row["Placed_At__c"] == "2026-11-22T23:02:03.000+0000"


def test_a_name_is_kept_by_an_upsert_that_leaves_it_out(admin: Any) -> None:
    made = admin.upsert([{KEY: "name-1"}, {KEY: "name-2", "Name": "Ada"}]).json()
    admin.upsert([{KEY: f"name-{n}", "Currency__c": "EUR"} for n in (1, 2)])

    rows = admin.query(f"SELECT Name FROM {ORDER} WHERE {KEY} LIKE 'name-_' ORDER BY {KEY}")

    assert [row["Name"] for row in rows["records"]] == [made[0]["id"], "Ada"]


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        ({"records": [{"attributes": {"type": ORDER}}] * 201}, 400, "EXCEEDED_ID_LIMIT"),
        ({"records": [{KEY: "untyped"}]}, 400, "INVALID_INPUT"),
        ({"records": [{"attributes": {"type": "Account"}}]}, 400, "INVALID_INPUT"),
        ({"rows": []}, 400, "INVALID_INPUT"),
        ([], 400, "INVALID_INPUT"),
    ],
)
def test_a_malformed_request_is_refused_whole(
    admin: Any, document: object, status: int, code: str
) -> None:
    answer = admin.call("PATCH", f"composite/sobjects/{ORDER}/{KEY}", json=document)

    assert answer.status_code == status
    assert answer.json()[0]["errorCode"] == code


def test_more_than_200_records_have_a_text(admin: Any) -> None:
    answer = admin.upsert([{KEY: f"n-{n}"} for n in range(201)])

    text = "record limit reached. cannot submit more than 200 records into this call"
    assert answer.json() == [{"message": text, "errorCode": "EXCEEDED_ID_LIMIT"}]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Nothing__c/External_Id__c", "The requested resource does not exist"),
        (
            f"{ORDER}/Status__c",
            "Provided external ID field does not exist or is not accessible: Status__c",
        ),
    ],
)
def test_an_unknown_object_or_key_is_404(admin: Any, path: str, message: str) -> None:
    answer = admin.call("PATCH", f"composite/sobjects/{path}", json={"records": []})

    assert answer.status_code == 404
    assert answer.json() == [{"message": message, "errorCode": "NOT_FOUND"}]


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b'{"records": [NaN]}', b"[" * 100_000, b"9" * 5000]
)
def test_what_is_not_json_is_a_parser_error(admin: Any, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    answer = admin.call("PATCH", f"composite/sobjects/{ORDER}/{KEY}", data=body, headers=headers)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] in {"JSON_PARSER_ERROR", "INVALID_INPUT"}


def test_bodies_may_be_gzipped_both_ways_and_chunked(admin: Any) -> None:
    records = [{"attributes": {"type": ORDER}, KEY: f"gz-{n}"} for n in range(50)]
    packed = gzip.compress(json.dumps({"records": records}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    answer = admin.call(
        "PATCH", f"composite/sobjects/{ORDER}/{KEY}", data=iter([packed[:40], packed[40:]]),
        headers=headers,
    )  # fmt: skip

    assert [i["created"] for i in answer.json()] == [True] * 50
    assert answer.headers["Content-Encoding"] == "gzip"


def test_pretty_print_indents(admin: Any) -> None:
    answer = admin.call("GET", "limits", headers={"X-PrettyPrint": "1"})

    assert answer.text.startswith('{\n  "DailyApiRequests": {\n')


def test_lone_surrogates_become_question_marks(admin: Any) -> None:
    body = (
        '{"records": [{"attributes": {"type": "Commerce_Order__c"}, "External_Id__c": "sur",'
        ' "First_Sku__c": "a\\ud800b"}]}'
    )
    headers = {"Content-Type": "application/json"}

    admin.call("PATCH", f"composite/sobjects/{ORDER}/{KEY}", data=body, headers=headers)

    row = admin.query(f"SELECT First_Sku__c FROM {ORDER} WHERE {KEY} = 'sur'")["records"][0]
    assert row["First_Sku__c"] == "a?b"
