"""Keys are made once, kept for their owner alone, and rotated without losing a version."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from residency.gate.rules import load_grammar
from residency.gate.wire import load_schemas
from residency.keys import MAX_VERSION, rotate, token_keys
from residency.tokens import Tokeniser
from schemas.errors import SetupError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
FILE = "tokens.json"


def tokens(folder: Path) -> tuple[str, str]:
    """Return an external id and an attribute token made with what is in *folder*."""
    maker = Tokeniser(token_keys(folder, "eu"), "org")
    return maker.identity("customer", "c-1"), maker.attribute("user.name", "Ada")


def test_keys_are_made_once_and_kept(tmp_path: Path) -> None:
    first = token_keys(tmp_path, "eu")

    again = token_keys(tmp_path, "eu")

    assert again == first
    assert (first.identity_version, first.attribute_version, first.older) == (1, 1, ())
    assert len({first.identity, first.attribute}) == 2
    assert {len(first.identity), len(first.attribute)} == {32}


def test_no_key_is_in_what_a_log_would_show(tmp_path: Path) -> None:
    token_keys(tmp_path, "eu")

    keys = rotate(tmp_path, "eu", NOW, MONTH)

    for key in (keys.identity, keys.attribute, keys.older[0].root):
        assert repr(key) not in repr(keys)
        assert key.hex() not in repr(keys)


def test_a_rotation_changes_attribute_tokens_and_leaves_external_ids_alone(tmp_path: Path) -> None:
    before = tokens(tmp_path)

    rotate(tmp_path, "eu", NOW, MONTH)

    after = tokens(tmp_path)
    assert after[0] == before[0]
    assert before[1].startswith("tok_eu1_")
    assert after[1].startswith("tok_eu2_")
    assert after[1][8:] != before[1][8:]


def test_every_version_stays_and_says_from_when_and_until_when_it_counts(tmp_path: Path) -> None:
    first = token_keys(tmp_path, "eu")
    rotate(tmp_path, "eu", NOW, MONTH)

    keys = rotate(tmp_path, "eu", NOW + MONTH, timedelta(days=1))

    assert [k.version for k in keys.versions] == [1, 2, 3]
    assert [k.valid_from for k in keys.versions] == [None, NOW, NOW + MONTH]
    until = [NOW + MONTH, NOW + MONTH + timedelta(days=1), None]
    assert [k.overlap_until for k in keys.versions] == until
    assert keys.versions[0].root == first.attribute
    assert len({k.root for k in keys.versions}) == 3
    assert keys.at(keys.older[0]).attribute == first.attribute
    assert keys.at(keys.older[0]).attribute_version == 1


def test_a_version_overlaps_to_the_end_of_its_overlap(tmp_path: Path) -> None:
    token_keys(tmp_path, "eu")
    first, second = rotate(tmp_path, "eu", NOW, MONTH).versions

    assert first.overlaps(NOW + MONTH)
    assert not first.overlaps(NOW + MONTH + timedelta(seconds=1))
    assert second.overlaps(NOW + timedelta(days=9_999))


def test_only_the_owner_may_read_the_keyring_after_a_rotation_either(tmp_path: Path) -> None:
    token_keys(tmp_path, "eu")

    rotate(tmp_path, "eu", NOW, MONTH)

    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert {path.name for path in tmp_path.iterdir()} == {FILE, f".{FILE}.lock"}
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(SetupError, match="chmod 600"):
        rotate(tmp_path, "eu", NOW, MONTH)


def test_rotations_at_the_same_time_lose_no_version(tmp_path: Path) -> None:
    token_keys(tmp_path, "eu")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: rotate(tmp_path, "eu", NOW, MONTH), range(16)))

    assert [k.version for k in token_keys(tmp_path, "eu").versions] == list(range(1, 18))


def test_without_a_keyring_there_is_nothing_to_rotate_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no keys to rotate yet"):
        rotate(tmp_path, "eu", NOW, MONTH)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"identity": "00", "attribute": "00"}'])
def test_a_file_that_is_no_keyring_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).touch(0o600)
    (tmp_path / FILE).write_text(text, encoding="utf-8")

    with pytest.raises(SetupError, match=r"tokens\.json: no token keyring; restore it"):
        token_keys(tmp_path, "eu")


def test_the_last_version_is_the_last_that_the_gate_lets_through(tmp_path: Path) -> None:
    token_keys(tmp_path, "eu")
    raw = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    raw["attribute"][0]["version"] = MAX_VERSION
    (tmp_path / FILE).write_text(json.dumps(raw), encoding="utf-8")
    allowed = load_grammar("eu", load_schemas())["Commerce_Customer__c"]["Email_Token__c"]

    allowed.check(tokens(tmp_path)[1])

    with pytest.raises(SetupError, match="the last that the gate's grammar allows"):
        rotate(tmp_path, "eu", NOW, MONTH)
