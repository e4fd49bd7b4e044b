"""The two permission sets: what a region's integration user may do, and who may erase."""

from collections.abc import Mapping, Sequence

from connectors.sfdx.fields import is_required
from connectors.sfdx.xmlfile import Node
from residency.contracts.needs import ObjectNeed

SINK, ERASURE = "Region_Sink", "Region_Erasure"


def sink_node(needs: Sequence[ObjectNeed]) -> Mapping[str, Node]:
    """Return the integration user's set: create and edit rows, see and set our fields."""
    fields = [
        f"{need.name}.{name}"
        for need in needs
        for name in sorted(need.fields)
        if not is_required(need.fields[name])  # a deployment refuses these on required fields
    ]
    return {
        "label": "Region Sink",
        "description": "Least privilege for one region's integration user (no View All, no Modify "
        "All, no hard delete).",
        "hasActivationRequired": False,
        "userPermissions": [_user("ApiEnabled")],
        "objectPermissions": [
            _object(need.name, creates=True, deletes=need.may_delete) for need in needs
        ],
        "fieldPermissions": [{"editable": True, "field": f, "readable": True} for f in fields],
    }


def erasure_node(needs: Sequence[ObjectNeed]) -> Mapping[str, Node]:
    """Return the erasure user's set: delete for good, make nothing."""
    return {
        "label": "Region Erasure",
        "description": "Hard deletes over the Bulk API, for the erasure user alone.",
        "hasActivationRequired": False,
        "userPermissions": [_user("ApiEnabled"), _user("BulkApiHardDelete")],
        "objectPermissions": [_object(need.name, creates=False, deletes=True) for need in needs],
    }


def _user(name: str) -> Mapping[str, Node]:
    return {"enabled": True, "name": name}


def _object(name: str, *, creates: bool, deletes: bool) -> Mapping[str, Node]:
    return {
        "allowCreate": creates,
        "allowDelete": deletes,
        "allowEdit": True,  # Salesforce grants no Delete without Edit
        "allowRead": True,
        "modifyAllRecords": False,
        "viewAllRecords": False,
        "object": name,
    }
