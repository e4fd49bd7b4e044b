"""Promises 6 and 7, looked at from outside: who may know what, and what is ever shown of it."""

import dataclasses
import inspect
import json
import random
import traceback
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded import pki
from connectors.embedded.broker import ADMIN
from connectors.embedded.services import port_names, service_file, write_services
from connectors.kafka.record import Record
from residency import topics
from residency.keys import LedgerKeys, TokenKeys, ledger_keys, secret, token_keys
from residency.topics import PRINCIPALS
from schemas import errors, events
from schemas.codec import decode, encode
from schemas.events import Coordinates, RecordId
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop
from streams.settings import load_settings

REGIONS = ("eu", "uk", "us")
CANARY = "zucanary-lovelace"
AT = Coordinates("eu.commerce.orders.v1", 0, 7)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home as `up` writes it, every key made; nothing runs."""
    place = tmp_path_factory.mktemp("home")
    pki.ensure_ca(place)
    apps = {region: pki.ensure_app(place, region) for region in REGIONS}
    ports = {name: 50_000 + n for n, name in enumerate(port_names(REGIONS))}
    write_services(place, REGIONS, ports, apps)
    for region in REGIONS:
        keys = place / region / "keys"
        token_keys(keys, region)
        ledger_keys(keys, region)
        for purpose in ("partition", "expected"):
            secret(keys, purpose)
    return place


def document(home: Path, region: str, service: str) -> dict[str, Any]:
    text = service_file(home, region, service).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def secrets_of(home: Path, region: str, service: str) -> Iterator[str]:
    """Yield what lets somebody in as *service*: passwords, consumer key, private key's place."""
    known = document(home, region, service)
    yield known["kafka"]["password"]
    if known.get("postgres"):
        yield known["postgres"]["dsn"].rpartition("password=")[2]
    if known.get("salesforce"):
        yield known["salesforce"]["consumer_key"]
        yield known["salesforce"]["private_key_file"]


def keys_of(home: Path, region: str) -> Iterator[str]:
    (private_key,) = (home / region / "keys").glob("*.pem")
    yield from private_key.read_text(encoding="utf-8").splitlines()[1:-1]
    for path in (home / region / "keys").glob("*.json"):
        yield from _texts(json.loads(path.read_text(encoding="utf-8")))


