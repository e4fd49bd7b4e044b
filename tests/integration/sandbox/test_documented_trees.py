"""Section 1.5, tree and graph: created or not, as a whole, and how much one call may hold."""

from typing import Any

import pytest
from documented import ACCOUNT, BASE, CONTACT, KEY, ORDER, custom_object, deploy, lookup, total

NODE = "Doc_Node__c"
LEAVES = [f"Doc_Leaf_{n}__c" for n in range(5)]


@pytest.fixture(scope="module")
def nodes(module_org: Any) -> Any:
    """Open a session in an org with nodes, which hang on nodes, and five kinds of leaves."""
    client = module_org.login()
    node = custom_object("Doc Node", lookup("Parent__c", NODE, "Nodes"))
    leaves = {
        f"objects/{leaf}.object": custom_object(leaf[:-3], lookup("Node__c", NODE, f"Leaves_{n}"))
        for n, leaf in enumerate(LEAVES)
    }
    deploy(client, {f"objects/{NODE}.object": node, **leaves}, {"CustomObject": [NODE, *LEAVES]})
    return client


def row(sobject: str, reference: str, **fields: object) -> dict[str, Any]:
    return {"attributes": {"type": sobject, "referenceId": reference}, **fields}


def tree(client: Any, sobject: str, *records: dict[str, Any]) -> Any:
    return client.call("POST", f"composite/tree/{sobject}", json={"records": list(records)})


def test_1_5_a_tree_is_201_with_an_id_for_each_reference(admin: Any) -> None:
    children = [row(CONTACT, "ref2", LastName="Doc-tree"), row(CONTACT, "ref3", LastName="Doc 2")]

    answer = tree(
        admin,
        ACCOUNT,
        row(ACCOUNT, "ref1", Name="Doc-tree", Contacts={"records": children}),
        row(ACCOUNT, "ref4", Name="Doc-tree"),
    )

    shown = answer.json()
    ids = {r["referenceId"]: r["id"] for r in shown["results"]}
    assert answer.status_code == 201
    assert shown.keys() == {"hasErrors", "results"}
    assert shown["hasErrors"] is False
    assert all(r.keys() == {"referenceId", "id"} for r in shown["results"])
    assert ids.keys() == {"ref1", "ref2", "ref3", "ref4"}
    assert total(admin, CONTACT, f"AccountId = '{ids['ref1']}'") == 2


def test_1_5_a_tree_with_a_bad_row_is_400_and_nothing_is_made(admin: Any) -> None:
    answer = tree(
        admin,
        ACCOUNT,
        row(ACCOUNT, "ref1", Name="Doc-bad-tree", Contacts={"records": [row(CONTACT, "ref2")]}),
        row(ACCOUNT, "ref3", Name="Doc-bad-tree"),
    )

    assert answer.status_code == 400
    assert answer.json() == {
        "hasErrors": True,
        "results": [
            {
                "referenceId": "ref2",
                "errors": [
                    {
                        "statusCode": "REQUIRED_FIELD_MISSING",
                        "message": "Required fields are missing: [LastName]",
                        "fields": ["LastName"],
                    }
                ],
            }
        ],
    }
    assert total(admin, ACCOUNT, "Name = 'Doc-bad-tree'") == 0


@pytest.mark.parametrize(("rows", "status"), [(200, 201), (201, 400)])
def test_1_5_a_tree_holds_200_records(admin: Any, rows: int, status: int) -> None:
    records = [row(ORDER, f"r{n}", **{KEY: f"doc-tree-{rows}-{n}"}) for n in range(rows)]

    answer = tree(admin, ORDER, *records)

    assert answer.status_code == status
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-tree-{rows}-%'") == (200 if status == 201 else 0)


def chain(levels: int) -> dict[str, Any]:
    top = row(NODE, f"n{levels}", Name="chain")
    for level in range(levels - 1, 0, -1):
        top = row(NODE, f"n{level}", Name="chain", Nodes__r={"records": [top]})
    return top


