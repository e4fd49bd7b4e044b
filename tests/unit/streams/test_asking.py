"""A model that does not answer makes texts wait; a text that no model can take never does."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import pytest
from label_world import HandMade, label_of

from schemas.errors import HaltError, RetriableError
from streams.asking import HARMLESS, STRIKES, Answers, Asker, Text
from streams.duties import NotNowError

TASKS = ("intent", "urgency")


def text(word: str, tasks: tuple[str, ...] = TASKS) -> Text:
    return Text((word,), tasks, word)


def asker(model: object, together: int = 2, side_by_side: int = 1) -> Asker:
    return Asker(model, together, side_by_side, lambda _texts: nullcontext())  # type: ignore[arg-type]


def words(answers: Sequence[Answers]) -> list[dict[str, str]]:
    return [{task: answer.label for task, answer in one.items()} for one in answers]


def said(*texts: str) -> list[dict[str, str]]:
    return [{task: label_of(task, one) for task in TASKS} for one in texts]


def until_answered(asking: Asker, texts: Sequence[Text]) -> tuple[list[Answers], int]:
    """Return the answers and how often the model did not answer before."""
    for pauses in range(50):
        try:
            return asking.ask(texts), pauses
        except NotNowError:
            continue
    pytest.fail("never answered")


def test_texts_are_asked_in_full_requests_and_answered_in_order() -> None:
    model = HandMade()

    found = asker(model).ask([text(word) for word in "abcde"])

    assert words(found) == said(*"abcde")
    assert [texts for _, texts in model.asked] == [("a", "b"), ("c", "d"), ("e",)]
    assert asker(model).ask([]) == []


def test_texts_with_other_tasks_are_asked_apart() -> None:
    model = HandMade()

    found = asker(model).ask([text("a"), text("b", ("language",)), text("c")])

    assert set(model.asked) == {(TASKS, ("a", "c")), (("language",), ("b",))}
    assert [set(one) for one in found] == [set(TASKS), {"language"}, set(TASKS)]


def test_no_more_requests_are_under_way_than_allowed() -> None:
    most, now, lock = [0], [0], threading.Lock()

    @contextmanager
    def measured(_texts: int) -> Iterator[None]:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        yield
        with lock:
            now[0] -= 1

    asking = Asker(HandMade(takes_s=0.02), 1, 2, measured)

    asking.ask([text(str(n)) for n in range(12)])

    assert most == [2]


def test_a_model_that_is_down_makes_all_wait_and_loses_none() -> None:
    model = HandMade(down=True)
    asking = asker(model)
    texts = [text(word) for word in "abc"]

    with pytest.raises(NotNowError):
        asking.ask(texts)
    model.down = False

    assert words(asking.ask(texts)) == said(*"abc")


def test_however_long_a_model_is_down_no_text_is_blamed() -> None:
    model = HandMade(down=True)
    asking = asker(model)
    for _ in range(3 * STRIKES):
        with pytest.raises(NotNowError):
            asking.ask([text("a")])

    model.down = False

    assert words(asking.ask([text("a")])) == said("a")


@pytest.mark.parametrize("dies", [0, 1, 3])
def test_a_text_that_no_model_can_take_is_unknown_and_the_others_are_answered(dies: int) -> None:
    """Also where each try takes the model down with it for a while."""
    model = HandMade(poison="zz", dies=dies)
    texts = [text(word) for word in ("a", "zz", "b", "c")]

    found, pauses = until_answered(asker(model, together=4), texts)

    unknown = dict.fromkeys(TASKS, "unknown")
    assert words(found) == [*said("a"), unknown, *said("b", "c")]
    assert found[1]["intent"].method == "unreadable"
    assert pauses == dies * (STRIKES + 1)  # with the first, and each pause is one question
    tries = [texts for _, texts in model.asked if "zz" in texts]
    assert tries == [("a", "zz", "b", "c"), *[("zz",)] * STRIKES]


def test_a_suspect_is_asked_about_right_after_a_text_that_any_model_can_read() -> None:
    model = HandMade(poison="zz")

    until_answered(asker(model), [text("zz")])

    assert [texts for _, texts in model.asked] == [
        ("zz",), *[(HARMLESS,), ("zz",)] * STRIKES
    ]  # fmt: skip


def test_what_was_answered_is_not_asked_again_while_others_are_not() -> None:
    model = HandMade(poison="zz")

    until_answered(asker(model, together=1), [text("a"), text("zz")])

    assert [texts for _, texts in model.asked].count(("a",)) == 1


def test_a_new_batch_knows_nothing_of_the_last() -> None:
    model = HandMade(poison="zz")
    asking = asker(model)
    until_answered(asking, [text("zz")])
    model.poison = "yy"

    assert words(asking.ask([text("zz")])) == said("zz")


def test_fewer_texts_may_be_asked_about_after_a_pause() -> None:
    model = HandMade(down=True)
    asking = asker(model)
    with pytest.raises(NotNowError):
        asking.ask([text("a"), text("b")])
    model.down = False

    assert words(asking.ask([text("b")])) == said("b")


def test_what_is_no_matter_of_waiting_stops_the_worker() -> None:
    class Wrong:
        def label(self, tasks: Sequence[str], texts: Sequence[str]) -> list[Answers]:
            del tasks, texts
            raise HaltError("no such task")  # noqa: EM101, TRY003, a test's

    with pytest.raises(HaltError):
        asker(Wrong()).ask([text("a")])


def test_an_error_says_no_word_of_a_text() -> None:
    class Quoting:
        def label(self, tasks: Sequence[str], texts: Sequence[str]) -> list[Answers]:
            del tasks, texts
            raise RetriableError("the model's server does not answer")  # noqa: EM101, TRY003

    with pytest.raises(NotNowError) as caught:
        asker(Quoting()).ask([text("zucanary")])

    assert "zucanary" not in str(caught.value) + repr(Text(("n",), TASKS, "zucanary"))
