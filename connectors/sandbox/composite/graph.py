"""Composite Graph: up to 500 requests in one call, each graph of them all or none.

Source: REST API, "Composite Graph", "Using Composite Graphs" and "Composite Graph Limits"; one
call against the limits, whatever is in it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from connectors.sandbox.call import Answer, Call
from connectors.sandbox.composite.parts import HALTED, Done, halted, run_whole
from connectors.sandbox.composite.plan import (
    Part,
    Place,
    Plan,
    Reading,
    check_count,
    listed,
    mapping,
    parse_parts,
    text,
)
from connectors.sandbox.composite.references import may_refer
from connectors.sandbox.dispatch import DISPATCHER
from connectors.sandbox.errors import Problem, parse_error, refuse

GRAPH_SINCE = 50  # API version, of the request and of what it asks
MAX_GRAPHS, MAX_NODES, MAX_DEPTH = 75, 500, 15
MAX_DIFFERENT_NODES = 15  # by method, API version and object
MAX_FAILED_GRAPHS = 14  # one more halts the graphs after it

_GRAPH_ID = re.compile(r"[A-Za-z0-9][^.]{0,38}", re.DOTALL)
_PATHS = frozenset(
    {"/sobjects/{sobject}", "/sobjects/{sobject}/{id}", "/sobjects/{sobject}/{field}/{value}"}
)
_TOO_MANY_FAILED = Problem(
    HALTED, f"The request was halted since more than {MAX_FAILED_GRAPHS} graphs failed.", None
)


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph.

    Attributes:
        nodes: In the order of the request.
        plan: The same, each after those that it refers to.

    """

    id: str
    nodes: tuple[Part, ...]
    plan: Plan


async def post_graph(call: Call) -> Answer:
    """Carry out graphs, one after the other, each in a transaction of its own."""
    call.since(GRAPH_SINCE)
    body = await call.body()
    reading = Reading(call.request.app[DISPATCHER], call.major, may_refer(body))
    items: list[dict[str, Any]] = []
    failed = 0
    for graph in parse_graphs(call.document(body), reading):
        if failed > MAX_FAILED_GRAPHS:
            done = {node.reference: halted(_TOO_MANY_FAILED) for node in graph.nodes}
            is_successful = False
        else:
            done, is_successful = await _carry_out(call, graph.plan)
        failed += not is_successful
        items.append(_item(graph, done, is_successful=is_successful))
    return Answer({"graphs": items})


async def _carry_out(call: Call, plan: Plan) -> tuple[dict[str, Done], bool]:
    return await call.org.write(lambda store: run_whole(call, plan, store))


def _item(graph: Graph, done: Mapping[str, Done], *, is_successful: bool) -> dict[str, Any]:
    parts = [done[node.reference].as_json(node.reference) for node in graph.nodes]
    return {
        "graphId": graph.id,
        "graphResponse": {"compositeResponse": parts},
        "isSuccessful": is_successful,
    }


def parse_graphs(document: object, reading: Reading) -> list[Graph]:
    """Return the graphs in a request's body.

    Raises:
        ApiError: 400, it is not such a body, or beyond a limit; nothing is carried out.

    """
    items = listed(document, "graphs")
    check_count("graphs", len(items), MAX_GRAPHS)
    graphs = [_graph(mapping(item, "graphId"), reading) for item in items]
    ids = [graph.id for graph in graphs]
    for at, name in enumerate(ids):
        if name in ids[:at]:
            message = f"Duplicate graphId provided: {name}"
            raise refuse(400, "INVALID_INPUT", message)
    check_count("nodes", sum(len(graph.nodes) for graph in graphs), MAX_NODES)
    places = {
        (n.method, n.place.version, n.place.sobject) for g in graphs for n in g.nodes if n.place
    }
    check_count("different nodes", len(places), MAX_DIFFERENT_NODES)
    return graphs


def _graph(item: dict[str, Any], reading: Reading) -> Graph:
    name = text(item, "graphId")
    if _GRAPH_ID.fullmatch(name) is None:
        message = (
            f"Provided graphId ('{name}') must start with a letter or a number, be shorter than 40"
            " characters and contain no period ('.')."
        )
        raise parse_error(message)
    nodes = tuple(_supported(part) for part in parse_parts(item, reading))
    parts = in_dependency_order(nodes)
    return Graph(name, nodes, Plan(parts, all_or_none=True, is_collated=False))


def _supported(part: Part) -> Part:
    """Return *part*, its resource gone if a graph may not ask it.

    Raises:
        ApiError: 400, its API version has no graphs.

    """
    place: Place | None = part.place
    if place is None:
        return part
    if int(place.version.partition(".")[0]) < GRAPH_SINCE:
        message = f"The API version of a node must be {GRAPH_SINCE}.0 or later: {part.url}"
        raise refuse(400, "INVALID_INPUT", message)
    return part if place.path in _PATHS else replace(part, url="", place=None)


def in_dependency_order(nodes: Sequence[Part]) -> tuple[Part, ...]:
    """Return *nodes* so that each comes after those that it refers to.

    Raises:
        ApiError: 400, they refer to each other in a circle, or in too long a chain.

    """
    by_name = {node.reference: node for node in nodes}
    needs = {node.reference: [n for n in by_name if n in node.needs] for node in nodes}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as exc:
        message = f"The graph has a circular reference: {', '.join(exc.args[1])}"
        raise refuse(400, "CIRCULAR_OBJECT_GRAPH", message) from exc
    depths: dict[str, int] = {}
    for name in order:
        depths[name] = 1 + max((depths[n] for n in needs[name]), default=0)
    check_count("levels in a graph", max(depths.values(), default=0), MAX_DEPTH)
    return tuple(by_name[name] for name in order)
