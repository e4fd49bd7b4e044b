"""Keeps what came of a person since they registered again, while their erasure was under way."""

import secrets
from collections.abc import Sequence

from connectors.postgres.vault.destroying import Renewed, Since
from connectors.postgres.vault.store import Term, Wrapped
from residency.vault.index import BlindIndex
from residency.vault.keyring import KEY_BYTES, Keyring
from residency.vault.kinds import UNKNOWN
from residency.vault.sealing import EventSeal
from residency.vault.terms import Terms
from schemas.events import Coordinates


def renewed(since: Sequence[Since], keyring: Keyring, terms: Terms, index: BlindIndex) -> Renewed:
    """Return events sealed under a new key of each subject, and what the index says of them.

    Raises:
        KeyWrapError: A subject's key does not open.
        EventSealError: An event does not open.

    """
    keys = {one.row.subject: secrets.token_bytes(KEY_BYTES) for one in since}
    seals = {subject: EventSeal(key) for subject, key in keys.items()}
    rows, found = [], set[Term]()
    for one in since:
        row, name = one.row, str(Coordinates(one.row.topic, one.row.partition, one.row.offset))
        old = EventSeal(keyring.unwrap(row.subject, one.wrapped.kek, one.wrapped.key))
        value = old.open(name, row.topic_id, row.subject, row.sealed)
        sealed = seals[row.subject].close(name, row.topic_id, row.subject, value)
        rows.append(row._replace(sealed=sealed))
        if row.event != UNKNOWN:
            found |= {
                Term(kind, index.digest(kind, text), row.subject)
                for kind, text in terms.of(row.schema_id, value)
            }
    wrapped = {subject: Wrapped(*keyring.wrap(subject, key)) for subject, key in keys.items()}
    return Renewed(wrapped, tuple(rows), frozenset(found))
