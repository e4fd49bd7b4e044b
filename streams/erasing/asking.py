"""Whose erasure a command asks for: a customer by id, or whoever the vault finds."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from connectors.postgres.vault.reader import VaultReader
from residency.keys import secret, token_keys
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.index import BlindIndex, Kind, term
from residency.vault.subjects import subject_of
from schemas.codec import decode_physical
from schemas.errors import QuarantineError, SetupError
from schemas.registry import load_registry
from streams.erasing.listing import CUSTOMER
from streams.settings import ReplaySettings, database
from streams.vault.keystores import open_keystore

PARTITION, INDEX = "partition", "vault-index"  # purposes of keys
KINDS: Mapping[str, Kind] = {"email": Kind.EMAIL, "token": Kind.TOKEN}


class NotOneError(SetupError):
    """Nobody is found, or several are: nobody is erased by guess."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to be erased.

    Attributes:
        subject: See `residency.vault.subjects`.
        token: The customer's identity token; empty if no kept event tells it.

    """

    subject: bytes = field(repr=False)
    token: str = field(repr=False)


def person(settings: ReplaySettings, word: str, text: str) -> Person:
    """Return whom *text* names.

    Args:
        settings: The erasing service's own.
        word: What the text is: ``customer``, or a word of `KINDS`.
        text: As somebody typed it.

    Raises:
        NotOneError: It names nobody whom the vault knows, or several.
        SetupError: A key is missing.
        RetriableError: Postgres does not answer.

    """
    keys = settings.folder / "keys"
    tokens = Tokeniser(token_keys(keys, settings.region), CENTRAL)
    if word == CUSTOMER:
        known = secret(_must_exist(keys, PARTITION), PARTITION)
        return Person(subject_of(known, text), tokens.identity(CUSTOMER, text))
    index = BlindIndex(secret(_must_exist(keys, INDEX), INDEX))
    kind = KINDS[word]
    dsn = database(settings.postgres, "erase")
    with closing(VaultReader(dsn, open_keystore(settings).load())) as reader:
        found = reader.subjects_of(kind, index.digest(kind, term(kind, text)))
        if len(found) != 1:
            msg = f"the vault knows {len(found)} customers by that; give --customer ID"
            raise NotOneError(msg)
        customer = _customer(reader, found[0])
    return Person(found[0], tokens.identity(CUSTOMER, customer) if customer else "")


def _must_exist(keys: Path, purpose: str) -> Path:
    """Return the folder of keys, where the key of a *purpose* is: one made now would fit nobody."""
    if not (keys / f"{purpose}.json").exists():
        msg = f"{keys}: no key {purpose!r}; run this where the region's gateway is at home"
        raise SetupError(msg)
    return keys


def _customer(reader: VaultReader, subject: bytes) -> str | None:
    """Return the customer's id, by a kept event that can be read."""
    registry = load_registry()
    with closing(reader.events(subject)) as events:  # type: ignore[type-var]
        for event in events:
            try:
                _, fields = decode_physical(registry, event.value)
                return str(fields["customer"]["customer_id"])
            except (QuarantineError, KeyError):
                continue
    return None