@pytest.mark.parametrize(("levels", "status"), [(5, 201), (6, 400)])
def test_1_5_a_tree_has_five_levels(nodes: Any, levels: int, status: int) -> None:
    before = total(nodes, NODE, "Name = 'chain'")

    answer = tree(nodes, NODE, chain(levels))

    made = total(nodes, NODE, "Name = 'chain'") - before
    assert answer.status_code == status
    assert made == (levels if status == 201 else 0)


@pytest.mark.parametrize(("types", "status"), [(5, 201), (6, 400)])
def test_1_5_a_tree_has_five_types(nodes: Any, types: int, status: int) -> None:
    children = {
        f"Leaves_{n}__r": {"records": [row(LEAVES[n], f"leaf{n}", Name="leaf")]}
        for n in range(types - 1)
    }

    answer = tree(nodes, NODE, row(NODE, "top", Name="top", **children))

    assert answer.status_code == status


def insert(reference: str, key: str, **fields: object) -> dict[str, Any]:
    return {
        "method": "POST", "url": f"{BASE}/sobjects/{ORDER}", "referenceId": reference,
        "body": {KEY: key, **fields},
    }  # fmt: skip


def graph(client: Any, *graphs: list[dict[str, Any]]) -> Any:
    named = [{"graphId": f"g{n}", "compositeRequest": g} for n, g in enumerate(graphs)]
    return client.call("POST", "composite/graph", json={"graphs": named})


def outcomes(answer: Any) -> list[bool]:
    assert answer.status_code == 200, answer.text
    return [g["isSuccessful"] for g in answer.json()["graphs"]]


def test_1_5_each_graph_is_all_or_none(admin: Any) -> None:
    answer = graph(
        admin,
        [insert("a", "doc-g0-a"), insert("b", "doc-g0-b", Currency__c="EURO")],
        [insert("a", "doc-g1-a"), insert("b", "doc-g1-b", First_Sku__c="@{a.id}")],
    )

    assert outcomes(answer) == [False, True]
    first, second = answer.json()["graphs"]
    assert (first["graphId"], second["graphId"]) == ("g0", "g1")
    parts = second["graphResponse"]["compositeResponse"]
    assert [(p["referenceId"], p["httpStatusCode"]) for p in parts] == [("a", 201), ("b", 201)]
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-g0-%'") == 0
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-g1-%'") == 2


@pytest.mark.parametrize(("graphs", "status"), [(75, 200), (76, 400)])
def test_1_5_a_call_holds_75_graphs(admin: Any, graphs: int, status: int) -> None:
    answer = graph(admin, *([insert("a", f"doc-{graphs}-g-{n}")] for n in range(graphs)))

    assert answer.status_code == status
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-{graphs}-g-%'") == (75 if status == 200 else 0)


@pytest.mark.parametrize(("nodes_sent", "status"), [(500, 200), (501, 400)])
def test_1_5_a_call_holds_500_nodes(admin: Any, nodes_sent: int, status: int) -> None:
    key = f"doc-nodes-{nodes_sent}"
    parts = [insert(f"p{n}", f"{key}-{n}") for n in range(nodes_sent)]
    half = nodes_sent // 2

    answer = graph(admin, parts[:half], parts[half:])

    assert answer.status_code == status
    assert total(admin, ORDER, f"{KEY} LIKE '{key}-%'") == (500 if status == 200 else 0)


@pytest.mark.parametrize(("failing", "goes_on"), [(14, True), (15, False)])
def test_1_5_more_than_14_failed_graphs_halt_the_rest(
    admin: Any, failing: int, goes_on: bool
) -> None:
    bad = [[insert("a", f"doc-f{failing}-{n}", Currency__c="EURO")] for n in range(failing)]

    answer = graph(admin, *bad, [insert("a", f"doc-f{failing}-last")])

    assert outcomes(answer) == [False] * failing + [goes_on]
    assert total(admin, ORDER, f"{KEY} = 'doc-f{failing}-last'") == int(goes_on)
