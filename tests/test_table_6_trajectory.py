"""ICLR paper, Table 6 and Appendix F.1: trajectories are exact and small, and counted by the text.

Expected values are computed by hand, by the reweighter itself, or by a loop over samples.
"""

import io

import numpy as np
import pytest
import torch
from fixtures import as_trajectory
from hypothesis import given
from hypothesis import strategies as st

from experiments.catalogue.adversarial import APPENDIX_F, TABLE_6
from experiments.trajectory import (
    ABOUT_ZERO,
    BINS,
    Trajectory,
    bins,
    close_calls,
    count_bins,
    distance_to_ideal,
    pruning_quality,
)
from rrm_theory.reweight import Reweighter

LIMIT = 2 * 2**20

eighths = st.integers(0, 40).map(lambda k: k / 8)


def followed(rw, losses, contaminated):
    """Return the trajectory of updates by these losses, and the weights the reweighter had."""
    parts, shares, weights = [], [], []
    for c in losses:
        rw.update(torch.as_tensor(c))
        parts.append(rw.parts.clone().numpy())
        shares.append(rw.shares.clone().numpy())
        weights.append(rw.scaled_weights.numpy())
    trajectory = Trajectory(
        parts=np.stack(parts),
        shares=np.stack(shares),
        step=rw.mu,
        contaminated=contaminated,
        epochs=np.arange(1, len(losses) + 1),
    )
    return trajectory, np.stack(weights)


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.lists(st.lists(eighths, min_size=n, max_size=n), min_size=1, max_size=6)
    ),
    st.sampled_from([1.0, 0.5, 0.3]),
    st.sampled_from(
        [{"gamma": 0.5}, {"gamma": 2.0}, {"gamma": 1.0, "cap": 2.0}, {"contamination": 0.25}]
    ),
)
def test_weights_are_reconstructed_to_the_bit(losses, step, how):
    """Whatever the step and the kind of re-weighting."""
    how = how if "contamination" in how else how | {"step": step}
    rw = Reweighter(len(losses[0]), **how)
    trajectory, weights = followed(rw, losses, np.zeros(len(losses[0]), dtype=bool))
    assert trajectory.scaled_weights().tobytes() == weights.tobytes()
    again = Trajectory.from_arrays(trajectory.arrays())
    assert again.scaled_weights().tobytes() == weights.tobytes()


@pytest.mark.parametrize("kind", ["training", "random"])
def test_48000_samples_and_50_reweightings_fit_into_2_mib(kind):
    """As files are written; also if every sample's part were drawn at random from all five."""
    n, steps = 48_000, 50
    rng = np.random.default_rng(0)
    if kind == "random":
        trajectory = Trajectory(
            parts=rng.integers(0, 5, size=(steps, n), dtype=np.uint8),
            shares=rng.random((steps, 5), dtype=np.float32),
            step=0.5,
            contaminated=rng.random(n) < 0.2,
            epochs=10 * np.arange(1, steps + 1),
        )
    else:
        wrong = rng.random(n) < 0.2
        losses = np.float32([rng.exponential(1.0, n) + 3 * wrong for _ in range(steps)])
        trajectory, weights = followed(Reweighter(n, gamma=2.0, step=0.5), losses, wrong)
        assert trajectory.scaled_weights().tobytes() == weights.tobytes()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **trajectory.arrays())
    assert len(buffer.getvalue()) <= LIMIT
    counts = count_bins(trajectory)
    assert ((counts["contaminated"] + counts["clean"]).sum(axis=1) == n).all()
    clean = int((~trajectory.contaminated).sum())
    assert sum(close_calls(trajectory).counts().values()) == clean


def test_published_counts_are_of_9600_and_38400_samples():
    """Each column of Table 6, and Appendix F."""
    for kinds in TABLE_6.values():
        assert sum(kinds["contaminated"]) == 9600
        assert sum(kinds["clean"]) == 38_400
    assert sum(APPENDIX_F.values()) == 38_400
    assert APPENDIX_F["type_1"] + APPENDIX_F["close_calls"] == 1342


def test_bins_are_closed_on_the_right():
    """At the edges, a float above them, and around zero."""
    above = float(np.nextafter(np.float32(0.25), np.float32(1)))
    weights = [0.0, 0.25, above, 0.5, 0.75, 0.9, 1 - 2 * ABOUT_ZERO, 1.0, 1 + ABOUT_ZERO / 2, 1.5]
    expected = [5, 5, 4, 4, 3, 2, 2, 1, 1, 0]
    assert bins(np.float32(weights)).tolist() == expected
    assert BINS[0] == "up"


