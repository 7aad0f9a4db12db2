"""RMNW-Net paper, Section 3: meta-gradients from noisy meta samples; theory.md C.1, C.2.

p are the classifier's probabilities, one row a sample, y the true labels, eta the noise rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

from hypothesis import strategies as st

from rrm_theory.ledger.claim import Comparison, Origin, Verdict, at_most, claim, equal, less
from rrm_theory.ledger.definitions import Matrix, Rationals, mean
from rrm_theory.ledger.instances import (
    distributions,
    indices,
    open_unit,
    positive,
    signed,
    unit,
    vectors,
)
from rrm_theory.symmetric_noise import (
    DirectionOutcome,
    MetaLoss,
    batch_variance,
    direction,
    flip_noise,
    logit_gradient,
    uniform_noise,
)

HOLDS, CORRECTED, REFUTED = Verdict.HOLDS, Verdict.CORRECTED, Verdict.REFUTED
# By sample and label, a vector of parameters.
Gradients = tuple[tuple[Rationals, ...], ...]
BY_LABELS = "exact: sums over all K labels; gradients by the chain rule through p = softmax(z)"


@st.composite
def predictions(
    draw: st.DrawFn,
    /,
    *,
    most: int = 2,
    least_classes: int = 2,
    rates: st.SearchStrategy[Fraction] = unit,
) -> dict[str, Any]:
    """Return probabilities without zeros, labels and a rate."""
    k, m = draw(st.integers(least_classes, 4)), draw(st.integers(1, most))
    return {
        "p": tuple(draw(distributions(k, least=1)) for _ in range(m)),
        "y": draw(indices(m, k)),
        "eta": draw(rates),
    }


def absolute_gradient(p: Rationals, label: int) -> Rationals:
    """Return d/dz of ``sum_k |p_k - [k = label]|``: dp_k/dz_i = p_k ([k = i] - p_i)."""
    outer = [Fraction(-1 if k == label else 1) for k in range(len(p))]
    return through_softmax(p, outer)


def cross_entropy_gradient(p: Rationals, label: int) -> Rationals:
    """Return d/dz of ``-log p_label``."""
    outer = [-1 / p[k] if k == label else Fraction(0) for k in range(len(p))]
    return through_softmax(p, outer)


def through_softmax(p: Rationals, outer: Sequence[Fraction]) -> Rationals:
    """Return ``sum_k outer_k dp_k/dz_i``."""
    return tuple(
        sum(
            (o * x * ((k == i) - p[i]) for k, (o, x) in enumerate(zip(outer, p, strict=True))),
            Fraction(0),
        )
        for i in range(len(p))
    )


def expected(gradients: Sequence[Rationals], chances: Sequence[Fraction]) -> Rationals:
    """Return the mean of gradients by label."""
    return tuple(
        sum((chance * g for chance, g in zip(chances, column, strict=True)), Fraction(0))
        for column in zip(*gradients, strict=True)
    )


def uniform_chances(label: int, k: int, eta: Fraction) -> list[Fraction]:
    """Return p(noisy label = c): drawn anew with probability eta."""
    return [(1 - eta) * (c == label) + eta / k for c in range(k)]


def other_chances(label: int, k: int, eta: Fraction) -> list[Fraction]:
    """Return p(noisy label = c): with probability eta another class, each as likely."""
    return [1 - eta if c == label else eta / (k - 1) for c in range(k)]


def scaled(vector: Rationals, factor: Fraction) -> Rationals:
    """Return factor times vector."""
    return tuple(factor * x for x in vector)


def inner(a: Rationals, b: Rationals) -> Fraction:
    """Return the inner product."""
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


@claim(
    id="C.1.symmetric",
    source="RMNW-Net paper, Eq. (6)",
    statement="MAE is symmetric: sum over the classes c of ‖p - e_c‖₁ is constant, 2 (K - 1)",
    hypotheses="p a distribution",
    verdict=HOLDS,
    method="exact",
    instances=predictions(),
)
def symmetric(p: Matrix, y: tuple[int, ...], eta: Fraction) -> Iterator[Comparison]:
    """By the definition of the norm."""
    for row in p:
        k = len(row)
        total = sum(abs(x - (i == c)) for c in range(k) for i, x in enumerate(row))
        yield equal("sum_c ‖p - e_c‖₁", total, "2 (K - 1)", 2 * (k - 1))


@claim(
    id="C.1.uniform",
    source="RMNW-Net paper, Theorem 1",
    statement="Under uniform noise of rate eta, E[noisy meta-gradient] = (1 - eta) times the clean "
    "one, for a symmetric loss",
    hypotheses="a label is drawn anew, of all K classes, with probability eta; MAE on a softmax",
    verdict=HOLDS,
    method=BY_LABELS,
    instances=predictions(),
)
def theorem_1(p: Matrix, y: tuple[int, ...], eta: Fraction) -> Iterator[Comparison]:
    """Sample by sample, so for every sum of them; and the toolkit's gradient."""
    k = len(p[0])
    rows = []
    for row, label in zip(p, y, strict=True):
        gradients = [absolute_gradient(row, c) for c in range(k)]
        noisy = expected(gradients, uniform_chances(label, k, eta))
        yield equal(
            "E[noisy gradient]", noisy, "(1 - eta) clean", scaled(gradients[label], 1 - eta)
        )
        rows.append(noisy)
    noise = uniform_noise(k, rate=eta)
    ours = logit_gradient(p, y, loss=MetaLoss.ABSOLUTE, transition=noise)
    yield equal("logit_gradient(p, y)", tuple(map(tuple, ours)), "E[noisy gradient]", tuple(rows))


