"""Deployments as jobs: over REST, cancelled, over a restart; and what is retrieved."""

import base64
import io
import json
import signal
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from metadata_packages import (
    ENDED,
    KEY,
    custom_object,
    deploy,
    document,
    followed,
    manifest,
    object_package,
    packed,
    problems,
    rest_deploy,
    text_field,
)
from soap_calls import METADATA, call, fault_of, results

from connectors.embedded.pki import ensure_app, write_apps
from streams.cli.salesforce import salesforce

RULE = (
    "<validationRules><fullName>Never</fullName><active>true</active>"
    "<errorConditionFormula>ISBLANK(Key__c)</errorConditionFormula>"
    "<errorMessage>not so</errorMessage></validationRules>"
)


def large(count: int = 400) -> io.BytesIO:
    """Return a package that takes a while."""
    names = [f"Long{i}__c" for i in range(count)]
    files = {f"objects/{n}.object": custom_object(n[:-3], KEY, RULE) for n in names}
    return packed({"package.xml": manifest({"CustomObject": ["*"]}), **files})


def start(client: Any, content: io.BytesIO) -> str:
    """Start a deployment and return its id."""
    zipped = f"<ZipFile>{base64.b64encode(content.getvalue()).decode()}</ZipFile>"
    options = "<DeployOptions><singlePackage>true</singlePackage></DeployOptions>"
    [result] = results(call(client, "m", "deploy", zipped + options, METADATA))
    return result.findtext("{*}id") or ""


def status(client: Any, deployment: str) -> str:
    inner = f"<asyncProcessId>{deployment}</asyncProcessId>"
    [result] = results(call(client, "m", "checkDeployStatus", inner, METADATA))
    return result.findtext("{*}status") or ""


def retrieved(client: Any, members: dict[str, list[str]], **more: str) -> dict[str, bytes]:
    """Return the files of a retrieve."""
    types = manifest(members).partition(">")[2].partition(">")[2].removesuffix("</Package>")
    name = more.get("name", "retrieveRequest")
    inner = (
        f"<{name}><apiVersion>62.0</apiVersion>"
        f"<singlePackage>{more.get('single', 'true')}</singlePackage>"
        f"<unpackaged>{types}</unpackaged></{name}>"
    )
    [started] = results(call(client, "m", "retrieve", inner, METADATA))
    asked = f"<asyncProcessId>{started.findtext('{*}id')}</asyncProcessId>"
    [result] = results(call(client, "m", "checkRetrieveStatus", asked, METADATA))
    assert result.findtext("{*}status") == "Succeeded"
    content = base64.b64decode(result.findtext("{*}zipFile") or "")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_deployment_over_rest_answers_as_it_is_documented(module_admin: Any) -> None:
    zipped = ("package.zip", object_package("Rest__c", KEY).getvalue(), "application/zip")
    options = {"deployOptions": {"singlePackage": True, "testLevel": "RunLocalTests"}}

    parts = {"json": (None, json.dumps(options), "application/json"), "file": zipped}
    started = module_admin.call("POST", "metadata/deployRequest", files=parts)

    body = started.json()
    assert started.status_code == 201
    assert body["id"].startswith("0Af")
    assert len(body["id"]) == 18
    assert body["url"].endswith(f"/metadata/deployRequest/{body['id']}?includeDetails=true")
    assert body["validatedDeployRequestId"] is None
    assert body["deployOptions"]["testLevel"] == "RunLocalTests"
    result = followed(module_admin, body["id"])
    assert (result["status"], result["success"], result["numberComponentsTotal"]) == (
        "Succeeded",
        True,
        2,
    )
    assert [
        (one["componentType"], one["fullName"], one["fileName"], one["created"])
        for one in result["details"]["componentSuccesses"]
    ] == [
        ("CustomObject", "Rest__c", "objects/Rest__c.object", True),
        ("CustomField", "Rest__c.Key__c", "objects/Rest__c.object", True),
    ]
    assert result["details"]["componentFailures"] == []
    brief = module_admin.call("GET", f"metadata/deployRequest/{body['id']}").json()
    assert brief["deployResult"]["details"] is None


