"""LNL-flywheel paper, Section 3, Appendix A: Lemma 1, the steps of both EMs; theory.md C.3, C.4.

p is p(y | x) at one x, m the marginal p(y), lambda the regulariser's price; f the auxiliary
network's distribution, q the probability that a label is clean. Labels count from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import inf
from typing import Any

from hypothesis import strategies as st

from rrm_theory.confidence import (
    ConfidenceOutcome,
    class_posterior,
    clean_posterior,
    clean_proportion,
    confidence_minimum,
    confidence_minimum_cone,
    corruption_likelihood,
    corruption_matrix,
)
from rrm_theory.ledger.claim import Comparison, Origin, Verdict, at_most, claim, equal
from rrm_theory.ledger.definitions import Matrix, Rationals, likelihood_power, uniform
from rrm_theory.ledger.instances import (
    distributions,
    indices,
    nonnegative,
    open_unit,
    unit,
)

HOLDS, CORRECTED, REFUTED = Verdict.HOLDS, Verdict.CORRECTED, Verdict.REFUTED
BY_POWERS = "exact: a sum of a_y log g_y is compared by the rational number prod g_y^(a_y d)"


@st.composite
def mixtures(draw: st.DrawFn) -> dict[str, Any]:
    """Return a clean distribution, its share, and another distribution to compare with."""
    k = draw(st.integers(2, 4))
    return {"p_pi": draw(distributions(k)), "share": draw(open_unit), "g": draw(distributions(k))}


@st.composite
def conditionals(draw: st.DrawFn) -> dict[str, Any]:
    """Return p and a marginal m without zeros."""
    k = draw(st.integers(2, 4))
    return {"p": draw(distributions(k)), "m": draw(distributions(k, least=1))}


@st.composite
def regularised(draw: st.DrawFn) -> dict[str, Any]:
    """Return p, m, a price, and a distribution to compare with."""
    problem = draw(conditionals())
    price = draw(nonnegative | unit)
    return {**problem, "price": price, "g": draw(distributions(len(problem["p"])))}


def coefficients(p: Rationals, m: Rationals, price: Fraction) -> Rationals:
    """Return a_y = p_y - lambda m_y."""
    return tuple(x - price * y for x, y in zip(p, m, strict=True))


def normalised(numbers: Rationals) -> Rationals:
    """Return numbers divided by their sum."""
    total = sum(numbers, Fraction(0))
    return tuple(x / total for x in numbers)


def best_of(a: Rationals, best: Rationals, g: Rationals) -> Iterator[Comparison]:
    """Compare the likelihoods of two distributions, a >= 0; only the best one attains its own."""
    ours, theirs = likelihood_power(best, a), likelihood_power(g, a)
    yield at_most("prod g_y^(a_y d)", theirs, "at the minimiser", ours)
    yield equal("g attains it", theirs == ours, "g is the minimiser", g == best)


@claim(
    id="C.3.lemma",
    source="LNL-flywheel paper, Lemma 1",
    statement="If p = gamma' p_pi + (1 - gamma')/K and p(y) = 1/K, then lambda = 1 - gamma' makes "
    "p_pi the minimiser of the regularised loss",
    hypotheses="gamma' in (0, 1); share is gamma'",
    verdict=HOLDS,
    method=BY_POWERS,
    instances=mixtures(),
)
def lemma_1(p_pi: Rationals, share: Fraction, g: Rationals) -> Iterator[Comparison]:
    """No other distribution is as good; the toolkit's minimiser is p_pi."""
    p, m = mixed(share, p_pi), uniform(len(p_pi))
    yield from best_of(coefficients(p, m, 1 - share), p_pi, g)
    ours = confidence_minimum(p, m, strength=1 - share).minimiser
    yield equal("confidence_minimum(p, m).minimiser", ours, "p_pi", p_pi)


def beyond_every_bound(a: Rationals, bound: Fraction, name: str = "L") -> Iterator[Comparison]:
    """Let the class with the smallest coefficient vanish until exp(-d L) exceeds the bound."""
    k = len(a)
    worst = min(range(k), key=lambda y: a[y])
    rest = Fraction(1, k - 1)
    value = Fraction(0)
    t = Fraction(1, 2)
    for _ in range(60):
        g = tuple(t if y == worst else (1 - t) * rest for y in range(k))
        value = likelihood_power(g, a)
        if value > bound:
            break
        t /= 2
    yield at_most(
        f"exp(-d {name}(g)), g_{worst} = {t}, the others alike", value, "exp(-d B)", bound
    )


