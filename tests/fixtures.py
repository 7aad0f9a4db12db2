"""What tests share: stand-ins for data, small trajectories, runs that die and runs that agree."""

import numpy as np
import pytest

from experiments import state as keeping
from experiments.data import MNIST_TEST_COUNTS, MNIST_TRAIN_COUNTS
from experiments.store import Checkpoint
from experiments.train import train, trajectory
from experiments.trajectory import Trajectory
from rrm_theory.reweight.parts import Part


def stand_in_mnist():
    """Return the four arrays; the image of digit d has its rows 2d and 2d + 1 inked."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, counts in (("train", MNIST_TRAIN_COUNTS), ("test", MNIST_TEST_COUNTS)):
        labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), counts))
        images = np.zeros((10, 28, 28), dtype=np.uint8)
        for digit in range(10):
            images[digit, 2 * digit : 2 * digit + 2] = 255
        arrays[f"x_{part}"], arrays[f"y_{part}"] = images[labels], labels
    return arrays


def as_trajectory(weights, contaminated):
    """Return undamped re-weightings with these weights (T, N): 0, 1 and one larger value a row."""
    weights = np.asarray(weights, dtype=np.float32)
    parts = np.select([weights == 0, weights == 1], [Part.PRUNED, Part.UNTOUCHED], Part.RAISED)
    shares = np.ones((len(weights), len(Part)), dtype=np.float32)
    shares[:, Part.PRUNED] = 0
    shares[:, Part.RAISED] = weights.max(axis=1)
    return Trajectory(
        parts=parts.astype(np.uint8),
        shares=shares,
        step=1.0,
        contaminated=np.asarray(contaminated),
        epochs=5 * np.arange(1, len(weights) + 1),
    )


def attacked_result(run, accuracy, *, pruned=(0, 0), seconds=10.0):
    """Return a stored result: this accuracy whatever selects, five points less in the end.

    What PGD leaves falls with the seed.
    """
    rules = ("selected", "selected_clean", "selected_attacked", "oracle")
    attacked = {rule: list(accuracy) for rule in rules}
    attacked["last"] = [x - 5 for x in accuracy]
    entry = {"pruned_contaminated": pruned[0], "pruned_clean": pruned[1]}
    return {
        "key": run.key,
        "run": run.settings(),
        "attacked_accuracy": attacked,
        "reweightings": [entry] if run.reweights else [],
        "samples": {"train": 100, "contaminated": round(100 * run.noise_rate)},
        "canary": [{"images": 100, "fgsm": 90, "pgd": 10 // (1 + run.seed), "overfitted": True}],
        "seconds": {"train": seconds},
    }


def colour_arrays(n_train=120, n_test=40, *, side=8, seed=0):
    """Return a user's four arrays and `y_clean`: three classes, the brightest colour; 1/4 wrong."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, n in (("train", n_train), ("test", n_test)):
        labels = rng.integers(3, size=n)
        x = rng.integers(0, 100, size=(n, side, side, 3)).astype(np.uint8)
        x[np.arange(n), :, :, labels] += 120
        arrays[f"x_{part}"], arrays[f"y_{part}"] = x, labels.astype(np.uint8)
    arrays["y_clean"] = arrays["y_train"].copy()
    arrays["y_train"][: n_train // 4] = (arrays["y_clean"][: n_train // 4] + 1) % 3
    return arrays


class Killed(Exception):
    """What stands in for a kill where the process has to live on."""


def train_until_killed(run, samples, checkpoint, *, saves):
    """Train with a checkpoint after every batch and evaluation, and die after so many of them."""
    count, ordinary = 0, Checkpoint.save

    def save(self, state):
        nonlocal count
        ordinary(self, state)
        count += 1
        if count == saves:
            raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keeping, "CHECKPOINT_SECONDS", 0.0)
        patched.setattr(keeping, "CHECKPOINT_TIMES", 0)
        patched.setattr(Checkpoint, "save", save)
        with pytest.raises(Killed):
            train(run, samples, checkpoint=checkpoint)


def same_but_for_clocks(run, samples, one, other):
    """Return whether two logs agree in every count, to the bit in every weight."""
    arrays = ("parts", "shares", "losses")
    apart = ("seconds", "peak_memory", "devices", *arrays)
    numbers = [{k: v for k, v in vars(log).items() if k not in apart} for log in (one, other)]
    paths = [trajectory(run, log, samples) for log in (one, other)]
    return (
        numbers[0] == numbers[1]
        and np.array_equal(*(path.scaled_weights() for path in paths))
        and np.array_equal(*(path.losses for path in paths))
    )
