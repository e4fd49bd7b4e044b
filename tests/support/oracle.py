"""What the org should hold after a run, by the definition, and what it holds, comparable."""

import os
import re
import signal
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.embedded.stack import Stack
from connectors.kafka.topology import load_topics
from connectors.sandbox.running import issue_token
from residency.expected import canonical, from_org, is_empty
from residency.gate.check import Gate
from residency.keys import token_keys
from residency.plan.approved import APPROVED_FILE
from schemas.codec import encode
from schemas.errors import QuarantineError
from schemas.events import Coordinates, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.evidence import Org
from streams.demo.generate import Publication
from streams.plans import load_book
from streams.settings import load_settings

SYSTEM = {"Id", "Name", "IsDeleted", "OwnerId", "SystemModstamp", "Label_Version__c", "attributes"}
AUDIT = re.compile(r"(Created|LastModified|LastViewed|LastReferenced)(Date|ById)")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+0000")
AT = re.compile(r"(.+)\[(\d+)\]@(\d+)")

Rows = dict[tuple[str, str], dict[str, Any]]


def expected_rows(home: Path, region: str, taken: Iterable[tuple[Publication, str]]) -> Rows:
    """Fold what `strip` makes of each event, oldest first: the definition of the org's rows.

    Args:
        home: The stack's.
        region: Whose keys and plans.
        taken: Events with where each lies, ``topic[partition]@offset``.

    """
    book = load_book(region, token_keys(home / region / "keys", region), datetime.now(UTC).date())
    gate = Gate.load(region, APPROVED_FILE)
    known, registry = load_topics(home, region), load_registry()
    rows: Rows = {}
    for event, at in sorted(taken, key=lambda pair: coordinates(pair[1])):
        versions = {s.version: s for s in registry.versions(event.type)}
        schema = versions[event.schema_version or max(versions)]
        where = coordinates(at)
        info = known[where.topic]
        value = encode(schema, from_plain(schema, event.data))
        try:
            records = book.minimise(RawEvent(where, info.id, info.generation, value)).records
            for record in records:
                fields = gate.check(record)
                rows.setdefault((record.object, record.external_id), {}).update(fields)
        except QuarantineError:
            continue
    return rows


def lasting(events: Iterable[Publication]) -> list[Publication]:
    """Return *events* without those that ask for an erasure: rows are known of the others only."""
    return [one for one in events if not one.type.endswith(".CustomerErasureRequested")]


def coordinates(text: str) -> Coordinates:
    """Return what ``topic[partition]@offset`` names."""
    match = AT.fullmatch(text)
    assert match is not None
    return Coordinates(match[1], int(match[2]), int(match[3]))


def org_rows(home: Path, region: str) -> list[dict[str, Any]]:
    """Return every row of our objects in the home's test org, all fields."""
    settings = load_settings(home, region, "egress")
    assert settings.salesforce is not None
    port = int(settings.salesforce.instance_url.rsplit(":", 1)[1])
    token = issue_token(home, port, "admin")
    org = Org(token["instance_url"], token["access_token"], home / "ca" / "ca.pem")
    return list(org.rows())


def comparable(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the row's own fields as canonical text; empty ones left out."""
    return {
        name: canonical(from_org("timestamp" if TIME.fullmatch(str(value)) else "", value))
        for name, value in row.items()
        if not is_empty(value) and name not in SYSTEM and not AUDIT.fullmatch(name)
    }


def kill(home: Path, name: str) -> None:
    """End a process of the stack as a power cut would; the supervisor starts it again."""
    pid = next((p.pid for p in Stack(home).status() if p.name == name), None)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