@claim(
    id="C.3.positive-part",
    source="LNL-flywheel paper, Appendix A",
    statement="For every lambda the regularised loss L has the minimiser (p - lambda m)_+ / Z: L "
    "has a lower bound B",
    hypotheses="lambda ≥ 0 (price), sum of the positive parts > 0",
    verdict=CORRECTED,
    method=BY_POWERS,
    instances=regularised(),
    known=(
        {
            "p": (Fraction(1), Fraction(0)),
            "m": (Fraction(1, 2), Fraction(1, 2)),
            "price": Fraction(1),
            "g": (Fraction(1), Fraction(0)),
        },
    ),
    correction="If p_y ≥ lambda m_y for all y, the minimiser is (p - lambda m)/(1 - lambda), or L "
    "is 0 everywhere if p = lambda m. Else L has no lower bound.",
    corrected=lambda p, m, price, g: nonnegative_parts(p, m, price, g),
    by_hand="L(g) = -sum_y (p_y - lambda m_y) log g_y. A class with a negative coefficient, g_y → "
    "0: L → -∞. Here d is the common denominator of the coefficients and the bound exp(-d B) = "
    "1000; for any other take g_y smaller. (g is not used.)",
)
def positive_part(
    p: Rationals, m: Rationals, price: Fraction, g: Rationals
) -> Iterator[Comparison]:
    """A bound of 1000 for exp(-d L), beaten where a coefficient is negative."""
    a = coefficients(p, m, price)
    if min(a) < 0 < max(a):
        yield from beyond_every_bound(a, Fraction(1000))


def nonnegative_parts(
    p: Rationals, m: Rationals, price: Fraction, g: Rationals
) -> Iterator[Comparison]:
    """Both cases of the correction, and the toolkit's outcome."""
    a = coefficients(p, m, price)
    answer = confidence_minimum(p, m, strength=price)
    if min(a) < 0:
        yield equal("confidence_minimum(p, m)", answer.value, "no lower bound", -inf)
        k = len(a)
        worst = min(range(k), key=lambda y: a[y])
        # Along this sequence the loss falls at every step.
        previous = None
        for exponent in (20, 40, 80):
            t = Fraction(1, 2**exponent)
            point = tuple(t if y == worst else (1 - t) / (k - 1) for y in range(k))
            power = likelihood_power(point, a)
            if previous is not None:
                yield at_most("2^10 exp(-d L) before", 1024 * previous, "exp(-d L) after", power)
            previous = power
    elif any(a):
        yield from best_of(a, normalised(a), g)
        yield equal(
            "confidence_minimum(p, m).minimiser", answer.minimiser, "a / sum a", normalised(a)
        )
        yield equal("sum a", sum(a), "1 - lambda", 1 - price)
    else:
        yield equal(
            "confidence_minimum(p, m)",
            answer.outcome is ConfidenceOutcome.CONSTANT,
            "constant",
            True,
        )


@claim(
    id="C.3.three",
    origin=Origin.READING,
    source="LNL-flywheel paper, Section 4.1: the confidence regulariser's coefficient is 3",
    statement="With lambda = 3 the regularised loss of Lemma 1 has a lower bound B",
    hypotheses="any p, any marginal m without zeros",
    verdict=REFUTED,
    method=BY_POWERS,
    instances=conditionals(),
    by_hand="The coefficients p_y - 3 m_y sum to 1 - 3 = -2, so one is negative for every p; let "
    "its g_y → 0. (d is the common denominator, the bound exp(-d B) = 1000, for any other take "
    "g_y smaller.)",
)
def three(p: Rationals, m: Rationals) -> Iterator[Comparison]:
    """Every p refutes it."""
    yield from beyond_every_bound(coefficients(p, m, Fraction(3)), Fraction(1000))


@st.composite
def labellings(draw: st.DrawFn) -> dict[str, Any]:
    """Return one label for each of two or three inputs, and a price below 1."""
    k = draw(st.integers(2, 3))
    return {"labels": draw(indices(draw(st.integers(2, 3)), k)), "price": draw(open_unit)}


