"""Reading back asks for no more than the contract, and for nothing while calls must be saved."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.salesforce.errors import OrgRestedError
from connectors.salesforce.readback import MAX_KEYS, OrgReader, Outside
from residency.contracts.needs import FieldNeed, ObjectNeed
from schemas.errors import SetupError

ORDER = "Commerce_Order__c"
NEEDS = {
    ORDER: ObjectNeed(
        ORDER,
        {
            name: FieldNeed(name, kind)
            for name, kind in {
                "External_Id__c": "string",
                "Base_Version__c": "long",
                "Status__c": "string",
            }.items()
        },
    )
}
NOW = datetime(2026, 11, 23, 16, 40, 5, tzinfo=UTC)


@dataclass
class Client:
    """An org that answers what it is told to, and remembers what it was asked."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    fields: list[dict[str, Any]] = field(default_factory=list)
    feed: Any = None
    is_tight: bool = False
    asked: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def budget(self) -> Any:
        return SimpleNamespace(is_tight=self.is_tight)

    def query_all(self, soql: str, *, with_deleted: bool = False) -> Iterator[dict[str, Any]]:
        self.asked.append((soql, with_deleted))
        return iter(self.rows)

    def describe(self, sobject: str) -> dict[str, Any]:
        assert sobject == ORDER
        return {"fields": self.fields}

    def send(self, call: Any) -> Any:
        self.asked.append((call.path, call.params))
        return SimpleNamespace(content=self.feed)


def reader(client: Client) -> OrgReader:
    return OrgReader(client, "eu", NEEDS, b"k" * 32)  # type: ignore[arg-type]


def row(external_id: str | None, **more: Any) -> dict[str, Any]:
    system = {"Id": "a01", "IsDeleted": False, "CreatedById": "005"}
    return {
        **system, "External_Id__c": external_id, "Base_Version__c": 7.0, "Status__c": "x", **more
    }  # fmt: skip


def test_only_the_contracts_fields_and_a_few_of_the_systems_are_read() -> None:
    client = Client([row("tok_eu1_a")])

    ((read,),) = reader(client).changed(ORDER, NOW - timedelta(hours=1), NOW)

    assert client.asked == [
        (
            (
                "SELECT Id, IsDeleted, CreatedById, External_Id__c, Base_Version__c, Status__c"
                " FROM Commerce_Order__c WHERE SystemModstamp <= 2026-11-23T16:40:05.000Z"
                " AND SystemModstamp >= 2026-11-23T15:40:05.000Z"
            ),
            True,
        )
    ]
    assert (read.base, read.labels, read.created_by) == (7, 0, "005")
    assert "tok_eu1_a" not in repr(read)


@pytest.mark.parametrize(
    ("external_id", "is_ours"),
    [
        ("tok_eu1_abc234", True),
        ("tok_eu12_abc234", True),
        ("tok_uk1_abc234", False),
        ("tok_us3_abc234", False),
        ("tok_zz1_abc234", True),  # there is no such region
        ("tok_uk1_ABC", True),  # no token: nobody else would answer for it
        ("ada@example.com", True),
        ("", True),
        (None, True),
    ],
)
def test_a_row_is_left_out_only_if_another_region_answers_for_it(
    external_id: str | None, is_ours: bool
) -> None:
    client = Client([row(external_id)])

    read = list(reader(client).changed(ORDER, None, NOW))

    assert (len(read) == 1) is is_ours


def test_names_are_asked_for_in_pieces_that_fit_a_url_and_cannot_change_the_query() -> None:
    client = Client()

    list(reader(client).named(ORDER, ["x' OR Name != '"] * (MAX_KEYS + 1), ["a01"]))

    first, second, third = (text for text, _ in client.asked)
    assert first.count("OR Name") == MAX_KEYS
    assert r"External_Id__c IN ('x\' OR Name != \'')" in second
    assert third.endswith("WHERE Id IN ('a01')")


def test_a_field_that_no_contract_has_is_told_if_it_holds_something() -> None:
    client = Client(
        [
            {"Id": "a02", "External_Id__c": "tok_eu1_a"},
            {"Id": "a03", "External_Id__c": "tok_uk1_a"},
        ],
        [
            {"name": "Name", "custom": False, "type": "string", "filterable": True},
            {"name": "Status__c", "custom": True, "type": "string", "filterable": True},
            {"name": "Note__c", "custom": True, "type": "string", "filterable": True},
            {"name": "Vip__c", "custom": True, "type": "boolean", "filterable": True},
            {"name": "Story__c", "custom": True, "type": "textarea", "filterable": False},
        ],
    )  # fmt: skip

    found = list(reader(client).outside(ORDER))

    assert found == [
        Outside(ORDER, "Note__c", 1, ("a02",)),
        Outside(ORDER, "Vip__c", 1, ("a02",)),
        Outside(ORDER, "Story__c", None, ()),
    ]
    asked = [text.rpartition("WHERE ")[2] for text, _ in client.asked]
    assert asked == ["Note__c != null", "Vip__c = true"]


@pytest.mark.parametrize(
    ("earliest", "since_days", "is_removed"),
    [
        ("2026-11-23T16:00:00.000+0000", 0.1, True),
        ("2026-11-22T16:00:00.000+0000", 0.1, False),
        ("2026-10-22T16:00:00.000+0000", 29.5, True),  # the feed does not go back so far
        ("nonsense", 0.1, True),
        (None, 0.1, True),
    ],
)
def test_rows_may_be_gone_unless_the_feed_says_that_none_is(
    earliest: str | None, since_days: float, is_removed: bool
) -> None:
    client = Client(feed={"earliestDateAvailable": earliest})

    assert reader(client).removed_since(ORDER, NOW - timedelta(since_days), NOW) is is_removed


def test_a_user_that_the_org_does_not_know_is_a_matter_of_the_set_up() -> None:
    client = Client([{"Id": "005"}])

    assert reader(client).users(["one"]) == {"005"}
    with pytest.raises(SetupError, match="sinks"):
        reader(client).users(["one", "two"])


def test_nothing_is_asked_while_the_calls_left_are_for_sending() -> None:
    client = Client(is_tight=True)

    with pytest.raises(OrgRestedError, match="sending comes first"):
        list(reader(client).changed(ORDER, None, NOW))
    with pytest.raises(OrgRestedError):
        reader(client).removed_since(ORDER, NOW, NOW)

    assert client.asked == []
