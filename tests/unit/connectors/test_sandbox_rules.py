"""Validation rules and unique fields, on the write path over a real SQLite file."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.sandbox.access import User, Views
from connectors.sandbox.deployed.metadata import Field, Metadata, SObject
from connectors.sandbox.deployed.source import SFDX, load_metadata
from connectors.sandbox.errors import Problem
from connectors.sandbox.rows.reader import RecordReader
from connectors.sandbox.rows.writer import Outcome, Writer
from connectors.sandbox.store import Store
from schemas.errors import SetupError

ORDER, KEY, BASE, LABEL = (
    "Commerce_Order__c", "External_Id__c", "Base_Version__c", "Label_Version__c",
)  # fmt: skip
ADMIN = User(1, "admin", None)
METADATA = load_metadata()
CODE = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
OLDER_BASE = Problem(CODE, "homeport:older-base-version", ())
OLDER_LABEL = Problem(CODE, "homeport:older-label-version", ())
RULE = """<?xml version="1.0" encoding="UTF-8"?>
<ValidationRule xmlns="http://soap.sforce.com/2006/04/metadata">
    <fullName>Mine</fullName>
    <active>{active}</active>
    <errorConditionFormula>{formula}</errorConditionFormula>{field}
    <errorMessage>mine</errorMessage>
</ValidationRule>
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "org.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copy the deployed source, to add rules to."""
    return Path(shutil.copytree(SFDX, tmp_path / "sfdx"))


class Org:
    """A writer over one object of *metadata*."""

    def __init__(self, store: Store, metadata: Metadata = METADATA) -> None:
        self.view = Views(metadata, store.deploy(metadata)).get(ADMIN, ORDER)
        self.writer = Writer(store, self.view, RecordReader(self.view), ADMIN, now=1)
        self.store = store

    def upsert(
        self, *records: Mapping[str, object], key: str = KEY, all_or_none: bool = False
    ) -> list[Outcome]:
        field = self.view.field(key)
        assert field is not None
        return self.writer.upsert(field, records, "", all_or_none=all_or_none)

    def stored(self, *names: str) -> list[tuple[object, ...]]:
        listed = ", ".join(names)
        return self.store.select(f"SELECT {listed} FROM {ORDER} ORDER BY Id")  # noqa: S608


def add_rule(
    folder: Path, formula: str, *, name: str = "Mine", active: str = "true", field: str = ""
) -> None:
    shown = f"<errorDisplayField>{field}</errorDisplayField>" if field else ""
    file = folder / f"objects/{ORDER}/validationRules/{name}.validationRule-meta.xml"
    file.write_text(RULE.format(formula=formula, active=active, field=shown), "utf-8")


def with_fields(*fields: Field) -> Metadata:
    order = METADATA.objects[ORDER]
    changed: SObject = replace(order, fields=(*order.fields, *fields))
    return replace(METADATA, objects={**METADATA.objects, ORDER: changed})


def problems(outcomes: list[Outcome]) -> list[tuple[Problem, ...]]:
    return [outcome.problems for outcome in outcomes]


def test_every_object_has_the_two_version_rules() -> None:
    rules = {name: [r.message for r in o.rules] for name, o in METADATA.objects.items() if o.rules}

    both = [OLDER_BASE.message, OLDER_LABEL.message]
    assert rules == dict.fromkeys(
        ("Commerce_Case__c", "Commerce_Customer__c", "Commerce_Order__c"), both
    )


def test_a_lower_version_is_refused_and_an_equal_or_higher_one_written(store: Store) -> None:
    org = Org(store)
    org.upsert(*({KEY: key, BASE: 5} for key in "abc"))

    outcomes = org.upsert({KEY: "a", BASE: 4}, {KEY: "b", BASE: 5}, {KEY: "c", BASE: 6})

    assert problems(outcomes) == [(OLDER_BASE,), (), ()]
    assert org.stored(BASE) == [(5,), (5,), (6,)]


def test_base_and_label_versions_count_apart(store: Store) -> None:
    org = Org(store)
    org.upsert({KEY: "a", BASE: 5, LABEL: 9})

    outcomes = org.upsert({KEY: "a", BASE: 6}) + org.upsert({KEY: "a", LABEL: 8})

    assert problems(outcomes) == [(), (OLDER_LABEL,)]
    assert org.stored(BASE, LABEL) == [(6, 9)]


