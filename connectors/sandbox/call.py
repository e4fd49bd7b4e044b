"""One call of the REST API: what a handler is given and what it answers."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

from aiohttp import web

from connectors.sandbox.access import User, View
from connectors.sandbox.edition import check_edition
from connectors.sandbox.errors import not_found, parse_error
from connectors.sandbox.org import Org, Session
from connectors.sandbox.protocol import check_media_type
from connectors.sandbox.store import Store
from connectors.sandbox.texts import encodable_document

T = TypeVar("T")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # an escape of half a character


@dataclass(frozen=True, slots=True)
class Inner:
    """A request within a request: stands where the request's own parts would.

    Attributes:
        parts: Of the subrequest's path.
        query: Of its URL.
        headers: Its ``httpHeaders``, by lower-case name.
        document: Its ``body``.
        store: The store whose transaction the whole composite runs in; None if each subrequest
            has one of its own.

    """

    parts: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    document: Any
    store: Store | None


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call, or one subrequest of it.

    Attributes:
        edition: Of the org, in which the call is carried out.
        parts: Of the path, where it is read as another method's.

    """

    org: Org
    session: Session
    version: str
    request: web.Request
    edition: int
    inner: Inner | None = None
    parts: Mapping[str, str] | None = None

    @property
    def user(self) -> User:
        """Who is calling."""
        return self.session.user

    @property
    def major(self) -> int:
        """The API version without its ``.0``, to compare with."""
        return int(self.version.partition(".")[0])

    def part(self, name: str) -> str:
        """Return a part of the path."""
        own = self.request.match_info if self.parts is None else self.parts
        return own[name] if self.inner is None else self.inner.parts[name]

    def param(self, name: str, default: str = "") -> str:
        """Return a parameter of the URL."""
        query = self.request.query if self.inner is None else self.inner.query
        return query.get(name, default)

    def header(self, name: str) -> str:
        """Return a request header, empty if there is none."""
        if self.inner is None:
            return self.request.headers.get(name, "")
        return self.inner.headers.get(name.lower(), "")

    def view(self) -> View:
        """Return the object named in the path, as the caller sees it."""
        return self.org.views.get(self.user, self.part("sobject"))

    def since(self, version: int) -> None:
        """Refuse what came with a later API version than the call's.

        Raises:
            ApiError: 404, there is no such resource yet.

        """
        if self.major < version:
            raise not_found()

    async def body(self) -> str:
        """Return the request's body as text; a subrequest's is the whole composite's.

        Raises:
            ApiError: 415, it is not JSON; 400, it is not UTF-8.

        """
        if self.inner is None:
            check_media_type(self.header("Content-Type"))
        try:
            return (await self.request.read()).decode("utf-8")
        except UnicodeDecodeError as exc:
            text = f"Invalid UTF-8 at [line:1, column:{exc.start + 1}]"
            raise parse_error(text) from exc

    def document(self, body: str) -> Any:  # noqa: ANN401 -- whatever JSON holds
        """Return the JSON document in *body*, or the subrequest's part of it.

        Raises:
            ApiError: 400 JSON_PARSER_ERROR.

        """
        return parse_json(body) if self.inner is None else self.inner.document

    def record(self, body: str) -> dict[str, Any]:
        """Return the document in *body* if it is one JSON object.

        Raises:
            ApiError: 400 JSON_PARSER_ERROR.

        """
        return json_object(self.document(body))

    async def write(self, work: Callable[[Store], T]) -> T:
        """Run *work* on the writer's thread; within an all-or-none composite it runs there.

        Whatever a handler reads, it reads before: after this it would not begin again.

        Raises:
            OutdatedError: The org was deployed to since the call began; *work* did not run.

        """
        if self.inner is not None and self.inner.store is not None:
            return work(self.inner.store)

        def run(store: Store) -> T:
            check_edition(self.org, self.edition)
            return work(store)

        return await self.org.write(run)

    async def read(self, work: Callable[[Store], T]) -> T:
        """Run *work* on the reader's thread; within an all-or-none composite see its writes.

        Raises:
            OutdatedError: The org was deployed to since the call began.

        """
        if self.inner is not None and self.inner.store is not None:
            return work(self.inner.store)
        try:
            return await self.org.read(work)
        finally:  # whatever came of it: SQL of before may have met the tables of now
            check_edition(self.org, self.edition)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler answers; without a document, lines or text there is no body.

    Attributes:
        lines: The body of an answer that is CSV, in pieces.
        text: The body of an answer that is plain text.

    """

    document: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    lines: AsyncIterator[bytes] | None = None
    text: str | None = None


Handler = Callable[[Call], Awaitable[Answer]]


def parse_json(body: str) -> Any:  # noqa: ANN401 -- whatever JSON holds
    """Return the document in *body*; numbers with a point are `Decimal`.

    Raises:
        ApiError: 400 JSON_PARSER_ERROR.

    """
    if not body.strip():
        text = "The HTTP entity body is required, but this request has no entity body."
        raise parse_error(text)
    try:
        found = json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
        return encodable_document(found) if _HALF.search(body) else found
    except json.JSONDecodeError as exc:
        text = f"{exc.msg} at [line:{exc.lineno}, column:{exc.colno}]"
        raise parse_error(text) from exc
    except (ValueError, ArithmeticError, RecursionError) as exc:
        text = "The body holds a number or a nesting that cannot be read"
        raise parse_error(text) from exc


def json_object(document: object) -> dict[str, Any]:
    """Return the document of a body if it is one JSON object.

    Raises:
        ApiError: 400 JSON_PARSER_ERROR.

    """
    if not isinstance(document, dict):
        text = "The request body must be one JSON object at [line:1, column:1]"
        raise parse_error(text)
    return document


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)