@claim(
    id="C.1.cross-entropy",
    origin=Origin.READING,
    source="RMNW-Net paper, Theorem 1 without its hypothesis (MNW-Net)",
    statement="Cross-entropy too keeps the direction: the inner product of noisy and clean "
    "gradient is positive",
    hypotheses="uniform noise, eta < 1, clean gradient ≠ 0",
    verdict=REFUTED,
    method=BY_LABELS,
    instances=predictions(most=1),
    known=({"p": ((Fraction(3, 4), Fraction(1, 4)),), "y": (0,), "eta": Fraction(3, 4)},),
    by_hand="The gradient for label c is p - e_c. Labels count from 0; label c has probability (1 "
    "- eta)[c = y] + eta/K.",
)
def cross_entropy(p: Matrix, y: tuple[int, ...], eta: Fraction) -> Iterator[Comparison]:
    """It may even be reversed."""
    if eta == 1:
        return
    k = len(p[0])
    gradients = [cross_entropy_gradient(p[0], c) for c in range(k)]
    clean = gradients[y[0]]
    noisy = expected(gradients, uniform_chances(y[0], k, eta))
    yield less("0", 0, "noisy · clean", inner(noisy, clean))


@claim(
    id="C.1.any-flip",
    source="RMNW-Net paper, after Theorem 2: expectation over the flip map T(y) ≠ y",
    statement="Averaged over a random flip to another class the gradient is C times the clean one, "
    "C positive",
    hypotheses="a symmetric loss; a label flips with probability eta, to each other class alike; "
    "eta < 1",
    verdict=CORRECTED,
    method=BY_LABELS,
    instances=predictions(most=1),
    known=({"p": ((Fraction(1, 2), Fraction(1, 2)),), "y": (0,), "eta": Fraction(3, 4)},),
    correction="C = 1 - eta K/(K - 1): zero at eta = (K - 1)/K, and beyond it the gradient is "
    "reversed.",
    corrected=lambda p, y, eta: flip_factor(p, y, eta),
    by_hand="The MAE gradient for label c is 2 p_c (p - e_c). The label stays with probability 1 - "
    "eta, else each other class has eta/(K - 1).",
)
def any_flip(p: Matrix, y: tuple[int, ...], eta: Fraction) -> Iterator[Comparison]:
    """The sign of the factor, read off the inner product."""
    if eta == 1:
        return
    k = len(p[0])
    gradients = [absolute_gradient(p[0], c) for c in range(k)]
    noisy = expected(gradients, other_chances(y[0], k, eta))
    clean = gradients[y[0]]
    yield less(
        "0", 0, "C = noisy · clean / clean · clean", inner(noisy, clean) / inner(clean, clean)
    )


