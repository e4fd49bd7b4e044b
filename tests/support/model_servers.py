"""Real model servers for tests: one of MiniLM, one of a tiny generator, each under `infer up`."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from connectors.embedded.ports import HOST, choose
from inference import environment, leash, lock
from inference.config import InferenceConfig
from schemas.errors import SetupError
from streams import models

# Files that ask a server: they run one after the other, so that there is one of each.
ASK_A_MODEL = (
    "tests/integration/inference/", "tests/fault/test_kill.py",
    "tests/fault/test_model_line.py",
    "tests/fault/test_model_server.py",
)  # fmt: skip
TINY = Path(__file__).with_name("tiny_model.py")
READY_S = 280.0  # 30 s on a quiet machine
REGION = "eu"
INFER_UP = (sys.executable, "-P", "-m", "streams.cli", "infer", "up", "--region", REGION)


def server_python() -> Path:
    """Return the Python of the model server's environment, made if need be; else skip."""
    try:
        return environment.ensure(lambda state: sys.stderr.write(f"vllm: {state}\n"))
    except SetupError as exc:
        pytest.skip(str(exc))


@dataclass(slots=True)
class ModelServer:
    """One region's server in a home of its own, asked as its clients ask it.

    Attributes:
        settings: More of `ServerConfig` than an embedded stack's.

    """

    home: Path
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    def ensure(self) -> InferenceConfig:
        """Start it if it does not run, wait until it answers, return how to reach it."""
        self.begin()
        deadline = time.monotonic() + READY_S
        while not self.health().get("ready"):
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)
        return self.client()

    def begin(self) -> None:
        """Start it if it does not run."""
        if self.process is not None and self.process.poll() is None:
            return
        ports, _ = choose(["health"], {}, random.SystemRandom())
        self.port = ports["health"]
        document = {**models.server(self.home, REGION, self.port), **self.settings}
        path = models.server_file(self.home, REGION)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(document), encoding="utf-8")
        with (self.home / "infer-up.log").open("ab") as file:
            self.process = subprocess.Popen(
                [*INFER_UP, "--home", str(self.home)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={k: v for k, v in os.environ.items() if k != "HOMEPORT_HOME"},
            )

    def client(self) -> InferenceConfig:
        """Return how the server is reached."""
        found = models.find_client(self.home, REGION)
        assert found is not None
        return found

    def health(self) -> dict[str, Any]:
        """Return what the supervisor says of the server; empty if it does not answer."""
        try:
            session = requests.Session()
            session.trust_env = False
            with session:
                page = session.get(f"http://{HOST}:{self.port}/health", timeout=5).json()
        except (requests.RequestException, ValueError):
            return {}
        return dict(page)

    def parts(self) -> dict[str, psutil.Process]:
        """Return the server's processes: leash, api, engine."""
        session = self.health().get("session")
        found: dict[str, psutil.Process] = {}
        if session is None:
            return found
        found["leash"] = psutil.Process(session)
        for pid in leash.members(session):
            process = psutil.Process(pid)
            line = " ".join(process.cmdline())
            for name, mark in (("engine", "EngineCore"), ("api", "api_serv")):
                if mark in line:
                    found[name] = process
                    break
        return found

    def log(self) -> str:
        """Return the end of both logs."""
        paths = [self.home / "infer-up.log", *sorted((self.home / "logs").glob("*.log"))]
        return "\n".join(p.read_text("utf-8", "replace")[-4_000:] for p in paths if p.exists())

    def stop(self) -> int | None:
        """Stop it cleanly; return the supervisor's exit code."""
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def tiny_settings(folder: Path) -> dict[str, Any]:
    """Make the tiny generator and a lock for it in *folder*; return the settings to serve it."""
    model = folder / "model"
    subprocess.run(
        [str(server_python()), str(TINY), str(model)],
        check=True,
        capture_output=True,
        timeout=READY_S,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    minilm = lock.locked("minilm")
    rows = "".join(f'"{name}" = "{digest}"\n' for name, digest in lock.hash_folder(model).items())
    path = folder / "models.lock.toml"
    path.write_text(
        f'[tiny]\nengine = "generate"\npackage = "{minilm.package}"\nversion = "{minilm.version}"\n'
        f'dtype = "float32"\nmax_tokens = 4096\n\n[tiny.files]\n{rows}',
        encoding="utf-8",
    )
    return {"model": "tiny", "model_folder": str(model), "lock_file": str(path)}