def test_a_row_that_breaks_several_rules_gets_a_refusal_for_each(store: Store) -> None:
    org = Org(store)
    org.upsert({KEY: "a", BASE: 5, LABEL: 5})

    outcomes = org.upsert({KEY: "a", BASE: 4, LABEL: 4})

    assert problems(outcomes) == [(OLDER_BASE, OLDER_LABEL)]


def test_a_first_version_may_come_to_a_row_that_has_none(store: Store) -> None:
    org = Org(store)
    org.upsert({KEY: "a"})

    outcomes = org.upsert({KEY: "a", BASE: 0})

    assert problems(outcomes) == [()]


def test_a_broken_rule_rolls_an_all_or_none_request_back(store: Store) -> None:
    org = Org(store)
    org.upsert({KEY: "a", BASE: 5})

    outcomes = org.upsert({KEY: "new"}, {KEY: "a", BASE: 4}, all_or_none=True)

    assert [p[0].code for p in problems(outcomes)] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", CODE]
    assert org.stored(KEY, BASE) == [("a", 5)]


def test_rules_hold_for_a_row_written_alone(store: Store) -> None:
    org = Org(store)
    org.upsert({KEY: "a", BASE: 5})

    refused = org.writer.update(1, ADMIN.sequence, {BASE: 4}, "")

    assert refused.problems == (OLDER_BASE,)


def test_a_row_with_a_bad_field_is_refused_for_it_and_not_for_a_rule(store: Store) -> None:
    org = Org(store)
    org.upsert({KEY: "a", BASE: 5})

    outcomes = org.upsert({KEY: "a", BASE: 4, "Currency__c": "E" * 4})

    assert [p.code for p in outcomes[0].problems] == ["STRING_TOO_LONG"]


def test_a_rule_of_a_new_row_sees_its_values_and_may_name_a_field(
    store: Store, folder: Path
) -> None:
    add_rule(folder, "LEN(currency__C) &lt; 3", field="currency__c")
    org = Org(store, load_metadata(folder))

    outcomes = org.upsert({KEY: "a", "Currency__c": "EU"}, {KEY: "b", "Currency__c": "EUR"})

    assert problems(outcomes) == [(Problem(CODE, "mine", ("Currency__c",)),), ()]


def test_a_rule_reads_what_an_update_leaves_alone(store: Store, folder: Path) -> None:
    add_rule(folder, "AND(NOT(ISNEW()), Currency__c = &quot;EUR&quot;)")
    org = Org(store, load_metadata(folder))
    org.upsert({KEY: "a", "Currency__c": "EUR"}, {KEY: "b", "Currency__c": "GBP"})

    outcomes = org.upsert({KEY: "a", BASE: 1}, {KEY: "b", BASE: 1})

    assert [len(p) for p in problems(outcomes)] == [1, 0]


def test_a_rule_that_is_not_active_refuses_nothing(store: Store, folder: Path) -> None:
    add_rule(folder, "TRUE", active="false")

    outcomes = Org(store, load_metadata(folder)).upsert({KEY: "a"})

    assert problems(outcomes) == [()]


@pytest.mark.parametrize("active", ["true", "false"])
@pytest.mark.parametrize(
    ("formula", "field", "said"),
    [
        ("VLOOKUP(1) = 1", "", "unknown function VLOOKUP"),
        ("Nope__c = 1", "", "field Nope__c does not exist"),
        ("TRUE", "Nope__c", "errorDisplayField Nope__c does not exist"),
    ],
)
def test_a_rule_that_does_not_compile_stops_the_org_with_file_and_name(
    folder: Path, active: str, formula: str, field: str, said: str
) -> None:
    add_rule(folder, formula, active=active, field=field)

    with pytest.raises(SetupError) as refusal:
        load_metadata(folder)

    text = str(refusal.value)
    assert f"{ORDER}/validationRules/Mine.validationRule-meta.xml: rule Mine: {said}" in text


