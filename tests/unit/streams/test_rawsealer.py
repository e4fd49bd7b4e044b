"""What a gateway's sealing does when keys cannot be had: nothing waits for ever, nothing leaks."""

import asyncio
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from residency.vault.keyfiles import FileKeyStore
from residency.vault.rawseal import RawSeal
from schemas.errors import SetupError
from streams.vault import rawsealer
from streams.vault.rawsealer import MAX_BATCH, RawSealer

TOPIC, KEY = "eu.commerce.orders.v1", b"k" * 32
NOWHERE = "host=127.0.0.1 port=1 user=nobody connect_timeout=1"


class Keys:
    """Stands for the keys of subjects; notes what was asked for."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.asked: list[list[bytes]] = []
        self.awaited: list[list[bytes]] = []
        self.forgotten = 0
        self.go = threading.Event()
        self.go.set()

    def of(
        self, _writing: object, subjects: Collection[bytes], _at: datetime, *, for_raw: bool
    ) -> dict[bytes, Any]:
        assert for_raw
        self.go.wait(10)
        self.asked.append(list(subjects))
        if self.fault:
            raise self.fault
        return {subject: SimpleNamespace(data_key=KEY) for subject in subjects}

    def forget(self) -> None:
        self.forgotten += 1


def sealer_with(tmp_path: Path, keys: Keys) -> RawSealer:
    @contextmanager
    def writing() -> Iterator[Any]:
        yield SimpleNamespace(await_events=lambda subjects, _at: keys.awaited.append(subjects))

    sealer = RawSealer(NOWHERE, FileKeyStore(tmp_path))
    sealer._keys = keys  # type: ignore[assignment]  # noqa: SLF001
    sealer._store.writing = writing  # type: ignore[assignment, method-assign]  # noqa: SLF001
    return sealer


def subject(n: int) -> bytes:
    return n.to_bytes(16, "big")


async def outcome(sealer: RawSealer, n: int) -> bytes | str:
    try:
        return await sealer.seal(TOPIC, subject(n), b"%d" % n)
    except ConnectionError as error:
        return str(error)


def test_what_comes_while_a_batch_is_sealed_goes_together_in_order_and_no_key_stays(
    tmp_path: Path,
) -> None:
    keys, done = Keys(), list[int]()
    sealer = sealer_with(tmp_path, keys)

    async def run() -> list[bytes | str]:
        async def one(n: int) -> bytes | str:
            found = await outcome(sealer, n)
            done.append(n)
            return found

        keys.go.clear()
        first = asyncio.create_task(one(0))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(one(n)) for n in range(1, MAX_BATCH + 2)]
        await asyncio.sleep(0.05)
        keys.go.set()
        found = await asyncio.gather(first, *rest)
        await sealer.close()
        return found

    found = asyncio.run(run())

    assert [len(batch) for batch in keys.asked] == [1, MAX_BATCH, 1]
    assert done == list(range(MAX_BATCH + 2))
    values = [RawSeal(subject(n), KEY).open(TOPIC, f) for n, f in enumerate(found) if f != "vault"]  # type: ignore[arg-type]
    assert values == [b"%d" % n for n in range(MAX_BATCH + 2)]
    assert keys.forgotten == len(keys.asked)


def test_events_of_one_subject_ask_for_its_key_once(tmp_path: Path) -> None:
    keys = Keys()
    sealer = sealer_with(tmp_path, keys)

    async def run() -> None:
        await asyncio.gather(*(sealer.seal(TOPIC, subject(7), b"") for _ in range(5)))

    asyncio.run(run())

    assert keys.asked == keys.awaited == [[subject(7)]]


def test_while_postgres_does_not_answer_each_event_is_refused_and_the_next_is_tried(
    tmp_path: Path,
) -> None:
    sealer = RawSealer(NOWHERE, FileKeyStore(tmp_path))

    async def run() -> list[bytes | str]:
        return [await outcome(sealer, n) for n in range(2)]

    assert asyncio.run(run()) == ["vault", "vault"]
    sealer.check()


def test_a_fault_of_the_set_up_refuses_all_and_is_raised_where_it_ends_the_worker(
    tmp_path: Path,
) -> None:
    sealer = sealer_with(tmp_path, Keys(SetupError("no right")))

    async def run() -> list[bytes | str]:
        found = await asyncio.gather(*(outcome(sealer, n) for n in range(3)))
        return [*found, await outcome(sealer, 3)]

    assert asyncio.run(run()) == ["vault"] * 4
    with pytest.raises(SetupError, match="no right"):
        sealer.check()


def test_an_event_waits_for_its_seal_no_longer_than_it_is_told_and_the_next_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rawsealer, "PATIENCE_S", 0.05)
    keys = Keys()
    sealer = sealer_with(tmp_path, keys)

    async def run() -> list[bytes | str]:
        keys.go.clear()
        late = await outcome(sealer, 0)
        keys.go.set()
        await asyncio.sleep(0.05)
        return [late, await outcome(sealer, 1)]

    late, after = asyncio.run(run())

    assert late == "vault"
    assert isinstance(after, bytes)


def test_more_than_can_wait_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rawsealer, "MAX_WAITING", 2)
    keys = Keys()
    sealer = sealer_with(tmp_path, keys)

    async def run() -> list[bytes | str]:
        keys.go.clear()
        tasks = [asyncio.create_task(outcome(sealer, n)) for n in range(2)]
        await asyncio.sleep(0.05)  # they are in the thread's hands
        tasks += [asyncio.create_task(outcome(sealer, n)) for n in range(2, 5)]
        await asyncio.sleep(0.05)
        keys.go.set()
        return await asyncio.gather(*tasks)

    found = asyncio.run(run())

    assert [one == "vault" for one in found] == [False] * 4 + [True]
