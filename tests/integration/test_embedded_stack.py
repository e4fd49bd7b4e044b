"""`up` and `down` start and stop exactly their own, whatever was killed in between."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from connectors.embedded import state
from connectors.embedded.files import exclusive
from connectors.embedded.launch import Launch
from connectors.embedded.ports import PortError
from connectors.embedded.services import service_file
from connectors.embedded.stack import Stack
from schemas.errors import SetupError

NewHome = Callable[[], Path]


def homeport(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "streams.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def ours(home: Path) -> list[int]:
    """Return the pids of everything that has this home on its command line."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and any(str(home) in part for part in process.info["cmdline"] or ())
    ]


# A worker that is healthy until its home says otherwise.
WORKER = """
import http.server, json, os, pathlib, sys, threading, time

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

service, sign = map(pathlib.Path, sys.argv[1:])
if sign.exists():
    sys.exit(4)
port = json.loads(service.read_text())["health_port"]
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Health)
threading.Thread(target=server.serve_forever, daemon=True).start()
while not sign.exists():
    time.sleep(0.05)
os._exit(4)
"""


@pytest.fixture(scope="module")
def one(new_home: NewHome) -> Stack:
    """One region of its own, to be killed and stopped."""
    stack = Stack(new_home(), ("uk",))
    stack.up(Launch())
    return stack


def test_up_again_changes_nothing(one: Stack) -> None:
    before = state.alive(one.home)

    assert one.up(Launch()) is False

    assert state.alive(one.home) == before


def test_other_regions_are_refused_while_it_runs(one: Stack) -> None:
    with pytest.raises(SetupError, match=r"runs uk; run `homeport down`"):
        Stack(one.home, ("us",)).up(Launch())


def test_two_ups_do_not_run_at_once(one: Stack) -> None:
    with (
        exclusive(one.home / "up.lock", wait=False, busy=""),
        pytest.raises(SetupError, match="another `homeport up`"),
    ):
        one.up(Launch())


def test_down_leaves_nothing_of_its_own_and_everything_of_others(stack: Stack, one: Stack) -> None:
    one.up(Launch())
    others = state.alive(stack.home)

    stopped = one.down()

    assert stopped == ["uk-kafka", "uk-postgres", "supervisor"]
    assert ours(one.home) == []
    assert one.down() == []
    assert state.alive(stack.home) == others
    assert stack.is_running()


def test_ports_passwords_and_topic_ids_outlive_a_restart(one: Stack) -> None:
    one.up(Launch())
    files = [service_file(one.home, "uk", "border"), one.home / "uk" / "topics.json"]
    before = [path.read_text(encoding="utf-8") for path in files]

    one.down()
    one.up(Launch())

    assert [path.read_text(encoding="utf-8") for path in files] == before


def test_a_killed_supervisor_is_no_obstacle(one: Stack) -> None:
    one.up(Launch())
    before = state.alive(one.home)
    supervisor = state.supervisor(one.home)
    assert supervisor is not None

    os.kill(supervisor.pid, signal.SIGKILL)
    while supervisor.is_alive:
        time.sleep(0.01)
    assert one.up(Launch()) is True

    assert not any(process.is_alive for process in before)
    assert one.is_running()


def test_a_killed_broker_comes_back_by_itself(one: Stack) -> None:
    one.up(Launch())
    broker = next(process for process in state.alive(one.home) if process.name == "uk-kafka")

    os.kill(broker.pid, signal.SIGKILL)

    deadline = time.monotonic() + 60
    while broker.is_alive or not one.is_running():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert state.restarts(one.home, "uk-kafka") == 1


