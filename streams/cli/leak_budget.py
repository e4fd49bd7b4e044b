"""``homeport leak-budget``: what labels have told of whom, in bits."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from inference.tasks import load_tasks
from residency import topics
from residency.decisions import decision_json
from residency.leak import MILLIBITS
from residency.policy.budgets import load_budget
from schemas.errors import SetupError
from schemas.events import RecordId
from streams.cli import EXIT_WRONG
from streams.cli.options import home_option, json_option, region_option

if TYPE_CHECKING:
    from connectors.postgres.decisions import DecisionReader
    from residency.policy.budgets import Budget
    from streams.settings import ReplaySettings

SHOWN = 20  # customers
BEGINNING = datetime.fromtimestamp(0, UTC)  # before any record that a vault keeps


@click.group("leak-budget")
def leak_budget() -> None:
    """Show what the labels of each customer's texts have told outside of their region.

    A label that is one of n words tells at most log2 n bits. The sum per customer over a window
    has a cap, in residency/policy/leak_budget.toml; past it the label is `withheld`.
    docs/leak-budget.md tells the whole story.
    """


@leak_budget.command()
@region_option
@home_option
@json_option
@click.option("--subject-token", "subject", help="One customer, by the token in requests.")
@click.option("--record", help="One record, by its name in ledger and logs.")
@click.option("--rights", is_flag=True, help="Records that ask for a right of their customer.")
@click.pass_context
def show(  # noqa: PLR0913, PLR0917, click passes each option as one
    ctx: click.Context,
    region: str,
    home: Path,
    as_json: bool,
    subject: str | None,
    record: str | None,
    *,
    rights: bool,
) -> None:
    """Show the budget and what is spent of it; or one customer's records, one record, rights.

    \b
    Examples:
      homeport leak-budget show --region eu
      homeport leak-budget show --region eu --subject-token tok_eu1_... --json
      homeport leak-budget show --region eu --record 'eu.commerce.messages.v1[0]@7#1'
      homeport leak-budget show --region eu --rights

    A withheld record's answers are shown here too: they have not left the region, and this is
    run in it. So --rights also names who asked for erasure, access or objection when their
    labels were withheld, of whom no alert can tell.

    Exit codes: 0 shown, 1 nothing is known of that customer or record, or nobody asks for a
    right, 3 no stack in this home.
    """
    if (subject is not None) + (record is not None) + rights > 1:
        msg = "say one of --subject-token, --record and --rights"
        raise click.UsageError(msg)
    budget, reader = load_budget(region), _reader(home, region)
    since = datetime.now(UTC) - timedelta(days=budget.window_days)
    document: dict[str, Any] = {"region": region, "budget": _budget(budget)}
    if record is not None:
        rows = reader.of_record(_name(record))
        document |= {"record": record, "decisions": [decision_json(*row) for row in rows]}
    elif subject is not None:
        rows = reader.of_subject(subject, since)
        told = sum(one.question.cost for one, _ in rows if not one.is_withheld)
        document |= {
            "subject": subject,
            "told_bits": told / MILLIBITS,
            "left_bits": budget.cap_bits - told / MILLIBITS,
            "decisions": [decision_json(*row) for row in rows],
        }
    elif rights:
        wanted = [(task.name, label) for task in load_tasks().values() for label in task.alerts]
        rows = reader.of_labels(wanted, since)
        document |= {"decisions": [decision_json(*row) for row in rows]}
    else:
        document |= _totals(reader, since)
    if as_json:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    else:
        _print(document)
    if document.get("decisions") == []:
        ctx.exit(EXIT_WRONG)


@leak_budget.command()
@region_option
@home_option
@json_option
@click.option("--dry-run", is_flag=True, help="Say how many would go; delete nothing.")
def prune(region: str, home: Path, *, as_json: bool, dry_run: bool) -> None:
    """Delete the decisions about texts that nobody can ask for any more.

    They are personal data, and go when Kafka and the vault have deleted their raw record, so that
    it can be neither replayed nor sent again, and the budget's window has moved past them. Run
    it daily.

    Example: homeport leak-budget prune --region eu --dry-run

    Exit codes: 0 done, 1 Kafka or Postgres do not answer, 3 no stack in this home.
    """
    from connectors.postgres.decisions import Decisions  # noqa: PLC0415 - heavy
    from streams.settings import load_replay, load_settings  # noqa: PLC0415 - heavy

    before = datetime.now(UTC) - timedelta(days=load_budget(region).window_days)
    firsts = first_offsets(load_replay(home, region))
    postgres = load_settings(home, region, "enrich").postgres
    if postgres is None:
        msg = f"the settings of enrich in {region} name no postgres; run `homeport up` again"
        raise SetupError(msg)
    with closing(Decisions(postgres.dsn)) as store:
        count = store.prune(firsts, before, is_dry=dry_run)
    if as_json:
        click.echo(orjson.dumps({"region": region, "decisions": count, "deleted": not dry_run}))
    else:
        click.echo(f"{region}: {count:,} decisions {'would go' if dry_run else 'deleted'}")


def first_offsets(settings: "ReplaySettings") -> dict[tuple[str, int], int]:
    """Return, by raw topic's id and partition, the first offset that can still be read.

    That is Kafka's first, or the vault's where its archive reaches further back.
    """
    from connectors.kafka.topology import load_topics  # noqa: PLC0415 - heavy
    from streams.replay.archive import archived  # noqa: PLC0415 - heavy
    from streams.replay.topics import spans  # noqa: PLC0415 - heavy

    raw = topics.raw_topics(settings.region)
    known = load_topics(settings.home, settings.region)
    there = spans(settings, {name: known[name] for name in raw}, None, None)
    return {
        (one.place.topic_id, one.place.partition): one.archive[0] if one.archive[1] else one.start
        for one in archived(settings, there, BEGINNING, None)
    }


def _reader(home: Path, region: str) -> "DecisionReader":
    """Return what reads decisions and writes nothing: with the rights of a replay."""
    from connectors.postgres.decisions import DecisionReader  # noqa: PLC0415 - heavy
    from streams.settings import load_replay  # noqa: PLC0415 - heavy

    settings = load_replay(home, region)
    if settings.postgres is None:
        msg = f"the settings of replay in {region} name no postgres; run `homeport up` again"
        raise SetupError(msg)
    return DecisionReader(settings.postgres.dsn)


def _name(record: str) -> str:
    """Return a record's name without its resend number: a resend says what the first one said."""
    try:
        parsed = RecordId.parse(record)
    except ValueError as exc:
        msg = f"--record: {exc}"
        raise click.UsageError(msg) from None
    return str(RecordId(parsed.at, parsed.output))


