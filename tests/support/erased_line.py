"""People with rows abroad, their erasure, and the places where something of them may be left."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from confluent_kafka import Consumer, TopicPartition
from enrich_line import EnrichLine
from oracle import comparable, org_rows
from vault_line import MESSAGE, PLACED, REGISTERED, WAIT_S, Person, Raw, VaultLine, wait_until

from connectors.postgres.decisions import DecisionReader
from connectors.postgres.vault.erasures import Erasures, Wish
from residency import topics
from residency.keys import COMMITMENTS, ledger_verifier, secret, token_keys
from residency.ledger.erasures import ErasureLeaf, subject_commitment
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.proof import Proof, check_proof
from residency.ledger.reader import Reader, open_head
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.erasure import Erasure, Step
from schemas.events import Coordinates
from streams.demo.leaks import LeakSearch
from streams.erasing.positions import Positions
from streams.leaf_requests import new_request
from streams.settings import ReplaySettings, load_settings

ORDER, CUSTOMER, CASE = "Commerce_Order__c", "Commerce_Customer__c", "Commerce_Case__c"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FIRST_OID = 16_384  # of a database that is not PostgreSQL's own
Rows = dict[tuple[str, str], dict[str, str]]


@dataclass
class Customer:
    """A person with a story, and where its records lie."""

    person: Person
    token: str
    order_id: str = field(default_factory=lambda: f"ord-{uuid4().hex}")
    message_id: str = field(default_factory=lambda: f"msg-{uuid4().hex}")
    raws: list[Raw] = field(default_factory=list)
    places: list[Coordinates] = field(default_factory=list)
    keys: set[tuple[str, str]] = field(default_factory=set)

    @property
    def secrets(self) -> list[str]:
        """What must not be found of them in plain text."""
        return [self.person.customer_id, self.person.email, self.order_id, self.message_id]


def _letter(email: str) -> str:
    """Return what somebody writes: in English, so that the region's model is asked."""
    return f"Please tell me where my order is. I wrote to you from {email} and got no answer."


