"""sObject Tree: nested records, created parents first, all or none.

Source: REST API, "sObject Tree", "Create Nested Records"; one call against the limits.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.composite.plan import check_count, listed, mapping, text
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import Problem
from connectors.sandbox.rows.writer import MAX_RECORDS, Outcome
from connectors.sandbox.store import Store

TREE_SINCE = 34  # API version
MAX_TYPES, MAX_LEVELS = 5, 5

_NO_REFERENCE = Problem("INVALID_INPUT", "Include a reference ID for each record in the request.")
_TWICE = Problem("INVALID_INPUT", "Duplicate ReferenceId provided in the request.")


@dataclass(frozen=True, slots=True)
class Node:
    """One record of a tree.

    Attributes:
        view: The object that its place in the tree makes it.
        type: The object that it says it is.
        reference: Its reference id, empty if it has none.
        values: Its members, without its children.
        level: 1 for a root.
        parent: Where its parent stands among the nodes, None for a root.
        link: Its field that names the parent.

    """

    view: View
    type: str
    reference: str
    values: Mapping[str, Any]
    level: int = 1
    parent: int | None = None
    link: Field | None = None


@dataclass(frozen=True, slots=True)
class _Made:
    """A record's fate: its reference id, and what became of it."""

    reference: str
    outcome: Outcome

    def as_json(self) -> dict[str, Any]:
        problems = self.outcome.problems
        if problems:
            errors = [problem.as_record_error() for problem in problems]
            return {"referenceId": self.reference, "errors": errors}
        return {"referenceId": self.reference, "id": self.outcome.id}


async def post_tree(call: Call) -> Answer:
    """Create the records of trees whose roots are of one object."""
    call.since(TREE_SINCE)
    view, body = call.view(), await call.body()
    nodes = nodes_of(call, view, call.document(body))
    refused = _malformed(nodes)
    made = refused or await call.write(lambda store: _create(call, store, nodes, body))
    has_errors = any(m.outcome.problems for m in made)
    document = {"hasErrors": has_errors, "results": [m.as_json() for m in made]}
    return Answer(document, 400 if has_errors else 201)


def nodes_of(call: Call, view: View, document: object) -> list[Node]:
    """Return the records in a request's body: the roots, their children, theirs.

    Raises:
        ApiError: 400, it is not such a body, or beyond a limit.

    """
    roots = listed(document, "records")
    nodes: list[Node] = []
    waiting: list[tuple[object, View, int, int | None, Field | None]]
    waiting = [(record, view, 1, None, None) for record in roots]
    for item, of, level, parent, link in waiting:
        record = mapping(item, "attributes")
        values: dict[str, Any] = {}
        for name, value in record.items():
            found = call.org.views.child(call.user, of, name) if _are_children(value) else None
            if found is None:
                values[name] = value
            else:
                waiting += [
                    (r, found[0], level + 1, len(nodes), found[1]) for r in value["records"]
                ]
        kind, reference = _attributes(record)
        nodes.append(Node(of, kind, reference, values, level, parent, link))
        check_count("records", len(waiting), MAX_RECORDS)
        check_count("levels", level, MAX_LEVELS)
    check_count("types", len({node.view.name for node in nodes}), MAX_TYPES)
    return nodes


def _are_children(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("records"), list)


def _attributes(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return what the record says of itself: its type and its reference id."""
    attributes = mapping(record.get("attributes"), "attributes")
    return text(attributes, "type"), str(attributes.get("referenceId") or "")


def _malformed(nodes: Sequence[Node]) -> list[_Made]:
    """Return the records that no tree may hold, each with the reason."""
    times = Counter(node.reference for node in nodes)

    def wrong(node: Node) -> Problem | None:
        if not node.reference:
            return _NO_REFERENCE
        if times[node.reference] > 1:
            return _TWICE
        if node.type.lower() != node.view.name.lower():
            message = f"Record type {node.type} does not match its place, one of {node.view.name}"
            return Problem("INVALID_INPUT", message)
        return None

    found = ((node, wrong(node)) for node in nodes)
    return [_Made(n.reference, Outcome(None, problems=(p,))) for n, p in found if p is not None]


def _create(call: Call, store: Store, nodes: Sequence[Node], body: str) -> list[_Made]:
    """Create all records in one transaction; return them, or those that failed."""
    made: dict[int, Outcome] = {}
    with store.transaction() as change:
        for group in _groups(nodes):
            writer = call.org.writer(store, nodes[group[0]].view, call.user)
            records = [_record(nodes[at], made) for at in group]
            outcomes = writer.create_all(records, body, all_or_none=False)
            failed = [
                _Made(nodes[at].reference, outcome)
                for at, outcome in zip(group, outcomes, strict=True)
                if outcome.problems
            ]
            if failed:
                change.take_back()
                return failed
            made |= dict(zip(group, outcomes, strict=True))
    return [_Made(node.reference, made[at]) for at, node in enumerate(nodes)]


def _groups(nodes: Sequence[Node]) -> Iterator[list[int]]:
    """Yield the places of the records that are written at once: those of a level and a type."""

    def key(at: int) -> tuple[int, str]:
        return nodes[at].level, nodes[at].view.name

    for _, group in groupby(sorted(range(len(nodes)), key=key), key):
        yield list(group)


def _record(node: Node, made: Mapping[int, Outcome]) -> dict[str, Any]:
    """Return the record with its parent's id, which has been made by now."""
    if node.parent is None or node.link is None:
        return dict(node.values)
    return {**node.values, node.link.name: made[node.parent].id}
