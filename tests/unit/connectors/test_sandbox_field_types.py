"""Field types: what each takes, refuses and gives back, and how the metadata states it."""

from pathlib import Path

import made_objects
import orjson
import pytest
from made_objects import field

from connectors.sandbox.access import User, Views
from connectors.sandbox.deployed.describe import describe
from connectors.sandbox.deployed.metadata import Field, FieldType
from connectors.sandbox.deployed.source import load_metadata
from connectors.sandbox.errors import InvalidValueError
from connectors.sandbox.rows.names import Names, stamp
from connectors.sandbox.rows.values import coercer, renderer
from connectors.sandbox.store import Store
from schemas.errors import SetupError

ADMIN = User(1, "admin", None)


def made(kind: FieldType, **options: int) -> Field:
    return Field("It__c", "It", kind, **{"length": 80, "precision": 18, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("date", "2024-02-29", b'"2024-02-29"'),
        ("date", "2024-02-29T23:30:00-01:00", b'"2024-03-01"'),
        ("email", "ada.lovelace+x@example.co.uk", b'"ada.lovelace+x@example.co.uk"'),
        ("phone", "+44 20 7946 0000 ext. 1", b'"+44 20 7946 0000 ext. 1"'),
        ("url", "www.example.com/a?b=c", b'"www.example.com/a?b=c"'),
        ("textarea", "two\nlines", b'"two\\nlines"'),
        ("int", 12, b"12"),
        ("int", "-12", b"-12"),
        ("percent", 12, b"12.0"),
        ("date", "", b"null"),
        ("email", "", b"null"),
        ("int", None, b"null"),
    ],
)
def test_a_value_comes_back_as_the_api_writes_it(
    kind: FieldType, value: object, shown: bytes
) -> None:
    stored = coercer(made(kind))(value)

    assert orjson.dumps(renderer(made(kind), "a00")(stored)) == shown


@pytest.mark.parametrize("value", ["nobody", "a@b", "@b.de", "a b@c.de", "a@b..de", "a.@b.de"])
def test_what_is_no_address_is_refused_with_the_value(value: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        coercer(made("email"))(value)

    problem = caught.value.problem
    text = f"It: invalid email address: {value}"
    assert (problem.code, problem.message) == ("INVALID_EMAIL_ADDRESS", text)
    assert problem.fields == ("It__c",)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("date", "2024-02-30", "date from VALUE_STRING value 2024-02-30"),
        ("date", "29.02.2024", "date from VALUE_STRING value 29.02.2024"),
        ("date", 20240229, "date from VALUE_NUMBER_INT value 20240229"),
        ("int", True, "int from VALUE_TRUE value true"),
        ("int", "1.5", "int from VALUE_STRING value 1.5"),
        ("email", 5, "string from VALUE_NUMBER_INT value 5"),
        ("percent", "many", "double from VALUE_STRING value many"),
    ],
)
def test_json_of_the_wrong_type_is_a_parse_error(kind: FieldType, value: object, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        coercer(made(kind))(value)

    assert caught.value.problem.is_parse_error
    assert caught.value.problem.message.startswith(f"Cannot deserialize instance of {text} or")


def test_a_day_outside_the_calendar_of_the_org_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        coercer(made("date"))("1699-12-31")

    assert caught.value.problem.code == "FIELD_INTEGRITY_EXCEPTION"
    assert caught.value.problem.message == "It: invalid date: Thu Dec 31 00:00:00 GMT 1699"


@pytest.mark.parametrize(
    ("form", "start", "expected"),
    [
        ("RC-{00000000}", 1, "RC-00000007"),
        ("{0}", 100, "106"),
        ("{YYYY}/{MM}-{DD}-{000}-x", 1, "2026/11-23-007-x"),
        ("{YY}{00}", 1, "2607"),
        ("plain", 1, "plain"),
    ],
)
def test_a_number_is_written_in_its_format(form: str, start: int, expected: str) -> None:
    sobject = load_metadata().objects["Commerce_Order__c"]
    number = Field("No__c", "No", "string", display_format=form, starts_at=start)
    names = Names(type(sobject)("T__c", "T", "Ts", is_private=False, fields=(number,)))
    stamped = stamp(User(1, "admin", None), 1_795_392_000)  # 2026-11-23T00:00:00Z

    row = names.made({}, 7, "id", stamped)

    assert (row["Name"], row["No__c"]) == ("id", expected)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_objects.source(tmp_path)


def test_every_field_type_is_described_in_the_apis_words(folder: Path, tmp_path: Path) -> None:
    made_objects.add_object(
        folder,
        "All__c",
        field("Auto__c", "AutoNumber", displayFormat="A-{0000}", externalId=True),
        field("Date__c", "Date"),
        field("Email__c", "Email", unique=True, externalId=True),
        field("Long__c", "LongTextArea", length=32768, visibleLines=3),
        field("Lookup__c", "Lookup", referenceTo="Account", relationshipName="Alls"),
        field("Percent__c", "Percent", precision=5, scale=2),
        field("Phone__c", "Phone"),
        field("Text_Area__c", "TextArea"),
        field("Url__c", "Url"),
    )
    store = Store(tmp_path / "org.sqlite")
    metadata = load_metadata(folder)
    views = Views(metadata, store.deploy(metadata))
    view = views.get(ADMIN, "all__c")

    fields = {f["name"]: f for f in describe(view, views.children(ADMIN, view), "62.0")["fields"]}

    shown = {
        name: (f["type"], f["soapType"], f["length"], f["byteLength"])
        for name, f in fields.items()
        if f["custom"]
    }
    store.close()
    assert shown == {
        "Auto__c": ("string", "xsd:string", 30, 90),
        "Date__c": ("date", "xsd:date", 0, 0),
        "Email__c": ("email", "xsd:string", 80, 240),
        "Long__c": ("textarea", "xsd:string", 32768, 98304),
        "Lookup__c": ("reference", "tns:ID", 18, 18),
        "Percent__c": ("percent", "xsd:double", 0, 0),
        "Phone__c": ("phone", "xsd:string", 40, 120),
        "Text_Area__c": ("textarea", "xsd:string", 255, 765),
        "Url__c": ("url", "xsd:string", 255, 765),
    }
    auto, lookup = fields["Auto__c"], fields["Lookup__c"]
    assert (auto["autoNumber"], auto["createable"], auto["nillable"]) == (True, False, False)
    assert (lookup["referenceTo"], lookup["relationshipName"]) == (["Account"], "Lookup__r")
    assert (fields["Long__c"]["filterable"], fields["Text_Area__c"]["filterable"]) == (False, True)


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (field("F__c", "Geolocation"), "the test org has no field type Geolocation"),
        (field("F__c", "Lookup", referenceTo="Lead"), "F__c: referenceTo Lead does not exist"),
        (
            field("F__c", "Lookup", referenceTo="Account", deleteConstraint="Forget"),
            "deleteConstraint Forget does not exist",
        ),
        (field("F__c", "Lookup"), "has no <referenceTo>"),
    ],
)
def test_a_field_that_cannot_be_deployed_keeps_the_org_from_starting(
    folder: Path, element: str, text: str
) -> None:
    made_objects.add_object(folder, "Bad__c", element)

    with pytest.raises(SetupError) as caught:
        load_metadata(folder)

    assert text in str(caught.value)