class ErasureLine(VaultLine):
    """A whole line of one region, without its erasing worker."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._tokens = Tokeniser(token_keys(self.keys, "eu"), CENTRAL)
        self.erasures = Erasures(self.dsn("erase"))

    def customer(self) -> Customer:
        person = self.person()
        return Customer(person, self._tokens.identity("customer", person.customer_id))

    def publish(
        self,
        one: Customer,
        kinds: Iterable[str] = (REGISTERED, PLACED, MESSAGE),
        **also: Any,
    ) -> None:
        """Publish events of a customer: one row for each kind; *also* replaces fields of them."""
        more: dict[str, dict[str, Any]] = {
            REGISTERED: {},
            PLACED: {"order_id": one.order_id},
            MESSAGE: {"message_id": one.message_id, "body": _letter(one.person.email)},
        }
        raws = [one.person.event(kind, **more.get(kind, {}), **also) for kind in kinds]
        one.raws += raws
        one.places += self.send(raws)
        one.keys |= {
            (CUSTOMER, one.token),
            (ORDER, self._tokens.identity("order", one.order_id)),
            (CASE, self._tokens.identity("message", one.message_id)),
        }

    def ask(self, one: Customer) -> str:
        """Ask for an erasure as the command does; return its request."""
        wish = Wish(new_request(), one.person.subject, one.token, "T-1", "a test")
        return self.erasures.ask(wish, datetime.now(UTC))

    def erasure(self, request: str) -> Erasure:
        return self.erasures.some([request])[0]

    def wait_done(self, request: str) -> None:
        wait_until("it is erased", lambda: self.erasure(request).step is Step.DONE)

    def requests_of(self, one: Customer) -> list[str]:
        rows = self.rows(
            "SELECT request FROM vault.erasures WHERE subject = %s", one.person.subject
        )
        return [row[0] for row in rows]

    def wait_idle(self) -> None:
        """Wait until vault, border, enrichment and egress have passed all that there is.

        Nor is an erasure open then, or a command of ours under way.
        """
        own = load_settings(self.home, "eu", "erase")
        login = ReplaySettings(own.region, own.home, own.kafka, own.postgres)
        with closing(Positions(login)) as positions:
            raw = positions.raw_ends()
            wait_until("the vault", lambda: self.has_passed(_last(raw)))
            wait_until("the border", lambda: positions.passed("border", raw))
            with closing(EnrichLine(self.home)) as requests:
                wait_until("enrichment", lambda: not requests.open_requests())
            open_ = "SELECT count(*) FROM vault.erasures WHERE ended_at IS NULL"
            wait_until("the erasures", lambda: self.rows(open_) == [(0,)])
            wait_until("egress", lambda: positions.passed("egress", positions.outgoing_ends()))

    def is_back(self, one: Customer) -> bool:
        """Tell whether they have registered again since their erasure."""
        query = "SELECT lifted_at FROM vault.suppressions WHERE subject = %s"
        return self.rows(query, one.person.subject)[0][0] is not None

    def is_under_way(self, one: Customer) -> bool:
        """Tell whether one of their erasures has not ended, or is still to be asked for."""
        asked = "SELECT count(*) > 0 AND bool_and(ended_at IS NOT NULL) FROM vault.erasures"
        return not self.rows(f"{asked} WHERE subject = %s", one.person.subject)[0][0]

    def is_named(self, at: Coordinates) -> bool:
        """Tell whether a raw record is among those of the erased."""
        place = 'topic_id = %s AND partition = %s AND "offset" = %s'
        query = f"SELECT count(*) FROM vault.erased WHERE {place}"  # noqa: S608, ours
        return self.rows(query, self.topic_ids[at.topic], at.partition, at.offset) == [(1,)]

    def certificates(self) -> list[Mapping[str, Any]]:
        """Return all certificates of the region."""
        files = (self.home / "eu/erasures").glob("*/certificate.json")
        return [json.loads(file.read_bytes()) for file in files]

    def decided(self, one: Customer) -> list[str]:
        """Return the records about whose texts something is kept, by the customer's token.

        As the leak budget and replays read it, and by the customer's raw records besides.
        """
        reader = DecisionReader(self.dsn("replay"))
        mine = [str(at) for at in one.places]
        with psycopg.connect(self.dsn("admin")) as connection:
            rows = connection.execute(
                "SELECT record FROM enrich.decisions"
                " WHERE subject = %s OR split_part(record, '#', 1) = ANY(%s)",
                (one.token, mine),
            ).fetchall()
        told = [d.question.key.record for d, _ in reader.of_subject(one.token, LONG_AGO)]
        return sorted({*told, *(row[0] for row in rows)})

    def spent(self) -> set[str]:
        """Return the tokens of the customers who have spent something of their leak budget."""
        reader = DecisionReader(self.dsn("replay"))
        return {row[0] for row in reader.told(LONG_AGO)}

    def abroad(self, *customers: Customer) -> Rows:
        """Return what the org holds of customers."""
        wanted = {key for one in customers for key in one.keys}
        found = {
            (r["attributes"]["type"], r["External_Id__c"]): r for r in org_rows(self.home, "eu")
        }
        return {key: comparable(row) for key, row in found.items() if key in wanted}

    def leaves(self) -> list[Any]:
        reader = Reader(self.home / "eu/ledger")
        size = open_head(reader).size
        return [parse_leaf(entry) for entry in reader.entries(0, size, size)]

    # -- what must be so once somebody is erased

    def check(self, one: Customer, request: str) -> None:
        """Everything of a customer is gone that must go, and there is proof of it."""
        self.check_home(one, request)
        self.check_abroad(one)
        self.check_proofs(one, request)

    def check_home(self, one: Customer, request: str) -> None:
        subject = one.person.subject
        for table in ("subjects", "events", "blind_index"):
            query = f"SELECT count(*) FROM vault.{table} WHERE subject = %s"  # noqa: S608, ours
            assert self.rows(query, subject) == [(0,)], table
        named = self.rows('SELECT topic_id, partition, "offset" FROM vault.erased')
        places = {(self.topic_ids[at.topic], at.partition, at.offset) for at in one.places}
        assert places <= set(named)
        erasure = self.erasure(request)
        assert (erasure.token, erasure.state.rows) == ("", ())
        text = str(self.rows("SELECT t::text FROM vault.erasures t WHERE request = %s", request))
        assert "tok_" not in text
        assert self.decided(one) == []
        assert one.token not in self.spent()

    def check_abroad(self, one: Customer) -> None:
        rows = self.abroad(one)
        assert {key[0] for key in rows} <= {CUSTOMER, ORDER}, "a case is still there"
        stays = {"External_Id__c", "Base_Version__c", "Region__c", "Status__c"}
        order = {"Channel__c", "Currency__c", "Total__c", "Discount_Total__c", "Item_Count__c"}
        order |= {"Refunded_Total__c", "Payment_Method__c", "Ship_Country__c"}
        for key, row in rows.items():
            assert row.keys() <= stays | (order if key[0] == ORDER else {"Country__c"}), key[0]

    def check_proofs(self, one: Customer, request: str) -> None:
        folder = self.home / "eu/erasures" / request
        told: Mapping[str, Any] = json.loads((folder / "certificate.json").read_bytes())
        log = ledger_verifier(self.keys)
        leaves = [told["ledger"]["leaf"], *(row["transfer"] for row in told["abroad"])]
        for leaf in leaves:
            proof = Proof.parse((folder / f"{leaf}.tlog-proof").read_bytes())
            entry = (folder / f"{leaf}.json").read_bytes()
            assert proof.index == leaf
            check_proof(proof, entry, log)
        mine = subject_commitment(secret(self.keys, COMMITMENTS), one.person.subject)
        logged = self.leaves()
        own = [leaf for leaf in logged if isinstance(leaf, ErasureLeaf) and leaf.request == request]
        assert [leaf.subject for leaf in own] == [mine] == [told["subject"]]
        assert own[0].counts == told["counts"]
        again = [str(leaf.record) for leaf in logged if isinstance(leaf, TransferLeaf)]
        assert len(again) == len(set(again)), "a record has two transfer leaves"
        assert {row["record"] for row in told["abroad"]} <= set(again)

    def leaks(self, customers: Sequence[Customer]) -> list[str]:
        """Return where something of *customers* can be read, the raw topics left out.

        Of Kafka what lies on the other topics is read, for its files are compressed; everything
        else byte by byte: the database's files and log, the org's, all logs and telemetry.
        """
        with psycopg.connect(self.dsn("admin"), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        search = LeakSearch(secret for one in customers for secret in one.secrets)
        found = search.search("quarantine", b"\n".join(self._values(topics.quarantine("eu"))))
        for topic in topics.outgoing("eu"):
            found += search.search(topic, b"\n".join(self._values(topic)))
        kafka, base = self.home / "eu/kafka", self.home / "eu/postgres"
        for path in self.home.rglob("*"):
            is_template = path.parent.parent.name == "base" and int(path.parent.name) < FIRST_OID
            if path.is_file() and kafka not in path.parents and not is_template:
                found += search.search_file(path, str(path.relative_to(self.home)))
        assert any(base.rglob("pg_wal/0*")), "the database's files lie elsewhere"
        return [leak.place for leak in found]

    def _values(self, topic: str) -> list[bytes]:
        """Return all that lies on a topic: keys, headers, values; its files are compressed."""
        login = load_settings(self.home, "eu", "admin").kafka
        consumer = Consumer(login.librdkafka(group_id="leaks", enable_auto_commit=False))
        with closing(consumer):
            places = [TopicPartition(topic, n) for n in range(topics.PARTITIONS)]
            marks = {p.partition: consumer.get_watermark_offsets(p, WAIT_S) for p in places}
            left = sum(high - low for low, high in marks.values())
            for place in places:
                place.offset = marks[place.partition][0]
            consumer.assign(places)
            found: list[bytes] = []
            while left > 0 and (messages := consumer.consume(1_000, 2.0)):
                left -= len(messages)
                for message in messages:
                    headers = [value or b"" for _, value in message.headers() or ()]
                    found += [message.key() or b"", message.value() or b"", *headers]
        return found


def _last(ends: Mapping[str, int]) -> list[Coordinates]:
    """Return the last records before *ends*, ``topic[partition]`` to offset."""
    return [
        Coordinates(name.partition("[")[0], int(name.partition("[")[2][:-1]), end - 1)
        for name, end in ends.items()
        if end
    ]
