"""Reconciliation: org, expected rows and ledger, all against each other.

A row that does not agree is only suspected at first: what is on its way just then would look
like it. Suspects are looked at again, their expected rows before and after the org, and the
ledger last, until nothing of theirs is under way. What still does not agree is a finding.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

from connectors.salesforce.readback import TOKEN
from residency.expected import row_digest
from residency.reconcile.findings import Finding, Looked, Report
from residency.reconcile.judge import Case, Noted, OrgRow, is_backed, judge, offsets
from residency.reconcile.ledger_view import Sent
from streams.readback import Parts

OVERLAP = timedelta(minutes=10)  # the org's clock and ours may differ by so much
LOOKS, LOOK_S = 4, 2.0  # at what is under way; seconds between them
MAX_NAMES = 100  # of records, in one finding
CHUNK = 300  # suspects that are looked at together
_DIGEST_BYTES = 12  # tells rows, and records, apart; a hundred bytes for each


class Suspect(NamedTuple):
    """A row to look at again: by its external id, or by the org's id where that is no token."""

    external_id: str | None
    id: str | None


class Reconciler:
    """Compares, as often as it is asked to. One thread."""

    def __init__(self, parts: Parts) -> None:
        """Take the parts."""
        self._parts = parts
        self._open: dict[str, set[Suspect]] = {}

    def run(self, since: datetime | None = None) -> Report:
        """Return what does not agree.

        Args:
            since: Look at what changed from then on, a little overlap included, and at what an
                earlier run of ours found; None: at everything.

        Raises:
            RetriableError: Org or database did not answer; run again.
            LedgerError: The ledger is not what its checkpoint signs.

        """
        parts = self._parts
        horizon = parts.clock()
        start = None if since is None else since - OVERLAP
        parts.log.catch_up()
        looked, findings = {}, list[Finding]()
        for sobject in parts.objects:
            looked[sobject], found = self._object(sobject, start, horizon)
            findings += found
        return Report(
            parts.region,
            parts.log.origin,
            parts.log.size,
            None if since is None else since.isoformat(timespec="seconds"),
            horizon.isoformat(timespec="seconds"),
            looked,
            sorted(set(findings)),
        )

    def _object(
        self, sobject: str, start: datetime | None, horizon: datetime
    ) -> tuple[Looked, list[Finding]]:
        suspects = set(self._open.get(sobject, ()))
        seen: set[bytes] = set()
        org = 0
        for portion in self._parts.org.changed(sobject, start, horizon):
            org += len(portion)
            seen.update(_digest(row.external_id) for row in portion if row.external_id)
            suspects |= self._doubtful(sobject, portion)
            self._parts.progress(sobject, org)
        expected = 0
        first = self._first(sobject, start, horizon)
        for notes in self._parts.notes.every(sobject):
            expected += len(notes)
            suspects |= self._unseen(sobject, notes, seen, first)
        flying, found = self._settle(sobject, suspects)
        found += self._outside(sobject)
        found += self._counted(sobject, {one.row for one in found})
        return Looked(org, expected, flying), found

    def _doubtful(self, sobject: str, portion: Sequence[OrgRow]) -> set[Suspect]:
        """Return the rows of a portion that do not agree at first sight."""
        by_id = _grouped(portion)
        notes = self._parts.notes.rows(sobject, [k for k in by_id if k is not None])
        cases = self._cases(sobject, by_id, notes)
        bad = [case for case in cases if judge(case, self._parts.ours, self._parts.log)]
        return {_suspect(row) for case in bad for row in case.org}

    def _first(self, sobject: str, start: datetime | None, horizon: datetime) -> int:
        """Return the leaf from which on accepted records must be found in the org.

        All of them, where everything is compared, or rows may be gone without a trace.
        """
        if start is None or self._parts.org.removed_since(sobject, start, horizon):
            return 0
        return self._parts.log.first_since(start)

    def _unseen(
        self, sobject: str, notes: Iterable[tuple[str, Noted]], seen: set[bytes], first: int
    ) -> set[Suspect]:
        """Return the expected rows that the org did not show, or that no leaf backs."""
        log = self._parts.log
        found = set()
        for external_id, noted in notes:
            leaves = [log.leaf_of(record) for record in noted.records]
            is_wanted = not noted.is_deleted and any(n is not None and n >= first for n in leaves)
            is_missed = is_wanted and _digest(external_id) not in seen
            if is_missed or not is_backed(sobject, noted, log):
                found.add(Suspect(external_id, None))
        return found

    def _settle(self, sobject: str, suspects: set[Suspect]) -> tuple[int, list[Finding]]:
        """Look again until nothing of the suspects is under way; return what is, and findings."""
        left, found, kept = suspects, list[Finding](), set[Suspect]()
        for look in range(LOOKS):
            if not left:
                break
            if look:
                self._parts.sleep(LOOK_S)
            again: set[Suspect] = set()
            ordered = sorted(left, key=repr)
            for start in range(0, len(ordered), CHUNK):
                for suspect, findings in self._look(sobject, ordered[start : start + CHUNK]):
                    if findings is None:
                        again.add(suspect)
                    elif findings:
                        kept.add(suspect)
                        found += findings
            left = again
        self._open[sobject] = kept | left
        return len(left), found

    def _look(
        self, sobject: str, chunk: Sequence[Suspect]
    ) -> Iterator[tuple[Suspect, list[Finding] | None]]:
        """Yield what is wrong with each suspect; None while something of it is under way."""
        parts = self._parts
        keys = sorted({s.external_id for s in chunk if s.external_id is not None})
        before = parts.notes.rows(sobject, keys)
        tokens = [s.external_id for s in chunk if s.external_id is not None and s.id is None]
        rows = list(parts.org.named(sobject, tokens, [s.id for s in chunk if s.id is not None]))
        indexed, parked = parts.notes.indexed(), parts.notes.parked()
        after = parts.notes.rows(sobject, keys)
        parts.log.catch_up()
        under_way = [
            s for s in parts.log.under_way(sobject, indexed) if str(s.record) not in parked
        ]
        by_suspect: dict[Suspect, list[OrgRow]] = {}
        for row in rows:
            by_suspect.setdefault(_suspect(row), []).append(row)
        for suspect in chunk:
            noted = after.get(suspect.external_id or "")
            digest = self._row(sobject, suspect.external_id)
            case = Case(sobject, digest, noted, by_suspect.get(suspect, ()))
            found = judge(case, parts.ours, parts.log)
            is_moving = before.get(suspect.external_id or "") != noted or _moves(case, under_way)
            yield suspect, None if found and is_moving else found

    def _outside(self, sobject: str) -> Iterator[Finding]:
        for one in self._parts.org.outside(sobject):
            yield Finding(
                sobject, "outside-contract", field=one.field, org_ids=one.ids, count=one.rows
            )

    def _counted(self, sobject: str, named: Collection[str]) -> list[Finding]:
        """Compare how many records the rows fold with how many the ledger accepted.

        Args:
            sobject: The object.
            named: Rows that have a finding already.

        """
        difference = self._difference(sobject)
        for _ in range(LOOKS - 1):
            if not difference:
                return []
            self._parts.sleep(LOOK_S)
            difference = self._difference(sobject)
        if not difference:
            return []
        lost = self._lost(sobject) if difference > 0 else {}
        unplaced = tuple(lost.pop("", ())[:MAX_NAMES])
        found = [Finding(sobject, "count-differs", records=unplaced, count=difference)]
        found += [
            Finding(sobject, "gone", row, records=tuple(names[:MAX_NAMES]), count=len(names))
            for row, names in lost.items()
            if row not in named
        ]
        return found

    def _lost(self, sobject: str) -> dict[str, list[str]]:
        """Return the accepted records that no expected row has, by the digest of their row.

        Under "" those of which the index does not say the row, and that no row names: a row that
        is there may have taken them in before others.
        """
        parts = self._parts
        below = parts.notes.folded(sobject).indexed
        held, rows = set[bytes](), dict[str, str]()
        for portion in parts.notes.placed(sobject):
            held.update(_digest(record) for record, _, is_there in portion if is_there)
            rows |= {record: row for record, row, is_there in portion if not is_there}
        for notes in parts.notes.every(sobject):
            held.update(_digest(record) for _, noted in notes for record in noted.records)
        found: dict[str, list[str]] = {}
        for record in parts.log.accepted_records(sobject, below):
            if _digest(record) not in held:
                found.setdefault(self._row(sobject, rows.get(record)), []).append(record)
        return found

    def _difference(self, sobject: str) -> int:
        folded = self._parts.notes.folded(sobject)
        self._parts.log.catch_up()
        return self._parts.log.accepted(sobject, folded.indexed) - folded.records

    def _cases(
        self,
        sobject: str,
        by_id: dict[str | None, list[OrgRow]],
        notes: dict[str, Noted],
    ) -> Iterator[Case]:
        for external_id, rows in by_id.items():
            if external_id is None:  # rows that nothing joins
                yield from (Case(sobject, "", None, [row]) for row in rows)
            else:
                digest = self._row(sobject, external_id)
                yield Case(sobject, digest, notes.get(external_id), rows)

    def _row(self, sobject: str, external_id: str | None) -> str:
        return row_digest(self._parts.key, sobject, external_id) if external_id else ""


def _moves(case: Case, under_way: Sequence[Sent]) -> bool:
    """Return whether a record that is under way may be why a row does not agree."""
    there = offsets(case.org)
    if any(sent.offset in there for sent in under_way):
        return True
    is_gone = case.noted is not None and not case.noted.is_deleted and not case.live
    return is_gone and any(sent.deletes for sent in under_way)


def _suspect(row: OrgRow) -> Suspect:
    is_token = row.external_id is not None and TOKEN.fullmatch(row.external_id) is not None
    return Suspect(row.external_id, None if is_token else row.id)


def _grouped(rows: Iterable[OrgRow]) -> dict[str | None, list[OrgRow]]:
    found: dict[str | None, list[OrgRow]] = {}
    for row in rows:
        found.setdefault(row.external_id, []).append(row)
    return found


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=_DIGEST_BYTES).digest()
