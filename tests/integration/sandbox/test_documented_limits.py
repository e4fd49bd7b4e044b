"""Section 1.8, limits: the header, the resource, the daily share and calls that last."""

import re
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from documented import KEY, ORDER, at, code, refusal
from ingest_jobs import run, table

from connectors.embedded.pki import ensure_app
from connectors.sandbox.faults.remote import Control, control
from connectors.sandbox.logins.apps import change_app

EU = "Region_Sink_EU"
USAGE = re.compile(r"api-usage=(\d+)/(\d+)")
LONG_S = 20
LONG_CALLS = (25, 5)  # of an org of one's own, of a Developer edition or a trial


def usage(answer: Any) -> tuple[int, int]:
    """Return the calls counted and allowed, as the header says."""
    found = USAGE.fullmatch(answer.headers["Sforce-Limit-Info"])
    assert found is not None
    return int(found[1]), int(found[2])


ANSWERED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "1.8 limits": ("GET", "limits", {}),
    "1.8 a query": ("GET", f"query?q=SELECT+Id+FROM+{ORDER}+LIMIT+1", {}),
    "1.8 a describe": ("GET", f"sobjects/{ORDER}/describe", {}),
    "1.8 a row": ("POST", f"sobjects/{ORDER}", {"json": {KEY: "doc-limit"}}),
    "1.8 a refusal": ("POST", f"sobjects/{ORDER}", {"json": {}}),
    "1.8 a resource that is none": ("GET", "nothing", {}),
    "1.8 a list of jobs": ("GET", "jobs/ingest", {}),
    "1.8 a version": ("GET", "", {}),
}


@pytest.mark.parametrize("case", ANSWERED)
def test_an_answer_tells_the_calls_used(admin: Any, case: str) -> None:
    method, path, options = ANSWERED[case]

    used, allowed = usage(admin.call(method, path, **options))

    assert 0 < used <= allowed


def test_1_8_the_list_of_versions_tells_of_no_limit(org: Any, admin: Any) -> None:
    answer = admin.http.get(f"{org.url}/services/data/", timeout=30)

    assert answer.status_code == 200
    assert "Sforce-Limit-Info" not in answer.headers


def test_1_8_an_apps_own_limit_is_told_beside_the_orgs(fresh: Any) -> None:
    eu = fresh.client(fresh.by_assertion(ensure_app(fresh.home, "eu")))
    change_app(fresh.home, EU, lambda app: replace(app, daily_calls=250))

    header = eu.call("GET", "sobjects").headers["Sforce-Limit-Info"]

    assert re.fullmatch(rf"api-usage=\d+/\d+; per-app-api-usage=\d+/250\(appName={EU}\)", header)


def test_1_8_the_limits_have_a_max_and_what_remains(admin: Any) -> None:
    shown = admin.call("GET", "limits").json()

    assert shown.keys() >= {
        "DailyApiRequests", "DailyBulkApiBatches", "DailyBulkV2QueryJobs", "DataStorageMB",
        "HourlyPublishedPlatformEvents",
    }  # fmt: skip
    for name, limit in shown.items():
        assert limit.keys() >= {"Max", "Remaining"}, name
        assert 0 <= limit["Remaining"] <= limit["Max"]
    assert shown["DailyBulkApiBatches"]["Max"] == 15_000


def test_1_8_what_remains_goes_down_with_every_call(admin: Any) -> None:
    first, second = (admin.call("GET", "limits").json()["DailyApiRequests"] for _ in range(2))

    assert first["Remaining"] - second["Remaining"] == 1
    assert first["Max"] == second["Max"]


def test_1_9_every_job_takes_a_batch_of_the_day(admin: Any) -> None:
    before = admin.call("GET", "limits").json()["DailyBulkApiBatches"]["Remaining"]

    run(admin, table([KEY], ["doc-batch-of-the-day"]))

    after = admin.call("GET", "limits").json()["DailyBulkApiBatches"]["Remaining"]
    assert before - after == 1


def test_1_9_ten_thousand_rows_are_a_batch(admin: Any) -> None:
    before = admin.call("GET", "limits").json()["DailyBulkApiBatches"]["Remaining"]

    run(admin, table([KEY], *([f"doc-of-10001-{n}"] for n in range(10_001))))

    after = admin.call("GET", "limits").json()["DailyBulkApiBatches"]["Remaining"]
    assert before - after == 2


def test_1_8_rest_soap_and_bulk_share_the_days_calls_and_more_are_403(start_org: Any) -> None:
    client = start_org("--plain", "--api-calls", "4").login()
    envelope = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:u="urn:partner.soap.sforce.com"><e:Header><u:SessionHeader>'
        f"<u:sessionId>{client.token}</u:sessionId></u:SessionHeader></e:Header>"
        "<e:Body><u:getUserInfo/></e:Body></e:Envelope>"
    )

    rest = client.call("GET", "sobjects")
    bulk = client.call("GET", "jobs/ingest")
    soap = client.http.post(
        f"{client.org.url}/services/Soap/u/62.0",
        data=envelope,
        headers={"Content-Type": "text/xml", "SOAPAction": "getUserInfo"},
        timeout=30,
    )
    last = client.call("GET", "sobjects")
    refused = client.call("GET", "sobjects")

    assert (usage(rest), usage(bulk), soap.status_code) == ((1, 4), (2, 4), 200)
    assert usage(last) == (4, 4)
    assert refusal(refused) == (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    assert refused.json()[0].keys() == {"message", "errorCode"}


@pytest.fixture
def long_s(long_run: bool) -> int:
    """Return after how many seconds calls count as long: fewer than documented, if in haste."""
    return LONG_S if long_run else 3


@pytest.fixture(params=LONG_CALLS)
def long_calls(request: pytest.FixtureRequest) -> int:
    """Return how many calls may last."""
    return int(request.param)


@pytest.fixture
def slow(start_org: Any, long_run: bool, long_s: int, long_calls: int) -> tuple[Any, Control]:
    """Start an org of its own, whose calls can be made to last."""
    options = () if long_run else ("--long-call", str(long_s))
    if long_calls != LONG_CALLS[0]:
        options = (*options, "--long-calls", str(long_calls))
    running = start_org("--plain", "--faults", *options, name=f"slow{long_calls}")
    return running, control(running.home, running.port)


def test_1_8_one_more_than_25_calls_of_20_seconds_is_refused_until_they_are_fewer(
    slow: tuple[Any, Control], long_s: int, long_calls: int
) -> None:
    running, plan = slow
    client = running.login()
    plan.set(
        [{"kind": "slow", "on": "query", "every": 1, "seconds": long_s + 5, "times": long_calls}]
    )
    soql = {"q": f"SELECT Id FROM {ORDER} LIMIT 1"}  # noqa: S608 -- SOQL of our own
    threads = [
        threading.Thread(
            target=at,
            args=(type(client)(running, client.token), "62.0", "GET", "query"),
            kwargs={"params": soql},
        )
        for _ in range(long_calls)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(1)
    early = client.call("GET", "sobjects")  # shorter calls are unlimited
    time.sleep(max(0.0, began + long_s + 2 - time.monotonic()))

    late = client.call("GET", "sobjects")

    for thread in threads:
        thread.join()
    after = client.call("GET", "sobjects")
    assert early.status_code == 200
    assert code(late) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert usage(late)[0] > usage(early)[0]
    text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    assert late.json()[0]["message"] == text
    assert after.status_code == 200
