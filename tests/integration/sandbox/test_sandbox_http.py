"""HTTP around the resources: bodies, encodings, sizes, methods, and what each answer says."""

import contextlib
import gzip
import http.client
import json
import ssl
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
JSON = {"Content-Type": "application/json"}
NOT_FOUND = [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]


def at(client: Any, version: str, path: str = "limits") -> str:
    return f"{client.org.url}/services/data/v{version}/{path}"


def codes(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def plainly(client: Any, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    """Send a path as it is written: requests would take the second slash away."""
    trusted = ssl.create_default_context(cafile=client.org.ready["ca_file"])
    headers = {**JSON, "Authorization": f"Bearer {client.token}"}
    opened = http.client.HTTPSConnection("127.0.0.1", client.org.port, context=trusted, timeout=30)
    with contextlib.closing(opened):
        opened.request(method, path, body, headers)
        answer = opened.getresponse()
        text = answer.read()
    return answer.status, json.loads(text) if text else None


def test_a_path_may_begin_with_two_slashes_as_the_official_command_line_writes_it(
    admin: Any,
) -> None:
    base = "//services/data/v62.0"
    tree = {"records": [{"attributes": {"type": "Account", "referenceId": "a"}, "Name": "two"}]}

    versions = plainly(admin, "GET", "//services/data/")
    described = plainly(admin, "GET", f"{base}/sobjects/{ORDER}/describe")
    made = plainly(admin, "POST", f"{base}/composite/tree/Account", json.dumps(tree))
    unknown = plainly(admin, "GET", f"{base}/nope")
    refused = plainly(admin, "PUT", f"{base}/limits")

    assert versions[1][-1]["version"] == "67.0"
    assert described[1]["name"] == ORDER
    assert made[0] == 201
    assert unknown == (404, NOT_FOUND)
    assert refused[0] == 405


@pytest.mark.parametrize(
    ("name", "encode"),
    [("gzip", gzip.compress), ("deflate", zlib.compress)],
)
def test_a_request_may_be_compressed(
    admin: Any, name: str, encode: Callable[[bytes], bytes]
) -> None:
    body = encode(json.dumps({KEY: f"sent-{name}"}).encode())

    answer = admin.call(
        "POST", f"sobjects/{ORDER}", data=body, headers={**JSON, "Content-Encoding": name}
    )

    assert answer.status_code == 201
    assert admin.call("GET", f"sobjects/{ORDER}/{KEY}/sent-{name}").status_code == 200


def test_a_request_that_only_says_it_is_compressed_is_refused(admin: Any) -> None:
    answer = admin.call(
        "POST", f"sobjects/{ORDER}", data=b"{}", headers={**JSON, "Content-Encoding": "gzip"}
    )

    assert answer.status_code == 400
    assert answer.headers["Connection"] == "close"  # where the next request begins is unknown


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "OAuth", "OAUTH"])
def test_a_session_is_named_by_either_scheme(admin: Any, scheme: str) -> None:
    answer = admin.call("GET", "recent", headers={"Authorization": f"{scheme}  {admin.token} "})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("value", "lines"), [("1", 2), ("true", 2), ("TRUE", 2), ("0", 1), ("", 1)]
)
def test_an_answer_is_laid_out_for_people_if_asked(admin: Any, value: str, lines: int) -> None:
    answer = admin.call("GET", "recent/nothing", headers={"X-PrettyPrint": value})

    assert min(2, len(answer.text.splitlines())) == lines


def test_no_answer_is_for_a_cache(admin: Any) -> None:
    kept = [admin.call("GET", path).headers["Cache-Control"] for path in ("limits", "nothing")]

    assert kept == ["no-cache,must-revalidate,max-age=0,no-store,private"] * 2


def test_a_body_that_is_too_large_is_413(admin: Any) -> None:
    body = gzip.compress(b" " * (50 * 2**20 + 1))

    answer = admin.call(
        "POST", f"sobjects/{ORDER}", data=body, headers={**JSON, "Content-Encoding": "gzip"}
    )

    assert codes(answer) == (413, "REQUEST_TOO_LARGE")


