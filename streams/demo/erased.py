"""The erasures that the demo's events asked for, held against org and ledger.

What an erasure says of itself is its certificate. Here each of its proofs is checked as `homeport
ledger check` does, and each row that it names is looked for in what the org's API gave.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from connectors.kafka.topology import load_topics
from residency.contracts.model import EXTERNAL_ID
from residency.expected import is_empty
from residency.keys import token_keys
from residency.ledger.erasures import ErasureLeaf
from residency.ledger.errors import LedgerError
from residency.ledger.leaves import parse_leaf
from residency.ledger.reader import Reader
from residency.plan.model import ErasurePlan
from residency.vault.erasure import STEPS, Erasure, Step
from schemas.codec import encode
from schemas.events import RawEvent, RecordId
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Publication
from streams.erasing.telling import told
from streams.plans import load_book
from streams.proofs import check_files

Taken: TypeAlias = Sequence[tuple[Publication, str]]  # events, each with its raw record's name
OrgRow: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of one request for erasure.

    Attributes:
        step: The last that is done; None: the vault has not read the event.
        waits: For what; None once it is done.
        problem: What keeps it from going on, in words.
        leaf: Index of the erasure's leaf.
        tree: Size of the ledger's tree under which that leaf is proved.
        proofs: How many more of the certificate's proofs hold: of transfers.
        rows: What the org holds of the rows that the certificate names, and how often.
        wrong: What is not as the certificate says; names of records and fields, never a value.

    """

    region: str
    request: str
    step: Step | None = None
    waits: str | None = "for the vault to read the event"
    problem: str | None = None
    leaf: int | None = None
    tree: int | None = None
    proofs: int = 0
    certificate: Path | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether it is over."""
        return self.step is Step.DONE

    @property
    def reached(self) -> list[str]:
        """Return all steps that are done, in order."""
        return [] if self.step is None else [str(s) for s in STEPS[: STEPS.index(self.step) + 1]]

    def faults(self) -> list[str]:
        """Return what is wrong with it.

        One that waits for the rows abroad is well: egress holds deletions back for ten minutes
        after a start over an older ledger, and after a request that nobody answered.
        """
        name = f"{self.region}: erasure {self.request}"
        found = [f"{name}: {one}" for one in self.wrong]
        if self.problem is not None:
            found.append(f"{name}: {self.problem}")
        elif self.step not in {Step.LISTED, Step.DONE}:
            found.append(f"{name}: not done, waits {self.waits}")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the documented object of ``homeport demo --json``."""
        return {
            "region": self.region,
            "request": self.request,
            "step": self.step,
            "waits": self.waits,
            "leaf": self.leaf,
            "tree": self.tree,
            "certificate": None if self.certificate is None else str(self.certificate),
            "rows": dict(self.rows),
        }


@dataclass(frozen=True, slots=True)
class Written:
    """A row that an event wrote, and what its plan says of it at an erasure."""

    object: str
    external_id: str = field(repr=False)
    erasure: ErasurePlan

    def state(self, row: OrgRow | None) -> str:
        """Return what the org holds, in words: *row*, or nothing."""
        if row is None:
            return f"{self.object} deleted"
        emptied = sum(is_empty(row.get(name)) for name in self.erasure.cleared)
        if self.erasure.deletes or emptied < len(self.erasure.cleared):
            return f"{self.object} STILL THERE"
        return f"{self.object} anonymised, {emptied} fields emptied"

    def faults(self, row: OrgRow | None) -> list[str]:
        """Return how *row* differs from what the plan says."""
        if self.erasure.deletes:
            return [] if row is None else [f"a row of {self.object} is still in the org"]
        if row is None:
            return [f"a row of {self.object} is not in the org, and should be, anonymised"]
        full = [name for name in self.erasure.cleared if not is_empty(row.get(name))]
        other = [made.name for made in self.erasure.fields if _differs(row, made.name, made.value)]
        return [f"{self.object}.{name}: not as an erasure leaves it" for name in (*full, *other)]


def _differs(row: OrgRow, name: str, value: str | None) -> bool:
    held = row.get(name)
    return bool(held) if isinstance(held, bool) else held != value


