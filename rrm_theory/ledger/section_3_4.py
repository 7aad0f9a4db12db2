"""ICLR paper, Section 3.4: Proposition 3.1 and the bounds around it; theory.md B.

J are losses at the support points, of which the first are the samples; d prices moves, eps is the
radius, v_N the optimistic value, V_eps the best by weights within the budget, V(l) that at a price.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import inf
from typing import Any

from hypothesis import strategies as st

from rrm_theory.ledger.claim import Comparison, Origin, Verdict, at_most, claim, equal
from rrm_theory.ledger.definitions import (
    Rationals,
    mean,
    minimum,
    one_move,
    transport,
    weight_budget,
)
from rrm_theory.ledger.instances import (
    nonnegative,
    positive,
    radii,
    signed,
    transports,
    vectors,
    weight_problems,
)
from rrm_theory.wasserstein import (
    one_move_value,
    optimistic_value,
    optimistic_value_lp,
    relaxed_risk_dominates,
    weight_budget_value,
    weight_penalty_value,
)

HOLDS, CORRECTED, REFUTED = Verdict.HOLDS, Verdict.CORRECTED, Verdict.REFUTED
Costs = tuple[tuple[Fraction | float, ...], ...]
ROUNDED, SOLVED = 1e-12, 1e-8
# The radius ends just short of a move, so that splitting a sample gains most.
NEARLY_PAID = {
    "J": (Fraction(1), Fraction(0)),
    "d": ((Fraction(0), Fraction(1, 4)),),
    "eps": Fraction(3, 16),
}
NEARLY_PAID_TWICE = {
    "J": (Fraction(1), Fraction(1), Fraction(0)),
    "d": (
        (Fraction(0), inf, Fraction(1, 16)),
        (inf, Fraction(0), Fraction(1, 16)),
    ),
    "eps": Fraction(15, 512),
}
BY_PLANS = "exact: all vertices of the transport program, at most one sample split"


@st.composite
def budgets(draw: st.DrawFn) -> dict[str, Any]:
    """Return up to 4 losses and a radius."""
    return {"J": draw(st.lists(nonnegative, min_size=1, max_size=4).map(tuple)), "eps": draw(radii)}


@st.composite
def priced_budgets(draw: st.DrawFn) -> dict[str, Any]:
    """Return up to 4 losses, a radius and a price."""
    return {**draw(budgets()), "price": draw(positive)}


def weights_only(n: int) -> Costs:
    """Return costs that forbid every move but that of weight."""
    return tuple(tuple(Fraction(0) if i == k else inf for k in range(n)) for i in range(n))


def at_price(j: Rationals, price: Fraction) -> Fraction | float:
    """Return ``min over w >= 0 of (1/N) sum [w J + price |w - 1|]``: w is 0, 1 or without end."""
    if any(x + price < 0 for x in j):
        return -inf
    return mean([min(price, x) for x in j])


def floats(d: Costs) -> list[list[float]]:
    """Return costs as the toolkit takes them."""
    return [[float(x) for x in row] for row in d]


def dual(j: Rationals, d: Costs, eps: Fraction, price: Fraction) -> Fraction:
    """Return theory.md B.1's concave function at a multiplier."""
    terms = [
        min(min(price, x) + price * Fraction(y) for x, y in zip(j, row, strict=True) if y != inf)
        for row in d
    ]
    return mean(terms) - price * eps


