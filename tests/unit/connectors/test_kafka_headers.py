"""A minimal record's headers say all of it that its value does not, and read back."""

from dataclasses import replace

import pytest

from connectors.kafka import headers
from connectors.kafka.config import KafkaConfig, dotted
from connectors.kafka.inbound import own_headers
from schemas.errors import BreachError, HaltError
from schemas.events import Coordinates, MinimalRecord, RecordId


def record(*, deletes: bool = False) -> MinimalRecord:
    at = RecordId(Coordinates("eu.commerce.orders.v1", 0, 7), 1, 0, "topic-id")
    value = b"\0" + (2001).to_bytes(4, "big")
    return MinimalRecord(
        at, "Commerce_Order__c", "tok_eu1_a", 9, 2001, "ab" * 32, 1, value, deletes
    )


def sent(one: MinimalRecord) -> dict[str, str]:
    stamp = headers.Stamp(
        one.id.topic_id, one.object, one.plan, one.keys, ("b",), "release", one.deletes
    )
    made = headers.of_minimal(str(one.id), one.version, stamp.encoded())
    return headers.texts((k, v.encode() if isinstance(v, str) else v or b"") for k, v in made)


@pytest.mark.parametrize("deletes", [True, False])
def test_a_record_reads_back_from_its_headers(deletes: bool) -> None:
    one = record(deletes=deletes)

    again = headers.minimal_record(sent(one), one.external_id.encode(), one.value, "here")

    assert again == one


def test_only_a_deletion_has_the_header_that_says_so() -> None:
    assert headers.DELETES not in sent(record())
    assert sent(record(deletes=True))[headers.DELETES] == "true"


@pytest.mark.parametrize("deletes", [True, False])
def test_egress_takes_the_headers_of_a_deletion_as_of_any_other_record(deletes: bool) -> None:
    stamp = headers.Stamp("id", "Commerce_Case__c", "ab" * 32, 1, ("eu-gdpr:A45-3",), "ab" * 32)
    made = headers.of_minimal("t[0]@7#0", 7, replace(stamp, deletes=deletes).encoded())
    pairs = [(k, v.encode() if isinstance(v, str) else v or b"") for k, v in made]

    assert own_headers(pairs, "here") == headers.texts(pairs)


@pytest.mark.parametrize("text", [b"false", b"True", b"", b"tok_eu1_a"])
def test_a_header_that_says_anything_else_of_a_deletion_is_none_of_ours(text: bytes) -> None:
    stamp = headers.Stamp("id", "Commerce_Case__c", "ab" * 32, 1, ("eu-gdpr:A45-3",), "ab" * 32)
    made = headers.of_minimal("t[0]@7#0", 7, stamp.encoded())
    pairs = [(k, v.encode() if isinstance(v, str) else v or b"") for k, v in made]

    with pytest.raises(BreachError, match=headers.DELETES):
        own_headers([*pairs, (headers.DELETES, text)], "here")


@pytest.mark.parametrize("missing", [headers.RECORD, headers.OBJECT, headers.VERSION, headers.PLAN])
def test_a_record_that_our_border_did_not_write_halts(missing: str) -> None:
    found = {key: text for key, text in sent(record()).items() if key != missing}

    with pytest.raises(HaltError, match="not written by our border"):
        headers.minimal_record(found, b"tok", record().value, "here")


def test_what_settles_an_entry_says_no_reason_and_no_path() -> None:
    written = headers.for_settled("eu.commerce.orders.v1[2]@7", "dG9waWM", "ab" * 32, "sent")

    assert [name for name, _ in written] == [
        headers.RECORD, headers.TOPIC_ID, headers.PLAN, headers.SETTLED,
    ]  # fmt: skip


def test_what_the_org_said_of_a_rejected_record_reads_back_and_else_there_is_nothing() -> None:
    told = headers.Rejection("Commerce_Order__c", "STRING_TOO_LONG", ("City__c", "Status__c"))
    bare = headers.Rejection("Commerce_Order__c", "UNKNOWN")

    def read(rejection: headers.Rejection | None) -> headers.Rejection | None:
        made = headers.for_quarantine("r", "t", "rejected", None, "ab" * 32, rejection)
        return headers.rejection(
            headers.texts((k, v if isinstance(v, bytes) else b"") for k, v in made)
        )

    assert [read(told), read(bare), read(None)] == [told, bare, None]


def test_names_of_settings_are_librdkafkas_own() -> None:
    found = dotted(group_id="g", stats_cb=print, log_level=0)

    assert found == {"group.id": "g", "stats_cb": print, "log_level": 0}


def test_a_password_is_not_shown() -> None:
    assert "zucanary" not in repr(KafkaConfig("127.0.0.1:1", "border", "zucanary"))