def test_a_request_may_come_in_chunks(admin: Any) -> None:
    def pieces() -> Iterator[bytes]:
        text = json.dumps({KEY: "sent-in-chunks"}).encode()
        yield from (text[:5], text[5:])

    answer = admin.call("POST", f"sobjects/{ORDER}", data=pieces(), headers=JSON)

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("accepted", "sent"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("br, GZIP;q=0.5, deflate", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip;q=0", None),
        ("identity", None),
    ],
)
def test_a_large_answer_is_compressed_as_the_client_takes_it(
    admin: Any, accepted: str, sent: str | None
) -> None:
    answer = admin.call("GET", f"sobjects/{ORDER}/describe", headers={"Accept-Encoding": accepted})

    assert answer.headers.get("Content-Encoding") == sent
    assert answer.json()["name"] == ORDER


def test_a_small_answer_is_not_compressed(admin: Any) -> None:
    answer = admin.call("GET", "recent", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    "media", ["application/xml", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"]
)
def test_a_body_that_says_it_is_not_json_is_415(admin: Any, media: str) -> None:
    answer = admin.call("POST", f"sobjects/{ORDER}", data=b"{}", headers={"Content-Type": media})

    kind = media.partition(";")[0]
    assert answer.status_code == 415
    assert answer.json() == [
        {
            "message": f"MediaType of '{kind}' is not supported by this resource",
            "errorCode": "UNSUPPORTED_MEDIA_TYPE",
        }
    ]


def test_a_body_that_does_not_say_what_it_is_is_taken_for_json(admin: Any) -> None:
    answer = admin.call("POST", f"sobjects/{ORDER}", data=json.dumps({KEY: "unsaid"}).encode())

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/xml", 406),
        ("text/xml, application/xml;q=0.9", 406),
        ("application/xml, application/json", 200),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200),
        ("*/*", 200),
    ],
)
def test_a_client_that_takes_only_xml_is_refused(admin: Any, accept: str, status: int) -> None:
    answer = admin.call("GET", "sobjects", headers={"Accept": accept})

    assert answer.status_code == status
    if status == 406:
        assert codes(answer) == (406, "NOT_ACCEPTABLE")


def test_a_path_of_more_than_16384_bytes_is_414(admin: Any) -> None:
    path = "/services/data/v62.0/query?q="
    room = 16_384 - len(path)

    longest, longer = (
        admin.http.get(admin.org.url + path + "x" * length, timeout=30)
        for length in (room - 1000, room + 1)
    )

    assert codes(longest) == (400, "MALFORMED_QUERY")
    assert codes(longer)[0] == 414


def test_a_path_and_headers_of_more_than_16384_bytes_are_431(admin: Any) -> None:
    answers = [admin.call("GET", "limits", headers={"X-Fill": "x" * n}) for n in (15_000, 16_384)]

    assert [a.status_code for a in answers] == [200, 431]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"sobjects/{ORDER}", "HEAD,GET,POST"),
        ("DELETE", "limits", "HEAD,GET"),
        ("PUT", f"sobjects/{ORDER}/{KEY}/x", "HEAD,GET,PATCH,DELETE"),
        ("DELETE", "composite", "HEAD,GET,POST"),
        ("GET", "composite/batch", "POST"),
    ],
)
def test_a_method_that_a_resource_does_not_know_is_405_and_names_those_it_does(
    admin: Any, method: str, path: str, allowed: str
) -> None:
    answer = admin.call(method, path)

    text = f"HTTP Method '{method}' not allowed. Allowed are {allowed}"
    assert answer.status_code == 405
    assert answer.json() == [{"message": text, "errorCode": "METHOD_NOT_ALLOWED"}]
    assert answer.headers["Allow"] == allowed


