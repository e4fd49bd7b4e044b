"""SOAP as clients write and read it: envelopes, faults, and the partner API's calls."""

import gzip
from dataclasses import replace
from typing import Any

import pytest
from soap_calls import ENTERPRISE, METADATA, PARTNER, call, envelope, fault_of, post, results

from connectors.embedded.pki import ensure_app
from connectors.sandbox.logins.apps import change_app

SOAP_1_1 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_1_2 = "http://www.w3.org/2003/05/soap-envelope"
NO_SESSION = (
    "sf:INVALID_SESSION_ID",
    "INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: Illegal Session",
)


def made(client: Any, key: str) -> str:
    """Return the id of a new order."""
    answer = client.call("POST", "sobjects/Commerce_Order__c", json={"External_Id__c": key})
    return str(answer.json()["id"])


@pytest.mark.parametrize(("api", "namespace"), [("u", PARTNER), ("m", METADATA)])
def test_a_dead_session_is_a_fault_in_the_words_clients_look_for(
    admin: Any, api: str, namespace: str
) -> None:
    body = envelope("00Dnothing!x", "getUserInfo", "", namespace)

    answer = post(admin, f"{api}/62.0", body)

    assert fault_of(answer) == NO_SESSION
    details = "<sf:exceptionCode>INVALID_SESSION_ID</sf:exceptionCode>" in answer.text
    assert details is (api == "u")  # the Metadata API's faults have no detail
    assert answer.headers["Content-Type"] == "text/xml; charset=UTF-8"


def test_an_envelope_without_a_session_is_refused_alike(admin: Any) -> None:
    body = (
        '<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/">'
        "<Body><getUserInfo/></Body></Envelope>"
    )

    answer = post(admin, "u/62.0", body)

    assert fault_of(answer) == NO_SESSION


def test_an_operation_that_there_is_not_is_named(admin: Any) -> None:
    answer = call(admin, "u", "convertLead")

    assert fault_of(answer) == (
        "soapenv:Client",
        "No operation available for request {urn:partner.soap.sforce.com}convertLead",
    )


@pytest.mark.parametrize(
    "body",
    [
        "no xml",
        "<a/>",
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "<a>" * 2000,
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body/></e:Envelope>',
        f'<e:Envelope xmlns:e="{SOAP_1_1}"><e:Body><a/><b/></e:Body></e:Envelope>',
        f'<e:Envelope xmlns:e="{SOAP_1_2}"><e:Body><a/></e:Body></e:Envelope>',
    ],
)
def test_what_is_no_envelope_is_a_fault(admin: Any, body: str) -> None:
    answer = post(admin, "u/62.0", body)

    assert fault_of(answer)[0] == "soapenv:Client"
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "version", ["20.0", "99.0", "x", "v62.0", "\u00b2\u00b2", "\u0666\u0662.0", "62.0.0"]
)
def test_a_version_that_there_is_not_is_refused(admin: Any, version: str) -> None:
    answer = post(admin, f"u/{version}", envelope(admin.token, "getUserInfo", ""))

    assert fault_of(answer)[0] == "sf:UNSUPPORTED_API_VERSION"


def test_a_request_that_is_too_large_is_a_fault(admin: Any) -> None:
    inner = f"<ids>{'x' * (50 * 2**20)}</ids>"

    answer = post(
        admin,
        "u/62.0",
        gzip.compress(envelope(admin.token, "undelete", inner).encode(), 1),
        Content_Encoding="gzip",
    )

    assert fault_of(answer)[0] == "sf:EXCEEDED_MAX_SIZE_REQUEST"


def test_requests_may_be_gzip_and_answers_are_if_they_are_asked_for(admin: Any) -> None:
    body = gzip.compress(envelope(admin.token, "describeMetadata", "", METADATA).encode())

    answer = post(admin, "m/62.0", body, Content_Encoding="gzip")

    assert answer.headers["Content-Encoding"] == "gzip"
    assert "<xmlName>CustomObject</xmlName>" in answer.text


def test_each_call_counts(fresh: Any) -> None:
    client = fresh.login()
    client.call("GET", "limits")

    counted = [
        call(client, "u", "getServerTimestamp").text.partition("<current>")[2][0] for _ in "ab"
    ]

    assert counted == ["2", "3"]


