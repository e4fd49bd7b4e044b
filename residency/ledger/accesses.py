"""The ``access`` leaf: somebody in the region looked into the vault, or into the quarantine.

Who is the name of a registered caller, which names a desk, a team or a tool and never a person.
Whom it was about, and on which ticket, the leaf only binds by commitments: whoever has the month
key and the ticket can show that they belong to it, nobody else can guess either.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

from residency.ledger import forms

OPERATOR: Final = "operator"  # whoever runs a command in the region's home
CALLER = re.compile(r"operator|(desk|team|tool)(-[a-z0-9]{1,16}){1,4}")


class Purpose(StrEnum):
    """Why somebody may look. A closed list: ledger leaves show it."""

    SUPPORT = "support"  # a customer asked for help
    SUBJECT_REQUEST = "subject-request"  # a person exercises a right to their data
    FRAUD = "fraud"
    LEGAL = "legal"  # a claim, or an authority's order
    AUDIT = "audit"


class Act(StrEnum):
    """What was done. A closed list, as `Purpose`."""

    FIND = "find"  # some fields of some events
    EXPORT = "export"  # all that is held of a person
    REVEAL = "reveal"  # one payload of the quarantine, whole


@dataclass(frozen=True, slots=True)
class AccessLeaf:
    """Somebody was about to see something of the vault's, or of the quarantine's.

    Attributes:
        time: See `residency.ledger.leaves.quantise`.
        request: See `residency.ledger.notices`.
        caller: Of the form `CALLER`.
        act: What was done.
        purpose: Why.
        subjects: How many persons were found; 0: nobody, so nothing was seen.
        subject: `residency.ledger.leaves.commit` by the month key of *time*, of the name
            ``access/<request>`` and `subjects_bytes`; hex.
        ticket: Likewise, of the name ``access/<request>/ticket`` and the ticket in UTF-8.

    """

    time: str
    request: str
    caller: str
    act: Act
    purpose: Purpose
    subjects: int
    subject: str
    ticket: str

    kind: ClassVar[str] = "access"

    def __post_init__(self) -> None:
        """Refuse what is not of the field's form.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_time(self.time)
        forms.check_text("request", self.request, forms.REQUEST)
        forms.check_text("caller", self.caller, CALLER)
        forms.check(isinstance(self.act, Act), "act", "one of the closed list")
        forms.check(isinstance(self.purpose, Purpose), "purpose", "one of the closed list")
        forms.check_integer("subjects", self.subjects)
        forms.check_text("subject", self.subject, forms.DIGEST)
        forms.check_text("ticket", self.ticket, forms.DIGEST)

    def to_bytes(self) -> bytes:
        """Return the entry; the inverse of `residency.ledger.leaves.parse_leaf`."""
        return forms.canonical(
            {
                "kind": self.kind,
                "time": self.time,
                "request": self.request,
                "caller": self.caller,
                "act": self.act.value,
                "purpose": self.purpose.value,
                "subjects": self.subjects,
                "subject": self.subject,
                "ticket": self.ticket,
            }
        )

    @classmethod
    def from_fields(cls, row: Mapping[str, Any]) -> Self:
        """Return the leaf whose JSON object is *row*.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_fields(row, _FIELDS)
        forms.check_choice("act", row["act"], _ACTS)
        forms.check_choice("purpose", row["purpose"], _PURPOSES)
        values = {name: row[name] for name in _FIELDS - {"kind", "act", "purpose"}}
        return cls(act=Act(row["act"]), purpose=Purpose(row["purpose"]), **values)


def subjects_bytes(subjects: Iterable[bytes]) -> bytes:
    """Return what a leaf commits to: the subjects, 16 bytes each, sorted, one after the other."""
    return b"".join(sorted(set(subjects)))


_FIELDS = forms.NOTICE_FIELDS | {"caller", "act", "purpose", "subjects", "subject", "ticket"}
_ACTS = frozenset(map(str, Act))
_PURPOSES = frozenset(map(str, Purpose))
