"""The authorisation code flow over HTTP: the door, the page, the code, what it is good for."""

import sqlite3
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from org_person import CLI_CALLBACK, VERIFIER, Person, authorize_path, link, sandbox_cli, token_form

from connectors.embedded.pki import ensure_app
from connectors.sandbox.logins.apps import change_app, new_secret

EU = "Region_Sink_EU"
MINE = "http://localhost:3000/callback"


@pytest.fixture
def person(running: Any) -> Person:
    return Person(running)


# --- the door


def test_without_a_key_the_page_names_nobody(running: Any) -> None:
    shown = Person(running, inside=False).get(authorize_path())

    assert shown.status_code == 403
    assert "homeport sandbox page --port" in shown.text
    assert "admin" not in shown.text


def test_without_a_key_nobody_allows_anything(running: Any) -> None:
    stranger = Person(running, inside=False)

    refused = stranger.post(authorize_path(), {"user": "admin", "decision": "allow"})

    assert (refused.status_code, refused.headers.get("Location")) == (403, None)


def test_a_key_opens_once(running: Any) -> None:
    url = f"/?key={link(running)['key']}"

    first = Person(running, inside=False).get(url)
    second = Person(running, inside=False).get(url)

    assert (first.status_code, first.headers["Location"]) == (303, "/")
    assert (second.status_code, second.cookies.get_dict()) == (403, {})
    assert "wrong, used or older than ten minutes" in second.text


def test_the_command_prints_a_link(running: Any) -> None:
    done = sandbox_cli(running, "page", "--port", str(running.port))
    nowhere = sandbox_cli(running, "page", "--port", "1")

    assert done.stdout.startswith(f"{running.url}/?key=")
    entered = Person(running, inside=False).get(done.stdout.strip().removeprefix(running.url))
    assert entered.status_code == 303
    assert (nowhere.returncode, nowhere.stdout) == (3, "")


def test_a_key_opens_for_ten_minutes(running: Any) -> None:
    key = link(running)["key"]
    with sqlite3.connect(running.home / "sandbox/org.sqlite", timeout=30) as database:
        database.execute("UPDATE page_keys SET ends_at = ends_at - 600 WHERE is_link")
    database.close()

    late = Person(running, inside=False).get(f"/?key={key}")

    assert (late.status_code, late.cookies.get_dict()) == (403, {})


def test_a_cookie_is_no_key_and_a_key_no_cookie(running: Any) -> None:
    inside, stranger = Person(running), Person(running, inside=False)
    cookie = next(iter(inside.browser.cookies))
    key = link(running)["key"]

    as_key = stranger.get(f"/?key={cookie.value}")
    as_cookie = stranger.get("/", headers={"Cookie": f"{cookie.name}={key}"})

    assert (as_key.status_code, as_cookie.status_code) == (403, 403)


def test_the_cookie_is_for_this_org_and_out_of_reach_of_scripts(running: Any) -> None:
    entered = Person(running, inside=False).get(f"/?key={link(running)['key']}")

    cookie = entered.headers["Set-Cookie"]
    assert cookie.startswith(f"homeport-org-{running.port}=")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Secure", "Path=/"))


def test_a_cookie_outlives_a_restart(start_org: Any) -> None:
    org = start_org("--plain")
    person = Person(org)
    cookie = next(iter(person.browser.cookies))
    org.stop()
    again = start_org("--plain")

    shown = Person(again, inside=False).get(
        "/", headers={"Cookie": f"homeport-org-{again.port}={cookie.value}"}
    )

    assert shown.status_code == 200


def test_a_key_that_is_typed_in_leads_on_to_what_was_asked_for(running: Any) -> None:
    stranger, asked = Person(running, inside=False), authorize_path()

    entered = stranger.post("/enter", {"key": f" {link(running)['key']}\n", "asked": asked})

    assert (entered.status_code, entered.headers["Location"]) == (303, asked)
    assert "Allow access?" in stranger.get(asked).text


