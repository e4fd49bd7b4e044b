"""The loop of whoever takes batches as a member of a consumer group."""

import logging
import threading
from collections.abc import Callable, Collection
from itertools import count
from typing import TypeAlias

from confluent_kafka import Consumer, TopicPartition

from streams.duties import NotNowError
from streams.heap import tidy

LOG = logging.getLogger("homeport.membership")
Moved: TypeAlias = Callable[[Consumer, list[TopicPartition]], None]


def attend(  # noqa: PLR0913, PLR0917, each is a different thing
    consumer: Consumer,
    topics: Collection[str],
    assigned: Moved,
    revoked: Moved,
    step: Callable[[], None],
    halt: threading.Event,
) -> None:
    """Take steps until *halt*, the one in hand to its end, then leave the group.

    Args:
        consumer: Closed when this returns or raises.
        topics: Subscribed to.
        assigned: Called inside a step's consume() when partitions come. What a client raises there
            must be named, see `connectors.kafka.errors.named`; so of *revoked*.
        revoked: Called so when they go.
        step: Takes a batch and carries it out.
        halt: Told to stop.

    Raises:
        NotNowError: What a step needs does not answer, and nobody said to stop.

    """
    try:
        consumer.subscribe(list(topics), on_assign=assigned, on_revoke=revoked)
        for batches in count(1):
            if halt.is_set():
                break
            step()
            tidy(batches)
    except NotNowError as error:
        if not halt.is_set():
            raise
        LOG.warning("stopped with records in hand: %s", error)  # as safe as a crash is
    finally:
        consumer.close()
