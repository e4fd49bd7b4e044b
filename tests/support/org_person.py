"""A person at a browser, for tests: through the door, and allowing apps."""

import base64
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from connectors.sandbox.running import page_link

ROOT = Path(__file__).parents[2]
CLI_CALLBACK = "http://localhost:1717/OauthRedirect"
VERIFIER = "v" * 64


def challenge(verifier: str = VERIFIER) -> str:
    hashed = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(hashed).decode().rstrip("=")


def sandbox_cli(org: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `homeport sandbox` over the org's home."""
    argv = [sys.executable, "-P", "-m", "streams.cli", "sandbox", *arguments]
    return subprocess.run(
        [*argv, "--home", str(org.home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )


def link(org: Any) -> dict[str, str]:
    """Return what `homeport sandbox page` prints, without the wait for a process."""
    return page_link(org.home, org.port)


class Person:
    """Somebody with a browser; inside unless told otherwise."""

    def __init__(self, org: Any, *, inside: bool = True) -> None:
        self.org = org
        self.browser = requests.Session()
        self.browser.trust_env = False
        self.browser.verify = org.ready["ca_file"] or True
        if inside:
            self.get(f"/?key={link(org)['key']}")

    def get(self, path: str, **options: Any) -> requests.Response:
        options = {"allow_redirects": False, "timeout": 30} | options
        return self.browser.get(f"{self.org.url}{path}", **options)

    def post(self, path: str, form: dict[str, str], origin: str = "") -> requests.Response:
        return self.browser.post(
            f"{self.org.url}{path}",
            data=form,
            headers={"Origin": origin or self.org.url},
            allow_redirects=False,
            timeout=30,
        )

    def decide(self, decision: str, user: str = "admin", **changes: str) -> dict[str, str]:
        """Send the form of the authorise page; return what the callback is told."""
        response = self.post(authorize_path(**changes), {"user": user, "decision": decision})
        assert response.status_code == 303, response.text
        url = urlsplit(response.headers["Location"])
        assert f"{url.scheme}://{url.netloc}{url.path}" == changes.get("redirect_uri", CLI_CALLBACK)
        return dict(parse_qsl(url.query))

    def code(self, user: str = "admin", **changes: str) -> str:
        return self.decide("allow", user, **changes)["code"]


def authorize_path(**changes: str) -> str:
    asked = {
        "response_type": "code",
        "client_id": "PlatformCLI",
        "redirect_uri": CLI_CALLBACK,
        "state": "a state & more",
        "code_challenge": challenge(),
    } | changes
    kept = {name: value for name, value in asked.items() if value != ""}
    prepared = requests.Request("GET", "http://x/services/oauth2/authorize", params=kept).prepare()
    return str(prepared.path_url)


def token_form(code: str, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": "PlatformCLI",
        "redirect_uri": CLI_CALLBACK,
        "code_verifier": VERIFIER,
    } | changes
