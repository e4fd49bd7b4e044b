"""What one org must take is what every region may send, taken together."""

import pytest

from residency.contracts.model import Contract, Erasure, FieldSource, Output
from residency.contracts.needs import (
    VERSIONS,
    FieldNeed,
    ObjectNeed,
    merged_needs,
    region_needs,
)
from residency.contracts.read import load_contract
from residency.regions import load_regions
from schemas.errors import SetupError
from schemas.registry import load_registry

ORDER = "Commerce_Order__c"


def need(name: str, **traits: object) -> dict[str, ObjectNeed]:
    field = FieldNeed(name, "string", **traits)  # type: ignore[arg-type]
    return {ORDER: ObjectNeed(ORDER, {name: field})}


def test_the_longest_text_and_the_greatest_number_count() -> None:
    merged = merged_needs([need("A__c", longest=9, digits=1), need("A__c", longest=4, digits=3)])

    assert merged[ORDER].fields["A__c"] == FieldNeed("A__c", "string", longest=9, digits=3)


def test_lists_add_up_and_one_open_text_opens_all() -> None:
    eu, uk = need("A__c", values=frozenset({"eu"})), need("A__c", values=frozenset({"uk"}))

    assert merged_needs([eu, uk])[ORDER].fields["A__c"].values == {"eu", "uk"}
    assert merged_needs([eu, need("A__c", longest=2)])[ORDER].fields["A__c"].values is None


def test_a_field_of_one_region_is_in_the_org() -> None:
    merged = merged_needs([need("A__c"), need("B__c")])

    assert list(merged[ORDER].fields) == ["A__c", "B__c"]


@pytest.mark.parametrize("way", ["event", "erasure", "neither"])
def test_an_object_is_deleted_for_good_where_some_contract_says_so(way: str) -> None:
    key = FieldSource(path="order_id", identity="order")
    output = Output(ORDER, key, {}, deletes=True, hard=way == "event")
    erasures = {ORDER: Erasure(ORDER, "delete", hard=way == "erasure")}
    contract = Contract({"e": (output,)}, erasures=erasures)

    found = region_needs("eu", contract, load_registry())

    assert {name for name, one in found.items() if one.hard} == (
        set() if way == "neither" else {ORDER}
    )
    shipped = region_needs("uk", load_contract(), load_registry())
    assert [merged_needs(pair)[ORDER].hard for pair in ([found, shipped], [shipped, found])] == [
        way != "neither"
    ] * 2


def test_no_region_is_no_org() -> None:
    with pytest.raises(SetupError, match="nothing can leave"):
        merged_needs([])


@pytest.mark.parametrize("region", load_regions())
def test_a_region_sends_its_own_name_both_versions_and_no_delete_mark(region: str) -> None:
    found = region_needs(region, load_contract(), load_registry())[ORDER]

    assert found.fields["Region__c"].values == {region}
    assert set(VERSIONS) < found.fields.keys()
    assert "deleted" not in found.fields
    assert found.may_delete
    assert not found.deletes
