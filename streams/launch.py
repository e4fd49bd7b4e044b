"""How this application's processes start in an embedded stack."""

from collections.abc import Sequence
from pathlib import Path

from connectors.embedded.launch import Launch, python_module
from streams.services import SERVICES


def launch(home: Path, *, with_workers: bool = True, org_options: Sequence[str] = ()) -> Launch:
    """Return what a stack of *home* starts besides brokers and databases.

    Args:
        home: The stack's home.
        with_workers: Without them: the test org only.
        org_options: Further options of `homeport sandbox`, such as ``--faults``.

    """
    base = str(home.absolute())

    def org(port: int) -> tuple[str, ...]:
        options = ("--port", str(port), "--home", base, *org_options)
        return python_module("streams.cli", "sandbox", *options)

    def worker(region: str, service: str) -> tuple[str, ...]:
        options = ("--region", region, "--service", service, "--home", base)
        return python_module("streams.cli", "worker", *options)

    return Launch(org, worker, tuple(SERVICES)) if with_workers else Launch(org)
