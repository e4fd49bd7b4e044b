"""Trains a head, and tells what it is worth on templates that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.client import Vectors
from inference.heads import DECIMALS, Head, softmax
from inference.tasks.model import UNKNOWN, Task

PENALTY = 3e-4  # on squared weights; chosen, like each threshold, by folds of the training set
STEPS = 400  # accelerated gradient steps; a further hundred change no third decimal of a score
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Labelled:
    """Embedded texts of one task with what is right of each.

    Attributes:
        groups: What texts were made from; a fold has a group whole or not at all, because two
            fillings of one template are nearly one text.

    """

    vectors: Vectors
    truth: tuple[str, ...]
    groups: tuple[str, ...]


def fit(vectors: Vectors, truth: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """Return the weights of a multinomial logistic regression, (width + 1) x labels, rounded.

    Each label counts alike, however many texts it has. There is no chance in it: the same vectors
    give the same weights.

    Source: Nesterov's method, with the step that the largest singular value allows.
    """
    rows = np.hstack([vectors.astype(np.float64), np.ones((len(vectors), 1))])
    wanted = np.array([[label == one for label in labels] for one in truth], np.float64)
    texts = np.maximum(wanted.sum(axis=0), 1)  # a label may have none
    share = (wanted / (texts * len(labels))).sum(axis=1, keepdims=True)
    step = 1 / (0.5 * np.linalg.norm(rows * np.sqrt(share), 2) ** 2 + PENALTY)
    weights: NDArray[np.float64] = np.zeros((rows.shape[1], len(labels)))
    ahead = weights
    pace = 1.0
    for _ in range(STEPS):
        slope = rows.T @ ((softmax(rows @ ahead) - wanted) * share)
        slope[:-1] += PENALTY * ahead[:-1]  # the constant is free
        moved = ahead - step * slope
        faster = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        weights, ahead, pace = moved, moved + (pace - 1) / faster * (moved - weights), faster
    return weights.round(DECIMALS)


def trained(task: Task, data: Labelled, training: str) -> Head:
    """Return the head of a task.

    Args:
        task: Its labels but `unknown`, which no text is.
        data: What to train on.
        training: SHA-256, in hexadecimal, of the file that it came from.

    """
    labels = tuple(label for label in task.labels if label != UNKNOWN)
    return Head(task.name, labels, fit(data.vectors, data.truth, labels), training)


def held_out(data: Labelled, labels: Sequence[str], folds: int = FOLDS) -> NDArray[np.float64]:
    """Return probabilities for each text from a head that saw no text of its group."""
    fold = {group: number % folds for number, group in enumerate(sorted(set(data.groups)))}
    folded = np.array([fold[group] for group in data.groups])
    found = np.zeros((len(data.truth), len(labels)))
    for number in range(folds):
        seen = folded != number
        truth = [one for one, is_seen in zip(data.truth, seen, strict=True) if is_seen]
        weights = fit(data.vectors[seen], truth, labels)
        found[~seen] = softmax(data.vectors[~seen].astype(np.float64) @ weights[:-1] + weights[-1])
    return found


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a head is worth on templates that it did not see, per threshold.

    Attributes:
        right: Share right of all, from 0 to 1.
        table: (threshold, share answered, share right of those), thresholds rising.

    """

    right: float
    table: tuple[tuple[float, float, float], ...]

    def threshold(self, aim: float) -> float | None:
        """Return the least threshold at which a share *aim* of the answered is right, or None."""
        return next((at for at, _, right in self.table if right >= aim), None)


def held_out_quality(data: Labelled, labels: Sequence[str]) -> HeldOut:
    """Return what a head that saw the other folds makes of each."""
    found = held_out(data, labels)
    best, sure = found.argmax(axis=1), found.max(axis=1)
    right = np.array([labels[at] == one for at, one in zip(best, data.truth, strict=True)])
    table = []
    for percent in range(1, 100):
        given = sure >= percent / 100
        if given.any():
            table.append((percent / 100, float(given.mean()), float(right[given].mean())))
    return HeldOut(float(right.mean()), tuple(table))
