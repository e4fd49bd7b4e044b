"""Who a token is: identity URL, UserInfo, introspection, discovery; and how often one logs in."""

import http.client
import json
import sqlite3
import time
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from org_person import Person, token_form

from connectors.embedded.pki import ensure_app
from connectors.sandbox.logins.apps import new_secret

EU, UK = "Region_Sink_EU", "Region_Sink_UK"


def get(org: Any, path: str, token: str | None = None, **options: Any) -> requests.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with requests.Session() as session:
        session.trust_env, session.verify = False, org.ready["ca_file"] or True
        return session.get(f"{org.url}{path}", headers=headers, timeout=30, **options)


def ids(org: Any, token: str) -> tuple[str, str, str]:
    """Return the path of the caller's identity URL, and the org's and the user's id in it."""
    url = get(org, "/services/data/v62.0", token).json()["identity"].removeprefix(org.url)
    return url, *url.split("/")[2:]


def test_the_identity_shows_every_documented_member(org: Any, admin: Any) -> None:
    path, org_id, user_id = ids(org, admin.token)

    shown = get(org, f"{path}?format=json", admin.token).json()

    user = admin.query(
        "SELECT Id, Name, Email, LastName, CommunityNickname, LastModifiedDate FROM User"  # noqa: S608
        f" WHERE Id = '{user_id}'"
    )["records"][0]
    assert shown["id"] == org.url + path
    assert (shown["organization_id"], shown["user_id"]) == (org_id, user_id)
    assert shown["username"] == "admin"
    assert (shown["display_name"], shown["last_name"]) == (user["Name"], user["LastName"])
    assert (shown["email"], shown["email_verified"]) == (user["Email"], True)
    assert shown["nick_name"] == user["CommunityNickname"]
    assert shown["last_modified_date"] == user["LastModifiedDate"]
    assert shown["active"] is True
    assert shown["asserted_user"] is True
    assert shown["is_app_installed"] is True
    assert shown["user_type"] == "STANDARD"
    assert shown["status"] == {"created_date": None, "body": None}
    assert shown.keys() >= {
        "first_name", "timezone", "addr_street", "addr_city", "addr_state", "addr_country",
        "addr_zip", "mobile_phone", "mobile_phone_verified", "language", "locale", "utcOffset",
    }  # fmt: skip


def test_the_urls_leave_the_version_open_unless_one_is_asked_for(org: Any, admin: Any) -> None:
    path, org_id, _ = ids(org, admin.token)

    answers = [
        get(org, path, admin.token, params={"version": v} if v else {}).json()["urls"]
        for v in ("", "59.0", "59", "latest")
    ]

    assert answers[0]["rest"] == f"{org.url}/services/data/v{{version}}/"
    assert answers[0]["partner"] == f"{org.url}/services/Soap/u/{{version}}/{org_id[:15]}"
    assert answers[0]["custom_domain"] == org.url
    assert answers[0].keys() >= {
        "enterprise", "metadata", "partner", "rest", "sobjects", "search", "query", "recent",
        "tooling_soap", "tooling_rest", "profile",
    }  # fmt: skip
    assert [a["sobjects"].split("/")[-3] for a in answers[1:]] == ["v59.0", "v59.0", "v67.0"]


def test_userinfo_shows_every_documented_member(org: Any, admin: Any) -> None:
    path, org_id, user_id = ids(org, admin.token)

    shown = get(org, "/services/oauth2/userinfo", admin.token).json()

    assert shown["sub"] == org.url + path
    assert (shown["organization_id"], shown["user_id"]) == (org_id, user_id)
    assert shown["preferred_username"] == "admin"
    assert shown["active"] is True
    assert shown["urls"]["rest"] == f"{org.url}/services/data/v{{version}}/"
    assert shown.keys() >= {
        "nickname", "name", "email", "email_verified", "given_name", "family_name", "zoneinfo",
        "profile", "user_type", "language", "locale", "utcOffset", "updated_at",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["identity", "/services/oauth2/userinfo"])
