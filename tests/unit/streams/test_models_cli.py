"""`homeport models agree` needs ledgers and keys alone, proves them, and names what differs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from inference import accepted
from inference.accepted import Accepted, present, read_accepted, to_toml
from inference.lock import read_lock, task_digests
from residency.ledger.certificates import Certificate
from residency.ledger.files import Ledger
from residency.ledger.note import Signer
from schemas.errors import SetupError
from streams.cli import cli
from tests.support.certified import CERTIFICATE, LEAF, with_answer, with_identity

SEEDS = {"eu": bytes(32), "uk": b"u" * 32, "us": b"s" * 32}
OTHER_BYTE = with_identity(files={**CERTIFICATE.identity.files, "tokenizer.json": "00" * 32})


def region(home: Path, name: str, *said: Certificate) -> tuple[str, str, str, str]:
    """Make a region's ledger of these certificates; return the options that name a copy of it."""
    signer, folder = Signer(f"ledger.{name}.example/transfers", SEEDS[name]), home / name
    folder.mkdir(exist_ok=True)
    with Ledger.open(folder / "ledger", signer.verifier.name, SEEDS[name]) as ledger:
        for number, one in enumerate(said, ledger.size):
            ledger.append([replace(LEAF, certificate=one, request=f"{number:032x}").to_bytes()])
    vkey = home / f"{name}.vkey"
    vkey.write_text(f"{signer.verifier}\n", encoding="utf-8")
    return "--ledger", str(folder / "ledger"), "--vkey", str(vkey)


def agree(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["models", "agree", "--home", str(home), *arguments])


def told(done: Result) -> Any:
    return json.loads(done.stdout)


def test_regions_with_the_same_model_agree(tmp_path: Path) -> None:
    for name in SEEDS:
        region(tmp_path, name, CERTIFICATE)

    done, plain = agree(tmp_path, "--json"), agree(tmp_path)

    assert done.exit_code == plain.exit_code == 0
    assert told(done)["agree"]
    assert [row["ledger"] for row in told(done)["ledgers"]] == list(SEEDS)
    assert {row["digest"] for row in told(done)["ledgers"]} == {CERTIFICATE.identity.digest}
    assert "the same model everywhere" in plain.stdout


def test_the_newest_certificate_of_each_counts(tmp_path: Path) -> None:
    region(tmp_path, "eu", OTHER_BYTE, CERTIFICATE)
    region(tmp_path, "us", with_answer(label="other"), CERTIFICATE)

    done = agree(tmp_path, "--json")

    assert done.exit_code == 0
    assert [row["leaf"] for row in told(done)["ledgers"]] == [1, 1]


def test_the_first_difference_is_named_with_both_regions(tmp_path: Path) -> None:
    region(tmp_path, "eu", CERTIFICATE)
    region(tmp_path, "uk", CERTIFICATE)
    region(tmp_path, "us", OTHER_BYTE)

    done, plain = agree(tmp_path, "--json"), agree(tmp_path)

    assert done.exit_code == plain.exit_code == 1
    assert told(done)["difference"] == {
        "ledgers": ["eu", "us"],
        "field": "files/tokenizer.json",
        "values": ["c3" * 32, "00" * 32],
    }
    assert f"eu and us differ: files/tokenizer.json: {'c3' * 32} and {'00' * 32}" in plain.stdout


def test_copies_and_keys_are_all_that_an_auditor_needs(tmp_path: Path) -> None:
    eu, us = region(tmp_path, "eu", CERTIFICATE), region(tmp_path, "us", with_answer(score=10))
    (tmp_path / "eu/ledger/vkey").unlink()

    done = agree(tmp_path / "nowhere", *eu, *us, "--json")

    assert done.exit_code == 1
    assert told(done)["difference"]["field"] == "answers/en-return/intent/score"
    assert told(done)["ledgers"][0]["origin"] == "ledger.eu.example/transfers"


def test_a_region_without_a_certificate_agrees_with_nobody(tmp_path: Path) -> None:
    region(tmp_path, "eu", CERTIFICATE)
    region(tmp_path, "us")

    done, plain = agree(tmp_path, "--json"), agree(tmp_path)

    assert done.exit_code == plain.exit_code == 1
    assert told(done)["agree"] is False
    assert told(done)["ledgers"][1]["leaf"] is None
    assert "us has no certificate" in plain.stdout


def test_a_certificate_that_the_key_did_not_sign_counts_for_nothing(tmp_path: Path) -> None:
    eu, us = region(tmp_path, "eu", CERTIFICATE), region(tmp_path, "us", CERTIFICATE)

    done = agree(tmp_path, *eu[:3], us[3], *us)

    assert done.exit_code == 1
    assert "signed" in str(done.exception)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_ledgers_are_nothing_to_compare(tmp_path: Path, count: int) -> None:
    for name in list(SEEDS)[:count]:
        region(tmp_path, name, CERTIFICATE)

    done = agree(tmp_path)

    assert done.exit_code == 2
    assert f"{count} ledger(s)" in done.stderr


def test_each_copy_needs_its_own_key(tmp_path: Path) -> None:
    eu, us = region(tmp_path, "eu", CERTIFICATE), region(tmp_path, "us", CERTIFICATE)

    done = agree(tmp_path, *eu, *us[:2])

    assert done.exit_code == 2
    assert "its own --vkey" in done.stderr


def test_a_region_that_has_no_ledger_is_a_fault_of_the_set_up(tmp_path: Path) -> None:
    region(tmp_path, "eu", CERTIFICATE)

    done = agree(tmp_path, "--region", "eu", "--region", "us")

    assert isinstance(done.exception, SetupError)


def test_accepting_adds_what_the_lock_and_the_tasks_make_and_forgets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, earlier = tmp_path / "accepted.toml", Accepted("minilm", "ab" * 32)
    path.write_text(to_toml([earlier]), encoding="utf-8")
    monkeypatch.setattr(accepted, "ACCEPTED_FILE", path)

    first = CliRunner().invoke(cli, ["models", "accept"])
    second = CliRunner().invoke(cli, ["models", "accept"])

    now = present(read_lock(), task_digests())
    assert read_accepted(path) == (earlier, *now)
    assert now[0].digest in first.stdout
    assert (first.exit_code, second.exit_code, second.stdout) == (0, 0, "")
