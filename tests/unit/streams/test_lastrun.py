"""A run that was told to stop and left nothing says so once, and of the ledger as it is."""

from pathlib import Path

import pytest

from schemas.errors import HaltError
from streams.lastrun import MARK, LastRun


def test_the_mark_of_a_run_counts_once(tmp_path: Path) -> None:
    LastRun(tmp_path).leave(7)

    after = [LastRun(tmp_path).take(7) for _ in range(2)]

    assert after == [True, False]
    assert list(tmp_path.iterdir()) == []


def test_without_a_mark_nothing_is_known(tmp_path: Path) -> None:
    assert not LastRun(tmp_path).take(0)


@pytest.mark.parametrize("text", ['{"size":6}', '{"size":"7"}', "{", "7", ""])
def test_a_mark_of_another_ledger_or_none_of_ours_says_nothing_and_is_gone(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / MARK).write_text(text)

    assert not LastRun(tmp_path).take(7)
    assert not (tmp_path / MARK).exists()


def test_a_mark_that_cannot_be_taken_away_halts(tmp_path: Path) -> None:
    (tmp_path / MARK).mkdir()

    with pytest.raises(HaltError, match=r"settled\.json cannot be taken away .*; mend the disk"):
        LastRun(tmp_path).take(7)


def test_a_disk_that_fails_at_the_end_costs_a_wait_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    LastRun(tmp_path / "gone").leave(7)

    assert "deletions wait after the next start" in caplog.text
