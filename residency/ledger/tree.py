"""The Merkle tree under the ledger: hashes and proofs, no storage, no clock.

Follows RFC 6962 section 2.1 for the tree and RFC 9162 section 2.1.3-2.1.4 for checking its
proofs. Shown to agree with the published roots, with a real Certificate Transparency log and
with Go's ``sumdb/tlog``.

A *node* is the hash of a perfect subtree: ``(height, n)`` covers the ``2**height`` leaves from
``n * 2**height`` on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
TILE_HEIGHT = 8  # tree levels in a tile; C2SP tlog-tiles fixes it
EMPTY_ROOT = sha256(b"").digest()

NodeReader = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return SHA-256(0x00 || entry), 32 bytes. Source: RFC 6962 section 2.1."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right), 32 bytes. Source: RFC 6962 section 2.1."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """What must be remembered of a tree to append to it and know its root.

    Attributes:
        size: Leaves in the tree.
        peaks: Roots of the perfect subtrees it is made of, largest first; one per 1 bit
            of *size*, so at most log2(size) + 1.

    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def extend(self, hashes: Iterable[bytes]) -> tuple["Frontier", list[list[bytes]]]:
        """Return the tree with *hashes* appended, and the hashes its tiles gain.

        Args:
            hashes: Leaf hashes, oldest first.

        Returns:
            The new frontier, and per tile level the new hashes: level 0 is *hashes*, level
            L + 1 the roots of the level-L tiles that became full. No empty level at the end.

        O(n) hashes for n leaves, whatever the size of the tree.

        """
        size, peaks = self.size, list(self.peaks)
        leaves = list(hashes)
        gained = [leaves] if leaves else []
        for leaf in leaves:
            node, ends, height = leaf, size, 0
            while ends & 1:
                node = sha256(b"\x01" + peaks.pop() + node).digest()  # node_hash, inlined
                ends >>= 1
                height += 1
                if height % TILE_HEIGHT == 0:
                    level = height // TILE_HEIGHT
                    if level == len(gained):
                        gained.append([])
                    gained[level].append(node)
            peaks.append(node)
            size += 1
        return Frontier(size, tuple(peaks)), gained

    def root(self) -> bytes:
        """Return the root, 32 bytes; of an empty tree, SHA-256 of nothing."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    @classmethod
    def join(cls, edge: Sequence[Sequence[bytes]]) -> "Frontier":
        """Return the frontier of the tree whose partial tiles are *edge*.

        Args:
            edge: Per level from 0 the hashes of its partial tile, 0 to 255 of them.

        """
        size = 0
        peaks: tuple[bytes, ...] = ()
        for level in reversed(range(len(edge))):
            part, _ = cls().extend(edge[level])
            size += part.size << TILE_HEIGHT * level
            peaks += part.peaks
        return cls(size, peaks)


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree whose leaf (or lower subtree) hashes are *hashes*."""
    return Frontier().extend(hashes)[0].root()


def range_root(start: int, stop: int, node: NodeReader) -> bytes:
    """Return MTH(D[start:stop]); *start* must be where a subtree of that tree begins."""
    peaks: list[bytes] = []
    while start < stop:
        height = (stop - start).bit_length() - 1
        peaks.append(node(height, start >> height))
        start += 1 << height
    return Frontier(0, tuple(peaks)).root()


def _split(size: int) -> int:
    """Return the largest power of two below *size*; *size* is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the audit path of leaf *index* in the tree of *size*.

    Returns:
        At most log2(size) + 1 hashes, the leaf's sibling first, the root's child last.

    Raises:
        ValueError: There is no such leaf in a tree of this size.

    Source: RFC 6962 section 2.1.1 (PATH).

    """
    if not 0 <= index < size:
        msg = f"no leaf {index} in a tree of size {size}"
        raise ValueError(msg)
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(range_root(middle, stop, node))
            stop = middle
        else:
            path.append(range_root(start, middle, node))
            start = middle
    return path[::-1]


def inclusion_root(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that *proof* leads to from *leaf*, or None if it does not fit the tree.

    Args:
        index: The leaf's index.
        size: The tree's size.
        leaf: The leaf's hash.
        proof: As made by `inclusion_proof`.

    Source: RFC 9162 section 2.1.3.2.

    """
    if not 0 <= index < size:
        return None
    here, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if here & 1 or here == last:
            root = node_hash(sibling, root)
            while here and not here & 1:
                here >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        here >>= 1
        last >>= 1
    return root if last == 0 else None


def consistency_proof(old: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the proof that the tree of size *old* is a prefix of the tree of *size*.

    Returns:
        Empty when *old* equals *size*.

    Raises:
        ValueError: *old* is not within 1 and *size*.

    Source: RFC 6962 section 2.1.2 (PROOF).

    """
    if not 0 < old <= size:
        msg = f"no consistency proof from size {old} to size {size}"
        raise ValueError(msg)
    path: list[bytes] = []
    start, stop = 0, size
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(range_root(middle, stop, node))
            stop = middle
        else:
            path.append(range_root(start, middle, node))
            start = middle
    if start > 0:  # otherwise the old root itself is the subtree, and the verifier has it
        path.append(range_root(start, stop, node))
    return path[::-1]


def is_consistent(
    old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether *proof* shows that (*size*, *root*) only appended to (*old*, *old_root*).

    Source: RFC 9162 section 2.1.4.2.
    """
    if not 0 < old <= size:
        return False
    if old == size:
        return not proof and old_root == root
    nodes = list(proof)
    if old & (old - 1) == 0:  # a power of two: the old root is itself the first node
        nodes.insert(0, old_root)
    if not nodes:
        return False
    here, last = old - 1, size - 1
    while here & 1:
        here >>= 1
        last >>= 1
    seen_old = seen_new = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            seen_old = node_hash(sibling, seen_old)
            seen_new = node_hash(sibling, seen_new)
            while here and not here & 1:
                here >>= 1
                last >>= 1
        else:
            seen_new = node_hash(seen_new, sibling)
        here >>= 1
        last >>= 1
    return last == 0 and seen_old == old_root and seen_new == root
