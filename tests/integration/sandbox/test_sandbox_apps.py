"""External Client Apps while the org runs: client credentials, rotation, blocks and limits."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from simple_salesforce.login import token_login

from connectors.embedded.pki import App, ensure_app, write_apps
from connectors.sandbox.apps import RegisteredApp, change_app, new_secret

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ORDER, KEY = "Commerce_Order__c", "External_Id__c"
ROOT = Path(__file__).parents[3]
EU, UK = "Region_Sink_EU", "Region_Sink_UK"
BLOCKED = {"error": "OAUTH_APP_BLOCKED", "error_description": "this app is blocked by admin"}


def register(org: Any) -> Any:
    """Return *org*, which now knows the EU's app and the UK's as new, and no others."""
    (org.home / "sandbox/apps.json").unlink(missing_ok=True)
    write_apps(org.home, [ensure_app(org.home, "eu"), ensure_app(org.home, "uk")])
    return org


@pytest.fixture
def running(module_org: Any) -> Any:
    """Take the module's org."""
    return register(module_org)


@pytest.fixture
def fresh(start_org: Any) -> Any:
    """Start an org of the test's own, which has counted no call yet."""
    return register(start_org("--plain"))


def post_token(
    org: Any, form: dict[str, str], headers: dict[str, str] | None = None
) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"{org.url}/services/oauth2/token", data=form, headers=headers, timeout=30
        )


def by_assertion(org: Any, app: App) -> requests.Response:
    claims = {
        "iss": app.consumer_key,
        "sub": app.username,
        "aud": org.url,
        "exp": int(time.time()) + 180,
    }
    signed = jwt.encode(claims, app.private_key_file.read_text(), algorithm="RS256")
    return post_token(org, {"grant_type": JWT_BEARER, "assertion": signed})


def client_of(org: Any, answer: requests.Response) -> Any:
    """Return a client that goes on with a successful login."""
    client = org.login()
    client.token = answer.json()["access_token"]
    client.http.headers["Authorization"] = f"Bearer {client.token}"
    return client


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


# --- client credentials


def in_header(client_id: str, secret: str) -> tuple[dict[str, str], dict[str, str]]:
    word = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return {"grant_type": "client_credentials"}, {"Authorization": f"Basic {word}"}


def in_body(client_id: str, secret: str) -> tuple[dict[str, str], dict[str, str]]:
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": secret,
    }
    return form, {}


@pytest.mark.parametrize("send", [in_header, in_body])
def test_client_credentials_run_as_the_execution_user(
    running: Any, send: Callable[..., Any]
) -> None:
    sent = send(*new_secret(running.home, EU, "runner@homeport.example"))

    answer = post_token(running, *sent)

    who = client_of(running, answer).http.get(f"{running.url}/services/oauth2/userinfo", timeout=30)
    assert answer.status_code == 200
    assert answer.json()["instance_url"] == running.url
    assert all(isinstance(value, str) for value in answer.json().values())
    assert who.json()["preferred_username"] == "runner@homeport.example"


def test_simple_salesforce_logs_in_by_client_credentials(running: Any) -> None:
    form, headers = in_header(*new_secret(running.home, EU))
    session = requests.Session()
    session.trust_env = False

    with session:
        url = f"{running.url}/services/oauth2/token"
        token, instance = token_login(url, form, "", "", headers, None, session)

    assert token.startswith("00D")
    assert instance in running.url


REFUSED_CLIENTS: dict[str, tuple[dict[str, object], str, str]] = {
    "the flow is off": (
        {"has_client_credentials": False},
        "invalid_grant",
        "client credentials flow not enabled",
    ),
    "nobody to run as": (
        {"execution_user": None},
        "invalid_grant",
        "no client credentials user enabled",
    ),
    "another secret": ({"secret_sha256": "0" * 64}, "invalid_client", "invalid client credentials"),
    "no secret": ({"secret_sha256": None}, "invalid_client", "invalid client credentials"),
    "blocked": ({"blocked": True}, BLOCKED["error"], BLOCKED["error_description"]),
}


