"""What a region's model answers to texts that nobody wrote: held against the other regions'."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.labelling import Answer, Labeller
from inference.lock import LockedModel, identity
from residency.ledger.certificates import MAX_SCORE, Certificate, GoldenAnswer
from schemas.errors import HaltError, SetupError

GOLDEN_FILE = Path(__file__).with_name("golden.toml")


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """Made-up texts by name.

    Attributes:
        sha256: Of the file, hex.

    """

    texts: Mapping[str, str]
    sha256: str


def golden_set(path: Path = GOLDEN_FILE) -> GoldenSet:
    """Return the golden set of a file, of ours by default.

    Raises:
        SetupError: The file is missing, or is no such set.

    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        msg = f"{path}: cannot be read ({exc.strerror}); is the checkout complete?"
        raise SetupError(msg) from exc
    try:
        texts = tomllib.loads(data.decode())["texts"]
    except (ValueError, KeyError):
        texts = None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        msg = f"{path}: not a golden set: give one table `texts` of strings"
        raise SetupError(msg)
    return GoldenSet(texts, hashlib.sha256(data).hexdigest())


def certificate(  # noqa: PLR0913, PLR0917, each is a part of what is said
    name: str,
    model: LockedModel,
    tasks: Mapping[str, str],
    labeller: Labeller,
    release: str,
    golden: GoldenSet | None = None,
) -> Certificate:
    """Return what can be said of a region's model: what it is, and what it answers.

    Args:
        name: The model's name in the lock.
        model: From the lock.
        tasks: SHA-256 of each task file by name; each text is asked all of them.
        labeller: Asks the region's model server.
        release: Digest of the code that asks.
        golden: The texts; ours by default.

    Raises:
        RetriableError: The server does not answer.
        HaltError: It serves another model, or one that cannot be used.

    """
    known = golden or golden_set()
    asked, names = sorted(tasks), list(known.texts)
    found = labeller.label(asked, [known.texts[text] for text in names])
    answers = {
        text: {
            task: GoldenAnswer(given[task].label, given[task].method, _hundredths(given[task]))
            for task in asked
        }
        for text, given in zip(names, found, strict=True)
    }
    return Certificate(name, identity(model, tasks), known.sha256, answers, release)


def _hundredths(answer: Answer) -> int:
    if not 0.0 <= answer.score <= 1.0:  # true for NaN, too
        msg = "the model gives scores that are none; see what its server serves"
        raise HaltError(msg)
    return round(answer.score * MAX_SCORE)
