"""What a tool sends is a question of a strict form, or it is refused by a word and its key."""

from typing import Any

import pytest

from residency.ledger.accesses import Purpose
from residency.vault.index import Kind
from residency.vault.looking import (
    MAX_TERM,
    Ask,
    ByValue,
    Refused,
    RefusedError,
)
from streams.looking.web import STATUSES, asked, status_of

TOPICS = {"eu.commerce.orders.v1": "aWQ"}
BODY: dict[str, Any] = {
    "by": {"email": "ada@example.com"},
    "purpose": "support",
    "ticket": "CASE-17",
    "fields": ["customer.email"],
}


def test_a_question_is_read_as_it_is_meant() -> None:
    term, ask = asked({**BODY, "event": "a.B", "limit": 3}, TOPICS)

    assert term == ByValue(Kind.EMAIL, "ada@example.com")
    assert ask == Ask(Purpose.SUPPORT, "CASE-17", ("customer.email",), "a.B", 3)
    assert "ada" not in repr(term)
    assert asked(BODY, TOPICS)[1] == Ask(Purpose.SUPPORT, "CASE-17", ("customer.email",))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"by": None}, Refused.TERM),
        ({"by": {}}, Refused.TERM),
        ({"by": {"email": "a", "phone": "b"}}, Refused.TERM),
        ({"by": {"name": "ada"}}, Refused.TERM),
        ({"by": {"email": 1}}, Refused.TERM),
        ({"by": {"email": ""}}, Refused.TERM),
        ({"by": {"email": "a" * (MAX_TERM + 1)}}, Refused.TERM),
        ({"by": {"record": "orders"}}, Refused.TERM),
        ({"by": {"record": "us.commerce.orders.v1[0]@7"}}, Refused.TERM),
        ({"purpose": None}, Refused.PURPOSE),
        ({"purpose": "curiosity"}, Refused.PURPOSE),
        ({"ticket": 17}, Refused.TICKET),
        ({"fields": None}, Refused.FIELD),
        ({"fields": "customer.email"}, Refused.FIELD),
        ({"fields": [1]}, Refused.FIELD),
        ({"event": 1}, Refused.EVENT),
        ({"limit": "3"}, Refused.EVENT),
        ({"limit": True}, Refused.EVENT),
        ({"caller": "operator"}, Refused.TERM),
    ],
)
def test_a_question_of_another_form_is_refused_without_its_values(
    change: dict[str, Any], why: Refused
) -> None:
    with pytest.raises(RefusedError) as caught:
        asked({**BODY, **change}, TOPICS)

    assert caught.value.why is why
    assert "ada@example.com" not in str(caught.value)


def test_what_is_no_object_is_no_question() -> None:
    for document in (None, [], "x", 1):
        with pytest.raises(RefusedError):
            asked(document, TOPICS)


def test_every_refusal_has_its_status_and_says_when_to_come_back() -> None:
    assert STATUSES.keys() == set(Refused)
    assert status_of(RefusedError(Refused.RATE, "x", 17)) == (429, {"Retry-After": "17"})
    assert status_of(RefusedError(Refused.CALLER, "x")) == (401, {"WWW-Authenticate": "Bearer"})
    assert status_of(RefusedError(Refused.FIELD, "x")) == (403, {})
