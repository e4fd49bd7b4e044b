"""Has the ledger say that somebody is about to see something of the vault's."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from residency.keys import COMMITMENTS, secret
from residency.ledger.accesses import AccessLeaf, Act, Purpose, subjects_bytes
from residency.ledger.leaves import commit, month_key, month_of, quantise
from streams.leaf_requests import append_leaf, new_request
from streams.looking.callers import Caller

PATIENCE_S: Final = 2.0  # for the leaf; a person waits on the other side


class Witness:
    """Has the `access` leaves of one region appended."""

    def __init__(self, folder: Path, patience_s: float = PATIENCE_S) -> None:
        """Take the region's folder; the commitment root is made by egress or by us."""
        self._folder = folder
        self._root = secret(folder / "keys", COMMITMENTS)
        self._patience_s = patience_s

    def log(  # noqa: PLR0913, PLR0917, what a leaf says
        self,
        caller: Caller,
        act: Act,
        purpose: Purpose,
        ticket: str,
        subjects: Sequence[bytes],
        now: datetime,
    ) -> tuple[str, int | None]:
        """Return request and index of the leaf; None: it is durable as a request, and waits.

        Raises:
            SetupError: The request cannot be written.
            LedgerError: It was refused.

        """
        request, time = new_request(), quantise(now)
        key = month_key(self._root, month_of(time))
        name = f"access/{request}"
        whole = subjects_bytes(subjects)
        leaf = AccessLeaf(
            time=time,
            request=request,
            caller=caller.name,
            act=act,
            purpose=purpose,
            subjects=len(set(subjects)),
            subject=commit(key, name.encode(), whole).hex(),
            ticket=commit(key, f"{name}/ticket".encode(), ticket.encode()).hex(),
        )
        return request, append_leaf(self._folder, leaf, patience_s=self._patience_s)
