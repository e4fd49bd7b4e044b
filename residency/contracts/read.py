"""Read the contract files and merge them per event and object, or say everything that is wrong."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from residency.contracts.model import (
    EXTERNAL_ID,
    STRICT,
    SUBJECT,
    Contract,
    Erasure,
    FieldSource,
    Output,
)
from residency.policy.lines import line_of
from schemas.errors import SetupError

CONTRACTS_FOLDER = Path(__file__).parent
_WHERE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class BadContractError(SetupError):
    """Contract files are not ones we can carry out in full.

    Attributes:
        problems: All of them, each with file, line and next step.

    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Join the problems into one text."""
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@checked_dataclass(frozen=True, config=STRICT)
class _Block:
    events: tuple[str, ...]
    object: str
    external_id: FieldSource
    fields: Mapping[str, FieldSource] = field(default_factory=dict)
    deletes: bool = False
    hard: bool = False
    processors: tuple[str, ...] = ()


@checked_dataclass(frozen=True, config=STRICT)
class _Labels:
    events: tuple[str, ...]
    object: str
    external_id: FieldSource
    subject: FieldSource
    fields: Mapping[str, FieldSource]


@checked_dataclass(frozen=True, config=STRICT)
class _Nothing:
    event: str
    because: str


@checked_dataclass(frozen=True, config=STRICT)
class _Erasure:
    object: str
    action: Literal["delete", "anonymise"]
    hard: bool = False
    keep: tuple[str, ...] = ()
    fields: Mapping[str, FieldSource] = field(default_factory=dict)


@checked_dataclass(frozen=True, config=STRICT)
class _File:
    output: tuple[_Block, ...] = ()
    erasure: tuple[_Erasure, ...] = ()
    labels: tuple[_Labels, ...] = ()
    nothing: tuple[_Nothing, ...] = ()


_FILE = TypeAdapter(_File)


def load_contract(folder: Path = CONTRACTS_FOLDER) -> Contract:
    """Return all contracts of *folder*, merged per event and object.

    Raises:
        BadContractError: With the problems of all files at once.

    """
    reading = _Reading()
    for path in sorted(folder.glob("*.toml")):
        reading.add(path.name, path.read_text(encoding="utf-8"))
    return reading.contract()


class _Reading:
    """Contract files as they are read, and what was found wrong with them."""

    def __init__(self) -> None:
        self._outputs: dict[str, dict[str, Output]] = {}
        self._labels: dict[str, dict[str, Output]] = {}
        self._erasures: dict[str, Erasure] = {}
        self._nothing: dict[str, str] = {}
        self._places: dict[str, str] = {}
        self._problems: list[str] = []

    def contract(self) -> Contract:
        """Return the whole.

        Raises:
            BadContractError: Something in some file is wrong.

        """
        rows, labels = self._outputs, self._labels
        for event in sorted((rows.keys() | labels.keys()) & self._nothing.keys()):
            under = "[[output]]" if event in rows else "[[labels]]"
            self._fault(
                self._places[event], f"{event}: listed under {under} and [[nothing]]; choose one"
            )
        self._hard()
        if self._problems:
            raise BadContractError(self._problems)
        outputs = {
            event: (*rows.get(event, {}).values(), *labels.get(event, {}).values())
            for event in dict.fromkeys([*rows, *labels])
        }
        return Contract(outputs, self._nothing, self._places, self._erasures)

    def _hard(self) -> None:
        """Have event and erasure delete a row in one way: both are of one plan and object.

        An erasure passes over a row that is deleted already. One that lies in the recycle bin
        would stay there, whatever the erasure promises.
        """
        for event, rows in self._outputs.items():
            for output in rows.values():
                erasure = self._erasures.get(output.object)
                if not output.deletes or erasure is None or not erasure.deletes:
                    continue
                if output.hard != erasure.hard:
                    text = f"{event} and {output.object}'s [[erasure]] ({erasure.place()})"
                    text = f"{text} delete its rows in two ways; say hard = true in both, or none"
                    self._fault(output.places[""], text)

    def add(self, file: str, text: str) -> None:
        """Read one more file."""
        try:
            parsed = _FILE.validate_python(tomllib.loads(text))
        except tomllib.TOMLDecodeError as exc:
            where = _WHERE.search(str(exc))
            line = where[1] if where and where[1] else len(text.splitlines())
            self._fault(f"{file}:{line}", f"not TOML: {_WHERE.sub('', str(exc))}")
            return
        except ValidationError as exc:
            for error in exc.errors():
                self._fault(f"{file}:{line_of(text, error['loc'])}", _told(error))
            return
        for number, row in enumerate(parsed.nothing):
            place = f"{file}:{line_of(text, ('nothing', number, 'event'))}"
            if row.event in self._nothing:
                self._fault(place, f"{row.event}: under [[nothing]] twice")
            self._nothing[row.event] = row.because
            self._places.setdefault(row.event, place)
        for number, block in enumerate(parsed.output):
            self._block(file, text, number, block)
        for number, asked in enumerate(parsed.labels):
            self._asked(file, text, number, asked)
        for number, erased in enumerate(parsed.erasure):
            self._erased(file, text, number, erased)

    def _block(self, file: str, text: str, number: int, block: _Block) -> None:
        path = "output", number
        places = _places(file, text, path, block.fields)
        for name, source in block.fields.items():
            if source.task is not None:
                self._fault(places[name], f"{name}: a task labels text; put it under [[labels]]")
        if block.hard and not block.deletes:
            self._fault(places[""], f"{block.object}: hard goes with deletes = true")
        output = Output(
            block.object,
            block.external_id,
            block.fields,
            block.deletes,
            places,
            block.processors,
            hard=block.hard,
        )
        self._note(self._outputs, output, _events(file, text, path, block.events))

    def _asked(self, file: str, text: str, number: int, asked: _Labels) -> None:
        path = "labels", number
        places = _places(file, text, path, asked.fields)
        for name, source in asked.fields.items():
            if source.task is None:
                self._fault(places[name], f"{name}: names no task; put it under [[output]]")
        output = Output(
            asked.object, asked.external_id, asked.fields, places=places, subject=asked.subject
        )
        self._note(self._labels, output, _events(file, text, path, asked.events))

    def _erased(self, file: str, text: str, number: int, erased: _Erasure) -> None:
        path = "erasure", number
        places = _places(file, text, path, erased.fields)
        places |= {
            name: f"{file}:{line_of(text, (*path, 'keep', at))}"
            for at, name in enumerate(erased.keep)
        }
        before = self._erasures.get(erased.object)
        if before is not None:
            told = f"{erased.object}: under [[erasure]] twice; the first is at {before.place()}"
            self._fault(places[""], told)
            return
        made = Erasure(
            erased.object, erased.action, erased.keep, erased.fields, places, hard=erased.hard
        )
        if made.hard and not made.deletes:
            self._fault(places[""], f'{erased.object}: hard goes with action = "delete"')
        self._erasures[erased.object] = made

    def _note(
        self, found: dict[str, dict[str, Output]], output: Output, events: Mapping[str, str]
    ) -> None:
        """Add an output to those of its events, which are given with their places."""
        for event, place in events.items():
            self._places.setdefault(event, place)
            rows = found.setdefault(event, {})
            before = rows.get(output.object)
            rows[output.object] = output if before is None else self._merge(event, before, output)

    def _merge(self, event: str, before: Output, more: Output) -> Output:
        if before.external_id != more.external_id:
            text = f"{event}: two external ids for one {more.object}"
            self._fault(more.places[EXTERNAL_ID], f"{text}; the first is at {before.places['']}")
        if before.subject != more.subject:
            text = f"{event}: two subjects for the labels of one {more.object}"
            self._fault(more.places[SUBJECT], f"{text}; the first is at {before.places['']}")
        if before.deletes or more.deletes:
            self._fault(
                more.places[""], f"{event}: a block that deletes {more.object} stands alone"
            )
        for name in sorted(before.fields.keys() & more.fields.keys()):
            text = f"{event}: {name} mapped twice on {more.object}"
            self._fault(more.places[name], f"{text}; the first is at {before.places[name]}")
        for name in sorted(set(before.processors) & set(more.processors)):
            self._fault(more.places[""], f"{event}: {name} named twice on {more.object}")
        return replace(
            before,
            fields={**before.fields, **more.fields},
            places={**more.places, **before.places},
            processors=before.processors + more.processors,
        )

    def _fault(self, place: str, text: str) -> None:
        self._problems.append(f"{place}: {text}")


def _places(
    file: str, text: str, path: tuple[str, int], fields: Mapping[str, FieldSource]
) -> dict[str, str]:
    """Return where an output stands, and each part of it."""
    parts: dict[str, tuple[str, ...]] = {EXTERNAL_ID: ("external_id",), SUBJECT: (SUBJECT,)}
    parts |= {name: ("fields", name) for name in fields}
    return {
        "": f"{file}:{line_of(text, path)}",
        **{name: f"{file}:{line_of(text, (*path, *steps))}" for name, steps in parts.items()},
    }


def _events(file: str, text: str, path: tuple[str, int], events: Sequence[str]) -> dict[str, str]:
    """Return an output's events, each with where it stands."""
    return {
        event: f"{file}:{line_of(text, (*path, 'events', number))}"
        for number, event in enumerate(events)
    }


def _told(error: Mapping[str, Any]) -> str:
    """Return what is wrong, by the names of the keys that lead there."""
    names = [str(step) for step in error["loc"][2:] if step != "fields"]
    return ": ".join([*names, error["msg"].removeprefix("Value error, ")])
