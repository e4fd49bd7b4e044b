"""The test org as a real process, shared or a test's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running_org import Client, RunningOrg

from connectors.embedded.pki import ensure_app, write_apps
from connectors.sandbox.faults.remote import Control, control


@pytest.fixture(scope="session")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOrg]:
    """Start an org over https that all tests share; each uses external ids of its own."""
    running = RunningOrg(tmp_path_factory.mktemp("org") / "home")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def admin(org: RunningOrg) -> Client:
    """Open the administrator's session."""
    return org.login()


@pytest.fixture(scope="module")
def module_org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOrg]:
    """Start an org for one module, which counts its rows or changes what is registered."""
    running = RunningOrg(tmp_path_factory.mktemp("module-org") / "home")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def module_admin(module_org: RunningOrg) -> Client:
    """Open the administrator's session in the module's org."""
    return module_org.login()


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOrg]:
    """Start an org with a control path that the tests of faults share."""
    running = RunningOrg(tmp_path_factory.mktemp("faulty") / "home", "--plain", "--faults")
    yield running
    running.stop()


@pytest.fixture
def plan(faulty: RunningOrg) -> Iterator[Control]:
    """Open the control path; afterwards no fault is left."""
    opened = control(faulty.home, faulty.port)
    yield opened
    opened.clear()


@pytest.fixture
def client(faulty: RunningOrg) -> Client:
    """Open a session in the org whose calls can fail."""
    return faulty.login()


@pytest.fixture
def start_org(tmp_path: Path) -> Iterator[Any]:
    """Start orgs of the test's own; they are stopped afterwards."""
    started: list[RunningOrg] = []

    def start(*options: str, name: str = "home") -> RunningOrg:
        started.append(RunningOrg(tmp_path / name, *options))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.stop()


def register(org: RunningOrg) -> RunningOrg:
    """Return *org*, which now knows the EU's app and the UK's as new, and no others."""
    (org.home / "sandbox/apps.json").unlink(missing_ok=True)
    write_apps(org.home, [ensure_app(org.home, "eu"), ensure_app(org.home, "uk")])
    return org


@pytest.fixture
def running(module_org: RunningOrg) -> RunningOrg:
    """Take the module's org, with two apps as new."""
    return register(module_org)


@pytest.fixture
def fresh(start_org: Any) -> RunningOrg:
    """Start an org of the test's own with two apps, which has counted no call yet."""
    return register(start_org("--plain"))
