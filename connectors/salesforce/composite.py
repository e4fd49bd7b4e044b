"""Upserts in one HTTP request: a collection of up to 200 rows, or a composite of five.

One call of the org's daily allocation either way. A composite's collections are carried out in
order and stand alone: what one is refused for does not touch the others.

Source: REST API, "sObject Collections" and "Composite" (25 subrequests, 5 of them collections).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Protocol

import orjson

from connectors.salesforce.codes import Handling, OrgError, read_error
from connectors.salesforce.errors import BodyRefusedError, OrgUnavailableError
from connectors.salesforce.refusals import Answer, Call, api_name, refusal
from connectors.salesforce.rows import Request, RowResult, read_results
from schemas.errors import RetriableError

MAX_COLLECTIONS = 5  # per composite; Salesforce's limit
SUCCESS = range(200, 300)
# An answer that can't be read says nothing of any row, and that nothing is under way any more.
UNREAD = RowResult.refused(OrgError("UNREADABLE_ANSWER", (), Handling.BUSY))

Verdicts = list[RowResult] | BodyRefusedError


class Sender(Protocol):
    """What writing needs of `OrgClient`."""

    @property
    def data_path(self) -> str:
        """Return the path of the org's resources, ``/services/data/v62.0``."""
        ...

    def send(self, call: Call) -> Answer:
        """See `OrgClient.send`."""
        ...


def groups(
    requests: Sequence[Request], max_bytes: int, most: int = MAX_COLLECTIONS
) -> Iterator[list[Request]]:
    """Yield *requests* in order, up to *most* and *max_bytes* together, alone if larger."""
    group: list[Request] = []
    size = 0
    for request in requests:
        if group and (len(group) == most or size + len(request.body) > max_bytes):
            yield group
            group, size = [], 0
        group.append(request)
        size += len(request.body)
    if group:
        yield group


class Upserter:
    """Sends requests over one client, each row's verdict back; halves what is refused whole."""

    def __init__(self, client: Sender, doubt: Callable[[Request], None]) -> None:
        """Take a client, and what to tell of a request whose fate is not known."""
        self._client = client
        self._doubt = doubt

    def send(self, requests: Sequence[Request]) -> list[list[RowResult]]:
        """Send *requests*, five at most, in one call; return each one's verdicts, in order.

        A request that the org refuses because of some row is halved until that row is alone,
        and refused alone.

        Raises:
            RetriableError: No full answer within the deadline; rows may be in the org.
            HaltError: The org's set-up or ours is wrong; the text says what.

        """
        answers = self._single(requests[0]) if len(requests) == 1 else self._composite(requests)
        return [self._settled(r, a) for r, a in zip(requests, answers, strict=True)]

    def _settled(self, request: Request, answer: Verdicts) -> list[RowResult]:
        if not isinstance(answer, BodyRefusedError):
            return answer
        if len(request.rows) == 1:
            return [RowResult.refused(answer.error)]
        return list(chain.from_iterable(self.send(request.halves())))

    def _single(self, request: Request) -> list[Verdicts]:
        try:
            answer = self._send(_collection(request), [request])
        except BodyRefusedError as exc:
            return [exc]
        return [_verdicts(request, answer)]

    def _composite(self, requests: Sequence[Request]) -> list[Verdicts]:
        """Return each request's verdicts, or why it is refused as a whole."""
        try:
            answer = self._send(_composite(requests, self._client.data_path), requests)
        except BodyRefusedError:  # of the composite itself: too large, or not to the org's taste
            return [verdicts for request in requests for verdicts in self._single(request)]
        parts = answer.get("compositeResponse") if isinstance(answer, dict) else None
        if not isinstance(parts, list) or len(parts) != len(requests):
            parts = [None] * len(requests)
        return [_part(request, part) for request, part in zip(requests, parts, strict=True)]

    def _send(self, call: Call, requests: Sequence[Request]) -> Any:  # noqa: ANN401 - decoded JSON
        try:
            answer = self._client.send(call)
        except (BodyRefusedError, OrgUnavailableError) as exc:
            if exc.fate_unknown:
                for request in requests:
                    self._doubt(request)
            raise
        if answer.fate_unknown:  # of an earlier try, which may still be carried out
            for request in requests:
                self._doubt(request)
        return answer.content


def _verdicts(request: Request, content: object) -> list[RowResult]:
    """Return the verdict on each row; one and the same if the answer does not have it."""
    try:
        return read_results(content, request.rows, request.key_field)
    except OrgUnavailableError:
        return [UNREAD] * len(request.rows)


def _part(request: Request, part: object) -> Verdicts:
    """Return what one subrequest's answer says, as if it had come alone."""
    status = part.get("httpStatusCode") if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping) or not isinstance(status, int):
        return [UNREAD] * len(request.rows)
    body = part.get("body")
    if status in SUCCESS:
        return _verdicts(request, body)
    call = _collection(request)
    error = refusal(call, status, body)
    if isinstance(error, BodyRefusedError):
        return error
    if isinstance(error, RetriableError):  # an answer: nothing of it can come later
        busy = read_error(body, call.sent, call.key_field)
        return [RowResult.refused(replace(busy, handling=Handling.BUSY))] * len(request.rows)
    raise error


def _collection(request: Request) -> Call:
    return Call(
        "upsert",
        request.sobject,
        "PATCH",
        _path(request),
        body=request.body,
        sent=_names([request]),
        key_field=request.key_field,
    )


def _composite(requests: Sequence[Request], data_path: str) -> Call:
    parts = [
        {
            "method": "PATCH",
            "url": f"{data_path}/{_path(request)}",
            "referenceId": f"part{number}",
            "body": orjson.Fragment(request.body),
        }
        for number, request in enumerate(requests)
    ]
    document = {"allOrNone": False, "collateSubrequests": False, "compositeRequest": parts}
    return Call(
        "upsert",
        " + ".join(dict.fromkeys(request.sobject for request in requests)),
        "POST",
        "composite",
        body=orjson.dumps(document),
        sent=_names(requests),
        key_field=requests[0].key_field,
    )


def _path(request: Request) -> str:
    return f"composite/sobjects/{api_name(request.sobject)}/{api_name(request.key_field)}"


def _names(requests: Iterable[Request]) -> frozenset[str]:
    return frozenset(name for request in requests for row in request.rows for name in row)
