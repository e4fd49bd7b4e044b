"""``homeport tasks train``: make the head of a task from labelled lines."""

import hashlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from residency.policy.files import shown
from residency.regions import load_regions
from schemas.errors import RetriableError, SetupError
from streams.cli.options import home_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference.config import InferenceConfig
    from inference.examples import Example
    from inference.fit import Labelled
    from inference.tasks import Task

EXIT_WRONG = 1
CERTAIN = 0.95  # what share of the answers given should be right
NEXT_STEP = "run `homeport up`, or `homeport infer up --region REGION` for the model server alone"

any_region_option = click.option(
    "--region",
    type=click.Choice(list(load_regions())),
    help="Whose model server to ask.  [default: the first of this home]",
)


@click.command()
@click.argument("task")
@click.option(
    "--examples",
    type=click.File("rb"),
    help="Labelled lines, as for `evaluate`.  [default: those shipped with the heads]",
)
@click.option(
    "--right",
    "aim",
    type=click.FloatRange(0, 1),
    default=CERTAIN,
    show_default=True,
    help="What share of the answers given should be right.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if another head comes out.")
@any_region_option
@home_option
def train(  # noqa: PLR0913, one argument per option
    task: str,
    examples: IO[bytes] | None,
    aim: float,
    region: str | None,
    home: Path,
    *,
    check: bool,
) -> None:
    """Train the head of TASK on labelled lines and say what to write into its file.

    A head is a logistic regression on the embeddings of the region's model. The same lines and
    model give the same head, but for a last decimal on another processor. Five heads are then
    trained on four fifths of the templates each; what they make of the rest says what answers
    are worth and which threshold to take.

    \b
    Examples: homeport tasks train intent
              homeport tasks train intent --check
    """
    from inference.examples import TRAINING, read_examples  # noqa: PLC0415
    from inference.fit import held_out_quality, trained  # noqa: PLC0415
    from inference.heads import FOLDER, is_alike, to_bytes  # noqa: PLC0415

    asked = _untrained(task)
    raw = examples.read() if examples else TRAINING.read_bytes()
    found = read_examples(asked, raw.splitlines(), examples.name if examples else shown(TRAINING))
    data = _embedded(found, model_server(home, region))
    head = trained(asked, data, hashlib.sha256(raw).hexdigest())
    file = FOLDER / f"{task}.json"
    if check:
        is_same = is_alike(head, file)
        click.echo(f"{shown(file)}: {'as trained' if is_same else 'another head comes out'}")
        raise SystemExit(0 if is_same else EXIT_WRONG)
    file.write_bytes(to_bytes(head))
    quality = held_out_quality(data, head.labels)
    click.echo(f"{len(found)} texts; {quality.right:.1%} right on templates not seen", err=True)
    for at, share, right in quality.table[9::10]:
        click.echo(f"  from {at:.2f}: {share:.1%} answered, {right:.1%} right", err=True)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    click.echo(f"threshold = {quality.threshold(aim) or 1:.2f}")
    click.echo(f'head = {{ file = "{file.name}", sha256 = "{digest}" }}')


def _untrained(name: str) -> "Task":
    """Return a task of which the head need not be there."""
    from inference.tasks.read import read_tasks, task_files  # noqa: PLC0415

    read = [one.task for one in read_tasks(task_files(), [])]
    known = {one.name: one for one in read if one is not None and one.engine == "pooling"}
    if name not in known:
        msg = f"no task {name!r} with a head; have {', '.join(known)}"
        raise click.UsageError(msg)
    return known[name]


def _embedded(found: "Sequence[Example]", config: "InferenceConfig") -> "Labelled":
    from inference.client import ModelClient  # noqa: PLC0415
    from inference.fit import Labelled  # noqa: PLC0415

    try:
        vectors = ModelClient(config).embed([example.text for example in found])
    except RetriableError as exc:
        msg = f"{exc}; {NEXT_STEP}"
        raise SetupError(msg) from exc
    truth = tuple(example.truth for example in found)
    return Labelled(vectors, truth, tuple(example.group for example in found))


def model_server(home: Path, region: str | None) -> "InferenceConfig":
    """Return how to reach a region's model server, or the first one of a home.

    Raises:
        SetupError: The home knows none.

    """
    from streams.models import find_client  # noqa: PLC0415

    for name in [region] if region else load_regions():
        config = find_client(home, name)
        if config is not None:
            return config
    msg = f"{home}: knows no model server of {region or 'any region'}; {NEXT_STEP}"
    raise SetupError(msg)
