"""RMNW-Net paper, Section 3, Theorem 1, Theorem 2; theory.md C.1, C.2: losses under label noise."""

from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from rrm_theory.symmetric_noise import (
    DirectionOutcome,
    MetaLoss,
    batch_variance,
    direction,
    flip_noise,
    logit_gradient,
    uniform_noise,
)

rates = st.integers(0, 8).map(lambda k: Fraction(k, 8))
HALF = Fraction(1, 2)


@st.composite
def predictions(draw):
    """(p, y): up to 3 samples; probabilities are integers over their sum, none of them 0."""
    k, m = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    masses = [draw(st.lists(st.integers(1, 6), min_size=k, max_size=k)) for _ in range(m)]
    labels = draw(st.lists(st.integers(0, k - 1), min_size=m, max_size=m))
    return [[Fraction(x, sum(row)) for x in row] for row in masses], labels


def to_all_others(k):
    """D_y: every class but y."""
    return [[c for c in range(k) if c != y] for y in range(k)]


@given(predictions(), rates)
def test_uniform_noise_scales_the_gradient_of_a_symmetric_loss(problem, rate):
    """Theorem 1: E[noisy gradient] = (1 - eta) * clean, in fractions."""
    p, y = problem
    clean = logit_gradient(p, y, loss=MetaLoss.ABSOLUTE)
    noise = uniform_noise(len(p[0]), rate=rate)
    noisy = logit_gradient(p, y, loss=MetaLoss.ABSOLUTE, transition=noise)
    assert (noisy == (1 - rate) * clean).all()
    assert direction(noise).factor == 1 - rate


@given(predictions(), rates)
def test_a_flip_to_any_other_class_scales_it_too(problem, rate):
    """By 1 - eta K / (K - 1), which is negative for eta > (K - 1) / K."""
    p, y = problem
    k = len(p[0])
    noise = flip_noise(to_all_others(k), rate=rate)
    factor = 1 - rate * k / (k - 1)
    noisy = logit_gradient(p, y, loss=MetaLoss.ABSOLUTE, transition=noise)
    assert (noisy == factor * logit_gradient(p, y, loss=MetaLoss.ABSOLUTE)).all()
    named = {1: DirectionOutcome.KEPT, 0: DirectionOutcome.LOST, -1: DirectionOutcome.REVERSED}
    assert direction(noise).factor == factor
    assert direction(noise).outcome is named[int(np.sign(factor))]


def test_cross_entropy_is_not_symmetric():
    """Two classes, p = (3/4, 1/4), eta = 3/4: the expected gradient is reversed."""
    p = [[Fraction(3, 4), Fraction(1, 4)]]
    noise = uniform_noise(2, rate=Fraction(3, 4))
    clean = logit_gradient(p, [0], loss=MetaLoss.CROSS_ENTROPY)
    noisy = logit_gradient(p, [0], loss=MetaLoss.CROSS_ENTROPY, transition=noise)
    assert clean.tolist() == [[Fraction(-1, 4), Fraction(1, 4)]]
    assert noisy.tolist() == [[Fraction(1, 8), Fraction(-1, 8)]]


@st.composite
def transitions(draw):
    """Noise matrices of 2 to 4 classes in eighths, often with equal entries."""
    k = draw(st.integers(2, 4))
    rows = []
    for _ in range(k):
        cuts = sorted(draw(st.lists(st.integers(0, 8), min_size=k - 1, max_size=k - 1)))
        ends = [0, *cuts, 8]
        rows.append([Fraction(b - a, 8) for a, b in pairwise(ends)])
    return rows


