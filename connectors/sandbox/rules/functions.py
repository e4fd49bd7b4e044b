"""The operators and functions of formulas: arguments in, a function of a row out. Pure.

Blanks follow the "treat null as null" mode that validation rules run in: a blank number or time
makes arithmetic and comparisons blank, and a blank condition counts as false; blank text is the
empty text. What the org does with NOT of a blank condition is not documented: it stays blank
here, so that such a rule refuses nothing.

Source: Salesforce help, "Formula Operators and Functions", and the pages of each function.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from connectors.sandbox.rules.tree import FormulaError

Kind = Literal["boolean", "number", "text", "date", "time", "picklist", "null"]
Values = Mapping[str, str | int | None]
Run = Callable[[Values, Values | None], Any]
_ORDERED = frozenset({"number", "text", "date", "time"})
NO_LIMIT = 99  # arguments


@dataclass(frozen=True, slots=True)
class Typed:
    """A compiled expression and what it gives."""

    kind: Kind
    run: Run


def _and(_: str, parts: Sequence[Typed]) -> Typed:
    return _all_or_any(parts, decisive=False)


def _or(_: str, parts: Sequence[Typed]) -> Typed:
    return _all_or_any(parts, decisive=True)


def _all_or_any(parts: Sequence[Typed], *, decisive: bool) -> Typed:
    _check_kinds(parts, "boolean")
    runs = [part.run for part in parts]

    def run(new: Values, old: Values | None) -> bool | None:
        result: bool | None = not decisive
        for one in runs:
            value: bool | None = one(new, old)
            if value is decisive:
                return decisive
            if value is None:
                result = None
        return result

    return Typed("boolean", run)


def _not(_: str, parts: Sequence[Typed]) -> Typed:
    _check_kinds(parts, "boolean")
    (part,) = (p.run for p in parts)

    def run(new: Values, old: Values | None) -> bool | None:
        value = part(new, old)
        return None if value is None else not value

    return Typed("boolean", run)


def _is_new(_: str, _parts: Sequence[Typed]) -> Typed:
    return Typed("boolean", lambda _new, old: old is None)


def _is_blank(_: str, parts: Sequence[Typed]) -> Typed:
    (part,) = (p.run for p in parts)
    return Typed("boolean", lambda new, old: part(new, old) in (None, ""))


def _blank_value(_: str, parts: Sequence[Typed]) -> Typed:
    value, other = (part.run for part in parts)

    def run(new: Values, old: Values | None) -> object:
        found = value(new, old)
        return other(new, old) if found in (None, "") else found

    return Typed(_common(parts), run)


def _if(_: str, parts: Sequence[Typed]) -> Typed:
    _check_kinds(parts[:1], "boolean")
    test, yes, no = (part.run for part in parts)
    return Typed(
        _common(parts[1:]), lambda new, old: (yes if test(new, old) is True else no)(new, old)
    )


def _length(_: str, parts: Sequence[Typed]) -> Typed:
    _check_kinds(parts, "text")
    (part,) = (p.run for p in parts)
    return Typed("number", lambda new, old: len(part(new, old) or ""))


def _is_picklist_value(_: str, parts: Sequence[Typed]) -> Typed:
    _check_kinds(parts[:1], "picklist")
    _check_kinds(parts[1:], "text")
    field, value = (part.run for part in parts)
    return Typed("boolean", lambda new, old: (field(new, old) or "") == (value(new, old) or ""))


def _text_of(_: str, parts: Sequence[Typed]) -> Typed:
    _check_kinds(parts, "picklist")
    return Typed("text", parts[0].run)


def _compared(symbol: str, parts: Sequence[Typed]) -> Typed:
    if any(part.kind == "picklist" for part in parts):
        msg = f"a picklist cannot be compared by {symbol}; use ISPICKVAL"
        raise FormulaError(msg)
    kind = _common(parts)
    if symbol not in {"=", "<>"} and kind not in _ORDERED | {"null"}:
        msg = f"a {kind} cannot be compared by {symbol}"
        raise FormulaError(msg)
    compare = _COMPARISONS[symbol]
    left, right = (part.run for part in parts)
    if kind == "text" and all(part.kind == "text" for part in parts):
        return Typed(
            "boolean", lambda new, old: compare(left(new, old) or "", right(new, old) or "")
        )
    return Typed("boolean", _with_both(left, right, compare))


def _calculated(symbol: str, parts: Sequence[Typed]) -> Typed:
    _check_kinds(parts, "number")
    left, right = (part.run for part in parts)
    return Typed("number", _with_both(left, right, _SUMS[symbol]))


def _joined(_: str, parts: Sequence[Typed]) -> Typed:
    _check_kinds(parts, "text")
    left, right = (part.run for part in parts)
    return Typed("text", lambda new, old: (left(new, old) or "") + (right(new, old) or ""))


def _signed(name: str, parts: Sequence[Typed]) -> Typed:
    _check_kinds(parts, "number")
    factor = -1 if name == "negative" else 1
    return Typed("number", _with_both(parts[0].run, lambda _new, _old: factor, operator.mul))


def _with_both(left: Run, right: Run, work: Callable[[Any, Any], Any]) -> Run:
    """Return *work* of both sides, blank if either is."""

    def run(new: Values, old: Values | None) -> Any:  # noqa: ANN401 -- a number or a boolean
        a, b = left(new, old), right(new, old)
        return None if a is None or b is None else work(a, b)

    return run


def _divided(a: Decimal | int, b: Decimal | int) -> Decimal | None:
    """Return *a* / *b*; a division by zero is blank, as an error in a formula is."""
    return Decimal(a) / Decimal(b) if b else None


def _common(parts: Sequence[Typed]) -> Kind:
    """Return the one kind that *parts* have; NULL is of any."""
    kinds: set[Kind] = {part.kind for part in parts}
    kinds.discard("null")
    if len(kinds) > 1:
        msg = f"types do not match: {' and '.join(sorted(kinds))}"
        raise FormulaError(msg)
    return kinds.pop() if kinds else "null"


def _check_kinds(parts: Sequence[Typed], wanted: Kind) -> None:
    for part in parts:
        if part.kind not in {wanted, "null"}:
            msg = f"expected {wanted}, received {part.kind}"
            raise FormulaError(msg)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip
_SUMS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divided,
}  # fmt: skip
_Build = Callable[[str, Sequence[Typed]], Typed]
# name -> (fewest arguments, most, how it is compiled)
FUNCTIONS: Mapping[str, tuple[int, int, _Build]] = (
    {
        "AND": (1, NO_LIMIT, _and),
        "&&": (2, 2, _and),
        "OR": (1, NO_LIMIT, _or),
        "||": (2, 2, _or),
        "NOT": (1, 1, _not),
        "ISNEW": (0, 0, _is_new),
        "ISBLANK": (1, 1, _is_blank),
        "BLANKVALUE": (2, 2, _blank_value),
        "IF": (3, 3, _if),
        "LEN": (1, 1, _length),
        "ISPICKVAL": (2, 2, _is_picklist_value),
        "TEXT": (1, 1, _text_of),
        "negative": (1, 1, _signed),
        "positive": (1, 1, _signed),
        "&": (2, 2, _joined),
    }
    | dict.fromkeys(_COMPARISONS, (2, 2, _compared))
    | dict.fromkeys(_SUMS, (2, 2, _calculated))
)
