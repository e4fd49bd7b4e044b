"""The desk over HTTP: ``POST /find`` for tools. What is looked up by is in no URL and no log."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiohttp import web

from residency.ledger.accesses import Purpose
from residency.telemetry.names import NO_PURPOSE
from residency.telemetry.setup import Recorder
from residency.vault.looking import MAX_FIELDS, Ask, Refused, RefusedError, Term, term_of
from schemas.errors import HomeportError
from streams.looking.callers import Caller, Callers
from streams.looking.desk import Desk, Found

LOG = logging.getLogger("homeport.lookup")
MAX_BODY_BYTES: Final = 16_384
BEARER: Final = "Bearer "
STATUSES: Final[Mapping[Refused, int]] = {
    Refused.CALLER: 401,
    Refused.PURPOSE: 403,
    Refused.FIELD: 403,
    Refused.EVENT: 403,
    Refused.EXPORT: 403,
    Refused.TICKET: 400,
    Refused.TERM: 400,
    Refused.RATE: 429,
}
_KEYS: Final = {"by", "purpose", "ticket", "fields", "event", "limit"}


class Counter:
    """How look-ups ended, since start. Purposes and roles are in the ledger."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.counts = {"answered": 0, "refused": 0, "failed": 0}

    def add(self, what: str) -> None:
        """Count one."""
        self.counts[what] += 1


@dataclass(slots=True)
class Look:
    """A look-up under way; *purpose* is why, once it has said so."""

    purpose: str = NO_PURPOSE


class Service:
    """What API and page share: who asks, the look itself, and what became of it."""

    def __init__(
        self,
        desk: Desk,
        callers: Callers,
        recorder: Recorder,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the desk, those who may ask, and what measures."""
        self.desk = desk
        self._recorder = recorder
        self._callers = callers
        self._clock = clock
        self.counter = Counter()

    def caller(self, token: str) -> Caller:
        """Return whose token it is; raises RefusedError."""
        return self._callers.by_token(token)

    @contextmanager
    def counted(self) -> Iterator[Look]:
        """Count the look-up that the block carries out, and measure how long it takes."""
        look, begun, outcome = Look(), time.monotonic(), "failed"
        try:
            yield look
        except (RefusedError, web.HTTPClientError):  # the second: a body that is too large
            outcome = "refused"
            raise
        except HomeportError as exc:
            LOG.warning("a look-up failed: %s", exc)
            raise
        else:
            outcome = "answered"
        finally:
            self.counter.add(outcome)
            self._recorder.add("homeport.lookups", outcome=outcome, purpose=look.purpose)
            took = time.monotonic() - begun
            self._recorder.record("homeport.lookup.duration", took, outcome=outcome)

    async def find(
        self, token: str, read: Callable[[Caller], tuple[Term, Ask]], look: Look
    ) -> Found:
        """Return what is found of what *read* says is asked, once it is known who asks.

        Raises:
            RefusedError: As `Desk.find`.
            HomeportError: Likewise: something of ours does not work.

        """
        caller = self._callers.by_token(token)
        term, ask = read(caller)
        look.purpose = ask.purpose.value
        return await asyncio.to_thread(self.desk.find, caller, term, ask, self._clock())


def status_of(exc: RefusedError) -> tuple[int, dict[str, str]]:
    """Return HTTP status and headers of a refusal."""
    headers = {}
    if exc.why is Refused.CALLER:
        headers["WWW-Authenticate"] = "Bearer"
    if exc.retry_after_s is not None:
        headers["Retry-After"] = str(exc.retry_after_s)
    return STATUSES[exc.why], headers


async def post_find(service: Service, request: web.Request) -> web.Response:
    """Answer a tool: a JSON document, or ``{"error", "hint"}``."""
    header = request.headers.get("Authorization", "")
    token = header.removeprefix(BEARER) if header.startswith(BEARER) else ""
    try:
        with service.counted() as look:
            service.caller(token)  # before its body is looked at
            document = await _document(request)
            ids = service.desk.topic_ids
            found = await service.find(token, lambda _: asked(document, ids), look)
    except RefusedError as exc:
        status, headers = status_of(exc)
        return _json({"error": exc.why, "hint": str(exc)}, status, headers)
    except HomeportError:
        return _json({"error": "unavailable", "hint": "try again later"}, 503)
    return _json(found.to_json(), 200)


def asked(document: Any, topic_ids: Mapping[str, str]) -> tuple[Term, Ask]:  # noqa: ANN401, JSON
    """Return what a request's document asks.

    Raises:
        RefusedError: It is not of the form; the text names the key.

    """
    if not isinstance(document, dict) or not document.keys() <= _KEYS:
        msg = f"the body is a JSON object with {', '.join(sorted(_KEYS))}, and nothing else"
        raise RefusedError(Refused.TERM, msg)
    by, fields = document.get("by"), document.get("fields")
    purpose, ticket = document.get("purpose"), document.get("ticket")
    event, limit = document.get("event"), document.get("limit", 20)
    if not isinstance(by, dict):
        raise RefusedError(Refused.TERM, '"by" is an object such as {"email": "..."}')
    if not isinstance(fields, list) or not all(isinstance(one, str) for one in fields):
        raise RefusedError(Refused.FIELD, f'"fields" is a list of 1 to {MAX_FIELDS} texts')
    if purpose not in set(Purpose):
        raise RefusedError(Refused.PURPOSE, f'"purpose" is one of {", ".join(Purpose)}')
    if not isinstance(ticket, str):
        raise RefusedError(Refused.TICKET, '"ticket" is a text such as CASE-17')
    if not (event is None or isinstance(event, str)) or type(limit) is not int:
        raise RefusedError(Refused.EVENT, '"event" is an event\'s full name, "limit" a number')
    ask = Ask(Purpose(purpose), ticket, tuple(fields), event, limit)
    return term_of(by, topic_ids), ask


async def _document(request: web.Request) -> Any:  # noqa: ANN401, JSON
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise RefusedError(Refused.TERM, "the body is no JSON") from None


def _json(
    document: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        content_type="application/json",
    )
