"""What SOQL does not take is refused with Salesforce's code, and shown where it stands."""

# ruff: noqa: S608 -- SOQL of our own making

from collections.abc import Iterator

import pytest

from connectors.sandbox.errors import ApiError
from connectors.sandbox.soql.parser import parse
from tests.support.soql_org import ADMIN, SoqlOrg, soql_org

NAMES = "Please reference your WSDL or the describe call for the appropriate names."


def wrong(field: str, what: str) -> str:
    return (
        f"value of filter criterion for field '{field}' must be of type {what} be enclosed in"
        " quotes"
    )


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoqlOrg]:
    with soql_org(tmp_path_factory.mktemp("soql")) as org:
        yield org


INVALID, MALFORMED, OPERATOR = "INVALID_FIELD", "MALFORMED_QUERY", "INVALID_QUERY_FILTER_OPERATOR"
NO_COLUMN = (
    "No such column '{}' on entity '{}'. If you are attempting to use a custom field, be sure to"
    f" append the '__c' after the custom field name. {NAMES}"
)
NO_PARENT = (
    "Didn't understand relationship '{}' in field path. If you are attempting to use a custom"
    f" relationship, be sure to append the '__r' after the custom relationship name. {NAMES}"
)
NO_CHILD = NO_PARENT.replace("field path", "FROM part of query call")
NO_OBJECT = (
    "sObject type '{}' is not supported. If you are attempting to use a custom object, be sure to"
    f" append the '__c' after the entity name. {NAMES}"
)

NOT_THE_SAME = (
    "The selected field 'LastName' in the subquery and the left operand field 'Id' in the where"
    " expression in the outer query should point to the same object type"
)
NOT_AT_THE_TOP = (
    "Semi join sub-selects are only allowed at the top level WHERE expressions and not in nested"
    " WHERE expressions."
)
FEW_ROWS = "The SOQL FIELDS function must have a LIMIT of at most 200"
ILLEGAL = "Invalid string literal 'a\\d'. Illegal character sequence '\\d' in string literal."
UNCLOSED = "line 1:46 mismatched character '<EOF>' expecting '''"
UNFINISHED = "line 1:67 no viable alternative at character ' '"
ACCOUNTS, VAULTS = "SELECT Id FROM Account WHERE ", "SELECT Id FROM Vault__c WHERE "
MOMENT = "2024-02-28T00:00:00Z"
NESTED = f"{ACCOUNTS}Id IN (SELECT Id FROM Account WHERE ¦Id IN (SELECT Id FROM Account))"


@pytest.mark.parametrize(
    ("marked", "code", "text"),  # the mark is where the refusal points
    [
        ("SELECT Id, ¦Nope FROM Contact", INVALID, NO_COLUMN.format("Nope", "Contact")),
        ("SELECT Id\nFROM Contact\nORDER BY ¦Nope", INVALID, NO_COLUMN.format("Nope", "Contact")),
        ("SELECT ¦Account.Nope FROM Contact", INVALID, NO_COLUMN.format("Nope", "Account")),
        ("SELECT ¦Account.Nope.Name FROM Contact", INVALID, NO_PARENT.format("Nope")),
        ("SELECT Id FROM ¦Nope", "INVALID_TYPE", NO_OBJECT.format("Nope")),
        ("SELECT (SELECT Id FROM ¦Nopes) FROM Account", "INVALID_TYPE", NO_CHILD.format("Nopes")),
        (f"{ACCOUNTS}Id IN (SELECT Id FROM ¦Nope)", "INVALID_TYPE", NO_OBJECT.format("Nope")),
        (f"{ACCOUNTS}¦Id = '001'", OPERATOR, "invalid ID field: 001"),
        (f"{ACCOUNTS}¦Id LIKE '001%'", OPERATOR, "invalid operator on id field"),
        (f"{VAULTS}¦Is_Open__c > false", OPERATOR, "invalid operator on boolean field"),
        (f"{ACCOUNTS}¦CreatedDate = ''", INVALID, wrong("CreatedDate", "dateTime and should not")),
        (f"{VAULTS}¦Day__c = {MOMENT}", INVALID, wrong("Day__c", "date and should not")),
        (f"{VAULTS}¦Day__c = 2024-02-30", INVALID, wrong("Day__c", "date and should not")),
        (f"{VAULTS}¦Amount__c = '1'", INVALID, wrong("Amount__c", "currency and should not")),
        (f"{ACCOUNTS}¦Name = 5", INVALID, wrong("Name", "string and should")),
        (f"{ACCOUNTS}¦Name LIKE 5", INVALID, wrong("Name", "string and should")),
        (f"{ACCOUNTS}¦Name = TODAY", INVALID, wrong("Name", "string and should")),
        ("SELECT Id, Name, id FROM ¦Account", INVALID, "duplicate field selected: Id"),
        ("SELECT Id, FIELDS(ALL) FROM ¦User LIMIT 1", INVALID, "duplicate field selected: Id"),
        ("SELECT ¦FIELDS(ALL) FROM Account LIMIT 201", MALFORMED, FEW_ROWS),
        ("SELECT ¦FIELDS(CUSTOM) FROM Vault__c", MALFORMED, FEW_ROWS),
        ("SELECT FIELDS(¦Id) FROM Account", MALFORMED, "unexpected token: 'Id'"),
        ("SELECT ¦FROM Account", MALFORMED, "unexpected token: 'FROM'"),
        ("SELECT Id FROM Account LIMIT¦", MALFORMED, "unexpected token: '<EOF>'"),
        (f"{ACCOUNTS}Name = '' AND Id = '' ¦OR Id = ''", MALFORMED, "unexpected token: 'OR'"),
        (f"{ACCOUNTS}Name = 'O'Brien¦'", MALFORMED, UNCLOSED),
        (f"{ACCOUNTS}CreatedDate > 2020-03-17T21:04:32.000¦ 0000", MALFORMED, UNFINISHED),
        (f"{ACCOUNTS}Name = ¦'a\\d'", MALFORMED, ILLEGAL),
        (f"{ACCOUNTS}Name = ¦TODAY:1", MALFORMED, "unexpected token: 'TODAY:1'"),
        (f"{ACCOUNTS}Name = ¦LAST_N_DAYS", MALFORMED, "unexpected token: 'LAST_N_DAYS'"),
        (f"{ACCOUNTS}¦FORMAT(Name) = 'a'", MALFORMED, "unknown function: FORMAT"),
        ("SELECT ¦TYPEOF Owner WHEN User THEN Id END FROM A", MALFORMED, "TYPEOF is not supported"),
        (f"{ACCOUNTS}Id IN (SELECT ¦LastName FROM Contact)", MALFORMED, NOT_THE_SAME),
        (f"{ACCOUNTS}(¦Id IN (SELECT Id FROM Account)) OR Id = ''", MALFORMED, NOT_AT_THE_TOP),
        (f"{ACCOUNTS}NOT ¦Id IN (SELECT Id FROM Account)", MALFORMED, NOT_AT_THE_TOP),
        (NESTED, MALFORMED, "Nesting of semi join sub-selects is not supported"),
    ],
)  # fmt: skip
def test_a_refusal_points_at_the_place(org: SoqlOrg, marked: str, code: str, text: str) -> None:
    before, _, after = marked.partition("¦")
    start = before.rpartition("\n")[2]

    refused = org.refusal(before + after)

    shown = f"{start}{after}\n{' ' * len(start)}^"
    place = f"ERROR at Row:{marked.count(chr(10)) + 1}:Column:{len(start) + 1}"
    assert (refused.code, refused.fields) == (code, None)
    assert refused.message == f"\n{shown}\n{place}\n{text}"


