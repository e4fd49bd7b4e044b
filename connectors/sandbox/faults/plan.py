"""What shall go wrong, and when: the plan that a test posts, checked member by member. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from connectors.sandbox.faults.document import PlanError, choice, count, members, number, word
from connectors.sandbox.faults.refusals import LIMITS, LOGINS, REQUESTS, ROWS

MAX_FAULTS = 100  # per plan
MAX_WAIT_S = 3600.0
DEFAULT_SECONDS = 5.0
DEFAULT_SHARE = 0.5
LOCK_WAIT_S = 10.0  # how long the real org waits for a row that another transaction holds


class Trait(StrEnum):
    """What a call must be for a fault to make sense on it."""

    LOGIN = "login"  # a request for a token
    HTTP = "http"  # a request, and not a job's own work
    WRITE = "write"  # a request that may change something
    ROWS = "rows"  # work on rows: a request's or a job's
    UPSERTS = "upserts"  # rows that are written rather than deleted
    CHARSET = "charset"  # an answer whose charset matters
    RESULTS = "results"  # a download of a job's results
    JOB = "job"  # a job that starts


class Kind(StrEnum):
    """What goes wrong; docs/sandbox-faults.md says each at length."""

    UNAUTHORISED = "unauthorised"
    EXPIRED_SESSION = "expired-session"
    REQUEST_LIMIT = "request-limit"
    REFUSED = "refused"
    NO_ROUTE = "no-route"
    TOO_MANY_REQUESTS = "too-many-requests"
    ERROR_500 = "error-500"
    ERROR_502 = "error-502"
    ERROR_503 = "error-503"
    ERROR_500_JSON = "error-500-json"
    SLOW = "slow"
    RESET_BEFORE = "reset-before"
    RESET_AFTER = "reset-after"
    TIMEOUT_AFTER = "timeout-after"
    LATE_COMMIT = "late-commit"
    LOCK = "lock"
    PARTIAL = "partial"
    DUPLICATE_RACE = "duplicate-race"
    ROWS_REFUSED = "rows-refused"
    LOGIN_REFUSED = "login-refused"
    TRUNCATED_RESULTS = "truncated-results"
    NO_CHARSET = "no-charset"
    JOB_STUCK = "job-stuck"
    JOB_FAILED = "job-failed"


class Surface(StrEnum):
    """Which part of the API a fault is on."""

    COLLECTIONS = "collections"
    COMPOSITE = "composite"
    BULK = "bulk"
    QUERY = "query"
    DELETE = "delete"
    LOGIN = "login"
    DESCRIBE = "describe"
    ANY = "any"  # all but logins, single rows included


@dataclass(frozen=True, slots=True)
class When:
    """Which of the matching calls a fault hits; exactly one of the first three says it.

    Attributes:
        at: The n-th, from 1.
        every: Every n-th.
        probability: Each with this probability.
        times: At most so often; None for no end.

    """

    at: int | None = None
    every: int | None = None
    probability: float | None = None
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        seconds: How long the kinds that wait do.
        share: Of the rows, for the kinds that choose some.
        limit: Which limit ``request-limit`` names, of `LIMITS`.
        code: What the kinds that refuse answer, of `refusals`; empty for the others.
        said: The fault as it was posted.

    """

    kind: Kind
    on: Surface
    when: When
    seconds: float
    share: float
    limit: str
    code: str
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that shall go wrong.

    Attributes:
        seed: The same plan with the same seed hits the same calls and rows.
        wait_s: How long a write waits for a row that is held, in seconds.

    """

    seed: int = 0
    wait_s: float = LOCK_WAIT_S
    faults: tuple[Fault, ...] = field(default=())


NEEDS: Mapping[Kind, Trait] = {
    Kind.LATE_COMMIT: Trait.WRITE,
    Kind.LOCK: Trait.ROWS,
    Kind.PARTIAL: Trait.ROWS,
    Kind.DUPLICATE_RACE: Trait.UPSERTS,
    Kind.ROWS_REFUSED: Trait.UPSERTS,
    Kind.LOGIN_REFUSED: Trait.LOGIN,
    Kind.TRUNCATED_RESULTS: Trait.RESULTS,
    Kind.NO_CHARSET: Trait.CHARSET,
    Kind.JOB_STUCK: Trait.JOB,
    Kind.JOB_FAILED: Trait.JOB,
}  # the others need a request

_WRITES = frozenset({Surface.COLLECTIONS, Surface.COMPOSITE, Surface.BULK, Surface.ANY})
_JOBS = frozenset({Surface.BULK, Surface.ANY})
_SURFACES: Mapping[Trait, frozenset[Surface]] = {
    Trait.WRITE: _WRITES | {Surface.DELETE},
    Trait.ROWS: _WRITES | {Surface.DELETE},
    Trait.UPSERTS: _WRITES,
    Trait.LOGIN: frozenset({Surface.LOGIN}),
    Trait.RESULTS: _JOBS,
    Trait.JOB: _JOBS,
}
_SESSION = frozenset({
    Kind.UNAUTHORISED, Kind.EXPIRED_SESSION, Kind.REQUEST_LIMIT, Kind.REFUSED,
})  # fmt: skip
_WAITING = frozenset({Kind.SLOW, Kind.TIMEOUT_AFTER, Kind.LATE_COMMIT, Kind.JOB_STUCK})
_CHOOSING = frozenset({
    Kind.LOCK, Kind.PARTIAL, Kind.DUPLICATE_RACE, Kind.ROWS_REFUSED, Kind.TRUNCATED_RESULTS,
    Kind.JOB_FAILED,
})  # fmt: skip
_CODES = {
    Kind.REFUSED: tuple(REQUESTS),
    Kind.ROWS_REFUSED: tuple(ROWS),
    Kind.LOGIN_REFUSED: tuple(LOGINS),
}
_WHEN = ("once", "at", "every", "probability")
_MEMBERS = ("kind", "on", *_WHEN, "times", "seconds", "rows", "limit", "code")


def read_plan(document: object) -> Plan:
    """Return the plan in a JSON document.

    Raises:
        PlanError: It is none; the text names the member and what may stand there.

    """
    body = members(document, "the plan", ("seed", "wait_s", "faults"))
    rows = body.get("faults", [])
    if not isinstance(rows, list) or len(rows) > MAX_FAULTS:
        msg = f"faults: must be a list of at most {MAX_FAULTS}"
        raise PlanError(msg)
    seed = body.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        msg = "seed: must be a whole number"
        raise PlanError(msg)
    wait_s = number(body, "wait_s", LOCK_WAIT_S, most=MAX_WAIT_S)
    return Plan(seed, wait_s, tuple(_fault(row, f"faults[{n}]") for n, row in enumerate(rows)))


def _fault(document: object, where: str) -> Fault:
    row = members(document, where, _MEMBERS)
    kind = choice(row, where, "kind", Kind)
    on = choice(row, where, "on", Surface)
    allowed = _surfaces(kind)
    if on not in allowed:
        names = ", ".join(sorted(allowed))
        msg = f"{where}.on: {kind} cannot happen there; it can on: {names}"
        raise PlanError(msg)
    _only_for(row, where, "seconds", kind, _WAITING)
    _only_for(row, where, "rows", kind, _CHOOSING)
    _only_for(row, where, "limit", kind, frozenset({Kind.REQUEST_LIMIT}))
    _only_for(row, where, "code", kind, frozenset(_CODES))
    return Fault(
        kind,
        on,
        _when(row, where),
        seconds=number(row, f"{where}.seconds", DEFAULT_SECONDS, most=MAX_WAIT_S),
        share=number(row, f"{where}.rows", DEFAULT_SHARE, most=1),
        limit=word(row, f"{where}.limit", tuple(LIMITS)),
        code=word(row, f"{where}.code", _CODES.get(kind, ("",))),
        said=dict(row),
    )


def _surfaces(kind: Kind) -> frozenset[Surface]:
    """Return the surfaces that *kind* can be on."""
    needed = _SURFACES.get(NEEDS.get(kind, Trait.HTTP), frozenset(Surface))
    return needed - {Surface.LOGIN} if kind in _SESSION else needed


def _when(row: Mapping[str, Any], where: str) -> When:
    named = [name for name in _WHEN if name in row]
    if len(named) != 1:
        msg = f"{where}: must say when by exactly one of: {', '.join(_WHEN)}"
        raise PlanError(msg)
    times = count(row, where, "times") if "times" in row else None
    if named[0] == "once" and row["once"] is not True:
        msg = f"{where}.once: must be true; leave it out to say when by another member"
        raise PlanError(msg)
    if named[0] in {"once", "at"}:
        if times is not None:
            msg = f"{where}.times: {named[0]} is one time already"
            raise PlanError(msg)
        return When(at=1 if named[0] == "once" else count(row, where, "at"), times=1)
    if named[0] == "every":
        return When(every=count(row, where, "every"), times=times)
    share = number(row, f"{where}.probability", 0, most=1)
    return When(probability=share, times=times)


def _only_for(
    row: Mapping[str, Any], where: str, name: str, kind: Kind, kinds: frozenset[Kind]
) -> None:
    if name in row and kind not in kinds:
        names = ", ".join(sorted(kinds))
        msg = f"{where}.{name}: means nothing for {kind}, only for: {names}"
        raise PlanError(msg)
