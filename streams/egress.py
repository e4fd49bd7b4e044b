"""Egress: the last worker in the region. It owns its partitions and holds the ledger's lock.

``assign()``, not ``subscribe()``: a ledger has one writer, so its partitions are fixed.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

from connectors.kafka import headers
from connectors.kafka.errors import FatalWatch, named
from connectors.kafka.inbound import own_headers
from connectors.kafka.record import Record, read
from connectors.kafka.topology import check_topic_ids, load_topics
from connectors.postgres.egress_store import EgressStore
from connectors.salesforce.access import Access
from connectors.salesforce.budget import Budget
from connectors.salesforce.client import OrgClient
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.preflight import preflight
from connectors.salesforce.sink import SalesforceSink
from residency import topics
from residency.gate.check import Gate
from residency.keys import ledger_keys, secret
from residency.ledger.files import Ledger
from residency.plan.approved import APPROVED_FILE
from residency.seal import EGRESS, Seal
from residency.telemetry.setup import Telemetry, telemetry
from residency.telemetry.trace import link_from
from schemas.errors import HaltError, RetriableError
from schemas.registry import load_registry
from streams.carrier import Arrival, Carrier, Parts, Refused
from streams.settings import Settings

LOG = logging.getLogger("homeport.egress")
BATCH = 1_000  # records: five full collections requests
POLL_S = 0.1
API_TIMEOUT_S = 30.0
FIRST_WAIT_S, MAX_WAIT_S = 0.5, 30.0
MAX_LINKS = 128
COMMIT_AGAIN_S = 3_600.0


class Egress:
    """One egress worker: all partitions of its region's minimal topic."""

    def __init__(self, settings: Settings, signals: Telemetry) -> None:
        """Take egress's own settings; connects in `run`."""
        self._settings = settings
        self._signals = signals
        self._topic = topics.minimal(settings.region)
        self._counts: dict[str, int] = {}
        self._watch = FatalWatch()
        self._is_ready = False
        self._positions: dict[int, int] = {}  # partition -> next offset
        self._commit_again_at = 0.0

    def health(self) -> Mapping[str, Any]:
        """Return the results since start."""
        return {"ready": self._is_ready, **self._counts}

    def run(self, halt: threading.Event) -> None:
        """Carry records out until *halt*."""
        try:
            with named("egress"):
                self._run(halt)
        finally:
            self._is_ready = False
            self._signals.shutdown()

    def _run(self, halt: threading.Event) -> None:
        settings = self._settings
        if settings.postgres is None or settings.salesforce is None:
            msg = "egress's settings name no database or no org; run `homeport up` again"
            raise HaltError(msg)
        known = load_topics(settings.home, settings.region)
        check_topic_ids(settings.kafka.librdkafka(), {self._topic: known[self._topic]})
        access = self._access(settings.salesforce)
        client = OrgClient(settings.salesforce, settings.region, access=access)
        self._preflight(client, halt)
        keys = ledger_keys(settings.folder / "keys", settings.region)
        producer, folder = self._producer(), settings.folder / "ledger"
        with (
            closing(access),
            closing(EgressStore(settings.postgres.dsn)) as store,
            Ledger.open(folder, keys.origin, keys.seed, at_least=store.indexed) as ledger,
        ):
            parts = Parts(
                gate=Gate.load(settings.region, APPROVED_FILE),
                ledger=ledger,
                store=store,
                sink=SalesforceSink(client, options=settings.salesforce.sink),
                keys=keys,
                expected_key=secret(settings.folder / "keys", "expected"),
                quarantine=partial(
                    self._quarantine, producer, Seal(secret(settings.folder / "keys", EGRESS))
                ),
            )
            self._consume(Carrier(parts), known[self._topic].partitions, halt)

    def _access(self, config: SalesforceConfig) -> Access:
        """Return the way into the org; its count of calls outlives this process."""
        file = self._settings.folder / "salesforce-calls.json"
        budget = Budget(config.api_share, file, config.limit_pause_s)
        return Access(config, budget=budget, recorder=self._signals.recorder)

    def _preflight(self, client: OrgClient, halt: threading.Event) -> None:
        """Compare the org with what we write, before the first record is read."""
        objects = {
            schema.object: schema.columns for schema in load_registry() if schema.object is not None
        }
        problems = self._retrying(halt)(preflight, client, objects)
        if problems:
            raise HaltError("the org cannot take our records: " + "; ".join(problems))

    def _producer(self) -> Producer:
        return Producer(self._settings.kafka.librdkafka(enable_idempotence=True, linger_ms=5))

    def _consume(self, carrier: Carrier, partitions: int, halt: threading.Event) -> None:
        consumer = Consumer(
            self._settings.kafka.librdkafka(
                group_id=topics.group("egress"),
                enable_auto_commit=False,
                auto_offset_reset="error",
                isolation_level="read_committed",
                error_cb=self._watch,
            )
        )
        try:
            carrier.catch_up()
            start = self._committed(consumer, partitions)
            consumer.assign(start)
            self._positions = {p.partition: p.offset for p in start}
            self._commit(consumer)
            self._is_ready = True
            while not halt.is_set():
                messages = consumer.consume(BATCH, POLL_S)
                self._watch.check()
                if messages:
                    self._carry(carrier, consumer, messages, halt)
                elif time.monotonic() > self._commit_again_at:
                    self._commit(consumer)
        finally:
            consumer.close()

    def _committed(self, consumer: Consumer, partitions: int) -> list[TopicPartition]:
        wanted = [TopicPartition(self._topic, n) for n in range(partitions)]
        found = consumer.committed(wanted, API_TIMEOUT_S)
        lost = [p.partition for p in found if p.offset < 0]
        if lost:
            msg = f"{self._topic}{lost}: no committed offset; run `homeport up` to set one"
            raise HaltError(msg)
        return [TopicPartition(p.topic, p.partition, p.offset) for p in found]

    def _carry(
        self,
        carrier: Carrier,
        consumer: Consumer,
        messages: Sequence[Message],
        halt: threading.Event,
    ) -> None:
        """Settle a batch, however long the org takes, then commit its offsets."""
        started = time.monotonic()
        records = [read(message) for message in messages]
        arrivals = [_arrival(record) for record in records]
        # The border's batches, each once: many records of ours come from one of its spans.
        sources = {dict(r.headers).get(headers.TRACEPARENT): r for r in records}
        found = [link_from(record.headers) for record in list(sources.values())[:MAX_LINKS]]
        with self._signals.span("egress.batch", [link for link in found if link]):
            results = self._retrying(halt)(carrier.carry, arrivals)
        self._positions |= {r.at.partition: r.at.offset + 1 for r in records}
        self._commit(consumer)
        self._measure(results, len(messages), time.monotonic() - started)

    def _commit(self, consumer: Consumer) -> None:
        """Commit every partition's position, moved or not.

        A group that assigns its partitions itself never has members, and Kafka forgets what
        such a group has not committed for a while (7 days, unless told otherwise).
        """
        offsets = [TopicPartition(self._topic, p, o) for p, o in self._positions.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
        self._commit_again_at = time.monotonic() + COMMIT_AGAIN_S

    def _retrying(self, halt: threading.Event) -> Retrying:
        """Return what calls again while the org or the database does not answer."""
        return Retrying(
            retry=retry_if_exception_type(RetriableError),
            wait=wait_exponential_jitter(FIRST_WAIT_S, MAX_WAIT_S),
            stop=stop_when_event_set(halt),
            sleep=sleep_using_event(halt),
            before_sleep=_say,
            reraise=True,
        )

    def _quarantine(self, producer: Producer, seal: Seal, refused: Sequence[Refused]) -> None:
        """Put records, sealed, into the region's quarantine; returns once Kafka has them all."""
        failed: list[str] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error.name())

        for one in refused:
            name = str(one.record.id)
            producer.produce(
                topics.quarantine(self._settings.region),
                seal.close(name, one.reason, one.record.value),
                name.encode(),
                headers=headers.for_quarantine(
                    name,
                    one.record.id.topic_id,
                    one.reason,
                    one.path,
                    one.record.plan,
                ),
                on_delivery=delivered,
            )
        if producer.flush(API_TIMEOUT_S) or failed:
            msg = f"quarantine: Kafka {failed[0] if failed else 'did not acknowledge'}"
            raise RetriableError(msg)

    def _measure(self, results: Mapping[str, int], records: int, seconds: float) -> None:
        recorder = self._signals.recorder
        recorder.record("homeport.batch.duration", seconds, stage="egress")
        recorder.record("homeport.batch.records", records, stage="egress")
        for result, n in results.items():
            recorder.add("homeport.records", n, stage="egress", outcome=result)
            self._counts[result] = self._counts.get(result, 0) + n


def _arrival(record: Record) -> Arrival:
    found = own_headers(record.headers, str(record.at))
    minimal = headers.minimal_record(found, record.key, record.value, str(record.at))
    basis = tuple(filter(None, found[headers.BASIS].split(",")))
    return Arrival(minimal, basis, found[headers.RELEASE])


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    LOG.warning("waiting: %s", error)  # our own RetriableError: its text names no value


def build(settings: Settings) -> Egress:
    """Return the egress worker of *settings*; the shell runs it."""
    folder = settings.folder / "telemetry"
    return Egress(settings, telemetry("egress", settings.region, folder, os.environ))
