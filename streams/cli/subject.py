"""``homeport subject``: what a person may ask of a region."""

import click

from streams.cli.subject_erase import erase_command, status_command


@click.group()
def subject() -> None:
    """Erase a person, and see how far it is.

    docs/erasure.md tells what is destroyed, and what remains and why.
    """


subject.add_command(erase_command)
subject.add_command(status_command)
