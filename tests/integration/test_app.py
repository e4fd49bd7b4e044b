"""How a worker ends: its exit code says who may start it again, its log says no value."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

CANARY = "zukalotimerudo"
PROGRAM = f"""
import os, sys, threading
from pathlib import Path
from connectors.kafka.config import KafkaConfig
from schemas.errors import HaltError, RetriableError
from streams.app import run
from streams.settings import Settings

class Loop:
    def run(self, halt):
        match sys.argv[2]:
            case "halt":
                raise HaltError("eu.orders[0]@7: the plan is not approved")
            case "again":
                raise RetriableError("Kafka: _TRANSPORT; the worker starts afresh")
            case "bug":
                raise ValueError("{CANARY}")
            case "told":
                threading.Timer(0.5, os.kill, (os.getpid(), 15)).start()
                halt.wait()

    def health(self):
        return {{"ready": True}}

home = Path(sys.argv[1])
kafka = KafkaConfig("127.0.0.1:1", "u", "p")
run(Settings("eu", "border", home, kafka, health_port=int(sys.argv[3])), Loop())
"""


@pytest.mark.parametrize(
    ("ends", "code", "told"),
    [
        ("halt", 4, "stopped: eu.orders[0]@7: the plan is not approved"),
        ("again", 1, "stopped: Kafka: _TRANSPORT"),
        ("bug", 1, "stopped: ValueError"),
        ("told", 0, ""),
    ],
)
def test_the_exit_code_says_who_may_start_a_worker_again(
    ends: str, code: int, told: str, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(tmp_path), ends, str(port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert told in said
    assert CANARY not in said
