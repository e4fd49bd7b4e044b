"""What every processor must keep to; each rule says what to mend.

The source is read before it is run: what could make a function more than a function of its
fields (a clock, a file, a global) is not there to be called. Then it is run over many records.
"""

import ast
import traceback
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from residency.gate.check import BASE_VERSION
from residency.gate.rules import Grammar, load_grammar
from residency.gate.scan import scan
from residency.gate.wire import Violation, load_schemas, read
from residency.plan.processors import UNTOUCHABLE, Fields
from schemas.codec import encode
from schemas.errors import QuarantineError, SetupError
from schemas.registry import load_registry
from streams.processor import Loaded, load

IMPORTS: Final = frozenset(
    {"re", "math", "decimal", "collections.abc", "typing", "dataclasses", "streams.processor"}
)
# Ways out of a pure function, or into what differs from one process to the next.
FORBIDDEN: Final = frozenset(
    {
        *("open", "input", "print", "breakpoint", "exec", "eval", "compile", "__import__"),
        *("globals", "locals", "vars", "dir", "getattr", "setattr", "delattr", "type", "super"),
        *("id", "hash", "object", "memoryview", "exit", "quit", "help"),
    }
)
_MUTABLE: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_STATEMENTS: Final = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef)


def problems_of(file: Path, records: Mapping[str, Iterable[tuple[str, Fields]]]) -> list[str]:
    """Return everything that is wrong with the processor in *file*; empty: nothing is.

    Args:
        file: It is not run if its source breaks a rule.
        records: Object to samples: region and the fields of one of its minimal records.

    """
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        return [f"{file.name}:{error.lineno or 1}: is not Python: {error.msg}"]
    except ValueError:  # bytes that are no text, or a NUL
        return [f"{file.name}:1: is not Python"]
    found = [f"{file.name}:{line}: {text}" for line, text in sorted(set(_source(tree, file.stem)))]
    if found:
        return found
    try:
        loaded = load(file)
    except SetupError as error:
        if error.__cause__ is None:
            return [f"{file.name}:1: {str(error).removeprefix(f'{file.name}: ')}"]
        line = _line_of(error.__cause__, str(file))
        return [f"{file.name}:{line}: {_name(error.__cause__)} as it is imported"]
    declared = [(_head(loaded), text) for text in _declaration(loaded)]
    told = declared or list(dict.fromkeys(_behaviour(loaded, records.get(loaded.object, ()))))
    return [f"{file.name}:{line}: {text}" for line, text in told]


def _head(loaded: Loaded) -> int:
    return loaded.function.__code__.co_firstlineno


def _line_of(error: BaseException, file: str) -> int:
    """Return the last line of a file that an error came through."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == file]
    return lines[-1] if lines else 1


_schemas = cache(load_schemas)


@cache
def _grammar(region: str) -> Grammar:
    return load_grammar(region, _schemas())


def _source(tree: ast.Module, name: str) -> Iterator[tuple[int, str]]:
    """Yield line and problem of what may not stand in a processor's file."""
    if not ast.get_docstring(tree):
        yield 1, "has no docstring; say what it is for"
    for node in tree.body:
        is_doc = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not isinstance(node, _STATEMENTS) and not is_doc:
            yield node.lineno, "only imports, constants and functions stand in the file"
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, _MUTABLE):
            yield node.lineno, "a constant is a tuple, a frozenset or a MappingProxyType"
        if isinstance(node, ast.FunctionDef) and node.name == name and not ast.get_docstring(node):
            yield node.lineno, "the function has no docstring; `homeport processors` shows it"
    for part in ast.walk(tree):
        yield from ((getattr(part, "lineno", 1), text) for text in _impure(part))


def _impure(node: ast.AST) -> Iterator[str]:  # noqa: C901
    match node:
        case ast.Import(names=names):
            yield from (_not_allowed(alias.name) for alias in names if alias.name not in IMPORTS)
        case ast.ImportFrom(module=module, level=level):
            if level or module not in IMPORTS:
                yield _not_allowed(module or "a neighbour")
        case ast.Name(id=name) if name in FORBIDDEN or name.startswith("__"):
            yield f"{name} is not for a pure function"
        case ast.Attribute(attr=name) if name.startswith("_"):
            yield f"{name} is private"
        case ast.Attribute(ctx=ast.Store() | ast.Del()):
            yield "changes an attribute: a processor keeps no state"
        case ast.Global() | ast.Nonlocal():
            yield "global and nonlocal keep state"
        case ast.arguments(defaults=defaults, kw_defaults=more):
            if any(isinstance(default, _MUTABLE) for default in (*defaults, *more)):
                yield "a default that can change keeps state"
        case ast.Yield() | ast.YieldFrom() | ast.Await() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield "a processor is a plain function"
        case _:
            pass


