"""The ``outcome`` leaf: what became of a minimal record, and what it went out with.

Two of its fields are there only where they say something, so that the usual leaf stays small:
``fields`` on a rejected record, ``sent_with`` on one that shared a row with others. Each has one
form for one meaning: an empty one is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Final, Literal, Self, get_args

from residency.ledger import forms
from schemas.events import RecordId

Result = Literal["accepted", "superseded", "rejected", "gate-refused"]
RESULTS: Final = frozenset(get_args(Result))
MAX_FIELDS = 100  # names in one leaf; with MAX_NAMED and all else less than 65,535 bytes
MAX_NAMED = 32  # records in one leaf: n leaves name n records each, so a row costs its square


@dataclass(frozen=True, slots=True)
class SentWith:
    """The records of one merged row, oldest first, the leaf's own among them.

    Attributes:
        count: How many, from 2.
        records: All of them, or none where they are more than `MAX_NAMED`.
        digest: SHA-256, hex, of their names, each followed by a line feed, where they are more
            than `MAX_NAMED`; else None. The leaves of one row have the same digest, so whoever
            holds the ledger finds them all.

    """

    count: int
    records: tuple[RecordId, ...] = ()
    digest: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is not the one way to say it.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_integer("sent_with", self.count)
        is_long = self.count > MAX_NAMED
        forms.check(self.count > 1, "sent_with", "two records or more")
        forms.check(is_long == (self.digest is not None), "sent_with", f"names up to {MAX_NAMED}")
        if self.digest is not None:
            forms.check_text("sent_with", self.digest, forms.DIGEST)
        named = 0 if is_long else self.count
        forms.check(len(set(self.records)) == len(self.records) == named, "sent_with", "each once")
        for record in self.records:
            forms.check_record(record)

    @classmethod
    def of(cls, records: Sequence[RecordId]) -> Self | None:
        """Return what a leaf says of a row that *records* made; None if it was one alone."""
        if len(records) < 2:  # noqa: PLR2004, a record alone was sent with nothing
            return None
        if len(records) <= MAX_NAMED:
            return cls(len(records), tuple(records))
        text = "".join(f"{_name(record)}\n" for record in records)
        return cls(len(records), digest=sha256(text.encode()).hexdigest())

    def to_json(self) -> list[str] | dict[str, Any]:
        """Return the names, or count and digest; the inverse of `from_json`."""
        if self.digest is None:
            return [_name(record) for record in self.records]
        return {"count": self.count, "sha256": self.digest}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return what *value* says.

        Raises:
            FormatError: It is neither a list of names nor count and digest.

        """
        if isinstance(value, list):
            return cls(len(value), tuple(_parse(name) for name in value))
        is_digest = isinstance(value, dict) and value.keys() == {"count", "sha256"}
        forms.check(is_digest, "sent_with", "names, or count and sha256")
        row: Mapping[str, Any] = value if isinstance(value, dict) else {}
        return cls(row["count"], digest=str(row["sha256"]))


@dataclass(frozen=True, slots=True)
class OutcomeLeaf:
    """What became of a minimal record.

    Attributes:
        time: See `quantise`.
        record: The record's name, topic id included.
        transfer: Index of its transfer leaf; None exactly when the gate refused it.
        result: How it ended.
        code: The org's or the gate's error code, or None.
        fields: Of a rejected record: the fields that the org's error names, sorted, each once,
            at most `MAX_FIELDS`; else empty.
        sent_with: The records of the merged row it went out in; None if it went alone.

    """

    time: str
    record: RecordId
    transfer: int | None
    result: Result
    code: str | None
    fields: tuple[str, ...] = ()
    sent_with: SentWith | None = None

    kind: ClassVar[str] = "outcome"

    def __post_init__(self) -> None:
        """Refuse what is not of the field's form.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_time(self.time)
        forms.check_record(self.record)
        forms.check_choice("result", self.result, RESULTS)
        if self.transfer is not None:
            forms.check_integer("transfer", self.transfer)
        is_refused = self.result == "gate-refused"
        forms.check(
            is_refused == (self.transfer is None), "transfer", "null exactly if gate-refused"
        )
        if self.code is not None:
            forms.check_text("code", self.code, forms.CODE)
        self._check_rare()

    def _check_rare(self) -> None:
        for name in self.fields:
            forms.check_text("fields", name, forms.FIELD)
        is_sorted = tuple(sorted(set(self.fields))) == self.fields
        forms.check(is_sorted and len(self.fields) <= MAX_FIELDS, "fields", "sorted, each once")
        forms.check(not self.fields or self.result == "rejected", "fields", "of what is rejected")
        if self.sent_with is not None:
            forms.check(self.transfer is not None, "sent_with", "of a record that was sent")
            is_among = self.sent_with.digest is not None or self.record in self.sent_with.records
            forms.check(is_among, "sent_with", "the record itself and others")

    def to_bytes(self) -> bytes:
        """Return the entry; the inverse of `parse_leaf`."""
        row: dict[str, Any] = {
            "kind": self.kind,
            "time": self.time,
            "record": str(self.record),
            "topic_id": self.record.topic_id,
            "transfer": self.transfer,
            "result": self.result,
            "code": self.code,
        }
        if self.fields:
            row["fields"] = list(self.fields)
        if self.sent_with is not None:
            row["sent_with"] = self.sent_with.to_json()
        return forms.canonical(row)

    @classmethod
    def from_fields(cls, row: Mapping[str, Any]) -> Self:
        """Return the leaf whose JSON object is *row*."""
        forms.check_fields(row, _FIELDS, _RARE)
        fields = row.get("fields", ())
        is_list = "fields" not in row or (isinstance(fields, list) and fields)
        forms.check(is_list, "fields", "a list of names, or absent")
        return cls(
            time=row["time"],
            record=forms.parse_record(row["record"], row["topic_id"]),
            transfer=row["transfer"],
            result=row["result"],
            code=row["code"],
            fields=tuple(fields),
            sent_with=SentWith.from_json(row["sent_with"]) if "sent_with" in row else None,
        )


_FIELDS = forms.SHARED_FIELDS | {"transfer", "result", "code"}
_RARE = frozenset({"fields", "sent_with"})


def _name(record: RecordId) -> str:
    """Return the whole name: Kafka's id of the topic, a slash, the record id."""
    return f"{record.topic_id}/{record}"


def _parse(name: object) -> RecordId:
    topic_id, _, text = str(name).partition("/")
    return forms.parse_record(text, topic_id)
