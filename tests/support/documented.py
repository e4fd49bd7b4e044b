"""What the tests of the documented pairs share: a call at any version, refusals, a deployment."""

import io
import time
import zipfile
from collections.abc import Mapping
from typing import Any

ACCOUNT, CONTACT = "Account", "Contact"
ORDER, CUSTOMER, KEY = "Commerce_Order__c", "Commerce_Customer__c", "External_Id__c"
BASE = "/services/data/v62.0"
PARENT, CHILD = "Doc_Parent__c", "Doc_Child__c"
DEPLOYED = {"Succeeded", "Failed", "SucceededPartial", "Canceled"}
WAIT_S = 60


def at(client: Any, version: str, method: str, path: str, **options: Any) -> Any:
    """Return the answer to a call below /services/data/v*version*/."""
    url = f"{client.org.url}/services/data/v{version}/{path}"
    return client.http.request(method, url, timeout=60, **options)


def refusal(answer: Any) -> tuple[int, str, str]:
    """Return status, code and text of an answer with one error."""
    (error,) = answer.json()
    return answer.status_code, error["errorCode"], error["message"]


def code(answer: Any) -> tuple[int, str]:
    """Return status and code of an answer with one error."""
    return refusal(answer)[:2]


def made(answer: Any) -> str:
    """Return the id of a row that was made."""
    assert answer.status_code == 201, answer.text
    record_id: str = answer.json()["id"]
    return record_id


def create(client: Any, sobject: str, **fields: object) -> str:
    """Make a row by POST and return its id."""
    return made(client.call("POST", f"sobjects/{sobject}", json=fields))


def read(client: Any, sobject: str, record_id: str, *fields: str) -> list[Any]:
    """Return these fields of a row, in this order."""
    path = f"sobjects/{sobject}/{record_id}?fields={','.join(fields)}"
    answer = client.call("GET", path)
    assert answer.status_code == 200, answer.text
    return [answer.json()[name] for name in fields]


def total(client: Any, sobject: str, where: str) -> int:
    """Return how many live rows there are."""
    soql = f"SELECT COUNT() FROM {sobject} WHERE {where}"  # noqa: S608 -- SOQL of our own making
    found: int = client.query(soql)["totalSize"]
    return found


def used(client: Any) -> int:
    """Return how many API calls the org has counted, this one included."""
    header: str = client.call("GET", "limits").headers["Sforce-Limit-Info"]
    return int(header.removeprefix("api-usage=").partition("/")[0])


def entity(content: str) -> str:
    """Return an object's metadata as a deployment carries it; fields alone add to what is there."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<CustomObject xmlns="http://soap.sforce.com/2006/04/metadata">{content}</CustomObject>'
    )


def custom_object(label: str, fields: str) -> str:
    """Return a new object's metadata; its rows have names that are written."""
    return entity(
        f"{fields}<label>{label}</label><pluralLabel>{label}s</pluralLabel>"
        "<nameField><label>Name</label><type>Text</type></nameField>"
        "<deploymentStatus>Deployed</deploymentStatus><sharingModel>ReadWrite</sharingModel>"
    )


def key_field(name: str, unique: str) -> str:
    """Return a text field that is an external id."""
    return (
        f"<fields><fullName>{name}</fullName><label>{name[:-3]}</label><type>Text</type>"
        f"<length>40</length><externalId>true</externalId><unique>{unique}</unique>"
        f"{'<caseSensitive>false</caseSensitive>' if unique == 'true' else ''}</fields>"
    )


def lookup(name: str, target: str, relationship: str) -> str:
    """Return a lookup field; *relationship* is how the parent lists its children."""
    return (
        f"<fields><fullName>{name}</fullName><label>{name[:-3]}</label><type>Lookup</type>"
        f"<referenceTo>{target}</referenceTo><relationshipName>{relationship}</relationshipName>"
        "<deleteConstraint>SetNull</deleteConstraint></fields>"
    )


FAMILY = {
    f"objects/{PARENT}.object": custom_object("Doc Parent", key_field("Code__c", "true")),
    f"objects/{CHILD}.object": custom_object(
        "Doc Child", key_field("Tag__c", "false") + lookup("Parent__c", PARENT, "Children")
    ),
}
"""A parent whose key is unique whatever the case, and a child whose external id is not unique."""


def deployment(
    client: Any, files: Mapping[str, str], members: Mapping[str, list[str]]
) -> dict[str, Any]:
    """Deploy *files*, with a package.xml of *members* by type, and return how it ended.

    As section 5 says, and by a client of its own: a deployment spoils the client's headers.
    """
    types = "".join(
        f"<types>{''.join(f'<members>{m}</members>' for m in names)}<name>{kind}</name></types>"
        for kind, names in members.items()
    )
    manifest = (
        '<?xml version="1.0" encoding="UTF-8"?><Package xmlns="http://soap.sforce.com/2006/04/'
        f'metadata">{types}<version>62.0</version></Package>'
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in {"package.xml": manifest, **files}.items():
            archive.writestr(path, text)
    packed.seek(0)
    salesforce = client.simple()
    answer = salesforce.deploy(packed, sandbox=True, testLevel="NoTestRun", tests="")
    until = time.monotonic() + WAIT_S
    while True:
        status: dict[str, Any] = salesforce.checkDeployStatus(answer["asyncId"])
        if status["state"] in DEPLOYED:
            return status
        assert time.monotonic() < until, status
        time.sleep(0.05)


def deploy(client: Any, files: Mapping[str, str], members: Mapping[str, list[str]]) -> None:
    """Deploy *files*; it must succeed."""
    status = deployment(client, files, members)
    assert status["state"] == "Succeeded", status


def deploy_family(client: Any) -> None:
    """Deploy the parent and the child."""
    deploy(client, FAMILY, {"CustomObject": [PARENT, CHILD]})
