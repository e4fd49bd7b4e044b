"""Deployments beside calls, in an order that the tests give: no clock decides."""

import asyncio
import functools
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from metadata_packages import KEY, object_package, text_field
from soap_calls import METADATA, envelope

from connectors.sandbox import org as org_module
from connectors.sandbox.access import User
from connectors.sandbox.bulk import reading
from connectors.sandbox.bulk.extract import Extract
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.deploys.jobs import Outcome, State, cancel, end, find_deployment
from connectors.sandbox.deploys.options import DeployOptions
from connectors.sandbox.deploys.resource import get_deployment
from connectors.sandbox.deploys.runner import Deployer
from connectors.sandbox.edition import settled
from connectors.sandbox.org import Org, OrgOptions, Session
from connectors.sandbox.soap.envelope import read_request
from connectors.sandbox.soap.metadata import check_deploy_status
from connectors.sandbox.store import ADMIN, Store

ADMINISTRATOR = User(1, ADMIN, None)
SESSION = Session(ADMINISTRATOR, "test", b"")
WHOLE = object_package("Moving__c", KEY, text_field("Note__c")).getvalue()
MORE = object_package("Moving__c", KEY, text_field("Note__c"), text_field("More__c")).getvalue()
SINGLE = DeployOptions(single_package=True, rollback_on_error=True)


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test as the org's event loop does its work."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    opened = Org(tmp_path / "sandbox", "http://127.0.0.1:1", OrgOptions())
    yield opened
    opened.close()


async def deployed(org: Org, content: bytes) -> str:
    """Deploy *content* to the end, and return how it ended."""
    deployer = Deployer(org)
    one = await deployer.add(ADMINISTRATOR, SINGLE, content)
    while True:
        found = await org.write(lambda store: find_deployment(store, one.id))
        assert found is not None
        if found.ended_at is not None:
            return found.state
        await asyncio.sleep(0)


def fields(org: Org) -> set[str]:
    view = org.views.find(ADMINISTRATOR, "Moving__c")
    return set() if view is None else set(view.fields)


def call_in(org: Org, edition: int, **parts: str) -> Call:
    request = make_mocked_request("GET", "/")
    return Call(org, SESSION, "62.0", request, edition, parts=parts)


@pytest.mark.parametrize("kind", ["read", "write"])
@in_a_loop
async def test_a_call_that_a_deployment_overtakes_begins_again(org: Org, kind: str) -> None:
    await deployed(org, WHOLE)
    seen: list[tuple[str, set[str]]] = []

    async def handler(edition: int) -> Answer:
        call, looked = call_in(org, edition), fields(org)
        seen.append(("looked", looked))
        if "more__c" not in looked:
            await deployed(org, MORE)
        work: Callable[[Store], None] = lambda _: seen.append(("worked", looked))  # noqa: E731
        await (call.read(work) if kind == "read" else call.write(work))
        return Answer()

    await settled(org, handler)

    before, after = {"more__c"} & seen[0][1], {"more__c"} & seen[-1][1]
    worked = [looked for what, looked in seen if what == "worked"]
    assert (before, after) == (set(), {"more__c"})
    assert len(worked) == (2 if kind == "read" else 1)  # what was written was written once
    assert "more__c" in worked[-1]


