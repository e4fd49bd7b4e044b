"""Egress as a process of its own, as a region runs it, that dies at a step told beforehand.

Before a request with rows leaves, what the ledger's checkpoint says on disk at that moment goes to
the file of the witness, which outlives the process.
"""

import gzip
import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from forked import Step, instead, plant
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from streams.carrier import Carrier
from streams.egress import build
from streams.settings import load_settings

LOG = logging.getLogger("homeport.egress")
VERSION = re.compile(rb'"Base_Version__c": ?(\d+)')


_APPEND, _SIGN = "residency.ledger.files:Ledger.append", "residency.ledger.note:Signer.sign"
_SYNC, _RENAME = "residency.ledger.disk:Posix.sync", "residency.ledger.disk:Posix.replace"
_REQUEST = "egress_process:Wire.request"

# Every step of egress, in order; docs/crashes.md says what each leaves.
STEPS: Final[Mapping[str, Step]] = {
    "records read": Step("streams.carrier:Carrier.carry"),
    "gate half done": Step("residency.gate.check:Gate.check", 3),
    "gate done": Step(_APPEND),
    "transfer leaves written": Step(_SYNC),
    "transfer leaves synced": Step(_SIGN),
    "checkpoint signed": Step(_SIGN, after=True),
    "checkpoint drafted": Step(_RENAME),
    "checkpoint renamed": Step(_RENAME, after=True),
    "checkpoint synced": Step("residency.ledger.files:Ledger._remove_stale"),
    "transfer leaves durable": Step(_APPEND, after=True),
    "request made": Step(_REQUEST),
    "request answered": Step(_REQUEST, after=True),
    "outcomes known": Step("connectors.salesforce.sink:SalesforceSink.write", after=True),
    "refused record in quarantine": Step("streams.quarantining:Quarantine.put", after=True),
    "outcome leaves written": Step(_SYNC, 4),
    "outcome leaves synced": Step(_SIGN, 2),
    "outcome checkpoint drafted": Step(_RENAME, 2),
    "outcome checkpoint renamed": Step(_RENAME, 2, after=True),
    "outcome leaves durable": Step(_APPEND, 2, after=True),
    "index written": Step("connectors.postgres.expected_rows:apply"),
    "expected rows written": Step("connectors.postgres.expected_rows:apply", after=True),
    "Postgres committed": Step("connectors.postgres.egress_store:EgressStore.save", after=True),
    "offsets committed": Step("streams.intake:Intake.commit", after=True),
}
# Steps of a start, before any record is in hand.
START: Final[Mapping[str, Step]] = {
    "ledger locked": Step("residency.ledger.files:Ledger._recover"),
    "ledger recovered": Step("residency.ledger.files:Ledger._recover", after=True),
    "leaves indexed": Step("connectors.postgres.expected_rows:apply", after=True),
    "index caught up": Step("connectors.postgres.egress_store:EgressStore.save", after=True),
}
# Steps of the first record that crosses under other rules than those before.
RULES: Final[Mapping[str, Step]] = {
    "rules in the ledger": Step("streams.inforce:InForce._mark"),
    "rules marked": Step("streams.inforce:InForce._mark", after=True),
}


def work(home: str, dies_at: str = "", dies_of: str = "") -> None:
    """Be egress until it dies.

    Args:
        home: With the settings, keys and ledger of the EU's egress.
        dies_at: A step of `STEPS`, `START` or `RULES`; empty: it works until it is stopped.
        dies_of: Name of a record: steps count from the batch that has it.

    """
    logging.basicConfig(level=logging.INFO)
    try:
        Wire.home = Path(home)
        instead(HTTPAdapter, "send", Wire.send)
        if dies_at:
            _plant(dies_at, dies_of)
        build(load_settings(Wire.home, "eu", "egress")).run(threading.Event())
    except BaseException:
        LOG.exception("egress ended")


class Wire:
    """What leaves the process for the org."""

    home: Path

    @staticmethod
    def send(
        real: Callable[..., Response], adapter: HTTPAdapter, request: PreparedRequest, **more: Any
    ) -> Response:
        """Send *request*; one with rows is told to the witness first."""
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        versions = [int(found) for found in VERSION.findall(body)]
        if not versions:
            return real(adapter, request, **more)
        return Wire.request(versions, lambda: real(adapter, request, **more))

    @staticmethod
    def request(versions: list[int], send: Callable[[], Response]) -> Response:
        """Send rows of these versions."""
        head = (Wire.home / "eu/ledger/checkpoint").read_text()
        with (Wire.home / "witness.jsonl").open("a") as file:
            file.write(json.dumps({"checkpoint": head, "versions": versions}) + "\n")
        return send()


def _plant(dies_at: str, dies_of: str) -> None:
    """Let the process die at the step of its orders."""
    begun = threading.Event()
    if dies_at not in STEPS:
        begun.set()

    def carry(real: Callable[..., Any], carrier: Carrier, batch: Any) -> Any:
        if any(str(arrival.record.id) == dies_of for arrival in batch):
            begun.set()
        return real(carrier, batch)

    plant({**STEPS, **START, **RULES}[dies_at], begun.is_set)
    instead(Carrier, "carry", carry)
