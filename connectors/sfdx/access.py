"""The permission sets: what a region's integration user may do, who may erase, who reads back."""

from collections.abc import Mapping, Sequence

from connectors.sfdx.fields import is_required
from connectors.sfdx.xmlfile import Node
from residency.contracts.needs import ObjectNeed

SINK, ERASURE, RECONCILE = "Region_Sink", "Region_Erasure", "Region_Reconcile"
PURGES = "BulkApiHardDelete"  # the user permission


def sink_node(needs: Sequence[ObjectNeed]) -> Mapping[str, Node]:
    """Return the integration user's set: create and edit rows, see and set our fields.

    To delete for good it may only where a contract says so.
    """
    purges = any(need.hard for need in needs)
    fields = [
        f"{need.name}.{name}"
        for need in needs
        for name in sorted(need.fields)
        if not is_required(need.fields[name])  # a deployment refuses these on required fields
    ]
    return {
        "label": "Region Sink",
        "description": "Least privilege for one region's integration user (no View All, no Modify "
        f"All{'' if purges else ', no hard delete'}).",
        "hasActivationRequired": False,
        "userPermissions": [_user("ApiEnabled"), *([_user(PURGES)] if purges else [])],
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
        "userPermissions": [_user("ApiEnabled"), _user(PURGES)],
        "objectPermissions": [_object(need.name, creates=False, deletes=True) for need in needs],
    }


def reconcile_node(needs: Sequence[ObjectNeed]) -> Mapping[str, Node]:
    """Return the set of who reads back: every row and every field of our objects, nothing else.

    Every field, also one that somebody adds later: what is outside the contract must show.
    Source: Metadata API, PermissionSet, "viewAllFields" (API version 63).
    """
    return {
        "label": "Region Reconcile",
        "description": "Reads our objects back, all rows and all fields, and writes nothing.",
        "hasActivationRequired": False,
        "userPermissions": [_user("ApiEnabled")],
        "objectPermissions": [
            {
                "allowCreate": False,
                "allowDelete": False,
                "allowEdit": False,
                "allowRead": True,
                "modifyAllRecords": False,
                "viewAllFields": True,
                "viewAllRecords": True,
                "object": need.name,
            }
            for need in needs
        ],
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
