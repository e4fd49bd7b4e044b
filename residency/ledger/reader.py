"""Read a ledger's files; takes no lock, so it may run beside the writer."""

from collections.abc import Iterator
from pathlib import Path

from residency.ledger import disk
from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.note import Checkpoint, Verifier, open_checkpoint
from residency.ledger.tiles import (
    ENTRIES,
    TILE_WIDTH,
    Tile,
    join_entries,
    split_entries,
    tile_at,
)
from residency.ledger.tree import HASH_BYTES
from schemas.errors import SetupError

CHECKPOINT, VKEY, TILES = "checkpoint", "vkey", "tile"
_WIDTHS = {str(width): width for width in range(1, TILE_WIDTH)}  # names of partial tiles


class MissingTileError(LedgerError):
    """A file that the checkpoint needs is not there."""


class Reader:
    """The files of one ledger, as they are now. Nothing it returns is verified."""

    __slots__ = ("folder",)

    def __init__(self, folder: Path) -> None:
        """Read the ledger in *folder*."""
        self.folder = folder

    def require(self) -> None:
        """Make sure that there is a ledger.

        Raises:
            SetupError: There is none.

        """
        if not (self.folder / CHECKPOINT).exists() and not (self.folder / TILES).exists():
            msg = f"no ledger in {self.folder}; the region's egress worker makes one at its start"
            raise SetupError(msg)

    def checkpoint(self) -> bytes:
        """Return the checkpoint file.

        Raises:
            LedgerError: There is none.

        """
        return self._must(CHECKPOINT)

    def verifier(self) -> Verifier:
        """Return the key in the ledger's own ``vkey`` file.

        Raises:
            LedgerError: The file is missing or not exactly a line with a vkey.

        """
        data = self._must(VKEY)
        verifier = parse_vkey_file(data)
        if data != f"{verifier}\n".encode():
            msg = f"{self.folder / VKEY} is not one line with a vkey"
            raise FormatError(msg)
        return verifier

    def tile(self, tile: Tile) -> bytes:
        """Return the content of *tile*, from a wider tile of the same place if need be.

        The writer removes a partial tile when a wider one is under a signed checkpoint, so
        a reader that holds an older checkpoint finds its hashes there.

        Raises:
            MissingTileError: No file holds them.

        """
        # Twice: the tile may be replaced between the look at its folder and the read.
        for _ in range(2):
            for candidate in self._candidates(tile):
                data = disk.read_file(self.folder / candidate.path)
                if data is not None:
                    return data if candidate == tile else _cut(data, tile, candidate)
        msg = f"{tile.path} is missing from {self.folder}"
        raise MissingTileError(msg)

    def entries(self, start: int, stop: int, size: int) -> Iterator[bytes]:
        """Yield the entries *start* to *stop* of the tree of *size*.

        Raises:
            LedgerError: A bundle is missing or malformed.

        """
        for n in range(start // TILE_WIDTH, -(-stop // TILE_WIDTH)):
            first = n * TILE_WIDTH
            bundle = self.bundle(tile_at(ENTRIES, n, size))
            yield from bundle[max(start - first, 0) : stop - first]

    def bundle(self, tile: Tile) -> list[bytes]:
        """Return the entries of one bundle.

        Raises:
            LedgerError: It is missing or malformed.

        """
        try:
            return split_entries(self.tile(tile), tile.width)
        except FormatError as exc:
            msg = f"{tile.path}: {exc}; restore it from a backup or mirror"
            raise FormatError(msg) from exc

    def _candidates(self, tile: Tile) -> Iterator[Tile]:
        """Yield the tile itself, then whatever holds it as a prefix, narrowest first."""
        yield tile
        if tile.width < TILE_WIDTH:
            beside = disk.names((self.folder / tile.path).parent)
            widths = sorted(_WIDTHS[name] for name in beside if name in _WIDTHS)
            for width in (*widths, TILE_WIDTH):
                if width > tile.width:
                    yield Tile(tile.level, tile.n, width)

    def _must(self, name: str) -> bytes:
        data = disk.read_file(self.folder / name)
        if data is None:
            msg = f"{self.folder / name} is missing; restore the folder from a backup or mirror"
            raise LedgerError(msg)
        return data


def _cut(data: bytes, tile: Tile, wider: Tile) -> bytes:
    """Return the part of the content of *wider* that *tile* holds."""
    if tile.level != ENTRIES:
        return data[: tile.width * HASH_BYTES]
    return join_entries(split_entries(data, wider.width)[: tile.width])


def parse_vkey_file(data: bytes) -> Verifier:
    """Return the key in a ``vkey`` file: one line.

    Raises:
        FormatError: It is not one line with a vkey.

    """
    text = data.decode("utf-8", "replace")
    return Verifier.parse(text.removesuffix("\n"))


def open_head(reader: Reader, log: Verifier | None = None) -> Checkpoint:
    """Return the ledger's checkpoint, its signature checked.

    Args:
        reader: The ledger.
        log: The log's key, from a trusted place; None takes the one beside the checkpoint,
            which proves only that the folder agrees with itself.

    Raises:
        LedgerError: It is missing, malformed or not signed by that key.

    """
    return open_checkpoint(reader.checkpoint(), log or reader.verifier())
