"""A deployment by the documented SOAP envelopes: what is sent, followed, refused and told.

The org here is a small TLS server of this test: the local test org has no Metadata API.
"""

import base64
import io
import json
import ssl
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from connectors.embedded.pki import ensure_app, ensure_ca, ensure_server_certificate
from connectors.salesforce import deploy as module
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.deploy import Deployment, Status
from connectors.salesforce.errors import OrgUnavailableError
from connectors.sfdx.components import components
from connectors.sfdx.source import package
from schemas.errors import HaltError
from streams.cli.salesforce import salesforce

JOB = "0Af000000000001AAA"
MET = "{http://soap.sforce.com/2006/04/metadata}"
ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns="http://soap.sforce.com/2006/04/metadata"><soapenv:Body>{}</soapenv:Body>'
    "</soapenv:Envelope>"
)
STARTED = ENVELOPE.format(
    f"<deployResponse><result><done>false</done><id>{JOB}</id><state>Queued</state></result>"
    "</deployResponse>"
)
FAULT = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:sf="http://soap.sforce.com/2006/04/metadata"><soapenv:Body><soapenv:Fault>'
    "<faultcode>sf:{}</faultcode><faultstring>canary@example.com</faultstring>"
    "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
)


def status(state: str, done: int = 0, details: str = "", errors: int = 0) -> str:
    return ENVELOPE.format(
        "<checkDeployStatusResponse><result><checkOnly>false</checkOnly>"
        f"<done>{str(state in module.ENDED).lower()}</done><id>{JOB}</id>"
        f"<details>{details}</details><numberComponentErrors>{errors}</numberComponentErrors>"
        f"<numberComponentsDeployed>{done}</numberComponentsDeployed>"
        f"<numberComponentsTotal>9</numberComponentsTotal><status>{state}</status>"
        "</result></checkDeployStatusResponse>"
    )


FAILURE = (
    "<componentFailures><componentType>CustomField</componentType>"
    "<fileName>objects/Commerce_Order__c.object</fileName><problem>Duplicate label</problem>"
    "<problemType>Error</problemType></componentFailures>"
)


