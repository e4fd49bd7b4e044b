"""What the org does not deploy, and how it says so."""

import base64
import io
import json
import zipfile
from typing import Any

import pytest
from metadata_packages import (
    KEY,
    custom_object,
    deploy,
    document,
    manifest,
    object_package,
    packed,
    problems,
    rest_deploy,
    text_field,
)
from soap_calls import METADATA, call, fault_of

from connectors.embedded.pki import ensure_app, write_apps

REQUIRED = text_field("Must__c", "<required>true</required>")
GRANT = (
    "<label>S</label><fieldPermissions><editable>true</editable><field>{}</field>"
    "<readable>true</readable></fieldPermissions>"
)
NO_PERMISSION = (
    "use of the Metadata API requires a user with the ModifyAllData or ModifyMetadata permissions"
)
PACKAGE = manifest({"CustomObject": ["Nope__c"]})
FINE = custom_object("Nope", KEY)


def number(name: str, kind: str = "Number") -> str:
    return (
        f"<fields><fullName>{name}</fullName><label>n</label><type>{kind}</type>"
        "<precision>8</precision><scale>0</scale></fields>"
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {
                "package.xml": manifest({"CustomObject": ["Nope__c"], "PermissionSet": ["Sets"]}),
                "objects/Nope__c.object": custom_object("Nope", REQUIRED),
                "permissionsets/Sets.permissionset": document(
                    "PermissionSet", GRANT.format("Nope__c.Must__c")
                ),
            },
            (
                "PermissionSet",
                "permissionsets/Sets.permissionset",
                "You cannot deploy to a required field: Nope__c.Must__c",
            ),
            id="a permission on a required field",
        ),
        pytest.param(
            {
                "package.xml": manifest({"PermissionSet": ["Sets"]}),
                "permissionsets/Sets.permissionset": document(
                    "PermissionSet", GRANT.format("Commerce_Order__c.Nope__c")
                ),
            },
            (
                "PermissionSet",
                "permissionsets/Sets.permissionset",
                "no CustomField named Commerce_Order__c.Nope__c found",
            ),
            id="a permission on no field",
        ),
        pytest.param(
            {
                "package.xml": manifest({"ApexClass": ["Nope"]}),
                "classes/Nope.cls": "class Nope {}",
            },
            (None, "classes/Nope.cls", "no metadata of this kind"),
            id="a type that the org does not have",
        ),
        pytest.param(
            {
                "package.xml": PACKAGE,
                "objects/Nope__c.object": custom_object("Nope", number("When__c", "Time")),
            },
            ("CustomField", "objects/Nope__c.object", "Time"),
            id="a field type that the org does not have",
        ),
        pytest.param(
            {
                "package.xml": PACKAGE,
                "objects/Nope__c.object": custom_object(
                    "Nope", "<recordTypes><fullName>R</fullName></recordTypes>"
                ),
            },
            ("RecordType", "objects/Nope__c.object", "no RecordType"),
            id="a part that the org does not have",
        ),
        pytest.param(
            {"package.xml": PACKAGE, "objects/Nope__c.object": custom_object("N", number("Plain"))},
            ("CustomField", "objects/Nope__c.object", "fullName must end with: __c"),
            id="a field without __c",
        ),
        pytest.param(
            {
                "package.xml": manifest({"CustomObject": ["Lead"]}),
                "objects/Lead.object": custom_object("Lead", KEY),
            },
            ("CustomObject", "objects/Lead.object", "'Lead' cannot be found"),
            id="a standard object that the org does not have",
        ),
        pytest.param(
            {"package.xml": PACKAGE},
            ("CustomObject", "package.xml", "was not found in zipped directory"),
            id="a member without a file",
        ),
        pytest.param(
            {"package.xml": manifest({}), "objects/Nope__c.object": FINE},
            ("CustomObject", "objects/Nope__c.object", "Not in package.xml"),
            id="a file that is no member",
        ),
        pytest.param(
            {"package.xml": PACKAGE, "objects/Nope__c.object": "<CustomObject>\n<label>"},
            ("CustomObject", "objects/Nope__c.object", "Error parsing file"),
            id="a file that is no XML",
        ),
        pytest.param(
            {
                "package.xml": PACKAGE,
                "objects/Nope__c.object": '<!DOCTYPE x [<!ENTITY e "e">]>' + FINE[38:],
            },
            ("CustomObject", "objects/Nope__c.object", "DOCTYPE is not allowed"),
            id="a file with entities",
        ),
        pytest.param(
            {"package.xml": PACKAGE, "../objects/Nope__c.object": FINE},
            (None, None, "unsafe name"),
            id="a file outside the zip",
        ),
        pytest.param(
            {"package.xml": PACKAGE, "/objects/Nope__c.object": FINE},
            (None, None, "unsafe name"),
            id="a file from the root of all files",
        ),
        pytest.param(
            {"top/package.xml": PACKAGE, "top/objects/Nope__c.object": FINE},
            (None, "package.xml", "No package.xml found"),
            id="a manifest that is not at the root",
        ),
        pytest.param(
            {
                "package.xml": manifest({}),
                "destructiveChanges.xml": manifest({"CustomField": ["Commerce_Order__c.Nope__c"]}),
            },
            ("CustomField", "destructiveChanges.xml", "No CustomField named"),
            id="a deletion of what is not there",
        ),
        pytest.param(
            {
                "package.xml": manifest({"CustomField": ["Commerce_Order__c.Status__c"]}),
                "objects/Commerce_Order__c.object": document("CustomObject", number("Status__c")),
            },
            ("CustomField", "objects/Commerce_Order__c.object", "cannot change a field's type"),
            id="another type for a field that is there",
        ),
    ],
)
def test_what_cannot_be_deployed_fails_with_its_file_and_reason(
    module_admin: Any, files: dict[str, str], expected: tuple[str | None, str | None, str]
) -> None:
    status = deploy(module_admin, packed(files), rollbackOnError=True)

    assert status["state"] == "Failed", status
    kind, file, text = problems(status)[0]
    assert (kind, file) == expected[:2]
    assert expected[2] in text
    assert module_admin.call("GET", "sobjects/Nope__c").status_code == 404


