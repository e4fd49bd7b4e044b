"""The suite that runs over every processor unasked, and what it refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.gate.rules import Rule, load_grammar
from residency.gate.wire import load_schemas
from residency.plan.processors import UNTOUCHABLE, Fields
from residency.regions import load_regions
from schemas.errors import SetupError
from streams.processor import FOLDER, discover
from streams.processor_rules import problems_of
from streams.processor_samples import samples

FILES = sorted(file for file in FOLDER.glob("*.py") if not file.name.startswith("_"))
REGIONS = sorted(load_regions())
GRAMMARS = {region: load_grammar(region, load_schemas()) for region in REGIONS}
SAMPLES = samples()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_processor_keeps_to_the_rules(file: Path) -> None:
    assert problems_of(file, SAMPLES) == []


def fields_of(rules: dict[str, Rule]) -> st.SearchStrategy[Fields]:
    """Return records of all that the gate lets through, fields absent or null among them."""
    known = {name: rule for name, rule in rules.items() if name not in UNTOUCHABLE}
    return st.fixed_dictionaries({}, optional={n: st.none() | _values(r) for n, r in known.items()})


def _values(rule: Rule) -> st.SearchStrategy[str | int | bool | bytes]:
    match rule.type:
        case "boolean":
            return st.booleans()
        case "long":
            return st.integers(rule.min, rule.max)
        case "timestamp":
            return st.integers(*(int(end.timestamp()) * 1000 for end in (rule.min, rule.max)))
        case "decimal":
            ends = (int(end.scaleb(2)) for end in (rule.min, rule.max))
            return st.integers(*ends).map(_shortest)
        case _ if rule.values is not None:
            return st.sampled_from(sorted(rule.values))
        case _:
            pattern = rule.pattern.pattern if rule.pattern else ""
            inner = pattern.removeprefix("^").removesuffix("$")
            return st.from_regex(inner, fullmatch=True)


def _shortest(unscaled: int) -> bytes:
    width = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
    return unscaled.to_bytes(width, "big", signed=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("region", REGIONS)
@given(data=st.data())
def test_a_processor_takes_whatever_the_gate_would_let_through(
    file: Path, region: str, data: st.DataObject
) -> None:
    target = discover()[file.stem].object
    fields = data.draw(fields_of(dict(GRAMMARS[region][target])))

    assert problems_of(file, {target: [(region, fields)]}) == []


GOOD = '''"""Cut it."""

from streams.processor import Fields, processor


@processor(
    object="Commerce_Order__c", reads=("Ship_Postcode_Area__c",), writes=("Ship_Postcode_Area__c",)
)
def draft(fields: Fields) -> Fields:
    """Give everybody the same area."""
    return {"Ship_Postcode_Area__c": "unknown"}
'''


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


RETURN = '    return {"Ship_Postcode_Area__c": "unknown"}'
IMPORT = "from streams.processor import Fields, processor"


def body(text: str) -> str:
    return changed(RETURN, text)


def head(text: str) -> str:
    return changed(IMPORT, f"{IMPORT}\n{text}")


def _bad() -> Iterator[tuple[str, str, str]]:
    """Yield a name, a file's text and a part of what the suite says of it."""
    yield "no Python", "def (", "is not Python"
    yield "no docstring", changed('"""Cut it."""\n', ""), "has no docstring"
    undocumented = changed('    """Give everybody the same area."""\n', "")
    yield "an undocumented function", undocumented, "no docstring"
    yield "a clock", head("import time"), "imports time"
    yield "a random number", head("import random"), "imports random"
    yield "the environment", head("from os import environ"), "imports os"
    yield "a neighbour", head("from streams.processors.coarsen_london import x"), "imports"
    yield "a relative neighbour", head("from . import coarsen_london"), "imports a neighbour"
    yield "our keys", head("from residency.keys import secret"), "imports residency.keys"
    yield "a date of today", head("from datetime import datetime"), "imports datetime"
    yield "a cache", head("CACHE = {}"), "a constant is a tuple"
    yield "a list", head("SEEN: list[str] = []"), "a constant is a tuple"
    yield "work on import", head("print('hello')"), "only imports, constants and functions"
    yield "a loop on import", head("for _ in (): pass"), "only imports, constants"
    yield "a class", head("class A: pass"), "plain function"
    yield "a default", changed("(fields: Fields)", "(fields: Fields, seen={})"), "keeps state"
    yield "a file", body("    return {'x': open('/etc/hostname').read()}"), "open is not"
    yield "output", body("    print(fields)\n" + RETURN), "print is not"
    yield "a hash of its own", body("    return {'a': hash('a')}"), "hash is not"
    yield "eval", body("    return eval('{}')"), "eval is not"
    yield "a way round", body("    return getattr(fields, 'x')"), "getattr is not"
    yield "a dunder", body("    return fields.__class__()"), "__class__ is private"
    yield "builtins", body("    return __builtins__"), "__builtins__ is not"
    yield "global", body("    global A\n" + RETURN), "keep state"
    yield "an attribute", body("    draft.seen = 1\n" + RETURN), "keeps no state"
    yield "a generator", body("    yield 1"), "plain function"
    yield "another name", changed("def draft", "def other"), "called draft"
    yield (
        "no marker",
        changed("@processor(", "@staticmethod\n@processor(").replace("def draft", "def other"),
        "called draft",
    )
    yield "an unknown object", changed("Commerce_Order__c", "Contact"), "no object Contact"
    yield (
        "an unknown field",
        changed('reads=("Ship_Postcode_Area__c",)', 'reads=("Name__c",)'),
        ("has no Name__c"),
    )
    yield (
        "the external id",
        changed('writes=("Ship_Postcode_Area__c",)', 'writes=("External_Id__c",)'),
        ("External_Id__c is not a processor's"),
    )
    yield (
        "the version",
        changed('reads=("Ship_Postcode_Area__c",)', 'reads=("Base_Version__c",)'),
        ("Base_Version__c is not a processor's"),
    )
    yield "no output", changed('writes=("Ship_Postcode_Area__c",)', "writes=()"), "writes nothing"
    yield (
        "more than it declares",
        body('    return {"Channel__c": "web"}'),
        "does not say it writes",
    )
    yield (
        "a field that it does not read",
        body('    return {"Ship_Postcode_Area__c": fields["Channel__c"]}'),
        "KeyError",
    )
    yield (
        "no nulls",
        body('    return {"Ship_Postcode_Area__c": fields["Ship_Postcode_Area__c"][:2]}'),
        "TypeError",
    )
    yield (
        "a change of its input",
        body('    fields["Ship_Postcode_Area__c"] = "10"\n    return fields'),
        "TypeError",
    )
    yield "no mapping", body("    return None"), "must return a mapping"
    yield (
        "text the gate refuses",
        body('    return {"Ship_Postcode_Area__c": "SW1A 1AA"}'),
        ("the gate of eu halts: "),
    )
    yield "another type", body('    return {"Ship_Postcode_Area__c": 10}'), "another type"
    yield (
        "an order of its own",
        body(
            "    first = next(iter(fields))\n"
            '    return {"Ship_Postcode_Area__c": "10" if first < "T" else "20"}'
        ).replace(
            'reads=("Ship_Postcode_Area__c",)', 'reads=("Ship_Postcode_Area__c", "Total__c")'
        ),
        "other results",
    )
    yield (
        "an emptied field that must stay",
        changed('writes=("Ship_Postcode_Area__c",)', 'writes=("Region__c",)').replace(
            '{"Ship_Postcode_Area__c": "unknown"}', '{"Region__c": None}'
        ),
        "may not be emptied",
    )
    yield (
        "personal data",
        changed('writes=("Ship_Postcode_Area__c",)', 'writes=("First_Sku__c",)').replace(
            '{"Ship_Postcode_Area__c": "unknown"}', '{"First_Sku__c": "DE89370400440532013000"}'
        ),
        "looks like personal data",
    )


