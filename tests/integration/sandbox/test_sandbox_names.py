"""Names of rows: of the org's own objects they are text, of what is deployed what that says."""

import io
import zipfile
from typing import Any

import pytest
from metadata_packages import deploy

from connectors.sfdx.components import Choices, deployable
from connectors.sfdx.source import package

BASE = ["Commerce_Case__c", "Commerce_Customer__c", "Commerce_Order__c"]
KEY = "External_Id__c"


def name_of(client: Any, sobject: str, key: str) -> str:
    name: str = client.call("GET", f"sobjects/{sobject}/{KEY}/{key}").json()["Name"]
    return name


@pytest.mark.parametrize("sobject", BASE)
def test_the_name_of_a_row_of_the_base_is_text_that_is_written(admin: Any, sobject: str) -> None:
    made = admin.call("POST", f"sobjects/{sobject}", json={KEY: "named", "Name": "first"})
    before = name_of(admin, sobject, "named")

    changed = admin.call("PATCH", f"sobjects/{sobject}/{KEY}/named", json={"Name": "second"})

    assert (made.status_code, changed.status_code) == (201, 200)
    assert (before, name_of(admin, sobject, "named")) == ("first", "second")


@pytest.mark.parametrize("sobject", BASE)
def test_a_row_of_the_base_without_a_name_is_called_by_its_id(admin: Any, sobject: str) -> None:
    made = admin.call("POST", f"sobjects/{sobject}", json={KEY: "nameless"}).json()["id"]

    assert name_of(admin, sobject, "nameless") == made


@pytest.mark.parametrize("sobject", BASE)
def test_the_name_of_the_base_is_described_as_what_a_client_writes(
    admin: Any, sobject: str
) -> None:
    shown = admin.call("GET", f"sobjects/{sobject}/describe").json()["fields"]

    (name,) = [field for field in shown if field["name"] == "Name"]
    members = ("autoNumber", "createable", "updateable", "nillable", "length")
    assert [name[m] for m in members] == [False, True, True, True, 80]


def test_deploying_the_source_of_a_real_org_leaves_the_names_writable(module_admin: Any) -> None:
    content = package(deployable(Choices()))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        orders = archive.read("objects/Commerce_Order__c.object").decode()

    status = deploy(module_admin, io.BytesIO(content))

    rows = [
        module_admin.call("POST", f"sobjects/{name}", json={KEY: "kept", "Name": "mine"})
        for name in BASE
    ]
    assert "<type>AutoNumber</type>" in orders
    assert status["state"] == "Succeeded", status
    assert [row.status_code for row in rows] == [201, 201, 201]
    assert {name_of(module_admin, name, "kept") for name in BASE} == {"mine"}
