"""Quality is counted per language, and what is said of it can be counted again."""

import pytest
from messages import TRAINING, Message, english, foreign, lines, rights, training, urgency

from inference.examples import BadExampleError, Example, read_examples
from inference.labelling import Answer
from inference.quality import Quality, confusion, measure, wilson
from inference.tasks import load_tasks

TASK = load_tasks()["sentiment"]


def example(truth: str, language: str = "en", group: str = "a") -> Example:
    return Example("a text", truth, language, group)


def answer(label: str, score: float, method: str = "pooling") -> Answer:
    return Answer(label, score, "en", method, is_cut=False)


EXAMPLES = [
    example("positive"),
    example("positive", group="b"),
    example("negative"),
    example("neutral", "de"),
]
BEST = [
    answer("positive", 0.9), answer("negative", 0.9), answer("negative", 0.2),
    answer("unknown", 0.0, "gate"),
]  # fmt: skip


def test_right_is_of_all_and_of_those_answered() -> None:
    found = measure(EXAMPLES, BEST, 0.5)

    assert found["en"] == Quality(texts=3, groups=2, right=2, answered=2, right_answered=1)
    assert (found["en"].accuracy, found["en"].coverage) == pytest.approx((2 / 3, 2 / 3))
    assert found["en"].precision == 0.5
    assert found["de"] == Quality(texts=1, groups=1, right=0, answered=0, right_answered=0)
    assert found["de"].precision == 1


def test_a_threshold_is_for_heads_alone() -> None:
    found = measure([example("positive")], [answer("positive", 0.1, "generate")], 0.5)

    assert found["en"].answered == 1


def test_confusion_counts_what_went_out() -> None:
    assert confusion(EXAMPLES, BEST, 0.5) == {
        ("positive", "positive"): 1,
        ("positive", "negative"): 1,
        ("negative", "unknown"): 1,
        ("neutral", "unknown"): 1,
    }


def test_an_interval_is_the_one_in_the_books() -> None:
    """18 of 20: (0.699, 0.972). E. B. Wilson's formula, as any table of it has."""
    assert wilson(18 / 20, 20) == pytest.approx((0.699, 0.972), abs=1e-3)
    assert wilson(0.0, 10)[0] == 0
    assert wilson(1.0, 10)[1] == 1


def test_labelled_lines_are_read_and_what_says_nothing_of_the_task_is_passed_over() -> None:
    rows = [
        b'{"text": "fine", "sentiment": "positive"}',
        b"",
        b'{"text": "other task", "intent": "return"}',
        b'{"text": "nein", "sentiment": "negative", "language": "de", "template": "t"}',
    ]

    found = read_examples(TASK, rows, "my.jsonl")

    assert found == [
        Example("fine", "positive", "en", "my.jsonl:1"),
        Example("nein", "negative", "de", "t"),
    ]
    assert "fine" not in repr(found[0])


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b"{", "my.jsonl:1: want a JSON object"),
        (b"[]", "my.jsonl:1: want a JSON object"),
        (b'{"sentiment": "positive"}', "my.jsonl:1: want a JSON object"),
        (b'{"text": 5, "sentiment": "positive"}', "my.jsonl:1: want a JSON object"),
        (b'{"text": "secret", "sentiment": "glad"}', "my.jsonl:1: no label of sentiment"),
        (b'{"text": "secret"}', "my.jsonl: no example of sentiment"),
    ],
)
def test_a_line_that_is_no_example_is_named_and_not_quoted(row: bytes, told: str) -> None:
    with pytest.raises(BadExampleError, match=told) as caught:
        read_examples(TASK, [row], "my.jsonl")

    assert "secret" not in str(caught.value)
    assert "glad" not in str(caught.value)


def test_the_training_set_in_the_package_is_what_its_generator_makes() -> None:
    assert TRAINING.read_text(encoding="utf-8") == "".join(lines())


def test_training_and_test_share_no_text_and_no_template() -> None:
    trained, tested = training(), [*english(), *rights(), *foreign(), *urgency("test")]

    def texts(some: list[Message]) -> set[str]:
        return {one.text.casefold() for one in some}

    assert not texts(trained) & texts(tested)
    assert not {one.template for one in trained} & {one.template for one in tested}


@pytest.mark.parametrize("name", ["intent", "sentiment", "privacy_request", "urgency", "language"])
def test_every_label_is_tested_on_a_hundred_messages_or_more(name: str) -> None:
    sets = {"privacy_request": rights(), "urgency": urgency("test"), "language": foreign()}
    counts: dict[str, int] = {}
    for one in sets.get(name, english()):
        label = one.language if name == "language" else getattr(one, name)
        counts[label] = counts.get(label, 0) + 1

    assert min(counts.values()) >= 100
    assert set(counts) <= set(load_tasks()[name].labels)


def test_a_seed_makes_the_same_messages_again() -> None:
    assert english() == english()
