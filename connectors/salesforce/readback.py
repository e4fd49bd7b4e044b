"""Reading our objects back: every row that changed, rows by id, fields that no contract has.

Only the fields of the contract and a few system fields are read, and their values become HMACs
at once. It asks no more once the region's calls are to be saved for sending.

Source: REST API guide, "Query", "QueryAll" and "sObject Get Deleted"; SOQL reference.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from simple_salesforce.format import format_soql

from connectors.salesforce.client import OrgClient
from connectors.salesforce.errors import OrgRestedError
from connectors.salesforce.refusals import Call, api_name
from connectors.salesforce.rows import utc_text
from residency.contracts.model import EXTERNAL_ID
from residency.contracts.needs import BASE_VERSION, Needs
from residency.expected import field_hmacs, from_org
from residency.reconcile.judge import OrgRow
from residency.regions import load_regions
from schemas.errors import SetupError
from schemas.events import LABEL_VERSION

SYSTEM = ("Id", "IsDeleted", "CreatedById")
PAGE = 2_000  # rows handed on together; also what the org sends at once
MAX_KEYS = 150  # per query, so that its URL stays below 16,000 characters
MAX_NAMED = 100  # rows named for one field outside the contract
TOKEN = re.compile(r"tok_([a-z][a-z0-9-]*?)[0-9]+_[a-z2-7]+")
FEED_DAYS = 29  # the deleted feed goes 30 days back


@dataclass(frozen=True, slots=True)
class Outside:
    """A field that no contract has and that holds something.

    Attributes:
        rows: How many rows; None: the org counts no such field, somebody has to look.
        ids: The org's ids of some of them.

    """

    object: str
    field: str
    rows: int | None
    ids: tuple[str, ...]


class OrgReader:
    """Reads the rows of one region's objects. One per thread."""

    def __init__(self, client: OrgClient, region: str, needs: Needs, key: bytes) -> None:
        """Take the way into the org.

        Args:
            client: As a user that sees all rows and all fields of our objects.
            region: Whose rows; those of other regions' tokens are left out.
            needs: The contract's objects and fields.
            key: 32 bytes, of the HMACs of the expected rows.

        """
        self._client = client
        self._others = load_regions().keys() - {region}
        self._needs = needs
        self._key = key

    def users(self, names: Sequence[str]) -> frozenset[str]:
        """Return the ids of the users of those names.

        Raises:
            SetupError: There is one that the org does not know.

        """
        found = self._query(format_soql("SELECT Id FROM User WHERE Username IN {}", list(names)))
        ids = frozenset(str(row["Id"]) for row in found)
        if len(ids) != len(set(names)):
            msg = (
                "the org does not know every user that the region writes as; see sinks in the"
                " settings of reconcile"
            )
            raise SetupError(msg)
        return ids

    def changed(
        self, sobject: str, since: datetime | None, horizon: datetime
    ) -> Iterator[list[OrgRow]]:
        """Yield the rows, those in the recycle bin too, that changed in a span, in portions."""
        span = [f"SystemModstamp <= {utc_text(horizon)}"]
        span += [f"SystemModstamp >= {utc_text(since)}"] if since is not None else []
        portion: list[OrgRow] = []
        for row in self._rows(sobject, " AND ".join(span)):
            portion.append(row)
            if len(portion) == PAGE:
                yield portion
                portion = []
        if portion:
            yield portion

    def named(
        self, sobject: str, external_ids: Sequence[str], ids: Sequence[str]
    ) -> Iterator[OrgRow]:
        """Yield the rows that have one of these external ids (tokens), or of the org's ids."""
        for name, values in ((EXTERNAL_ID, external_ids), ("Id", ids)):
            for start in range(0, len(values), MAX_KEYS):
                chunk = values[start : start + MAX_KEYS]
                yield from self._rows(sobject, format_soql(f"{name} IN {{}}", list(chunk)))

    def is_ours(self, external_id: str | None) -> bool:
        """Return whether a row is this region's to judge: not one with another region's token.

        A token of a region that there is not is everybody's: else nobody would name it.
        """
        match = TOKEN.fullmatch(external_id or "")
        return match is None or match[1] not in self._others

    def removed_since(self, sobject: str, since: datetime, now: datetime) -> bool:
        """Return whether rows may have left the recycle bin for good since: no feed names them."""
        if since < now - timedelta(days=FEED_DAYS):
            return True
        span = {"start": _minute(since), "end": _minute(now + timedelta(minutes=1))}
        path = f"sobjects/{api_name(sobject)}/deleted"
        self._spare()
        answer = self._client.send(Call("read deleted", sobject, "GET", path, params=span)).content
        told = answer.get("earliestDateAvailable") if isinstance(answer, dict) else None
        try:
            return datetime.fromisoformat(str(told)) >= since
        except ValueError:
            return True

    def outside(self, sobject: str) -> Iterator[Outside]:
        """Yield the custom fields that the region's contract does not have, if they hold values."""
        described = self._client.describe(sobject)
        for field in described["fields"]:
            name = str(field["name"])
            if not field.get("custom") or name in self._needs[sobject].fields:
                continue
            if not field.get("filterable"):
                yield Outside(sobject, name, None, ())
                continue
            holds = f"{api_name(name)} {'= true' if field['type'] == 'boolean' else '!= null'}"
            rows = self._query(
                f"SELECT Id, {EXTERNAL_ID} FROM {api_name(sobject)} WHERE {holds}",  # noqa: S608, checked names
                with_deleted=True,
            )
            ids = [str(row["Id"]) for row in rows if self.is_ours(row[EXTERNAL_ID])]
            if ids:
                yield Outside(sobject, name, len(ids), tuple(sorted(ids)[:MAX_NAMED]))

    def _rows(self, sobject: str, condition: str) -> Iterator[OrgRow]:
        wanted = dict.fromkeys([*SYSTEM, EXTERNAL_ID, *self._needs[sobject].fields])
        names = ", ".join(map(api_name, wanted))
        text = f"SELECT {names} FROM {api_name(sobject)} WHERE {condition}"  # noqa: S608, as above
        for row in self._query(text, with_deleted=True):
            if self.is_ours(row[EXTERNAL_ID]):
                yield self._read(sobject, row)

    def _read(self, sobject: str, row: Mapping[str, Any]) -> OrgRow:
        fields = self._needs[sobject].fields
        values = {name: from_org(fields[name].type, row[name]) for name in fields}
        return OrgRow(
            id=str(row["Id"]),
            external_id=row[EXTERNAL_ID],
            is_deleted=row["IsDeleted"] is True,
            created_by=str(row["CreatedById"]),
            base=int(row.get(BASE_VERSION) or 0),
            labels=int(row.get(LABEL_VERSION) or 0),
            fields=field_hmacs(self._key, sobject, values),
        )

    def _query(self, soql: str, *, with_deleted: bool = False) -> Iterator[dict[str, Any]]:
        self._spare()
        for number, row in enumerate(self._client.query_all(soql, with_deleted=with_deleted)):
            if number and number % PAGE == 0:
                self._spare()
            yield row

    def _spare(self) -> None:
        """Leave the last fifth of the region's calls to what has to be sent."""
        if self._client.budget.is_tight:
            msg = (
                "the region's share of the org's API calls is nearly used, and sending comes"
                " first; reconcile later, or raise api_share"
            )
            raise OrgRestedError(msg, again_in_s=0)


def _minute(moment: datetime) -> str:
    return f"{utc_text(moment)[:16]}:00+00:00"
