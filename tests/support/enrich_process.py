"""An enrichment worker as a process, with a hand-made model, to be killed.

Run as ``enrich_process.py HOME DOWN``: while the file DOWN exists, the model does not answer.
"""

import signal
import sys
import threading
from pathlib import Path

from enrich_line import AMPLE, made_worker
from label_world import HandMade

from streams.settings import load_settings

TAKES_S = 0.01  # a request: so that a kill often falls into one


def main(home: Path, down: Path) -> None:
    """Work until SIGTERM."""
    halt = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: halt.set())
    settings = load_settings(home, "eu", "enrich")
    made_worker(settings, HandMade(down=down, takes_s=TAKES_S), AMPLE).run(halt)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
