"""What a hop's two Kafka clients say of themselves, as metrics."""

from connectors.kafka.stats import Stats
from residency.telemetry.setup import Recorder


class KafkaWatch:
    """Exports the clients' statistics; remembers what it has counted."""

    def __init__(self, recorder: Recorder, stage: str) -> None:
        """Start with clients that have done nothing."""
        self._recorder = recorder
        self._stage = stage
        self._counted = {"received": 0, "sent": 0}

    def look(self, read: Stats, wrote: Stats) -> None:
        """Export what is new in the statistics of consumer and producer."""
        for direction, records, waiting, stats in (
            ("received", read.received, read.fetched, read),
            ("sent", wrote.sent, wrote.unsent, wrote),
        ):
            labels = {"stage": self._stage, "direction": direction}
            counted = records - self._counted[direction]
            self._recorder.add("homeport.kafka.records", counted, **labels)
            self._counted[direction] = records
            self._recorder.set("homeport.kafka.queue", waiting, **labels)
            self._recorder.set("homeport.kafka.round_trip", stats.round_trip_s, **labels)
