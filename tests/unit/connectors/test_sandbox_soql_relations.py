"""Relationships: parents as nested records, children as nested lists, nothing unseen in either."""

# ruff: noqa: S608 -- SOQL of our own making

from collections.abc import Iterator

import pytest

from tests.support.soql_org import ADMIN, CLERK, SoqlOrg, soql_org


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoqlOrg]:
    with soql_org(tmp_path_factory.mktemp("soql")) as org:
        org.put(
            "Account",
            {"Id": 1, "Name": "Acme", "Industry": "Energy", "OwnerId": 2},
            {"Id": 2, "Name": "Beta", "ParentId": 1},
            {"Id": 3, "Name": "Gone", "IsDeleted": 1},
        )
        org.put(
            "Contact",
            {"Id": 1, "Name": "Ann A", "LastName": "A", "FirstName": "Ann", "AccountId": 1},
            {"Id": 2, "Name": "Bob B", "LastName": "B", "FirstName": "Bob", "AccountId": 1},
            {"Id": 3, "Name": "Cy C", "LastName": "C", "AccountId": 2},
            {"Id": 4, "Name": "Di D", "LastName": "D"},
            {"Id": 5, "Name": "Ed E", "LastName": "E", "AccountId": 3},
            {"Id": 6, "Name": "Flo F", "LastName": "F", "AccountId": 1, "IsDeleted": 1},
        )
        org.put(
            "Vault__c",
            {"Id": 1, "Code__c": "mine", "Secret__c": "x", "Account__c": 1, "OwnerId": 2},
            {"Id": 2, "Code__c": "theirs", "Secret__c": "x", "Account__c": 1},
        )
        org.put("Note__c", {"Id": 1, "Vault__c": 1}, {"Id": 2, "Vault__c": 2}, {"Id": 3})
        yield org


def test_a_parent_is_a_nested_record_with_attributes_of_its_own(org: SoqlOrg) -> None:
    (record,) = org.ask("SELECT Id, Account.Name FROM Contact WHERE LastName = 'A'")["records"]

    url = "/services/data/v62.0/sobjects"
    assert record == {
        "attributes": {"type": "Contact", "url": f"{url}/Contact/003RO0000000001YAA"},
        "Id": "003RO0000000001YAA",
        "Account": {
            "attributes": {"type": "Account", "url": f"{url}/Account/001RO0000000001YAA"},
            "Name": "Acme",
        },
    }


def test_members_stand_in_the_order_selected_and_under_their_canonical_names(org: SoqlOrg) -> None:
    (record,) = org.records(
        "select account.owner.username, LASTNAME, ACCOUNT.NAME from contact where lastname = 'a'"
    )

    assert record == {
        "Account": {"Owner": {"Username": "clerk@example.com"}, "Name": "Acme"},
        "LastName": "A",
    }
    assert list(record) == ["Account", "LastName"]


def test_a_parent_that_is_not_there_is_null_as_a_whole(org: SoqlOrg) -> None:
    records = org.records("SELECT Account.Name, Account.Parent.Name FROM Contact ORDER BY LastName")

    assert [r["Account"] for r in records] == [
        {"Name": "Acme", "Parent": None},
        {"Name": "Acme", "Parent": None},
        {"Name": "Beta", "Parent": {"Name": "Acme"}},
        None,
        None,  # its account lies in the recycle bin
    ]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("Account.Name = 'acme'", "AB"),
        ("Account.Name != 'Acme'", "CDE"),  # no parent is as good as an empty name
        ("Account.Name = null", "DE"),
        ("NOT Account.Name LIKE 'A%'", "CDE"),
        ("Account.Parent.Name = 'Acme'", "C"),
        ("c.Account.Name IN ('Beta', null)", "CDE"),
        ("Contact.LastName = 'A'", "A"),
        ("Account.Owner.Username LIKE 'clerk%' AND Owner.Name = 'admin'", "AB"),
        ("AccountId = '001RO0000000001'", "AB"),
        ("AccountId = '003RO0000000001YAA'", ""),  # another object's id
        ("AccountId = ''", "D"),
    ],
)
def test_rows_are_filtered_by_their_parents(org: SoqlOrg, where: str, expected: str) -> None:
    found = org.column(f"SELECT LastName FROM Contact c WHERE {where} ORDER BY LastName")

    assert "".join(found) == expected


