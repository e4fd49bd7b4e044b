"""A subject is one customer's pseudonym, whichever way their id is spelt."""

import hmac

from residency.vault.subjects import NOBODY, subject_of, subject_of_key

KEY = bytes(range(32))


def test_a_subject_is_the_hmac_of_the_id_in_normal_form() -> None:
    found = subject_of(KEY, "  cus-1 ")

    assert found == hmac.digest(KEY, b"cus-1", "sha256")[:16]
    assert subject_of(KEY, "\u2460") == subject_of(KEY, "1")


def test_two_ids_or_two_keys_make_two_subjects() -> None:
    assert subject_of(KEY, "cus-1") != subject_of(KEY, "cus-2")
    assert subject_of(KEY, "cus-1") != subject_of(bytes(32), "cus-1")


def test_half_of_a_surrogate_pair_has_a_subject_too() -> None:
    assert len(subject_of(KEY, "\ud800")) == 16


def test_a_key_of_another_length_is_nobodys() -> None:
    assert subject_of_key(b"a" * 16) == b"a" * 16
    assert [subject_of_key(b"a" * n) for n in (0, 15, 17)] == [NOBODY] * 3
    assert bytes(16) == NOBODY
