"""An org in memory at the HTTP boundary, to fail, lock and refuse on command.

What a real process can show is shown against the test org (tests/integration).
"""

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from connectors.salesforce.client import CallRetry, OrgClient
from connectors.salesforce.config import SalesforceConfig
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RecordId

ORDER, CUSTOMER = "Commerce_Order__c", "Commerce_Customer__c"
KEY = "External_Id__c"
VERSIONS = {"Base_Version__c": "base", "Label_Version__c": "label"}
AT_ONCE = CallRetry(deadline_s=30, first_wait_s=0, max_wait_s=0)
ONE_TRY = CallRetry(deadline_s=0, first_wait_s=0, max_wait_s=0)

ROW_ERRORS = {  # kind -> (code, text); each text echoes a value as the org's do
    "lock": ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access: tok_canary"),
    "race": ("DUPLICATE_VALUE", f"duplicate value found: {KEY} duplicates value tok_canary"),
    "unknown": ("UNKNOWN_EXCEPTION", "An unexpected error occurred: tok_canary"),
    "busy": ("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded: tok_canary"),
    "long": ("STRING_TOO_LONG", "data value too large: tok_canary (max length=80)"),
    "odd": ("A_CODE_OF_NEXT_YEAR", "tok_canary"),
    "approval": ("ENTITY_IS_LOCKED", "in an approval process: tok_canary"),
    "orphan": ("INVALID_FIELD", "Foreign key external ID: tok_canary not found for field X"),
    "column": ("INVALID_FIELD", "No such column 'F0__c' tok_canary"),
    "read-only": ("INVALID_FIELD_FOR_INSERT_UPDATE", "'F0__c' tok_canary"),
    "access": ("INSUFFICIENT_ACCESS_OR_READONLY", "'F0__c' tok_canary"),
    "held": ("DELETE_FAILED", "tok_canary"),
    "gone": ("ENTITY_IS_DELETED", "entity is deleted"),
    "unknown id": ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id tok_canary"),
}

REFUSALS: dict[str, tuple[int, object]] = {
    "401": (401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired"}]),
    "limit": (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests"}]),
    "502": (502, "<html>the edge lost the instance</html>"),
    "503": (503, "<html>maintenance</html>"),
    "busy": (503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "Server too busy"}]),
    "413": (413, "<html>too large</html>"),
}
QUERY = re.compile(
    r"SELECT Id, External_Id__c(?:, IsDeleted)? FROM (\w+) WHERE External_Id__c IN \((.*)\)"
)
POISON = "poison"  # a value that the org cannot parse: it refuses the whole request

Key = tuple[str, str]