@claim(
    id="B.1.value",
    origin=Origin.OURS,
    source="ours, theory.md B.1, of the ICLR paper's Eq. (4)",
    statement="v_N = max over l ≥ 0 of (1/N) sum_i min_z [min(l, J(z)) + l d(z_i, z)] - l eps",
    hypotheses="J ≥ 0 on a finite support that holds the samples; eps ≥ 0; d may forbid moves",
    verdict=HOLDS,
    method=BY_PLANS
    + "; the right side at every crossing of its lines; the toolkit and HiGHS beside them",
    instances=transports(),
    known=(NEARLY_PAID, NEARLY_PAID_TWICE),
    effort=4,
)
def optimistic(J: Rationals, d: Costs, eps: Fraction) -> Iterator[Comparison]:
    """Strong duality, and two programs."""
    exact = transport(J, d, eps)
    crossings = {Fraction(0)}
    for row in d:
        lines = [(Fraction(y), x) for x, y in zip(J, row, strict=True) if y != inf]
        lines += [(1 + slope, Fraction(0)) for slope, _ in lines]
        for slope, height in lines:
            for other, other_height in lines:
                if slope != other:
                    crossings.add((other_height - height) / (slope - other))
    best = max(dual(J, d, eps, price) for price in crossings if price >= 0)
    yield equal("v_N", exact, "max over l", best)
    j, cost = [float(x) for x in J], floats(d)
    ours = optimistic_value(j, cost, radius=float(eps)).value
    yield equal("optimistic_value(J, d)", ours, "v_N", exact, tolerance=ROUNDED)
    program = optimistic_value_lp(j, cost, radius=float(eps)).value
    yield equal("optimistic_value_lp(J, d)", program, "v_N", exact, tolerance=SOLVED)


@claim(
    id="B.2.budget",
    origin=Origin.OURS,
    source="ours, theory.md B.2, of the program in the ICLR paper's proof of Proposition 3.1",
    statement="V_eps is the mean without the eps N largest losses, the last in part; its optimal "
    "multipliers are the loss being removed, or all between it and the next if eps N is whole, "
    "or 0 if eps > 1",
    hypotheses="J ≥ 0, eps ≥ 0",
    verdict=HOLDS,
    method="exact: all vertices of the weight program; multipliers by V_eps = V(l) - l eps",
    instances=priced_budgets(),
)
def budget(J: Rationals, eps: Fraction, price: Fraction) -> Iterator[Comparison]:
    """The interval's ends are optimal, other prices are iff they lie between."""
    value = weight_budget(J, eps)
    ours = weight_budget_value([float(x) for x in J], radius=eps)
    yield equal("weight_budget_value(J)", ours.value, "V_eps", value, tolerance=ROUNDED)
    low, high = ours.multiplier_interval
    for end in (low, high):
        if end < inf:
            exact = Fraction(end)
            yield equal(
                f"V({end:g}) - {end:g} eps", at_price(J, exact) - exact * eps, "V_eps", value
            )
    optimal = at_price(J, price) - price * eps == value
    yield equal("price is optimal", optimal, "in the interval", low <= price <= high)


@st.composite
def shifted_budgets(draw: st.DrawFn) -> dict[str, Any]:
    """Return up to 4 losses, a radius and what is added to every loss."""
    return {**draw(budgets()), "r": draw(nonnegative)}


@claim(
    id="B.2.shift",
    origin=Origin.READING,
    source="ICLR paper, “without loss of generality r(theta) = 0” of Section 3.2, carried to "
    "Section 3.4",
    statement="A regulariser may be added to every loss: V_eps(J + r) = V_eps(J) + r",
    hypotheses="J ≥ 0, r ≥ 0, eps ≥ 0",
    verdict=REFUTED,
    method="exact: all vertices of the weight program",
    instances=shifted_budgets(),
    by_hand="The weights of Section 3.4 need not sum to 1: removing weight removes r as well.",
)
def shifted(J: Rationals, eps: Fraction, r: Fraction) -> Iterator[Comparison]:
    """Removed weight takes its share of r along."""
    raised = weight_budget(tuple(x + r for x in J), eps)
    yield equal("V_eps(J + r)", raised, "V_eps(J) + r", weight_budget(J, eps) + r)


