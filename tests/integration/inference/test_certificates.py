"""What a real model answers to the golden set is the same in two regions, or what differs is named.

One shared server stands for those of both regions: equal ones answer alike.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from model_servers import REGION, ModelServer

from inference.config import InferenceConfig
from inference.golden import golden_set
from inference.labelling import Answer, Labeller, labeller
from inference.lock import TASKS, LockedModel, hash_folder, locked, model_folder, task_digests
from inference.tasks import load_tasks
from residency.ledger.certificates import ModelLeaf
from residency.ledger.files import Ledger
from residency.ledger.requests import FOLDER, Requests
from streams import certifying
from streams.certifying import Served, certify
from streams.cli import cli

pytestmark = pytest.mark.timeout(600)  # the first use installs vLLM and starts it
NOISE = 0.001  # of a score; far more than two machines' sums differ
WAIT_S = 120.0


class OtherAnswer:
    """Asks a labeller, and changes what it says about one text."""

    def __init__(self, asked: Labeller) -> None:
        self._asked = asked

    def label(self, tasks: Sequence[str], texts: Sequence[str]) -> list[Mapping[str, Answer]]:
        first, *rest = self._asked.label(tasks, texts)
        return [{**first, "intent": replace(first["intent"], label="praise")}, *rest]


class OneByOne:
    """Asks a labeller about each text alone."""

    def __init__(self, asked: Labeller) -> None:
        self._asked = asked

    def label(self, tasks: Sequence[str], texts: Sequence[str]) -> list[Mapping[str, Answer]]:
        return [self._asked.label(tasks, [text])[0] for text in texts]


def certified(
    home: Path, region: str, model: LockedModel, client: InferenceConfig, asked: Labeller
) -> None:
    """Certify a region's model, and have its egress append that."""
    served = Served("minilm", model, client)
    certify(home / region, served, datetime.now(UTC), asked, patience_s=0.0)
    origin = f"ledger.{region}.homeport.example/transfers"
    with Ledger.open(home / region / "ledger", origin, bytes(32)) as ledger:
        Requests(home / region / FOLDER).serve(ledger)


def homeport(home: Path, *arguments: str) -> tuple[int, Any]:
    done = CliRunner().invoke(cli, ["models", *arguments, "--home", str(home), "--json"])
    return done.exit_code, json.loads(done.stdout)


def changed_byte(folder: Path, scratch: Path) -> Mapping[str, str]:
    """Return the digests of a copy of *folder*, one byte of whose weights is another."""
    shutil.copytree(folder, scratch)
    with (scratch / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    return hash_folder(scratch)


def test_two_regions_agree_until_a_task_a_byte_or_an_answer_is_another(
    tmp_path: Path, vllm_server: InferenceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, asked = locked("minilm"), labeller(vllm_server)
    for region in ("eu", "us"):
        certified(tmp_path, region, model, vllm_server, asked)
    same = homeport(tmp_path, "agree")

    certified(tmp_path, "us", model, vllm_server, OtherAnswer(asked))
    other_answer = homeport(tmp_path, "agree")
    folder = model_folder(model, certifying.models.environment.python())
    files = changed_byte(folder, tmp_path / "model")
    certified(tmp_path, "us", replace(model, files=files), vllm_server, asked)
    other_byte = homeport(tmp_path, "agree")
    shutil.copytree(TASKS, tmp_path / "tasks")
    with (tmp_path / "tasks/urgency.toml").open("a") as file:
        file.write("# reworded\n")
    monkeypatch.setattr(certifying, "task_digests", lambda: task_digests(tmp_path / "tasks"))
    certified(tmp_path, "us", model, vllm_server, asked)
    other_task = homeport(tmp_path, "agree")

    assert same[0] == 0
    assert (same[1]["agree"], same[1]["difference"]) == (True, None)
    assert [row["texts"] for row in same[1]["ledgers"]] == [len(golden_set().texts)] * 2
    for (code, told), field in (
        (other_answer, "answers/en-return-1/intent/label"),
        (other_byte, "files/model.safetensors"),
        (other_task, "tasks/urgency"),
    ):
        assert (code, told["agree"], told["difference"]["field"]) == (1, False, field)
        assert told["difference"]["ledgers"] == ["eu", "us"]


def test_a_server_asks_for_its_certificate_when_it_is_ready_and_only_once(
    model_server: ModelServer,
) -> None:
    waiting = Requests(model_server.home / REGION / FOLDER)
    deadline = time.monotonic() + WAIT_S
    while not list(waiting.waiting()) and time.monotonic() < deadline:
        time.sleep(0.1)

    code, told = homeport(model_server.home, "certify", "--region", REGION)

    (leaf,) = waiting.waiting()  # no egress runs there
    assert isinstance(leaf, ModelLeaf)
    assert (code, told["leaf"], told["is_new"]) == (0, None, False)
    assert told["digest"] == leaf.certificate.identity.digest
    assert leaf.certificate.identity.files == locked("minilm").files


def test_how_texts_are_batched_changes_no_certificate(
    tmp_path: Path, vllm_server: InferenceConfig
) -> None:
    model, asked = locked("minilm"), labeller(vllm_server)
    certified(tmp_path, "eu", model, vllm_server, asked)

    again = certify(
        tmp_path / "eu", Served("minilm", model, vllm_server), datetime.now(UTC), OneByOne(asked)
    )

    assert not again.is_new


def test_the_golden_set_asks_for_every_label_and_none_of_it_is_a_close_call(
    vllm_server: InferenceConfig,
) -> None:
    """Else two equal machines might round a close call to different labels."""
    tasks = load_tasks()

    found = labeller(vllm_server).label(list(tasks), list(golden_set().texts.values()))

    for name, task in tasks.items():
        answers = [one[name] for one in found]
        assert {answer.label for answer in answers} == set(task.labels), name
        close = [a for a in answers if abs(a.score - task.threshold) < NOISE and task.threshold]
        assert close == [], name
