"""A worker's process that is started again whenever it ends, as the supervisor does."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SUPPORT = Path(__file__).parent


class Watched:
    def __init__(self, command: Sequence[str | Path]) -> None:
        path = os.pathsep.join([str(SUPPORT), str(SUPPORT.parents[1])])
        self._environ = {**os.environ, "PYTHONPATH": path}
        self._command = [sys.executable, *map(str, command)]
        self._is_over = False
        self.kills = 0
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    def kill(self) -> None:
        self._process.kill()
        self.kills += 1

    def stop(self) -> None:
        self._is_over = True
        self._process.terminate()
        self._keeper.join()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, env=self._environ, stderr=subprocess.DEVNULL)

    def _keep(self) -> None:
        while True:
            self._process.wait()
            if self._is_over:
                return
            self._process = self._start()


@contextmanager
def watched(*command: str | Path) -> Iterator[Watched]:
    """Run a script of ours, with its arguments, until the block ends."""
    worker = Watched(command)
    try:
        yield worker
    finally:
        worker.stop()
