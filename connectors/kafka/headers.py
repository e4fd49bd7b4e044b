"""The headers of our records: an allow-list, written and read in one place.

A minimal record's coordinates travel as headers, so that its value holds only what the
CRM gets. Anything else that stands in a header is never read and never passed on.
"""

from collections.abc import Iterable

from schemas.errors import HaltError
from schemas.events import MinimalRecord, RecordId

Headers = list[tuple[str, str | bytes | None]]  # as confluent-kafka types them

RECORD, TOPIC_ID, OBJECT = "homeport-record", "homeport-topic-id", "homeport-object"
VERSION, PLAN, KEYS = "homeport-version", "homeport-plan", "homeport-keys"
DELETES = "homeport-deletes"  # there only on a record that deletes its row
BASIS, RELEASE = "homeport-basis", "homeport-release"
REASON, PATH = "homeport-reason", "homeport-path"
TRACEPARENT = "traceparent"


def for_minimal(
    record: MinimalRecord, basis: Iterable[str], release: str, trace: str | None
) -> Headers:
    """Return the headers of a minimal record on its topic."""
    texts = {
        RECORD: str(record.id),
        TOPIC_ID: record.id.topic_id,
        OBJECT: record.object,
        VERSION: str(record.version),
        PLAN: record.plan,
        KEYS: str(record.keys),
        BASIS: ",".join(basis),
        RELEASE: release,
        **({DELETES: "true"} if record.deletes else {}),
    }
    return _encoded(texts, trace)


def for_quarantine(
    record: str, topic_id: str, reason: str, path: str | None, plan: str | None
) -> Headers:
    """Return the headers of a quarantined record: why, where from, under which plan."""
    texts = {RECORD: record, TOPIC_ID: topic_id, REASON: reason, PATH: path or "", PLAN: plan or ""}
    return _encoded(texts, None)


def _encoded(texts: dict[str, str], trace: str | None) -> Headers:
    headers: Headers = [(key, text.encode()) for key, text in texts.items()]
    return [*headers, (TRACEPARENT, trace.encode())] if trace else headers


def texts(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Return a record's headers as text; what is not UTF-8 is left out."""
    found = {}
    for key, value in headers:
        try:
            found[key] = value.decode()
        except UnicodeDecodeError:
            continue
    return found


def minimal_record(headers: dict[str, str], key: bytes, value: bytes, where: str) -> MinimalRecord:
    """Return the minimal record that lies on the minimal topic; inverse of `for_minimal`.

    Raises:
        HaltError: A header is missing or malformed. Only our border writes there, so
            somebody else did, or the border is broken.

    """
    try:
        return MinimalRecord(
            id=RecordId.parse(headers[RECORD], headers[TOPIC_ID]),
            object=headers[OBJECT],
            external_id=key.decode(),
            version=int(headers[VERSION]),
            schema_id=int.from_bytes(value[1:5], "big"),
            plan=headers[PLAN],
            keys=int(headers[KEYS]),
            value=value,
            deletes=headers.get(DELETES) == "true",
        )
    except (KeyError, ValueError):
        msg = f"{where}: not written by our border; see who else may write to this topic"
        raise HaltError(msg) from None  # the cause quotes the header
