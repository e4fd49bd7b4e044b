"""Signatures are those of signed-note; what is not canonical is refused."""

from base64 import b64decode

import pytest

from residency.ledger.errors import FormatError
from residency.ledger.note import (
    Checkpoint,
    Note,
    SignatureError,
    Signer,
    Verifier,
    encode_base64,
    key_id,
    open_checkpoint,
    open_note,
)

# The worked example in the documentation of golang.org/x/mod/sumdb/note.
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngot"
    "pRZb6KE6RyyBwJnAM=\n"
)
ENOCH = (
    "\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwn"
    "WLox33WWd1RvMc+QQ=\n"
)
ORIGIN = "ledger.eu.example/transfers"
SIGNER = Signer(ORIGIN, bytes(range(32)))


def test_gos_example_is_reproduced_to_the_byte() -> None:
    signer = Signer("PeterNeumann", SEED)

    assert str(signer.verifier) == VKEY
    assert bytes(signer.sign(TEXT)).decode() == f"{TEXT}\n{PETER}"


def test_gos_doubly_signed_example_opens_with_one_known_key() -> None:
    peter = Verifier.parse(VKEY)

    note = open_note(f"{TEXT}\n{PETER}{ENOCH}".encode(), [peter])

    assert note.text == TEXT
    assert [s.name for s in note.signatures] == ["PeterNeumann", "EnochRoot"]
    assert bytes(note).decode() == f"{TEXT}\n{PETER}{ENOCH}"


def test_a_known_key_with_a_wrong_signature_spoils_the_note() -> None:
    enoch = Signer("EnochRoot", bytes(32))
    wrong = bytes(enoch.sign("another text\n")).decode().rpartition("\n\n")[2]

    with pytest.raises(SignatureError, match="does not match"):
        open_note(f"{TEXT}\n{PETER}{wrong}".encode(), [Verifier.parse(VKEY), enoch.verifier])


def test_a_note_signed_by_strangers_only_is_refused() -> None:
    with pytest.raises(SignatureError, match="not signed by"):
        open_note(f"{TEXT}\n{PETER}".encode(), [SIGNER.verifier])


def test_no_bit_of_a_checkpoint_may_change() -> None:
    good = bytes(SIGNER.sign(str(Checkpoint(ORIGIN, 7, bytes(32)))))
    assert open_checkpoint(good, SIGNER.verifier) == Checkpoint(ORIGIN, 7, bytes(32))

    for at in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            with pytest.raises((FormatError, SignatureError)):
                open_checkpoint(bytes(bad), SIGNER.verifier)


def test_no_byte_of_a_vkey_may_change() -> None:
    for at in range(len(VKEY)):
        with pytest.raises(FormatError):
            Verifier.parse(VKEY[:at] + chr(ord(VKEY[at]) ^ 1) + VKEY[at + 1 :])


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        f"text\n{PETER}".encode(),  # no empty line
        f"text\n\n{PETER}".encode().rstrip(b"\n"),
        f"te\x07xt\n\n{PETER}".encode(),
        f"te\rxt\n\n{PETER}".encode(),
        b"\xff\n\n" + PETER.encode(),
        f"text\n\n-{PETER[1:]}".encode(),
        f"text\n\n{PETER.replace('M=', 'N=')}".encode(),  # same bytes, other padding bits
        f"text\n\n{PETER.replace('AM=', 'AM')}".encode(),
        f"text\n\n{PETER.replace('Peter', 'Peter+')}".encode(),
        "text\n\n\u2014 name AAAAAA==\n".encode(),  # a key id and no signature
        "text\n\n\u2014 name\n".encode(),
        f"text\n\n{PETER * 101}".encode(),
        bytes(1_000_001),
    ],
)
def test_what_is_no_canonical_note_is_refused(note: bytes) -> None:
    with pytest.raises(FormatError):
        Note.parse(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n7\n",
        "origin\n07\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n+7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n-7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n\u0667\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n99999999999999999999\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
        "origin\n7\nAAAA\n",
        "origin\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nextension\n",
        "origin\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "an origin\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    ],
)
def test_what_is_no_canonical_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        Checkpoint.parse(text)


def test_each_part_of_a_note_is_refused_for_its_own_reason() -> None:
    for tail, reason in (
        (PETER[2:], "does not read"),  # without a dash
        ("\u2014 name\n", "does not read"),
        ("\u2014 name AAAA AAAA\n", "a signature is not canonical"),
        ("\u2014 name AAAAAA==\n", "without a signature"),
    ):
        with pytest.raises(FormatError, match=reason):
            Note.parse(f"text\n\n{tail}".encode())


def test_a_note_may_be_so_long_and_no_longer() -> None:
    room = 1_000_000 - len(f"\n\n{PETER}".encode())

    assert len(bytes(Note.parse(f"{'x' * room}\n\n{PETER}".encode()))) == 1_000_000
    with pytest.raises(FormatError, match="a note of 1000001 bytes"):
        Note.parse(f"{'x' * (room + 1)}\n\n{PETER}".encode())


def test_a_note_may_have_so_many_signatures_and_no_more() -> None:
    assert len(Note.parse(f"text\n\n{PETER * 100}".encode()).signatures) == 100
    with pytest.raises(FormatError, match="more than 100 signatures"):
        Note.parse(f"text\n\n{PETER * 101}".encode())


def test_a_text_may_have_empty_lines() -> None:
    data = f"one\n\ntwo\n\n{PETER}".encode()

    assert Note.parse(data).text == "one\n\ntwo\n"


def test_a_checkpoint_is_refused_for_what_is_wrong_with_it() -> None:
    root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    for text, reason in (
        ("origin", "three lines"),
        (f"origin\n7\n{root}\nmore", "three lines"),
        ("origin\n7\nAAAB=\n", "the root in a checkpoint is not canonical"),
    ):
        with pytest.raises(FormatError, match=reason):
            Checkpoint.parse(text)


def test_a_size_may_have_nineteen_digits() -> None:
    largest = Checkpoint(ORIGIN, 10**19 - 1, bytes(32))

    assert Checkpoint.parse(str(largest)) == largest


def test_a_key_whose_base64_has_a_plus_is_read() -> None:
    verifier = Verifier("name", b"\xfb" * 32)

    assert str(verifier).count("+") > 2
    assert Verifier.parse(str(verifier)) == verifier


def test_a_vkey_is_refused_for_what_is_wrong_with_it() -> None:
    short, other = bytes(31), encode_base64(b"\x02" + bytes(32))
    for vkey, reason in (
        (str(Verifier("a b", bytes(32))), "cannot name a key"),
        (f"name+{key_id('name', bytes(32)).hex()}+{other}", "not of type Ed25519"),
        (f"name+{key_id('name', short).hex()}+{encode_base64(bytes([1]) + short)}", "not of type"),
        ("name+00000000+A", "the key in a vkey is not canonical"),
    ):
        with pytest.raises(FormatError, match=reason):
            Verifier.parse(vkey)


def test_a_checkpoint_under_another_logs_name_is_refused() -> None:
    stolen = bytes(SIGNER.sign(str(Checkpoint("ledger.uk.example/transfers", 0, bytes(32)))))

    with pytest.raises(SignatureError, match=r"is of ledger\.uk\.example"):
        open_checkpoint(stolen, SIGNER.verifier)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb"])
def test_a_key_needs_a_plain_name(name: str) -> None:
    with pytest.raises(FormatError):
        Signer(name, bytes(32))


def test_a_signer_shows_its_public_half_only() -> None:
    assert repr(SIGNER) == f"Signer({str(SIGNER.verifier)!r})"