def test_a_killed_up_is_cleaned_away_by_down(new_home: NewHome) -> None:
    home = new_home()
    command = [sys.executable, "-P", "-m", "streams.cli", "up", "--regions", "uk"]
    up = subprocess.Popen(
        [*command, "--without-workers", "--home", str(home)], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(state.alive(home)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    up.kill()
    up.wait()

    done = homeport("down", "--json", "--home", str(home))
    assert done.returncode == 0
    assert "uk-kafka" in json.loads(done.stdout)["stopped"]
    assert ours(home) == []


def test_ports_that_others_took_are_replaced_and_named(one: Stack) -> None:
    one.up(Launch())
    one.down()
    before = dict(state.read_wanted(one.home).ports)
    said: list[str] = []
    taken = ("uk-kafka", "uk-kafka-controller", "uk-postgres")
    servers = [socket.create_server(("127.0.0.1", before[name])) for name in taken]

    try:
        one.up(Launch(), lambda step, state: said.append(f"{step}: {state}"))
    finally:
        for server in servers:
            server.close()

    after = state.read_wanted(one.home).ports
    assert {name for name in before if after[name] != before[name]} == set(taken)
    for name in taken:
        assert any(name in line and "taken by another program" in line for line in said)
    assert one.is_running()


def test_a_port_taken_at_the_last_moment_is_an_error_not_a_hang(
    one: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.down()
    ports = dict(state.read_wanted(one.home).ports)
    monkeypatch.setattr("connectors.embedded.stack.choose", lambda *_: (ports, {}))

    with (
        socket.create_server(("127.0.0.1", ports["uk-postgres"])),
        pytest.raises(PortError, match="uk-postgres: another program took its port"),
    ):
        one.up(Launch())

    assert ours(one.home) == []


def test_workers_that_do_not_start_leave_the_rest_as_it_was(one: Stack) -> None:
    one.up(Launch())
    before = state.alive(one.home)
    broken = Launch(worker=lambda _region, _service: ("/bin/false",), services=("border",))

    with pytest.raises(SetupError, match="uk-border ended 3 times; see `homeport logs uk-border`"):
        one.up(broken)

    assert state.alive(one.home) == before
    assert one.is_running()


def test_a_worker_that_halts_waits_for_a_person_and_the_rest_goes_on(one: Stack) -> None:
    sign = one.home / "halt-border"

    def worker(region: str, service: str) -> tuple[str, ...]:
        path = str(service_file(one.home, region, service))
        return (sys.executable, "-c", WORKER, path, str(one.home / f"halt-{service}"))

    launch = Launch(worker=worker, services=("border", "vault"))
    one.up(launch)
    others = [process for process in state.alive(one.home) if process.name != "uk-border"]

    sign.touch()
    deadline = time.monotonic() + 120
    while not state.halted(one.home):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found = homeport("status", "--json", "--home", str(one.home))
    table = homeport("status", "--home", str(one.home))
    started = time.monotonic()
    with pytest.raises(SetupError, match=r"uk-border halted; see \S+/logs/uk-border\.log, mend"):
        one.up(launch)
    took_s = time.monotonic() - started
    state_after = {row.name: row.state for row in one.status()}
    sign.unlink()

    assert one.up(launch) is True
    assert one.is_running()
    assert one.up(launch) is False
    assert found.returncode == 1
    rows = {row["name"]: row["state"] for row in json.loads(found.stdout)["processes"]}
    assert rows.pop("uk-border") == "halted"
    assert set(rows.values()) == {"ready"}
    assert table.returncode == 1
    assert "halted" in table.stdout
    assert took_s < 15
    assert state_after["uk-border"] == "halted"
    assert set(others) < set(state.alive(one.home))
    assert "uk-border" in one.down()
    assert ours(one.home) == []


def test_a_first_up_whose_worker_halts_fails_at_once_and_leaves_nothing(one: Stack) -> None:
    one.down()
    code = "import sys, time; sys.exit(4) if sys.argv[1] == 'vault' else time.sleep(600)"
    broken = Launch(
        worker=lambda _region, service: (sys.executable, "-c", code, service),
        services=("border", "vault"),  # border is never ready, and waited for first
    )
    started = time.monotonic()

    with pytest.raises(SetupError, match="uk-vault halted"):
        one.up(broken)

    assert time.monotonic() - started < 60
    assert ours(one.home) == []


def test_the_command_line_speaks_json_and_exit_codes(one: Stack) -> None:
    one.up(Launch())
    home = ("--home", str(one.home))

    status = homeport("status", "--json", *home)
    logs = homeport("logs", "uk-kafka", "-n", "3", *home)
    doctor = homeport("doctor", "--json", *home)

    assert status.returncode == 0
    rows = {row["name"]: row for row in json.loads(status.stdout)["processes"]}
    assert {row["state"] for row in rows.values()} == {"ready"}
    assert rows["uk-kafka"]["rss_bytes"] > 50_000_000
    assert logs.returncode == 0
    assert len(logs.stdout.splitlines()) == 3
    assert homeport("logs", "nobody", *home).returncode == 2
    assert doctor.returncode == 0, doctor.stdout
    assert json.loads(doctor.stdout)["ok"] is True


def test_status_is_wrong_when_something_is_dead(one: Stack) -> None:
    one.up(Launch())
    supervisor = state.supervisor(one.home)
    assert supervisor is not None

    os.kill(supervisor.pid, signal.SIGKILL)
    while supervisor.is_alive:
        time.sleep(0.01)

    done = homeport("status", "--json", "--home", str(one.home))
    assert done.returncode == 1
    rows = {row["name"]: row for row in json.loads(done.stdout)["processes"]}
    assert rows["supervisor"]["state"] == "dead"


def test_nothing_running_is_said_not_failed(new_home: NewHome) -> None:
    home = ("--home", str(new_home() / "never"))

    down = homeport("down", *home)
    status = homeport("status", *home)

    assert (down.returncode, status.returncode) == (0, 0)
    assert "Nothing was running" in down.stderr
    assert "homeport up" in status.stdout
    assert homeport("down", "--json", *home).stdout == '{"stopped": []}\n'
