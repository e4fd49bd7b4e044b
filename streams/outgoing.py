"""What a decided batch sends: topic, value, key and headers of each record, one after another.

It runs for every record of a region, so what is the same for many is made once.
"""

from collections.abc import Iterator, Sequence

from connectors.kafka.clients import Outgoing
from connectors.kafka.headers import Headers, of_minimal
from schemas.errors import QuarantineError
from streams.duties import Duties, Route
from streams.place import Decided, Stamped


def outgoing(
    decided: Decided, route: Route, duties: Duties, trace: tuple[str, bytes]
) -> Iterator[Outgoing]:
    """Yield everything that the batch becomes; *trace* is its span's header."""
    target, quarantine = route.target, route.quarantine
    stamps: dict[tuple[str, int], Sequence[tuple[str, Headers]] | None] = {}  # by topic, plan
    last_plan: object = None
    last_place: object = None
    stamped: Sequence[tuple[str, Headers]] | None = None
    raw = decided.batch.raw
    for place, offset, value, verdict in zip(
        decided.batch.places, raw.offsets, raw.values, decided.verdicts, strict=True
    ):
        if isinstance(verdict, QuarantineError):
            record = f"{place.at}{offset}"
            refused, why = duties.refuse(record, place.topic, verdict, value)
            yield quarantine, refused, record.encode(), why
            continue
        if isinstance(verdict, Stamped):
            for key, minimal, own in verdict.rows:
                yield target, minimal, key, [*own, trace]
            continue
        plan, rows = verdict
        if plan is not last_plan or place is not last_place:
            last_plan, last_place = plan, place
            which = place.topic, id(plan)  # its digest would take longer
            if which not in stamps:
                made = duties.stamp(place.topic, plan)
                stamps[which] = made and [(to, [*one, trace]) for to, one in made]
            stamped = stamps[which]
        if stamped is None:
            for key, minimal in rows:
                yield target, minimal, key, None
            continue
        for number, (key, minimal) in enumerate(rows):
            record = f"{place.at}{offset}#{number}"
            to, shared = stamped[number]
            yield to, minimal, key, of_minimal(record, place.version + offset, shared)
