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
