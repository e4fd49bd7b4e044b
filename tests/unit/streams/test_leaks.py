"""The leak search finds every canary however it is written, and nothing else."""

import json
import random
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.demo.leaks import LeakSearch, encodings
from streams.demo.views import View

CANARIES = (
    "Zq7.Kestrel-19@canary.example",
    "Größe-Ünlü Ångström 44aF9",
    "+49 (151) 7340-9182-66",
    "12 Rosehill Lane/Flat 9Xk2",
    "a-b-c-d-Q9z",  # shorter than the window without its separators
    "9fK2qL7x",  # as short as a canary may be
    "emoji \U0001f600 canary 7Gh2",
    'quote " and back\\slash 0pL',
)
SEARCH = LeakSearch(CANARIES)
SAMPLES = [
    pytest.param(number, name, sample, id=f"{number}-{name}")
    for number, canary in enumerate(CANARIES)
    for name, sample in encodings(canary).items()
    # Without its separators too little is left to tell from chance.
    if not (number == 4 and name.startswith("separators"))
]


@pytest.mark.parametrize(("number", "_name", "sample"), SAMPLES)
def test_every_encoding_is_found_at_every_alignment(number: int, _name: str, sample: bytes) -> None:
    for lead in range(9):
        data = b"~" * (40 + lead) + sample + b"~~"

        leaks = SEARCH.search("place", data)

        assert {leak.canary for leak in leaks} == {number}
        assert leaks[0].place == "place"
        # Base64 is stable from the second or third character on; a separator is skipped.
        assert 0 <= leaks[0].position - 40 - lead <= 4


@pytest.mark.parametrize(("number", "name", "sample"), SAMPLES)
def test_a_canary_across_a_border_of_two_chunks_is_found(
    number: int, name: str, sample: bytes, tmp_path: Path
) -> None:
    search = LeakSearch(CANARIES, chunk_bytes=1)  # raised to what a canary can take
    width = search._chunk_bytes  # noqa: SLF001
    file = tmp_path / "data"
    for split in range(0, len(sample), 3):
        file.write_bytes(b"~" * (2 * width - split) + sample + b"~" * width)

        leaks = search.search_file(file, "name")

        assert {leak.canary for leak in leaks} == {number}
        # \\u0039 cut in two leaves its 9 for the next chunk: found twice, and rightly.
        assert len(leaks) == 1 or name == "json-units"
        assert abs(leaks[0].position - (2 * width - split)) <= 4


@pytest.mark.parametrize(
    ("sample", "encoding"),
    [
        (b"Zq7.Kestrel-19@canary.example", "raw"),
        (b"zq7.kestrel-19@CANARY.example", "case"),
        (b"zq7 kestrel 19@canary example", "separators"),
        (b"5a71372e4b65737472656c2d31394063616e6172792e6578616d706c65", "hex"),
        (b"WnE3Lktlc3RyZWwtMTlAY2FuYXJ5LmV4YW1wbGU=", "base64"),
        (b"Zq7.Kestrel-19%40canary.example", "escaped"),
        (b"Zq7.Kestrel-19%2540canary.example", "escaped"),  # escaped twice
        (b"Zq7.Kestrel-19\\u0040canary.example", "escaped"),
        (b"Zq7.Kestrel-19\\\\u0040canary.example", "escaped"),  # JSON in JSON
    ],
)
def test_a_leak_says_how_it_is_written(sample: bytes, encoding: str) -> None:
    leaks = SEARCH.search("place", b"before " + sample + b" after")

    assert [(leak.canary, leak.encoding) for leak in leaks] == [(0, encoding)]


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param("Zq7.Kestrel-19@canary.example".encode("utf-16-le"), id="utf-16"),
        pytest.param(b"WnE3Lktlc3RyZWwtMTlA\r\nY2FuYXJ5LmV4YW1wbGU=", id="wrapped base64"),
        pytest.param(
            json.dumps({"body": json.dumps({"x": CANARIES[6]})}).encode(), id="JSON in JSON"
        ),
        pytest.param("GRÖSSE-ÜNLÜ ÅNGSTRÖM 44AF9".encode(), id="sharp s in upper case"),
        pytest.param("Gro\u0308ße-U\u0308nlu\u0308 A\u030angstro\u0308m 44aF9".encode(), id="NFD"),
    ],
)
def test_what_other_programs_do_to_text_does_not_hide_it(sample: bytes) -> None:
    assert SEARCH.search("place", b"x=" + sample + b";")


