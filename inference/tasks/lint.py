"""Everything that is wrong with tasks, at once, with file and line."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from inference.heads import FOLDER as HEADS
from inference.heads import from_bytes
from inference.rules import BadPatternError, compiled, first_rule
from inference.tasks.denied import denied_by
from inference.tasks.model import UNKNOWN, WITHHELD, Label, Task
from inference.tasks.read import read_tasks
from residency.policy.files import Finding, PolicyFile
from residency.policy.lines import Path as Keys

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2}")
_ONLY_INPUT = ("text",)


def lint_tasks(
    files: Sequence[PolicyFile], denied: Mapping[str, Sequence[str]], heads: Path = HEADS
) -> tuple[Finding, ...]:
    """Return every finding about task files, by file and line.

    Args:
        files: The tasks.
        denied: Words that no label may state, by special category; see `inference.tasks.denied`.
        heads: The folder of trained heads.

    """
    findings: list[Finding] = []
    for one in read_tasks(files, findings):
        if one.task is not None:
            findings += _Lint(one.file, one.task, denied, heads).findings()
    return tuple(sorted(set(findings)))


class _Lint:
    def __init__(
        self, file: PolicyFile, task: Task, denied: Mapping[str, Sequence[str]], heads: Path
    ) -> None:
        self._file = file
        self._task = task
        self._denied = denied
        self._heads = heads

    def findings(self) -> Iterator[Finding]:
        yield from self._about()
        yield from self._vocabulary()
        for number, label in enumerate(self._task.vocabulary):
            yield from self._label(label, ("vocabulary", number))
        yield from self._rules()
        match self._task.engine:
            case "rules":
                yield from self._by_rules()
            case "pooling":
                yield from self._by_head()
            case "generate":
                yield from self._surplus("head", "otherwise", "threshold", why="a model answers")

    def _find(self, at: Keys, kind: str, text: str) -> Finding:
        return self._file.finding(at, kind, f"{self._task.name}: {text}")

    def _about(self) -> Iterator[Finding]:
        task, stem = self._task, Path(self._file.name).stem
        if task.name != stem:
            yield self._find(("name",), "name", f"the file is {stem}.toml; name both alike")
        if not _NAME.fullmatch(task.name):
            yield self._find(("name",), "name", "a name is a-z, 0-9 and _, at most 40 of them")
        if task.version < 1:
            yield self._find(("version",), "version", "versions count from 1")
        if task.input != _ONLY_INPUT:
            yield self._find(("input",), "input", 'a task reads one text: input = ["text"]')
        if not 0 <= task.threshold <= 1:
            yield self._find(("threshold",), "threshold", "a threshold lies between 0 and 1")
        for number, language in enumerate(task.languages):
            if not _LANGUAGE.fullmatch(language):
                told = "a language is two letters, as in ISO 639-1"
                yield self._find(("languages", number), "language", told)
        for number, label in enumerate(task.alerts):
            yield from self._known(label, ("alerts", number))

    def _vocabulary(self) -> Iterator[Finding]:
        names = Counter(self._task.labels)
        if UNKNOWN not in names:
            told = f"no label {UNKNOWN!r}; every task may fail to read a text, and says so"
            yield self._find(("vocabulary",), "no-unknown", told)
        if len(names.keys() - {UNKNOWN}) < 2:  # noqa: PLR2004, one answer would answer nothing
            yield self._find(("vocabulary",), "too-few", f"two labels besides {UNKNOWN} at least")
        seen = Counter(e.casefold() for label in self._task.vocabulary for e in label.examples)
        for number, label in enumerate(self._task.vocabulary):
            at = ("vocabulary", number)
            if names[label.name] > 1:
                yield self._find((*at, "name"), "twice", f"label {label.name!r} stands here twice")
            for place, example in enumerate(label.examples):
                if seen[example.casefold()] > 1:
                    told = f"label {label.name!r}: this example stands here twice"
                    yield self._find((*at, "examples", place), "twice", told)

    def _label(self, label: Label, at: Keys) -> Iterator[Finding]:
        if not _NAME.fullmatch(label.name):
            told = f"label {label.name!r}: a label is a-z, 0-9 and _, at most 40 of them"
            yield self._find((*at, "name"), "name", told)
        if label.name == WITHHELD:
            told = f"{WITHHELD!r} is what goes out past the leak budget; no task may answer it"
            yield self._find((*at, "name"), "reserved", told)
        if not label.means.strip():
            told = f"label {label.name!r}: say when it is the right answer"
            yield self._find((*at, "means"), "no-meaning", told)
        if not label.examples and label.name != UNKNOWN:
            yield self._find(at, "no-example", f"label {label.name!r}: give an example or more")
        for category in denied_by(self._denied, f"{label.name.replace('_', ' ')} | {label.means}"):
            told = (
                f"label {label.name!r} states {category}, which a law singles out; "
                "ask something that says nothing of it"
            )
            yield self._find(at, "denied-meaning", told)

    def _rules(self) -> Iterator[Finding]:
        for number, rule in enumerate(self._task.rules):
            at = ("rules", number)
            yield from self._known(rule.label, (*at, "label"))
            if (rule.pattern is None) == (rule.language is None):
                yield self._find(at, "rule", "a rule has a pattern or a language, one of them")
            if rule.language is not None and not _LANGUAGE.fullmatch(rule.language):
                told = "a language is two letters, as in ISO 639-1"
                yield self._find((*at, "language"), "language", told)
            if rule.pattern is not None:
                yield from self._pattern(rule.pattern, (*at, "pattern"))

    def _pattern(self, pattern: str, at: Keys) -> Iterator[Finding]:
        try:
            is_empty = compiled(pattern).search("") is not None
        except BadPatternError as exc:
            yield self._find(at, "pattern", f"RE2 does not take it: {exc}")
            return
        if is_empty:
            yield self._find(at, "pattern", "it matches every text, the empty one, too")

    def _by_rules(self) -> Iterator[Finding]:
        task = self._task
        yield from self._surplus("head", "threshold", why="rules answer without a model")
        if not task.rules:
            yield self._find(("engine",), "rule", "an engine of rules needs [[rules]]")
        if task.otherwise is None:
            told = "say what a text is that no rule knows: otherwise = LABEL"
            yield self._find((), "otherwise", told)
        else:
            yield from self._known(task.otherwise, ("otherwise",))
        given = {rule.label for rule in task.rules} | {task.otherwise, UNKNOWN}
        for number, label in enumerate(task.vocabulary):
            if label.name not in given:
                told = f"label {label.name!r}: no rule gives it"
                yield self._find(("vocabulary", number), "unreachable", told)
        yield from self._examples()

    def _examples(self) -> Iterator[Finding]:
        """Yield the examples that the rules answer otherwise than their author says."""
        task = self._task
        if any(rule.pattern is None or not _is_pattern(rule.pattern) for rule in task.rules):
            return  # the language of an example is for the library to tell
        for number, label in enumerate(task.vocabulary):
            for place, example in enumerate(label.examples):
                answer = first_rule(task, example, None) or task.otherwise
                if answer != label.name:
                    told = f"label {label.name!r}: the rules answer {answer!r} to this example"
                    at = ("vocabulary", number, "examples", place)
                    yield self._find(at, "example", told)

    def _by_head(self) -> Iterator[Finding]:
        task = self._task
        yield from self._surplus("otherwise", why="a head answers, or nobody")
        if task.threshold == 0:
            told = "a head answers everything; give the least score that counts"
            yield self._find(("threshold",), "threshold", told)
        if task.head is None:
            told = "an engine of embeddings needs a head; `homeport tasks train` makes it"
            yield self._find(("engine",), "head", told)
            return
        try:
            raw = (self._heads / task.head.file).read_bytes()
            head = from_bytes(raw)
        except (OSError, ValueError):
            told = f"{task.head.file}: no head there; `homeport tasks train {task.name}` makes it"
            yield self._find(("head",), "head", told)
            return
        if hashlib.sha256(raw).hexdigest() != task.head.sha256:
            told = f"{task.head.file} has another SHA-256: {hashlib.sha256(raw).hexdigest()}"
            yield self._find(("head", "sha256"), "head", told)
        if head.task != task.name or set(head.labels) != set(task.labels) - {UNKNOWN}:
            told = f"{task.head.file} was trained for other labels; train it again"
            yield self._find(("head",), "head", told)

    def _surplus(self, *keys: str, why: str) -> Iterator[Finding]:
        for key in keys:
            if getattr(self._task, key) not in {None, 0.0}:
                yield self._find((key,), "surplus", f"{key} has no use here: {why}")

    def _known(self, label: str, at: Keys) -> Iterator[Finding]:
        if label not in self._task.labels:
            have = ", ".join(self._task.labels)
            yield self._find(at, "unknown-label", f"no label {label!r}; have {have}")


def _is_pattern(pattern: str) -> bool:
    try:
        compiled(pattern)
    except BadPatternError:
        return False
    return True
