"""The pages for people over HTTP: what they show, to whom, and what they never do."""

import re
from typing import Any

import pytest
from org_person import Person, link, sandbox_cli

from connectors.embedded.pki import ensure_app

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
EU = "Region_Sink_EU"
PAGES = ("/", "/calls", f"/objects/{ORDER}")


@pytest.fixture(scope="module")
def plain(module_org: Any) -> Any:
    """Fill the module's org: 60 orders, of which the first two are deleted."""
    client = module_org.login()
    rows = [{KEY: f"row-{n:02d}", "Total__c": n + 0.5, "Item_Count__c": 7} for n in range(60)]
    made = client.upsert(rows).json()
    ids = ",".join(row["id"] for row in made[:2])
    assert client.call("DELETE", "composite/sobjects", params={"ids": ids}).status_code == 200
    return module_org


@pytest.fixture(scope="module")
def owner(plain: Any) -> Person:
    return Person(plain)


def texts(html: str, tag: str = "td") -> list[str]:
    cells = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", html, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in cells]


@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page_without_a_cookie(plain: Any, path: str) -> None:
    shown = Person(plain, inside=False).get(path)

    assert shown.status_code == 403
    assert "row-" not in shown.text
    assert "Commerce" not in texts(shown.text, "a")


@pytest.mark.parametrize("path", PAGES)
def test_a_token_of_the_api_opens_no_page(plain: Any, path: str) -> None:
    token = plain.login().token
    stranger = Person(plain, inside=False)

    shown = stranger.get(
        path, headers={"Authorization": f"Bearer {token}", "Cookie": f"sid={token}"}
    )

    assert shown.status_code == 403


@pytest.mark.parametrize("path", [*PAGES, "/objects/Nothing__c"])
def test_a_page_loads_nothing_and_runs_nothing(owner: Person, path: str) -> None:
    shown = owner.get(path)

    policy = shown.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert shown.headers["X-Frame-Options"] == "DENY"
    assert shown.headers["Cache-Control"] == "no-store"
    assert "<script" not in shown.text
    assert re.findall(r"(?:src|href)=\"(?!/|#|data:image/svg)", shown.text) == []
    assert " style=" not in shown.text


def test_the_overview_counts_the_rows_of_every_object(owner: Person) -> None:
    cells = texts(owner.get("/").text)

    at = cells.index(f"Commerce Order {ORDER}")
    assert cells[at + 1 : at + 3] == ["58", "2"]
    names = [cell.split(" ")[-1] for cell in cells]
    assert names.index(ORDER) < names.index("Account")


def test_the_overview_shows_what_the_limits_say(plain: Any, owner: Person) -> None:
    header = plain.login().call("GET", "limits").headers["Sforce-Limit-Info"]

    shown = texts(owner.get("/").text, "div")

    used, most = (int(n) for n in re.findall(r"\d+", header))
    assert f"{used:,} of {most:,} calls" in shown


def test_the_overview_shows_the_last_calls_without_what_they_were_about(
    plain: Any, owner: Person
) -> None:
    client = plain.login()
    client.call("GET", f"sobjects/{ORDER}/{KEY}/row-07")
    client.call("GET", "query", params={"q": f"SELECT Id FROM {ORDER} WHERE {KEY} = 'row-08'"})  # noqa: S608
    owner.get("/calls")

    html = owner.get("/calls").text

    cells = texts(html)
    assert cells[1:6:2] == ["GET", "200", "homeport-cli"]
    assert cells[2] == "/services/data/v62.0/query"
    assert cells[8] == f"/services/data/v62.0/sobjects/{ORDER}/{KEY}/*"
    assert "row-0" not in html
    assert "/calls" not in cells  # what the page itself asks for is no news


def test_the_calls_that_are_kept_are_the_last_200(plain: Any, owner: Person) -> None:
    client = plain.login()
    for _ in range(205):
        client.call("GET", "limits")

    cells = texts(owner.get("/calls").text)

    assert len(cells) == 200 * 6
    assert set(cells[2::6]) == {"/services/data/v62.0/limits"}


def test_rows_come_newest_first_25_to_a_page(owner: Person) -> None:
    pages = [owner.get(f"/objects/{ORDER}?page={n}").text for n in (1, 2, 3)]

    keys = [re.findall(r"row-(\d\d)</td>", page) for page in pages]
    assert [len(found) for found in keys] == [25, 25, 8]
    assert [int(n) for found in keys for n in found] == list(range(59, 1, -1))
    assert "1\u201325 of 58, newest first" in pages[0]
    assert "51\u201358 of 58, newest first" in pages[2]
    assert 'rel="next"' not in pages[2]
    assert 'rel="prev"' not in pages[0]


