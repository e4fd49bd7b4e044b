"""Which rows of the blind index a batch of events adds, by what is remembered of its subjects."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from connectors.postgres.vault.copying import term_rows
from connectors.postgres.vault.rows import Term
from connectors.postgres.vault.store import Writing
from residency.vault.index import BlindIndex, Kind
from residency.vault.terms import Found, Terms
from streams.vault.subjectkeys import Known

MAX_TEXTS: Final = 1_000  # of one subject that are remembered as indexed


@dataclass(slots=True)
class _New:
    """Texts that are not known to be in the index, each with its subject."""

    texts: list[Found] = field(default_factory=list, repr=False)
    subjects: list[bytes] = field(default_factory=list, repr=False)


class NewTerms:
    """Gathers what one batch adds."""

    def __init__(self, terms: Terms, index: BlindIndex) -> None:
        """Take what finds terms, and what makes digests of them."""
        self._terms = terms
        self._index = index
        self._sure: set[bytes] = set()
        self._unsure: set[Term] = set()

    def look(
        self,
        schema_id: int,
        values: Sequence[bytes],
        subjects: Sequence[bytes],
        known: Sequence[Known],
    ) -> None:
        """Look at events of one schema, each with its subject and what is known of that."""
        sure, unsure = _New(), _New()
        indexed = [one.indexed for one in known]
        for number, text in self._terms.find(schema_id, values):
            if text not in indexed[number]:
                indexed[number].add(text)
                new = sure if known[number].is_whole else unsure
                new.texts.append(text)
                new.subjects.append(subjects[number])
        for one in known:
            if len(one.indexed) > MAX_TEXTS:
                one.indexed.clear()
                one.is_whole = False
        for kind, digests, whose in self._digests(sure):
            self._sure.update(term_rows(kind, digests, whose))
        for kind, digests, whose in self._digests(unsure):
            pairs = zip(digests, whose, strict=True)
            self._unsure.update(Term(kind, digest, subject) for digest, subject in pairs)

    def store(self, writing: Writing) -> None:
        """Add it all to the index."""
        writing.index(self._sure)
        writing.add(self._unsure)

    def _digests(self, new: _New) -> Iterator[tuple[Kind, list[bytes], Iterable[bytes]]]:
        for made in self._terms.make(new.texts):
            subjects = [new.subjects[number] for number in made.numbers]
            yield made.kind, self._index.digests(made.kind, made.terms), subjects
