"""What we take from librdkafka's statistics: a closed set of numbers, no address, no name.

Source: STATISTICS.md of librdkafka 2.16. Its own ``consumer_lag`` is of no use here: offsets
that commit in a producer's transaction never reach the consumer. So lag is counted from
the partition's end and from what the hop knows it has committed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Stats:
    """One client's numbers at one moment.

    Attributes:
        received: Records since the client started.
        sent: Records since the client started.
        fetched: Records that lie fetched and unread.
        unsent: Records that wait to be sent or acknowledged.
        round_trip_s: The slowest broker's mean of the last interval, 0 if none answered.
        ends: Last stable offset by (topic, partition), of what is fetched.

    """

    received: int = 0
    sent: int = 0
    fetched: int = 0
    unsent: int = 0
    round_trip_s: float = 0.0
    ends: Mapping[tuple[str, int], int] = field(default_factory=dict)


def parse(text: str) -> Stats:
    """Return the numbers in one of librdkafka's statistics documents."""
    found = orjson.loads(text)
    partitions = [
        (topic, p)
        for topic, row in found.get("topics", {}).items()
        for p in row.get("partitions", {}).values()
        if p["partition"] >= 0  # -1 is librdkafka's own, for records without a partition yet
    ]
    return Stats(
        received=found.get("rxmsgs", 0),
        sent=found.get("txmsgs", 0),
        fetched=sum(p["fetchq_cnt"] for _, p in partitions),
        unsent=found.get("msg_cnt", 0),
        round_trip_s=_round_trip_us(found) / US_PER_S,
        ends={(t, p["partition"]): p["ls_offset"] for t, p in partitions if p["ls_offset"] >= 0},
    )


def _round_trip_us(found: Mapping[str, Any]) -> int:
    trips = [broker.get("rtt", {}) for broker in found.get("brokers", {}).values()]
    return max((trip["avg"] for trip in trips if trip.get("cnt")), default=0)
