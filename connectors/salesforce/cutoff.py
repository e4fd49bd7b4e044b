"""The end of a try, however slowly its answer comes.

A read time-out bounds a silence: a byte a minute keeps a call alive for ever, and with it the
worker. So each read and write of a connection also looks how long the whole try may still take.
"""

import math
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

_ends: ContextVar[float] = ContextVar("ends", default=math.inf)


@contextmanager
def ending(at: float) -> Iterator[None]:
    """Have this thread's reads and writes time out from *at* on (`time.monotonic`)."""
    before = _ends.set(at)
    try:
        yield
    finally:
        _ends.reset(before)


class _Socket(ssl.SSLSocket):
    """A connection whose reads and writes end with the try."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:  # noqa: ANN401
        self._bound()
        return super().recv_into(buffer, nbytes, flags)

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401 -- any buffer
        self._bound()
        return super().send(data, flags)

    def _bound(self) -> None:
        left, silence = _ends.get() - time.monotonic(), self.gettimeout()
        if left <= 0:
            msg = "the call took too long"
            raise TimeoutError(msg)
        if silence is None or left < silence:  # the next request sets its own
            self.settimeout(left)


class Adapter(HTTPAdapter):
    """Connections of a session that `ending` cuts off."""

    def init_poolmanager(self, *given: Any, **named: Any) -> None:  # noqa: ANN401
        """See `HTTPAdapter.init_poolmanager`; authorities are still the session's."""
        context = create_urllib3_context()
        context.sslsocket_class = _Socket
        super().init_poolmanager(*given, ssl_context=context, **named)