def test_without_a_good_token_the_answer_is_one_word_and_403(
    org: Any, admin: Any, path: str
) -> None:
    path = ids(org, admin.token)[0] if path == "identity" else path

    missing, bad = get(org, path), get(org, path, "00Dnothing!x")

    assert (missing.status_code, missing.text) == (403, "Missing_OAuth_Token")
    assert (bad.status_code, bad.text) == (403, "Bad_OAuth_Token")
    assert missing.headers["Content-Type"].startswith("text/plain")


def test_the_token_may_come_in_the_url(org: Any, admin: Any) -> None:
    shown = get(org, "/services/oauth2/userinfo", params={"oauth_token": admin.token})

    assert shown.json()["preferred_username"] == "admin"


def test_an_identity_url_of_somebody_else_says_what_is_wrong_with_it(org: Any, admin: Any) -> None:
    _, own, user = ids(org, admin.token)
    wrong = {
        f"/id/00D000000000062EAA/{user}": (403, "Wrong_Org"),
        f"/id/nothing/{user}": (404, "Bad_Id"),
        f"/id/{own}/005RO00000zzzzzYAA": (404, "Bad_Id"),
        f"/id/{own}/001RO0000000009YAA": (404, "Bad_Id"),
        f"/id/{own}/{user}?version=soon": (406, "Invalid_Version"),
    }

    answers = {path: get(org, path, admin.token) for path in wrong}

    assert {p: (a.status_code, a.text) for p, a in answers.items()} == wrong
    assert get(org, f"/id/{own[:15]}/{user[:15]}", admin.token).status_code == 200


def test_whoever_has_the_api_may_see_other_users_and_nobody_else_may(running: Any) -> None:
    path, org_id, _ = ids(running, running.login().token)
    eu = running.by_assertion(ensure_app(running.home, "eu")).json()["access_token"]
    weak = running.post_token(token_form(Person(running).code(scope="id"))).json()["access_token"]
    other = ids(running, eu)[0]

    shown = get(running, path, eu).json()
    refused = get(running, other, weak)

    assert (shown["username"], shown["asserted_user"]) == ("admin", False)
    assert shown["organization_id"] == org_id
    assert (refused.status_code, refused.text) == (404, "No_Access")


def test_every_endpoint_that_is_offered_is_there(org: Any) -> None:
    offered = get(org, "/.well-known/openid-configuration").json()

    endpoints = {url for name, url in offered.items() if name.endswith("_endpoint")}
    assert offered["issuer"] == org.url
    assert offered["response_types_supported"] == ["code"]
    assert len(endpoints) == 5
    for url in endpoints:
        assert get(org, url.removeprefix(org.url)).status_code != 404, url


# --- introspection


def introspect(org: Any, token: str, client: tuple[str, str], **options: Any) -> Any:
    form = {"token": token, "client_id": client[0], "client_secret": client[1]}
    with requests.Session() as session:
        session.trust_env, session.verify = False, org.ready["ca_file"] or True
        url = f"{org.url}/services/oauth2/introspect"
        return session.post(url, data=form, timeout=30, **options)


def test_an_app_learns_what_its_token_is_good_for(running: Any) -> None:
    client = new_secret(running.home, EU)
    app = ensure_app(running.home, "eu")
    login = running.by_assertion(app).json()
    before = int(time.time())

    shown = introspect(running, login["access_token"], client)

    body = shown.json()
    assert shown.headers["Cache-Control"] == "no-store"
    assert list(body) == [
        "active", "scope", "client_id", "username", "sub", "token_type", "exp", "iat", "nbf",
    ]  # fmt: skip
    assert body["active"] is True
    assert (body["scope"], body["client_id"]) == (login["scope"], client[0])
    assert (body["username"], body["sub"]) == (app.username, login["id"])
    assert body["token_type"] == "access_token"
    assert body["exp"] - body["iat"] == 7200
    assert abs(body["iat"] - before) <= 2
    assert body["nbf"] == body["iat"]


