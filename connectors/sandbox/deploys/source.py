"""What is deployed, as source: the base that comes with the org, and what was deployed since.

The latter lies in ``<home>/sandbox/deployed/<number>/``, a folder for each deployment that
changed the org, of which the org's database names the one that counts: a folder half written
when the org was killed is none. An empty file there stands for one of the base that is gone.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from connectors.embedded.files import PRIVATE_FILE, private_dir
from connectors.sandbox.deployed.metadata import Metadata
from connectors.sandbox.deployed.source import SFDX, load_metadata

GONE = b""
_FOLDERS = ("objects", "permissionsets", "extlClntAppOauthPolicies")  # that metadata always has


@dataclass(frozen=True, slots=True)
class Source:
    """Source files by path.

    Attributes:
        base: What the org comes with.
        changes: What was deployed over it; `GONE` where that took something of the base away.

    """

    base: Mapping[str, bytes]
    changes: Mapping[str, bytes]

    @classmethod
    def read(cls, folder: Path, number: int) -> Self:
        """Return the org's source after the deployment *number*; 0: none was ever made."""
        return cls(_files(SFDX), _files(folder / str(number)) if number else {})

    def files(self) -> dict[str, bytes]:
        """Return every file that there is."""
        return {p: c for p, c in {**self.base, **self.changes}.items() if c != GONE}

    def put(self, path: str, content: bytes) -> Self:
        """Return the source with that file."""
        return replace(self, changes={**self.changes, path: content})

    def take(self, path: str) -> Self:
        """Return the source without that file."""
        changes = {p: c for p, c in self.changes.items() if p != path}
        if path in self.base:
            changes[path] = GONE
        return replace(self, changes=changes)

    def load(self) -> Metadata:
        """Return the metadata that the source makes.

        Raises:
            SetupError: It makes none; the text names the file.

        """
        if not self.changes:
            return load_metadata()
        with tempfile.TemporaryDirectory(prefix="homeport-deploy-") as name:
            folder = Path(name)
            files = self.files()
            for path, content in files.items():
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            for one in _FOLDERS:
                (folder / one).mkdir(exist_ok=True)
            return load_metadata(folder)

    def write(self, folder: Path, number: int) -> None:
        """Write what was deployed over the base, as what counts once the database says so."""
        target = private_dir(folder / str(number))
        for path, content in self.changes.items():
            file = target / path
            private_dir(file.parent)
            file.write_bytes(content)
            file.chmod(PRIVATE_FILE)


def tidy(folder: Path, number: int) -> None:
    """Remove what was deployed, but for the deployment *number*."""
    for one in private_dir(folder).iterdir():
        if one.name != str(number):
            shutil.rmtree(one, ignore_errors=True)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