def test_an_alias_may_name_a_path(org: SoqlOrg) -> None:
    soql = "SELECT c.LastName, p.Name FROM Contact c, c.Account a, a.Parent p WHERE a.Name = 'Beta'"

    assert org.records(soql) == [{"LastName": "C", "Account": {"Parent": {"Name": "Acme"}}}]


def test_rows_are_ordered_by_their_parents(org: SoqlOrg) -> None:
    soql = "SELECT LastName FROM Contact ORDER BY Account.Name DESC NULLS LAST, LastName DESC"

    assert "".join(org.column(soql)) == "CBAED"


def test_children_are_a_nested_answer_or_null(org: SoqlOrg) -> None:
    soql = "SELECT Name, (SELECT LastName FROM Contacts) FROM Account ORDER BY Name"

    acme, beta = org.records(soql)

    listed = {"totalSize": 2, "done": True, "records": [{"LastName": "A"}, {"LastName": "B"}]}
    assert acme == {"Name": "Acme", "Contacts": listed}
    assert beta["Contacts"]["totalSize"] == 1
    assert org.records("SELECT (SELECT Id FROM Vaults__r) FROM Account WHERE Name = 'Beta'") == [
        {"Vaults__r": None}
    ]


def test_children_have_conditions_orders_and_limits_of_their_own(org: SoqlOrg) -> None:
    soql = (
        "SELECT Name, (SELECT LastName, Account.Name FROM Account.Contacts WHERE LastName != 'C'"
        " ORDER BY LastName DESC LIMIT 1), (SELECT Name FROM ChildAccounts) FROM Account"
        " WHERE Name = 'Acme'"
    )

    (record,) = org.records(soql)

    assert record["Contacts"]["records"] == [{"LastName": "B", "Account": {"Name": "Acme"}}]
    assert record["ChildAccounts"]["records"] == [{"Name": "Beta"}]
    assert list(record) == ["Name", "Contacts", "ChildAccounts"]


def test_children_may_list_their_own(org: SoqlOrg) -> None:
    soql = "SELECT (SELECT Code__c, (SELECT Id FROM Notes__r) FROM Vaults__r) FROM Account LIMIT 1"

    (record,) = org.records(soql)

    mine = record["Vaults__r"]["records"][0]
    assert (mine["Code__c"], mine["Notes__r"]["totalSize"]) == ("mine", 1)


def test_deleted_rows_and_parents_are_seen_by_query_all_alone(org: SoqlOrg) -> None:
    soql = "SELECT LastName, Account.Name FROM Contact WHERE LastName IN ('E', 'F')"

    live, every = org.records(soql), org.records(soql, with_deleted=True)

    assert live == [{"LastName": "E", "Account": None}]
    assert [r["Account"]["Name"] for r in every] == ["Gone", "Acme"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("Id IN (SELECT AccountId FROM Contact WHERE FirstName LIKE 'A%')", ["Acme"]),
        ("Id NOT IN (SELECT AccountId FROM Contact)", []),
        ("Id NOT IN (SELECT AccountId FROM Contact WHERE FirstName != null)", ["Beta"]),
        ("Id IN (SELECT Account__c FROM Vault__c) AND Name = 'Acme'", ["Acme"]),
        ("ParentId IN (SELECT Id FROM Account WHERE Name = 'Acme')", ["Beta"]),
        ("Id IN (SELECT AccountId FROM Contact WHERE Account.Parent.Name = 'Acme')", ["Beta"]),
    ],
)
def test_semi_joins_select_by_the_rows_of_another_object(
    org: SoqlOrg, where: str, expected: list[str]
) -> None:
    assert org.column(f"SELECT Name FROM Account WHERE {where} ORDER BY Name") == expected


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Secret__c FROM Vault__c",
        "SELECT Id FROM Vault__c WHERE Secret__c = 'x'",
        "SELECT Id FROM Vault__c ORDER BY Secret__c",
        "SELECT COUNT(Id) FROM Vault__c GROUP BY Secret__c",
        "SELECT MAX(Secret__c) FROM Vault__c",
        "SELECT Vault__r.Secret__c FROM Note__c",
        "SELECT Id FROM Note__c WHERE Vault__r.Secret__c LIKE 'x%'",
        "SELECT Id FROM Account WHERE Id IN (SELECT Account__c FROM Vault__c WHERE Secret__c = '')",
        "SELECT (SELECT Id FROM Vaults__r WHERE Secret__c = 'x') FROM Account",
        "SELECT Account.Parent.Name FROM Contact",  # the clerk cannot read ParentId
    ],
)
def test_a_hidden_field_can_neither_be_read_nor_filtered_by(org: SoqlOrg, soql: str) -> None:
    assert org.ask(soql)["done"]

    assert org.refusal(soql, CLERK).code == "INVALID_FIELD"


