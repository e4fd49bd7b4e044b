"""Egress as it starts in production: a backlog on the real broker goes to the org by a job."""

import logging
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from egress_line import WAIT_S, Line, wait_until
from egress_world import review
from org_process import KEY, client_of, running_org

from connectors.embedded.stack import Stack
from connectors.salesforce.bulk.options import BulkOptions
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.options import SinkOptions
from residency.telemetry.setup import telemetry
from streams.backlog import BatchPolicy
from streams.egress import Egress

ROWS = 60
POLICY = BatchPolicy(usual=100, backlog=50, most=200)


@pytest.fixture
def org(tmp_path: Path) -> Iterator[SalesforceConfig]:
    with running_org(tmp_path) as config:
        yield config


@pytest.fixture
def line(stack: Stack, dsn: str) -> Iterator[Line]:
    """Return the region's topic, left behind by a first run of egress with an empty ledger."""
    found = Line.at_its_end(stack.home)
    ledger = found.settings.folder / "ledger"
    shutil.rmtree(ledger, ignore_errors=True)
    yield found
    shutil.rmtree(ledger, ignore_errors=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bulk_jobs, bulk_job_rows")


def test_a_backlog_goes_by_bulk_api_and_its_offsets_go_on(
    line: Line, org: SalesforceConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "homeport.salesforce")
    sink = SinkOptions(bulk_from=20, bulk=BulkOptions(first_poll_s=0.05))
    config = replace(org, sink=sink)
    settings = replace(line.settings, salesforce=config, egress_batch=POLICY)
    line.send([review(n, f"bulk-{n}") for n in range(1, ROWS + 1)])
    egress, halt = Egress(settings, telemetry("egress", "eu", None, {})), threading.Event()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(egress.run, halt)
        try:
            wait_until("all", lambda: done.done() or line.committed() == ROWS)
        finally:
            halt.set()
            done.result(WAIT_S)

    assert egress.health()["accepted"] == ROWS
    soql = f"SELECT {KEY} FROM Commerce_Case__c"  # noqa: S608 -- our own names
    assert len(list(client_of(org).query_all(soql))) == ROWS
    assert any("for Commerce_Case__c: JobComplete" in one for one in caplog.messages)
    assert not any("tok_" in one for one in caplog.messages)