def flip_factor(p: Matrix, y: tuple[int, ...], eta: Fraction) -> Iterator[Comparison]:
    """The factor, its sign, and the toolkit's."""
    k = len(p[0])
    factor = 1 - eta * k / (k - 1)
    for row, label in zip(p, y, strict=True):
        gradients = [absolute_gradient(row, c) for c in range(k)]
        noisy = expected(gradients, other_chances(label, k, eta))
        yield equal("E[noisy gradient]", noisy, "C clean", scaled(gradients[label], factor))
    ours = direction(flip_noise([[c for c in range(k) if c != d] for d in range(k)], rate=eta))
    yield equal("direction(T).factor", ours.factor, "1 - eta K/(K - 1)", factor)
    reversed_ = ours.outcome is DirectionOutcome.REVERSED
    yield equal("reversed", reversed_, "eta > (K - 1)/K", eta > Fraction(k - 1, k))


@claim(
    id="C.1.fixed-flip",
    origin=Origin.READING,
    source="RMNW-Net paper, after Theorem 2, which says that its guarantee does not cover this",
    statement="Under a fixed flip map too, a symmetric loss keeps the direction: noisy and clean "
    "gradients are parallel",
    hypotheses="one sample, K ≥ 3, y flips to y + 1 (mod K) with probability eta in (0, 1)",
    verdict=REFUTED,
    method=BY_LABELS,
    instances=predictions(most=1, least_classes=3, rates=open_unit),
    by_hand="The MAE gradient for label c is 2 p_c (p - e_c). Two vectors are parallel iff all 2 "
    "by 2 minors vanish.",
)
def fixed_flip(p: Matrix, y: tuple[int, ...], eta: Fraction) -> Iterator[Comparison]:
    """The largest minor."""
    k, label = len(p[0]), y[0]
    clean = absolute_gradient(p[0], label)
    flipped = absolute_gradient(p[0], (label + 1) % k)
    noisy = tuple((1 - eta) * a + eta * b for a, b in zip(clean, flipped, strict=True))
    minors = [abs(noisy[i] * clean[j] - noisy[j] * clean[i]) for i in range(k) for j in range(i)]
    yield equal("largest 2 by 2 minor of (noisy, clean)", max(minors), "", Fraction(0))


@st.composite
def noises(draw: st.DrawFn) -> dict[str, Any]:
    """Return a transition matrix of 2 to 4 classes in eighths, some of them uniform noise."""
    k = draw(st.integers(2, 4))
    eta = draw(unit)
    alike = tuple(tuple(uniform_chances(y, k, eta)) for y in range(k))
    rows = st.tuples(*[distributions(k) for _ in range(k)])
    return {"T": draw(st.just(alike) | rows)}


@claim(
    id="C.1.which-noise",
    origin=Origin.OURS,
    source="ours, theory.md C.1",
    statement="A factor C that serves all labels and predictions exists iff T = C I + (1 - C)/K: "
    "uniform noise of rate 1 - C, which may exceed 1, is all there is",
    hypotheses="MAE on a softmax",
    verdict=HOLDS,
    method=BY_LABELS + ", at p_c proportional to 2^c",
    instances=noises(),
)
def which_noise(T: Matrix) -> Iterator[Comparison]:
    """At one p without symmetries, all labels; the factor is read off the first."""
    k = len(T)
    p = tuple(Fraction(2**c, 2**k - 1) for c in range(k))
    gradients = [absolute_gradient(p, c) for c in range(k)]
    noisy = [expected(gradients, T[y]) for y in range(k)]
    factor = noisy[0][0] / gradients[0][0]
    parallel = all(noisy[y] == scaled(gradients[y], factor) for y in range(k))
    c_factor = T[0][0] - T[0][1]
    alike = all(
        T[y][c] == c_factor * (c == y) + (1 - c_factor) / k for y in range(k) for c in range(k)
    )
    yield equal("one factor serves all labels", parallel, "T = C I + (1 - C)/K", alike)
    yield equal("direction(T).factor", direction(T).factor, "it", factor if parallel else None)


@st.composite
def look_aheads(draw: st.DrawFn) -> dict[str, Any]:
    """Return a scalar model: training gradients, weights' slopes, meta targets, a step."""
    n, m = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return {
        "alpha": draw(positive),
        "train_gradients": draw(vectors(n)),
        "weight_slopes": draw(vectors(n)),
        "meta_targets": draw(vectors(m)),
    }