def test_a_detail_has_no_owner_of_its_own_and_no_permission_on_its_master(folder: Path) -> None:
    made_objects.add_object(
        folder, "D__c", field("M__c", "MasterDetail", referenceTo="Account", relationshipName="Ds")
    )

    detail = load_metadata(folder).objects["D__c"]

    master = detail.field("M__c")
    assert master is not None
    assert (master.is_required, master.is_permissionable) == (True, False)
    assert (master.on_delete, master.child_relationship) == ("Cascade", "Ds__r")
    assert detail.field("OwnerId") is None


def test_rules_compare_days_and_read_percent_as_a_fraction(folder: Path) -> None:
    made_objects.add_object(
        folder,
        "R__c",
        field("From__c", "Date"),
        field("To__c", "Date"),
        field("Share__c", "Percent", precision=5, scale=1),
    )
    rules = folder / "objects/R__c/validationRules"
    rules.mkdir()
    formula = "OR(To__c &lt; From__c, Share__c &gt; 0.5)"
    (rules / "A.validationRule-meta.xml").write_text(
        '<ValidationRule xmlns="http://soap.sforce.com/2006/04/metadata"><fullName>A</fullName>'
        f"<active>true</active><errorConditionFormula>{formula}</errorConditionFormula>"
        "<errorMessage>No</errorMessage></ValidationRule>",
        "utf-8",
    )

    (rule,) = load_metadata(folder).objects["R__c"].rules

    rows: list[dict[str, str | int | None]] = [
        {"From__c": "2026-01-02", "To__c": "2026-01-01"},
        {"From__c": "2026-01-02", "To__c": "2026-01-02", "Share__c": 500},
        {"Share__c": 501},
    ]
    assert [rule.condition.run(row, None) for row in rows] == [True, False, True]


def test_a_rule_over_a_reference_says_that_it_cannot_be_read(folder: Path) -> None:
    made_objects.add_object(
        folder, "R__c", field("A__c", "Lookup", referenceTo="Account", relationshipName="Rs")
    )
    rules = folder / "objects/R__c/validationRules"
    rules.mkdir()
    (rules / "A.validationRule-meta.xml").write_text(
        '<ValidationRule xmlns="http://soap.sforce.com/2006/04/metadata"><fullName>A</fullName>'
        "<active>true</active><errorConditionFormula>ISBLANK(A__c)</errorConditionFormula>"
        "<errorMessage>No</errorMessage></ValidationRule>",
        "utf-8",
    )

    with pytest.raises(SetupError) as caught:
        load_metadata(folder)

    assert "field A__c does not exist, or formulas of this org cannot use it" in str(caught.value)
