"""What a region holds of one person, from where it lies: vault, decisions, quarantine, ledger.

The process opens two files of settings: the look-up's finds the person and their events, the
replay's has decisions, quarantine, and the keys to make minimal records anew. Neither has a way
out of the region.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from connectors.kafka.topology import TopicInfo, load_topics
from connectors.postgres.decisions import DecisionReader, NoDecisionsError
from connectors.postgres.vault.reader import Kept
from residency import topics
from residency.decisions import decision_json
from residency.keys import COMMITMENTS, TOKENS_FILE, ledger_verifier, secret, token_keys
from residency.ledger.note import Checkpoint, Verifier
from residency.ledger.reader import Reader, open_head
from residency.ledger.walk import Progress
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.abroad import (
    Contents,
    Remaker,
    Sent,
    leaves_of,
    raw_of,
    record_json,
    rows_of,
    sent_of,
)
from schemas.codec import decode
from schemas.errors import QuarantineError, SetupError
from schemas.events import Coordinates
from schemas.plainjson import to_plain
from schemas.registry import Registry, load_registry
from streams.quarantine import entries
from streams.replay.worker import load_books, must_exist
from streams.settings import ReplaySettings

STEP: Final = 256  # leaves between two moves of the bar
EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found.

    Attributes:
        document: All of it, as JSON.
        leaves: Those about the person's records, ascending.
        reader: The ledger.
        log: Its key.
        head: Its checkpoint, which all of *leaves* lie under.

    """

    document: dict[str, Any] = field(repr=False)
    leaves: tuple[int, ...]
    reader: Reader
    log: Verifier
    head: Checkpoint


def gather(
    settings: ReplaySettings, subject: bytes, kept: Sequence[Kept], progress: Progress
) -> Gathered:
    """Return all that the region holds of *subject*, whose events are *kept*.

    Args:
        settings: Those of ``replay``.
        subject: The person.
        kept: Their events, oldest first.
        progress: Of the ledger, which is read whole.

    Raises:
        SetupError: A key or the ledger is not here.
        RetriableError: Postgres or Kafka does not answer.
        LedgerError: The ledger does not hold together.

    """
    if settings.postgres is None:
        msg = "the settings of replay name no postgres; run `homeport up` to write them again"
        raise SetupError(msg)
    registry, reader = load_registry(), Reader(settings.folder / "ledger")
    reader.require()
    log = ledger_verifier(settings.folder / "keys")
    head = open_head(reader, log)
    raws = {raw_of(_at(one), one.topic_id): one for one in kept}
    sent, beside = sent_of(
        reader.entries(0, head.size, head.size), raws, _every(progress, head.size)
    )
    decisions = DecisionReader(settings.postgres.dsn)
    events = [_event(registry, one) for one in kept]
    tokens = _tokens(settings, events)
    records = _records(settings, sent, kept, decisions)
    document = {
        "pseudonyms": {"subject": subject.hex(), "customer": tokens},
        "events": events,
        "decisions": _decisions(decisions, tokens),
        "quarantine": _quarantined(settings, raws),
        "abroad": {
            "destination": CENTRAL,
            "rows": [row.to_json() for row in rows_of(records)],
            "records": [record_json(one, contents) for one, contents in records],
        },
        "ledger": {"origin": head.origin, "size": head.size},
    }
    return Gathered(document, tuple(sorted(set(leaves_of(sent, beside)))), reader, log, head)


def _event(registry: Registry, kept: Kept) -> dict[str, Any]:
    """Return one event as JSON; as base64 where it is none of ours."""
    told: dict[str, Any] = {
        "record": kept.name,
        "topic_id": kept.topic_id,
        "kept_at": kept.kept_at.astimezone(UTC).isoformat(),
        "event": kept.event,
        "schema_id": kept.schema_id,
    }
    try:
        schema, decoded = decode(registry, kept.value)
    except QuarantineError:
        return {**told, "data": None, "base64": b64encode(kept.value).decode()}
    return {**told, "data": to_plain(schema, decoded)}


def _tokens(settings: ReplaySettings, events: Sequence[dict[str, Any]]) -> list[str]:
    """Return the tokens of a customer's ids: spellings of one id have the same."""
    keys = token_keys(must_exist(settings.folder / "keys" / TOKENS_FILE), settings.region)
    made, found = Tokeniser(keys, CENTRAL), set[str]()
    for event in events:
        customer = (event["data"] or {}).get("customer")
        if customer is not None:
            found.add(made.identity("customer", customer["customer_id"]))
    return sorted(found)


def _records(
    settings: ReplaySettings, sent: Sequence[Sent], kept: Sequence[Kept], decisions: DecisionReader
) -> list[tuple[Sent, Contents | str]]:
    """Return each minimal record with what it said, or why nobody can tell."""
    root = secret(must_exist(settings.folder / "keys" / f"{COMMITMENTS}.json"), COMMITMENTS)
    known = load_topics(settings.home, settings.region)
    values = {(one.topic_id, _at(one)): one.value for one in kept}
    remaker = Remaker(load_books(settings), root, decisions.find)
    found = []
    for one in sent:
        record = one.transfer.record
        value = values[record.topic_id, record.at]
        generations = _generations(known.get(record.at.topic), record.topic_id)
        found.append((one, remaker.contents(one, value, generations)))
    return found


def _generations(topic: TopicInfo | None, topic_id: str) -> Sequence[int]:
    """Return which generations a topic id may stand for: a topic that is gone had an older one."""
    if topic is None:
        return ()
    if topic.id == topic_id:
        return (topic.generation,)
    return range(topic.generation - 1, 0, -1)


def _decisions(reader: DecisionReader, tokens: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the region's model said of the customer's texts."""
    try:
        rows = [row for token in tokens for row in reader.of_subject(token, EVER)]
    except NoDecisionsError:
        return []
    return [decision_json(*row) for row in rows]


def _quarantined(settings: ReplaySettings, raws: dict[tuple[str, str], Kept]) -> list[Any]:
    """Return the quarantine's entries about the person's records, without their payloads."""
    return [
        entry.to_json()
        for entry in entries(settings, topics.group("border")).values()
        if raw_of(entry.raw, entry.topic_id) in raws
    ]


def _at(kept: Kept) -> Coordinates:
    return Coordinates(kept.topic, kept.partition, kept.offset)


def _every(progress: Progress, size: int) -> Callable[[int], None]:
    """Return what tells *progress* of some of the entries."""

    def tell(index: int) -> None:
        if index % STEP == 0:
            progress(index, size)

    return tell
