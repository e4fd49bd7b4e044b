"""Section 1.1, the token endpoint: what a login answers, and each refusal's pair."""

import base64
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.warnings import InsecureKeyLengthWarning

from connectors.embedded.pki import App, ensure_app, write_apps
from connectors.sandbox.logins.apps import new_secret

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EU = "Region_Sink_EU"
IDENTITY = r"https?://[^/]+/id/00D[0-9A-Za-z]{15}/005[0-9A-Za-z]{15}"
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def org(module_org: Any) -> Any:
    """Take the module's org, with the apps of two regions."""
    write_apps(module_org.home, [ensure_app(module_org.home, r) for r in ("eu", "uk")])
    return module_org


@pytest.fixture(scope="module")
def app(org: Any) -> App:
    return ensure_app(org.home, "eu")


def assertion(org: Any, app: App, **changes: Any) -> str:
    key = changes.pop("key", app.private_key_file.read_text())
    algorithm = changes.pop("algorithm", "RS256")
    now = int(time.time())
    claims = {"iss": app.consumer_key, "sub": app.username, "aud": org.url, "exp": now + 180}
    return jwt.encode({**claims, **changes}, key, algorithm=algorithm)


def bearer(org: Any, signed: str) -> requests.Response:
    answer: requests.Response = org.post_token({"grant_type": JWT_BEARER, "assertion": signed})
    return answer


def test_1_1_a_login_answers_the_documented_members_all_strings(org: Any, app: App) -> None:
    answer = org.by_assertion(app)

    body = answer.json()
    required = {"access_token", "instance_url", "id", "token_type", "issued_at", "signature"}
    optional = {"scope", "api_instance_url", "sfdc_community_url", "sfdc_community_id"}
    assert answer.status_code == 200
    assert required <= body.keys() <= required | optional  # so no expires_in, no refresh_token
    assert all(type(value) is str for value in body.values())
    assert re.fullmatch(r"00D[0-9A-Za-z]{12}![\x21-\x7e]+", body["access_token"])
    assert body["instance_url"] == org.url
    assert re.fullmatch(IDENTITY, body["id"])
    assert body["token_type"] == "Bearer"
    assert abs(int(body["issued_at"]) / 1000 - time.time()) < 60  # milliseconds
    assert len(base64.b64decode(body["signature"], validate=True)) == 32  # HMAC-SHA256


def test_1_1_exp_may_be_a_string(org: Any, app: App) -> None:
    claims = (
        f'{{"iss":"{app.consumer_key}","sub":"{app.username}","aud":"{org.url}",'
        f'"exp":"{int(time.time()) + 180}"}}'
    )
    signed = jwt.PyJWS().encode(claims.encode(), app.private_key_file.read_text(), "RS256")

    assert bearer(org, signed).status_code == 200


@pytest.mark.parametrize(("ahead_s", "status"), [(290, 200), (320, 400)])
def test_1_1_exp_may_lie_up_to_five_minutes_ahead(
    org: Any, app: App, ahead_s: int, status: int
) -> None:
    answer = bearer(org, assertion(org, app, exp=int(time.time()) + ahead_s))

    assert answer.status_code == status


AUDIENCE = r"audience is invalid|Audience validation failed"
REFUSED_CLAIMS: dict[str, tuple[dict[str, Any], str, str]] = {
    "1.1 another audience": ({"aud": "https://acme.example"}, "invalid_grant", AUDIENCE),
    "1.1 signed by a stranger": ({"key": STRANGER}, "invalid_grant", "invalid assertion"),
    "1.1 signed with an elliptic curve": (
        {"key": CURVE, "algorithm": "ES256"},
        "invalid_grant",
        "invalid assertion",
    ),
    "1.1 signed with RS512": ({"algorithm": "RS512"}, "invalid_grant", "invalid assertion"),
    "1.1 expired": ({"exp": 1_700_000_000}, "invalid_grant", "expired authorization code"),
    "1.1 an unknown app": (
        {"iss": "3MVG9nobody"},
        "invalid_client_id",
        "client identifier invalid",
    ),
    "1.1 an unknown user": (
        {"sub": "nobody@acme.example"},
        "invalid_grant",
        "user hasn't approved this consumer",
    ),
    "1.1 a user who is not pre-authorised": (
        {"sub": "integration.uk@homeport.example"},
        "invalid_grant",
        "user is not admin approved to access this app",
    ),
    "0.3 aud of the login host": ({"aud": "https://login.salesforce.com"}, "app_not_found", ".*"),
    "0.3 aud of the test host": ({"aud": "https://test.salesforce.com"}, "app_not_found", ".*"),
}


