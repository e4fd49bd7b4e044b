"""SOQL means what Salesforce says it means, checked on real rows against plain Python."""

# ruff: noqa: S608 -- SOQL of our own making

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.access import User, Views
from connectors.sandbox.deployed.source import load_metadata
from connectors.sandbox.errors import ApiError
from connectors.sandbox.soql.engine import QueryEngine
from connectors.sandbox.soql.parser import parse
from connectors.sandbox.store import Store

Ask = Callable[[str], dict[str, Any]]
ADMIN = User(1, "admin", None)
CUSTOMER = "Commerce_Customer__c"
ROWS: list[dict[str, Any]] = [
    {"External_Id__c": "a", "Language__c": "de", "Birth_Year__c": 1980, "Marketing_Consent__c": 1},
    {"External_Id__c": "B", "Language__c": "DE", "Birth_Year__c": 1990, "Marketing_Consent__c": 0},
    {"External_Id__c": "c%", "Language__c": None, "Birth_Year__c": None},
    {"External_Id__c": "cx", "Language__c": "fr", "Birth_Year__c": 2000},
    {"External_Id__c": "o'x\\", "Language__c": "é", "Birth_Year__c": 1990},
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    store = Store(tmp_path_factory.mktemp("org") / "org.sqlite")
    metadata = load_metadata()
    views = Views(metadata, store.deploy(metadata))
    system = {
        "OwnerId": 1, "Name": "n", "CreatedDate": 0, "CreatedById": 1,
        "LastModifiedDate": 0, "LastModifiedById": 1, "SystemModstamp": 0,
    }  # fmt: skip
    with store.transaction():
        store.insert(CUSTOMER, [{"Id": n, **system, **row} for n, row in enumerate(ROWS, 1)])
    engine = QueryEngine(lambda: views)
    yield lambda soql: engine.run(store, soql, ADMIN, "62.0", batch=2000, with_deleted=False)
    store.close()


def keys(ask: Ask, where: str) -> list[str]:
    soql = f"SELECT External_Id__c FROM {CUSTOMER} WHERE {where} ORDER BY Id"
    answer = ask(soql)
    return [r["External_Id__c"] for r in answer["records"]]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("Language__c = 'DE'", ["a", "B"]),  # text compares without case
        ("External_Id__c = 'b'", []),  # unless the field is case-sensitive
        ("External_Id__c = 'B'", ["B"]),
        ("Language__c != 'de'", ["c%", "cx", "o'x\\"]),  # an empty value differs from any
        ("Language__c = null", ["c%"]),
        ("Language__c = ''", ["c%"]),  # an empty text is null
        ("Language__c != null", ["a", "B", "cx", "o'x\\"]),
        ("Language__c IN ('de', null)", ["a", "B", "c%"]),
        ("Language__c NOT IN ('de')", ["c%", "cx", "o'x\\"]),
        ("NOT Language__c = 'de'", ["c%", "cx", "o'x\\"]),  # no third truth value
        ("NOT Birth_Year__c > 1985", ["a", "c%"]),
        ("Birth_Year__c >= 1990 AND Birth_Year__c < 2000", ["B", "o'x\\"]),
        ("Birth_Year__c > 1989.5", ["B", "cx", "o'x\\"]),
        ("Birth_Year__c <= 1980.5", ["a"]),
        ("Birth_Year__c = 1980.5", []),
        ("Birth_Year__c <> 1980.0", ["B", "c%", "cx", "o'x\\"]),
        ("External_Id__c LIKE 'C%'", ["c%", "cx"]),  # LIKE never minds case
        ("External_Id__c LIKE 'c\\%'", ["c%"]),
        ("External_Id__c LIKE 'c_'", ["c%", "cx"]),
        ("External_Id__c = 'o\\'x\\\\'", ["o'x\\"]),
        ("Language__c = 'É'", ["o'x\\"]),
        ("Marketing_Consent__c = true", ["a"]),
        ("(Language__c = 'fr' OR Birth_Year__c = null) AND Name = 'N'", ["c%", "cx"]),
        ("CreatedDate < 1970-01-01T00:00:01Z", ["a", "B", "c%", "cx", "o'x\\"]),
        ("CreatedDate > 1970-01-01T00:00:00+01:00 AND External_Id__c = 'a'", ["a"]),
    ],
)
def test_where(ask: Ask, where: str, expected: list[str]) -> None:
    assert keys(ask, where) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("Birth_Year__c, External_Id__c", ["c%", "a", "B", "o'x\\", "cx"]),
        ("Birth_Year__c DESC NULLS LAST, External_Id__c DESC", ["cx", "o'x\\", "B", "a", "c%"]),
        ("Id LIMIT 2 OFFSET 1", ["B", "c%"]),
    ],
)
def test_order_limit_and_offset(ask: Ask, order: str, expected: list[str]) -> None:
    soql = f"SELECT External_Id__c FROM {CUSTOMER} ORDER BY {order}"

    answer = ask(soql)

    assert [r["External_Id__c"] for r in answer["records"]] == expected


@pytest.mark.parametrize(
    "soql",
    [
        f"SELECT Id FROM {CUSTOMER} WHERE Name = 'a' AND Name = 'b' OR Name = 'c'",  # brackets
        f"SELECT Id FROM {CUSTOMER} WHERE Name == 'a'",
        f"SELECT Id FROM {CUSTOMER} WHERE Name = 'a",
        f"SELECT Id FROM {CUSTOMER}; DROP TABLE {CUSTOMER}",
        f"SELECT Id FROM {CUSTOMER} OFFSET -1",
        f"SELECT COUNT(), Id FROM {CUSTOMER}",
        f"SELECT Language__c, COUNT(Id) FROM {CUSTOMER}",
        f"SELECT Id FROM {CUSTOMER} WHERE {'(' * 60}Name = 'a'{')' * 60}",
        "",
    ],
)
def test_what_salesforce_does_not_parse_is_malformed(ask: Ask, soql: str) -> None:
    with pytest.raises(ApiError) as caught:
        ask(soql)

    assert caught.value.problems[0].code == "MALFORMED_QUERY"


@given(st.text(max_size=80))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(ApiError):  # anything else is a bug
        parse("SELECT Id FROM T WHERE " + text)


def test_the_error_points_at_its_place() -> None:
    with pytest.raises(ApiError) as caught:
        parse("SELECT Id\nFROM T WHERE ?")

    assert caught.value.problems[0].message == (
        "\nFROM T WHERE ?\n             ^\nERROR at Row:2:Column:14\n"
        "line 2:14 no viable alternative at character '?'"
    )
