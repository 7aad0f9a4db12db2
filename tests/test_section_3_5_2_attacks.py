"""ICLR paper, Section 3.5.2, Algorithm 2: perturbed inputs by definition, without side effects."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from experiments.attacks import accumulating, alone, fgsm, pgd

eighths = st.integers(-16, 16).map(lambda k: k / 8)
sizes = st.integers(0, 16).map(lambda k: k / 8)


def cross_entropy(logits, labels):
    """Per-sample cross-entropy."""
    return F.cross_entropy(logits, labels, reduction="none")


def network(seed=0):
    """Two layers with dropout and a batch norm, whose modes matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(6, 5),
            nn.BatchNorm1d(5),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(5, 3),
        )


def batch(seed=0, n=8):
    """Return inputs of shape (n, 2, 3), and labels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, 3, generator=generator), torch.randint(3, (n,), generator=generator)


@given(st.lists(eighths, min_size=2, max_size=2), st.lists(eighths, min_size=2, max_size=2), sizes)
def test_fgsm_of_a_linear_score(weights, x, eps):
    """The loss of label 0 is the score itself, so the step is eps times the weights' signs."""
    model = nn.Linear(2, 1, bias=False)
    model.weight.data.copy_(torch.tensor([weights]))
    moved = fgsm(model, lambda logits, _: logits[:, 0], torch.tensor([x]), torch.tensor([0]), eps)
    signs = [(w > 0) - (w < 0) for w in weights]
    assert moved.tolist() == [[a + eps * s for a, s in zip(x, signs, strict=True)]]


