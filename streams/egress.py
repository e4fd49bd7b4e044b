"""Egress: the last worker in the region. It owns its partitions and holds the ledger's lock.

A broken promise (`BreachError`) lets go of all that, halts the region's egress durably and leaves
this process waiting until a person resumes it; then it starts as a new process would.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Message

from connectors.kafka import headers
from connectors.kafka.errors import named
from connectors.kafka.record import read
from connectors.kafka.topology import check_topic_ids, load_topics
from residency import topics
from residency.ledger.requests import FOLDER, Requests
from residency.telemetry.setup import Telemetry, telemetry
from residency.telemetry.trace import link_from
from schemas.errors import BreachError, RetriableError
from streams.alarm import Alarm
from streams.arrivals import arrival_of, name_of
from streams.carrier import Carrier
from streams.crossing import Arrival
from streams.intake import Intake
from streams.leaf_requests import UNFETCHED_S
from streams.outfit import outfit
from streams.parkwatch import LOOK_S, ParkWatch
from streams.patience import retrying
from streams.settings import Settings
from streams.switch import Switch

LOG = logging.getLogger("homeport.egress")
MAX_LINKS = 128
FILL_S = 15.0  # for a batch to fill while calls run low: at most 5,760 of them a day


class Egress:
    """One egress worker: all partitions of its region's outgoing topics."""

    def __init__(self, settings: Settings, signals: Telemetry) -> None:
        """Take egress's own settings; connects in `run`."""
        self._settings = settings
        self._signals = signals
        self._topics = topics.outgoing(settings.region)
        self._counts: dict[str, int] = {}
        self._is_ready = False
        self._look_at = 0.0
        self._requests = Requests(settings.folder / FOLDER)
        self._parked = ParkWatch(signals.recorder, settings.parked_alarm_s)
        self._switch = Switch(settings.folder)
        self._alarm = Alarm(self._switch, settings.region, settings.webhook, signals.recorder)

    def health(self) -> Mapping[str, Any]:
        """Return the results since start, what is parked now, and whether it is halted."""
        halt = self._switch.halted()
        told = {} if halt is None else {"halted": halt.cause.value}
        return {"ready": self._is_ready, **told, **self._counts, **self._parked.health()}

    def run(self, halt: threading.Event) -> None:
        """Carry records out until *halt*, except while the region's egress is halted."""
        last = None
        try:
            while not halt.is_set():
                self._alarm.wait(halt, last)
                if halt.is_set():
                    return
                try:
                    with named("egress"):
                        self._run(halt)
                except BreachError as error:
                    LOG.critical("stopped: %s", error)
                    last = self._switch.halt(error, "egress")
                finally:
                    self._is_ready = False
        finally:
            self._signals.shutdown()

    def _run(self, halt: threading.Event) -> None:
        settings = self._settings
        self._switch = Switch(settings.folder)
        known = load_topics(settings.home, settings.region)
        ours = {topic: known[topic] for topic in self._topics}
        check_topic_ids(settings.kafka.librdkafka(), ours)
        with outfit(settings, self._signals.recorder, self._switch, halt) as parts:
            partitions = {topic: info.partitions for topic, info in ours.items()}
            self._consume(Carrier(parts), partitions, halt)

    def _consume(
        self, carrier: Carrier, partitions: Mapping[str, int], halt: threading.Event
    ) -> None:
        intake = Intake(self._settings.kafka, partitions, self._settings.egress_batch)
        try:
            carrier.catch_up()
            self._requests.forget_older(time.time() - UNFETCHED_S)
            intake.open()
            self._is_ready = True
            self._carry(carrier, intake, self._doubtful(carrier, intake, halt), halt)
            while not halt.is_set():
                self._switch.check()  # also with nothing to send
                messages = self._filled(carrier, intake, intake.take(), halt)
                self._carry(carrier, intake, messages, halt)
                if not messages:
                    retrying(halt)(self._take, carrier)
                    intake.idle()
                self._retry(carrier, halt)
        except RetriableError as error:
            if not halt.is_set():
                raise
            # Told to stop while the org or the database is away: as safe as a crash is.
            LOG.warning("stopped in the middle of a batch: %s", error)
        except BreachError as error:
            self._switch.halt(error, "egress")  # before we let go of anything: it may take long
            raise
        finally:
            intake.close()

    def _filled(
        self, carrier: Carrier, intake: Intake, messages: list[Message], halt: threading.Event
    ) -> list[Message]:
        """Return a batch, filled up for a while if the org's calls are running low.

        A call takes one record or a thousand. Leaves that others wait for do not wait for it.
        """
        ends = time.monotonic() + FILL_S
        enough = self._settings.egress_batch.usual
        while 0 < len(messages) < enough and carrier.is_tight:
            if halt.is_set() or time.monotonic() >= ends:
                break
            self._switch.check()  # a halt does not wait for the batch either
            retrying(halt)(self._take, carrier)
            messages += intake.take()
        return messages

    def _doubtful(
        self, carrier: Carrier, intake: Intake, halt: threading.Event
    ) -> Sequence[Message]:
        """Return the next records up to the last that an earlier run may have sent.

        See `Carrier.in_doubt`. They lie behind the committed offsets, so they come first.
        """
        doubts = carrier.in_doubt
        found = intake.again(doubts, halt.is_set)
        missing = {(one.topic_id, str(one)) for one in doubts} - {name_of(one) for one in found}
        if missing and not halt.is_set():
            self._signals.recorder.add("homeport.alerts", len(missing), kind="in-doubt")
            LOG.warning(
                "%d records that were announced are neither settled, nor parked, nor next on %s; "
                "`homeport ledger show --kind transfer` names them",
                len(missing),
                " or ".join(self._topics),
            )
        return found

    def _carry(
        self,
        carrier: Carrier,
        intake: Intake,
        messages: Sequence[Message],
        halt: threading.Event,
    ) -> None:
        """Settle a batch, however long the org takes, then commit its offsets."""
        if not messages:
            return
        started = time.monotonic()
        records = [read(message) for message in messages]
        arrivals = [arrival_of(record) for record in records]
        # The border's batches, each once: many records of ours come from one of its spans.
        sources = {dict(r.headers).get(headers.TRACEPARENT): r for r in records}
        found = [link_from(record.headers) for record in list(sources.values())[:MAX_LINKS]]
        with self._signals.span("egress.batch", [link for link in found if link]):
            results = retrying(halt)(self._try, carrier, arrivals)
        intake.done(messages)
        self._measure(results, len(messages), time.monotonic() - started)

    def _try(self, carrier: Carrier, arrivals: Sequence[Arrival]) -> Mapping[str, int]:
        """Try to settle a batch, the leaves that others wait for first: the org may be away."""
        self._take(carrier)
        return carrier.carry(arrivals)

    def _take(self, carrier: Carrier) -> None:
        """Append the leaves that others ask for."""
        served = carrier.take(self._requests)
        for refused in served.refused:
            LOG.warning("a leaf that somebody asked for is refused: %s", refused)
        if served.appended:
            LOG.info("appended %d leaves that others asked for", served.appended)

    def _retry(self, carrier: Carrier, halt: threading.Event) -> None:
        """Try parked records again that are due, and see how many are left."""
        if time.monotonic() < self._look_at or halt.is_set():
            return
        results = retrying(halt)(carrier.retry)
        self._count(results)
        self._parked.look(carrier.waiting, datetime.now(UTC))
        self._look_at = time.monotonic() + (0 if results else LOOK_S)

    def _measure(self, results: Mapping[str, int], records: int, seconds: float) -> None:
        recorder = self._signals.recorder
        recorder.record("homeport.batch.duration", seconds, stage="egress")
        recorder.record("homeport.batch.records", records, stage="egress")
        self._count(results)

    def _count(self, results: Mapping[str, int]) -> None:
        for result, n in results.items():
            self._signals.recorder.add("homeport.records", n, stage="egress", outcome=result)
            if result != "parked":  # how many are so now, the health page says
                self._counts[result] = self._counts.get(result, 0) + n


def build(settings: Settings) -> Egress:
    """Return the egress worker of *settings*; the shell runs it."""
    folder = settings.folder / "telemetry"
    return Egress(settings, telemetry("egress", settings.region, folder, os.environ))
