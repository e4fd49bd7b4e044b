"""SOAP 1.1 as Salesforce speaks it: an envelope in, an answer or a fault out.

Source: SOAP API Developer Guide, "API Fault Element" and "SessionHeader"; faults as the real
API writes them, ``sf:`` included, which clients look for.
"""

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from connectors.sandbox.markup import (
    Node,
    UnreadableXmlError,
    child,
    escaped,
    local,
    parse,
    text,
    to_xml,
)

PARTNER = "urn:partner.soap.sforce.com"
ENTERPRISE = "urn:enterprise.soap.sforce.com"
METADATA = "http://soap.sforce.com/2006/04/metadata"
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_FAULTS = {
    PARTNER: "urn:fault.partner.soap.sforce.com",
    ENTERPRISE: "urn:fault.enterprise.soap.sforce.com",
}
_NO_CODE = ""  # SOAP's own refusals have none of Salesforce's codes
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


class Fault(Exception):  # noqa: N818 -- SOAP's word
    """The call is refused.

    Attributes:
        code: Salesforce's exception code; empty: the envelope itself is refused.
        text: For people; may hold what the caller sent.
        kind: The fault's type in the partner API, such as ``LoginFault``.

    """

    def __init__(self, code: str, text: str, kind: str = "UnexpectedErrorFault") -> None:
        """Name the code; the text may hold values."""
        super().__init__(code)
        self.code, self.text, self.kind = code, text, kind


@dataclass(frozen=True, slots=True)
class Request:
    """One call.

    Attributes:
        operation: Its name, such as ``deploy``.
        namespace: The operation's.
        session: The session id of the SessionHeader, empty if there is none.
        node: The operation's element.

    """

    operation: str
    namespace: str
    session: str
    node: ET.Element


def read_request(body: bytes) -> Request:
    """Return the call in *body*.

    Raises:
        Fault: It is no XML, or no envelope with one operation.

    """
    try:
        root = parse(body)
    except UnreadableXmlError as exc:
        words = f"XML parse error: {exc.text} at line {exc.line}"
        raise Fault(_NO_CODE, words) from exc
    if root.tag != f"{{{_SOAP}}}Envelope":
        words = f"{root.tag} must be an Envelope of the namespace {_SOAP}"
        raise Fault(_NO_CODE, words)
    found = child(root, "Body")
    operations = [] if found is None else list(found)
    if len(operations) != 1:
        words = "The Body must hold one operation"
        raise Fault(_NO_CODE, words)
    node = operations[0]
    session = text(root, "Header", "SessionHeader", "sessionId")
    namespace = node.tag.partition("}")[0].removeprefix("{") if "}" in node.tag else ""
    return Request(local(node), namespace, session, node)


def unknown_operation(request: Request) -> Fault:
    """Return the refusal of an operation that there is not."""
    name = f"{{{request.namespace}}}{request.operation}"
    return Fault(_NO_CODE, f"No operation available for request {name}")


def answer(namespace: str, operation: str, result: Node, header: Node = None) -> str:
    """Return the envelope that answers *operation*; several results are a list."""
    body = to_xml("result", result)
    head = "" if header is None else to_xml("soapenv:Header", header)
    return (
        f'{_DECLARATION}<soapenv:Envelope xmlns:soapenv="{_SOAP}" xmlns="{namespace}"'
        f' xmlns:xsi="{_XSI}">{head}<soapenv:Body><{operation}Response>{body}'
        f"</{operation}Response></soapenv:Body></soapenv:Envelope>"
    )


def fault(namespace: str, refusal: Fault) -> str:
    """Return the envelope of a refusal, HTTP 500; the Metadata API's have no detail."""
    sf, detail = _FAULTS.get(namespace, METADATA), ""
    code, words = escaped(refusal.code), escaped(refusal.text)
    if refusal.code:
        inner = f"<faultcode>sf:{code}</faultcode><faultstring>{code}: {words}</faultstring>"
        if namespace in _FAULTS:
            detail = (
                f'<detail><sf:{refusal.kind} xsi:type="sf:{refusal.kind}">'
                f"<sf:exceptionCode>{code}</sf:exceptionCode>"
                f"<sf:exceptionMessage>{words}</sf:exceptionMessage></sf:{refusal.kind}></detail>"
            )
    else:
        inner = f"<faultcode>soapenv:Client</faultcode><faultstring>{words}</faultstring>"
    return (
        f'{_DECLARATION}<soapenv:Envelope xmlns:soapenv="{_SOAP}" xmlns:sf="{sf}"'
        f' xmlns:xsi="{_XSI}"><soapenv:Body><soapenv:Fault>{inner}{detail}</soapenv:Fault>'
        f"</soapenv:Body></soapenv:Envelope>"
    )
