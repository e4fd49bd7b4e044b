"""Take stock of a region: where every record of some raw topics is, in an order that proves it.

How far border, enrichment and egress are comes first, then what waits for enrichment, then what
lies before egress, then the quarantine, and the ledger last. A record that is
in none of them by then is missing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from connectors.kafka.topology import check_topic_ids, load_topics
from residency import topics
from residency.keys import COMMITMENTS, TOKENS_FILE, ledger_verifier
from residency.ledger.reader import Reader
from streams.replay import topics as kafka
from streams.replay.archive import archived
from streams.replay.spool import Spool, Spooled
from streams.replay.topics import Names, Span
from streams.replay.worker import must_exist
from streams.settings import ReplaySettings

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to replay.

    Attributes:
        names: Raw topics.
        since: Records published from then on; None: all that there are.
        until: Records published before; None: all that the border has decided.

    """

    names: tuple[str, ...]
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Stock:
    """Where the records are.

    Attributes:
        spans: What there is to read, by topic and partition.
        waits: Requests behind enrichment and minimal records behind egress.
        kept: Raw records in quarantine, by topic id and partition.
        refused: Minimal records in quarantine that no retry has settled.
        spooled: What the ledger says.

    """

    spans: Sequence[Span]
    waits: Names
    kept: dict[tuple[str, int], set[int]]
    refused: Names
    spooled: Spooled


def take(
    settings: ReplaySettings, asked: Asked, spool: Spool, say: Say, *, is_resend: bool = False
) -> Stock:
    """Return where all records are that are asked for, what the ledger says of them in *spool*.

    A resend wants outcomes, too, and may look neither at requests nor at the vault's archive.

    Raises:
        SetupError: The region has no stack, no ledger or not all keys here.
        HaltError: A topic was made anew, or the ledger does not hold together.
        RetriableError: Kafka does not answer.

    """
    known = load_topics(settings.home, settings.region)
    raw = {name: known[name] for name in topics.raw_topics(settings.region)}
    ledger = Reader(settings.folder / "ledger")
    ledger.require()
    log = ledger_verifier(settings.folder / "keys")
    for name in (f"{COMMITMENTS}.json", TOKENS_FILE):
        must_exist(settings.folder / "keys" / name)
    spool.clear()
    check_topic_ids(settings.kafka.librdkafka(log_level=0), raw)
    times = [
        None if at is None else int(at.timestamp() * 1_000) for at in (asked.since, asked.until)
    ]
    say("reading how far border, enrichment and egress are ...")
    line = [("egress", topic) for topic in topics.outgoing(settings.region)]
    if not is_resend:
        line.insert(0, ("enrich", topics.enrich(settings.region)))  # a record goes this way
    at = {
        topic: kafka.positions(settings, service, topic, known[topic].partitions)
        for service, topic in line
    }
    spans = kafka.spans(settings, {name: raw[name] for name in asked.names}, *times)
    if not is_resend:
        spans = archived(settings, spans, asked.since, asked.until)
    waits: Names = {}
    for topic, positions in at.items():
        kafka.pending(settings, topic, positions, waits)
    kept, refused = kafka.quarantined(
        settings, known[topics.quarantine(settings.region)].partitions
    )
    say("reading the ledger ...")
    where = {name: (info.id, info.partitions) for name, info in raw.items()}
    spooled = spool.fill(
        ledger,
        log,
        where,
        asked.names,
        with_strays=asked.since is None,
        with_outcomes=is_resend,
    )
    return Stock(spans, waits, kept, refused, spooled)
