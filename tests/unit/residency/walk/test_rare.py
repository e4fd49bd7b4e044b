"""A map's key chooses the body that was written for it, and no other key does."""

import pytest

from residency.plan.walk.accelerator import ints, view
from residency.plan.walk.rare import choose_key

KEYS = (b"ab", b"b", b"abc", b"\xd0\xba")
BODIES = {b"ab": 10, b"b": 20, b"abc": 30, b"\xd0\xba": 40}
OTHER = 99
TABLE = [7, 7, 7, 2, 30, 0, 10, 3, 40, 1, 20, 7]  # chosen keys and their bodies from place 3


@pytest.mark.parametrize(
    "key", [*KEYS, b"", b"a", b"abd", b"xbc", b"axc", b"xb", b"ax", b"ba", b"abcd", b"\xd0\xb0"]
)
@pytest.mark.parametrize("around", [(b"", b""), (b"abc", b"bc"), (b"?????", b"b")])
def test_a_key_chooses_its_body_wherever_it_lies(key: bytes, around: tuple[bytes, bytes]) -> None:
    before, after = around
    data, start = view(before + key + after), len(before)

    body = choose_key(
        ints(TABLE), 3, len(KEYS), view(b"".join(KEYS)), ints([0, 2, 3, 6, 8]),
        data, start, start + len(key), OTHER,
    )  # fmt: skip

    assert body == BODIES.get(key, OTHER)


def test_only_so_many_keys_of_the_table_are_looked_at() -> None:
    body = choose_key(
        ints(TABLE), 3, 2, view(b"".join(KEYS)), ints([0, 2, 3, 6, 8]), view(b"b"), 0, 1, OTHER
    )

    assert body == OTHER
