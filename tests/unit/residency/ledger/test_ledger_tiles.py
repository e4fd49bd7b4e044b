"""Files are named and filled as C2SP tlog-tiles says."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.ledger.errors import FormatError
from residency.ledger.tiles import (
    ENTRIES,
    Tile,
    grow,
    join_entries,
    parse_path,
    split_entries,
    split_hashes,
    tiles_of,
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(1, 999, 1), "tile/1/999.p/1"),
        (Tile(63, 1000, 255), "tile/63/x001/000.p/255"),
        (Tile(ENTRIES, 273, 112), "tile/entries/273.p/112"),
    ],
)
def test_paths_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_path(path) == tile


@given(st.builds(Tile, st.integers(-1, 63), st.integers(0, 10**10), st.integers(1, 256)))
def test_a_path_parses_to_its_tile(tile: Tile) -> None:
    assert parse_path(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",  # a leading group of nothing
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/07",
        "tile/0/000.p/",
        "tile/0/000.p/1/1",
        "tile/0/000.p/1.p/1",
        "tile/entries/000.q/1",
        "tile/data/000",
        "tile/0/\u0661\u0661\u0661",  # digits, but not ours
        "/tile/0/000",
        "tile/0/../000",
    ],
)
def test_no_other_path_is_a_tile(path: str) -> None:
    with pytest.raises(FormatError):
        parse_path(path)


def test_the_tree_of_70000_of_the_specification() -> None:
    found = Counter((tile.level, tile.width) for tile in tiles_of(70_000))

    assert found == {
        (ENTRIES, 256): 273,
        (ENTRIES, 112): 1,
        (0, 256): 273,
        (0, 112): 1,
        (1, 256): 1,
        (1, 17): 1,
        (2, 1): 1,
    }


def test_the_tree_of_256_of_the_specification() -> None:
    paths = [tile.path for tile in tiles_of(256)]

    assert paths == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


def test_an_empty_tree_has_no_files() -> None:
    assert list(tiles_of(0)) == []


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_splits_into_its_entries(entries: list[bytes]) -> None:
    assert split_entries(join_entries(entries), len(entries)) == entries


def test_lengths_are_big_endian_and_reach_65535() -> None:
    longest = bytes(65_535)

    assert join_entries([b"ab", b""]) == b"\x00\x02ab\x00\x00"
    assert split_entries(join_entries([longest]), 1) == [longest]
    with pytest.raises(FormatError, match="65536 bytes"):
        join_entries([bytes(65_536)])


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (b"\x00\x01a", 2),  # too few
        (b"\x00\x01a\x00\x00", 1),  # too many
        (b"\x00\x02a", 1),  # cut
        (b"\x00\x01a\x00", 2),  # a length cut
        (b"\x00", 1),
        (b"", 1),
    ],
)
def test_a_bundle_of_another_width_is_refused(data: bytes, width: int) -> None:
    with pytest.raises(FormatError):
        split_entries(data, width)


@pytest.mark.parametrize("size", [0, 31, 33, 63, 65])
def test_a_tile_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(FormatError):
        split_hashes(bytes(size), 1 if size < 64 else 2)


def test_growing_over_a_tile_ends_it_and_starts_the_next() -> None:
    edge, gained = [b"old"] * 255, [b"new"] * 258

    grown = grow(0, 255, edge, gained)

    assert [tile for tile, _ in grown] == [Tile(0, 0), Tile(0, 1), Tile(0, 2, 1)]
    assert grown[0][1] == [*edge, b"new"]
    with pytest.raises(ValueError, match="at the edge"):
        grow(0, 254, edge, gained)
