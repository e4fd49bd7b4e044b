"""``homeport ledger reindex``: build the Postgres index of a ledger anew from its entries."""

from contextlib import closing
from pathlib import Path

import click
import orjson

from residency.ledger.reader import Reader
from schemas.errors import SetupError
from streams.cli.bars import leaf_bar
from streams.cli.options import home_option, json_option, region_option


@click.command()
@region_option
@home_option
@json_option
def reindex(region: str, home: Path, as_json: bool) -> None:
    """Build the region's Postgres index of its ledger anew, from the entries.

    Example: homeport ledger reindex --region eu

    For an index that is damaged or doubted; a lost one egress rebuilds by itself. Refuses while
    egress runs, and where the ledger is shorter than its index. All or nothing: interrupted, the
    old index stays. Expected rows and parked records are not touched.

    Exit codes: 0 rebuilt, 1 refused or the ledger does not hold, 3 no stack or ledger there.
    """
    # late: the other ledger commands need no database driver
    from connectors.postgres.egress_store import EgressStore  # noqa: PLC0415
    from streams.indexing import reindex as build  # noqa: PLC0415
    from streams.settings import load_settings  # noqa: PLC0415

    settings = load_settings(home, region, "egress")
    if settings.postgres is None:
        msg = f"the settings of egress in {region} name no postgres; run `homeport up` again"
        raise SetupError(msg)
    reader = Reader(settings.folder / "ledger")
    reader.require()
    with closing(EgressStore(settings.postgres.dsn)) as store, leaf_bar() as progress:
        size = build(reader, reader.verifier(), store, progress)
        results = store.results()
    if as_json:
        told = {"region": region, "leaves": size, "results": results}
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    counts = ", ".join(f"{n} {result}" for result, n in sorted(results.items())) or "no outcome"
    click.echo(f"{region}: {size} leaves indexed: {counts}")