def _budget(budget: "Budget") -> dict[str, Any]:
    return {
        "id": budget.id,
        "cap_bits": budget.cap_bits,
        "window_days": budget.window_days,
        "source": budget.source,
    }


def _totals(reader: "DecisionReader", since: datetime) -> dict[str, Any]:
    """Return how much was told in the window, of how many, and of whom most."""
    rows = reader.told(since)
    return {
        "customers": len(rows),
        "told_bits": sum(row[1] for row in rows) / MILLIBITS,
        "records": {"answered": sum(r[2] for r in rows), "withheld": sum(r[3] for r in rows)},
        "highest": [
            {"subject": name, "told_bits": bits / MILLIBITS, "answered": out, "withheld": kept}
            for name, bits, out, kept in rows[:SHOWN]
        ],
    }


def _print(document: dict[str, Any]) -> None:
    budget = document["budget"]
    click.echo(
        f"{document['region']}: {budget['cap_bits']} bits in {budget['window_days']} days"
        f" ({budget['id']}: {budget['source']})"
    )
    if "told_bits" in document:
        click.echo(f"told: {document['told_bits']:,.1f} bits")
    if "left_bits" in document:
        click.echo(f"left: {document['left_bits']:,.1f} bits")
    if "records" in document:
        records = document["records"]
        click.echo(
            f"records: {records['answered']:,} answered, {records['withheld']:,} withheld,"
            f" of {document['customers']:,} customers"
        )
    for row in document.get("highest", ()):
        click.echo(
            f"  {row['subject']}  {row['told_bits']:,.1f} bits,"
            f" {row['answered']} answered, {row['withheld']} withheld"
        )
    for row in document.get("decisions", ()):
        state = "withheld" if row["withheld"] else f"{row['bits']:.1f} bits"
        click.echo(f"{row['at']}  {row['record']}  {state}")
        for name, answer in row["answers"].items():
            click.echo(f"    {name}: {answer['label']} ({answer['method']})")
