"""What an operator wants sent again, and the file that remembers it after a kill."""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

import orjson

from schemas.errors import SetupError
from schemas.events import RecordId
from streams.replay.stock import Asked

JOB: Final = "job.json"
Named = dict[int, frozenset[int]]  # offset -> outputs; none: all of them


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator wants sent again.

    Attributes:
        names: Record ids, or coordinates of raw records; none: whatever is missing.
        accepted: Also what the org accepted.
        reason: The operator's, one line.
        size: The ledger's when it was begun; None: it begins now.

    """

    asked: Asked
    names: tuple[str, ...]
    accepted: bool
    reason: str
    size: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for a file; the inverse of `from_json`."""
        times = [None if at is None else at.isoformat() for at in self.times]
        return {
            "topics": self.asked.names,
            "since": times[0],
            "until": times[1],
            "names": self.names,
            "accepted": self.accepted,
            "reason": self.reason,
            "size": self.size,
        }

    @property
    def times(self) -> tuple[datetime | None, datetime | None]:
        """From and up to when the raw records were published."""
        return self.asked.since, self.asked.until

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        since, until = (
            None if row[name] is None else datetime.fromisoformat(row[name])
            for name in ("since", "until")
        )
        return cls(
            Asked(tuple(row["topics"]), since, until),
            tuple(row["names"]),
            row["accepted"],
            row["reason"],
            row["size"],
        )


def begun(folder: Path) -> Wanted:
    """Return what the resend wanted that was left in *folder*.

    Raises:
        SetupError: There is none.

    """
    try:
        return Wanted.from_json(orjson.loads((folder / JOB).read_bytes()))
    except (OSError, KeyError, TypeError, ValueError):
        msg = f"{folder}: no resend to go on with; start one without --resume"
        raise SetupError(msg) from None


def forget(folder: Path) -> None:
    """Forget a resend that is done."""
    with suppress(FileNotFoundError):
        (folder / JOB).unlink()


def save(folder: Path, wanted: Wanted) -> None:
    """Write what is wanted, so that `begun` finds it after a kill."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{JOB}.new"
    draft.write_bytes(orjson.dumps(wanted.to_json()))
    os.replace(draft, folder / JOB)  # noqa: PTH105, atomic


def places(names: Collection[str]) -> dict[tuple[str, int], Named]:
    """Return by topic and partition which outputs of which offsets are named; none: all of them.

    Args:
        names: Record ids, their resend number left aside, or coordinates of raw records.

    Raises:
        ValueError: One is neither.

    """
    found: dict[tuple[str, int], Named] = {}
    for name in names:
        record = RecordId.parse(name if "#" in name else f"{name}#0")
        offsets = found.setdefault((record.at.topic, record.at.partition), {})
        before = offsets.get(record.at.offset)
        is_all = "#" not in name or before == frozenset()
        offsets[record.at.offset] = (
            frozenset() if is_all else (before or frozenset()) | {record.output}
        )
    return found
