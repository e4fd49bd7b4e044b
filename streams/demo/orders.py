"""The demo's orders, payments and messages as plain JSON, one function per event."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from streams.demo import phrases
from streams.demo.marks import Marks
from streams.demo.people import Person, Plain
from streams.demo.places import iban

START = datetime(2026, 11, 1, 8, tzinfo=UTC)

Phrases = Mapping[str, tuple[Any, ...]]  # language -> ways to say it


@dataclass(slots=True)
class Desk:
    """Writes the events of one shop.

    Attributes:
        rng: Chooses.
        marks: Makes what must be unique.
        now: When the next event happens; every event moves it on.

    """

    rng: random.Random
    marks: Marks
    now: datetime = field(default=START)

    def head(self, person: Person, *, described: bool = True) -> Plain:
        """Return what every event begins with."""
        self.now += timedelta(
            seconds=self.rng.randrange(1, 60), milliseconds=self.rng.randrange(1000)
        )
        customer = person.customer if described else person.reference
        return {"event_id": self.uuid(), "occurred_at": stamp(self.now), "customer": customer}

    def uuid(self) -> str:
        """Return a version 4 UUID."""
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def phrase(self, table: Phrases, person: Person) -> Any:  # noqa: ANN401
        """Return something a customer wrote, in their language or else in English."""
        return self.rng.choice(table.get(person.country.language, table["en"]))

    def note(
        self, table: Mapping[str, tuple[str, ...]], person: Person, share: float
    ) -> str | None:
        """Return a note with a unique part for a share of the calls, else None."""
        if self.rng.random() >= share:
            return None
        return str(self.phrase(table, person)).format(mark=self.marks.name())

    def item(self, line: int, person: Person) -> Plain:
        """Return one order line."""
        stem, title, cents = self.rng.choice(phrases.CATALOGUE)
        color = self.rng.choice(("BLK", "WHT", "RED", "BLU"))
        return {
            "line": line,
            "sku": f"{stem}-{color}",
            "title": title,
            "quantity": self.rng.randrange(1, 4),
            "unit_price": money(cents),
            "engraving": self.marks.name() if self.rng.random() < 0.1 else None,  # noqa: PLR2004
            "gift_note": self.note(phrases.GIFT_NOTES, person, 0.15),
            "options": {"monogram": self.marks.name()} if self.rng.random() < 0.1 else {},  # noqa: PLR2004
        }

    def payment(self, person: Person) -> tuple[str, Plain]:
        """Return the method and the payment's facts."""
        method = self.rng.choice(("card", "card", "iban", "wallet", "invoice"))
        match method:
            case "card":
                return method, {
                    "card_holder": person.full_name,
                    "last_four": f"{self.rng.randrange(10000):04d}",
                    "network_token": f"nt-{self.marks.word()}",
                    "brand": self.rng.choice(("visa", "mastercard", "amex")),
                    "expires_on": f"{self.rng.randrange(1, 13):02d}/{self.rng.randrange(27, 32)}",
                }
            case "iban":
                return method, {
                    "iban": iban(person.country, self.marks.number(), self.rng),
                    "account_holder": person.full_name,
                    "mandate_id": f"mandate-{self.marks.word()}",
                }
            case "wallet":
                return method, {
                    "wallet_id": f"wallet-{self.marks.word()}",
                    "wallet": self.rng.choice(("paypal", "apple_pay", "klarna")),
                    "payer_email": person.email,
                }
            case _:
                return method, {
                    "invoice_number": f"inv-{self.marks.word()}",
                    "due_on": (self.now + timedelta(days=30)).date().isoformat(),
                    "tax_number": self.marks.tax_number(person.country.code),
                }

    def placed(self, person: Person, *, version: int = 2) -> Plain:
        """Return an OrderPlaced."""
        head = self.head(person)
        items = [self.item(line, person) for line in range(1, self.rng.randrange(2, 5))]
        discounts = self._discounts()
        method, payment = self.payment(person)
        channel = self.rng.choice(("web", "web", "app", "store", "phone"))
        at_home = channel in {"web", "app"}
        order = {
            "order_id": f"ord-{self.marks.word()}",
            "placed_at": head["occurred_at"],
            "channel": channel,
            "currency": person.country.currency,
            "totals": totals(items, discounts),
            "items": items,
            "discounts": discounts,
            "billing_address": person.address,
            "shipping_address": None if channel == "store" else person.address,
            "payment_method": method,
            "payment": payment,
            "device": person.device if at_home else None,
            "consents": [self._consent(head)],
            "gift_note": self.note(phrases.GIFT_NOTES, person, 0.2),
            "customer_note": self.note(phrases.ORDER_NOTES, person, 0.3),
        }
        return head | order | (self._version_2(person, channel) if version > 1 else {})

    def _version_2(self, person: Person, channel: str) -> Plain:
        """Return what version 2 of OrderPlaced adds."""
        store = f"{person.country.code}-{self.rng.randrange(1000):03d}"
        return {
            "sales_channel": {
                "store_id": store if channel == "store" else None,
                "campaign": f"utm_content={self.marks.word()}" if channel == "web" else None,
                "agent_name": f"Agent {self.marks.name()}" if channel == "phone" else None,
            },
            "loyalty_points": self.rng.randrange(500),
            "labels": [f"vip {self.marks.word()}"] if self.rng.random() < 0.1 else [],  # noqa: PLR2004
            "attributes": {"delivery_hint": f"behind the {self.marks.word()} tree"},
        }

    def _discounts(self) -> list[Plain]:
        if self.rng.random() < 0.6:  # noqa: PLR2004
            return []
        code = f"for-{self.marks.word()}"
        kind = self.rng.choice(("coupon", "loyalty", "promotion"))
        return [{"kind": kind, "code": code, "amount": money(self.rng.randrange(50, 500))}]

    def _consent(self, head: Plain) -> Plain:
        purpose = self.rng.choice(("marketing", "personalisation", "analytics"))
        wording = f"I agree. ({self.marks.word()})"
        granted = self.rng.random() < 0.5  # noqa: PLR2004
        at = head["occurred_at"]
        return {"purpose": purpose, "granted": granted, "decided_at": at, "wording": wording}

    def same_order(self, person: Person, placed: Plain) -> Plain:
        """Return what a later event of a placed order repeats."""
        kept = ("order_id", "placed_at", "channel", "currency")
        return self.head(person) | {key: placed[key] for key in kept}

    def changed(self, person: Person, placed: Plain) -> Plain:
        """Return an OrderChanged that adds a line."""
        event = self.same_order(person, placed)
        items = [*placed["items"], self.item(len(placed["items"]) + 1, person)]
        extra = items[-1]
        added = {"amount": money(cents(extra["unit_price"]) * extra["quantity"])}
        return event | {
            "changed_at": event["occurred_at"],
            "changes": ["items", "note"],
            "totals": totals(items, placed["discounts"]),
            "price_difference": added | {"currency": placed["currency"]},
            "items": items,
            "discounts": placed["discounts"],
            "billing_address": placed["billing_address"],
            "shipping_address": placed["shipping_address"],
            "payment_method": placed["payment_method"],
            "payment": placed["payment"],
            "device": placed["device"],
            "customer_note": self.note(phrases.ORDER_NOTES, person, 1.0),
            "attributes": {"changed_by": f"clerk {self.marks.name()}"},
        }

    def cancelled(self, person: Person, placed: Plain) -> Plain:
        """Return an OrderCancelled."""
        event = self.same_order(person, placed)
        return event | {
            "cancelled_at": event["occurred_at"],
            "cancelled_by": "customer",
            "reason": self.rng.choice(("changed_mind", "too_late", "wrong_item")),
            "totals": placed["totals"],
            "note": self.note(phrases.ORDER_NOTES, person, 0.7),
            "device": placed["device"],
        }

    def refunded(self, person: Person, placed: Plain) -> Plain:
        """Return an OrderRefunded for the first line."""
        event = self.same_order(person, placed)
        first = placed["items"][0]
        return event | {
            "refunded_at": event["occurred_at"],
            "refund_id": f"ref-{self.marks.word()}",
            "refund_amount": first["unit_price"],
            "reason": self.rng.choice(("returned", "damaged", "goodwill")),
            "skus": [first["sku"]],
            "payment_method": placed["payment_method"],
            "payment": placed["payment"],
            "note": self.note(phrases.ORDER_NOTES, person, 0.7),
        }


def stamp(at: datetime) -> str:
    """Return a time as RFC 3339, in milliseconds."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money(hundredths: int) -> str:
    """Return an amount as plain JSON writes decimals."""
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def cents(amount: str) -> int:
    """Return an amount in hundredths; the inverse of `money`."""
    return int(amount.replace(".", ""))


def totals(items: list[Plain], discounts: list[Plain]) -> Plain:
    """Return an order's sums; the tax is part of the prices."""
    goods = sum(cents(item["unit_price"]) * item["quantity"] for item in items)
    less = sum(cents(discount["amount"]) for discount in discounts)
    shipping = 490
    due = goods - less + shipping
    return {
        "items": money(goods),
        "discount": money(less),
        "shipping": money(shipping),
        "tax": money(due * 19 // 119),
        "grand_total": money(due),
    }