@given(transitions() | rates.map(lambda eta: uniform_noise(3, rate=eta).tolist()))
@example(uniform_noise(3, rate=HALF).tolist())
@example([[HALF, HALF, 0], [0, HALF, HALF], [HALF, 0, HALF]])  # a fixed flip: none
@example([[HALF, HALF], [Fraction(1, 4), Fraction(3, 4)]])  # two classes, two different factors
def test_the_factor_exists_iff_the_gradients_are_parallel(noise):
    """At a point where no probability is special: noisy_y = alpha clean_y for all y, one alpha."""
    k = len(noise)
    p = [[Fraction(2**c, 2**k - 1) for c in range(k)]] * k
    y = list(range(k))
    clean = logit_gradient(p, y, loss=MetaLoss.ABSOLUTE)
    noisy = logit_gradient(p, y, loss=MetaLoss.ABSOLUTE, transition=noise)
    answer = direction(noise)
    alpha = noisy[0, 0] / clean[0, 0]
    if answer.outcome is DirectionOutcome.NOT_PARALLEL:
        assert answer.factor is None
        assert (noisy != alpha * clean).any()
    else:
        assert (noisy == answer.factor * clean).all()


@given(predictions(), rates, st.sampled_from(MetaLoss))
def test_the_gradient_is_autograd_s(problem, rate, loss):
    """torch in float64, expected loss by enumeration over the labels, rounding apart."""
    p, y = problem
    noise = uniform_noise(len(p[0]), rate=rate)
    z = torch.log(torch.tensor([[float(x) for x in row] for row in p], dtype=torch.float64))
    z.requires_grad_()
    softmax = torch.softmax(z, dim=1)
    weights = torch.tensor(noise[y].astype(float))
    per_label = -torch.log(softmax) if loss is MetaLoss.CROSS_ENTROPY else 2 * (1 - softmax)
    (weights * per_label).sum().backward()
    ours = logit_gradient(p, y, loss=loss, transition=noise).astype(float)
    # A handful of operations on numbers up to 2.
    np.testing.assert_allclose(ours, z.grad.numpy(), rtol=0, atol=32 * np.finfo(float).eps)


def test_parameters_of_a_network_feel_the_same_factor():
    """The chain rule: gradients of a small net's parameters, summed over a batch, float64."""
    generator = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))
    net.double()
    x = torch.randn(6, 3, dtype=torch.float64, generator=generator)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])

    def gradient(transition):
        softmax = torch.softmax(net(x), dim=1)
        weights = torch.tensor(np.array(transition, dtype=float))[labels]
        loss = (weights * 2 * (1 - softmax)).sum()
        return torch.cat([g.ravel() for g in torch.autograd.grad(loss, list(net.parameters()))])

    clean = gradient(np.eye(4))
    noisy = gradient(uniform_noise(4, rate=0.4))
    torch.testing.assert_close(noisy, 0.6 * clean, rtol=1e-12, atol=1e-14)
    fixed = gradient(flip_noise([[1], [2], [3], [0]], rate=0.4))
    cosine = torch.nn.functional.cosine_similarity(fixed, clean, dim=0)
    assert cosine < 0.999


@given(predictions(), rates)
def test_floats_agree_with_fractions(problem, rate):
    """The same formula on float64."""
    p, y = problem
    noise = uniform_noise(len(p[0]), rate=rate)
    exact = logit_gradient(p, y, loss=MetaLoss.ABSOLUTE, transition=noise)
    rows = np.array([[float(x) for x in row] for row in p])
    rows /= rows.sum(axis=1, keepdims=True)
    floats = logit_gradient(
        rows, np.array(y), loss=MetaLoss.ABSOLUTE, transition=noise.astype(float)
    )
    assert floats.dtype == np.float64
    np.testing.assert_allclose(floats, exact.astype(float), rtol=0, atol=1e-15)


def test_float32_probabilities_are_probabilities():
    """A softmax in float32 sums to 1 up to its own rounding."""
    p = torch.softmax(torch.linspace(-3, 3, 10), dim=0)[None].numpy()
    assert p.dtype == np.float32
    assert logit_gradient(p, [3], loss=MetaLoss.ABSOLUTE).dtype == np.float64


def test_one_float_makes_an_answer_of_floats():
    """Of float64, never of objects."""
    p, noise = [[HALF, HALF]], uniform_noise(2, rate=HALF)
    floats = np.array(p, dtype=float)
    for rows, transition in ((p, noise.astype(float)), (floats, noise)):
        answer = logit_gradient(rows, [0], loss=MetaLoss.ABSOLUTE, transition=transition)
        assert answer.dtype == np.float64
    assert logit_gradient(floats, [0], loss=MetaLoss.ABSOLUTE).dtype == np.float64


