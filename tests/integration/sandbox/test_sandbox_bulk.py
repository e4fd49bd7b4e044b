"""Ingest jobs: what a job does with its rows, and what its results say, word for word."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

import gzip
from typing import Any

import pytest
from ingest_jobs import KEY, ORDER, count, create, move, results, run, table, upload, wait


def rows(client: Any, fields: str, pattern: str) -> list[list[Any]]:
    soql = f"SELECT {fields} FROM {ORDER} WHERE {KEY} LIKE '{pattern}' ORDER BY {KEY}"
    return [list(r.values())[1:] for r in client.query(soql)["records"]]


def refusals(client: Any, job: str) -> set[tuple[str, str]]:
    failed = results(client, job, "failedResults")
    return {(row["sf__Id"], row["sf__Error"]) for row in failed}


def test_a_job_goes_through_the_documented_answers(admin: Any) -> None:
    made = create(admin, lineEnding="LF", columnDelimiter="COMMA")
    job = made.json()["id"]
    sent = upload(admin, job, table([KEY, "Currency__c"], ["doc-1", "EUR"]).encode())
    closed = move(admin, job, "UploadComplete")
    done = wait(admin, job)

    assert made.status_code == 200
    assert made.json().keys() == {
        "id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state",
        "externalIdFieldName", "concurrencyMode", "contentType", "apiVersion", "contentUrl",
        "lineEnding", "columnDelimiter",
    }  # fmt: skip
    assert (made.json()["state"], made.json()["apiVersion"]) == ("Open", 62.0)
    assert made.json()["contentUrl"] == f"services/data/v62.0/jobs/ingest/{job}/batches"
    assert job.startswith("750")
    assert (sent.status_code, sent.content) == (201, b"")
    assert (closed.status_code, closed.json()["state"]) == (200, "UploadComplete")
    assert done.keys() - made.json().keys() == {
        "jobType", "retries", "totalProcessingTime", "apiActiveProcessingTime",
        "apexProcessingTime", "numberRecordsProcessed", "numberRecordsFailed",
    }  # fmt: skip
    assert (done["state"], done["numberRecordsProcessed"]) == ("JobComplete", 1)
    assert rows(admin, "Currency__c", "doc-1") == [["EUR"]]


def test_every_row_is_in_exactly_one_result_and_in_no_order(admin: Any) -> None:
    keys = [f"split-{n:04d}" for n in range(1000)]
    bad = set(keys[::7])
    data = table([KEY, "Currency__c"], *([k, "EURO" if k in bad else "EUR"] for k in keys))

    done = run(admin, data)

    good = [r[KEY] for r in results(admin, done["id"], "successfulResults")]
    refused = [r[KEY] for r in results(admin, done["id"], "failedResults/")]
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (1000, len(bad))
    assert sorted(good + refused) == keys
    assert set(refused) == bad
    assert good != sorted(good)
    assert refused != sorted(refused)
    assert results(admin, done["id"], "unprocessedRecords") == []
    assert count(admin, "split-%") == 1000 - len(bad)


def test_results_repeat_the_input_quoted_with_numbers_as_java_writes_them(admin: Any) -> None:
    names = [KEY, "Total__c", "Base_Version__c", "First_Sku__c"]
    data = table(
        names, ["java-1", "912260031", "12345678", '"a ""b"", c"'], ["java-2", "1.50", "", ""]
    )

    done = run(admin, data)
    again = run(admin, table([KEY, "Total__c"], ["java-1", "0.0005"], ["java-3", "x"]))

    text = admin.call("GET", f"jobs/ingest/{done['id']}/successfulresults").text
    made = dict(rows(admin, f"{KEY}, Id", "java-%"))
    assert set(text.splitlines()) == {
        '"sf__Id","sf__Created","External_Id__c","Total__c","Base_Version__c","First_Sku__c"',
        f'"{made["java-1"]}","true","java-1","9.12260031E8","1.2345678E7","a ""b"", c"',
        f'"{made["java-2"]}","true","java-2","1.5","",""',
    }
    text = admin.call("GET", f"jobs/ingest/{again['id']}/successfulresults").text
    assert text.splitlines()[1] == f'"{made["java-1"]}","false","java-1","5.0E-4"'


REFUSED = {
    "too long": (
        ["r-1", "EURO", "", ""],
        "STRING_TOO_LONG:Currency: data value too large: EURO (max length=3):Currency__c --",
    ),
    "no key": (["", "EUR", "", ""], "MISSING_ARGUMENT:External_Id__c not specified:--"),
    "no number": (
        ["r-2", "", "many", ""],
        (
            "INVALID_FIELD:Failed to deserialize field at col 2. Due to, 'many' is not a valid"
            " value for the type xsd:double:Item_Count__c --"
        ),
    ),
    "no datetime": (
        ["r-3", "", "", "2026-11-23"],
        (
            "INVALID_FIELD:Failed to deserialize field at col 3. Due to, '2026-11-23' is not a"
            " valid value for the type xsd:dateTime:Placed_At__c --"
        ),
    ),
    "two things wrong": (
        ["r-4", "EURO", "1000000000", ""],
        (
            "STRING_TOO_LONG:Currency: data value too large: EURO (max length=3):Currency__c --"
            " NUMBER_OUTSIDE_VALID_RANGE:Item Count: value outside of valid range on numeric field:"
            " 1000000000:Item_Count__c --"
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_row_fails_alone_with_code_message_and_field(admin: Any, case: str) -> None:
    cells, error = REFUSED[case]
    names = [KEY, "Currency__c", "Item_Count__c", "Placed_At__c"]

    done = run(admin, table(names, cells, [f"fine-{case}", "EUR", "1", "2026-11-23T01:02:03.000Z"]))

    (refused,) = results(admin, done["id"], "failedResults")
    assert list(refused) == ["sf__Id", "sf__Error", *names]
    assert (refused["sf__Id"], refused["sf__Error"]) == ("", error)
    assert done["state"] == "JobComplete"
    assert count(admin, f"fine-{case}") == 1


def test_one_key_twice_in_a_chunk_fails_both_rows(admin: Any) -> None:
    done = run(admin, table([KEY], ["twin-1"], ["twin-2"], ["twin-1"]))

    errors = [r["sf__Error"] for r in results(admin, done["id"], "failedResults")]
    assert errors == [f"DUPLICATE_VALUE:Duplicate external id specified: twin-1:{KEY} --"] * 2
    assert count(admin, "twin-%") == 1


def test_an_empty_cell_leaves_and_na_empties_and_a_checkbox_takes_digits(admin: Any) -> None:
    run(admin, table([KEY, "Currency__c", "First_Sku__c"], ["na-1", "EUR", "S-1"]))

    run(admin, table([KEY, "Currency__c", "First_Sku__c"], ["na-1", "", '"#N/A"']))
    box = run(
        admin,
        table([KEY, "Marketing_Consent__c"], ["b-1", "1"], ["b-2", "FALSE"], ["b-3", "yes"]),
        object="Commerce_Customer__c",
    )

    assert rows(admin, "Currency__c, First_Sku__c", "na-1") == [["EUR", None]]
    assert len(results(admin, box["id"], "successfulResults")) == 2
    assert [r[KEY] for r in results(admin, box["id"], "failedResults")] == ["b-3"]


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [("BACKQUOTE", "`"), ("CARET", "^"), ("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"),
     ("TAB", "\t")],
)  # fmt: skip
@pytest.mark.parametrize(("ending", "newline"), [("LF", "\n"), ("CRLF", "\r\n")])
def test_all_delimiters_and_line_endings_go_in_and_come_back(
    admin: Any, name: str, delimiter: str, ending: str, newline: str
) -> None:
    key = f"form-{name}-{ending}"
    value = f'"a{delimiter}""b""{newline}\u00e4, "'
    data = newline.join([delimiter.join([KEY, "First_Sku__c"]), delimiter.join([key, value])])

    done = run(admin, data, lineEnding=ending, columnDelimiter=name)

    (row,) = results(admin, done["id"], "successfulResults", delimiter)
    assert row["First_Sku__c"] == f'a{delimiter}"b"{newline}\u00e4, '
    answer = admin.call("GET", f"jobs/ingest/{done['id']}/successfulResults")
    assert answer.content.endswith(newline.encode())
    assert rows(admin, "First_Sku__c", key) == [[row["First_Sku__c"]]]


def test_insert_update_and_delete_go_by_id(admin: Any) -> None:
    made = run(
        admin,
        table([KEY, "Currency__c"], ["ops-1", "EUR"], ["ops-2", "EUR"], ["ops-1", ""]),
        "insert",
    )
    one, two = (i for (i,) in rows(admin, "Id", "ops-%"))
    unknown = one[:6] + "zzzzzzzzz"

    changed = run(
        admin, table(["Id", "Currency__c"], [one, "USD"], [unknown, "USD"], ["", "USD"]), "update"
    )
    deleted = run(admin, table(["Id"], [two], [two], ["a00"]), "delete")

    twin = results(admin, made["id"], "failedResults")[0]["sf__Error"]
    assert twin == (
        f"DUPLICATE_VALUE:duplicate value found: {KEY} duplicates value on record with id:"
        f" {one}:{KEY} --"
    )
    assert rows(admin, f"{KEY}, Currency__c", "ops-%") == [["ops-1", "USD"]]
    assert {
        (r["sf__Id"], r["sf__Error"]) for r in results(admin, changed["id"], "failedResults")
    } == {
        (unknown, "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"),
        ("", "MISSING_ARGUMENT:Id not specified in an update call:--"),
    }
    (gone,) = results(admin, deleted["id"], "successfulResults")
    assert gone == {"sf__Id": two, "sf__Created": "false", "Id": two}
    assert {
        (r["sf__Id"], r["sf__Error"]) for r in results(admin, deleted["id"], "failedResults")
    } == {
        (two, "ENTITY_IS_DELETED:entity is deleted:--"),
        ("a00", "MALFORMED_ID:malformed id a00:--"),
    }


def test_a_hard_delete_takes_live_rows_and_those_in_the_bin(admin: Any) -> None:
    run(admin, table([KEY], ["hard-1"], ["hard-2"]))
    live, binned = (i for (i,) in rows(admin, "Id", "hard-%"))
    admin.call("DELETE", "composite/sobjects", params={"ids": binned})

    done = run(admin, table(["Id"], [live], [binned]), "hardDelete")

    soql = f"SELECT Id FROM {ORDER} WHERE {KEY} LIKE 'hard-%'"
    left = admin.call("GET", "queryAll", params={"q": soql}).json()["totalSize"]
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"], left) == (2, 0, 0)


def test_an_upsert_may_go_by_id(admin: Any) -> None:
    run(admin, table([KEY], ["by-id-1"]))
    ((known,),) = rows(admin, "Id", "by-id-%")

    done = run(
        admin,
        table(["Id", KEY, "Currency__c"], [known, "", "EUR"], ["", "by-id-2", "USD"]),
        externalIdFieldName="Id",
    )

    created = {r["sf__Created"] for r in results(admin, done["id"], "successfulResults")}
    assert created == {"true", "false"}
    assert rows(admin, "Currency__c", "by-id-%") == [["EUR"], ["USD"]]


FAILED = {
    "unknown column": (
        f"{KEY},Shoe_Size__c\nf-1,43\n",
        "InvalidBatch : Field name not found : Shoe_Size__c",
    ),
    "no lookup of that name": (
        f"{KEY},Account__r.Ext__c\nf-1,x\n",
        "InvalidBatch : Field name not found : Account__r.Ext__c",
    ),
    "byte order mark": (
        f"\ufeff{KEY}\nf-1\n",
        f"InvalidBatch : Field name not found : \ufeff{KEY}",
    ),
    "column twice": (
        f"{KEY},external_id__c\nf-1,f-1\n",
        "InvalidBatch : Duplicate field name found : external_id__c",
    ),
    "other line ending": (
        f"{KEY}\nf-1\r\n",
        "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
    ),
    "blank beside a quote": (
        f'{KEY},First_Sku__c\nf-1, "x"\n',
        (
            "InvalidBatch : Failed to parse CSV. Found unescaped quote. A value with quote should"
            " be within a quote"
        ),
    ),
    "open quote": (
        f'{KEY}\n"f-1\n',
        "InvalidBatch : Failed to parse CSV. EOF reached before closing an opened quote",
    ),
    "too many cells": (
        f"{KEY}\nf-1,f-2\n",
        "InvalidBatch : A record has not as many values as the header has names",
    ),
}


@pytest.mark.parametrize("case", FAILED)
def test_data_that_is_not_what_the_job_announced_fails_it_with_nothing_done(
    admin: Any, case: str
) -> None:
    data, error = FAILED[case]

    done = run(admin, data)

    assert (done["state"], done["errorMessage"]) == ("Failed", error)
    assert (done["numberRecordsProcessed"], count(admin, "f-%")) == (0, 0)
    assert results(admin, done["id"], "successfulResults") == []


def test_a_failed_job_gives_every_row_back_as_unprocessed(admin: Any) -> None:
    lines = [f'"un-{n}","EUR"' for n in range(1200)]
    data = "\n".join([f'"{KEY}","Currency__c"', *lines, '"un-x""'])

    done = run(admin, data)

    text = admin.call("GET", f"jobs/ingest/{done['id']}/unprocessedrecords").text
    assert done["state"] == "Failed"
    assert text.splitlines() == data.splitlines()
    assert count(admin, "un-%") == 0


def test_rows_larger_than_a_block_are_read_up_to_the_limits(admin: Any) -> None:
    names = [KEY, "First_Sku__c", "Currency__c", "Ship_Country__c"]
    long = "\u00e4" * 131_072

    done = run(admin, table(names, ["big-1", long, long, long], ["big-2", "S-1", "", ""]))
    field = run(admin, table([KEY, "First_Sku__c"], ["big-3", long + "x"]))
    record = run(admin, table([*names, "Name"], ["big-4", long, long, long, "x" * 6784]))

    (refused,) = results(admin, done["id"], "failedResults")
    text = "InvalidBatch : A field is longer than 131072 characters or a record than 400000"
    assert refused["sf__Error"].startswith("STRING_TOO_LONG:")
    assert refused["Ship_Country__c"] == long
    assert count(admin, "big-2") == 1
    assert [field["errorMessage"], record["errorMessage"]] == [text, text]


def test_a_multipart_request_is_job_data_and_close_in_one_call(admin: Any) -> None:
    job = f'{{"object": "{ORDER}", "operation": "upsert", "externalIdFieldName": "{KEY}"}}'
    data = table([KEY], ["multi-1"], ["multi-2"])
    files = {
        "job": (None, job, "application/json"),
        "content": ("content", data, "text/csv"),
    }

    answer = admin.call("POST", "jobs/ingest", files=files)

    assert (answer.status_code, answer.json()["state"]) == (200, "UploadComplete")
    assert wait(admin, answer.json()["id"])["numberRecordsProcessed"] == 2
    large = {**files, "content": ("content", "x" * 100_001, "text/csv")}
    assert admin.call("POST", "jobs/ingest", files=large).status_code == 413
    assert admin.call("POST", "jobs/ingest", files={"job": files["job"]}).status_code == 400


def test_simple_salesforce_runs_a_job(admin: Any) -> None:
    records = [{KEY: f"ss-{n}", "Currency__c": "EUR"} for n in range(300)]

    (summary,) = admin.simple().bulk2.Commerce_Order__c.upsert(
        records=records, external_id_field=KEY
    )

    assert (summary["numberRecordsProcessed"], summary["numberRecordsFailed"]) == (300, 0)
    assert count(admin, "ss-%") == 300


def test_an_upload_may_be_chunked_or_packed(admin: Any) -> None:
    chunked, packed = (create(admin).json()["id"] for _ in range(2))
    data = gzip.compress(table([KEY], ["packed-1"]).encode())

    answers = [
        upload(admin, chunked, iter([KEY.encode(), b"\nchu", b"nked-1\n"])),
        upload(admin, packed, data, **{"Content-Encoding": "gzip"}),
    ]

    assert [a.status_code for a in answers] == [201, 201]
    for job in (chunked, packed):
        move(admin, job, "UploadComplete")
        assert wait(admin, job)["numberRecordsProcessed"] == 1
    assert (count(admin, "chunked-1"), count(admin, "packed-1")) == (1, 1)
