"""Three selection rules side by side: last, selected on noisy validation, oracle."""

import subprocess

import pytest
import torch

from experiments import outcome
from experiments.log import Clock, Log
from experiments.outcome import accuracies, attacked_accuracies, environment
from experiments.problem import Fold, Problem


def problem_with(*sizes):
    """Return a problem whose folds have test sets of these sizes."""
    empty = torch.zeros(0)
    folds = tuple(
        Fold(
            validation=empty,
            validation_labels=empty,
            clean_labels=empty,
            test=torch.arange(n),
            test_labels=empty,
        )
        for n in sizes
    )
    return Problem(
        x=empty,
        labels=empty,
        contaminated=empty.bool().numpy(),
        x_eval=empty,
        folds=folds,
        n_classes=2,
        shape=(1, 1),
        ink=(0.0, 1.0),
    )


def test_one_fold():
    """Selected: the first epoch with the most right validation answers."""
    log = Log(
        validation_correct=[[5], [9], [9], [2]],
        clean_validation_correct=[[8], [5], [5], [5]],
        test_correct=[[1], [6], [8], [4]],
    )
    assert accuracies(log, problem_with(10)) == {
        "last": 40.0,
        "selected": 60.0,
        "selected_clean": 10.0,
        "oracle": 80.0,
    }


def test_two_folds():
    """Each fold selects its own epoch; the oracle is one epoch for both."""
    log = Log(
        validation_correct=[[1, 7], [3, 2]],
        clean_validation_correct=[[1, 2], [1, 7]],
        test_correct=[[6, 1], [2, 8]],
    )
    # Fold 0 selects epoch 1 (2 right), fold 1 epoch 0 (1 right), of 10 + 10; by clean labels fold 0
    # selects epoch 0 (6 right), fold 1 epoch 1 (8 right).
    assert accuracies(log, problem_with(10, 10)) == {
        "last": 50.0,
        "selected": 15.0,
        "selected_clean": 70.0,
        "oracle": 50.0,
    }


def test_under_attack_every_rule_selects_by_unattacked_validation():
    """The oracle alone looks at the attacked answers, eps by eps."""
    log = Log(
        validation_correct=[[5], [9], [2]],
        clean_validation_correct=[[9], [5], [2]],
        test_correct=[[1], [6], [4]],
        attacked_correct=[[[1, 9]], [[6, 2]], [[4, 3]]],
        attacked_validation_correct=[[1], [2], [3]],
    )
    assert attacked_accuracies(log, problem_with(10)) == {
        "last": [40.0, 30.0],
        "selected": [60.0, 20.0],
        "selected_clean": [10.0, 90.0],
        "selected_attacked": [40.0, 30.0],
        "oracle": [60.0, 90.0],
    }


def test_what_a_gpu_has_queued_is_booked_where_it_was_queued(monkeypatch):
    """The clock waits for it; on a CPU there is nothing to wait for."""
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(True))
    for device, times in (("cpu", 0), ("cuda", 2)):
        seconds = {}
        clock = Clock(seconds, device)
        clock.lap("train")
        clock.lap("reweighting")
        assert len(waited) == times
        assert list(seconds) == ["train", "reweighting"]


def test_the_environment_is_recorded():
    """Versions, processor, threads, commit and whether files differ from it."""
    record = environment()
    assert record["torch"] == torch.__version__
    assert record["threads"] == 1
    assert record["device"].startswith("cpu (")
    assert isinstance(record["dirty"], bool)
    assert record["commit"]


@pytest.mark.parametrize("there", [False, True])
def test_versions_of_what_need_not_be_there(there, monkeypatch):
    """Those of a language model's libraries, where they are installed."""
    monkeypatch.setattr(outcome, "find_spec", lambda _: object() if there else None)
    monkeypatch.setattr(outcome, "provenance", lambda names: dict.fromkeys(names, "1.0"))
    assert ({"peft", "transformers"} <= set(environment())) == there


def test_outside_a_checkout_the_commit_is_unknown(monkeypatch):
    """Then nothing is claimed about it."""

    def no_git(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", no_git)
    assert outcome.environment()["commit"] is None
    assert outcome.environment()["dirty"] is None


@pytest.mark.parametrize("key", ["python", "numpy", "torch", "scikit-learn"])
def test_versions_are_text(key):
    """They go into JSON."""
    assert isinstance(environment()[key], str)
