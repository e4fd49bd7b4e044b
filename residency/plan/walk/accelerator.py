"""Numba where it is installed. Where it is not, `strip` decides and the worker says so."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

try:
    import numba
except ImportError:  # an optional speed-up: everything works without it
    IS_ACCELERATED = False
else:
    IS_ACCELERATED = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


def compiled(function: F) -> F:
    """Return *function* compiled to machine code on its first call, if that can be done.

    The code is cached beside the module, or in the user's cache where that cannot be
    written; where neither can, each process compiles anew (some seconds).
    """
    if not IS_ACCELERATED:
        return function
    try:
        return numba.njit(function, cache=True, nogil=True)  # type: ignore[no-any-return]
    except RuntimeError:  # no place for the cache
        return numba.njit(function, nogil=True)  # type: ignore[no-any-return]


def view(raw: bytes) -> Any:
    """Return bytes as the kernels read them; never empty, so that there is something to point at.

    Interpreted, NumPy's items would be NumPy's numbers and wrap at 256.
    """
    return np.frombuffer(raw or b"\0", np.uint8) if IS_ACCELERATED else memoryview(raw or b"\0")


def ints(numbers: Any) -> Any:
    """Return numbers as the kernels read them: an int64 array, interpreted a list."""
    made = np.asarray(numbers, np.int64)
    return made if IS_ACCELERATED else made.tolist()
