"""A token depends on region, kind, domain, destination and value, on nothing else, and is total."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.keys import TokenKeys, derive
from residency.normalise import normalise
from residency.tokens import Tokeniser

KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32)
FORM = re.compile(r"tok_eu1_[a-z2-7]{26}")


@given(st.text())
def test_every_text_has_a_token_of_the_one_form(value: str) -> None:
    maker = Tokeniser(KEYS, "org")

    assert FORM.fullmatch(maker.attribute("user.contact.email", value))
    assert FORM.fullmatch(maker.identity("customer", value))


def test_lone_surrogates_have_tokens_too() -> None:
    assert FORM.fullmatch(Tokeniser(KEYS, "org").attribute("user.name", "\ud800"))


def test_a_known_token_stays_as_it_is() -> None:
    """Pinned: rows in the org are found again by these bytes."""
    maker = Tokeniser(KEYS, "org")

    assert maker.identity("customer", "c-1") == "tok_eu1_fc7jy5brahkoi4eoak3vw4ed4u"
    assert (
        maker.attribute("user.contact.email", "A@example.com ")
        == "tok_eu1_4kshy3lykjxdlpy6cctc23nxnq"
    )


def test_region_kind_domain_destination_and_roots_each_change_the_token() -> None:
    other_identity = TokenKeys("eu", b"j" * 32, b"a" * 32)
    other_attribute = TokenKeys("eu", b"i" * 32, b"b" * 32)
    makers = [
        Tokeniser(KEYS, "org"),
        Tokeniser(KEYS, "elsewhere"),
        Tokeniser(TokenKeys("uk", b"i" * 32, b"a" * 32), "org"),
    ]

    tokens = [m.attribute("user.name", "v")[8:] for m in makers]
    tokens += [m.identity("user.name", "v")[8:] for m in makers]
    tokens += [makers[0].attribute("user.contact.email", "v")[8:]]
    tokens += [makers[0].identity("customer", "v")[8:]]
    tokens += [Tokeniser(other_attribute, "org").attribute("user.name", "v")[8:]]
    tokens += [Tokeniser(other_identity, "org").identity("user.name", "v")[8:]]

    assert len(set(tokens)) == len(tokens)


def test_rotating_the_attribute_key_leaves_external_ids_alone() -> None:
    rotated = TokenKeys("eu", b"i" * 32, b"b" * 32, attribute_version=2)
    before, after = Tokeniser(KEYS, "org"), Tokeniser(rotated, "org")

    assert before.identity("customer", "c-1") == after.identity("customer", "c-1")
    assert after.attribute("user.name", "v").startswith("tok_eu2_")
    assert after.version == 2


@pytest.mark.parametrize(
    ("category", "one", "other"),
    [
        ("user.contact.email", "Ada@Example.com", " ada@example.COM"),
        ("user.contact.phone_number", "+49 (30) 123-456", "+4930123456"),
        ("user.contact.phone_number", "0049 30 123456", "+4930123456"),
        ("user.financial.bank_account", "de89 3704 0044", "DE8937040044"),
        ("user.name", "Ame\u0301lie", "Amélie"),
    ],
)
def test_spellings_of_one_value_are_one(category: str, one: str, other: str) -> None:
    assert normalise(category, one) == normalise(category, other)


def test_normal_form_is_the_composed_one() -> None:
    assert normalise("user.name", "Ame\u0301lie \ufb01") == "Am\u00e9lie fi"


@pytest.mark.parametrize(
    ("category", "one", "other"),
    [
        ("user.name", "ada", "Ada"),  # only e-mail ignores case
        ("user.contact.phone_number", "+4930", "4930"),  # a national number is another one
        ("user.contact.phone_number", "call me", "call you"),  # no digits: the text itself
    ],
)
def test_different_values_stay_different(category: str, one: str, other: str) -> None:
    assert normalise(category, one) != normalise(category, other)


@pytest.mark.parametrize(
    "category", ["user.name", "user.contact.email", "user.contact.phone_number"]
)
def test_a_value_too_long_to_normalise_in_good_time_stands_for_itself(category: str) -> None:
    """Reordering n combining marks takes n squared steps: one such value would stop the border."""
    hostile = "A" + "\u0315" * 600 + "\u0300" * 600

    assert normalise(category, hostile) == hostile
    assert FORM.fullmatch(Tokeniser(KEYS, "org").attribute(category, hostile))


def test_labels_do_not_run_together() -> None:
    assert derive(b"k" * 32, "a", "bc") != derive(b"k" * 32, "ab", "c")