def test_the_draft_that_is_broken_below_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "draft.py"
    file.write_text(GOOD, encoding="utf-8")

    assert problems_of(file, SAMPLES) == []


@pytest.mark.parametrize(
    ("text", "said"), [pytest.param(text, said, id=name) for name, text, said in _bad()]
)
def test_what_is_no_pure_narrowing_function_is_refused(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "draft.py"
    file.write_text(text, encoding="utf-8")

    found = problems_of(file, SAMPLES)

    assert any(said in problem for problem in found), found


def test_a_file_that_breaks_a_rule_is_not_run(tmp_path: Path) -> None:
    file, trace = tmp_path / "draft.py", tmp_path / "trace"
    file.write_text(head(f"open({str(trace)!r}, 'w').close()"), encoding="utf-8")

    assert problems_of(file, SAMPLES)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"""A file."""\n\ndef draft(:\n', ":3: is not Python: "),
        (head("BOUND = (1,)[2]"), ":4: IndexError as it is imported"),
        (changed("def draft", "def other"), ":1: must hold one @processor function, called draft"),
        (body("    return {} if 1 / 0 else {}"), ":11: ZeroDivisionError on a record of eu"),
        (body('    return {"Total__c": b""}'), ":6: changes Total__c"),
    ],
)
def test_each_problem_is_named_with_its_line(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "draft.py"
    file.write_text(text, encoding="utf-8")

    assert any(problem.startswith(f"draft.py{told}") for problem in problems_of(file, SAMPLES)), (
        problems_of(file, SAMPLES)
    )


def test_a_processor_that_is_broken_keeps_none_from_being_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `check` tries them on is made by the plans alone: it is there to find the broken one."""

    def broken(file: Path) -> None:
        msg = f"{file.name}: SyntaxError as it is imported"
        raise SetupError(msg)

    monkeypatch.setattr("streams.processor.load", broken)

    assert samples().keys() >= {"Commerce_Order__c"}


def test_an_object_without_a_sample_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "draft.py"
    file.write_text(GOOD, encoding="utf-8")

    assert "no record of Commerce_Order__c" in problems_of(file, {})[0]
