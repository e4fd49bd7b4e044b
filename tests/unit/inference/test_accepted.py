"""Which models' labels may leave: a reviewed list that has what this release serves."""

from pathlib import Path

import pytest

from inference.accepted import Accepted, accepted_models, present, read_accepted, to_toml
from inference.lock import model_digest, read_lock, task_digests
from schemas.errors import SetupError

ONE, OTHER = Accepted("minilm", "ab" * 32), Accepted("instruct", "cd" * 32)


def test_what_this_release_serves_is_accepted() -> None:
    """Else egress halts at the first label: look at the change, then `homeport models accept`."""
    missing = [one for one in present(read_lock(), task_digests()) if one not in read_accepted()]

    assert missing == []


def test_the_list_in_the_repository_is_written_as_the_command_writes_it() -> None:
    path = Path(__file__).parents[3] / "inference/accepted.toml"

    assert path.read_text(encoding="utf-8") == to_toml(read_accepted())


def test_a_list_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(to_toml([ONE, OTHER]), encoding="utf-8")

    assert read_accepted(path) == (ONE, OTHER)
    assert accepted_models(path) == {ONE.digest, OTHER.digest}


def test_an_empty_list_accepts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(to_toml([]), encoding="utf-8")

    assert accepted_models(path) == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "[[model]]\nname = 'minilm'\n",
        "[[model]]\nname = 'minilm'\ndigest = 'ab'\n",
        f"[[model]]\nname = 'Mini LM'\ndigest = '{'ab' * 32}'\n",
        f"[[model]]\nname = 'minilm'\ndigest = '{'ab' * 32}'\nwhy = 'x'\n",
        f"[[models]]\nname = 'minilm'\ndigest = '{'ab' * 32}'\n",
        "model = 7\n",
        "[[model",
    ],
)
def test_what_is_no_such_list_is_refused_by_name_and_not_by_content(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(SetupError, match=r"accepted\.toml: not a list"):
        read_accepted(path)


def test_without_a_list_no_label_may_leave(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no label may leave"):
        read_accepted(tmp_path / "accepted.toml")


def test_another_task_makes_another_model() -> None:
    models, tasks = read_lock(), dict(task_digests())
    before = present(models, tasks)

    after = present(models, {**tasks, "intent": "00" * 32})

    assert [one.name for one in after] == [one.name for one in before] == sorted(models)
    assert all(one.digest != other.digest for one, other in zip(before, after, strict=True))
    assert before[0].digest == model_digest(models[before[0].name], tasks)
