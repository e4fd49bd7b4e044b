"""Authorisation codes and the rate of logins, without HTTP: what needs a clock to be tried."""

from dataclasses import replace

import pytest

from connectors.sandbox.access import User
from connectors.sandbox.logins.apps import SALESFORCE_CLI, RegisteredApp
from connectors.sandbox.logins.codes import CODE_LIFE_S, Callback, Codes, Wish, read_wish
from connectors.sandbox.logins.oauth import OAuthError
from connectors.sandbox.logins.rate import LOGINS_PER_HOUR, LoginRate

URL = "http://localhost:1717/OauthRedirect"
# RFC 7636, appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
FORM = {"redirect_uri": URL, "code_verifier": VERIFIER}


class Clock:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def issue(codes: Codes, challenge: str | None = CHALLENGE) -> str:
    callback = Callback(SALESFORCE_CLI, URL, None)
    return codes.issue(callback, Wish("api", challenge), User(1, "admin", None))


def refusal(codes: Codes, code: str, app: RegisteredApp = SALESFORCE_CLI, **form: str) -> str:
    with pytest.raises(OAuthError) as refused:
        codes.take(app, FORM | {"code": code} | form)
    return f"{refused.value.error}: {refused.value.description}"


def test_the_verifier_of_the_rfc_proves_its_challenge() -> None:
    codes = Codes()

    code = codes.take(SALESFORCE_CLI, FORM | {"code": issue(codes)})

    assert code.user.username == "admin"


@pytest.mark.parametrize("life_s", [CODE_LIFE_S - 1, CODE_LIFE_S])
def test_a_code_is_good_for_ten_minutes(life_s: int) -> None:
    clock = Clock()
    codes = Codes(clock)
    code = issue(codes)

    clock.now += life_s

    if life_s < CODE_LIFE_S:
        assert codes.take(SALESFORCE_CLI, FORM | {"code": code}).user.username == "admin"
    else:
        assert refusal(codes, code) == "invalid_grant: expired authorization code"


def test_a_code_is_good_once_also_while_others_are_issued() -> None:
    codes = Codes()
    code = issue(codes)
    codes.take(SALESFORCE_CLI, FORM | {"code": code})

    issue(codes)

    assert refusal(codes, code) == "invalid_grant: expired authorization code"


REFUSALS: dict[str, tuple[dict[str, str], str]] = {
    "another code": ({"code": "aPrxnothing"}, "invalid_grant: invalid authorization code"),
    "no code": ({"code": ""}, "invalid_grant: invalid authorization code"),
    "another verifier": ({"code_verifier": "x" * 43}, "invalid_grant: invalid code verifier"),
    "no verifier": ({"code_verifier": ""}, "invalid_grant: invalid code verifier"),
    "another callback": (
        {"redirect_uri": f"{URL}/"},
        "redirect_uri_mismatch: redirect_uri must match configuration",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_code_is_for_whoever_asked_for_it(case: str) -> None:
    form, told = REFUSALS[case]
    codes = Codes()

    refused = refusal(codes, **{"code": issue(codes), **form})

    assert refused == told


def test_a_code_of_another_app_is_no_code_and_stays_good() -> None:
    codes = Codes()
    code = issue(codes)
    other = replace(SALESFORCE_CLI, name="Other", consumer_key="3MVG9other")

    refused = refusal(codes, code, other)

    assert refused == "invalid_grant: invalid authorization code"
    assert codes.take(SALESFORCE_CLI, FORM | {"code": code}).user.username == "admin"


def test_whoever_fails_to_prove_themselves_gets_no_second_try() -> None:
    codes = Codes()
    code = issue(codes)
    refusal(codes, code, code_verifier="x" * 43)

    assert refusal(codes, code) == "invalid_grant: expired authorization code"


def test_a_verifier_without_a_challenge_proves_nothing() -> None:
    codes = Codes()

    refused = refusal(codes, issue(codes, None))

    assert refused == "invalid_grant: invalid code verifier"


@pytest.mark.parametrize(
    ("requires_pkce", "challenge", "told"),
    [
        (True, "", "missing required code challenge"),
        (True, "too-short", "invalid code challenge"),
        (False, "too-short", "invalid code challenge"),
        (False, "", None),
        (True, CHALLENGE, None),
    ],
)
def test_a_challenge_is_needed_where_the_app_says_so(
    requires_pkce: bool, challenge: str, told: str | None
) -> None:
    app = replace(SALESFORCE_CLI, requires_pkce=requires_pkce)
    query = {"response_type": "code", "code_challenge": challenge}

    try:
        refused = None
        read_wish(query, app)
    except OAuthError as exc:
        refused = exc.description

    assert refused == told


def test_a_user_logs_in_3600_times_an_hour() -> None:
    clock = Clock()
    rate = LoginRate(clock)
    admitted = [rate.admit("admin") for _ in range(LOGINS_PER_HOUR)]

    over, other = rate.admit("admin"), rate.admit("somebody else")
    clock.now += 3599
    still_over = rate.admit("admin")
    clock.now += 1
    again = rate.admit("admin")

    assert LOGINS_PER_HOUR == 3600
    assert all(admitted)
    assert (over, other, still_over, again) == (False, True, False, True)
