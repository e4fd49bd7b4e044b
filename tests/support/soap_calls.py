"""Calls of the SOAP API, written out as clients write them."""

from typing import Any
from xml.etree import ElementTree as ET

import requests

PARTNER = "urn:partner.soap.sforce.com"
ENTERPRISE = "urn:enterprise.soap.sforce.com"
METADATA = "http://soap.sforce.com/2006/04/metadata"
VERSION = "62.0"
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


def envelope(token: str, operation: str, inner: str, namespace: str = PARTNER) -> str:
    """Return one call's envelope."""
    return (
        f'<e:Envelope xmlns:e="{_SOAP}" xmlns="{namespace}"><e:Header><SessionHeader>'
        f"<sessionId>{token}</sessionId></SessionHeader></e:Header>"
        f"<e:Body><{operation}>{inner}</{operation}></e:Body></e:Envelope>"
    )


def post(client: Any, path: str, body: str | bytes, **headers: str) -> requests.Response:
    """Send an envelope to ``/services/Soap/``*path*."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{client.org.url}/services/Soap/{path}"
    wanted = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""', **names}
    answer: requests.Response = client.http.post(url, data=body, headers=wanted, timeout=30)
    return answer


def call(
    client: Any, api: str, operation: str, inner: str = "", namespace: str = PARTNER
) -> requests.Response:
    """Call an operation of the partner (``u``), enterprise (``c``) or Metadata API (``m``)."""
    body = envelope(client.token, operation, inner, namespace)
    return post(client, f"{api}/{VERSION}", body)


def fault_of(answer: requests.Response) -> tuple[str, str]:
    """Return (faultcode, faultstring) of a refusal."""
    assert answer.status_code == 500, answer.text
    root = ET.fromstring(answer.content)  # noqa: S314 -- our own org's answer
    found = root.find(f"{{{_SOAP}}}Body/{{{_SOAP}}}Fault")
    assert found is not None, answer.text
    return found.findtext("faultcode") or "", found.findtext("faultstring") or ""


def results(answer: requests.Response) -> list[ET.Element]:
    """Return the ``result`` elements of an answer."""
    assert answer.status_code == 200, answer.text
    root = ET.fromstring(answer.content)  # noqa: S314 -- our own org's answer
    return root.findall(f"{{{_SOAP}}}Body/*/{{*}}result")
