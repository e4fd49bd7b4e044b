"""Every service by name, and how each is built from its settings."""

import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

from schemas.errors import SetupError
from streams.settings import Settings


class Loop(Protocol):
    """What a service of ours is: one blocking call that ends when it is told to."""

    def run(self, halt: threading.Event) -> None:
        """Work until *halt* is set; raise to crash the worker."""
        ...

    def health(self) -> Mapping[str, Any]:
        """Return counters, and under ``ready`` whether the loop works."""
        ...


# name -> module with a `build(settings)`; imported on use, so that a process of one
# service never loads another's code
SERVICES: Mapping[str, str] = {
    "gateway": "streams.gateway",
    "border": "streams.border",
    "egress": "streams.egress",
    "enrich": "streams.enrich",
    "erase": "streams.erase",
    "vault": "streams.vault.writer",
    "lookup": "streams.lookup",
}


def build_loop(settings: Settings) -> Loop:
    """Return the loop of the service that *settings* name.

    Raises:
        SetupError: There is no such service.

    """
    module = SERVICES.get(settings.service)
    if module is None:
        msg = f"no service {settings.service!r}; have {', '.join(SERVICES)}"
        raise SetupError(msg)
    build: Callable[[Settings], Loop] = import_module(module).build
    return build(settings)
