"""ICLR paper, Appendix C: the losses of Table 8, against formulas in float64 numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.data import load
from experiments.losses import pointwise_loss
from experiments.methods import method_of
from experiments.methods.early_learning import ELR_CLIP, EarlyLearning
from experiments.problem import problem
from experiments.spec import Run

DIGITS = load("digits")
TASK = {"dataset": "digits", "model": "mlp", "noise_rate": 0.0, "seed": 0}
# softmax, logarithm and power in float32: a few units of rounding of numbers up to 16.
TOLERANCE = 16 * 8 * 2.0**-24

logits_and_label = st.integers(2, 5).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(-32, 32).map(lambda i: i / 8), min_size=k, max_size=k),
        st.integers(0, k - 1),
    )
)


def softmax(z):
    """Return softmax in float64."""
    e = np.exp(np.array(z, dtype=float) - max(z))
    return e / e.sum()


def evaluate(run, z, y):
    """Return the run's loss of one sample."""
    return float(pointwise_loss(run)(torch.tensor([z]), torch.tensor([y]))[0])


@given(logits_and_label)
def test_every_loss_is_its_formula(sample):
    """cce -log p_y; mae |p - e|_1; mse |p - e|_2^2; gce (1 - p_y^q)/q."""
    z, y = sample
    p = softmax(z)
    onehot = np.eye(len(z))[y]
    expected = {
        "cce": -np.log(p[y]),
        "elr": -np.log(p[y]),
        "mae": np.abs(p - onehot).sum(),
        "mse": np.square(p - onehot).sum(),
        "gce": (1 - p[y] ** 0.7) / 0.7,
    }
    for loss, value in expected.items():
        assert evaluate(Run(loss=loss, **TASK), z, y) == pytest.approx(value, abs=TOLERANCE)
    for loss in ("mae", "mse"):
        run = Run(loss=loss, class_reduction="mean", **TASK)
        assert evaluate(run, z, y) == pytest.approx(expected[loss] / len(z), abs=TOLERANCE)


def test_the_clipped_cross_entropy_has_keras_range():
    """Softmax clipped to [1e-7, 1 - 1e-7]: losses in [1.2e-7, 16.1], no gradient outside."""
    run = Run(loss="cce", probability_clip=1e-7, **TASK)
    logits = torch.tensor([[60.0, 0.0], [0.0, 60.0], [1.0, 0.0]], requires_grad=True)
    loss = pointwise_loss(run)(logits, torch.tensor([0, 0, 0]))
    # float32 cannot hold 1 - 1e-7; the nearest float is 1 - 2^-23.
    assert loss.tolist()[:2] == pytest.approx([2.0**-23, -np.log(1e-7)], rel=1e-6)
    loss.sum().backward()
    assert logits.grad[:2].abs().max() == 0
    assert logits.grad[2].abs().min() > 0


def method(**choices):
    """Return the method of a run on the digits."""
    run = Run(**(TASK | choices))
    return method_of(run, problem(run, DIGITS), torch.nn.Identity(), pointwise_loss(run))


def test_mae_sums_to_a_constant_over_the_labels():
    """The symmetric-loss property: summed over all labels it does not depend on the logits."""
    run = Run(loss="mae", **TASK)
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    total = sum(pointwise_loss(run)(logits, torch.full((5,), y)) for y in range(4))
    assert total.tolist() == pytest.approx([6.0] * 5, abs=TOLERANCE)  # 2 (K - 1)


def test_elr_remembers_and_regularises():
    """t <- beta t + (1 - beta) p from t = 0, then lambda log(1 - <p, t>)."""
    elr = EarlyLearning(torch.zeros(3), 2, decay=0.75, strength=3.0)
    logits, index = torch.tensor([[0.0, 0.0]]), torch.tensor([2])
    assert elr(logits, index).tolist() == [0.0]
    elr.record(logits, index)
    assert elr.target.tolist() == [[0.0, 0.0], [0.0, 0.0], [0.125, 0.125]]
    assert elr(logits, index).item() == pytest.approx(3 * np.log(1 - 0.125), abs=TOLERANCE)
    elr.record(logits, index)
    assert elr.target[2].tolist() == [0.21875, 0.21875]  # 3/4 of 1/8 plus 1/4 of 1/2


def test_elr_remembers_distributions():
    """What enters the memory is clipped and sums to one again."""
    elr = EarlyLearning(torch.zeros(1), 3, decay=0.0, strength=1.0)
    elr.record(torch.tensor([[20.0, 0.0, 0.0]]), torch.tensor([0]))
    assert float(elr.target.sum()) == pytest.approx(1, abs=2.0**-22)
    assert float(elr.target[0, 1]) == pytest.approx(1e-4 / (1 + 1e-4), rel=1e-5)


def test_the_run_says_how_elr_remembers():
    """Decay and strength are the run's."""
    elr = method(loss="elr", elr_decay=0.25, elr_strength=2.0)
    assert (elr.decay, elr.strength) == (0.25, 2.0)


def test_elr_s_logarithm_never_sees_zero():
    """Certain and remembered, <p, t> is below 1 by the clip."""
    elr = EarlyLearning(torch.zeros(1), 2, decay=0.0, strength=1.0)
    logits, index = torch.tensor([[90.0, -90.0]]), torch.tensor([0])
    elr.record(logits, index)
    assert elr(logits, index).item() >= np.log(ELR_CLIP)


def test_only_elr_has_a_term():
    """For the other losses it is 0, every factor is 1, and nothing is remembered."""
    none = method(loss="mae")
    none.record(torch.zeros(1, 2), torch.tensor([0]))
    assert none(torch.zeros(1, 2), torch.tensor([0])).tolist() == 0.0
    assert none.factors(torch.tensor([0.5, 9.0])).tolist() == [1.0, 1.0]
    assert not none.state_dict()
    assert set(method(loss="elr").state_dict()) == {"target"}
