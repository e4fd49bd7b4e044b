"""What scripts rely on: exit codes, and with `--json` one document on stdout, nothing else."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.registry import load_registry
from streams.demo.generate import Shop

TOP = Path(__file__).parents[2]
WAIT_S = 120
FINE, WRONG, USAGE, ENVIRONMENT = 0, 1, 2, 3


def homeport(
    *arguments: str | Path, cwd: Path | None = None, stdin: bytes = b"", first: Path = TOP
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "streams.cli", *map(str, arguments)],
        cwd=cwd or TOP,
        env={**os.environ, "PYTHONPATH": f"{first}{os.pathsep}{TOP}"},
        input=stdin,
        capture_output=True,
        check=False,
        timeout=WAIT_S,
    )


def document(done: "subprocess.CompletedProcess[bytes]") -> Any:
    """Return the one document on stdout."""
    assert done.stderr == b""
    assert done.stdout.endswith(b"}\n") or done.stdout.endswith(b"]\n")
    return json.loads(done.stdout)


class TestPlan:
    """``homeport plan`` and ``homeport explain``."""

    def test_show_lists_each_plan_of_a_region(self) -> None:
        found = document(homeport("plan", "show", "--region", "uk", "--json"))

        assert len(found) == len(load_registry().raw())
        assert {plan["region"] for plan in found} == {"uk"}
        assert all(plan["approved"] for plan in found)
        assert all(len(plan["digest"]) == 64 for plan in found)

    def test_show_says_in_words_what_goes_where(self) -> None:
        done = homeport("plan", "show", "--region", "eu", "--schema", "OrderPlaced@1")

        shown = done.stdout.decode()
        assert done.returncode == FINE
        assert "commerce.orders.OrderPlaced (schema 1001) in eu: approved" in shown
        assert "-> Commerce_Order__c, basis dpv:DataTransferLegalBasis, eu-gdpr:A45-3" in shown
        assert "External_Id__c" in shown
        assert "payment.iban" in shown.partition("  drop ")[2]

    def test_lint_finds_nothing_wrong_with_what_is_committed(self) -> None:
        done = homeport("plan", "lint", "--json")

        assert done.returncode == FINE
        assert document(done) == {"problems": []}

    def test_lint_says_in_words_how_many(self) -> None:
        done = homeport("plan", "lint")

        assert (done.returncode, done.stdout) == (FINE, b"")
        assert done.stderr == b"0 problem(s)\n"

    def test_explain_names_rule_law_and_field(self) -> None:
        arguments = ("explain", "customer.email", "--region", "eu", "--schema", "OrderPlaced")

        told = document(homeport(*arguments, "--json"))
        words = homeport(*arguments).stdout.decode()

        assert told["action"] == "tokenise"
        assert told["category"] == "user.contact.email"
        assert told["sent_as"] == ["Commerce_Order__c.Email_Token__c"]
        assert told["rules"]
        assert told["sources"]
        for text in ("tokenise", "Email_Token__c", *told["rules"], *told["sources"]):
            assert text in words

    def test_explain_and_show_say_how_many_bits_a_generalised_field_can_tell(self) -> None:
        arguments = ("explain", "device.ip", "--region", "eu", "--schema", "OrderPlaced")
        named = ("plan", "show", "--region", "eu", "--schema", "OrderPlaced")

        told, words = document(homeport(*arguments, "--json")), homeport(*arguments).stdout
        (plan,) = document(homeport(*named, "--json"))

        assert (told["how"], told["bits"], told["results"]) == (
            "ip-network",
            48.0,
            2**48 + 2**24 + 2,
        )
        assert b"bits   at most 48.0: one of 281,474,993,487,874 results" in words
        assert plan["bits"]["Commerce_Order__c"]["Ip_Network__c"] == 48.0
        assert b"device.ip, at most 48.0 bits" in homeport(*named).stdout

    def test_explain_reads_an_element_of_an_array_as_its_leaf(self) -> None:
        done = homeport(
            "explain", "items[].gift_note", "--region", "eu", "--schema", "1002", "--json"
        )

        assert document(done)["action"] == "label"
        assert document(done)["sent_as"] == []


class TestDryRun:
    """``homeport dry-run`` through a pipe."""

    def test_a_line_out_for_each_line_in(self, tmp_path: Path) -> None:
        events = Shop(random.Random(3), ["eu"]).publications(10)
        asked = b"\n".join(json.dumps(event.cloudevent()).encode() for event in events)

        done = homeport("dry-run", "--region", "eu", cwd=tmp_path, stdin=asked + b"\n\n{\n")

        answers = [json.loads(row) for row in done.stdout.splitlines()]
        assert (done.returncode, done.stderr) == (FINE, b"")
        assert len(answers) == 11
        assert answers[-1]["quarantine"] == {"reason": "malformed", "path": None}
        assert (tmp_path / ".homeport" / "eu" / "keys" / "tokens.json").exists()

    def test_events_can_come_from_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "events.jsonl").write_bytes(b"{\n")

        done = homeport("dry-run", "--region", "us", "--home", tmp_path, tmp_path / "events.jsonl")

        assert done.returncode == FINE
        assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (("plan", "show", "--region", "mars"), USAGE, b"eu"),
        (("plan", "show", "--region", "eu", "--schema", "Nothing"), USAGE, b"OrderPlaced"),
        (("explain", "customer.shoe", "--region", "eu", "--schema", "1002"), USAGE, b"has"),
        (("dry-run",), USAGE, b"--region"),
        (("dry-run", "--region", "eu", "missing.jsonl"), USAGE, b"missing.jsonl"),
        (("worker", "--region", "eu", "--service", "cook"), USAGE, b"border"),
        (("nothing",), USAGE, b"nothing"),
        (
            ("worker", "--region", "eu", "--service", "border", "--home", "nowhere"),
            ENVIRONMENT,
            b"homeport up",
        ),
    ],
)
def test_a_mistake_has_its_exit_code_and_says_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], code: int, hint: bytes
) -> None:
    done = homeport(*arguments, cwd=tmp_path)

    assert done.returncode == code, done.stderr
    assert done.stdout == b""
    assert hint in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_plan_that_nobody_approved_is_something_wrong(tmp_path: Path) -> None:
    """On a copy of `residency` whose reviewed file lacks a plan: exit 1, and what to do."""
    shutil.copytree(
        TOP / "residency", tmp_path / "residency", ignore=shutil.ignore_patterns("__pycache__")
    )
    reviewed = tmp_path / "residency" / "approved_plans.toml"
    plans = reviewed.read_text(encoding="utf-8").split("[[plan]]")
    reviewed.write_text("[[plan]]".join(plans[:-1]), encoding="utf-8")

    done = homeport("plan", "lint", "--json", first=tmp_path)
    shown = homeport("plan", "lint", first=tmp_path)

    (problem,) = document(done)["problems"]
    assert (done.returncode, shown.returncode) == (WRONG, WRONG)
    assert "homeport plan approve" in problem
    assert shown.stdout.decode() == problem + "\n"
    assert shown.stderr == b"1 problem(s)\n"