def test_what_is_no_deployment_is_not_found(module_admin: Any) -> None:
    rest = module_admin.call("GET", "metadata/deployRequest/0AfRO00000zzzzzAAA")
    soap = call(
        module_admin, "m", "checkDeployStatus", "<asyncProcessId>x</asyncProcessId>", METADATA
    )

    assert rest.status_code == 404
    assert fault_of(soap)[0] == "sf:INVALID_CROSS_REFERENCE_KEY"


def test_a_deployment_that_waits_is_cancelled_at_once_and_changes_nothing(
    module_admin: Any,
) -> None:
    first = start(module_admin, large())
    second = start(module_admin, object_package("Never__c", KEY))

    url = f"metadata/deployRequest/{second}"
    answer = module_admin.call("PATCH", url, json={"deployResult": {"status": "Canceling"}})

    assert answer.status_code == 202
    assert answer.json()["deployResult"]["status"] == "Canceled"
    again = module_admin.call("PATCH", url, json={"deployResult": {"status": "Canceling"}})
    assert (again.status_code, again.json()[0]["message"]) == (400, "Deployment already completed")
    call(module_admin, "m", "cancelDeploy", f"<String>{first}</String>", METADATA)
    assert followed(module_admin, first)["status"] in {"Canceled", "Succeeded"}
    assert module_admin.call("GET", "sobjects/Never__c").status_code == 404


def test_what_is_deployed_is_there_after_a_restart(start_org: Any) -> None:
    org = start_org("--plain")
    admin = org.login()
    result = rest_deploy(admin, object_package("Stays__c", KEY, RULE))
    row = {"Key__c": "k"}
    admin.call("POST", "sobjects/Stays__c", json=row)
    org.stop(signal.SIGKILL)

    again = start_org("--plain").login()

    assert result["status"] == "Succeeded"
    assert [r["Key__c"] for r in again.query("SELECT Key__c FROM Stays__c")["records"]] == ["k"]
    assert again.call("POST", "sobjects/Stays__c", json={}).status_code == 400
    assert followed(again, result["id"])["status"] == "Succeeded"


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.2, 0.5])
def test_an_org_killed_while_it_deploys_has_all_or_nothing_and_goes_on(
    start_org: Any, after_s: float
) -> None:
    org = start_org("--plain")
    deployment = start(org.login(), large())
    time.sleep(after_s)
    org.stop(signal.SIGKILL)

    admin = start_org("--plain").login()

    result = followed(admin, deployment)
    assert (result["status"], result["numberComponentsDeployed"]) == ("Succeeded", 1200)
    names = [s["name"] for s in admin.call("GET", "sobjects").json()["sobjects"]]
    assert sum(name.startswith("Long") for name in names) == 400


def test_what_is_retrieved_is_what_was_deployed_and_deploys_again(start_org: Any) -> None:
    admin = start_org(name="one").login()
    files = {
        "package.xml": manifest({"CustomObject": ["Kept__c"], "PermissionSet": ["Kept"]}),
        "objects/Kept__c.object": custom_object("Kept", KEY, text_field("Note__c"), RULE),
        "permissionsets/Kept.permissionset": document("PermissionSet", "<label>Kept</label>"),
    }
    deploy(admin, packed(files))

    first = retrieved(admin, {"CustomObject": ["*"], "PermissionSet": ["*"]})

    assert {"package.xml", "objects/Kept__c.object", "permissionsets/Kept.permissionset"} <= set(
        first
    )
    assert "objects/Commerce_Order__c.object" in first  # the base is there as well
    other = start_org(name="two").login()
    status = deploy(other, packed(first), rollbackOnError=True)
    assert status["state"] == "Succeeded", problems(status)
    assert retrieved(other, {"CustomObject": ["*"], "PermissionSet": ["*"]}) == first


