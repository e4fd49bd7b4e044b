"""How `up` waits: for several processes side by side, and no longer than there is hope."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from connectors.embedded import state as states
from connectors.embedded.ports import PortError
from connectors.embedded.processes import READY_S
from schemas.errors import SetupError

RESTARTS = 2  # more than this while starting: it will not come up
POLL_S = 0.1
LOG_TAIL_BYTES = 16 * 1024  # what the last few tries wrote
TAKEN = ("Address already in use", "could not bind", "address already in use")  # in a log


def side_by_side(tasks: Iterable[Callable[[], None]], cancelled: threading.Event) -> None:
    """Run *tasks* at once; the first that fails, or Ctrl-C, sets *cancelled* and is raised."""
    todo = list(tasks)
    pool = ThreadPoolExecutor(max_workers=max(1, len(todo)))
    try:
        futures = [pool.submit(task) for task in todo]
        for future in as_completed(futures):
            future.result()
    except BaseException:
        cancelled.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def wait_until_ready(  # noqa: PLR0913, what is waited for, and how long
    home: Path,
    name: str,
    is_ready: Callable[[], bool],
    ups: int,
    cancelled: threading.Event,
    *,
    limit_s: float = READY_S,
) -> None:
    """Wait until a process is ready.

    Args:
        home: The stack's home.
        name: The process.
        is_ready: Whether it is.
        ups: The run of `up` that waits; what halted in an earlier one does not count.
        cancelled: Set when nobody waits any longer.
        limit_s: How long it may take.

    Raises:
        SetupError: It keeps ending, any process halted, the supervisor ended, or the time is up.

    """
    deadline = time.monotonic() + limit_s
    before = states.restarts(home, name)
    while not is_ready():
        if cancelled.wait(POLL_S):
            msg = f"{name}: no longer waited for"
            raise SetupError(msg)
        if states.supervisor(home) is None:
            msg = f"the supervisor ended; see {home / 'logs' / 'supervisor.log'}"
            raise SetupError(msg)
        if halted := [other for other, run in states.halted(home).items() if run == ups]:
            path = home / "logs" / f"{halted[0]}.log"
            msg = f"{halted[0]} halted; see {path}, mend the cause, then run `homeport up`"
            raise SetupError(msg)
        if states.restarts(home, name) - before > RESTARTS:
            raise _why(home, name)
        if time.monotonic() > deadline:
            msg = f"{name} is not ready after {limit_s:.0f} s; see `homeport logs {name}`"
            raise SetupError(msg)


def _why(home: Path, name: str) -> SetupError:
    path = home / "logs" / f"{name}.log"
    tail = path.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")
    if any(text in tail for text in TAKEN):
        msg = f"{name}: another program took its port just now; run `homeport up` again"
        return PortError(msg)
    msg = f"{name} ended {RESTARTS + 1} times; see `homeport logs {name}` ({path})"
    return SetupError(msg)
