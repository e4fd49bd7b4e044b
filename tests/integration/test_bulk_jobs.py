"""Jobs are kept, whole and in order, in a real PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest
from postgres_process import running_postgres

from connectors.postgres.bulk_jobs import BulkJobs
from connectors.salesforce.bulk.jobs import Job
from schemas.errors import RetriableError
from schemas.events import Coordinates, RecordId

TOPIC = "eu.commerce.orders.v1"
FIRST = RecordId(Coordinates(TOPIC, 0, 7), 1, 2, "dG9waWM")
SECOND = RecordId(Coordinates(TOPIC, 3, 8), 0, 0, "dG9waWN")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_postgres() as dsn:
        yield dsn


@pytest.fixture
def dsn(server: str) -> str:
    """Return the database, emptied."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bulk_jobs, bulk_job_rows")
    return server


@pytest.fixture
def connect(dsn: str) -> Iterator[Callable[[], BulkJobs]]:
    """Open stores; they are closed afterwards."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(BulkJobs(dsn)))


def job(name: str, **rows: tuple[RecordId, ...]) -> Job:
    columns = ("External_Id__c", "Status__c")
    return Job(name, "Commerce_Order__c", "upsert", "External_Id__c", columns, rows)


def test_a_job_outlives_whoever_kept_it(connect: Callable[[], BulkJobs]) -> None:
    older = job("750B", tok_1=(FIRST, SECOND), tok_2=(SECOND,))
    newer = Job("750A", "Commerce_Order__c", "hardDelete", "Id", ("Id",), {"a01": ()})
    store = connect()
    store.add(older)
    store.add(newer)
    store.close()

    found = connect().unfinished()

    assert found == [older, newer]
    assert found[0].rows["tok_1"][0].topic_id == "dG9waWM"


def test_a_removed_job_is_forgotten_with_its_rows_and_no_other(
    connect: Callable[[], BulkJobs], dsn: str
) -> None:
    store = connect()
    store.add(job("750A", tok_1=(FIRST,)))
    store.add(job("750B", tok_1=(SECOND,)))

    store.remove("750A")
    store.remove("750A")

    assert store.unfinished() == [job("750B", tok_1=(SECOND,))]
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT job FROM bulk_job_rows").fetchall() == [("750B",)]


def test_any_text_may_be_a_key(connect: Callable[[], BulkJobs]) -> None:
    keys = ['a"b', "tab\there", "back\\slash", "line\nbreak", "{braces}", "\\N", "Ünï", ""]
    store = connect()
    kept = job("750A", **dict.fromkeys(keys, (FIRST,)))

    store.add(kept)

    assert store.unfinished() == [kept]


def test_a_lost_connection_is_said_and_made_anew(connect: Callable[[], BulkJobs], dsn: str) -> None:
    store = connect()
    store.add(job("750A", tok_1=(FIRST,)))
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = current_user AND pid <> pg_backend_pid()"
        )

    with pytest.raises(RetriableError, match="is the database up"):
        store.unfinished()

    assert store.unfinished() == [job("750A", tok_1=(FIRST,))]


def test_no_repr_shows_a_key() -> None:
    assert "tok_1" not in repr(job("750A", tok_1=(FIRST,)))
