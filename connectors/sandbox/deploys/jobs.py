"""Deployments and retrieves as the org keeps them; a job is its row, and the zip beside it.

A deployment that was not over when the org stopped begins again at the next start: it changes
the org in one transaction or not at all, and the same transaction says that it has.

Source: Metadata API Developer Guide, "DeployResult" and "RetrieveResult".
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from connectors.sandbox.access import User
from connectors.sandbox.deploys.options import DeployOptions
from connectors.sandbox.ids import record_id, sequence_of
from connectors.sandbox.store import Store

PERMISSION = "ModifyMetadata"  # the user permission that all of this takes
NO_PERMISSION = (
    "use of the Metadata API requires a user with the ModifyAllData or ModifyMetadata permissions"
)
ALREADY_OVER = ("INVALID_ID_FIELD", "Deployment already completed")
DEPLOY_PREFIX, RETRIEVE_PREFIX = "0Af", "09S"
KEEP_S = 30 * 24 * 3600  # as long as the real org shows a deployment
_COLUMNS = (
    "number, user, options, state, created_at, started_at, changed_at, ended_at, total, deployed,"
    " failed, details, cancelled_by"
)


class State(StrEnum):
    """How far a deployment is."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    CANCELING = "Canceling"
    SUCCEEDED = "Succeeded"
    PARTIAL = "SucceededPartial"
    FAILED = "Failed"
    CANCELED = "Canceled"


ENDED = frozenset({State.SUCCEEDED, State.PARTIAL, State.FAILED, State.CANCELED})


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment.

    Attributes:
        created_at: Seconds since 1970, as all times.
        details: The messages of its components, JSON.
        cancelled_by: Number of the user who asked for its end.

    """

    number: int
    user: int
    options: DeployOptions
    state: State
    created_at: int
    started_at: int | None
    changed_at: int
    ended_at: int | None
    total: int
    deployed: int
    failed: int
    details: Mapping[str, Any]
    cancelled_by: int | None

    @property
    def id(self) -> str:
        """Its id, 18 characters."""
        return record_id(DEPLOY_PREFIX, self.number)

    @classmethod
    def of(cls, row: Sequence[Any]) -> Self:
        """Return the deployment in a row of the table."""
        options = DeployOptions.of(json.loads(row[2]))
        created, started, changed, ended, total, deployed, failed = row[4:11]
        return cls(
            number=row[0],
            user=row[1],
            options=options,
            state=State(row[3]),
            created_at=created,
            started_at=started,
            changed_at=changed,
            ended_at=ended,
            total=total,
            deployed=deployed,
            failed=failed,
            details=json.loads(row[11]),
            cancelled_by=row[12],
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a deployment ends."""

    state: State
    total: int
    deployed: int
    failed: int
    details: Mapping[str, Any]


def add_deployment(store: Store, user: User, options: DeployOptions) -> Deployment:
    """Return a new deployment that waits."""
    now = int(time.time())
    number = store.add(
        "INSERT INTO deployments (user, options, state, created_at, changed_at)"
        " VALUES (?, ?, ?, ?, ?)",
        (user.sequence, json.dumps(options.as_json()), State.PENDING, now, now),
    )
    return _deployment(store, number)


def find_deployment(store: Store, text: str) -> Deployment | None:
    """Return the deployment of that id, 15 or 18 characters, or None if there is none."""
    number = sequence_of(DEPLOY_PREFIX, text)
    rows = [] if number is None else _rows(store, "number = ?", number)
    return rows[0] if rows else None


def user_names(store: Store, one: Deployment) -> dict[int, str]:
    """Return the names of who made the deployment and who cancelled it, by user number."""
    sql = "SELECT sequence, username FROM users WHERE sequence IN (?, ?)"
    return dict(store.select(sql, (one.user, one.cancelled_by)))


def waiting_deployments(store: Store) -> list[int]:
    """Return the numbers of the deployments that are not over, oldest first."""
    marks = ",".join("?" * len(ENDED))
    return [one.number for one in _rows(store, f"state NOT IN ({marks})", *sorted(ENDED))]


def begin(store: Store, number: int) -> Deployment | None:
    """Put the deployment in progress; None if it is over, or cancelled."""
    with store.transaction():
        one = _deployment(store, number)
        if one.state in ENDED:
            return None
        if one.state is State.CANCELING:
            end(store, one, Outcome(State.CANCELED, 0, 0, 0, {}))
            return None
        now = int(time.time())
        sql = "UPDATE deployments SET state = ?, started_at = ?, changed_at = ? WHERE number = ?"
        store.run(sql, (State.IN_PROGRESS, now, now, number))
        return replace(one, state=State.IN_PROGRESS, started_at=now, changed_at=now)


def cancel(store: Store, number: int, user: User) -> Deployment | None:
    """Ask for the deployment's end; one that has not begun is over at once. None: it was over."""
    with store.transaction():
        one = _deployment(store, number)
        if one.state in ENDED:
            return None
        now = int(time.time())
        state = State.CANCELED if one.state is State.PENDING else State.CANCELING
        store.run(
            "UPDATE deployments SET state = ?, cancelled_by = ?, changed_at = ?, ended_at = ?"
            " WHERE number = ?",
            (state, user.sequence, now, now if state in ENDED else None, number),
        )
    return _deployment(store, number)


def is_cancelled(store: Store, number: int) -> bool:
    """Return whether somebody asked for the deployment's end."""
    return _deployment(store, number).state is State.CANCELING


def end(store: Store, one: Deployment, outcome: Outcome) -> None:
    """End the deployment, inside the transaction of what it changed."""
    now = int(time.time())
    store.run(
        "UPDATE deployments SET state = ?, total = ?, deployed = ?, failed = ?, details = ?,"
        " changed_at = ?, ended_at = ? WHERE number = ?",
        (
            outcome.state,
            outcome.total,
            outcome.deployed,
            outcome.failed,
            json.dumps(outcome.details),
            now,
            now,
            one.number,
        ),
    )


def add_retrieve(store: Store, user: User, result: Mapping[str, Any], content: bytes) -> str:
    """Keep a retrieve with its zip and return its id."""
    number = store.add(
        "INSERT INTO retrieves (user, result, zip, created_at) VALUES (?, ?, ?, ?)",
        (user.sequence, json.dumps(result), content, int(time.time())),
    )
    return record_id(RETRIEVE_PREFIX, number)


def find_retrieve(store: Store, text: str) -> tuple[dict[str, Any], bytes] | None:
    """Return the result of a retrieve and its zip, or None if there is none of that id."""
    number = sequence_of(RETRIEVE_PREFIX, text)
    rows = store.select("SELECT result, zip FROM retrieves WHERE number = ?", (number,))
    return (json.loads(rows[0][0]), bytes(rows[0][1])) if rows else None


def forget_old(store: Store) -> None:
    """Remove what is older than the org shows."""
    before = int(time.time()) - KEEP_S
    marks = ",".join("?" * len(ENDED))
    with store.transaction():
        store.run("DELETE FROM retrieves WHERE created_at < ?", (before,))
        store.run(
            f"DELETE FROM deployments WHERE changed_at < ? AND state IN ({marks})",  # noqa: S608
            (before, *sorted(ENDED)),
        )


def _deployment(store: Store, number: int) -> Deployment:
    return _rows(store, "number = ?", number)[0]


def _rows(store: Store, where: str, *values: str | int) -> list[Deployment]:
    sql = f"SELECT {_COLUMNS} FROM deployments WHERE {where} ORDER BY number"  # noqa: S608 -- ours
    return [Deployment.of(row) for row in store.select(sql, values)]
