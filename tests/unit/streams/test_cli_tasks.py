"""``homeport tasks``: what it says, where it says it, and how it ends."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from inference.tasks.read import FOLDER
from schemas.errors import SetupError
from streams.cli.tasks import tasks


def call(*arguments: str, stdin: str = "", home: Path | None = None) -> Result:
    where = [] if home is None else ["--home", str(home)]
    return CliRunner().invoke(tasks, [*arguments, *where], stdin, catch_exceptions=True)


def test_lint_is_content_with_what_is_shipped() -> None:
    found = call("lint", "--json")

    assert found.exit_code == 0
    assert json.loads(found.stdout) == {"problems": []}


def test_lint_names_every_fault_of_a_draft_by_file_and_line(tmp_path: Path) -> None:
    draft = tmp_path / "urgency.toml"
    text = (FOLDER / "urgency.toml").read_text(encoding="utf-8")
    draft.write_text(
        text.replace("version = 1", "version = 0").replace('"normal"\n', '"calm"\n', 1)
    )

    found = call("lint", str(tmp_path), "--json")
    plain = call("lint", str(draft))

    problems = json.loads(found.stdout)["problems"]
    assert found.exit_code == plain.exit_code == 1
    assert [problem["kind"] for problem in problems][:2] == ["version", "unknown-label"]
    assert all(problem["file"] == str(draft) and problem["line"] > 1 for problem in problems)
    assert f"{draft}:{problems[0]['line']}: version: urgency:" in plain.stdout


def test_run_answers_a_task_of_rules_without_any_server() -> None:
    lines = [
        '{"text": "This is URGENT, please help me with it."}',
        "",
        '{"text": "Wo ist mein Paket?"}',
    ]

    found = call("run", "urgency", stdin="\n".join(lines))

    assert found.exit_code == 0
    assert [json.loads(line) for line in found.stdout.splitlines()] == [
        {"label": "high", "score": 1.0, "lang": "en", "method": "rules"},
        {"label": "unknown", "score": 0.0, "lang": "de", "method": "rules"},
    ]


def test_run_without_a_server_says_what_to_start(tmp_path: Path) -> None:
    found = call("run", "intent", stdin='{"text": "hello"}', home=tmp_path)

    assert isinstance(found.exception, SetupError)
    assert "knows no model server of any region" in str(found.exception)
    assert "homeport infer up" in str(found.exception)
    assert found.stdout == ""


@pytest.mark.parametrize("line", ["no json", "[]", '{"txt": "secret"}', '{"text": 5}'])
def test_run_names_a_line_that_is_none_and_does_not_quote_it(line: str) -> None:
    found = call("run", "urgency", stdin='{"text": "a b c"}\n' + line)

    assert found.exit_code == 2
    assert "line 2: want a JSON object" in found.stderr
    assert "secret" not in found.stderr


@pytest.mark.parametrize("command", [("run",), ("evaluate", "/dev/null"), ("train",)])
def test_a_task_nobody_knows_is_a_usage_error_that_lists_the_others(
    command: tuple[str, ...],
) -> None:
    found = call(command[0], "smell", *command[1:])

    assert found.exit_code == click.UsageError.exit_code
    assert "no task 'smell'" in found.stderr
    assert "intent" in found.stderr


def test_evaluate_counts_by_language_and_tells_what_was_taken_for_what(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    rows = [
        {"text": "Please answer at once, it is urgent.", "urgency": "high", "template": "a"},
        {"text": "Where can I see the sizes, please?", "urgency": "normal"},
        {"text": "My neighbour has not got my parcel either.", "urgency": "high"},
        {"text": "Bitte rufen Sie mich sofort zurück.", "urgency": "high", "language": "de"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))

    told = json.loads(call("evaluate", "urgency", str(file), "--json").stdout)
    plain = call("evaluate", "urgency", str(file)).stdout

    assert told["languages"]["en"] == {
        "texts": 3, "templates": 3, "right": 0.6667, "answered": 1.0, "right_of_answered": 0.6667
    }  # fmt: skip
    assert told["languages"]["de"]["answered"] == 0
    assert {"right": "high", "given": "normal", "texts": 1} in told["confusion"]
    assert "en: 3 texts of 3 templates, 66.7% right" in plain
    assert "high answered as normal: 1" in plain


def test_training_a_task_of_rules_is_no_training() -> None:
    found = call("train", "urgency")

    assert found.exit_code == 2
    assert "no task 'urgency' with a head; have intent, privacy_request, sentiment" in found.stderr
