"""A region's PostgreSQL alone, without broker and supervisor, for tests of what is kept in it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.embedded.postgres import Server, prepare, spec
from connectors.embedded.postgres_admin import ROLES, dsn, is_ready, provision
from connectors.embedded.processes import child_env, group_of

START_S = 60
ROLE, PASSWORD = "egress", "of-the-test"


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run a server; yield the DSN of egress's role in it."""
    with running_server([ROLE]) as dsn_of:
        yield dsn_of(ROLE)


@contextmanager
def running_server(roles: Sequence[str] = ROLES) -> Iterator[Callable[[str], str]]:
    """Run a server with these roles; yield what gives the DSN of one. With all: with the vault."""
    # not under tmp_path: under root the database's user must walk to it
    home = Path(tempfile.mkdtemp(prefix="homeport-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server("eu", home / "eu" / "postgres", port, "of-the-superuser")
    prepare(server, print)
    found = spec(server)
    process = subprocess.Popen(
        found.argv,
        user=found.user_id,
        group=None if found.user_id is None else group_of(found.user_id),
        extra_groups=None if found.user_id is None else [],
        env=child_env({}, os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        deadline = time.monotonic() + START_S
        while not is_ready(port, server.password):
            if time.monotonic() > deadline or process.poll() is not None:
                pytest.fail("PostgreSQL did not start")
            time.sleep(0.1)
        provision(port, server.password, dict.fromkeys(roles, PASSWORD))
        yield lambda role: dsn(port, role, PASSWORD)
    finally:
        process.send_signal(found.stop_signal)
        process.wait(timeout=30)
        shutil.rmtree(home)
