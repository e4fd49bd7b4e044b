"""The model server's environment is whole or made again, and says what it costs beforehand."""

import sys
import threading
from pathlib import Path

import pytest

from inference import environment
from schemas.errors import SetupError


@pytest.fixture(autouse=True)
def _no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(environment.CHOSEN, raising=False)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements-inference.lock"
    path.write_text("", encoding="utf-8")  # nothing to fetch: an environment all the same
    return path


def test_it_is_made_once_and_said_beforehand(tmp_path: Path, lock: Path) -> None:
    folder, said = tmp_path / "env", list[str]()

    python = environment.ensure(said.append, folder, lock)
    again = list[str]()
    environment.ensure(again.append, folder, lock)

    assert python.is_file()
    assert "GB to fetch" in said[0]
    assert "--without-inference" in said[0]
    assert again == ["ready"]


@pytest.mark.parametrize("how", ["interrupted", "another lock", "moved"])
def test_what_is_not_whole_is_made_again(tmp_path: Path, lock: Path, how: str) -> None:
    folder = tmp_path / "env"
    environment.ensure(environment.quiet, folder, lock)
    (folder / "half").touch()
    if how == "interrupted":
        (folder / environment.STAMP).unlink()
    elif how == "another lock":
        lock.write_text("# newer\n", encoding="utf-8")
    else:
        folder = folder.rename(tmp_path / "elsewhere")
    assert not environment.is_ready(folder, lock)

    environment.ensure(environment.quiet, folder, lock)

    assert environment.is_ready(folder, lock)
    assert not (folder / "half").exists()


def test_packages_that_cannot_be_had_leave_no_stamp_and_name_a_way_on(
    tmp_path: Path, lock: Path
) -> None:
    lock.write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n", encoding="utf-8")

    with pytest.raises(SetupError, match="--without-inference"):
        environment.ensure(environment.quiet, tmp_path / "env", lock)

    assert not environment.is_ready(tmp_path / "env", lock)


def test_two_runs_at_once_make_it_once(tmp_path: Path, lock: Path) -> None:
    said = list[str]()
    both = [
        threading.Thread(target=environment.ensure, args=(said.append, tmp_path / "env", lock))
        for _ in range(2)
    ]

    for one in both:
        one.start()
    for one in both:
        one.join()

    assert sum("to fetch" in line for line in said) == 1
    assert said.count("ready") == 2


def test_without_room_on_the_disk_nothing_is_fetched(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "NEED_BYTES", 10**18)

    with pytest.raises(SetupError, match=r"GiB free at .* make room, .*--without-inference"):
        environment.ensure(environment.quiet, tmp_path / "env", lock)

    assert not (tmp_path / "env").exists()


def test_without_memory_for_the_servers_their_number_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "SERVER_BYTES", 10**17)

    with pytest.raises(SetupError, match=r"3 model servers need .* --regions, .*--without-inf"):
        environment.require_memory(3)


def test_an_environment_that_somebody_made_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.CHOSEN, sys.executable)

    assert environment.ensure() == Path(sys.executable)

    monkeypatch.setenv(environment.CHOSEN, str(tmp_path / "none"))
    with pytest.raises(SetupError, match="unset it"):
        environment.ensure()
