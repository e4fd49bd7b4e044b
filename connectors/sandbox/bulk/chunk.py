"""One chunk of a job: up to 200 rows, their results and the job's progress, in one transaction."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from connectors.sandbox.access import User
from connectors.sandbox.bulk.columns import Column, Record, columns_of, read_record
from connectors.sandbox.bulk.jobs import Job, Operation, State, StoppedError
from connectors.sandbox.bulk.kept import change_state, find_job
from connectors.sandbox.bulk.table import Format, Line, TableError, all_lines, read_lines
from connectors.sandbox.errors import NO_ACCESS, ApiError, Problem
from connectors.sandbox.org import Org
from connectors.sandbox.rows.deletes import delete_row
from connectors.sandbox.rows.matching import check_upsert
from connectors.sandbox.rows.writer import Outcome, Writer
from connectors.sandbox.store import Store
from connectors.sandbox.users import user_of

CHUNK = 200  # rows per transaction, as in the real org
SCAN = 1000  # rows looked at in one go before any is carried out

_NO_ID = Problem("MISSING_ARGUMENT", "Id not specified in a delete call")


@dataclass(frozen=True, slots=True)
class Task:
    """A job that is being carried out.

    Attributes:
        file: Its data.
        columns: What the data's header names.
        first_byte: Where the first row lies.

    """

    number: int
    file: Path
    layout: Format
    columns: tuple[Column, ...]
    first_byte: int


def inspect(org: Org, user: User | None, job: Job, stop: Event) -> Task:
    """Return the job's task if all of its data is CSV that its object can take.

    Nothing of a job is carried out before that: a broken line at the end of the data fails it
    with every row unprocessed.

    Raises:
        TableError: It is not; the text is the job's ``errorMessage``.
        StoppedError: *stop* was set meanwhile.

    """
    view = None if user is None else org.views.find(user, job.order.sobject)
    if view is None:
        text = f"InvalidBatch : Unable to find object: {job.order.sobject}"
        raise TableError(text)
    path = org.uploads / f"{job.number}.csv"
    with path.open("rb") as file:
        header, first_byte = read_lines(file, 0, 1, job.order.layout)
        columns = columns_of(header[0].cells if header else (), view, job.order.operation)
        if not job.next_byte:  # else it was looked through before the org was stopped
            for lines in all_lines(file, first_byte, job.order.layout, SCAN):
                if stop.is_set():
                    raise StoppedError
                if any(len(line.cells) != len(columns) for line in lines):
                    text = "InvalidBatch : A record has not as many values as the header has names"
                    raise TableError(text)
    return Task(job.number, path, job.order.layout, columns, first_byte)


def count_rows(task: Task) -> int:
    """Return how many rows the job's data has."""
    with task.file.open("rb") as file:
        layout = task.layout
        return sum(len(lines) for lines in all_lines(file, task.first_byte, layout, SCAN))


def carry_out(org: Org, store: Store, task: Task, most: int = CHUNK) -> bool:
    """Carry out the next *most* rows of a job; return whether there is more to do.

    All or nothing: rows, results and progress. An aborted job has no more to do.
    """
    started = time.monotonic()
    with store.transaction():
        job = find_job(store, task.number)
        if job is None or job.state is not State.IN_PROGRESS:
            return False
        with task.file.open("rb") as file:
            start = job.next_byte or task.first_byte
            lines, next_byte = read_lines(file, start, most, job.order.layout)
        outcomes = write_rows(org, store, job, task.columns, lines)
        _note(store, job, lines, outcomes)
        is_done = len(lines) < most
        store.run(
            "UPDATE bulk_jobs SET next_byte = ?, processed = processed + ?, failed = failed + ?,"
            " work_ms = work_ms + ?, changed_at = ? WHERE number = ?",
            (
                next_byte, len(lines), sum(bool(o.problems) for o in outcomes),
                int((time.monotonic() - started) * 1000), int(time.time()), job.number,
            ),
        )  # fmt: skip
        if is_done:
            change_state(store, job, State.JOB_COMPLETE)
    return not is_done


