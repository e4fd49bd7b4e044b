"""One run of a model server: its folder, its session of processes, its log, and its end."""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from inference import leash
from inference.config import ServerConfig
from schemas.errors import SetupError

KILL_S = 10.0  # after the requests in flight had their time
MAX_LOG_BYTES = 16 * 1024 * 1024  # at a start; the log before is kept as NAME.1
PRIVATE_DIR, PRIVATE_FILE = 0o700, 0o600
MAX_SOCKET = 80  # bytes: a Unix socket's path may have 107, and vLLM's own are longer than ours
START_TICK = 19  # proc(5) stat, counted from the state
BOOT = Path("/proc/sys/kernel/random/boot_id")
NOTE = "session.json"
LEFT = ("tmp", "torch")  # how folders begin that a server makes where its temporary files go


def socket_path(folder: Path) -> Path:
    """Return where the server of *folder* listens: there, or in a short private place instead.

    The kernel takes 107 bytes for a socket's path, which a deep home exceeds.
    """
    path = folder / "run" / "engine.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"homeport-{os.getuid()}-{name}" / "engine.sock"


def prepare_folders(config: ServerConfig) -> None:
    """Make the server's folder, its socket's and its log's, for their owner alone.

    Raises:
        SetupError: One cannot be made, or is somebody else's.

    """
    for folder in (config.folder, config.uds.parent, log_path(config).parent):
        try:
            folder.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
            found = folder.lstat()
        except OSError as exc:
            msg = f"{folder}: cannot be made ({exc.strerror}); choose another folder with --home"
            raise SetupError(msg) from exc
        if not folder.is_dir() or found.st_uid != os.getuid() or found.st_mode & 0o077:
            msg = f"{folder}: others may open it; `chmod 700` it, or remove it"
            raise SetupError(msg)


@contextmanager
def alone(config: ServerConfig) -> Iterator[None]:
    """Make and hold the server's folders while the block runs; the kernel drops a dead holder's.

    Raises:
        SetupError: Another supervisor holds it, or a folder is not ours.

    """
    prepare_folders(config)
    folder = config.folder
    with (folder / "lock").open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            msg = (
                f"{folder}: its model server has a supervisor already; see `homeport infer status`"
            )
            raise SetupError(msg) from exc
        yield


def end_leftovers(config: ServerConfig) -> int:
    """End what a killed supervisor *and* a killed leash left behind; return how many processes.

    A session's number is not given to others while a process of it lives. Ours is known by the
    boot, by its leader's start where that lives, and by the program that its processes run.
    """
    try:
        note = json.loads((config.folder / NOTE).read_text(encoding="utf-8"))
        session, tick, boot = int(note["session"]), note["start_tick"], note["boot"]
    except (OSError, ValueError, KeyError):
        return 0
    leader = leash.stat(session)
    if boot != BOOT.read_text(encoding="ascii") or (leader and leader[START_TICK] != tick):
        return 0
    program = os.path.realpath(config.python)
    ours = [pid for pid in leash.members(session) if _program(pid) == program]
    for pid in ours:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(ours)


def _program(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return None


class Server:
    """The processes of one start."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take charge of a started leash."""
        self._process = process

    @classmethod
    async def start(
        cls, config: ServerConfig, command: Sequence[str], environment: Mapping[str, str]
    ) -> "Server":
        """Start *command* on a leash, its output appended to the log.

        Raises:
            SetupError: It cannot be started.

        """
        await asyncio.to_thread(_without_leftovers, config.uds)
        descriptor = _open_log(log_path(config))
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(Path(leash.__file__)), *command),
                cwd=config.folder,
                env=environment,
                stdin=asyncio.subprocess.PIPE,  # closed with us, however we end
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        except OSError as exc:
            msg = f"{config.region}: the model server cannot be started ({exc.strerror})"
            raise SetupError(msg) from exc
        finally:
            os.close(descriptor)
        await asyncio.to_thread(_remember, config.folder, process.pid)
        return cls(process)

    def close_door(self, uds: Path) -> Path:
        """Let nobody new in: return the socket's new name, under which we can still ask."""
        closed = uds.with_name("closed.sock")
        with suppress(FileNotFoundError):
            uds.rename(closed)
        return closed

    @property
    def session(self) -> int:
        """The session of all its processes, also the leash's pid."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.returncode

    async def end(self, patience_s: float) -> None:
        """End it: ask, wait *patience_s* seconds (0: do not ask), then kill whatever is left."""
        if patience_s and self.code is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience_s)
        if self._process.stdin is not None:
            self._process.stdin.close()  # the leash lets go of nothing that lives
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), KILL_S)
        if self.code is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        # also where the leash was killed: its session's number is taken while a member lives
        await asyncio.to_thread(leash.kill_session, self.session)
        await self._process.wait()


def _without_leftovers(uds: Path) -> None:
    """Remove what a killed server left beside its socket; what it never makes is not ours."""
    for path in uds.parent.iterdir():
        if path == uds or path.is_socket():
            path.unlink()
        elif path.name.startswith(LEFT) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def _remember(folder: Path, session: int) -> None:
    """Note what runs, for the case that both we and the leash are killed."""
    fields = leash.stat(session)
    note = {
        "session": session,
        "start_tick": fields[START_TICK] if fields else None,
        "boot": BOOT.read_text(encoding="ascii"),
    }
    scratch = folder / f".{NOTE}"
    scratch.write_text(json.dumps(note), encoding="utf-8")
    scratch.replace(folder / NOTE)


def log_path(config: ServerConfig) -> Path:
    """Return where the server's own log goes."""
    return config.log or config.folder / "engine.log"


def _open_log(path: Path) -> int:
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
