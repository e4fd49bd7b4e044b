"""Collections delete: soft, an outcome per id, all or none, only what the caller may delete."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

from typing import Any

KEY, ORDER, CUSTOMER = "External_Id__c", "Commerce_Order__c", "Commerce_Customer__c"


def make(client: Any, *keys: str, sobject: str = ORDER) -> list[str]:
    items = client.upsert([{KEY: key} for key in keys], sobject=sobject).json()
    return [item["id"] for item in items]


def delete(client: Any, ids: list[str], all_or_none: str = "false") -> Any:
    params = {"ids": ",".join(ids), "allOrNone": all_or_none}
    return client.call("DELETE", "composite/sobjects", params=params)


def live(client: Any, pattern: str) -> int:
    total: int = client.query(f"SELECT Id FROM {ORDER} WHERE {KEY} LIKE '{pattern}'")["totalSize"]
    return total


def test_rows_of_any_object_go_to_the_bin_and_the_outcomes_keep_the_order(admin: Any) -> None:
    (order,), (customer,) = make(admin, "del-1"), make(admin, "del-2", sobject=CUSTOMER)

    answer = delete(admin, [customer, order[:15]])

    assert answer.status_code == 200
    assert answer.json() == [
        {"id": customer, "success": True, "errors": []},
        {"id": order, "success": True, "errors": []},
    ]
    soql = f"SELECT IsDeleted FROM {ORDER} WHERE {KEY} = 'del-1'"
    kept = admin.call("GET", "queryAll", params={"q": soql}).json()["records"]
    assert [row["IsDeleted"] for row in kept] == [True]


def test_each_id_that_cannot_be_deleted_fails_alone_with_its_reason(admin: Any) -> None:
    gone, good = make(admin, "alone-1", "alone-2")
    delete(admin, [gone])
    unknown = good[:6] + "zzzzzzzzz"  # well-formed, of a row that never was

    items = delete(admin, [gone, "a00RO000001", unknown, good]).json()

    errors = [(i["errors"][0]["statusCode"], i["errors"][0]["message"]) for i in items[:3]]
    assert errors == [
        ("ENTITY_IS_DELETED", "entity is deleted"),
        ("MALFORMED_ID", "malformed id a00RO000001"),
        ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"),
    ]
    assert all(i.keys() == {"success", "errors"} for i in items[:3])
    assert items[3]["success"]


def test_all_or_none_deletes_nothing_and_keeps_the_ids_in_the_answer(admin: Any) -> None:
    first, second = make(admin, "none-1", "none-2")

    items = delete(admin, [first, "001RM000003oLrB000", second], "true").json()

    codes = [i["errors"][0]["statusCode"] for i in items]
    rolled_back = "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert codes == [rolled_back, "MALFORMED_ID", rolled_back]
    assert [i.get("id") for i in items] == [first, None, second]
    assert live(admin, "none-%") == 2


def test_more_than_200_ids_or_none_at_all_are_refused_whole(admin: Any) -> None:
    (made,) = make(admin, "many")

    answers = [delete(admin, [made] * 201), delete(admin, [])]

    assert [a.status_code for a in answers] == [400, 400]
    assert [a.json()[0]["errorCode"] for a in answers] == ["EXCEEDED_ID_LIMIT", "MISSING_ARGUMENT"]
    assert live(admin, "many") == 1


def test_the_key_of_a_deleted_row_is_free_for_a_new_row(admin: Any) -> None:
    (old,) = make(admin, "again")
    delete(admin, [old])

    item = admin.upsert([{KEY: "again"}]).json()[0]

    assert item["created"]
    assert item["id"] != old
