"""Events for the benches: the peers' nested order, and the demo shop's."""

import io
import json
import random
import struct
import uuid
from typing import Any

import fastavro

from schemas.codec import encode
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import ORDERS, Shop

SEED = 7
KEY = "bench-key"
_STRING = "string"
_NULLABLE = ["null", "string"]


def _record(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": field, "type": avro} for field, avro in fields.items()],
    }


def _order(*, whole: bool) -> dict[str, Any]:
    """Return the schema of a nested order, or of what the job leaves of it."""

    def kept(**dropped: Any) -> dict[str, Any]:
        return dropped if whole else {}

    address = _record(
        "Address", **kept(recipient=_STRING, street=_STRING, street2=_NULLABLE), city=_STRING,
        postcode=_STRING, **kept(state=_NULLABLE), country=_STRING,
    )  # fmt: skip
    customer = _record(
        "Customer", customer_id=_STRING, email=_STRING, **kept(first=_STRING, last=_STRING),
        **kept(phone=_NULLABLE), birth_date=_STRING, tier=_STRING, **kept(gender=_NULLABLE),
    )  # fmt: skip
    item = _record("Item", sku=_STRING, title=_STRING, quantity="int", cents="long")
    device = _record("Device", **kept(ip=_STRING, device_id=_STRING, agent=_STRING), kind=_STRING)
    return _record(
        "Order", event_id=_STRING, order_id=_STRING, placed_at="long", channel=_STRING,
        currency=_STRING, total="long", customer=customer, shipping=address,
        items={"type": "array", "items": item}, device=device,
        **kept(gift_note=_NULLABLE, customer_note=_NULLABLE), status=_STRING,
        **kept(iban=_NULLABLE, card=_NULLABLE), loyalty="int",
    )  # fmt: skip


SCHEMA_IN, SCHEMA_OUT = _order(whole=True), _order(whole=False)
JOB = {
    "drop": [
        "customer.first", "customer.last", "customer.phone", "customer.gender",
        "shipping.recipient", "shipping.street", "shipping.street2", "shipping.state",
        "device.ip", "device.device_id", "device.agent", "gift_note", "customer_note", "iban",
        "card",
    ],
    "hmac_sha256_hex": ["customer.customer_id", "customer.email"],
    "year": ["customer.birth_date"],
    "prefix3": ["shipping.postcode"],
}  # fmt: skip


def peers_events(count: int, *, padding: int = 0) -> list[bytes]:
    """Return *count* distinct nested orders with Confluent header id 1.

    Args:
        count: How many.
        padding: Characters of a note to add, which the job drops.

    """
    rng, parsed = random.Random(SEED), fastavro.parse_schema(SCHEMA_IN)
    events = []
    for number in range(count):
        out = io.BytesIO()
        out.write(struct.pack(">bI", 0, 1))
        order = _peers_order(rng, number) | {"gift_note": "n" * padding or None}
        fastavro.schemaless_writer(out, parsed, order)
        events.append(out.getvalue())
    return events


def json_bytes(count: int = 200) -> int:
    """Return how long the peers' orders are as JSON, on average."""
    rng = random.Random(SEED)
    return sum(len(json.dumps(_peers_order(rng, n))) for n in range(count)) // count


def _peers_order(rng: random.Random, number: int) -> dict[str, Any]:
    name = f"{rng.choice(('Ada', 'Grace', 'Alan', 'Edsger'))}{number}"
    item = {"title": "Enamel mug, blue", "quantity": 2, "cents": rng.randrange(10_000)}
    return {
        "event_id": str(uuid.UUID(int=rng.getrandbits(128))),
        "order_id": f"O-{number:09d}", "placed_at": 1_760_000_000_000 + number,
        "channel": "web", "currency": "EUR", "total": rng.randrange(100_000),
        "customer": {
            "customer_id": f"C-{rng.randrange(10**9):09d}", "email": f"{name.lower()}@example.com",
            "first": name, "last": "Lovelace", "phone": "+493012345678",
            "birth_date": f"19{rng.randrange(10, 99)}-05-0{rng.randrange(1, 9)}",
            "tier": "gold", "gender": "female",
        },
        "shipping": {
            "recipient": name, "street": f"Unter den Linden {number % 200}", "street2": None,
            "city": "Berlin", "postcode": f"{rng.randrange(10**5):05d}", "state": None,
            "country": "DE",
        },
        "items": [{"sku": f"MUG-{rng.randrange(10**4):04d}", **item} for _ in range(2)],
        "device": {
            "ip": f"203.0.113.{number % 256}", "device_id": f"d-{rng.getrandbits(40):010x}",
            "agent": "Mozilla/5.0 (X11; Linux x86_64)", "kind": "desktop",
        },
        "gift_note": None, "customer_note": "please ring twice", "status": "placed",
        "iban": "DE89370400440532013000", "card": None, "loyalty": number % 5_000,
    }  # fmt: skip


def shop_events(count: int) -> list[bytes]:
    """Return *count* distinct order events of the demo's shop as on the raw topic, no traps."""
    registry = load_registry()
    found: list[bytes] = []
    shop = Shop(random.Random(SEED), ["eu"])
    while len(found) < count:
        for event in shop.publications(4 * count):
            if event.trap is None and event.type.startswith(ORDERS):
                schema = registry.latest(event.type)
                found.append(encode(schema, from_plain(schema, event.data)))
    return found[:count]
