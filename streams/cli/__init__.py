"""The ``homeport`` command. Each subcommand lives in a module of its own, loaded on use."""

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module

import click

from schemas.errors import HomeportError, SetupError
from streams import loading

# name -> (module, attribute, help line); --help must not import Kafka, Faust or Postgres
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("streams.cli.demo", "demo", "Run the whole line on real parts and prove it."),
    "up": ("streams.cli.stack", "up", "Start the embedded stack and its workers."),
    "down": ("streams.cli.stack", "down", "Stop exactly what `up` started."),
    "status": ("streams.cli.stack", "status", "Show what runs, where, and whether it is ready."),
    "logs": ("streams.cli.stack", "logs", "Show the logs of a process of the stack."),
    "doctor": ("streams.cli.stack", "doctor", "Check the machine and the home; say what to mend."),
    "test": ("streams.cli.test", "test", "Run the test suites on real Kafka and Postgres."),
    "infer": ("streams.cli.infer", "infer", "Run, look at, measure a region's model server."),
    "worker": ("streams.cli.worker", "worker", "Run one service of one region in front."),
    "dry-run": ("streams.cli.dryrun", "dry_run", "Say what would leave, without Kafka or network."),
    "schema": ("streams.cli.schema", "schema", "Check the Avro schemas, their tags and ids."),
    "policy": ("streams.cli.policy", "policy", "Lint, compare and show the policy packs."),
    "plan": ("streams.cli.plan_review", "plan", "Show, lint, compare and approve what may leave."),
    "processors": ("streams.cli.processors", "processors", "List and check processors."),
    "tasks": ("streams.cli.tasks", "tasks", "Ask the region's model about texts; lint, measure."),
    "explain": ("streams.cli.plan", "explain", "Say which rule and law decide one field."),
    "keys": ("streams.cli.keys", "keys", "Show and rotate token keys, look tokens up."),
    "noninterference": (
        "streams.cli.noninterference",
        "noninterference",
        "Try, on pairs of events, that regulated values do not show outside.",
    ),
    "ledger": ("streams.cli.ledger", "ledger", "Verify a ledger, show entries, prove one."),
    "replay": ("streams.cli.replay", "replay", "Hold the ledger against the raw records."),
    "reconcile": (
        "streams.cli.reconcile",
        "reconcile",
        "Compare org, expected rows and ledger.",
    ),
    "models": ("streams.cli.models", "models", "Certify a region's model; compare all regions'."),
    "egress": ("streams.cli.egress", "egress", "Show why egress is halted; let it run again."),
    "leak-budget": (
        "streams.cli.leak_budget",
        "leak_budget",
        "Show what labels have told of whom, in bits.",
    ),
    "vault": ("streams.cli.vault", "vault", "Look into what stays home; keep it, rotate its keys."),
    "subject": ("streams.cli.subject", "subject", "Export or erase a person; see how far it is."),
    "quarantine": ("streams.cli.quarantine", "quarantine", "Show what could not go on; retry it."),
    "rejects": ("streams.cli.rejects", "rejects", "Show what the org refused; send it again."),
    "salesforce": ("streams.cli.salesforce", "salesforce", "Check the org; deploy what it needs."),
    "sandbox": ("streams.cli.sandbox", "sandbox", "Run the local Salesforce test org alone."),
}

# What a person mends: a full, failing or read-only disk, a file that is somebody else's.
_MENDABLE = {
    errno.EACCES, errno.EDQUOT, errno.EIO, errno.EISDIR, errno.ENOSPC, errno.ENOTDIR, errno.EPERM,
    errno.EROFS,
}  # fmt: skip
EXIT_WRONG, EXIT_USAGE, EXIT_ENVIRONMENT, EXIT_INTERRUPTED = 1, 2, 3, 130


class LazyGroup(click.Group):
    """A group whose subcommands are imported only when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one subcommand."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        loading.end()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[2]) for name, row in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="homeport")
def cli() -> None:
    """Homeport keeps regulated customer data in its home region, and proves it.

    Start with `homeport demo`: three regions, real Kafka, a Salesforce-compatible org,
    a signed ledger. `homeport COMMAND --help` explains each command.

    Exit codes: 0 fine, 1 found something wrong, 2 usage, 3 environment, 130 interrupted.
    """


def main() -> None:
    """Run the command line and turn errors into the documented exit codes."""
    try:
        code = cli.main(prog_name="homeport", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)  # click returns what ctx.exit() was given
    except click.UsageError as exc:
        exc.show()
        sys.exit(EXIT_USAGE)
    except click.ClickException as exc:
        exc.show()
        sys.exit(EXIT_WRONG)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except SetupError as exc:
        click.echo(f"homeport: {exc}", err=True)
        sys.exit(EXIT_ENVIRONMENT)
    except HomeportError as exc:
        click.echo(f"homeport: {exc}", err=True)
        sys.exit(EXIT_WRONG)
    except OSError as exc:
        if exc.errno not in _MENDABLE:
            raise  # ours to mend: the traceback says where
        click.echo(f"homeport: {_told(exc)}; mend that and try again", err=True)
        _drop_output()
        sys.exit(EXIT_ENVIRONMENT)


def _told(exc: OSError) -> str:
    """Return what the system said, and of which file."""
    where = "" if exc.filename is None else f"{exc.filename}: "
    return f"{where}{exc.strerror or type(exc).__name__}"


def _drop_output() -> None:
    """Let go of what stdout would not take, or Python's own last try fails, with its own code."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
