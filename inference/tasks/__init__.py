"""Tasks as data: what may be asked of a text, and every answer there is."""

from inference.tasks.load import load_tasks
from inference.tasks.model import UNKNOWN, WITHHELD, Label, Rule, Task, Tasks

__all__ = ["UNKNOWN", "WITHHELD", "Label", "Rule", "Task", "Tasks", "load_tasks"]
