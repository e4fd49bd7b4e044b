"""Composite by API version, as the guide has it: names, empty fields, order, headers, resources."""

from typing import Any

import pytest

KEY, ORDER = "External_Id__c", "Commerce_Order__c"
BASE = "/services/data/v62.0"


def part(reference: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    item = {"method": method, "url": f"{BASE}/{path}", "referenceId": reference}
    return item if body is None else {**item, "body": body}


def send(client: Any, version: str, *parts: dict[str, Any], **flags: bool) -> Any:
    url = f"{client.org.url}/services/data/v{version}/composite"
    return client.http.post(url, json={"compositeRequest": list(parts), **flags}, timeout=30)


def items(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["compositeResponse"]
    return found


def unresolved(reference: str, name: str) -> list[dict[str, str]]:
    text = (
        f"Invalid reference specified. No value for {reference} found in {name}. Provided"
        f" referenceId ('{reference}') must start with a letter or a number, and it can contain"
        " only letters, numbers and underscores ('_')."
    )
    return [{"message": text, "errorCode": "PROCESSING_HALTED"}]


ILLEGAL = (
    part("refNewAccount[1]", "POST", "sobjects/Account/", {"name": "Cloudy Consulting"}),
    part(
        "refNewContact", "POST", "sobjects/Contact",
        {"AccountId": "@{refNewAccount[1].id}", "FirstName": "Mary", "LastName": "Smith"},
    ),
    part("refNewAccount2", "POST", "sobjects/Account/", {"name": "Easy Spaces"}),
)  # fmt: skip


def test_until_v51_an_illegal_reference_id_fails_only_what_uses_it(admin: Any) -> None:
    answer = items(send(admin, "51.0", *ILLEGAL))

    assert [i["httpStatusCode"] for i in answer] == [201, 400, 201]
    assert answer[0]["referenceId"] == "refNewAccount[1]"
    assert answer[1]["body"] == unresolved("refNewAccount[1].id", "refNewAccount")


def test_since_v52_an_illegal_reference_id_fails_the_whole_request(admin: Any) -> None:
    answer = send(admin, "52.0", *ILLEGAL)

    text = (
        "Provided referenceId ('refNewAccount[1]') must start with a letter or a number, and it can"
        " contain only letters, numbers and underscores ('_')."
    )
    assert answer.status_code == 400
    assert answer.json() == [{"message": text, "errorCode": "JSON_PARSER_ERROR"}]


@pytest.fixture(scope="module")
def wong(admin: Any) -> str:
    """Make a contact without a first name."""
    made: str = admin.call("POST", "sobjects/Contact", json={"LastName": "Wong"}).json()["id"]
    return made


def copy(row: str, body: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    path = f"sobjects/Contact/{row}?fields=FirstName,LastName"
    return part("refContact", "GET", path), part("newContact", "POST", "sobjects/Contact", body)


def test_until_v51_a_reference_to_an_empty_field_fails_its_part(admin: Any, wong: str) -> None:
    body = {"FirstName": "@{refContact.FirstName}", "LastName": "@{refContact.LastName}"}

    answer = items(send(admin, "51.0", *copy(wong, body)))

    assert answer[1]["body"] == unresolved("refContact.FirstName", "refContact")


def test_since_v52_a_reference_to_an_empty_field_is_null(admin: Any, wong: str) -> None:
    body = {
        "FirstName": "@{refContact.FirstName}",
        "LastName": "@{refContact.LastName}",
        "Title": "[@{refContact.FirstName}]",
    }

    answer = items(send(admin, "52.0", *copy(wong, body)))

    assert answer[1]["httpStatusCode"] == 201
    row = admin.call("GET", f"sobjects/Contact/{answer[1]['body']['id']}").json()
    assert (row["FirstName"], row["LastName"], row["Title"]) == (None, "Wong", "[]")


@pytest.mark.parametrize(
    "reference", ["refContact.Phone", "refContact.firstname", "refContact", "refContact.LastName.x"]
)
def test_what_is_not_in_the_answer_cannot_be_referred_to(
    admin: Any, wong: str, reference: str
) -> None:
    answer = items(send(admin, "62.0", *copy(wong, {"LastName": f"@{{{reference}}}"})))

    assert answer[1]["body"] == unresolved(reference, "refContact")


def test_an_element_of_a_list_within_an_answer_can_be_referred_to(admin: Any) -> None:
    children = [{"attributes": {"type": "Account"}, "Name": f"Child {n}"} for n in range(2)]
    many = part("many", "POST", "composite/sobjects", {"records": children})
    read = part("read", "GET", "sobjects/Account/@{many[1].id}")
    seek = part("seek", "GET", "query?q=SELECT+Id+FROM+Account+WHERE+Id='@{many[0].id}'")
    again = part("again", "GET", "sobjects/Account/@{seek.records[0].Id}")

    answer = items(send(admin, "62.0", many, read, seek, again))

    assert [answer[at]["body"]["Name"] for at in (1, 3)] == ["Child 1", "Child 0"]


def test_a_row_that_is_not_there_is_no_failure_of_an_all_or_none_composite(admin: Any) -> None:
    path = "composite/sobjects/Account?ids=001xx000003DGb9AAG&fields=Name"
    read, make = part("read", "GET", path), part("make", "POST", "sobjects/Account", {"Name": "N"})

    answer = items(send(admin, "62.0", read, make, allOrNone=True))

    assert [i["httpStatusCode"] for i in answer] == [200, 201]
    assert answer[0]["body"] == [None]


@pytest.mark.parametrize("name", ["Accept", "authorization", "Content-Type"])
def test_a_part_may_not_have_a_header_that_it_inherits(admin: Any, name: str) -> None:
    one = part("one", "POST", "sobjects/Account", {"Name": "Headers"})

    answer = send(admin, "62.0", {**one, "httpHeaders": {name: "x"}})

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "INVALID_HTTP_HEADER"
    assert admin.query("SELECT Id FROM Account WHERE Name = 'Headers'")["totalSize"] == 0


def test_a_method_is_written_in_upper_case(admin: Any) -> None:
    answer = send(admin, "62.0", part("one", "get", "sobjects"))

    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")


def order(reference: str, key: str, **more: object) -> dict[str, Any]:
    return {**part(reference, "POST", f"sobjects/{ORDER}", {KEY: key}), **more}


@pytest.mark.parametrize(
    ("version", "flags", "seen"),
    [
        ("47.0", {"collateSubrequests": True}, 1),  # nothing is collated yet
        ("48.0", {}, 1),
        ("48.0", {"collateSubrequests": True}, 2),
        ("49.0", {}, 2),
        ("49.0", {"collateSubrequests": False}, 1),
    ],
)
def test_parts_are_collated_unasked_since_v49(
    admin: Any, version: str, flags: dict[str, bool], seen: int
) -> None:
    key = f"cv-{version}-{len(flags)}-{seen}"
    soql = f"query?q=SELECT+COUNT()+FROM+{ORDER}+WHERE+{KEY}+LIKE+'{key}-%'"

    answer = items(
        send(
            admin, version, order("one", f"{key}-1"), part("seen", "GET", soql),
            order("two", f"{key}-2"), **flags,
        )
    )  # fmt: skip

    assert answer[1]["body"]["totalSize"] == seen


def test_a_part_with_headers_is_not_collated(admin: Any) -> None:
    soql = f"query?q=SELECT+COUNT()+FROM+{ORDER}+WHERE+{KEY}+LIKE+'ch-%'"
    late = order("two", "ch-2", httpHeaders={"Sforce-Auto-Assign": "false"})

    answer = items(send(admin, "62.0", order("one", "ch-1"), part("seen", "GET", soql), late))

    assert answer[1]["body"]["totalSize"] == 1


def test_each_part_has_an_api_version_of_its_own(admin: Any) -> None:
    old = {**order("old", "pv-1"), "url": f"/services/data/v40.0/sobjects/{ORDER}"}

    answer = items(send(admin, "62.0", old))

    made = answer[0]["body"]["id"]
    assert answer[0]["httpHeaders"] == {"Location": f"/services/data/v40.0/sobjects/{ORDER}/{made}"}


@pytest.mark.parametrize("path", ["limits", "composite/tree/Account", "composite/batch", "jobs"])
def test_what_is_no_resource_of_a_composite_is_not_found(admin: Any, path: str) -> None:
    answer = items(send(admin, "62.0", part("one", "GET", path)))

    assert (answer[0]["httpStatusCode"], answer[0]["body"][0]["errorCode"]) == (404, "NOT_FOUND")


def test_a_composite_may_hold_collections_since_v43(admin: Any) -> None:
    one = part("one", "POST", "composite/sobjects", {"records": []})

    early, late = items(send(admin, "42.0", one)), items(send(admin, "43.0", one))

    assert [early[0]["httpStatusCode"], late[0]["httpStatusCode"]] == [404, 200]


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("67.0", ["tree", "batch", "sobjects", "graph"]),
        ("49.0", ["tree", "batch", "sobjects"]),
        ("41.0", ["tree", "batch"]),
    ],
)
def test_the_composite_resources_are_listed(admin: Any, version: str, names: list[str]) -> None:
    base = f"/services/data/v{version}/composite"

    answer = admin.http.get(f"{admin.org.url}{base}", timeout=30)

    assert answer.json() == {name: f"{base}/{name}" for name in names}


@pytest.mark.parametrize(
    ("path", "since"),
    [("composite", 38), ("composite/batch", 34), ("composite/tree/Account", 34),
     ("composite/graph", 50)],
)  # fmt: skip
def test_each_resource_came_with_a_version(admin: Any, path: str, since: int) -> None:
    def status(version: int) -> int:
        url = f"{admin.org.url}/services/data/v{version}.0/{path}"
        code: int = admin.http.post(url, json={}, timeout=30).status_code
        return code

    assert [status(since - 1), status(since)] == [404, 400]