@pytest.mark.parametrize(
    ("soql", "code", "text"),
    [
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset"),
        ("SELECT Id FROM Account ALL ROWS", "MALFORMED_QUERY", "ALL ROWS not allowed in this"),
        (f"SELECT Id FROM A WHERE Name = '{'x' * 99_972}'", "MALFORMED_QUERY", "too long"),
    ],
)
def test_limits_have_a_refusal_of_their_own(org: SoqlOrg, soql: str, code: str, text: str) -> None:
    refused = org.refusal(soql)

    assert refused.code == code
    assert text in refused.message


@pytest.mark.parametrize(
    "ending",
    [
        "FOR VIEW", "for reference", "FOR UPDATE", "LIMIT 0 FOR VIEW", "OFFSET 2000",
        "WITH SECURITY_ENFORCED", "WITH user_mode ORDER BY Name LIMIT 1", "AS a WHERE a.Name = ''",
        "USING SCOPE everything WHERE Name = '' LIMIT 1",
    ],
)  # fmt: skip
def test_clauses_that_change_nothing_here_are_taken(org: SoqlOrg, ending: str) -> None:
    assert org.column(f"SELECT Id FROM Account {ending}") == []


@pytest.mark.parametrize(
    "ending", ["FOR NOTHING", "FOR", "WITH SYSTEM_MODE", "USING SCOPE team", "LIMIT -1", "ALL", ")"]
)
def test_no_other_clause_is_taken(org: SoqlOrg, ending: str) -> None:
    assert org.refusal(f"SELECT Id FROM Account {ending}").code == "MALFORMED_QUERY"


def test_the_longest_query_is_read() -> None:
    soql = f"SELECT Id FROM A WHERE Name = '{'x' * (100_000 - 32)}'"

    assert len(soql) == 100_000
    assert parse(soql).where is not None


def test_a_query_of_many_terms_is_answered(org: SoqlOrg) -> None:
    terms = " OR ".join(f"Name = 'n{n}'" for n in range(5000))
    listed = ",".join(f"'{n}'" for n in range(11_000))

    assert org.column(f"SELECT Id FROM Account WHERE {terms}") == []
    assert org.column(f"SELECT Id FROM Account WHERE Name IN ({listed})") == []


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT COUNT() FROM Account",
        "SELECT COUNT(Id) FROM Account",
        "SELECT Name FROM Account GROUP BY Name",
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "SELECT Id FROM Account OFFSET 1",
    ],
)
def test_query_jobs_refuse_what_is_no_flat_table(org: SoqlOrg, soql: str) -> None:
    with pytest.raises(ApiError) as caught:
        org.engine.rows(org.store, soql, ADMIN, with_deleted=False)

    assert caught.value.problems[0].code == "API_ERROR"
