"""A head is a file with a digest; it answers for the model it was trained on and for no other."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from inference.client import Vectors
from inference.fit import Labelled, fit, held_out, held_out_quality, trained
from inference.heads import BadHeadError, Head, from_bytes, is_alike, load_head, softmax, to_bytes
from inference.tasks import load_tasks
from schemas.errors import HaltError

CHANCE = np.random.default_rng(5)
LABELS = ("left", "right")
HEAD = Head("side", LABELS, np.array([[2.0, -2.0], [0.5, -0.5], [0.25, 0.0]]), "ab")


def points(count: int) -> tuple[Vectors, tuple[str, ...]]:
    """Return points on two sides of a line, and on which side each is."""
    places = CHANCE.normal(size=(count, 4)).astype(np.float32)
    return places, tuple("left" if x > 0 else "right" for x in places[:, 0])


def test_a_stored_head_is_the_head() -> None:
    again = from_bytes(to_bytes(HEAD))

    assert (again.task, again.labels, again.training) == ("side", LABELS, "ab")
    assert np.array_equal(again.weights, HEAD.weights)
    assert to_bytes(again) == to_bytes(HEAD)


def test_probabilities_are_those_of_the_formula() -> None:
    found = HEAD.probabilities(np.array([[1.0, 2.0]], np.float32))

    left, right = np.exp(2 + 1 + 0.25), np.exp(-2 - 1)
    assert found[0] == pytest.approx([left / (left + right), right / (left + right)])


def test_large_values_do_not_overflow() -> None:
    assert softmax(np.array([[1e4, -1e4]])) == pytest.approx(np.array([[1.0, 0.0]]))


def test_the_vectors_of_another_model_halt() -> None:
    with pytest.raises(HaltError, match="2 dimensions, the model gives 3"):
        HEAD.probabilities(np.zeros((1, 3), np.float32))


def test_a_head_is_taken_by_its_digest_alone(tmp_path: Path) -> None:
    raw = to_bytes(HEAD)
    (tmp_path / "side.json").write_bytes(raw)
    digest = hashlib.sha256(raw).hexdigest()

    assert load_head("side.json", digest, tmp_path).labels == LABELS
    with pytest.raises(BadHeadError, match=digest):
        load_head("side.json", "0" * 64, tmp_path)
    with pytest.raises(BadHeadError, match="missing"):
        load_head("none.json", digest, tmp_path)


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b'{"task": "x"}', b'{"task":1,"training":"","weights":{"a":[[1]]}}']
)
def test_what_is_no_head_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "side.json").write_bytes(raw)

    with pytest.raises(BadHeadError):
        load_head("side.json", hashlib.sha256(raw).hexdigest(), tmp_path)


def test_training_finds_the_line_between_two_sides_and_twice_the_same() -> None:
    places, truth = points(200)
    fresh, right = points(100)

    weights = fit(places, truth, LABELS)

    found = softmax(fresh @ weights[:-1] + weights[-1]).argmax(axis=1)
    assert np.mean([LABELS[at] == one for at, one in zip(found, right, strict=True)]) > 0.95
    assert np.array_equal(weights, fit(places, truth, LABELS))
    assert np.array_equal(weights, weights.round(3))


def test_a_rare_label_counts_as_much_as_a_common_one() -> None:
    """With one text in fifty, a fit that counted texts would never give the rare label."""
    places = np.array([[1.0, 0.0]] * 49 + [[0.8, 0.2]], np.float32)

    weights = fit(places, ("common",) * 49 + ("rare",), ("common", "rare"))

    assert softmax(places[-1:] @ weights[:-1] + weights[-1])[0, 1] > 0.5


def test_what_is_held_out_was_not_seen() -> None:
    """Each group has a label of its own: only a head that saw the group could know it."""
    places = np.eye(4, dtype=np.float32).repeat(3, axis=0)
    groups = tuple(name for name in "abcd" for _ in range(3))

    found = held_out(Labelled(places, groups, groups), tuple("abcd"), folds=4)

    assert all("abcd"[row.argmax()] != group for row, group in zip(found, groups, strict=True))


def test_a_threshold_is_the_least_that_is_right_enough() -> None:
    places, truth = points(100)
    data = Labelled(places, truth, tuple(map(str, range(100))))

    quality = held_out_quality(data, LABELS)

    reached = quality.threshold(0.98)
    assert reached is not None
    assert next(right for at, _, right in quality.table if at == reached) >= 0.98
    assert all(right < 0.98 for at, _, right in quality.table if at < reached)
    assert quality.threshold(1.01) is None


def test_the_check_of_a_training_forgives_a_last_decimal_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "side.json"
    file.write_bytes(to_bytes(HEAD))
    near = Head("side", LABELS, HEAD.weights + 0.001, "ab")
    far = Head("side", LABELS, HEAD.weights + 0.1, "ab")
    other = Head("side", LABELS, HEAD.weights, "cd")

    assert is_alike(near, file)
    assert not is_alike(far, file)
    assert not is_alike(other, file)
    assert not is_alike(near, tmp_path / "none.json")


def test_a_trained_head_answers_every_label_but_unknown() -> None:
    task = load_tasks()["sentiment"]
    places, _ = points(30)
    truth = ("positive", "neutral", "negative") * 10

    head = trained(task, Labelled(places, truth, truth), "ab")

    assert head.labels == ("positive", "neutral", "negative")
    assert head.width == 4
