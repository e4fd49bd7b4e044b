"""``homeport subject``: what a person may ask of a region."""

import click

from streams.cli.subject_export import export_command


@click.group()
def subject() -> None:
    """Answer a person who asks what a region holds of them.

    docs/subject-export.md tells the whole story.
    """


subject.add_command(export_command)
