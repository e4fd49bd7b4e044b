"""Digests of the blind index: one per kind and value, whichever way it is spelt."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.keys import derive
from residency.vault.index import BlindIndex, Kind, term, terms_utf8

KEY = bytes(range(32))


def test_a_digest_is_the_hmac_under_a_key_of_the_kind() -> None:
    digest = BlindIndex(KEY).digest(Kind.EMAIL, "a@b.example")

    key = derive(KEY, "vault-index", "EMAIL")
    assert digest == hmac.digest(key, b"a@b.example", "sha256")[:16]


def test_kinds_and_keys_keep_equal_values_apart() -> None:
    index = BlindIndex(KEY)

    assert len({index.digest(kind, "same") for kind in Kind}) == len(Kind) == 5
    assert index.digest(Kind.ORDER, "same") != BlindIndex(bytes(32)).digest(Kind.ORDER, "same")


def test_the_numbers_of_kinds_never_change() -> None:
    assert {kind.name: int(kind) for kind in Kind} == {
        "CUSTOMER": 1, "EMAIL": 2, "PHONE": 3, "ORDER": 4, "TOKEN": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (Kind.EMAIL, "Ada@Mail.Example", " ada@mail.example"),
        (Kind.PHONE, "0049 (171) 23-4", "+49171234"),
        (Kind.CUSTOMER, " cus-1", "cus-1\u2003"),
        (Kind.ORDER, "\u2460", "1"),
    ],
)
def test_spellings_of_one_value_are_one_term(kind: Kind, one: str, other: str) -> None:
    assert term(kind, one) == term(kind, other)


def test_a_token_is_itself_and_only_of_addresses_the_case_does_not_count() -> None:
    assert term(Kind.TOKEN, " Tok ") == " Tok "
    assert terms_utf8(Kind.TOKEN, [b" Tok "]) == [b" Tok "]
    assert term(Kind.CUSTOMER, "A") != term(Kind.CUSTOMER, "a")


@pytest.mark.parametrize("kind", Kind)
def test_half_a_surrogate_pair_has_a_digest_of_its_own(kind: Kind) -> None:
    """Somebody may look for one; no event has one, since its texts are strict UTF-8."""
    index = BlindIndex(KEY)

    halves = [index.digest(kind, term(kind, text)) for text in ("\ud83d", "\ude00", "\ufffd")]

    assert index.digests(kind, [b"\xed\xa0\xbd"]) == halves[:1]
    assert len(set(halves)) == 3


@given(st.sampled_from(Kind), st.text(max_size=40))
def test_terms_and_digests_of_utf8_are_those_of_the_text(kind: Kind, text: str) -> None:
    raw = text.encode()
    index = BlindIndex(KEY)

    assert terms_utf8(kind, [raw]) == [term(kind, text).encode()]
    assert index.digests(kind, [raw, b"x"]) == [index.digest(kind, text), index.digest(kind, "x")]
