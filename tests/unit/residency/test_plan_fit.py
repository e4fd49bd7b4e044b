"""Whatever a plan can send, the org's field takes; what it cannot is named before it is sent."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from connectors.sfdx.reader import read_org
from inference.tasks import load_tasks
from residency.contracts.model import Contract, FieldSource, Output
from residency.contracts.org import Org, OrgField, OrgObject
from residency.contracts.read import load_contract
from residency.plan.book import compile_all, load_policy
from residency.plan.compile import compile_plan
from residency.plan.faults import merged
from residency.plan.fit import org_faults
from residency.regions import load_regions
from schemas.errors import SetupError
from schemas.registry import load_registry

ON = date(2026, 11, 23)
REGISTRY = load_registry()
PLACED = REGISTRY.latest("commerce.orders.OrderPlaced")
ORDER = "Commerce_Order__c"
ID = FieldSource(path="order_id", identity="order")
ORG = read_org()


def test_the_shipped_plans_fit_the_shipped_org() -> None:
    contract = load_contract()
    plans = [
        plan for region in load_regions() for plan in compile_all(region, ON, tasks=load_tasks())
    ]

    assert org_faults(contract, plans, REGISTRY, ORG) == []


def faults(name: str, source: FieldSource, org: Org, *, deletes: bool = False) -> list[str]:
    places = {"": "c.toml:1", "External_Id__c": "c.toml:2", name: "c.toml:3"}
    fields = {} if deletes or name == "External_Id__c" else {name: source}
    contract = Contract({PLACED.subject: (Output(ORDER, ID, fields, deletes, places),)})
    plans = [compile_plan(PLACED, contract, load_policy(r, ON), REGISTRY) for r in ("eu", "us")]
    return merged(org_faults(contract, plans, REGISTRY, org))


def changed(name: str, **more: object) -> Org:
    fields = dict(ORG[ORDER].fields)
    fields[name] = replace(fields.get(name, OrgField(name, "Text", 128)), **more)  # type: ignore[arg-type]
    return {**ORG, ORDER: OrgObject(ORDER, fields)}


def without(name: str) -> Org:
    fields = {key: field for key, field in ORG[ORDER].fields.items() if key != name}
    return {**ORG, ORDER: OrgObject(ORDER, fields)}


CHANNEL = FieldSource(path="channel")
TOTAL = FieldSource(path="totals.grand_total")
CUSTOMER = FieldSource(path="customer.customer_id", identity="customer")
CHILD = FieldSource(path="customer.customer_id", identity="customer", parent="Account")
ADDRESS = "shipping_address"
POSTCODE = FieldSource(path=f"{ADDRESS}.postal_code", country=f"{ADDRESS}.country")
TOKEN = FieldSource(path="customer.email")
SKU = FieldSource(path="items[0].sku")
STATUS = FieldSource(constant="placed")


@pytest.mark.parametrize(
    ("name", "source", "org", "told"),
    [
        ("Channel__c", CHANNEL, without("Channel__c"), "has no such field"),
        (
            "Channel__c",
            CHANNEL,
            changed("Channel__c", type="Checkbox", values=None),
            "is a Checkbox, which takes no string",
        ),
        ("Total__c", TOTAL, changed("Total__c", type="Text"), "is a Text, which takes no decimal"),
        (
            "Placed_At__c",
            FieldSource(path="placed_at"),
            changed("Placed_At__c", type="Date"),
            "is a Date, which takes no timestamp-millis",
        ),
        (
            "First_Sku__c",
            SKU,
            changed("First_Sku__c", length=31),
            "it can have 32 characters, the org's field takes 31",
        ),
        (
            "Email_Token__c",
            TOKEN,
            changed("Email_Token__c", length=36),
            "it can have 37 characters, the org's field takes 36",
        ),
        (
            "Ip_Network__c",
            FieldSource(path="device.ip"),
            changed("Ip_Network__c", length=8),
            "characters, the org's field takes 8",
        ),
        (
            "Ship_Postcode_Area__c",
            POSTCODE,
            changed("Ship_Postcode_Area__c", length=6),
            "it can have 7 characters",
        ),
        (
            "Status__c",
            STATUS,
            changed("Status__c", values=frozenset({"changed"})),
            "picklist lacks placed; add the values",
        ),
        (
            "Channel__c",
            CHANNEL,
            changed("Channel__c", values=frozenset({"web", "app"})),
            "picklist lacks phone, store",
        ),
        (
            "Region__c",
            FieldSource(region=True),
            changed("Region__c", type="Picklist", values=frozenset({"us"})),
            "picklist lacks eu",
        ),
        (
            "First_Sku__c",
            SKU,
            changed("First_Sku__c", type="Picklist", values=frozenset()),
            "the org's picklist is closed, and what can come is not",
        ),
        (
            "Total__c",
            TOTAL,
            changed("Total__c", precision=10),
            "9 digits before the point, the org's field takes 8",
        ),
        (
            "Total__c",
            TOTAL,
            changed("Total__c", scale=1),
            "2 digits after the point, the org's field takes 1",
        ),
        (
            "Item_Count__c",
            FieldSource(count="items"),
            changed("Item_Count__c", precision=4),
            "it can have 5 digits before the point, the org's field takes 4",
        ),
        (
            "Customer_Key__c",
            CUSTOMER,
            changed("Customer_Key__c", type="Lookup", refers_to="Commerce_Customer__c"),
            "is a Lookup to Commerce_Customer__c, which takes no row before",
        ),
        ("Customer_Key__c", CHILD, ORG, "the org has no object Account, its parent"),
    ],
)
def test_what_the_org_cannot_take_is_named_once_with_file_line_and_regions(
    name: str, source: FieldSource, org: Org, told: str
) -> None:
    (problem,) = faults(name, source, org)

    assert problem.startswith("c.toml:3: commerce.orders.OrderPlaced v2 in eu")
    assert f": {name}: " in problem
    assert told in problem


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("First_Sku__c", SKU),
        ("Email_Token__c", TOKEN),
        ("Status__c", FieldSource(clear=True)),
        ("Total__c", FieldSource(clear=True)),
    ],
)
def test_a_field_that_is_just_wide_enough_is_fine(name: str, source: FieldSource) -> None:
    width = {"First_Sku__c": 32, "Email_Token__c": 37}.get(name, 0)
    more = {"length": width} if width else {"values": frozenset[str](), "precision": 0}

    assert faults(name, source, changed(name, **more)) == []


@pytest.mark.parametrize(
    ("name", "source", "taken_by"),
    [
        ("Channel__c", CHANNEL, "Text"),
        ("Channel__c", CHANNEL, "TextArea"),
        ("Channel__c", CHANNEL, "LongTextArea"),
        ("Channel__c", CHANNEL, "Picklist"),
        ("Total__c", TOTAL, "Number"),
        ("Total__c", TOTAL, "Currency"),
        ("Item_Count__c", FieldSource(count="items"), "Number"),
    ],
)
def test_a_kind_of_field_is_taken_by_every_type_that_can_hold_it(
    name: str, source: FieldSource, taken_by: str
) -> None:
    assert faults(name, source, changed(name, type=taken_by)) == []


@pytest.mark.parametrize(
    ("trait", "told"),
    [
        ("is_external_id", "must be an external id"),
        ("is_unique", "must be unique"),
        ("is_case_sensitive", "must be case-sensitive"),
    ],
)
def test_the_rows_name_must_be_the_orgs_key(trait: str, told: str) -> None:
    (problem,) = faults("External_Id__c", ID, changed("External_Id__c", **{trait: False}))

    assert problem.startswith("c.toml:3: ")
    assert problem.endswith(told)


def test_an_object_the_org_has_not_is_named_at_its_block() -> None:
    (problem,) = faults("Status__c", STATUS, {})

    assert problem == (
        "c.toml:1: commerce.orders.OrderPlaced v2 in eu, us: the org has no object"
        " Commerce_Order__c; name it in a grammar, then run homeport salesforce deploy --update"
    )


def test_a_row_without_a_version_field_could_not_be_kept_in_order() -> None:
    (problem,) = faults("Status__c", STATUS, without("Base_Version__c"))

    assert "has no Base_Version__c in the org, the row's version" in problem


def test_a_field_the_org_requires_must_be_mapped_unless_the_row_is_deleted() -> None:
    org = changed("Channel__c", is_required=True)

    (problem,) = faults("Status__c", STATUS, org)

    assert problem.startswith("c.toml:1: ")
    assert "creates no Commerce_Order__c without Channel__c; map it" in problem
    assert faults("External_Id__c", ID, org, deletes=True) == []


FIELD = """<CustomField xmlns="http://soap.sforce.com/2006/04/metadata">
<fullName>A__c</fullName>{}</CustomField>"""


def read_field(tmp_path: Path, inner: str) -> OrgField:
    folder = tmp_path / "A_Row__c" / "fields"
    folder.mkdir(parents=True)
    (folder / "A__c.field-meta.xml").write_text(FIELD.format(inner), encoding="utf-8")
    return read_org(tmp_path)["A_Row__c"].fields["A__c"]


PICKLIST = "<type>Picklist</type><valueSet><restricted>{}</restricted><valueSetDefinition>"
PICKLIST += "<value><fullName>a</fullName></value></valueSetDefinition></valueSet>"
KEY = "<type>Text</type><length>9</length><externalId>true</externalId><unique>true</unique>"
KEY += "<caseSensitive>true</caseSensitive><required>true</required>"


@pytest.mark.parametrize(
    ("inner", "read"),
    [
        (PICKLIST.format("true"), OrgField("A__c", "Picklist", 255, values=frozenset({"a"}))),
        (PICKLIST.format("false"), OrgField("A__c", "Text", 255)),
        ("<type>TextArea</type>", OrgField("A__c", "TextArea", 255)),
        (
            "<type>Lookup</type><referenceTo>Account</referenceTo>",
            OrgField("A__c", "Lookup", refers_to="Account"),
        ),
        (
            KEY,
            OrgField("A__c", "Text", 9, 0, 0, None, None, True, True, True, True),  # noqa: FBT003
        ),
        (
            "<type>Number</type><precision>18</precision><scale>2</scale>",
            OrgField("A__c", "Number", 0, 18, 2),
        ),
    ],
)
def test_metadata_is_read_whatever_the_type(inner: str, read: OrgField, tmp_path: Path) -> None:
    assert read_field(tmp_path, inner) == read


@pytest.mark.parametrize("inner", ["", "<type>Number</type><precision>x</precision>", "<type>"])
def test_metadata_that_cannot_be_read_is_named(inner: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"A_Row__c/A__c\.field-meta\.xml: not readable"):
        read_field(tmp_path, inner)


@pytest.mark.parametrize(
    ("name", "source", "more", "told"),
    [
        ("First_Sku__c", SKU, {"pattern": "^[A-Z]+$"}, "its pattern has no greatest length"),
        ("Item_Count__c", FieldSource(count="items"), {"range": None}, "it has no bounds; give"),
    ],
)
def test_what_has_no_bounds_fits_no_field(
    name: str, source: FieldSource, more: dict[str, object], told: str
) -> None:
    contract = Contract({PLACED.subject: (Output(ORDER, ID, {name: source}),)})
    plan = compile_plan(PLACED, contract, load_policy("eu", ON), REGISTRY)
    (output,) = plan.outputs
    endless = replace(output, fields=tuple(replace(f, **more) for f in output.fields))  # type: ignore[arg-type]

    (fault,) = org_faults(contract, [replace(plan, outputs=(endless,))], REGISTRY, ORG)

    assert fault.text.startswith(told)


# --- labels --------------------------------------------------------------------------------

CASE = "Commerce_Case__c"
RECEIVED = REGISTRY.latest("commerce.messages.SupportMessageReceived")


def label_faults(org: Org) -> list[str]:
    message = FieldSource(path="message_id", identity="message")
    customer = FieldSource(path="customer.customer_id", identity="customer")
    fields = {"Intent__c": FieldSource(path="body", task="intent")}
    places = {"": "m.toml:1", "External_Id__c": "m.toml:2", "Intent__c": "m.toml:3"}
    asked = Output(CASE, message, fields, places=places, subject=customer)
    contract = Contract({RECEIVED.subject: (asked,)})
    policy = load_policy("eu", ON)
    plan = compile_plan(RECEIVED, contract, policy, REGISTRY, tasks=load_tasks())
    return merged(org_faults(contract, [plan], REGISTRY, org))


def case_with(field: OrgField | None, name: str = "Intent__c") -> Org:
    """Return the org with *field* for *name*, which it does not require; None: without it."""
    fields = {key: one for key, one in ORG[CASE].fields.items() if key != name}
    required = OrgField("Priority__c", "Text", 9, is_required=True)  # labels make no row
    more = {"Priority__c": required} | ({} if field is None else {name: field})
    return {**ORG, CASE: OrgObject(CASE, {**fields, **more})}


INTENT = ORG[CASE].fields["Intent__c"]


@pytest.mark.parametrize(
    ("org", "told"),
    [
        (case_with(INTENT), None),
        (case_with(replace(INTENT, type="Text", length=16, values=None)), None),
        (case_with(None), "m.toml:3: .*Intent__c: Commerce_Case__c has no such field in the org"),
        (
            case_with(replace(INTENT, type="Number")),
            "Intent__c: the org's field is a Number, which takes no string",
        ),
        (
            case_with(replace(INTENT, values=(INTENT.values or frozenset()) - {"withheld"})),
            "the org's picklist lacks withheld; add the values",
        ),
        (
            case_with(replace(INTENT, type="Text", length=15, values=None)),
            "it can have 16 characters, the org's field takes 15",
        ),
        (case_with(None, "Label_Version__c"), "m.toml:2: .* has no Label_Version__c in the org"),
        ({}, "m.toml:1: .*the org has no object Commerce_Case__c"),
    ],
)
def test_the_org_takes_every_label_there_can_be(org: Org, told: str | None) -> None:
    found = label_faults(org)

    assert len(found) == (told is not None)
    assert all(re.search(told or "", problem) for problem in found)
