"""The local test org takes all that the regions may send, as the command line finds."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from org_process import ORDER, client_of, running_org

from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.preflight import preflight
from residency.contracts.needs import FieldNeed, Needs, ObjectNeed, region_needs
from residency.contracts.read import load_contract
from residency.regions import load_regions
from schemas.errors import SetupError
from schemas.registry import load_registry
from streams.cli.salesforce import salesforce
from streams.settings import load_org


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SalesforceConfig]:
    """Start the test org with the EU's app registered; yield the way in."""
    with running_org(tmp_path_factory.mktemp("home")) as config:
        yield config


def needs_of(region: str) -> Needs:
    return region_needs(region, load_contract(), load_registry())


@pytest.mark.parametrize("region", load_regions())
def test_the_org_takes_all_that_a_region_may_send(org: SalesforceConfig, region: str) -> None:
    needs = needs_of(region)

    assert len(needs) == 3
    assert preflight(client_of(org), needs) == []


def test_preflight_finds_what_the_org_lacks(org: SalesforceConfig) -> None:
    need = needs_of("eu")[ORDER]
    more = {"No_Such__c": FieldNeed("No_Such__c", "string", longest=1)}
    needs = {ORDER: ObjectNeed(ORDER, {**need.fields, **more}), "No__c": ObjectNeed("No__c", more)}

    problems = preflight(client_of(org), needs)

    assert [problem.where for problem in problems] == [f"{ORDER}.No_Such__c", "No__c"]


def test_preflight_finds_that_our_user_may_not_delete_for_good(org: SalesforceConfig) -> None:
    need = replace(needs_of("eu")[ORDER], hard=True)

    (problem,) = preflight(client_of(org), {ORDER: need})

    assert (problem.where, problem.step) == (
        ORDER,
        "give the user the permission Bulk API Hard Delete",
    )


def settings_of(config: SalesforceConfig, path: Path) -> str:
    names = ("instance_url", "consumer_key", "username", "private_key_file", "ca_file")
    way_in = {name: str(getattr(config, name)) for name in names}
    path.write_text(json.dumps({"salesforce": way_in}))
    path.chmod(0o600)
    return str(path)


def test_the_command_line_finds_the_org_fit(org: SalesforceConfig, tmp_path: Path) -> None:
    settings = settings_of(org, tmp_path / "org.json")

    result = CliRunner().invoke(
        salesforce, ["preflight", "--region", "eu", "--settings", settings, "--json"]
    )

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"region": "eu", "problems": []}


def test_a_dry_run_finds_nothing_to_change_in_an_org_that_has_it_all(
    org: SalesforceConfig, tmp_path: Path
) -> None:
    settings = settings_of(org, tmp_path / "org.json")

    result = CliRunner().invoke(salesforce, ["deploy", "--dry-run", "--settings", settings])

    assert result.exit_code == 0, result.output
    assert "CustomField Commerce_Order__c.Status__c\n" in result.stdout
    assert result.stderr.splitlines() == [
        "left alone: the apps of eu, uk, us; give --certificate REGION=FILE",
        "66 components; 0 change(s) in the org",
    ]


def test_settings_that_others_can_read_are_refused(org: SalesforceConfig, tmp_path: Path) -> None:
    path = tmp_path / "org.json"
    settings_of(org, path)
    path.chmod(0o644)

    with pytest.raises(SetupError, match="others can read these credentials"):
        load_org(path)
