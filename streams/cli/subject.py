"""``homeport subject``: what a person may ask of a region."""

import click

from streams.cli.subject_erase import erase_command, status_command
from streams.cli.subject_export import export_command


@click.group()
def subject() -> None:
    """Export all that is held of a person, or erase them and see how far it is.

    docs/subject-export.md tells what an export holds; docs/erasure.md what an erasure destroys,
    and what remains and why.
    """


subject.add_command(export_command)
subject.add_command(erase_command)
subject.add_command(status_command)
