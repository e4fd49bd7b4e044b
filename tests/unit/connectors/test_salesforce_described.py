"""A dry run says what a deployment would change, and leaves the org's own fields alone."""

from typing import Any

from connectors.salesforce.described import changes, read_described
from residency.contracts.org import OrgField, OrgObject

ORDER = "Commerce_Order__c"
SKU = OrgField("Sku__c", "Text", length=64)
STATUS = OrgField("Status__c", "Picklist", length=255, values=frozenset({"new", "old"}))
TOTAL = OrgField("Total__c", "Currency", precision=18, scale=2)
NEW = OrgField("New__c", "Checkbox")
WANTED = {ORDER: OrgObject(ORDER, {f.name: f for f in (SKU, STATUS, TOTAL, NEW)})}


class Org:
    """Describes an order with a shorter SKU, one value less, and a field of its own."""

    def describe(self, _: str) -> dict[str, Any]:
        options = [{"value": "new", "active": True}, {"value": "old", "active": False}]
        picklist = {"restrictedPicklist": True, "picklistValues": options}
        return {
            "fields": [
                {"name": "Id", "type": "id"},
                {"name": "Sku__c", "type": "string", "length": 32},
                {"name": "Status__c", "type": "picklist", "length": 255, **picklist},
                {"name": "Total__c", "type": "currency", "precision": 18, "scale": 2},
                {"name": "Own__c", "type": "boolean"},
            ]
        }


def test_what_is_new_what_changes_and_what_is_kept() -> None:
    found = changes(WANTED, read_described(Org(), WANTED))

    assert [str(change) for change in found] == [
        "new      Commerce_Order__c.New__c",
        "kept     Commerce_Order__c.Own__c",
        "changed  Commerce_Order__c.Sku__c: length 32 -> 64",
        "changed  Commerce_Order__c.Status__c: values new -> new|old",
    ]


def test_an_object_that_the_org_has_not_is_one_change() -> None:
    assert [str(change) for change in changes(WANTED, {})] == ["new      Commerce_Order__c"]
