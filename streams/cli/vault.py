"""``homeport vault``: what stays home."""

import click

from streams.cli.vault_backup import backup, restore
from streams.cli.vault_keeping import migrate, prune, rotate, status


@click.group()
def vault() -> None:
    """Look after what a region keeps of its customers: sealed events and the keys to them.

    docs/vault.md tells the whole story, docs/vault-keys.md that of the keys,
    docs/vault-backup.md that of backups.
    """


for _command in (status, migrate, rotate, prune, backup, restore):
    vault.add_command(_command)
