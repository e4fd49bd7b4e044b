"""``<region>/services/<service>.json``: all that one process of one region may know."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.embedded import pki
from connectors.embedded.broker import ADMIN
from connectors.embedded.files import read_json, write_json
from connectors.embedded.ports import HOST
from connectors.embedded.postgres import SUPERUSER
from connectors.embedded.postgres_admin import ROLES, dsn
from residency.topics import PRINCIPALS, SERVICES, TOOLS

ORG = "sandbox"  # the test org's name among the processes and ports
PASSWORD_BYTES = 24
SEAL_RAW = "seal_raw"  # a gateway's setting; without it, it has no way to a database
BY_HAND = ("webhook", "vault", SEAL_RAW)


@dataclass(frozen=True, slots=True)
class Passwords:
    """A region's generated passwords; never shown."""

    kafka: Mapping[str, str]
    postgres: Mapping[str, str]

    def __repr__(self) -> str:
        """Show whose they are, not what they are."""
        return f"Passwords(kafka={sorted(self.kafka)}, postgres={sorted(self.postgres)})"


def service_file(home: Path, region: str, service: str) -> Path:
    """Return where a service's file lies."""
    return home / region / "services" / f"{service}.json"


def port_names(regions: Sequence[str]) -> list[str]:
    """Return the name of every port a home needs."""
    names = [ORG]
    for region in regions:
        names += [f"{region}-kafka", f"{region}-kafka-controller", f"{region}-postgres"]
        names += [
            f"{region}-inference",
            f"{region}-gateway-public",
            f"{region}-lookup-public",
            *(f"{region}-{name}" for name in SERVICES),
        ]
    return names


def passwords(home: Path, region: str) -> Passwords:
    """Return the region's passwords: those in the service files, new ones where none is."""
    kafka: dict[str, str] = {}
    postgres: dict[str, str] = {}
    for service in (*PRINCIPALS, ADMIN):
        known = read_json(service_file(home, region, service))
        kafka[service] = (known.get("kafka") or {}).get("password") or _new()
        if service in (*ROLES, ADMIN):
            old = (known.get("postgres") or {}).get("dsn") or ""
            user = SUPERUSER if service == ADMIN else service
            postgres[user] = old.rpartition("password=")[2] or _new()
    return Passwords(kafka, postgres)


def _new() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def write_services(
    home: Path,
    regions: Sequence[str],
    ports: Mapping[str, int],
    app: Mapping[str, pki.App],
    models: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Passwords]:
    """Write the service files of all *regions* and return their passwords.

    Written before the broker and the database first start: a password that only they knew would
    be lost if `up` were killed in between.

    Args:
        home: The stack's folder, absolute.
        regions: The regions of the home.
        ports: By name, as of `port_names`.
        app: By region, its app in the test org; empty without one.
        models: By ``<region>-<service>``, how that service reaches the region's model server.

    """
    gateways = {region: f"http://{HOST}:{ports[f'{region}-gateway-public']}" for region in regions}
    table = {}
    for region in regions:
        secret = table[region] = passwords(home, region)
        for service in (*SERVICES, ADMIN):
            user = SUPERUSER if service == ADMIN else service
            document: dict[str, Any] = {
                "region": region,
                "service": service,
                "home": str(home),
                "kafka": {
                    "bootstrap": f"{HOST}:{ports[f'{region}-kafka']}",
                    "username": service,
                    "password": secret.kafka[service],
                },
                "postgres": None,
                "salesforce": None,
                "http_port": None,
                "health_port": ports.get(f"{region}-{service}"),
                "gateways": None,
                "inference": (models or {}).get(f"{region}-{service}"),
            }
            document |= _by_hand(service_file(home, region, service))
            if user in secret.postgres and (service != "gateway" or SEAL_RAW in document):
                port = ports[f"{region}-postgres"]
                document["postgres"] = {"dsn": dsn(port, user, secret.postgres[user])}
            if service == "egress" and region in app:
                document["salesforce"] = _salesforce(home, ports[ORG], app[region])
            if service == "lookup":
                document["http_port"] = ports[f"{region}-lookup-public"]
            if service == "gateway":
                document["http_port"] = ports[f"{region}-gateway-public"]
                document["gateways"] = gateways
            write_json(service_file(home, region, service), document)
        for tool in TOOLS:
            login = {
                "bootstrap": f"{HOST}:{ports[f'{region}-kafka']}",
                "username": tool,
                "password": secret.kafka[tool],
            }
            document = {"region": region, "home": str(home), "kafka": login}
            if tool in secret.postgres:
                port = ports[f"{region}-postgres"]
                document["postgres"] = {"dsn": dsn(port, tool, secret.postgres[tool])}
            document |= _by_hand(service_file(home, region, tool))
            write_json(service_file(home, region, tool), document)
    return table


def _by_hand(path: Path) -> dict[str, Any]:
    """Return what a person put into a service's file: `up` leaves it there."""
    known = read_json(path)
    return {name: known[name] for name in BY_HAND if known.get(name)}


def seals_raw(home: Path, region: str) -> bool:
    """Return whether a region's gateway seals raw records, as its file says."""
    return bool(read_json(service_file(home, region, "gateway")).get(SEAL_RAW))


def set_seal_raw(home: Path, region: str, *, is_on: bool) -> None:
    """Say whether a region's gateway seals raw records, from the next `up` on."""
    path = service_file(home, region, "gateway")
    write_json(path, {**read_json(path), SEAL_RAW: is_on})


def write_reconcile(
    home: Path,
    ports: Mapping[str, int],
    sinks: Mapping[str, pki.App],
    readers: Mapping[str, pki.App],
    secrets: Mapping[str, Passwords],
) -> None:
    """Write what each region's reconciliation may know: no Kafka, an app that only reads.

    Args:
        home: The stack's folder, absolute.
        ports: By name, as of `port_names`.
        sinks: By region, the app that egress writes by.
        readers: By region, the app that reads back.
        secrets: By region; the tables are egress's, so is the role that reads them here.

    """
    for region, reader in readers.items():
        role = dsn(ports[f"{region}-postgres"], "egress", secrets[region].postgres["egress"])
        document = {
            "region": region,
            "home": str(home),
            "postgres": {"dsn": role},
            "salesforce": _salesforce(home, ports[ORG], reader),
            "sinks": [sinks[region].username],
        }
        write_json(service_file(home, region, "reconcile"), document)


def _salesforce(home: Path, port: int, app: pki.App) -> dict[str, str]:
    return {
        "instance_url": f"https://{HOST}:{port}",
        "ca_file": str(home / "ca" / "ca.pem"),
        "consumer_key": app.consumer_key,
        "username": app.username,
        "private_key_file": str(app.private_key_file),
    }
