"""A disk that fails at one of its calls."""

import os
from collections.abc import Sequence
from pathlib import Path

from residency.ledger.disk import POSIX


class FailingOps:
    """`FileOps` whose *n*-th call fails, a write after half of its bytes."""

    def __init__(self, n: int, code: int) -> None:
        self.left = n
        self.code = code

    @property
    def has_failed(self) -> bool:
        return self.left < 0

    def _call(self) -> bool:
        self.left -= 1
        return self.left == -1

    def _may_fail(self) -> None:
        if self._call():
            raise OSError(self.code, os.strerror(self.code))

    def create(self, path: Path) -> int:
        self._may_fail()
        return POSIX.create(path)

    def open_folder(self, path: Path) -> int:
        self._may_fail()
        return POSIX.open_folder(path)

    def write(self, descriptor: int, data: bytes) -> None:
        if self._call():
            POSIX.write(descriptor, data[: len(data) // 2])
            raise OSError(self.code, os.strerror(self.code))
        POSIX.write(descriptor, data)

    def sync(self, descriptors: Sequence[int]) -> None:
        self._may_fail()
        POSIX.sync(descriptors)

    def close(self, descriptor: int) -> None:
        POSIX.close(descriptor)

    def make_folder(self, path: Path) -> None:
        self._may_fail()
        POSIX.make_folder(path)

    def replace(self, source: Path, target: Path) -> None:
        self._may_fail()
        POSIX.replace(source, target)

    def remove(self, path: Path) -> None:
        self._may_fail()
        POSIX.remove(path)
