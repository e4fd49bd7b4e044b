"""Packages of the Metadata API, as clients zip them, and how to follow a deployment."""

import io
import json
import time
import zipfile
from collections.abc import Mapping
from functools import cache
from typing import Any

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
ENDED = {"Succeeded", "SucceededPartial", "Failed", "Canceled"}
WAIT_S = 60
OPTIONS = {"testLevel": "NoTestRun", "tests": ""}  # else the client writes `None` into the XML


def document(kind: str, inner: str) -> str:
    """Return one metadata file."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind} xmlns="{NAMESPACE}">{inner}</{kind}>'


def manifest(members: Mapping[str, list[str]]) -> str:
    """Return a package.xml, or a manifest of deletions."""
    types = "".join(
        f"<types>{''.join(f'<members>{n}</members>' for n in names)}<name>{kind}</name></types>"
        for kind, names in members.items()
    )
    return document("Package", f"{types}<version>62.0</version>")


def text_field(name: str, extra: str = "") -> str:
    """Return a text field as an element of an object's file."""
    return (
        f"<fields><fullName>{name}</fullName><label>{name[:-3]}</label><type>Text</type>"
        f"<length>80</length>{extra}</fields>"
    )


KEY = text_field("Key__c", "<externalId>true</externalId><unique>true</unique>")


def custom_object(label: str, *parts: str) -> str:
    """Return a custom object's file."""
    head = (
        f"<label>{label}</label><pluralLabel>{label}s</pluralLabel>"
        "<nameField><label>Name</label><type>Text</type></nameField>"
        "<deploymentStatus>Deployed</deploymentStatus><sharingModel>ReadWrite</sharingModel>"
    )
    return document("CustomObject", head + "".join(parts))


def packed(files: Mapping[str, str | bytes]) -> io.BytesIO:
    """Return a zip of *files*."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content


def object_package(name: str, *parts: str) -> io.BytesIO:
    """Return the zip of one custom object with its parts."""
    return packed(
        {
            "package.xml": manifest({"CustomObject": [name]}),
            f"objects/{name}.object": custom_object(name[:-3], *parts),
        }
    )


def deploy(client: Any, content: io.BytesIO, **options: Any) -> dict[str, Any]:
    """Deploy by simple-salesforce and return what it says at the end."""
    simple = _simple(client)
    started = simple.deploy(content, sandbox=True, **{**OPTIONS, **options})
    assert started["state"] == "Queued"
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        status: dict[str, Any] = simple.checkDeployStatus(started["asyncId"])
        if status["state"] in ENDED:
            return status
        time.sleep(0.05)
    raise AssertionError(status)


@cache
def _simple(client: Any) -> Any:
    """Return the client on that session; it reads its WSDL once, which takes a second."""
    return client.simple()


def rest_deploy(client: Any, content: io.BytesIO, **options: Any) -> dict[str, Any]:
    """Deploy over REST, as the official CLI may, and return the DeployResult at the end."""
    wanted = {"singlePackage": True, "rollbackOnError": True, **options}
    parts = {
        "file": ("package.zip", content.getvalue(), "application/zip"),
        "entity_content": (None, json.dumps({"deployOptions": wanted}), "application/json"),
    }
    started = client.call("POST", "metadata/deployRequest", files=parts)
    assert started.status_code == 201, started.text
    return followed(client, started.json()["id"])


def followed(client: Any, deployment: str) -> dict[str, Any]:
    """Return the DeployResult of a deployment once it is over."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        url = f"metadata/deployRequest/{deployment}?includeDetails=true"
        result: dict[str, Any] = client.call("GET", url).json()["deployResult"]
        if result["done"]:
            return result
        time.sleep(0.05)
    raise AssertionError(result)


def problems(status: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (type, file, text) of what failed."""
    return [
        (one["type"], one["file"], one["message"]) for one in status["deployment_detail"]["errors"]
    ]
