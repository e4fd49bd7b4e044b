"""Reconciliation names exactly what somebody did behind the ledger's back, and nothing else.

On the real line: events through border and egress into the org; then one thing is changed by
hand, in the org or in the region's own notes, and the command is run as people run it.
"""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import requests
from click.testing import CliRunner
from documented import deploy
from simple_salesforce.api import Salesforce
from soap_calls import call, results

from connectors.sandbox.running import issue_token
from residency.expected import row_digest
from residency.keys import secret
from schemas.errors import Cause
from streams.cli import cli
from streams.cli.reconcile import reconcile
from streams.demo.generate import Shop
from streams.demo.observe import Observer
from streams.settings import load_reconcile, load_settings
from streams.switch import Switch
from tests.fault.test_sink_chaos import publish, running, settle

REGION, ORDER = "eu", "Commerce_Order__c"
SINK = "integration.eu@homeport.example"
EVENTS = 120
ROOT = Path(__file__).parents[2]
HEADER = '<?xml version="1.0" encoding="UTF-8"?>'
NOTE = f"""{HEADER}<CustomObject xmlns="http://soap.sforce.com/2006/04/metadata">
<fields><fullName>Note__c</fullName><label>Note</label><type>Text</type><length>80</length>
</fields></CustomObject>"""

Found = set[tuple[str, str, str | None, str | None]]  # kind, object, field, row