def _texts(document: Any) -> Iterator[str]:
    """Return every text of a key file but a ledger's name, which is no secret."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _texts(value) if name != "origin" else ()
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value)
    elif isinstance(document, str):
        yield document


class TestPromise6:
    """A process of one region knows nothing that opens another one."""

    @pytest.mark.parametrize("region", REGIONS)
    def test_no_secret_of_a_region_is_in_another_regions_folder(
        self, home: Path, region: str
    ) -> None:
        mine = {s for service in (*PRINCIPALS, ADMIN) for s in secrets_of(home, region, service)}
        mine |= set(keys_of(home, region))
        others = "".join(
            path.read_text(encoding="utf-8")
            for other in REGIONS
            if other != region
            for path in (home / other).rglob("*")
            if path.is_file()
        )

        assert len(mine) > 2 * len(PRINCIPALS)
        assert [found for found in mine if found in others] == []

    @pytest.mark.parametrize("region", REGIONS)
    def test_no_data_plane_address_of_a_region_is_in_another_regions_service_files(
        self, home: Path, region: str
    ) -> None:
        admin = document(home, region, ADMIN)
        port = admin["postgres"]["dsn"].partition("port=")[2].split()[0]
        addresses = (admin["kafka"]["bootstrap"], f"port={port} ")
        texts = [
            service_file(home, other, service).read_text(encoding="utf-8")
            for other in REGIONS
            if other != region
            for service in (*PRINCIPALS, ADMIN)
        ]

        assert [a for a in addresses for text in texts if a in text] == []

    @pytest.mark.parametrize("service", PRINCIPALS)
    def test_a_service_knows_no_other_services_secret(self, home: Path, service: str) -> None:
        text = service_file(home, "eu", service).read_text(encoding="utf-8")
        others = [name for name in (*PRINCIPALS, ADMIN) if name != service]

        assert [
            name for name in others if any(s in text for s in secrets_of(home, "eu", name))
        ] == []

    def test_only_egress_has_a_way_out_and_only_the_gateway_a_way_in(self, home: Path) -> None:
        for service in (*PRINCIPALS, ADMIN):
            known = document(home, "eu", service)

            assert (known.get("salesforce") is not None) == (service == "egress"), service
            assert (known.get("gateways") is not None) == (service == "gateway"), service
            assert (known.get("http_port") is not None) == (service in HTTP), service

    def test_no_service_reads_raw_records_and_has_a_way_out(self, home: Path) -> None:
        readers = {s for s in PRINCIPALS if set(topics.rights("eu", s).read) & set(RAW)}
        outbound = {s for s in PRINCIPALS if document(home, "eu", s).get("salesforce")}

        assert readers == {"border", "erase", "replay", "resend", "vault"}
        assert outbound == {"egress"}
        assert not readers & outbound

    def test_only_what_has_no_way_out_writes_what_egress_reads(self) -> None:
        read = topics.rights("eu", "egress").read

        writers = {
            topic: {s for s in PRINCIPALS if topic in topics.rights("eu", s).write}
            for topic in read
        }

        assert writers == {
            topics.minimal("eu"): {"border", "erase", "resend"},
            topics.labels("eu"): {"enrich"},
        }


RAW = topics.raw_topics("eu")
HTTP = {"gateway", "lookup"}  # who serves people and programs of the region
RAW_EVENT = events.RawEvent(AT, "topic-id", 1, CANARY.encode())
MINIMAL = events.MinimalRecord(
    RecordId(AT), "Commerce_Order__c", f"tok_{CANARY}", 7, 2001, "ab" * 32, 1, CANARY.encode()
)
STATES = (
    AT,
    MINIMAL.id,
    RAW_EVENT,
    events.RawBatch(["t"], [0], [7], [CANARY.encode()], [CANARY.encode()]),
    events.ClassifiedEvent(RAW_EVENT, 1001, {CANARY: CANARY}),
    MINIMAL,
    events.LabelRequest(
        MINIMAL.id, "Commerce_Case__c", CANARY, CANARY, 7, 3001, "ab" * 32, 1, {"text_body": CANARY}
    ),
    events.LoggedRecord(MINIMAL, 3, {CANARY: CANARY}),
)
SECRETIVE = (
    *STATES,
    Record(AT, CANARY.encode(), CANARY.encode(), ((CANARY, CANARY.encode()),)),
    TokenKeys("eu", CANARY.encode(), CANARY.encode()),
    LedgerKeys("origin", CANARY.encode(), CANARY.encode()),
    dataclasses.replace(
        next(iter(Shop(random.Random(1), ["eu"]).publications(1))),
        data={CANARY: CANARY},
        canaries=(CANARY,),
    ),
)


def with_canaries(settings: dict[str, Any], key_file: Path) -> dict[str, Any]:
    """Return a service file whose every secret is the canary."""
    known = deepcopy(settings)
    known["kafka"]["password"] = CANARY
    known["postgres"] = {"dsn": f"host=db user=egress password={CANARY}"}
    known["salesforce"] |= {"consumer_key": CANARY, "private_key_file": str(key_file)}
    return known


@pytest.fixture
def egress(home: Path, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Return what writes a changed egress file, all its secrets canaries, into a home."""

    def write(changes: dict[str, Any]) -> Path:
        known = with_canaries(document(home, "eu", "egress"), home / "ca" / "ca.pem") | changes
        path = tmp_path / "eu" / "services" / "egress.json"
        path.parent.mkdir(parents=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(known), encoding="utf-8")
        return tmp_path

    return write


