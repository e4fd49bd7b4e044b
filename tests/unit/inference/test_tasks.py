"""Tasks are closed, versioned, and state nothing that a law singles out; a fault has its line."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.heads import FOLDER as HEADS
from inference.tasks import UNKNOWN, WITHHELD, load_tasks
from inference.tasks.denied import denied_by, load_denied, read_denied
from inference.tasks.lint import lint_tasks
from inference.tasks.read import FOLDER, BadTaskError, task_files
from residency.policy.files import Finding, PolicyFile
from residency.policy.packs import load_limits

RULES = (FOLDER / "urgency.toml").read_text(encoding="utf-8")
POOLING = (FOLDER / "sentiment.toml").read_text(encoding="utf-8")


def lint(text: str, name: str = "urgency.toml") -> Sequence[Finding]:
    denied, _ = load_denied()
    return lint_tasks([PolicyFile(name, text)], denied)


def test_the_shipped_tasks_are_clean_and_have_the_names_that_contracts_use() -> None:
    tasks = load_tasks()

    assert set(tasks) == {"intent", "sentiment", "urgency", "language", "privacy_request"}
    assert all(UNKNOWN in task.labels for task in tasks.values())
    assert all(WITHHELD not in task.labels for task in tasks.values())
    assert len(tasks["intent"].labels) == 9 + 1
    assert set(tasks["privacy_request"].alerts) == {"erasure", "access", "objection"}


def test_the_digest_of_a_task_is_its_files() -> None:
    for path in FOLDER.glob("*.toml"):
        assert load_tasks()[path.stem].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ('name = "urgency"', 'name = "hurry"', "name"),
        ("version = 1", "version = 0", "version"),
        ("version = 1", "version = 1\ncolour = 2", "unknown-key"),
        ("version = 1", 'version = 1\nsha256 = "00"', "unknown-key"),
        ("version = 1", 'version = "one"', "bad-row"),
        ("version = 1", "version = ", "syntax"),
        ('engine = "rules"', 'engine = "oracle"', "bad-row"),
        ('input = ["text"]', 'input = ["text", "title"]', "input"),
        ('languages = ["en"]', 'languages = ["English"]', "language"),
        ('otherwise = "normal"', 'otherwise = "calm"', "unknown-label"),
        ('otherwise = "normal"\n', "", "otherwise"),
        ('otherwise = "normal"', 'otherwise = "normal"\nthreshold = 0.5', "surplus"),
        ('otherwise = "normal"', 'otherwise = "normal"\nthreshold = 1.5', "threshold"),
        ('otherwise = "normal"', 'otherwise = "normal"\nalerts = ["fire"]', "unknown-label"),
        ('name = "unknown"', 'name = "unclear"', "no-unknown"),
        ('name = "normal"', 'name = "high"', "twice"),
        ('name = "normal"', f'name = "{WITHHELD}"', "reserved"),
        ('name = "normal"', 'name = "Not urgent"', "name"),
        ('means = "Says nothing of the kind."', 'means = " "', "no-meaning"),
        ('means = "Says nothing of the kind."', 'means = "Writer is pregnant."', "denied-meaning"),
        ('examples = ["Where is my parcel?"', 'examples = ["This is urgent, now."', "example"),
        ('examples = ["Where is my parcel?"', 'examples = ["The toaster caught fire!"', "twice"),
        (r"\burgent(ly)?\b", r"(urgent", "pattern"),
        (r"\burgent(ly)?\b", r"(urgent)?", "pattern"),
        ('[[rules]] # a danger\nlabel = "high"', '[[rules]]\nlabel = "danger"', "unknown-label"),
        ("[[rules]] # a danger", '[[rules]]\nlanguage = "de"', "rule"),
        ('label = "normal"\npattern', 'label = "normal"\nlanguage = "german"\n#', "language"),
        ("version = 1", 'version = 1\nhead = { file = "x.json", sha256 = "0" }', "surplus"),
    ],
)  # fmt: skip
def test_the_lint_names_a_fault_of_a_rules_task(old: str, new: str, kind: str) -> None:
    assert old in RULES

    found = lint(RULES.replace(old, new, 1))

    assert kind in {finding.kind for finding in found}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("threshold = 0.88", "threshold = 0", "threshold"),
        ("head = ", "# ", "head"),
        ('file = "sentiment.json"', 'file = "nowhere.json"', "head"),
        ('file = "sentiment.json"', 'file = "intent.json"', "head"),
        ('sha256 = "', 'sha256 = "0', "head"),
        ('name = "neutral"', 'name = "calm"', "head"),
        ("threshold = 0.88", 'otherwise = "neutral"\nthreshold = 0.88', "surplus"),
        ('engine = "pooling"', 'engine = "generate"', "surplus"),
        ('engine = "pooling"', 'engine = "rules"', "rule"),
    ],
)
def test_the_lint_names_a_fault_of_a_pooling_task(old: str, new: str, kind: str) -> None:
    assert old in POOLING

    found = lint(POOLING.replace(old, new, 1), "sentiment.toml")

    assert kind in {finding.kind for finding in found}


def test_all_faults_come_at_once_each_with_its_line() -> None:
    text = RULES.replace("version = 1", "version = 0").replace(
        "Says nothing of the kind.", "The writer's religion asks for haste."
    )
    lines = text.splitlines()

    found = lint(text)

    assert [f.kind for f in found] == ["version", "denied-meaning"]
    assert lines[found[0].line - 1] == "version = 0"
    assert lines[found[1].line - 1] == "[[vocabulary]]"
    assert lines[found[1].line].startswith('name = "normal"')


def test_a_label_that_no_rule_gives_is_named() -> None:
    found = lint(RULES + '\n[[vocabulary]]\nname = "low"\nmeans = "Can wait."\nexamples = ["x"]\n')

    assert "unreachable" in {finding.kind for finding in found}


def test_a_task_of_one_answer_is_none() -> None:
    text = POOLING.replace('name = "neutral"', 'name = "unknown"').replace(
        'name = "negative"', 'name = "unknown"'
    )

    assert "too-few" in {finding.kind for finding in lint(text, "sentiment.toml")}


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ("union member", "user.demographic.trade_union_membership"),
        ("Asks for halal food.", "user.demographic.religious_belief"),
        ("Uses a wheelchair.", "user.health_and_medical"),
        ("Is a refugee.", "user.government_id.immigration"),
        ("Gives a card number.", "user.payment"),
    ],
)
def test_words_that_state_a_special_category_are_found(label: str, category: str) -> None:
    denied, _ = load_denied()

    assert category in denied_by(denied, label)


def test_a_word_counts_from_its_beginning_only() -> None:
    denied, _ = load_denied()

    assert not denied_by(denied, "Wants a trace of the parcel, or its ethylene-free packaging.")


def test_every_special_category_of_the_policy_has_words() -> None:
    denied, findings = load_denied()

    assert not findings
    assert set(denied) == {special.category for special in load_limits().special}


def test_a_special_category_without_words_and_one_that_is_none_are_named() -> None:
    findings: list[Finding] = []
    text = '[[denied]]\ncategory = "user.shoe_size"\nwords = ["foot"]\n'

    read_denied(PolicyFile("denied.toml", text), ["user.biometric"], findings)

    assert {f.kind for f in findings} == {"not-denied", "unknown-category"}


def test_a_folder_without_tasks_is_no_set_of_tasks(tmp_path: Path) -> None:
    with pytest.raises(BadTaskError, match="no task file"):
        task_files(tmp_path)


def test_heads_lie_here_for_tasks_alone() -> None:
    wanted = {task.head.file for task in load_tasks().values() if task.head}

    assert {path.name for path in HEADS.iterdir()} == wanted
