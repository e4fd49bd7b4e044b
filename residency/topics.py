"""The topics, consumer groups and transactional ids of a region, and who may use them."""

from dataclasses import dataclass

DOMAINS = ("orders", "customers", "messages")
PARTITIONS = 4  # per topic, embedded; production sets its own
SERVICES = ("gateway", "border", "egress", "enrich", "vault", "lookup", "erase")
TOOLS = ("replay", "resend")  # what people start now and then
PRINCIPALS = (*SERVICES, *TOOLS)  # one Kafka principal each


def raw(region: str, domain: str) -> str:
    """Return the raw topic of a *domain*, such as ``eu.commerce.orders.v1``."""
    return f"{region}.commerce.{domain}.v1"


def raw_topics(region: str) -> tuple[str, ...]:
    """Return the raw topics of *region*."""
    return tuple(raw(region, domain) for domain in DOMAINS)


def minimal(region: str) -> str:
    """Return the topic of minimal records."""
    return f"{region}.crm.minimal.v1"


def labels(region: str) -> str:
    """Return the topic of label records; a topic of its own, see docs/adr/0033."""
    return f"{region}.crm.labels.v1"


def outgoing(region: str) -> tuple[str, str]:
    """Return the topics that egress reads: minimal records, and the labels of their rows."""
    return minimal(region), labels(region)


def enrich(region: str) -> str:
    """Return the topic of enrichment requests."""
    return f"{region}.enrich.requests.v1"


def quarantine(region: str) -> str:
    """Return the topic of what could not be decided."""
    return f"{region}.quarantine.v1"


def all_topics(region: str) -> tuple[str, ...]:
    """Return every topic of *region*."""
    return (*raw_topics(region), *outgoing(region), enrich(region), quarantine(region))


def group(service: str) -> str:
    """Return the consumer group of a *service*; the broker is the region's own."""
    return f"homeport.{service}"


def transactional_prefix(service: str) -> str:
    """Return what every transactional id of a *service* starts with."""
    return f"homeport.{service}."


def worker(service: str, region: str, slot: int) -> str:
    """Return the transactional id of a *service*'s worker: whoever has it next fences the last."""
    return f"{transactional_prefix(service)}{region}.{slot}"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a service may do on its region's Kafka; everything else is denied."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    group: str | None = None
    transactional: str | None = None
    watch: tuple[str, ...] = ()  # groups whose offsets it may see, not change


def rights(region: str, service: str) -> Rights:
    """Return the least rights with which *service* can do its work.

    Raises:
        KeyError: No such service.

    """
    table = {
        "gateway": Rights(write=raw_topics(region)),
        "border": Rights(
            read=raw_topics(region),
            write=(minimal(region), enrich(region), quarantine(region)),
            group=group("border"),
            transactional=transactional_prefix("border"),
        ),
        "egress": Rights(read=outgoing(region), write=(quarantine(region),), group=group("egress")),
        "enrich": Rights(
            read=(enrich(region),),
            write=(labels(region), quarantine(region)),
            group=group("enrich"),
            transactional=transactional_prefix("enrich"),
        ),
        "vault": Rights(read=raw_topics(region), group=group("vault")),
        "lookup": Rights(),  # it answers from the vault; a login that may do nothing
        # As a resend: minimal records that empty or delete rows, and no way out of its own.
        "erase": Rights(
            read=all_topics(region),
            write=(minimal(region),),
            transactional=transactional_prefix("quarantine"),  # as a resend: it numbers records
            watch=(group("border"), group("enrich"), group("egress"), group("vault")),
        ),
        "replay": Rights(
            read=all_topics(region),
            watch=(group("border"), group("enrich"), group("egress")),
        ),
        # As the border, it makes minimal records of raw ones, and has no way out. It shares the
        # retries' transactional id: what either has in hand, the other must not number.
        "resend": Rights(
            read=(*raw_topics(region), *outgoing(region), quarantine(region)),
            write=(minimal(region),),
            transactional=transactional_prefix("quarantine"),
            watch=(group("border"), group("egress")),
        ),
    }
    return table[service]
