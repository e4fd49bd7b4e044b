"""`homeport plan` as people type it: one document on stdout, and the exit code scripts read."""

import json
import subprocess
import sys
from datetime import date
from math import log2
from pathlib import Path
from typing import Any

import pytest

from connectors.sfdx.reader import OBJECTS
from residency.contracts.read import CONTRACTS_FOLDER
from streams.cli import plan_review
from streams.plans import compiled

TOP = Path(__file__).parents[3]
PLACED = "commerce.orders.OrderPlaced"


def run(*argv: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "plan", *map(str, argv)],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


def document(*argv: object) -> tuple[int, Any]:
    done = run(*argv, "--json")
    return done.returncode, json.loads(done.stdout)


def test_the_shipped_plans_have_no_problem_and_no_change() -> None:
    assert document("lint") == (0, {"problems": []})
    assert document("diff") == (0, {"loosened": False, "changes": []})
    assert run("diff", "HEAD", "approved").returncode in {0, 1}


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of contracts with one fault of each kind."""
    folder = tmp_path_factory.mktemp("draft")
    (folder / "d.toml").write_text(
        f"""[[output]]
events = ["{PLACED}", "commerce.orders.OrderLost"]
object = "Commerce_Order__c"
external_id = {{ path = "order_id", identity = "order" }}

[output.fields]
Status__c = {{ constant = "lost" }}
Total__c = {{ path = "customer.name.first" }}
Channel__c = {{ path = "chanel", otherwise = "omit" }}

[[erasure]]
object = "Commerce_Order__c"
action = "delete"
""",
        encoding="utf-8",
    )
    return folder


def test_lint_tells_every_problem_with_its_line(draft: Path) -> None:
    code, told = document("lint", "--contracts", draft)

    problems = [p for p in told["problems"] if p.startswith("d.toml:")]
    assert code == 1
    assert [problem.split(" ", 1)[0] for problem in problems] == [
        "d.toml:2:",
        "d.toml:8:",
        "d.toml:9:",
    ]
    assert problems[1].startswith(f"d.toml:8: {PLACED} v1, v2 in eu, uk, us: Total__c: a token")
    others = {p.partition(" ")[0] for p in told["problems"]} - {
        "d.toml:2:",
        "d.toml:9:",
        "d.toml:8:",
    }
    assert PLACED not in others, "every other event has no contract, and says so"
    assert "commerce.orders.OrderChanged" in others


def test_lint_of_files_that_cannot_be_read_says_where(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[[output]]\nevents = 3\n", encoding="utf-8")

    code, told = document("lint", "--contracts", tmp_path)

    assert code == 1
    assert all(problem.startswith("bad.toml:") for problem in told["problems"])


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of plans under which one field did not leave."""
    plans = json.loads(run("show", "--region", "eu", "--json").stdout)
    (output,) = next(plan["outputs"] for plan in plans if plan["schema_id"] == 1002)
    output["fields"] = [f for f in output["fields"] if f["name"] != "Total__c"]
    path = tmp_path_factory.mktemp("plans") / "yesterday.json"
    path.write_text(json.dumps(plans), encoding="utf-8")
    return path


def test_diff_finds_what_is_loosened_and_fails(yesterday: Path) -> None:
    code, told = document("diff", yesterday)

    (change,) = told["changes"]
    assert (code, told["loosened"]) == (1, True)
    assert (change["region"], change["schema_id"]) == ("eu", 1002)
    assert (change["direction"], change["before"]) == ("loosened", None)
    assert change["what"] == "field Commerce_Order__c.Total__c"


def test_diff_prints_two_lines_per_change_and_counts_on_stderr(yesterday: Path) -> None:
    done = run("diff", yesterday, yesterday)
    changed = run("diff", yesterday)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "0 change(s)\n")
    line = f"LOOSENED   {PLACED} (1002) in eu: field Commerce_Order__c.Total__c"
    assert line in changed.stdout.splitlines()
    assert changed.stderr == "1 change(s): 1 loosened\n"


@pytest.mark.parametrize("name", ["no-such-revision", "{bad}"])
def test_what_names_no_plans_is_a_usage_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[3]", encoding="utf-8")

    done = run("diff", name.replace("{bad}", str(tmp_path / "bad.json")))

    assert done.returncode == 2
    assert done.stdout == ""


def test_approve_writes_the_list_and_the_plans_and_removes_what_is_gone(tmp_path: Path) -> None:
    stale = tmp_path / "approved" / "eu" / "9-Gone.json"
    stale.parent.mkdir(parents=True)
    stale.write_text('{"region": "eu", "schema_id": 9, "subject": "Gone"}', encoding="utf-8")

    done = run("approve", "--file", tmp_path / "approved.toml")

    assert done.returncode == 0
    assert not stale.exists()
    shipped = TOP / "residency" / "approved_plans"
    written = {p.relative_to(tmp_path / "approved") for p in tmp_path.glob("approved/*/*.json")}
    assert written == {p.relative_to(shipped) for p in shipped.glob("*/*.json")}
    assert (tmp_path / "approved.toml").read_text() == shipped.with_suffix(".toml").read_text()


def test_a_text_is_explained_by_its_labels() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "explain", "body", "--region", "eu",
         "--schema", "SupportMessageReceived", "--json"],
        cwd=TOP, capture_output=True, text=True, check=True,
    )  # fmt: skip

    told = json.loads(done.stdout)
    assert told["action"] == "label"
    assert told["sent_as"] == [label["sent_as"] for label in told["labels"]]
    (intent,) = [one for one in told["labels"] if one["task"] == "intent"]
    assert intent["sent_as"] == "Commerce_Case__c.Intent__c"
    assert {"return", "unknown", "withheld"} <= set(intent["values"])
    assert intent["bits"] == round(log2(len(intent["values"])), 1)


def test_a_plan_shows_its_labels_beside_the_fields_of_their_row() -> None:
    code, (plan,) = document("show", "--region", "eu", "--schema", "SupportMessageReceived")
    shown = run("show", "--region", "eu", "--schema", "SupportMessageReceived").stdout

    assert code == 0
    assert set(plan["bits"]) == {"Commerce_Case__c"}
    assert set(plan["bits"]["Commerce_Case__c"]) == {
        label["field"] for output in plan["outputs"] for label in output["labels"]
    }
    assert "-> Commerce_Case__c, labels that follow" in shown
    assert "label intent" in shown


def test_a_list_with_other_hard_deletions_than_its_plans_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = (TOP / "residency" / "approved_plans.toml").read_text("utf-8")
    one = compiled("eu", date(2026, 11, 26))[0]
    file = tmp_path / "approved_plans.toml"
    digest = f'digest = "{one.digest}"\n'
    file.write_text(shipped.replace(digest, f'{digest}hard_deletes = ["Commerce_Case__c"]\n'))
    monkeypatch.setattr(plan_review, "APPROVED_FILE", file)

    (problem,) = plan_review._problems(CONTRACTS_FOLDER, OBJECTS)  # noqa: SLF001

    assert f"plan {one.digest[:12]} is approved, but approved_plans.toml lists other" in problem
    assert "run `homeport plan approve`" in problem
