"""One login serves all, its refusal says what to mend, and no secret is shown."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import TypeAdapter, ValidationError

from connectors.salesforce.auth import Tokens, open_session
from connectors.salesforce.config import App, SalesforceConfig
from connectors.salesforce.errors import LoginRefusedError, OrgUnavailableError
from connectors.salesforce.flows import Token, login, read_token
from schemas.errors import HaltError

NOW_S = 1_800_000_000.9


def write_key(path: Path, key: Any) -> Path:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem)
    return path


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def config(tmp_path: Path, key: rsa.RSAPrivateKey) -> SalesforceConfig:
    return SalesforceConfig(
        instance_url="https://org.example",
        consumer_key="3MVG9-secret",
        username="integration.eu@homeport.example",
        private_key_file=write_key(tmp_path / "app.pem", key),
    )


class FakeSession(requests.Session):
    """Gives every login another token; may fail first."""

    def __init__(self, *faults: Exception) -> None:
        super().__init__()
        self.faults = list(faults)
        self.logins: list[dict[str, Any]] = []

    def post(self, url: Any, data: Any = None, json: Any = None, **kwargs: Any) -> Any:
        del json
        self.logins.append({"url": url, **data, **kwargs})
        if self.faults:
            raise self.faults.pop()
        response = requests.Response()
        response.status_code = 200
        response._content = b'{"access_token": "00D!%d"}' % len(self.logins)  # noqa: SLF001
        return response


def test_the_assertion_is_what_salesforce_documents(
    config: SalesforceConfig, key: rsa.RSAPrivateKey
) -> None:
    (form,) = [login(config, config, NOW_S).form]

    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    text = form["assertion"]

    options: Any = {"verify_exp": False}
    claims = jwt.decode(
        text,
        key.public_key(),
        algorithms=["RS256"],
        audience="https://org.example",
        options=options,
    )
    assert claims == {
        "iss": "3MVG9-secret",
        "sub": "integration.eu@homeport.example",
        "aud": "https://org.example",
        "exp": 1_800_000_180,
    }


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\n!\n"])
def test_a_key_that_cannot_be_read_stops_with_the_files_name(
    config: SalesforceConfig, content: bytes
) -> None:
    key_file(config).write_bytes(content)

    with pytest.raises(HaltError, match=r"app\.pem is no readable PEM of an RSA key"):
        login(config, config, NOW_S)


@pytest.mark.parametrize(
    "weak",
    [
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=1024),  # noqa: S505
    ],
    ids=["EC", "RSA-1024"],
)
def test_a_key_salesforce_would_not_take_is_refused(config: SalesforceConfig, weak: Any) -> None:
    write_key(key_file(config), weak)

    with pytest.raises(HaltError, match="RSA key of 2048 bits"):
        login(config, config, NOW_S)


def test_a_login_has_time_outs_and_follows_no_redirect(config: SalesforceConfig) -> None:
    session = FakeSession()

    Tokens(config, session).current()

    (login,) = session.logins
    assert login["url"] == "https://org.example/services/oauth2/token"
    assert login["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert login["timeout"] == (5.0, 60.0)
    assert login["allow_redirects"] is False


def test_threads_that_lost_the_same_session_log_in_once(config: SalesforceConfig) -> None:
    session = FakeSession()
    tokens = Tokens(config, session)
    dead = tokens.current()
    fresh: list[Token] = []

    threads = [
        threading.Thread(target=lambda: fresh.append(tokens.refresh(dead.generation)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(session.logins) == 2
    assert {(token.value, token.generation) for token in fresh} == {("00D!2", 1)}
    assert tokens.current() == fresh[0]


def test_a_failed_login_can_be_tried_again_and_tells_no_url(config: SalesforceConfig) -> None:
    session = FakeSession(requests.ConnectTimeout("https://org.example/?q=jane@example.com"))
    tokens = Tokens(config, session)

    with pytest.raises(OrgUnavailableError) as caught:
        tokens.current()

    assert str(caught.value) == "log in: no answer from Salesforce (ConnectTimeout)"
    assert caught.value.__context__ is None
    assert tokens.current().value == "00D!2"


@pytest.mark.parametrize(
    ("status", "error", "description", "text"),
    [
        (400, "invalid_grant", "inactive user", r"invalid_grant \(inactive user\); check that"),
        (400, "invalid_client_id", "client identifier invalid", "check consumer_key"),
        (400, "app_not_found", "", "app_not_found; instance_url must be the My Domain"),
        (401, "invalid_client", "invalid client credentials", "check consumer_key"),
        (400, "unsupported_grant_type", "grant type not supported", "turn on the flow in the app"),
        (403, "", "", "HTTP 403; see the user's Login History"),
        (302, "", "", "HTTP 302"),
    ],
)
def test_a_refused_login_says_what_to_mend(
    status: int, error: str, description: str, text: str
) -> None:
    with pytest.raises(LoginRefusedError, match=text):
        read_token(status, {"error": error, "error_description": description}, 0)


def test_a_refused_login_repeats_no_text_it_does_not_know() -> None:
    body = {"error": "jane@example.com", "error_description": "jane@example.com"}

    with pytest.raises(LoginRefusedError) as caught:
        read_token(400, body, 0)

    assert "jane" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, {}),
        (429, {}),
        (400, {"error": "rate_limit_exceeded"}),
        (200, {}),
        (200, {"access_token": 7}),
        (200, {"access_token": "line\nbreak"}),
    ],
)
def test_no_usable_token_now_may_be_one_later(status: int, body: dict[str, Any]) -> None:
    with pytest.raises(OrgUnavailableError):
        read_token(status, body, 0)


def test_no_repr_shows_a_secret(config: SalesforceConfig) -> None:
    assert "3MVG9" not in repr(config)
    assert "00D" not in repr(Token("00D!x", 3))


def test_the_environment_does_not_choose_whom_we_trust(
    config: SalesforceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/elsewhere.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://elsewhere")

    settings = open_session(config).merge_environment_settings(
        config.instance_url, {}, stream=False, verify=None, cert=None
    )

    assert settings["verify"] is True
    assert not settings["proxies"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"instance_url": "http://org.example"}, "instance_url"),
        ({"instance_url": "https://org.example/path"}, "instance_url"),
        ({"instance_url": "https://user:pw@org.example"}, "instance_url"),
        ({"private_key_file": "/nowhere.pem"}, "private_key_file"),
        ({"consumer_secret": "hush"}, "consumer_secret"),
        ({"read_timeout_s": 0}, "read_timeout_s"),
        ({"api_version": "62"}, "api_version"),
        ({"api_share": 1.01}, "api_share"),
        ({"username": ""}, "JWT bearer needs username"),
        ({"private_key_file": None}, r"private_key_file \(JWT bearer\) or client_secret_file"),
        ({"password": "hunter2"}, "no logins by password: Salesforce ends them by February 2027"),
        ({"standby": [{"consumer_key": "3MVG8"}]}, r"standby.*client_secret_file"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(
    config: SalesforceConfig, change: dict[str, Any], problem: str
) -> None:
    values = {
        "instance_url": config.instance_url,
        "consumer_key": config.consumer_key,
        "username": config.username,
        "private_key_file": str(config.private_key_file),
        "ca_file": None,
    }
    assert read(values) == config

    with pytest.raises(ValidationError, match=f"(?s){problem}") as caught:
        read(values | change)

    value = next(iter(change.values()))
    assert not value or str(value) not in str(caught.value)


def read(values: dict[str, Any]) -> SalesforceConfig:
    return TypeAdapter(SalesforceConfig).validate_python(values)


def key_file(config: SalesforceConfig) -> Path:
    assert config.private_key_file is not None
    return config.private_key_file


# --- Several apps ---


class Gatekeeper(FakeSession):
    """Lets in the apps it is told to; says how the others are refused."""

    def __init__(self, *welcome: str) -> None:
        super().__init__()
        self.welcome = welcome
        self.asked: list[str] = []

    def post(self, url: Any, data: Any = None, json: Any = None, **kwargs: Any) -> Any:
        app = kwargs["auth"][0] if kwargs["auth"] else issuer(data["assertion"])
        self.asked.append(app)
        response = super().post(url, data, json, **kwargs)
        if app not in self.welcome:
            response.status_code = 400
            response._content = b'{"error": "invalid_grant"}'  # noqa: SLF001
        return response


def issuer(text: str) -> str:
    claims = jwt.decode(text, options={"verify_signature": False})
    return str(claims["iss"])


@pytest.fixture
def rotating(config: SalesforceConfig, tmp_path: Path) -> SalesforceConfig:
    """Two apps, as while a certificate is rotated: the old one first."""
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    secret.chmod(0o600)
    return replace(config, standby=(App(consumer_key="next", client_secret_file=secret),))


def test_client_credentials_go_in_the_header_alone(rotating: SalesforceConfig) -> None:
    asked = login(rotating, rotating.standby[0], NOW_S)

    assert asked.form == {"grant_type": "client_credentials"}
    assert asked.basic == ("next", "hush")
    assert "hush" not in repr(asked)


@pytest.mark.parametrize(("mode", "text"), [(0o644, "hush"), (0o600, ""), (0o600, "two words")])
def test_a_secret_that_others_can_read_or_that_is_none_stops(
    rotating: SalesforceConfig, mode: int, text: str
) -> None:
    (app,) = rotating.standby
    assert app.client_secret_file is not None
    app.client_secret_file.write_text(text)
    app.client_secret_file.chmod(mode)

    with pytest.raises(HaltError, match="chmod 600"):
        login(rotating, app, NOW_S)


def test_the_next_app_takes_over_and_is_asked_first_from_then_on(
    rotating: SalesforceConfig, caplog: pytest.LogCaptureFixture
) -> None:
    session = Gatekeeper("next")
    tokens = Tokens(rotating, session)

    token = tokens.current()
    tokens.refresh(token.generation)

    assert session.asked == ["3MVG9-secret", "next", "next"]
    (text,) = [record.getMessage() for record in caplog.records]
    assert text.startswith("log in: app 2 of 2 lets us in; number 1 does not: Salesforce refuses")


def test_a_certificate_is_rotated_without_a_stop(rotating: SalesforceConfig) -> None:
    session = Gatekeeper("3MVG9-secret", "next")
    tokens = Tokens(rotating, session)
    token = tokens.current()

    session.welcome = ("next",)  # the old app's certificate has ended
    token = tokens.refresh(token.generation)

    session.welcome = ("3MVG9-secret",)  # and has got its new one
    token = tokens.refresh(token.generation)

    assert session.asked == ["3MVG9-secret", "3MVG9-secret", "next", "next", "3MVG9-secret"]


def test_an_org_that_does_not_answer_is_no_reason_for_another_app(
    rotating: SalesforceConfig,
) -> None:
    session = FakeSession(requests.ConnectTimeout())

    with pytest.raises(OrgUnavailableError) as caught:
        Tokens(rotating, session).current()

    assert len(session.logins) == 1
    assert not caught.value.fate_unknown  # the request the login was for was not sent


def test_when_no_app_is_let_in_the_first_refusal_is_told(rotating: SalesforceConfig) -> None:
    with pytest.raises(LoginRefusedError, match=r"none of 2 apps lets us in; of number 1: .*grant"):
        Tokens(rotating, Gatekeeper()).current()
