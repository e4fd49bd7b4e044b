"""Account, Contact, User and Organization over HTTP: what clients read, write and delete."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

from typing import Any

import pytest

from connectors.embedded.pki import ensure_app

KEY, ORDER = "External_Id__c", "Commerce_Order__c"


def make(client: Any, sobject: str, **record: Any) -> str:
    answer = client.call("POST", f"sobjects/{sobject}", json=record)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def read(client: Any, sobject: str, row_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.call("GET", f"sobjects/{sobject}/{row_id}").json()
    return answer


def fields_of(client: Any, sobject: str) -> dict[str, Any]:
    described = client.call("GET", f"sobjects/{sobject}/describe").json()
    return {field["name"]: field for field in described["fields"]}


def test_an_account_lives_through_create_read_and_update(admin: Any) -> None:
    row_id = make(
        admin, "Account", Name="Acme", NumberOfEmployees=12, AnnualRevenue=1500000.7,
        Industry="Basket weaving", Website="acme.example", BillingStreet="1 Road\nUnit 2",
    )  # fmt: skip
    admin.call("PATCH", f"sobjects/account/{row_id[:15]}", json={"phone": "+44 1"})

    row = read(admin, "Account", row_id)

    assert row_id.startswith("001")
    assert row["attributes"]["type"] == "Account"
    assert (row["Name"], row["Phone"], row["NumberOfEmployees"]) == ("Acme", "+44 1", 12)
    assert (row["AnnualRevenue"], row["Industry"]) == (1500000.0, "Basket weaving")
    assert (row["BillingStreet"], row["ParentId"], row["IsDeleted"]) == (
        "1 Road\nUnit 2", None, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sobject", "record", "error"),
    [
        (
            "Account",
            {},
            ("REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", ["Name"]),
        ),
        (
            "Account",
            {"Name": "x" * 256},
            (
                "STRING_TOO_LONG",
                f"Account Name: data value too large: {'x' * 256} (max length=255)",
                ["Name"],
            ),
        ),
        (
            "Contact",
            {"FirstName": "Ada"},
            ("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"]),
        ),
        (
            "Contact",
            {"LastName": "L", "Email": "ada"},
            ("INVALID_EMAIL_ADDRESS", "Email: invalid email address: ada", ["Email"]),
        ),
        (
            "Contact",
            {"LastName": "L", "AccountId": "0030000"},
            ("MALFORMED_ID", "Account ID: id value of incorrect type: 0030000", ["AccountId"]),
        ),
        (
            "Contact",
            {"LastName": "L", "AccountId": "001RO0000zzzzzz"},
            ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", []),
        ),
    ],
)
def test_a_bad_row_is_refused_in_salesforces_words(
    admin: Any, sobject: str, record: dict[str, Any], error: tuple[str, str, list[str]]
) -> None:
    refused = admin.call("POST", f"sobjects/{sobject}", json=record)

    (found,) = refused.json()
    assert refused.status_code == 400
    assert (found["errorCode"], found["message"], found["fields"]) == error


def test_a_day_that_is_none_names_its_place_in_the_body(admin: Any) -> None:
    body = '{"LastName": "L",\n "Birthdate": "1815-12-1"}'

    refused = admin.call("POST", "sobjects/Contact", data=body)

    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert refused.json()[0]["message"] == (
        "Cannot deserialize instance of date from VALUE_STRING value 1815-12-1 or request may be"
        " missing a required field at [line:2, column:15]"
    )


def test_a_contact_is_called_by_first_and_last_name(admin: Any) -> None:
    account = make(admin, "Account", Name="Engines")
    ada = make(
        admin, "Contact", FirstName="Ada", LastName="King", Salutation="Ms.", AccountId=account,
        Birthdate="1815-12-10",
    )  # fmt: skip
    admin.call("PATCH", f"sobjects/Contact/{ada}", json={"LastName": "Lovelace"})

    row = read(admin, "Contact", ada)
    named = admin.call("POST", "sobjects/Contact", json={"LastName": "L", "Name": "N"})

    assert (row["Name"], row["AccountId"]) == ("Ada Lovelace", account)
    assert row["Birthdate"] == "1815-12-10"
    assert named.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_an_account_takes_its_contacts_along_and_leaves_its_children(admin: Any) -> None:
    top = make(admin, "Account", Name="Top")
    below = make(admin, "Account", Name="Below", ParentId=top)
    contact = make(admin, "Contact", LastName="Of top", AccountId=top)
    reporter = make(admin, "Contact", LastName="Reports", ReportsToId=contact)

    deleted = admin.call("DELETE", f"sobjects/Account/{top}")

    gone = admin.call("GET", f"sobjects/Contact/{contact}")
    assert (deleted.status_code, gone.status_code) == (204, 404)
    assert read(admin, "Account", below)["ParentId"] is None
    assert read(admin, "Contact", reporter)["ReportsToId"] is None


def test_references_are_described_with_what_they_point_at(admin: Any) -> None:
    fields = fields_of(admin, "Contact")
    children = admin.call("GET", "sobjects/Account/describe").json()["childRelationships"]

    account, name = fields["AccountId"], fields["Name"]
    assert (account["type"], account["referenceTo"]) == ("reference", ["Account"])
    assert (account["relationshipName"], account["soapType"]) == ("Account", "tns:ID")
    assert (name["createable"], name["updateable"], name["nameField"]) == (False, False, True)
    assert (fields["Birthdate"]["type"], fields["Birthdate"]["soapType"]) == ("date", "xsd:date")
    assert fields["OwnerId"]["referenceTo"] == ["User"]
    listed = {(c["childSObject"], c["field"]): c for c in children}
    assert listed["Contact", "AccountId"]["relationshipName"] == "Contacts"
    assert listed["Contact", "AccountId"]["cascadeDelete"] is True
    assert listed["Account", "ParentId"]["relationshipName"] == "ChildAccounts"
    assert listed["Account", "ParentId"]["cascadeDelete"] is False


def test_required_is_what_a_client_works_out_from_describe(admin: Any) -> None:
    required = {
        sobject: {
            f["name"]
            for f in fields_of(admin, sobject).values()
            if not f["nillable"] and not f["defaultedOnCreate"] and f["createable"]
        }
        for sobject in ("Account", "Contact", "User", ORDER)
    }

    assert required == {
        "Account": {"Name"}, "Contact": {"LastName"}, "User": set(), ORDER: {KEY},
    }  # fmt: skip


def test_the_org_and_its_users_are_read_as_clients_read_them(admin: Any) -> None:
    org = admin.query(
        "SELECT Id, Name, OrganizationType, InstanceName, IsSandbox, TrialExpirationDate,"
        " NamespacePrefix FROM Organization"
    )["records"][0]
    user = admin.query("SELECT Id, Username, Name, IsActive FROM User WHERE Username = 'admin'")
    userinfo = admin.http.get(f"{admin.org.url}/services/oauth2/userinfo").json()

    assert (org["Id"], org["IsSandbox"]) == (userinfo["organization_id"], False)
    assert (org["TrialExpirationDate"], org["NamespacePrefix"]) == (None, None)
    assert (user["totalSize"], user["records"][0]["Id"]) == (1, userinfo["user_id"])
    assert user["records"][0]["IsActive"] is True


def test_a_user_points_at_a_profile_that_is_there(admin: Any) -> None:
    user = admin.query("SELECT ProfileId FROM User WHERE Username = 'admin'")["records"][0]

    profile = admin.query(f"SELECT Name FROM Profile WHERE Id = '{user['ProfileId']}'")

    assert [p["Name"] for p in profile["records"]] == ["System Administrator"]


@pytest.mark.parametrize("sobject", ["User", "Organization", "Profile"])
def test_nobody_writes_what_the_org_keeps_itself(admin: Any, sobject: str) -> None:
    row_id = admin.query(f"SELECT Id FROM {sobject} LIMIT 1")["records"][0]["Id"]

    made = admin.call("POST", f"sobjects/{sobject}", json={})
    changed = admin.call("PATCH", f"sobjects/{sobject}/{row_id}", json={})
    deleted = admin.call("DELETE", f"sobjects/{sobject}/{row_id}")

    refusals = [(a.status_code, a.json()[0]["errorCode"]) for a in (made, changed, deleted)]
    assert refusals == [
        (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"),
        (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"),
        (403, "INSUFFICIENT_ACCESS_OR_READONLY"),
    ]


def test_a_permission_set_opens_standard_objects_only_where_it_says_so(running: Any) -> None:
    sink = running.client(running.by_assertion(ensure_app(running.home, "eu")))

    listed = [o["name"] for o in sink.call("GET", "sobjects").json()["sobjects"]]
    hidden = sink.call("GET", "sobjects/Account/describe")
    me = sink.query("SELECT Username FROM User")

    assert [n for n in listed if not n.endswith("__c")] == ["Organization", "Profile", "User"]
    assert (hidden.status_code, hidden.json()[0]["errorCode"]) == (404, "NOT_FOUND")
    assert me["totalSize"] >= 1