@claim(
    id="B.3.penalty",
    source="ICLR paper, Proposition 3.1; value ours, theory.md B.3",
    statement="min over w ≥ 0 of (1/N) sum [w_i J_i + l |w_i - 1|] = (1/N) sum min(J_i, l), and -∞ "
    "if l < -min J",
    hypotheses="J of any sign, l of any sign",
    verdict=HOLDS,
    method="exact: a convex function of each w_i alone, compared at 0, 1 and at a large w",
    instances=st.fixed_dictionaries({"J": vectors(3), "l": signed}),
)
def penalty(J: Rationals, l: Fraction) -> Iterator[Comparison]:  # noqa: E741
    """Its slope beyond 1 is J + l; on [0, 1] it is linear."""
    computed = weight_penalty_value([float(x) for x in J], multiplier=float(l))

    def term(x: Fraction, w: Fraction) -> Fraction:
        return w * x + l * abs(w - 1)

    grows = [term(x, Fraction(3)) < term(x, Fraction(2)) for x in J]
    if any(grows):
        yield equal("weight_penalty_value(J)", computed, "without end", -inf)
        return
    least = mean([min(term(x, Fraction(w)) for w in (0, 1)) for x in J])
    yield equal("weight_penalty_value(J)", computed, "minimum over w", least, tolerance=ROUNDED)


@claim(
    id="B.3.removed",
    source="ICLR paper, Proposition 3.1, “in particular”",
    statement="-gamma_theta ≤ min J (trivial for J ≥ 0), and every solution has u_i = -1/N where "
    "J_i > gamma_theta",
    hypotheses="gamma_theta an optimal multiplier of the budget",
    verdict=HOLDS,
    method="exact: the objective at w_i in {0, 1/4, 1, 2}",
    instances=budgets(),
)
def removed(J: Rationals, eps: Fraction) -> Iterator[Comparison]:
    """Convex in w_i, so the comparison with four points decides."""
    low, _ = weight_budget_value([float(x) for x in J], radius=eps).multiplier_interval
    multiplier = Fraction(low)
    yield at_most("-gamma_theta", -multiplier, "min J", min(J))
    for x in J:
        if x > multiplier:
            terms = [w * x + multiplier * abs(w - 1) for w in map(Fraction, ("1/4", "1", "2"))]
            yield equal("u_i = -1/N is the only best", multiplier < min(terms), "", True)


@claim(
    id="B.3.constant",
    source="ICLR paper, proof of Proposition 3.1",
    statement="The budget program and the program at the price gamma_theta have the same value: "
    "V(gamma_theta) = V_eps",
    hypotheses="J ≥ 0, eps > 0, gamma_theta an optimal multiplier of the budget",
    verdict=CORRECTED,
    method="exact: all vertices of the weight program",
    instances=budgets(),
    known=({"J": (Fraction(1),), "eps": Fraction(1, 2)},),
    correction="V(gamma_theta) = V_eps + gamma_theta eps: the proof drops the constant "
    "-gamma_theta eps.",
    corrected=lambda J, eps: with_constant(J, eps),
    by_hand="V_eps: the weight that eps buys leaves the largest loss. V(gamma_theta): the mean of "
    "min(J_i, gamma_theta), gamma_theta the largest loss.",
)
def same_value(J: Rationals, eps: Fraction) -> Iterator[Comparison]:
    """The multiplier as small as possible, which makes the difference smallest."""
    multiplier = Fraction(
        weight_budget_value([float(x) for x in J], radius=eps).multiplier_interval[0]
    )
    yield equal("V(gamma_theta)", at_price(J, multiplier), "V_eps", weight_budget(J, eps))


def with_constant(J: Rationals, eps: Fraction) -> Iterator[Comparison]:
    """The correction."""
    multiplier = Fraction(
        weight_budget_value([float(x) for x in J], radius=eps).multiplier_interval[0]
    )
    right = weight_budget(J, eps) + multiplier * eps
    yield equal("V(gamma_theta)", at_price(J, multiplier), "V_eps + gamma_theta eps", right)


