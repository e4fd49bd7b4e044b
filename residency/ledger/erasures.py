"""The ``erasure`` leaf: what was held of one person is destroyed, here and abroad.

Whose it was stands in it as a commitment that is the same for one subject each time, so that
whoever restores an old backup can tell from ledger and root key alone which of its subjects have
been erased since. Without that key it names nobody, and no guess can be tested against it.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from residency.ledger import forms

# What is counted, as words of a leaf: rows abroad by what became of them, sealed events, entries
# of the blind index and decisions about texts that were destroyed at home.
COUNTED: Final = frozenset({"anonymised", "deleted", "events", "index", "decisions"})
ASKED_BY: Final = frozenset({"event", "command"})
_KEY_BYTES: Final = 32
_INFO: Final = b"homeport ledger erasure v1"


def subject_commitment(root: bytes, subject: bytes) -> str:
    """Return what stands for a subject in every erasure leaf of a region: 64 hex digits.

    Args:
        root: The region's commitment root key, at least 32 bytes.
        subject: 16 bytes, see `residency.vault.subjects`.

    Raises:
        ValueError: *root* is too short.

    """
    if len(root) < _KEY_BYTES:
        msg = f"an erasure commitment needs a root of {_KEY_BYTES} bytes"
        raise ValueError(msg)
    key = HKDF(SHA256(), _KEY_BYTES, salt=None, info=_INFO).derive(root)
    return hmac.digest(key, subject, "sha256").hex()


@dataclass(frozen=True, slots=True)
class ErasureLeaf:
    """One person was erased.

    Attributes:
        time: When all of it was done, see `residency.ledger.leaves.quantise`.
        request: See `residency.ledger.notices`; also the erasure's own name.
        subject: See `subject_commitment`.
        asked: When it was asked for, to the minute.
        by: Who asked: an event of the person's, or a command in the region.
        counts: By word of `COUNTED`; none is 0.

    """

    time: str
    request: str
    subject: str
    asked: str
    by: str
    counts: Mapping[str, int]

    kind: ClassVar[str] = "erasure"

    def __post_init__(self) -> None:
        """Refuse what is not of the field's form.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_time(self.time)
        forms.check_text("request", self.request, forms.REQUEST)
        forms.check_text("subject", self.subject, forms.DIGEST)
        forms.check_time(self.asked, "asked")
        forms.check_choice("by", self.by, ASKED_BY)
        forms.check(self.counts.keys() <= COUNTED, "counts", "by word of the closed list")
        for count in self.counts.values():
            forms.check_integer("counts", count)
            forms.check(count, "counts", "without those that are 0")

    def to_bytes(self) -> bytes:
        """Return the entry; the inverse of `residency.ledger.leaves.parse_leaf`."""
        return forms.canonical(
            {
                "kind": self.kind,
                "time": self.time,
                "request": self.request,
                "subject": self.subject,
                "asked": self.asked,
                "by": self.by,
                "counts": dict(self.counts),
            }
        )

    @classmethod
    def from_fields(cls, row: Mapping[str, Any]) -> Self:
        """Return the leaf whose JSON object is *row*.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_fields(row, _FIELDS)
        forms.check(isinstance(row["counts"], dict), "counts", "an object")
        return cls(**{name: row[name] for name in _FIELDS - {"kind"}})


_FIELDS = forms.NOTICE_FIELDS | {"subject", "asked", "by", "counts"}
