"""Deploy a package over the Metadata API, as an administrator's app, and follow it.

By ``Salesforce.deploy`` of simple-salesforce, with a client of its own: it leaves the headers of
the client that it was called on unfit for anything else, and has no time-outs.
"""

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from xml.etree import ElementTree as ET

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError

from connectors.salesforce.access import Access
from connectors.salesforce.auth import open_session
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import LoginRefusedError, OrgUnavailableError
from connectors.salesforce.network import network_failure
from schemas.errors import HaltError, HomeportError, RetriableError

TestLevel = Literal["NoTestRun", "RunLocalTests"]
ENDED: Final = frozenset(
    {"Succeeded", "SucceededPartial", "Failed", "FinalizingDeployFailed", "Canceled"}
)
POLL_S = 2.0
LOGIN_S = 60.0
LOST_POLLS = 30  # in a row without an answer: the org goes on without us
NEXT_STEP: Mapping[str, str] = {
    "INSUFFICIENT_ACCESS": "let the user `Modify Metadata Through Metadata API Functions`",
    "INVALID_SESSION_ID": "see the app's and the user's session policies in Setup",
    "API_DISABLED_FOR_ORG": "the org's edition has no API; nothing can be deployed to it",
}
# As XML Schema has booleans; the client would write Python's.
_OPTIONS: Mapping[str, str] = {
    "allowMissingFiles": "false",
    "autoUpdatePackage": "false",
    "ignoreWarnings": "false",
    "performRetrieve": "false",
    "purgeOnDelete": "false",
    "rollbackOnError": "true",
}
_STEP = "see Deployment Status in the org's Setup"


@dataclass(frozen=True, slots=True)
class Failure:
    """A component that the org does not take. Its text is of metadata: it quotes no row."""

    kind: str
    file: str
    problem: str


@dataclass(frozen=True, slots=True)
class Status:
    """How far a deployment is.

    Attributes:
        state: Salesforce's word, such as ``InProgress``; final ones are in `ENDED`.
        failures: Components and Apex tests of the org that failed.

    """

    id: str
    state: str
    deployed: int = 0
    failed: int = 0
    total: int = 0
    failures: tuple[Failure, ...] = ()

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    @property
    def is_good(self) -> bool:
        """Whether every component is in the org, or would be."""
        return self.state == "Succeeded"


class Deployment:
    """One package on its way into one org."""

    def __init__(self, config: SalesforceConfig) -> None:
        """Log in.

        Args:
            config: Where, and as which app; its user must be allowed to deploy, which no
                region's integration user is.

        Raises:
            LoginRefusedError: The org refuses; the text says which setting to look at.
            OrgUnavailableError: The org could not be reached.

        """
        self._session = open_session(config)
        self._session.mount("https://", _Bounded(config.timeout_s))
        self._session.max_redirects = 0  # one could carry the session id to another host
        access = Access(config, session=self._session)
        token = access.tokens.current(time.monotonic() + LOGIN_S)
        self._org = Salesforce(
            session_id=token.value,
            instance_url=config.instance_url,
            version=config.api_version,
            session=self._session,
        )

    def start(self, package: bytes, *, check_only: bool, test_level: TestLevel) -> str:
        """Hand the zip over and return the deployment's id.

        All of it goes in or nothing does (rollbackOnError); nothing is deleted in the org.
        It is sent once: an answer that is lost says nothing about the deployment.

        Raises:
            OrgUnavailableError: No answer; look at Deployment Status before deploying again.
            HaltError: The org refuses.

        """
        answer = self._ask(
            "start the deployment",
            lambda: self._org.deploy(
                io.BytesIO(package),
                sandbox=True,  # else the client writes its own booleans, as Python does
                **_OPTIONS,
                checkOnly="true" if check_only else "false",
                testLevel=test_level,
                tests="",  # None would be written into the request
                client="homeport",
            ),
        )
        if not answer.get("asyncId"):
            msg = f"start the deployment: Salesforce's answer names none; {_STEP}"
            raise OrgUnavailableError(msg)
        return str(answer["asyncId"])

    def status(self, deployment_id: str) -> Status:
        """Return how far it is.

        Raises:
            OrgUnavailableError: No answer.
            HaltError: The org refuses.

        """
        answer = self._ask(
            "ask how far the deployment is",
            lambda: self._org.checkDeployStatus(deployment_id, client="homeport"),
        )
        parts = answer.get("deployment_detail") or {}
        tests = answer.get("unit_test_detail") or {}
        failures = [
            Failure(one["type"] or "", one["file"] or "", one["message"] or "")
            for one in parts.get("errors") or []
        ]
        failures += [
            Failure("ApexTest", f"{one['class']}.{one['method']}", "failed in the org")
            for one in tests.get("errors") or []
        ]
        return Status(
            deployment_id,
            answer.get("state") or "Pending",
            deployed=_number(parts.get("deployed_count")),
            failed=_number(parts.get("failed_count")),
            total=_number(parts.get("total_count")),
            failures=tuple(failures),
        )

    def follow(
        self,
        deployment_id: str,
        told: Callable[[Status], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> Status:
        """Return the last status, once it is final; *told* hears of each on the way.

        Raises:
            OrgUnavailableError: The org has given no answer for a minute or more.
            HaltError: The org refuses.

        """
        lost = 0
        while True:
            try:
                status = self.status(deployment_id)
            except RetriableError:
                lost += 1
                if lost >= LOST_POLLS:
                    raise
            else:
                lost = 0
                told(status)
                if status.is_ended:
                    return status
            sleep(POLL_S)

    def _ask(self, what: str, call: Callable[[], Any]) -> Mapping[str, Any]:
        failure: HomeportError
        try:
            answer: Mapping[str, Any] = call()
        except SalesforceError as exc:
            code = _fault(exc.content)
            text = f"{what}: Salesforce refuses with {code or f'HTTP {exc.status}'}"
            if code == "INVALID_SESSION_ID":
                failure = LoginRefusedError(f"{text}; {NEXT_STEP[code]}")
            elif code is None:
                failure = OrgUnavailableError(f"{text}; {_STEP}")
            else:
                failure = HaltError(f"{text}; {NEXT_STEP.get(code, _STEP)}")
        except OSError as exc:  # every error of requests is one
            failure = network_failure(what, exc)
        except Exception:  # noqa: BLE001  what the library raises on an answer it cannot read
            failure = OrgUnavailableError(f"{what}: Salesforce's answer cannot be read")
        else:
            return answer
        raise failure  # here, so that the caught error does not ride along with its texts


class _Bounded(HTTPAdapter):
    """Gives every request a time-out, (connect, read) in seconds."""

    def __init__(self, timeout_s: tuple[float, float]) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def send(
        self,
        request: requests.PreparedRequest,
        *args: Any,  # noqa: ANN401  requests' own
        **kwargs: Any,  # noqa: ANN401
    ) -> requests.Response:
        """Send with the time-out, if the caller gives none."""
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout_s
        return super().send(request, *args, **kwargs)


def _fault(content: object) -> str | None:
    """Return the exception code of a SOAP fault, without its namespace's prefix."""
    try:
        root = ET.fromstring(content if isinstance(content, (str, bytes)) else "")  # noqa: S314
    except ET.ParseError:
        return None
    code = next((e.text or "" for e in root.iter() if e.tag.endswith("faultcode")), "")
    code = code.rpartition(":")[2]
    return code if code.replace("_", "").isalnum() and code.isascii() else None


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
