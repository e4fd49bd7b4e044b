"""``homeport salesforce`` writes source without an org, and says 2 or 3 where it cannot go on."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connectors.embedded.pki import ensure_app
from connectors.salesforce.client import CallRetry
from connectors.sfdx.components import components
from connectors.sfdx.source import FOLDER, drift, source_files
from streams.cli import salesforce_deploy
from streams.cli.salesforce import salesforce


def run(*argv: object) -> Result:
    return CliRunner().invoke(salesforce, [str(word) for word in argv])


def test_out_writes_the_source_and_the_package(tmp_path: Path) -> None:
    folder = tmp_path / "org"

    result = run("deploy", "--out", folder, "--json")

    assert result.exit_code == 0, result.output
    assert drift(source_files(components()), folder) == []
    assert json.loads(result.stdout)["package"] == "homeport-mdapi.zip"
    with zipfile.ZipFile(folder / "homeport-mdapi.zip") as archive:
        assert "objects/Commerce_Order__c.object" in archive.namelist()


def test_a_certificate_goes_out_without_the_key_that_lies_beside_it(tmp_path: Path) -> None:
    app = ensure_app(tmp_path, "eu")
    both = tmp_path / "both.pem"
    both.write_text(app.private_key_file.read_text() + app.certificate)

    result = run("deploy", "--out", tmp_path / "org", "--certificate", f"eu={both}")

    assert result.exit_code == 0, result.output
    found = [p.read_text() for p in (tmp_path / "org").rglob("*.xml")]
    assert sum("BEGIN CERTIFICATE" in text for text in found) == 1
    assert not [text for text in found if "PRIVATE KEY" in text]


def test_out_does_not_touch_the_source_of_others(tmp_path: Path) -> None:
    theirs = tmp_path / "force-app/main/default/classes/Theirs.cls"
    theirs.parent.mkdir(parents=True)
    theirs.touch()

    result = run("deploy", "--out", tmp_path)

    assert "has source that is not ours" in str(result.exception)
    assert theirs.exists()


def test_update_finds_the_committed_source_current() -> None:
    result = run("deploy", "--update", "--json")

    assert json.loads(result.stdout) == {"folder": str(FOLDER), "changed": []}


@pytest.mark.parametrize(
    "argv",
    [
        ["deploy"],
        ["deploy", "--dry-run", "--update"],
        ["deploy", "--update", "--contact-email", "it@acme.example"],
        ["deploy", "--dry-run", "--certificate", "mars=mars.pem"],
        ["deploy", "--dry-run", "--certificate", "eu=/nowhere.pem"],
        ["preflight"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(argv: list[str]) -> None:
    assert run(*argv).exit_code == 2


def way_in(folder: Path) -> Path:
    app = ensure_app(folder, "eu")
    path = folder / "org.json"
    keys = {"consumer_key": "3MVG9", "private_key_file": str(app.private_key_file)}
    path.write_text(json.dumps({"instance_url": "https://127.0.0.1:9", "username": "u", **keys}))
    path.chmod(0o600)
    return path


def test_a_dry_run_goes_without_the_org(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salesforce_deploy, "ASK", CallRetry(deadline_s=0.1, first_wait_s=0.01))

    result = run("deploy", "--dry-run", "--settings", way_in(tmp_path), "--json")

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert len(told["components"]) == 66
    assert told["changes"] is None
    assert "no answer from Salesforce" in told["not_asked"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not JSON"),
        ('{"instance_url": "https://a.example", "password": "canary"}', "no logins by password"),
    ],
)
def test_settings_that_name_no_way_in_exit_3(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "org.json"
    path.write_text(content)
    path.chmod(0o600)
    argv = ["salesforce", "preflight", "--region", "eu", "--settings", str(path)]

    result = subprocess.run(
        [sys.executable, "-m", "streams.cli", *argv], capture_output=True, text=True, check=False
    )

    assert result.returncode == 3
    assert told in result.stderr
    assert "canary" not in result.stderr


def test_a_home_without_a_stack_exits_3(tmp_path: Path) -> None:
    argv = ["salesforce", "preflight", "--region", "eu", "--home", str(tmp_path)]

    result = subprocess.run(
        [sys.executable, "-m", "streams.cli", *argv], capture_output=True, text=True, check=False
    )

    assert result.returncode == 3
    assert "run `homeport up` first" in result.stderr
