"""Headers are an allow-list, and what egress reads back is what the border meant."""

from connectors.kafka import headers
from connectors.kafka.config import KafkaConfig, dotted
from connectors.kafka.headers import Stamp, of_minimal
from schemas.events import Coordinates, MinimalRecord, RecordId

STAMP = Stamp("dG9waWM", "Commerce_Order__c", "ab" * 32, 3, ("eu-gdpr:A46-2-c",), "cd" * 32)


def test_a_minimal_record_is_read_back_from_its_headers() -> None:
    value = b"\0\0\0\x07\xd1avro"

    written = of_minimal("eu.commerce.orders.v1[2]@7#1+4", 1_000_000_000_007, STAMP.encoded())
    found = headers.texts((name, text if isinstance(text, bytes) else str(text).encode())
                          for name, text in written)  # fmt: skip

    assert headers.minimal_record(found, b"tok_eu1_x", value, "here") == MinimalRecord(
        id=RecordId(Coordinates("eu.commerce.orders.v1", 2, 7), 1, 4, "dG9waWM"),
        object="Commerce_Order__c",
        external_id="tok_eu1_x",
        version=1_000_000_000_007,
        schema_id=2001,
        plan="ab" * 32,
        keys=3,
        value=value,
    )
    assert found[headers.BASIS] == "eu-gdpr:A46-2-c"
    assert found[headers.RELEASE] == "cd" * 32


def test_what_settles_an_entry_says_no_reason_and_no_path() -> None:
    written = headers.for_settled("eu.commerce.orders.v1[2]@7", "dG9waWM", "ab" * 32, "sent")

    assert [name for name, _ in written] == [
        headers.RECORD, headers.TOPIC_ID, headers.PLAN, headers.SETTLED,
    ]  # fmt: skip


def test_names_of_settings_are_librdkafkas_own() -> None:
    found = dotted(group_id="g", stats_cb=print, log_level=0)

    assert found == {"group.id": "g", "stats_cb": print, "log_level": 0}


def test_a_password_is_not_shown() -> None:
    assert "zucanary" not in repr(KafkaConfig("127.0.0.1:1", "border", "zucanary"))
