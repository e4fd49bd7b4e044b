"""Who registers again while their erasure is under way keeps what came since, under a new key."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.postgres.vault.destroying import Returned
from connectors.postgres.vault.rows import Row, Wrapped
from residency.vault.index import BlindIndex, Kind
from residency.vault.keyring import Kek, Keyring, KeyWrapError
from residency.vault.sealing import EventSeal, EventSealError
from residency.vault.suppress import Suppression
from schemas.codec import encode
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop
from streams.erasing.keeping import came_since, renewed

REGISTRY = load_registry()
KIND = "commerce.customers.CustomerRegistered"
TEMPLATE: Mapping[str, Any] = next(
    one.data
    for one in Shop(random.Random(11), ["eu"]).publications(500)
    if one.type == KIND and one.trap is None
)
ASKED = datetime(2026, 11, 26, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE, OTHER = b"1" * 16, b"2" * 16
LIFTED = Suppression(ONE, ASKED, "ab" * 16, ASKED + 2 * HOUR)
RING = Keyring([Kek(1, b"k" * 32)])
OLD = b"o" * 32


def registered(at: datetime) -> bytes:
    schema = REGISTRY.latest(KIND)
    return encode(schema, from_plain(schema, {**TEMPLATE, "occurred_at": at.isoformat()}))


@pytest.mark.parametrize(
    ("at", "is_since"), [(-HOUR, False), (HOUR, True), (2 * HOUR, True), (3 * HOUR, True)]
)
def test_what_is_older_than_any_new_registration_is_of_before(
    at: timedelta, is_since: bool
) -> None:
    assert came_since([ONE], [registered(ASKED + at)], {ONE: LIFTED}) == [is_since]


def test_nothing_of_who_has_not_registered_again_is_of_since() -> None:
    held = Suppression(OTHER, ASKED, "ab" * 16)
    values = [registered(ASKED - HOUR), b"not Avro", b""]

    assert came_since([OTHER] * 3, values, {OTHER: held}) == [False] * 3
    assert came_since([OTHER], values[:1], {}) == [False]


class Terms:
    def of(self, schema_id: int, value: bytes) -> set[tuple[Kind, str]]:
        assert REGISTRY.by_id(schema_id).subject == KIND
        return {(Kind.CUSTOMER, f"{len(value)}")}


def returned(offset: int, value: bytes, key: bytes = OLD, event: str = KIND) -> Returned:
    name, schema = f"eu.commerce.customers.v1[0]@{offset}", REGISTRY.latest(KIND).id
    sealed = EventSeal(key).close(name, "id", ONE, value)
    row = Row(event, ASKED, "eu.commerce.customers.v1", "id", 0, offset, ONE, schema, sealed)
    return Returned(row, Wrapped(*RING.wrap(ONE, OLD)), LIFTED)


def renew(*rows: Returned) -> Any:
    terms: Any = Terms()
    return renewed(rows, RING, terms, BlindIndex(b"i" * 32))


def test_what_came_since_is_sealed_under_a_new_key_and_the_rest_is_not_kept() -> None:
    before, since = registered(ASKED - HOUR), registered(ASKED + 2 * HOUR)

    made = renew(returned(1, before), returned(2, since))

    (row,) = made.rows
    assert row.offset == 2
    wrapped = made.keys[ONE]
    key = RING.unwrap(ONE, wrapped.kek, wrapped.key)
    assert key != OLD
    assert EventSeal(key).open("eu.commerce.customers.v1[0]@2", "id", ONE, row.sealed) == since
    with pytest.raises(EventSealError):
        EventSeal(OLD).open("eu.commerce.customers.v1[0]@2", "id", ONE, row.sealed)
    digest = BlindIndex(b"i" * 32).digest(Kind.CUSTOMER, f"{len(since)}")
    assert [(term.kind, term.digest, term.subject) for term in made.terms] == [
        (Kind.CUSTOMER, digest, ONE)
    ]


def test_without_anything_since_no_key_is_made() -> None:
    made = renew(returned(1, registered(ASKED - HOUR)))

    assert (made.keys, made.rows, made.terms) == ({}, (), frozenset())


def test_a_key_or_an_event_that_does_not_open_destroys_nothing() -> None:
    whole = returned(2, registered(ASKED + 2 * HOUR))
    other = Returned(whole.row, Wrapped(7, whole.wrapped.key), LIFTED)

    with pytest.raises(KeyWrapError):
        renew(other)
    with pytest.raises(EventSealError):
        renew(returned(2, registered(ASKED + 2 * HOUR), key=b"x" * 32))
