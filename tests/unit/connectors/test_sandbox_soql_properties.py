"""SOQL against plain Python: conditions, patterns, and texts that would like to be SQL."""

# ruff: noqa: S608 -- SOQL of our own making

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.errors import ApiError
from tests.support.soql_org import ADMIN, SoqlOrg, soql_org

LETTERS = "aB%_\\'é\n"
WORDS = ["".join(w) for n in (1, 2, 3) for w in itertools.product(LETTERS, repeat=n)]
VAULTS: list[dict[str, Any]] = [
    {"Word__c": word, "Amount__c": amount, "Is_Open__c": flag, "Account__c": account}
    for word, amount, flag, account in itertools.product(
        (None, "x", "X", "y"), (None, -150, 0, 150), (0, 1), (None, 1, 2)
    )
]
NAMES = {1: "Acme", 2: "beta"}


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoqlOrg]:
    with soql_org(tmp_path_factory.mktemp("soql")) as org:
        org.put("Account", *({"Id": n, "Name": name} for n, name in NAMES.items()))
        org.put("Vault__c", *({"Id": n, **row} for n, row in enumerate(VAULTS)))
        org.put("Contact", *({"Id": n, "LastName": w} for n, w in enumerate(WORDS)))
        yield org


def quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


Row = dict[str, Any]
Test = Callable[[Row], bool]


def word(row: Row) -> str | None:
    value = row["Word__c"]
    return None if value is None else str(value).lower()


def amount(row: Row) -> Decimal | None:
    value = row["Amount__c"]
    return None if value is None else Decimal(value) / 100


def account(row: Row) -> str | None:
    number = row["Account__c"]
    return None if number is None else NAMES[number].lower()


def compared(get: Callable[[Row], Any], sign: str, value: Any) -> Test:
    """Return SOQL's idea of a comparison: an empty value equals null and has no order."""

    def holds(row: Row) -> bool:
        found = get(row)
        if sign in {"=", "!="}:
            return (found == value) == (sign == "=")
        if found is None or value is None:
            return False
        return bool({"<": found < value, ">": found > value, "<=": found <= value}[sign])

    return holds


SIGNS = st.sampled_from(["=", "!=", "<", ">", "<="])
NUMBERS = st.sampled_from([Decimal("-1.5"), Decimal("-0.001"), Decimal(0), Decimal("1.499")])
TEXTS = st.sampled_from(["x", "y", "acme", "beta", "z"])


def is_in(get: Callable[[Row], Any], values: list[str | None]) -> Test:
    return lambda row: get(row) in values


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[str, Test]:
    kind = draw(st.sampled_from(["text", "parent", "number", "flag", "in", "null"]))
    name, get = ("Account__r.Name", account) if kind == "parent" else ("Word__c", word)
    if kind in {"text", "parent"}:
        sign, text = draw(SIGNS), draw(TEXTS)
        return f"{name} {sign} '{text}'", compared(get, sign, text)
    if kind == "number":
        sign, number = draw(SIGNS), draw(NUMBERS)
        return f"Amount__c {sign} {number}", compared(amount, sign, number)
    if kind == "flag":
        flag = draw(st.booleans())
        return f"Is_Open__c = {flag}", lambda row: row["Is_Open__c"] == flag
    if kind == "null":
        sign = draw(SIGNS)
        return f"Account__r.Name {sign} null", compared(account, sign, None)
    values = draw(st.lists(st.one_of(TEXTS, st.none()), min_size=1, max_size=4))
    listed = ", ".join("null" if v is None else f"'{v}'" for v in values)
    return f"Word__c IN ({listed})", is_in(word, values)


def negated(term: tuple[str, Test]) -> tuple[str, Test]:
    return f"(NOT {term[0]})", lambda row: not term[1](row)


def joined(terms: list[tuple[str, Test]], connective: str) -> tuple[str, Test]:
    every = all if connective == "AND" else any
    soql = f" {connective} ".join(text for text, _ in terms)
    return f"({soql})", lambda row: every(test(row) for _, test in terms)


CONDITIONS = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        inner.map(negated),
        st.builds(joined, st.lists(inner, min_size=2, max_size=3), st.sampled_from(["AND", "OR"])),
    ),
    max_leaves=8,
)


@given(CONDITIONS)
def test_a_condition_selects_the_rows_for_which_it_holds(
    org: SoqlOrg, condition: tuple[str, Test]
) -> None:
    soql, holds = condition

    _, rows = org.engine.rows(
        org.store, f"SELECT Id FROM Vault__c WHERE {soql}", ADMIN, with_deleted=False
    )

    assert [row[0] for row in rows] == [n for n, row in enumerate(VAULTS) if holds(row)]


PIECES = st.one_of(
    st.just(("%", ".*")),
    st.just(("_", ".")),
    st.sampled_from(LETTERS + "Éb").map(
        lambda c: ("\\" + c if c in "%_\\'" else c.replace("\n", "\\n"), re.escape(c.lower()))
    ),
)


@given(st.lists(PIECES, min_size=1, max_size=5))
def test_a_pattern_matches_as_the_same_regular_expression_does(
    org: SoqlOrg, pieces: list[tuple[str, str]]
) -> None:
    pattern = "".join(soql for soql, _ in pieces)
    expression = re.compile("".join(regex for _, regex in pieces), re.DOTALL)

    found = org.column(f"SELECT LastName FROM Contact WHERE LastName LIKE '{pattern}' ORDER BY Id")

    assert found == [w for w in WORDS if expression.fullmatch(w.lower())]


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_text_finds_the_row_that_holds_it(org: SoqlOrg, text: str) -> None:
    org.put("Vault__c", {"Id": 9999, "Code__c": text})
    try:
        found = org.column(f"SELECT Code__c FROM Vault__c WHERE Code__c = {quote(text)}")
        listed = org.column(f"SELECT Code__c FROM Vault__c WHERE Code__c IN ('', {quote(text)})")
    finally:
        org.store.purge("Vault__c", 9999)

    assert found == [text]
    assert text in listed


HOSTILE = st.text(alphabet="'\"`;-/*() \\%_,.=<>:0aT\n", max_size=12)


@given(HOSTILE, st.sampled_from(range(8)))
def test_no_text_in_any_place_reaches_the_database_as_sql(
    org: SoqlOrg, text: str, place: int
) -> None:
    template = (
        "SELECT {} FROM Contact",
        "SELECT Id {} FROM Contact",
        "SELECT Id FROM {}",
        "SELECT Id FROM Contact WHERE {} = 'a'",
        "SELECT Id FROM Contact WHERE LastName {} 'a'",
        "SELECT Id FROM Contact WHERE LastName = '{}'",
        "SELECT Id FROM Contact ORDER BY {}",
        "SELECT Id FROM Contact LIMIT {}",
    )[place]

    with suppress(ApiError):  # an error of SQLite's would be a bug
        org.ask(template.format(text))

    assert org.ask("SELECT COUNT() FROM Contact")["totalSize"] == len(WORDS)
