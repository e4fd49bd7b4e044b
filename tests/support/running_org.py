"""The test org as a process that tests stop and kill, and the ways into it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import requests
from simple_salesforce import Salesforce

from connectors.embedded.pki import App

ROOT = Path(__file__).parents[2]
START_S = 60
VERSION = "62.0"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class RunningOrg:
    """One `homeport sandbox` process over a home folder."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        argv = [sys.executable, "-P", "-m", "streams.cli", "sandbox", "--json"]
        self._log = (home.parent / f"{home.name}.log").open("a")
        self.process = subprocess.Popen(
            [*argv, "--port", "0", "--home", str(home), *options],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=home.parent,
            env=_environment(),
        )
        assert self.process.stdout is not None
        self.ready: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.url: str = self.ready["instance_url"]
        self.port: int = self.ready["port"]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send *number* and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()
        return code

    def cli_token(self, user: str) -> subprocess.CompletedProcess[str]:
        """Run `homeport sandbox token`."""
        argv = [sys.executable, "-P", "-m", "streams.cli", "sandbox", "token", "--json"]
        return subprocess.run(
            [*argv, "--port", str(self.port), "--user", user, "--home", str(self.home)],
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
            env=_environment(),
        )

    def login(self, user: str = "admin") -> "Client":
        """Return a client with a session of *user*."""
        done = self.cli_token(user)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["instance_url"] == self.url
        return Client(self, answer["access_token"])

    def post_token(
        self, form: dict[str, str], headers: dict[str, str] | None = None
    ) -> requests.Response:
        """Send a request to the token endpoint."""
        with requests.Session() as session:
            session.trust_env, session.verify = False, self.ready["ca_file"] or True
            url = f"{self.url}/services/oauth2/token"
            return session.post(url, data=form, headers=headers, timeout=30)

    def by_assertion(self, app: App) -> requests.Response:
        """Log *app* in by JWT bearer."""
        now = int(time.time())
        claims = {"iss": app.consumer_key, "sub": app.username, "aud": self.url, "exp": now + 180}
        signed = jwt.encode(claims, app.private_key_file.read_text(), algorithm="RS256")
        return self.post_token({"grant_type": JWT_BEARER, "assertion": signed})

    def client(self, answer: requests.Response) -> "Client":
        """Return a client that goes on with a successful login."""
        return Client(self, answer.json()["access_token"])


class Client:
    """A session: plain HTTP underneath, simple-salesforce on top."""

    def __init__(self, org: RunningOrg, token: str) -> None:
        self.org, self.token = org, token
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = org.ready["ca_file"] or True
        self.http.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call a resource below the version, such as ``limits``."""
        url = f"{self.org.url}/services/data/v{VERSION}/{path}"
        return self.http.request(method, url, timeout=30, **options)

    def simple(self) -> Salesforce:
        """Return simple-salesforce on this session (https only)."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.org.ready["ca_file"]
        return Salesforce(
            session_id=self.token, instance_url=self.org.url, session=session, version=VERSION
        )

    def upsert(
        self, records: list[dict[str, Any]], *, all_or_none: bool = False, sobject: str = ""
    ) -> requests.Response:
        """Send one collections call."""
        sobject = sobject or "Commerce_Order__c"
        typed = [{"attributes": {"type": sobject}, **r} for r in records]
        return self.call(
            "PATCH",
            f"composite/sobjects/{sobject}/External_Id__c",
            json={"allOrNone": all_or_none, "records": typed},
        )

    def query(self, soql: str) -> dict[str, Any]:
        """Return the first page of a query's answer."""
        response = self.call("GET", "query", params={"q": soql})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
