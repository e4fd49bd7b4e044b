"""What the sink makes of logged records, per way to write them: rows/s, CPU, API calls.

Against the embedded test org, over TLS, as egress does it; gate and ledger are not in it. The
org and the database share the machine: their CPU is a column of its own.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import click
import psutil
import requests
from common import machine, run, running, say

from connectors.embedded.services import ORG
from connectors.embedded.stack import Stack
from connectors.postgres.bulk_jobs import BulkJobs
from connectors.salesforce.access import Access
from connectors.salesforce.bulk.writer import BulkWriter
from connectors.salesforce.client import OrgClient
from connectors.salesforce.options import SinkOptions
from connectors.salesforce.outcome import Result
from connectors.salesforce.sink import SalesforceSink
from schemas.errors import RetriableError
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RecordId
from streams.launch import launch
from streams.settings import load_settings

REGION, SOBJECT, KEY = "eu", "Commerce_Order__c", "External_Id__c"
WARM_UP = 400  # records before the clock starts: login, connections
# How many records come at once, and from how many rows on a job is taken.
WAYS = {"collections": (200, 10**9), "composite": (1_000, 10**9), "bulk": (20_000, 1)}
PLACED = datetime(2026, 11, 23, 8, 15, 30, tzinfo=UTC)
US = 1e6


@dataclass(frozen=True, slots=True)
class Row:
    """What one way took.

    Attributes:
        sink_us: CPU of the sink's own process per record, microseconds.
        org_us: CPU of the org per record.
        calls: API calls per million records.

    """

    way: str
    records_per_s: float
    sink_us: float
    org_us: float
    calls: int


class CountingAccess(Access):
    """Counts the org's answers; logins are not among them once the clock runs."""

    answers = 0

    def noted(self, response: requests.Response, **more: Any) -> None:
        """Count an answer."""
        super().noted(response, **more)
        self.answers += 1


def records(first: int, count: int) -> list[LoggedRecord]:
    """Return orders as wide as the contract makes them, each a row of its own."""
    return [_record(number) for number in range(first, first + count)]


def _record(number: int) -> LoggedRecord:
    at = RecordId(Coordinates("eu.commerce.orders.v1", 0, number), topic_id="bench")
    key = f"bench-{number:08d}"
    fields = {
        KEY: key,
        "Base_Version__c": number,
        "Region__c": "eu",
        "Status__c": "placed",
        "Currency__c": "EUR",
        "Total__c": Decimal(number % 10_000) / 100,
        "Item_Count__c": number % 9 + 1,
        "First_Sku__c": f"SKU-{number % 500}",
        "Ship_Country__c": "DE",
        "Placed_At__c": PLACED,
        "Last_Event_At__c": PLACED,
    }
    return LoggedRecord(MinimalRecord(at, SOBJECT, key, number, 1, "", 1, b""), number, fields)


def measure(home: Path, way: str, first: int, count: int) -> Row:
    """Write *count* records one way; return what it took."""
    size, bulk_from = WAYS[way]
    settings = load_settings(home, REGION, "egress")
    if settings.salesforce is None or settings.postgres is None:
        msg = "the stack has no org or no database"
        raise RetriableError(msg)
    access = CountingAccess(settings.salesforce)
    client = OrgClient(settings.salesforce, REGION, access=access)
    options = replace(SinkOptions(), bulk_from=bulk_from)
    bulk = BulkWriter(client, BulkJobs(settings.postgres.dsn))
    sink = SalesforceSink(client, bulk=bulk, options=options, settled=True)
    sink.write(records(first, WARM_UP))
    org = _process(home, ORG)
    batches = list(_batches(records(first + WARM_UP, count), size))
    before = access.answers
    wall, own, theirs = time.monotonic(), time.process_time(), _cpu(org)
    for batch in batches:
        if any(outcome.result is not Result.ACCEPTED for outcome in sink.write(batch)):
            msg = f"{way}: the org did not take a record"
            raise RetriableError(msg)
    wall, own, theirs = (
        time.monotonic() - wall, time.process_time() - own, _cpu(org) - theirs
    )  # fmt: skip
    return Row(
        way, round(count / wall), round(own / count * US, 1), round(theirs / count * US, 1),
        round((access.answers - before) / count * 1e6),
    )  # fmt: skip


def _batches(all_: Sequence[LoggedRecord], size: int) -> Iterator[Sequence[LoggedRecord]]:
    for start in range(0, len(all_), size):
        yield all_[start : start + size]


def _process(home: Path, name: str) -> psutil.Process:
    (pid,) = (p.pid for p in Stack(home).status() if p.name == name and p.pid is not None)
    return psutil.Process(pid)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--records", "count", default=40_000, show_default=True, type=click.IntRange(1_000))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def main(*, count: int, as_json: bool) -> None:
    """Measure what the sink makes of logged records, by collections, composites and Bulk jobs.

    Each record is a new row. The org is the embedded test org, which is far quicker to answer
    than a real one: API calls and CPU carry over, records per second do not.

    Example: .venv/bin/python tests/bench/sink.py --records 40000 --json

    Exit codes: 0 measured, 1 the line broke, 2 usage, 3 environment, 130 interrupted.
    """
    with running(REGION, partial(launch, with_workers=False)) as home:
        rows = []
        for number, way in enumerate(WAYS):
            say(f"{way}: {count:,} records ...")
            rows.append(measure(home, way, number * 10_000_000, count))
        found: Mapping[str, Any] = {"machine": machine(), "ways": [asdict(row) for row in rows]}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for row in rows:
        click.echo(
            f"{row.way:<12} {row.records_per_s:>7,.0f} records/s, sink {row.sink_us} us, "
            f"org {row.org_us} us a record, {row.calls:,} calls per million"
        )


if __name__ == "__main__":
    run(main)
