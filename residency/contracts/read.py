"""Read the contract files and merge them per event and object, or say everything that is wrong."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from residency.contracts.model import STRICT, Contract, FieldSource, Output
from residency.policy.lines import line_of
from schemas.errors import SetupError

CONTRACTS_FOLDER = Path(__file__).parent
EXTERNAL_ID = "External_Id__c"
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
    processors: tuple[str, ...] = ()


@checked_dataclass(frozen=True, config=STRICT)
class _Nothing:
    event: str
    because: str


@checked_dataclass(frozen=True, config=STRICT)
class _File:
    output: tuple[_Block, ...] = ()
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
        self._nothing: dict[str, str] = {}
        self._places: dict[str, str] = {}
        self._problems: list[str] = []

    def contract(self) -> Contract:
        """Return the whole.

        Raises:
            BadContractError: Something in some file is wrong.

        """
        for event in sorted(self._outputs.keys() & self._nothing.keys()):
            self._fault(
                self._places[event], f"{event}: listed under [[output]] and [[nothing]]; choose one"
            )
        if self._problems:
            raise BadContractError(self._problems)
        outputs = {event: tuple(rows.values()) for event, rows in self._outputs.items()}
        return Contract(outputs, self._nothing, self._places)

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

    def _block(self, file: str, text: str, number: int, block: _Block) -> None:
        path = "output", number
        output = Output(
            block.object,
            block.external_id,
            block.fields,
            block.deletes,
            {
                "": f"{file}:{line_of(text, path)}",
                EXTERNAL_ID: f"{file}:{line_of(text, (*path, 'external_id'))}",
                **{n: f"{file}:{line_of(text, (*path, 'fields', n))}" for n in block.fields},
            },
            block.processors,
        )
        for place, event in enumerate(block.events):
            line = line_of(text, (*path, "events", place))
            self._places.setdefault(event, f"{file}:{line}")
            rows = self._outputs.setdefault(event, {})
            before = rows.get(output.object)
            rows[output.object] = output if before is None else self._merge(event, before, output)

    def _merge(self, event: str, before: Output, more: Output) -> Output:
        if before.external_id != more.external_id:
            text = f"{event}: two external ids for one {more.object}"
            self._fault(more.places[EXTERNAL_ID], f"{text}; the first is at {before.places['']}")
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


def _told(error: Mapping[str, Any]) -> str:
    """Return what is wrong, by the names of the keys that lead there."""
    names = [str(step) for step in error["loc"][2:] if step != "fields"]
    return ": ".join([*names, error["msg"].removeprefix("Value error, ")])