class Org(ThreadingHTTPServer):
    """Gives the answers that it was told to, in turn; every login succeeds."""

    daemon_threads = True

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.answers: list[tuple[int, str]] = []
        self.seen: list[tuple[str, dict[str, str], bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Org

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/services/oauth2/token":
            self.answer(200, json.dumps({"access_token": "00D!one"}))
            return
        self.server.seen.append((self.path, dict(self.headers), body))
        self.answer(*self.server.answers.pop(0))

    def answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    ensure_ca(home)
    ensure_server_certificate(home)
    return home


@pytest.fixture
def org(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Org]:
    monkeypatch.setattr(module, "POLL_S", 0.0)
    server = Org(ensure_server_certificate(home))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(org: Org, home: Path, tmp_path: Path) -> Path:
    app = ensure_app(home, "eu")
    path = tmp_path / "org.json"
    way_in = {
        "instance_url": f"https://127.0.0.1:{org.server_address[1]}",
        "consumer_key": app.consumer_key,
        "username": "admin@homeport.example",
        "private_key_file": str(app.private_key_file),
        "ca_file": str(ensure_ca(home)),
    }
    path.write_text(json.dumps(way_in))
    path.chmod(0o600)
    return path


@pytest.fixture
def deployment(settings: Path) -> Deployment:
    return Deployment(SalesforceConfig(**json.loads(settings.read_text())))


def run(settings: Path, *argv: str) -> Result:
    return CliRunner().invoke(salesforce, ["deploy", "--settings", str(settings), *argv])


def test_the_package_goes_in_the_documented_envelope(org: Org, deployment: Deployment) -> None:
    org.answers = [(200, STARTED)]
    packed = package(components())

    assert deployment.start(packed, check_only=True, test_level="NoTestRun") == JOB

    ((path, headers, body),) = org.seen
    assert path == "/services/Soap/m/62.0/deployRequest"
    assert headers["SOAPAction"] == "deploy"
    assert headers["Content-Type"] == "text/xml"
    root = ET.fromstring(body)  # noqa: S314  our own request
    assert root.findtext(f".//{MET}sessionId") == "00D!one"
    sent = base64.b64decode(root.findtext(f".//{MET}ZipFile") or "")
    assert sent == packed
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert archive.testzip() is None
        assert "package.xml" in archive.namelist()
    options = root.find(f".//{MET}DeployOptions")
    assert options is not None
    assert {o.tag.removeprefix(MET): o.text for o in options} == {
        "allowMissingFiles": "false",
        "autoUpdatePackage": "false",
        "checkOnly": "true",
        "ignoreWarnings": "false",
        "performRetrieve": "false",
        "purgeOnDelete": "false",
        "rollbackOnError": "true",
        "singlePackage": "True",  # written by simple-salesforce itself
        "testLevel": "NoTestRun",
    }
    assert "".join(options.itertext()).find("None") == -1


def test_it_is_followed_to_its_end_over_answers_that_are_lost(
    org: Org, deployment: Deployment
) -> None:
    org.answers = [
        (200, status("Pending")),
        (503, "<html>busy</html>"),
        (200, "no XML"),
        (200, status("InProgress", done=4)),
        (200, status("Succeeded", done=9)),
    ]
    told: list[Status] = []

    last = deployment.follow(JOB, told.append)

    assert [(one.state, one.deployed) for one in told] == [
        ("Pending", 0),
        ("InProgress", 4),
        ("Succeeded", 9),
    ]
    assert last.is_good
    assert {path for path, _, _ in org.seen} == {f"/services/Soap/m/62.0/deployRequest/{JOB}"}


def test_an_org_that_stays_silent_is_given_up(
    org: Org, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOST_POLLS", 3)
    org.answers = [(503, "")] * 3

    with pytest.raises(OrgUnavailableError, match="HTTP 503; see Deployment Status"):
        deployment.follow(JOB, lambda _: None)


def test_lost_answers_count_anew_after_each_that_comes(
    org: Org, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOST_POLLS", 2)
    org.answers = [(503, ""), (200, status("Pending"))] * 3 + [(200, status("Succeeded", 9))]

    assert deployment.follow(JOB, lambda _: None).is_good


def test_a_refusal_names_the_right_and_none_of_the_orgs_text(
    org: Org, deployment: Deployment
) -> None:
    org.answers = [(500, FAULT.format("INSUFFICIENT_ACCESS"))]

    with pytest.raises(HaltError) as caught:
        deployment.start(b"", check_only=False, test_level="NoTestRun")

    assert str(caught.value) == (
        "start the deployment: Salesforce refuses with INSUFFICIENT_ACCESS; let the user"
        " `Modify Metadata Through Metadata API Functions`"
    )
    assert caught.value.__context__ is None


def test_a_deployment_that_succeeds_exits_0_and_tells_how_far_it_is(
    org: Org, settings: Path
) -> None:
    org.answers = [(200, STARTED), (200, status("InProgress", 4)), (200, status("Succeeded", 9))]

    result = run(settings, "--json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["state"] == "Succeeded"
    assert result.stderr.splitlines() == [
        "left alone: the apps of eu, uk, us; give --certificate REGION=FILE",
        f"deployment {JOB}",
        "InProgress: 4 of 9, 0 failed",
        "Succeeded: 9 of 9, 0 failed",
    ]


def test_a_component_that_the_org_does_not_take_exits_1_and_is_named(
    org: Org, settings: Path
) -> None:
    org.answers = [(200, STARTED), (200, status("Failed", 8, FAILURE, errors=1))]

    result = run(settings)

    assert result.exit_code == 1
    assert result.stdout == "CustomField objects/Commerce_Order__c.object: Duplicate label\n"


def test_a_session_that_is_refused_exits_3(org: Org, settings: Path) -> None:
    org.answers = [(500, FAULT.format("INVALID_SESSION_ID"))]

    result = run(settings)

    assert "INVALID_SESSION_ID" in str(result.exception)
    assert type(result.exception).__name__ == "SetupError"


def test_ctrl_c_leaves_the_deployment_to_the_org_and_says_how_to_find_it(
    org: Org, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    org.answers = [(200, STARTED)]

    def interrupted(*_: object) -> Status:
        raise KeyboardInterrupt

    monkeypatch.setattr(Deployment, "status", interrupted)

    result = run(settings)

    assert f"homeport salesforce deploy --follow {JOB}" in result.stderr


def test_follow_starts_nothing(org: Org, settings: Path) -> None:
    org.answers = [(200, status("Succeeded", 9))]

    result = run(settings, "--follow", JOB)

    assert result.exit_code == 0
    assert [headers["SOAPAction"] for _, headers, _ in org.seen] == ["checkDeployStatus"]
