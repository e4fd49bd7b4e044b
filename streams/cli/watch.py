"""Live progress of the demo, on stderr: what starts, then a bar per stage."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from streams.demo.observe import Counts


class Watch:
    """Shows steps as lines and stages as bars; plain lines where there is no terminal."""

    def __init__(self, events: int) -> None:
        """Expect so many events."""
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._events = events
        self._published = self._bars.add_task("published", total=events, visible=False)
        self._decided = self._bars.add_task("border: decided", total=None, visible=False)
        self._settled = self._bars.add_task("egress: settled", total=None, visible=False)
        self._told = -1

    def __enter__(self) -> Self:
        """Start showing."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""
        self._bars.stop()

    def step(self, step: str, state: str) -> None:
        """Say that a step of starting or stopping changed its state."""
        self._console.print(f"{step}: {state}", style="dim", highlight=False)

    def stages(self, answered: int, counts: Mapping[str, Counts]) -> None:
        """Move the bars; without a terminal, a line per tenth."""
        raw = sum(c.raw for c in counts.values())
        border = [c.border for c in counts.values()]
        decided, minimal = sum(t.raw for t in border), sum(c.minimal for c in counts.values())
        settled = sum(c.settled for c in counts.values())
        self._bars.update(self._published, completed=answered, visible=True)
        self._bars.update(self._decided, completed=decided, total=raw, visible=True)
        self._bars.update(self._settled, completed=settled, total=minimal, visible=True)
        tenth = 10 * answered // self._events
        if self._bars.disable and tenth != self._told:
            self._told = tenth
            line = (
                f"published {answered}, decided {decided} of {raw}, settled {settled} of {minimal}"
            )
            self._console.print(line, highlight=False)
