"""What may be said of Kafka's errors, and which of them end a worker."""

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.kafka.errors import FatalWatch, cause_of, named
from schemas.errors import RetriableError

CANARY = "zukalotimerudo"
TRANSPORT = KafkaError._TRANSPORT  # noqa: SLF001, that is how librdkafka's own are named


def test_an_error_is_told_by_its_name_and_never_by_its_text() -> None:
    with pytest.raises(RetriableError) as caught, named("border"):
        raise KafkaException(KafkaError(TRANSPORT, CANARY))

    assert str(caught.value) == "border: Kafka _TRANSPORT; the worker starts afresh"
    assert caught.value.__cause__ is None


def test_what_a_client_raises_in_a_callback_is_caught_by_its_name() -> None:
    @named("in a callback")
    def ask(_error: KafkaError) -> None:
        producer.begin_transaction()  # it has no transactional id

    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "error_cb": ask, "log_level": 0})

    with pytest.raises(RetriableError, match="in a callback: Kafka _NOT_CONFIGURED"):
        producer.poll(10)


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


@pytest.mark.parametrize("name", ["FENCED_INSTANCE_ID", "_FENCED", "INVALID_PRODUCER_EPOCH"])
def test_a_fatal_error_is_named_by_its_cause(name: str) -> None:
    cause = KafkaError(getattr(KafkaError, name))
    wrapped = KafkaError(KafkaError._FATAL, f"Fatal error: {cause.str()}: so and so")  # noqa: SLF001

    assert cause_of(wrapped) == name


def test_a_fatal_error_of_another_cause_keeps_its_own_name() -> None:
    wrapped = KafkaError(KafkaError._FATAL, "Fatal error: tok_canary")  # noqa: SLF001

    assert cause_of(wrapped) == "_FATAL"
