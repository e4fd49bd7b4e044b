"""External Client Apps while the org runs: client credentials, rotation, blocks and limits."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import requests

from connectors.embedded.pki import ensure_app, write_apps
from connectors.sandbox.logins.apps import RegisteredApp, change_app, new_secret

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ORDER, KEY = "Commerce_Order__c", "External_Id__c"
ROOT = Path(__file__).parents[3]
EU, UK = "Region_Sink_EU", "Region_Sink_UK"
BLOCKED = {"error": "OAUTH_APP_BLOCKED", "error_description": "this app is blocked by admin"}


def status(client: Any) -> int:
    return int(client.call("GET", "sobjects").status_code)


def change(org: Any, name: str, **changes: object) -> RegisteredApp:
    return change_app(org.home, name, lambda app: replace(app, **changes))  # type: ignore[arg-type]


def cli(org: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "streams.cli", "sandbox", "app", *arguments]
    return subprocess.run(
        [*argv, "--home", str(org.home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )


def by_secret(org: Any, client_id: str, secret: str) -> requests.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": secret,
    }
    return org.post_token(form)


# --- rotation


def test_a_second_certificate_is_a_second_app_and_nothing_stops(
    running: Any, tmp_path: Path
) -> None:
    old = ensure_app(running.home, "eu")
    before = running.client(running.by_assertion(old))
    new = replace(ensure_app(tmp_path / "new", "eu"), name="Region_Sink_EU_2")

    write_apps(running.home, [new])

    after = running.client(running.by_assertion(new))
    before.upsert([{KEY: "kept"}])
    seen = after.query(f"SELECT Id FROM {ORDER} WHERE {KEY} = 'kept'")  # noqa: S608 -- our own
    assert seen["totalSize"] == 1  # one user behind both apps, so one owner
    change(running, EU, blocked=True)
    assert (status(before), status(after)) == (401, 200)
    assert running.by_assertion(old).json() == BLOCKED
    assert running.by_assertion(new).status_code == 200


def test_an_app_that_is_taken_from_the_file_is_out(running: Any) -> None:
    client = running.client(running.by_assertion(ensure_app(running.home, "eu")))
    file = running.home / "sandbox/apps.json"
    kept = [row for row in json.loads(file.read_text()) if row["name"] != EU]

    file.write_text(json.dumps(kept))

    assert status(client) == 401


# --- blocks


def test_a_blocked_app_is_out_and_the_others_go_on(running: Any) -> None:
    eu, uk = (
        running.client(running.by_assertion(ensure_app(running.home, r))) for r in ("eu", "uk")
    )
    assert (status(eu), status(uk)) == (200, 200)

    change(running, EU, blocked=True)

    refused = eu.call("GET", "limits")
    assert refused.status_code == 401
    assert refused.json() == [
        {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
    ]
    assert status(uk) == 200
    login = running.by_assertion(ensure_app(running.home, "eu"))
    assert (login.status_code, login.json()) == (400, BLOCKED)


def test_an_allowed_app_logs_in_anew_and_its_old_sessions_stay_ended(running: Any) -> None:
    app = ensure_app(running.home, "eu")
    old = running.client(running.by_assertion(app))
    change(running, EU, blocked=True)
    status(old)

    change(running, EU, blocked=False)

    assert status(old) == 401
    assert status(running.client(running.by_assertion(app))) == 200


def test_the_command_blocks_allows_and_lists(running: Any) -> None:
    old = running.client(running.by_assertion(ensure_app(running.home, "eu")))

    blocked = cli(running, "block", EU)
    listed = json.loads(cli(running, "list", "--json").stdout)
    allowed = cli(running, "allow", EU)

    assert (blocked.returncode, blocked.stdout) == (0, "")
    assert "sessions ended: " in blocked.stderr
    assert {row["name"]: row["blocked"] for row in listed} == {
        EU: True,
        UK: False,
        "PlatformCLI": False,
    }
    assert allowed.returncode == 0
    assert status(old) == 401  # though the org saw no call in between


def test_the_command_says_which_apps_there_are(running: Any) -> None:
    done = cli(running, "block", "Nobody")

    assert done.returncode == 1
    assert f"it has {EU}, {UK}" in done.stderr


def test_the_command_gives_a_secret_that_logs_in(running: Any) -> None:
    answer = json.loads(cli(running, "secret", EU, "--json").stdout)

    login = by_secret(running, answer["client_id"], answer["client_secret"])

    assert login.status_code == 200


def test_registering_anew_leaves_a_block_and_other_apps_alone(running: Any) -> None:
    change(running, EU, blocked=True)
    secret = new_secret(running.home, UK)

    write_apps(running.home, [ensure_app(running.home, "eu")])

    assert running.by_assertion(ensure_app(running.home, "eu")).json() == BLOCKED
    assert by_secret(running, *secret).status_code == 200


def test_a_file_that_is_being_edited_leaves_the_last_state_in_force(running: Any) -> None:
    client = running.client(running.by_assertion(ensure_app(running.home, "eu")))
    file = running.home / "sandbox/apps.json"
    text = file.read_text()

    file.write_text(text[:-30])
    during = status(client)
    file.write_text(text)

    assert (during, status(client)) == (200, 200)


# --- limits


def test_an_app_with_a_limit_sees_it_in_the_header_and_is_stopped_at_it(fresh: Any) -> None:
    eu, uk = (fresh.client(fresh.by_assertion(ensure_app(fresh.home, r))) for r in ("eu", "uk"))
    assert cli(fresh, "limit", EU, "2").returncode == 0

    answers = [eu.call("GET", "sobjects") for _ in range(3)]

    assert [a.status_code for a in answers] == [200, 200, 403]
    assert [a.headers["Sforce-Limit-Info"] for a in answers] == [
        f"api-usage=1/100000; per-app-api-usage=1/2(appName={EU})",
        f"api-usage=2/100000; per-app-api-usage=2/2(appName={EU})",
        f"api-usage=2/100000; per-app-api-usage=2/2(appName={EU})",
    ]
    assert answers[2].json() == [
        {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
    ]
    assert uk.call("GET", "sobjects").headers["Sforce-Limit-Info"] == "api-usage=3/100000"


def test_limits_show_the_orgs_and_the_apps_calls_left(fresh: Any) -> None:
    eu = fresh.client(fresh.by_assertion(ensure_app(fresh.home, "eu")))
    change(fresh, EU, daily_calls=250)
    eu.call("GET", "sobjects")

    shown = eu.call("GET", "limits").json()["DailyApiRequests"]

    assert shown == {"Max": 100_000, "Remaining": 99_998, EU: {"Max": 250, "Remaining": 248}}


def test_an_apps_calls_still_count_after_a_restart(start_org: Any, fresh: Any) -> None:
    eu = fresh.client(fresh.by_assertion(ensure_app(fresh.home, "eu")))
    change(fresh, EU, daily_calls=250)
    eu.call("GET", "sobjects")
    fresh.stop()

    again = start_org("--plain")

    eu.org = again
    header = eu.call("GET", "sobjects").headers["Sforce-Limit-Info"]
    assert header == f"api-usage=2/100000; per-app-api-usage=2/250(appName={EU})"


def test_an_app_without_a_certificate_takes_no_assertions(running: Any) -> None:
    app = change(running, EU, certificate="")

    answer = running.by_assertion(ensure_app(running.home, "eu"))

    assert asdict(app)["certificate"] == ""
    assert answer.json() == {"error": "invalid_grant", "error_description": "invalid assertion"}