def write_rows(
    org: Org, store: Store, job: Job, columns: Sequence[Column], lines: Sequence[Line]
) -> list[Outcome]:
    """Carry out the job's operation on each line; outcomes are in the lines' order."""
    user = user_of(store, job.order.user)
    view = None if user is None else org.views.find(user, job.order.sobject)
    if user is None or view is None:
        return [_refused(NO_ACCESS) for _ in lines]
    # a value that does not parse is one row's matter here, whatever the collections do
    writer = replace(org.writer(store, view, user), refuses_whole=False)
    read = [read_record(columns, line.cells) for line in lines]
    good = [record for record in read if isinstance(record, dict)]
    written = iter(_OPERATIONS[job.order.operation](writer, job, good))
    return [
        _named(next(written), record)
        if isinstance(record, dict)
        else Outcome(None, problems=tuple(record))
        for record in read
    ]


def _named(outcome: Outcome, record: Record) -> Outcome:
    """Return *outcome* with the id that a refused row named, as results show it."""
    return replace(outcome, id=str(record.get("Id") or "")) if outcome.problems else outcome


def _insert(writer: Writer, job: Job, records: Sequence[Record]) -> list[Outcome]:
    del job
    return [one.create(record, "") for one, record in _each(writer, records)]


def _update(writer: Writer, job: Job, records: Sequence[Record]) -> list[Outcome]:
    del job
    return [_update_one(one, record) for one, record in _each(writer, records)]


def _upsert(writer: Writer, job: Job, records: Sequence[Record]) -> list[Outcome]:
    key = writer.view.field(job.order.key or "Id")
    if key is None:  # the user has lost sight of it since the job was created
        problem = Problem("MISSING_ARGUMENT", f"{job.order.key} not specified")
        return [_refused(problem) for _ in records]
    if key.name == "Id":
        return [
            _update_one(one, record) if record.get("Id") else one.create(record, "")
            for one, record in _each(writer, records)
        ]
    try:
        check_upsert(writer.view, key)
    except ApiError as exc:
        return [Outcome(None, problems=exc.problems) for _ in records]
    return writer.upsert(key, records, "", all_or_none=False)


def _delete(writer: Writer, job: Job, records: Sequence[Record]) -> list[Outcome]:
    is_hard = job.order.operation is Operation.HARD_DELETE
    return [
        delete_row(one, str(record["Id"]), is_hard=is_hard)
        if record.get("Id")
        else _refused(_NO_ID)
        for one, record in _each(writer, records)
    ]


_OPERATIONS = {
    Operation.INSERT: _insert,
    Operation.UPDATE: _update,
    Operation.UPSERT: _upsert,
    Operation.DELETE: _delete,
    Operation.HARD_DELETE: _delete,
}


def _each(writer: Writer, records: Sequence[Record]) -> Iterator[tuple[Writer, Record]]:
    """Yield each record with its own writer: some of them a fault may hit, and others not."""
    spread = writer.hindrances.spread(len(records))
    for hindrances, record in zip(spread, records, strict=True):
        yield replace(writer, hindrances=hindrances), record


def _update_one(writer: Writer, record: Record) -> Outcome:
    return writer.update_all([record], "", all_or_none=False)[0]


def _refused(problem: Problem) -> Outcome:
    return Outcome(None, problems=(problem,))


def _note(store: Store, job: Job, lines: Sequence[Line], outcomes: Sequence[Outcome]) -> None:
    """Keep what became of each row, for the job's results."""
    rows = [
        (job.number, line.start, line.length, o.id or "", o.created, _error(o))
        for line, o in zip(lines, outcomes, strict=True)
    ]
    store.run_all("INSERT INTO bulk_results VALUES (?, ?, ?, ?, ?, ?)", rows)


def _error(outcome: Outcome) -> str | None:
    """Return ``CODE:message:field --`` for each problem, as ``sf__Error`` has it."""
    if not outcome.problems:
        return None
    return " ".join(
        f"{p.code}:{p.message}:{','.join(p.fields or ())}{' ' if p.fields else ''}--"
        for p in outcome.problems
    )
