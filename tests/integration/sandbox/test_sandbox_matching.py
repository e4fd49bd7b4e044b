"""Upserts by an external id that several rows may hold, by users whom sharing hides some of."""

from pathlib import Path
from typing import Any

import pytest
from documented import KEY, ORDER, deploy, entity, key_field
from ingest_jobs import results, run, table

import connectors.sfdx
from connectors.embedded.pki import ensure_app, write_apps

TAG = "Seen_Tag__c"
SET = "permissionsets/Region_Sink.permissionset"
SOURCE = Path(connectors.sfdx.__file__).parent / f"force-app/main/default/{SET}-meta.xml"
RIGHT = (
    f"<fieldPermissions><editable>true</editable><field>{ORDER}.{TAG}</field>"
    "<readable>true</readable></fieldPermissions>"
)
SEES_ALL = "<userPermissions><enabled>true</enabled><name>ViewAllData</name></userPermissions>"
TEXT = "Upsert requires view all data on a non-unique custom index"
REFUSED = [{"message": TEXT, "errorCode": "INSUFFICIENT_ACCESS"}]


def grant(client: Any, rights: str) -> None:
    """Deploy the sink's permission set with *rights* added."""
    content = SOURCE.read_text().replace("</PermissionSet>", f"{rights}</PermissionSet>")
    deploy(client, {SET: content}, {"PermissionSet": ["Region_Sink"]})


@pytest.fixture(scope="module")
def admin(module_org: Any) -> Any:
    """Open the administrator's session, after the field was deployed."""
    client = module_org.login()
    field = {f"objects/{ORDER}.object": entity(key_field(TAG, "false"))}
    deploy(client, field, {"CustomField": [f"{ORDER}.{TAG}"]})
    return client


@pytest.fixture
def eu(module_org: Any, admin: Any) -> Any:
    """Open a session of a user who sees their own rows only."""
    grant(admin, RIGHT)
    app = ensure_app(module_org.home, "eu")
    write_apps(module_org.home, [app])
    return module_org.client(module_org.by_assertion(app))


def upsert(client: Any, key: str) -> Any:
    record = {"attributes": {"type": ORDER}, TAG: key, KEY: key}
    path = f"composite/sobjects/{ORDER}/{TAG}"
    return client.call("PATCH", path, json={"records": [record]})


def test_a_collection_is_refused_whole_without_view_all_data(eu: Any) -> None:
    answer = upsert(eu, "tag-collection")

    assert (answer.status_code, answer.json()) == (403, REFUSED)


def test_one_row_is_refused_even_where_several_match(admin: Any, eu: Any) -> None:
    for name in ("tag-1", "tag-2"):
        eu.call("POST", f"sobjects/{ORDER}", json={KEY: name, TAG: "tag-several"})

    theirs, mine = (
        client.call("PATCH", f"sobjects/{ORDER}/{TAG}/tag-several", json={"Currency__c": "EUR"})
        for client in (eu, admin)
    )

    assert (theirs.status_code, theirs.json()) == (403, REFUSED)
    assert mine.status_code == 300


def test_a_job_refuses_each_of_its_rows(eu: Any) -> None:
    job = run(eu, table([TAG, KEY], ["tag-job", "tag-job"]), "upsert", externalIdFieldName=TAG)

    found = results(eu, job["id"], "failedResults")
    assert (job["state"], job["numberRecordsFailed"]) == ("JobComplete", 1)
    assert [row["sf__Error"] for row in found] == [f"INSUFFICIENT_ACCESS:{TEXT}:--"]


def test_view_all_data_lets_a_user_upsert_and_see_the_rows_of_others(admin: Any, eu: Any) -> None:
    made = admin.call("POST", f"sobjects/{ORDER}", json={KEY: "tag-of-admin"}).json()["id"]
    grant(admin, RIGHT + SEES_ALL)

    upserted = upsert(eu, "tag-all").json()
    seen = eu.call("GET", f"sobjects/{ORDER}/{made}")

    assert upserted[0]["created"] is True
    assert seen.status_code == 200
