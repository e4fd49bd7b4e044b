"""A region's model is certified once, and again only when something about it changes."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue

import pytest

from inference.config import InferenceConfig, ServerConfig
from inference.golden import golden_set
from inference.labelling import Answer
from inference.lock import locked, task_digests
from inference.supervisor import Phase, State
from residency.ledger.certificates import ModelLeaf
from residency.ledger.files import Ledger
from residency.ledger.leaves import parse_leaf
from residency.ledger.requests import FOLDER, Requests
from schemas.errors import HaltError, RetriableError, SetupError
from streams import certifying
from streams.certifying import (
    Certified,
    Served,
    at_ready,
    certify,
    latest_certificate,
    served,
)

NOW = datetime(2026, 11, 26, 2, 0, 30, tzinfo=UTC)
MINILM = Served("minilm", locked("minilm"), InferenceConfig("pooling", "minilm@0", url="http://x"))


class Answering:
    """Answers every task about every text alike."""

    def __init__(self, score: float = 0.9, label: str = "other") -> None:
        self._answer = Answer(label, score, "en", "pooling", is_cut=False)

    def label(self, tasks: Sequence[str], texts: Sequence[str]) -> list[Mapping[str, Answer]]:
        return [dict.fromkeys(tasks, self._answer) for _ in texts]


def certified(folder: Path, asked: Answering, one: Served = MINILM) -> Certified:
    """Certify without waiting for egress."""
    return certify(folder, one, NOW, asked, patience_s=0.0)


def egress(folder: Path) -> list[ModelLeaf]:
    """Append what waits, as egress does; return all certificates of the ledger."""
    with Ledger.open(folder / "ledger", "ledger.eu.example/transfers", bytes(32)) as ledger:
        Requests(folder / FOLDER).serve(ledger)
        found = [parse_leaf(entry) for entry in ledger.read(0, ledger.size)]
    return [leaf for leaf in found if isinstance(leaf, ModelLeaf)]


def test_a_certificate_says_what_the_model_is_and_what_it_answers(tmp_path: Path) -> None:
    done = certified(tmp_path, Answering())

    (leaf,) = egress(tmp_path)
    assert done == Certified(leaf.certificate, None, is_new=True)
    assert leaf.time == "2026-11-26T02:00Z"
    assert leaf.certificate.identity.files == MINILM.model.files
    assert leaf.certificate.identity.tasks == task_digests()
    assert leaf.certificate.golden == golden_set().sha256
    assert leaf.certificate.answers.keys() == golden_set().texts.keys()
    assert {a for text in leaf.certificate.answers.values() for a in text.values()} == {
        ("other", "pooling", 90)
    }


def test_what_the_ledger_says_is_not_said_again(tmp_path: Path) -> None:
    certified(tmp_path, Answering())
    egress(tmp_path)

    again = certified(tmp_path, Answering(score=0.9049))

    assert (again.leaf, again.is_new) == (0, False)
    assert len(egress(tmp_path)) == 1


def test_what_waits_for_egress_is_not_asked_for_again(tmp_path: Path) -> None:
    certified(tmp_path, Answering())

    again = certified(tmp_path, Answering())

    assert (again.leaf, again.is_new) == (None, False)
    assert len(egress(tmp_path)) == 1


@pytest.mark.parametrize("change", ["answer", "file"])
def test_a_model_that_changed_is_certified_anew(tmp_path: Path, change: str) -> None:
    certified(tmp_path, Answering())
    egress(tmp_path)
    files = {**MINILM.model.files, "config.json": "00" * 32}
    other = replace(MINILM, model=replace(MINILM.model, files=files))

    if change == "answer":
        done = certified(tmp_path, Answering(label="praise"))
    else:
        done = certified(tmp_path, Answering(), other)

    assert done.is_new
    first, second = egress(tmp_path)
    latest = latest_certificate(tmp_path / "ledger")
    assert latest == (1, second)
    assert first.certificate != second.certificate


@pytest.mark.parametrize("score", [float("nan"), 1.1, -0.1])
def test_a_model_whose_scores_are_none_is_not_certified(tmp_path: Path, score: float) -> None:
    with pytest.raises(HaltError, match="scores"):
        certified(tmp_path, Answering(score=score))

    assert egress(tmp_path) == []


class Told:
    """Stands for `certify`: remembers what it was asked, and fails if told so."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: Queue[Served] = Queue()
        self._error = error

    def __call__(self, _folder: Path, one: Served, _now: datetime) -> Certified:
        self.asked.put(one)
        if self._error is not None:
            raise self._error
        return Certified(None, 7, is_new=True)  # type: ignore[arg-type] # nobody looks at it


def phases(folder: Path, *names: Phase) -> None:
    """Let a server of *folder* go through these phases."""
    config = ServerConfig("eu", "minilm", folder, folder / "engine.sock")
    tell = at_ready(folder, config)
    for name in names:
        tell(State("minilm@0", "0", name))


def test_a_server_is_certified_each_time_it_gets_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    monkeypatch.setattr(certifying, "certify", told)

    phases(tmp_path, "starting", "ready", "ready", "failed", "starting", "ready", "stopped")

    first, second = told.asked.get(timeout=60), told.asked.get(timeout=60)
    assert first == second
    assert (first.name, first.client.uds) == ("minilm", tmp_path / "engine.sock")
    assert first.client.model.startswith("minilm@")
    assert told.asked.empty()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RetriableError("no answer from the model server"), "no answer from the model server"),
        (OSError("Ada Lovelace"), "OSError"),
    ],
)
def test_a_server_that_is_not_certified_serves_on_and_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    told: str,
) -> None:
    monkeypatch.setattr(certifying, "certify", Told(error))

    phases(tmp_path, "ready")

    for thread in threading.enumerate():
        if thread.name == "certify":
            thread.join(5)
    assert caplog.messages == [f"the model is not certified: {told}"]


def test_a_region_without_a_model_server_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="infer up"):
        served(tmp_path, "eu")


def test_a_client_of_another_model_than_the_lock_makes_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = InferenceConfig("pooling", "minilm@0123456789ab", url="http://x")
    monkeypatch.setattr(certifying.models, "find_client", lambda _home, _region: config)

    with pytest.raises(SetupError, match="minilm@0123456789ab, lock and tasks make minilm@"):
        served(tmp_path, "eu")
