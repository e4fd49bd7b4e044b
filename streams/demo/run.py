"""The demo: the whole line on real parts, then the evidence."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.embedded.stack import Stack
from connectors.sandbox.running import issue_token
from residency.ledger.verify import Report
from schemas.errors import HomeportError, SetupError
from streams import models
from streams.demo.evidence import (
    Org,
    blind_spots,
    labelled_rows,
    ledgers,
    left,
    search,
    surplus_rows,
)
from streams.demo.generate import Publication, Shop
from streams.demo.leaks import Leak
from streams.demo.observe import Counts, Observer
from streams.demo.publish import Published, publish
from streams.launch import launch
from streams.settings import load_settings

STALLED_S = 60.0  # nothing moved for so long: something is broken
POLL_S = 0.5
EXPORT_WAIT_S = 6.0  # telemetry is exported every 5 s

Step = Callable[[str, str], None]  # (step, state)
Stages = Callable[[int, Mapping[str, Counts]], None]  # (answered, counts per region)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything the demo found.

    Attributes:
        with_inference: Whether model servers ran, so that requests for labels were answered.
        labelled_rows: Rows in the org that have labels.
        surplus: Rows in the org beyond one per external id.
        unwell: Processes that crashed or did not answer while the demo ran, and how.
        blind: Where the leak search's self-test did not find what it had planted.

    """

    published: Published
    regions: Mapping[str, Counts]
    surplus: int
    leaks: Sequence[Leak]
    blind: Sequence[str]
    unwell: Sequence[str]
    ledgers: Mapping[str, Report]
    rows: int
    with_inference: bool
    labelled_rows: int
    canaries: int
    searched_bytes: int
    seconds: float
    setup_seconds: float

    def total(self, result: str) -> int:
        """Return how many minimal records had a result, over all regions."""
        return sum(counts.results.get(result, 0) for counts in self.regions.values())

    def to_json(self) -> dict[str, Any]:
        """Return the documented object of ``homeport demo --json``."""
        regions = self.regions.values()
        return {
            "published": self.published.published,
            "refused": self.published.refused,
            "duplicates_dropped": self.published.duplicates_dropped,
            "raw": sum(c.raw for c in regions),
            "with_records": sum(c.border.sent for c in regions),
            "nothing_to_send": sum(c.border.nothing for c in regions),
            "quarantined": sum(c.border.quarantined for c in regions),
            "minimal": sum(c.minimal for c in regions),
            "delivered": self.total("accepted"),
            "superseded": self.total("superseded"),
            "rejected": self.total("rejected"),
            "gate_refused": self.total("gate-refused"),
            "duplicates": self.surplus,
            "leaks_found": len(self.leaks),
            "ledger": {
                region: {"size": report.size, "verified": report.verified}
                for region, report in self.ledgers.items()
            },
            "rows": self.rows,
            "label_requests": sum(c.border.requests for c in regions),
            "labelled": sum(c.enrich.minimal for c in regions),
            "rows_with_labels": self.labelled_rows,
            "canaries": self.canaries,
            "searched_bytes": self.searched_bytes,
            "seconds": round(self.seconds, 1),
            "setup_seconds": round(self.setup_seconds, 1),
            "problems": self.problems(),
        }

    def problems(self) -> list[str]:
        """Return everything that is wrong; empty if the demo proved its point."""
        p, c = self.published, list(self.regions.values())
        raw = sum(one.raw for one in c)
        found = [
            f"a gateway's answer was not the expected one ({n} x {what})"
            for what, n in p.surprises.items()
        ]
        if p.published != p.refused + p.duplicates_dropped + raw:
            found.append("published is not refused + duplicates + raw")
        if raw != sum(one.border.raw for one in c):
            found.append("raw is not with records + nothing to send + quarantined")
        if sum(one.minimal for one in c) != sum(one.settled for one in c):
            found.append("minimal is not delivered + superseded + rejected + gate-refused")
        if self.with_inference and not all(one.is_labelled for one in c):
            found.append("a request for labels has no answer")
        if self.with_inference and not self.labelled_rows:
            found.append("no row in the org has labels")
        found += [f"{what}; see `homeport logs`" for what in self.unwell]
        if self.surplus:
            found.append(f"{self.surplus} surplus rows in the org")
        found += [
            f"leak: {leak.place}, {leak.encoding}, byte {leak.position}" for leak in self.leaks
        ]
        found += [f"the leak search is blind: {spot}" for spot in self.blind]
        found += [
            f"{region}: ledger does not verify: {'; '.join(report.problems[:3])}"
            for region, report in self.ledgers.items()
            if not report.verified
        ]
        return found


def _are_labelled(counts: Collection[Counts]) -> bool:
    return all(one.is_labelled for one in counts)


