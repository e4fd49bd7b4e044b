"""``homeport vault``: what stays home."""

import click

from streams.cli.vault_find import caller, find


@click.group()
def vault() -> None:
    """Look into what a region keeps of its customers, and say who may.

    docs/vault-find.md tells the whole story.
    """


vault.add_command(find)
vault.add_command(caller)
