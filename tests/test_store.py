"""Files: atomic, named after their run, refused when damaged, impossible folders found early."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from fixtures import as_trajectory

from experiments.spec import Run
from experiments.store import BrokenFileError, Store
from rrm_theory._files import UnwritableError, write_atomically

RUN = Run(dataset="digits", model="mlp", loss="cce", noise_rate=0.4, seed=0)


@pytest.fixture
def store(tmp_path):
    """A store with both folders in place."""
    made = Store(experiment="test", results=tmp_path / "results", work=tmp_path / "work")
    made.prepare()
    return made


def test_a_result_comes_back_as_it_was(store):
    """One JSON per run, named by its key, one line per top-level entry."""
    result = {"key": RUN.key, "accuracy": {"last": 12.5}, "test_correct": [[1, 2], [3, 4]]}
    assert store.load_result(RUN) is None
    store.save_result(RUN, result)
    assert store.load_result(RUN) == result
    path = store.result_path(RUN)
    assert path.name == f"{RUN.key}.json"
    assert len(path.read_text().splitlines()) == len(result) + 2


def test_nan_is_no_json(store):
    """Strict JSON, or nothing is written."""
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        store.save_result(RUN, {"key": RUN.key, "accuracy": float("nan")})
    assert store.load_result(RUN) is None


@pytest.mark.parametrize("content", ['{"key": ', "[]", "{}", ""])
def test_a_damaged_result_is_refused_by_its_path(store, content):
    """A half result must not count as finished, nor be overwritten in silence."""
    store.result_path(RUN).write_text(content)
    with pytest.raises(BrokenFileError, match=rf"{RUN.key}.json is not a result"):
        store.load_result(RUN)


def test_a_result_under_another_name_is_refused(store):
    """The key inside is the key outside."""
    other = replace(RUN, seed=1)
    store.result_path(RUN).write_text(json.dumps({"key": other.key}))
    with pytest.raises(BrokenFileError, match=f"holds the run {other.key}, not {RUN.key}"):
        store.load_result(RUN)


def test_a_result_with_other_settings_is_refused(store):
    """Should a default change, its old results do not pass for new ones."""
    store.save_result(RUN, {"key": RUN.key, "run": RUN.settings() | {"elr_decay": 0.3}})
    with pytest.raises(BrokenFileError, match=r"has elr_decay=0.3, not 0.7"):
        store.load_result(RUN)


def test_a_kill_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    """Until the last step the old content is there, and no part is left behind."""
    path = tmp_path / "file"
    write_atomically(path, b"old")
    reached = []

    def killed(_):
        reached.append(path.read_bytes())
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert reached == [b"old"]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_trajectories_come_back(store):
    """As they were, or None if there are none."""
    assert store.load_trajectory(RUN) is None
    weights, wrong = np.array([[1.0, 0.0, 2.0], [2.0, 1.0, 0.0]]), np.array([True, False, True])
    store.save_trajectory(RUN, as_trajectory(weights, wrong))
    loaded = store.load_trajectory(RUN)
    assert (loaded.scaled_weights() == weights).all()
    assert (loaded.contaminated == wrong).all()


@pytest.mark.parametrize("keep", [0, 1, 100, -20])
def test_a_damaged_trajectory_is_refused_by_its_path(store, keep):
    """Truncated anywhere."""
    store.save_trajectory(RUN, as_trajectory(np.ones((2, 3)), np.zeros(3, dtype=bool)))
    path = store.trajectory_path(RUN)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BrokenFileError, match=rf"{path.name} is not a trajectory of this project"):
        store.load_trajectory(RUN)


@pytest.mark.parametrize("bad", ["results", "work"])
def test_an_impossible_folder_is_found_before_any_training(tmp_path, bad):
    """A file where a folder should be: the error names it."""
    (tmp_path / bad).write_text("in the way")
    store = Store(experiment="test", results=tmp_path / "results", work=tmp_path / "work")
    with pytest.raises(UnwritableError, match=rf"cannot write to .*{bad}.test: .*another folder"):
        store.prepare()