@claim(
    id="B.4.lower",
    source="ICLR paper, Proposition 3.1, lower half",
    statement="v_MIX ≥ v_N, for v_MIX = V_eps and for v_MIX = V(gamma_theta)",
    hypotheses="J ≥ 0, eps ≥ 0, gamma_theta an optimal multiplier",
    verdict=HOLDS,
    method=BY_PLANS,
    instances=transports(),
    effort=2,
)
def lower_half(J: Rationals, d: Costs, eps: Fraction) -> Iterator[Comparison]:
    """Moving weight is one way to move."""
    exact, own = transport(J, d, eps), J[: len(d)]
    multiplier = Fraction(
        weight_budget_value([float(x) for x in own], radius=eps).multiplier_interval[0]
    )
    yield at_most("v_N", exact, "V_eps", weight_budget(own, eps))
    yield at_most("v_N", exact, "V(gamma_theta)", at_price(own, multiplier))


def repeated(J: Rationals, d: Costs, times: int) -> tuple[Rationals, Costs]:
    """Return the problem with every sample so many times; the support stays."""
    return tuple(x for x in J[: len(d)] for _ in range(times)), tuple(
        row for row in d for _ in range(times)
    )


@claim(
    id="B.4.upper",
    source="ICLR paper, Proposition 3.1, upper half, with the budget program of its proof",
    statement="V_eps - v_N ≤ kappa/N, an error diminishing in N: N (V_eps - v_N) does not grow "
    "when every sample is repeated",
    hypotheses="J ≥ 0 bounded, eps > 0; kappa independent of N",
    verdict=CORRECTED,
    method=BY_PLANS,
    instances=transports(most_samples=1, metric=True),
    known=(NEARLY_PAID,),
    correction="If each sample may move to one (w_i, z'_i), as in the sources the proof cites: 0 ≤ "
    "v_MIX - v_N ≤ max J / N.",
    corrected=lambda J, d, eps: one_move_gap(J, d, eps),
    by_hand="All samples are equal, so v_N and V_eps are the same for every N: move each sample as "
    "far as eps pays, or remove weight eps of each. Their difference does not shrink, so no "
    "kappa serves all N.",
)
def upper_half(J: Rationals, d: Costs, eps: Fraction) -> Iterator[Comparison]:
    """One copy against three."""
    gaps = []
    for times in (1, 3):
        own, costs = repeated(J, d, times)
        gaps.append(len(own) * (weight_budget(own, eps) - transport(J, costs, eps)))
    yield at_most("N (V_eps - v_N), every sample 3 times", gaps[1], "N (V_eps - v_N)", gaps[0])


def one_move_gap(J: Rationals, d: Costs, eps: Fraction) -> Iterator[Comparison]:
    """Both bounds, for the samples and for three copies of each."""
    for times in (1, 3):
        own, costs = repeated(J, d, times)
        gap = one_move(J, costs, eps) - transport(J, costs, eps)
        yield at_most("0", 0, "v_MIX - v_N", gap)
        yield at_most("v_MIX - v_N", gap, "max J / N", max(J) / len(own))


@claim(
    id="B.4.upper-at-a-price",
    source="ICLR paper, Proposition 3.1, upper half, as printed: v_MIX at the price gamma_theta",
    statement="V(gamma_theta) - v_N ≤ kappa/N: N (V(gamma_theta) - v_N) does not grow when every "
    "sample is repeated, even if only weights move",
    hypotheses="J ≥ 0 bounded, eps > 0, gamma_theta an optimal multiplier, d = ∞ between different "
    "points",
    verdict=CORRECTED,
    method="exact: all vertices of the weight program and of the transport program",
    instances=budgets(),
    known=({"J": (Fraction(1),), "eps": Fraction(1, 2)},),
    correction="V(gamma_theta) - gamma_theta eps = v_N if only weights move.",
    corrected=lambda J, eps: constant_taken_off(J, eps),
    by_hand="V(gamma_theta) - v_N = gamma_theta eps for every number of copies.",
)
def upper_half_at_a_price(J: Rationals, eps: Fraction) -> Iterator[Comparison]:
    """Repeating the samples changes neither value."""
    gaps = []
    for times in (1, 2):
        own = tuple(x for x in J for _ in range(times))
        low, _ = weight_budget_value([float(x) for x in own], radius=eps).multiplier_interval
        gaps.append(len(own) * (at_price(own, Fraction(low)) - weight_budget(own, eps)))
    yield at_most(
        "N (V(gamma_theta) - v_N), every sample twice", gaps[1], "N (V(gamma_theta) - v_N)", gaps[0]
    )


