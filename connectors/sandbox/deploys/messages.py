"""What a deployment says of its components, and of itself: one tree for XML and for JSON.

Source: Metadata API Developer Guide, "DeployResult", "DeployDetails", "DeployMessage"; members
in the order of the WSDL.
"""

import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.deploys.components import Component, Problem
from connectors.sandbox.deploys.jobs import ENDED, Deployment, Outcome, State
from connectors.sandbox.ids import USER_PREFIX, record_id

_PREFIXES = {
    "CustomObject": "01I",
    "CustomField": "00N",
    "ValidationRule": "03d",
    "PermissionSet": "0PS",
}
_OTHER_PREFIX = "0xI"
_NO_TESTS: Mapping[str, Any] = {
    "codeCoverage": [],
    "codeCoverageWarnings": [],
    "failures": [],
    "flowCoverage": [],
    "flowCoverageWarnings": [],
    "numFailures": 0,
    "numTestsRun": 0,
    "successes": [],
    "totalTime": 0.0,
}


def component_id(kind: str, name: str) -> str:
    """Return a component's id: the same for the same type and full name."""
    return record_id(_PREFIXES.get(kind, _OTHER_PREFIX), zlib.crc32(name.encode()))


def stamp(seconds: int | None) -> str | None:
    """Return a time, in seconds since 1970, as the Metadata API writes it."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def outcome(
    state: State,
    steps: Iterable[tuple[Component, bool, bool]],
    problems: Iterable[Problem],
    now: int,
) -> Outcome:
    """Return how a deployment ends.

    Args:
        state: Its last.
        steps: (component, is new, is other than before) of those that can be deployed.
        problems: Of the others.
        now: Seconds since 1970.

    """
    fine = [_success(*step, now) for step in steps]
    told = list(problems)
    failed = [_message(one, now) for one in told if one.fails]
    warned = [_message(one, now) for one in told if not one.fails]
    details = {"componentFailures": failed, "componentSuccesses": [*fine, *warned]}
    total = len(fine) + len(warned) + len(failed)
    return Outcome(state, total, total - len(failed), len(failed), details)


def result(one: Deployment, users: Mapping[int, str], *, with_details: bool) -> dict[str, Any]:
    """Return the DeployResult of a deployment.

    Args:
        one: The deployment.
        users: User names by number, of who made it and who cancelled it.
        with_details: Also the messages of its components.

    """
    details = None
    if with_details:
        empty: dict[str, Any] = {"componentFailures": [], "componentSuccesses": []}
        details = {**empty, **one.details, "retrieveResult": None, "runTestResult": _NO_TESTS}
    by = one.cancelled_by
    return {
        "canceledBy": None if by is None else record_id(USER_PREFIX, by),
        "canceledByName": None if by is None else users.get(by),
        "checkOnly": one.options.check_only,
        "completedDate": stamp(one.ended_at),
        "createdBy": record_id(USER_PREFIX, one.user),
        "createdByName": users.get(one.user),
        "createdDate": stamp(one.created_at),
        "details": details,
        "done": one.state in ENDED,
        "id": one.id,
        "ignoreWarnings": one.options.ignore_warnings,
        "lastModifiedDate": stamp(one.changed_at),
        "numberComponentErrors": one.failed,
        "numberComponentsDeployed": one.deployed,
        "numberComponentsTotal": one.total,
        "numberTestErrors": 0,
        "numberTestsCompleted": 0,
        "numberTestsTotal": 0,
        "rollbackOnError": one.options.rollback_on_error,
        "runTestsEnabled": one.options.runs_tests,
        "startDate": stamp(one.started_at),
        "status": one.state.value,
        "success": one.state is State.SUCCEEDED,
    }


def _success(one: Component, is_new: bool, is_changed: bool, now: int) -> dict[str, Any]:  # noqa: FBT001
    return {
        "changed": is_changed,
        "componentType": one.kind,
        "created": is_new,
        "createdDate": stamp(now),
        "deleted": one.is_deletion,
        "fileName": one.file,
        "fullName": one.name,
        "id": component_id(one.kind, one.name),
        "success": True,
    }


def _message(one: Problem, now: int) -> dict[str, Any]:
    return {
        "changed": False,
        "columnNumber": one.column,
        "componentType": one.kind,
        "created": False,
        "createdDate": stamp(now),
        "deleted": False,
        "fileName": one.file,
        "fullName": one.name,
        "lineNumber": one.line,
        "problem": one.text,
        "problemType": "Warning" if one.is_warning else "Error",
        "success": not one.fails,
    }