@dataclass(slots=True)
class Demo:
    """One run over one home."""

    home: Path
    regions: Sequence[str]
    events: int
    seed: int
    keep: bool = False
    on_step: Step = lambda _step, _state: None
    on_stages: Stages = lambda _answered, _counts: None
    with_inference: bool = False
    _answered: int = field(default=0, init=False)

    def run(self) -> Outcome:
        """Bring everything up, publish, wait until all is settled, look, and stop it again.

        Raises:
            SetupError: The home is in use, or a part does not start.
            HomeportError: The line stalled.

        """
        stack = Stack(self.home, self.regions)
        if stack.is_running() or stack.status():
            msg = f"{self.home}: in use; run `homeport down` first, or choose another --home"
            raise SetupError(msg)
        started = time.monotonic()
        if self.with_inference:
            models.ensure(self.regions, lambda state: self.on_step("vllm", state))
        # the model servers take longest: they start first, and base records do not wait for them
        start = launch(self.home, with_inference=self.with_inference, is_model_awaited=False)
        stack.up(start, self.on_step)
        try:
            return self._prove(stack, started, time.monotonic() - started)
        finally:
            if not self.keep:
                stack.down(self.on_step)

    def _prove(self, stack: Stack, started: float, setup_s: float) -> Outcome:
        observers = {region: Observer(self.home, region) for region in self.regions}
        before = {region: observer.counts() for region, observer in observers.items()}
        shop = Shop(random.Random(self.seed), self.regions)
        events = list(shop.publications(self.events))
        published = asyncio.run(self._drive(events, observers, before))
        if self.with_inference:
            self.on_step("labels", "base records are in the org; texts wait for their model")
            stack.await_models(self.on_step)
            asyncio.run(self._until(_are_labelled, observers, before))
            self.on_step("labels", "in the org, too")
        rows = list(self._org().rows())
        # Read again: what came after everything had seemed settled would show in the sums.
        counts = {region: o.counts().since(before[region]) for region, o in observers.items()}
        unwell = [
            f"{p.name} is {p.state}, started again {p.restarts} times"
            for p in stack.status()
            if p.restarts or p.state != "ready"
        ]
        self.on_step("evidence", "searching for leaks")
        if self.keep:
            time.sleep(EXPORT_WAIT_S)
        else:
            stack.down(self.on_step)  # so that every log, span and metric is on disk
        found = dict(left(self.home, rows))
        canaries = {canary for event in events for canary in event.canaries}
        leaks, blind = search(found, canaries), blind_spots(found)
        self.on_step("evidence", "verifying ledgers")
        return Outcome(
            published=published,
            regions=counts,
            surplus=surplus_rows(rows),
            leaks=leaks,
            blind=blind,
            unwell=unwell,
            ledgers=ledgers(self.home, self.regions),
            rows=len(rows),
            with_inference=self.with_inference,
            labelled_rows=labelled_rows(rows),
            canaries=len(canaries),
            searched_bytes=sum(len(data) for data in found.values()),
            seconds=time.monotonic() - started,
            setup_seconds=setup_s,
        )

    async def _drive(
        self,
        events: Sequence[Publication],
        observers: Mapping[str, Observer],
        before: Mapping[str, Counts],
    ) -> Published:
        """Publish everything and watch until every stage has settled it."""
        gateways = load_settings(self.home, self.regions[0], "gateway").gateways or {}
        publishing = asyncio.create_task(publish(events, gateways, self._count))

        def is_over(counts: Collection[Counts]) -> bool:
            if not publishing.done() or not all(c.is_settled for c in counts):
                return False
            return sum(c.raw for c in counts) >= publishing.result().accepted

        await self._until(is_over, observers, before)
        return await publishing

    async def _until(
        self,
        is_done: Callable[[Collection[Counts]], bool],
        observers: Mapping[str, Observer],
        before: Mapping[str, Counts],
    ) -> None:
        """Watch until *is_done* of all regions' counts.

        Raises:
            HomeportError: Nothing moved for a minute.

        """
        moved, last = time.monotonic(), (-1, -1)
        while True:
            counts = {
                region: (await asyncio.to_thread(observer.counts)).since(before[region])
                for region, observer in observers.items()
            }
            self.on_stages(self._answered, counts)
            if is_done(counts.values()):
                return
            done = sum(c.border.raw + c.enrich.raw + c.settled for c in counts.values())
            now = self._answered, done
            if now != last:
                moved, last = time.monotonic(), now
            elif time.monotonic() - moved > STALLED_S:
                msg = f"nothing moved for {STALLED_S:.0f} s; see `homeport logs`"
                raise HomeportError(msg)
            await asyncio.sleep(POLL_S)

    def _count(self) -> None:
        self._answered += 1

    def _org(self) -> Org:
        org = load_settings(self.home, self.regions[0], "egress").salesforce
        if org is None:
            msg = "egress's settings name no org; run `homeport up` again"
            raise SetupError(msg)
        port = int(org.instance_url.rsplit(":", 1)[1])
        given = issue_token(self.home, port, "admin")
        return Org(given["instance_url"], given["access_token"], self.home / "ca" / "ca.pem")
