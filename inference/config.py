"""What a region's processes know of its model server, and what the server's supervisor knows."""

import sys
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from schemas.errors import SetupError

Engine = Literal["pooling", "generate"]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class InferenceConfig:
    """How a client reaches the region's model: ``inference`` in a service's settings file.

    Attributes:
        engine: What the server does: embed texts, or choose an answer.
        model: The name it serves the model under, such as ``minilm@0123456789ab``.
        uds: Its Unix socket, on the same machine; or
        url: its address in the region's own network, such as ``http://eu-vllm:8000``.
        deadline_s: How long one request may take, in seconds.
        max_batch: Most texts in one request; more of them wait longer and gain nothing on a CPU.

    """

    engine: Engine
    model: str
    uds: Path | None = None
    url: str | None = None
    deadline_s: float = 30.0
    max_batch: int = 16

    def __post_init__(self) -> None:
        """Check that there is one way to the server.

        Raises:
            SetupError: There is none, or there are two.

        """
        if (self.uds is None) == (self.url is None):
            msg = "inference: name either `uds` or `url` of the region's model server"
            raise SetupError(msg)


@dataclass(frozen=True, config=_STRICT)
class ServerConfig:
    """All that the supervisor of one region's model server may know; no credential is needed.

    Attributes:
        region: Region id.
        model: The model's name in the lock.
        folder: The server's own folder, absolute: private, for one supervisor at a time.
        uds: Where the server listens.
        python: The Python of the environment that holds the server.
        model_folder: The model's files; None for those that the environment brings.
        lock_file: Which models may be served; None for ours.
        log: Where the server's own log goes; None for the folder.
        start_lock: Held while a server starts, by one of a machine's regions after the other.
        health_port: The supervisor's health page on loopback, or None.
        kv_cache_gib: Room for attention keys and values; vLLM reserves it whole.
        max_queued_texts: Further ones are refused at once; above the largest batch times clients.
        shutdown_s: How long a stop waits until the requests in flight are answered.
        ready_s: How long a start may take: 30 s on a quiet machine, minutes on a busy one.
        canary_every_s: Between two questions to which we know the shape of the answer.
        canary_deadline_s: How long such an answer may take.
        canary_misses: So many in a row, while nothing else was answered, are a hung server.

    """

    region: str
    model: str
    folder: Path
    uds: Path
    python: Path = Path(sys.executable)
    model_folder: Path | None = None
    lock_file: Path | None = None
    log: Path | None = None
    start_lock: Path | None = None
    health_port: int | None = None
    kv_cache_gib: int = 1
    max_queued_texts: int = 4_096
    shutdown_s: int = 20
    ready_s: float = 300.0
    canary_every_s: float = 10.0
    canary_deadline_s: float = 20.0
    canary_misses: int = 2
