"""Calls that go on while the org is changed under them: each sees it as it was or as it is."""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from metadata_packages import KEY, deploy, manifest, object_package, packed, problems, text_field
from org_person import Person

SOBJECT = "Moving__c"
TURNS = 6  # deployments: with the field, and without


def put(client: Any) -> Any:
    """Upsert a row with the field that comes and goes."""
    record = {"attributes": {"type": SOBJECT}, "Key__c": "a", "Note__c": "n"}
    url = f"composite/sobjects/{SOBJECT}/Key__c"
    return client.call("PATCH", url, json={"records": [record]})


def compose(client: Any) -> Any:
    """Read the row within a composite."""
    part = {
        "method": "GET",
        "url": f"/services/data/v62.0/sobjects/{SOBJECT}/Key__c/a",
        "referenceId": "row",
    }
    return client.call("POST", "composite", json={"compositeRequest": [part]})


def get(client: Any) -> Any:
    """Read the row with every field that there is."""
    return client.call("GET", f"sobjects/{SOBJECT}/Key__c/a")


def query(client: Any) -> Any:
    """Ask for the field that comes and goes."""
    return client.call("GET", "query", params={"q": f"SELECT Note__c FROM {SOBJECT}"})  # noqa: S608 -- ours


def look(client: Any) -> Any:
    """Look at the object's page."""
    return person(client.org).get(f"/objects/{SOBJECT}")


@cache
def person(org: Any) -> Person:
    return Person(org)


@pytest.mark.parametrize("ask", [put, get, query, compose, look])
def test_calls_while_a_field_comes_and_goes_are_never_unexpected_errors(
    module_org: Any, ask: Callable[[Any], Any]
) -> None:
    admin, client = module_org.login(), module_org.login()
    whole = object_package(SOBJECT, KEY, text_field("Note__c"))
    gone = {"CustomField": [f"{SOBJECT}.Note__c"]}
    less = packed({"package.xml": manifest({}), "destructiveChanges.xml": manifest(gone)})
    deploy(admin, whole)
    put(client)
    answers: list[tuple[int, str]] = []
    is_over = threading.Event()

    def keep_asking() -> None:
        while not is_over.is_set():
            answer = ask(client)
            answers.append((answer.status_code, answer.text))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        states = [deploy(admin, (less, whole)[turn % 2]) for turn in range(TURNS)]
    finally:
        is_over.set()
        asking.join()

    assert [problems(state) for state in states] == [[]] * TURNS
    assert len(answers) > TURNS
    assert [text for _, text in answers if "UNKNOWN_EXCEPTION" in text] == []
    named = ('"Note__c":"Note__c"', ">Note__c</td>")  # what SQLite makes of a column that is gone
    assert [text for _, text in answers if any(one in text for one in named)] == []
    assert {status for status, _ in answers} <= {200, 400}
