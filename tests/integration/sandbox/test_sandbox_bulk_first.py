"""Bulk API 1.0 is refused in its own form, and the want of a session before all else."""

from typing import Any


def test_bulk_1_is_refused_in_its_own_form(org: Any, admin: Any) -> None:
    def call(token: str) -> tuple[int, dict[str, str]]:
        answer = admin.http.post(
            f"{org.url}/services/async/59.0/job",
            json={"object": "Account", "operation": "insert"},
            headers={"X-SFDC-Session": token},
            timeout=30,
        )
        return answer.status_code, answer.json()

    without, given = call("00Dnothing!x"), call(admin.token)

    assert without == (
        400,
        {"exceptionCode": "InvalidSessionId", "exceptionMessage": "Invalid session id"},
    )
    assert given == (
        400,
        {"exceptionCode": "FeatureNotEnabled", "exceptionMessage": "Async API not enabled"},
    )
