"""A token depends on region, kind, domain, destination and value, on nothing else, and is total."""

import hmac
import re
from base64 import b32encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from residency.keys import TokenKeys, derive
from residency.normalise import normalise
from residency.tokens import Kind, Mac, Tokeniser

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


LARGE = (
    b"This is a test using a larger than block-size key and a larger than block-size data. "
    b"The key needs to be hashed before being used by the HMAC algorithm."
)


# Source: RFC 4231 sections 4.2 to 4.8, the first 16 bytes for its truncated case.
@pytest.mark.parametrize(
    ("key", "message", "mac"),
    [
        (
            b"\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            b"\xaa" * 20,
            b"\xdd" * 50,
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            bytes(range(1, 26)),
            b"\xcd" * 50,
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            b"\xaa" * 131,
            LARGE,
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ],
)
def test_published_vectors_of_hmac_sha256(key: bytes, message: bytes, mac: str) -> None:
    assert Mac(key).digest(message).hex()[: len(mac)] == mac
    assert Mac(key).digests([message], len(mac) // 2) == [bytes.fromhex(mac)]


@given(st.binary(max_size=200), st.lists(st.binary(max_size=200)))
@example(b"k" * 63, [b"m"])
@example(b"k" * 64, [b"m"])  # exactly a block: not hashed
@example(b"k" * 65, [b"m"])
def test_a_mac_is_that_of_the_standard_library(key: bytes, messages: list[bytes]) -> None:
    expected = [hmac.digest(key, message, "sha256") for message in messages]
    made = Mac(key)

    assert [made.digest(message) for message in messages] == expected
    assert made.digests(messages, 32) == expected


@pytest.mark.parametrize("kind", ["attribute", "identity"])
@given(values=st.lists(st.text(st.characters(codec=None, exclude_categories=()))))
def test_a_batch_gives_the_tokens_that_one_by_one_gives(kind: Kind, values: list[str]) -> None:
    maker = Tokeniser(KEYS, "org")
    make = maker.attribute if kind == "attribute" else maker.identity
    domain = "user.contact.email" if kind == "attribute" else "customer"

    raw = [value.encode("utf-8", "surrogatepass") for value in values]
    macs = maker.macs(kind, domain, list(map(maker.normal_form(kind, domain), raw)))

    prefix = maker.prefix(kind, domain).decode()
    made = [prefix + b32encode(mac).decode().rstrip("=").lower() for mac in macs]
    assert made == [make(domain, value) for value in values]


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


def test_an_external_id_is_normalised_as_text_whatever_it_is_named_like() -> None:
    maker = Tokeniser(KEYS, "org")

    normal = maker.normal_form("identity", "user.contact.email")

    assert normal(b" Ada@Example.com ") == b"Ada@Example.com"
    assert maker.normal_form("attribute", "user.contact.email")(b"Ada@x") == b"ada@x"
    email = maker.identity("user.contact.email", "Ada@x")
    assert email != maker.identity("user.contact.email", "ada@x")
