"""Packages deployed into the running org by a client that is not ours, and what they change."""

from typing import Any

import pytest
from metadata_packages import (
    KEY,
    custom_object,
    deploy,
    document,
    manifest,
    object_package,
    packed,
    problems,
    text_field,
)


def test_a_new_object_is_there_at_once_described_and_takes_rows(module_org: Any) -> None:
    admin = module_org.login()

    status = deploy(admin, object_package("Parcel__c", KEY, text_field("Street__c")))

    assert status["state"] == "Succeeded", status
    assert status["deployment_detail"]["deployed_count"] == "3"
    described = admin.call("GET", "sobjects/Parcel__c/describe").json()
    assert {f["name"] for f in described["fields"]} >= {"Key__c", "Street__c"}
    url = "composite/sobjects/Parcel__c/Key__c"
    rows = [{"attributes": {"type": "Parcel__c"}, "Key__c": "p-1", "Street__c": "Elm"}]
    written = admin.call("PATCH", url, json={"records": rows}).json()
    assert [item["success"] for item in written] == [True]
    found = admin.query("SELECT Key__c, Street__c FROM Parcel__c")["records"]
    assert [(r["Key__c"], r["Street__c"]) for r in found] == [("p-1", "Elm")]
