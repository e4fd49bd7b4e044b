"""One row of the org against its expected row and the ledger: what is wrong with it. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from residency.expected import differing
from residency.reconcile.findings import Finding
from schemas.events import GENERATION_STEP, RecordId


@dataclass(frozen=True, slots=True)
class OrgRow:
    """A row as the org shows it, its values as HMACs.

    Attributes:
        id: The org's own.
        external_id: None where it has none.
        is_deleted: In the recycle bin.
        created_by: The id of the user who made it.
        base: Version of its base, 0 without one.
        labels: Version of its labels, 0 without.
        fields: HMACs of the contract's fields, see `residency.expected.field_hmacs`.

    """

    id: str
    external_id: str | None = field(repr=False)
    is_deleted: bool
    created_by: str
    base: int
    labels: int
    fields: Mapping[str, str | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Noted:
    """An expected row.

    Attributes:
        fields: Name to HMAC of the value last accepted; None: emptied.
        base_version: Of the record below; 0 without one.
        label_version: Likewise.
        base_record: Name of the last base record, or None.
        label_record: Name of the last record of labels, or None.
        is_deleted: It is not to be in the org.

    """

    fields: Mapping[str, str | None] = field(repr=False)
    base_version: int
    label_version: int
    base_record: str | None
    label_record: str | None
    is_deleted: bool

    @property
    def records(self) -> tuple[str, ...]:
        """Return the names of the records that made it."""
        return tuple(r for r in (self.base_record, self.label_record) if r is not None)


class Log(Protocol):
    """What the ledger says of records."""

    def deletes(self, sobject: str, record: str) -> bool | None:
        """Return whether an accepted record of *sobject* deletes; None: none was accepted."""
        ...

    def accepted_at(self, sobject: str, offset: int) -> bool:
        """Return whether a record of *sobject* from that raw offset was accepted."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """All there is to say of one external id, or of one row without.

    Attributes:
        row: Keyed digest of the external id.
        noted: The expected row; None: there is none.
        org: Rows of the org, those in the bin too.

    """

    sobject: str
    row: str
    noted: Noted | None
    org: Sequence[OrgRow]

    @property
    def live(self) -> list[OrgRow]:
        """Return the rows that are not in the bin."""
        return [row for row in self.org if not row.is_deleted]


def judge(case: Case, ours: Collection[str], log: Log) -> list[Finding]:
    """Return what is wrong with a row; nothing if all agree.

    Args:
        case: The row.
        ours: Ids of the users that this region writes as.
        log: The region's ledger.

    """
    known = case.noted.records if case.noted is not None else ()
    ids = tuple(sorted(row.id for row in case.org))
    about = Finding(case.sobject, "changed", case.row, org_ids=ids, records=known)
    found = []
    if case.noted is not None and not is_backed(case.sobject, case.noted, log):
        found.append(replace(about, kind="row-unbacked"))
    live = case.live
    if len(live) > 1:
        found.append(replace(about, kind="duplicate", count=len(live)))
    strange = [row for row in case.org if row.created_by not in ours]
    if strange:
        theirs = tuple(sorted(row.id for row in strange))
        found.append(replace(about, kind="foreign", org_ids=theirs, count=len(strange)))
    if case.noted is None:
        return found or _unknown(case, about, log)
    return found + _known(case, case.noted, about, log)


def is_backed(sobject: str, noted: Noted, log: Log) -> bool:
    """Return whether the ledger accepted the records that an expected row names."""
    pairs = (
        (noted.base_record, noted.base_version, noted.is_deleted),
        (noted.label_record, noted.label_version, False),
    )
    held = [pair for pair in pairs if pair[0] is not None]
    has_base = noted.base_record is not None or not noted.base_version
    return bool(held) and has_base and all(_accepted(sobject, *pair, log) for pair in held)


def _accepted(sobject: str, record: str | None, version: int, deletes: bool, log: Log) -> bool:  # noqa: FBT001, one of a pair's parts
    if record is None or log.deletes(sobject, record) is not deletes:
        return False
    return RecordId.parse(record).at.offset == version % GENERATION_STEP


def _unknown(case: Case, about: Finding, log: Log) -> list[Finding]:
    """Say what a row of our user is that no expected row knows."""
    if not case.org:
        return []
    is_logged = any(log.accepted_at(case.sobject, offset) for offset in offsets(case.org))
    return [replace(about, kind="row-lost" if is_logged else "unlogged")]


def _known(case: Case, noted: Noted, about: Finding, log: Log) -> list[Finding]:
    live = case.live
    if noted.is_deleted:
        return [replace(about, kind="not-deleted")] if live else []
    if not live:
        return [replace(about, kind="recycled" if case.org else "missing")]
    differ = differing(noted.fields, live[0].fields)
    is_ahead = live[0].base > noted.base_version or live[0].labels > noted.label_version
    known = any(log.accepted_at(case.sobject, offset) for offset in offsets(live))
    if differ and is_ahead and known:
        return [replace(about, kind="row-lost")]
    return [replace(about, field=name) for name in differ]


def offsets(rows: Sequence[OrgRow]) -> set[int]:
    """Return the raw offsets that the rows' versions name."""
    versions = (version for row in rows for version in (row.base, row.labels))
    return {version % GENERATION_STEP for version in versions if version}
