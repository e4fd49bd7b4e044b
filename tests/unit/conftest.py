"""What several unit tests share."""

import shutil
from pathlib import Path

import pytest

from residency.policy.files import PACKS, ROOT, SINGLE


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of the whole shipped policy, laid out as ``residency`` is."""
    shutil.copytree(ROOT / PACKS, tmp_path / PACKS)
    for name in SINGLE.values():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path
