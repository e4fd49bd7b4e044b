"""`homeport worker --service enrich` that kills itself in a transaction when it is told to.

Run as ``dying_enrich.py HOME REGION FLAG``: when the file FLAG is there, the next batch's records
and offsets are sent, and instead of the commit comes SIGKILL. Nothing else is changed.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from connectors.kafka import clients

MADE = clients.transactional_producer
SENT_S = 10.0


class Dying:
    """A transactional producer whose process dies at a commit."""

    def __init__(self, producer: Producer, flag: Path) -> None:
        """Take the producer and the file that says when."""
        self._producer = producer
        self._flag = flag

    def __getattr__(self, name: str) -> Any:
        """Do as the producer does."""
        return getattr(self._producer, name)

    def commit_transaction(self, timeout: float) -> None:
        """Commit; or die, all of the transaction being with the broker."""
        if self._flag.exists():
            self._producer.flush(SENT_S)
            self._flag.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        self._producer.commit_transaction(timeout)


def main(home: str, region: str, flag: Path) -> None:
    """Run the worker as the command does, imports and all."""

    def made(*given: Any) -> Any:
        return Dying(MADE(*given), flag)

    clients.transactional_producer = made
    from streams.cli import cli  # noqa: PLC0415, the hop takes its producer's maker at import

    cli(["worker", "--region", region, "--service", "enrich", "--home", home])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
