"""The demo's evidence: the org read back, the leak search, the ledgers verified."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import requests
from simple_salesforce.api import Salesforce

from residency.ledger.verify import Report, verify
from schemas.events import LABEL_VERSION
from schemas.registry import load_registry
from streams.demo.leaks import Leak, LeakSearch, encodings

API_VERSION = "62.0"
CERTIFICATES = "certificates of erasures"
PLANTED = "planted-canary-3f9c1a7e52d8"  # what the self-test hides in every place


@dataclass(frozen=True, slots=True)
class Org:
    """How a person with a token reaches the org."""

    instance_url: str
    token: str
    ca_file: Path

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every row of our objects, all fields, over the org's API."""
        session = requests.Session()
        session.verify = str(self.ca_file)
        session.trust_env = False  # else REQUESTS_CA_BUNDLE would override the CA
        client = Salesforce(
            instance_url=self.instance_url,
            session_id=self.token,
            version=API_VERSION,
            session=session,
        )
        for target in objects():
            described = client.restful(f"sobjects/{target}/describe")
            names = ", ".join(field["name"] for field in (described or {})["fields"])
            yield from client.query_all_iter(f"SELECT {names} FROM {target}")  # noqa: S608, own names


def objects() -> tuple[str, ...]:
    """Return the Salesforce objects that our minimal schemas write."""
    return tuple(dict.fromkeys(one.object for one in load_registry() if one.object is not None))


def surplus_rows(rows: Iterable[Mapping[str, Any]]) -> int:
    """Return how many rows there are beyond one per object and external id."""
    seen = Counter((row["attributes"]["type"], row["External_Id__c"]) for row in rows)
    return sum(n - 1 for n in seen.values())


def labelled_rows(rows: Iterable[Mapping[str, Any]]) -> int:
    """Return how many rows have labels."""
    return sum(row.get(LABEL_VERSION) is not None for row in rows)


def left(home: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every place outside the regions' own data.

    The org's rows as its API gives them and its files, the org's access log, exported
    metrics and spans, every process's log, the ledgers, and the certificates of erasures.
    """
    yield "org rows", orjson.dumps(list(rows))
    patterns = {
        "org files": "sandbox/org.sqlite*",
        "org access log": "sandbox/access.log*",
        "process logs": "logs/*.log*",
        "exported spans": "*/telemetry/*-spans.jsonl*",
        "exported metrics": "*/telemetry/*-metrics.jsonl*",
        "ledgers": "*/ledger/**/*",
        CERTIFICATES: "*/erasures/**/*",
    }
    for name, pattern in patterns.items():
        files = [path for path in sorted(home.glob(pattern)) if path.is_file()]
        if files or name != CERTIFICATES:  # a few events may ask for no erasure
            yield name, b"\n".join(path.read_bytes() for path in files)


def search(found_places: Mapping[str, bytes], canaries: Iterable[str]) -> list[Leak]:
    """Return every canary found in any place, in any encoding."""
    looking = LeakSearch(canaries)
    return [leak for name, data in found_places.items() for leak in looking.search(name, data)]


def blind_spots(found_places: Mapping[str, bytes]) -> list[str]:
    """Plant a canary in every place in every encoding; return where it was not found."""
    looking = LeakSearch([PLANTED])
    missed = []
    for name, data in found_places.items():
        if not data:
            missed.append(f"{name}: nothing to search; has it moved?")
        middle = len(data) // 2
        for encoding, planted in encodings(PLANTED).items():
            if not looking.search(name, data[:middle] + planted + data[middle:]):
                missed.append(f"{name}: {encoding}")
    return missed


def ledgers(home: Path, regions: Iterable[str]) -> dict[str, Report]:
    """Return the verification of each region's ledger, from its files."""
    return {region: verify(home / region / "ledger", None) for region in regions}
