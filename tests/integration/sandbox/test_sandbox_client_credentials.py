"""Client credentials: who gets a session, as whom, and what the others hear."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests
from simple_salesforce.login import token_login

from connectors.embedded.pki import ensure_app
from connectors.sandbox.logins.apps import change_app, new_secret

EU, UK, KEY = "Region_Sink_EU", "Region_Sink_UK", "External_Id__c"
BLOCKED = {"error": "OAUTH_APP_BLOCKED", "error_description": "this app is blocked by admin"}


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

    answer = running.post_token(*sent)

    who = running.client(answer).http.get(f"{running.url}/services/oauth2/userinfo", timeout=30)
    assert answer.status_code == 200
    assert answer.json()["instance_url"] == running.url
    assert all(isinstance(value, str) for value in answer.json().values())
    assert who.json()["preferred_username"] == "runner@homeport.example"


def test_simple_salesforce_logs_in_by_client_credentials(running: Any) -> None:
    form, headers = in_header(*new_secret(running.home, EU))
    session = requests.Session()
    session.trust_env, session.verify = False, running.ready["ca_file"]

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
    change_app(running.home, EU, lambda app: replace(app, **changes))  # type: ignore[arg-type]

    answer = running.post_token(*sent)

    assert answer.status_code == 400
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {"error": error, "error_description": description}


def test_an_unknown_client_and_a_broken_header_are_refused(running: Any) -> None:
    form, _ = in_header("x", "y")

    unknown = running.post_token(*in_header("3MVG9nobody", "x")).json()
    broken = running.post_token(form, {"Authorization": "Basic %%%"}).json()
    missing = running.post_token(form).json()

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

    answer = running.post_token(form, {**headers, "Host": "login.salesforce.com"})

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


def test_the_administrator_stays_one_when_an_app_runs_as_them(running: Any) -> None:
    sent = in_body(*new_secret(running.home, UK, "admin"))
    running.client(running.by_assertion(ensure_app(running.home, "eu"))).upsert([{KEY: "theirs"}])

    client = running.client(running.post_token(*sent))

    found = client.query(f"SELECT Id FROM Commerce_Order__c WHERE {KEY} = 'theirs'")  # noqa: S608
    assert found["totalSize"] == 1
