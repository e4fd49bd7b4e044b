"""Section 1.1, what goes with a login: who it is, introspection, revocation, dead sessions.

How long an idle session lives is in test_sandbox_login, which can reach the org's clock.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from documented import BASE, at

from connectors.embedded.pki import App, ensure_app, write_apps
from connectors.sandbox.faults.remote import control
from connectors.sandbox.logins.apps import new_secret

EU = "Region_Sink_EU"
ID = r"[0-9A-Za-z]{18}"
IDENTITY = r"https?://[^/]+/id/00D[0-9A-Za-z]{15}/005[0-9A-Za-z]{15}"
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


@pytest.fixture(scope="module")
def org(module_org: Any) -> Any:
    """Take the module's org, with the app of a region."""
    write_apps(module_org.home, [ensure_app(module_org.home, "eu")])
    return module_org


@pytest.fixture(scope="module")
def app(org: Any) -> App:
    return ensure_app(org.home, "eu")


@pytest.fixture(scope="module")
def eu(org: Any, app: App) -> Any:
    return org.client(org.by_assertion(app))


@pytest.fixture
def anonymous(org: Any) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env, session.verify = False, org.ready["ca_file"]
        yield session


def test_1_1_userinfo_has_the_documented_members(org: Any, app: App, eu: Any) -> None:
    shown = eu.http.get(f"{org.url}/services/oauth2/userinfo", timeout=30).json()

    wanted = {"user_id", "organization_id", "preferred_username", "sub", "urls"}
    assert wanted <= shown.keys()
    assert re.fullmatch(ID, shown["user_id"])
    assert re.fullmatch(ID, shown["organization_id"])
    assert shown["preferred_username"] == app.username
    assert shown["sub"].endswith(f"/id/{shown['organization_id']}/{shown['user_id']}")
    assert isinstance(shown["urls"], dict)


def test_1_1_the_identity_has_the_documented_members(org: Any, app: App, eu: Any) -> None:
    user = eu.http.get(f"{org.url}/services/oauth2/userinfo", timeout=30).json()
    path = f"/id/{user['organization_id']}/{user['user_id']}"

    shown = eu.http.get(f"{org.url}{path}", params={"format": "json"}, timeout=30).json()

    assert shown.keys() >= {
        "id", "user_id", "organization_id", "username", "email", "display_name", "active", "urls",
    }  # fmt: skip
    assert shown["id"].endswith(path)
    assert (shown["username"], shown["active"]) == (app.username, True)
    urls = shown["urls"]
    assert urls.keys() >= {"rest", "sobjects", "query", "enterprise", "metadata", "partner"}
    assert all("{version}" in urls[name] for name in ("rest", "sobjects", "query", "partner"))


def test_1_1_introspection_tells_a_live_token_from_a_dead_one(org: Any, app: App) -> None:
    client_id, secret = new_secret(org.home, EU)
    live = org.by_assertion(app).json()["access_token"]
    url, form = (
        f"{org.url}/services/oauth2/introspect",
        {
            "client_id": client_id, "client_secret": secret, "token_type_hint": "access_token",
        },
    )  # fmt: skip

    with requests.Session() as session:
        session.trust_env, session.verify = False, org.ready["ca_file"]
        alive = session.post(url, data={**form, "token": live}, timeout=30)
        dead = session.post(url, data={**form, "token": "00Dnothing!x"}, timeout=30)

    assert (alive.status_code, alive.json()["active"]) == (200, True)
    assert (dead.status_code, dead.json()["active"]) == (200, False)


def test_1_1_revoke_answers_200_and_ends_the_session(org: Any, app: App) -> None:
    session = org.client(org.by_assertion(app))
    assert session.call("GET", "limits").status_code == 200

    answer = session.http.post(
        f"{org.url}/services/oauth2/revoke", data={"token": session.token}, timeout=30
    )

    after = session.call("GET", "limits")
    assert answer.status_code == 200
    assert (after.status_code, after.json()) == (401, EXPIRED)


def test_1_1_the_versions_are_listed_without_a_session(org: Any, anonymous: Any) -> None:
    versions = anonymous.get(f"{org.url}/services/data/", timeout=30).json()

    assert {"label": "Winter '24", "url": "/services/data/v59.0", "version": "59.0"} in versions
    assert all(v.keys() == {"label", "url", "version"} for v in versions)
    assert all(v["url"] == f"/services/data/v{v['version']}" for v in versions)


def test_1_1_a_version_maps_its_resources_and_names_the_caller(eu: Any) -> None:
    shown = at(eu, "59.0", "GET", "").json()

    for name in ("sobjects", "query", "composite", "jobs", "limits"):
        assert shown[name] == f"/services/data/v59.0/{name}"
    assert re.fullmatch(IDENTITY, shown["identity"])


TOKENS = {
    "1.1 unknown": "00DRO0000008aXd!AQEAQnothing",
    "1.1 no token of an org": "x",
}


@pytest.mark.parametrize("case", TOKENS)
def test_a_token_that_is_none_is_401_with_an_array(org: Any, anonymous: Any, case: str) -> None:
    anonymous.headers["Authorization"] = f"Bearer {TOKENS[case]}"

    answer = anonymous.get(f"{org.url}{BASE}/limits", timeout=30)

    assert (answer.status_code, answer.json()) == (401, EXPIRED)


def test_1_1_an_expired_token_is_401_with_an_array(faulty: Any, client: Any) -> None:
    control(faulty.home, faulty.port).expire_sessions()

    answer = client.call("GET", "limits")

    assert (answer.status_code, answer.json()) == (401, EXPIRED)


def test_1_1_bulk_1_says_it_in_its_own_form(org: Any, anonymous: Any) -> None:
    answer = anonymous.post(
        f"{org.url}/services/async/59.0/job",
        json={"object": "Account", "operation": "insert"},
        headers={"X-SFDC-Session": "00Dnothing!x"},
        timeout=30,
    )

    assert answer.status_code in {400, 401}
    assert answer.json() == {
        "exceptionCode": "InvalidSessionId",
        "exceptionMessage": "Invalid session id",
    }


def test_1_1_a_soap_login_is_refused_in_the_words_clients_read(org: Any, anonymous: Any) -> None:
    """0.1: off by default in the orgs of our time; the prefix must be sf, or it is not read."""
    body = (
        '<?xml version="1.0" encoding="utf-8" ?>'
        '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body>'
        '<n1:login xmlns:n1="urn:partner.soap.sforce.com"><n1:username>u</n1:username>'
        "<n1:password>p</n1:password></n1:login></env:Body></env:Envelope>"
    )
    headers = {"content-type": "text/xml", "charset": "UTF-8", "SOAPAction": "login"}

    answer = anonymous.post(
        f"{org.url}/services/Soap/u/59.0", data=body, headers=headers, timeout=30
    )

    assert answer.status_code == 500
    assert re.search("<sf:exceptionCode>[A-Z_]+</sf:exceptionCode>", answer.text)
    assert re.search("<sf:exceptionMessage>[^<]+</sf:exceptionMessage>", answer.text)
    assert "sessionId" not in answer.text
