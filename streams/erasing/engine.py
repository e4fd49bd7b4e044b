"""The erasures of a region, carried on step by step, many at once."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

from connectors.postgres.vault.abroad import Abroad
from connectors.postgres.vault.destroying import Renewed, Returned
from connectors.postgres.vault.erasures import Erasures
from connectors.postgres.vault.reader import VaultReader
from connectors.postgres.vault.rows import Wrapped
from connectors.postgres.vault.suppressions import Suppressions
from residency.keys import COMMITMENTS, secret, token_keys
from residency.ledger.erasures import ErasureLeaf, subject_commitment
from residency.ledger.leaves import quantise
from residency.ledger.reader import Reader
from residency.ledger.requests import FOLDER, Requests
from residency.vault.erasure import Erasure, Step, passed
from residency.vault.index import BlindIndex
from schemas.errors import RetriableError
from streams.erasing.asking import INDEX
from streams.erasing.certificate import leaf_of, write_certificate
from streams.erasing.keeping import fresh, renewed
from streams.erasing.listing import Lister
from streams.erasing.positions import Positions
from streams.erasing.sending import RowSender
from streams.plans import load_book
from streams.settings import ReplaySettings
from streams.vault.keystores import open_keystore
from streams.vault.rawsealer import PUBLISHED_S
from streams.vault.storing import terms_of

LOG = logging.getLogger("homeport.erase")
BATCH = 500  # erasures that take a step together
EXPECTED = "expected"  # purpose of the key of the expected rows


class Engine:
    """Carries erasures on. One thread; whoever dies begins the step anew."""

    def __init__(self, settings: ReplaySettings, dsn: str) -> None:
        """Take the login that may look at topics and put minimal records on theirs."""
        self._settings = settings
        self._dsn = dsn
        keys = settings.folder / "keys"
        self._root = secret(keys, COMMITMENTS)
        book = load_book(settings.region, token_keys(keys, settings.region), _now().date())
        self._erasures, self._abroad = Erasures(dsn), Abroad(dsn)
        self._suppressions = Suppressions(dsn)
        self._positions = Positions(settings)
        self._lister = Lister(book, self._positions.topics, self._abroad, secret(keys, EXPECTED))
        self._sender = RowSender(settings, book, self._erasures, self._abroad, self._positions)
        self._requests = Requests(settings.folder / FOLDER)
        self._steps: tuple[tuple[Step, Callable[[list[Erasure]], bool]], ...] = (
            (Step.ASKED, self._settle),
            (Step.SETTLED, self._list),
            (Step.LISTED, self._erase_abroad),
            (Step.ABROAD, self._destroy),
            (Step.HOME, self._log),
            (Step.LOGGED, self._certify),
            (Step.CERTIFIED, self._end),
        )

    def close(self) -> None:
        """Close what is open."""
        self._positions.close()
        self._abroad.close()
        self._suppressions.close()
        self._erasures.close()

    def steps(self) -> dict[str, int]:
        """Return how many erasures there are by their last step."""
        return self._erasures.steps()

    def tick(self) -> bool:
        """Take each erasure a step on that can; return whether any did.

        Raises:
            RetriableError: Something does not answer; what was done is kept. Call again.
            HaltError: Going on makes no sense before somebody mended it.

        """
        moved = False
        trouble: RetriableError | None = None
        for step, take in self._steps:
            batch = self._erasures.at(step, BATCH)
            if batch:
                try:
                    moved = take(batch) or moved
                except RetriableError as error:  # the other steps may need nothing of it
                    trouble = error
        if trouble is not None:
            raise trouble
        return moved

    def _settle(self, batch: list[Erasure]) -> bool:
        """See that what was decided before has passed vault, border and egress."""
        fresh = [one for one in batch if not one.state.raw]
        if fresh:
            ends = self._positions.raw_ends()
            self._erasures.save([_with(one, raw=ends) for one in fresh])
            return True
        written = self._written()
        moved = list[Erasure]()
        border, egress = self._remembering("border"), self._remembering("egress")
        minimal: dict[str, int] = {}
        for one in batch:
            if one.state.minimal:
                if egress(one.state.minimal):
                    moved.append(one.at(Step.SETTLED))
            elif passed(one.state.raw, written) and border(one.state.raw):
                minimal = minimal or self._positions.outgoing_ends()
                moved.append(_with(one, minimal=minimal))
        self._erasures.save(moved)
        return bool(moved)

    def _written(self) -> dict[str, int]:
        """Return how far the vault's writer is, ``topic[partition]`` to offset."""
        found = self._erasures.progress()
        return {
            f"{name}[{n}]": found.get(f"{info.id}[{n}]", 0)
            for name, info in self._positions.topics.items()
            for n in range(info.partitions)
        }

    def _remembering(self, service: str) -> Callable[..., bool]:
        """Return what tells whether a service has passed some ends, asked once for equal ones."""
        known: dict[frozenset[tuple[str, int]], bool] = {}

        def ask(ends: dict[str, int]) -> bool:
            key = frozenset(ends.items())
            if key not in known:
                known[key] = self._positions.passed(service, ends)
            return known[key]

        return ask

    def _list(self, batch: list[Erasure]) -> bool:
        keyring = open_keystore(self._settings).load()
        suppressed = self._suppressions.of({one.subject for one in batch})
        with closing(VaultReader(self._dsn, keyring)) as reader:
            return self._keep(batch, self._lister.list(batch, reader, suppressed))

    def _erase_abroad(self, batch: list[Erasure]) -> bool:
        return self._keep(batch, self._sender.go_on(batch))

    def _destroy(self, batch: list[Erasure]) -> bool:
        """Destroy what may be, in the order: turn the key, wait for what lies under it, destroy.

        Of whom no gateway has sealed, at once.
        """
        ready, looked = list[Erasure](), list[Erasure]()
        written, border = self._written(), self._remembering("border")
        ends: dict[str, int] = {}
        for one in batch:
            state = one.state
            if state.turned is None or (
                state.late and passed(state.late, written) and border(state.late)
            ):
                ready.append(one)
            elif not state.late and _now().timestamp() > state.turned + PUBLISHED_S:
                ends = ends or self._positions.raw_ends()
                looked.append(_with(one, late=ends))
        self._erasures.save(looked)
        done = self._erasures.destroy(ready, self._renew, self._fresh) if ready else []
        return bool(looked or done)

    def _fresh(self, subject: bytes) -> Wrapped:
        return fresh(open_keystore(self._settings).load(), subject)

    def _renew(self, returned: Sequence[Returned]) -> Renewed:
        keys = self._settings.folder / "keys"
        if not returned:
            return Renewed()
        index = BlindIndex(secret(keys, INDEX))
        keyring = open_keystore(self._settings).load()
        return renewed(returned, keyring, terms_of(keys, self._settings.region), index)

    def _log(self, batch: list[Erasure]) -> bool:
        """Vacuum what held the destroyed, then have the leaves appended by egress."""
        tables = {table for one in batch for table in one.state.tables}
        self._erasures.vacuum(sorted(tables))
        time = quantise(_now())
        ready = [_with(one, tables=(), time=one.state.time or time) for one in batch]
        self._erasures.save(ready)
        answered, done = list[str](), list[Erasure]()
        for one in ready:
            leaf = self._leaf(one)
            self._requests.ask(leaf)
            answer = self._requests.answer(leaf.request)
            if answer is not None and answer.leaf is not None:
                done.append(replace(one.at(Step.LOGGED), leaf=answer.leaf))
                answered.append(leaf.request)
            elif answer is not None:
                done.append(one.stuck(f"the ledger refused the leaf: {answer.refused}"))
        self._erasures.save(done)
        for request in answered:  # once it is kept: whoever dies before asks again
            self._requests.forget(request)
        return bool(answered)

    def _certify(self, batch: list[Erasure]) -> bool:
        log = Reader(self._settings.folder / "ledger").verifier()
        for one in batch:
            write_certificate(self._settings.folder, log, one, self._leaf(one))
        self._erasures.save([one.at(Step.CERTIFIED) for one in batch])
        return True

    def _end(self, batch: list[Erasure]) -> bool:
        done = [one.at(Step.DONE) for one in batch]
        self._erasures.end([_ended(one) for one in done], _now())
        for one in done:
            LOG.info("erasure %s is done: leaf %s", one.request, one.leaf)
        return True

    def _leaf(self, one: Erasure) -> ErasureLeaf:
        commitment = subject_commitment(self._root, one.subject)
        return leaf_of(one, commitment, one.state.time or quantise(_now()))

    def _keep(self, before: Sequence[Erasure], after: Sequence[Erasure]) -> bool:
        """Keep what is changed; return whether any is a step on."""
        was = {one.request: one for one in before}
        changed = [one for one in after if one != was[one.request]]
        self._erasures.save(changed)
        return any(one.step != was[one.request].step for one in changed)


def _with(one: Erasure, **changes: object) -> Erasure:
    return replace(one, state=replace(one.state, **changes))  # type: ignore[arg-type]


def _ended(one: Erasure) -> Erasure:
    """Return an erasure with all that is left to remember of it."""
    return replace(one, state=replace(one.state, raw={}, minimal={}, late={}, rows=()))


def _now() -> datetime:
    return datetime.now(UTC)
