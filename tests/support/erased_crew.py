"""The workers around an erasure that tests start, kill and stop themselves, and what people run."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner
from erased_line import ErasureLine
from forked import Forks, forks
from standin_model import StandIn
from vault_line import wait_until

from schemas.errors import SetupError
from streams.cli.vault import vault

Run = subprocess.Popen[str]
RUN_S = 120.0  # a bound


@dataclass
class Crew:
    """Vault, enrichment and erasing worker of the region eu, and its model.

    Attributes:
        erasing: Started by whoever wants it.
        runs: The command that runs beside all else, with what it is.
        over: Those that have ended, with exit code and what they said.

    """

    home: Path
    model: StandIn
    vault: Forks
    enrich: Forks
    erasing: Forks
    runs: list[tuple[str, Run]] = field(default_factory=list)
    over: list[tuple[str, int, str]] = field(default_factory=list)

    def store(self) -> None:
        """Start the vault's writer anew, whatever became of the last."""
        self.vault.kill()
        self.vault.start(home=str(self.home), service="vault")

    def read(self, dies_at: str = "") -> None:
        """Start enrichment anew."""
        self.enrich.kill()
        self.enrich.start(home=str(self.home), service="enrich", dies_at=dies_at)

    def erase(self, dies_at: str = "") -> None:
        """Start the erasing worker anew."""
        self.erasing.kill()
        self.erasing.start(home=str(self.home), dies_at=dies_at)

    def back_up(self) -> Path:
        """Write a backup of the vault, beside the region's state; services go on."""
        folder = self.home / "eu/backups"
        folder.mkdir(exist_ok=True)
        file = folder / f"{len(list(folder.iterdir()))}.backup"
        assert self._vault("backup", "--out", str(file)) == 0
        return file

    def restore(self, line: ErasureLine, file: Path) -> None:
        """Put a backup in the place of the vault, as docs/vault-backup.md says; then go on."""
        self.vault.kill()
        self.erasing.kill()
        line.erasures.close()

        def is_restored() -> bool:
            with suppress(SetupError):  # the database has not noticed yet that the killed are gone
                return self._vault("restore", str(file), "--yes") == 0
            return False

        wait_until("the backup is back", is_restored)
        self.store()
        self.erase()

    def run(self, what: str, *words: str) -> None:
        """Begin a `homeport` command of the region once the last has ended: one at a time."""
        self._wait()
        argv = [sys.executable, "-P", "-m", "streams.cli", *words]
        argv += ["--region", "eu", "--home", str(self.home)]
        self.runs.append((what, subprocess.Popen(argv, stdout=-1, stderr=-2, text=True)))

    def ended(self) -> list[tuple[str, int, str]]:
        """Wait for all commands; return what each was, its exit code and what it said."""
        self._wait()
        found, self.over = self.over, []
        return found

    def _wait(self) -> None:
        while self.runs:
            what, run = self.runs.pop()
            said = run.communicate(timeout=RUN_S)[0]
            self.over.append((what, run.returncode, said))

    def _vault(self, *words: str) -> int:
        argv = [*words, "--region", "eu", "--home", str(self.home)]
        return CliRunner().invoke(vault, argv, catch_exceptions=False).exit_code


@contextmanager
def crew(home: Path, model: StandIn) -> Iterator[Crew]:
    """Yield a crew whose vault and enrichment work."""
    logs = home / "logs"
    with (
        forks("service_process", logs / "eu-vault.log") as storing,
        forks("service_process", logs / "eu-enrich.log") as reading,
        forks("erase_process", logs / "eu-erase.log") as erasing,
    ):
        found = Crew(home, model, storing, reading, erasing)
        found.store()
        found.read()
        try:
            yield found
        finally:
            for _, run in found.runs:
                run.kill()
                run.wait()
