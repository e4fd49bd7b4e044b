"""A decision is about one raw record and what is asked of it; withheld, it says nothing else."""

from dataclasses import replace

import pytest
from label_world import PLAN, TASKS, made_plan, made_request

from residency.decisions import Answered, Decision, Key, asked_of, question
from residency.leak import label_cost

OUTPUT = PLAN.outputs[1]


def test_a_resend_asks_the_same_again() -> None:
    first, again = made_request(7, "a"), made_request(7, "a", resend=2)

    assert question(first, OUTPUT) == question(again, OUTPUT)
    assert question(again, OUTPUT).key.record == "eu.commerce.messages.v1[0]@7#1"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(made_request(8, "a"), id="another record"),
        pytest.param(made_request(7, "a", topic_id="again"), id="a topic that was made anew"),
    ],
)
def test_another_record_is_another_question(other: object) -> None:
    assert question(other, OUTPUT).key != question(made_request(7, "a"), OUTPUT).key  # type: ignore[arg-type]


def test_a_changed_task_is_another_question_and_the_text_is_no_part_of_one() -> None:
    newer = {**TASKS, "intent": replace(TASKS["intent"], version=2)}

    changed = made_plan(tasks=newer).outputs[1]

    assert asked_of(changed) != question(made_request(7, "a"), OUTPUT).key.asked
    assert question(made_request(7, "a"), OUTPUT) == question(made_request(7, None), OUTPUT)


def test_the_cost_is_that_of_every_label_whatever_the_text() -> None:
    asked = question(made_request(7, None), OUTPUT)

    assert asked.cost == sum(label_cost(task.labels) for task in TASKS.values())
    assert (asked.subject, asked.plan) == ("tok_eu1_someone", PLAN.digest)


def test_a_withheld_decision_says_withheld_for_every_field_and_nothing_else() -> None:
    answers = {
        "Intent__c": Answered("intent", 1, "return", "pooling", is_cut=False),
        "Urgency__c": Answered("urgency", 1, "unknown", "rules", is_cut=False),
    }
    asked = question(made_request(7, "a"), OUTPUT)

    answered = Decision(asked, is_withheld=False, model="m", answers=answers)
    withheld = replace(answered, is_withheld=True)

    assert answered.labels() == {"Intent__c": "return", "Urgency__c": "unknown"}
    assert withheld.labels() == {"Intent__c": "withheld", "Urgency__c": "withheld"}


def test_no_repr_shows_whose_text_it_is_or_what_it_says() -> None:
    asked = question(made_request(7, "a", "zucanarysubject"), OUTPUT)
    answers = {"Intent__c": Answered("intent", 1, "zucanarylabel", "m", is_cut=True)}
    decision = Decision(asked, is_withheld=False, answers=answers)

    assert "zucanary" not in repr(decision) + repr(answers) + repr(asked)
    assert "is_cut" not in repr(answers)  # how long a text was is not for a log
    assert "answers" not in repr(decision)
    assert asked.key == Key("hand-made", "eu.commerce.messages.v1[0]@7#1", asked.key.asked)
