"""Numba is used where it is, and nothing is missed where it is not."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

NAME = "residency.plan.walk.accelerator"


def imported(monkeypatch: pytest.MonkeyPatch, numba: object) -> ModuleType:
    """Return the module as it is where ``import numba`` finds *numba*."""
    monkeypatch.setitem(sys.modules, "numba", numba)
    spec = importlib.util.find_spec(NAME)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numba(*, disabled: bool = False, cached: bool = True) -> tuple[Any, list[dict[str, Any]]]:
    """Return a stand-in and the options that it is asked for; not *cached*: there is no place."""
    asked: list[dict[str, Any]] = []

    def njit(function: Any, **options: Any) -> Any:
        asked.append(options)
        if options.get("cache") and not cached:
            raise RuntimeError
        return ("compiled", function)

    config = SimpleNamespace(DISABLE_JIT=int(disabled))
    return SimpleNamespace(njit=njit, config=config), asked


def test_without_numba_code_is_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported(monkeypatch, None)

    assert module.IS_ACCELERATED is False
    assert module.compiled(len) is len


def test_numba_that_is_switched_off_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in, asked = numba(disabled=True)
    module = imported(monkeypatch, stand_in)

    assert module.IS_ACCELERATED is False
    assert module.compiled(len) is len
    assert asked == []


def test_with_numba_code_is_compiled_and_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in, asked = numba()
    module = imported(monkeypatch, stand_in)

    assert module.IS_ACCELERATED is True
    assert module.compiled(len) == ("compiled", len)
    assert asked == [{"cache": True, "nogil": True}]


def test_where_no_cache_can_be_written_code_is_compiled_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in, asked = numba(cached=False)
    module = imported(monkeypatch, stand_in)

    assert module.compiled(len) == ("compiled", len)
    assert asked[1:] == [{"nogil": True}]


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff\x01"])
def test_interpreted_kernels_read_pythons_numbers(
    raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = imported(monkeypatch, None)

    seen = module.view(raw)

    assert list(seen) == list(raw or b"\0")
    assert {type(one) for one in seen} == {int}
    assert module.ints(np.array([1, -(2**63)])) == [1, -(2**63)]
    assert {type(one) for one in module.ints(np.array([1]))} == {int}


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff\x01"])
def test_compiled_kernels_read_arrays(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported(monkeypatch, numba()[0])

    seen, numbers = module.view(raw), module.ints([1, -(2**63)])

    assert (seen.dtype, seen.tolist()) == (np.uint8, list(raw or b"\0"))
    assert (numbers.dtype, numbers.tolist()) == (np.int64, [1, -(2**63)])
