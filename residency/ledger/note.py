"""Signed notes and checkpoints: who vouches for a tree of which size and root.

A note is text that ends in a newline, an empty line, and one line per signature: U+2014, a
space, the key's name, a space, base64 of the 4-byte key id and the signature. A checkpoint is
a note of three lines: origin, tree size, base64 of the root. Keys are Ed25519. Source: C2SP
signed-note and tlog-checkpoint. The parsers refuse whatever is not written in
the one canonical way; signatures by unknown keys are ignored, as the source demands.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.tree import HASH_BYTES

ED25519 = b"\x01"  # signature type byte
KEY_ID_BYTES = 4
KEY_BYTES = 32
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100  # avoids checking forever; the source asks for at least 16
MAX_SIZE_DIGITS = 19
_DASH = "\N{EM DASH} "
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")  # those below U+0020 but the newline


class SignatureError(LedgerError):
    """A note is not signed by a key we know, or that signature is wrong."""


def decode_base64(text: str, what: str) -> bytes:
    """Return the bytes that *text* encodes in standard base64, padded, canonical.

    Raises:
        FormatError: It does not, or there is another way to write it.

    """
    with suppress(ValueError):
        data = b64decode(text)
        if data and encode_base64(data) == text:
            return data
    msg = f"{what} is not canonical base64"
    raise FormatError(msg)


def encode_base64(data: bytes) -> str:
    """Return *data* in standard base64, padded."""
    return b64encode(data).decode("ascii")


def check_name(name: str) -> None:
    """Refuse what cannot name a key or a log; unquoted, since it may be of a private key's file.

    Raises:
        FormatError: It is empty or has a space, a control character or a ``+``.

    """
    if not _NAME.fullmatch(name):
        msg = "what stands first cannot name a key: no spaces, no '+', not empty"
        raise FormatError(msg)


def key_id(name: str, public_key: bytes) -> bytes:
    """Return the 4-byte id of an Ed25519 key: SHA-256(name || 0x0A || 0x01 || key)[:4]."""
    return sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:KEY_ID_BYTES]


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line.

    Attributes:
        name: Name of the key that is said to have signed.
        key_id: 4 bytes.
        data: What that key's algorithm makes of the text.

    """

    name: str
    key_id: bytes
    data: bytes

    def __str__(self) -> str:
        """Return the line, with its newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.data)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the signatures under it, none of them checked yet."""

    text: str
    signatures: tuple[Signature, ...]

    def __bytes__(self) -> bytes:
        """Return the note as it is stored and served; the inverse of `parse`."""
        return f"{self.text}\n{''.join(map(str, self.signatures))}".encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the note in *data*.

        Raises:
            FormatError: It is too long or not of the form.

        """
        if len(data) > MAX_NOTE_BYTES:
            msg = f"a note of {len(data)} bytes; at most {MAX_NOTE_BYTES}"
            raise FormatError(msg)
        msg = "not a signed note: text, empty line, signature lines"
        try:
            whole = data.decode()
        except UnicodeDecodeError:
            raise FormatError(msg) from None
        text, blank, tail = whole.rpartition("\n\n")
        lines = tail.split("\n")
        if not blank or not tail.endswith("\n") or _CONTROL.search(whole):
            raise FormatError(msg)
        if len(lines) - 1 > MAX_SIGNATURES:
            msg = f"a note with more than {MAX_SIGNATURES} signatures"
            raise FormatError(msg)
        return cls(text + "\n", tuple(_parse_signature(line) for line in lines[:-1]))


def _parse_signature(line: str) -> Signature:
    """Return one signature line's content."""
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        msg = "a signature line does not read: dash, key name, base64"
        raise FormatError(msg)
    check_name(name)
    data = decode_base64(encoded, "a signature")
    if len(data) <= KEY_ID_BYTES:
        msg = "a signature line without a signature"
        raise FormatError(msg)
    return Signature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key one trusts.

    Attributes:
        name: The key's name; a log's is its origin.
        public_key: 32 bytes.

    """

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Return the key's 4-byte id."""
        return key_id(self.name, self.public_key)

    def __str__(self) -> str:
        """Return the vkey text, ``name+hex id+base64``; the inverse of `parse`."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(ED25519 + self.public_key)}"

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Return the key that *vkey* writes.

        Raises:
            FormatError: It is malformed, no Ed25519 key, or its id is not the key's.

        """
        name, _, rest = vkey.partition("+")
        digits, _, encoded = rest.partition("+")
        check_name(name)
        key = decode_base64(encoded, "the key in a vkey")
        if key[:1] != ED25519 or len(key) != 1 + KEY_BYTES:
            msg = "a vkey that is not of type Ed25519 (0x01)"
            raise FormatError(msg)
        verifier = cls(name, key[1:])
        if digits != verifier.key_id.hex():
            msg = f"the vkey of {name} has an id that is not its key's"
            raise FormatError(msg)
        return verifier

    def accepts(self, text: str, signature: bytes) -> bool:
        """Return whether *signature* is this key's under *text*."""
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public_key)
            key.verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """A log's own key. Its ``repr`` shows the public half only."""

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        """Take the key's *name* and its 32-byte *seed*."""
        check_name(name)
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        """Return the public half."""
        return f"Signer({str(self.verifier)!r})"

    def sign(self, text: str) -> Note:
        """Return *text*, which ends in a newline, under this key's signature."""
        signature = self._key.sign(text.encode())
        return Note(text, (Signature(self.verifier.name, self.verifier.key_id, signature),))