def constant_taken_off(J: Rationals, eps: Fraction) -> Iterator[Comparison]:
    """V at the price, less the constant, is the transport program's value."""
    low, _ = weight_budget_value([float(x) for x in J], radius=eps).multiplier_interval
    left = at_price(J, Fraction(low)) - Fraction(low) * eps
    yield equal(
        "V(gamma_theta) - gamma_theta eps", left, "v_N", transport(J, weights_only(len(J)), eps)
    )


@claim(
    id="B.4.weights-only",
    origin=Origin.OURS,
    source="ours, theory.md B.4",
    statement="If d = ∞ between different points, V_eps = v_N: kappa = 0",
    hypotheses="J ≥ 0, eps ≥ 0",
    verdict=HOLDS,
    method="exact: all vertices of both programs",
    instances=budgets(),
)
def only_weights(J: Rationals, eps: Fraction) -> Iterator[Comparison]:
    """Enumerated both."""
    yield equal("V_eps", weight_budget(J, eps), "v_N", transport(J, weights_only(len(J)), eps))


@claim(
    id="B.4.one-move",
    origin=Origin.OURS,
    source="ours, theory.md B.4; the version of the sources the paper cites",
    statement="If each sample moves to one (w_i, z'_i), 0 ≤ v_MIX - v_N ≤ max J / N",
    hypotheses="J ≥ 0, eps ≥ 0; the samples are in the support",
    verdict=HOLDS,
    method=BY_PLANS + "; v_MIX over all choices of z', weights removed greedily; "
    "the toolkit's integer program beside it",
    instances=transports(),
    known=(NEARLY_PAID, NEARLY_PAID_TWICE),
    effort=4,
)
def one_move_bounds(J: Rationals, d: Costs, eps: Fraction) -> Iterator[Comparison]:
    """And HiGHS."""
    mixed = one_move(J, d, eps)
    gap = mixed - transport(J, d, eps)
    yield at_most("0", 0, "v_MIX - v_N", gap)
    yield at_most("v_MIX - v_N", gap, "max J / N", max(J) / len(d))
    program = one_move_value([float(x) for x in J], floats(d), radius=float(eps)).value
    yield equal("one_move_value(J, d)", program, "v_MIX", mixed, tolerance=1e-6)


@claim(
    id="B.4.half",
    origin=Origin.OURS,
    source="ours, theory.md B.4: how sharp max J / N is",
    statement="Half of it would do: v_MIX - v_N ≤ max J / (2 N) if each sample moves to one (w_i, "
    "z'_i)",
    hypotheses="J ≥ 0, eps ≥ 0",
    verdict=REFUTED,
    method=BY_PLANS + "; v_MIX over all choices of z'",
    instances=transports(most_samples=2, metric=True),
    known=(NEARLY_PAID,),
    by_hand="v_N moves the share eps/d of the sample; alone, the sample cannot pay d and only "
    "loses weight eps. As d → 0 with eps just below it, the difference tends to max J / N.",
)
def half_the_bound(J: Rationals, d: Costs, eps: Fraction) -> Iterator[Comparison]:
    """Beaten where the budget nearly pays for a short move."""
    gap = one_move(J, d, eps) - transport(J, d, eps)
    yield at_most("v_MIX - v_N", gap, "max J / (2 N)", max(J) / (2 * len(d)))


