"""A look into the vault, from the question to what is shown. The order is the promise.

1. May this caller ask this? From role and schemas alone, so a refusal tells nothing of anybody.
2. One more for the caller's count, or too many.
3. Who is it about: the blind index, or the record's own row.
4. The `access` leaf: durable as a request before anything is shown, and appended by egress within
   `PATIENCE_S` as a rule. Where egress is halted or down it waits there, and is appended later.
5. The events, opened, and of them the fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from connectors.kafka.topology import load_topics
from connectors.postgres.vault.reader import Kept, VaultReader
from residency import topics
from residency.keys import secret
from residency.ledger.accesses import Act, Purpose
from residency.vault.index import BlindIndex, term
from residency.vault.looking import (
    Ask,
    ByRecord,
    Refused,
    RefusedError,
    Term,
    View,
    check_purpose,
    view_of,
)
from schemas.codec import decode
from schemas.errors import QuarantineError, SetupError
from schemas.registry import load_registry
from streams.looking.callers import Caller
from streams.looking.opened import OpenVault
from streams.looking.rates import Rates
from streams.looking.witness import PATIENCE_S, Witness
from streams.settings import Settings
from streams.vault.keystores import open_keystore

INDEX_KEY: Final = "vault-index"


@dataclass(frozen=True, slots=True)
class Shown:
    """One event, as far as it may be seen."""

    record: str
    topic_id: str
    event: str
    kept_at: datetime
    fields: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up shows.

    Attributes:
        request: Names its leaf, also while that waits.
        leaf: Index of the `access` leaf; None while it waits for egress.
        persons: For each person that was found their events, newest first.
        erased: A record that was looked up and is of an erased subject.
        erasure: Index of the leaf that says so; None where it has none yet.

    """

    request: str
    leaf: int | None
    persons: tuple[tuple[Shown, ...], ...] = ()
    erased: bool = False
    erasure: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            "request": self.request,
            "leaf": self.leaf,
            "erased": {"leaf": self.erasure} if self.erased else None,
            "persons": [
                {
                    "events": [
                        {
                            "record": one.record,
                            "topic_id": one.topic_id,
                            "event": one.event,
                            "kept_at": one.kept_at.astimezone(UTC).isoformat(),
                            "fields": one.fields,
                        }
                        for one in events
                    ]
                }
                for events in self.persons
            ],
        }


@dataclass(frozen=True, slots=True)
class Whose:
    """Whom something is about.

    Attributes:
        subjects: Maybe nobody, or several.
        request: Names the `access` leaf.
        leaf: Its index; None while it waits for egress.

    """

    subjects: tuple[bytes, ...] = field(repr=False)
    request: str
    leaf: int | None


class Desk:
    """Where callers look. Its calls may come from several threads."""

    def __init__(self, settings: Settings, patience_s: float = PATIENCE_S) -> None:
        """Take the settings of the service ``lookup``; connects at the first look-up.

        Raises:
            SetupError: They name no Postgres, or a key cannot be read.

        """
        if settings.postgres is None:
            msg = "the settings of lookup name no postgres; run `homeport up` to write them again"
            raise SetupError(msg)
        self._settings = settings
        self._rates = Rates(settings.folder)
        self._witness = Witness(settings.folder, patience_s)
        self._index = BlindIndex(secret(settings.folder / "keys", INDEX_KEY))
        self._vault = OpenVault(settings.postgres.dsn, open_keystore(settings))
        self._registry = load_registry()
        known = load_topics(settings.home, settings.region)
        self.topic_ids = {name: known[name].id for name in topics.raw_topics(settings.region)}

    def close(self) -> None:
        """Close what is open."""
        self._vault.close()
        self._rates.close()

    def find(self, caller: Caller, by: Term, ask: Ask, now: datetime) -> Found:
        """Return what *caller* sees.

        Raises:
            RefusedError: The caller may not ask this, or not so often.
            RetriableError: Postgres does not answer.
            LedgerError: The leaf was refused; nothing is shown.

        """
        role = caller.may()
        view = view_of(ask, role, self._registry)
        self._rates.take(caller, role)
        subjects, record = self._whose(by)
        request, leaf = self._witness.log(caller, Act.FIND, ask.purpose, ask.ticket, subjects, now)
        if isinstance(by, ByRecord):
            if record is None:
                erased = self._vault.read(partial(_erased, by=by))
                return Found(request, leaf, (), by.at.offset in erased, erased.get(by.at.offset))
            return Found(request, leaf, (self._shown([record], view),))
        looks = (partial(_newest, subject=one, view=view, ask=ask) for one in subjects)
        persons = tuple(self._shown(self._vault.read(look), view) for look in looks)
        return Found(request, leaf, persons)

    def whose(
        self, caller: Caller, by: Term, purpose: Purpose, ticket: str, now: datetime
    ) -> Whose:
        """Return whom a term is about, for whoever may have all that is held of a person.

        Raises:
            RefusedError: The caller may not, or not so often.
            RetriableError: Postgres does not answer.
            LedgerError: The leaf was refused; nothing is told.

        """
        role = caller.may()
        check_purpose(purpose, ticket, role)
        if not role.exports:
            msg = f"role {role.id} may look, and not export"
            raise RefusedError(Refused.EXPORT, msg)
        self._rates.take(caller, role)
        subjects, _ = self._whose(by)
        request, leaf = self._witness.log(caller, Act.EXPORT, purpose, ticket, subjects, now)
        return Whose(tuple(subjects), request, leaf)

    def events(self, subject: bytes) -> list[Kept]:
        """Return all that is kept of somebody whom `whose` found, oldest first."""
        return self._vault.read(lambda reader: list(reader.events(subject)))

    def _whose(self, by: Term) -> tuple[list[bytes], Kept | None]:
        """Return whom it is about, and the record that was named."""
        if isinstance(by, ByRecord):
            at = by.at
            kept = self._vault.read(lambda r: r.record(by.topic_id, at.partition, at.offset))
            return ([] if kept is None else [kept.subject]), kept
        digest = self._index.digest(by.kind, term(by.kind, by.value))
        return self._vault.read(lambda reader: reader.subjects_of(by.kind, digest)), None

    def _shown(self, kept: Sequence[Kept], view: View) -> tuple[Shown, ...]:
        """Return the events of which anything may be seen, in their order."""
        found = []
        for one in kept:
            try:
                schema, decoded = decode(self._registry, one.value)
            except QuarantineError:  # no event of ours: nobody has said who may see it
                continue
            if schema.subject in view.events:
                fields = view.shown(schema, decoded)
                found.append(Shown(one.name, one.topic_id, one.event, one.kept_at, fields))
        return tuple(found)


def _erased(reader: VaultReader, by: ByRecord) -> dict[int, int | None]:
    """Return the record's offset and the leaf of its erasure, if it was erased."""
    return reader.erased(by.topic_id, by.at.partition, by.at.offset, by.at.offset + 1)


def _newest(reader: VaultReader, subject: bytes, view: View, ask: Ask) -> list[Kept]:
    """Return the newest of a subject's events that may be seen, newest first."""
    return reader.newest(subject, view.events, ask.limit)
