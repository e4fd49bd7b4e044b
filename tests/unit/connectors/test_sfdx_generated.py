"""What is committed in connectors/sfdx is what is generated, and what the Metadata API takes."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files as package_files
from xml.etree import ElementTree as ET

import pytest

from connectors.sfdx.access import sink_node
from connectors.sfdx.classes import load_classes
from connectors.sfdx.components import Choices, components, deployable, org_needs
from connectors.sfdx.fields import length as length_of
from connectors.sfdx.reader import read_org
from connectors.sfdx.source import drift, package, source_files
from connectors.sfdx.xmlfile import NAMESPACE, order, to_xml
from residency.contracts.needs import FieldNeed, region_needs
from residency.contracts.read import load_contract
from residency.regions import load_regions
from schemas.errors import SetupError
from schemas.registry import load_registry

SOURCE = source_files(components())
NS, XSD = f"{{{NAMESPACE}}}", "{http://www.w3.org/2001/XMLSchema}"
ORDER = "Commerce_Order__c"
FOLDER = "force-app/main/default"


def parsed(content: bytes) -> ET.Element:
    return ET.fromstring(content)  # noqa: S314  what we have just written, or a package's own


def test_the_committed_metadata_is_what_is_generated() -> None:
    stale = drift(SOURCE)

    assert stale == [], "connectors/sfdx is stale; run: homeport salesforce deploy --update"


def test_the_same_contracts_make_the_same_bytes() -> None:
    again = components()

    assert source_files(again) == SOURCE
    assert package(again) == package(components())
    with zipfile.ZipFile(io.BytesIO(package(again))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("name", [n for n in SOURCE if n.endswith(".xml")])
def test_elements_stand_in_the_documented_order(name: str) -> None:
    root = parsed(SOURCE[name])

    for kind, children in levels(root, root.tag.removeprefix(NS)):
        assert sorted(children, key=list(order()[kind]).index) == children


def levels(node: ET.Element, kind: str) -> Iterator[tuple[str, list[str]]]:
    if len(node):
        yield kind, [child.tag.removeprefix(NS) for child in node]
    for child in node:
        yield from levels(child, child.tag.removeprefix(NS))


def test_the_wsdl_that_simple_salesforce_ships_knows_every_element_it_has_the_type_of() -> None:
    wsdl = parsed(package_files("simple_salesforce").joinpath("metadata.wsdl").read_bytes())
    known: dict[str, set[str]] = {
        kind.attrib.get("name", ""): {e.attrib["name"] for e in kind.iter(f"{XSD}element")}
        for kind in wsdl.iter(f"{XSD}complexType")
    }
    checked = set()
    for kind, written in order().items():
        if kind in known and kind[0].isupper() and kind != "Package":
            inherited = {"fullName"}  # of Metadata, which every component extends
            assert set(written) - known[kind] - inherited == set(), kind
            checked.add(kind)

    assert {"CustomField", "CustomObject", "PermissionSet", "ValidationRule"} <= checked


def test_every_region_fits_the_org_that_is_generated() -> None:
    org = read_org()

    for region in load_regions():
        for need in region_needs(region, load_contract(), load_registry()).values():
            for field in need.fields.values():
                column = org[need.name].fields[field.name]
                assert field.values is None or field.values <= (column.values or frozenset())
                assert field.longest <= column.length
                assert field.digits <= column.precision - column.scale


def test_the_permission_set_names_every_field_but_required_ones() -> None:
    root = parsed(SOURCE[f"{FOLDER}/permissionsets/Region_Sink.permissionset-meta.xml"])

    named = {field.text for field in root.iter(f"{NS}field")}
    fields = {f"{o.name}.{f.name}": f for o in read_org().values() for f in o.fields.values()}
    assert named == {name for name, field in fields.items() if not field.is_required}
    assert {n.text for n in root.findall(f"{NS}userPermissions/{NS}name")} == {"ApiEnabled"}


def test_hard_deletes_are_for_the_erasure_user_alone() -> None:
    with_it = [name for name, content in SOURCE.items() if b"BulkApiHardDelete" in content]

    assert with_it == [f"{FOLDER}/permissionsets/Region_Erasure.permissionset-meta.xml"]
    assert b"<allowCreate>true" not in SOURCE[with_it[0]]


def test_a_sink_may_delete_for_good_exactly_where_a_contract_says_so() -> None:
    needs = list(org_needs().values())

    hard = sink_node([replace(needs[0], hard=True), *needs[1:]])

    assert {"enabled": True, "name": "BulkApiHardDelete"} in hard["userPermissions"]
    assert "hard delete" not in str(hard["description"])
    assert {**hard, **{k: sink_node(needs)[k] for k in ("userPermissions", "description")}} == (
        sink_node(needs)
    )


def test_a_certificate_goes_into_its_own_regions_app_alone() -> None:
    with_one = source_files(components(Choices(certificates={"eu": "PEM & <more>"})))

    changed = [name for name in SOURCE if with_one[name] != SOURCE[name]]
    assert changed == [
        f"{FOLDER}/extlClntAppGlobalOauthSets/Region_Sink_EU_glbl.ecaGlblOauth-meta.xml"
    ]
    assert parsed(with_one[changed[0]]).findtext(f"{NS}certificate") == "PEM & <more>"


def test_an_app_without_a_certificate_is_not_deployed() -> None:
    parts = deployable(Choices(certificates={"uk": "PEM"}))

    assert {part.region for part in parts} == {"", "uk"}
    assert {part.region for part in components()} == {"", *load_regions()}
    with zipfile.ZipFile(io.BytesIO(package(deployable(Choices())))) as archive:
        assert not [name for name in archive.namelist() if "Region_Sink_" in name]
        assert b"External" not in archive.read("package.xml")


def test_the_package_has_every_component_and_names_it() -> None:
    parts = components()
    with zipfile.ZipFile(io.BytesIO(package(parts))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}

    manifest = parsed(files.pop("package.xml"))
    named = {
        (kind.findtext(f"{NS}name"), member.text)
        for kind in manifest.iter(f"{NS}types")
        for member in kind.iter(f"{NS}members")
    }
    assert named == {(part.kind, part.name) for part in parts if not part.owner}
    assert len(files) == len(named)
    order_object = parsed(files[f"objects/{ORDER}.object"])
    inlined = [f.findtext(f"{NS}fullName") for f in order_object.iter(f"{NS}fields")]
    assert inlined == sorted(org_needs()[ORDER].fields)
    assert len(order_object.findall(f"{NS}validationRules")) == 2


def test_a_field_has_the_highest_class_of_what_it_is_made_of() -> None:
    classes = load_classes()

    held = classes.of(["user.device.ip_address", "user.financial.bank_account"])

    assert held.security == "Restricted"
    assert held.groups == {"CCPA", "GDPR", "PCI", "PII"}


def test_no_category_is_without_a_class() -> None:
    categories = {leaf.category for schema in load_registry().raw() for leaf in schema.leaves}

    assert load_classes().of(categories - {""}).security == "Restricted"


def test_a_category_that_the_table_does_not_know_is_refused() -> None:
    with pytest.raises(SetupError, match=r"classes\.toml: no class for category martian\.name"):
        load_classes().of(["martian.name"])


def test_an_element_without_a_documented_place_is_refused() -> None:
    with pytest.raises(KeyError, match=r"trackFeedHistory is not in order\.toml"):
        to_xml("CustomField", {"trackFeedHistory": True})


@pytest.mark.parametrize(
    ("longest", "length"), [(2, 2), (3, 3), (4, 8), (7, 16), (20, 64), (32, 64), (200, 255)]
)
def test_a_text_has_room_to_grow_and_a_code_has_none(longest: int, length: int) -> None:
    assert length_of(FieldNeed("A__c", "string", longest=longest)) == length