def shown(error: BaseException) -> str:
    """Return all that a log would hold of it, its causes included."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


class TestPromise7:
    """What prints an object or an error prints no content."""

    def test_every_state_of_an_event_is_looked_at(self) -> None:
        declared = {kind for _, kind in inspect.getmembers(events, dataclasses.is_dataclass)}

        assert {type(state) for state in STATES} == declared

    @pytest.mark.parametrize("thing", SECRETIVE, ids=lambda thing: type(thing).__name__)
    def test_no_repr_shows_content(self, thing: object) -> None:
        assert CANARY not in repr(thing)
        assert CANARY not in str(thing)
        assert CANARY not in f"{[thing]}"

    def test_settings_show_no_secret(self, egress: Callable[[dict[str, Any]], Path]) -> None:
        settings = load_settings(egress({}), "eu", "egress")

        assert settings.kafka.password == CANARY
        assert CANARY not in repr(settings)

    @pytest.mark.parametrize(
        "changes",
        [
            {"kafka": {"bootstrap": "b", "username": "u", "passwort": CANARY}},
            {"kafka": CANARY},
            {"postgres": {"dsn": [CANARY]}},
            {"salesforce": {"consumer_key": CANARY, "instance_url": CANARY}},
            {"unknown": CANARY},
            {"http_port": CANARY},
        ],
    )
    def test_settings_that_are_refused_show_no_secret_either(
        self, egress: Callable[[dict[str, Any]], Path], changes: dict[str, Any]
    ) -> None:
        home = egress(changes)

        with pytest.raises(errors.SetupError) as caught:
            load_settings(home, "eu", "egress")

        assert "egress.json" in str(caught.value)
        assert next(iter(changes)) in str(caught.value)
        assert CANARY not in shown(caught.value).replace(str(home), "")

    def test_a_settings_file_cut_short_is_a_set_up_error(
        self, egress: Callable[[dict[str, Any]], Path]
    ) -> None:
        home = egress({})
        path = service_file(home, "eu", "egress")
        path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")

        with pytest.raises(errors.SetupError, match="homeport up") as caught:
            load_settings(home, "eu", "egress")

        assert CANARY not in shown(caught.value)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("channel", CANARY),
            ("placed_at", CANARY),
            ("totals.tax", CANARY),
            ("event_id", CANARY),
            ("customer.birth_date", CANARY),
            ("customer.email", [CANARY]),
            ("payment", CANARY),
            (CANARY, CANARY),
        ],
    )
    def test_an_event_that_is_refused_is_not_quoted(self, path: str, value: object) -> None:
        schema = load_registry().latest("commerce.orders.OrderPlaced")
        data = order()
        *way, last = path.split(".")
        target = data
        for step in way:
            target = target[step]
        target[last] = value

        with pytest.raises(errors.QuarantineError) as caught:
            from_plain(schema, data)

        assert CANARY not in text_of(caught.value)

    @pytest.mark.parametrize("cut", range(5, 200, 13))
    def test_bytes_that_cannot_be_read_are_not_quoted(self, cut: int) -> None:
        schema = load_registry().latest("commerce.orders.OrderPlaced")
        data = order()
        data["customer"] |= {"customer_id": CANARY, "email": CANARY, "phone": CANARY}
        value = encode(schema, from_plain(schema, data))

        with pytest.raises(errors.QuarantineError) as caught:
            decode(load_registry(), value[:cut] + b"\xff" + value[cut + 1 : -cut])

        assert CANARY not in text_of(caught.value)

    def test_an_error_names_reason_and_path(self) -> None:
        error = errors.QuarantineError(errors.Reason.FORMAT, "items[].sku")

        assert "format at items[].sku" in str(error)


def order() -> dict[str, Any]:
    made = Shop(random.Random(5), ["eu"]).publications(10)
    return next(deepcopy(e.data) for e in made if e.type.endswith("OrderPlaced"))


def text_of(error: BaseException) -> str:
    """Return what is shown of an error, without the source lines of this file."""
    parts = [str(error), repr(error), repr(error.args)]
    if error.__cause__ is not None:
        parts.append(text_of(error.__cause__))
    if error.__context__ is not None and not error.__suppress_context__:
        parts.append(text_of(error.__context__))
    return "\n".join(parts)
