"""``homeport salesforce preflight | deploy``: what an administrator of the central org runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from connectors.salesforce.errors import LoginRefusedError
from residency.regions import load_regions
from schemas.errors import RetriableError, SetupError
from streams.cli.options import home_option, json_option, region_option

if TYPE_CHECKING:
    from connectors.salesforce.config import SalesforceConfig
    from connectors.salesforce.deploy import TestLevel
    from connectors.sfdx.components import Choices

settings_option = click.option(
    "--settings",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file with the way into the org (instance_url, consumer_key, username,"
    " private_key_file, ...), 0600.",
)


@click.group()
def salesforce() -> None:
    """Check whether the central org can take our records; deploy what it needs.

    Exit codes: 0 fine, 1 the org lacks or refuses something, 3 it could not be asked.

    \b
    Example:
      homeport salesforce preflight --region eu
      homeport salesforce deploy --dry-run --region eu
    """


@salesforce.command()
@region_option
@home_option
@settings_option
@json_option
def preflight(*, region: str, home: Path, settings: Path | None, as_json: bool) -> None:
    """Ask the org whether it can take all that a region may send; name all it lacks, at once.

    By egress's own credentials, so that what its user may not see or edit shows. Egress asks
    the same before its first record. Nothing is written.

    \b
    Example:
      homeport salesforce preflight --region eu
      homeport salesforce preflight --region eu --settings org.json --json
    """
    from connectors.salesforce.client import OrgClient  # noqa: PLC0415 -- late, for --help
    from connectors.salesforce.preflight import preflight as check  # noqa: PLC0415
    from residency.contracts.needs import region_needs  # noqa: PLC0415
    from residency.contracts.read import load_contract  # noqa: PLC0415
    from schemas.registry import load_registry  # noqa: PLC0415

    needs = region_needs(region, load_contract(), load_registry())
    with asked():
        problems = check(OrgClient(way_in(home, region, settings), region), needs)
    if as_json:
        rows = [{"where": p.where, "problem": p.what, "next": p.step} for p in problems]
        click.echo(orjson.dumps({"region": region, "problems": rows}).decode())
    else:
        for problem in problems:
            click.echo(problem)
        fields = sum(len(need.fields) for need in needs.values())
        looked_at = f"{len(needs)} objects, {fields} fields"
        click.echo(f"{looked_at}: {len(problems)} problem(s)", err=True)
    raise SystemExit(1 if problems else 0)


@salesforce.command()
@click.option("--dry-run", is_flag=True, help="Say what would be deployed, and what would change.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write SFDX source and homeport-mdapi.zip to DIR; deploy nothing.",
)
@click.option("--update", is_flag=True, help="Write connectors/sfdx of this checkout anew.")
@click.option("--check-only", is_flag=True, help="Have the org validate the package, no more.")
@click.option("--follow", metavar="ID", help="Follow a deployment that was started before.")
@click.option(
    "--test-level",
    type=click.Choice(["NoTestRun", "RunLocalTests"]),
    default="NoTestRun",
    show_default=True,
    help="Which Apex tests of the org must pass; RunLocalTests in production.",
)
@click.option(
    "--certificate",
    "certificates",
    metavar="REGION=FILE",
    multiple=True,
    help="PEM of a region's certificate, for its app; without one it takes no JWT logins.",
)
@click.option("--contact-email", help="Whom Salesforce writes to about the apps.")
@click.option(
    "--permission-set",
    help="What the apps' policies name as the set that lets a user in: its API name, or its Id.",
)
@click.option(
    "--region", type=click.Choice(list(load_regions())), help="Use this region's way into the org."
)
@settings_option
@home_option
@json_option
def deploy(  # noqa: PLR0913  options of one command
    *,
    dry_run: bool,
    out: Path | None,
    update: bool,
    check_only: bool,
    follow: str | None,
    test_level: "TestLevel",
    certificates: tuple[str, ...],
    contact_email: str | None,
    permission_set: str | None,
    region: str | None,
    settings: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Deploy objects, fields, rules, permission sets and apps, made from the contracts.

    As an app whose user may `Modify Metadata Through Metadata API Functions`, named by
    --settings; a region's own user may not. All goes in or nothing; nothing is deleted. Logins
    are by certificate or client secret, never by password.

    \b
    Example:
      homeport salesforce deploy --dry-run --settings admin.json
      homeport salesforce deploy --out org --certificate eu=eu.pem --contact-email it@acme.example
      homeport salesforce deploy --check-only --settings admin.json
      homeport salesforce deploy --settings admin.json

    Ctrl-C stops following (exit code 130); the org goes on, and --follow ID finds it again.
    """
    from streams.cli import salesforce_deploy as run  # noqa: PLC0415 -- late, for --help

    if sum([dry_run, out is not None, update, check_only, follow is not None]) > 1:
        msg = "give one of --dry-run, --out, --update, --check-only, --follow"
        raise click.UsageError(msg)
    chosen = choices(certificates, contact_email, permission_set)
    if update:
        if certificates or contact_email or permission_set:
            msg = "--update writes what is the same for every org; use --out for one org's choices"
            raise click.UsageError(msg)
        run.update(as_json=as_json)
        return
    if out is not None:
        run.write(out, chosen, as_json=as_json)
        return
    if settings is None and region is None and not dry_run:
        msg = "name the org: --settings FILE, or --region R for the stack's"
        raise click.UsageError(msg)
    named = settings is not None or region is not None
    config = way_in(home, region, settings) if named else None
    if dry_run or config is None:
        run.show(config, chosen, as_json=as_json)
        return
    with asked():
        run.deploy(
            config,
            chosen,
            check_only=check_only,
            test_level=test_level,
            follow=follow,
            as_json=as_json,
        )


def way_in(home: Path, region: str | None, settings: Path | None) -> "SalesforceConfig":
    """Return what *settings* says, or else egress's own way into the org.

    Raises:
        SetupError: There is no such file, or it names no org.

    """
    from streams.settings import load_org, load_settings  # noqa: PLC0415 -- late, for --help

    if settings is not None:
        return load_org(settings)
    own = load_settings(home, region or "", "egress").salesforce
    if own is None:
        msg = "egress's settings name no org; run `homeport up` again, or give --settings"
        raise SetupError(msg)
    return own


def choices(
    certificates: tuple[str, ...], contact_email: str | None, permission_set: str | None
) -> "Choices":
    """Return what was chosen for the apps.

    Raises:
        click.UsageError: A certificate is of no region, or no PEM.

    """
    from connectors.sfdx.access import SINK  # noqa: PLC0415 -- late, for --help
    from connectors.sfdx.components import CONTACT, Choices  # noqa: PLC0415

    pems = {}
    for word in certificates:
        region, _, file = word.partition("=")
        if region not in load_regions() or not file:
            msg = f"--certificate: {region!r} is no region; write REGION=FILE"
            raise click.UsageError(msg)
        pems[region] = _pem(Path(file))
    return Choices(contact_email or CONTACT, permission_set or SINK, pems)


def _pem(path: Path) -> str:
    """Return a certificate alone: what else the file holds, a private key say, stays here."""
    from cryptography import x509  # noqa: PLC0415 -- late, for --help
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as exc:
        msg = f"--certificate: {path} holds no certificate in PEM"
        raise click.UsageError(msg) from exc
    return found.public_bytes(Encoding.PEM).decode().strip()


@contextmanager
def asked() -> Iterator[None]:
    """Have an org that cannot be asked be a matter of the set-up: exit code 3."""
    try:
        yield
    except (RetriableError, LoginRefusedError) as exc:
        raise SetupError(str(exc)) from exc
