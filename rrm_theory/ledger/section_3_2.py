"""ICLR paper, Section 3.2: Eq. (2), its value and its dual; theory.md A.1, A.2, A.8 to A.12.

c are losses, R_gamma(c) the value of Eq. (2), U its feasible set, q probabilities to start from.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import inf, nextafter

from hypothesis import strategies as st

from rrm_theory import (
    capped_relax,
    certify,
    gamma_path,
    optimal_face,
    relax,
    relaxed_risk,
    trimmed_risk,
)
from rrm_theory._exact import exact_cut
from rrm_theory.ledger.claim import Comparison, Origin, Verdict, at_most, claim, equal
from rrm_theory.ledger.definitions import Rationals, cost, mean, minimum, uniform
from rrm_theory.ledger.instances import (
    displacements,
    dyadic_distributions,
    positive,
    signed,
    unit,
    vectors,
    weight_problems,
)
from rrm_theory.linear_program import solve_highs

HOLDS, REFUTED = Verdict.HOLDS, Verdict.REFUTED
# A value is a float within two roundings of the exact one; a solver's within its tolerance.
ROUNDED, SOLVED = 1e-15, 1e-9


def clipped(c: Rationals, gamma: Fraction, q: Rationals | None = None) -> Fraction:
    """Return ``sum q min(c, c_min + gamma)``."""
    q = uniform(len(c)) if q is None else q
    return sum((x * min(y, min(c) + gamma) for x, y in zip(q, c, strict=True)), Fraction(0))


@claim(
    id="A.1.forms",
    source="ICLR paper, Eq. (2)",
    statement="min over p of E_p[c] + gamma d_TV(p^N, p) = min over u in U of sum (1/N + u_i) c_i "
    "+ (gamma/2) ‖u‖₁",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method="left: linear program by HiGHS; right: all vertices of U's linear parts, in fractions",
    instances=weight_problems(),
    effort=2,
)
def two_forms(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """The linear program in a and b against the enumeration over u."""
    program = solve_highs([float(x) for x in c], gamma=float(gamma))
    value, _ = minimum(c, gamma)
    yield equal("min over p", program.value, "min over u", value, tolerance=SOLVED)


@claim(
    id="A.1.value",
    origin=Origin.OURS,
    source="ours, theory.md A.1",
    statement="R_gamma(c) = (1/N) sum_i min(c_i, c_min + gamma)",
    hypotheses="gamma > 0, losses of any sign",
    verdict=HOLDS,
    method="exact: all vertices of U's linear parts; the toolkit's float within 2 roundings",
    instances=weight_problems(),
    known=({"c": (Fraction(0), Fraction(10)), "gamma": Fraction(2)},),
)
def value(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """Closed form against enumeration, and the public function against the closed form."""
    least, _ = minimum(c, gamma)
    ours = clipped(c, gamma)
    yield equal("min over U", least, "(1/N) sum min(c_i, c_min + gamma)", ours)
    computed = relaxed_risk([float(x) for x in c], gamma=float(gamma))
    yield equal("relaxed_risk(c)", computed, "R_gamma(c)", ours, tolerance=ROUNDED)


@claim(
    id="A.1.shift",
    source="ICLR paper, after Eq. (1): without loss of generality r(theta) = 0",
    statement="A regulariser may be added to every loss: R_gamma(c + r) = R_gamma(c) + r",
    hypotheses="gamma > 0, r any number",
    verdict=HOLDS,
    method="exact: all vertices of U's linear parts",
    instances=weight_problems(r=lambda _: signed),
)
def shift(c: Rationals, gamma: Fraction, r: Fraction) -> Iterator[Comparison]:
    """Weights sum to 1 (not so in Section 3.4, see B.2.shift)."""
    raised, _ = minimum(tuple(x + r for x in c), gamma)
    yield equal("R_gamma(c + r)", raised, "R_gamma(c) + r", minimum(c, gamma)[0] + r)


@claim(
    id="A.1.nominal",
    origin=Origin.OURS,
    source="ours, theory.md A.1",
    statement="With q_i instead of 1/N, R_gamma(c) = sum_i q_i min(c_i, c_min + gamma)",
    hypotheses="gamma > 0, q a distribution; c_min is taken over all samples, also those with q_i "
    "= 0",
    verdict=HOLDS,
    method="exact: all vertices of U's linear parts; the toolkit's float within 2 roundings",
    instances=weight_problems(most=4, q=dyadic_distributions),
)
def value_with_nominal(c: Rationals, gamma: Fraction, q: Rationals) -> Iterator[Comparison]:
    """As the uniform one."""
    least, _ = minimum(c, gamma, q)
    ours = clipped(c, gamma, q)
    yield equal("min over U", least, "sum q_i min(c_i, c_min + gamma)", ours)
    computed = relaxed_risk(
        [float(x) for x in c], gamma=float(gamma), nominal=[float(x) for x in q]
    )
    yield equal("relaxed_risk(c)", computed, "R_gamma(c)", ours, tolerance=ROUNDED)


def dual(c: Rationals, gamma: Fraction, multiplier: Fraction) -> Fraction | float:
    """Return the minimum of the Lagrangian over u >= -1/N."""
    if multiplier > min(c) + gamma / 2:
        return -inf
    return mean([min(x, multiplier + gamma / 2) for x in c])


@claim(
    id="A.2.dual",
    origin=Origin.OURS,
    source="ours, theory.md A.2; the multiplier is in the ICLR paper's proof of Theorem 3.1",
    statement="max over lambda of (1/N) sum min(c_i, lambda + gamma/2), lambda ≤ c_min + gamma/2, "
    "is R_gamma(c), attained exactly on [min(c_max, c_min + gamma) - gamma/2, c_min + gamma/2]",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method="exact, at both ends and at any other lambda (multiplier); R_gamma by enumeration",
    instances=weight_problems(multiplier=lambda _: signed),
)
def dual_optima(c: Rationals, gamma: Fraction, multiplier: Fraction) -> Iterator[Comparison]:
    """At the ends, and at any other lambda."""
    least, _ = minimum(c, gamma)
    low, high = min(max(c), min(c) + gamma) - gamma / 2, min(c) + gamma / 2
    yield equal("dual at the lower end", dual(c, gamma, low), "R_gamma(c)", least)
    yield equal("dual at c_min + gamma/2", dual(c, gamma, high), "R_gamma(c)", least)
    at = dual(c, gamma, multiplier)
    yield at_most("dual at lambda", at, "R_gamma(c)", least)
    yield equal("lambda is optimal", at == least, "in the interval", low <= multiplier <= high)
    reported = relax([float(x) for x in c], gamma=float(gamma)).multiplier_interval
    yield equal("relax(c).multiplier_interval", tuple(map(Fraction, reported)), "it", (low, high))


@claim(
    id="A.8.path",
    origin=Origin.OURS,
    source="ours, theory.md A.8",
    statement="gamma → R_gamma(c) is nondecreasing, concave and linear between breaks at c_i - "
    "c_min",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method="exact: R_gamma by enumeration at three prices, the middle one a mean of the others",
    instances=weight_problems(most=4, other=lambda _: positive),
)
def path(c: Rationals, gamma: Fraction, other: Fraction) -> Iterator[Comparison]:
    """Order, midpoint concavity, midpoint linearity where no break lies between."""
    left, right = sorted((gamma, other))
    middle = (left + right) / 2
    low, mid, high = (minimum(c, price)[0] for price in (left, middle, right))
    yield at_most("R at the lower price", low, "R at the higher price", high)
    yield at_most("mean of R at both prices", (low + high) / 2, "R at their mean", mid)
    if not any(left < x - min(c) < right for x in c):
        yield equal("mean of R at both prices", (low + high) / 2, "R at their mean", mid)


@claim(
    id="A.8.derivative",
    origin=Origin.OURS,
    source="ours, theory.md A.8",
    statement="At gamma > 0 the right derivative of R_gamma is |chi|/N, the left one (|chi| + "
    "|I_big|)/N",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method="exact: difference quotients over half of the smallest possible gap between breaks",
    instances=weight_problems(most=4),
)
def derivatives(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """Losses and prices are multiples of 1/8, so a step of 1/16 meets no break inside."""
    step = Fraction(1, 16)
    here, above, below = (minimum(c, price)[0] for price in (gamma, gamma + step, gamma - step))
    cut = min(c) + gamma
    pruned, tied = sum(x > cut for x in c), sum(x == cut for x in c)
    right, left = Fraction(pruned, len(c)), Fraction(pruned + tied, len(c))
    yield equal("right difference quotient", (above - here) / step, "|chi|/N", right)
    yield equal("left difference quotient", (here - below) / step, "(|chi| + |I_big|)/N", left)
    reported = gamma_path([float(x) for x in c]).derivatives(float(gamma))
    yield equal("gamma_path(c).derivatives", reported, "(left, right)", (left, right))


@claim(
    id="A.8.budget",
    origin=Origin.OURS,
    source="ours, theory.md A.8",
    statement="min over TV(p, p^N) ≤ rho of E_p[c] = max over gamma ≥ 0 of R_gamma(c) - gamma rho; "
    "exactly min(rho, |{i : c_i > c_min}|/N) moves, ties or not",
    hypotheses="0 ≤ rho < 1",
    verdict=HOLDS,
    method="exact: the concave right side at its breaks, R_gamma by enumeration; the left by "
    "trimmed_risk",
    instances=weight_problems(
        most=4,
        rho=lambda _: st.sampled_from([Fraction(0), *(Fraction(k, 8) for k in range(8))]),
    ),
)
def budget(c: Rationals, gamma: Fraction, rho: Fraction) -> Iterator[Comparison]:
    """Gamma is one more price at which the right side must not be larger."""
    answer = trimmed_risk([float(x) for x in c], budget=rho)
    breaks = {x - min(c) for x in c if x > min(c)}
    best = max([min(c), *(minimum(c, price)[0] - price * rho for price in breaks)])
    yield equal("trimmed_risk(c)", answer.value, "max over gamma", best, tolerance=ROUNDED)
    at = minimum(c, gamma)[0] - gamma * rho
    yield at_most("R_gamma(c) - gamma rho", at, "max over gamma", best)
    moved = sum(abs(Fraction(float(p)) - Fraction(1, len(c))) for p in answer.weights) / 2
    movable = Fraction(sum(x > min(c) for x in c), len(c))
    yield equal(
        "TV of the weights", moved, "min(rho, mass above c_min)", min(rho, movable), tolerance=1e-14
    )


@claim(
    id="A.9.value",
    origin=Origin.OURS,
    source="ours, theory.md A.9",
    statement="With p_i ≤ kappa/N the minimum moves mass from the largest losses to the smallest "
    "with room while the difference exceeds gamma",
    hypotheses="gamma > 0, kappa ≥ 1",
    verdict=HOLDS,
    method="the toolkit's two pointers against a linear program by HiGHS",
    instances=weight_problems(cap=lambda _: st.integers(8, 24).map(lambda k: Fraction(k, 8))),
    effort=2,
)
def capped(c: Rationals, gamma: Fraction, cap: Fraction) -> Iterator[Comparison]:
    """The program has variables p and t >= |p - 1/N|."""
    import numpy as np
    from scipy.optimize import linprog

    n = len(c)
    eye, share = np.eye(n), np.full(n, 1 / n)
    program = linprog(
        np.r_[[float(x) for x in c], np.full(n, float(gamma) / 2)],
        A_ub=np.block([[eye, -eye], [-eye, -eye]]),
        b_ub=np.r_[share, -share],
        A_eq=np.r_[np.ones(n), np.zeros(n)][None],
        b_eq=[1.0],
        bounds=[(0, float(cap) / n)] * n + [(0, None)] * n,
    )
    ours = capped_relax([float(x) for x in c], gamma=float(gamma), cap=cap)
    yield equal(
        "capped_relax(c)", ours.value, "linear program", float(program.fun), tolerance=SOLVED
    )


@claim(
    id="A.9.ends",
    origin=Origin.OURS,
    source="ours, theory.md A.9",
    statement="kappa = N gives R_gamma(c); a budget rho with kappa = 1/(1 - rho) gives the mean of "
    "the (1 - rho) N smallest losses",
    hypotheses="gamma > 0, 0 ≤ rho < 1",
    verdict=HOLDS,
    method="R_gamma by enumeration and the trimmed mean in fractions; the toolkit's floats within "
    "2 roundings",
    instances=weight_problems(
        most=4, rho=lambda _: st.integers(0, 7).map(lambda k: Fraction(k, 8))
    ),
)
def capped_ends(c: Rationals, gamma: Fraction, rho: Fraction) -> Iterator[Comparison]:
    """Two known methods as ends of one family."""
    floats, n = [float(x) for x in c], len(c)
    free = capped_relax(floats, gamma=float(gamma), cap=n).value
    yield equal(
        "capped_relax(c), kappa = N", free, "R_gamma(c)", minimum(c, gamma)[0], tolerance=ROUNDED
    )
    kept = (1 - rho) * n
    whole, part = divmod(kept, 1)
    ordered = [*sorted(c), Fraction(0)]
    trimmed = (sum(ordered[:whole], Fraction(0)) + part * ordered[whole]) / kept
    ours = trimmed_risk(floats, budget=rho, cap=1 / (1 - rho)).value
    yield equal("trimmed_risk(c)", ours, "trimmed mean", trimmed, tolerance=ROUNDED)


@claim(
    id="A.10.gradient",
    origin=Origin.OURS,
    source="ours, theory.md A.10 (Danskin)",
    statement="Where the minimiser is unique, R_gamma is differentiable in c and its gradient is "
    "the weight vector p",
    hypotheses="gamma > 0; unique minimiser",
    verdict=HOLDS,
    method="exact: difference quotients of R_gamma by enumeration, over a step too short to change "
    "the partition",
    instances=weight_problems(most=4, direction=lambda n: vectors(n)),
)
def gradient(c: Rationals, gamma: Fraction, direction: Rationals) -> Iterator[Comparison]:
    """Gaps are multiples of 1/8 and directions at most 4, so a step of 1/128 changes no order."""
    here, minimisers = minimum(c, gamma)
    if len(minimisers) > 1:
        return
    step = Fraction(1, 128)
    p = [u + Fraction(1, len(c)) for u in minimisers[0]]
    slope = sum((x * y for x, y in zip(p, direction, strict=True)), Fraction(0))
    for sign in (1, -1):
        there, _ = minimum(
            tuple(x + sign * step * y for x, y in zip(c, direction, strict=True)), gamma
        )
        yield equal("difference quotient", sign * (there - here) / step, "sum p_i d_i", slope)


@claim(
    id="A.10.supergradient",
    origin=Origin.OURS,
    source="ours, theory.md A.10",
    statement="R_gamma(c') ≤ R_gamma(c) + sum p_i (c'_i - c_i) for the weights p of every element "
    "of the optimal face",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method="exact: every vertex of the face, R_gamma by enumeration",
    instances=weight_problems(most=4, other=lambda n: vectors(n)),
)
def supergradient(c: Rationals, gamma: Fraction, other: Rationals) -> Iterator[Comparison]:
    """Vertices suffice: the right side is linear in p."""
    here, there = minimum(c, gamma)[0], minimum(other, gamma)[0]
    for u in optimal_face([float(x) for x in c], gamma=float(gamma)).vertices():
        change = sum(
            (x + Fraction(1, len(c))) * (b - a) for x, a, b in zip(u, c, other, strict=True)
        )
        yield at_most("R_gamma(c')", there, "R_gamma(c) + sum p_i (c'_i - c_i)", here + change)


@claim(
    id="A.12.risk",
    origin=Origin.OURS,
    source="ours, theory.md A.12",
    statement="phi(theta, 0) is the empirical risk; R_gamma(c) ≤ mean(c), with equality iff gamma "
    "≥ c_max - c_min",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method="exact: R_gamma by enumeration",
    instances=weight_problems(),
)
def below_the_risk(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """And the objective at u = 0."""
    least, _ = minimum(c, gamma)
    risk = mean(c)
    yield equal("phi(theta, 0)", cost(c, (Fraction(0),) * len(c), gamma), "mean(c)", risk)
    yield at_most("R_gamma(c)", least, "mean(c)", risk)
    yield equal(
        "R_gamma(c) = mean(c)", least == risk, "gamma ≥ c_max - c_min", gamma >= max(c) - min(c)
    )


@claim(
    id="certificate.bracket",
    origin=Origin.OURS,
    source="ours, theory.md Certificate",
    statement="lower ≤ R_gamma(c) ≤ upper for any vector u; the gap is 0 iff the repaired u is a "
    "minimiser",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method="exact: certify in fractions, R_gamma by enumeration",
    instances=weight_problems(most=4, u=lambda n: vectors(n, signed | unit) | displacements(n)),
)
def bracket(c: Rationals, gamma: Fraction, u: Rationals) -> Iterator[Comparison]:
    """Vectors of U and outside."""
    least, _ = minimum(c, gamma)
    certificate = certify(u, [float(x) for x in c], gamma=float(gamma))
    yield at_most("lower", certificate.lower, "R_gamma(c)", least)
    yield at_most("R_gamma(c)", least, "upper", certificate.upper)
    mended = tuple(Fraction(x) for x in certificate.u)
    optimal = cost(c, mended, gamma) == least
    yield equal("gap is 0", certificate.gap == 0, "the repaired u is a minimiser", optimal)


@st.composite
def losses_next_to_the_cut(draw: st.DrawFn) -> dict[str, Fraction]:
    """Return floats as fractions: a minimum, a price, a loss within two floats of their sum."""
    exponent = draw(st.integers(0, 54))
    least = Fraction(draw(st.integers(1, 4)))
    gamma = Fraction(draw(st.integers(1, 8)), 2**exponent)
    loss = float(least) + float(gamma)
    for _ in range(abs(steps := draw(st.integers(-2, 2)))):
        loss = nextafter(loss, inf if steps > 0 else -inf)
    return {"c_min": least, "gamma": gamma, "c": Fraction(loss)}


@claim(
    id="comparison.exact",
    origin=Origin.OURS,
    source="ours, theory.md Exact comparison in floats",
    statement="With s = fl(c_min + gamma) and its TwoSum error e: c > c_min + gamma iff c > s, or "
    "c = s and e < 0; c = c_min + gamma iff c = s and e = 0",
    hypotheses="c_min, gamma and c are floats",
    verdict=HOLDS,
    method="exact: floats are rational numbers",
    instances=losses_next_to_the_cut(),
)
def exact_comparison(c_min: Fraction, gamma: Fraction, c: Fraction) -> Iterator[Comparison]:
    """Against the sum in fractions."""
    largest, is_sum = exact_cut(float(c_min), float(gamma))
    yield equal("c is pruned", float(c) > largest, "c > c_min + gamma", c > c_min + gamma)
    on_it = is_sum and float(c) == largest
    yield equal("c is at the cut", on_it, "c = c_min + gamma", c == c_min + gamma)


@claim(
    id="comparison.naive",
    origin=Origin.OURS,
    source="what a first program does",
    statement="Comparing c with the float c_min + gamma finds chi and I_big",
    hypotheses="c_min, gamma and c are floats",
    verdict=REFUTED,
    method="exact: floats are rational numbers",
    instances=losses_next_to_the_cut(),
    known=({"c_min": Fraction(1), "gamma": Fraction(1, 2**53), "c": Fraction(1)},),
    by_hand="The sum c_min + gamma lies between two neighbouring floats and is rounded to one of "
    "them; a loss equal to that one is misplaced. Floats from 1 to 2 are 2^-52 apart, from 2 to "
    "4 twice as far.",
)
def naive_comparison(c_min: Fraction, gamma: Fraction, c: Fraction) -> Iterator[Comparison]:
    """The sum rounded, the comparison exact."""
    cut = float(c_min) + float(gamma)
    yield equal("c > fl(c_min + gamma)", float(c) > cut, "c > c_min + gamma", c > c_min + gamma)
    yield equal("c = fl(c_min + gamma)", float(c) == cut, "c = c_min + gamma", c == c_min + gamma)


CLAIMS = (
    two_forms,
    value,
    shift,
    value_with_nominal,
    dual_optima,
    path,
    derivatives,
    budget,
    capped,
    capped_ends,
    gradient,
    supergradient,
    below_the_risk,
    bracket,
    exact_comparison,
    naive_comparison,
)
