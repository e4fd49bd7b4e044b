"""What a restore of the vault asks of its region: the ledger, the keys, a customer's token."""

from collections.abc import Iterable, Mapping
from typing import Any, LiteralString

import psycopg

from connectors.kafka.topology import load_topics
from connectors.postgres.vault.backup import Manifest
from connectors.postgres.vault.restore import Means
from connectors.postgres.vault.suppressions import token_digest
from residency import topics
from residency.keys import COMMITMENTS, ledger_verifier, secret, token_keys
from residency.ledger.erasures import ErasureLeaf
from residency.ledger.newest import backwards
from residency.ledger.reader import Reader, open_head
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.keyring import Keyring, KeyWrapError
from residency.vault.restoring import Gone, erased_since
from residency.vault.sealing import EventSeal, EventSealError
from schemas.codec import decode_physical
from schemas.errors import QuarantineError, SetupError
from schemas.events import Coordinates
from schemas.registry import load_registry
from streams.settings import Settings

SOME = 20  # events of a subject that are tried for its id

_EVENTS: LiteralString = """
SELECT e.topic, e.topic_id, e.partition, e."offset", e.sealed, s.kek, s.wrapped
FROM vault.events e JOIN vault.subjects s ON s.subject = e.subject
WHERE e.subject = %s AND e.schema_id > 0 LIMIT %s
"""


def means_of(settings: Settings, keyring: Keyring, *, has_ledger: bool) -> Means:
    """Return what a restore of a region's vault asks.

    Args:
        settings: The vault's own.
        keyring: Its keys.
        has_ledger: Whether to hold the backup against the region's ledger.

    Raises:
        SetupError: There is no ledger, the root of its commitments is missing, or the home does
            not say which topics the region has.

    """
    keys, registry = settings.folder / "keys", load_registry()
    tokens = Tokeniser(token_keys(keys, settings.region), CENTRAL)
    leaves = list(_leaves(settings)) if has_ledger else []
    root = _root(settings) if leaves else b""

    def ledger_says(manifest: Manifest, subjects: Iterable[bytes]) -> Mapping[bytes, Gone]:
        return erased_since(subjects, leaves, root, manifest.taken_at) if leaves else {}

    def token_digest_of(cursor: psycopg.Cursor[Any], subject: bytes) -> bytes:
        """Return the digest; empty where no event tells the customer's id."""
        for row in cursor.execute(_EVENTS, (subject, SOME)).fetchall():
            try:
                seal = EventSeal(keyring.unwrap(subject, row[5], row[6]))
                value = seal.open(str(Coordinates(row[0], row[2], row[3])), row[1], subject, row[4])
                customer = decode_physical(registry, value)[1]["customer"]["customer_id"]
            except (KeyWrapError, EventSealError, QuarantineError, KeyError):
                continue
            return token_digest(tokens.identity("customer", customer))
        return b""

    versions = [kek.version for kek in keyring.keks]
    return Means(settings.region, versions, ledger_says, token_digest_of, _places(settings))


def _places(settings: Settings) -> list[tuple[str, str, int]]:
    """Return topic id, topic and partition of all that the region's vault reads."""
    known = load_topics(settings.home, settings.region)
    return [
        (known[name].id, name, partition)
        for name in topics.raw_topics(settings.region)
        for partition in range(known[name].partitions)
    ]


def _leaves(settings: Settings) -> Iterable[tuple[int, ErasureLeaf]]:
    reader = Reader(settings.folder / "ledger")
    reader.require()
    head = open_head(reader, ledger_verifier(settings.folder / "keys"))
    return backwards(reader, head, ErasureLeaf)


def _root(settings: Settings) -> bytes:
    keys = settings.folder / "keys"
    path = keys / f"{COMMITMENTS}.json"
    if not path.exists():  # it would be made anew, and match no leaf
        msg = f"{path}: missing; without it the ledger does not say who was erased"
        raise SetupError(msg)
    return secret(keys, COMMITMENTS)