def test_a_basic_header_proves_the_app_too(running: Any) -> None:
    client = new_secret(running.home, EU)
    login = running.by_assertion(ensure_app(running.home, "eu")).json()

    shown = introspect(running, login["access_token"], ("", ""), auth=client)

    assert shown.json()["active"] is True


def test_a_refresh_token_can_be_looked_at(running: Any) -> None:
    client = new_secret(running.home, "PlatformCLI", "admin")
    form = token_form(Person(running).code(), client_secret=client[1])
    token = running.post_token(form).json()["refresh_token"]

    shown = introspect(running, token, client).json()

    assert (shown["active"], shown["token_type"]) == (True, "refresh_token")
    assert shown["username"] == "admin"


@pytest.mark.parametrize("state", ["unknown", "of another app", "revoked", "idle for too long"])
def test_any_other_token_is_not_active_and_nothing_more_is_said(running: Any, state: str) -> None:
    client = new_secret(running.home, EU)
    token = running.by_assertion(ensure_app(running.home, "eu")).json()["access_token"]
    if state == "unknown":
        token = "00Dnothing!x"
    elif state == "of another app":
        token = running.by_assertion(ensure_app(running.home, "uk")).json()["access_token"]
    elif state == "revoked":
        get(running, "/services/oauth2/revoke", params={"token": token})
    else:
        with sqlite3.connect(running.home / "sandbox/org.sqlite", timeout=30) as database:
            database.execute("UPDATE sessions SET used_at = used_at - 7201")
        database.close()

    shown = introspect(running, token, client)

    assert (shown.status_code, shown.json()) == (200, {"active": False})


@pytest.mark.parametrize("secret", ["", "wrong"])
def test_without_its_secret_an_app_learns_nothing(running: Any, secret: str) -> None:
    client_id, _ = new_secret(running.home, EU)
    token = running.by_assertion(ensure_app(running.home, "eu")).json()["access_token"]

    refused = introspect(running, token, (client_id, secret))

    assert refused.status_code == 401
    assert refused.json() == {
        "error": "invalid_client",
        "error_description": "invalid client credentials",
    }


def test_an_app_that_has_no_secret_cannot_introspect(running: Any) -> None:
    refused = introspect(running, "00Dnothing!x", ("PlatformCLI", ""))

    assert refused.status_code == 401


def test_looking_at_a_session_does_not_keep_it_alive(running: Any) -> None:
    client = new_secret(running.home, EU)
    token = running.by_assertion(ensure_app(running.home, "eu")).json()["access_token"]
    with sqlite3.connect(running.home / "sandbox/org.sqlite", timeout=30) as database:
        database.execute("UPDATE sessions SET used_at = used_at - 3600")
    database.close()

    first, second = (introspect(running, token, client).json() for _ in range(2))

    assert first["exp"] == second["exp"]
    assert first["exp"] - time.time() < 3601


# --- how often


def test_the_3601st_login_of_an_hour_is_refused_and_another_user_goes_on(fresh: Any) -> None:
    client_id, secret = new_secret(fresh.home, EU)
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    body = urlencode(form)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    line = http.client.HTTPConnection("127.0.0.1", fresh.port, timeout=30)

    statuses = []
    last = b""
    for _ in range(3601):
        line.request("POST", "/services/oauth2/token", body, headers)
        answer = line.getresponse()
        last = answer.read()
        statuses.append(answer.status)
    line.close()

    assert statuses == [200] * 3600 + [400]
    assert json.loads(last) == {
        "error": "rate_limit_exceeded",
        "error_description": "number of logins exceeded",
    }
    assert fresh.by_assertion(ensure_app(fresh.home, "uk")).status_code == 200
