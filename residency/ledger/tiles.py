"""Names and contents of the ledger's files. Pure maths. Source: C2SP tlog-tiles.

A tile holds up to 256 consecutive hashes of one level: level 0 the leaf hashes, level L + 1
the roots of the full tiles of level L. A bundle holds the entries of a level-0 tile. The last
tile of a level may be partial; only full ones are hashed upward.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from residency.ledger.errors import FormatError
from residency.ledger.tree import HASH_BYTES, TILE_HEIGHT, NodeReader, subtree_root

TILE_WIDTH = 1 << TILE_HEIGHT  # hashes or entries in a full tile
ENTRIES = -1  # the "level" of entry bundles
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 65_535  # an entry's length is a uint16
_LENGTH_BYTES = 2
_GROUP = 1000  # children per folder: 1234067 is x001/x234/067


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One file of the tree.

    Attributes:
        level: From 0, or `ENTRIES` for a bundle.
        n: Index within the level, from 0.
        width: Hashes or entries in it, 1 to 256; below 256 it is partial.

    """

    level: int
    n: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Return the path below the ledger's folder, such as ``tile/0/x001/067.p/12``."""
        n = self.n
        name = f"{n % _GROUP:03d}"
        while n >= _GROUP:
            n //= _GROUP
            name = f"x{n % _GROUP:03d}/{name}"
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{name}{partial}"


def parse_path(path: str) -> Tile:
    """Return the tile that *path* names; the inverse of `Tile.path`.

    Raises:
        FormatError: *path* is not the one way to write a tile's name.

    """
    error = FormatError(f"{path!r} is not the path of a tile")
    head, _, rest = path.partition("/")
    level, _, name = rest.partition("/")
    folder, partial, width = name.rpartition(".p/")
    groups = (folder if partial else name).split("/")
    digits = [group.removeprefix("x") for group in groups]
    numbers = [level, *digits, *([width] if partial else [])]
    if level == "entries":
        numbers.remove(level)
    if head != "tile" or not all(text.isascii() and text.isdigit() for text in numbers):
        raise error
    tile = Tile(
        ENTRIES if level == "entries" else int(level),
        int("".join(digits)),
        int(width) if partial else TILE_WIDTH,
    )
    is_partial_width = 1 <= tile.width < TILE_WIDTH
    if tile.path != path or tile.level > MAX_LEVEL or is_partial_width != bool(partial):
        raise error
    return tile


def level_width(level: int, size: int) -> int:
    """Return how many hashes a level has in a tree of *size* (entries, for `ENTRIES`)."""
    return size >> TILE_HEIGHT * max(level, 0)


def level_tiles(level: int, size: int) -> Iterator[Tile]:
    """Yield every tile of one level in a tree of *size*, oldest first."""
    full, rest = divmod(level_width(level, size), TILE_WIDTH)
    for n in range(full):
        yield Tile(level, n)
    if rest:
        yield Tile(level, full, rest)


def levels(size: int) -> range:
    """Return the hash levels that a tree of *size* has."""
    top = 0
    while level_width(top, size):
        top += 1
    return range(top)


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield every file that a tree of *size* needs: bundles first, then level by level."""
    for level in (ENTRIES, *levels(size)):
        yield from level_tiles(level, size)


def partial_tile(level: int, size: int) -> Tile | None:
    """Return the partial tile of a level, or None if the level ends on a full one."""
    n, width = divmod(level_width(level, size), TILE_WIDTH)
    return Tile(level, n, width) if width else None


def tile_at(level: int, n: int, size: int) -> Tile:
    """Return tile *n* of a level as wide as it is in a tree of *size*."""
    return Tile(level, n, min(TILE_WIDTH, level_width(level, size) - n * TILE_WIDTH))


def split_hashes(data: bytes, width: int) -> list[bytes]:
    """Return the *width* hashes of a tile.

    Raises:
        FormatError: The tile has another length.

    """
    if len(data) != width * HASH_BYTES:
        msg = f"a tile of {width} hashes has {len(data)} bytes, not {width * HASH_BYTES}"
        raise FormatError(msg)
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def join_entries(entries: Sequence[bytes]) -> bytes:
    """Return the bundle of *entries*: each after its length, a big-endian uint16.

    Raises:
        FormatError: An entry is longer than 65,535 bytes.

    """
    for number, entry in enumerate(entries):
        if len(entry) > MAX_ENTRY_BYTES:
            msg = f"entry {number} of the batch has {len(entry)} bytes, at most {MAX_ENTRY_BYTES}"
            raise FormatError(msg)
    return b"".join([len(e).to_bytes(_LENGTH_BYTES, "big") + e for e in entries])


def split_entries(data: bytes, width: int) -> list[bytes]:
    """Return the *width* entries of a bundle; the inverse of `join_entries`.

    Raises:
        FormatError: The bundle holds fewer or more than *width* whole entries.

    """
    entries = leading_entries(data, width)
    length = sum(map(len, entries)) + _LENGTH_BYTES * width
    if len(entries) != width or length != len(data):
        msg = f"a bundle does not hold exactly {width} whole entries"
        raise FormatError(msg)
    return entries


def leading_entries(data: bytes, width: int) -> list[bytes]:
    """Return the whole entries that a bundle begins with, at most *width*, whatever follows."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while len(entries) < width:
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if start > end or at > end:
            break
        entries.append(data[start:at])
    return entries


def grow(
    level: int, size: int, edge: Sequence[bytes], gained: Sequence[bytes]
) -> list[tuple[Tile, list[bytes]]]:
    """Return the tiles of one level that *gained* starts or widens, with what they hold.

    Args:
        level: The level, or `ENTRIES`.
        size: Tree size before.
        edge: What the level's partial tile holds at *size*; empty if there is none.
        gained: The hashes or entries that the level gains.

    Raises:
        ValueError: *edge* is not as long as that tile is wide.

    """
    n, width = divmod(level_width(level, size), TILE_WIDTH)
    if len(edge) != width:
        msg = f"level {level}: {len(edge)} hashes at the edge of a tree of size {size}"
        raise ValueError(msg)
    items = [*edge, *gained]
    chunks = [items[at : at + TILE_WIDTH] for at in range(0, len(items), TILE_WIDTH)]
    return [(Tile(level, n + i, len(chunk)), chunk) for i, chunk in enumerate(chunks)]


def node_reader(size: int, read: Callable[[Tile], bytes]) -> NodeReader:
    """Return a reader of the nodes of a tree of *size* from its tiles."""

    def node(height: int, n: int) -> bytes:
        level, inner = divmod(height, TILE_HEIGHT)
        tile = tile_at(level, (n << inner) // TILE_WIDTH, size)
        hashes = split_hashes(read(tile), tile.width)
        start = (n << inner) % TILE_WIDTH
        return subtree_root(hashes[start : start + (1 << inner)])

    return node
