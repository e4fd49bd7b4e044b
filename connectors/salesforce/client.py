"""One region's client of the org: any call, queries and describes, each within a deadline."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import requests
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_before_delay,
    wait_random_exponential,
)

from connectors.salesforce.access import Access
from connectors.salesforce.budget import Budget
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import (
    BodyRefusedError,
    OrgRestedError,
    OrgUnavailableError,
    SessionRefusedError,
)
from connectors.salesforce.refusals import Answer, Call, api_name
from connectors.salesforce.rows import MAX_ROWS, RowResult, encode_rows, read_results
from connectors.salesforce.transport import Transport
from schemas.errors import RetriableError

T = TypeVar("T")

SESSIONS = 3  # refused in turn, each as soon as it was open: that lasts


@dataclass(frozen=True, slots=True)
class CallRetry:
    """How long to try one call before handing the failure up, in seconds.

    The waits between tries are random between 0 and a bound that doubles from *first_wait_s*
    to *max_wait_s*, so that regions hit by one outage do not come back in step.
    """

    deadline_s: float = 60.0
    first_wait_s: float = 0.5
    max_wait_s: float = 15.0


class OrgClient:
    """Talks to one org as one region's integration user. One per thread."""

    def __init__(
        self,
        config: SalesforceConfig,
        region: str,
        *,
        session: requests.Session | None = None,
        access: Access | None = None,
        retry: CallRetry = CallRetry(),
    ) -> None:
        """Prepare; the first call logs in.

        Args:
            config: Where and as whom.
            region: Our region's id; the org's logs show it as the client's name.
            session: Connections to use, or None for ones that follow *config*.
            access: What to share with other clients of the same org; it has a session.
            retry: Deadline and waits of each call.

        """
        self._config = config
        self._access = access or Access(config, session=session)
        self._retry = retry
        self._transport = Transport(config, region, self._access)

    @property
    def budget(self) -> Budget:
        """Return the region's share of the org's API calls: whether to save them, what is left."""
        return self._access.budget

    def upsert(
        self, sobject: str, key_field: str, rows: Sequence[Mapping[str, Any]]
    ) -> list[RowResult]:
        """Upsert up to 200 rows by external id and return a verdict each, in order.

        Each row holds *key_field*, and no two the same id. The same request is sent again when
        its fate is unknown: an upsert by a unique id does no harm twice.

        Raises:
            OrgUnavailableError: No full answer within the deadline; rows may be in the org.
            BodyRefusedError: The org refuses the request because of some row; none is written.
            UnsendableValueError: A value that the org could not store as it is; none is sent.
            HaltError: The org's set-up or ours is wrong; the text says what.

        """
        if not rows:
            return []
        if len(rows) > MAX_ROWS:
            msg = f"{len(rows)} rows in one request; Salesforce takes {MAX_ROWS}"
            raise ValueError(msg)
        path = f"composite/sobjects/{api_name(sobject)}/{api_name(key_field)}"
        sent = frozenset(name for row in rows for name in row)
        body = encode_rows(sobject, rows)
        call = Call("upsert", sobject, "PATCH", path, body=body, sent=sent, key_field=key_field)
        return self._call(call, lambda answer: read_results(answer, rows, key_field))

    @property
    def data_path(self) -> str:
        """Return the path of the org's resources, ``/services/data/v62.0``."""
        return f"/services/data/v{self._config.api_version}"

    def send(self, call: Call) -> Answer:
        """Make a call, again while the org gives no answer, and return its answer.

        Raises:
            OrgUnavailableError: No answer within the deadline; says whether something may come.
            BodyRefusedError: The org refuses the request because of some row; none is written.
            HaltError: The org's set-up or ours is wrong; the text says what.

        """
        answer, unknown = self._tries(call, _as_it_is)
        return replace(answer, fate_unknown=unknown)

    def query_all(self, soql: str, *, with_deleted: bool = False) -> Iterator[dict[str, Any]]:
        """Yield every row of a query, page by page; fractions come as Decimal.

        The mere ``attributes`` of each row is left out. A query is at most about 16,000
        characters once URL-encoded: ask in pieces. *with_deleted*: also rows in the recycle bin.

        Raises:
            OrgUnavailableError: The org did not answer in time, or forgot the cursor: start over.
            HaltError: The org refuses the query.

        """
        home = f"/services/data/v{self._config.api_version}/"
        call: Call | None = Call(
            "query", "rows", "GET", "queryAll" if with_deleted else "query", params={"q": soql}
        )
        while call is not None:
            page = self._call(call, _read_page)
            yield from page.rows
            if page.next_url is None:
                call = None
            elif page.next_url.startswith((f"{home}query/", f"{home}queryAll/")):
                call = Call("query", "rows", "GET", page.next_url.removeprefix(home))
            else:
                msg = "query rows: Salesforce names a next page outside its query resource"
                raise OrgUnavailableError(msg)

    def describe(self, sobject: str) -> dict[str, Any]:
        """Return the object's describe, as our user sees it: no field it may not read.

        Raises:
            RequestRefusedError: No such object for us (status 404), or no access.
            OrgUnavailableError: The org did not answer in time.

        """
        call = Call("describe", sobject, "GET", f"sobjects/{api_name(sobject)}/describe")
        return self._call(call, _read_object)

    def _call(self, call: Call, read: Callable[[Any], T]) -> T:
        answer: T = self._tries(call, lambda one: read(one.content))[0]
        return answer

    def _tries(self, call: Call, read: Callable[[Answer], T]) -> tuple[T, bool]:
        """Return what *read* makes of the answer, and whether a try before it may still count."""
        packed, unknown = self._transport.packed(call), False
        ends = time.monotonic() + self._retry.deadline_s

        def once() -> T:
            nonlocal unknown
            try:
                return self._transport.attempt(packed, read, ends)
            except OrgUnavailableError as exc:
                unknown = exc.fate_unknown = unknown or exc.fate_unknown
                raise
            except BodyRefusedError as exc:  # by this try; of one before it something may come
                exc.fate_unknown = unknown
                raise

        made: T = self._retrying()(once)
        return made, unknown

    def _retrying(self) -> Retrying:
        usual = wait_random_exponential(
            multiplier=self._retry.first_wait_s, max=self._retry.max_wait_s
        )
        sessions = 0

        def is_passing(exc: BaseException) -> bool:
            nonlocal sessions
            if isinstance(exc, SessionRefusedError):  # a burst of refusals, or one that lasts?
                sessions += 1
                return exc.may_refresh and sessions < SESSIONS
            return isinstance(exc, RetriableError) and not isinstance(exc, OrgRestedError)

        def wait(state: RetryCallState) -> float:
            return max(usual(state), self._access.wait_s)

        return Retrying(
            retry=retry_if_exception(is_passing),
            stop=stop_before_delay(self._retry.deadline_s),
            wait=wait,
            reraise=True,
        )


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[dict[str, Any]] = field(repr=False)
    next_url: str | None


def _read_page(answer: object) -> _Page:
    rows = answer.get("records") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(rows, list):
        msg = "query rows: Salesforce's answer holds no records"
        raise OrgUnavailableError(msg)
    next_url = None if answer.get("done") is True else answer.get("nextRecordsUrl")
    if answer.get("done") is not True and not isinstance(next_url, str):
        msg = "query rows: Salesforce says there is more, but not where"
        raise OrgUnavailableError(msg)
    plain = [{k: v for k, v in row.items() if k != "attributes"} for row in rows]
    return _Page(plain, next_url)


def _as_it_is(answer: Answer) -> Answer:
    return answer


def _read_object(answer: object) -> dict[str, Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get("fields"), list):
        msg = "describe: Salesforce's answer holds no fields"
        raise OrgUnavailableError(msg)
    return answer
