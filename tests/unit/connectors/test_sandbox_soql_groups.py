"""Counting and grouping: exact, over parents too, and refused where SOQL refuses it."""

# ruff: noqa: S608 -- SOQL of our own making

from collections.abc import Iterator

import pytest

from tests.support.soql_org import SoqlOrg, soql_org

MOST = 10**18 - 1  # the greatest amount of 18 digits, as it is stored


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoqlOrg]:
    with soql_org(tmp_path_factory.mktemp("soql")) as org:
        org.put(
            "Account", {"Id": 1, "Name": "Acme", "NumberOfEmployees": 7}, {"Id": 2, "Name": "Beta"}
        )
        org.put(
            "Vault__c",
            {"Id": 1, "Word__c": "x", "Amount__c": 150, "Account__c": 1, "Day__c": "2024-01-02"},
            {"Id": 2, "Word__c": "X", "Amount__c": 25, "Account__c": 1},
            {"Id": 3, "Word__c": "y", "Amount__c": -100, "Account__c": 2},
            {"Id": 4, "Word__c": "y"},
            {"Id": 5},
            *({"Id": 100 + n, "Word__c": "huge", "Amount__c": MOST} for n in range(20)),
            *({"Id": 200 + n, "Word__c": "tiny", "Amount__c": -MOST} for n in range(20)),
        )
        yield org


def test_counts_sums_means_and_extremes_of_all_rows(org: SoqlOrg) -> None:
    soql = (
        "SELECT COUNT(Id), COUNT(Amount__c) n, COUNT_DISTINCT(Account__c), SUM(Amount__c) s,"
        " AVG(Amount__c), MIN(Amount__c), MAX(Day__c) FROM Vault__c WHERE Word__c IN ('x', 'Y')"
    )

    (record,) = org.records(soql)

    assert record == {
        "expr0": 4, "n": 3, "expr1": 2, "s": 0.75, "expr2": 0.25,
        "expr3": -1.0, "expr4": "2024-01-02",
    }  # fmt: skip


def test_nothing_counts_as_zero_and_sums_up_to_null(org: SoqlOrg) -> None:
    soql = "SELECT COUNT(Id), SUM(Amount__c), AVG(Amount__c) FROM Vault__c WHERE Name = 'nobody'"

    assert org.records(soql) == [{"expr0": 0, "expr1": None, "expr2": None}]


@pytest.mark.parametrize("word", ["huge", "tiny"])
def test_a_sum_beyond_64_bits_is_exact(org: SoqlOrg, word: str) -> None:
    soql = f"SELECT SUM(Amount__c) FROM Vault__c WHERE Word__c = '{word}'"

    (total,) = org.ask(soql)["records"]

    sign = "-" if word == "tiny" else ""
    assert str(total["expr0"]) == f"{sign}199999999999999999.8"


def test_groups_of_text_mind_no_case_and_empty_is_a_group(org: SoqlOrg) -> None:
    soql = (
        "SELECT Word__c, COUNT(Id) n FROM Vault__c GROUP BY Word__c HAVING COUNT(Id) < 20"
        " ORDER BY COUNT(Id) DESC, Word__c NULLS LAST"
    )

    assert [(r["Word__c"] and r["Word__c"].lower(), r["n"]) for r in org.records(soql)] == [
        ("x", 2), ("y", 2), (None, 1),
    ]  # fmt: skip


def test_a_group_by_a_parents_field_is_named_by_the_field_or_its_alias(org: SoqlOrg) -> None:
    soql = (
        "SELECT Account__r.Name, Account__r.NumberOfEmployees e, COUNT(Id) FROM Vault__c"
        " WHERE Account__c != null GROUP BY Account__r.Name, Account__r.NumberOfEmployees"
        " ORDER BY Account__r.Name"
    )

    assert org.ask(soql)["records"] == [
        {"attributes": {"type": "AggregateResult"}, "Name": "Acme", "e": 7, "expr0": 2},
        {"attributes": {"type": "AggregateResult"}, "Name": "Beta", "e": None, "expr0": 1},
    ]