class Held:
    """Holds the org's next deployment after its commit, before any call can see it."""

    def __init__(self, org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.released = threading.Event(), threading.Event()
        show: Any = org._show  # noqa: SLF001 -- the moment that nothing public stops at

        def wait_and_show(*shown: Any) -> None:
            self.reached.set()
            assert self.released.wait(30)
            show(*shown)

        monkeypatch.setattr(org, "_show", wait_and_show)


async def turns(org: Org) -> None:
    """Let everything run that can: what was asked of the reader before has been answered."""
    for _ in range(20):
        await org.read(lambda store: store.select("SELECT 1"))
        await asyncio.sleep(0)


@pytest.mark.parametrize("api", ["soap", "rest"])
@in_a_loop
async def test_a_deployment_is_not_told_over_before_every_call_sees_it(
    org: Org, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    held, deployer = Held(org, monkeypatch), Deployer(org)
    one = await deployer.add(ADMINISTRATOR, SINGLE, WHOLE)
    await asyncio.to_thread(held.reached.wait, 30)
    inner = f"<asyncProcessId>{one.id}</asyncProcessId>"
    asked = read_request(envelope("x", "checkDeployStatus", inner, METADATA).encode())

    async def ask() -> Any:
        if api == "soap":
            return await check_deploy_status(org, deployer, SESSION, asked)
        return (await get_deployment(call_in(org, org.edition, id=one.id))).document["deployResult"]

    asking = asyncio.create_task(ask())
    await turns(org)
    told_early, seen_early = asking.done(), fields(org)
    held.released.set()

    result: Any = await asking
    assert (told_early, seen_early) == (False, set())
    assert (result["done"], result["status"]) == (True, "Succeeded")
    assert "note__c" in fields(org)


@in_a_loop
async def test_a_call_that_meets_new_tables_with_old_views_waits_for_the_new_ones(
    org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployed(org, WHOLE)
    held = Held(org, monkeypatch)

    async def handler(edition: int) -> set[str]:
        looked = fields(org)
        if not held.reached.is_set():  # the call began before the deployment
            await Deployer(org).add(ADMINISTRATOR, SINGLE, MORE)
            await asyncio.to_thread(held.reached.wait, 30)
        return await call_in(org, edition).read(lambda _: looked)

    asking = asyncio.create_task(settled(org, handler))
    await asyncio.to_thread(held.reached.wait, 30)
    await turns(org)
    was_done = asking.done()
    held.released.set()

    assert "more__c" in await asking
    assert not was_done


@in_a_loop
async def test_a_call_that_begins_before_a_deployment_is_shown_does_not_end_in_the_old_one(
    org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployed(org, WHOLE)
    held = Held(org, monkeypatch)
    await Deployer(org).add(ADMINISTRATOR, SINGLE, MORE)
    await asyncio.to_thread(held.reached.wait, 30)

    async def handler(edition: int) -> set[str]:
        looked = fields(org)
        held.released.set()
        await org.rest()
        return await call_in(org, edition).read(lambda _: looked)

    assert "more__c" in await settled(org, handler)


@in_a_loop
async def test_a_query_job_that_a_deployment_overtakes_is_read_again(
    org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Extract | None] = [Extract(0, 0), None]

    def overtaken(*_: Any) -> Extract:
        outcome = outcomes.pop()
        if outcome is None:
            org.edition += 1
            raise sqlite3.OperationalError
        return outcome

    done: list[int] = []
    monkeypatch.setattr(reading, "extract", overtaken)
    monkeypatch.setattr(reading, "complete_query", lambda _, **job: done.append(job["number"]) or 1)
    monkeypatch.setattr(reading, "_begin", lambda _, number: SimpleNamespace(number=number))

    await reading.QueryRunner(org, threading.Event()).run(7)

    assert done == [7]


@in_a_loop
async def test_a_deployment_that_cannot_be_shown_changes_nothing(
    org: Org, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await deployed(org, WHOLE)

    def broken(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(org_module, "Views", broken)
    state = await deployed(org, MORE)

    columns = await org.read(lambda store: store.select('PRAGMA table_info("Moving__c")'))
    assert state == State.FAILED
    assert "More__c" not in {row[1] for row in columns}
    assert "RuntimeError" in capsys.readouterr().err


@in_a_loop
async def test_what_is_over_when_its_cancelling_comes_stays_as_it_ended(org: Org) -> None:
    one = await Deployer(org).add(ADMINISTRATOR, SINGLE, WHOLE)
    done = Outcome(State.SUCCEEDED, 1, 1, 0, {})
    await org.write(lambda store: end(store, one, done))

    told = await org.write(lambda store: cancel(store, one.number, ADMINISTRATOR))

    found = await org.write(lambda store: find_deployment(store, one.id))
    assert told is None
    assert found is not None
    assert (found.state, found.cancelled_by) == (State.SUCCEEDED, None)
