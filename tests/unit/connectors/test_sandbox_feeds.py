"""The replication feeds over rows of an org that no server runs."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from connectors.sandbox.access import User
from connectors.sandbox.call import Call, Inner
from connectors.sandbox.errors import ApiError
from connectors.sandbox.org import Org, OrgOptions, Session
from connectors.sandbox.rows import feeds
from connectors.sandbox.store import Store

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
ADMIN = User(1, "admin", None)


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Call]:
    """Ask for the last hour of an org that has two orders."""
    org = Org(tmp_path / "sandbox", "http://127.0.0.1:1", OrgOptions())
    store = Store(tmp_path / "sandbox/org.sqlite")
    view = org.views.get(ADMIN, ORDER)
    org.writer(store, view, ADMIN).create_all([{KEY: "a"}, {KEY: "b"}], "", all_or_none=True)
    start, end = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + s)) for s in (-3600, 120)
    )
    asked = Inner({"sobject": ORDER}, {"start": start, "end": end}, {}, None, store)
    session = Session(ADMIN, "cli", b"")
    yield Call(org, session, "62.0", cast("Any", None), org.edition, asked, {})
    store.close()
    org.close()


def test_a_span_with_as_many_rows_as_an_answer_holds_is_answered(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "MAX_IDS", 2)

    answer = asyncio.run(feeds.get_updated(call))

    assert len(answer.document["ids"]) == 2


def test_a_span_with_more_rows_than_an_answer_holds_is_refused(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "MAX_IDS", 1)

    with pytest.raises(ApiError) as refused:
        asyncio.run(feeds.get_updated(call))

    assert refused.value.status == 400
    assert refused.value.problems[0].code == "EXCEEDED_ID_LIMIT"