def test_a_file_that_is_no_xml_is_pointed_at_by_line(module_admin: Any) -> None:
    files = {"package.xml": PACKAGE, "objects/Nope__c.object": "<CustomObject>\n<label>"}

    result = rest_deploy(module_admin, packed(files))

    [failure] = result["details"]["componentFailures"]
    assert (failure["lineNumber"], failure["problemType"]) == (2, "Error")


def test_a_field_of_rows_that_are_not_unique_cannot_become_unique(module_admin: Any) -> None:
    deploy(module_admin, object_package("Twin__c", KEY, text_field("Code__c")))
    for key in ("a", "b"):
        row = {"Key__c": key, "Code__c": "same"}
        assert module_admin.call("POST", "sobjects/Twin__c", json=row).status_code == 201
    unique = text_field("Code__c", "<unique>true</unique>")

    status = deploy(module_admin, object_package("Twin__c", KEY, unique, text_field("More__c")))

    assert status["state"] == "SucceededPartial"
    assert [(one[0], one[2]) for one in problems(status)] == [
        ("CustomField", "Cannot make Code__c unique: there are records with duplicate values")
    ]
    fields = module_admin.call("GET", "sobjects/Twin__c/describe").json()["fields"]
    assert {f["name"]: f["unique"] for f in fields}["Code__c"] is False
    assert "More__c" in {f["name"] for f in fields}


def test_a_zip_that_would_unpack_to_too_much_is_not_unpacked(module_admin: Any) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package.xml", PACKAGE)
        with archive.open("objects/Nope__c.object", "w", force_zip64=True) as file:
            for _ in range(601):
                file.write(bytes(2**20))

    status = deploy(module_admin, content)

    assert status["state"] == "Failed"
    assert "Maximum size of the unzipped files exceeded" in problems(status)[0][2]


