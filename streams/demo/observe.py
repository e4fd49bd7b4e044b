"""Count what became of everything, from what the stages left behind, not from what they say.

Raw records: Kafka's own end offsets. The border's count: the metadata of the offsets it
commits in its transactions. Results: the outcome leaves in the ledger's files.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True, slots=True)
class Counts:
    """What a region has done so far."""

    raw: int = 0
    border: Tally = field(default_factory=Tally)
    results: Mapping[str, int] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        """How many minimal records have a result."""
        return sum(self.results.values())

    @property
    def is_settled(self) -> bool:
        """Whether every raw record is decided and every minimal record has its result."""
        return self.raw == self.border.raw and self.border.minimal == self.settled

    def since(self, before: "Counts") -> "Counts":
        """Return what came after *before*."""
        results = Counter(self.results)
        results.subtract(before.results)
        return Counts(self.raw - before.raw, self.border.minus(before.border), +results)


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
        self._reader = Consumer({**config, "group.id": topics.group("border")})
        self._ledger = home / region / "ledger"
        self._read = 0
        self._results: Counter[str] = Counter()

    def counts(self) -> Counts:
        """Return the counts as of now."""
        # From the end of the line to its start, so that no stage seems ahead of the one before.
        results, border = self._outcomes(), self._border()
        return Counts(self._raw(), border, results)

    def _raw_partitions(self) -> Iterator[TopicPartition]:
        for topic in topics.raw_topics(self._region):
            for partition in range(self._topics[topic].partitions):
                yield TopicPartition(topic, partition)

    def _raw(self) -> int:
        """Return how many raw records there are: gateways write no transactions, so no gaps."""
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = dict.fromkeys(self._raw_partitions(), latest)
        answers = self._admin.list_offsets(wanted, request_timeout=TIMEOUT_S)
        return sum(answer.result().offset for answer in answers.values())

    def _border(self) -> Tally:
        found = self._reader.committed(list(self._raw_partitions()), TIMEOUT_S)
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
