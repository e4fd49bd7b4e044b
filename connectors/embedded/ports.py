"""Ports on 127.0.0.1: chosen once per home, remembered, and checked before each start."""

import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from schemas.errors import SetupError

HOST = "127.0.0.1"
FIRST, LAST = 15_000, 32_767  # below Linux's default range for outgoing connections
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
TRIES = 2_000


class PortError(SetupError):
    """A port that is needed is taken, or none is free."""


def is_free(port: int) -> bool:
    """Return whether a server could listen on *port* of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as our servers do
        try:
            probe.bind((HOST, port))
            # a listener that binds all addresses shows only here
            probe.listen(1)
        except OSError:
            return False
    return True


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Return whether something listens on *port* of 127.0.0.1."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def last_port() -> int:
    """Return the highest port that the kernel does not give to outgoing connections.

    A client that retries a dead server's port from the outgoing range can be given that very port,
    connect to itself and keep the server from coming back. So servers stay below the range.
    """
    try:
        low = int(RANGE_FILE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return LAST
    return min(LAST, low - 1)


def choose(
    names: Iterable[str], remembered: Mapping[str, int], pick: random.Random
) -> tuple[dict[str, int], dict[str, int]]:
    """Return (a free port per name, the remembered ports that somebody else took).

    Args:
        names: What needs a port.
        remembered: The ports of the last run; kept where free.
        pick: Where two homes that start together part ways.

    Raises:
        PortError: No port is free.

    """
    last = last_port()
    if last - FIRST < 1_000:  # noqa: PLR2004 - the outgoing range covers ours: take what is there
        last = LAST
    chosen: dict[str, int] = {}
    lost: dict[str, int] = {}
    for name in names:
        port = remembered.get(name)
        if port is not None and port not in chosen.values() and is_free(port):
            chosen[name] = port
            continue
        if port is not None:
            lost[name] = port
        chosen[name] = _free_port(last, {*chosen.values(), *remembered.values()}, pick)
    return chosen, lost


def _free_port(last: int, used: set[int], pick: random.Random) -> int:
    for _ in range(TRIES):
        port = pick.randint(FIRST, last)
        if port not in used and is_free(port):
            return port
    msg = f"no free port between {FIRST} and {last} on {HOST}; stop what listens there"
    raise PortError(msg)
