"""The Metadata API over SOAP: deploy, retrieve, and what the org has.

Source: Metadata API Developer Guide, "File-Based Calls" and "Utility Calls".
"""

import base64
from collections.abc import Awaitable, Callable, Mapping

from connectors.sandbox.deploys.jobs import (
    ALREADY_OVER,
    ENDED,
    Deployment,
    add_retrieve,
    find_deployment,
    find_retrieve,
    user_names,
)
from connectors.sandbox.deploys.messages import result
from connectors.sandbox.deploys.options import DeployOptions
from connectors.sandbox.deploys.package import read_manifest
from connectors.sandbox.deploys.retrieve import described, listed, retrieve
from connectors.sandbox.deploys.runner import Deployer
from connectors.sandbox.markup import Node, child, children, text
from connectors.sandbox.org import Org, Session
from connectors.sandbox.soap.envelope import Fault, Request
from connectors.sfdx.places import PARTS, PLACES

_QUEUED: Mapping[str, Node] = {"done": False, "state": "Queued"}
_UNPACKAGED = "unpackaged/"
_MAX_QUERIES = 3  # of one listMetadata

Operation = Callable[[Org, Deployer, Session, Request], Awaitable[Node]]


async def deploy(org: Org, deployer: Deployer, session: Session, request: Request) -> Node:
    """Start a deployment."""
    del org
    options = DeployOptions.of_xml(child(request.node, "DeployOptions"))
    one = await deployer.add(session.user, options, _zip(text(request.node, "ZipFile")))
    return {**_QUEUED, "id": one.id}


async def check_deploy_status(
    org: Org, deployer: Deployer, session: Session, request: Request
) -> Node:
    """Say how far a deployment is."""
    del deployer, session
    one = await _deployment(org, text(request.node, "asyncProcessId"))
    with_details = text(request.node, "includeDetails").lower() in {"true", "1"}
    users = await org.read(lambda store: user_names(store, one))
    return result(one, users, with_details=with_details)


async def cancel_deploy(org: Org, deployer: Deployer, session: Session, request: Request) -> Node:
    """Ask for the end of a deployment that is not over."""
    found = await _deployment(org, text(request.node, "String") or text(request.node, "id"))
    one = await deployer.cancel(found.number, session.user)
    if one is None:
        raise Fault(*ALREADY_OVER)
    return {"done": one.state in ENDED, "id": one.id}


async def start_retrieve(org: Org, deployer: Deployer, session: Session, request: Request) -> Node:
    """Pack what is asked for; it is there at once, though clients ask for it later."""
    del deployer
    # the WSDL calls it retrieveRequest, the official CLI `request`: the real API goes by position
    asked = next(iter(request.node), None)
    manifest = child(asked, "unpackaged")
    wanted = {} if manifest is None else read_manifest(manifest)
    is_single = text(asked, "singlePackage").lower() in {"true", "1"}
    version = text(manifest, "version") or text(asked, "apiVersion")
    folder = "" if is_single else _UNPACKAGED
    said, packed = retrieve(org.source.files(), wanted, version, folder=folder)
    known = await org.write(lambda store: add_retrieve(store, session.user, said, packed))
    return {**_QUEUED, "id": known}


async def check_retrieve_status(
    org: Org, deployer: Deployer, session: Session, request: Request
) -> Node:
    """Give back what a retrieve has packed."""
    del deployer, session
    known = text(request.node, "asyncProcessId")
    found = await org.read(lambda store: find_retrieve(store, known))
    if found is None:
        raise _no_such_id()
    said, packed = found
    is_wanted = text(request.node, "includeZip").lower() != "false"
    return {
        "done": True,
        "fileProperties": said["fileProperties"],
        "id": known,
        "messages": said["messages"],
        "status": "Succeeded",
        "success": True,
        "zipFile": base64.b64encode(packed).decode() if is_wanted else None,
    }


async def describe_metadata(
    org: Org, deployer: Deployer, session: Session, request: Request
) -> Node:
    """List the types that the org has."""
    del org, deployer, session, request
    return described()


async def list_metadata(org: Org, deployer: Deployer, session: Session, request: Request) -> Node:
    """List the components of up to three types."""
    del deployer, session
    kinds = [text(one, "type") for one in children(request.node, "queries")]
    if len(kinds) > _MAX_QUERIES:
        code, words = "EXCEEDED_ID_LIMIT", f"At most {_MAX_QUERIES} queries in one call"
        raise Fault(code, words)
    for kind in kinds:
        if kind not in PLACES and kind not in PARTS:
            code, words = "INVALID_TYPE", f"Unknown type: {kind}"
            raise Fault(code, words)
    files = org.source.files()
    return [one for kind in kinds for one in listed(files, kind)]


async def _deployment(org: Org, known: str) -> Deployment:
    """Return the deployment of that id.

    On the writer's thread: one that has changed the org is over there once every call sees it.

    Raises:
        Fault: There is none.

    """
    one = await org.write(lambda store: find_deployment(store, known))
    if one is None:
        raise _no_such_id()
    return one


def _no_such_id() -> Fault:
    return Fault("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")


def _zip(words: str) -> bytes:
    """Return the bytes of a deployment's zip; one too large is too large a request before.

    Raises:
        Fault: It is no base64.

    """
    try:
        return base64.b64decode("".join(words.split()), validate=True)
    except ValueError as exc:  # also what is not ASCII
        code, said = "INVALID_FIELD", "ZipFile: invalid base64"
        raise Fault(code, said) from exc


OPERATIONS: Mapping[str, Operation] = {
    "deploy": deploy,
    "checkDeployStatus": check_deploy_status,
    "cancelDeploy": cancel_deploy,
    "retrieve": start_retrieve,
    "checkRetrieveStatus": check_retrieve_status,
    "describeMetadata": describe_metadata,
    "listMetadata": list_metadata,
}
