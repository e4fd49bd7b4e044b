"""A small org in memory's reach, to ask SOQL of: its objects, its rows, and two users."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from connectors.sandbox.access import User, Views
from connectors.sandbox.deployed.metadata import (
    SYSTEM_FIELDS,
    Field,
    Metadata,
    ObjectAccess,
    PermissionSet,
    SObject,
)
from connectors.sandbox.deployed.standard import STANDARD
from connectors.sandbox.errors import ApiError, Problem
from connectors.sandbox.soql.engine import QueryEngine
from connectors.sandbox.store import Store
from connectors.sandbox.users import sync_users

ADMIN, CLERK = User(1, "admin", None), User(2, "clerk@example.com", "Clerk")
READ_OWN = ObjectAccess(read=True, create=False, edit=False, delete=False, view_all=False)


def _lookup(name: str, target: str, relationship: str, children: str) -> Field:
    return Field(
        name,
        name,
        "reference",
        length=18,
        references=(target,),
        relationship=relationship,
        child_relationship=children,
        on_delete="SetNull",
    )


VAULT = SObject(
    name="Vault__c",
    label="Vault",
    plural="Vaults",
    is_private=True,
    fields=(
        *SYSTEM_FIELDS,
        _lookup("Account__c", "Account", "Account__r", "Vaults__r"),
        Field("Code__c", "Code", "string", 80, is_case_sensitive=True, is_external_id=True),
        Field("Word__c", "Word", "string", 255),
        Field("Secret__c", "Secret", "string", 80),
        Field("Amount__c", "Amount", "currency", precision=18, scale=2),
        Field("Day__c", "Day", "date"),
        Field("Sealed_At__c", "Sealed At", "datetime"),
        Field("Is_Open__c", "Open", "boolean"),
    ),
)
NOTE = SObject(
    name="Note__c",
    label="Note",
    plural="Notes",
    is_private=False,
    fields=(*SYSTEM_FIELDS, _lookup("Vault__c", "Vault__c", "Vault__r", "Notes__r")),
)
READABLE = frozenset(
    {
        "Vault__c.Account__c", "Vault__c.Code__c", "Vault__c.Word__c", "Vault__c.Amount__c",
        "Note__c.Vault__c", "Contact.AccountId", "Contact.FirstName", "Account.Industry",
    }
)  # fmt: skip
CLERKS = PermissionSet(
    name="Clerk",
    objects=dict.fromkeys(("Account", "Contact", "Vault__c", "Note__c"), READ_OWN),
    readable=READABLE,
    editable=frozenset(),
    permissions=frozenset(),
)
SYSTEM: dict[str, str | int | None] = {
    "OwnerId": 1, "Name": "n", "CreatedDate": 0, "CreatedById": 1,
    "LastModifiedDate": 0, "LastModifiedById": 1, "SystemModstamp": 0,
}  # fmt: skip


@dataclass(frozen=True)
class SoqlOrg:
    """An org that answers queries."""

    store: Store
    engine: QueryEngine

    def put(self, sobject: str, *rows: Mapping[str, Any]) -> None:
        """Add rows; what they leave out of the system columns is filled in."""
        with self.store.transaction():
            self.store.insert(sobject, [{**SYSTEM, **row} for row in rows])

    def ask(
        self, soql: str, user: User = ADMIN, *, batch: int = 2000, with_deleted: bool = False
    ) -> dict[str, Any]:
        """Return the first page of an answer, as a client reads its JSON."""
        answer = self.engine.run(
            self.store, soql, user, "62.0", batch=batch, with_deleted=with_deleted
        )
        return read(answer)

    def more(self, url: str, user: User = ADMIN) -> dict[str, Any]:
        """Return the page that a ``nextRecordsUrl`` leads to."""
        return read(self.engine.more(self.store, url.rpartition("/")[2], user, "62.0"))

    def records(self, soql: str, user: User = ADMIN, **options: Any) -> list[Any]:
        """Return an answer's records without their attributes, parents' and children's too."""
        bare: list[Any] = bare_of(self.ask(soql, user, **options)["records"])
        return bare

    def column(self, soql: str, user: User = ADMIN) -> list[Any]:
        """Return the only member of each record."""
        return [next(iter(record.values())) for record in self.records(soql, user)]

    def refusal(self, soql: str, user: User = ADMIN) -> Problem:
        """Return the problem of a query that is refused."""
        with pytest.raises(ApiError) as caught:
            self.ask(soql, user)
        assert caught.value.status == 400
        return caught.value.problems[0]


def read(answer: object) -> dict[str, Any]:
    """Return an answer as JSON holds it; numbers with a point are `Decimal`."""
    document: dict[str, Any] = json.loads(orjson.dumps(answer), parse_float=Decimal)
    return document


def bare_of(value: Any) -> Any:
    """Return *value* without any record's attributes."""
    if isinstance(value, list):
        return [bare_of(item) for item in value]
    if isinstance(value, dict):
        return {name: bare_of(v) for name, v in value.items() if name != "attributes"}
    return value


@contextmanager
def soql_org(folder: Path) -> Iterator[SoqlOrg]:
    """Open an org without rows in *folder*."""
    objects = {**STANDARD, VAULT.name: VAULT, NOTE.name: NOTE}
    metadata = Metadata(objects, {CLERKS.name: CLERKS}, {})
    store = Store(folder / "org.sqlite")
    views = Views(metadata, store.deploy(metadata))
    sync_users(store, [(CLERK.username, CLERKS.name)])
    yield SoqlOrg(store, QueryEngine(views))
    store.close()
