"""What ``homeport salesforce deploy`` does, in each of its ways."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import orjson

from connectors.salesforce.client import CallRetry, OrgClient
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.deploy import Deployment, Status, TestLevel
from connectors.salesforce.described import Change, changes, read_described
from connectors.sfdx.components import Choices, Component, components, deployable
from connectors.sfdx.reader import read_org
from connectors.sfdx.source import FOLDER, SOURCE, drift, package, source_files, write_source
from residency.regions import load_regions
from schemas.errors import HomeportError, RetriableError, SetupError

ZIP = "homeport-mdapi.zip"
ASK = CallRetry(deadline_s=20.0)  # a dry run need not have the org


def update(*, as_json: bool) -> None:
    """Make connectors/sfdx what is generated; what one org chooses is not committed."""
    files = source_files(components())
    stale = write_source(FOLDER, files)
    if as_json:
        click.echo(orjson.dumps({"folder": str(FOLDER), "changed": stale}).decode())
        return
    for name in stale:
        click.echo(name)
    click.echo(f"connectors/sfdx: {len(files)} files, {len(stale)} changed", err=True)


def write(folder: Path, chosen: Choices, *, as_json: bool) -> None:
    """Write source and package to *folder*.

    Raises:
        SetupError: It cannot be written to, or there is other source in it.

    """
    parts = components(chosen)
    files = source_files(parts)
    if strangers := sorted(set(drift(files, folder)) - files.keys()):
        msg = f"{folder}: has source that is not ours, such as {strangers[0]}; choose another DIR"
        raise SetupError(msg)
    try:
        write_source(folder, files)
        (folder / ZIP).write_bytes(package(parts))
    except OSError as exc:
        msg = f"{folder}: cannot be written ({type(exc).__name__}); choose another DIR"
        raise SetupError(msg) from exc
    if as_json:
        told = {"folder": str(folder), "files": sorted(files), "package": ZIP}
        click.echo(orjson.dumps(told).decode())
    else:
        click.echo(f"{folder}: {len(files)} files of source, and {ZIP}", err=True)


def show(config: SalesforceConfig | None, chosen: Choices, *, as_json: bool) -> None:
    """Print what would be deployed and, if the org can be asked, what would change in it."""
    parts = deployable(chosen)
    _tell_left_alone(chosen)
    found, problem = _compared(config, parts)
    if as_json:
        told = {
            "components": [{"type": one.kind, "name": str(one).split(" ")[1]} for one in parts],
            "org": None if config is None else config.instance_url,
            "not_asked": problem,
            "changes": None if problem else [asdict(one) for one in found],
        }
        click.echo(orjson.dumps(told).decode())
        return
    for one in parts:
        click.echo(one)
    for change in found:
        click.echo(change)
    ours = sum(change.kind != "kept" for change in found)
    told_org = f"not compared with an org: {problem}" if problem else f"{ours} change(s) in the org"
    click.echo(f"{len(parts)} components; {told_org}", err=True)


def deploy(  # noqa: PLR0913  each an option
    config: SalesforceConfig,
    chosen: Choices,
    *,
    check_only: bool,
    test_level: TestLevel,
    follow: str | None,
    as_json: bool,
) -> None:
    """Deploy, and follow it to the end.

    Raises:
        SetupError: The org stopped answering; the text says how to go on.
        HaltError: The org refuses.
        SystemExit: 1 if a component failed.

    """
    deployment = Deployment(config)
    if follow is None:
        _tell_left_alone(chosen)
    job = follow or deployment.start(
        package(deployable(chosen)), check_only=check_only, test_level=test_level
    )
    click.echo(f"deployment {job}{' (check only)' if check_only else ''}", err=True)
    try:
        status = deployment.follow(job, _Progress().tell)
    except KeyboardInterrupt:
        click.echo(f"the org goes on; homeport salesforce deploy --follow {job}", err=True)
        raise
    except RetriableError as exc:
        msg = f"{exc}; the org may go on: homeport salesforce deploy --follow {job}"
        raise SetupError(msg) from exc
    if as_json:
        click.echo(orjson.dumps(asdict(status) | {"check_only": check_only}).decode())
    else:
        for failure in status.failures:
            click.echo(f"{failure.kind} {failure.file}: {failure.problem}")
    raise SystemExit(0 if status.is_good else 1)


def _tell_left_alone(chosen: Choices) -> None:
    alone = [region for region in load_regions() if region not in chosen.certificates]
    if alone:
        told = ", ".join(alone)
        click.echo(f"left alone: the apps of {told}; give --certificate REGION=FILE", err=True)


class _Progress:
    """Says on stderr how far it is, whenever that changes."""

    def __init__(self) -> None:
        self._last = ""

    def tell(self, status: Status) -> None:
        """Print a line unless it is the last one again."""
        line = f"{status.state}: {status.deployed} of {status.total}, {status.failed} failed"
        if line != self._last:
            click.echo(line, err=True)
        self._last = line


def _compared(
    config: SalesforceConfig | None, parts: Sequence[Component]
) -> tuple[Sequence[Change], str | None]:
    """Return what would change, or else why that is not known."""
    if config is None:
        return (), "name one with --settings or --region"
    with TemporaryDirectory() as folder:
        write_source(Path(folder), source_files(parts))
        wanted = read_org(Path(folder) / SOURCE / "objects")
    try:
        have = read_described(OrgClient(config, "deploy", retry=ASK), wanted)
    except HomeportError as exc:
        return (), str(exc)
    return tuple(changes(wanted, have)), None