def test_fields_of_everything_are_those_that_the_user_sees(org: SoqlOrg) -> None:
    (record,) = org.records("SELECT FIELDS(CUSTOM) FROM Vault__c LIMIT 1", CLERK)

    assert list(record) == ["Account__c", "Code__c", "Word__c", "Amount__c"]


@pytest.mark.parametrize(
    ("soql", "expected"),
    [
        ("SELECT Code__c FROM Vault__c", ["mine"]),
        ("SELECT COUNT(Id) FROM Vault__c", [1]),
        ("SELECT Vault__r.Code__c FROM Note__c ORDER BY Id", [{"Code__c": "mine"}, None, None]),
        ("SELECT Id FROM Note__c WHERE Vault__r.Code__c = 'theirs'", []),
        ("SELECT COUNT(Id) FROM Note__c WHERE Vault__r.Code__c != 'mine'", [2]),
        ("SELECT MAX(Vault__r.Code__c) FROM Note__c", ["mine"]),
        ("SELECT Vault__r.Code__c FROM Note__c GROUP BY Vault__r.Code__c", [None, "mine"]),
        (
            "SELECT Id FROM Vault__c WHERE Id IN (SELECT Vault__c FROM Note__c) ORDER BY Id",
            ["a00RO0000000001YAA"],
        ),
    ],
)
def test_a_row_that_sharing_hides_can_neither_be_read_nor_counted(
    org: SoqlOrg, soql: str, expected: list[object]
) -> None:
    assert org.column(soql, CLERK) == expected


def test_a_semi_join_does_not_look_at_hidden_rows(org: SoqlOrg) -> None:
    soql = "SELECT Name FROM Account WHERE Id IN (SELECT Account__c FROM Vault__c WHERE {})"

    assert org.column(soql.format("Code__c = 'theirs'")) == ["Acme"]
    assert org.column(soql.format("Code__c = 'theirs'"), CLERK) == []


def test_sharing_hides_children(org: SoqlOrg) -> None:
    soql = "SELECT (SELECT Code__c FROM Vaults__r) FROM Account WHERE Name = 'Acme'"

    assert org.records(soql)[0]["Vaults__r"]["totalSize"] == 2
    assert org.records(soql, CLERK)[0]["Vaults__r"]["records"] == [{"Code__c": "mine"}]


def test_the_scope_of_ones_own_rows(org: SoqlOrg) -> None:
    assert org.column("SELECT Name FROM Account USING SCOPE mine", CLERK) == ["Acme"]
    assert org.column("SELECT Name FROM Account USING SCOPE everything", CLERK) == ["Acme", "Beta"]


def test_a_query_job_gets_flat_rows(org: SoqlOrg) -> None:
    soql = "SELECT LastName, Account.Name, Account.Parent.Name FROM Contact ORDER BY LastName"

    columns, rows = org.engine.rows(org.store, soql, ADMIN, with_deleted=False)

    assert [c.flat_name for c in columns] == ["LastName", "Account.Name", "Account.Parent.Name"]
    assert list(rows)[1:4] == [("B", "Acme", None), ("C", "Beta", "Acme"), ("D", None, None)]