class Rows:
    """Which rows a region's records wrote, by the definition; and the org's."""

    def __init__(self, home: Path, region: str, taken: Taken, rows: Iterable[OrgRow]) -> None:
        """Take the events with their raw records' names, and all rows that the org has."""
        keys = token_keys(home / region / "keys", region)
        self._book = load_book(region, keys, datetime.now(UTC).date())
        self._topics, self._registry = load_topics(home, region), load_registry()
        self._events = {record: event for event, record in taken}
        self._rows = {(row["attributes"]["type"], row[EXTERNAL_ID]): row for row in rows}

    def written(self, name: RecordId) -> Written | None:
        """Return the row that a record wrote; None if no event of ours is behind it."""
        event = self._events.get(str(name.at))
        if event is None:
            return None
        versions = {schema.version: schema for schema in self._registry.versions(event.type)}
        schema, info = versions[event.schema_version or max(versions)], self._topics[name.at.topic]
        value = encode(schema, from_plain(schema, event.data))
        made = self._book.minimise(RawEvent(name.at, info.id, info.generation, value))
        erasure = made.plan.outputs[name.output].erasure
        record = next((one for one in made.records if one.id.output == name.output), None)
        if record is None or erasure is None:
            return None
        return Written(record.object, record.external_id, erasure)

    def look(self, name: RecordId) -> tuple[str, list[str]]:
        """Return what the org holds of a record's row, in words, and what is wrong with it."""
        wrote = self.written(name)
        if wrote is None:
            return "of an earlier run", []
        row = self._rows.get((wrote.object, wrote.external_id))
        return wrote.state(row), [f"{name}: {fault}" for fault in wrote.faults(row)]


Look: TypeAlias = Callable[[RecordId], tuple[str, list[str]]]


def hold(folder: Path, request: str, one: Erasure | None, look: Look) -> Erased:
    """Return what became of a request: where it is done, held against ledger and org.

    Args:
        folder: The region's.
        request: Its name.
        one: The erasure; None: there is none yet.
        look: Says what the org holds of a record's row, and what is wrong with it.

    """
    if one is None:
        return Erased(folder.name, request)
    known = told(one, folder)
    path = known["certificate"]
    names = {name: known[name] for name in ("waits", "problem", "leaf")}
    if one.step is not Step.DONE:
        return Erased(folder.name, request, one.step, **names)
    if path is None:
        missing = "it is done, and there is no certificate"
        return Erased(folder.name, request, one.step, **names, wrong=(missing,))
    document = orjson.loads(Path(path).read_bytes())
    sizes, wrong = _proved(folder, Path(path).parent, document)
    states = Counter[str]()
    for row in document["abroad"]:
        state, faults = look(RecordId.parse(row["record"]))
        states[state] += 1
        wrong += tuple(faults)
    return Erased(
        *(folder.name, request, one.step),
        **names,
        tree=sizes.get(document["ledger"]["leaf"]),
        proofs=len(sizes) - 1,
        certificate=Path(path),
        rows=dict(sorted(states.items())),
        wrong=wrong,
    )


def _proved(
    folder: Path, place: Path, document: Mapping[str, Any]
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Return the trees' sizes under which a certificate's leaves are proved, and what is not."""
    own, sizes, wrong = document["ledger"]["leaf"], dict[int, int](), list[str]()
    log = Reader(folder / "ledger").verifier()
    for leaf in (own, *(row["transfer"] for row in document["abroad"])):
        entry = place / f"{leaf}.json"
        found = check_files(place / f"{leaf}.tlog-proof", entry, log)
        if found.size is None or found.leaf != leaf:
            wrong.append(f"leaf {leaf} is not proved: {found.problem or 'the proof is of another'}")
            continue
        sizes[leaf] = found.size
        if leaf == own and not _is_of(entry.read_bytes(), document["request"]):
            wrong.append(f"leaf {leaf} is not of this erasure")
    return sizes, tuple(wrong)


def _is_of(entry: bytes, request: str) -> bool:
    try:
        leaf = parse_leaf(entry)
    except LedgerError:
        return False
    return isinstance(leaf, ErasureLeaf) and leaf.request == request