def _not_allowed(module: str) -> str:
    return f"imports {module}; a processor may import {', '.join(sorted(IMPORTS))}"


def _declaration(loaded: Loaded) -> Iterator[str]:
    """Yield what is wrong with what it declares."""
    schemas = {one.object: one for one in _schemas().values() if one.version == BASE_VERSION}
    if loaded.object not in schemas:
        yield f"there is no object {loaded.object}; there are {', '.join(sorted(schemas))}"
        return
    known = schemas[loaded.object].types
    if unknown := sorted({*loaded.reads, *loaded.writes} - known.keys() - UNTOUCHABLE):
        yield f"{loaded.object} has no {', '.join(unknown)}"
    if touched := sorted({*loaded.reads, *loaded.writes} & UNTOUCHABLE):
        yield f"{', '.join(touched)} is not a processor's to read or write"
    if not loaded.writes:
        yield "writes nothing"


def _behaviour(loaded: Loaded, samples: Iterable[tuple[str, Fields]]) -> Iterator[tuple[int, str]]:
    """Yield line and problem of what goes wrong with records of its object."""
    is_tried = False
    for region, fields in samples:
        is_tried = True
        yield from _one(loaded, fields, region)
    if not is_tried:
        yield _head(loaded), f"no record of {loaded.object} to try it on"


def _one(loaded: Loaded, fields: Fields, region: str) -> Iterator[tuple[int, str]]:
    seen = {name: fields.get(name) for name in loaded.reads}
    try:
        made = loaded.apply(MappingProxyType(seen))
        again = loaded.apply(MappingProxyType(dict(reversed(seen.items()))))
    except Exception as error:  # noqa: BLE001 - whatever a file may raise
        text = f"{_name(error)} on a record of {region}: it must take any, nulls too, and read only"
        yield _line_of(error, loaded.function.__code__.co_filename), text
        return
    yield from ((_head(loaded), text) for text in _results(loaded, fields, made, again, region))


def _results(
    loaded: Loaded, fields: Fields, made: object, again: object, region: str
) -> Iterator[str]:
    """Yield what is wrong with what came out, twice, of the same fields."""
    if not isinstance(made, Mapping):
        yield "must return a mapping of the fields it changed; {} for none"
        return
    if not isinstance(again, Mapping) or dict(made) != dict(again):
        yield "gives other results for the same fields"
    if extra := sorted(made.keys() - set(loaded.writes)):
        yield f"changes {', '.join(map(str, extra))}, which it does not say it writes"
        return
    yield from _grammatical(loaded.object, {**fields, **made}, made, region)


def _name(error: BaseException) -> str:
    return type(error).__name__


def _grammatical(
    target: str, fields: Mapping[str, Any], made: Fields, region: str
) -> Iterator[str]:
    """Yield where the gate of *region* would stop what came out."""
    rules = _grammar(region)[target]
    for name in (name for name, value in made.items() if value is None):
        if not rules[name].clearable:
            yield f"{name}: may not be emptied"
    schema = next(s for s in load_registry() if s.object == target)
    unset = {field["name"]: None for field in schema.avro["fields"]}
    technical = {"External_Id__c": "", "Base_Version__c": 1, "cleared": [], "deleted": False}
    known = {name: value for name, value in technical.items() if name in unset}
    try:
        _, decoded = read(encode(schema, {**unset, **known, **fields}), _schemas())
        for name in made:
            if decoded[name] is not None:
                rules[name].check(decoded[name])
    except Violation as violation:
        yield f"{violation.field or 'record'}: the gate of {region} halts: {violation.rule}"
        return
    except QuarantineError:
        yield "gives a field a value of another type than the minimal schema's"
        return
    for name in made:
        value = decoded[name]
        if isinstance(value, str) and rules[name].is_scanned and scan(value, formatted=True):
            yield f"{name}: makes what looks like personal data"