@pytest.mark.parametrize(
    "asked", ["https://evil.example/", "//evil.example", "/\\evil.example", "/objects/x\r\nX: 1"]
)
def test_the_door_leads_nowhere_else(running: Any, asked: str) -> None:
    stranger = Person(running, inside=False)

    entered = stranger.post("/enter", {"key": link(running)["key"], "asked": asked})

    assert (entered.status_code, entered.headers["Location"]) == (303, "/")


@pytest.mark.parametrize("origin", ["null", "https://127.0.0.1:1", "http://evil.example"])
def test_a_form_of_another_page_decides_nothing(person: Person, origin: str) -> None:
    form = {"user": "admin", "decision": "allow"}

    refused = person.post(authorize_path(), form, origin=origin)

    assert (refused.status_code, refused.headers.get("Location")) == (403, None)


def test_the_page_asks_for_what_the_app_wants_and_lists_the_users(person: Person) -> None:
    shown = person.get(authorize_path(scope="api refresh_token")).text

    assert "<b>PlatformCLI</b> asks to:" in shown
    assert "read and change records over the API" in shown
    assert "come back at any time, until it is revoked" in shown
    assert "use the org in a browser" not in shown
    for username in ("admin", "integration.eu@homeport.example"):
        assert f">{username}</option>" in shown


def test_the_page_may_send_a_form_to_the_callback_and_nothing_anywhere_else(
    person: Person,
) -> None:
    policy = person.get(authorize_path()).headers["Content-Security-Policy"]

    assert "form-action 'self' http://localhost:1717;" in policy
    assert "default-src 'none';" in policy
    assert "frame-ancestors 'none'" in policy


# --- the code and its tokens


def test_a_code_logs_in_whom_the_person_chose(running: Any, person: Person) -> None:
    user = ensure_app(running.home, "eu").username

    told = person.decide("allow", user)
    answer = running.post_token(token_form(told["code"]))

    body = answer.json()
    assert told.keys() == {"code", "state"}
    assert told["state"] == "a state & more"
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert list(body) == [
        "access_token", "refresh_token", "scope", "instance_url", "id", "token_type",
        "issued_at", "signature", "api_instance_url",
    ]  # fmt: skip
    assert all(isinstance(value, str) for value in body.values())
    assert body["scope"] == "refresh_token web id api"
    client = running.client(answer)
    shown = client.http.get(f"{running.url}/services/oauth2/userinfo", timeout=30).json()
    assert shown["preferred_username"] == user


def test_without_the_scope_there_is_no_refresh_token(running: Any, person: Person) -> None:
    answer = running.post_token(token_form(person.code(scope="api"))).json()

    assert answer["scope"] == "api"
    assert "refresh_token" not in answer


def test_a_session_without_the_api_scope_is_not_valid_for_the_rest_api(
    running: Any, person: Person
) -> None:
    client = running.client(running.post_token(token_form(person.code(scope="id"))))

    refused = client.call("GET", "limits")
    userinfo = client.http.get(f"{running.url}/services/oauth2/userinfo", timeout=30)

    assert refused.status_code == 401
    assert refused.json() == [
        {
            "message": "This session is not valid for use with the REST API",
            "errorCode": "INVALID_SESSION_ID",
        }
    ]
    assert userinfo.status_code == 200


def test_nor_for_the_soap_api(running: Any, person: Person) -> None:
    def user_info(scope: str) -> Any:
        answer = running.post_token(token_form(person.code(scope=scope)))
        envelope = (
            '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"'
            ' xmlns:p="urn:partner.soap.sforce.com"><e:Header><p:SessionHeader><p:sessionId>'
            f"{answer.json()['access_token']}</p:sessionId></p:SessionHeader></e:Header>"
            "<e:Body><p:getUserInfo/></e:Body></e:Envelope>"
        )
        headers = {"Content-Type": "text/xml", "SOAPAction": '""'}
        url = f"{running.url}/services/Soap/u/62.0"
        return person.browser.post(url, data=envelope, headers=headers, timeout=30)

    refused, shown = user_info("id"), user_info("api")

    assert refused.status_code == 500
    assert "INVALID_SESSION_ID" in refused.text
    assert shown.status_code == 200


