"""Deployments over REST.

Source: Metadata API Developer Guide, "Deploy Metadata with Apex Testing Using REST", "Check the
Status of Your Deployment Using REST Resources", "Cancel a Deployment in Progress Using REST".
"""

from typing import Any

from aiohttp import BodyPartReader

from connectors.sandbox.bodies import read_parts, read_pieces
from connectors.sandbox.call import Answer, Call, parse_json
from connectors.sandbox.deploys.jobs import (
    ALREADY_OVER,
    NO_PERMISSION,
    PERMISSION,
    Deployment,
    State,
    find_deployment,
    user_names,
)
from connectors.sandbox.deploys.messages import result
from connectors.sandbox.deploys.options import DeployOptions
from connectors.sandbox.deploys.package import MAX_ZIP
from connectors.sandbox.deploys.runner import DEPLOYER
from connectors.sandbox.errors import not_found, refuse

_MAX_OPTIONS = 2**20  # bytes of the JSON part
_PIECE = 2**16  # bytes read at a time


async def post_deployment(call: Call) -> Answer:
    """Start a deployment: multipart, a part of JSON and the zip, in any order."""
    _check(call)
    document, content = await _parts(call)
    wanted = document.get("deployOptions") or {}
    if not isinstance(wanted, dict):
        raise refuse(400, "INVALID_INPUT", "deployOptions must be an object")
    options = DeployOptions.of(wanted)
    one = await call.request.app[DEPLOYER].add(call.user, options, content)
    body = {
        "id": one.id,
        "validatedDeployRequestId": None,
        "url": f"{_url(call, one)}?includeDetails=true",
        "deployOptions": options.as_json(),
    }
    return Answer(body, 201)


async def get_deployment(call: Call) -> Answer:
    """Say how far a deployment is."""
    _check(call)
    with_details = call.param("includeDetails").lower() == "true"
    return Answer(await _shown(call, await _find(call), with_details=with_details))


async def patch_deployment(call: Call) -> Answer:
    """Ask for the end of a deployment that is not over."""
    _check(call)
    wanted = call.record(await call.body()).get("deployResult")
    if not isinstance(wanted, dict) or wanted.get("status") != State.CANCELING:
        raise refuse(400, "INVALID_INPUT", "deployResult.status must be Canceling")
    number = (await _find(call)).number
    one = await call.request.app[DEPLOYER].cancel(number, call.user)
    if one is None:
        raise refuse(400, *ALREADY_OVER)
    return Answer(await _shown(call, one, with_details=True), 202)


def _check(call: Call) -> None:
    if not call.org.views.permits(call.user, PERMISSION):
        raise refuse(403, "INSUFFICIENT_ACCESS", NO_PERMISSION)


async def _find(call: Call) -> Deployment:
    known = call.part("id")
    # on the writer's thread: one that has changed the org is over there once every call sees it
    one = await call.org.write(lambda store: find_deployment(store, known))
    if one is None:
        raise not_found()
    return one


async def _shown(call: Call, one: Deployment, *, with_details: bool) -> dict[str, Any]:
    users = await call.org.read(lambda store: user_names(store, one))
    return {
        "id": one.id,
        "url": _url(call, one),
        "deployResult": result(one, users, with_details=with_details),
        "deployOptions": one.options.as_json(),
    }


def _url(call: Call, one: Deployment) -> str:
    return f"{call.org.url}/services/data/v{call.version}/metadata/deployRequest/{one.id}"


async def _parts(call: Call) -> tuple[dict[str, Any], bytes]:
    """Return the JSON and the zip of a request.

    Raises:
        ApiError: 400, one is missing; 413, the zip is too large.

    """
    document: Any = None
    content: bytes | None = None
    if call.request.content_type != "multipart/form-data":
        raise refuse(415, "UNSUPPORTED_MEDIA_TYPE", "The request must be multipart/form-data")
    async for part in read_parts(call.request):
        if part.headers.get("Content-Type", "").startswith("application/json"):
            document = parse_json((await _read(part, _MAX_OPTIONS)).decode("utf-8", "replace"))
        elif part.filename is not None:
            content = await _read(part, MAX_ZIP)
    if not isinstance(document, dict) or content is None:
        text = "The request must have a part of JSON and the zip, each with its Content-Type"
        raise refuse(400, "INVALID_INPUT", text)
    return document, content


async def _read(part: BodyPartReader, limit: int) -> bytes:
    content = bytearray()
    async for piece in read_pieces(part, _PIECE):
        content += piece
        if len(content) > limit:
            raise refuse(413, "REQUEST_TOO_LARGE", "The upload is larger than the maximum allowed")
    return bytes(content)
