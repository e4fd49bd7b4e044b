"""``homeport policy``: what a privacy officer types, and the exit codes that scripts rely on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from residency.policy.files import PACKS, SINGLE

TOP = Path(__file__).parents[3]


def swap(file: Path, old: str, new: str) -> int:
    """Put *new* for the first *old*; return the line it begins on."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def run(*argv: object, cwd: Path = TOP) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "policy", *map(str, argv)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(TOP), "PATH": "/usr/bin:/bin"},
    )


def run_json(*argv: object, exit_code: int = 0) -> Any:
    done = run(*argv, "--json")
    assert (done.returncode, done.stderr) == (exit_code, "")
    return json.loads(done.stdout)


def test_the_shipped_policy_lints_with_exit_0_and_few_words_about_notes() -> None:
    done = run("lint", "--on", "2026-11-23")

    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert done.stderr.startswith("0 problem(s), ")
    assert [line.split(", lines ")[0] for line in lines] == [
        *(f"residency/{PACKS}/{p}.toml: note: unused-row" for p in ("ch", "eu", "uk", "us-ca")),
        "residency/policy/transfer_sets.toml: note: unused-set",
    ]


def test_lint_prints_notes_when_asked() -> None:
    done = run("lint", "--on", "2026-11-23", "--all")

    assert done.returncode == 0
    assert "residency/policy/packs/eu.toml:" in done.stdout
    assert "note: unused-row: eu-sensor: user.sensor matches no field" in done.stdout


def test_lint_names_file_and_line_and_fails(copy: Path) -> None:
    at = swap(copy / PACKS / "uk.toml", '"user.sensor"', '"user.sensors"')

    done = run("lint", copy, cwd=copy)

    assert done.returncode == 1
    assert f"policy/packs/uk.toml:{at}: unknown-category: uk-sensor: no cat" in done.stdout
    assert done.stderr.startswith("2 problem(s)")  # the pack lacks a row for user.sensor now


def test_lint_tells_the_same_as_json(copy: Path) -> None:
    at = swap(copy / PACKS / "uk.toml", '"user.sensor"', '"user.sensors"')

    told = run_json("lint", copy, "--on", "2026-11-23", exit_code=1)

    assert told["on"] == "2026-11-23"
    assert [(Path(p["file"]).name, p["line"], p["kind"]) for p in told["problems"]] == [
        ("uk.toml", 7, "incomplete-pack"),
        ("uk.toml", at, "unknown-category"),
    ]
    assert {"unused-row", "unused-set"} == {n["kind"] for n in told["notes"]}


def test_lint_reads_several_paths_and_yaml(copy: Path, tmp_path: Path) -> None:
    listed = tmp_path / "eea.yaml"
    listed.write_text("eea_extra: [IS, LI, NO]\n")

    told = run_json("lint", copy, listed, exit_code=1)

    assert [(Path(p["file"]).name, p["line"], p["kind"]) for p in told["problems"]] == [
        ("eea.yaml", 1, "unquoted-no")
    ]


@pytest.mark.parametrize(
    "argv",
    [("lint", "nowhere"), ("diff", "nowhere"), ("diff", "--", "--output=x"), ("show", "--on", "x")],
)
def test_a_wrong_word_is_a_usage_error(argv: tuple[str, ...]) -> None:
    assert run(*argv).returncode == 2


def test_an_unknown_category_to_show_is_a_usage_error() -> None:
    done = run("show", "--category", "user.contact.emial")

    assert done.returncode == 2
    assert "no category 'user.contact.emial'" in done.stderr


def test_a_policy_that_cannot_be_read_is_the_environments_fault(copy: Path) -> None:
    at = swap(copy / PACKS / "uk.toml", 'title = "', "title = ")

    done = run("diff", copy)

    assert done.returncode == 3
    assert f"uk.toml:{at}: syntax" in done.stderr


