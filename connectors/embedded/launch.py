"""What the caller adds to a stack: the test org and the workers.

The stack itself knows brokers and databases only; this package must not know the application.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors.embedded.ports import HOST
from connectors.embedded.processes import ProcessSpec
from connectors.embedded.services import ORG

ORG_STAGE, WORKER_STAGE = 1, 2  # brokers and databases are stage 0


@dataclass(frozen=True, slots=True)
class Launch:
    """How the caller's own processes start.

    Attributes:
        org: Given its port, the arguments that start the test org; None for no org.
        worker: Given region and service, the arguments that start a worker; None for no workers.
        services: The services that run as workers, in the order they start.

    """

    org: Callable[[int], tuple[str, ...]] | None = None
    worker: Callable[[str, str], tuple[str, ...]] | None = None
    services: tuple[str, ...] = ()

    def specs(self, regions: Sequence[str], ports: Mapping[str, int]) -> list[ProcessSpec]:
        """Return the org's spec, then the workers'.

        Args:
            regions: The regions that get workers.
            ports: By name, as of `services.port_names`.

        """
        found = []
        if self.org is not None:
            port = ports[ORG]
            found.append(ProcessSpec(ORG, self.org(port), port=port, stage=ORG_STAGE))
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


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the arguments that run one of our modules with this Python.

    ``-P`` keeps the working directory off the path: it may hold a file named like a module.
    """
    return (sys.executable, "-P", "-m", module, *arguments)