@claim(
    id="B.5.order",
    source="ICLR paper, Section 3.4.1, last formula; earlier version, Section 3.4.1",
    statement="L_RRM ≥ v_MIX: R_gamma(c) ≥ V(gamma_theta)",
    hypotheses="gamma > 0, c ≥ 0; gamma_theta > 0 (a multiplier for some radius)",
    verdict=CORRECTED,
    method="exact: R_gamma by enumeration, V by its definition",
    instances=weight_problems(shift=nonnegative, gamma_theta=lambda _: positive),
    known=({"c": (Fraction(0), Fraction(10)), "gamma": Fraction(2), "gamma_theta": Fraction(5)},),
    correction="R_gamma(c) ≥ V(gamma_theta) iff c_min + gamma ≥ min(gamma_theta, c_max); so for "
    "all c ≥ 0 iff gamma ≥ gamma_theta.",
    corrected=lambda c, gamma, gamma_theta: order_decided(c, gamma, gamma_theta),
    by_hand="R_gamma is the mean of min(c_i, c_min + gamma), V the mean of min(c_i, gamma_theta).",
)
def order(c: Rationals, gamma: Fraction, gamma_theta: Fraction) -> Iterator[Comparison]:
    """Two clipped means."""
    yield at_most("V(gamma_theta)", at_price(c, gamma_theta), "R_gamma(c)", minimum(c, gamma)[0])


def order_decided(c: Rationals, gamma: Fraction, gamma_theta: Fraction) -> Iterator[Comparison]:
    """The exact condition, and the toolkit's."""
    true = minimum(c, gamma)[0] >= at_price(c, gamma_theta)
    condition = min(c) + gamma >= min(gamma_theta, max(c))
    yield equal(
        "R_gamma(c) ≥ V(gamma_theta)", true, "c_min + gamma ≥ min(gamma_theta, c_max)", condition
    )
    ours = relaxed_risk_dominates(
        [float(x) for x in c], gamma=float(gamma), multiplier=float(gamma_theta)
    )
    yield equal("relaxed_risk_dominates(c)", ours, "it", condition)


@claim(
    id="B.5.optimism",
    source="ICLR paper, end of Section 3.4.1: “RRM is optimistic but not as much as the "
    "data-driven Wasserstein approach”",
    statement="L_RRM ≥ v_N: R_gamma(c) is at least the exact optimistic value",
    hypotheses="gamma > 0, c ≥ 0, eps > 0; here only weights may move, which makes v_N largest",
    verdict=CORRECTED,
    method="exact: all vertices of U's linear parts and of the weight program",
    instances=weight_problems(most=4, shift=nonnegative, eps=lambda _: radii.filter(bool)),
    known=(
        {"c": (Fraction(0), Fraction(2)), "gamma": Fraction(1), "eps": Fraction(1, 8)},
        # |chi|/N is twice the radius here.
        {"c": (Fraction(0), Fraction(10)), "gamma": Fraction(1), "eps": Fraction(1, 4)},
    ),
    correction="True if RRM removes no more than the radius allows: |chi|/N ≤ eps implies "
    "R_gamma(c) ≥ V_eps ≥ v_N.",
    corrected=lambda c, gamma, eps: within_the_radius(c, gamma, eps),
    by_hand="R_gamma is the mean of min(c_i, c_min + gamma); v_N = V_eps removes weight eps from "
    "the largest loss.",
)
def optimism(c: Rationals, gamma: Fraction, eps: Fraction) -> Iterator[Comparison]:
    """A low price against a small radius."""
    yield at_most("v_N", weight_budget(c, eps), "R_gamma(c)", minimum(c, gamma)[0])


def within_the_radius(c: Rationals, gamma: Fraction, eps: Fraction) -> Iterator[Comparison]:
    """Removing chi alone is within the budget and costs less than moving it."""
    if sum(x > min(c) + gamma for x in c) <= eps * len(c):
        yield at_most("V_eps", weight_budget(c, eps), "R_gamma(c)", minimum(c, gamma)[0])


CLAIMS = (
    optimistic,
    budget,
    shifted,
    penalty,
    removed,
    same_value,
    lower_half,
    upper_half,
    upper_half_at_a_price,
    only_weights,
    one_move_bounds,
    half_the_bound,
    order,
    optimism,
)
