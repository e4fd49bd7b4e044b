"""How this application's processes start in an embedded stack."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from connectors.embedded.launch import Launch, ModelLaunch, python_module
from streams import models
from streams.services import SERVICES

MODEL_CLIENTS = ("enrich",)  # without a model server they do not run: requests wait in Kafka


def launch(
    home: Path,
    *,
    with_workers: bool = True,
    org_options: Sequence[str] = (),
    with_inference: bool = False,
    is_model_awaited: bool = True,
) -> Launch:
    """Return what a stack of *home* starts besides brokers and databases.

    Args:
        home: The stack's home.
        with_workers: Without them: the test org only.
        org_options: Further options of `homeport sandbox`, such as ``--faults``.
        with_inference: With a model server per region; its environment must be there.
        is_model_awaited: Whether the stack is up only when they answer; they take longest.

    """
    base = str(home.absolute())

    def org(port: int) -> tuple[str, ...]:
        options = ("--port", str(port), "--home", base, *org_options)
        return python_module("streams.cli", "sandbox", *options)

    def worker(region: str, service: str) -> tuple[str, ...]:
        options = ("--region", region, "--service", service, "--home", base)
        return python_module("streams.cli", "worker", *options)

    def server(region: str) -> tuple[str, ...]:
        return python_module("streams.cli", "infer", "up", "--region", region, "--home", base)

    if not with_workers:
        return Launch(org)
    if not with_inference:
        services = tuple(service for service in SERVICES if service not in MODEL_CLIENTS)
        return Launch(org, worker, services)
    model = ModelLaunch(
        server,
        partial(models.server, home),
        partial(models.client, home),
        MODEL_CLIENTS,
        is_model_awaited,
    )
    return Launch(org, worker, tuple(SERVICES), model)
