"""``homeport vault``: what stays home."""

import click

from streams.cli.vault_backup import backup, restore
from streams.cli.vault_find import caller, find
from streams.cli.vault_keeping import migrate, prune, rotate, status


@click.group()
def vault() -> None:
    """Look into what a region keeps of its customers, and look after it and the keys to it.

    docs/vault.md tells the whole story, docs/vault-keys.md that of the keys,
    docs/vault-backup.md that of backups, docs/vault-find.md who sees what.
    """


for _command in (find, caller, status, migrate, rotate, prune, backup, restore):
    vault.add_command(_command)