def test_a_row_is_asked_for_once_however_many_rows_a_call_has(store: Store) -> None:
    org = Org(store)
    org.upsert(*({KEY: str(i), BASE: 1} for i in range(200)))
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)  # noqa: SLF001 -- what SQLite is asked

    org.upsert(*({KEY: str(i), BASE: 2} for i in range(200)))

    assert sum(sql.startswith("SELECT Id,") for sql in asked) == 1


CODE_FIELD = Field("Code__c", "Code", "string", length=20, is_unique=True)


@pytest.mark.parametrize(
    ("is_case_sensitive", "accepted"), [(True, [True, True]), (False, [True, False])]
)
def test_unique_text_is_compared_with_case_only_where_the_field_says_so(
    store: Store, is_case_sensitive: object, accepted: list[bool]
) -> None:
    field = replace(CODE_FIELD, is_case_sensitive=bool(is_case_sensitive))
    org = Org(store, with_fields(field))

    outcomes = org.upsert({KEY: "a", "Code__c": "É1"}) + org.upsert({KEY: "b", "Code__c": "é1"})

    assert [outcome.id is not None for outcome in outcomes] == accepted


def test_an_external_id_without_case_matches_a_row_whatever_its_case(store: Store) -> None:
    org = Org(store, with_fields(replace(CODE_FIELD, is_external_id=True)))

    outcomes = [org.upsert({"Code__c": text, KEY: "a"}, key="Code__c")[0] for text in ("É1", "é1")]

    assert [(outcome.problems, outcome.created) for outcome in outcomes] == [
        ((), True),
        ((), False),
    ]


def test_a_picklist_that_is_not_restricted_takes_other_values(store: Store) -> None:
    kinds = [Field(f"{n}__c", n, "picklist", 255, values=("a",), is_restricted=r) for n, r in
             (("Open", False), ("Closed", True))]  # fmt: skip
    org = Org(store, with_fields(*kinds))

    outcomes = org.upsert(
        {KEY: "a", "Open__c": "b"}, {KEY: "b", "Closed__c": "b"}, {KEY: "c", "Open__c": "b" * 256}
    )

    assert [[p.code for p in o.problems] for o in outcomes] == [
        [], ["INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"], ["STRING_TOO_LONG"],
    ]  # fmt: skip


def test_a_permission_on_a_required_field_does_not_deploy(folder: Path) -> None:
    file = folder / "permissionsets/Region_Sink.permissionset-meta.xml"
    permission = (
        f"<fieldPermissions><editable>true</editable><field>{ORDER}.{KEY}</field>"
        "<readable>true</readable></fieldPermissions></PermissionSet>"
    )
    file.write_text(file.read_text("utf-8").replace("</PermissionSet>", permission), "utf-8")

    with pytest.raises(SetupError, match=f"You cannot deploy to a required field: {ORDER}.{KEY}"):
        load_metadata(folder)


def test_two_rows_of_one_request_cannot_take_one_unique_value(store: Store) -> None:
    org = Org(store, with_fields(CODE_FIELD))

    outcomes = org.upsert({KEY: "a", "Code__c": "x1"}, {KEY: "b", "Code__c": "X1"})

    text = "duplicate value found: Code__c duplicates value on record with id: <unknown>"
    assert problems(outcomes) == [(), (Problem("DUPLICATE_VALUE", text, ("Code__c",)),)]


def test_a_row_may_keep_its_own_unique_value(store: Store) -> None:
    org = Org(store, with_fields(CODE_FIELD))
    org.upsert({KEY: "a", "Code__c": "x1"})

    outcomes = org.upsert({KEY: "a", "Code__c": "x1"})

    assert problems(outcomes) == [()]


@pytest.mark.parametrize("missing", ["create", "edit"])
def test_an_upsert_needs_the_right_to_create_and_to_edit(store: Store, missing: str) -> None:
    org = Org(store)
    org.upsert({KEY: "old"})
    access = replace(org.view.access, **{missing: False})
    org.view = replace(org.view, access=access)
    org.writer = replace(org.writer, view=org.view)

    outcomes = org.upsert({KEY: "old"}, {KEY: "new"})

    codes = [[p.code for p in outcome.problems] for outcome in outcomes]
    assert codes == [["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"]] * 2
