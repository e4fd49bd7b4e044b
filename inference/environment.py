"""The model server's own environment: hash-pinned packages, installed on first need.

The server and the application share no package, so neither's versions bind the other's.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from schemas.errors import SetupError

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-inference.lock"
FOLDER = ROOT / ".venv-inference"
CHOSEN = "HOMEPORT_INFERENCE_PYTHON"  # an environment that somebody else made
STAMP = "homeport-stamp"  # written last: no stamp, no environment
GIB = 1024**3
FETCH_GB, DISK_GB = "2.7", "4.9"  # measured: what is downloaded, what lies there afterwards
NEED_BYTES = 6 * GIB  # what lies there afterwards, and room for one download
SERVER_BYTES = 3 * GIB  # of memory, for each region's server
WITHOUT = "or go on without labels: --without-inference"

Progress = Callable[[str], None]


def quiet(state: str) -> None:
    """Report nothing."""
    del state


def python(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the Python of the server's environment, whether it is there or not."""
    chosen = environ.get(CHOSEN)
    return Path(chosen).absolute() if chosen else FOLDER / "bin" / "python"


def is_ready(folder: Path = FOLDER, lock: Path = LOCK) -> bool:
    """Return whether *folder* holds the whole environment of *lock*, made for this place."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_bytes() == _stamp(folder, lock)


def ensure(progress: Progress = quiet, folder: Path = FOLDER, lock: Path = LOCK) -> Path:
    """Return the Python of an environment that is whole, made now where it is not.

    An interrupted run leaves no stamp, so the next one starts over; uv keeps what it has
    downloaded, so that takes seconds.

    Args:
        progress: Told what happens, before it happens.
        folder: The environment.
        lock: What goes into it.

    Raises:
        SetupError: No room, no uv or no packages; the text says the next step.

    """
    if CHOSEN in os.environ:
        found = python()
        if not found.is_file():
            msg = f"{CHOSEN}: {found} is not there; unset it to have the environment made"
            raise SetupError(msg)
        return found
    if not is_ready(folder, lock):
        with _alone(folder, progress):
            if not is_ready(folder, lock):
                _install(folder, lock, progress)
    progress("ready")
    return folder / "bin" / "python"


def require_memory(servers: int) -> None:
    """Check that there is memory for so many servers.

    Raises:
        SetupError: There is not.

    """
    free, needed = psutil.virtual_memory().available, servers * SERVER_BYTES
    if free < needed:
        msg = (
            f"{free / GIB:.1f} GiB of memory available; {servers} model servers need about"
            f" {needed >> 30} GiB: choose fewer regions with --regions, {WITHOUT}"
        )
        raise SetupError(msg)


def _stamp(folder: Path, lock: Path) -> bytes:
    """Return what the stamp of a whole environment says: an environment cannot be moved."""
    return f"{folder}\n".encode() + lock.read_bytes()


def _install(folder: Path, lock: Path, progress: Progress) -> None:
    uv = _uv()
    free = shutil.disk_usage(folder.parent).free
    if free < NEED_BYTES:
        msg = (
            f"{free / GIB:.1f} GiB free at {folder.parent}; the model server's environment needs"
            f" {NEED_BYTES // GIB} GiB: make room, {WITHOUT}"
        )
        raise SetupError(msg)
    progress(
        f"installing vLLM into {folder} (once: about {FETCH_GB} GB to fetch unless uv has it,"
        f" {DISK_GB} GB on disk, one to five minutes; --without-inference runs the rest without it)"
    )
    shutil.rmtree(folder, ignore_errors=True)
    inside = str(folder / "bin" / "python")
    run = (
        ([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], "uv venv"),
        ([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", inside, str(lock)], "uv"),
    )
    for command, name in run:
        _run(command, name)
    progress("compiling its modules: half a minute now, or half a minute at every start")
    for packages in folder.glob("lib/python3.*/site-packages"):
        # some packages bring templates and tests that no Python can compile: no fault
        _run([inside, "-m", "compileall", "-q", "-j", "0", str(packages)], "", is_strict=False)
    scratch = folder / f"{STAMP}.new"
    scratch.write_bytes(_stamp(folder, lock))
    scratch.rename(folder / STAMP)


def _uv() -> str:
    """Return the pinned uv of the launcher, or the one on the path.

    Raises:
        SetupError: There is neither.

    """
    ours = Path(sys.prefix) / "homeport" / "uv" / "bin" / "uv"
    found = str(ours) if ours.is_file() else shutil.which("uv")
    if found is None:
        msg = f"no uv here: run ./homeport from a checkout, or name an environment in {CHOSEN}"
        raise SetupError(msg)
    return found


def _run(command: list[str], name: str, *, is_strict: bool = True) -> None:
    """Run one step of the set-up in the checkout: a package index of its own may be set there."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    home = os.environ.get("HOME")
    if home is None or not os.access(home, os.W_OK):
        env.setdefault("UV_CACHE_DIR", str(Path(sys.prefix) / "homeport" / "cache"))
    done = subprocess.run(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
    )
    if is_strict and done.returncode != 0:
        msg = (
            f"the model server's packages could not be installed ({name} says why above): that"
            f" needs a network or your own package index. Run the same command again, {WITHOUT}"
        )
        raise SetupError(msg)


@contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock beside *folder* while the block runs; the kernel drops it with its holder."""
    try:
        file = folder.with_name(f"{folder.name}.lock").open("a+b")
    except OSError as exc:
        msg = (
            f"{folder.parent}: cannot be written ({exc.strerror}); name an environment in {CHOSEN}"
        )
        raise SetupError(msg) from exc
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another installation of this checkout runs; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
