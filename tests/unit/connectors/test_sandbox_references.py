"""References between subrequests: what they name, what takes their place, in which order."""

import pytest

from connectors.sandbox.composite.graph import in_dependency_order
from connectors.sandbox.composite.plan import Part
from connectors.sandbox.composite.references import (
    UnresolvedError,
    may_refer,
    referenced,
    resolve,
)
from connectors.sandbox.errors import ApiError

ROW = {"attributes": {"type": "T"}, "Name": "Ada", "Site": None, "Open": True, "Size": 3}
ANSWERS = {"row": ROW, "list": [{"id": "001"}], "made": {"id": "002", "errors": None}}


def test_every_reference_in_a_body_is_found() -> None:
    body = {"a": "@{one.id}-@{two[0].id}", "b": [{"c": "@{three-x.y}"}], "d": "e@{", "f": 1}

    assert referenced(body) == {"one", "two", "three-x"}


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ("@{row.Name}", "Ada"),
        ("<@{row.Name}|@{list[0].id}>", "<Ada|001>"),
        ({"@{made.id}": ["@{made.id}", 7]}, {"@{made.id}": ["002", 7]}),
        ("@{row.Open}@{row.Size}", "true3"),
        ("@{row.Site}", None),
        ("(@{row.Site})", "()"),
        ("no @ reference {here}", "no @ reference {here}"),
    ],
)
def test_a_reference_gives_way_to_what_it_names(value: object, resolved: object) -> None:
    assert resolve(value, ANSWERS, with_nulls=True) == resolved


@pytest.mark.parametrize(
    "reference",
    ["row", "row.name", "row.Name.x", "row.Name[0]", "list[1].id", "list.id", "gone.id",
     "made.errors", "row.Na me", "row.Name!", "list[x]"],
)  # fmt: skip
def test_a_reference_to_what_is_not_there_is_said_so(reference: str) -> None:
    with pytest.raises(UnresolvedError) as caught:
        resolve(f"@{{{reference}}}", ANSWERS, with_nulls=True)

    name = reference.partition(".")[0].partition("[")[0]
    assert caught.value.text.startswith(
        f"Invalid reference specified. No value for {reference} found in {name}. "
    )


def test_an_empty_field_is_nothing_to_refer_to_unless_nulls_are_allowed() -> None:
    with pytest.raises(UnresolvedError):
        resolve("@{row.Site}", ANSWERS, with_nulls=False)


def test_a_text_is_escaped_before_it_takes_a_references_place() -> None:
    assert resolve("/x/@{row.Name}", ANSWERS, with_nulls=True, escape=str.upper) == "/x/ADA"


@pytest.mark.parametrize(
    ("body", "may"), [('"@{a.b}"', True), ('"\\u0040{a.b}"', True), ('"a@b.c"', False)]
)
def test_a_body_without_the_mark_holds_no_reference(body: str, may: bool) -> None:
    assert may_refer(body) is may


def node(name: str, *needs: str) -> Part:
    return Part("POST", "/x", name, None, {}, frozenset(needs), None)


def test_nodes_come_after_what_they_refer_to_and_foreign_names_are_passed_over() -> None:
    order = in_dependency_order(
        [node("c", "b", "elsewhere"), node("b", "a"), node("a"), node("d", "c", "a")]
    )

    assert [part.reference for part in order] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("nodes", [[node("a", "a")], [node("a", "b"), node("b", "a")]])
def test_nodes_in_a_circle_are_refused(nodes: list[Part]) -> None:
    with pytest.raises(ApiError) as caught:
        in_dependency_order(nodes)

    assert caught.value.problems[0].code == "CIRCULAR_OBJECT_GRAPH"


def test_depth_is_the_longest_way_to_a_node() -> None:
    chain = [node("n1"), *(node(f"n{n}", f"n{n - 1}", "n1") for n in range(2, 17))]

    assert len(in_dependency_order(chain[:15])) == 15
    with pytest.raises(ApiError):
        in_dependency_order(chain)
