"""Follow a ledger that grows, and hold it to every checkpoint seen so far."""

from residency.ledger.consistency import grown_from
from residency.ledger.errors import LedgerError
from residency.ledger.note import Checkpoint, Verifier
from residency.ledger.reader import Reader, open_head
from residency.ledger.tree import leaf_hash


class Follower:
    """What somebody knows who watches a ledger from some checkpoint on."""

    __slots__ = ("_frontier", "_log", "_reader", "head")

    def __init__(self, reader: Reader, log: Verifier) -> None:
        """Start at the ledger's present checkpoint.

        Raises:
            LedgerError: It is not signed by *log*, or the tiles do not lead to its root.

        """
        self._reader, self._log = reader, log
        self.head: Checkpoint = open_head(reader, log)
        self._frontier = grown_from(reader, self.head, self.head)

    def step(self) -> list[tuple[int, bytes]]:
        """Return the entries that are new, with their indexes; all of them are in the tree.

        Raises:
            RollbackError: The ledger is shorter than it was.
            ForkError: It is another one.
            LedgerError: The checkpoint is not signed, or the new entries do not lead to it.

        """
        old, head = self.head, open_head(self._reader, self._log)
        if head == old:
            return []
        grown_from(self._reader, old, head)
        entries = list(self._reader.entries(old.size, head.size, head.size))
        frontier, _ = self._frontier.extend(map(leaf_hash, entries))
        if frontier.root() != head.root:
            msg = (
                f"leaves {old.size} to {head.size - 1}: the entries do not hash to the root that "
                "the checkpoint signs: verify the ledger to see which is bad"
            )
            raise LedgerError(msg)
        self.head, self._frontier = head, frontier
        return list(enumerate(entries, old.size))