def test_diff_fails_on_what_is_loosened_and_shows_it_first(copy: Path) -> None:
    swap(
        copy / PACKS / "us-ca.toml",
        'email"\ndestination = "salesforce-central"\naction = "tokenise"',
        'email"\ndestination = "salesforce-central"\naction = "keep"',
    )
    swap(copy / PACKS / "us-ca.toml", 'how = "year"', 'how = "gender-group"')

    done = run("diff", ".", copy)

    first, rows, *rest = done.stdout.splitlines()
    assert done.returncode == 1
    assert first == "LOOSENED   us user.contact.email to salesforce-central: tokenise -> keep"
    assert rows.split() == ["us-ca-contact-email", "->", "us-ca-contact-email"]
    assert rest[0].startswith("TIGHTENED  us user.demographic.date_of_birth")
    assert done.stderr == "2 change(s), 1 of them loosened\n"


def test_the_other_way_round_the_same_change_is_tightened(copy: Path) -> None:
    swap(copy / "regions.toml", '  "CH",\n', "")

    back = run_json("diff", copy, ".", exit_code=1)
    forth = run_json("diff", ".", copy)

    ch = {"jurisdiction": "CH", "before": None, "after": "eu", "direction": "loosened"}
    assert (back["loosened"], back["jurisdictions"]) == (True, [ch])
    assert forth["loosened"] is False
    assert forth["jurisdictions"][0]["direction"] == "tightened"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with one commit: this one's history is not a test's to rely on."""
    for package in ("residency", "schemas", "streams", "connectors", "inference"):
        shutil.copytree(TOP / package, tmp_path / package, ignore=shutil.ignore_patterns("__py*"))
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def run_in(checkout: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "policy", *argv],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def test_diff_reads_git_revisions(checkout: Path) -> None:
    swap(
        checkout / "residency" / PACKS / "us-ca.toml",
        'email"\ndestination = "salesforce-central"\naction = "tokenise"',
        'email"\ndestination = "salesforce-central"\naction = "keep"',
    )

    done = run_in(checkout, "diff", "HEAD")

    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("LOOSENED   us user.contact.email")


def test_diff_names_an_id_that_is_gone_and_fails(checkout: Path) -> None:
    swap(checkout / "residency" / PACKS / "us-ca.toml", '"us-ca-sensor"', '"us-ca-sensors"')

    done = run_in(checkout, "diff", "HEAD")

    assert done.returncode == 1
    assert done.stdout.startswith("ID         us-ca-sensor: gone; put it into retired_ids.toml")


@pytest.mark.parametrize("file", [f"{PACKS}/eu.toml", *SINGLE.values()])
def test_lint_speaks_even_if_the_shipped_file_is_what_is_broken(checkout: Path, file: str) -> None:
    broken = checkout / "residency" / file
    text = broken.read_text()
    broken.write_text(text + "[oops\n")

    done = run_in(checkout, "lint")

    assert done.returncode == 1
    assert f"residency/{file}:{text.count(chr(10)) + 1}: syntax" in done.stdout


def test_show_tells_rows_laws_and_bases() -> None:
    (told,) = run_json("show", "--region", "eu", "--category", "user.contact.email")

    assert (told["action"], told["special_by"], told["silent_packs"]) == ("tokenise", {}, [])
    assert [(r["id"], r["pack"], r["basis"], r["valid_to"]) for r in told["rules"]] == [
        ("ch-contact-email", "ch", "dpv:DataTransferLegalBasis", "2036-01-15"),
        ("eu-contact-email", "eu", "eu-gdpr:A45-3", "2036-01-15"),
    ]


def test_show_tells_why_a_special_category_stays() -> None:
    told = run_json("show", "--region", "uk", "--category", "user.biometric")

    assert {t["category"] for t in told} >= {"user.biometric", "user.biometric.voice"}
    assert {t["action"] for t in told} == {"drop"}
    assert {t["special_by"]["uk"] for t in told} == {"UK GDPR Art. 9(1); DPA 2018 s. 10"}


def test_show_prints_a_line_per_category_and_one_per_row() -> None:
    done = run("show", "--region", "us", "--category", "user.contact.email", "--on", "2026-11-23")

    head, row = done.stdout.splitlines()
    assert head == "us  user.contact.email: tokenise, to salesforce-central"
    assert row.startswith("      us-ca-contact-email: Civ.Code 1798.140(v)")
    assert row.endswith("basis dpv:DataTransferLegalBasis")


def test_show_says_so_where_no_row_speaks() -> None:
    done = run("show", "--region", "us", "--category", "user.name.first", "--on", "2026-01-01")

    assert "no row in us-ca: silence is refusal" in done.stdout
