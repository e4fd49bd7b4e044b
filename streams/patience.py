"""How workers wait for the org, the model, the database and Kafka, until they are told to stop."""

import logging
import threading
from collections.abc import Callable

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

from schemas.errors import RetriableError

LOG = logging.getLogger("homeport.patience")
FIRST_WAIT_S, MAX_WAIT_S = 0.5, 30.0


def retrying(
    halt: threading.Event,
    on: type[RetriableError] = RetriableError,
    rest: Callable[[float], None] | None = None,
) -> Retrying:
    """Return what calls again while something does not answer, until *halt*.

    Args:
        halt: Told to stop.
        on: What is tried again.
        rest: What to do for so many seconds; else sleep.

    """
    return Retrying(
        retry=retry_if_exception_type(on),
        wait=wait_exponential_jitter(multiplier=FIRST_WAIT_S, max=MAX_WAIT_S),
        stop=stop_when_event_set(halt),
        sleep=rest or sleep_using_event(halt),
        before_sleep=_say,
        reraise=True,
    )


def sleep(halt: threading.Event, seconds: float) -> None:
    """Wait, unless told to stop: what waits for a locked row is found in doubt at the next start.

    Raises:
        RetriableError: Told to stop.

    """
    if halt.wait(seconds):
        msg = "told to stop while the org could not take a row"
        raise RetriableError(msg)


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    LOG.warning("waiting: %s", error)  # our own RetriableError: its text names no value
