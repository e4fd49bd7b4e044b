"""Looking into the vault on a running region: who sees what, and what the ledger says of it."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import requests
from browser import CHROMIUM, browser
from click.testing import CliRunner, Result
from oracle import comparable, org_rows
from vault_line import MESSAGE, PLACED, REGISTERED, Person, VaultLine, wait_until

from connectors.embedded.launch import Launch
from connectors.embedded.stack import Stack
from residency.expected import is_empty
from residency.keys import COMMITMENTS, ledger_verifier, secret, token_keys
from residency.ledger.accesses import AccessLeaf, Act, Purpose
from residency.ledger.files import LOCK
from residency.ledger.leaves import commit, month_key, month_of, parse_leaf
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.proof import Proof, check_proof
from residency.ledger.reader import Reader, open_head
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.access import load_roles
from schemas.errors import BreachError
from schemas.events import Coordinates
from streams.cli import cli
from streams.launch import launch
from streams.looking.callers import Callers
from streams.looking.rates import Rates
from streams.switch import Switch

REGION, TICKET = "eu", "CASE-" + uuid4().hex[:12]
SERVICES = ("border", "egress", "vault", "lookup")
NOBODY_HAS_IT = "nobody@mail.example"


@dataclass
class Region:
    """A region with its look-up, and a customer in its vault."""

    home: Path
    line: VaultLine
    ada: Person
    order: str
    note: str
    body: str
    places: list[Coordinates]
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        settings = json.loads((self.home / REGION / "services/lookup.json").read_text())
        return f"http://127.0.0.1:{settings['http_port']}"

    @property
    def external_id(self) -> str:
        maker = Tokeniser(token_keys(self.line.keys, REGION), CENTRAL)
        return maker.identity("customer", self.ada.customer_id)

    def caller(self, role: str) -> str:
        """Return the name of a caller of a role; `tokens` has what it looks with."""
        name = f"desk-{role}-{uuid4().hex[:8]}"
        self.tokens[name] = Callers(self.home / REGION).add(name, role, datetime.now(UTC))
        return name

    def ask(self, name: str, by: dict[str, str], **more: Any) -> requests.Response:
        """Ask the API."""
        body = {"by": by, "purpose": "support", "ticket": TICKET, "fields": ["customer.email"]}
        return requests.post(
            f"{self.url}/find",
            json={**body, **more},
            headers={"Authorization": f"Bearer {self.tokens.get(name, 'hpc_none')}"},
            timeout=30,
        )

    def leaves(self) -> list[tuple[int, AccessLeaf]]:
        """Return the `access` leaves and where they are."""
        reader = Reader(self.home / REGION / "ledger")
        size = open_head(reader).size
        found = enumerate(map(parse_leaf, reader.entries(0, size, size)))
        return [(n, leaf) for n, leaf in found if isinstance(leaf, AccessLeaf)]

    def run(self, *words: str, text: str = "", token: str | None = None) -> Result:
        """Run a command of ours."""
        more = {} if token is None else {"HOMEPORT_CALLER_TOKEN": token}
        where = ("--region", REGION, "--home", str(self.home))
        return CliRunner(env=more).invoke(cli, [*words, *where], input=text)


@pytest.fixture(scope="module")
def region(new_home: Callable[[], Path]) -> Iterator[Region]:
    """Run one region, with a customer who registered, ordered and wrote."""
    home = new_home()
    stack, base = Stack(home, (REGION,)), launch(home)
    stack.up(Launch(base.org, base.worker, SERVICES))
    line = VaultLine(home)
    ada, order = line.person(), f"ord-{uuid4().hex}"
    note, body = f"note {uuid4().hex}", f"where is it? {uuid4().hex}"
    raws = [
        ada.event(REGISTERED),
        ada.event(PLACED, order_id=order, customer_note=note, gift_note=None),
        ada.event(MESSAGE, body=body),
    ]
    places = line.send(raws)
    line.wait_for(places)
    yield Region(home, line, ada, order, note, body, places)
    stack.down()


def fields(answer: requests.Response) -> list[list[dict[str, Any]]]:
    assert answer.status_code == 200, answer.text
    return [[one["fields"] for one in person["events"]] for person in answer.json()["persons"]]


def test_an_agent_sees_the_fields_asked_for_and_the_ledger_says_so_without_naming_anybody(
    region: Region,
) -> None:
    name = region.caller("agent")

    answer = region.ask(
        name, {"email": region.ada.email.upper()}, fields=["customer.email", "gift_note", "body"]
    )

    (events,) = (person["events"] for person in answer.json()["persons"])
    mail = {"customer.email": region.ada.email}
    assert {one["record"]: one["fields"] for one in events} == dict(
        zip(map(str, region.places), [mail, mail, {"body": region.body}], strict=True)
    )
    assert [one["kept_at"] for one in events] == sorted(
        (one["kept_at"] for one in events), reverse=True
    )
    index, request = answer.json()["leaf"], answer.json()["request"]
    leaf = dict(region.leaves())[index]
    assert (leaf.request, leaf.caller, leaf.act, leaf.subjects) == (request, name, Act.FIND, 1)
    assert leaf.purpose is Purpose.SUPPORT
    key = month_key(secret(region.line.keys, COMMITMENTS), month_of(leaf.time))
    assert leaf.subject == commit(key, f"access/{request}".encode(), region.ada.subject).hex()
    assert leaf.ticket == commit(key, f"access/{request}/ticket".encode(), TICKET.encode()).hex()


@pytest.mark.parametrize("word", ["email", "customer", "order", "token", "record"])
def test_a_customer_is_found_by_whatever_the_desk_knows(region: Region, word: str) -> None:
    by = {
        "email": region.ada.email,
        "customer": region.ada.customer_id,
        "order": region.order,
        "token": region.external_id,
        "record": str(region.places[1]),
    }[word]

    answer = region.ask(region.caller("agent"), {word: by}, event=PLACED)

    assert fields(answer) == [[{"customer.email": region.ada.email}]]
    (event,) = answer.json()["persons"][0]["events"]
    assert event["record"] == str(region.places[1])
    assert event["event"] == PLACED


def test_a_role_sees_nothing_outside_its_categories(region: Region) -> None:
    agent, auditor = region.caller("agent"), region.caller("auditor")
    by = {"email": region.ada.email}

    refused = region.ask(agent, by, fields=["customer.email", "customer.birth_date"])
    wide = region.ask(agent, by, fields=["user"])
    audited = region.ask(auditor, by, purpose="audit", fields=["system"])

    assert (refused.status_code, refused.json()["error"]) == (403, "field")
    seen = {path for events in fields(wide) for one in events for path in one}
    assert {"customer.email", "customer.name.given"} & seen
    assert not {"customer.birth_date", "payment.card_number", "device.ip", "tax_number"} & seen
    text = audited.text
    assert fields(audited)[0][0].keys() <= {
        "event_id",
        "occurred_at",
        "registered_at",
        "received_at",
        "channel",
    }
    assert region.ada.email not in text
    assert region.ada.customer_id not in text


def test_who_may_not_ask_learns_nothing_of_anybody_and_leaves_no_leaf(region: Region) -> None:
    agent = region.caller("agent")
    before = len(region.leaves())
    asked: list[tuple[str, dict[str, Any]]] = [
        ("nobody", {}),
        (agent, {"purpose": "fraud"}),
        (agent, {"purpose": "curiosity"}),
        (agent, {"fields": ["customer.gender"]}),
        (agent, {"fields": ["customer.nothing"]}),
        (agent, {"event": "commerce.customers.CustomerSignedIn"}),
        (agent, {"ticket": "no ticket"}),
        (agent, {"limit": 0}),
        (agent, {"more": 1}),
    ]

    answers = [
        [region.ask(name, {"email": email}, **more) for email in (region.ada.email, NOBODY_HAS_IT)]
        for name, more in asked
    ]

    statuses = [one.status_code for one, _ in answers]
    assert statuses == [401, 403, 403, 403, 403, 403, 400, 403, 400]
    for one, other in answers:
        assert (one.status_code, one.content) == (other.status_code, other.content)
    assert answers[0][0].headers["WWW-Authenticate"] == "Bearer"
    assert len(region.leaves()) == before


def test_a_look_that_finds_nobody_is_in_the_ledger_too(region: Region) -> None:
    answer = region.ask(region.caller("agent"), {"email": NOBODY_HAS_IT})

    assert answer.json()["persons"] == []
    assert dict(region.leaves())[answer.json()["leaf"]].subjects == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"by": 1}', b"x" * 20_000])
def test_what_is_no_question_is_answered_as_such(region: Region, body: bytes) -> None:
    token = region.tokens[region.caller("agent")]

    answer = requests.post(
        f"{region.url}/find", body, headers={"Authorization": f"Bearer {token}"}, timeout=30
    )

    assert answer.status_code in {400, 413}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nno part"),
        ("application/x-www-form-urlencoded", b"\xff=1"),
        ("application/x-www-form-urlencoded; charset=klingon", b"by=token"),
    ],
)
def test_what_is_no_form_is_answered_with_one(region: Region, kind: str, body: bytes) -> None:
    before = len(region.leaves())

    answer = requests.post(
        f"{region.url}/page", body, headers={"Origin": region.url, "Content-Type": kind}, timeout=30
    )

    assert answer.status_code == 400
    assert "The form cannot be read. Send it from here." in answer.text
    assert len(region.leaves()) == before


def test_one_too_many_waits_and_who_is_removed_looks_no_more(region: Region) -> None:
    name, other = region.caller("agent"), region.caller("agent")
    (mine,) = (one for one in Callers(region.home / REGION).all() if one.name == name)
    with closing(Rates(region.home / REGION)) as rates:
        for _ in range(load_roles()["agent"].per_minute):
            rates.take(mine, load_roles()["agent"])

    late = region.ask(name, {"email": region.ada.email})
    gone = region.run("vault", "caller", "remove", other)
    after = region.ask(other, {"email": region.ada.email})

    assert (late.status_code, late.json()["error"]) == (429, "rate")
    assert 0 < int(late.headers["Retry-After"]) <= 60
    assert gone.exit_code == 0
    assert after.status_code == 401


def test_the_command_looks_as_the_operator_or_as_whose_token_it_has(region: Region) -> None:
    agent = region.caller("agent")
    words = ("vault", "find", "--email", "-", "--purpose", "support", "--ticket", TICKET, "--json")

    mine = region.run(*words, "--field", "customer.birth_date", text=region.ada.email + "\n")
    theirs = region.run(
        *words, "--field", "customer.email", text=region.ada.email, token=region.tokens[agent]
    )
    closed = region.run(
        *words, "--field", "customer.gender", text=region.ada.email, token=region.tokens[agent]
    )

    assert mine.exit_code == theirs.exit_code == 0
    leaves = dict(region.leaves())
    assert leaves[json.loads(mine.stdout)["leaf"]].caller == "operator"
    assert leaves[json.loads(theirs.stdout)["leaf"]].caller == agent
    assert region.ada.email in theirs.stdout
    assert closed.exit_code != 0
    assert closed.stdout == ""


def test_the_page_shows_a_link_s_row_and_asks_who_looks(region: Region) -> None:
    agent = region.tokens[region.caller("agent")]
    link = f"{region.url}/{region.external_id}"
    form = {
        "by": "token", "value": region.external_id, "purpose": "support", "ticket": TICKET,
        "caller": agent,
    }  # fmt: skip

    page = requests.get(link, timeout=30)
    shown = requests.post(f"{region.url}/page", form, headers={"Origin": region.url}, timeout=30)
    foreign = requests.post(
        f"{region.url}/page", form, headers={"Origin": "https://evil.example"}, timeout=30
    )
    wrong = requests.post(
        f"{region.url}/page", {**form, "caller": "x"}, headers={"Origin": region.url}, timeout=30
    )

    assert f'value="{region.external_id}"' in page.text
    assert region.ada.email not in page.text
    assert (shown.status_code, foreign.status_code, wrong.status_code) == (200, 403, 401)
    assert region.ada.email in shown.text
    assert region.note in shown.text
    for answer in (page, shown, wrong):
        assert agent not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert region.ada.email not in foreign.text + wrong.text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install it")
def test_an_agent_signs_in_at_the_page_in_a_browser_that_refuses_nothing(
    region: Region, tmp_path: Path
) -> None:
    agent = region.tokens[region.caller("agent")]
    fill = "document.querySelector('#{}').value = {!r}"

    async def walk() -> tuple[str, str, str, list[str]]:
        async with browser(tmp_path / "profile") as page:
            await page.size(390, 844)
            await page.open(f"{region.url}/{region.external_id}")
            await page.ask(fill.format("ticket", TICKET))
            await page.ask(fill.format("caller", agent))
            await page.click("button")
            text = await page.ask("document.querySelector('main').innerText")
            wide = await page.ask(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            folder = os.environ.get("HOMEPORT_SCREENSHOTS")
            if folder:
                (Path(folder) / "lookup.png").write_bytes(await page.screenshot())
            return text, str(wide), await page.ask("location.href"), page.refused

    text, wide, url, refused = asyncio.run(walk())

    assert region.ada.email in text
    assert region.order in text
    assert (wide, url, refused) == ("0", f"{region.url}/page", [])


def test_a_rotation_of_the_keys_stops_no_look(region: Region) -> None:
    name = region.caller("agent")
    before = region.ask(name, {"email": region.ada.email})

    rotated = region.run("vault", "rotate")
    after = region.ask(name, {"email": region.ada.email})

    assert rotated.exit_code == 0, rotated.output
    assert fields(after) == fields(before)


def test_who_is_erased_is_not_found_and_their_record_says_so(region: Region) -> None:
    line, bob, name = region.line, region.line.person(), region.caller("agent")
    (place,) = line.send([bob.event(PLACED)])
    line.wait_for([place])
    erased = (line.topic_ids[place.topic], place.partition, place.offset, "0e" * 16)
    with psycopg.connect(line.dsn("erase")) as connection:  # as an erasure leaves it
        connection.execute("DELETE FROM vault.events WHERE subject = %s", (bob.subject,))
        connection.execute("DELETE FROM vault.blind_index WHERE subject = %s", (bob.subject,))
        connection.execute("DELETE FROM vault.subjects WHERE subject = %s", (bob.subject,))
        connection.execute(
            "INSERT INTO vault.erasures (request, subject, token, asked_at, asked_by, step, leaf)"
            " VALUES (%s, %s, 'tok', now(), 'command', 'done', 7)", (erased[3], bob.subject),
        )  # fmt: skip
        connection.execute("INSERT INTO vault.erased VALUES (%s, %s, %s, %s)", erased)

    by_mail, by_record = (
        region.ask(name, by).json() for by in ({"email": bob.email}, {"record": str(place)})
    )
    command = region.run(
        "vault", "find", "--record", str(place), "--purpose", "support", "--ticket", TICKET,
        "--field", "customer.email",
    )  # fmt: skip

    assert (by_mail["persons"], by_mail["erased"]) == ([], None)
    assert (by_record["persons"], by_record["erased"]) == ([], {"leaf": 7})
    assert "erased, see leaf 7" in command.stdout


def test_an_export_holds_every_event_and_what_the_org_holds_each_proved(
    region: Region, tmp_path: Path
) -> None:
    out = tmp_path / "dsr"
    wait_until("the org has taken it", lambda: len(settled(region)) == len(region.places))

    done = region.run(
        "subject", "export", "--customer", "-", "--purpose", "subject-request", "--ticket", TICKET,
        "--out", str(out), "--json", text=region.ada.customer_id,
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    found = json.loads((out / "subject.json").read_bytes())
    assert {one["record"] for one in found["events"]} == set(map(str, region.places))
    assert region.note in [one["data"].get("customer_note") for one in found["events"]]
    assert found["pseudonyms"] == {
        "subject": region.ada.subject.hex(),
        "customer": [region.external_id],
    }
    held = {
        (row["object"], row["external_id"]): {n: one["value"] for n, one in row["fields"].items()}
        for row in found["abroad"]["rows"]
    }
    org = {
        (row["attributes"]["type"], row["External_Id__c"]): row
        for row in org_rows(region.home, REGION)
    }
    assert len(held) == 3
    for key, mine in held.items():
        told_of = {name for name, value in mine.items() if not is_empty(value)}
        assert told_of == comparable(org[key]).keys() - {"External_Id__c"}
        for name in told_of & {"Email_Token__c", "Base_Version__c", "Status__c", "Country__c"}:
            assert mine[name] == org[key][name]
    assert {one["why"] for one in found["abroad"]["records"]} == {None}
    assert {one["result"] for one in found["abroad"]["records"]} == {"accepted"}
    log = ledger_verifier(region.line.keys)
    assert told["leaf"] in found["proofs"]
    for index in found["proofs"]:
        proof = Proof.parse((out / f"proofs/{index}.tlog-proof").read_bytes())
        assert proof.index == index
        check_proof(proof, (out / f"proofs/{index}.json").read_bytes(), log)
    assert dict(region.leaves())[told["leaf"]].act is Act.EXPORT
    assert out.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in tmp_path.iterdir()] == ["dsr"]


def settled(region: Region) -> set[str]:
    """Return the customer's raw records that have an outcome."""
    reader = Reader(region.home / REGION / "ledger")
    size = open_head(reader).size
    leaves = map(parse_leaf, reader.entries(0, size, size))
    mine = set(region.places)
    return {str(x.record.at) for x in leaves if isinstance(x, OutcomeLeaf) and x.record.at in mine}


