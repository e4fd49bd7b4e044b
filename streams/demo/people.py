"""The demo's customers: one invented person each, the same in every event of their story."""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from streams.demo.marks import Marks
from streams.demo.places import US_STATES, Country, pool, postcode

Plain = dict[str, Any]

_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Safari/605.1.15",
    "ShopApp/8.2 (iPhone; iOS 19.1)",
    "ShopApp/8.2 (Android 16)",
)
_V4_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")  # RFC 5737: addresses of nobody


@dataclass(frozen=True, slots=True)
class Person:
    """A customer of the demo, with all that the shop knows of them."""

    country: Country
    subdivision: str | None
    region: str
    customer: Plain = field(repr=False)
    address: Plain = field(repr=False)
    device: Plain = field(repr=False)

    @property
    def reference(self) -> Plain:
        """Return what events say that name the customer but do not describe them."""
        return {key: self.customer[key] for key in ("customer_id", "residence")}

    @property
    def email(self) -> str:
        """Return the e-mail address."""
        return str(self.customer["email"])

    @property
    def full_name(self) -> str:
        """Return the first and the last name."""
        return str(self.address["recipient"])


def new_person(country: Country, region: str, rng: random.Random, marks: Marks) -> Person:
    """Return a customer of a country, no value of whom any other one shares."""
    chosen = pool(country.locale)
    first = f"{rng.choice(chosen.first)} {marks.name()}"
    last = f"{rng.choice(chosen.last)}-{marks.name()}"
    subdivision = rng.choice(US_STATES) if country.code == "US" else None
    customer = {
        "customer_id": f"cus-{marks.word()}",
        "residence": {"country": country.code, "subdivision": subdivision},
        "name": {"first": first, "last": last},
        "email": f"{marks.word()}@mail.example",
        "phone": marks.phone(country.dial) if rng.random() < 0.8 else None,  # noqa: PLR2004
        "birth_date": _birthday(rng) if rng.random() < 0.7 else None,  # noqa: PLR2004
        "gender": rng.choice((None, "female", "male", "other")),
        "language": country.language,
        "loyalty_tier": rng.choice(("none", "none", "silver", "gold")),
    }
    address = {
        "recipient": f"{first} {last}",
        "street": f"{rng.choice(chosen.street)} {marks.name()} {rng.randrange(1, 200)}",
        "street2": f"c/o {marks.name()}" if rng.random() < 0.2 else None,  # noqa: PLR2004
        "city": rng.choice(chosen.city),
        "postal_code": postcode(country, rng),
        "state": subdivision,
        "country": country.code,
    }
    return Person(country, subdivision, region, customer, address, _device(rng, marks))


def _birthday(rng: random.Random) -> str:
    return (date(1945, 1, 1) + timedelta(days=rng.randrange(22000))).isoformat()


def _device(rng: random.Random, marks: Marks) -> Plain:
    v4 = f"{rng.choice(_V4_NETWORKS)}.{rng.randrange(1, 255)}"
    return {
        "ip": rng.choice((v4, marks.ipv6())),
        "user_agent": f"{rng.choice(_AGENTS)} {marks.word()}",
        "device_id": f"dev-{marks.word()}",
        "cookies": {"session": f"s-{marks.word()}", "visitor": f"v-{marks.word()}"},
    }
