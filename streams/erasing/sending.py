"""Puts the records that erase rows on the minimal topic, each under one name once.

As a resend does, and by the same transactional id: who begins fences whoever else numbers
records. Then egress is waited for, so that the index knows all numbers that were given; then the
next ones are taken, kept, and only then used. Whoever dies in between finds the numbers kept, and
by the index which of them were used.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from connectors.kafka.errors import named
from connectors.postgres.vault.abroad import Abroad, Logged
from connectors.postgres.vault.erasures import Erasures
from residency.plan.book import PlanBook
from residency.plan.erasing import erasing_value
from residency.replay.resend import Again
from residency.vault.erasure import Erasure, RowAbroad, Step, outcome_counts
from schemas.events import RecordId
from schemas.registry import load_registry
from streams.erasing.positions import AGAIN, Positions
from streams.replay.resend import BATCH, Sender
from streams.settings import ReplaySettings

LOOKED_UP = 8  # resend numbers of a record that are looked up at once
AGAIN_S = 600.0  # before a row is sent again that the org refused
REFUSED = frozenset({"rejected", "gate-refused"})


class RowSender:
    """Erases rows abroad, and sees what became of it. One thread."""

    def __init__(
        self,
        settings: ReplaySettings,
        book: PlanBook,
        erasures: Erasures,
        abroad: Abroad,
        positions: Positions,
    ) -> None:
        """Take the parts."""
        self._settings = settings
        self._keys = book.keys_version
        self._plans = {plan.digest: plan for plan in book.plans.values()}
        self._erasures = erasures
        self._abroad = abroad
        self._positions = positions
        self._sent: set[str] = set()  # erasures whose records this process has put there
        self._again_at: dict[str, float] = {}  # erasures that were refused, by when to try again
        self._fence: tuple[Sender, Mapping[str, int]] | None = None

    def go_on(self, batch: Sequence[Erasure]) -> list[Erasure]:
        """Return those of *batch* that are a step on, or have a problem.

        Raises:
            RetriableError: Postgres or Kafka does not answer, or a resend of somebody's took over.

        """
        logged = self._logged(batch)
        seen = [_seen(one, logged) for one in batch]
        over = [one for one in seen if all(row.is_over for row in one.state.rows)]
        refused = [one for one in seen if any(row.result in REFUSED for row in one.state.rows)]
        waiting = [one for one in seen if one not in over and one not in refused]
        unsent = [one for one in waiting if one.request not in self._sent]
        if unsent:
            self._send(unsent)
        self._sent.difference_update(one.request for one in over)
        return [*map(_ended, over), *(self._refused(one) for one in refused)]

    def _logged(self, batch: Sequence[Erasure]) -> Mapping[tuple[str, str], Logged]:
        rows = [row for one in batch if one.state.numbered for row in one.state.rows]
        return self._abroad.logged({(row.topic_id, row.name) for row in rows})

    def _refused(self, one: Erasure) -> Erasure:
        """Return an erasure of which the org refused a row: to be sent again after a while."""
        now = time.monotonic()
        if now < self._again_at.setdefault(one.request, now + AGAIN_S):
            names = ", ".join(row.name for row in one.state.rows if row.result in REFUSED)
            return one.stuck(f"refused: {names}; see `homeport rejects`; it is tried again")
        del self._again_at[one.request]
        self._sent.discard(one.request)
        rows = tuple(r.again() if r.result in REFUSED else r for r in one.state.rows)
        return replace(one, state=replace(one.state, rows=rows))

    def _send(self, unsent: Sequence[Erasure]) -> None:
        """Send what is not sent, once egress has settled all that others sent before."""
        with named("erase", AGAIN):
            if self._fence is None:
                self._fence = Sender(self._settings), self._positions.outgoing_ends()
            sender, ends = self._fence
            if not self._positions.passed("egress", ends):
                return
            self._fence = None
            ready = self._known(self._numbered(unsent))
            logged = self._logged(ready)
            rows = [row for one in ready for row in one.state.rows]
            records = [self._record(r) for r in rows if (r.topic_id, r.name) not in logged]
            for start in range(0, len(records), BATCH):
                sender.send(records[start : start + BATCH], check=lambda: None)
        self._sent.update(one.request for one in ready)

    def _numbered(self, unsent: Sequence[Erasure]) -> list[Erasure]:
        """Return *unsent* with a resend number for each record, kept."""
        fresh = [one for one in unsent if not one.state.numbered]
        rows = [row for one in fresh for row in one.state.rows]
        newest = self._newest({(row.topic_id, row.name) for row in rows})
        done = [_number(one, newest) for one in fresh]
        self._erasures.save(done)
        return [*(one for one in unsent if one.state.numbered), *done]

    def _known(self, ready: Sequence[Erasure]) -> list[Erasure]:
        """Return those whose plans are approved still; the others are listed anew."""
        stale = [one for one in ready if any(row.plan not in self._plans for row in one.state.rows)]
        fresh = [replace(one.state, rows=(), numbered=False) for one in stale]
        again = [one.at(Step.SETTLED, state) for one, state in zip(stale, fresh, strict=True)]
        self._erasures.save(again)
        return [one for one in ready if one not in stale]

    def _newest(self, records: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return the highest resend number that the index has of each record."""
        found = {one: RecordId.parse(one[1]).resend for one in records}
        open_ = set(records)
        while open_:
            asked = {
                (topic_id, _again(name, found[topic_id, name] + n)): (topic_id, name, n)
                for topic_id, name in open_
                for n in range(1, LOOKED_UP + 1)
            }
            known = [asked[one] for one in self._abroad.logged(asked.keys())]
            before = dict(found)
            for topic_id, name, n in known:
                found[topic_id, name] = max(found[topic_id, name], before[topic_id, name] + n)
            open_ = {one for one in open_ if found[one] == before[one] + LOOKED_UP}
        return found

    def _record(self, row: RowAbroad) -> Again:
        plan = self._plans[row.plan]
        output = plan.outputs[row.output]
        value = erasing_value(output, row.token, row.version, load_registry())
        return Again(
            row.id,
            plan,
            replace(output, deletes=row.deletes),
            self._keys(plan),
            row.version,
            row.token.encode(),
            value,
        )


def _again(name: str, resend: int) -> str:
    return str(replace(RecordId.parse(name), resend=resend))


def _number(one: Erasure, newest: Mapping[tuple[str, str], int]) -> Erasure:
    rows = tuple(
        replace(row, name=_again(row.name, newest[row.topic_id, row.name] + 1))
        for row in one.state.rows
    )
    return replace(one, state=replace(one.state, rows=rows, numbered=True))


def _seen(one: Erasure, logged: Mapping[tuple[str, str], Logged]) -> Erasure:
    """Return an erasure with what the ledger says of its records."""
    if not one.state.numbered:
        return one
    nothing = Logged(None, None)
    rows = []
    for row in one.state.rows:
        found = logged.get((row.topic_id, row.name), nothing)
        rows.append(replace(row, leaf=found.leaf, result=found.result))
    return replace(one, state=replace(one.state, rows=tuple(rows)))


def _ended(one: Erasure) -> Erasure:
    counts = outcome_counts(one.state.rows)
    return one.at(Step.ABROAD, one.state.named().with_counts(**counts))
