"""The erasing worker as a process that dies where it is told to."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from forked import Step, plant

from streams.erase import build
from streams.erasing import engine
from streams.settings import load_settings

LOG = logging.getLogger("homeport.erase")


_ENGINE, _STORE = "streams.erasing.engine:Engine", "connectors.postgres.vault.erasures:Erasures"
# Every step of an erasure, in order; docs/erasure.md says what each leaves.
STEPS: Final[Mapping[str, Step]] = {
    "asked": Step(f"{_ENGINE}._settle"),
    "ends kept": Step(f"{_STORE}.save", after=True),
    "settled": Step(f"{_ENGINE}._list"),
    "rows listed": Step("streams.erasing.listing:Lister.list", after=True),
    "listed": Step(f"{_ENGINE}._erase_abroad"),
    "others fenced": Step("streams.replay.resend:Sender.__init__", after=True),
    "numbers kept": Step("streams.erasing.sending:RowSender._known"),
    "records in Kafka, not committed": Step("streams.replay.resend:acknowledged", after=True),
    "records sent": Step("streams.replay.resend:Sender.send", after=True),
    "outcomes kept": Step(f"{_ENGINE}._destroy"),
    "destroyed, not committed": Step("connectors.postgres.vault.erasures:destroy", after=True),
    "destroyed": Step(f"{_STORE}.destroy", after=True),
    "vacuumed": Step(f"{_STORE}.vacuum", after=True),
    "leaf asked for": Step("residency.ledger.requests:Requests.ask", after=True),
    "leaf kept": Step("residency.ledger.requests:Requests.forget"),
    "proofs written": Step("streams.erasing.certificate:replace_durably"),
    "certificate written": Step("streams.erasing.engine:write_certificate", after=True),
    "certified": Step(f"{_ENGINE}._end"),
    "ended": Step(f"{_STORE}.end", after=True),
}


def work(home: str, dies_at: str = "", published_s: str = "") -> None:
    """Be the worker until it dies: at a step of `STEPS`, or killed.

    *published_s* is how long it lets a gateway publish what it has sealed, if not as long as ours.
    """
    logging.basicConfig(level=logging.DEBUG)
    if published_s:
        vars(engine)["PUBLISHED_S"] = float(published_s)
    try:
        if dies_at:
            plant(STEPS[dies_at])
        build(load_settings(Path(home), "eu", "erase")).run(threading.Event())
    except BaseException:
        LOG.exception("the worker ended")
