"""Synthetic events for the demo: coherent stories, and traps among them.

A story is one customer's: they register, order, change their mind, write, sign in, and some
ask to be forgotten. A trap is an event that must be refused, quarantined or kept home. The
same generator of random numbers makes the same publications.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

from residency.regions import load_regions, region_of
from schemas.errors import SetupError
from streams.demo import letters
from streams.demo.marks import Marks, canaries_in
from streams.demo.orders import Desk
from streams.demo.people import Person, Plain, new_person
from streams.demo.places import COUNTRIES, Country, iban

ORDERS, CUSTOMERS, MESSAGES = "commerce.orders", "commerce.customers", "commerce.messages"
TRAP_SHARE = 20  # one event in so many is a trap
ALL_TRAPS_FROM = 50  # events, from which on each trap comes at least once

Expect = Literal["accepted", "duplicate", "refused"]
Story = Iterator["Publication"]


@dataclass(frozen=True, slots=True)
class Publication:
    """One event on its way to a gateway.

    Attributes:
        region: Whose gateway to send it to.
        type: The Avro record's full name.
        source: CloudEvents source; with *id* it names the delivery.
        id: CloudEvents id.
        data: Plain JSON.
        expect: What the gateway should answer.
        trap: Which trap it is, or None.
        canaries: Unique parts of its values that must never be seen outside its region.
        schema_version: Asked for if not the newest.

    """

    region: str
    type: str
    source: str
    id: str
    data: dict[str, Any] = field(repr=False)
    expect: Expect = "accepted"
    trap: str | None = None
    canaries: tuple[str, ...] = field(default=(), repr=False)
    schema_version: int | None = None

    def cloudevent(self) -> dict[str, Any]:
        """Return the event in the JSON format of CloudEvents 1.0.2."""
        version = {"schemaversion": self.schema_version} if self.schema_version else {}
        return {
            "specversion": "1.0",
            "type": self.type,
            "source": self.source,
            "id": self.id,
            "datacontenttype": "application/json",
            **version,
            "data": self.data,
        }


class Shop:
    """A shop that sells in several regions."""

    def __init__(self, rng: random.Random, regions: Sequence[str]) -> None:
        """Open a shop.

        Args:
            rng: Chooses everything.
            regions: Ids of the regions whose gateways it publishes to; at least one.

        Raises:
            SetupError: A region serves no country that the demo knows.

        """
        self._rng = rng
        self._regions = tuple(regions)
        self._desk = Desk(rng, Marks(rng))
        self._countries = _countries_by_region()
        for region in self._regions:
            if not self._countries.get(region):
                msg = f"region {region!r} serves no country the demo knows; see regions.toml"
                raise SetupError(msg)
        self._traps: Mapping[str, Callable[[], Story]] = {
            "pii-in-gift-note": self._pii_in_gift_note,
            "email-as-sku": self._email_as_sku,
            "iban-as-sku": self._iban_as_sku,
            "wrong-region": self._wrong_region,
            "unserved-country": self._unserved_country,
            "bad-enum": self._bad_enum,
            "old-schema": self._old_schema,
            "duplicate": self._duplicate,
        }

    def publications(self, count: int) -> Iterator[Publication]:
        """Yield *count* events, traps spread evenly among them."""
        traps = max(count // TRAP_SHARE, len(self._traps) if count >= ALL_TRAPS_FROM else 0)
        names: list[str] = []
        while len(names) < traps:
            names += self._rng.sample(sorted(self._traps), len(self._traps))
        stories, made, sprung = self._stories(), 0, 0
        trap: Story = iter(())
        while made < count:
            event = next(trap, None)
            if event is None and sprung < traps and made >= (sprung + 0.5) * count / traps:
                trap = self._traps[names[sprung]]()
                sprung += 1
                event = next(trap)
            yield event or next(stories)
            made += 1

    def _stories(self) -> Story:
        while True:
            yield from self._story(self._person())

    def _person(self, region: str | None = None) -> Person:
        home = region or self._rng.choice(self._regions)
        country = self._rng.choice(self._countries[home])
        return new_person(country, home, self._rng, self._desk.marks)

    def _story(self, person: Person) -> Story:
        desk, chance = self._desk, self._rng.random
        account = letters.registered(desk, person)
        yield self._event(person, CUSTOMERS, "CustomerRegistered", account)
        placed = desk.placed(person)
        yield self._event(person, ORDERS, "OrderPlaced", placed)
        if chance() < 0.3:  # noqa: PLR2004
            yield self._event(person, ORDERS, "OrderChanged", desk.changed(person, placed))
        fate = chance()
        if fate < 0.2:  # noqa: PLR2004
            yield self._event(person, ORDERS, "OrderCancelled", desk.cancelled(person, placed))
        elif fate < 0.5:  # noqa: PLR2004
            yield self._event(person, ORDERS, "OrderRefunded", desk.refunded(person, placed))
        if chance() < 0.5:  # noqa: PLR2004
            written = letters.message(desk, person, placed)
            yield self._event(person, MESSAGES, "SupportMessageReceived", written)
        if chance() < 0.3:  # noqa: PLR2004
            written = letters.review(desk, person, placed)
            yield self._event(person, MESSAGES, "ProductReviewSubmitted", written)
        yield from self._account_story(person, account)

    def _account_story(self, person: Person, account: Plain) -> Story:
        desk, chance = self._desk, self._rng.random
        if chance() < 0.5:  # noqa: PLR2004
            visit = letters.signed_in(desk, person)
            yield self._event(person, CUSTOMERS, "CustomerSignedIn", visit)
        if chance() < 0.2:  # noqa: PLR2004
            state = letters.changed(desk, person, account)
            yield self._event(person, CUSTOMERS, "CustomerChanged", state)
        if chance() < 0.1:  # noqa: PLR2004
            request = letters.erasure(desk, person)
            yield self._event(person, CUSTOMERS, "CustomerErasureRequested", request)

    def _event(  # noqa: PLR0913
        self,
        person: Person,
        namespace: str,
        name: str,
        data: Plain,
        *,
        region: str | None = None,
        expect: Expect = "accepted",
        trap: str | None = None,
        version: int | None = None,
    ) -> Publication:
        domain = namespace.rpartition(".")[2]
        return Publication(
            region or person.region,
            f"{namespace}.{name}",
            f"/shop/{person.country.code.lower()}/{domain}",
            data["event_id"],
            data,
            expect,
            trap,
            canaries_in(data),
            version,
        )

    def _pii_in_gift_note(self) -> Story:
        person, marks = self._person(), self._desk.marks
        order = self._desk.placed(person)
        account = iban(person.country, marks.number(), self._rng)
        order["gift_note"] = (
            f"Call {marks.name()} at {marks.phone(person.country.dial)} or write to "
            f"{marks.word()}@mail.example; account {account}"
        )
        yield self._event(person, ORDERS, "OrderPlaced", order, trap="pii-in-gift-note")

    def _with_sku(self, person: Person, sku: str) -> Plain:
        order = deepcopy(self._desk.placed(person))
        order["items"][0]["sku"] = sku
        return order

    def _email_as_sku(self) -> Story:
        person = self._person()
        order = self._with_sku(person, f"{self._desk.marks.word()}@mail.example")
        yield self._event(person, ORDERS, "OrderPlaced", order, trap="email-as-sku")

    def _iban_as_sku(self) -> Story:
        person = self._person()
        number = iban(person.country, self._desk.marks.number(), self._rng)
        order = self._with_sku(person, number)
        yield self._event(person, ORDERS, "OrderPlaced", order, trap="iban-as-sku")

    def _wrong_region(self) -> Story:
        gateway = self._rng.choice(self._regions)
        person = self._person(self._rng.choice([r for r in self._countries if r != gateway]))
        yield self._event(
            person,
            ORDERS,
            "OrderPlaced",
            self._desk.placed(person),
            region=gateway,
            expect="refused",
            trap="wrong-region",
        )

    def _unserved_country(self) -> Story:
        gateway = self._rng.choice(self._regions)
        served = {country for countries in self._countries.values() for country in countries}
        country = self._rng.choice([c for c in COUNTRIES.values() if c not in served])
        person = new_person(country, gateway, self._rng, self._desk.marks)
        account = letters.registered(self._desk, person)
        yield self._event(
            person,
            CUSTOMERS,
            "CustomerRegistered",
            account,
            expect="refused",
            trap="unserved-country",
        )

    def _bad_enum(self) -> Story:
        person = self._person()
        order = self._desk.placed(person) | {"channel": "carrier_pigeon"}
        yield self._event(person, ORDERS, "OrderPlaced", order, expect="refused", trap="bad-enum")

    def _old_schema(self) -> Story:
        person = self._person()
        order = self._desk.placed(person, version=1)
        yield self._event(person, ORDERS, "OrderPlaced", order, trap="old-schema", version=1)

    def _duplicate(self) -> Story:
        person = self._person()
        order = self._desk.placed(person)
        yield self._event(person, ORDERS, "OrderPlaced", order)
        yield self._event(
            person, ORDERS, "OrderPlaced", order, expect="duplicate", trap="duplicate"
        )


def _countries_by_region() -> dict[str, list[Country]]:
    """Return the countries the demo knows by the region that serves them."""
    found: dict[str, list[Country]] = {region: [] for region in load_regions()}
    for country in COUNTRIES.values():
        served = region_of(country.code, None, load_regions().values())
        if served is not None:
            found[served[1]].append(country)
    return found