@claim(
    id="C.3.empirical",
    origin=Origin.READING,
    source="LNL-flywheel paper, Eq. (8) and Eq. (9), the loss that is trained",
    statement="With one label for each distinct input and lambda < 1 (price), the training loss L "
    "has a lower bound B",
    hypotheses="p(y) the frequencies of the labels; g free at every input, as in Lemma 1",
    verdict=REFUTED,
    method=BY_POWERS,
    instances=labellings(),
    by_hand="L_1 is the first input's part of N L, the others stay finite. There p(y | x) is 1 for "
    "its label and 0 for any other, so every other class that occurs has the negative "
    "coefficient -lambda p(y). Lemma 1's mixture, where every class has probability at least (1 "
    "- gamma')/K, never occurs in the data: what bounds the loss is the network. (d and the "
    "bound exp(-d B) = 1000 as in C.3.three.)",
)
def empirical(labels: tuple[int, ...], price: Fraction) -> Iterator[Comparison]:
    """The first input's part of the loss, if another label occurs."""
    k = max(labels) + 1
    m = tuple(Fraction(labels.count(y), len(labels)) for y in range(k))
    p = tuple(Fraction(y == labels[0]) for y in range(k))
    if len(set(labels)) > 1:
        yield from beyond_every_bound(coefficients(p, m, price), Fraction(1000), "L_1")


@claim(
    id="C.3.cone",
    origin=Origin.OURS,
    source="ours, theory.md C.3",
    statement="Closed form and exponential-cone solver agree: value, or unbounded",
    hypotheses="lambda ≥ 0, m without zeros",
    verdict=HOLDS,
    method="closed form against Clarabel through CVXPY",
    instances=regularised(),
    effort=10,
)
def cone(p: Rationals, m: Rationals, price: Fraction, g: Rationals) -> Iterator[Comparison]:
    """The value, -∞ included."""
    ours = confidence_minimum(p, m, strength=price)
    program = confidence_minimum_cone(p, m, strength=price)
    yield equal("confidence_minimum", ours.value, "cone program", program.value, tolerance=1e-6)


@claim(
    id="C.3.trivial",
    origin=Origin.READING,
    source="LNL-flywheel paper, after Eq. (2)",
    statement="Without a constraint the likelihood of gamma g + (1 - gamma) eps leads to gamma → "
    "1, g → p_data: it has no other maximiser",
    hypotheses="eps = 1/K, g any distribution; p_data = share p_pi + (1 - share)/K, as the model "
    "assumes",
    verdict=CORRECTED,
    method=BY_POWERS,
    instances=mixtures(),
    known=(
        {
            "p_pi": (Fraction(1), Fraction(0)),
            "share": Fraction(1, 2),
            "g": (Fraction(1), Fraction(0)),
        },
    ),
    correction="Every (gamma, g) with gamma g + (1 - gamma) eps = p_data is a maximiser, and no "
    "other: the true (share, p_pi) is as good as the trivial (1, p_data).",
    corrected=lambda p_pi, share, g: maximisers(p_pi, share, g),
    by_hand="The likelihood depends on the mixture gamma g + (1 - gamma) eps alone; both pairs "
    "give the same one. (g is not used.)",
)
def trivial(p_pi: Rationals, share: Fraction, g: Rationals) -> Iterator[Comparison]:
    """The likelihood of the true pair against that of the trivial one."""
    p_data = mixed(share, p_pi)
    pairs = {(Fraction(1), p_data), (share, p_pi)}
    powers = [likelihood_power(mixed(w, h), p_data) for w, h in sorted(pairs)]
    attained = sum(power == max(powers) for power in powers)
    yield equal("maximisers among (1, p_data) and (share, p_pi)", attained, "", 1)


def maximisers(p_pi: Rationals, share: Fraction, g: Rationals) -> Iterator[Comparison]:
    """Gibbs' inequality for mixtures: the true one, one between it and the trivial one, any."""
    k = len(p_pi)
    p_data = mixed(share, p_pi)
    yield equal("mixture of (share, p_pi)", p_data, "p_data", mixed(Fraction(1), p_data))
    # The smallest gamma for which some g gives p_data, and one halfway to 1.
    least = 1 - k * min(p_data)
    for gamma in (least, (least + 1) / 2):
        if gamma > 0:
            h = tuple((x - (1 - gamma) / k) / gamma for x in p_data)
            yield at_most("0", 0, "smallest entry of g", min(h))
            yield equal("mixture of (gamma, g)", mixed(gamma, h), "p_data", p_data)
    for h in (p_pi, g):
        yield from best_of(p_data, p_data, mixed(share, h))