def test_numpy_integers_are_integers():
    """As they come out of shapes and label arrays."""
    assert (uniform_noise(np.int64(2), rate=1) == HALF).all()
    assert flip_noise(np.array([[1], [0]]), rate=1).tolist() == [[0, 1], [1, 0]]
    assert batch_variance([[[1], [-1]]], [0], rate=0, batch=np.int64(2)).noisy == 0


def test_noise_matrices():
    """As the paper defines them: drawn anew, one other class, two others."""
    quarter = Fraction(1, 4)
    assert uniform_noise(2, rate=1).tolist() == [[HALF, HALF], [HALF, HALF]]
    assert flip_noise([[1], [0]], rate=quarter).tolist() == [
        [Fraction(3, 4), quarter],
        [quarter, Fraction(3, 4)],
    ]
    assert flip_noise([[1, 2], [0, 2], [0, 1]], rate=HALF)[2].tolist() == [quarter, quarter, HALF]
    assert uniform_noise(10, rate=0.4)[0, 0] == Fraction(64, 100)


@st.composite
def symmetric_gradients(draw):
    """(gradients, labels): up to 3 samples, 3 classes, 2 parameters; the last class balances."""
    m, k, d = draw(st.integers(1, 3)), draw(st.integers(2, 3)), draw(st.integers(1, 2))
    eighths = st.integers(-8, 8).map(lambda n: Fraction(n, 8))
    g = [[[draw(eighths) for _ in range(d)] for _ in range(k - 1)] for _ in range(m)]
    for rows in g:
        rows.append([-sum(column) for column in zip(*rows, strict=True)])
    return g, draw(st.lists(st.integers(0, k - 1), min_size=m, max_size=m))


@given(symmetric_gradients(), rates, st.integers(1, 3))
@example(([[[Fraction(1)], [Fraction(-1)]]], [0]), HALF, 1)
def test_the_variance_is_that_of_all_batches_and_within_its_bounds(problem, rate, batch):
    """Theorem 2's constant; variances against every batch of one or two draws, one by one."""
    g, y = problem
    answer = batch_variance(g, y, rate=rate, batch=batch)
    assert answer.noisy <= answer.sharp_bound <= answer.bound
    norms = [sum(x * x for x in row) for rows in g for row in rows]
    assert answer.bound - answer.clean == 2 * rate * max(norms) / batch
    assert answer.sharp_bound - answer.clean == rate * (2 - rate) * max(norms) / batch
    if batch <= 2:
        noise = uniform_noise(len(g[0]), rate=rate)
        for transition, variance in ((np.eye(len(g[0])), answer.clean), (noise, answer.noisy)):
            draws = [
                (Fraction(transition[label, c]) / len(g), rows[c])
                for rows, label in zip(g, y, strict=True)
                for c in range(len(rows))
            ]
            assert variance == enumerated_variance(draws, batch)


def enumerated_variance(draws, batch):
    """E ||mean - E mean||^2 over all sequences of that many independent draws."""
    means = []
    for sequence in product(draws, repeat=batch):
        chance = Fraction(1)
        for probability, _ in sequence:
            chance *= probability
        columns = zip(*(row for _, row in sequence), strict=True)
        means.append((chance, [sum(column) / batch for column in columns]))
    centre = [sum(chance * row[i] for chance, row in means) for i in range(len(means[0][1]))]
    return sum(
        chance * sum((x - m) ** 2 for x, m in zip(row, centre, strict=True))
        for chance, row in means
    )