def look_ahead(
    alpha: Fraction, train_gradients: Rationals, weight_slopes: Rationals, meta_targets: Rationals
) -> tuple[Fraction, Fraction]:
    """Return the derivative of sum_j l_j(w(Theta)) at Theta = 0, and Eq. (4)'s right side.

    w(Theta) = -(alpha/n) sum_i (slope_i Theta) gradient_i, l_j(w) = (w - target_j)^2/2.
    """
    n = len(train_gradients)

    def loss(theta: int) -> Fraction:
        w = (
            -alpha
            / n
            * sum(s * theta * g for s, g in zip(weight_slopes, train_gradients, strict=True))
        )
        return sum(((w - t) ** 2 / 2 for t in meta_targets), Fraction(0))

    # The loss is a quadratic polynomial in Theta: its central difference is its derivative.
    derivative = (loss(1) - loss(-1)) / 2
    meta_gradient = mean([-t for t in meta_targets])
    weighted = sum(
        meta_gradient * g * s for g, s in zip(train_gradients, weight_slopes, strict=True)
    )
    return derivative, -alpha / n * weighted


@claim(
    id="C.1.equation-4",
    source="RMNW-Net paper, Eq. (3) and Eq. (4)",
    statement="∇_Theta sum_j l_j(w(Theta)) = -(alpha/n) sum_i (G · ∇l_i) ∂W_i/∂Theta with G the "
    "mean of the m meta-gradients",
    hypotheses="one look-ahead step; here one parameter w = 0, W_i = slope_i Theta, l_j(w) = (w - "
    "target_j)²/2, Theta = 0",
    verdict=CORRECTED,
    method="exact: central difference of a quadratic polynomial",
    instances=look_aheads(),
    known=(
        {
            "alpha": Fraction(1),
            "train_gradients": (Fraction(1),),
            "weight_slopes": (Fraction(1),),
            "meta_targets": (Fraction(1), Fraction(1)),
        },
    ),
    correction="The right side lacks the factor m (or the left side 1/m); the direction is right.",
    corrected=lambda **instance: with_factor_m(**instance),
    by_hand="w(Theta) = -(alpha/n) sum_i slope_i gradient_i Theta. Left: its slope times the sum "
    "of (0 - target_j). Right: times their mean.",
)
def equation_4(
    alpha: Fraction, train_gradients: Rationals, weight_slopes: Rationals, meta_targets: Rationals
) -> Iterator[Comparison]:
    """Sum on the left, mean on the right."""
    derivative, printed = look_ahead(alpha, train_gradients, weight_slopes, meta_targets)
    yield equal("left side", derivative, "right side", printed)


def with_factor_m(
    alpha: Fraction, train_gradients: Rationals, weight_slopes: Rationals, meta_targets: Rationals
) -> Iterator[Comparison]:
    """The correction."""
    derivative, printed = look_ahead(alpha, train_gradients, weight_slopes, meta_targets)
    yield equal("left side", derivative, "m times the right side", len(meta_targets) * printed)


THRESHOLDS = {"flip": Fraction(1, 2), "flip2": Fraction(2, 3), "uniform": Fraction(1)}


def rows_of_noise(k: int, eta: Fraction) -> Iterator[tuple[str, Fraction, Fraction]]:
    """Yield kind of noise, chance of the true class, largest chance of another one."""
    for name, noise in (
        ("flip", flip_noise([[(y + 1) % k] for y in range(k)], rate=eta)),
        ("flip2", flip_noise([[(y + 1) % k, (y + 2) % k] for y in range(k)], rate=eta)),
        ("uniform", uniform_noise(k, rate=eta)),
    ):
        yield name, noise[0, 0], max(noise[0, c] for c in range(1, k))