@pytest.mark.parametrize("case", REFUSED_CLIENTS)
def test_refused_client_credentials_have_the_pair_that_orgs_answer(running: Any, case: str) -> None:
    changes, error, description = REFUSED_CLIENTS[case]
    sent = in_header(*new_secret(running.home, EU))
    change(running, EU, **changes)

    answer = post_token(running, *sent)

    assert answer.status_code == 400
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {"error": error, "error_description": description}


def test_an_unknown_client_and_a_broken_header_are_refused(running: Any) -> None:
    form, _ = in_header("x", "y")

    unknown = post_token(running, *in_header("3MVG9nobody", "x")).json()
    broken = post_token(running, form, {"Authorization": "Basic %%%"}).json()
    missing = post_token(running, form).json()

    assert (
        unknown
        == missing
        == {
            "error": "invalid_client_id",
            "error_description": "client identifier invalid",
        }
    )
    assert broken["error"] == "invalid_client"


def test_client_credentials_are_for_the_orgs_own_domain(running: Any) -> None:
    form, headers = in_header(*new_secret(running.home, EU))

    answer = post_token(running, form, {**headers, "Host": "login.salesforce.com"})

    assert answer.json() == {
        "error": "invalid_grant",
        "error_description": "request not supported on this domain",
    }


def test_the_secret_is_not_kept(running: Any) -> None:
    _, secret = new_secret(running.home, EU)

    assert all(
        secret.encode() not in file.read_bytes()
        for file in running.home.rglob("*")
        if file.is_file()
    )


# --- rotation


def test_a_second_certificate_is_a_second_app_and_nothing_stops(
    running: Any, tmp_path: Path
) -> None:
    old = ensure_app(running.home, "eu")
    before = client_of(running, by_assertion(running, old))
    new = replace(ensure_app(tmp_path / "new", "eu"), name="Region_Sink_EU_2")

    write_apps(running.home, [new])

    after = client_of(running, by_assertion(running, new))
    before.upsert([{KEY: "kept"}])
    seen = after.query(f"SELECT Id FROM {ORDER} WHERE {KEY} = 'kept'")  # noqa: S608 -- our own
    assert seen["totalSize"] == 1  # one user behind both apps, so one owner
    change(running, EU, blocked=True)
    assert (status(before), status(after)) == (401, 200)
    assert by_assertion(running, old).json() == BLOCKED
    assert by_assertion(running, new).status_code == 200


def test_an_app_that_is_taken_from_the_file_is_out(running: Any) -> None:
    client = client_of(running, by_assertion(running, ensure_app(running.home, "eu")))
    file = running.home / "sandbox/apps.json"
    kept = [row for row in json.loads(file.read_text()) if row["name"] != EU]

    file.write_text(json.dumps(kept))

    assert status(client) == 401


# --- blocks