@dataclass
class FakeOrg(HTTPAdapter):
    """Keeps rows by id, as an org with a case-sensitive unique external id does.

    Attributes:
        row_errors: (object, external id) -> kinds of error its next tries meet, in turn.
        always: (object, external id) -> kind of error every try meets.
        faults: Number of a write over HTTP, from 0 -> what goes wrong with it.
        rows: (object, external id) -> fields.
        ids: (object, external id) -> the org's Id.
        commits: (object, external id, fields) of every row written; fields None: deleted.
        sent: External ids of every collection that arrived, deletions included.
        calls: How many collections each write over HTTP held.

    """

    row_errors: dict[Key, list[str]] = field(default_factory=dict)
    always: dict[Key, str] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    ids: dict[Key, str] = field(default_factory=dict)
    commits: list[tuple[str, str, dict[str, Any] | None]] = field(default_factory=list)
    sent: list[list[str]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    logins: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        assert request.url is not None
        url = urlsplit(request.url)
        if url.path.endswith("/oauth2/token"):
            self.logins += 1
            return self.answer(request, 200, {"access_token": f"00D!{self.logins}"})
        if url.path.endswith("/limits"):
            return self.answer(request, 200, {})
        if url.path.endswith(("/query", "/queryAll")):
            self.queries.append(parse_qs(url.query)["q"][0])
            return self.answer(request, 200, self.query(self.queries[-1]))
        self.calls.append(0)
        fault = self.faults.pop(len(self.calls) - 1, "")
        if fault == "reset before":
            raise requests.ConnectionError
        if fault in REFUSALS:
            self.count(request, url.path)
            return self.answer(request, *REFUSALS[fault])
        status, verdicts = self.carry_out(request, url.path, parse_qs(url.query))
        if fault == "reset after":
            raise requests.ConnectionError
        if fault == "time-out after":
            raise requests.ReadTimeout
        whole = verdicts if isinstance(verdicts, list) else verdicts["compositeResponse"]
        short = whole[1:] if whole is verdicts else {"compositeResponse": whole[1:]}
        cuts = {"short answer": short, "cut answer": json.dumps(verdicts)[:-9]}
        return self.answer(request, status, cuts.get(fault, verdicts))

    def count(self, request: requests.PreparedRequest, path: str) -> None:
        body = json.loads(plain(request) or b"{}")
        self.calls[-1] = len(body.get("compositeRequest", [path]))

    def carry_out(
        self, request: requests.PreparedRequest, path: str, params: Mapping[str, list[str]]
    ) -> tuple[int, Any]:
        self.count(request, path)
        if request.method == "DELETE":
            owner = {identity: key for key, identity in self.ids.items()}
            keys = [owner.get(identity) for identity in params["ids"][0].split(",")]
            self.sent.append([key[1] for key in keys if key])
            return 200, [self.delete(key) if key else failure("gone") for key in keys]
        body = json.loads(plain(request))
        if not path.endswith("/composite"):
            return self.collection(path, body)
        assert (body["allOrNone"], body["collateSubrequests"]) == (False, False)
        parts = [(p, *self.collection(p["url"], p["body"])) for p in body["compositeRequest"]]
        return 200, {
            "compositeResponse": [
                {"body": b, "httpStatusCode": s, "referenceId": p["referenceId"], "httpHeaders": {}}
                for p, s, b in parts
            ]
        }

    def collection(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        *_, sobject, key_field = path.split("/")
        assert path.startswith("/services/data/v62.0/composite/sobjects/")
        assert (key_field, body["allOrNone"]) == (KEY, False)
        self.sent.append([record[KEY] for record in body["records"]])
        if any(POISON in record.values() for record in body["records"]):
            message = "VALUE_STRING tok_canary"
            return 400, [{"errorCode": "JSON_PARSER_ERROR", "message": message}]
        return 200, [self.upsert(sobject, record) for record in body["records"]]

    def upsert(self, sobject: str, record: dict[str, Any]) -> dict[str, Any]:
        key = (sobject, record[KEY])
        assert record.pop("attributes") == {"type": sobject}
        if "bad" in record.values():
            return failure("long", [name for name, value in record.items() if value == "bad"])
        if met := self.met(key):
            return met
        before = self.rows.get(key, {})
        for name, kind in VERSIONS.items():
            if name in record and record[name] < (before.get(name) or 0):
                code = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
                message = f"homeport:older-{kind}-version"
                errors = [{"statusCode": code, "message": message, "fields": []}]
                return {"success": False, "errors": errors}
        created = key not in self.rows
        self.rows[key] = before | record
        if created:
            self.ids[key] = f"a00{len(self.commits):012d}"
        self.commits.append((*key, record))
        return {"id": self.ids[key], "success": True, "errors": [], "created": created}

    def met(self, key: Key) -> dict[str, Any] | None:
        """Return the refusal that this try meets, if it does."""
        kinds = self.row_errors.get(key)
        kind = kinds.pop(0) if kinds else self.always.get(key)
        return failure(kind) if kind else None

    def query(self, soql: str) -> dict[str, Any]:
        found = QUERY.fullmatch(soql)
        assert found, soql
        sobject, listed = found.groups()
        keys = [key.strip("'").lower() for key in listed.split(",")]  # an org may ignore case
        rows = [
            {"attributes": {}, "Id": identity, KEY: key}
            for (kind, key), identity in self.ids.items()
            if kind == sobject and key.lower() in keys
        ]
        return {"totalSize": len(rows), "done": True, "records": rows}

    def delete(self, key: Key) -> dict[str, Any]:
        if met := self.met(key):
            return met
        identity = self.ids.pop(key)
        del self.rows[key]
        self.commits.append((*key, None))
        return {"id": identity, "success": True, "errors": []}

    def answer(
        self, request: requests.PreparedRequest, status: int, body: object
    ) -> requests.Response:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        raw = HTTPResponse(BytesIO(content), status=status, preload_content=False)
        return self.build_response(request, raw)


def plain(request: requests.PreparedRequest) -> bytes:
    """Return a request's body as it was before it was packed."""
    body = request.body or b""
    assert isinstance(body, bytes)
    return gzip.decompress(body) if "Content-Encoding" in request.headers else body


def failure(kind: str, fields: Sequence[str] = ()) -> dict[str, Any]:
    """Return a row's refusal of that kind."""
    code, message = ROW_ERRORS[kind]
    errors = [{"statusCode": code, "message": message, "fields": list(fields)}]
    return {"success": False, "errors": errors}


def fake_config(folder: Path) -> SalesforceConfig:
    """Return the way into a fake org; *folder* takes its key."""
    path = folder / "app.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return SalesforceConfig(
        instance_url="https://org.example",
        consumer_key="3MVG9",
        username="integration.eu@homeport.example",
        private_key_file=path,
    )


def fake_client(config: SalesforceConfig, org: FakeOrg, retry: CallRetry = AT_ONCE) -> OrgClient:
    """Return a client of *org*."""
    session = requests.Session()
    session.mount("https://", org)
    return OrgClient(config, "eu", session=session, retry=retry)


class Line:
    """A client that logs in once, and whose org can be changed: quick enough for properties."""

    def __init__(self, config: SalesforceConfig, retry: CallRetry) -> None:
        """Connect nothing yet."""
        self._session = requests.Session()
        self._client = OrgClient(config, "eu", session=self._session, retry=retry)

    def to(self, org: FakeOrg) -> OrgClient:
        """Return the client, from now on of *org* and of no other."""
        self._session.mount("https://", org)
        return self._client


def logged(
    offset: int, sobject: str, key: str, *, deletes: bool = False, plan: str = "", **fields: Any
) -> LoggedRecord:
    """Return the record of a raw offset; its version is the offset, unless it is among *fields*."""
    at = RecordId(Coordinates("eu.commerce.orders.v1", 0, offset))
    record = MinimalRecord(at, sobject, key, offset, 1, plan, 1, b"", deletes)
    version = {} if VERSIONS.keys() & fields else {"Base_Version__c": offset}
    return LoggedRecord(record, offset, {KEY: key, **version, **fields})
