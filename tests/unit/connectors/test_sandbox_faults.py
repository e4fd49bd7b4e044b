"""The fault plan: what it takes, what it refuses and how, and which calls it hits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.faults.acts import target_of
from connectors.sandbox.faults.book import A_JOB, Faults, Target
from connectors.sandbox.faults.document import PlanError
from connectors.sandbox.faults.plan import Kind, Plan, Surface, Trait, read_plan

SLOW = {"kind": "slow", "on": "query", "once": True}
REFUSED = {
    "not an object": ([], r"the plan: must be a JSON object"),
    "an unknown member": ({"fault": []}, r"the plan: .*\['fault'\].*faults"),
    "faults are no list": ({"faults": {}}, r"faults: must be a list"),
    "a seed of the wrong kind": ({"seed": True}, r"seed: must be a whole number"),
    "a wait that is too long": ({"wait_s": 3601}, r"wait_s: must be a number from 0 to 3600"),
    "a fault that is no object": ({"faults": [1]}, r"faults\[0\]: must be a JSON object"),
    "no kind": ({"faults": [{"on": "any", "once": True}]}, r"faults\[0\]\.kind: .*late-commit"),
    "an unknown kind": ({"faults": [SLOW | {"kind": "slo"}]}, r"faults\[0\]\.kind: .*slow"),
    "an unknown place": ({"faults": [SLOW, SLOW | {"on": "x"}]}, r"faults\[1\]\.on: .*composite"),
    "a member nobody knows": ({"faults": [SLOW | {"tims": 1}]}, r"faults\[0\]: .*\['tims'\]"),
    "no when": ({"faults": [{"kind": "slow", "on": "any"}]}, r"faults\[0\]: .*exactly one of"),
    "two whens": ({"faults": [SLOW | {"at": 2}]}, r"faults\[0\]: .*exactly one of: once, at"),
    "once is false": ({"faults": [SLOW | {"once": False}]}, r"faults\[0\]\.once: must be true"),
    "times of once": ({"faults": [SLOW | {"times": 2}]}, r"faults\[0\]\.times: once is one"),
    "at the zeroth": (
        {"faults": [{"kind": "slow", "on": "any", "at": 0}]},
        r"faults\[0\]\.at: must be a whole number from 1",
    ),
    "a probability above 1": (
        {"faults": [{"kind": "slow", "on": "any", "probability": 1.1}]},
        r"faults\[0\]\.probability: must be a number from 0 to 1",
    ),
    "seconds of what does not wait": (
        {"faults": [{"kind": "lock", "on": "any", "once": True, "seconds": 1}]},
        r"faults\[0\]\.seconds: means nothing for lock, only for: .*slow",
    ),
    "rows of what chooses none": (
        {"faults": [SLOW | {"rows": 0.5}]},
        r"faults\[0\]\.rows: means nothing for slow",
    ),
    "a limit nobody has": (
        {"faults": [{"kind": "request-limit", "on": "any", "once": True, "limit": "x"}]},
        r"faults\[0\]\.limit: must be one of: daily, concurrent, long-transaction",
    ),
    "a code nobody knows": (
        {"faults": [{"kind": "rows-refused", "on": "any", "once": True, "code": "X"}]},
        r"faults\[0\]\.code: must be one of: DUPLICATES_DETECTED, CANNOT_INSERT",
    ),
    "a request's code for rows": (
        {
            "faults": [
                {"kind": "rows-refused", "on": "any", "once": True, "code": "SERVER_UNAVAILABLE"}
            ]
        },
        r"faults\[0\]\.code: must be one of: DUPLICATES_DETECTED",
    ),
    "a code of what refuses nothing": (
        {"faults": [SLOW | {"code": "SERVER_UNAVAILABLE"}]},
        r"faults\[0\]\.code: means nothing for slow, only for: .*refused, rows-refused",
    ),
    "a login refused elsewhere": (
        {"faults": [{"kind": "login-refused", "on": "any", "once": True}]},
        r"faults\[0\]\.on: login-refused cannot happen there; it can on: login",
    ),
    "refused rows of a delete": (
        {"faults": [{"kind": "rows-refused", "on": "delete", "once": True}]},
        r"faults\[0\]\.on: rows-refused cannot happen there",
    ),
    "a late login": (
        {"faults": [{"kind": "late-commit", "on": "login", "once": True}]},
        r"faults\[0\]\.on: late-commit cannot happen there; .*collections",
    ),
    "a session that ends at login": (
        {"faults": [{"kind": "expired-session", "on": "login", "once": True}]},
        r"faults\[0\]\.on: expired-session cannot happen there",
    ),
    "a race of deletes": (
        {"faults": [{"kind": "duplicate-race", "on": "delete", "once": True}]},
        r"faults\[0\]\.on: duplicate-race cannot happen there",
    ),
    "a job in a query": (
        {"faults": [{"kind": "job-stuck", "on": "query", "once": True}]},
        r"faults\[0\]\.on: job-stuck cannot happen there; it can on: any, bulk",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_in_a_plan_is_named_by_its_place(name: str) -> None:
    document, text = REFUSED[name]

    with pytest.raises(PlanError, match=text):
        read_plan(document)


def test_an_empty_plan_waits_for_locks_as_the_real_org_does() -> None:
    assert read_plan({}) == Plan(seed=0, wait_s=10, faults=())


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_can_be_anywhere_that_it_makes_sense(kind: Kind) -> None:
    on = "login" if kind is Kind.LOGIN_REFUSED else "any"
    plan = read_plan({"faults": [{"kind": kind, "on": on, "probability": 0.5, "times": 3}]})

    assert [fault.kind for fault in plan.faults] == [kind]


BASE = "/services/data/v62.0"
HTTP, WRITE, ROWS, UPSERTS = Trait.HTTP, Trait.WRITE, Trait.ROWS, Trait.UPSERTS
CHARSET, RESULTS = Trait.CHARSET, Trait.RESULTS
READS, DELETES = {HTTP, CHARSET}, {HTTP, CHARSET, WRITE, ROWS}
CALLS: dict[str, tuple[str, str, Surface, set[Trait]]] = {
    "login": ("POST", "/services/oauth2/token", Surface.LOGIN, READS | {Trait.LOGIN}),
    "collection": (
        "PATCH",
        f"{BASE}/composite/sobjects/A__c/Key__c/",
        Surface.COLLECTIONS,
        DELETES | {UPSERTS},
    ),
    "composite": ("POST", f"{BASE}/composite", Surface.COMPOSITE, DELETES | {UPSERTS}),
    "deletes": ("DELETE", f"{BASE}/composite/sobjects", Surface.DELETE, DELETES),
    "a delete": ("DELETE", f"{BASE}/sobjects/A__c/a00", Surface.DELETE, DELETES),
    "a row": ("PATCH", f"{BASE}/sobjects/A__c/Key__c/v", Surface.ANY, DELETES | {UPSERTS}),
    "a row read": ("GET", f"{BASE}/sobjects/A__c/a00", Surface.ANY, READS),
    "query": ("GET", f"{BASE}/query", Surface.QUERY, READS),
    "page": ("GET", f"{BASE}/queryAll/01g-2000", Surface.QUERY, READS),
    "describe": ("GET", f"{BASE}/sobjects/A__c/describe", Surface.DESCRIBE, READS),
    "all objects": ("GET", f"{BASE}/sobjects/", Surface.DESCRIBE, READS),
    "limits": ("GET", f"{BASE}/limits", Surface.ANY, READS),
    "versions' resources": ("GET", BASE, Surface.ANY, READS),
    "a job": ("POST", f"{BASE}/jobs/ingest", Surface.BULK, {HTTP, WRITE}),
    "an upload": ("PUT", f"{BASE}/jobs/ingest/750/batches", Surface.BULK, {HTTP, WRITE}),
    "a job's end": ("DELETE", f"{BASE}/jobs/ingest/750", Surface.BULK, {HTTP, WRITE}),
    "a job's state": ("GET", f"{BASE}/jobs/ingest/750", Surface.BULK, {HTTP}),
    "results": (
        "GET",
        f"{BASE}/jobs/ingest/750/successfulResults/",
        Surface.BULK,
        {HTTP, CHARSET, RESULTS},
    ),
    "unprocessed": (
        "GET",
        f"{BASE}/jobs/ingest/750/unprocessedrecords",
        Surface.BULK,
        {HTTP, CHARSET, RESULTS},
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_known_by_its_method_and_path(name: str) -> None:
    method, path, surface, traits = CALLS[name]

    target = target_of(method, path)

    assert target == Target(surface, frozenset(traits))


def hits(document: dict[str, Any], targets: list[Target]) -> list[str | None]:
    """Return the kind of fault that hits each call."""
    faults = Faults()
    faults.set(read_plan(document))
    fired = [faults.pick(target) for target in targets]
    return [None if f is None else f.kind.value for f in fired]


def test_a_fault_of_jobs_waits_for_a_job() -> None:
    stuck = {"faults": [{"kind": "job-stuck", "on": "bulk", "once": True}]}
    calls = [target_of("POST", f"{BASE}/jobs/ingest"), A_JOB, A_JOB]

    assert hits(stuck, calls) == [None, "job-stuck", None]


def test_a_fault_of_anything_is_none_of_logins() -> None:
    anything = {"faults": [{"kind": "error-500", "on": "any", "every": 1}]}
    calls = [target_of("POST", "/services/oauth2/token"), target_of("GET", f"{BASE}/limits")]

    assert hits(anything, calls) == [None, "error-500"]


@given(st.integers(), st.floats(0, 1), st.lists(st.sampled_from(sorted(CALLS)), max_size=30))
def test_a_plan_decides_the_same_each_time(seed: int, share: float, names: list[str]) -> None:
    plan = {
        "seed": seed,
        "faults": [
            {"kind": "slow", "on": "any", "probability": share},
            {"kind": "lock", "on": "any", "every": 3},
        ],
    }
    calls = [target_of(*CALLS[name][:2]) for name in names]

    first, second = hits(plan, calls), hits(plan, calls)

    assert first == second
