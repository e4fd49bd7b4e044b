"""What is broken before it means anything: forms, multipart, versions, and what is no HTTP.

Each is the caller's fault and told so, 4xx; and stderr quotes nothing of it.
"""

import contextlib
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from documented import KEY, ORDER, at, code, create

OAUTH = "services/oauth2"
FORM = "application/x-www-form-urlencoded"
BROKEN: dict[str, tuple[str, bytes]] = {
    "not UTF-8": (FORM, b"grant_type=\xff&token=\xfe"),
    "a charset nobody knows": (f"{FORM}; charset=nope", b"grant_type=x"),
    "a charset it is not in": (f"{FORM}; charset=utf-16", b"grant_type=x&token=yy"),
    "no boundary": ("multipart/form-data", b"x"),
    "parts without their boundary": ("multipart/form-data; boundary=b", b"x"),
    "a part that does not end": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\nx',
    ),
}


def post(org: Any, path: str, body: bytes, **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env, session.verify = False, org.ready["ca_file"] or True
        return session.post(f"{org.url}/{path}", data=body, headers=headers, timeout=30)


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("endpoint", ["token", "revoke", "introspect"])
def test_a_form_that_cannot_be_read_is_an_invalid_request(
    org: Any, endpoint: str, case: str
) -> None:
    kind, body = BROKEN[case]

    answer = post(org, f"{OAUTH}/{endpoint}", body, **{"Content-Type": kind})

    assert answer.status_code == 400
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {
        "error": "invalid_request",
        "error_description": "the form cannot be read",
    }


def test_a_login_that_only_says_it_is_compressed_is_an_invalid_request(org: Any) -> None:
    headers = {"Content-Type": FORM, "Content-Encoding": "gzip"}

    answer = post(org, f"{OAUTH}/token", b"grant_type=x", **headers)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_login_is_told_the_same_by_an_org_that_may_fail(faulty: Any) -> None:
    answer = post(faulty, f"{OAUTH}/token", b"\xff", **{"Content-Type": FORM})

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("case", BROKEN)
def test_a_key_in_a_form_that_cannot_be_read_opens_no_page(org: Any, case: str) -> None:
    kind, body = BROKEN[case]

    answer = post(org, "enter", body, **{"Content-Type": kind})

    assert 400 <= answer.status_code < 500
    assert not answer.cookies


JOB = f'{{"object":"{ORDER}","operation":"upsert","externalIdFieldName":"{KEY}"}}'
PARTS = {
    "no boundary": ("multipart/form-data", "x"),
    "parts without their boundary": ("multipart/form-data; boundary=b", "x"),
    "a part without a name": ("multipart/form-data; boundary=b", "--b\r\n: \r\n\r\n"),
    "a job that does not end": (
        "multipart/form-data; boundary=b",
        f'--b\r\nContent-Disposition: form-data; name="job"\r\n\r\n{JOB}',
    ),
    "a job without its data": (
        "multipart/form-data; boundary=b",
        f'--b\r\nContent-Disposition: form-data; name="job"\r\n\r\n{JOB}\r\n--b--\r\n',
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_job_in_broken_parts_is_a_bad_request(admin: Any, case: str) -> None:
    kind, body = PARTS[case]

    answer = admin.call("POST", "jobs/ingest", data=body, headers={"Content-Type": kind})

    assert code(answer) == (400, "INVALID_INPUT")


@pytest.mark.parametrize("value", [{"x": 1}, ["005000000000001AAA"]])
@pytest.mark.parametrize("field", ["OwnerId", "AccountId"])
def test_a_reference_that_is_no_text_is_told_in_the_parsers_words(
    admin: Any, field: str, value: object
) -> None:
    answer = admin.call("POST", "sobjects/Contact", json={"LastName": "x", field: value})

    assert code(answer) == (400, "JSON_PARSER_ERROR")
    assert "Cannot deserialize instance of reference from START_" in answer.text


@pytest.mark.parametrize("version", ["0.0", "062.0", "62.1", "62", "62.00"])
def test_a_version_that_is_written_otherwise_is_none(admin: Any, version: str) -> None:
    assert at(admin, version, "GET", "limits").status_code == 404


NO_HTTP = {
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: x\r\nSECRET\r\n\r\n",
    "another protocol": b"GET /services/data/SECRET HTTP/9.9\r\nHost: x\r\n\r\n",
    "a length that is none": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: SECRET\r\n\r\n",
    "chunks that are none": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\n"
    ),
}


def say(org: Any, data: bytes) -> bytes:
    """Send *data* as it is and return what is answered, up to the end of the connection."""
    trusted = ssl.create_default_context(cafile=org.ready["ca_file"])
    plain = socket.create_connection(("127.0.0.1", org.port), timeout=30)
    with trusted.wrap_socket(plain, server_hostname="127.0.0.1") as line:
        line.sendall(data)
        answer = b""
        with contextlib.suppress(OSError):
            while piece := line.recv(65_536):
                answer += piece
        return answer


def said_since(log: Path, before: int) -> bytes:
    """Return what stands in *log* behind so many bytes: it may come later than the answer."""
    deadline = time.monotonic() + 10
    while log.stat().st_size == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return log.read_bytes()[before:]


@pytest.mark.parametrize("case", NO_HTTP)
def test_what_is_no_http_is_400_and_not_quoted_on_stderr(org: Any, case: str) -> None:
    log = org.home.parent / f"{org.home.name}.log"
    before = log.stat().st_size

    answer = say(org, NO_HTTP[case])

    said = said_since(log, before)
    assert answer.split(b" ")[1] == b"400"
    assert b"a request failed: Bad" in said
    assert b"SECRET" not in said
    assert b"Traceback" not in said


# --- halves of characters, which JSON and SOQL can escape and UTF-8 has none of

HALF = '"\\ud83d"'
JSON = {"Content-Type": "application/json"}
HALVES: dict[str, tuple[str, str, str]] = {
    "a number": ("POST", f"sobjects/{ORDER}", f'{{"{KEY}":"half-1","Total__c":{HALF}}}'),
    "a picklist": ("POST", f"sobjects/{ORDER}", f'{{"{KEY}":"half-1","Status__c":{HALF}}}'),
    "a field": ("POST", f"sobjects/{ORDER}", f'{{"{KEY}":"half-1",{HALF}:1}}'),
    "an object": ("POST", "jobs/ingest", f'{{"object":{HALF},"operation":"insert"}}'),
    "a state": ("PATCH", "jobs/ingest/750000000000001AAA", f'{{"state":{HALF}}}'),
    "a query": ("POST", "jobs/query", f'{{"operation":"query","query":{HALF}}}'),
    "a part": (
        "POST",
        "composite/batch",
        f'{{"batchRequests":[{{"method":{HALF},"url":"v62.0/limits"}}]}}',
    ),
}


@pytest.mark.parametrize("case", HALVES)
def test_half_a_character_is_told_back_as_a_question_mark(admin: Any, case: str) -> None:
    method, path, body = HALVES[case]

    answer = admin.call(method, path, data=body.encode(), headers=JSON)

    assert answer.status_code == 400
    assert "?" in answer.text
    assert "UNKNOWN_EXCEPTION" not in answer.text


def test_half_a_character_in_one_record_leaves_the_others_their_answers(admin: Any) -> None:
    records = [
        f'{{"attributes":{{"type":"{ORDER}"}},"{KEY}":"half-{n}","Total__c":{total}}}'
        for n, total in enumerate(["1", HALF])
    ]

    answer = admin.call(
        "PATCH",
        f"composite/sobjects/{ORDER}/{KEY}",
        data=f'{{"records":[{",".join(records)}]}}'.encode(),
        headers=JSON,
    )

    assert [item["success"] for item in answer.json()] == [True, False]


def test_a_query_may_escape_a_character_in_two_halves(admin: Any) -> None:
    admin.upsert([{KEY: "half-\U0001f600"}])
    soql = f"SELECT {KEY} FROM {ORDER} WHERE {KEY}"  # noqa: S608 -- SOQL of our own

    whole = admin.query(rf"{soql} = 'half-\ud83d\ude00'")
    like = admin.query(rf"{soql} LIKE '%\uD83D\uDE00'")
    lone = admin.query(rf"{soql} = 'half-\ud83d'")

    assert [one["totalSize"] for one in (whole, like, lone)] == [1, 1, 0]


def test_a_media_type_that_is_no_text_is_415(admin: Any) -> None:
    answer = admin.call(
        "POST", f"sobjects/{ORDER}", data=b"{}", headers={b"Content-Type": b"text/\xff"}
    )

    assert code(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")


# --- counts, which the official command line asks for


def test_live_rows_are_counted_by_object(admin: Any) -> None:
    gone = create(admin, "Account", Name="counted")
    create(admin, "Account", Name="counted")
    admin.call("DELETE", f"sobjects/Account/{gone}")

    shown = admin.call("GET", "limits/recordCount", params={"sObjects": "account,Nothing__c"})

    live = admin.query("SELECT COUNT() FROM Account")["totalSize"]
    assert shown.json() == {"sObjects": [{"count": live, "name": "Account"}]}


def test_without_names_every_object_is_counted(admin: Any) -> None:
    shown = admin.call("GET", "limits/recordCount").json()["sObjects"]

    assert {one["name"] for one in shown} >= {"Account", "Contact", ORDER}
    assert at(admin, "39.0", "GET", "limits/recordCount").status_code == 404
