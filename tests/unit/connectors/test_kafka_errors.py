"""What may be said of Kafka's errors, and which of them end a worker."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka.errors import FatalWatch, named
from schemas.errors import RetriableError

CANARY = "zukalotimerudo"
TRANSPORT = KafkaError._TRANSPORT  # noqa: SLF001, that is how librdkafka's own are named


def test_an_error_is_told_by_its_name_and_never_by_its_text() -> None:
    with pytest.raises(RetriableError) as caught, named("border"):
        raise KafkaException(KafkaError(TRANSPORT, CANARY))

    assert str(caught.value) == "border: Kafka _TRANSPORT; the worker starts afresh"
    assert caught.value.__cause__ is None


def test_a_client_that_only_stumbled_goes_on() -> None:
    watch = FatalWatch()
    watch(KafkaError(TRANSPORT, CANARY))

    watch.check()


def test_a_client_that_never_works_again_ends_its_worker() -> None:
    watch = FatalWatch()
    watch(KafkaError(TRANSPORT, CANARY, fatal=True))
    watch(KafkaError(TRANSPORT, CANARY))  # what comes after does not heal it

    with pytest.raises(RetriableError, match="Kafka: _TRANSPORT; the worker starts afresh"):
        watch.check()