def test_every_occurrence_is_reported_once() -> None:
    canary = CANARIES[5].encode()

    leaks = SEARCH.search("place", b"~".join([canary] * 3))

    assert [(leak.position, leak.encoding) for leak in leaks] == [
        (0, "raw"),
        (9, "raw"),
        (18, "raw"),
    ]


def test_canaries_that_share_beginning_and_end_are_told_apart() -> None:
    many = [f"canary-mailbox-{n:06d}@mail.example.com" for n in range(3000)]
    search = LeakSearch(many)

    leaks = search.search("place", f"<{many[1234]}> <{many[77]}>".encode())

    assert [leak.canary for leak in leaks] == [1234, 77]


def test_canaries_are_found_in_a_database_and_in_its_write_ahead_log(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "org.sqlite")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE row (name TEXT)")
        database.executemany("INSERT INTO row VALUES (?)", [(canary,) for canary in CANARIES])
        database.commit()

        leaks = SEARCH.search_file(tmp_path / "org.sqlite-wal")

    assert {leak.canary for leak in leaks} == set(range(len(CANARIES)))


def test_random_bytes_hold_no_canary() -> None:
    search = LeakSearch(secrets.token_urlsafe(9) for _ in range(20_000))

    assert search.search("noise", random.Random(4).randbytes(2_000_000)) == []


def test_five_megabytes_of_unrelated_text_hold_no_canary() -> None:
    rng = random.Random(5)
    search = LeakSearch(
        f"{rng.choice(['anna', 'lena', 'jose'])}.{secrets.token_hex(5)}@example.org"
        for _ in range(20_000)
    )
    line = '{{"email":"tok_eu1_{}","note":"anna%40example.org \\"{}\\"","at":{}}}\n'
    text = "".join(
        line.format(rng.randbytes(13).hex(), rng.randbytes(5).hex(), rng.randrange(10**12))
        for _ in range(48_000)
    )

    assert len(text) > 5_000_000
    assert search.search("text", text.encode()) == []


@settings(max_examples=60, deadline=None)
@given(
    canary=st.text(st.characters(codec="utf-8"), min_size=12, max_size=30).filter(
        lambda text: sum(char.isalnum() for char in text) >= 12
    ),
    before=st.binary(max_size=20),
    after=st.binary(max_size=20),
)
def test_any_text_is_found_raw_whatever_is_around_it(
    canary: str, before: bytes, after: bytes
) -> None:
    leaks = LeakSearch([canary]).search("place", before + b"\0" + canary.encode() + after)

    assert leaks


@given(
    st.lists(st.sampled_from([b"ab", b"\\u0041", b"%41", b"\\n", b"-", b"\\", b"%"]), max_size=9)
)
def test_a_view_knows_where_its_bytes_came_from(parts: list[bytes]) -> None:
    data = b"".join(parts)
    view = View(data).unescaped()
    if view is None:
        return

    compact = view.folded().without(b"-")

    origins = [compact.origin(position) for position in range(len(compact.data))]
    assert origins == sorted(origins)
    assert all(
        data[at : at + 1].lower() in {bytes([byte]), b"\\", b"%"}
        for at, byte in zip(origins, compact.data, strict=True)
    )


def test_a_canary_that_chance_would_find_is_refused() -> None:
    with pytest.raises(ValueError, match="canary 1 has fewer than 8 bytes"):
        LeakSearch(["long enough", "short"])


def test_neither_the_search_nor_a_leak_shows_a_canary() -> None:
    leaks = SEARCH.search("place", CANARIES[0].encode())

    assert "Kestrel" not in repr(leaks) + repr(SEARCH)


def test_nothing_is_found_in_nothing() -> None:
    assert SEARCH.search("empty", b"") == []
    assert LeakSearch([]).search("data", b"some bytes of data") == []
