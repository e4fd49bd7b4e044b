"""Formulas of validation rules, against the documented pages of each function."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.rules.formula import Column, compile_condition
from connectors.sandbox.rules.functions import Values
from connectors.sandbox.rules.tree import MAX_DEPTH, MAX_LENGTH, FormulaError

COLUMNS: Mapping[str, Column] = {
    column.name.lower(): column
    for column in (
        Column("Version__c", "number"),
        Column("Total__c", "number", scale=2),
        Column("Name", "text"),
        Column("Paid__c", "boolean"),
        Column("At__c", "time"),
        Column("Status__c", "picklist"),
    )
}
OLDER = (
    "AND(NOT(ISNEW()), NOT(ISBLANK(PRIORVALUE(Version__c))), Version__c < PRIORVALUE(Version__c))"
)


def fires(text: str, new: Values | None = None, old: Values | None = None) -> bool:
    return compile_condition(text, COLUMNS).run(new or {}, old)


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ({"Version__c": 1}, None, False),
        ({"Version__c": 1}, {"Version__c": None}, False),
        ({"Version__c": 1}, {"Version__c": 2}, True),
        ({"Version__c": 2}, {"Version__c": 2}, False),
        ({"Version__c": 3}, {"Version__c": 2}, False),
        ({"Version__c": None}, {"Version__c": 2}, False),
        ({"Version__c": 0}, {"Version__c": 10**17}, True),
    ],
)
def test_the_version_rule_refuses_lower_versions_only(
    new: Values, old: Values | None, expected: object
) -> None:
    assert fires(OLDER, new, old) is expected


def test_the_version_rule_reads_one_field() -> None:
    assert compile_condition(OLDER, COLUMNS).fields == {"Version__c"}


TRUE_OF_AN_EMPTY_NEW_ROW = [
    "1 + 2 * 3 = 7",
    "(1 + 2) * 3 = 9",
    "7 - 2 - 1 = 4",
    "8 / 2 / 2 = 2",
    "1 / 4 = 0.25",
    ".5 + 0.1 = 0.6",
    "-2 * -3 = 6",
    "+1 = 1",
    "1 <> 2 && 1 != 2",
    "1 == 1",
    "1 < 2 && 2 <= 2 && 3 > 2 && 2 >= 2",
    "FALSE || TRUE && TRUE",
    "NOT(FALSE || TRUE) || !FALSE",
    "true",
    "IsNew()",
    "IF(1 > 2, FALSE, TRUE)",
    "LEN('a\\'b') = 3",
    'LEN("a\\nb") = 3',
    "LEN(Name) = 0",
    'Name = ""',
    'Name <> "x"',
    '"a" < "b"',
    '"a" <> "A"',  # text is compared with its case
    '"a" & "b" = "ab"',
    "ISBLANK(Name) && ISBLANK(Total__c) && ISBLANK(AT__C) && ISBLANK(Status__c)",
    "ISBLANK(NULL)",
    "NOT(ISBLANK(Paid__c))",  # a checkbox is never blank
    "Paid__c = FALSE",
    "BLANKVALUE(Total__c, 5) = 5",
    'BLANKVALUE(Name, "none") = "none"',
    "NOT(ISCHANGED(Total__c))",
    'ISPICKVAL(Status__c, "")',
    'TEXT(Status__c) = ""',
    "/* why */ TRUE",
]


@pytest.mark.parametrize("text", TRUE_OF_AN_EMPTY_NEW_ROW)
def test_an_expression_gives_what_its_page_says(text: str) -> None:
    assert fires(text) is True
    assert fires(f"NOT({text})") is False


@pytest.mark.parametrize(
    "text",
    [
        "Total__c = 1",
        "Total__c <> 1",
        "Total__c < 1",
        "NOT(Total__c < 1)",
        "Total__c + 1 > 0",
        "-Total__c < 1",
        "At__c = NULL",
        "1 / 0 = 1",
        "AND(TRUE, Total__c > 1)",
        "NOT(AND(TRUE, Total__c > 1))",
        "OR(Total__c > 1, FALSE)",
        "IF(Total__c > 1, TRUE, NULL)",
    ],
)
def test_a_blank_number_or_time_makes_a_condition_that_refuses_nothing(text: str) -> None:
    assert fires(text) is False


def test_or_is_true_beside_a_blank_condition() -> None:
    assert fires("OR(Total__c > 1, TRUE)") is True


def test_stored_numbers_are_read_with_their_decimals() -> None:
    row = {"Total__c": 1999, "Version__c": 1999}

    assert fires("Total__c = 19.99 && Version__c = 1999", row) is True


def test_values_before_are_those_stored_and_of_a_new_row_its_own() -> None:
    old, new = {"Status__c": "placed"}, {"Status__c": "shipped"}

    assert fires('ISPICKVAL(PRIORVALUE(Status__c), "placed") && ISCHANGED(Status__c)', new, old)
    assert fires('ISPICKVAL(PRIORVALUE(Status__c), "shipped")', new)
    assert not fires("ISCHANGED(Status__c)", new)
    assert not fires("ISNEW()", new, old)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "syntax error at character 1, found the end"),
        ("AND(TRUE", r"syntax error at character 9, found the end"),
        ("TRUE)", r"syntax error at character 5, found '\)'"),
        ("1 = 1 TRUE", "syntax error at character 7, found 'TRUE'"),
        ("TRUE # FALSE", "syntax error at character 6"),
        ("'open", "syntax error at character 1"),
        ("Nope__c = 1", "field Nope__c does not exist"),
        ("Parent__r.Name = 'x'", "field Parent__r.Name does not exist"),
        ("TODAY() = At__c", "unknown function TODAY"),
        ("ISNEW(1)", r"ISNEW takes 0 argument\(s\), received 1"),
        ("AND()", r"AND takes at least 1 argument\(s\), received 0"),
        ("PRIORVALUE(1 + 1) = 2", "take a field, not an expression"),
        ("Name = 1", "types do not match: number and text"),
        ("Name + 1 = 2", "expected number, received text"),
        ("Status__c = 'placed'", "a picklist cannot be compared by ="),
        ("Paid__c < TRUE", "a boolean cannot be compared by <"),
        ("IF(Paid__c, 1, 'a') = 1", "types do not match"),
        ("AND(1)", "expected boolean, received number"),
        ("NULL", "formula result is null, expected boolean"),
        ("Total__c", "formula result is number, expected boolean"),
        ("positive(1) = 1", "unknown function POSITIVE"),
        ("TRUE" + " " * MAX_LENGTH, "formula is too long"),
        ("(" * (MAX_DEPTH + 1) + "TRUE" + ")" * (MAX_DEPTH + 1), "nested deeper"),
    ],
)
def test_what_does_not_compile_is_said(text: str, expected: str) -> None:
    with pytest.raises(FormulaError, match=expected):
        compile_condition(text, COLUMNS)


@given(st.text(alphabet="AND(OR)NTISEW,=<>&|!+-*/ '\"1.0\\Name", max_size=60))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        condition = compile_condition(text, COLUMNS)
    except FormulaError:
        return

    assert condition.run({}, None) in {True, False}


numbers = st.integers(-(10**17), 10**17)


@given(numbers, numbers, numbers)
def test_sums_and_comparisons_agree_with_python(a: int, b: int, c: int) -> None:
    row: dict[str, Any] = {"Version__c": a, "Total__c": b * 100}

    fired = fires(f"VERSION__c - total__c * 2 < {c}", row)

    assert fired is (a - b * 2 < c)