def mixed(gamma: Fraction, g: Rationals) -> Rationals:
    """Return ``gamma g + (1 - gamma)/K``."""
    return tuple(gamma * x + (1 - gamma) / len(g) for x in g)


@st.composite
def seen(draw: st.DrawFn) -> dict[str, Any]:
    """Return f, a corruption T_c, the share of clean labels, and the label seen."""
    k = draw(st.integers(2, 3))
    row = draw(distributions(k, least=1))
    rows = st.tuples(*[distributions(k)] * k) | st.just((row,) * k)
    return {
        "f": draw(distributions(k, least=1)),
        "T_c": draw(rows),
        "share": draw(open_unit),
        "label": draw(st.integers(0, k - 1)),
    }


def joint(
    f: Rationals, T_c: Matrix, share: Fraction, label: int
) -> dict[tuple[int, int], Fraction]:
    """Return p(s, y, label): clean with probability share, else corrupted by T_c."""
    return {
        (s, y): f[y] * (share * (y == label) if s else (1 - share) * T_c[y][label])
        for s in (0, 1)
        for y in range(len(f))
    }


@claim(
    id="C.4.clean",
    source="LNL-flywheel paper, Eq. (4) with Eq. (14)",
    statement="q = gamma f[y~] / (gamma f[y~] + (1 - gamma) eps), eps = sum_y f(y) T_c[y, y~], is "
    "p(s = 1 | x, y~)",
    hypotheses="main and auxiliary network agree (g = f); share is gamma, label is y~",
    verdict=HOLDS,
    method="exact: the joint law of (s, y, y~), enumerated",
    instances=seen(),
)
def posterior_of_clean(
    f: Rationals, T_c: Matrix, share: Fraction, label: int
) -> Iterator[Comparison]:
    """Bayes' rule, and the law of total probability for eps."""
    law = joint(f, T_c, share, label)
    total = sum(law.values())
    eps = corruption_likelihood([f], T_c, [label])
    corrupted = sum(chance for (s, _), chance in law.items() if s == 0) / (1 - share)
    yield equal("corruption_likelihood", eps[0], "p(y~ | x, s = 0)", corrupted)
    q = clean_posterior([f[label]], eps, proportion=share)
    clean = sum(chance for (s, _), chance in law.items() if s == 1)
    yield equal("clean_posterior", q[0], "p(s = 1 | x, y~)", clean / total)


@claim(
    id="C.4.class",
    source="LNL-flywheel paper, Eq. (10) and Eq. (11), with Eq. (14)",
    statement="q(y) = q(s = 1) [y = y~] + q(s = 0) f(y) is p(y | x, y~)",
    hypotheses="a corrupted label has the law T_c[y, ·] of Eq. (14); share is gamma, label is y~",
    verdict=CORRECTED,
    method="exact: the joint law of (s, y, y~), enumerated",
    instances=seen(),
    known=(
        {
            "f": (Fraction(1, 2), Fraction(1, 2)),
            "T_c": ((Fraction(0), Fraction(1)), (Fraction(1), Fraction(0))),
            "share": Fraction(1, 2),
            "label": 0,
        },
        # The label's column is constant, the rows differ.
        {
            "f": (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)),
            "T_c": (
                (Fraction(1, 2), Fraction(1, 2), Fraction(0)),
                (Fraction(1, 2), Fraction(0), Fraction(1, 2)),
                (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)),
            ),
            "share": Fraction(1, 2),
            "label": 0,
        },
    ),
    correction="p(y | x, y~) = q(s = 1) [y = y~] + q(s = 0) f(y) T_c[y, y~]/eps; as printed iff "
    "T_c[y, y~] is the same for all y: iff a wrong label says nothing about the class.",
    corrected=lambda f, T_c, share, label: with_corruption(f, T_c, share, label),
    by_hand="p(s = 0, y, y~) = (1 - gamma) f(y) T_c[y, y~], p(s = 1, y, y~) = gamma f(y) [y = y~]; "
    "add them up and divide. Rows of T_c are true classes.",
)
def posterior_of_class(
    f: Rationals, T_c: Matrix, share: Fraction, label: int
) -> Iterator[Comparison]:
    """The printed mixture against Bayes' rule."""
    exact = bayes(f, T_c, share, label)
    q = clean_posterior([f[label]], corruption_likelihood([f], T_c, [label]), proportion=share)
    printed = tuple(class_posterior(q, [label], [f])[0])
    yield equal("q(y)", printed, "p(y | x, y~)", exact)


