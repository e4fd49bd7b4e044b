"""What a replay has done so far, as files: `--resume` goes on from them.

    job.json                  what is replayed, against which ledger
    <topic>-<n>.claims        what the ledger says of a partition
    <topic>-<n>.done.json     how far a worker is, and what it found

Nothing in them is a value: coordinates, digests and counts.
"""

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from residency.ledger.note import Checkpoint, decode_base64, encode_base64
from residency.replay.books import Place
from residency.replay.claims import Terms
from residency.replay.compare import Elsewhere
from residency.replay.found import Found
from schemas.errors import SetupError
from streams.replay.topics import Span

JOB = "job.json"


@dataclass(frozen=True, slots=True)
class Task:
    """One partition to replay, and where else its records may be."""

    span: Span
    elsewhere: Elsewhere

    def to_json(self) -> dict[str, Any]:
        """Return it for a file; the inverse of `from_json`."""
        return {
            "span": asdict(self.span),
            "pending": [[at, sorted(found)] for at, found in self.elsewhere.pending.items()],
            "quarantined": sorted(self.elsewhere.quarantined),
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        span = row["span"]
        waits = {at: frozenset(found) for at, found in row["pending"]}
        return cls(
            Span(**{**span, "place": Place(**span["place"]), "archive": tuple(span["archive"])}),
            Elsewhere(waits, frozenset(row["quarantined"])),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """What one replay is about. Fixed when it starts, so that going on changes nothing.

    Attributes:
        release: Digest of the code.
        head: The ledger's, below which all leaves were read.
        since: Records published from that minute on were asked for; None: all that there are.
        until: Records published before; None: all, so that a leaf past the end of a topic is
            one too many.
        terms: Of all claims, by number.
        tasks: By topic and partition.
        strays: See `streams.replay.spool.Spooled`.

    """

    release: str
    head: Checkpoint
    since: str | None
    until: str | None
    terms: tuple[Terms, ...]
    tasks: tuple[Task, ...]
    strays: Found

    def to_json(self) -> dict[str, Any]:
        """Return it for a file; the inverse of `from_json`."""
        return {
            "release": self.release,
            "origin": self.head.origin,
            "size": self.head.size,
            "root": encode_base64(self.head.root),
            "since": self.since,
            "until": self.until,
            "terms": [asdict(one) for one in self.terms],
            "tasks": [task.to_json() for task in self.tasks],
            "strays": self.strays.to_json(),
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        root = decode_base64(row["root"], "the root in a replay's state")
        terms = [Terms(**{**one, "basis": tuple(one["basis"])}) for one in row["terms"]]
        return cls(
            row["release"],
            Checkpoint(row["origin"], row["size"], root),
            row["since"],
            row["until"],
            tuple(terms),
            tuple(Task.from_json(one) for one in row["tasks"]),
            Found.from_json(row["strays"]),
        )


class State:
    """The files of one replay."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; a job's files are in it or not."""
        self.folder = folder

    def clear(self) -> None:
        """Forget the replay; all of it can be done again."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def save_job(self, job: Job) -> None:
        """Write what the replay is about; from then on it can be resumed."""
        self._write(JOB, job.to_json())

    def job(self) -> Job | None:
        """Return what the replay is about, or None if none was begun.

        Raises:
            SetupError: The file is not one of ours.

        """
        row = self._read(JOB)
        try:
            return None if row is None else Job.from_json(row)
        except (KeyError, TypeError, ValueError):
            msg = f"{self.folder / JOB}: not of this release; start again without --resume"
            raise SetupError(msg) from None

    def save(self, place: Place, at: int, found: Found) -> None:
        """Write how far a partition is: its next offset, and what was found before it."""
        self._write(_done(place), {"at": at, "found": found.to_json()})

    def progress(self, place: Place) -> tuple[int, Found] | None:
        """Return what `save` wrote last, or None."""
        row = self._read(_done(place))
        return None if row is None else (row["at"], Found.from_json(row["found"]))

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        if not path.exists():
            return None
        row: dict[str, Any] = orjson.loads(path.read_bytes())
        return row

    def _write(self, name: str, row: dict[str, Any]) -> None:
        """Replace a file: a kill leaves the one before it."""
        draft = self.folder / f".{name}.new"
        draft.write_bytes(orjson.dumps(row))
        os.replace(draft, self.folder / name)  # noqa: PTH105, atomic


def _done(place: Place) -> str:
    return f"{place.topic}-{place.partition}.done.json"