@claim(
    id="C.1.majority",
    source="RMNW-Net paper, Section 4, Noise Rate (2/3 is printed as 0.67)",
    statement="From eta ≥ 1/2 (flip), 2/3 (flip2), 1 (uniform) on a noisy class is in the "
    "majority: more likely than the true one",
    hypotheses="K ≥ 3, eta ≤ 1",
    verdict=CORRECTED,
    method="exact: a row of each transition matrix; all rows are alike",
    instances=st.fixed_dictionaries(
        {"K": st.integers(3, 6), "eta": unit | st.just(Fraction(2, 3))}
    ),
    correction="The true class is strictly the most likely label iff eta is below these numbers; "
    "at them it ties, and under uniform noise no class ever exceeds it.",
    corrected=lambda K, eta: true_class_ahead(K, eta),
    by_hand="At the printed rate both classes are equally likely.",
)
def majority(K: int, eta: Fraction) -> Iterator[Comparison]:
    """At and above the thresholds."""
    for name, own, other in rows_of_noise(K, eta):
        if eta >= THRESHOLDS[name]:
            yield less(f"{name}: p(true class)", own, "p(most likely other class)", other)


def true_class_ahead(K: int, eta: Fraction) -> Iterator[Comparison]:
    """Strictly, iff below the threshold."""
    for name, own, other in rows_of_noise(K, eta):
        below = eta < THRESHOLDS[name]
        yield equal(f"{name}: true class ahead", own > other, "eta below its threshold", below)
        if name == "uniform":
            yield at_most("uniform: p(other class)", other, "p(true class)", own)


@st.composite
def gradient_tables(draw: st.DrawFn, /, *, most: int = 3) -> dict[str, Any]:
    """Return gradients by sample and label, of one or two parameters, that sum to 0 over labels."""
    m, k, d = draw(st.integers(1, most)), draw(st.integers(2, 3)), draw(st.integers(1, 2))
    table = []
    for _ in range(m):
        free = [draw(vectors(d, signed)) for _ in range(k - 1)]
        table.append((*free, tuple(-sum(column) for column in zip(*free, strict=True))))
    return {"gradients": tuple(table), "y": draw(indices(m, k)), "eta": draw(unit)}


def spread(law: Sequence[tuple[Fraction, Rationals]]) -> Fraction:
    """Return ``E ||g - E g||^2`` of vectors with their chances."""
    centre = expected([g for _, g in law], [chance for chance, _ in law])
    return sum(
        (chance * sum((x - y) ** 2 for x, y in zip(g, centre, strict=True)) for chance, g in law),
        Fraction(0),
    )


def draw_variances(
    gradients: Gradients, y: tuple[int, ...], eta: Fraction
) -> tuple[Fraction, Fraction]:
    """Return the variance of one draw with true and with noisy labels, and no formula for it."""
    clean, noisy = (
        spread(
            [
                (chance / len(gradients), g)
                for row, label in zip(gradients, y, strict=True)
                for chance, g in zip(uniform_chances(label, len(row), rate), row, strict=True)
            ]
        )
        for rate in (Fraction(0), eta)
    )
    return clean, noisy


def largest_square(gradients: Gradients) -> Fraction:
    """Return rho², the largest squared norm."""
    return max(inner(g, g) for row in gradients for g in row)


@claim(
    id="C.2.variance",
    source="RMNW-Net paper, Theorem 2, its variance",
    statement="The noisy variance of a mini-batch is at most sigma² + 2 eta rho²/m",
    hypotheses="a symmetric loss, gradients of norm at most rho, m independent draws with "
    "independent uniform noise; here m = 1, as both sides scale with 1/m",
    verdict=HOLDS,
    method="exact: all samples and labels",
    instances=gradient_tables(),
)
def variance(gradients: Gradients, y: tuple[int, ...], eta: Fraction) -> Iterator[Comparison]:
    """By enumeration, and the toolkit's variances."""
    clean, noisy = draw_variances(gradients, y, eta)
    largest = largest_square(gradients)
    yield at_most("noisy variance", noisy, "sigma² + 2 eta rho²", clean + 2 * eta * largest)
    ours = batch_variance(gradients, list(y), rate=eta, batch=1)
    yield equal("batch_variance(g)", (ours.clean, ours.noisy), "(clean, noisy)", (clean, noisy))


