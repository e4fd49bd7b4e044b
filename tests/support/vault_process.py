"""A vault writer as a process, to be killed. Run as ``vault_process.py HOME``."""

import signal
import sys
import threading
from pathlib import Path

from residency.telemetry.setup import telemetry
from streams.settings import load_settings
from streams.vault.writer import VaultWriter


def main(home: Path) -> None:
    """Work until SIGTERM."""
    halt = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: halt.set())
    settings = load_settings(home, "eu", "vault")
    VaultWriter(settings, telemetry("vault", "eu", None, {})).run(halt)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
