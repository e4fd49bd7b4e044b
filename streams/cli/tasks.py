"""``homeport tasks``: what may be asked of a text; ask it, and see what the answers are worth."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import orjson

from residency.policy.files import PolicyFile, shown, text_of
from schemas.errors import RetriableError, SetupError
from streams.cli.options import home_option, json_option
from streams.cli.tasks_train import NEXT_STEP, any_region_option, model_server, train

if TYPE_CHECKING:
    from inference.examples import Example
    from inference.labelling import Answer, Labeller, RegionLabeller, RulesLabeller
    from inference.quality import Quality
    from inference.tasks import Task

EXIT_WRONG = 1
BATCH = 16  # lines asked together


@click.group()
def tasks() -> None:
    """Lint the tasks, ask one of them about texts, train and measure heads.

    A task is a question about one text with a closed list of answers: inference/tasks/*.toml.
    docs/labels.md says how to write one, and what the answers are worth.
    """


@tasks.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@json_option
def lint(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Report everything that is wrong with the tasks, at once, each with file and line.

    PATHS are task files, or folders of them, to check instead of the ones shipped here.

    \b
    Examples: homeport tasks lint
              homeport tasks lint ~/drafts/topic.toml --json

    Exit code 1 if there is a problem.
    """
    from inference.tasks.denied import load_denied  # noqa: PLC0415, as all of the model's code
    from inference.tasks.lint import lint_tasks  # noqa: PLC0415
    from inference.tasks.read import task_files  # noqa: PLC0415

    files: list[PolicyFile] = []
    for path in paths:
        files += task_files(path) if path.is_dir() else [PolicyFile(shown(path), text_of(path))]
    denied, findings = load_denied()
    files = files or list(task_files())
    found = sorted({*findings, *lint_tasks(files, denied)})
    if as_json:
        problems = [{"file": f.file, "line": f.line, "kind": f.kind, "text": f.text} for f in found]
        click.echo(orjson.dumps({"problems": problems}, option=orjson.OPT_INDENT_2).decode())
    else:
        for finding in found:
            click.echo(str(finding))
        click.echo(f"{len(files)} task(s), {len(found)} problem(s)", err=True)
    raise SystemExit(EXIT_WRONG if found else 0)


@tasks.command()
@click.argument("task")
@click.option(
    "--file", "source", type=click.File("rb"), default="-", help="Instead of standard input."
)
@any_region_option
@home_option
def run(task: str, source: IO[bytes], region: str | None, home: Path) -> None:
    r"""Answer TASK for lines of {"text": ...}; a line of JSON each, in order.

    A line out is {"label", "score", "lang", "method"}: method is `pooling` or `generate` if the
    region's model was asked, `rules` if explicit words decided, `gate` if the text is in no
    language that the task reads. The answer is `unknown` if nobody can tell. `cut` is there, and
    true, if only the beginning was read. Tasks of rules need no model server.

    \b
    Examples:
      echo '{"text": "Where is my parcel?"}' | homeport tasks run intent
      homeport tasks run urgency --file messages.jsonl

    Exit codes: 2 no such task or a line is no such object, 3 no model server answers.
    """
    asker = _asker(_task(task), region, home)
    texts = (_text(line, at) for at, line in enumerate(source, 1) if line.strip())
    while batch := list(islice(texts, BATCH)):
        for answers in _answered(asker, [task], batch):
            click.echo(orjson.dumps(_row(answers[task])).decode())
        sys.stdout.flush()


def _row(answer: "Answer") -> dict[str, object]:
    score = round(answer.score, 4)
    row = {"label": answer.label, "score": score, "lang": answer.language, "method": answer.method}
    return {**row, "cut": True} if answer.is_cut else row


def _text(line: bytes, at: int) -> str:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        msg = f'line {at}: want a JSON object with a string "text"'
        raise click.UsageError(msg)
    return text


def _answered(
    asker: "Labeller", names: Sequence[str], texts: Sequence[str]
) -> "Sequence[Mapping[str, Answer]]":
    try:
        return asker.label(names, texts)
    except RetriableError as exc:
        msg = f"{exc}; {NEXT_STEP}"
        raise SetupError(msg) from exc


def _task(name: str) -> "Task":
    from inference.tasks import load_tasks  # noqa: PLC0415

    known = load_tasks()
    if name not in known:
        msg = f"no task {name!r}; have {', '.join(known)}"
        raise click.UsageError(msg)
    return known[name]


def _asker(task: "Task", region: str | None, home: Path) -> "RegionLabeller | RulesLabeller":
    """Return what answers a task, with the region's model server if it needs one."""
    from inference.labelling import RulesLabeller, labeller  # noqa: PLC0415
    from inference.tasks import load_tasks  # noqa: PLC0415

    if task.engine == "rules":
        return RulesLabeller(load_tasks())
    return labeller(model_server(home, region))


@tasks.command()
@click.argument("task")
@click.argument("examples", type=click.File("rb"))
@any_region_option
@home_option
@json_option
def evaluate(
    task: str, examples: IO[bytes], region: str | None, home: Path, *, as_json: bool
) -> None:
    r"""Say what the answers of TASK are worth on labelled lines, per language.

    EXAMPLES holds lines of {"text", TASK: the right label}; `language` (default `en`) and
    `template` (what a text was made from) may stand beside them. Use lines that no head was
    trained on. `right` counts the best label of every text, `answered` those given at the
    task's threshold.

    \b
    Examples:
      homeport tasks evaluate intent our-messages.jsonl
      homeport tasks evaluate urgency our-messages.jsonl --json
    """
    from inference.examples import read_examples  # noqa: PLC0415
    from inference.quality import confusion, measure  # noqa: PLC0415

    asked = _task(task)
    found = read_examples(asked, examples, examples.name)
    asker = _asker(asked, region, home).without_thresholds()
    best = list(_all(asker, task, found))
    told = {
        "task": task,
        "version": asked.version,
        "threshold": asked.threshold,
        "languages": {
            language: _quality_row(quality)
            for language, quality in measure(found, best, asked.threshold).items()
        },
        "confusion": [
            {"right": right, "given": given, "texts": count}
            for (right, given), count in sorted(confusion(found, best, asked.threshold).items())
        ],
    }
    if as_json:
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    for line in _report(told):
        click.echo(line)


def _all(asker: "Labeller", task: str, found: "Sequence[Example]") -> "Iterator[Answer]":
    for start in range(0, len(found), BATCH):
        texts = [example.text for example in found[start : start + BATCH]]
        yield from (answers[task] for answers in _answered(asker, [task], texts))
        done = min(start + BATCH, len(found))
        click.echo(f"\r{done} of {len(found)} texts", err=True, nl=done == len(found))


def _quality_row(quality: "Quality") -> dict[str, float]:
    shares = {"right": quality.accuracy, "answered": quality.coverage}
    shares["right_of_answered"] = quality.precision
    rounded = {key: round(share, 4) for key, share in shares.items()}
    return {"texts": quality.texts, "templates": quality.groups, **rounded}


def _report(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['task']} version {told['version']}, threshold {told['threshold']:.2f}"
    for language, row in told["languages"].items():
        yield (
            f"  {language}: {row['texts']} texts of {row['templates']} templates, "
            f"{row['right']:.1%} right, {row['answered']:.1%} answered, "
            f"{row['right_of_answered']:.1%} of those right"
        )
    for row in told["confusion"]:
        if row["right"] != row["given"]:
            yield f"  {row['right']} answered as {row['given']}: {row['texts']}"


tasks.add_command(train)