def test_a_code_is_good_once(running: Any, person: Person) -> None:
    form = token_form(person.code())

    answers = [running.post_token(form) for _ in range(2)]

    assert [a.status_code for a in answers] == [200, 400]
    assert answers[1].json() == {
        "error": "invalid_grant",
        "error_description": "expired authorization code",
    }


def test_an_app_with_a_secret_must_give_it(running: Any, person: Person) -> None:
    client_id, secret = new_secret(running.home, EU)
    assert sandbox_cli(running, "app", "callback", EU, MINE).returncode == 0
    asked = {"client_id": client_id, "redirect_uri": MINE}
    code = person.code(ensure_app(running.home, "eu").username, **asked)

    without = running.post_token(token_form(code, **asked))
    given = running.post_token(token_form(code, **asked, client_secret=secret))

    assert without.json() == {
        "error": "invalid_client",
        "error_description": "invalid client credentials",
    }
    assert given.status_code == 200


def test_an_app_for_approved_users_lets_in_no_others(running: Any, person: Person) -> None:
    assert sandbox_cli(running, "app", "callback", EU, MINE).returncode == 0
    asked = {"client_id": ensure_app(running.home, "eu").consumer_key, "redirect_uri": MINE}

    told = person.decide("allow", "admin", **asked)

    assert told == {
        "error": "OAUTH_APP_ACCESS_DENIED",
        "error_description": "user is not admin approved to access this app",
        "state": "a state & more",
    }


def test_who_denies_gives_no_code(person: Person) -> None:
    told = person.decide("deny")

    assert told == {
        "error": "access_denied",
        "error_description": "end-user denied authorization",
        "state": "a state & more",
    }


def test_a_callback_keeps_the_parameters_it_has(running: Any, person: Person) -> None:
    url = "http://localhost:3000/callback?of=me"
    added = sandbox_cli(running, "app", "add", "Mine", url).stdout.strip()
    path = authorize_path(client_id=added, redirect_uri=url, state="")

    response = person.post(path, {"user": "admin", "decision": "deny"})

    query = urlsplit(response.headers["Location"]).query
    assert parse_qsl(query) == [
        ("of", "me"),
        ("error", "access_denied"),
        ("error_description", "end-user denied authorization"),
    ]


