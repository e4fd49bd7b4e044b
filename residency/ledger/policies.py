"""The ``policy`` leaf: which rules are in force from here on.

It stands before the first record that crosses under other rules than those before: approved plans
came or went, or a policy file changed. So a reader of the ledger alone can tell which plans could
be used at any time, unused and withdrawn ones too, and hold policy files against their digests.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Final, Self

from residency.ledger import forms
from residency.ledger.errors import FormatError

MAX_PLANS: Final = 500  # of a region, approved at one time
MAX_FILES: Final = 60
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
PATH = re.compile(r"([a-z0-9_-]{1,40}/)?[a-z0-9_-]{1,40}\.toml")


@dataclass(frozen=True, slots=True)
class PolicyLeaf:
    """These plans may be used, and these files hold the rules that they were compiled from.

    Attributes:
        time: See `residency.ledger.leaves.quantise`.
        request: See `residency.ledger.notices`.
        plans: By the SHA-256 of each plan that is approved for the region, its last day, such as
            ``2027-06-27``; None: nothing that it rests on ends.
        files: SHA-256 of each policy file that counts in the region, by its path in an export's
            ``policy`` folder.

    """

    time: str
    request: str
    plans: Mapping[str, str | None]
    files: Mapping[str, str]

    kind: ClassVar[str] = "policy"

    def __post_init__(self) -> None:
        """Refuse what is not of the field's form.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_time(self.time)
        forms.check_text("request", self.request, forms.REQUEST)
        forms.check(len(self.plans) <= MAX_PLANS, "plans", f"at most {MAX_PLANS} plans")
        for digest, last in self.plans.items():
            forms.check_text("plans", digest, forms.DIGEST)
            if last is not None:
                _check_day(last)
        forms.check(0 < len(self.files) <= MAX_FILES, "files", f"1 to {MAX_FILES} files")
        for path, digest in self.files.items():
            forms.check_text("files", path, PATH)
            forms.check_text("files", digest, forms.DIGEST)

    def to_bytes(self) -> bytes:
        """Return the entry; the inverse of `residency.ledger.leaves.parse_leaf`."""
        return forms.canonical(
            {
                "kind": self.kind,
                "time": self.time,
                "request": self.request,
                "plans": dict(self.plans),
                "files": dict(self.files),
            }
        )

    @classmethod
    def from_fields(cls, row: Mapping[str, Any]) -> Self:
        """Return the leaf whose JSON object is *row*.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_fields(row, _FIELDS)
        for name in ("plans", "files"):
            forms.check(isinstance(row[name], dict), name, "an object")
        return cls(row["time"], row["request"], row["plans"], row["files"])


def _check_day(value: object) -> None:
    forms.check_text("plans", value, DAY)
    try:
        date.fromisoformat(str(value))
    except ValueError as error:
        msg = "a leaf's 'plans' must be with days that exist"
        raise FormatError(msg) from error


_FIELDS: Final = forms.NOTICE_FIELDS | {"plans", "files"}
