"""Ctrl-C while a command still loads: it ends at once, with its exit code and without a traceback.

An exception there would come up inside somebody's import, or inside native code that is half
initialised, which it has crashed.
"""

import os
import signal

_INTERRUPTED = 130


def _leave(*_: object) -> None:
    os._exit(_INTERRUPTED)  # there is nothing to tidy up yet


def begin() -> None:
    """Leave at Ctrl-C; not where whoever started us wants it ignored, or handles it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def end() -> None:
    """From here on Ctrl-C is an exception, as Python has it; nothing if `begin` did nothing."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
