"""A worker's first act: to end what its predecessor left open.

A killed worker's transaction hides all later records of the partitions it wrote to until its
successor fences it, or until it times out. Loading plans and models takes seconds, so that comes
afterwards.
"""

import logging

from connectors.kafka.clients import Listeners, transactional_producer
from connectors.kafka.errors import named
from residency import topics
from schemas.errors import RetriableError
from streams.settings import Settings

LOG = logging.getLogger("homeport.fence")
DEAF = Listeners(lambda _: None, lambda _: None)
TIMEOUT_S = 5.0  # it would have timed out by then


def fence(settings: Settings) -> None:
    """End the transaction that an earlier worker of this service and slot left open, if any.

    That worker can commit nothing from now on. Where Kafka does not answer, the worker's own
    producer does the same later, and says so if it cannot.
    """
    if topics.rights(settings.region, settings.service).transactional is None:
        return
    name = topics.worker(settings.service, settings.region, settings.slot)
    try:
        with named("fencing", "the worker does so again when it begins"):
            transactional_producer(settings.kafka.librdkafka(), name, DEAF, TIMEOUT_S)
    except RetriableError as error:
        LOG.warning("%s", error)
