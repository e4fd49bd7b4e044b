"""What the caller adds to a stack: the test org and the workers.

The stack itself knows brokers and databases only; this package must not know the application.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.embedded.files import write_json
from connectors.embedded.ports import HOST
from connectors.embedded.processes import ProcessSpec
from connectors.embedded.services import ORG, service_file

ORG_STAGE, MODEL_STAGE, WORKER_STAGE = 1, 1, 2  # brokers and databases are stage 0
MODEL = "inference"  # a region's model server, among its processes and ports
MODEL_READY_S = 900.0  # they start one after the other, a minute each on a busy machine
MODEL_STOP_S = 40.0  # it answers what is in flight first


@dataclass(frozen=True, slots=True)
class ModelLaunch:
    """How a region's model server starts.

    Attributes:
        server: Given a region, the arguments that start it.
        settings: Given a region and the port of its health page, the content of its own file.
        client: Given a region, what its clients' files say under ``inference``.
        clients: The services that get that.
        is_awaited: Whether `up` waits until it answers.

    """

    server: Callable[[str], tuple[str, ...]]
    settings: Callable[[str, int], Mapping[str, Any]]
    client: Callable[[str], Mapping[str, Any]]
    clients: tuple[str, ...]
    is_awaited: bool = True


@dataclass(frozen=True, slots=True)
class Launch:
    """How the caller's own processes start.

    Attributes:
        org: Given its port, the arguments that start the test org; None for no org.
        worker: Given region and service, the arguments that start a worker; None for no workers.
        services: The services that run as workers, in the order they start.
        model: How the regions' model servers start; None for none.

    """

    org: Callable[[int], tuple[str, ...]] | None = None
    worker: Callable[[str, str], tuple[str, ...]] | None = None
    services: tuple[str, ...] = ()
    model: ModelLaunch | None = None

    def specs(self, regions: Sequence[str], ports: Mapping[str, int]) -> list[ProcessSpec]:
        """Return the org's spec, then the model servers', then the workers'.

        Args:
            regions: The regions that get workers.
            ports: By name, as of `services.port_names`.

        """
        found = []
        if self.org is not None:
            port = ports[ORG]
            found.append(ProcessSpec(ORG, self.org(port), port=port, stage=ORG_STAGE))
        if self.model is not None:
            found += [_model(self.model, region, ports[model_name(region)]) for region in regions]
        if self.worker is None:
            return found
        for service in self.services:
            for region in regions:
                port = ports[f"{region}-{service}"]
                found.append(
                    ProcessSpec(
                        f"{region}-{service}",
                        self.worker(region, service),
                        ready_url=f"http://{HOST}:{port}/health",
                        region=region,
                        port=port,
                        stage=WORKER_STAGE,
                    )
                )
        return found


def model_name(region: str) -> str:
    """Return the name of a region's model server among processes and ports."""
    return f"{region}-{MODEL}"


def write_models(
    home: Path, regions: Sequence[str], ports: Mapping[str, int], launch: ModelLaunch | None
) -> dict[str, Mapping[str, Any]]:
    """Write the model servers' settings; return what their clients need, by process."""
    found: dict[str, Mapping[str, Any]] = {}
    if launch is None:
        return found
    for region in regions:
        settings = launch.settings(region, ports[model_name(region)])
        write_json(service_file(home, region, MODEL), settings)
        found |= {f"{region}-{service}": launch.client(region) for service in launch.clients}
    return found


def _model(launch: ModelLaunch, region: str, port: int) -> ProcessSpec:
    return ProcessSpec(
        model_name(region),
        launch.server(region),
        ready_url=f"http://{HOST}:{port}/health",
        region=region,
        port=port,
        stage=MODEL_STAGE,
        stop_timeout_s=MODEL_STOP_S,
        ready_s=MODEL_READY_S if launch.is_awaited else 0.0,
    )


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the arguments that run one of our modules with this Python.

    ``-P`` keeps the working directory off the path: it may hold a file named like a module.
    """
    return (sys.executable, "-P", "-m", module, *arguments)