@claim(
    id="C.2.sharp",
    origin=Origin.OURS,
    source="ours, theory.md C.2",
    statement="2 eta can be lowered to eta (2 - eta), and no further: one sample with gradients "
    "rho, -rho attains it",
    hypotheses="as in C.2.variance",
    verdict=HOLDS,
    method="exact: all samples and labels",
    instances=gradient_tables(),
)
def sharp_variance(gradients: Gradients, y: tuple[int, ...], eta: Fraction) -> Iterator[Comparison]:
    """Valid for all, attained by one."""
    clean, noisy = draw_variances(gradients, y, eta)
    largest = largest_square(gradients)
    bound = eta * (2 - eta) * largest
    yield at_most("noisy variance", noisy, "sigma² + eta (2 - eta) rho²", clean + bound)
    longest = max((g for row in gradients for g in row), key=lambda g: inner(g, g))
    none, attained = draw_variances(((longest, scaled(longest, Fraction(-1))),), (0,), eta)
    yield equal("noisy variance of (g, -g)", attained, "sigma² + eta (2 - eta) rho²", none + bound)


@st.composite
def second_passes(draw: st.DrawFn) -> dict[str, Any]:
    """Return a parameter, a step and a rate."""
    return {"t": draw(positive), "step": draw(positive), "eta": draw(open_unit)}


@claim(
    id="C.1.second-pass",
    origin=Origin.READING,
    source="RMNW-Net paper, Theorem 1, applied along training on meta labels drawn once",
    statement="On a second pass over the same noisy meta label, E[noisy gradient] = (1 - eta) "
    "E[clean gradient]",
    hypotheses="a symmetric loss: l(0, t) = t²/2, l(1, t) = -t²/2; true label 0, uniform noise, K "
    "= 2; one gradient step on the noisy label before",
    verdict=REFUTED,
    method="exact: both labels",
    instances=second_passes(),
    by_hand="The noisy label is 1 with probability eta/2. Step: t becomes t - step t or t + step "
    "t. There the gradient of the same label is t or -t of the new t; the clean one is the new "
    "t. Theorem 1 needs a parameter that does not depend on the noise.",
)
def second_pass(t: Fraction, step: Fraction, eta: Fraction) -> Iterator[Comparison]:
    """After the step the parameter knows the label."""
    noisy = clean = Fraction(0)
    for label, chance in ((0, 1 - eta / 2), (1, eta / 2)):
        sign = 1 - 2 * label
        after = t - step * sign * t
        noisy += chance * sign * after
        clean += chance * after
    yield equal("E[noisy gradient]", noisy, "(1 - eta) E[clean gradient]", (1 - eta) * clean)


@claim(
    id="C.2.fixed-labels",
    origin=Origin.READING,
    source="RMNW-Net paper, Theorem 2, for a meta set whose labels were corrupted once",
    statement="The bound sigma² + 2 eta rho²/m also holds if the noisy labels are drawn once and "
    "mini-batches with replacement",
    hypotheses="as in C.2.variance, m = 2, but a sample has the same noisy label in every draw",
    verdict=REFUTED,
    method="exact: all labellings, all mini-batches",
    instances=gradient_tables(most=2),
    known=({"gradients": (((Fraction(1),), (Fraction(-1),)),), "y": (0,), "eta": Fraction(1, 2)},),
    by_hand="With one sample every mini-batch is that sample with its one label: averaging over m "
    "draws averages nothing.",
    effort=4,
)
def fixed_labels(gradients: Gradients, y: tuple[int, ...], eta: Fraction) -> Iterator[Comparison]:
    """The mean of two draws from one labelling, over all labellings."""
    clean, _ = draw_variances(gradients, y, eta)
    k, m = len(gradients[0]), len(gradients)
    law = []
    for labelling in product(range(k), repeat=m):
        chance = Fraction(1)
        for label, true in zip(labelling, y, strict=True):
            chance *= uniform_chances(true, k, eta)[label]
        seen = [row[label] for row, label in zip(gradients, labelling, strict=True)]
        law += [
            (chance / m**2, tuple((a + b) / 2 for a, b in zip(one, other, strict=True)))
            for one in seen
            for other in seen
        ]
    bound = clean / 2 + eta * largest_square(gradients)
    yield at_most("variance, m = 2", spread(law), "sigma² + 2 eta rho²/m", bound)


CLAIMS = (
    symmetric,
    theorem_1,
    cross_entropy,
    any_flip,
    fixed_flip,
    which_noise,
    equation_4,
    majority,
    second_pass,
    variance,
    sharp_variance,
    fixed_labels,
)
