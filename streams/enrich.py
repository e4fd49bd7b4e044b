"""Enrichment: requests with texts in, minimal records with labels out, exactly once.

The region's model is asked before the transaction opens, and what it answered is kept in the
region's Postgres before anything is sent: a crash after that finds the same answer, a resend
gets it, and a replay reads it. While model or database do not answer, requests wait in Kafka.
"""

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connectors.kafka import headers
from connectors.kafka.clients import MAX_POLL_MS
from connectors.kafka.errors import named
from connectors.kafka.headers import Headers
from connectors.kafka.inbound import own_headers
from connectors.kafka.topology import check_topic_ids, load_topics
from connectors.postgres.decisions import Decisions
from inference import lock
from inference.labelling import Labeller, labeller
from inference.tasks import load_tasks
from residency import topics
from residency.plan.model import Plan
from residency.plan.stored import load_stored
from residency.policy.budgets import Budget, load_budget
from residency.release import release_digest
from residency.telemetry.setup import Telemetry, telemetry
from residency.vault.suppress import Suppression, refuses_text
from schemas.errors import HaltError, QuarantineError, RetriableError, SetupError
from schemas.events import Coordinates, RawBatch
from schemas.registry import load_registry
from streams.asking import Asker
from streams.duties import NotNowError, Route
from streams.hop import Hop
from streams.kafkawatch import KafkaWatch
from streams.labelmeter import LabelMeter
from streams.labels import Asked, Maker, Task
from streams.place import Stamped, Verdict
from streams.settings import Settings, database
from streams.vault.erased import Erased

if TYPE_CHECKING:
    from residency.decisions import Decision

LOG = logging.getLogger("homeport.enrich")
BATCH = 64  # requests of one transaction: four of the model's, so that it is rarely idle
TOGETHER = 16  # texts of one request to the model; more wait longer and gain nothing on a CPU
SIDE_BY_SIDE = 2  # requests to the model under way: one is read while one is computed
NOTHING = Stamped(())  # of a request that nobody is to read any more
PATIENCE = 5  # times what a batch of the border may take: a model is slow


@dataclass(frozen=True, slots=True)
class Model:
    """Whom to ask.

    Attributes:
        labeller: Answers.
        tasks: Those it knows, by name.
        digest: Of the model and all that decides a label, hex.

    """

    labeller: Labeller
    tasks: Mapping[str, Task]
    digest: str


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what labels go out: the region's plans by digest, and what they may tell."""

    plans: Mapping[str, Plan]
    budget: Budget


