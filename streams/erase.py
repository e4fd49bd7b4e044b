"""Erase: carries out the erasures that events and commands ask for; see `streams.erasing`.

It reads raw topics' ends and the vault, and puts minimal records before egress; it has no way out
of its own (promise 6).
"""

import logging
import threading
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from schemas.errors import RetriableError
from streams.erasing.engine import Engine
from streams.settings import ReplaySettings, Settings, database

LOG = logging.getLogger("homeport.erase")
LOOK_S = 0.5  # between two looks when nothing moves
AGAIN_S = 2.0  # after something did not answer


class Erase:
    """The erasing worker of one region."""

    def __init__(self, settings: Settings) -> None:
        """Take its own settings; connects in `run`."""
        self._settings = settings
        self._counts: dict[str, int] = {}
        self._is_ready = False

    def health(self) -> Mapping[str, Any]:
        """Return whether it works, and how many erasures there are by their last step."""
        return {"ready": self._is_ready, **self._counts}

    def run(self, halt: threading.Event) -> None:
        """Carry erasures on until *halt*."""
        settings = self._settings
        dsn = database(settings.postgres, "erase")
        login = ReplaySettings(settings.region, settings.home, settings.kafka, settings.postgres)
        with closing(Engine(login, dsn)) as engine:
            while not halt.is_set():
                halt.wait(self._look(engine))
        self._is_ready = False

    def _look(self, engine: Engine) -> float:
        """Take a step; return the seconds until the next."""
        try:
            moved = engine.tick()
            self._counts = engine.steps()
        except RetriableError as error:
            LOG.warning("%s", error)
            self._is_ready = False
            return AGAIN_S
        self._is_ready = True
        return 0.0 if moved else LOOK_S


def build(settings: Settings) -> Erase:
    """Return the erasing worker of *settings*; the shell runs it."""
    return Erase(settings)
