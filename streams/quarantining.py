"""Puts what egress may not send into its region's quarantine, sealed."""

from collections.abc import Sequence

from confluent_kafka import KafkaError, Message, Producer

from connectors.kafka import headers
from connectors.kafka.headers import Rejection
from connectors.salesforce.codes import NO_CODE
from residency import topics
from residency.seal import Seal
from schemas.errors import Reason, RetriableError
from streams.crossing import Refused

FLUSH_S = 30.0


class Quarantine:
    """One region's quarantine, as egress writes it."""

    def __init__(self, producer: Producer, seal: Seal, region: str) -> None:
        """Take a producer that keeps order, and egress's own seal."""
        self._producer = producer
        self._seal = seal
        self._topic = topics.quarantine(region)

    def put(self, refused: Sequence[Refused]) -> None:
        """Put records there; returns once Kafka has them all.

        Raises:
            RetriableError: Kafka does not take one of them.

        """
        failed: list[str] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error.name())

        for one in refused:
            name = str(one.record.id)
            self._producer.produce(
                self._topic,
                self._seal.close(name, one.reason, one.record.value),
                name.encode(),
                headers=headers.for_quarantine(
                    name,
                    one.record.id.topic_id,
                    one.reason,
                    one.path,
                    one.record.plan,
                    _rejection(one),
                ),
                on_delivery=delivered,
            )
        if self._producer.flush(FLUSH_S) or failed:
            msg = f"quarantine: Kafka {failed[0] if failed else 'did not acknowledge'}"
            raise RetriableError(msg)


def _rejection(one: Refused) -> Rejection | None:
    if one.reason is not Reason.REJECTED:
        return None
    return Rejection(one.record.object, one.code or NO_CODE, one.fields)