class Enrich:
    """One enrichment worker: a slot of the region's consumer group. The duties of its `Hop`."""

    def __init__(self, settings: Settings, model: Model, terms: Terms, signals: Telemetry) -> None:
        """Take enrichment's own settings; connects in `run`.

        Raises:
            SetupError: The settings name no database.

        """
        dsn, region = database(settings.postgres, "enrich"), settings.region
        self._settings = settings
        self._signals = signals
        self._terms = terms
        self._registry = load_registry()
        requests = topics.enrich(region)
        self._topics = {requests: load_topics(settings.home, region)[requests]}
        self._meter = LabelMeter(signals, TOGETHER)
        self._store = Decisions(dsn)
        self._erased = Erased(dsn)
        self._asker = Asker(model.labeller, TOGETHER, SIDE_BY_SIDE, self._meter.request)
        self._maker = Maker(self._registry, model.tasks, model.digest, release_digest())
        self._hop = Hop(settings.kafka.librdkafka(), self._route(), self, signals)
        self._watch = KafkaWatch(signals.recorder, "enrich")
        self._is_ready = self._is_waiting = False
        self._decided = 0
        self._told: Sequence[tuple[Asked, Decision]] = ()  # of the batch in hand, as those below
        self._subjects = frozenset[str]()
        self._gone: Mapping[str, Suppression] = {}

    def _route(self) -> Route:
        settings = self._settings
        generations = {name: info.generation for name, info in self._topics.items()}
        return replace(
            Route.of(settings.region, "enrich", settings.slot, generations),
            target=topics.labels(settings.region),
            max_poll_ms=PATIENCE * MAX_POLL_MS,
            batch=BATCH,
            is_detailed=True,
            is_confirmed=True,
            span="enrich.batch",
        )

    def health(self) -> Mapping[str, Any]:
        """Return whether this worker works, what waits, and whether it waits for the model."""
        hop = self._hop
        return {
            "ready": self._is_ready,
            "partitions": len(hop.places),
            "decided": self._decided,
            "lag": sum(hop.lag().values()),
            "waiting": self._is_waiting,
        }

    def run(self, halt: threading.Event) -> None:
        """Carry requests over until *halt*."""
        try:
            with named("enrich"):
                check_topic_ids(self._settings.kafka.librdkafka(), dict(self._topics))
                self._hop.run(halt)
        finally:
            self._is_ready = False
            self._asker.close()
            self._store.close()
            self._erased.close()
            self._signals.shutdown()

    def decide(self, batch: RawBatch) -> Sequence[Verdict]:
        """Return the label record of each request; nothing where its customer is erased.

        Raises:
            NotNowError: Model or database do not answer.

        """
        try:
            with self._signals.span("enrich.decide"):
                verdicts = self._decide(batch)
        except RetriableError as error:
            self._is_waiting = True
            self._signals.recorder.add("homeport.pauses", 1, stage="enrich")
            raise NotNowError(str(error)) from None  # a text of ours
        self._is_waiting = False
        return verdicts

    def _decide(self, batch: RawBatch) -> list[Stamped]:
        if not len(batch):
            return []
        with self._signals.span("enrich.queue", start_ns=min(batch.times_ms) * 1_000_000):
            asked = [self._asked(batch, n) for n in range(len(batch))]
        self._subjects = frozenset(one.request.subject for one in asked)
        self._gone = self._erased.tokens(self._subjects)
        erased = [
            (one := self._gone.get(a.request.subject)) is not None and refuses_text(one, time_ms)
            for a, time_ms in zip(asked, batch.times_ms, strict=True)
        ]
        told = list(zip(asked, erased, strict=True))
        self._store.forget([a.question.key for a, is_erased in told if is_erased])
        labelled = iter(self._labelled([a for a, is_erased in told if not is_erased]))
        return [NOTHING if is_erased else next(labelled) for is_erased in erased]

    def _labelled(self, asked: Sequence[Asked]) -> list[Stamped]:
        """Return the label record of each request, decided once and kept."""
        taken = self._store.take(
            [one.question for one in asked], self._terms.budget, datetime.now(UTC)
        )
        open_ = {
            decision.question.key: (one, decision)
            for one, decision in zip(asked, taken, strict=True)
            if decision.answers is None
        }
        texts = [text for one, _ in open_.values() for text in self._maker.texts(one)]
        found = dict(zip([text.name for text in texts], self._asker.ask(texts), strict=True))
        with self._signals.span("enrich.validate"):
            made = [self._maker.decided(*pair, found) for pair in open_.values()]
            kept = {one.question.key: one for one in self._store.settle(made)} if made else {}
            decisions = [kept.get(one.question.key, one) for one in taken]
            records = [
                self._maker.record(one, decision)
                for one, decision in zip(asked, decisions, strict=True)
            ]
        self._told = list(zip(asked, decisions, strict=True))
        self._alert()
        return records

    def _asked(self, batch: RawBatch, n: int) -> Asked:
        """Return a request as the border wrote it.

        Raises:
            HaltError: It did not, or by a release that we do not know.

        """
        where = str(Coordinates(batch.topics[n], batch.partitions[n], batch.offsets[n]))
        found = own_headers(batch.headers[n], where)
        request = headers.request_of(found, batch.values[n], self._registry, where)
        return Asked.of(request, self._terms.plans)

    def _alert(self) -> None:
        """Say which records hold what somebody must hear of: before the commit, so never too late.

        A crash in between says it again.
        """
        for asked, decision in self._told:
            if self._maker.alerts(asked, decision):
                self._signals.recorder.add("homeport.alerts", 1, kind="privacy-request")
                LOG.warning("%s: asks for a right of its customer; read it", asked.request.id)

    def stamp(self, topic: str, plan: Plan) -> None:
        """See `Duties.stamp`: each of our records has headers of its own."""

    def refuse(
        self, record: str, topic: str, error: QuarantineError, value: bytes
    ) -> tuple[bytes | None, Headers]:
        """See `Duties.refuse`: nothing that a text says can refuse its request.

        Raises:
            HaltError: Always.

        """
        del topic, error, value
        msg = f"{record}: enrichment refuses no request; see which release runs"
        raise HaltError(msg)

    def confirm(self, batch: RawBatch) -> None:
        """See `Duties.confirm`: a model takes long, and no erasure waits for it.

        Raises:
            RetriableError: An erasure was asked for meanwhile.

        """
        del batch
        if self._erased.tokens(self._subjects) != self._gone:
            msg = "an erasure was asked for, or ended, meanwhile; the batch is decided again"
            raise RetriableError(msg)

    def assigned(self, partitions: int) -> None:
        """See `Duties.assigned`."""
        del partitions  # a worker without any is ready too: it takes over when another goes
        self._is_ready = True

    def aborted(self) -> None:
        """See `Duties.aborted`."""
        self._signals.recorder.add("homeport.transactions", 1, stage="enrich", end="aborted")

    def committed(self, batch: RawBatch, verdicts: Sequence[Verdict], seconds: float) -> None:
        """Count a batch."""
        del verdicts
        self._meter.batch(batch.times_ms, self._told, seconds)
        self._decided += len(batch)

    def observed(self) -> None:
        """Export what Kafka's clients say of themselves."""
        hop = self._hop
        self._watch.look(hop.reading, hop.writing)
        self._signals.recorder.set("homeport.enrich.waiting", sum(hop.lag().values()))


def build(settings: Settings) -> Enrich:
    """Return the enrichment worker of *settings*; the shell runs it.

    Raises:
        SetupError: The settings name no model server, or one that serves no model of our lock.

    """
    if settings.inference is None:
        msg = (
            "enrich: no model server in its settings; run `homeport up` without --without-inference"
        )
        raise SetupError(msg)
    config, folder = settings.inference, settings.folder / "telemetry"
    model = Model(labeller(config), load_tasks(), lock.served_digest(config.model))
    terms = Terms(load_stored(settings.region), load_budget(settings.region))
    return Enrich(settings, model, terms, telemetry("enrich", settings.region, folder, os.environ))