@pytest.mark.parametrize("case", REFUSED_CLAIMS)
def test_a_refused_assertion_is_400_with_the_documented_pair(org: Any, app: App, case: str) -> None:
    changes, error, description = REFUSED_CLAIMS[case]

    answer = bearer(org, assertion(org, app, **changes))

    body = answer.json()
    assert answer.status_code == 400
    assert answer.headers["Cache-Control"] == "no-store"
    assert body.keys() == {"error", "error_description"}
    assert body["error"] == error
    assert re.fullmatch(description, body["error_description"])


REFUSED_FORMS: dict[str, tuple[dict[str, str], str, str]] = {
    "1.1 an assertion that is none": (
        {"grant_type": JWT_BEARER, "assertion": "x.y.z"},
        "invalid_grant",
        "invalid assertion",
    ),
    "1.1 another grant": (
        {"grant_type": "urn:acme"},
        "unsupported_grant_type",
        "grant type not supported",
    ),
    "1.1 refresh with a token that is none": (
        {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "{public}"},
        "invalid_grant",
        "expired access/refresh token",
    ),
    "0.1 a password, as an org of 2027": (
        {
            "grant_type": "password", "client_id": "{client_id}", "client_secret": "s",
            "username": "u", "password": "p",
        },
        "invalid_grant",
        "authentication failure",
    ),
    "1.1 client credentials, a wrong secret": (
        {
            "grant_type": "client_credentials", "client_id": "{client_id}",
            "client_secret": "wrong",
        },
        "invalid_client",
        "invalid client credentials",
    ),
    "1.1 client credentials, a wrong client": (
        {"grant_type": "client_credentials", "client_id": "3MVG9nobody", "client_secret": "x"},
        "invalid_client_id",
        "client identifier invalid",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_FORMS)
def test_a_refused_form_has_the_documented_pair(org: Any, app: App, case: str) -> None:
    form, error, description = REFUSED_FORMS[case]
    new_secret(org.home, EU)

    ids = {"client_id": app.consumer_key, "public": ensure_app(org.home, "uk").consumer_key}
    answer = org.post_token({k: v.format(**ids) for k, v in form.items()})

    assert answer.status_code in {400, 401}  # 401 for a bad client in some flows
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {"error": error, "error_description": description}


def test_1_1_a_key_of_less_than_2048_bits_signs_nothing(org: Any, app: App) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 -- refused
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "short")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    short = replace(app, name="Short", consumer_key="3MVG9short", certificate=pem)
    write_apps(org.home, [short])
    assert bearer(org, assertion(org, app)).status_code == 200

    with pytest.warns(InsecureKeyLengthWarning):  # of the library that signs here
        signed = assertion(org, short, key=key)

    answer = bearer(org, signed)

    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_grant",
        "error_description": "invalid assertion",
    }


@pytest.mark.parametrize("place", ["1.1 Basic header", "1.1 body"])
def test_client_credentials_run_as_the_execution_user(org: Any, place: str) -> None:
    client_id, secret = new_secret(org.home, EU, "runner@homeport.example")
    form, headers = {"grant_type": "client_credentials"}, {}
    if place == "1.1 body":
        form |= {"client_id": client_id, "client_secret": secret}
    else:
        word = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        headers["Authorization"] = f"Basic {word}"

    answer = org.post_token(form, headers)

    session = org.client(answer)
    who = session.http.get(f"{org.url}/services/oauth2/userinfo", timeout=30).json()
    assert answer.status_code == 200
    assert who["preferred_username"] == "runner@homeport.example"


@pytest.mark.parametrize("host", ["login.salesforce.com", "test.salesforce.com"])
def test_1_1_client_credentials_are_for_the_my_domain_host_only(org: Any, host: str) -> None:
    client_id, secret = new_secret(org.home, EU)
    form = {
        "grant_type": "client_credentials", "client_id": client_id, "client_secret": secret,
    }  # fmt: skip

    answer = org.post_token(form, {"Host": host})

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"


def test_1_1_a_user_logs_in_3600_times_an_hour(start_org: Any) -> None:
    running = start_org("--plain")
    write_apps(running.home, [ensure_app(running.home, "eu")])
    client_id, secret = new_secret(running.home, EU)
    form = {
        "grant_type": "client_credentials", "client_id": client_id, "client_secret": secret,
    }  # fmt: skip
    url = f"{running.url}/services/oauth2/token"

    with requests.Session() as session:
        session.trust_env = False
        statuses = {session.post(url, data=form, timeout=30).status_code for _ in range(3600)}
        refused = session.post(url, data=form, timeout=30)

    assert statuses == {200}
    assert refused.status_code == 400
    assert refused.json()["error"] == "rate_limit_exceeded"
