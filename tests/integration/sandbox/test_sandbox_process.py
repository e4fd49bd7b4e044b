"""The process: starts alone, counts calls, logs no data, and loses nothing to kill -9."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import requests
from soap_calls import METADATA, call

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
ROWS = range(200)  # of one call
SENDERS = 3
WAIT_S = 30


def test_it_stops_cleanly_and_keeps_its_rows_and_sessions(start_org: Any) -> None:
    first = start_org("--plain")
    client = first.login()
    made = client.upsert([{KEY: "kept", "Total__c": 1.5}]).json()[0]["id"]
    assert first.stop() == 0

    second = start_org("--plain")
    client.org = second
    row = client.call("GET", f"sobjects/{ORDER}/{made}").json()
    new = client.upsert([{KEY: "newer"}]).json()[0]["id"]

    assert (row[KEY], row["Total__c"]) == ("kept", 1.5)
    assert new > made
    assert second.stop(signal.SIGINT) == 130


def stream(client: Any, name: str, answered: list[str]) -> None:
    """Send calls until the org is gone, noting those it answered."""
    try:
        for call in range(10_000):
            records = [{KEY: f"{name}.{call:05d}-{n:03d}", "Currency__c": "EUR"} for n in ROWS]
            items = client.upsert(records).json()
            assert all(i["success"] for i in items)
            answered.append(f"{name}.{call:05d}")
    except (requests.RequestException, ValueError):
        return


def test_kill_9_keeps_whole_requests_only(start_org: Any, long_run: bool) -> None:
    random = Random(9)
    for number in range(20 if long_run else 4):
        running = start_org("--plain")
        answered: list[str] = []
        senders = [
            threading.Thread(target=stream, args=(running.login(), f"r{number}-{s}", answered))
            for s in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        while len(answered) < SENDERS:
            senders[0].join(0.01)
        senders[0].join(random.uniform(0, 0.2))  # anywhere in a request
        running.stop(signal.SIGKILL)
        for sender in senders:
            sender.join()

        again = start_org("--plain")
        kept = kept_calls(again.login(), f"r{number}-%")
        assert set(kept.values()) == {len(ROWS)}
        assert set(answered) <= set(kept)
        assert len(kept) <= len(answered) + SENDERS  # at most the calls without an answer
        again.stop()


def kept_calls(client: Any, pattern: str) -> dict[str, int]:
    """Return how many rows of each call the org holds."""
    soql = f"SELECT {KEY} FROM {ORDER} WHERE {KEY} LIKE '{pattern}'"
    page = client.query(soql)
    kept: Counter[str] = Counter()
    while True:
        kept.update(row[KEY].rpartition("-")[0] for row in page["records"])
        if page["done"]:
            return kept
        page = client.call("GET", page["nextRecordsUrl"].partition("/v62.0/")[2]).json()


def test_calls_are_counted_and_the_allowance_is_hard(start_org: Any) -> None:
    client = start_org("--plain", "--api-calls", "3").login()

    answers = [client.call("GET", "sobjects") for _ in range(4)]

    assert [a.headers.get("Sforce-Limit-Info") for a in answers] == [
        "api-usage=1/3", "api-usage=2/3", "api-usage=3/3", "api-usage=3/3",
    ]  # fmt: skip
    assert answers[3].status_code == 403
    assert answers[3].json() == [
        {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
    ]


def test_limits_show_what_the_header_counts_and_survive_a_restart(start_org: Any) -> None:
    first = start_org("--plain", "--api-calls", "50")
    client = first.login()
    client.upsert([{KEY: f"u-{n}"} for n in range(200)])  # one call
    first.stop()

    client.org = start_org("--plain", "--api-calls", "50")
    answer = client.call("GET", "limits")

    assert answer.headers["Sforce-Limit-Info"] == "api-usage=2/50"
    assert answer.json()["DailyApiRequests"] == {"Max": 50, "Remaining": 48}


def test_the_log_names_calls_and_holds_no_data(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    client.upsert([{KEY: "canary-key", "First_Sku__c": "canary-value"}])
    client.call("GET", f"sobjects/{ORDER}/{KEY}/canary-key")
    client.call("GET", "query", params={"q": f"SELECT Id FROM {ORDER} WHERE {KEY} = 'canary'"})
    client.call("GET", "canary/path")
    client.call("GET", "sobjects/canary")
    client.call("GET", f"sobjects/{ORDER}/canary/canary")
    client.http.post(f"{running.url}/services/Soap/u/canary/canary", data="canary", timeout=30)
    call(client, "m", "checkDeployStatus", "<asyncProcessId>canary</asyncProcessId>", METADATA)
    running.stop()

    text = (running.home / "sandbox/access.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert "canary" not in text
    assert client.token not in text
    assert [(x["method"], x["path"], x["status"]) for x in lines] == [
        ("PATCH", f"/services/data/v62.0/composite/sobjects/{ORDER}/{KEY}", 200),
        ("GET", f"/services/data/v62.0/sobjects/{ORDER}/{KEY}/*", 200),
        ("GET", "/services/data/v62.0/query", 200),
        ("GET", "*", 404),
        ("GET", "/services/data/v62.0/sobjects/*", 404),
        ("GET", f"/services/data/v62.0/sobjects/{ORDER}/*/*", 404),
        ("POST", "/services/Soap/u/**", 500),
        ("POST", "/services/Soap/m/62.0", 500),
    ]
    assert [lines[at]["app"] for at in (0, -1)] == ["homeport-cli"] * 2


def test_everything_is_private_to_the_owner(org: Any, admin: Any) -> None:
    assert admin.token
    for path in org.home.rglob("*"):
        mode = path.stat().st_mode & 0o777
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_the_token_command_tells_what_is_wrong(org: Any, start_org: Any) -> None:
    unknown = org.cli_token("nobody")
    stopped = start_org("--plain")
    stopped.stop()
    none = stopped.cli_token("admin")

    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "admin" in unknown.stderr
    assert (none.returncode, none.stdout) == (3, "")
    assert f"homeport sandbox --port {stopped.port}" in none.stderr


def test_tokens_of_a_killed_org_are_refused(start_org: Any) -> None:
    killed = start_org("--plain")
    killed.stop(signal.SIGKILL)

    assert killed.cli_token("admin").returncode == 3


def test_a_taken_port_is_an_environment_error(org: Any, tmp_path: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "sandbox", "--port", str(org.port),
         "--home", str(tmp_path / "other")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 3
    assert "--port" in done.stderr


def test_the_certificate_verifies_by_name_and_by_address(org: Any, admin: Any) -> None:
    for host in ("127.0.0.1", "localhost"):
        answer = admin.http.get(f"https://{host}:{org.port}/services/data/", timeout=30)
        assert answer.status_code == 200


def test_calls_are_written_down_while_it_runs(start_org: Any) -> None:
    first = start_org("--plain", "--api-calls", "50")
    client = first.login()
    for _ in range(3):
        client.call("GET", "recent")
    until = time.monotonic() + WAIT_S
    while stored_calls(first.home) < 3:
        assert time.monotonic() < until
        time.sleep(0.05)
    first.stop(signal.SIGKILL)

    again = start_org("--plain", "--api-calls", "50").login()

    header = again.call("GET", "recent").headers["Sforce-Limit-Info"]
    assert header == "api-usage=4/50"


def stored_calls(home: Path) -> int:
    with closing(sqlite3.connect(home / "sandbox/org.sqlite")) as db:
        return int(db.execute("SELECT COALESCE(SUM(calls), 0) FROM api_calls").fetchone()[0])


def test_what_lay_in_the_bin_for_15_days_is_gone_at_the_next_start(start_org: Any) -> None:
    first = start_org("--plain")
    client = first.login()
    client.upsert([{KEY: "binned"}])
    client.call("DELETE", f"sobjects/{ORDER}/{KEY}/binned")
    first.stop()
    with closing(sqlite3.connect(first.home / "sandbox/org.sqlite")) as db, db:
        db.execute(f"UPDATE {ORDER} SET SystemModstamp = SystemModstamp - ?", (16 * 86_400,))

    again = start_org("--plain").login()

    until = time.monotonic() + WAIT_S
    soql = {"q": f"SELECT COUNT() FROM {ORDER}"}
    while again.call("GET", "queryAll", params=soql).json()["totalSize"]:
        assert time.monotonic() < until
        time.sleep(0.05)