@dataclass
class Line:
    """The line, settled, and a person's ways into what it wrote."""

    home: Path
    observer: Observer
    published: int = 0

    @property
    def key(self) -> bytes:
        return secret(self.home / REGION / "keys", "expected")

    def org(self, user: str = "admin") -> Salesforce:
        settings = load_settings(self.home, REGION, "egress").salesforce
        assert settings is not None
        port = int(settings.instance_url.rsplit(":", 1)[1])
        token = issue_token(self.home, port, user)
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.home / "ca/ca.pem")
        return Salesforce(
            instance_url=token["instance_url"],
            session_id=token["access_token"],
            version="62.0",
            session=session,
        )

    def orders(self, user: str = "admin") -> Any:
        return getattr(self.org(user), ORDER)

    def row(self, number: int = 0, sobject: str = ORDER) -> dict[str, Any]:
        """Return one row as it is in the org."""
        soql = f"SELECT FIELDS(ALL) FROM {sobject} ORDER BY External_Id__c LIMIT 200"  # noqa: S608
        rows = self.org().query_all(soql)["records"]
        return {k: v for k, v in rows[number].items() if k != "attributes"}

    def digest(self, external_id: str) -> str:
        return row_digest(self.key, ORDER, external_id)

    def soap(self, operation: str, *ids: str) -> None:
        """Undelete rows, or remove them from the recycle bin for good."""
        org = self.org()
        client = SimpleNamespace(
            org=SimpleNamespace(url=f"https://{org.sf_instance}"),
            http=org.session,
            token=org.session_id,
        )
        answer = call(client, "u", operation, "".join(f"<ids>{i}</ids>" for i in ids))
        assert [one.findtext("{*}success") for one in results(answer)] == ["true"] * len(ids)

    def database(self, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(load_reconcile(self.home, REGION).postgres.dsn) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def reconcile(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Run the command; return its exit code and its report."""
        words = ["--region", REGION, "--home", str(self.home), "--json", *options]
        done = CliRunner().invoke(reconcile, words)
        assert done.stdout, done.output
        return done.exit_code, json.loads(done.stdout)

    def found(self, *options: str) -> Found:
        """Return what the command names, having seen that its code and counts say so, too."""
        code, report = self.reconcile(*options)
        rows = report["findings"]
        named = {(r["kind"], r["object"], r["field"], r["row"]) for r in rows}
        assert code == (1 if rows else 0)
        assert report["clean"] is not bool(rows)
        assert sum(report["counts"].values()) == len(rows) == len(named)
        return named


@pytest.fixture(scope="module")
def line(new_home: Callable[[], Path]) -> Iterator[Line]:
    home = new_home()
    with running(home):
        found = Line(home, Observer(home, REGION))
        shop = Shop(random.Random(7), [REGION])
        events = [e for e in shop.publications(EVENTS) if e.expect == "accepted"]
        found.published = len(publish(home, events))
        settle(home, found.observer, found.published)
        yield found


@pytest.fixture
def clean(line: Line) -> Line:
    """Return the line, found clean; each test puts back what it changed."""
    assert line.found() == set()
    return line


def new_row(line: Line, token: str) -> dict[str, Any]:
    """Return a row like those of the line."""
    names = ("Region__c", "Status__c", "Currency__c", "Total__c")
    like = line.row()
    return {"External_Id__c": token} | {name: like[name] for name in names if like[name]}


def test_a_line_that_nobody_touched_has_no_finding(line: Line) -> None:
    code, report = line.reconcile()

    assert (code, report["findings"], report["clean"]) == (0, [], True)
    assert set(report["counts"].values()) == {0}
    looked = report["objects"][ORDER]
    assert looked["org_rows"] == looked["expected_rows"] > 0
    assert looked["in_flight"] == 0
    assert report["ledger"]["size"] > line.published


@pytest.mark.parametrize("token", ["tok_eu1_aaaaaaaaaaaaaaaaaaaaaaaaaa", "ada@example.com"])
@pytest.mark.parametrize(
    ("user", "kind"), [(SINK, "unlogged"), ("admin", "foreign")], ids=["sink", "admin"]
)
def test_a_row_that_was_sent_without_a_leaf(clean: Line, user: str, kind: str, token: str) -> None:
    made = clean.orders(user).create(new_row(clean, token))["id"]

    first = clean.found()

    clean.orders().delete(made)
    in_bin = clean.found("--since", "5m")
    clean.soap("emptyRecycleBin", made)
    assert first == in_bin == {(kind, ORDER, None, clean.digest(token))}


def test_a_row_that_another_region_answers_for(clean: Line) -> None:
    token = "tok_uk1_aaaaaaaaaaaaaaaaaaaaaaaaaa"
    made = clean.orders().create(new_row(clean, token))["id"]

    assert clean.found() == set()

    clean.orders().delete(made)
    clean.soap("emptyRecycleBin", made)


@pytest.mark.parametrize("user", [SINK, "admin"], ids=["sink", "admin"])
def test_a_row_that_somebody_edited(clean: Line, user: str) -> None:
    row = clean.row(1)
    clean.orders(user).update(row["Id"], {"First_Sku__c": "EDITED-1"})

    whole, window = clean.found(), clean.found("--since", "5m")
    elsewhere = clean.found("--object", "Commerce_Customer__c")

    clean.orders().update(row["Id"], {"First_Sku__c": row["First_Sku__c"]})
    digest = clean.digest(row["External_Id__c"])
    assert whole == window == {("changed", ORDER, "First_Sku__c", digest)}
    assert elsewhere == set()


def test_a_field_that_somebody_filled_or_emptied(clean: Line) -> None:
    row = clean.row(2)
    digest = clean.digest(row["External_Id__c"])
    change = {"Total__c": None, "Ip_Network__c": None, "Refunded_Total__c": 1}
    change = {name: None if row[name] is not None else value for name, value in change.items()}
    clean.orders().update(row["Id"], change)

    found = clean.found()

    clean.orders().update(row["Id"], {name: row[name] for name in change})
    differ = {name for name, value in change.items() if value != row[name]}
    assert found == {("changed", ORDER, name, digest) for name in differ}
    assert differ


def test_a_row_that_somebody_deleted_and_then_restored(clean: Line) -> None:
    row = clean.row(3)
    about = ("recycled", ORDER, None, clean.digest(row["External_Id__c"]))
    clean.orders().delete(row["Id"])

    whole, window = clean.found(), clean.found("--since", "5m")

    clean.soap("undelete", row["Id"])
    assert whole == window == {about}


def test_a_record_that_a_leaf_calls_accepted_and_that_never_came(clean: Line) -> None:
    """Removed for good, it leaves no trace in the window: the feed says that there was one."""
    row = clean.row(4)
    clean.orders().delete(row["Id"])
    clean.soap("emptyRecycleBin", row["Id"])

    whole, window = clean.found(), clean.found("--since", "5m")

    kept = {k: v for k, v in row.items() if k.endswith("__c") and v is not None}
    clean.orders(SINK).create(kept)
    assert whole == window == {("missing", ORDER, None, clean.digest(row["External_Id__c"]))}


def test_a_row_whose_deletion_was_accepted(clean: Line) -> None:
    """No grammar lets a deletion out yet, so the region's note is made one, and says so itself."""
    row = clean.row(5)
    token = row["External_Id__c"]
    clean.database("UPDATE expected_rows SET deleted = true WHERE external_id = %s", token)

    found = clean.found()

    clean.database("UPDATE expected_rows SET deleted = false WHERE external_id = %s", token)
    digest = clean.digest(token)
    assert found == {(kind, ORDER, None, digest) for kind in ("not-deleted", "row-unbacked")}


def test_a_field_outside_the_contract_that_holds_something(clean: Line) -> None:
    person = SimpleNamespace(simple=clean.org)
    deploy(person, {f"objects/{ORDER}.object": NOTE}, {"CustomField": [f"{ORDER}.Note__c"]})
    empty = clean.found()
    row = clean.row(6)
    clean.orders().update(row["Id"], {"Note__c": "ring her up"})

    _, report = clean.reconcile()

    clean.orders().update(row["Id"], {"Note__c": None})
    (finding,) = report["findings"]
    assert empty == set()
    assert (finding["kind"], finding["field"]) == ("outside-contract", "Note__c")
    assert (finding["count"], finding["org_ids"]) == (1, [row["Id"]])
    assert "ring her" not in json.dumps(report)


def test_an_expected_row_that_was_lost(clean: Line) -> None:
    """Where the org has the row, the row is named; where it has lost it too, the count tells."""
    row = clean.row(7)
    token = row["External_Id__c"]
    columns = clean.database("SELECT * FROM expected_rows WHERE external_id = %s", token)
    clean.database("DELETE FROM expected_rows WHERE external_id = %s", token)

    lost = clean.found()
    clean.orders().delete(row["Id"])
    clean.soap("emptyRecycleBin", row["Id"])
    both = clean.found()

    (values,) = columns
    values = [json.dumps(v) if isinstance(v, dict) else v for v in values]
    clean.database(f"INSERT INTO expected_rows VALUES ({','.join(['%s'] * len(values))})", *values)  # noqa: S608
    kept = {k: v for k, v in row.items() if k.endswith("__c") and v is not None}
    clean.orders(SINK).create(kept)
    count = ("count-differs", ORDER, None, None)
    assert lost == {("row-lost", ORDER, None, clean.digest(token)), count}
    assert both == {count}


@pytest.mark.parametrize(
    ("change", "kind", "field"),
    [
        ("base_record = 'eu.commerce.orders.v1[0]@999999#0'", "row-unbacked", None),
        ("base_version = base_version + 1", "row-unbacked", None),
        ('fields = fields || \'{"Status__c": "00"}\'', "changed", "Status__c"),
    ],
)
def test_an_expected_row_that_somebody_edited(
    clean: Line, change: Any, kind: str, field: str | None
) -> None:
    token = clean.row(8)["External_Id__c"]
    columns = "base_record, base_version, fields"
    ((record, version, fields),) = clean.database(
        f"SELECT {columns} FROM expected_rows WHERE external_id = %s",  # noqa: S608
        token,
    )
    clean.database(f"UPDATE expected_rows SET {change} WHERE external_id = %s", token)  # noqa: S608

    found = clean.found()

    clean.database(
        "UPDATE expected_rows SET base_record = %s, base_version = %s, fields = %s"
        " WHERE external_id = %s",
        record,
        version,
        json.dumps(fields),
        token,
    )
    assert found == {(kind, ORDER, field, clean.digest(token))}


def test_what_was_found_halted_the_region_until_a_person_resumes_it(clean: Line) -> None:
    words = ["egress", "resume", "--region", REGION, "--home", str(clean.home)]
    halt = Switch(clean.home / REGION).halted()

    done = CliRunner().invoke(cli, [*words, "--reason", "all put back"])

    assert halt is not None
    assert (halt.cause, halt.by) == (Cause.RECONCILE, "reconcile")
    assert done.exit_code == 0, done.output


def test_events_that_come_meanwhile_are_no_findings(clean: Line) -> None:
    shop = Shop(random.Random(8), [REGION])
    events = [e for e in shop.publications(10 * EVENTS) if e.expect == "accepted"]
    clean.published += len(publish(clean.home, events))

    meanwhile = [clean.reconcile() for _ in range(3)]

    settle(clean.home, clean.observer, clean.published)
    assert [report["findings"] for _, report in meanwhile] == [[], [], []]
    assert clean.found() == set()


def test_a_report_names_no_value_and_no_token(clean: Line, tmp_path: Path) -> None:
    row = clean.row(9)
    clean.orders().update(row["Id"], {"First_Sku__c": "EDITED-2"})

    _, report = clean.reconcile("--out", str(tmp_path))

    clean.orders().update(row["Id"], {"First_Sku__c": row["First_Sku__c"]})
    (file,) = tmp_path.iterdir()
    (finding,) = report["findings"]
    assert finding["org_ids"] == [row["Id"]]
    assert finding["records"]
    assert json.loads(file.read_text())["findings"] == report["findings"]
    for text in ("EDITED-2", "tok_eu1_", row["First_Sku__c"]):
        assert text not in file.read_text()


def test_a_timer_tells_a_finding_once_and_ends_on_ctrl_c(clean: Line) -> None:
    row = clean.row(10)
    command = [sys.executable, "-P", "-m", "streams.cli", "reconcile", "--region", REGION]
    process = subprocess.Popen(
        [*command, "--home", str(clean.home), "--json", "--every", "1s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        before = json.loads(process.stdout.readline())
        clean.orders().update(row["Id"], {"First_Sku__c": "EDITED-3"})
        rounds = [json.loads(process.stdout.readline()) for _ in range(4)]
        clean.orders().update(row["Id"], {"First_Sku__c": row["First_Sku__c"]})
        after = [json.loads(process.stdout.readline()) for _ in range(3)]
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        process.stdout.close()

    assert before["findings"] == []
    assert sum(len(one["findings"]) for one in rounds) == 1
    assert rounds[-1]["counts"]["changed"] == 1, "it lasts, and is told no more"
    assert after[-1]["clean"]
    assert code == 130
