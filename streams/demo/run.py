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
from residency.vault.erasure import Erasure
from schemas.errors import HomeportError, SetupError
from streams import models
from streams.demo.erased import Erased, Rows, hold
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
from streams.demo.observe import Counts, Observer
from streams.demo.outcome import Outcome
from streams.demo.publish import Published, publish
from streams.demo.requested import Requested
from streams.launch import launch
from streams.settings import load_settings

STALLED_S = 60.0  # nothing moved for so long: something is broken
POLL_S = 0.5
EXPORT_WAIT_S = 6.0  # telemetry is exported every 5 s

Step = Callable[[str, str], None]  # (step, state)
Stages = Callable[[int, Mapping[str, Counts]], None]  # (answered, counts per region)


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
        requested = Requested(self.home, published.taken)
        erasures = requested.wait(lambda steps: self.on_step("erasures", steps))
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
            erased=self._held(erasures, published, rows),
        )

    def _held(
        self,
        erasures: Sequence[tuple[str, str, Erasure | None]],
        published: Published,
        rows: Sequence[Mapping[str, Any]],
    ) -> list[Erased]:
        """Return what became of the requests for erasure, held against ledgers and org."""
        regions = {region for region, _, _ in erasures}
        looks = {r: Rows(self.home, r, published.taken, rows).look for r in regions}
        return [hold(self.home / r, request, one, looks[r]) for r, request, one in erasures]

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
