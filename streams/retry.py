"""Decides quarantined records again, after what kept them was mended.

Not by publishing them anew: a record's coordinates are its name in the ledger, its row version in
the org and one of the border's count. The same raw record is decided under today's plans, and
what it becomes goes to the minimal topic under the old coordinates, with a resend number
that sets it apart. In the same transaction a second record under the entry's key settles
it. So no retry counts twice, whenever it dies; two at once fence each other. Where the plan wants
labels, the region's model is asked again, by a request of the same name.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from connectors.kafka import headers
from connectors.kafka.clients import (
    Listeners,
    acknowledged,
    send,
    transaction,
    transactional_producer,
)
from connectors.kafka.errors import named
from connectors.kafka.headers import Headers, of_minimal
from residency import topics
from streams.again import Again, Decider, Guard, Outcome
from streams.quarantine import Entry, entries, reader
from streams.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import Producer

AGAIN = "what was not named is as it was; run it again"
BATCH = 500  # entries per transaction


class Retry:
    """One run of retries in a region, with the operator's credentials."""

    def __init__(self, settings: Settings) -> None:
        """Fence every other retry of the region, then look what is in quarantine.

        In this order: what an earlier run committed is seen, and what it has not it never will.
        """
        self._settings = settings
        self._decider = Decider(settings)
        self._guard = Guard(settings)
        client = settings.kafka.librdkafka(log_level=0)
        name = topics.transactional_prefix("quarantine") + settings.region
        silent = Listeners(lambda _statistics: None, lambda _error: None)
        with named("retry", AGAIN):
            self._producer: Producer = transactional_producer(client, name, silent)
        self.open = still_open(settings)

    def run(self, chosen: Sequence[Entry]) -> Iterator[Outcome]:
        """Yield how each of *chosen* ended; what was yielded is committed.

        Raises:
            RetriableError: Kafka does not answer, or another retry took over.

        """
        with (
            closing(reader(self._settings)) as consumer,
            closing(self._guard) as guard,
            closing(self._decider),
            named("retry", AGAIN),
        ):
            for start in range(0, len(chosen), BATCH):
                each = [self._decider.decide(consumer, e) for e in chosen[start:][:BATCH]]
                decided = guard.but_erased(each, is_lifting=True)
                self._commit([one for one in decided if isinstance(one, Again)])
                yield from (_outcome(one) for one in decided)

    def _commit(self, batch: Sequence[Again]) -> None:
        """Send minimal records and settle their entries, as one."""
        if not batch:
            return
        producer, region = self._producer, self._settings.region
        with transaction(producer):
            for one in batch:
                for row in one.rows:
                    stamped = of_minimal(str(row.name), row.version, row.stamp.encoded())
                    send(producer, [(row.topic, row.value, row.key, stamped)])
                settled: Headers = headers.for_settled(
                    one.entry.record, one.entry.topic_id, one.plan, _how(one)
                )
                name_bytes = one.entry.record.encode()
                send(producer, [(topics.quarantine(region), None, name_bytes, settled)])
            acknowledged(producer)
            self._guard.check(batch)


def preview(settings: Settings, chosen: Sequence[Entry]) -> Iterator[Outcome]:
    """Yield how a retry of each of *chosen* would end now; nothing is sent, nobody fenced.

    Raises:
        RetriableError: Kafka does not answer.

    """
    with (
        closing(Decider(settings)) as decider,
        closing(reader(settings)) as consumer,
        closing(Guard(settings)) as guard,
        named("retry", AGAIN),
    ):
        for start in range(0, len(chosen), BATCH):
            decided = [decider.decide(consumer, entry) for entry in chosen[start:][:BATCH]]
            yield from map(_outcome, guard.but_erased(decided, is_lifting=False))


def still_open(settings: Settings) -> dict[str, Entry]:
    """Return what is in quarantine and not settled, by record, oldest first.

    Raises:
        RetriableError: Kafka does not answer.

    """
    return {name: entry for name, entry in entries(settings).items() if entry.settled is None}


def _how(one: Again) -> str:
    return "sent" if one.rows else "nothing"


def _outcome(one: Again | Outcome) -> Outcome:
    if isinstance(one, Outcome):
        return one
    return Outcome(one.entry.record, tuple(str(row.name) for row in one.rows))
