"""What the files of the repository may contain, and what the documentation must."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_servers import ASK_A_MODEL

from streams.cli import COMMANDS

ROOT = Path(__file__).parents[2]
PACKAGES = ("streams", "connectors", "inference", "residency", "schemas")
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-uv.lock",
    "requirements-inference.lock",
    "requirements-kms.lock",
)
MAX_LINES = 300
# Assembled, so that this file does not contain what it looks for. A host in a lock or a script
# would override the index that a company has configured on its machines.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("crates", "io"),
        ("deb", "debian", "org"),
    )
)
LOCAL_PATH = re.compile(r"(?<![\w./])/(?:root|work|home/(?!homeport\b)[a-z]|Users)/[\w.-]+")


def files() -> Iterator[tuple[str, str]]:
    """Yield the path and text of every file that git keeps or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if not path.is_file():
            continue  # deleted and not yet committed
        try:
            yield name, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_files_that_ask_a_model_server_are_known_and_no_others() -> None:
    asks = re.compile(r"\b(?:model_server|vllm_server|tiny_server|idle_server|ModelServer)\b")
    found = {n for n, text in files() if re.match(r"tests/.*/test_", n) and asks.search(text)}

    assert found - {n for n in found if n.startswith(ASK_A_MODEL)} == {
        "tests/unit/test_repository.py"
    }
    assert {know for know in ASK_A_MODEL if not any(n.startswith(know) for n in found)} == set()


def test_no_file_names_a_package_registry() -> None:
    found = {(name, host) for name, text in files() for host in REGISTRIES if host in text}

    assert found == set()


def test_no_file_names_a_path_of_one_machine() -> None:
    found = {(name, match[0]) for name, text in files() for match in LOCAL_PATH.finditer(text)}

    assert found == set()


def test_no_module_outgrows_its_readers() -> None:
    long = {
        name: lines
        for name, text in files()
        if name.endswith(".py") and name.split("/")[0] in PACKAGES
        if (lines := text.count("\n")) > MAX_LINES
    }

    assert long == {}


def requirements(lock: str) -> dict[str, tuple[str, int]]:
    """Return the version and the number of hashes by package."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip())
    found = {}
    for entry in entries:
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", entry)
        assert match is not None, f"{lock}: not a pinned requirement: {entry[:60]}"
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}(?= |$)", entry)
        found[match[1]] = (match[2], len(hashes))
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_each_package_by_version_and_hash(lock: str) -> None:
    assert [name for name, (_, hashes) in requirements(lock).items() if hashes == 0] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")

    assert re.findall(r"--(?:extra-)?index-url|--find-links|://|^-", text, re.MULTILINE) == []


def test_the_lock_for_tests_holds_all_of_the_lock_for_use() -> None:
    """So an environment made for tests serves the other commands too."""
    use, test = requirements("requirements.lock"), requirements("requirements-dev.lock")

    assert {name: use[name] for name in use} == {name: test.get(name) for name in use}


def test_every_command_is_documented() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages if page.is_file())

    missing = [name for name in COMMANDS if not re.search(rf"homeport {re.escape(name)}\b", text)]
    assert missing == []


def test_decisions_are_numbered_without_gaps_and_have_their_four_parts() -> None:
    pages = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))

    numbers = [int(page.name[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert heads == ["Context", "Decision", "Consequences", "Revisit when"], page.name


def test_the_licence_is_the_one_the_project_declares() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")

    assert text.lstrip().startswith("Apache License\n")
    assert "END OF TERMS AND CONDITIONS" in text