def bayes(f: Rationals, T_c: Matrix, share: Fraction, label: int) -> Rationals:
    """Return p(y | x, label)."""
    law = joint(f, T_c, share, label)
    return normalised(tuple(law[0, y] + law[1, y] for y in range(len(f))))


def with_corruption(f: Rationals, T_c: Matrix, share: Fraction, label: int) -> Iterator[Comparison]:
    """The correction, and when the printed one is right."""
    exact = bayes(f, T_c, share, label)
    eps = corruption_likelihood([f], T_c, [label])
    q = clean_posterior([f[label]], eps, proportion=share)
    if eps[0] == 0:
        return
    right = tuple(
        q[0] * (y == label) + (1 - q[0]) * f[y] * T_c[y][label] / eps[0] for y in range(len(f))
    )
    yield equal("corrected q(y)", right, "p(y | x, y~)", exact)
    printed = tuple(class_posterior(q, [label], [f])[0])
    flat = len({row[label] for row in T_c}) == 1
    yield equal("printed q(y) is right", printed == exact, "T_c[y, y~] the same for all y", flat)


@claim(
    id="C.4.share",
    origin=Origin.READING,
    source="LNL-flywheel paper, after Eq. (1), and Section 4.1: gamma is the ratio of clean labels",
    statement="The fraction of labels that are right is gamma (share)",
    hypotheses="p_pi certain and right, eps = 1/K",
    verdict=CORRECTED,
    method="exact: the mixture's probability of the true class",
    instances=st.fixed_dictionaries({"K": st.integers(2, 5), "share": open_unit}),
    correction="It is gamma + (1 - gamma)/K: uniform corruption hits the true class too.",
    corrected=lambda K, share: share_of_right_labels(K, share),
    by_hand="p(true class) = gamma 1 + (1 - gamma) 1/K.",
)
def share_of_clean(K: int, share: Fraction) -> Iterator[Comparison]:
    """Clean is not the same as right."""
    yield equal("p(label is right)", share + (1 - share) / K, "gamma", share)


def share_of_right_labels(K: int, share: Fraction) -> Iterator[Comparison]:
    """Count over the joint law of (s, label) with class 0 the true one."""
    certain = tuple(Fraction(y == 0) for y in range(K))
    law = joint(certain, ((Fraction(1, K),) * K,) * K, share, 0)
    yield equal(
        "p(label is right)", sum(law.values()), "gamma + (1 - gamma)/K", share + (1 - share) / K
    )


@st.composite
def auxiliary_models(draw: st.DrawFn) -> dict[str, Any]:
    """Return f and labels of up to three samples, T, and probabilities of being clean."""
    k, n = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    return {
        "f": tuple(draw(distributions(k, least=1)) for _ in range(n)),
        "T": tuple(draw(distributions(k)) for _ in range(k)),
        "labels": draw(indices(n, k)),
        "q": draw(st.lists(unit, min_size=n, max_size=n).map(tuple)),
    }


def likelihood(f: Matrix, T: Matrix, labels: tuple[int, ...]) -> Fraction:
    """Return ``prod_i sum_y f_i(y) T[y, label_i]``."""
    answer = Fraction(1)
    for row, label in zip(f, labels, strict=True):
        answer *= sum((x * T[y][label] for y, x in enumerate(row)), Fraction(0))
    return answer


def m_step(posterior: Matrix, labels: tuple[int, ...]) -> Fraction | None:
    """Return the likelihood after the exact maximisation of Eq. (12), None if a class is empty."""
    if any(sum(column) == 0 for column in zip(*posterior, strict=True)):
        return None
    matrix_ = corruption_matrix(posterior, list(labels))
    return likelihood(posterior, tuple(map(tuple, matrix_)), labels)