def open_note(data: bytes, verifiers: Sequence[Verifier]) -> Note:
    """Return the note in *data* if at least one of *verifiers* signed it.

    Raises:
        FormatError: It is not a note.
        SignatureError: No known key signed it, or a known key's signature is wrong.

    """
    note = Note.parse(data)
    known = {(v.name, v.key_id): v for v in verifiers}
    signed = [(known[key], s) for s in note.signatures if (key := (s.name, s.key_id)) in known]
    if not signed:
        msg = f"not signed by {', '.join(v.name for v in verifiers)}; is it the right vkey?"
        raise SignatureError(msg)
    for verifier, signature in signed:
        if not verifier.accepts(note.text, signature.data):
            msg = f"the signature of {verifier.name} does not match the text"
            raise SignatureError(msg)
    return note


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: a tree.

    Attributes:
        origin: The log's name.
        size: Leaves in the tree.
        root: 32 bytes.

    """

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        """Return the three lines, each with its newline; the inverse of `parse`."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the checkpoint that a note's *text* writes.

        Raises:
            FormatError: It is not three lines, or a line is not canonical.

        """
        try:
            origin, size, encoded, end = text.split("\n")
        except ValueError:
            origin = size = encoded = end = text
        if end:
            msg = "a checkpoint is three lines: origin, size, root"
            raise FormatError(msg)
        check_name(origin)
        if not re.fullmatch(r"0|[1-9][0-9]*", size) or len(size) > MAX_SIZE_DIGITS:
            msg = "the size in a checkpoint is not a plain decimal number"
            raise FormatError(msg)
        root = decode_base64(encoded, "the root in a checkpoint")
        if len(root) != HASH_BYTES:
            msg = f"the root in a checkpoint has {len(root)} bytes, not {HASH_BYTES}"
            raise FormatError(msg)
        return cls(origin, int(size), root)


def open_checkpoint(data: bytes, log: Verifier) -> Checkpoint:
    """Return the checkpoint in *data*, signed by *log* under its own name.

    Raises:
        FormatError: It is not a checkpoint.
        SignatureError: *log* did not sign it, or it is another log's.

    """
    checkpoint = Checkpoint.parse(open_note(data, [log]).text)
    if checkpoint.origin != log.name:
        msg = f"the checkpoint is of {checkpoint.origin}, the key is of {log.name}"
        raise SignatureError(msg)
    return checkpoint
