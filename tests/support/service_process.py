"""A service of the region eu as a process, as its worker builds it, that dies where it is told."""

import logging
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from forked import Step, plant

from streams import patience
from streams.fence import fence
from streams.services import SERVICES, build_loop
from streams.settings import load_settings

for name in ("enrich", "vault"):
    import_module(SERVICES[name])  # once, before any fork

LOG = logging.getLogger("homeport.service")
# Where enrichment may die, in order: docs/enrich.md says what each leaves.
ENRICH_STEPS: Final[Mapping[str, Step]] = {
    "erased asked for": Step("streams.vault.erased:Erased.tokens", after=True),
    "charged": Step("connectors.postgres.decisions:Decisions.take", after=True),
    "answered": Step("streams.asking:Asker.ask", after=True),
    "decisions kept": Step("connectors.postgres.decisions:Decisions.settle", after=True),
    "in Kafka, not asked again": Step("streams.enrich:Enrich.confirm"),
    "asked again, not committed": Step("streams.enrich:Enrich.confirm", after=True),
    "committed": Step("streams.enrich:Enrich.committed"),
}
MAX_WAIT_S = 0.5  # between two tries while model or database do not answer
AGAIN_S = 0.2  # before it starts afresh


def work(home: str, service: str, dies_at: str = "") -> None:
    """Be the service until it dies: at a step of `ENRICH_STEPS`, or killed.

    A loop that ends by an error begins afresh, as under a supervisor.
    """
    logging.basicConfig(level=logging.DEBUG)
    patience.MAX_WAIT_S = MAX_WAIT_S
    if dies_at:
        plant(ENRICH_STEPS[dies_at])
    settings = load_settings(Path(home), "eu", service)
    while True:
        try:
            fence(settings)
            build_loop(settings).run(threading.Event())
        except Exception:
            LOG.exception("the worker begins afresh")
        time.sleep(AGAIN_S)
