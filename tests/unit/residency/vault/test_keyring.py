"""Subjects' keys are wrapped under the newest version and open under the one they name."""

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from residency.vault.keyfiles import KEK_FILE, FileKeyStore
from residency.vault.keyring import Kek, Keyring, KeyWrapError, with_new, without
from schemas.errors import SetupError

FIRST, SECOND = Kek(1, bytes(range(32))), Kek(2, bytes(range(1, 33)))
SUBJECT, DATA_KEY = b"s" * 16, b"k" * 32


def test_a_wrapped_key_is_nonce_and_gcm_bound_to_subject_and_version() -> None:
    """Held to the library's own words, so that another tool can open it."""
    version, wrapped = Keyring([SECOND, FIRST]).wrap(SUBJECT, DATA_KEY)

    bound = b"homeport.vault.key\x1f" + SUBJECT + bytes((0, 0, 0, 2))
    assert version == 2
    assert AESGCM(SECOND.key).decrypt(wrapped[:12], wrapped[12:], bound) == DATA_KEY


def test_it_opens_under_its_version_also_when_there_is_a_newer_one() -> None:
    version, wrapped = Keyring([FIRST]).wrap(SUBJECT, DATA_KEY)

    assert Keyring([FIRST, SECOND]).unwrap(SUBJECT, version, wrapped) == DATA_KEY


def test_it_opens_for_no_other_subject_version_or_key() -> None:
    ring = Keyring([FIRST, SECOND, Kek(3, SECOND.key)])
    _, wrapped = Keyring([FIRST, SECOND]).wrap(SUBJECT, DATA_KEY)

    for subject, version in ((b"t" * 16, 2), (SUBJECT, 1), (SUBJECT, 3)):
        with pytest.raises(KeyWrapError, match="does not open"):
            ring.unwrap(subject, version, wrapped)
    with pytest.raises(KeyWrapError, match="under version 4, not held here"):
        ring.unwrap(SUBJECT, 4, wrapped)


@pytest.mark.parametrize("wrapped", [b"", b"short", b"x" * 12, b"x" * 60])
def test_what_is_no_wrapped_key_does_not_open(wrapped: bytes) -> None:
    with pytest.raises(KeyWrapError, match=f"subject {SUBJECT.hex()}: its key does not open"):
        Keyring([FIRST]).unwrap(SUBJECT, 1, wrapped)


def test_no_two_wrappings_are_alike() -> None:
    ring = Keyring([FIRST])

    assert len({ring.wrap(SUBJECT, DATA_KEY)[1] for _ in range(100)}) == 100


def test_versions_are_in_order_and_there_is_at_least_one() -> None:
    assert [kek.version for kek in Keyring([SECOND, FIRST]).keks] == [1, 2]
    with pytest.raises(SetupError, match="the vault's key store is empty"):
        Keyring([])


def test_a_new_version_is_one_higher_and_current() -> None:
    ring = with_new(Keyring([FIRST, SECOND]), b"n" * 32)

    assert ring.current == Kek(3, b"n" * 32)
    assert ring.keks[:2] == (FIRST, SECOND)


def test_an_old_version_is_taken_out_and_the_current_one_or_none_is_not() -> None:
    assert without(Keyring([FIRST, SECOND]), 1).keks == (SECOND,)
    with pytest.raises(SetupError, match="version 2 is the current key"):
        without(Keyring([FIRST, SECOND]), 2)
    with pytest.raises(SetupError, match="holds no version 7"):
        without(Keyring([FIRST, SECOND]), 7)


def test_no_key_is_in_what_a_log_would_show() -> None:
    assert FIRST.key.hex() not in repr(FIRST)
    assert "key" not in repr(FIRST)


def test_the_file_is_made_once_kept_for_its_owner_and_grows_by_rotation(tmp_path: Path) -> None:
    store = FileKeyStore(tmp_path)
    first = store.load()

    second = store.add()

    file = tmp_path / KEK_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert FileKeyStore(tmp_path).load().keks == second.keks
    assert second.keks[0] == first.current
    assert [len(kek.key) for kek in second.keks] == [32, 32]
    assert second.keks[0].key != second.keks[1].key
    assert store.retire(1).keks == store.load().keks == second.keks[1:]


def test_a_file_that_is_no_keyring_or_is_open_to_others_is_told(tmp_path: Path) -> None:
    store = FileKeyStore(tmp_path)
    store.load()
    file = tmp_path / KEK_FILE

    for text in ("{}", "no JSON", json.dumps({"keks": [{"version": 1, "key": "xyz"}]})):
        file.write_text(text)
        with pytest.raises(SetupError, match="no keyring of the vault"):
            store.load()
    file.chmod(0o640)
    with pytest.raises(SetupError, match="others can read"):
        store.load()
