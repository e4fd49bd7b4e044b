"""Progress bars of long work, on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

from residency.ledger.walk import Progress

BAR_FROM = 20_000  # leaves; below, a verification is over before a bar is drawn


@contextmanager
def leaf_bar() -> Iterator[Progress]:
    """Yield what draws a bar on stderr for a long verification, and nothing for a short one."""
    from rich.console import Console  # noqa: PLC0415 -- only here, and slow to import
    from rich.progress import Progress as Bar  # noqa: PLC0415 -- as above

    bar = Bar(console=Console(stderr=True), transient=True)
    task = bar.add_task("leaves", total=None)

    def progress(done: int, total: int) -> None:
        if total >= BAR_FROM and bar.console.is_terminal:
            bar.start()
            bar.update(task, completed=done, total=total)

    try:
        yield progress
    finally:
        if bar.live.is_started:
            bar.stop()
