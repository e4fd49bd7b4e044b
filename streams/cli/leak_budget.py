"""``homeport leak-budget``: what labels have told of whom, in bits."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

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

SHOWN = 20  # customers


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
@click.pass_context
def show(  # noqa: PLR0913, PLR0917, click passes each option as one
    ctx: click.Context,
    region: str,
    home: Path,
    as_json: bool,
    subject: str | None,
    record: str | None,
) -> None:
    """Show the budget and what is spent of it; or one customer's records; or one record's labels.

    \b
    Examples:
      homeport leak-budget show --region eu
      homeport leak-budget show --region eu --subject-token tok_eu1_... --json
      homeport leak-budget show --region eu --record 'eu.commerce.messages.v1[0]@7#1'

    A withheld record's answers are shown here too: they have not left the region, and this is
    run in it.

    Exit codes: 0 shown, 1 nothing is known of that customer or record, 3 no stack in this home.
    """
    if subject is not None and record is not None:
        msg = "say one of --subject-token and --record"
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
    else:
        document |= _totals(reader, since)
    if as_json:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    else:
        _print(document)
    if document.get("decisions") == []:
        ctx.exit(EXIT_WRONG)


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
