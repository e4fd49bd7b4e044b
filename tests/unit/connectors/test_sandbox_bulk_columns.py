"""A job's columns: numbers as Java writes them, empty and null, references of composites."""

from dataclasses import replace

import pytest

from connectors.sandbox.access import User, Views
from connectors.sandbox.bulk.columns import Column, normalised, read_record
from connectors.sandbox.bulk.orders import HARD_DELETE
from connectors.sandbox.composite.references import UnresolvedError, referenced, resolve
from connectors.sandbox.deployed.source import load_metadata

NUMBER = Column("Total__c", "double", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Double.toString of the Java API: plain from 10**-3 to 10**7, else with an exponent
        ("912260031", "9.12260031E8"),
        ("9999999", "9999999.0"),
        ("10000000", "1.0E7"),
        ("12345678.5", "1.23456785E7"),
        ("0.001", "0.001"),
        ("0.0009", "9.0E-4"),
        ("0", "0.0"),
        ("-0", "-0.0"),
        ("-1.50", "-1.5"),
        ("100", "100.0"),
        ("1e3", "1000.0"),
        ("-1e21", "-1.0E21"),
        ("1e999", "1e999"),  # beyond a double: left alone
        ("many", "many"),
        ("", ""),
    ],
)
def test_results_write_numbers_as_java_does(text: str, expected: str) -> None:
    assert normalised(NUMBER, text) == expected


def test_other_columns_come_back_as_they_were() -> None:
    assert normalised(Column("Name", "string", None), "912260031") == "912260031"


def test_an_empty_cell_is_absent_and_na_is_null() -> None:
    columns = [Column(name, "string", None) for name in "abc"]

    assert read_record(columns, ["", "#N/A", "x"]) == {"b": None, "c": "x"}


def test_references_are_found_anywhere_and_replaced_as_text() -> None:
    value = {"a": ["@{one.id}/@{two[0].b.c}", {"d": "@{three.n}"}], "e": 1, "@{key.id}": None}
    answers = {"one": {"id": "1"}, "two": [{"b": {"c": True}}], "three": {"n": 5}}

    assert referenced(value) == {"one", "two", "three"}
    assert resolve(value, answers) == {
        "a": ["1/true", {"d": "5"}],
        "e": 1,
        "@{key.id}": None,
    }


@pytest.mark.parametrize("text", ["@{no.id}", "@{one.no}", "@{one[0]}", "@{one}", "@{one.id.x}"])
def test_what_a_reference_does_not_find_is_named(text: str) -> None:
    with pytest.raises(UnresolvedError) as caught:
        resolve(text, {"one": {"id": "1"}})

    name = text[2:-1].partition(".")[0].partition("[")[0]
    path = text[2 + len(name) : -1]
    assert caught.value.text == (
        f"Invalid reference specified. No value for {name}{path} found in {name}."
    )


def test_a_user_permission_comes_with_the_permission_set() -> None:
    metadata = load_metadata()
    plain = metadata.permission_sets["Region_Sink"]
    eraser = replace(plain, name="Eraser", permissions=plain.permissions | {HARD_DELETE})
    sets = {"Region_Sink": plain, "Eraser": eraser}
    prefixes = dict.fromkeys(metadata.objects, "a00")

    views = Views(replace(metadata, permission_sets=sets), prefixes)

    names = [None, "Region_Sink", "Eraser", "Gone"]
    users = [User(number, "somebody", name) for number, name in enumerate(names)]
    assert "ApiEnabled" in plain.permissions
    assert [views.permits(user, HARD_DELETE) for user in users] == [True, False, True, False]
