"""One process of the stack: how it starts, how it is known again, how it stops.

A process is known by its pid *and* the kernel's start tick of that pid, in one boot. The tick is
exact; a wall-clock creation time moves when the machine's clock is set. A pid that the kernel
gave to somebody else in the meantime therefore never matches, and is never signalled.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from connectors.embedded.files import PRIVATE_FILE
from schemas.errors import SetupError

PR_SET_PDEATHSIG = 1  # linux/prctl.h
MAX_LOG_BYTES = 16 * 1024 * 1024  # at start; the previous log is kept as NAME.log.1
POLL_S = 0.05
READY_S = 120.0  # until a process answers; a broker needs 3-4 s on a quiet machine
# a worker says: going on could move data that must stay; a person must look
HALTED = 4  # exit code
START_TICK = 19  # proc(5): starttime is field 22, the 20th after the process name

# What a child sees of the caller's environment: nobody's credentials.
KEPT_ENV = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH")
KEPT_ENV_PREFIXES = ("HOMEPORT_", "OTEL_")


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What the supervisor needs to start, watch and stop one process.

    Attributes:
        name: Unique in the home, such as ``eu-kafka``; also the log's name.
        argv: The program and its arguments; no secret, since anybody may list them.
        ready_url: Answers 200 when the process is ready, or None.
        env: Added to the kept part of the caller's environment.
        region: The region it belongs to, or None.
        port: Where it listens on 127.0.0.1, or None. Without *ready_url*, listening is ready.
        stage: Higher stages stop first: 0 brokers and databases, 1 the org and model
            servers, 2 workers.
        user_id: The user to run as, or None for the caller's.
        stop_signal: What asks it to end.
        stop_timeout_s: How long it may take before SIGKILL.
        ready_s: How long `up` waits until it is ready; 0: it gets ready in the background.

    """

    name: str
    argv: tuple[str, ...]
    ready_url: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    port: int | None = None
    stage: int = 0
    user_id: int | None = None
    stop_signal: int = signal.SIGTERM
    stop_timeout_s: float = 15.0
    ready_s: float = READY_S

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "argv": list(self.argv), "env": dict(self.env)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "ProcessSpec":
        """Return the spec that ``to_json`` wrote."""
        return cls(**{**document, "argv": tuple(document["argv"])})


@dataclass(frozen=True, slots=True)
class Running:
    """A process that was started, so that it can be found again after a crash of its parent.

    Attributes:
        name: The spec's name.
        pid: Also its process group and session.
        start_tick: Clock ticks from boot to its start.
        boot_id: The boot in which that holds.
        stop_signal: What asks it to end.
        stop_timeout_s: How long it may take before SIGKILL.

    """

    name: str
    pid: int
    start_tick: int
    boot_id: str
    stop_signal: int = signal.SIGTERM
    stop_timeout_s: float = 15.0

    @property
    def is_alive(self) -> bool:
        """Return whether exactly this process still runs; a zombie does not."""
        return self.boot_id == boot_id() and start_tick(self.pid) == self.start_tick


def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_tick(pid: int) -> int | None:
    """Return when *pid* started, in clock ticks since boot, or None if it is dead or a zombie.

    Source: proc(5), /proc/[pid]/stat.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # a process name may hold spaces and brackets
    return None if fields[0] in "ZX" else int(fields[START_TICK])


def group_of(user_id: int) -> int:
    """Return the primary group of a user.

    Raises:
        KeyError: No such user.

    """
    return pwd.getpwuid(user_id).pw_gid


def child_env(extra: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: the kept part of *environ*, and *extra*."""
    kept = {
        key: value
        for key, value in environ.items()
        if key in KEPT_ENV or key.startswith(KEPT_ENV_PREFIXES)
    }
    return {**kept, **extra}


def death_signal(signal_number: int) -> Callable[[], None]:
    """Return what a child runs before exec so that it ends when its parent dies.

    Raises:
        SetupError: The system has no prctl.

    """
    parent = os.getpid()
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError) as exc:
        msg = "this system has no prctl(2): the embedded stack needs Linux; use your own Kafka"
        raise SetupError(msg) from exc

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return before_exec


def open_log(path: Path) -> int:
    """Return a descriptor that appends to the log *path*, rotated when it grew large."""
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)


def spawn(spec: ProcessSpec, home: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start *spec* in a session of its own, its output appended to *log*.

    Call it from the main thread: Linux sends the parent-death signal when the thread ends.

    Raises:
        OSError: The program cannot be started.

    """
    descriptor = open_log(log)
    try:
        return subprocess.Popen(
            spec.argv,
            cwd=home,
            env=child_env(spec.env, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            user=spec.user_id,
            group=None if spec.user_id is None else group_of(spec.user_id),
            extra_groups=None if spec.user_id is None else [],
            # the supervisor has one thread, so running Python between fork and exec is safe
            preexec_fn=death_signal(spec.stop_signal),  # noqa: PLW1509
        )
    finally:
        os.close(descriptor)


def stop(processes: Iterable[Running], reap: Callable[[], object] = lambda: None) -> list[str]:
    """Stop *processes* together and return the names of those that were alive.

    Each gets its stop signal, its time, then SIGKILL for its whole process group.

    Args:
        processes: What to stop; dead and reused pids are left alone.
        reap: Called while waiting, for a caller who is the parent.

    """
    alive = [process for process in processes if process.is_alive]
    for process in alive:
        _signal(process, process.stop_signal)
    started = time.monotonic()
    waiting = alive
    while waiting:
        reap()
        waiting = [process for process in waiting if process.is_alive]
        late = time.monotonic() - started
        for process in waiting:
            if late > process.stop_timeout_s:
                _signal(process, signal.SIGKILL)
        if waiting:
            time.sleep(POLL_S)
    return [process.name for process in alive]


def _signal(process: Running, number: int) -> None:
    """Signal the group if the process leads one, as everything we start does."""
    try:
        if number == signal.SIGKILL and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
    except ProcessLookupError:
        pass  # it ended between the look and the signal