@claim(
    id="C.4.monotone",
    origin=Origin.READING,
    source="LNL-flywheel paper, Sections 3.1 and 3.3: two EM cycles, “pulling together for "
    "maximizing the single objective function”, read for the auxiliary one",
    statement="A cycle of Eq. (11) and the M-steps never lowers the likelihood prod_i sum_y f_i(y) "
    "T[y, y~_i]",
    hypotheses="f free at every sample; exact M-steps: f_i = q_i(·), T as printed; every class has "
    "mass",
    verdict=CORRECTED,
    method="exact: the likelihood before and after",
    instances=auxiliary_models(),
    known=(
        {
            "f": ((Fraction(2, 3), Fraction(1, 3)), (Fraction(1, 3), Fraction(2, 3))),
            "T": ((Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))),
            "labels": (0, 1),
            "q": (Fraction(0), Fraction(0)),
        },
    ),
    correction="With the posterior f_i(y) T[y, y~_i] / sum in place of Eq. (11), which leaves out "
    "T, it does not.",
    corrected=lambda f, T, labels, q: with_posterior(f, T, labels, q),
    by_hand="q(y) = q_i [y = y~_i] + (1 - q_i) f_i(y); new T[y, c] is the share of label c in the "
    "mass of class y; multiply out.",
)
def monotone(f: Matrix, T: Matrix, labels: tuple[int, ...], q: Rationals) -> Iterator[Comparison]:
    """One cycle as printed."""
    after = m_step(tuple(map(tuple, class_posterior(list(q), list(labels), f))), labels)
    if after is not None:
        yield at_most("likelihood before", likelihood(f, T, labels), "after the cycle", after)


def with_posterior(
    f: Matrix, T: Matrix, labels: tuple[int, ...], q: Rationals
) -> Iterator[Comparison]:
    """One cycle of EM."""
    before = likelihood(f, T, labels)
    if before == 0:
        return
    posterior = tuple(
        normalised(tuple(x * T[y][label] for y, x in enumerate(row)))
        for row, label in zip(f, labels, strict=True)
    )
    after = m_step(posterior, labels)
    if after is not None:
        yield at_most("likelihood before", before, "after the cycle", after)


@st.composite
def observations(draw: st.DrawFn) -> dict[str, Any]:
    """Return q, labels and f of up to four samples, and distributions to compare with."""
    k, n = draw(st.integers(2, 3)), draw(st.integers(1, 4))
    return {
        "q": draw(st.lists(unit, min_size=n, max_size=n).map(tuple)),
        "labels": draw(indices(n, k)),
        "f": tuple(draw(distributions(k, least=1)) for _ in range(n)),
        "other": draw(distributions(k)),
    }


@claim(
    id="C.4.proportion",
    source="LNL-flywheel paper, Eq. (6)",
    statement="gamma = (1/N) sum q_i maximises Eq. (5) over gamma, alone",
    hypotheses="q_i in [0, 1]",
    verdict=HOLDS,
    method=BY_POWERS,
    instances=observations(),
)
def proportion(
    q: Rationals,
    labels: tuple[int, ...],
    f: Matrix,
    other: Rationals,
) -> Iterator[Comparison]:
    """Against another share of clean labels."""
    exponents = (sum(q, Fraction(0)), len(q) - sum(q, Fraction(0)))
    share = Fraction(clean_proportion(list(q)))
    yield from best_of(exponents, (share, 1 - share), (other[0], 1 - other[0]))


@claim(
    id="C.4.matrix",
    source="LNL-flywheel paper, Section 3.3, the M-step for T",
    statement="T[y, y'] = sum over {i : y~_i = y'} of q_i(y) / sum_i q_i(y) maximises Eq. (12) "
    "over transition matrices, alone",
    hypotheses="sum_i q_i(y) > 0 for every y; otherwise the row of y is free",
    verdict=HOLDS,
    method=BY_POWERS,
    instances=observations(),
)
def matrix(
    q: Rationals, labels: tuple[int, ...], f: Matrix, other: Rationals
) -> Iterator[Comparison]:
    """Row by row, since Eq. (12) is a sum over rows."""
    mass = class_posterior(list(q), list(labels), f)
    if min(mass.sum(axis=0)) == 0:
        return
    answer = corruption_matrix(mass, list(labels))
    for y, row in enumerate(answer):
        exponents = tuple(
            sum((mass[i, y] for i, label in enumerate(labels) if label == c), Fraction(0))
            for c in range(len(row))
        )
        yield from best_of(exponents, tuple(row), other)


CLAIMS = (
    lemma_1,
    positive_part,
    three,
    empirical,
    cone,
    trivial,
    posterior_of_clean,
    posterior_of_class,
    share_of_clean,
    monotone,
    proportion,
    matrix,
)
