"""What both benches share: a home of their own, the machine in words, a clean end."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import click
import psutil

from connectors.embedded.launch import Launch
from connectors.embedded.stack import Stack
from schemas.errors import HomeportError, SetupError

EXIT_WRONG, EXIT_ENVIRONMENT, EXIT_INTERRUPTED = 1, 3, 130


def say(text: str) -> None:
    """Write progress to stderr: stdout holds the result alone."""
    click.echo(text, err=True)


@contextmanager
def running(region: str, launch: Callable[[Path], Launch]) -> Iterator[Path]:
    """Yield the home of a stack that runs; it is stopped, by its own pids, and removed."""
    home = Path(tempfile.mkdtemp(prefix="homeport-bench-"))
    stack = Stack(home, (region,))
    try:
        say(f"starting {region} in {home} ...")
        stack.up(launch(home))
        yield home
    finally:
        say("stopping ...")
        stack.down()
        shutil.rmtree(home)


@contextmanager
def free_slot(name: str) -> Iterator[int]:
    """Yield the first slot that no other process of this machine holds under *name*.

    The kernel lets go of it with the process: the next start takes a killed worker's place over.
    """
    stem = hashlib.sha256(name.encode()).hexdigest()[:16]
    for number in count():
        path = Path(tempfile.gettempdir()) / f"homeport-bench-{stem}.{number}.lock"
        with path.open("ab") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return


def text_of(file: Path) -> str:
    """Return the text of a JSON file.

    Raises:
        SetupError: It is none.

    """
    try:
        text = file.read_text(encoding="utf-8")
        json.loads(text)
    except ValueError as exc:
        line = f":{exc.lineno}" if isinstance(exc, json.JSONDecodeError) else ""
        msg = f"{file.name}{line}: not JSON"
        raise SetupError(msg) from None
    return text


def machine() -> dict[str, Any]:
    """Return where this runs; the load says how far to trust absolute figures."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 1),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def spread(values: list[float], digits: int = 1) -> dict[str, float]:
    """Return median, lowest and highest: of a few rounds on a shared machine no more is true."""
    found = {"median": median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def percentiles(seconds: Sequence[float], unit: float) -> dict[str, float]:
    """Return median, 99th percentile and maximum, in units of 1/*unit* s."""
    found = sorted(seconds)
    at = {"p50": len(found) // 2, "p99": len(found) * 99 // 100, "max": len(found) - 1}
    return {name: round(found[place] * unit, 3) for name, place in at.items()}


def run(command: click.Command) -> None:
    """Run a bench with the exit codes of the ``homeport`` command.

    SIGTERM, of ``timeout`` say, is as Ctrl-C is: what the bench started is stopped.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        command.main(standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except SetupError as exc:
        say(str(exc))
        sys.exit(EXIT_ENVIRONMENT)
    except HomeportError as exc:
        say(str(exc))
        sys.exit(EXIT_WRONG)
