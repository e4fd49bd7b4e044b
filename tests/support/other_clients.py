"""Other people's clients of the API, each in its own language: fetched, built and run for tests."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded.files import exclusive

CLIENTS = Path(__file__).parents[1] / "integration/sandbox/clients"
FETCH_S = 240  # a client's packages, on a slow network
RUN_S = 120
MODULE_S = 60  # one small Go module: longer means that nobody answers
LOCKED = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
TAMPERED = ("EINTEGRITY", "checksum mismatch", "SECURITY ERROR")  # as npm and go say it


def runtime(name: str, option: str = "--version") -> str:
    """Return the runtime's path, or skip the test: not on this machine, or it does not start."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine")
    done = subprocess.run([found, option], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        pytest.skip(f"{name} does not start: {done.stderr.strip()[-200:]}")
    return found


def node_packages(client: str, *, may_fetch: bool = True) -> Path:
    """Return ``node_modules`` with exactly the locked packages of a JavaScript client, or skip.

    Fetched once per checkout, into the virtual environment as the embedded broker is; a lock that
    changes gets a folder of its own. Scripts of packages are not run. A lock is made anew by
    ``npm install --package-lock-only --omit-lockfile-registry-resolved=true``.
    """
    source = CLIENTS / client
    lock = (source / "package-lock.json").read_bytes()
    folder = _kept(f"{client}-{hashlib.sha256(lock).hexdigest()[:12]}")
    with exclusive(folder.parent / f".{client}.lock", wait=True, busy=""):
        if (folder / "complete").is_file():
            return folder / "node_modules"
        if not may_fetch:
            pytest.skip(f"the packages of {client} are fetched by `homeport test --long` only")
        npm = runtime("npm")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, folder)
        argv = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        _fetched(argv, folder, {})
        (folder / "complete").touch()
    return folder / "node_modules"


def go_program(client: str) -> Path:
    """Return a Go client's program, built from the locked modules, or skip."""
    go = runtime("go", "version")
    source = CLIENTS / client
    digest = hashlib.sha256()
    for file in sorted(source.iterdir()):
        digest.update(file.read_bytes())
    program = _kept(f"{client}-{digest.hexdigest()[:12]}") / client
    with exclusive(program.parents[1] / f".{client}.lock", wait=True, busy=""):
        if not program.is_file():
            program.parent.mkdir(exist_ok=True)
            _fetched([go, "mod", "download"], source, LOCKED)
            argv = [go, "build", "-buildvcs=false", "-o", str(program), "."]
            built = _run(argv, source, os.environ | LOCKED, FETCH_S)
            assert built.returncode == 0, built.stderr
    return program


def go_run(source: Path, *argv: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a go command in *source*, or skip: no Go, too old a Go, or no way to its one module.

    The module comes from the machine's cache, else from where its Go gets modules; ``go.sum``
    pins what it is. The command itself has no network.
    """
    go = runtime("go", "version")
    _fetched([go, "mod", "download"], source, LOCKED, MODULE_S)
    return _run([go, *argv], source, {**os.environ, **LOCKED, "GOPROXY": "off"}, RUN_S)


def answers(
    argv: Sequence[str | Path], environment: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    """Run a client to its end and return the document that it prints."""
    done = _run(argv, folder, {**bare(folder), **environment}, RUN_S)
    assert done.returncode == 0, done.stderr[-4000:]
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def bare(home: Path) -> dict[str, str]:
    """Return an environment in which a client finds no settings and no proxy of this machine."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TZ": "UTC", "LANG": "C.UTF-8"}


def _kept(name: str) -> Path:
    folder = Path(sys.prefix) / "share/homeport/clients" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _fetched(
    argv: Sequence[str | Path],
    folder: Path,
    settings: Mapping[str, str],
    limit_s: float = FETCH_S,
) -> None:
    try:
        done = _run(argv, folder, os.environ | settings, limit_s)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{Path(argv[0]).name}: the packages did not come within {limit_s} s")
    assert not any(word in done.stderr for word in TAMPERED), done.stderr
    if done.returncode:
        pytest.skip(f"{Path(argv[0]).name} cannot fetch the packages: {done.stderr.strip()[-300:]}")


def _run(
    argv: Sequence[str | Path], folder: Path, environment: Mapping[str, str], limit_s: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=limit_s,
        stdin=subprocess.DEVNULL,
    )