@pytest.mark.parametrize("number", ["0", "-1", "x", "", "99", "1e3", "²", "9" * 30])
def test_a_page_that_is_not_there_is_the_nearest(owner: Person, number: str) -> None:
    shown = owner.get(f"/objects/{ORDER}", params={"page": number})

    assert shown.status_code == 200
    assert f"page {3 if number == '99' else 1} of 3" in shown.text


def test_the_recycle_bin_is_apart(owner: Person) -> None:
    shown = owner.get(f"/objects/{ORDER}?bin=1").text

    assert re.findall(r"row-(\d\d)</td>", shown) == ["01", "00"]


def test_values_read_as_people_write_them_and_empty_columns_are_left_out(owner: Person) -> None:
    shown = owner.get(f"/objects/{ORDER}").text

    assert "59.50" in texts(shown)
    assert "7" in texts(shown)
    assert any(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", cell) for cell in texts(shown))
    heads = texts(shown, "th")
    assert "Total" in heads
    assert "Email Token" not in heads
    assert "Empty on this page, so left out:" in shown
    assert "Email Token" in shown.split("left out:")[1].split("</p>")[0]


def test_what_a_row_holds_is_text_and_nothing_else(plain: Any, owner: Person) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x>{{ 7 * 7 }}"
    made = plain.login().upsert([{KEY: hostile}], sobject="Commerce_Customer__c").json()

    shown = owner.get("/objects/Commerce_Customer__c").text

    assert made[0]["success"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script" not in shown
    assert "<img" not in shown
    assert "{{ 7 * 7 }}" in shown


@pytest.mark.parametrize("name", ["Account", "Contact", "User", "Profile", "Organization"])
def test_standard_objects_have_a_page_each(owner: Person, name: str) -> None:
    shown = owner.get(f"/objects/{name}")

    assert shown.status_code == 200
    assert ("admin" in texts(shown.text)) == (name == "User")


def test_an_object_without_rows_says_so_and_counts_none(owner: Person) -> None:
    shown = owner.get("/objects/Commerce_Case__c").text

    assert "No records yet." in shown
    assert "newest first" not in shown


def test_an_object_shows_its_fields_and_their_rules(owner: Person) -> None:
    cells = texts(owner.get(f"/objects/{ORDER}").text)

    at = cells.index(f"External Id {KEY}")
    assert cells[at + 1] == "string (128)"
    assert cells[at + 2] == "external id unique case sensitive required"


def test_there_is_no_page_of_an_object_that_is_not_there(owner: Person) -> None:
    shown = owner.get("/objects/Nothing__c")

    assert shown.status_code == 404
    assert "No such object" in shown.text


def test_apps_show_who_may_log_in_and_who_is_blocked(running: Any) -> None:
    person = Person(running)
    running.by_assertion(ensure_app(running.home, "eu"))
    before = texts(person.get("/").text)
    sandbox_cli(running, "app", "block", EU)

    after = texts(person.get("/").text)

    at = before.index(EU)
    assert before[at + 1 : at + 3] == ["integration.eu@homeport.example", "JWT bearer"]
    assert int(before[at + 3]) >= 1
    assert after[after.index(f"{EU} blocked") + 3] == "0"


def test_a_page_that_is_followed_loads_itself(owner: Person) -> None:
    still, followed = owner.get("/").text, owner.get("/?follow=1").text

    assert 'http-equiv="refresh"' not in still
    assert '<meta http-equiv="refresh" content="5">' in followed


def test_looking_is_no_api_call(plain: Any, owner: Person) -> None:
    client = plain.login()
    before = client.call("GET", "limits").headers["Sforce-Limit-Info"]
    for path in PAGES:
        owner.get(path)

    after = client.call("GET", "limits").headers["Sforce-Limit-Info"]

    used = [int(re.findall(r"\d+", header)[0]) for header in (before, after)]
    assert used[1] == used[0] + 1


def test_the_access_log_names_pages_and_no_keys(start_org: Any) -> None:
    org = start_org("--plain")
    key = link(org)["key"]
    Person(org, inside=False).get(f"/?key={key}")
    org.stop()

    log = (org.home / "sandbox/access.log").read_text()

    assert '"path": "/"' in log
    assert '"app": "page"' in log
    assert key not in log
