"""The ``model`` leaf: what reads a region's texts, and what it answers to known ones.

A certificate names the files, the server and the tasks by their digests, and holds the answers to
a golden set of made-up texts. Two regions whose certificates agree read alike; nothing in a
certificate comes from a customer. Scores are whole hundredths: sums that two machines take in
another order differ in their last digits, never by so much.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Final, NamedTuple, Self

from residency.ledger import forms

MAX_FILES: Final = 200  # of a model; a large one comes in some dozens
MAX_TASKS: Final = 20
MAX_TEXTS: Final = 100  # of a golden set
MAX_SCORE: Final = 100
WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")  # names of models, tasks, texts; labels
ENGINE = re.compile(r"pooling|generate")
METHOD = re.compile(r"[a-z][a-z-]{0,19}")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,39}")
PATH = re.compile(r"[A-Za-z0-9._-]{1,100}(/[A-Za-z0-9._-]{1,100}){0,4}")


@dataclass(frozen=True, slots=True)
class Identity:
    """All that decides a label, by digest; where it lies does not count.

    Attributes:
        engine: ``pooling`` or ``generate``.
        package: The model server's package.
        version: That package's version.
        dtype: The type it computes in.
        max_tokens: Longest text and answer together.
        files: SHA-256 of every file of the model by its path: weights, tokenizer, settings.
        tasks: SHA-256 of every task file by task.

    """

    engine: str
    package: str
    version: str
    dtype: str
    max_tokens: int
    files: Mapping[str, str]
    tasks: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The one SHA-256 over all of it, hex: what a transfer leaf and a header name."""
        return sha256(forms.canonical(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON writes it."""
        return {
            "engine": self.engine,
            "package": self.package,
            "version": self.version,
            "dtype": self.dtype,
            "max_tokens": self.max_tokens,
            "files": dict(self.files),
            "tasks": dict(self.tasks),
        }


class GoldenAnswer(NamedTuple):
    """What was answered to one task about one text.

    Attributes:
        label: A word of the task's vocabulary.
        method: How it was found, such as ``pooling`` or ``rules``.
        score: In hundredths, 0 to 100.

    """

    label: str
    method: str
    score: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one region says of its model.

    Attributes:
        model: The model's name in the lock.
        identity: What it is.
        golden: SHA-256 of the golden set.
        answers: By text of the golden set and task; each text has an answer to each task.
        release: Digest of the code that asked.

    """

    model: str
    identity: Identity
    golden: str
    answers: Mapping[str, Mapping[str, GoldenAnswer]]
    release: str


@dataclass(frozen=True, slots=True)
class ModelLeaf:
    """A region's model answers, and is certified.

    Attributes:
        time: See `residency.ledger.leaves.quantise`.
        request: See `residency.ledger.notices`.
        certificate: What is said of it.

    """

    time: str
    request: str
    certificate: Certificate

    kind: ClassVar[str] = "model"

    def __post_init__(self) -> None:
        """Refuse what is not of the field's form.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_time(self.time)
        forms.check_text("request", self.request, forms.REQUEST)
        said = self.certificate
        forms.check_text("model", said.model, WORD)
        _check_identity(said.identity)
        forms.check_text("golden", said.golden, forms.DIGEST)
        _check_answers(said.answers, said.identity.tasks)
        forms.check_word("release", said.release, forms.RELEASE)

    def to_bytes(self) -> bytes:
        """Return the entry; the inverse of `residency.ledger.leaves.parse_leaf`."""
        said = self.certificate
        return forms.canonical(
            {
                "kind": self.kind,
                "time": self.time,
                "request": self.request,
                "model": said.model,
                "digest": said.identity.digest,
                **said.identity.to_json(),
                "golden": said.golden,
                "answers": {
                    text: {task: list(answer) for task, answer in answers.items()}
                    for text, answers in said.answers.items()
                },
                "release": said.release,
            }
        )

    @classmethod
    def from_fields(cls, row: Mapping[str, Any]) -> Self:
        """Return the leaf whose JSON object is *row*.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_fields(row, _FIELDS)
        for name in ("files", "tasks", "answers"):
            forms.check(isinstance(row[name], dict), name, "an object")
        said = Certificate(
            model=row["model"],
            identity=Identity(**{name: row[name] for name in _IDENTITY}),
            golden=row["golden"],
            answers={text: _answers(found) for text, found in row["answers"].items()},
            release=row["release"],
        )
        leaf = cls(row["time"], row["request"], said)
        forms.check(row["digest"] == said.identity.digest, "digest", "that of what is named")
        return leaf


def _check_identity(said: Identity) -> None:
    forms.check_text("engine", said.engine, ENGINE)
    forms.check_text("package", said.package, WORD)
    forms.check_text("version", said.version, VERSION)
    forms.check_text("dtype", said.dtype, WORD)
    forms.check_integer("max_tokens", said.max_tokens)
    forms.check(0 < len(said.files) <= MAX_FILES, "files", f"1 to {MAX_FILES} files")
    for path, digest in said.files.items():
        forms.check_text("files", path, PATH)
        forms.check_text("files", digest, forms.DIGEST)
    forms.check(0 < len(said.tasks) <= MAX_TASKS, "tasks", f"1 to {MAX_TASKS} tasks")
    for task, digest in said.tasks.items():
        forms.check_text("tasks", task, WORD)
        forms.check_text("tasks", digest, forms.DIGEST)


def _check_answers(
    answers: Mapping[str, Mapping[str, GoldenAnswer]], tasks: Mapping[str, str]
) -> None:
    forms.check(0 < len(answers) <= MAX_TEXTS, "answers", f"to 1 to {MAX_TEXTS} texts")
    for text, found in answers.items():
        forms.check_text("answers", text, WORD)
        forms.check(found.keys() == tasks.keys(), "answers", "to each task")
        for answer in found.values():
            forms.check_word("answers", answer.label, WORD)
            forms.check_word("answers", answer.method, METHOD)
            forms.check_integer("answers", answer.score)
            forms.check(answer.score <= MAX_SCORE, "answers", "with scores of hundredths")


def _answers(row: object) -> dict[str, GoldenAnswer]:
    """Return the answers to one text, which are lists of three in JSON."""
    found = {}
    for task, parts in row.items() if isinstance(row, dict) else ():
        is_answer = isinstance(parts, list) and len(parts) == len(GoldenAnswer._fields)
        forms.check(is_answer, "answers", "lists of label, method and score")
        found[task] = GoldenAnswer(*parts)
    return found


_IDENTITY: Final = ("engine", "package", "version", "dtype", "max_tokens", "files", "tasks")
_FIELDS = forms.NOTICE_FIELDS | {
    "model", "digest", "golden", "answers", "release", *_IDENTITY,
}  # fmt: skip
