"""Rules about the code itself that no linter of ours can state."""

import ast
import importlib
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("streams", "connectors", "inference", "residency", "schemas")
MAY_MINT_MINIMAL = {
    "residency/plan/strip.py",  # the definition of what leaves
    "residency/plan/labels.py",  # of labels that the plan lists, and of tokens that strip made
    "connectors/kafka/headers.py",  # rebuilds what the border wrote, for egress alone
    "connectors/postgres/parked.py",  # rebuilds what egress parked; its leaf commits to it
}
MAY_REBUILD_MINIMAL = {"streams/arrivals.py"}  # of egress
MAY_MINT_LOGGED = {"residency/ledger/log.py"}
MAY_IMPORT_FAUST = {"streams/app.py"}
MAY_PRINT = {
    "connectors/embedded/jars.py",  # the maintainer's script that makes kafka.lock
    "connectors/sandbox/logins/apps.py",  # stands for a foreign system, and its stderr is its log
    "connectors/sandbox/web.py",  # as that
}


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Let go of the trees afterwards: 100 MB."""
    yield
    sources.cache_clear()


@cache
def sources() -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


def callers(name: str) -> set[str]:
    """Return the modules that construct *name*, also through an alias or a module."""
    found = set()
    for path, tree in sources():
        aliases = {name} | {
            alias.asname
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if alias.name == name and alias.asname
        }
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)):
                    if called in aliases:
                        found.add(path)
                case _:
                    pass
    return found


def importers(*names: str) -> set[str]:
    found = set()
    for path, tree in sources():
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=aliases):
                    modules = [alias.name for alias in aliases]
                case ast.ImportFrom(module=str(module)):
                    modules = [module]
                case _:
                    modules = []
            if any(module.split(".")[0] in names for module in modules):
                found.add(path)
    return found


def test_only_the_border_makes_minimal_records() -> None:
    """The type checker stops a raw event at the sink; this stops a forged record."""
    assert callers("MinimalRecord") <= MAY_MINT_MINIMAL


def test_only_egress_rebuilds_minimal_records() -> None:
    assert callers("minimal_record") <= MAY_REBUILD_MINIMAL
    assert callers("arrival_of") <= {"streams/egress.py"}
    assert callers("due") <= {"connectors/postgres/egress_store.py", "streams/carrier.py"}


def test_only_the_ledger_makes_logged_records() -> None:
    assert callers("LoggedRecord") <= MAY_MINT_LOGGED


def test_no_record_is_copied_with_another_content() -> None:
    """``replace`` on a record would be a second way to make one; the fields are checked here."""
    changed = {
        path
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "replace"
        and {"external_id", "value", "record"} & {k.arg for k in node.keywords}
    }

    assert changed <= MAY_MINT_MINIMAL


def test_faust_is_the_shell_of_one_module() -> None:
    assert importers("faust", "mode") <= MAY_IMPORT_FAUST


def test_packages_do_not_print() -> None:
    """The command line uses click.echo, services use a logger that knows what it may say."""
    printing = {
        path
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    }

    assert printing <= MAY_PRINT


def test_input_is_not_checked_with_assert() -> None:
    asserting = {
        path for path, tree in sources() for node in ast.walk(tree) if isinstance(node, ast.Assert)
    }

    assert asserting == set()


@pytest.mark.parametrize("name", PACKAGES)
def test_import_finds_this_repository(name: str) -> None:
    """Another wheel that ships a package called ``streams`` would be found here."""
    module = importlib.import_module(name)

    assert module.__file__ is not None
    assert Path(module.__file__).parent == ROOT / name


@pytest.mark.parametrize("script", ["homeport", "docker/kafka/start.sh"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_shell_scripts_parse(script: str, shell: str) -> None:
    done = subprocess.run([shell, "-n", script], cwd=ROOT, check=False, capture_output=True)

    assert done.returncode == 0, done.stderr
