"""The model server of an embedded stack: what its supervisor and its client are told."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import psutil

from connectors.embedded.files import write_json
from inference import environment, leash, lock
from inference.config import InferenceConfig
from inference.process import socket_path
from streams.settings import load_server, load_settings

MODEL = "minilm"  # what an embedded stack serves
PROBE_S = 2.0
NAME = "inference"  # of the process and of its settings file


def server(home: Path, region: str, health_port: int | None = None) -> dict[str, Any]:
    """Return the settings of a region's model server, as of `ServerConfig`.

    Args:
        home: The stack's home.
        region: Region id.
        health_port: Of its supervisor, or None.

    """
    base = home.absolute()
    folder = base / region / NAME
    return {
        "region": region,
        "model": MODEL,
        "folder": str(folder),
        "uds": str(socket_path(folder)),
        "python": str(environment.python()),
        "log": str(base / "logs" / f"{region}-{NAME}-engine.log"),
        "start_lock": str(base / "inference.lock"),
        "health_port": health_port,
    }


def client(home: Path, region: str) -> dict[str, Any]:
    """Return how a client of the region reaches that server, as of `InferenceConfig`."""
    model = lock.locked(MODEL)
    digest = lock.model_digest(model, lock.task_digests())
    return {
        "engine": model.engine,
        "model": lock.served_name(MODEL, digest),
        "uds": server(home, region)["uds"],
    }


def ensure(regions: Sequence[str], progress: Callable[[str], None], *, is_new: bool = True) -> None:
    """Make the model servers' environment if it is not there, after a look at the memory.

    Args:
        regions: Each gets a server.
        progress: Told what happens.
        is_new: Whether the servers do not run yet, so that they need memory.

    Raises:
        SetupError: There is no room, or no packages; the text says how to go on without labels.

    """
    if is_new:
        environment.require_memory(len(regions))
    environment.ensure(progress)


def server_file(home: Path, region: str) -> Path:
    """Return where a region's model server has its settings."""
    return home / region / "services" / f"{NAME}.json"


def ensure_server_file(home: Path, region: str) -> None:
    """Write those settings where there are none; an operator's own are left as they are."""
    path = server_file(home, region)
    if not path.exists():
        write_json(path, server(home, region))


def find_client(home: Path, region: str) -> InferenceConfig | None:
    """Return how to reach a region's model server: as enrich does, or as its supervisor says."""
    path = home / region / "services" / "enrich.json"
    if path.exists() and (found := load_settings(home, region, "enrich").inference) is not None:
        return found
    if not server_file(home, region).exists():
        return None
    config = load_server(home, region)
    model = lock.locked(config.model, config.lock_file)
    name = lock.served_name(config.model, lock.model_digest(model, lock.task_digests()))
    return InferenceConfig(model.engine, name, uds=config.uds)


def health(home: Path, region: str) -> dict[str, Any]:
    """Return what the region's supervisor says of its server; empty where none answers."""
    if not server_file(home, region).exists():
        return {}
    port = load_server(home, region).health_port
    if port is None:
        return {}
    opener = build_opener(ProxyHandler({}))  # a proxy from the environment cannot see 127.0.0.1
    try:
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=PROBE_S) as answer:
            return dict(json.load(answer))
    except HTTPError as not_ready:
        with not_ready, suppress(ValueError, OSError):
            return dict(json.load(not_ready))
    except (URLError, OSError, ValueError):
        pass
    return {}


def memory_mib(session: int | None) -> float | None:
    """Return the memory of a server's processes in MiB, what they share counted once."""
    if session is None:
        return None
    total = 0
    for pid in leash.members(session):
        with suppress(psutil.Error, AttributeError):
            total += psutil.Process(pid).memory_full_info().pss
    return total / 2**20 or None
