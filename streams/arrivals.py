"""What egress reads, as it needs it."""

from confluent_kafka import Message

from connectors.kafka import headers
from connectors.kafka.inbound import own_headers
from connectors.kafka.record import Record, headers_of
from streams.crossing import Arrival


def arrival_of(record: Record) -> Arrival:
    """Return the minimal record that *record* holds.

    Raises:
        BreachError: Its headers are not those that our border writes.

    """
    found = own_headers(record.headers, str(record.at))
    minimal = headers.minimal_record(found, record.key, record.value, str(record.at))
    basis = tuple(filter(None, found[headers.BASIS].split(",")))
    return Arrival(minimal, basis, found[headers.RELEASE], found.get(headers.MODEL))


def name_of(message: Message) -> tuple[str, str]:
    """Return topic id and name of the minimal record in *message*; empty where it has none."""
    found = headers.texts(headers_of(message))
    return found.get(headers.TOPIC_ID, ""), found.get(headers.RECORD, "")