SHOWN: dict[str, tuple[dict[str, str], str]] = {
    "an unknown app": (
        {"client_id": "3MVG9nobody"},
        "error=invalid_client_id&error_description=client%20identifier%20invalid",
    ),
    "no callback": (
        {"redirect_uri": ""},
        "error=redirect_uri_missing&error_description=redirect_uri%20not%20provided",
    ),
    "a callback below the app's": (
        {"redirect_uri": f"{CLI_CALLBACK}/more"},
        "error=redirect_uri_mismatch&error_description=redirect_uri%20must%20match%20configuration",
    ),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_callback_that_is_not_the_apps_is_told_nothing(person: Person, case: str) -> None:
    changes, told = SHOWN[case]

    response = person.get(authorize_path(**changes))

    assert (response.status_code, response.text) == (400, told)
    assert "Location" not in response.headers


TOLD: dict[str, tuple[dict[str, str], str, str]] = {
    "the implicit flow": (
        {"response_type": "token"},
        "unsupported_response_type",
        "response type not supported",
    ),
    "no response type": (
        {"response_type": ""},
        "unsupported_response_type",
        "response type not supported",
    ),
    "no challenge": ({"code_challenge": ""}, "invalid_request", "missing required code challenge"),
    "a plain challenge": (
        {"code_challenge_method": "plain"},
        "invalid_request",
        "invalid code challenge",
    ),
    "an unknown scope": (
        {"scope": "api everything"},
        "invalid_scope",
        "requested scope is invalid, unknown, or malformed",
    ),
    "without asking": (
        {"prompt": "none"},
        "immediate_unsuccessful",
        "immediate unsuccessful",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_a_callback_is_told_why_there_is_no_code(running: Any, case: str) -> None:
    changes, error, description = TOLD[case]

    response = Person(running, inside=False).get(authorize_path(**changes))

    url = urlsplit(response.headers["Location"])
    assert response.status_code == 303
    assert dict(parse_qsl(url.query)) == {
        "error": error,
        "error_description": description,
        "state": "a state & more",
    }


def test_a_blocked_app_is_let_in_by_nobody(running: Any, person: Person) -> None:
    assert sandbox_cli(running, "app", "block", "PlatformCLI").returncode == 0

    shown = person.get(authorize_path())

    assert shown.status_code == 400
    assert shown.text.startswith("error=OAUTH_APP_BLOCKED&")


# --- refresh tokens


def refresh(org: Any, token: str, **changes: str) -> Any:
    form = {"grant_type": "refresh_token", "client_id": "PlatformCLI", "refresh_token": token}
    return org.post_token(form | changes)


def test_a_refresh_token_opens_a_new_session_and_is_not_replaced(
    running: Any, person: Person
) -> None:
    first = running.post_token(token_form(person.code())).json()

    answers = [refresh(running, first["refresh_token"]).json() for _ in range(2)]

    tokens = {first["access_token"], *(a["access_token"] for a in answers)}
    assert len(tokens) == 3
    assert [a["scope"] for a in answers] == [first["scope"]] * 2
    assert not any("refresh_token" in a for a in answers)
    assert first["id"] == answers[0]["id"]


def test_a_refresh_token_outlives_a_restart(start_org: Any) -> None:
    org = start_org("--plain")
    token = org.post_token(token_form(Person(org).code())).json()["refresh_token"]
    org.stop()

    answer = refresh(start_org("--plain"), token)

    assert answer.status_code == 200


@pytest.mark.parametrize("wrong", ["unknown", "of another app", "an access token"])
def test_a_refresh_token_is_good_for_its_app_only(running: Any, person: Person, wrong: str) -> None:
    first = running.post_token(token_form(person.code())).json()
    other = sandbox_cli(running, "app", "add", "Other", MINE).stdout.strip()
    asked = {
        "unknown": {"refresh_token": "5Aepnothing"},
        "of another app": {"client_id": other},
        "an access token": {"refresh_token": first["access_token"]},
    }[wrong]

    refused = refresh(running, **({"token": first["refresh_token"]} | asked))

    assert refused.status_code == 400
    assert refused.json() == {
        "error": "invalid_grant",
        "error_description": "expired access/refresh token",
    }


def test_a_blocked_app_refreshes_nothing_until_it_is_allowed(running: Any, person: Person) -> None:
    first = running.post_token(token_form(person.code()))
    token, client = first.json()["refresh_token"], running.client(first)
    sandbox_cli(running, "app", "block", "PlatformCLI")

    during = refresh(running, token)
    ended = client.call("GET", "limits").status_code
    sandbox_cli(running, "app", "allow", "PlatformCLI")
    after = refresh(running, token)

    assert during.json()["error"] == "OAUTH_APP_BLOCKED"
    assert ended == 401
    assert after.status_code == 200


def revoke(org: Any, token: str, method: str = "POST") -> Any:
    browser = Person(org, inside=False).browser
    told = {"data" if method == "POST" else "params": {"token": token}}
    return browser.request(method, f"{org.url}/services/oauth2/revoke", timeout=30, **told)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_revoked_refresh_token_takes_its_sessions_with_it(
    running: Any, person: Person, method: str
) -> None:
    first, other = (running.post_token(token_form(person.code())) for _ in range(2))
    token = first.json()["refresh_token"]
    second = refresh(running, token)

    revoked = revoke(running, token, method)

    clients = [running.client(a) for a in (first, second, other)]
    assert (revoked.status_code, revoked.text) == (200, "")
    assert [c.call("GET", "limits").status_code for c in clients] == [401, 401, 200]
    assert refresh(running, token).json()["error"] == "invalid_grant"


def test_a_revoked_access_token_leaves_its_refresh_token(running: Any, person: Person) -> None:
    first = running.post_token(token_form(person.code()))

    revoke(running, first.json()["access_token"])

    assert running.client(first).call("GET", "limits").status_code == 401
    assert refresh(running, first.json()["refresh_token"]).status_code == 200


@pytest.mark.parametrize("token", ["", "00Dnothing!x", "5Aepnothing"])
def test_what_is_no_token_is_not_revoked(running: Any, token: str) -> None:
    refused = revoke(running, token)

    assert refused.status_code == 400
    assert refused.json() == {
        "error": "unsupported_token_type",
        "error_description": "this token is not supported",
    }


# --- what is left behind


def test_nothing_that_opens_the_org_is_stored_or_logged(start_org: Any) -> None:
    org = start_org("--plain")
    person = Person(org)
    cookie = next(iter(person.browser.cookies)).value
    code = person.code(state="the-state")
    answer = org.post_token(token_form(code)).json()
    refresh(org, answer["refresh_token"])
    org.stop()

    written = b"".join(f.read_bytes() for f in (org.home / "sandbox").glob("[ao]*.*"))
    told = (org.home.parent / f"{org.home.name}.log").read_bytes() + written
    secrets = (cookie, code, answer["access_token"], answer["refresh_token"], VERIFIER, "the-state")
    assert b"/services/oauth2/authorize" in told
    assert not [secret for secret in secrets if secret and secret.encode() in told]


# --- the commands


def test_the_official_command_line_is_known_to_every_org(start_org: Any) -> None:
    org = start_org("--plain")

    answer = org.post_token(token_form(Person(org).code(prompt="login")))

    assert answer.status_code == 200


def test_an_app_is_added_once(running: Any) -> None:
    first, second = (sandbox_cli(running, "app", "add", "Mine", MINE) for _ in range(2))

    assert first.stdout.startswith("3MVG9")
    assert (second.returncode, second.stdout) == (1, "")
    assert "choose another name" in second.stderr


@pytest.mark.parametrize("url", ["callback", "http://x/ y", "http://x/;script-src", "http://x/#a"])
def test_a_callback_must_be_a_url(running: Any, url: str) -> None:
    done = sandbox_cli(running, "app", "callback", EU, url)

    assert done.returncode == 2


def test_a_callback_without_urls_turns_the_flow_off(running: Any, person: Person) -> None:
    assert sandbox_cli(running, "app", "callback", "PlatformCLI").returncode == 0

    shown = person.get(authorize_path())

    assert shown.text.startswith("error=redirect_uri_mismatch&")


def test_an_app_may_be_taken_without_a_challenge(running: Any, person: Person) -> None:
    sandbox_cli(running, "app", "callback", "PlatformCLI", CLI_CALLBACK, "--no-pkce")

    code = person.code(code_challenge="")

    answer = running.post_token(token_form(code, code_verifier=""))
    assert answer.status_code == 200


def test_what_is_built_in_is_written_down_only_once_it_is_changed(running: Any) -> None:
    change_app(running.home, EU, lambda app: app)
    before = (running.home / "sandbox/apps.json").read_text()

    sandbox_cli(running, "app", "limit", "PlatformCLI", "7")

    assert "PlatformCLI" not in before
    assert "PlatformCLI" in (running.home / "sandbox/apps.json").read_text()