def test_what_is_no_zip_fails_and_what_is_no_base64_is_a_fault(module_admin: Any) -> None:
    status = deploy(module_admin, io.BytesIO(b"no zip"))
    faults = [
        fault_of(call(module_admin, "m", "deploy", f"<ZipFile>{word}</ZipFile>", METADATA))
        for word in ("!", "&#233;")
    ]

    assert problems(status)[0][2] == "Deployment zip file is not valid"
    assert [fault[0] for fault in faults] == ["sf:INVALID_FIELD"] * 2


def test_too_many_files_are_refused(module_admin: Any) -> None:
    files = {"package.xml": PACKAGE, **{f"x/{i}": "" for i in range(10_000)}}

    status = deploy(module_admin, packed(files))

    assert "Maximum number of files exceeded" in problems(status)[0][2]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_holds_a_file_twice_is_refused(module_admin: Any) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("package.xml", PACKAGE)
        for _ in "ab":
            archive.writestr("objects/Nope__c.object", FINE)

    status = deploy(module_admin, content)

    assert problems(status)[0][2] == "The zip holds a file twice: objects/Nope__c.object"


def test_packages_in_one_zip_are_read_to_a_size_together(module_admin: Any) -> None:
    files = {}
    for folder in ("a", "b"):
        files[f"{folder}/package.xml"] = PACKAGE
        files[f"{folder}/objects/Nope__c.object"] = " " * (26 * 2**20)

    result = rest_deploy(module_admin, packed(files), singlePackage=False)

    assert [one["problem"] for one in result["details"]["componentFailures"]] == [
        "The test org reads at most 52428800 bytes of metadata"
    ]


def test_a_name_that_xml_cannot_hold_is_told_without_what_it_cannot(module_admin: Any) -> None:
    files = {"package.xml": manifest({}), "objects/\x01.cls": ""}

    status = deploy(module_admin, packed(files))

    assert [file for _, file, _ in problems(status)] == ["objects/\ufffd.cls"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", "x"),
        ("multipart/form-data; boundary=b", "x"),
        ("multipart/form-data; boundary=b", "--b\r\nContent-Type: application/json\r\n\r\n{}"),
        ("multipart/form-data; boundary=b", "--b\r\n: \r\n\r\n"),
    ],
)
def test_a_request_that_is_no_multipart_is_a_bad_one(
    module_admin: Any, content_type: str, body: str
) -> None:
    headers = {"Content-Type": content_type}

    answer = module_admin.call("POST", "metadata/deployRequest", data=body, headers=headers)

    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_INPUT")


def test_options_of_more_than_a_megabyte_are_refused(module_admin: Any) -> None:
    parts = {"json": (None, json.dumps({"x": "x" * 2**20}), "application/json")}

    answer = module_admin.call("POST", "metadata/deployRequest", files=parts)

    assert (answer.status_code, answer.json()[0]["errorCode"]) == (413, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize("wanted", ["x", [1]])
def test_options_that_are_no_object_are_a_bad_request(module_admin: Any, wanted: Any) -> None:
    parts = {
        "json": (None, json.dumps({"deployOptions": wanted}), "application/json"),
        "file": ("package.zip", b"", "application/zip"),
    }

    answer = module_admin.call("POST", "metadata/deployRequest", files=parts)

    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_INPUT")


def test_a_user_without_the_permission_deploys_and_sees_nothing(fresh: Any) -> None:
    app = ensure_app(fresh.home, "eu")
    write_apps(fresh.home, [app])
    user = fresh.client(fresh.by_assertion(app))
    content = base64.b64encode(object_package("Nope__c", KEY).getvalue()).decode()

    soap = call(user, "m", "deploy", f"<ZipFile>{content}</ZipFile>", METADATA)
    rest = user.call("GET", "metadata/deployRequest/0AfRO0000000001AAA")

    assert fault_of(soap) == (
        "sf:INSUFFICIENT_ACCESS",
        f"INSUFFICIENT_ACCESS: {NO_PERMISSION}",
    )
    assert (rest.status_code, rest.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS")