def test_a_blocked_app_is_out_and_the_others_go_on(running: Any) -> None:
    eu, uk = (
        client_of(running, by_assertion(running, ensure_app(running.home, r))) for r in ("eu", "uk")
    )
    assert (status(eu), status(uk)) == (200, 200)

    change(running, EU, blocked=True)

    refused = eu.call("GET", "limits")
    assert refused.status_code == 401
    assert refused.json() == [
        {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
    ]
    assert status(uk) == 200
    login = by_assertion(running, ensure_app(running.home, "eu"))
    assert (login.status_code, login.json()) == (400, BLOCKED)


def test_an_allowed_app_logs_in_anew_and_its_old_sessions_stay_ended(running: Any) -> None:
    app = ensure_app(running.home, "eu")
    old = client_of(running, by_assertion(running, app))
    change(running, EU, blocked=True)
    status(old)

    change(running, EU, blocked=False)

    assert status(old) == 401
    assert status(client_of(running, by_assertion(running, app))) == 200


def test_the_command_blocks_allows_and_lists(running: Any) -> None:
    old = client_of(running, by_assertion(running, ensure_app(running.home, "eu")))

    blocked = cli(running, "block", EU)
    listed = json.loads(cli(running, "list", "--json").stdout)
    allowed = cli(running, "allow", EU)

    assert (blocked.returncode, blocked.stdout) == (0, "")
    assert "sessions ended: " in blocked.stderr
    assert {row["name"]: row["blocked"] for row in listed} == {EU: True, UK: False}
    assert allowed.returncode == 0
    assert status(old) == 401  # though the org saw no call in between


def test_the_command_says_which_apps_there_are(running: Any) -> None:
    done = cli(running, "block", "Nobody")

    assert done.returncode == 1
    assert f"it has {EU}, {UK}" in done.stderr


def test_the_command_gives_a_secret_that_logs_in(running: Any) -> None:
    answer = json.loads(cli(running, "secret", EU, "--json").stdout)

    login = post_token(running, *in_body(answer["client_id"], answer["client_secret"]))

    assert login.status_code == 200


def test_registering_anew_leaves_a_block_and_other_apps_alone(running: Any) -> None:
    change(running, EU, blocked=True)
    secret = new_secret(running.home, UK)

    write_apps(running.home, [ensure_app(running.home, "eu")])

    assert by_assertion(running, ensure_app(running.home, "eu")).json() == BLOCKED
    assert post_token(running, *in_body(*secret)).status_code == 200


def test_a_file_that_is_being_edited_leaves_the_last_state_in_force(running: Any) -> None:
    client = client_of(running, by_assertion(running, ensure_app(running.home, "eu")))
    file = running.home / "sandbox/apps.json"
    text = file.read_text()

    file.write_text(text[:-30])
    during = status(client)
    file.write_text(text)

    assert (during, status(client)) == (200, 200)


def test_the_administrator_stays_one_when_an_app_runs_as_them(running: Any) -> None:
    answer = post_token(running, *in_body(*new_secret(running.home, EU, "admin")))

    made = client_of(running, answer).call("GET", f"sobjects/{ORDER}/describe").json()

    assert made["createable"]
    assert running.login().call("GET", "sobjects").status_code == 200
    assert len(running.login().call("GET", "sobjects").json()["sobjects"]) == 3


# --- limits


def test_an_app_with_a_limit_sees_it_in_the_header_and_is_stopped_at_it(fresh: Any) -> None:
    eu, uk = (
        client_of(fresh, by_assertion(fresh, ensure_app(fresh.home, r))) for r in ("eu", "uk")
    )
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
    eu = client_of(fresh, by_assertion(fresh, ensure_app(fresh.home, "eu")))
    change(fresh, EU, daily_calls=250)
    eu.call("GET", "sobjects")

    shown = eu.call("GET", "limits").json()["DailyApiRequests"]

    assert shown == {"Max": 100_000, "Remaining": 99_998, EU: {"Max": 250, "Remaining": 248}}


def test_an_apps_calls_still_count_after_a_restart(start_org: Any, fresh: Any) -> None:
    eu = client_of(fresh, by_assertion(fresh, ensure_app(fresh.home, "eu")))
    change(fresh, EU, daily_calls=250)
    eu.call("GET", "sobjects")
    fresh.stop()

    again = start_org("--plain")

    eu.org = again
    header = eu.call("GET", "sobjects").headers["Sforce-Limit-Info"]
    assert header == f"api-usage=2/100000; per-app-api-usage=2/250(appName={EU})"


def test_an_app_without_a_certificate_takes_no_assertions(running: Any) -> None:
    app = change(running, EU, certificate="")

    answer = by_assertion(running, ensure_app(running.home, "eu"))

    assert asdict(app)["certificate"] == ""
    assert answer.json() == {"error": "invalid_grant", "error_description": "invalid assertion"}
