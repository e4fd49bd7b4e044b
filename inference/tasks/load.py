"""The tasks of this checkout, for those who answer them."""

from functools import cache

from inference.tasks.denied import load_denied
from inference.tasks.lint import lint_tasks
from inference.tasks.model import Tasks
from inference.tasks.read import BadTaskError, read_tasks, task_files


@cache
def load_tasks() -> Tasks:
    """Return the tasks by name.

    Raises:
        BadTaskError: `homeport tasks lint` would name a problem.

    """
    files = task_files()
    denied, findings = load_denied()
    found = [*findings, *lint_tasks(files, denied)]
    if found:
        msg = f"{found[0]}; `homeport tasks lint` names all {len(found)} problem(s)"
        raise BadTaskError(msg)
    tasks = (one.task for one in read_tasks(files, []))
    return {task.name: task for task in tasks if task is not None}
