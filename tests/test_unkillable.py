"""ICLR paper, Algorithms 1-3 on a machine that fails: killed runs, damaged files, a full disk."""

import random
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures import same_but_for_clocks, train_until_killed
from kill import survives

from experiments import state as keeping
from experiments.data import load
from experiments.method import DivergedError
from experiments.problem import problem
from experiments.spec import Run
from experiments.state import State
from experiments.step import Step
from experiments.store import Checkpoint
from experiments.train import train

RUN = Run(
    dataset="digits",
    model="cnn",
    loss="cce",
    noise_rate=0.2,
    seed=0,
    penalty=0.5,
    step=0.5,
    train_eps=0.5,
    reweight_inputs="perturbed",
    test_attack="accumulating",
    iterations=2,
    epochs_per_iteration=2,
    learning_rate=1.0,
    train_samples=330,
    test_samples=60,
)
SAMPLES = problem(RUN, load("digits"))


def same(one, other):
    """Return whether two logs agree in everything but clocks."""
    return same_but_for_clocks(RUN, SAMPLES, one, other)


def test_sigkill_at_random_moments_changes_nothing():
    """Three kills of a run in its own processes; python tests/kill.py does it 20 times."""
    *kills, verdict = survives(3, seed=1)
    assert sum("found epoch" in line for line in kills) == 3
    assert verdict == "bit-identical"


# 330 samples are four batches an epoch, after which the state is saved once more.
SAVES = [(epoch, position) for epoch in range(4) for position in (1, 2, 3, 4, 0)]


@pytest.mark.parametrize("saves", [1, 3, 4, 5, 9, 10, 14, 20])
def test_a_run_goes_on_within_an_epoch(saves, tmp_path, monkeypatch):
    """A checkpoint after every batch and evaluation; the run dies after some of them.

    It goes on with the very next batch, which the number of steps shows.
    """
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    train_until_killed(RUN, SAMPLES, checkpoint, saves=saves)
    state = checkpoint.load(RUN.key)
    epoch, position = SAVES[saves - 1]
    assert (state["epoch"], state["position"]) == (epoch + (not position), position)
    whole, steps = train(RUN, SAMPLES), []
    ordinary_step = Step.__call__
    monkeypatch.setattr(
        Step, "__call__", lambda self, index: (steps.append(1), ordinary_step(self, index))
    )
    assert same(train(RUN, SAMPLES, checkpoint=checkpoint), whole)
    assert len(steps) == 16 - (4 * (epoch + 1) if not position else 4 * epoch + position)


def test_a_full_disk_leaves_the_last_good_state(tmp_path, monkeypatch):
    """The write fails in the middle, as a limit of the system makes it; then there is room again.

    The run says why it ended; what was saved before is there, and the end is the same.
    """
    monkeypatch.setattr(keeping, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(keeping, "CHECKPOINT_TIMES", 0)
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    epochs = iter([False, True])
    train(RUN, SAMPLES, checkpoint=checkpoint, stop=lambda: next(epochs))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores the signal that comes with it; the write itself fails after 100 kB.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            train(RUN, SAMPLES, checkpoint=checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoint.load(RUN.key)["epoch"] == 2
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    assert same(train(RUN, SAMPLES, checkpoint=checkpoint), train(RUN, SAMPLES))


def test_a_diverged_state_is_never_saved(tmp_path, monkeypatch):
    """Else the run would go on after its last batch, whose loss nobody looks at again."""
    monkeypatch.setattr(keeping, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(keeping, "CHECKPOINT_TIMES", 0)
    checkpoint, run = Checkpoint(tmp_path / "run.checkpoint"), replace(RUN, learning_rate=1e38)
    for _ in range(2):
        with pytest.raises(DivergedError, match=r"diverged in epoch 1: the loss is nan"):
            train(run, SAMPLES, checkpoint=checkpoint)


def test_a_checkpoint_of_another_format_is_refused(tmp_path, caplog):
    """With a message that names it; the run starts over."""
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    checkpoint.save({"key": RUN.key, "format": 1, "epoch": 1})
    assert same(train(RUN, SAMPLES, checkpoint=checkpoint), train(RUN, SAMPLES))
    assert f"refused the checkpoint {checkpoint.path}: its format is not 3" in caplog.text


def test_the_result_says_on_which_devices_a_run_was(tmp_path):
    """One after the other."""
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    train(RUN, SAMPLES, checkpoint=checkpoint, stop=lambda: True)
    state = checkpoint.load(RUN.key)
    state["log"]["devices"] = ["cuda"]
    checkpoint.save(state)
    assert train(RUN, SAMPLES, checkpoint=checkpoint).devices == ["cuda", "cpu"]


def test_global_generators_go_on_where_they_were(tmp_path):
    """A network that draws from python, numpy or torch would notice."""
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")

    def draws():
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    train(RUN, SAMPLES, checkpoint=checkpoint, stop=lambda: True)
    expected = draws()
    draws()
    seen = []
    train(
        RUN, SAMPLES, checkpoint=checkpoint, after_epoch=lambda _: seen.append(draws()),
        stop=lambda: True,
    )  # fmt: skip
    assert seen == [expected]


def test_global_generators_start_from_the_seed():
    """Equal for every run of a seed, whatever the process did before."""
    drawn = []
    for run in (RUN, RUN, replace(RUN, seed=1)):
        torch.rand(5)
        train(run, SAMPLES, stop=lambda: True)
        drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[1] != drawn[2]


def test_saving_takes_at_most_a_tenth_of_the_time(monkeypatch):
    """A second between saves, or ten times as long as the last one took."""
    now = [0.0]

    class Slow:
        takes = 0.01

        def load(self, *_):
            return None

        def save(self, _):
            now[0] += self.takes

    monkeypatch.setattr(keeping.time, "perf_counter", lambda: now[0])
    slow = Slow()
    state = State(RUN, "cpu", {}, slow, {})
    now[0] += 0.9
    assert not state.due()
    now[0] += 0.1
    assert state.due()
    slow.takes = 3.0
    state.save(1, 0)
    now[0] += 29.9
    assert not state.due()
    now[0] += 0.2
    assert state.due()
