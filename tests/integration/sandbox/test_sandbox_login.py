"""Logins: JWT bearer against the registered certificate, sessions, per-app rights."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce.exceptions import SalesforceAuthenticationFailed
from simple_salesforce.login import soap_login

from connectors.embedded.pki import App, ensure_app, write_apps

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ORDER, KEY = "Commerce_Order__c", "External_Id__c"

LOGIN = """<?xml version="1.0" encoding="utf-8"?>
<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body>
<n1:login xmlns:n1="urn:partner.soap.sforce.com"><n1:username>admin</n1:username>
<n1:password>x</n1:password></n1:login></env:Body></env:Envelope>"""


@pytest.fixture(scope="session")
def eu(org: Any) -> App:
    """Register the EU's app, after the org was started, with the UK's beside it."""
    apps = [ensure_app(org.home, "eu"), ensure_app(org.home, "uk")]
    write_apps(org.home, apps)
    return apps[0]


def claims(org: Any, app: App, **changes: object) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": app.consumer_key, "sub": app.username, "aud": org.url, "exp": now + 180, **changes,
    }  # fmt: skip


def login(org: Any, app: App, payload: dict[str, Any], key: object = None) -> requests.Response:
    signed = jwt.encode(payload, key or app.private_key_file.read_text(), algorithm="RS256")
    return post_token(org, {"grant_type": GRANT, "assertion": signed})


def post_token(org: Any, form: dict[str, str]) -> requests.Response:
    with requests.Session() as session:
        session.trust_env, session.verify = False, org.ready["ca_file"]
        return session.post(f"{org.url}/services/oauth2/token", data=form, timeout=30)


def test_a_login_answers_strings_and_opens_the_org(org: Any, eu: App) -> None:
    answer = login(org, eu, claims(org, eu))

    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert all(isinstance(value, str) for value in body.values())
    assert body.keys() >= {
        "access_token", "instance_url", "id", "token_type", "issued_at", "signature",
    }  # fmt: skip
    assert body["token_type"] == "Bearer"
    assert body["instance_url"] == org.url
    assert body["access_token"].startswith("00D")
    assert body["access_token"][15] == "!"
    assert len(body["issued_at"]) == 13  # milliseconds


def test_exp_may_be_a_string(org: Any, eu: App) -> None:
    # PyJWT refuses to encode it: sign the payload ourselves, as simple-salesforce's age-old way
    payload = claims(org, eu, exp=str(int(time.time()) + 100))
    signed = jwt.PyJWS().encode(_json(payload), eu.private_key_file.read_text(), algorithm="RS256")

    answer = post_token(org, {"grant_type": GRANT, "assertion": signed})

    assert answer.status_code == 200


def test_an_assertion_as_the_official_command_line_makes_it_opens_a_session(
    org: Any, eu: App
) -> None:
    made = {"aud": f"{org.url}/", "exp": int(time.time() * 1000) + 300}

    answer = login(org, eu, claims(org, eu, **made))

    assert answer.status_code == 200


REFUSALS: dict[str, tuple[dict[str, object], str, str]] = {
    "another audience": ({"aud": "https://acme.example"}, "invalid_grant", "audience is invalid"),
    "a legacy audience": (
        {"aud": "https://login.salesforce.com"},
        "app_not_found",
        "External client app is not installed in this org",
    ),
    "expired": ({"exp": 1_700_000_000}, "invalid_grant", "expired authorization code"),
    "too long": ({"exp": 4_000_000_000}, "invalid_grant", "invalid assertion"),
    "too long in milliseconds": ({"exp": 4e12}, "invalid_grant", "invalid assertion"),
    "infinite": ({"exp": "inf"}, "invalid_grant", "invalid assertion"),
    "an unknown app": ({"iss": "3MVG9nobody"}, "invalid_client_id", "client identifier invalid"),
    "an unknown user": (
        {"sub": "nobody@homeport.example"},
        "invalid_grant",
        "user hasn't approved this consumer",
    ),
    "another region's user": (
        {"sub": "integration.uk@homeport.example"},
        "invalid_grant",
        "user is not admin approved to access this app",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_login_has_the_documented_pair(org: Any, eu: App, case: str) -> None:
    changes, error, description = REFUSALS[case]

    answer = login(org, eu, claims(org, eu, **changes))

    assert answer.status_code == 400
    assert answer.json() == {"error": error, "error_description": description}


def test_a_signature_by_another_key_is_refused(org: Any, eu: App) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    answer = login(org, eu, claims(org, eu), stranger)

    assert answer.json() == {"error": "invalid_grant", "error_description": "invalid assertion"}


def test_only_rs256_is_taken(org: Any, eu: App) -> None:
    unsigned = jwt.encode(claims(org, eu), "", algorithm="none")
    rs512 = jwt.encode(claims(org, eu), eu.private_key_file.read_text(), algorithm="RS512")

    answers = [post_token(org, {"grant_type": GRANT, "assertion": a}) for a in (unsigned, rs512)]

    assert [a.json()["error_description"] for a in answers] == ["invalid assertion"] * 2


@pytest.mark.parametrize("grant", ["device", ""])
def test_other_grants_are_unsupported(org: Any, grant: str) -> None:
    answer = post_token(org, {"grant_type": grant})

    assert answer.status_code == 400
    assert answer.json()["error"] == "unsupported_grant_type"


def test_a_username_and_password_open_nothing(org: Any, eu: App) -> None:
    answer = post_token(
        org,
        {
            "grant_type": "password",
            "client_id": eu.consumer_key,
            "client_secret": "x",
            "username": eu.username,
            "password": "x",
        },
    )

    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_grant",
        "error_description": "authentication failure",
    }


@pytest.mark.parametrize("api", ["u/59.0", "c/59.0", "u/65.0"])
def test_soap_login_is_disabled_in_words_that_clients_can_read(org: Any, api: str) -> None:
    session = requests.Session()
    session.trust_env, session.verify = False, org.ready["ca_file"]

    with session, pytest.raises(SalesforceAuthenticationFailed) as refusal:
        soap_login(f"{org.url}/services/Soap/{api}", LOGIN, {}, None, session)

    assert refusal.value.code == "INVALID_OPERATION"
    assert "SOAP API login() is disabled by default in this org." in str(refusal.value)


def test_without_a_session_every_resource_is_401_and_the_versions_are_open(org: Any) -> None:
    with requests.Session() as session:
        session.trust_env, session.verify = False, org.ready["ca_file"]
        versions = session.get(f"{org.url}/services/data/", timeout=30)
        none = session.get(f"{org.url}/services/data/v62.0/limits", timeout=30)
        bad = session.get(
            f"{org.url}/services/data/v62.0/limits",
            headers={"Authorization": "Bearer 00Dnothing!x"},
            timeout=30,
        )
        wrong_scheme = session.get(
            f"{org.url}/services/data/v62.0/limits",
            headers={"Authorization": "Basic eA=="},
            timeout=30,
        )

    expected = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    assert {"label": "Winter '24", "url": "/services/data/v59.0", "version": "59.0"} in (
        versions.json()
    )
    assert "Sforce-Limit-Info" not in versions.headers
    assert (none.status_code, none.json()) == (bad.status_code, bad.json()) == (401, expected)
    assert wrong_scheme.json()[0]["errorCode"] == "INVALID_AUTH_HEADER"


def region_client(org: Any, admin: Any, region: str) -> Any:
    app = ensure_app(org.home, region)
    token = login(org, app, claims(org, app)).json()["access_token"]
    return type(admin)(org, token)


def test_a_revoked_session_is_gone(org: Any, admin: Any, eu: App) -> None:
    client = region_client(org, admin, eu.region)
    url = f"{org.url}/services/oauth2/revoke"
    assert client.call("GET", "limits").status_code == 200

    client.http.post(url, data={"token": client.token}, timeout=30)

    assert client.call("GET", "limits").status_code == 401


def test_the_identity_url_shows_the_user(org: Any, admin: Any, eu: App) -> None:
    client = region_client(org, admin, eu.region)
    identity = client.call("GET", "").json()["identity"]

    shown = client.http.get(identity, params={"format": "json"}, timeout=30).json()

    assert shown["username"] == eu.username
    assert shown["id"] == identity


def test_a_region_sees_and_changes_only_its_own_rows(org: Any, admin: Any, eu: App) -> None:
    in_eu, in_uk = (region_client(org, admin, r) for r in (eu.region, "uk"))
    in_eu.upsert([{KEY: "own-eu"}])

    seen = in_uk.query(f"SELECT Id FROM {ORDER} WHERE {KEY} = 'own-eu'")["totalSize"]
    refused = in_uk.upsert([{KEY: "own-eu", "Currency__c": "GBP"}]).json()[0]

    assert in_eu.query(f"SELECT Id FROM {ORDER} WHERE {KEY} = 'own-eu'")["totalSize"] == 1
    assert admin.query(f"SELECT Id FROM {ORDER} WHERE {KEY} = 'own-eu'")["totalSize"] == 1
    assert seen == 0
    assert refused["errors"][0]["statusCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"


def test_an_idle_session_expires_and_a_used_one_slides(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    database = _database(running.home)
    database.execute("UPDATE sessions SET used_at = used_at - 7100")  # 1 h 58 min ago
    database.commit()
    assert client.call("GET", "limits").status_code == 200  # and is used again

    _wait_for(lambda: client.call("GET", "limits").status_code == 200 and _age(database) < 60)
    database.execute("UPDATE sessions SET used_at = used_at - 7201")
    database.commit()

    assert client.call("GET", "limits").status_code == 401
    database.close()


def _age(database: Any) -> float:
    return time.time() - float(database.execute("SELECT used_at FROM sessions").fetchone()[0])


def _database(home: Path) -> Any:

    return sqlite3.connect(home / "sandbox/org.sqlite", timeout=30)


def _wait_for(check: Any) -> None:
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _json(payload: dict[str, Any]) -> bytes:

    return json.dumps(payload).encode()
