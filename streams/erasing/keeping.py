"""Keeps what came of a person since they registered again, while their erasure was under way."""

import secrets
from collections.abc import Iterator, Mapping, Sequence

from connectors.postgres.vault.destroying import Renewed, Returned
from connectors.postgres.vault.rows import Term, Wrapped
from residency.vault.index import BlindIndex
from residency.vault.keyring import KEY_BYTES, Keyring
from residency.vault.kinds import UNKNOWN, load_kinds
from residency.vault.sealing import EventSeal
from residency.vault.suppress import Suppression, judge, tell
from residency.vault.terms import Terms
from schemas.events import Coordinates
from schemas.registry import load_registry


def came_since(
    subjects: Sequence[bytes], values: Sequence[bytes], suppressed: Mapping[bytes, Suppression]
) -> list[bool]:
    """Tell of each event whether it came after its person had registered again.

    By the rule that border and vault go by: whatever a lifted suppression refuses is of before.

    Args:
        subjects: Whose each event is.
        values: The events.
        suppressed: By subject; one that is not lifted lets nothing be of later.

    """
    registry, kinds = load_registry(), load_kinds()
    judged = judge(subjects, suppressed, lambda n: tell(values[n], registry, kinds))
    lifted = {s for s, one in suppressed.items() if one.lifted_at is not None}
    return [s in lifted and n not in judged.refused for n, s in enumerate(subjects)]


def renewed(
    returned: Sequence[Returned], keyring: Keyring, terms: Terms, index: BlindIndex
) -> Renewed:
    """Return what came since, sealed under another key of each subject, and its index.

    The key is the one that their raw records are sealed under already, or a new one.

    Raises:
        KeyWrapError: A subject's key does not open.
        EventSealError: An event does not open.

    """
    values = [_opened(one, keyring) for one in returned]
    subjects = [one.row.subject for one in returned]
    is_since = came_since(subjects, values, {s.row.subject: s.suppression for s in returned})
    kept = [
        pair
        for pair, stays in zip(zip(returned, values, strict=True), is_since, strict=True)
        if stays
    ]
    keys = {one.row.subject: _next_key(one, keyring) for one, _ in kept}
    seals = {subject: EventSeal(key) for subject, key in keys.items()}
    rows, found = [], set[Term]()
    for one, value in kept:
        row = one.row
        sealed = seals[row.subject].close(_name(one), row.topic_id, row.subject, value)
        rows.append(row._replace(sealed=sealed))
        found.update(_terms(one, value, terms, index))
    wrapped = {subject: Wrapped(*keyring.wrap(subject, key)) for subject, key in keys.items()}
    return Renewed(wrapped, tuple(rows), frozenset(found))


def fresh(keyring: Keyring, subject: bytes) -> Wrapped:
    """Return a new key of a subject, wrapped."""
    return Wrapped(*keyring.wrap(subject, secrets.token_bytes(KEY_BYTES)))


def _next_key(one: Returned, keyring: Keyring) -> bytes:
    if one.following is None:
        return secrets.token_bytes(KEY_BYTES)
    return keyring.unwrap(one.row.subject, one.following.kek, one.following.key)


def _opened(one: Returned, keyring: Keyring) -> bytes:
    row = one.row
    seal = EventSeal(keyring.unwrap(row.subject, one.wrapped.kek, one.wrapped.key))
    return seal.open(_name(one), row.topic_id, row.subject, row.sealed)


def _name(one: Returned) -> str:
    return str(Coordinates(one.row.topic, one.row.partition, one.row.offset))


def _terms(one: Returned, value: bytes, terms: Terms, index: BlindIndex) -> Iterator[Term]:
    if one.row.event != UNKNOWN:
        for kind, text in terms.of(one.row.schema_id, value):
            yield Term(kind, index.digest(kind, text), one.row.subject)
