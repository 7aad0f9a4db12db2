"""ICLR paper, Sections 3.5 and 4.2.2: the algorithms, their settings; theory.md A.6, A.7, A.11."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import Any

from hypothesis import strategies as st

from rrm_theory import ContaminationOutcome, contamination_gamma, gamma_from_l1_penalty
from rrm_theory.ledger.claim import Comparison, Origin, Verdict, at_most, claim, equal, less
from rrm_theory.ledger.definitions import (
    Matrix,
    Rationals,
    corners,
    cost,
    in_u,
    mean,
    minimum,
    tied,
    uniform,
)
from rrm_theory.ledger.instances import (
    displacements,
    losses,
    nonnegative,
    open_unit,
    positive,
    signed,
    vectors,
    weight_problems,
)

HOLDS, CORRECTED, REFUTED = Verdict.HOLDS, Verdict.CORRECTED, Verdict.REFUTED
# Almost all mass on one sample and a short step: a wrong sign leaves U.
FAR_OUT = {
    "c": (Fraction(0),) * 3,
    "gamma": Fraction(1),
    "u": (Fraction(2, 3), Fraction(-1, 3), Fraction(-1, 3)),
    "mu": Fraction(1, 8),
}
contaminations = st.sampled_from([Fraction(1, 2), Fraction(1, 3), Fraction(1, 10)]) | st.integers(
    1, 7
).map(lambda k: Fraction(k, 8))


@st.composite
def tuned(draw: st.DrawFn) -> dict[str, Any]:
    """Return losses with ties and an estimated contamination C' > 0."""
    c = draw(losses(draw(positive), most=6, shift=signed))
    return {"c": c, "contamination": draw(contaminations)}


def above(c: Rationals, level: Fraction) -> Fraction:
    """Return ``#{j : c_j > level} / N``."""
    return Fraction(sum(x > level for x in c), len(c))


def level(c: Rationals, contamination: Fraction) -> Fraction | None:
    """Return ``max{c_i : #{j : c_j > c_i}/N >= C'}`` by trying all, None if there is none."""
    return max((x for x in c if above(c, x) >= contamination), default=None)


def canonical(c: Rationals, gamma: Fraction) -> Rationals:
    """Return the u of Corollary 3.1.1."""
    smallest, _ = tied(c, gamma)
    emptied = [x > min(c) + gamma for x in c]
    received = Fraction(sum(emptied), len(c) * len(smallest))
    return tuple(
        received if i in smallest else Fraction(-gone, len(c)) for i, gone in enumerate(emptied)
    )


