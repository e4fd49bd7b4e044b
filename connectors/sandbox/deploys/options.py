"""What a caller asks of a deployment.

Source: Metadata API Developer Guide, "DeployOptions"; read as tolerantly as the real API reads
them: ``True`` and ``False`` of Python, stray text, missing members.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from xml.etree import ElementTree as ET

from connectors.sandbox.markup import local, texts

_FLAGS = {
    "allowMissingFiles": "allow_missing_files",
    "autoUpdatePackage": "auto_update_package",
    "checkOnly": "check_only",
    "ignoreWarnings": "ignore_warnings",
    "performRetrieve": "perform_retrieve",
    "purgeOnDelete": "purge_on_delete",
    "rollbackOnError": "rollback_on_error",
    "singlePackage": "single_package",
}
_NO_TESTS = "NoTestRun"


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """A deployment's options, by the names of the documentation.

    Attributes:
        test_level: The org has no Apex, so that whichever it is no test runs.

    """

    allow_missing_files: bool = False
    auto_update_package: bool = False
    check_only: bool = False
    ignore_warnings: bool = False
    perform_retrieve: bool = False
    purge_on_delete: bool = False
    rollback_on_error: bool = False
    single_package: bool = False
    test_level: str | None = None
    run_tests: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the options in *values*; what is missing is false, what is unknown ignored."""
        named = {name.lower(): value for name, value in values.items()}
        flags = {ours: _flag(named.get(name.lower())) for name, ours in _FLAGS.items()}
        level, tests = named.get("testlevel"), named.get("runtests") or ()
        return cls(
            **flags,
            test_level=level if isinstance(level, str) and level else None,
            run_tests=tuple(str(t) for t in tests) if isinstance(tests, (list, tuple)) else (),
        )

    @classmethod
    def of_xml(cls, node: ET.Element | None) -> Self:
        """Return the options in an element; without one, the defaults."""
        if node is None:
            return cls()
        values: dict[str, Any] = {local(one): (one.text or "").strip() for one in node}
        return cls.of({**values, "runTests": texts(node, "runTests")})

    def as_json(self) -> dict[str, Any]:
        """Return them as REST shows them, and as a job keeps them."""
        flags = {name: getattr(self, ours) for name, ours in _FLAGS.items()}
        return {**flags, "runTests": list(self.run_tests), "testLevel": self.test_level}

    @property
    def runs_tests(self) -> bool:
        """Whether the caller asked for tests."""
        return self.test_level not in {None, _NO_TESTS}


def _flag(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in {"true", "1"})
