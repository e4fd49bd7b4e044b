"""What the tasks' answers are worth on messages that no head or rule was made from.

    .venv/bin/python tests/bench/labels.py --region eu                  # against `homeport up`
    .venv/bin/python tests/bench/labels.py --uds SOCKET --model NAME    # against any model server

Prints docs/labels.md's tables. The messages are those of tests/labels; see there how training
and test differ. `keywords` is a baseline: the answer of a few words, English alone.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1] / "labels"))

import messages
from messages import Message

from inference.config import InferenceConfig
from inference.examples import Example
from inference.labelling import Answer, RegionLabeller, labeller
from inference.quality import Quality, confusion, measure, wilson
from inference.tasks import load_tasks
from streams.cli.tasks_train import model_server

SETS: Mapping[str, Sequence[Callable[[], Sequence[Message]]]] = {
    "intent": (messages.english, messages.foreign),
    "sentiment": (messages.english, messages.foreign),
    "privacy_request": (messages.rights, messages.foreign),
    "urgency": (lambda: messages.urgency("test"), messages.foreign),
    "language": (messages.english, messages.foreign),
}
KEYWORDS: Mapping[str, Sequence[tuple[str, str]]] = {
    "intent": (
        ("account_privacy", r"account|password|log ?in|data|newsletter|privacy|unsubscribe"),
        ("cancel_order", r"cancel"),
        ("return", r"return|send .*back|exchange|swap"),
        ("payment_problem", r"charge|pay|invoice|refund|card|bill|voucher"),
        ("damaged_item", r"broken|damage|defect|faulty|scratch|crack|missing|wrong"),
        ("delivery_late", r"deliver|parcel|package|tracking|arrive|shipment|late"),
        ("praise", r"thank|great|love|perfect|wonderful|excellent|happy"),
        ("product_question", r"^(is|does|do|can|how|what|which) .*\?"),
        ("other", r""),
    ),
    "sentiment": (
        ("positive", r"thank you|great|love|perfect|wonderful|excellent|happy|best"),
        ("negative", r"broken|damage|late|wrong|never|still|not work|disappoint|twice|bad"),
        ("neutral", r""),
    ),
    "privacy_request": (
        ("erasure", r"delete|erase|remove"),
        ("access", r"access|copy|which data|what data"),
        ("objection", r"object|unsubscribe|newsletter|marketing"),
        ("none", r""),
    ),
    "urgency": (("high", r"urgent|asap|immediately|emergency"), ("normal", r"")),
}


def main_sets(task: str) -> Iterator[Example]:
    """Yield the test messages of a task."""
    for make in SETS[task]:
        for one in make():
            truth = one.language if task == "language" else getattr(one, task)
            yield Example(one.text, truth, one.language, one.template)


@click.command()
@click.option("--region", help="Of a running stack.")
@click.option("--home", type=click.Path(path_type=Path), default=Path(".homeport"))
@click.option("--uds", type=click.Path(path_type=Path), help="A model server's socket instead.")
@click.option("--model", default="minilm", help="The name it serves.")
def main(region: str | None, home: Path, uds: Path | None, model: str) -> None:
    """Measure all tasks and print the tables."""
    config = InferenceConfig("pooling", model, uds=uds) if uds else model_server(home, region)
    asker = labeller(config).without_thresholds()
    for task in SETS:
        examples = list(main_sets(task))
        best = _answers(asker, task, examples)
        threshold = load_tasks()[task].threshold
        click.echo(f"\n### {task}, threshold {threshold:.2f}\n")
        for line in table(measure(examples, best, threshold)):
            click.echo(line)
        if task in KEYWORDS:
            click.echo("")
            words = [keyword_answer(task, example) for example in examples]
            click.echo("keywords: " + ", ".join(shares(measure(examples, words, 0.0))))
        english = [(e, a) for e, a in zip(examples, best, strict=True) if e.language == "en"]
        click.echo("\nright \\ given, English\n")
        for line in matrix([e for e, _ in english], [a for _, a in english], threshold):
            click.echo(line)


def _answers(asker: RegionLabeller, task: str, examples: Sequence[Example]) -> list[Answer]:
    found = asker.label([task], [example.text for example in examples])
    return [answers[task] for answers in found]


def keyword_answer(task: str, example: Example) -> Answer:
    """Return what the baseline says: the first pattern that is there, always something."""
    text = example.text.lower()
    label = next(label for label, pattern in KEYWORDS[task] if re.search(pattern, text))
    return Answer(label, 1.0, None, "rules", is_cut=False)


def table(found: Mapping[str, Quality]) -> Iterator[str]:
    """Yield rows of markdown, a language each."""
    yield "| language | texts | templates | right of all | answered | right of answered |"
    yield "|---|---|---|---|---|---|"
    for language, one in found.items():
        low, high = wilson(one.accuracy, one.groups)
        yield (
            f"| {language} | {one.texts} | {one.groups} | {one.accuracy:.1%} "
            f"[{low:.0%}-{high:.0%}] | {one.coverage:.1%} | {one.precision:.1%} |"
        )


def shares(found: Mapping[str, Quality]) -> Iterator[str]:
    """Yield each language's share right of all."""
    return (f"{language} {one.accuracy:.1%}" for language, one in found.items())


def matrix(examples: Sequence[Example], best: Sequence[Answer], threshold: float) -> Iterator[str]:
    """Yield a confusion matrix in markdown: what is right by row, what was given by column."""
    counts = confusion(examples, best, threshold)
    rows = sorted({right for right, _ in counts})
    columns = sorted({given for _, given in counts})
    yield f"| | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for right in rows:
        cells = [str(counts.get((right, given), 0)) for given in columns]
        yield f"| {right} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
