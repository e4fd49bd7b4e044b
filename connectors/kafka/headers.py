"""The headers of our records: an allow-list, written and read in one place.

A minimal record's coordinates travel as headers, so that its value holds only what the
CRM gets. Anything else that stands in a header is never read and never passed on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from residency.plan.labels import read_request
from schemas.errors import HaltError
from schemas.events import LabelRequest, MinimalRecord, RecordId
from schemas.registry import Registry

Headers = list[tuple[str, str | bytes | None]]  # as confluent-kafka types them

RECORD, TOPIC_ID, OBJECT = "homeport-record", "homeport-topic-id", "homeport-object"
VERSION, PLAN, KEYS = "homeport-version", "homeport-plan", "homeport-keys"
DELETES = "homeport-deletes"  # there only on a record that deletes its row
BASIS, RELEASE = "homeport-basis", "homeport-release"
MODEL = "homeport-model"  # there only on a record with labels
REASON, PATH, SETTLED = "homeport-reason", "homeport-path", "homeport-settled"
CODE, FIELDS = "homeport-code", "homeport-fields"  # there only on what the org rejected
TRACEPARENT = "traceparent"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the headers of all minimal records say that one output of a plan makes of a topic.

    Attributes:
        topic_id: Kafka's id of the raw topic.
        object: Salesforce object.
        plan: SHA-256 of the plan, hex.
        keys: Version of the token keys.
        basis: W3C DPV ids of the transfer bases.
        release: Digest of the code.
        deletes: The records delete their rows.
        model: Digest of the model that gave their labels, hex; None: they have none.

    """

    topic_id: str
    object: str
    plan: str
    keys: int
    basis: tuple[str, ...]
    release: str
    deletes: bool = False
    model: str | None = None

    def encoded(self) -> Headers:
        """Return them ready to send; `of_minimal` puts each record's own in front."""
        return _encoded(
            {
                TOPIC_ID: self.topic_id,
                OBJECT: self.object,
                PLAN: self.plan,
                KEYS: str(self.keys),
                BASIS: ",".join(self.basis),
                RELEASE: self.release,
                **({DELETES: "true"} if self.deletes else {}),
                **({MODEL: self.model} if self.model is not None else {}),
            }
        )


def of_minimal(record: str, version: int, stamped: Headers) -> Headers:
    """Return the headers of one minimal record: its id and row version, then *stamped*."""
    return [(RECORD, record), (VERSION, str(version)), *stamped]


@dataclass(frozen=True, slots=True)
class Rejection:
    """What the headers of a quarantined record say of the org's refusal: no text of the org.

    Attributes:
        object: Salesforce object.
        code: Salesforce's error code.
        fields: Names of fields that its error names, of those we sent; maybe none.

    """

    object: str
    code: str
    fields: tuple[str, ...] = ()


def for_quarantine(  # noqa: PLR0913, PLR0917, one argument per header
    record: str,
    topic_id: str,
    reason: str,
    path: str | None,
    plan: str | None,
    rejection: Rejection | None = None,
) -> Headers:
    """Return the headers of a quarantined record: why, where from, under which plan."""
    texts = {RECORD: record, TOPIC_ID: topic_id, REASON: reason, PATH: path or "", PLAN: plan or ""}
    if rejection is not None:
        texts |= {
            OBJECT: rejection.object,
            CODE: rejection.code,
            FIELDS: ",".join(rejection.fields),
        }
    return _encoded(texts)


def rejection(found: Mapping[str, str]) -> Rejection | None:
    """Return what a quarantined record's headers say of the org's refusal, if it was one."""
    if CODE not in found:
        return None
    fields = tuple(filter(None, found.get(FIELDS, "").split(",")))
    return Rejection(found.get(OBJECT, ""), found[CODE], fields)


def for_settled(record: str, topic_id: str, plan: str, how: str) -> Headers:
    """Return the headers of what settles a quarantined record: ``sent`` or ``nothing``."""
    return _encoded({RECORD: record, TOPIC_ID: topic_id, PLAN: plan, SETTLED: how})


def request_of(
    headers: Mapping[str, str], value: bytes, registry: Registry, where: str
) -> LabelRequest:
    """Return the request that lies on the topic of requests; its headers are a minimal record's.

    Raises:
        HaltError: As `minimal_record`.

    """
    try:
        record = RecordId.parse(headers[RECORD], headers[TOPIC_ID])
        plan, keys = headers[PLAN], int(headers[KEYS])
    except (KeyError, ValueError):
        raise _foreign(where) from None  # the cause quotes the header
    return read_request(record, plan, keys, value, registry)


def _foreign(where: str) -> HaltError:
    msg = f"{where}: not written by our border; see who else may write to this topic"
    return HaltError(msg)


def _encoded(texts: dict[str, str]) -> Headers:
    return [(key, text.encode()) for key, text in texts.items()]


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
    """Return the minimal record that lies on the minimal topic; inverse of `of_minimal`.

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
        raise _foreign(where) from None  # the cause quotes the header
