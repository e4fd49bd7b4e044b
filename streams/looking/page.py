"""The desk for people: where a link from the org leads.

The link has the row's token and nothing else. Who follows it gives the caller's token with each
look-up; nothing is remembered between two, so there is no cookie to steal and no session to end.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from connectors.forms import BrokenFormError, read_form
from connectors.pages import Pages
from residency.ledger.accesses import Purpose
from residency.vault.looking import VALUES, Ask, Refused, RefusedError, Term, term_of
from schemas.errors import HomeportError
from streams.looking.callers import Caller
from streams.looking.desk import Found
from streams.looking.web import Service, status_of

PAGES: Final = Pages(Path(__file__).with_name("templates"))
SHOWN: Final = 10  # newest events of a person


async def get_page(service: Service, request: web.Request) -> web.Response:
    """Show the form; a link's token is filled in."""
    del service
    return _form({"by": "token", "value": request.match_info.get("token", "")})


async def post_page(service: Service, request: web.Request) -> web.Response:
    """Show what a person may see of what the form asks."""
    # the host alone: behind a proxy that ends TLS we see another scheme than the browser
    if urlsplit(request.headers.get("Origin", "")).netloc != request.host:
        return _form({}, problem="This form came from another page. Send it from here.", status=403)
    try:
        form = {name: value.strip() for name, value in (await read_form(request)).items()}
    except BrokenFormError as exc:
        return _form({}, problem=f"{exc}. Send it from here.", status=400)
    try:
        with service.counted() as look:
            token = form.get("caller", "")
            found = await service.find(token, lambda who: _asked(service, who, form), look)
    except RefusedError as exc:
        status, headers = status_of(exc)
        page = _form(form, problem=str(exc), status=status)
        page.headers.update(headers)
        return page
    except HomeportError:
        return _form(form, problem="It does not work just now. Try again later.", status=503)
    return PAGES.page("found.html", {"found": found, "persons": _persons(found)})


def _asked(service: Service, caller: Caller, form: Mapping[str, str]) -> tuple[Term, Ask]:
    """Return what the form asks: all that the caller's role may see."""
    if form.get("purpose") not in set(Purpose):
        raise RefusedError(Refused.PURPOSE, f"say why: {', '.join(Purpose)}")
    fields = tuple(caller.may().categories)
    ask = Ask(Purpose(form["purpose"]), form.get("ticket", ""), fields, limit=SHOWN)
    by = {form.get("by", ""): form.get("value", "")}
    return term_of(by, service.desk.topic_ids), ask


def _form(form: Mapping[str, str], *, problem: str = "", status: int = 200) -> web.Response:
    """Return the form as it was filled in, but for the caller's token."""
    kept = {name: form.get(name, "") for name in ("by", "value", "purpose", "ticket")}
    shown = {**kept, "problem": problem, "words": [*VALUES, "record"], "purposes": list(Purpose)}
    return PAGES.page("form.html", shown, status=status)


def _persons(found: Found) -> list[list[dict[str, Any]]]:
    """Return what the page shows of each event: when, what, and its fields as text."""
    return [
        [
            {
                "at": f"{one.kept_at:%Y-%m-%d %H:%M}",
                "event": one.event.rpartition(".")[2],
                "record": one.record,
                "fields": [(path, _text(value)) for path, value in one.fields.items()],
            }
            for one in events
        ]
        for events in found.persons
    ]


def _text(value: object) -> str:
    """Return a field's value as people read it."""
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()
