"""The mutants of one source file: each a small wrong change that some test must notice.

Not mutated: annotations, docstrings, decorators, `__all__`, f-strings, and the texts of errors
(strings bound to one of `TEXTS`), since tests match those only in part on purpose.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

TEXTS: Final = {"msg", "rule", "problem", "broken"}  # names that hold an error's text
MODULE: Final = "<module>"
SKIPPED: Final = {"decorator_list", "annotation", "returns", "ctx", "type_ignores"}
WIDTH: Final = 140  # characters of one side of a change's name

_COMPARE: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
_NAMES: Final = {
    "min": "max", "max": "min", "any": "all", "all": "any",
    "startswith": "endswith", "endswith": "startswith",
    "upper": "lower", "lower": "upper", "casefold": "upper",
    "removeprefix": "removesuffix", "removesuffix": "removeprefix",
    "fullmatch": "match", "search": "match", "partition": "rpartition", "rpartition": "partition",
    "keys": "values", "union": "intersection",
}  # fmt: skip
_BOUND: Final = re.compile(r"(?<=[{,])\d+(?=[},])")  # of a regular expression's repetition


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file.

    Attributes:
        function: Qualified name of the outermost function it lies in, or ``<module>``.
        line: Where it is, from 1.
        change: ``<code before> => <code after>``: the statement, or as much around the change
            as fits a line; the same change again in a function has ``#2`` behind it.
        span: First and last line of that function, decorators included; (0, 0) outside functions.

    """

    function: str
    line: int
    change: str
    span: tuple[int, int]

    @property
    def in_function(self) -> bool:
        """Tell whether swapping one function's code makes the mutant."""
        return self.function != MODULE


@dataclass(frozen=True, slots=True)
class _Place:
    """A field of a node that can be exchanged, and what the mutant is called by."""

    parent: ast.AST
    field: str
    index: int | None
    around: tuple[ast.AST, ...]  # from the statement inwards to the parent
    function: str
    span: tuple[int, int]

    def get(self) -> Any:
        found = getattr(self.parent, self.field)
        return found if self.index is None else found[self.index]

    def put(self, value: Any) -> None:
        if self.index is None:
            setattr(self.parent, self.field, value)
        else:
            getattr(self.parent, self.field)[self.index] = value


class Source:
    """A parsed file with all its mutants."""

    def __init__(self, text: str, filename: str) -> None:
        """Parse *text*; *filename* is what tracebacks and code objects say."""
        self.filename = filename
        self._tree = ast.parse(text)
        self._made: list[tuple[Mutant, _Place, Callable[[Any], Any]]] = []
        seen: Counter[tuple[str, str]] = Counter()
        for place in _places(self._tree):
            node = place.get()
            for change in _changes(node, place):
                text_of = _described(place, change)
                seen[place.function, text_of] += 1
                again = seen[place.function, text_of]
                name = f"{text_of} #{again}" if again > 1 else text_of
                line = getattr(node, "lineno", getattr(place.around[-1], "lineno", 1))
                mutant = Mutant(place.function, line, name, place.span)
                self._made.append((mutant, place, change))

    @property
    def mutants(self) -> list[Mutant]:
        """All of them, in the order of the file."""
        return [mutant for mutant, _, _ in self._made]

    def compile(self, number: int) -> CodeType:
        """Return the module's code with mutant *number* in it."""
        _, place, change = self._made[number]
        node = place.get()
        place.put(change(node))
        try:
            tree = ast.fix_missing_locations(self._tree)
            return compile(tree, self.filename, "exec", dont_inherit=True)
        finally:
            place.put(node)


def _described(place: _Place, change: Callable[[Any], Any]) -> str:
    """Return what changes, with as much around it as fits a line."""
    node = place.get()
    if isinstance(node, ast.stmt):
        return f"{_headline(node)} => {_headline(change(node))}"
    shown = next((n for n in place.around if len(_headline(n)) <= WIDTH), None)
    if shown is None:
        return _windows(ast.unparse(node), ast.unparse(change(node)))
    before = _headline(shown)
    place.put(change(node))
    after = _headline(shown)
    place.put(node)
    return f"{before} => {after}"


def _windows(before: str, after: str) -> str:
    """Return what differs between two long pieces of code, with what is around it."""
    pairs = zip(before, after, strict=False)
    start = max(0, next((n for n, (a, b) in enumerate(pairs) if a != b), 0) - WIDTH // 2)
    return f"{before[start : start + WIDTH]} => {after[start : start + WIDTH]}"


def _headline(node: ast.AST) -> str:
    """Return *node* as code; of a statement with a block, its head."""
    text = " " * (WIDTH + 1)  # what is no piece of code of its own fits nowhere
    match node:
        case ast.If() | ast.While():
            text = f"{type(node).__name__.lower()} {ast.unparse(node.test)}:"
        case ast.For():
            text = f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}:"
        case ast.With():
            text = "with " + ", ".join(map(ast.unparse, node.items)) + ":"
        case ast.match_case():
            guard = f" if {ast.unparse(node.guard)}" if node.guard else ""
            text = f"case {ast.unparse(node.pattern)}{guard}:"
        case ast.Match():
            text = f"match {ast.unparse(node.subject)}:"
        case ast.FunctionDef():
            text = f"def {node.name}({ast.unparse(node.args)}):"
        case ast.ClassDef():
            text = f"class {node.name}:"
        case ast.expr() | ast.stmt():
            text = ast.unparse(node).replace("\n", " ")
        case _:
            pass
    return text


