"""A head: weights that turn the embedding of a text into a probability per label."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from inference.client import Vectors
from schemas.errors import HaltError, SetupError

FOLDER = Path(__file__).parent / "heads"
DECIMALS = 3  # of a stored weight
LIKE = 0.02  # by so much another processor may move a weight; the largest are above 10


class BadHeadError(SetupError):
    """A head's file is missing, or is not the one that the task names."""


@dataclass(frozen=True, slots=True)
class Head:
    """Multinomial logistic regression on embeddings.

    Attributes:
        task: The task's name.
        labels: One per column.
        weights: A row per dimension and one for the constant, (width + 1) x labels.
        training: SHA-256, in hexadecimal, of the file it was trained on.

    """

    task: str
    labels: tuple[str, ...]
    weights: NDArray[np.float64]
    training: str

    @property
    def width(self) -> int:
        """Dimensions of the embeddings it takes."""
        return len(self.weights) - 1

    def probabilities(self, vectors: Vectors) -> NDArray[np.float64]:
        """Return a row per vector, a column per label; rows add up to 1.

        Raises:
            HaltError: The vectors are another model's.

        """
        if vectors.shape[1] != self.width:
            msg = (
                f"{self.task}: the head takes {self.width} dimensions, the model gives "
                f"{vectors.shape[1]}; serve the model that inference/models.lock.toml names"
            )
            raise HaltError(msg)
        return softmax(vectors.astype(np.float64) @ self.weights[:-1] + self.weights[-1])


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of probabilities."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    total: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return total


def to_bytes(head: Head) -> bytes:
    """Return a head as JSON, one line per label; the same head gives the same bytes."""
    lines = [
        b'  "%s": [%s]' % (label.encode(), b", ".join(_number(w) for w in column))
        for label, column in zip(head.labels, head.weights.T, strict=True)
    ]
    about = orjson.dumps({"task": head.task, "training": head.training})[:-1]
    return about + b',"weights":{\n' + b",\n".join(lines) + b"\n}}\n"


def _number(weight: float) -> bytes:
    return b"%.*f" % (DECIMALS, weight + 0.0)


def from_bytes(raw: bytes) -> Head:
    """Return the head that `to_bytes` wrote.

    Raises:
        ValueError: It is none.

    """
    told: dict[str, Any] = orjson.loads(raw)
    try:
        columns: dict[str, list[float]] = told["weights"]
        weights = np.array(list(columns.values()), np.float64).T
        head = Head(str(told["task"]), tuple(columns), weights, str(told["training"]))
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(type(exc).__name__) from None
    if weights.ndim != 2 or not np.isfinite(weights).all():  # noqa: PLR2004, a matrix
        msg = "no matrix"
        raise ValueError(msg)
    return head


def is_alike(head: Head, file: Path) -> bool:
    """Return whether a file holds this head, but for what another processor's rounding does."""
    try:
        there = from_bytes(file.read_bytes())
    except (OSError, ValueError):
        return False
    is_named = (there.task, there.labels, there.training) == (head.task, head.labels, head.training)
    return is_named and bool(np.allclose(there.weights, head.weights, rtol=0, atol=LIKE))


def load_head(file: str, sha256: str, folder: Path = FOLDER) -> Head:
    """Return a head whose file has this digest.

    Raises:
        BadHeadError: The file is missing, is another one, or holds no head.

    """
    path = folder / file
    try:
        raw = path.read_bytes()
    except OSError:
        msg = f"heads/{file}: missing; `homeport tasks train` makes it"
        raise BadHeadError(msg) from None
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        msg = f"heads/{file}: its SHA-256 is {found}, and the task wants another; train it again"
        raise BadHeadError(msg)
    try:
        return from_bytes(raw)
    except ValueError as exc:
        msg = f"heads/{file}: holds no head; `homeport tasks train` makes it"
        raise BadHeadError(msg) from exc
