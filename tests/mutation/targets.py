"""Which files are mutated and by which tests they are held, read from `targets.toml`."""

import subprocess
import tomllib
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parent / "targets.toml"


def load(root: Path, file: Path = FILE) -> dict[str, list[str]]:
    """Return the tests of each file to mutate, all relative to *root*.

    A file belongs to the first target that names it; empty ``__init__`` files are left out.
    """
    found: dict[str, list[str]] = {}
    for target in tomllib.loads(file.read_text(encoding="utf-8"))["target"]:
        tests = [path for pattern in target["tests"] for path in _matching(root, pattern)]
        for pattern in target["files"]:
            for name in _matching(root, pattern):
                if tests and not name.endswith("__init__.py"):
                    found.setdefault(name, tests)
    return found


def _matching(root: Path, pattern: str) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.glob(pattern))


def changed(root: Path, base: str) -> tuple[set[str] | None, str]:
    """Return the files changed since *base*, and since when that is, in words.

    A shallow clone has no *base*, and the main branch is its own: then the last commit's
    files count; without one before it, None: all files.
    """
    for revision, words in ((base, f"changed since {base}"), ("HEAD~1", "of the last commit")):
        start = _git(root, "merge-base", revision, "HEAD")
        if start is None or (revision == base and start == _git(root, "rev-parse", "HEAD")):
            continue
        listed = _git(root, "diff", "--name-only", start.strip())
        if listed is not None:
            return set(listed.splitlines()), words
    return None, "all: there is no earlier commit to compare with"


def _git(root: Path, *arguments: str) -> str | None:
    done = subprocess.run(
        ["git", *arguments], cwd=root, check=False, capture_output=True, text=True
    )
    return done.stdout if done.returncode == 0 else None