def _places(tree: ast.Module) -> Iterator[_Place]:
    yield from _under(tree, [], (), MODULE, (0, 0))


def _under(
    node: ast.AST,
    scope: list[str],
    around: tuple[ast.AST, ...],
    function: str,
    span: tuple[int, int],
) -> Iterator[_Place]:
    """Yield every place below *node* where something could be exchanged."""
    for field, value in ast.iter_fields(node):
        if field in SKIPPED or (field == "keywords" and isinstance(node, ast.ClassDef)):
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or _is_left_alone(node, child):
                continue
            here = (child,) if isinstance(child, ast.stmt) else (*around, child)
            inside, lines, names = function, span, scope
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                names = [*scope, child.name]
            yield _Place(node, field, index, around or (node,), inside, lines)
            if isinstance(child, ast.FunctionDef) and function == MODULE:
                # Defaults are evaluated where the function is defined.
                yield from _under(child.args, names, here, MODULE, (0, 0))
                inside, lines = ".".join(names), _lines(child)
                yield from _under(_Body(child.body), names, here, inside, lines)
                continue
            yield from _under(child, names, here, inside, lines)


def _lines(function: ast.FunctionDef) -> tuple[int, int]:
    """Return its first and last line; a call of it is seen at its first decorator."""
    first = min([function.lineno, *(one.lineno for one in function.decorator_list)])
    return first, function.end_lineno or function.lineno


class _Body(ast.AST):
    """A function's body alone; shares the list, so that changes take effect."""

    _fields = ("body",)

    def __init__(self, body: list[ast.stmt]) -> None:
        super().__init__()
        self.body = body


def _is_left_alone(parent: ast.AST, child: ast.AST) -> bool:
    match child:
        case ast.Expr(value=ast.Constant(value=str())) | ast.JoinedStr() | ast.Import():
            return True
        case ast.ImportFrom() | ast.alias():
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Constant(value=str()) if isinstance(parent, ast.Assign | ast.AnnAssign):
            return bool(_targets(parent) & TEXTS)
        case _:
            return False


def _targets(node: ast.Assign | ast.AnnAssign) -> set[str]:
    found = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [n for target in found for n in ast.walk(target) if isinstance(n, ast.Name)]
    return {name.id for name in names}


def _changes(node: ast.AST, place: _Place) -> Iterator[Callable[[Any], Any]]:  # noqa: C901, PLR0912
    """Yield what makes a mutant of *node*; each returns a new node and leaves *node* alone."""
    match node:
        case ast.Compare(ops=ops):
            for n, operator in enumerate(ops):
                yield _compare(n, _COMPARE[type(operator)])
        case ast.BoolOp(op=operator):
            other = ast.Or if isinstance(operator, ast.And) else ast.And
            yield lambda found: ast.BoolOp(other(), found.values)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield lambda found: found.operand
        case ast.BinOp(op=operator) if type(operator) in _ARITHMETIC:
            swapped = _ARITHMETIC[type(operator)]
            yield lambda found: ast.BinOp(found.left, swapped(), found.right)
        case ast.AugAssign(op=operator):
            swapped = _ARITHMETIC[type(operator)]
            yield lambda found: ast.AugAssign(found.target, swapped(), found.value)
            yield lambda found: ast.Pass()
        case ast.Constant(value=value):
            yield from _constants(value, place)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield lambda found: ast.Return(ast.Constant(None))
        case ast.Raise() | ast.Continue() | ast.Break() | ast.Expr(value=ast.Call()):
            yield lambda found: ast.Pass()
        case ast.Name(id=name, ctx=ast.Load()) if name in _NAMES:
            yield lambda found: ast.Name(_NAMES[found.id], ast.Load())
        case ast.Attribute(attr=name) if name in _NAMES:
            yield lambda found: ast.Attribute(found.value, _NAMES[found.attr], ast.Load())
        case _:
            pass
    is_test = place.field in {"test", "guard"} or (
        place.field == "ifs" and isinstance(place.parent, ast.comprehension)
    )
    if is_test and not isinstance(node, ast.Compare | ast.UnaryOp):
        yield lambda found: ast.UnaryOp(ast.Not(), found)


def _compare(number: int, other: type[ast.cmpop]) -> Callable[[Any], Any]:
    def change(found: ast.Compare) -> ast.Compare:
        ops = [other() if n == number else op for n, op in enumerate(found.ops)]
        return ast.Compare(found.left, ops, found.comparators)

    return change


def _constants(value: object, place: _Place) -> Iterator[Callable[[Any], Any]]:
    other: list[object] = []
    match value:
        case bool():
            other = [not value]
        case int() | float():
            other = [value + 1]
        case str():
            other = ["", *_bounds(value)] if value else ["mutated"]
        case bytes():
            other = [value + b"\0"]
        case _:
            pass
    if isinstance(place.parent, ast.Expr):  # a bare `...`
        return
    for changed in other:
        yield lambda _found, changed=changed: ast.Constant(changed)


def _bounds(text: str) -> Iterator[str]:
    """Yield *text* with each bound of a repetition raised by one."""
    for found in _BOUND.finditer(text):
        yield f"{text[: found.start()]}{int(found[0]) + 1}{text[found.end() :]}"
