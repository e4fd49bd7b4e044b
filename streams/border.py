"""The border: raw topics to minimal topic, the region's own plans deciding.

How records cross, exactly once and in batches, is `streams.hop`'s; here is what crosses: the
plan book, the headers, the quarantine and what the worker says of itself.
"""

import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.kafka import headers
from connectors.kafka.errors import named
from connectors.kafka.headers import Headers, Stamp
from connectors.kafka.topology import TopicInfo, check_topic_ids, load_topics
from residency import topics
from residency.keys import secret, token_keys
from residency.plan.model import Plan
from residency.release import release_digest
from residency.seal import BORDER, Seal
from residency.telemetry.names import MAX_PARTITIONS
from residency.telemetry.setup import Telemetry, telemetry
from schemas.errors import HaltError, QuarantineError, Reason, RetriableError
from schemas.events import Coordinates, RawBatch
from streams.duties import NotNowError, Route
from streams.hop import Hop
from streams.kafkawatch import KafkaWatch
from streams.limit import QuarantineLimit
from streams.place import Verdict, shape_of
from streams.plans import load_book
from streams.settings import Settings, database
from streams.vault.erased import Erased
from streams.vault.keystores import open_keystore
from streams.vault.rawopener import RawOpener

LOG = logging.getLogger("homeport.border")
NAMED_ONLY = frozenset({Reason.OVERSIZE, Reason.ERASED_SUBJECT})  # their payload is not copied
MAX_SAID = 20  # wrong-region records named in the log, per batch; quarantine lists them all