def test_one_pruning_with_half_a_step_is_in_the_paper_s_bin():
    """u = -1/(2N) is -1.04e-5, in (-1.56, -1.04]: where Table 6 has 756 samples at first."""
    rw = Reweighter(4, gamma=2.0, step=0.5)
    trajectory, _ = followed(rw, [[0.0, 1.0, 10.0, 20.0]], np.array([False, False, True, True]))
    assert BINS[bins(trajectory.scaled_weights()[0])[2]] == "(-3/4, -1/2]"
    assert count_bins(trajectory)["contaminated"].tolist() == [[0, 0, 0, 0, 2, 0]]
    assert count_bins(trajectory)["clean"].tolist() == [[1, 1, 0, 0, 0, 0]]


def test_close_calls_by_hand():
    """Never gone, gone in the end, gone and back, or half back; a wrong label counts nowhere."""
    weights = [
        [1.0, 0.0, 0.0, 0.0, 3.0],
        [1.0, 1.0, 0.0, 0.0, 3.0],
        [1.0, 0.0, 1.0, 1.0, 3.0],
    ]
    calls = close_calls(as_trajectory(weights, [False, False, False, True, False]))
    assert calls.never_zero.tolist() == [True, False, False, False, True]
    assert calls.type_1.tolist() == [False, True, False, False, False]
    assert calls.close_calls.tolist() == [False, False, True, False, False]
    assert calls.counts() == {"never_zero": 2, "type_1": 1, "close_calls": 1, "in_between": 0}


def test_what_is_neither_back_nor_gone_is_in_between():
    """Nine prunings, ten updates that keep it, and one more pruning: just below a half."""
    rw = Reweighter(3, gamma=2.0, step=0.5)
    away, back = [0.0, 1.0, 9.0], [0.0, 1.0, 1.0]
    losses = [*[away] * 9, *[back] * 10, away]
    trajectory, weights = followed(rw, losses, np.zeros(3, dtype=bool))
    assert 0.499 < weights[-1, 2] < 0.5
    assert close_calls(trajectory).in_between.tolist() == [False, False, True]


def test_back_means_half_of_the_start_and_gone_means_about_zero():
    """Weights halve with every pruning: after eight they are above 0.0024, after nine below."""
    for prunings, gone in ((8, False), (9, True)):
        rw = Reweighter(3, gamma=2.0, step=0.5)
        away, back = [0.0, 1.0, 9.0], [0.0, 1.0, 1.0]
        wrong = np.zeros(3, dtype=bool)
        lost, _ = followed(rw, [away] * prunings, wrong)
        assert bool(close_calls(lost).type_1[2]) == gone
        assert bool(close_calls(lost).never_zero[2]) != gone
        # One update without pruning brings it to more than a half.
        rw = Reweighter(3, gamma=2.0, step=0.5)
        returned, _ = followed(rw, [*[away] * prunings, back], wrong)
        assert bool(close_calls(returned).close_calls[2]) == gone


def test_precision_recall_and_distance_by_hand():
    """Of six samples two are wrong; one of them and a right one are pruned, then both wrong."""
    weights = [
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        [0.0, 1.0, 0.0, 1.0, 3.0, 1.0],
        [0.0, 0.0, 1.5, 1.5, 1.5, 1.5],
    ]
    trajectory = as_trajectory(weights, [True, True, False, False, False, False])
    quality = pruning_quality(trajectory)
    assert np.isnan(quality["precision"][0])
    assert quality["precision"][1:].tolist() == [0.5, 1.0]
    assert quality["recall"].tolist() == [0.0, 0.5, 1.0]
    # Ideal: 0, 0, then 1/4 each. Mass above it, by hand: 2/6; 1/6 and 1/4 on the fifth; none.
    expected = [1 / 3, 1 / 6 + (3 / 6 - 1 / 4), 0.0]
    assert distance_to_ideal(trajectory) == pytest.approx(expected, abs=1e-15)


def test_arrays_that_do_not_belong_together_are_refused():
    """The error names the array."""
    good = as_trajectory(np.ones((2, 3)), [True, False, False]).arrays()
    for name, bad in (("shares", np.ones((1, 5))), ("contaminated", np.ones(2, dtype=bool))):
        with pytest.raises(ValueError, match=rf"{name} must have shape .*, got"):
            Trajectory.from_arrays(good | {name: bad})
