"""The launcher sets itself up once, wherever the checkout lies, and never half-way.

The tests that set up for real need what `./homeport` needs: the machine's package index.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("homeport", "requirements.lock", "requirements-dev.lock", "requirements-uv.lock")
PACKAGES = ("streams", "connectors", "inference", "residency", "schemas")
SET_UP_S = 300  # on a slow network; 15 s here
WARM_S = 2.0  # measured 0.2 s; the bound is for a busy machine
ENVIRONMENT = 3


def checkout(folder: Path) -> Path:
    """Copy into *folder* what the launcher needs of this checkout."""
    folder.mkdir()
    for part in PARTS:
        shutil.copy2(ROOT / part, folder / part)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


def launch(
    script: Path, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *arguments],
        cwd=cwd or script.parent,
        env=os.environ | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SET_UP_S,
    )


def tools(folder: Path, *names: str) -> Path:
    """Return a folder, to be the whole PATH, that has only *names* of the machine's tools."""
    folder.mkdir()
    for name in ("sh", "dirname", "readlink", "cmp", "uname", "rm", "mkdir", "flock", *names):
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a set-up checkout under a path with spaces, made by two launchers at once."""
    root = checkout(tmp_path_factory.mktemp("launcher") / "my check out")
    both = [
        subprocess.Popen(
            [str(root / "homeport"), "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=SET_UP_S) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert all(out.startswith("homeport, version") for out, _ in outputs)  # and no line of set-up
    said = "".join(err for _, err in outputs)
    assert said.count("setting up .venv") == 1  # the other one waited
    assert "waiting" in said
    return root


def test_a_warm_start_is_quick_and_quiet(ready: Path) -> None:
    took_s = list[float]()
    for _ in range(5):
        began = time.monotonic()
        done = launch(ready / "homeport", "--help")
        took_s.append(time.monotonic() - began)

    assert done.returncode == 0
    assert done.stderr == ""
    assert "dry-run" in done.stdout
    assert min(took_s) < WARM_S


def test_it_runs_from_another_folder_and_through_a_link(ready: Path, tmp_path: Path) -> None:
    link = tmp_path / "hp"
    link.symlink_to(os.path.relpath(ready / "homeport", tmp_path))

    done = launch(link, "--version", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("homeport, version")


def test_packages_of_the_callers_folder_and_path_are_not_ours(ready: Path, tmp_path: Path) -> None:
    for name in ("streams", "schemas"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit(9)\n", encoding="utf-8")

    done = launch(ready / "homeport", "--version", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})

    assert done.returncode == 0, done.stderr


def test_the_exit_code_is_the_commands(ready: Path) -> None:
    assert launch(ready / "homeport", "no-such-command").returncode == 2


def test_a_changed_lock_is_noticed_and_brought_up(ready: Path) -> None:
    with (ready / "requirements.lock").open("a", encoding="utf-8") as lock:
        lock.write("\n")

    first, second = (launch(ready / "homeport", "--version") for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 0)
    assert "up to date with its lock" in first.stderr
    assert second.stderr == ""


def test_without_its_stamp_an_environment_is_made_again_also_by_a_python_without_pip(
    ready: Path, tmp_path: Path
) -> None:
    (ready / ".venv/homeport/stamp").unlink()
    (ready / ".venv/bin/python").unlink()
    bare = tmp_path / "bare python"
    script(bare, f'[ "$2" != pip ] || exit 1\nexec "{sys.executable}" "$@"')

    done = launch(ready / "homeport", "--version", env={"HOMEPORT_PYTHON": str(bare)})

    assert done.returncode == 0, done.stderr
    assert "setting up .venv" in done.stderr


def test_an_environment_of_ones_own_is_put_aside_not_deleted(tmp_path: Path) -> None:
    root = checkout(tmp_path / "c")
    (root / ".venv").mkdir()
    (root / ".venv/mine").touch()
    fits = tmp_path / "fits"
    script(fits, '[ "$1" = -c ]')  # answers the probe, then cannot make an environment

    done = launch(root / "homeport", "--version", env={"HOMEPORT_PYTHON": str(fits)})

    assert done.returncode == ENVIRONMENT
    assert [p.name for p in root.glob(".venv.aside-*/*")] == ["mine"]


def test_without_an_index_it_says_what_to_do_and_leaves_no_stamp(tmp_path: Path) -> None:
    root = checkout(tmp_path / "c")

    done = launch(root / "homeport", "--version", env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""})

    assert done.returncode == ENVIRONMENT
    assert done.stdout == ""
    assert "network" in done.stderr
    assert not (root / ".venv/homeport/stamp").exists()


def test_a_python_of_the_wrong_age_is_refused(tmp_path: Path) -> None:
    root = checkout(tmp_path / "c")
    old = tmp_path / "python2"
    script(old, "exit 5")

    done = launch(root / "homeport", "--version", env={"HOMEPORT_PYTHON": str(old)})

    assert done.returncode == ENVIRONMENT
    assert "3.11 to 3.14" in done.stderr
    assert not (root / ".venv").exists()


def test_no_python_at_all_is_said_in_a_sentence(tmp_path: Path) -> None:
    root = checkout(tmp_path / "c")
    path = tools(tmp_path / "bin")

    done = launch(root / "homeport", "--version", env={"PATH": str(path)})

    assert done.returncode == ENVIRONMENT
    assert "HOMEPORT_PYTHON=" in done.stderr


def test_a_python_that_cannot_install_names_the_package_to_add(tmp_path: Path) -> None:
    root = checkout(tmp_path / "c")
    path = tools(tmp_path / "bin")
    script(path / "python3", "exit 4")  # what the probe answers without pip and ensurepip

    done = launch(root / "homeport", "--version", env={"PATH": str(path)})

    assert done.returncode == ENVIRONMENT
    assert "python3-venv" in done.stderr


def test_ctrl_c_during_set_up_leaves_no_stamp_and_the_next_run_starts_over(tmp_path: Path) -> None:
    root = checkout(tmp_path / "c")
    slow = tmp_path / "slow"
    slow.mkdir()
    # a Python that makes environments for ever, once it has been asked whether it fits
    script(slow / "python3.13", '[ "$1" = -c ] || exec sleep 60')
    started = subprocess.Popen(
        [str(root / "homeport"), "--version"],
        env=os.environ | {"PATH": f"{slow}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's foreground group
    )
    deadline = time.monotonic() + 120
    while not (root / ".venv/homeport").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)

    os.killpg(started.pid, signal.SIGINT)
    out, err = started.communicate(timeout=120)

    assert started.returncode == 130
    assert (out, "interrupted" in err) == ("", True)
    assert not (root / ".venv/homeport/stamp").exists()
    script(slow / "python3.13", '[ "$1" = -c ]')
    again = launch(
        root / "homeport", "--version", env={"HOMEPORT_PYTHON": str(slow / "python3.13")}
    )
    assert "setting up .venv" in again.stderr  # ours, so made again and not put aside
    assert "aside" not in again.stderr