def test_no_export_for_who_may_not_have_it_or_of_nobody(region: Region, tmp_path: Path) -> None:
    out = tmp_path / "dsr"
    words = (
        "subject", "export", "--email", "-", "--purpose", "support", "--ticket", TICKET,
        "--out", str(out),
    )  # fmt: skip
    agent = region.tokens[region.caller("agent")]

    refused = region.run(*words, text=region.ada.email, token=agent)
    nobody = region.run(*words, text=NOBODY_HAS_IT)
    out.mkdir()
    exists = region.run(*words, text=region.ada.email)

    assert "may look, and not export" in str(refused.exception)
    assert "nobody has it" in str(nobody.exception)
    assert "exists" in str(exists.exception)
    assert list(out.iterdir()) == []


def test_while_egress_is_halted_people_look_and_their_leaves_wait(region: Region) -> None:
    switch, name = Switch(region.home / REGION), region.caller("agent")
    switch.halt(BreachError("a test halts it"), "egress")
    lock = region.home / REGION / "ledger" / LOCK
    wait_until("egress lets go of the ledger", lambda: not lock.read_bytes())

    answer = region.ask(name, {"email": region.ada.email})
    waiting = list((region.home / REGION / "ledger-requests").iterdir())
    resumed = region.run("egress", "resume", "--reason", "the test ends")

    assert answer.json()["leaf"] is None
    assert fields(answer)
    assert [path.name for path in waiting] == [f"{answer.json()['request']}.asked"]
    assert resumed.exit_code == 0, resumed.output
    wait_until(
        "the leaf is appended",
        lambda: answer.json()["request"] in {leaf.request for _, leaf in region.leaves()},
    )


def test_neither_logs_nor_telemetry_nor_the_ledger_hold_what_was_looked_up(region: Region) -> None:
    """Last: after all that the tests above have asked."""
    secrets = [
        region.ada.email, region.ada.customer_id, region.order, region.note, TICKET, NOBODY_HAS_IT,
        region.ada.subject.hex(), region.external_id, *region.tokens.values(),
    ]  # fmt: skip
    folders = ["logs", "eu/ledger", "eu/ledger-requests", "eu/telemetry", "eu/lookup", "eu/faust"]

    files = [
        path for folder in folders for path in (region.home / folder).rglob("*") if path.is_file()
    ]
    found = {
        (path.name, n)
        for path in files
        for n, value in enumerate(secrets)
        if value.encode() in path.read_bytes()
    }

    assert {"rates.sqlite", "callers.json", "checkpoint"} <= {path.name for path in files}
    assert any("lookup" in path.name for path in files)
    assert found == set()