class Border:
    """One border worker: a slot of the region's consumer group. The duties of its `Hop`."""

    def __init__(self, settings: Settings, signals: Telemetry) -> None:
        """Take the border's own settings; connects in `run`."""
        region = settings.region
        self._settings = settings
        self._signals = signals
        self._topics: Mapping[str, TopicInfo] = {
            name: info
            for name, info in load_topics(settings.home, region).items()
            if name in topics.raw_topics(region)
        }
        keys = token_keys(settings.folder / "keys", region)
        self._book = load_book(region, keys, datetime.now(UTC).date())
        if not self._book.is_fast:
            LOG.warning("Numba is not there: every record is decided one by one, far slower")
        self._book.warm_up()
        self._seal = Seal(secret(settings.folder / "keys", BORDER))
        self._release = release_digest()
        self._limit = QuarantineLimit(settings.quarantine_limit)
        self._hop = Hop(settings.kafka.librdkafka(), self._route(), self, signals)
        dsn = database(settings.postgres, "border")
        self._erased = Erased(dsn)
        self._opener = RawOpener(dsn, open_keystore(settings))
        self._is_ready = self._is_waiting = False
        self._decided = 0
        self._watch = KafkaWatch(signals.recorder, "border")

    def _route(self) -> Route:
        settings = self._settings
        generations = {name: info.generation for name, info in self._topics.items()}
        return Route.of(settings.region, "border", settings.slot, generations)

    def health(self) -> Mapping[str, Any]:
        """Return whether this worker works, on how much, how far behind, and if it must wait."""
        hop = self._hop
        return {
            "ready": self._is_ready,
            "partitions": len(hop.places),
            "decided": self._decided,
            "lag": sum(hop.lag().values()),
            "waiting": self._is_waiting,
            "fetched": hop.reading.fetched,
            "unsent": hop.writing.unsent,
            "round_trip_ms": round(1_000 * hop.writing.round_trip_s, 1),
        }

    def run(self, halt: threading.Event) -> None:
        """Carry records over until *halt*."""
        try:
            with named("border"):
                check_topic_ids(self._settings.kafka.librdkafka(), dict(self._topics))
                self._hop.run(halt)
        finally:
            self._is_ready = False
            self._erased.close()
            self._opener.close()
            self._signals.shutdown()

    def after_batch(self, count: int) -> None:
        """Do nothing; called once a batch of *count* raw records is committed."""

    def decide(self, batch: RawBatch) -> Sequence[Verdict]:
        """Return what becomes of each record.

        Raises:
            NotNowError: Who is erased cannot be said now, or what is sealed not be opened.

        """
        try:
            batch = self._opener.open(batch)
            refused = self._erased.refused(batch)
        except RetriableError as error:
            self._is_waiting = True
            self._signals.recorder.add("homeport.pauses", 1, stage="border")
            raise NotNowError(str(error)) from None  # a text of ours
        self._is_waiting = False
        verdicts = self._book.minimise_batch(batch, lambda topic: self._topics[topic].generation)
        return (
            [
                QuarantineError(Reason.ERASED_SUBJECT) if n in refused else verdict
                for n, verdict in enumerate(verdicts)
            ]
            if refused
            else verdicts
        )

    def stamp(self, topic: str, plan: Plan) -> Sequence[tuple[str, Headers]]:
        """See `Duties.stamp`: a request goes to the region's model, and leaves nothing out."""
        keys, topic_id = self._book.keys_version(plan), self._topics[topic].id
        minimal, requests = topics.minimal(self._book.region), topics.enrich(self._book.region)
        return [
            (
                requests if output.labels else minimal,
                Stamp(
                    topic_id,
                    output.object,
                    plan.digest,
                    keys,
                    output.basis,
                    self._release,
                    output.deletes,
                ).encoded(),
            )
            for output in plan.outputs
        ]

    def refuse(
        self, record: str, topic: str, error: QuarantineError, value: bytes
    ) -> tuple[bytes | None, Headers]:
        """Return value, sealed, and headers of a record's entry in quarantine."""
        # Kafka may refuse an oversize value, and an erased one is not to be copied: named, it
        # lies where it lay
        is_named = error.reason in NAMED_ONLY
        kept = None if is_named else self._seal.close(record, error.reason, value)
        return kept, headers.for_quarantine(
            record, self._topics[topic].id, error.reason, error.path, error.plan
        )

    def confirm(self, batch: RawBatch) -> None:
        """See `Duties.confirm`: an erasure waits until the border has passed it."""

    def assigned(self, partitions: int) -> None:
        """See `Duties.assigned`."""
        del partitions  # a worker without any is ready too: it takes over when another goes
        self._is_ready = True

    def aborted(self) -> None:
        """See `Duties.aborted`."""
        self._signals.recorder.add("homeport.transactions", 1, stage="border", end="aborted")

    def committed(self, batch: RawBatch, verdicts: Sequence[Verdict], seconds: float) -> None:
        """Count a batch.

        Raises:
            HaltError: Too many of the last records went to quarantine.

        """
        recorder = self._signals.recorder
        recorder.add("homeport.transactions", 1, stage="border", end="committed")
        recorder.record("homeport.batch.duration", seconds, stage="border")
        recorder.record("homeport.batch.records", len(batch), stage="border")
        refused = Counter(v.reason for v in verdicts if isinstance(v, QuarantineError))
        for reason, n in refused.items():
            recorder.add("homeport.quarantined", n, stage="border", reason=reason)
        made = Counter(shape_of(v) for v in verdicts if not isinstance(v, QuarantineError))
        minimal, asked = (sum(shape[k] * n for shape, n in made.items()) for k in range(2))
        recorder.add("homeport.records", minimal, stage="border", outcome="minimal")
        recorder.add("homeport.records", asked, stage="border", outcome="requested")
        recorder.add("homeport.records", made[0, 0], stage="border", outcome="nothing")
        if Reason.WRONG_REGION in refused:
            self._alert(batch, verdicts)
        self._decided += len(batch)
        self.after_batch(len(batch))
        try:
            # an erasure is nobody's fault: a restored topic may be full of the erased
            self._limit.note(len(batch), refused.total() - refused[Reason.ERASED_SUBJECT])
        except HaltError:
            recorder.add("homeport.alerts", 1, kind="quarantine-limit")
            raise

    def _alert(self, batch: RawBatch, verdicts: Sequence[Verdict]) -> None:
        """Say that records lie in a region that is not theirs: data has crossed already."""
        found = [
            Coordinates(batch.topics[n], batch.partitions[n], batch.offsets[n])
            for n, verdict in enumerate(verdicts)
            if isinstance(verdict, QuarantineError) and verdict.reason is Reason.WRONG_REGION
        ]
        self._signals.recorder.add("homeport.alerts", len(found), kind="wrong-region")
        for at in found[:MAX_SAID]:
            LOG.error("%s: of another region; see who published it here", at)
        if len(found) > MAX_SAID:
            LOG.error("and %d more of this batch", len(found) - MAX_SAID)

    def observed(self) -> None:
        """Export what Kafka's clients say of themselves."""
        recorder, hop = self._signals.recorder, self._hop
        self._watch.look(hop.reading, hop.writing)
        domains = {topics.raw(self._settings.region, domain): domain for domain in topics.DOMAINS}
        for (topic, partition), lag in hop.lag().items():
            if partition < MAX_PARTITIONS:
                labels = {"domain": domains[topic], "partition": str(partition)}
                recorder.set("homeport.kafka.lag", lag, **labels)


def build(settings: Settings) -> Border:
    """Return the border worker of *settings*; the shell runs it."""
    folder = settings.folder / "telemetry"
    return Border(settings, telemetry("border", settings.region, folder, os.environ))
