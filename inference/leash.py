"""Run a command so that nothing of it outlives us or our parent: ``leash.py COMMAND...``.

vLLM is three processes, and two of them live on when the first is killed. So a server runs in a
session of its own that this small process leads. It ends the whole session when the command ends,
however it ends, and when its standard input is closed, which the kernel does for a killed parent.
SIGTERM is passed on to the command alone. Nothing but the standard library: it starts in no time
and takes 10 MB.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

KILLED = 137  # what a shell, too, says of a process that SIGKILL ended
POLL_S = 0.1
SESSION = 3  # proc(5) stat, counted from the state: state, parent, process group, session


def stat(pid: int) -> list[str] | None:
    """Return the fields of proc(5) stat after the name, state first; None of a dead process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # a process name may hold spaces and brackets
    return None if fields[0] in "ZX" else fields


def members(session: int) -> list[int]:
    """Return the living processes of a session, its leader excepted."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == session:
            continue
        fields = stat(int(folder.name))
        if fields is not None and int(fields[SESSION]) == session:
            found.append(int(folder.name))
    return found


def kill_session(session: int) -> None:
    """End every process of a session but its leader, and those that they start meanwhile."""
    while found := members(session):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def main(command: list[str]) -> int:
    """Run *command* until it ends or our standard input does, then end what is left of it."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], POLL_S)
        if readable and not os.read(sys.stdin.fileno(), 1):  # nobody holds us any longer
            kill_session(os.getpid())
            child.wait()
            return KILLED
        code = child.poll()
        if code is not None:
            kill_session(os.getpid())
            return KILLED if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