@claim(
    id="A.6.price",
    source="ICLR paper, Algorithm 3",
    statement="Re-weight(gamma), which prices gamma ‖u‖₁, solves Eq. (2) with the same gamma",
    hypotheses="gamma > 0",
    verdict=CORRECTED,
    method="exact: both objectives at all vertices of U's linear parts",
    instances=weight_problems(most=4, shift=st.just(Fraction(0)) | signed),
    correction="A price theta ‖u‖₁ is Eq. (2) with gamma = 2 theta: it cuts at c_min + 2 theta.",
    corrected=lambda c, gamma: twice_the_price(c, gamma),
    by_hand="Eq. (2) removes losses above c_min + gamma, Algorithm 3 those above c_min + 2 gamma.",
)
def algorithm_3_price(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """The sets of minimisers."""
    ours = minimisers_at_l1_price(c, gamma)
    yield equal("minimisers of Algorithm 3", ours, "of Eq. (2)", tuple(minimum(c, gamma)[1]))


def twice_the_price(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """With gamma in the part of theta."""
    doubled = Fraction(gamma_from_l1_penalty(float(gamma)))
    ours = minimisers_at_l1_price(c, gamma)
    yield equal(
        "minimisers at theta ‖u‖₁", ours, "of Eq. (2), 2 theta", tuple(minimum(c, doubled)[1])
    )


def minimisers_at_l1_price(c: Rationals, theta: Fraction) -> tuple[Rationals, ...]:
    """Return the vertices of ``argmin sum (1/N + u) c + theta ||u||_1``."""
    share = Fraction(1, len(c))
    costs = {
        u: sum((share + x) * y for x, y in zip(u, c, strict=True)) + theta * sum(map(abs, u))
        for u in corners(uniform(len(c)))
    }
    least = min(costs.values())
    return tuple(sorted(u for u, value in costs.items() if value == least))


@claim(
    id="A.6.return",
    source="ICLR paper, Algorithm 3, last line",
    statement="mu u* + (1 - mu), which Re-weight returns, lies in U",
    hypotheses="u, u* in U, mu in (0, 1)",
    verdict=CORRECTED,
    method="exact",
    instances=weight_problems(most=4, u=displacements, mu=lambda _: open_unit),
    known=(FAR_OUT,),
    correction="mu u* + (1 - mu) u, as the earlier version has it, lies in U.",
    corrected=lambda c, gamma, u, mu: damped(c, gamma, u, mu),
    by_hand="Each of the N entries of u* is multiplied by mu and 1 - mu is added: the sum is (1 - "
    "mu) N, not 0.",
)
def algorithm_3_return(
    c: Rationals, gamma: Fraction, u: Rationals, mu: Fraction
) -> Iterator[Comparison]:
    """The sum of the entries."""
    returned = [mu * x + 1 - mu for x in canonical(c, gamma)]
    yield equal("sum of mu u* + (1 - mu)", sum(returned), "sum of an element of U", 0)


def damped(c: Rationals, gamma: Fraction, u: Rationals, mu: Fraction) -> Iterator[Comparison]:
    """U is convex."""
    mixed = tuple(mu * x + (1 - mu) * y for x, y in zip(canonical(c, gamma), u, strict=True))
    yield equal("mu u* + (1 - mu) u in U", in_u(mixed), "", True)


@claim(
    id="A.6.step",
    source="ICLR paper, Algorithm 1 and Algorithm 3, “Require”",
    statement="Algorithm 1 keeps its step mu in (0, 1)",
    hypotheses="mu in (0, 1) at the start; with or without an estimate C'",
    verdict=CORRECTED,
    method="exact: the lines that set mu, followed",
    instances=weight_problems(
        most=3, u=displacements, mu=lambda _: open_unit, estimated=lambda _: st.booleans()
    ),
    known=({**FAR_OUT, "estimated": False},),
    correction="mu in (0, 1]; u stays in U for each of these.",
    corrected=lambda c, gamma, u, mu, estimated: damped(
        c, gamma, u, Fraction(1) if estimated else mu
    ),
    by_hand="With C' given, Algorithm 1 sets mu to 1.",
)
def step_range(
    c: Rationals,
    gamma: Fraction,
    u: Rationals,
    mu: Fraction,
    estimated: bool,
) -> Iterator[Comparison]:
    """The step that reaches Algorithm 3."""
    used = Fraction(1) if estimated else mu
    yield less("mu when Re-weight is called", used, "upper end of (0, 1)", 1)


@claim(
    id="A.6.attack",
    source="ICLR paper, Section 4.2.2",
    statement="x + eps ∇J, the test attack as printed, is FGSM: it moves the input by eps in the "
    "largest coordinate",
    hypotheses="eps > 0, ∇J ≠ 0",
    verdict=CORRECTED,
    method="exact",
    instances=st.fixed_dictionaries({"gradient": vectors(2).filter(any), "eps": positive}),
    correction="x + eps sign(∇J), as in Algorithm 2.",
    corrected=lambda gradient, eps: signed_attack(gradient, eps),
    by_hand="The largest coordinate of eps ∇J is eps times the largest of ∇J.",
)
def unsigned_attack(gradient: Rationals, eps: Fraction) -> Iterator[Comparison]:
    """Without the sign."""
    yield equal("largest move of eps ∇J", max(abs(eps * g) for g in gradient), "eps", eps)


def signed_attack(gradient: Rationals, eps: Fraction) -> Iterator[Comparison]:
    """With the sign."""
    moves = [eps * ((g > 0) - (g < 0)) for g in gradient]
    yield equal("largest move of eps sign(∇J)", max(map(abs, moves)), "eps", eps)
    gain = sum((m * g for m, g in zip(moves, gradient, strict=True)), Fraction(0))
    yield equal("∇J · move", gain, "eps ‖∇J‖₁", eps * sum(map(abs, gradient), Fraction(0)))


@claim(
    id="A.6.maximum",
    source="ICLR paper, Algorithm 1",
    statement="max{l real : #{j : c_j > l}/N ≥ C'} exists: the supremum belongs to the set",
    hypotheses="0 < C' < 1",
    verdict=CORRECTED,
    method="exact: the supremum is the ⌈C' N⌉-th largest loss",
    instances=tuned(),
    correction="The maximum over the observed losses, Section 3.5.1's version, is meant: the "
    "largest of finitely many, where one qualifies.",
    corrected=lambda c, contamination: over_observed(c, contamination),
    by_hand="Every l below the supremum has enough losses above it, the supremum itself has not: "
    "the set is half-open.",
)
def real_maximum(c: Rationals, contamination: Fraction) -> Iterator[Comparison]:
    """The supremum is not in the set."""
    supremum = largest(c, contamination)
    yield at_most("C'", contamination, "#{j : c_j > sup}/N", above(c, supremum))


def largest(c: Rationals, contamination: Fraction) -> Fraction:
    """Return the ⌈C' N⌉-th largest loss."""
    return sorted(c, reverse=True)[ceil(contamination * len(c)) - 1]


def over_observed(c: Rationals, contamination: Fraction) -> Iterator[Comparison]:
    """The toolkit's level is the largest of the losses that qualify."""
    # Losses are multiples of 1/8.
    below = largest(c, contamination) - Fraction(1, 16)
    yield at_most("C'", contamination, "#{j : c_j > l}/N just below the supremum", above(c, below))
    over = above(c, largest(c, contamination))
    yield less("#{j : c_j > sup}/N", over, "C'", contamination)
    expected = level(c, contamination)
    answer = contamination_gamma([float(x) for x in c], contamination)
    found = answer.outcome is not ContaminationOutcome.NO_LEVEL
    yield equal(
        "contamination_gamma finds a level", found, "a loss qualifies", expected is not None
    )
    if expected is not None:
        yield equal("its level", Fraction(answer.level), "the largest that qualifies", expected)


@claim(
    id="A.7.pruned",
    source="ICLR paper, Section 3.5.1",
    statement="With gamma = l - c_min the fraction |chi|/N that is pruned is at least C'",
    hypotheses="l exists",
    verdict=HOLDS,
    method="exact: l by trying all losses",
    instances=tuned(),
)
def enough_pruned(c: Rationals, contamination: Fraction) -> Iterator[Comparison]:
    """Also what the toolkit reports."""
    found = level(c, contamination)
    if found is not None:
        yield at_most("C'", contamination, "|chi|/N", above(c, found))
        answer = contamination_gamma([float(x) for x in c], contamination)
        yield equal(
            "contamination_gamma(c).pruned_fraction",
            answer.pruned_fraction,
            "|chi|/N",
            above(c, found),
        )


@claim(
    id="A.7.exists",
    source="ICLR paper, Section 3.5.1",
    statement="l = max{c_i : #{j : c_j > c_i}/N ≥ C'} exists",
    hypotheses="0 < C' < 1",
    verdict=CORRECTED,
    method="exact: trying all losses",
    instances=tuned(),
    correction="It exists iff at most (1 - C') N samples tie at the minimum.",
    corrected=lambda c, contamination: existence(c, contamination),
    by_hand="Count the losses above the smallest one: fewer than C' N.",
)
def exists(c: Rationals, contamination: Fraction) -> Iterator[Comparison]:
    """Some loss qualifies."""
    yield equal("a loss qualifies", level(c, contamination) is not None, "", True)


def existence(c: Rationals, contamination: Fraction) -> Iterator[Comparison]:
    """The exact condition."""
    at_minimum = sum(x == min(c) for x in c)
    few = at_minimum <= (1 - contamination) * len(c)
    yield equal(
        "a loss qualifies",
        level(c, contamination) is not None,
        "at most (1 - C') N at the minimum",
        few,
    )


@claim(
    id="A.7.positive",
    source="ICLR paper, Section 3.5.1 with “threshold gamma > 0”",
    statement="gamma = l - c_min is positive, as Theorem 3.1 requires",
    hypotheses="l exists",
    verdict=CORRECTED,
    method="exact: l by trying all losses",
    instances=tuned(),
    correction="gamma > 0 iff some loss above c_min qualifies; else the method prunes everything "
    "above the minimum at no price.",
    corrected=lambda c, contamination: positive_gamma(c, contamination),
    by_hand="Only the smallest loss has C' N losses above it, so l = c_min.",
)
def gamma_positive(c: Rationals, contamination: Fraction) -> Iterator[Comparison]:
    """Where l exists."""
    found = level(c, contamination)
    if found is not None:
        yield less("0", 0, "l - c_min", found - min(c))


def positive_gamma(c: Rationals, contamination: Fraction) -> Iterator[Comparison]:
    """The condition, and what is pruned otherwise."""
    found = level(c, contamination)
    if found is None:
        return
    qualifies = any(x > min(c) and above(c, x) >= contamination for x in c)
    yield equal("l - c_min > 0", found > min(c), "a loss above c_min qualifies", qualifies)
    if not qualifies:
        yield equal("|chi|/N", above(c, found), "all above the minimum", above(c, min(c)))


@claim(
    id="A.7.precise",
    source="ICLR paper, Sections 3.5 and 3.5.1: “precisely control how many examples are pruned”",
    statement="Exactly ⌈C' N⌉ samples are pruned",
    hypotheses="l exists",
    verdict=CORRECTED,
    method="exact: l by trying all losses",
    instances=tuned(),
    known=({"c": (Fraction(0),) * 5 + (Fraction(1),) * 5, "contamination": Fraction(1, 10)},),
    correction="At least ⌈C' N⌉; exactly so many iff the ⌈C' N⌉-th largest loss exceeds the next "
    "one.",
    corrected=lambda c, contamination: precision(c, contamination),
    by_hand="Losses that tie are pruned together.",
)
def precise(c: Rationals, contamination: Fraction) -> Iterator[Comparison]:
    """Ties go together."""
    found = level(c, contamination)
    if found is not None:
        pruned = sum(x > found for x in c)
        yield equal("samples pruned", pruned, "⌈C' N⌉", ceil(contamination * len(c)))


def precision(c: Rationals, contamination: Fraction) -> Iterator[Comparison]:
    """The exact condition."""
    found = level(c, contamination)
    if found is None:
        return
    wanted, ordered = ceil(contamination * len(c)), sorted(c, reverse=True)
    pruned = sum(x > found for x in c)
    yield at_most("⌈C' N⌉", wanted, "samples pruned", pruned)
    distinct = ordered[wanted - 1] > ordered[wanted]
    yield equal("exactly ⌈C' N⌉", pruned == wanted, "the next loss is smaller", distinct)


@claim(
    id="A.7.zero",
    origin=Origin.OURS,
    source="ours, theory.md A.7",
    statement="With C' = 0: l = c_max, gamma = c_max - c_min, and nothing is pruned",
    hypotheses="finite losses",
    verdict=HOLDS,
    method="exact: l by trying all losses",
    instances=weight_problems(most=6),
)
def nothing_suspected(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """And the toolkit."""
    yield equal("l", level(c, Fraction(0)), "c_max", max(c))
    answer = contamination_gamma([float(x) for x in c], 0)
    yield equal("contamination_gamma(c).pruned_fraction", answer.pruned_fraction, "", 0)


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """Return the losses of N samples under each of up to three parameters theta."""
    n, parameters = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rows = tuple(draw(vectors(n, nonnegative)) for _ in range(parameters))
    return {"losses": rows, "gamma": draw(positive), "mu": draw(st.just(Fraction(1)) | open_unit)}


def best_parameter(losses: Matrix, u: Rationals, current: int) -> int:
    """Return the theta with the least weighted loss, the current one if it ties."""
    share = Fraction(1, len(u))

    def weighted(theta: int) -> tuple[Fraction, bool]:
        return sum(
            ((share + x) * c for x, c in zip(u, losses[theta], strict=True)), Fraction(0)
        ), theta != current

    return min(range(len(losses)), key=weighted)


@claim(
    id="A.11.fixed",
    origin=Origin.OURS,
    source="ours, theory.md A.11, of the ICLR paper's block descent (Section 3.5)",
    statement="With gamma fixed, u ← mu u* + (1 - mu) u and exact theta-steps never increase "
    "phi(theta, u)",
    hypotheses="gamma > 0, mu in (0, 1], finitely many theta",
    verdict=HOLDS,
    method="exact: four rounds of block descent",
    instances=models(),
)
def fixed_price(losses: Matrix, gamma: Fraction, mu: Fraction) -> Iterator[Comparison]:
    """After each half step."""
    theta, u = 0, (Fraction(0),) * len(losses[0])
    before = cost(losses[theta], u, gamma)
    for _ in range(4):
        target = canonical(losses[theta], gamma)
        u = tuple(mu * x + (1 - mu) * y for x, y in zip(target, u, strict=True))
        after = cost(losses[theta], u, gamma)
        yield at_most("phi after the u-step", after, "phi before it", before)
        theta = best_parameter(losses, u, theta)
        before = cost(losses[theta], u, gamma)
        yield at_most("phi after the theta-step", before, "phi before it", after)


@st.composite
def retuned_models(draw: st.DrawFn) -> dict[str, Any]:
    """Return the losses of N samples under two parameters, and C'."""
    n = draw(st.integers(2, 4))
    rows = tuple(draw(vectors(n, nonnegative)) for _ in range(2))
    return {"losses": rows, "contamination": draw(contaminations)}


@claim(
    id="A.11.retuned",
    origin=Origin.READING,
    source="ICLR paper, Algorithm 1 with Section 3.5.1; that it descends is not claimed there",
    statement="With gamma re-tuned from C' each round (mu = 1), a theta-step that lowers the "
    "weighted loss does not raise L_RRM",
    hypotheses="l exists and gamma > 0 in both rounds; exact theta-steps",
    verdict=REFUTED,
    method="exact: two rounds of Algorithm 1 with exact steps; L_RRM at each round's own gamma",
    instances=retuned_models(),
    known=(
        {
            "losses": (tuple(map(Fraction, (1, 2, 3))), tuple(map(Fraction, (0, 3, 4)))),
            "contamination": Fraction(1, 3),
        },
    ),
    by_hand="Rows are the losses under theta_1 and theta_2. Round 1: l and the weights from row 1; "
    "the weighted loss of row 2 is smaller, so theta moves there. Round 2: l from row 2. L_RRM "
    "is the mean of min(c_i, l).",
)
def retuned_price(losses: Matrix, contamination: Fraction) -> Iterator[Comparison]:
    """A higher level may cost more than the step saved."""
    values, theta = [], 0
    for _ in range(2):
        c = losses[theta]
        found = level(c, contamination)
        if found is None or found == min(c):
            return
        values.append(mean([min(x, found) for x in c]))
        theta = best_parameter(losses, canonical(c, found - min(c)), theta)
    yield at_most("L_RRM in round 2", values[1], "L_RRM in round 1", values[0])


CLAIMS = (
    algorithm_3_price,
    algorithm_3_return,
    step_range,
    unsigned_attack,
    real_maximum,
    enough_pruned,
    exists,
    gamma_positive,
    precise,
    nothing_suspected,
    fixed_price,
    retuned_price,
)
