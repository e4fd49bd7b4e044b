"""The ``resume`` leaf: a person let a halted egress run again.

Why it had halted is a word of a closed list. Why it may go on is the person's own text, and may
name anything: the leaf only binds it by a commitment, the text stays in the region.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from residency.ledger import forms
from schemas.errors import Cause


@dataclass(frozen=True, slots=True)
class ResumeLeaf:
    """Egress was halted, and may run again.

    Attributes:
        time: See `residency.ledger.leaves.quantise`.
        request: See `residency.ledger.notices`.
        halt: The halt that ends, 32 hex digits.
        cause: Why it had halted.
        since: Since when, to the minute.
        reason: `residency.ledger.leaves.commit` by the month key of *time*, of the name
            ``resume/<halt>`` and the person's reason in UTF-8; hex.

    """

    time: str
    request: str
    halt: str
    cause: Cause
    since: str
    reason: str

    kind: ClassVar[str] = "resume"

    def __post_init__(self) -> None:
        """Refuse what is not of the field's form.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_time(self.time)
        forms.check_text("request", self.request, forms.REQUEST)
        forms.check_text("halt", self.halt, forms.REQUEST)
        forms.check(isinstance(self.cause, Cause), "cause", "one of the closed list")
        forms.check_time(self.since, "since")
        forms.check_text("reason", self.reason, forms.DIGEST)

    def to_bytes(self) -> bytes:
        """Return the entry; the inverse of `residency.ledger.leaves.parse_leaf`."""
        return forms.canonical(
            {
                "kind": self.kind,
                "time": self.time,
                "request": self.request,
                "halt": self.halt,
                "cause": self.cause.value,
                "since": self.since,
                "reason": self.reason,
            }
        )

    @classmethod
    def from_fields(cls, row: Mapping[str, Any]) -> Self:
        """Return the leaf whose JSON object is *row*.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_fields(row, _FIELDS)
        forms.check_choice("cause", row["cause"], _CAUSES)
        values = {name: row[name] for name in _FIELDS - {"kind", "cause"}}
        return cls(cause=Cause(row["cause"]), **values)


_FIELDS = forms.NOTICE_FIELDS | {"halt", "cause", "since", "reason"}
_CAUSES = frozenset(Cause)
