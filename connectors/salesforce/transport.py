"""One try of a call: what goes over the wire, and what an answer, or silence, means.

Built on ``Salesforce.restful`` alone. simple-salesforce's own object calls recurse without end
on a dead session, have no time-outs and drop headers after a login; see its issues 148 and 804.
"""

import gzip
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError
from simple_salesforce.util import exception_handler

from connectors.salesforce.access import Access
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.cutoff import ending
from connectors.salesforce.errors import OrgUnavailableError, SessionRefusedError
from connectors.salesforce.flows import Token
from connectors.salesforce.network import network_failure, within
from connectors.salesforce.refusals import Answer, Call, is_spent, refusal
from schemas.errors import HomeportError

T = TypeVar("T")

JSON = "application/json"
GZIP_LEVEL = 1  # rows of one object repeat their field names: more effort saves little more
REDIRECTED = 300
LIMITS = Call("read", "limits", "GET", "limits")


class Transport:
    """Makes single tries of calls in a session, one at a time."""

    def __init__(self, config: SalesforceConfig, region: str, access: Access) -> None:
        """Take where to, the region to be known as, and the shared way in."""
        self._config = config
        self._access = access
        self._headers = {"Sforce-Call-Options": f"client=homeport-{region}"}
        self._org: tuple[int, Salesforce] | None = None

    def packed(self, call: Call) -> Call:
        """Return *call* with a large JSON body gzipped, once for all its tries."""
        least = self._config.gzip_from
        if least is None or call.body is None or len(call.body) < least:
            return call
        if call.content_type != JSON:  # what other bodies may be packed as is not documented
            return call
        body = gzip.compress(call.body, GZIP_LEVEL, mtime=0)
        return replace(
            call, body=body, headers={**(call.headers or {}), "Content-Encoding": "gzip"}
        )

    def attempt(self, call: Call, read: Callable[[Answer], T], ends: float) -> T:
        """Return what *read* makes of the answer; logs in once more if the session has died.

        Args:
            call: As `packed` returned it.
            read: Raises OrgUnavailableError on an answer that is none.
            ends: When the call has taken long enough, logins included (`time.monotonic`).

        Raises:
            OrgRestedError: The call was kept back.
            OrgUnavailableError: No answer; says whether something may still come of it.
            HaltError: The org refuses it, or nothing may go out.

        """
        with ending(time.monotonic() + self._config.call_timeout_s):
            return self._attempt(call, read, ends)

    def _attempt(self, call: Call, read: Callable[[Answer], T], ends: float) -> T:
        access = self._access
        access.check()
        token = access.tokens.current(ends)
        if access.budget.wants_limits():
            self._read_limits(token, ends)
        try:
            return read(self._send(token, call, ends))
        except SessionRefusedError as exc:
            if not exc.may_refresh:
                raise
        token = access.tokens.refresh(token.generation, ends)
        return read(self._send(token, call, ends))

    def _read_limits(self, token: Token, ends: float) -> None:
        """Ask what is left of the day's calls. Not all users may; answers' headers tell, too."""
        budget = self._access.budget
        try:
            content = self._send(token, LIMITS, ends).content
        except HomeportError:
            content = None
        budget.note_limits(content if isinstance(content, Mapping) else {})

    def _send(self, token: Token, call: Call, ends: float) -> Answer:
        failure: HomeportError
        try:
            return self._ask(token, call, ends)
        except SalesforceError as exc:
            failure = refusal(call, exc.status, exc.content)
            if is_spent(exc.content):
                self._access.budget.refused()
        except requests.JSONDecodeError:  # is an OSError, too
            failure = OrgUnavailableError(f"{call}: Salesforce's answer cannot be read")
        except OSError as exc:  # every error of requests is one
            failure = network_failure(str(call), exc)
            self._access.lost()
        except (KeyError, TypeError, ValueError):  # simple-salesforce on an unexpected body
            failure = OrgUnavailableError(f"{call}: Salesforce's answer cannot be read")
        raise failure  # here, so that the caught error does not ride along with its texts

    def _ask(self, token: Token, call: Call, ends: float) -> Answer:
        answers: list[requests.Response] = []
        org = self._salesforce(token)
        headers = {**self._headers, "Content-Type": call.content_type, **(call.headers or {})}
        options: dict[str, Any] = {
            "params": dict(call.params) if call.params else None,
            "method": call.method,
            "data": call.body,
            "timeout": within(self._config.timeout_s, ends - time.monotonic()),
            "allow_redirects": False,  # a redirect could carry the rows to another host
            "hooks": {"response": [self._access.noted, lambda one, **_: answers.append(one)]},
        }
        self._access.licence(call.method)
        if not call.raw:
            content = org.restful(call.path, headers=headers, **options)
            return Answer(content, status=answers[0].status_code, headers=answers[0].headers)
        answer = self._access.session.request(
            url=org.base_url + call.path, headers={**org.headers, **headers}, **options
        )
        if answer.status_code >= REDIRECTED:
            exception_handler(answer)
        return Answer(answer.content, status=answer.status_code, headers=answer.headers)

    def _salesforce(self, token: Token) -> Salesforce:
        """Return the library's client for *token*: a fresh one each, as it caches the old one."""
        if self._org is None or self._org[0] != token.generation:
            org = Salesforce(
                session_id=token.value,
                instance_url=self._config.instance_url,
                version=self._config.api_version,
                session=self._access.session,
                parse_float=Decimal,
                object_pairs_hook=dict,
            )
            org.headers.pop("X-PrettyPrint", None)
            self._org = (token.generation, org)
        return self._org[1]
