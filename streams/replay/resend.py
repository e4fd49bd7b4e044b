"""Send records again, for recovery: what a replay finds missing, or what an operator names.

The process reads raw topics, makes minimal records of them as the border does, and puts them on
the minimal topic under their old coordinates with the next resend number. What becomes of them
there is egress's: gate, ledger, sink. It holds no way out of the region (promise 6).

It shares its transactional id with the retries of quarantined records, so that never two number
records at a time: who begins fences whoever was at it, and only then takes stock. What was
committed before is seen then, and what was not never will be. So whatever is killed whenever, the
next run sends nothing twice under one number.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from connectors.kafka.clients import (
    Listeners,
    Outgoing,
    acknowledged,
    send,
    transaction,
    transactional_producer,
)
from connectors.kafka.errors import named
from connectors.kafka.headers import Stamp, of_minimal
from residency import topics
from residency.keys import COMMITMENTS, secret
from residency.ledger.note import Checkpoint
from residency.release import release_digest
from residency.replay.books import Books, Place
from residency.replay.claims import Claims
from residency.replay.resend import Again, Already, Chooser, Stays, Stock, Wish
from schemas.events import RawBatch
from streams.replay import stock as stocks
from streams.replay import topics as kafka
from streams.replay.spool import Spool
from streams.replay.stock import Say
from streams.replay.topics import AGAIN, Span
from streams.replay.wanted import Named, Wanted, places, save
from streams.replay.worker import load_books, raw_batch
from streams.settings import ReplaySettings, database
from streams.vault.erased import Erased
from streams.vault.keystores import open_keystore
from streams.vault.rawopener import RawOpener

if TYPE_CHECKING:
    from confluent_kafka import Producer

    from residency.vault.suppress import Suppression

BATCH: Final = 500  # records per transaction
SAY_EVERY: Final = 5_000  # records
CLAIMS: Final = "claims"
Waiting: TypeAlias = tuple[Again, bytes]  # to be sent, and the key of its raw record
_GONE = "its raw record is not there: retention has deleted it, or the border has not decided it"


@dataclass(slots=True)
class Done:
    """What a resend did, or would do.

    Attributes:
        head: The ledger's that it went by.
        raw: Raw records read.
        sent: Names of the records, with their new resend number.
        stays: What was wanted and is not sent, and why.
        already: How many had been sent again since it was begun.

    """

    head: Checkpoint
    raw: int = 0
    sent: list[str] = field(default_factory=list)
    stays: list[Stays] = field(default_factory=list)
    already: int = 0


def resend(
    settings: ReplaySettings, wanted: Wanted, folder: Path, say: Say, *, is_dry_run: bool
) -> Done:
    """Send again what is wanted; return what was done once it is committed.

    Args:
        settings: The resend's own.
        wanted: What; with the *size* of one that was left, it goes on.
        folder: For its state.
        say: Told how far it is.
        is_dry_run: Send nothing, fence nobody, and return what would be sent.

    Raises:
        SetupError: The region has no stack, ledger or keys here.
        HaltError: The ledger does not hold together.
        RetriableError: Kafka does not answer, or another resend or retry took over.

    """
    with named("resend", AGAIN):
        sender = None if is_dry_run else Sender(settings)
        spool = Spool(folder / CLAIMS)
        stock = stocks.take(settings, wanted.asked, spool, say, is_resend=True)
        if wanted.size is None:
            wanted = replace(wanted, size=stock.spooled.head.size)
        if not is_dry_run:
            save(folder, wanted)
        run = _Run(settings, wanted, stock, spool, sender, say)
        try:
            run.all()
        finally:
            run.close()
        spool.clear()
    return run.done


class _Run:
    """One resend, once stock is taken."""

    def __init__(  # noqa: PLR0913, PLR0917, each is a different thing
        self,
        settings: ReplaySettings,
        wanted: Wanted,
        stock: stocks.Stock,
        spool: Spool,
        sender: "Sender | None",
        say: Say,
    ) -> None:
        self.done = Done(stock.spooled.head)
        self._settings = settings
        self._wanted = wanted
        self._named: Mapping[tuple[str, int], Named] = places(wanted.names)
        self._stock = stock
        self._spool = spool
        self._sender = sender
        self._say = say
        self._books: Books = load_books(settings)
        self._root = secret(settings.folder / "keys", COMMITMENTS)
        dsn = database(settings.postgres, "resend")
        self._erased = Erased(dsn)
        self._opener = RawOpener(dsn, open_keystore(settings))
        self._known: dict[bytes, Suppression] = {}  # of those that were met
        self._today = datetime.now(UTC).date()

    def close(self) -> None:
        """Close the connections to Postgres."""
        self._erased.close()
        self._opener.close()

    def all(self) -> None:
        """Choose and send, partition by partition."""
        left = dict(self._named)
        for span in self._stock.spans:
            here = left.pop((span.place.topic, span.place.partition), None)
            if here is not None or not self._named:
                self._partition(span, here)
        for (topic, partition), offsets in sorted(left.items()):
            self._gone(topic, partition, offsets)

    def _partition(self, span: Span, here: Named | None) -> None:
        if here is not None:
            start, stop = min(here), max(here) + 1
            span = replace(span, start=max(span.start, start), stop=min(span.stop, stop))
        place, missing, waiting = span.place, set(here or ()), list[Waiting]()
        chooser = self._chooser(place, Wish(here, self._wanted.accepted))
        claims = Claims(self._spool.read(place.topic, place.partition))
        at = span.start
        for messages, after in kafka.batches(self._settings, span):
            raw = self._opener.open(raw_batch(place.topic, messages))
            missing.difference_update(raw.offsets)
            keys = dict(zip(raw.offsets, raw.keys, strict=True))
            for choice in chooser.batch(raw, claims.between(at, after), self._refused(raw)):
                if isinstance(choice, Again):
                    waiting.append((choice, keys[choice.id.at.offset]))
                else:
                    self._note(choice)
            while len(waiting) >= BATCH:
                self._send(waiting[:BATCH])
                del waiting[:BATCH]
            at, self.done.raw = after, self.done.raw + len(messages)
        self._send(waiting)
        self._gone(place.topic, place.partition, missing)

    def _chooser(self, place: Place, wish: Wish) -> Chooser:
        stock = self._stock
        here = Stock(
            self._wanted.size or 0,
            kafka.outputs_at(place, stock.waits),
            frozenset(stock.kept.get((place.topic_id, place.partition), ())),
            kafka.outputs_at(place, stock.refused),
            self._today,
        )
        return Chooser(place, self._books, stock.spooled.terms.terms, self._root, here, wish)

    def _refused(self, raw: RawBatch) -> set[int]:
        """Return the numbers of the records whose subject is erased.

        A registration that would lift a suppression is the border's to decide.
        """
        known = self._erased.of(raw.keys)
        self._known.update(known)
        judged = self._erased.judge(raw, known)
        lifting = (n for n, key in enumerate(raw.keys) if key in judged.lifts)
        return {*judged.refused, *lifting}

    def _note(self, choice: Stays | Already) -> None:
        if isinstance(choice, Stays):
            self.done.stays.append(choice)
        else:
            self.done.already += 1

    def _gone(self, topic: str, partition: int, offsets: Iterable[int]) -> None:
        """Note named records that have no raw record to be made of."""
        names = (f"{topic}[{partition}]@{offset}" for offset in sorted(offsets))
        self.done.stays += [Stays(name, _GONE) for name in names]

    def _send(self, batch: Sequence[Waiting]) -> None:
        if self._sender is not None and batch:
            self._sender.send([one for one, _ in batch], partial(self._check, batch))
        before, sent = len(self.done.sent), [str(one.id) for one, _ in batch]
        self.done.sent += sent
        if before // SAY_EVERY != len(self.done.sent) // SAY_EVERY:
            self._say(f"{len(self.done.sent):,} records ...")

    def _check(self, batch: Sequence[Waiting]) -> None:
        """See that the subjects of *batch* are suppressed no more than when it was chosen.

        Raises:
            RetriableError: One is.

        """
        subjects = {subject for _, subject in batch}
        self._erased.unchanged({s: self._known[s] for s in subjects & self._known.keys()}, subjects)


class Sender:
    """Puts records on the minimal topic, each batch in one transaction."""

    def __init__(self, settings: ReplaySettings) -> None:
        """Fence every other resend and retry of the region."""
        self._region = settings.region
        name = topics.transactional_prefix("quarantine") + settings.region
        silent = Listeners(lambda _statistics: None, lambda _error: None)
        client = settings.kafka.librdkafka(log_level=0)
        self._producer: Producer = transactional_producer(client, name, silent)

    def send(self, batch: Sequence[Again], check: Callable[[], None]) -> None:
        """Commit *batch*, all of it or nothing.

        Args:
            batch: What to send.
            check: Called when Kafka has it all, not committed; what it raises aborts.

        Raises:
            KafkaException: It is not committed.

        """
        with transaction(self._producer):
            send(self._producer, (self._outgoing(one) for one in batch))
            acknowledged(self._producer)
            check()

    def _outgoing(self, one: Again) -> Outgoing:
        stamp = Stamp(
            one.id.topic_id,
            one.output.object,
            one.plan.digest,
            one.keys,
            one.output.basis,
            release_digest(),
            one.output.deletes,
        )
        stamped = of_minimal(str(one.id), one.version, stamp.encoded())
        return topics.minimal(self._region), one.value, one.key, stamped