def test_every_answer_with_a_session_shows_the_calls_used(admin: Any) -> None:
    path = f"sobjects/{ORDER}/{KEY}/shows-calls"
    after = {"If-Modified-Since": "Thu, 30 Nov 2090 08:34:54 GMT"}

    answers = {
        201: admin.call("PATCH", path, json={}),
        200: admin.call("GET", path),
        304: admin.call("GET", "sobjects", headers=after),
        400: admin.call("GET", "query?q=x"),
        404: admin.call("GET", "no/such/resource"),
        405: admin.call("PUT", path),
        406: admin.call("GET", path, headers={"Accept": "text/xml"}),
        415: admin.call("PATCH", path, data="x", headers={"Content-Type": "text/csv"}),
        204: admin.call("DELETE", path),
    }

    assert {status: a.status_code for status, a in answers.items()} == {s: s for s in answers}
    shown = [a.headers["Sforce-Limit-Info"] for a in answers.values()]
    assert all(text.startswith("api-usage=") for text in shown)
    assert answers[404].json() == NOT_FOUND


def test_the_list_of_versions_needs_no_session_and_shows_no_calls(admin: Any) -> None:
    answer = admin.http.get(f"{admin.org.url}/services/data/", headers={"Authorization": ""})

    assert answer.status_code == 200
    assert "Sforce-Limit-Info" not in answer.headers


def test_without_a_session_a_resource_that_is_not_there_is_401_all_the_same(admin: Any) -> None:
    answer = admin.call("GET", "no/such", headers={"Authorization": "Bearer x"})

    assert codes(answer) == (401, "INVALID_SESSION_ID")


def test_versions_up_to_40_warn_of_their_end_and_older_ones_are_gone(admin: Any) -> None:
    answers = {
        v: admin.http.get(at(admin, v), timeout=30) for v in ("30.0", "31.0", "40.0", "41.0")
    }

    assert [a.status_code for a in answers.values()] == [410, 200, 200, 200]
    warned = {v for v, a in answers.items() if a.headers.get("Warning", "").startswith("299 - ")}
    assert warned == {"31.0", "40.0"}


@pytest.mark.parametrize(
    "header",
    [
        {"Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=false"},
        {"Sforce-Auto-Assign": "false"},
        {"Sforce-Query-Options": "batchSize=200"},
        {"Sforce-Mru": "updateMru=true"},
    ],
)
def test_headers_without_a_meaning_here_are_taken(admin: Any, header: dict[str, str]) -> None:
    name, value = next(iter(header.items()))

    answer = admin.call("PATCH", f"sobjects/{ORDER}/{KEY}/{name}", json={}, headers={name: value})

    assert answer.status_code == 201


def test_a_clients_name_is_in_the_log_and_what_is_no_name_is_not(admin: Any) -> None:
    told = ("client=Region Sink/EU-1", "defaultNamespace=x, client=second", "client=00Dx!secret")
    for options in told:
        admin.call("GET", "recent", headers={"Sforce-Call-Options": options})

    lines = (admin.org.home / "sandbox/access.log").read_text().splitlines()
    logged = [line["client"] for line in map(json.loads, lines[-3:])]
    assert logged == ["Region Sink/EU-1", "second", None]


def test_a_version_lists_its_resources_and_who_is_asking(admin: Any) -> None:
    listed = admin.http.get(at(admin, "62.0", ""), timeout=30).json()

    assert listed.pop("identity").startswith(f"{admin.org.url}/id/00D")
    names = {"composite", "jobs", "limits", "query", "queryAll", "recent", "sobjects"}
    assert listed.keys() >= names
    assert all(url == f"/services/data/v62.0/{name}" for name, url in listed.items())


def test_limits_have_the_entries_that_clients_read(admin: Any) -> None:
    limits = admin.call("GET", "limits").json()

    wanted = {
        "DailyApiRequests",
        "DailyBulkApiBatches",
        "DailyBulkV2QueryJobs",
        "DailyBulkV2QueryFileStorageMB",
        "DataStorageMB",
        "FileStorageMB",
        "HourlyPublishedPlatformEvents",
        "DailyAsyncApexExecutions",
        "SingleEmail",
    }
    assert limits.keys() >= wanted
    assert all({"Max", "Remaining"} <= entry.keys() for entry in limits.values())
    assert limits["DailyApiRequests"]["Remaining"] < limits["DailyApiRequests"]["Max"]
    assert limits["HourlyPublishedPlatformEvents"] == {"Max": 250_000, "Remaining": 250_000}