def test_calls_beyond_an_apps_limit_are_a_fault(fresh: Any) -> None:
    app = ensure_app(fresh.home, "eu")
    client = fresh.client(fresh.by_assertion(app))
    change_app(fresh.home, app.name, lambda one: replace(one, daily_calls=1))
    client.call("GET", "limits")

    answer = call(client, "u", "getServerTimestamp")

    assert fault_of(answer) == (
        "sf:REQUEST_LIMIT_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded.",
    )


def test_an_operation_of_another_apis_namespace_is_none(admin: Any) -> None:
    partner = call(admin, "c", "getUserInfo", "", PARTNER)
    metadata = call(admin, "m", "describeMetadata", "", PARTNER)

    for answer in (partner, metadata):
        code, text = fault_of(answer)
        assert code == "soapenv:Client"
        assert text.startswith(f"No operation available for request {{{PARTNER}}}")


@pytest.mark.parametrize("name", ["partner", "enterprise", "metadata"])
def test_the_urls_that_an_identity_names_answer(admin: Any, name: str) -> None:
    url = f"{admin.org.url}/services/oauth2/userinfo?version=62.0"
    urls = admin.http.get(url, timeout=30).json()["urls"]
    asked = {
        "partner": ("getUserInfo", PARTNER),
        "enterprise": ("getUserInfo", ENTERPRISE),
        "metadata": ("describeMetadata", METADATA),
    }[name]

    path = urls[name].partition("/services/Soap/")[2]
    answer = post(admin, path, envelope(admin.token, asked[0], "", asked[1]))

    assert path.count("/") == 2  # the org's id is part of it
    assert len(results(answer)) == 1


@pytest.mark.parametrize(
    "many", ["<ids/>" * 500_000, "<ids " + "".join(f'a{n}="" ' for n in range(500_000)) + "/>"]
)
def test_an_envelope_of_more_elements_than_memory_should_hold_is_refused(
    admin: Any, many: str
) -> None:
    answer = call(admin, "u", "undelete", many)

    code, text = fault_of(answer)
    assert code == "soapenv:Client"
    assert "Elements are more than 500000" in text


@pytest.mark.parametrize(("api", "namespace"), [("u", PARTNER), ("c", ENTERPRISE)])
def test_rows_come_back_from_the_bin_and_go_for_good(admin: Any, api: str, namespace: str) -> None:
    back, gone = made(admin, f"bin-{api}-1"), made(admin, f"bin-{api}-2")
    admin.call("DELETE", "composite/sobjects", params={"ids": f"{back},{gone}"})

    undone = results(
        call(admin, api, "undelete", f"<ids>{back}</ids><ids>nothing</ids>", namespace)
    )
    emptied = results(call(admin, api, "emptyRecycleBin", f"<ids>{gone}</ids>", namespace))

    assert [one.findtext("{*}success") for one in undone] == ["true", "false"]
    assert undone[0].findtext("{*}id") == back
    assert undone[1].findtext("{*}errors/{*}statusCode") == "MALFORMED_ID"
    assert [one.findtext("{*}success") for one in emptied] == ["true"]
    soql = f"SELECT Id FROM Commerce_Order__c WHERE External_Id__c LIKE 'bin-{api}-_'"  # noqa: S608 -- ours
    found = admin.call("GET", "queryAll", params={"q": soql}).json()["records"]
    assert [row["Id"] for row in found] == [back]


def test_more_than_200_rows_are_a_fault(admin: Any) -> None:
    answer = call(admin, "u", "undelete", "<ids>x</ids>" * 201)

    assert fault_of(answer)[0] == "sf:EXCEEDED_ID_LIMIT"


def test_who_is_calling_can_be_asked(admin: Any) -> None:
    [info] = results(call(admin, "u", "getUserInfo"))

    identity = admin.http.get(f"{admin.org.url}/services/oauth2/userinfo", timeout=30).json()
    assert info.findtext("{*}userName") == "admin"
    assert info.findtext("{*}sessionSecondsValid") == "7200"
    assert info.findtext("{*}userId") == identity["user_id"]
    assert info.findtext("{*}organizationId") == identity["organization_id"]


def test_a_session_that_logs_out_is_over(org: Any) -> None:
    client = org.login()

    answer = call(client, "u", "logout")

    assert answer.status_code == 200
    assert fault_of(call(client, "u", "logout")) == NO_SESSION
    assert client.call("GET", "limits").status_code == 401