@pytest.mark.parametrize(
    ("having", "expected"),
    [
        ("COUNT(Id) = 2", ["x", "y"]),
        ("SUM(Amount__c) > 1.74 AND SUM(Amount__c) < 1.76", ["x"]),
        ("AVG(Amount__c) <= -1", ["tiny", "y"]),
        ("NOT AVG(Amount__c) > -1", ["tiny", "y"]),
        ("MAX(Amount__c) = 1.5", ["x"]),
        ("Word__c LIKE 'h%' OR COUNT_DISTINCT(Account__c) = 1", ["huge", "x", "y"]),
    ],
)
def test_having_chooses_groups(org: SoqlOrg, having: str, expected: list[str]) -> None:
    soql = f"SELECT Word__c FROM Vault__c WHERE Word__c != null GROUP BY Word__c HAVING {having}"

    assert sorted(str(word).lower() for word in org.column(soql)) == expected


def test_count_alone_is_the_total_size_and_minds_limit(org: SoqlOrg) -> None:
    total, limited = (org.ask(f"SELECT COUNT() FROM Vault__c{e}") for e in ("", " LIMIT 7"))

    assert total == {"totalSize": 45, "done": True, "records": []}
    assert limited["totalSize"] == 7


@pytest.mark.parametrize(
    ("soql", "text"),
    [
        ("SELECT Name, COUNT(Id) FROM Vault__c", "Field must be grouped or aggregated: Name"),
        ("SELECT Name FROM Vault__c GROUP BY Word__c", "Field must be grouped or aggregated: Name"),
        (
            "SELECT COUNT(Id) FROM Vault__c GROUP BY Word__c HAVING Name = 'x'",
            "Field must be grouped or aggregated: Name",
        ),
        ("SELECT SUM(Word__c) FROM Vault__c", "does not support aggregate operator SUM"),
        ("SELECT MAX(Is_Open__c) FROM Vault__c", "does not support aggregate operator MAX"),
        (
            "SELECT COUNT(Id) FROM Vault__c GROUP BY Amount__c",
            "field 'Amount__c' can not be grouped in a query call",
        ),
        ("SELECT COUNT(Id) FROM Vault__c GROUP BY ROLLUP(Word__c)", "GROUP BY ROLLUP is not"),
        ("SELECT COUNT(Id) n, MAX(Name) N FROM Vault__c", "duplicate alias: N"),
        ("SELECT Name n FROM Vault__c", "only aggregate expressions use field aliasing"),
        ("SELECT Id FROM Vault__c WHERE COUNT(Id) > 1", "Aggregate functions are not supported"),
        ("SELECT Id FROM Vault__c ORDER BY COUNT(Id)", "Aggregate functions are not supported"),
        ("SELECT FIELDS(STANDARD) FROM Vault__c GROUP BY Name", "not supported with GROUP BY"),
        ("SELECT (SELECT COUNT(Id) FROM Notes__r) FROM Vault__c", "Subqueries cannot count"),
        ("SELECT COUNT(Id), (SELECT Id FROM Notes__r) FROM Vault__c", "cannot hold subqueries"),
    ],
)
def test_what_cannot_be_grouped_is_malformed(org: SoqlOrg, soql: str, text: str) -> None:
    refused = org.refusal(soql)

    assert refused.code == "MALFORMED_QUERY"
    assert text in refused.message


def test_more_groups_than_a_page_are_refused(org: SoqlOrg) -> None:
    org.put("Note__c", *({"Id": n, "Name": f"n{n}"} for n in range(1, 2002)))

    refused = org.refusal("SELECT Name FROM Note__c GROUP BY Name")

    assert refused.code == "EXCEEDED_ID_LIMIT"
    assert len(org.column("SELECT Name FROM Note__c GROUP BY Name LIMIT 2000")) == 2000
