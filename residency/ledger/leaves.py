"""What an entry of the ledger says: canonical JSON with no field value and no token.

Canonical is RFC 8785. For what a leaf may hold (ASCII keys, strings, booleans, null, integers
below 2**53, lists of strings) it equals orjson with sorted keys, which is ten times faster than the
reference package; a property test holds the two equal.

Every field has a strict form, so that a leaf cannot carry anything else out of a worker.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar, Self

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from residency.ledger import forms
from residency.ledger.errors import FormatError, UnknownKindError
from residency.ledger.notices import NOTICES, Notice
from residency.ledger.outcomes import OutcomeLeaf
from schemas.events import RecordId

MONTH_KEY_BYTES = 32
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_MONTH_INFO = b"homeport ledger commitment v1 "


def quantise(now: datetime) -> str:
    """Return *now* in UTC, cut to the minute: ``2026-11-23T16:40Z``.

    Raises:
        ValueError: *now* has no time zone.

    """
    if now.tzinfo is None:
        msg = "a ledger time needs a time zone"
        raise ValueError(msg)
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def month_of(time: str) -> str:
    """Return the month of a leaf's time: ``2026-11``."""
    return time[: len("2026-11")]


def month_key(root: bytes, month: str) -> bytes:
    """Return the key of a month's commitments: 32 bytes, HKDF-SHA256 of *root*.

    Args:
        root: The region's commitment root key, at least 32 bytes.
        month: ``YYYY-MM``.

    Raises:
        ValueError: *root* is too short or *month* is no month.

    """
    if len(root) < MONTH_KEY_BYTES or not _MONTH.fullmatch(month):
        msg = f"a month key needs a root of {MONTH_KEY_BYTES} bytes and a month YYYY-MM"
        raise ValueError(msg)
    kdf = HKDF(SHA256(), MONTH_KEY_BYTES, salt=None, info=_MONTH_INFO + month.encode())
    return kdf.derive(root)


def commitment(month_key: bytes, record_id: RecordId, value: bytes) -> str:
    """Return what binds a leaf to the bytes that left: 64 hex digits.

    SHA-256(nonce || value), nonce = HMAC-SHA256(month key, "topic id/record id"). Without
    the month key nobody can test a guess of the value against it.

    Args:
        month_key: From `month_key`.
        record_id: The minimal record's name, with its topic id.
        value: The minimal record's bytes as sent through the gate.

    """
    return commit(month_key, f"{record_id.topic_id}/{record_id}".encode(), value).hex()


def commit(month_key: bytes, name: bytes, value: bytes) -> bytes:
    """Return the 32 bytes of `commitment`, *name* being topic id, slash, record id."""
    return sha256(hmac.digest(month_key, name, "sha256") + value).digest()


@dataclass(frozen=True, slots=True)
class TransferLeaf:
    """A minimal record is about to be sent.

    Attributes:
        time: See `quantise`.
        record: The record's name, topic id included.
        object: Salesforce object.
        schema: Pinned id of the minimal schema.
        plan: SHA-256 of the plan, hex.
        keys: Version of the token keys.
        release: The software release that made it.
        basis: Transfer-basis ids of the rules that let it pass, sorted, each once.
        commitment: See `commitment`.
        deletes: Whether it deletes the row instead of writing it.
        model: Of a record with labels: digest of the model that gave them, hex, see
            `residency.ledger.certificates.Identity`; None: it has none.

    """

    time: str
    record: RecordId
    object: str
    schema: int
    plan: str
    keys: int
    release: str
    basis: tuple[str, ...]
    commitment: str
    deletes: bool = False
    model: str | None = None

    kind: ClassVar[str] = "transfer"

    def __post_init__(self) -> None:
        """Refuse what is not of the field's form.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_time(self.time)
        forms.check_record(self.record)
        forms.check_word("object", self.object, forms.OBJECT)
        forms.check_integer("schema", self.schema)
        forms.check_word("plan", self.plan, forms.DIGEST)
        forms.check_integer("keys", self.keys)
        forms.check_word("release", self.release, forms.RELEASE)
        for basis in self.basis:
            forms.check_word("basis", basis, forms.BASIS)
        forms.check(tuple(sorted(set(self.basis))) == self.basis, "basis", "sorted, each once")
        forms.check(isinstance(self.deletes, bool), "deletes", "true or false")
        forms.check_text("commitment", self.commitment, forms.DIGEST)
        if self.model is not None:
            forms.check_word("model", self.model, forms.DIGEST)

    def to_bytes(self) -> bytes:
        """Return the entry; the inverse of `parse_leaf`."""
        return forms.canonical(
            {
                "kind": self.kind,
                "time": self.time,
                "record": str(self.record),
                "topic_id": self.record.topic_id,
                "object": self.object,
                "schema": self.schema,
                "plan": self.plan,
                "keys": self.keys,
                "release": self.release,
                "basis": list(self.basis),
                "deletes": self.deletes,
                "commitment": self.commitment,
                **({} if self.model is None else {"model": self.model}),
            }
        )

    @classmethod
    def from_fields(cls, row: Mapping[str, Any]) -> Self:
        """Return the leaf whose JSON object is *row*."""
        forms.check_fields(row, _TRANSFER_FIELDS, _TRANSFER_OPTIONAL)
        forms.check(row.get("model", "") is not None, "model", "absent where there is none")
        forms.check(isinstance(row["basis"], list), "basis", "a list")
        return cls(
            time=row["time"],
            record=forms.parse_record(row["record"], row["topic_id"]),
            object=row["object"],
            schema=row["schema"],
            plan=row["plan"],
            keys=row["keys"],
            release=row["release"],
            basis=tuple(row["basis"]),
            commitment=row["commitment"],
            deletes=row["deletes"],
            model=row.get("model"),
        )


RecordLeaf = TransferLeaf | OutcomeLeaf
Leaf = RecordLeaf | Notice

_TRANSFER_FIELDS = forms.SHARED_FIELDS | {
    "object", "schema", "plan", "keys", "release", "basis", "deletes", "commitment",
}  # fmt: skip
_TRANSFER_OPTIONAL = frozenset({"model"})


def parse_leaf(data: bytes) -> Leaf:
    """Return the leaf that an entry's bytes write; the inverse of ``to_bytes``.

    Raises:
        FormatError: The bytes are not canonical JSON, or a field is missing, extra or not
            of its form.
        UnknownKindError: The kind is none of this release's.

    """
    try:
        row = orjson.loads(data)
        is_canonical = orjson.dumps(row, option=orjson.OPT_SORT_KEYS) == data
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # the latter: nested too deeply
        row, is_canonical = None, False
    if not isinstance(row, dict) or not is_canonical:
        msg = "a leaf is not a canonical JSON object (RFC 8785)"
        raise FormatError(msg)
    match row.get("kind"):
        case "transfer":
            return TransferLeaf.from_fields(row)
        case "outcome":
            return OutcomeLeaf.from_fields(row)
        case str(kind) if kind in NOTICES:
            return NOTICES[kind].from_fields(row)
        case _:
            msg = "a leaf of a kind that this release does not know; use a newer release"
            raise UnknownKindError(msg)
