"""``homeport vault backup|restore``: the vault as one file, and back without the erased."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from streams.cli.options import home_option, json_option, region_option
from streams.cli.vault_keeping import dsn_of, settings_of, tell


@contextmanager
def byte_bar() -> Iterator[Callable[[str, int], None]]:
    """Yield what shows on stderr how much of each table is done."""
    from rich.console import Console  # noqa: PLC0415 - heavy; --help must not pay
    from rich.progress import DownloadColumn, Progress, TextColumn  # noqa: PLC0415 - as above

    columns = TextColumn("{task.description}"), DownloadColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(table: str, size: int) -> None:
            bar.update(task, description=table, completed=size)

        yield progress


@click.command()
@region_option
@home_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The new file.",
)
@json_option
def backup(region: str, home: Path, out: Path, *, as_json: bool) -> None:
    """Write a region's vault to one new file, readable by its owner alone; services go on.

    All of it is of one moment. What is sealed stays sealed, and the keys to it are not in the
    file: keep HOME/REGION/keys, too, and elsewhere. Interrupted, it leaves no file: run it again.

    Example: homeport vault backup --region eu --out eu-vault.backup
    """
    from connectors.postgres.vault import backup as backups  # noqa: PLC0415 - as above

    dsn = dsn_of(settings_of(home, region))
    with byte_bar() as progress:
        made = backups.write(dsn, region, out, progress)
    size = sum(part.bytes for part in made.tables.values())
    document = {
        "region": region,
        "file": str(out),
        "taken_at": made.taken_at.isoformat(),
        "migration": made.migration,
        "bytes": size,
        "sha256": {name: part.sha256 for name, part in made.tables.items()},
    }
    text = f"{region}: {size / 2**20:.1f} MiB of {made.taken_at.isoformat()} in {out}"
    tell(document, text, as_json=as_json)


@click.command()
@region_option
@home_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--without-ledger",
    is_flag=True,
    help="The region has no ledger: only its tables say who was erased since.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def restore(  # noqa: PLR0913, one option each
    region: str, home: Path, file: Path, *, without_ledger: bool, yes: bool, as_json: bool
) -> None:
    """Put a backup in the place of a region's vault, without those who were erased since.

    Who was erased is told by the region's own tables and, where those are lost, by its ledger;
    both are applied before anybody can read what was restored. The vault's writer then reads on
    from where the backup was, as far as Kafka still has it. All of it happens or nothing.

    It refuses while the region's vault, look-up or erasure worker runs: `homeport down`, then
    `homeport up --without-workers`, restore, and `homeport up`.

    Example: homeport vault restore --region eu eu-vault.backup
    """
    from connectors.postgres.vault import restore as restoring  # noqa: PLC0415 - as above
    from streams.vault.keystores import open_keystore  # noqa: PLC0415 - as above
    from streams.vault.restoring import means_of  # noqa: PLC0415 - as above

    settings = settings_of(home, region)
    means = means_of(settings, open_keystore(settings).load(), has_ledger=not without_ledger)
    if not yes:
        click.confirm(f"Replace what the vault of {region} holds?", abort=True, err=True)
    with byte_bar() as progress:
        done = restoring.restore(dsn_of(settings), file, means, progress)
    document = {
        "region": region,
        "taken_at": done.manifest.taken_at.isoformat(),
        "subjects": done.subjects,
        "erased": done.erased,
        "erased_by_ledger": done.from_ledger,
    }
    text = (
        f"{region}: {done.subjects} subjects as of {done.manifest.taken_at.isoformat()};"
        f" {done.erased} were erased since and are not among them"
    )
    tell(document, text, as_json=as_json)