def test_fgsm_raises_the_loss_to_first_order():
    """By eps times the L1 norm of the gradient."""
    model, (x, labels) = network().eval().double(), batch()
    x = x.double().requires_grad_()
    loss = cross_entropy(model(x), labels)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    eps = 1e-7
    raised = cross_entropy(model(fgsm(model, cross_entropy, x, labels, eps)), labels) - loss
    expected = eps * gradient.abs().sum(dim=(1, 2))
    torch.testing.assert_close(raised, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_an_attack_leaves_the_model_as_it_was(attack):
    """Modes of every module, parameters, their gradients, running statistics; x keeps no graph."""
    model, (x, labels) = network(), batch()
    model[2].eval()
    cross_entropy(model(x), labels).sum().backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    x.requires_grad_()
    with torch.no_grad():
        moved = attack(model, cross_entropy, x, labels, 0.5)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert not moved.requires_grad
    assert x.grad is None
    assert (moved.shape, moved.dtype) == (x.shape, x.dtype)


def test_the_modes_come_back_even_if_the_loss_fails():
    """As it may, on a wrong label."""
    model, (x, labels) = network().train(), batch()
    with pytest.raises(IndexError):
        fgsm(model, cross_entropy, x, labels + 3, 0.5)
    assert all(module.training for module in model.modules())


@given(sizes, st.integers(1, 5), st.booleans(), st.integers(0, 9))
def test_pgd_stays_in_the_ball_and_in_the_bounds(eps, steps, drawn, seed):
    """From x or from anywhere in the ball."""
    model, (x, labels) = network(), batch(seed)
    x = x.clamp(-1, 1)
    start = torch.Generator().manual_seed(seed) if drawn else None
    moved = pgd(model, cross_entropy, x, labels, eps, steps=steps, start=start, bounds=(-1.0, 1.0))
    # One rounding of x - eps or x + eps, numbers up to 3.
    assert ((moved - x).abs() <= eps + 2.0**-22).all()
    assert (moved.abs() <= 1).all()
    again = torch.Generator().manual_seed(seed) if drawn else None
    settings = {"steps": steps, "start": again, "bounds": (-1.0, 1.0)}
    assert torch.equal(moved, pgd(model, cross_entropy, x, labels, eps, **settings))


@given(sizes, st.integers(0, 9))
def test_one_step_of_size_eps_is_fgsm(eps, seed):
    """With bounds as well; eps = 0 moves nothing."""
    model, (x, labels) = network(), batch(seed)
    for bounds in (None, (-0.5, 0.5)):
        single = fgsm(model, cross_entropy, x, labels, eps, bounds=bounds)
        if eps:
            start = x if bounds is None else x.clamp(*bounds)
            step = pgd(model, cross_entropy, start, labels, eps, steps=1, step_size=eps)
            if bounds is None:
                torch.testing.assert_close(step, single, rtol=0, atol=2.0**-21)
        else:
            assert torch.equal(single, x if bounds is None else x.clamp(*bounds))


def test_the_step_is_two_and_a_half_balls_divided_by_the_steps():
    """Ten steps of 0.8 around a maximum at 1: 0, 0.8, 1.6, 0.8, and so on, to 1.6."""
    x, label = torch.zeros(1, 1), torch.tensor([0])
    moved = pgd(nn.Identity(), lambda z, _: -(z[:, 0] - 1).abs(), x, label, 3.2, steps=10)
    # Ten roundings of numbers up to 2.
    assert moved.item() == pytest.approx(1.6, abs=10 * 2.0**-23)


def test_more_steps_find_a_larger_loss():
    """On this network and on average, as is the purpose."""
    model, (x, labels) = network().eval(), batch(n=64)
    losses = [
        cross_entropy(model(moved), labels).mean().item()
        for moved in (
            x,
            fgsm(model, cross_entropy, x, labels, 1.0),
            pgd(model, cross_entropy, x, labels, 1.0, steps=20),
        )
    ]
    assert losses == sorted(losses)
    assert losses[0] < losses[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eps": -0.5}, r"eps must be a finite number of at least 0, got -0.5"),
        ({"eps": float("nan")}, r"eps must be a finite number of at least 0, got nan"),
        ({"eps": float("inf")}, r"eps must be a finite number of at least 0, got inf"),
        ({"eps": "1"}, r"eps must be a finite number of at least 0, got '1'"),
        ({"eps": 1, "bounds": (1.0, 0.0)}, r"bounds must be \(smallest, largest\), got \(1.0, 0.0"),
        ({"eps": 1, "steps": 0}, r"steps must be a positive integer, got 0"),
        ({"eps": 1, "step_size": 0.0}, r"step_size must be positive, got 0.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    """Each is named, its value shown."""
    x, labels = batch()
    with pytest.raises(ValueError, match=message):
        pgd(network(), cross_entropy, x, labels, **arguments)


@pytest.mark.parametrize("bounds", [None, (-0.5, 0.5)])
def test_a_list_of_sizes_each_alone_is_fgsm_of_each(bounds):
    """To the bit, with one gradient for all."""
    model, (x, labels) = network(), batch()
    calls = []

    def counted(logits, labels):
        calls.append(1)
        return cross_entropy(logits, labels)

    sizes = (0.0, 0.125, 0.5, 2.0)
    moved = list(alone(model, counted, x, labels, sizes, bounds=bounds))
    assert len(calls) == 1
    for eps, one in zip(sizes, moved, strict=True):
        assert torch.equal(one, fgsm(model, cross_entropy, x, labels, eps, bounds=bounds))


@pytest.mark.parametrize("bounds", [None, (-0.5, 0.5)])
def test_an_accumulating_list_goes_on_from_the_last(bounds):
    """x_k is FGSM of x_{k-1}; of a linear score the sizes add up."""
    model, (x, labels) = network(), batch()
    sizes, last = (0.0, 0.1, 0.25), x
    for eps, one in zip(
        sizes, accumulating(model, cross_entropy, x, labels, sizes, bounds=bounds), strict=True
    ):
        last = fgsm(model, cross_entropy, last, labels, eps, bounds=bounds)
        assert torch.equal(one, last)
    linear = nn.Linear(2, 1, bias=False)
    linear.weight.data.copy_(torch.tensor([[1.0, -1.0]]))
    sizes = (0.0, 0.125, 0.25, 0.5, 1.0)
    *_, last = accumulating(
        linear, lambda logits, _: logits[:, 0], torch.zeros(1, 2), labels[:1], sizes
    )
    assert last.tolist() == [[1.875, -1.875]]


@pytest.mark.parametrize("attack", [alone, accumulating])
def test_bad_sizes_are_refused(attack):
    """The error shows the value."""
    model, (x, labels) = network(), batch()
    with pytest.raises(ValueError, match=r"eps must be a finite number of at least 0, got -0.5"):
        list(attack(model, cross_entropy, x, labels, (0.0, -0.5)))
