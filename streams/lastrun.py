"""Whether the run before left a request to the org that may still be carried out.

A run that was told to stop knows it: every request of its was answered, or is remembered as in
doubt. Where nothing is in doubt, it leaves a mark, ``<home>/<region>/egress/settled.json``, with
the size of the ledger. The next run takes the mark away before its first request, so a run that
is killed leaves none. A mark that comes back, from a backup say, is of another size: nothing is
sent without a leaf.
"""

import logging
from pathlib import Path
from typing import Final

import orjson

from residency.ledger.disk import POSIX, replace_durably, write_durably
from schemas.errors import HaltError

LOG = logging.getLogger("homeport.egress")
MARK: Final = "settled.json"


class LastRun:
    """The mark of one region. Use it under the ledger's lock."""

    def __init__(self, folder: Path) -> None:
        """Take egress's folder; changes nothing."""
        self._path = folder / MARK

    def take(self, size: int) -> bool:
        """Return whether the run before left nothing, and forget it: durable when this returns.

        Args:
            size: Of the ledger, now.

        Raises:
            HaltError: The disk fails; the mark may be there still.

        """
        try:
            data = self._path.read_bytes()
            POSIX.remove(self._path)
            write_durably(POSIX, [], [self._path.parent])
        except FileNotFoundError:
            return False
        except OSError as error:
            msg = (
                f"{self._path} cannot be taken away ({error.strerror}); mend the disk, or remove it"
            )
            raise HaltError(msg) from error
        try:
            left = orjson.loads(data)
        except ValueError:
            return False
        return bool(left == {"size": size})

    def leave(self, size: int) -> None:
        """Say that this run leaves nothing; a disk that fails only costs the next run's wait."""
        try:
            replace_durably(POSIX, self._path, orjson.dumps({"size": size}))
        except OSError as error:
            text = "%s is not written, so deletions wait after the next start: %s"
            LOG.warning(text, MARK, error.strerror)
