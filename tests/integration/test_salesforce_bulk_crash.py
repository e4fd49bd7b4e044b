"""A crash at every step of a job, before and after it; then a new writer over what is kept.

The org and the database are real. Whatever the step: nothing of the first writer can be written
once the second has resumed, each row is in the org once, and no job is left anywhere.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pytest
from kept_jobs import ids_of, open_writer, row, rows_of, states
from org_process import KEY, ORDER, FaultPlan, client_of, running_org, versions
from postgres_process import running_postgres

from connectors.postgres.bulk_jobs import BulkJobs
from connectors.salesforce.bulk.jobs import Job
from connectors.salesforce.client import OrgClient
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.refusals import Answer, Call
from connectors.salesforce.rows import RowResult
from schemas.errors import RetriableError

T = TypeVar("T")
CREATED = RowResult(success=True, created=True)
UPDATED = RowResult(success=True, created=False)
LOOK = "look at job for"
STEPS = [
    "create job for", "keep", "list", "upload", "close job for", LOOK,
    *["read results for"] * 3, "delete job for", "forget",
]  # fmt: skip
# From here on the org or we know no more what the job did: its rows are written again.
FORGOTTEN = [("delete job for", "after"), ("forget", "before"), ("forget", "after")]


class CrashError(Exception):
    """The process died here."""


@dataclass
class Crash:
    """Dies at one step, before or after it; notes every step that was begun.

    Looks at a running job one after the other are one step.
    """

    at: int
    when: str
    steps: list[str] = field(default_factory=list)

    def around(self, name: str, work: Callable[[], T]) -> T:
        if name == LOOK and self.steps[-1:] == [LOOK]:
            return work()
        number = len(self.steps)
        self.steps.append(name)
        if number == self.at and self.when == "before":
            raise CrashError
        done = work()
        if number == self.at:
            raise CrashError
        return done


@dataclass
class Dying:
    """A client and a store of a process that dies at one step."""

    client: OrgClient
    store: BulkJobs
    crash: Crash

    @property
    def data_path(self) -> str:
        return self.client.data_path

    def send(self, call: Call) -> Answer:
        return self.crash.around(call.verb, lambda: self.client.send(call))

    def add(self, job: Job) -> None:
        self.crash.around("keep", lambda: self.store.add(job))

    def remove(self, job_id: str) -> None:
        self.crash.around("forget", lambda: self.store.remove(job_id))

    def unfinished(self) -> list[Job]:
        return list(self.store.unfinished())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def org(home: Path) -> Iterator[SalesforceConfig]:
    with running_org(home, "--faults") as config:
        yield config


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with running_postgres() as found:
        yield found


@pytest.fixture
def store(dsn: str) -> Iterator[BulkJobs]:
    with closing(BulkJobs(dsn)) as opened:
        yield opened


@pytest.fixture
def plan(home: Path, org: SalesforceConfig) -> Iterator[FaultPlan]:
    """Open the control path; afterwards no fault is left."""
    opened = FaultPlan(home, org)
    yield opened
    opened.clear()


def test_these_are_all_steps_of_a_job(org: SalesforceConfig, store: BulkJobs) -> None:
    crash = Crash(-1, "never")
    dying = Dying(client_of(org), store, crash)

    open_writer(dying, dying).upsert(ORDER, KEY, [row("all-1", 1)], [()])

    assert crash.steps == STEPS


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(len(STEPS)))
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    plan: FaultPlan, org: SalesforceConfig, store: BulkJobs, at: int, when: str
) -> None:
    plan.set({"kind": "job-stuck", "on": "bulk", "every": 1, "seconds": 0.15})
    client, name = client_of(org), f"cr-{at}-{when}"
    rows = rows_of(name, 5)
    crash = Crash(at, when)
    dying = Dying(client, store, crash)
    with pytest.raises(CrashError):
        open_writer(dying, dying).upsert(ORDER, KEY, rows, ids_of(rows))
    assert crash.steps[-1] == STEPS[at]
    second = open_writer(client, store)

    second.resume()
    resumed = store.unfinished(), set(states(client)), versions(client, ORDER, f"{name}-")
    results = second.upsert(ORDER, KEY, rows, ids_of(rows))

    was_closed = at > 4 or (at, when) == (4, "after")
    written = [(one[KEY], 1) for one in rows]
    assert resumed[0] == []
    assert resumed[1] <= {"Open"}, "only one that nobody could keep, without data"
    assert resumed[2] == (written if was_closed else [])
    assert results == [UPDATED if (STEPS[at], when) in FORGOTTEN else CREATED] * 5
    assert versions(client, ORDER, f"{name}-") == written
    assert (store.unfinished(), states(client)) == ([], [])


def test_what_a_job_said_holds_for_the_same_records_alone_and_once(
    org: SalesforceConfig, store: BulkJobs
) -> None:
    client = client_of(org)
    rows = [row("same-1", 1), row("same-2", 1), row("same-3", 1)]
    dying = Dying(client, store, Crash(STEPS.index("delete job for"), "before"))
    with suppress(CrashError):
        open_writer(dying, dying).upsert(ORDER, KEY, rows, ids_of(rows))
    second = open_writer(client, store)
    newer = [row("same-1", 1), row("same-2", 2), row("same-3", 1)]

    first = second.upsert(ORDER, KEY, newer[:2], ids_of(newer[:2]))
    again = second.upsert(ORDER, KEY, newer, ids_of(newer))

    assert first == [CREATED, UPDATED]
    assert again == [UPDATED, UPDATED, CREATED]
    assert versions(client, ORDER, "same-") == [("same-1", 1), ("same-2", 2), ("same-3", 1)]


def test_a_job_whose_closing_comes_late_writes_nothing_after_the_next_start(
    plan: FaultPlan, org: SalesforceConfig, store: BulkJobs
) -> None:
    hasty = client_of(replace(org, read_timeout_s=3.0), deadline_s=3)
    plan.set({"kind": "late-commit", "on": "bulk", "at": 3, "seconds": 4.0})
    rows = rows_of("late", 3)
    with pytest.raises(RetriableError, match="close job"):
        open_writer(hasty, store).upsert(ORDER, KEY, rows, ids_of(rows))
    client = client_of(org)
    second = open_writer(client, store)

    second.resume()
    while plan.pending():
        time.sleep(0.05)

    assert versions(client, ORDER, "late-") == []
    assert second.upsert(ORDER, KEY, rows, ids_of(rows)) == [CREATED] * 3
