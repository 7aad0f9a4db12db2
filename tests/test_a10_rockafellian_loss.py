"""ICLR paper, Eq. (2); theory.md A.1, A.10: the relaxed risk as a loss whose gradient is p."""

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from strategies import gammas, losses, losses_next_to_the_cut, tied_problems

from rrm_theory import optimal_face, relax, relaxed_risk
from rrm_theory.reweight import rockafellian_loss


def value_and_gradient(c, gamma, dtype=torch.float64):
    """Return the loss and its gradient as floats."""
    given_losses = torch.tensor(c, dtype=dtype, requires_grad=True)
    value = rockafellian_loss(given_losses, gamma)
    value.backward()
    return value.item(), given_losses.grad


@given(tied_problems())
@example((np.array([0.0, 1.0, np.inf]), 0.5))
def test_value_and_gradient_are_relax_s(problem):
    """To rounding: the value is a sum of N products, the weights are divisions."""
    c, gamma = problem
    value, gradient = value_and_gradient(c, gamma)
    answer = relax(c, gamma=gamma)
    scale = 1 + np.abs(c[np.isfinite(c)]).max() + gamma
    assert value == pytest.approx(answer.value, abs=8 * len(c) * np.finfo(float).eps * scale)
    np.testing.assert_allclose(gradient.numpy(), answer.weights, rtol=4e-16, atol=0)


@given(losses_next_to_the_cut())
def test_the_cut_is_exact(problem):
    """Losses within two floats of c_min + gamma: the same are pruned."""
    c, gamma = problem
    _, gradient = value_and_gradient(c, gamma)
    assert ((gradient == 0).numpy() == relax(c, gamma=gamma).pruned).all()


@given(losses, gammas)
def test_the_gradient_lies_on_the_optimal_face(c, gamma):
    """So it is a supergradient, also where the minimiser is not unique."""
    _, gradient = value_and_gradient(c, gamma)
    u = gradient.numpy() - 1 / len(c)
    assert optimal_face(c, gamma=gamma).contains(u, tol=1e-15)


@given(losses, gammas)
def test_gradcheck_where_the_minimiser_is_unique(c, gamma):
    """Finite differences in float64, at points that are no breaks."""
    face = optimal_face(c, gamma=gamma)
    assume(face.is_unique)
    point = torch.tensor(c, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: rockafellian_loss(x, gamma), [point])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types(dtype):
    """Short losses give a float32 value and a gradient of their own type."""
    c = torch.tensor([0.0, 1.0, 10.0, 20.0], dtype=dtype, requires_grad=True)
    value = rockafellian_loss(c, 2.0)
    value.backward()
    assert value.dtype == (dtype if dtype in (torch.float32, torch.float64) else torch.float32)
    assert value.item() == 1.25
    assert c.grad.dtype == dtype
    assert c.grad.tolist() == [0.75, 0.25, 0, 0]


def test_under_functional_transforms():
    """torch.func.grad and vmap over rows."""
    c = torch.tensor([[0.0, 1.0, 10.0, 20.0], [3.0, 3.0, 3.0, 9.0]], dtype=torch.float64)
    rows = torch.func.vmap(torch.func.grad(lambda x: rockafellian_loss(x, 2.0)))(c)
    assert rows.tolist() == [[0.75, 0.25, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0]]


def test_under_autocast():
    """bfloat16 matrix products, a float32 loss, finite gradients."""
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(4, 3)
    x, y = torch.randn(8, 4, generator=generator), torch.arange(8) % 3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses_ = torch.nn.functional.cross_entropy(layer(x), y, reduction="none")
        value = rockafellian_loss(losses_, 0.5)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(layer.weight.grad).all()


def test_it_traces_into_one_graph():
    """torch.compile without a break, so nothing waits for the host."""
    c = torch.tensor([0.0, 1.0, 10.0, 20.0])
    compiled = torch.compile(lambda x: rockafellian_loss(x, 2.0), backend="eager", fullgraph=True)
    assert compiled(c).item() == relaxed_risk(c.numpy(), gamma=2.0)


def test_a_nan_is_seen():
    """The value says so; nothing is hidden."""
    assert torch.isnan(rockafellian_loss(torch.tensor([0.0, float("nan"), 9.0]), 1.0))


@pytest.mark.parametrize(
    ("c", "gamma", "match"),
    [
        (torch.zeros(0), 1.0, r"losses must be a non-empty vector of floats, got .*\[0\]"),
        (torch.zeros(2, 2), 1.0, r"losses must be a non-empty vector of floats, got .*\[2, 2\]"),
        (torch.zeros(2, dtype=torch.int64), 1.0, r"vector of floats, got torch.int64"),
        (torch.zeros(2), 0.0, r"gamma must be positive and finite .* got 0\.0"),
    ],
)
def test_bad_input_is_named(c, gamma, match):
    """Argument and value."""
    with pytest.raises(ValueError, match=match):
        rockafellian_loss(c, gamma)