def test_single_fields_are_retrieved_and_what_is_not_there_is_told(module_admin: Any) -> None:
    wanted = {"CustomField": ["Commerce_Order__c.Total__c"], "CustomObject": ["No__c"]}

    files = retrieved(module_admin, wanted, single="false")

    assert set(files) == {"unpackaged/objects/Commerce_Order__c.object", "unpackaged/package.xml"}
    assert files["unpackaged/objects/Commerce_Order__c.object"].count(b"<fields>") == 1


def test_components_are_listed_and_types_described(module_admin: Any) -> None:
    simple = module_admin.simple()
    simple.mdapi._client.transport.session = simple.session  # noqa: SLF001 -- it trusts our CA

    described = simple.mdapi.describe_metadata()
    query = simple.mdapi._client.get_type("ns0:ListMetadataQuery")(type="CustomObject")  # noqa: SLF001
    listed = simple.mdapi.list_metadata([query])

    assert {one.xmlName for one in described.metadataObjects} >= {"CustomObject", "PermissionSet"}
    assert "Commerce_Order__c" in {one.fullName for one in listed}


@pytest.mark.parametrize(
    ("kinds", "code"),
    [(["CustomObject"] * 4, "sf:EXCEEDED_ID_LIMIT"), (["ApexClass"], "sf:INVALID_TYPE")],
)
def test_what_cannot_be_listed_is_a_fault(module_admin: Any, kinds: list[str], code: str) -> None:
    inner = "".join(f"<queries><type>{kind}</type></queries>" for kind in kinds)

    answer = call(module_admin, "m", "listMetadata", inner, METADATA)

    assert fault_of(answer)[0] == code


def test_a_retrieve_is_asked_for_without_its_zip_and_tells_what_is_not_there(
    module_admin: Any,
) -> None:
    types = "<types><members>No__c</members><name>CustomObject</name></types>"
    inner = f"<retrieveRequest><unpackaged>{types}</unpackaged></retrieveRequest>"
    [started] = results(call(module_admin, "m", "retrieve", inner, METADATA))
    asked = f"<asyncProcessId>{started.findtext('{*}id')}</asyncProcessId>"

    [told] = results(
        call(
            module_admin,
            "m",
            "checkRetrieveStatus",
            f"{asked}<includeZip>false</includeZip>",
            METADATA,
        )
    )

    assert told.find("{*}zipFile") is None
    assert told.findtext("{*}messages/{*}problem") == (
        "Entity of type 'CustomObject' named 'No__c' cannot be found"
    )


def test_our_own_command_deploys_to_it(org: Any, tmp_path: Path) -> None:
    app = replace(ensure_app(org.home, "eu"), username="admin")
    write_apps(org.home, [app])
    way_in = {
        "instance_url": org.url,
        "consumer_key": app.consumer_key,
        "username": app.username,
        "private_key_file": str(app.private_key_file),
        "ca_file": org.ready["ca_file"],
    }
    settings = tmp_path / "admin.json"
    settings.write_text(json.dumps({"salesforce": way_in}))
    settings.chmod(0o600)

    done = CliRunner().invoke(salesforce, ["deploy", "--settings", str(settings), "--json"])

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["state"] in ENDED
    assert (told["failures"], told["failed"]) == ([], 0)
    assert told["deployed"] == told["total"] > 50


def test_the_request_of_a_retrieve_is_known_by_its_place(module_admin: Any) -> None:
    wanted = {"PermissionSet": ["Region_Sink"]}

    named = retrieved(module_admin, wanted)
    placed = retrieved(module_admin, wanted, name="request")  # as the official CLI calls it

    assert set(named) == {"package.xml", "permissionsets/Region_Sink.permissionset"}
    assert placed == named
