"""Count what became of everything, from what the stages left behind, not from what they say.

Raw records: Kafka's own end offsets. What border and enrichment count: the metadata of the
offsets they commit in their transactions. Results: the outcome leaves in the ledger's files.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from connectors.kafka.topology import TopicInfo, load_topics
from residency import topics
from residency.ledger.leaves import parse_leaf
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import Reader, open_head
from streams.settings import load_settings
from streams.tally import Tally, total

TIMEOUT_S = 30.0
_COUNTING = ("border", "enrich")  # services that commit a count beside their offsets


@dataclass(frozen=True, slots=True)
class Counts:
    """What a region has done so far."""

    raw: int = 0
    border: Tally = field(default_factory=Tally)
    results: Mapping[str, int] = field(default_factory=dict)
    enrich: Tally = field(default_factory=Tally)

    @property
    def minimal(self) -> int:
        """How many minimal records there are: the border's, and those with labels so far."""
        return self.border.minimal + self.enrich.minimal

    @property
    def settled(self) -> int:
        """How many minimal records have a result."""
        return sum(self.results.values())

    @property
    def is_settled(self) -> bool:
        """Whether every raw record is decided and every minimal record has its result."""
        return self.raw == self.border.raw and self.minimal == self.settled

    @property
    def is_labelled(self) -> bool:
        """Whether every request for labels has its answer, and that its result."""
        return self.is_settled and self.border.requests == self.enrich.raw

    def since(self, before: "Counts") -> "Counts":
        """Return what came after *before*."""
        results = Counter(self.results)
        results.subtract(before.results)
        return Counts(
            self.raw - before.raw,
            self.border.minus(before.border),
            +results,
            self.enrich.minus(before.enrich),
        )


class Observer:
    """Watches one region with the operator's credentials."""

    def __init__(self, home: Path, region: str) -> None:
        """Connect lazily; nothing is read yet."""
        settings = load_settings(home, region, "admin")
        self._region = region
        self._topics: Mapping[str, TopicInfo] = load_topics(home, region)
        # A broker that stops is no news to somebody who watches: no log lines.
        config = {**settings.kafka.librdkafka(), "log_level": 0}
        self._admin = AdminClient(config)
        # It never joins the group; AdminClient's own look-up of offsets has crashed librdkafka.
        self._readers = {
            name: Consumer({**config, "group.id": topics.group(name)}) for name in _COUNTING
        }
        self._ledger = home / region / "ledger"
        self._read = 0
        self._results: Counter[str] = Counter()

    def counts(self) -> Counts:
        """Return the counts as of now."""
        # From the end of the line to its start, so that no stage seems ahead of the one before.
        results = self._outcomes()
        enrich = self._tally("enrich", [topics.enrich(self._region)])
        border = self._tally("border", topics.raw_topics(self._region))
        return Counts(self._raw(), border, results, enrich)

    def _partitions(self, names: Iterable[str]) -> Iterator[TopicPartition]:
        for topic in names:
            for partition in range(self._topics[topic].partitions):
                yield TopicPartition(topic, partition)

    def _raw(self) -> int:
        """Return how many raw records there are: gateways write no transactions, so no gaps."""
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = dict.fromkeys(self._partitions(topics.raw_topics(self._region)), latest)
        answers = self._admin.list_offsets(wanted, request_timeout=TIMEOUT_S)
        return sum(answer.result().offset for answer in answers.values())

    def _tally(self, service: str, names: Iterable[str]) -> Tally:
        found = self._readers[service].committed(list(self._partitions(names)), TIMEOUT_S)
        return total(Tally.from_metadata(partition.metadata) for partition in found)

    def _outcomes(self) -> Mapping[str, int]:
        if not (self._ledger / "checkpoint").exists():
            return {}
        reader = Reader(self._ledger)
        size = open_head(reader).size
        for data in reader.entries(self._read, size, size):
            leaf = parse_leaf(data)
            # what an operator sent again is none of the border's count
            if isinstance(leaf, OutcomeLeaf) and not leaf.record.resend:
                self._results[leaf.result] += 1
        self._read = size
        return dict(self._results)
