"""References of the test org: what a write checks of them, and what a delete does to them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_objects
import pytest
from made_objects import field

from connectors.sandbox.access import User, View, Views
from connectors.sandbox.deployed.source import load_metadata
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.reader import RecordReader
from connectors.sandbox.rows.writer import Outcome, Writer
from connectors.sandbox.store import Store
from connectors.sandbox.users import sync_users

ADMIN = User(1, "admin", None)
PARENT, CHILD = "Parent__c", "Child__c"


class Org:
    """The write paths of a few objects with references to each other."""

    def __init__(self, store: Store, folder: Path) -> None:
        metadata = load_metadata(folder)
        self.store, self.views = store, Views(metadata, store.deploy(metadata))

    def writer(self, sobject: str) -> Writer:
        view = self.view(sobject)
        return Writer(
            self.store, view, RecordReader(view), ADMIN, now=7, dependents=self.views.dependents
        )

    def view(self, sobject: str) -> View:
        return self.views.get(ADMIN, sobject)

    def make(self, sobject: str, **record: Any) -> str:
        """Return the id of a new row."""
        outcome = self.writer(sobject).create(record, "")
        assert outcome.id is not None, outcome.problems
        return outcome.id

    def create(self, sobject: str, **record: Any) -> Outcome:
        return self.writer(sobject).create(record, "")

    def update(self, row_id: str, sobject: str, **record: Any) -> Outcome:
        return self.writer(sobject).update(self.number(row_id, sobject), 1, record, "")

    def delete(self, row_id: str, sobject: str) -> Any:
        """Delete the row unless something keeps it; return that."""
        writer, number = self.writer(sobject), self.number(row_id, sobject)
        problem = writer.hindrance(number)
        if problem is None:
            writer.delete(number)
        return problem

    def number(self, row_id: str, sobject: str) -> int:
        (number,) = (
            n
            for (n,) in self.store.select(f'SELECT Id FROM "{sobject}"')  # noqa: S608
            if record_id(self.view(sobject).prefix, n) == row_id
        )
        return number

    def stored(self, sobject: str, *names: str) -> list[tuple[Any, ...]]:
        listed = ", ".join(names)
        return self.store.select(f'SELECT {listed} FROM "{sobject}" ORDER BY Id')  # noqa: S608


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    folder = made_objects.source(tmp_path)
    key = {"length": 20, "externalId": True}
    made_objects.add_fields(
        folder, "Account", field("Ext__c", "Text", unique=True, **key), field("Some__c", "Url")
    )
    made_objects.add_object(
        folder,
        PARENT,
        field("ParentExt__c", "Text", **key),
        field("Count__c", "Number", precision=9, scale=0, externalId=True),
    )
    made_objects.add_object(
        folder,
        CHILD,
        field("Key__c", "Text", unique=True, **key),
        field("Account__c", "Lookup", referenceTo="Account", relationshipName="Children"),
        field(
            "Kept__c", "Lookup", referenceTo=PARENT, relationshipName="Keepers",
            deleteConstraint="Restrict",
        ),
        field("Master__c", "MasterDetail", referenceTo=PARENT, relationshipName="Details"),
        field(
            "Other_Master__c", "MasterDetail", referenceTo="Account", relationshipName="Owned",
            reparentableMasterDetail=True,
        ),
    )  # fmt: skip
    store = Store(tmp_path / "org.sqlite")
    yield Org(store, folder)
    store.close()


@pytest.fixture
def parents(org: Org) -> dict[str, Any]:
    """Return the two masters that every child needs."""
    return {
        "Master__c": org.make(PARENT, ParentExt__c="m"),
        "Other_Master__c": org.make("Account", Name="Acme", Ext__c="acme"),
    }


def codes(outcome: Outcome) -> list[tuple[str, str, tuple[str, ...] | None]]:
    return [(p.code, p.message, p.fields) for p in outcome.problems]


def test_a_parent_is_named_by_its_external_id_whatever_the_case_of_the_names(
    org: Org, parents: dict[str, Any]
) -> None:
    del parents["Other_Master__c"]

    org.make(CHILD, **parents, other_master__R={"ext__C": "acme"}, Account__r={"Ext__c": "acme"})

    assert org.stored(CHILD, "Master__c", "Other_Master__c", "Account__c") == [(1, 1, 1)]


def test_an_attributes_member_beside_the_external_id_is_passed_over(
    org: Org, parents: dict[str, Any]
) -> None:
    named = {"attributes": {"type": PARENT}, "ParentExt__c": "m"}

    org.make(CHILD, **{**parents, "Kept__r": named})

    assert org.stored(CHILD, "Kept__c") == [(1,)]


def test_a_parent_by_external_id_that_is_not_there_is_named_in_the_refusal(
    org: Org, parents: dict[str, Any]
) -> None:
    refused = org.create(CHILD, **parents, Kept__r={"ParentExt__c": "123"})

    text = "Foreign key external ID: 123 not found for field ParentExt__c in entity Parent__c"
    assert codes(refused) == [("INVALID_FIELD", text, ())]


def test_an_external_id_that_several_parents_hold_names_them_all(
    org: Org, parents: dict[str, Any]
) -> None:
    twin = org.make(PARENT, ParentExt__c="m")

    refused = org.create(CHILD, **parents, Kept__r={"ParentExt__c": "m"})

    text = f"ParentExt: more than one record found for external id field: [{parents['Master__c']}"
    assert codes(refused) == [("DUPLICATE_EXTERNAL_ID", f"{text}, {twin}]", ("ParentExt__c",))]


def test_a_number_may_be_a_parents_key(org: Org, parents: dict[str, Any]) -> None:
    org.make(PARENT, Count__c=5)

    org.make(CHILD, **parents, Kept__r={"Count__c": 5})

    assert org.stored(CHILD, "Kept__c") == [(2,)]


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        ("123", "JSON_PARSER_ERROR", "Cannot deserialize instance of Parent__c from VALUE_STRING"),
        ({}, "INVALID_FIELD", "The Kept__r object must name one external id field"),
        ({"Shoe__c": "1"}, "INVALID_FIELD", "No such column 'Shoe__c' on sobject of type"),
        ({"Name": "1"}, "INVALID_FIELD", "Field name provided, Name does not match an External ID"),
        ({"ParentExt__c": 5}, "JSON_PARSER_ERROR", "Cannot deserialize instance of string from"),
        ({"ParentExt__c": None}, "MISSING_ARGUMENT", "ParentExt__c not specified"),
        ({"ParentExt__c": "x" * 21}, "STRING_TOO_LONG", "ParentExt: data value too large"),
    ],
)
def test_a_parent_that_is_not_named_by_one_external_id_is_refused(
    org: Org, parents: dict[str, Any], value: object, code: str, text: str
) -> None:
    refused = org.create(CHILD, **parents, Kept__r=value)

    ((found, message, _),) = codes(refused)
    assert found == code
    assert message.startswith(text)


def test_an_unknown_relationship_is_an_unknown_column(org: Org, parents: dict[str, Any]) -> None:
    refused = org.create(CHILD, **parents, Nobody__r={"ParentExt__c": "m"})

    text = "No such column 'Nobody__r' on sobject of type Child__c"
    assert codes(refused) == [("INVALID_FIELD", text, None)]


def test_a_reference_takes_ids_of_15_and_18_characters_and_null_clears_it(
    org: Org, parents: dict[str, Any]
) -> None:
    master = parents["Master__c"]
    child = org.make(CHILD, **parents, Kept__c=master[:15])
    before = org.stored(CHILD, "Kept__c")

    org.update(child, CHILD, Kept__c=None)
    cleared = org.stored(CHILD, "Kept__c")
    org.update(child, CHILD, Kept__c=master)
    org.update(child, CHILD, Kept__r=None)

    assert (before, cleared, org.stored(CHILD, "Kept__c")) == ([(1,)], [(None,)], [(None,)])


def test_an_id_that_is_none_or_of_another_object_or_names_no_row_is_refused(
    org: Org, parents: dict[str, Any]
) -> None:
    account, gone = parents["Other_Master__c"], org.make(PARENT)
    org.delete(gone, PARENT)
    never = record_id(org.view(PARENT).prefix, 99)

    refused = [
        org.create(CHILD, **parents, Kept__c=value) for value in ("x1", account, gone, never)
    ]

    assert [codes(one) for one in refused] == [
        [("MALFORMED_ID", "Kept: id value of incorrect type: x1", ("Kept__c",))],
        [
            (
                "FIELD_INTEGRITY_EXCEPTION",
                f"Kept: id value of incorrect type: {account}",
                ("Kept__c",),
            )
        ],
        [("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ())],
        [("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ())],
    ]


def test_one_record_without_its_parent_leaves_the_others_of_the_request_alone(
    org: Org, parents: dict[str, Any]
) -> None:
    key = org.view(CHILD).field("Key__c")
    assert key is not None
    records = [
        {"Key__c": str(n), **parents, "Account__r": {"Ext__c": name}}
        for n, name in enumerate(["acme", "nobody", "acme"])
    ]

    outcomes = org.writer(CHILD).upsert(key, records, "", all_or_none=False)

    assert [o.id is not None for o in outcomes] == [True, False, True]
    assert org.stored(CHILD, "Key__c") == [("0",), ("2",)]


def test_a_detail_needs_its_master(org: Org, parents: dict[str, Any]) -> None:
    del parents["Master__c"]

    refused = org.create(CHILD, **parents)

    text = "Required fields are missing: [Master__c]"
    assert codes(refused) == [("REQUIRED_FIELD_MISSING", text, ("Master__c",))]


def test_a_detail_stays_with_its_master_unless_that_may_change(
    org: Org, parents: dict[str, Any]
) -> None:
    child, other = org.make(CHILD, **parents), org.make("Account", Name="Other", Ext__c="o")
    org.make(PARENT, ParentExt__c="n")

    moved = org.update(child, CHILD, Other_Master__c=other)
    refused = org.update(child, CHILD, Master__r={"ParentExt__c": "n"})

    ((code, message, fields),) = codes(refused)
    assert (moved.problems, code, fields) == (
        (), "INVALID_FIELD_FOR_INSERT_UPDATE", ("Master__c",),
    )  # fmt: skip
    assert message.startswith("Unable to create/update fields: Master__c. Please check")
    assert org.stored(CHILD, "Master__c", "Other_Master__c") == [(1, 2)]


def test_a_master_takes_its_details_along_and_a_lookup_is_emptied(
    org: Org, parents: dict[str, Any]
) -> None:
    looked_up = org.make("Account", Name="Looked up")
    org.make(CHILD, **parents, Account__c=looked_up)

    kept = org.delete(looked_up, "Account")
    emptied = org.stored(CHILD, "Account__c", "IsDeleted")
    gone = org.delete(parents["Master__c"], PARENT)

    assert (kept, gone) == (None, None)
    assert emptied == [(None, 0)]
    assert org.stored(CHILD, "IsDeleted") == [(1,)]


def test_a_restricted_lookup_keeps_its_parent_from_being_deleted(
    org: Org, parents: dict[str, Any]
) -> None:
    keeper = org.make(PARENT, Name="Keeper")
    child = org.make(CHILD, **parents, Kept__c=keeper, Name="A child")

    problem = org.delete(keeper, PARENT)
    org.delete(child, CHILD)
    afterwards = org.delete(keeper, PARENT)

    text = (
        "Your attempt to delete Keeper could not be completed because it is associated with the"
        " following childs.: A child\n"
    )
    assert (problem.code, problem.message, afterwards) == ("DELETE_FAILED", text, None)


def test_a_purged_master_leaves_no_details(org: Org, parents: dict[str, Any]) -> None:
    org.make(CHILD, **parents)

    org.writer(PARENT).purge(1)

    assert (org.stored(CHILD, "Id"), org.stored(PARENT, "Id")) == ([], [])


def test_an_owner_must_be_a_user_of_the_org(org: Org) -> None:
    stranger = org.create("Account", Name="Acme", OwnerId=record_id("005", 99))
    nobody = org.create("Account", Name="Acme", OwnerId=None)

    assert codes(stranger) == [
        ("INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank", ("OwnerId",))
    ]
    assert codes(nobody)[0][0] == "MALFORMED_ID"


def test_a_person_is_called_by_the_names_they_have(org: Org) -> None:
    both = org.make("Contact", FirstName="Ada", LastName="Lovelace")
    org.make("Contact", LastName="Babbage")
    org.update(both, "Contact", FirstName="Augusta")

    refused = org.create("Contact", LastName="X", Name="Y")

    assert org.stored("Contact", "Name") == [("Augusta Lovelace",), ("Babbage",)]
    assert codes(refused)[0][0] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_a_master_comes_back_with_the_details_it_took_along(
    org: Org, parents: dict[str, Any]
) -> None:
    org.make(CHILD, **parents)
    org.delete(parents["Master__c"], PARENT)

    org.writer(PARENT).restore(1)

    assert (org.stored(PARENT, "IsDeleted"), org.stored(CHILD, "IsDeleted")) == ([(0,)], [(0,)])


def test_a_detail_belongs_to_its_masters_owner_and_follows_it(
    org: Org, parents: dict[str, Any]
) -> None:
    sync_users(org.store, [("other", "Region_Sink")])
    org.make(CHILD, **parents)
    before = org.stored(CHILD, "OwnerId")

    org.update(parents["Master__c"], PARENT, OwnerId=record_id("005", 2))

    assert (before, org.stored(CHILD, "OwnerId")) == ([(1,)], [(2,)])
