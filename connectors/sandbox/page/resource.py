"""The pages: overview, calls, and one for each object."""

from aiohttp import web

from connectors.sandbox.deployed.metadata import NUMBER_TYPES
from connectors.sandbox.edition import check_edition, settled
from connectors.sandbox.page import facts
from connectors.sandbox.page.door import get_home_or_enter, guarded
from connectors.sandbox.page.html import page
from connectors.sandbox.store import Store
from connectors.sandbox.web import LOG, ORG

CALLS_SHOWN = 12  # in the overview
FOLLOW_S = 5  # how often a page that is followed loads itself anew


async def get_home(request: web.Request) -> web.Response:
    """Show the overview, or take a link's key."""
    return await get_home_or_enter(request, _overview)


async def _overview(request: web.Request) -> web.Response:
    org = request.app[ORG]

    def look(store: Store) -> dict[str, object]:
        with store.snapshot():
            objects = facts.objects(org, store)
            rows = sum(one.live + one.deleted for one in objects)
            meters = facts.meters(org, store, rows)
            return {"objects": objects, "meters": meters, "apps": facts.apps(org, store)}

    calls = request.app[LOG].recent
    last = list(reversed(calls))[:CALLS_SHOWN]
    shown = {**await org.read(look), "calls": last, "calls_kept": len(calls)}
    return page("overview.html", _frame(request, "Overview") | shown)


@guarded
async def get_calls(request: web.Request) -> web.Response:
    """Show the last calls, newest first."""
    calls = list(reversed(request.app[LOG].recent))
    return page("calls.html", _frame(request, "Calls") | {"calls": calls})


@guarded
async def get_object(request: web.Request) -> web.Response:
    """Show an object's rows and fields."""
    org = request.app[ORG]

    async def show(edition: int) -> web.Response:
        view = org.views.find(facts.OWNER, request.match_info["sobject"])
        if view is None:
            return page("missing.html", _frame(request, "Not found"), status=404)
        is_bin = request.query.get("bin") == "1"
        number = _number(request.query.get("page", "1"))
        try:
            found = await org.read(lambda store: facts.records(view, store, number, deleted=is_bin))
        finally:
            check_edition(org, edition)
        shown = {"view": view, "records": found, "rules": facts.rules_of, "is_bin": is_bin}
        shown["numbers"] = NUMBER_TYPES
        return page("object.html", _frame(request, view.sobject.plural) | shown)

    return await settled(org, show)


def _frame(request: web.Request, title: str) -> dict[str, object]:
    """Return what every page has around it."""
    org = request.app[ORG]
    return {
        "title": title,
        "org_id": org.id,
        "url": org.url,
        "names": [(view.name, view.sobject.plural) for view in facts.views(org)],
        "path": request.path,
        "every_s": FOLLOW_S if request.query.get("follow") == "1" else None,
    }


def _number(text: str) -> int:
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else 1  # noqa: PLR2004 -- digits that fit
