"""The test org as a process of its own, for tests of what talks to it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from connectors.embedded.pki import ensure_app, ensure_ca, ensure_server_certificate, write_apps
from connectors.salesforce.auth import open_session
from connectors.salesforce.client import CallRetry, OrgClient
from connectors.salesforce.config import SalesforceConfig
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RecordId

ROOT = Path(__file__).parents[2]
ORDER, CUSTOMER, KEY = "Commerce_Order__c", "Commerce_Customer__c", "External_Id__c"
START_S = 90


@contextmanager
def running_org(home: Path, *flags: str) -> Iterator[SalesforceConfig]:
    """Run the test org in *home* with the EU's app registered; yield the way in."""
    ca_file = ensure_ca(home)
    ensure_server_certificate(home)
    app = ensure_app(home, "eu")
    write_apps(home, [app])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = SalesforceConfig(
        instance_url=f"https://127.0.0.1:{port}",
        ca_file=ca_file,
        consumer_key=app.consumer_key,
        username=app.username,
        private_key_file=app.private_key_file,
    )
    argv = [sys.executable, "-P", "-m", "streams.cli", "sandbox", *flags]
    log = home / "sandbox.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*argv, "--port", str(port), "--home", str(home)],
            stdout=output,
            stderr=output,
            cwd=home,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        try:
            wait_until_ready(config, process, log)
            yield config
        finally:
            process.terminate()
            process.wait(timeout=60)


def wait_until_ready(config: SalesforceConfig, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the org answers; fail the test if it does not."""
    session = open_session(config)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if session.get(f"{config.instance_url}/services/data/", timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(f"the test org did not start: {log.read_text()[-2000:]}")


class FaultPlan:
    """The control path of an org that runs with ``--faults``."""

    def __init__(self, home: Path, config: SalesforceConfig) -> None:
        """Take the org's home and the way in."""
        self._session = open_session(config)
        self._session.headers["X-Sandbox-Control"] = (home / "sandbox/control").read_text().strip()
        self._url = f"{config.instance_url}/__sandbox__/faults"

    def set(self, *faults: Mapping[str, Any], seed: int = 7) -> None:
        """Let these things go wrong from now on, and nothing else."""
        plan = {"seed": seed, "wait_s": 0.05, "faults": list(faults)}
        assert self._session.post(self._url, json=plan, timeout=10).ok

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        assert self._session.delete(self._url, timeout=10).ok

    def fired(self) -> Sequence[int]:
        """Return how often each fault of the plan fired."""
        return [
            fault["fired"] for fault in self._session.get(self._url, timeout=10).json()["faults"]
        ]

    def pending(self) -> int:
        """Return how many requests are late and still to be carried out."""
        state = self._session.get(self._url, timeout=10).json()
        return int(state["late"]["pending"])


def client_of(
    config: SalesforceConfig, network: HTTPAdapter | None = None, deadline_s: float = 20
) -> OrgClient:
    """Return a client that does not wait long between tries."""
    session = open_session(config)
    if network is not None:
        session.mount("https://", network)
    retry = CallRetry(deadline_s=deadline_s, first_wait_s=0.01, max_wait_s=0.1)
    return OrgClient(config, "eu", session=session, retry=retry)


def logged(
    offset: int, sobject: str, key: str, *, deletes: bool = False, plan: str = "", **fields: Any
) -> LoggedRecord:
    """Return the record of a raw offset; its version is the offset, unless it has one of labels."""
    at = RecordId(Coordinates("eu.commerce.orders.v1", 0, offset))
    record = MinimalRecord(at, sobject, key, offset, 1, plan, 1, b"", deletes)
    version = {} if "Label_Version__c" in fields else {"Base_Version__c": offset}
    return LoggedRecord(record, offset, {KEY: key, **version, **fields})


def deletion(offset: int, sobject: str, key: str) -> LoggedRecord:
    """Return the record that deletes a row."""
    return logged(offset, sobject, key, deletes=True)


def versions(client: OrgClient, sobject: str, prefix: str) -> list[tuple[str, int]]:
    """Return id and base version of the rows whose ids start so, sorted."""
    soql = f"SELECT {KEY}, Base_Version__c FROM {sobject} WHERE {KEY} LIKE '{prefix}%'"  # noqa: S608
    return sorted((row[KEY], int(row["Base_Version__c"])) for row in client.query_all(soql))