@given(rates, st.integers(1, 4))
def test_the_sharp_bound_is_attained(rate, batch):
    """One sample, gradients 1 and -1."""
    answer = batch_variance([[[1], [-1]]], [0], rate=rate, batch=batch)
    assert answer.noisy == answer.sharp_bound
    assert answer.clean == 0


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: uniform_noise(1, rate=0.5), r"classes must be an integer of at least 2, got 1"),
        (lambda: uniform_noise(True, rate=0.5), r"classes must .* got True"),
        (lambda: uniform_noise(3, rate=1.5), r"rate must lie in \[0, 1\], got 1\.5"),
        (lambda: flip_noise([[1], [1]], rate=0.5), r"destinations\[1\] must be different .* \[1\]"),
        (lambda: flip_noise([[1], []], rate=0.5), r"destinations\[1\] must be different .* \[\]"),
        (lambda: flip_noise([[1, 1], [0]], rate=0.5), r"destinations\[0\] must be .*\[1, 1\]"),
        (
            lambda: flip_noise([[2], [0]], rate=0.5),
            r"destinations\[0\] must lie in \[0, 2\), got 2",
        ),
        (
            lambda: flip_noise([[0.5], [0]], rate=0.5),
            r"destinations\[0\] must hold integers, got 0\.5",
        ),
        (lambda: flip_noise([[True], [0]], rate=0.5), r"destinations\[0\] must hold .* got True"),
        (lambda: flip_noise([1, 0], rate=0.5), r"destinations\[0\] must be a sequence .* got 1"),
        (
            lambda: logit_gradient([[0.5, 0.5]], [0], loss="absolute"),
            r"loss must be a MetaLoss, got 'absolute'",
        ),
        (
            lambda: batch_variance([[[1], [0, 1]]], [0], rate=0.5, batch=1),
            r"gradients must be an array of real numbers",
        ),
        (
            lambda: logit_gradient([[0.5, 0.6]], [0], loss=MetaLoss.ABSOLUTE),
            r"probabilities must have rows of probabilities, got \(0\.5, 0\.6\) in row 0",
        ),
        (
            lambda: logit_gradient([[-0.5, 1.5]], [0], loss=MetaLoss.ABSOLUTE),
            r"rows of probabilities, got \(-0\.5, 1\.5\) in row 0",
        ),
        (
            lambda: logit_gradient([[0.5, 0.5]], [2], loss=MetaLoss.ABSOLUTE),
            r"labels must lie in \[0, 2\), got 2 at index 0",
        ),
        (
            lambda: logit_gradient([[0.5, 0.5]], [0, 1], loss=MetaLoss.ABSOLUTE),
            r"labels must be 1 integers, got shape \(2,\)",
        ),
        (
            lambda: logit_gradient([[0.5, 0.5]], [0], loss=MetaLoss.ABSOLUTE, transition=np.eye(3)),
            r"transition must have shape \(K, K\), K = 2 >= 2, got \(3, 3\)",
        ),
        (lambda: direction([[0.5, 0.5]]), r"transition must have shape .* got \(1, 2\)"),
        (lambda: direction([["a", "b"]]), r"transition must be real numbers"),
        (lambda: direction([0.5, 0.5]), r"transition must be a matrix, got shape \(2,\)"),
        (
            lambda: batch_variance([[[1], [0]]], [0], rate=0.5, batch=1),
            r"gradients must sum to 0 over the classes, got \[Fraction\(1, 1\)\] for sample 0",
        ),
        (
            lambda: batch_variance(
                [[[1, 0], [-1, 0]], [[0, 1], [0, 0]]], [0, 0], rate=0.5, batch=1
            ),
            r"got \[Fraction\(0, 1\) Fraction\(1, 1\)\] for sample 1",
        ),
        (
            lambda: batch_variance([[1, -1]], [0], rate=0.5, batch=1),
            r"gradients must have shape \(M, K >= 2, P\), got \(1, 2\)",
        ),
        (
            lambda: batch_variance([[[1], [-1]]], [0], rate=0.5, batch=0),
            r"batch must be an integer of at least 1, got 0",
        ),
        (
            lambda: batch_variance([[[np.nan], [-1]]], [0], rate=0.5, batch=1),
            r"gradients must hold finite real numbers, got .*nan.* at \(0, 0, 0\)",
        ),
    ],
)
def test_bad_input_is_named(call, match):
    """Argument and value."""
    with pytest.raises(ValueError, match=match):
        call()
