"""ICLR paper, Section 3.3 and Appendix A.1: Theorem 3.1, Corollary 3.1.1; theory.md A.3 to A.5."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hypothesis import strategies as st

from rrm_theory import TheoremVersion, optimal_face, relax
from rrm_theory.ledger.claim import Comparison, Origin, Verdict, claim, equal
from rrm_theory.ledger.definitions import (
    Rationals,
    cost,
    earlier_vertices,
    in_printed_piece,
    in_u,
    minimum,
    rank,
    subsets,
    tied,
)
from rrm_theory.ledger.instances import displacements, signed, vectors, weight_problems

HOLDS, CORRECTED = Verdict.HOLDS, Verdict.CORRECTED
BY_CORNERS = "exact: the argmin's vertices by comparing all vertices of U's linear parts"


def between(c: Rationals, gamma: Fraction, shares: Rationals) -> Rationals:
    """Return a point of the argmin: the mean of its vertices, weighted by the sizes of shares."""
    _, vertices = minimum(c, gamma)
    weights = [
        abs(x) for x, _ in zip([*shares, *[Fraction(1)] * len(vertices)], vertices, strict=False)
    ]
    if not any(weights):
        weights = [Fraction(1)] * len(vertices)
    total = sum(weights)
    return tuple(
        sum((w * v[i] for w, v in zip(weights, vertices, strict=True)), Fraction(0)) / total
        for i in range(len(c))
    )


def is_minimiser(c: Rationals, gamma: Fraction, u: Rationals) -> bool:
    """Whether u lies in U and attains the minimum."""
    return in_u(u) and cost(c, u, gamma) == minimum(c, gamma)[0]


def in_some_piece(version: TheoremVersion, c: Rationals, gamma: Fraction, u: Rationals) -> bool:
    """Whether u lies in a printed U*_{S1,S2}."""
    smallest, at_cut = tied(c, gamma)
    return any(
        in_printed_piece(version, c, gamma, s1, s2, u)
        for s1 in subsets(smallest)
        for s2 in subsets(at_cut)
    )


@claim(
    id="A.3.appendix",
    source="ICLR paper, Theorem 3.1, Appendix A.1",
    statement="argmin over U = conv of the union of U*_{S1,S2}, each with u in U",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method=BY_CORNERS + "; points of U and of the argmin, tested in every piece as printed",
    instances=weight_problems(most=4, u=displacements),
    effort=2,
)
def appendix(c: Rationals, gamma: Fraction, u: Rationals) -> Iterator[Comparison]:
    """A point of U is in a piece iff it is a minimiser; all vertices and a mean of them are."""
    version = TheoremVersion.APPENDIX
    _, vertices = minimum(c, gamma)
    for point in (u, between(c, gamma, u), *vertices):
        inside = in_some_piece(version, c, gamma, point)
        yield equal("u in some U*", inside, "u is a minimiser", is_minimiser(c, gamma, point))
    ours = sorted(optimal_face([float(x) for x in c], gamma=float(gamma)).vertices())
    yield equal("optimal_face(c).vertices()", tuple(ours), "the argmin's vertices", tuple(vertices))


@claim(
    id="A.3.body",
    source="ICLR paper, Theorem 3.1, Section 3.3",
    statement="argmin over U = conv of the union of U*_{S1,S2}, defined without u in U",
    hypotheses="gamma > 0",
    verdict=CORRECTED,
    method=BY_CORNERS + "; points tested in every piece as printed",
    instances=weight_problems(most=4, u=lambda n: vectors(n) | displacements(n)),
    known=(
        {
            "c": (Fraction(0), Fraction(3)),
            "gamma": Fraction(1),
            "u": (Fraction(10), Fraction(-1, 2)),
        },
    ),
    correction="Each U*_{S1,S2} must also ask for u in U, as in the paper's Appendix A.1.",
    corrected=lambda c, gamma, u: appendix.check(c=c, gamma=gamma, u=u),
    by_hand="Go through the lines of U*_{S1,S2} with S1 = S2 = ∅: u fulfils each of them. But it "
    "is not in U, as sum u ≠ 0.",
    effort=2,
)
def body(c: Rationals, gamma: Fraction, u: Rationals) -> Iterator[Comparison]:
    """One point outside U is enough."""
    inside = in_some_piece(TheoremVersion.BODY, c, gamma, u)
    yield equal("u in some U*", inside, "u is a minimiser", is_minimiser(c, gamma, u))


@claim(
    id="A.3.earlier",
    source="earlier version, Theorem 3.1 (its gamma is half of Eq. (2)'s)",
    statement="argmin over U = conv of the union of U*_{S1,S2}, S1 and S2 pinned to 0, I_big \\ S2 "
    "to -1/N",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method=BY_CORNERS + "; all vertices of all pieces",
    instances=weight_problems(),
)
def earlier(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """Both are hulls of finitely many points; the sets of points are equal."""
    _, vertices = minimum(c, gamma)
    printed = earlier_vertices(c, gamma)
    yield equal("vertices of the pieces", tuple(printed), "the argmin's vertices", tuple(vertices))


@claim(
    id="A.3.collapse",
    origin=Origin.OURS,
    source="ours, theory.md A.3",
    statement="In the ICLR paper's theorem the piece with S1 = S2 = ∅ contains all others: union "
    "and hull are superfluous",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method=BY_CORNERS + "; points tested as printed",
    instances=weight_problems(most=4, u=displacements),
)
def collapse(c: Rationals, gamma: Fraction, u: Rationals) -> Iterator[Comparison]:
    """In any piece iff in that one."""
    version = TheoremVersion.APPENDIX
    for point in (u, between(c, gamma, u)):
        one = in_printed_piece(version, c, gamma, (), (), point)
        yield equal("u in some U*", in_some_piece(version, c, gamma, point), "u in U*_{∅,∅}", one)


@claim(
    id="A.3.hull",
    origin=Origin.OURS,
    source="ours, theory.md A.3",
    statement="In the earlier version's theorem the hull is needed as soon as I_big is not empty: "
    "the union is not convex",
    hypotheses="gamma > 0, I_big ≠ ∅",
    verdict=HOLDS,
    method="exact: the mean of a vertex with a sample of I_big at 0 and one with it at -1/N",
    instances=weight_problems(most=4),
    known=({"c": (Fraction(0), Fraction(1)), "gamma": Fraction(1)},),
)
def hull_needed(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """Both ends lie in pieces, the mean in none, though it is a minimiser."""
    smallest, at_cut = tied(c, gamma)
    if not at_cut:
        return
    version, share = TheoremVersion.EARLIER, Fraction(1, len(c))
    one = next(u for u in earlier_vertices(c, gamma) if all(u[i] == 0 for i in at_cut))
    other = list(one)
    other[at_cut[0]] -= share
    other[smallest[0]] += share
    middle = tuple((a + b) / 2 for a, b in zip(one, other, strict=True))
    for name, point, inside in (
        ("u", one, True),
        ("v", tuple(other), True),
        ("(u + v)/2", middle, False),
    ):
        yield equal(f"{name} in some U*", in_some_piece(version, c, gamma, point), "", inside)
    yield equal("(u + v)/2 is a minimiser", is_minimiser(c, gamma, middle), "", True)


@claim(
    id="A.3.arbitrary",
    origin=Origin.READING,
    source="ICLR paper, after Theorem 3.1: at the break points “this classification can be "
    "arbitrary”",
    statement=(
        "Every choice of S1 in I_min and S2 in I_big gives minimisers: no U*_{S1,S2} is empty"
    ),
    hypotheses="gamma > 0",
    verdict=CORRECTED,
    method=BY_CORNERS + "; a piece is a face of the argmin, so it is empty iff it has no vertex",
    instances=weight_problems(most=4),
    correction=(
        "U*_{S1,S2} is empty iff S1 = I_min and something must move: chi or S2 is not empty."
    ),
    corrected=lambda c, gamma: empty_pieces(c, gamma),
    by_hand="With S1 = I_min nobody may receive what leaves S2 or chi.",
)
def arbitrary(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """Count the empty pieces."""
    empty = [pair for pair, found in pieces_with_vertices(c, gamma) if not found]
    yield equal("empty pieces", len(empty), "", 0)


def pieces_with_vertices(
    c: Rationals, gamma: Fraction
) -> Iterator[tuple[tuple[tuple[int, ...], tuple[int, ...]], bool]]:
    """Yield every (S1, S2) and whether its piece has a vertex."""
    smallest, at_cut = tied(c, gamma)
    _, vertices = minimum(c, gamma)
    version = TheoremVersion.APPENDIX
    for s1 in subsets(smallest):
        for s2 in subsets(at_cut):
            yield (
                (s1, s2),
                any(in_printed_piece(version, c, gamma, s1, s2, u) for u in vertices),
            )


def empty_pieces(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """Decide emptiness piece by piece."""
    smallest, _ = tied(c, gamma)
    leaves = any(x > min(c) + gamma for x in c)
    for (s1, s2), found in pieces_with_vertices(c, gamma):
        empty = len(s1) == len(smallest) and (leaves or bool(s2))
        yield equal("piece is empty", not found, "S1 = I_min and something must move", empty)


@claim(
    id="A.3.removed",
    source="ICLR paper, after Theorem 3.1",
    statement="Points with c_i > c_min + gamma are down-weighted to zero",
    hypotheses="gamma > 0; any minimiser",
    verdict=HOLDS,
    method=BY_CORNERS,
    instances=weight_problems(),
)
def removed(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """By every vertex, hence by every minimiser."""
    _, vertices = minimum(c, gamma)
    for u in vertices:
        for i, x in enumerate(c):
            if x > min(c) + gamma:
                yield equal(f"weight of sample {i}", u[i] + Fraction(1, len(c)), "", Fraction(0))


@claim(
    id="A.4.none",
    source="ICLR paper, after Theorem 3.1",
    statement="If c_max - c_min < gamma, no loss reweighting occurs",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method=BY_CORNERS,
    instances=weight_problems(),
)
def no_reweighting(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """U = 0 is the only minimiser."""
    if max(c) - min(c) < gamma:
        _, vertices = minimum(c, gamma)
        yield equal("the minimisers", tuple(vertices), "u = 0 alone", ((Fraction(0),) * len(c),))


@claim(
    id="A.4.none-at-equality",
    origin=Origin.OURS,
    source="ours, theory.md A.4",
    statement="If c_max - c_min = gamma, u = 0 is a minimiser but not the only one",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method=BY_CORNERS,
    instances=weight_problems(),
    known=({"c": (Fraction(0), Fraction(1)), "gamma": Fraction(1)},),
)
def reweighting_at_equality(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """The limit case of the sentence before."""
    if max(c) - min(c) == gamma:
        _, vertices = minimum(c, gamma)
        yield equal("0 is a minimiser", (Fraction(0),) * len(c) in vertices, "", True)
        yield equal("there are others", len(vertices) > 1, "", True)


@claim(
    id="A.4.shape",
    origin=Origin.OURS,
    source="ours, theory.md A.4",
    statement="With m = |I_min|, b = |I_big|, t = |chi|: dim F = m - 1 + b if t + b > 0, else 0; "
    "vertices: m 2^b if t > 0, else 1 + m (2^b - 1)",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method=BY_CORNERS + "; the dimension by elimination",
    instances=weight_problems(),
)
def shape(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """Count and rank against the formulas and the toolkit."""
    _, vertices = minimum(c, gamma)
    smallest, at_cut = tied(c, gamma)
    m, b, t = len(smallest), len(at_cut), sum(x > min(c) + gamma for x in c)
    dimension = rank([tuple(x - y for x, y in zip(v, vertices[0], strict=True)) for v in vertices])
    count = m * 2**b if t else 1 + m * (2**b - 1)
    yield equal("dimension", dimension, "m - 1 + b or 0", m - 1 + b if t + b else 0)
    yield equal("vertices", len(vertices), "m 2^b or 1 + m (2^b - 1)", count)
    face = optimal_face([float(x) for x in c], gamma=float(gamma))
    yield equal("optimal_face(c)", (face.dimension, face.n_vertices), "it", (dimension, count))


@claim(
    id="A.4.unique",
    origin=Origin.OURS,
    source="ours, theory.md A.4",
    statement="The minimiser is unique iff t = b = 0, or m = 1 and b = 0",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method=BY_CORNERS,
    instances=weight_problems(),
)
def unique(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """One vertex or more."""
    _, vertices = minimum(c, gamma)
    smallest, at_cut = tied(c, gamma)
    frees = any(x > min(c) + gamma for x in c)
    expected = not at_cut and (not frees or len(smallest) == 1)
    yield equal("one minimiser", len(vertices) == 1, "t = b = 0, or m = 1 and b = 0", expected)


@claim(
    id="A.5.corollary",
    source="ICLR paper, Corollary 3.1.1",
    statement="u = |chi|/(N |I_min|) on I_min, -1/N on chi, 0 elsewhere solves Eq. (2)",
    hypotheses="gamma > 0",
    verdict=HOLDS,
    method=BY_CORNERS + "; the toolkit's u read by an exact certificate",
    instances=weight_problems(),
)
def corollary(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """The printed u, and the toolkit's."""
    least, _ = minimum(c, gamma)
    smallest, _ = tied(c, gamma)
    chi = [i for i, x in enumerate(c) if x > min(c) + gamma]
    n = len(c)
    u = tuple(
        Fraction(len(chi), n * len(smallest)) if i in smallest else Fraction(-(i in chi), n)
        for i in range(n)
    )
    yield equal("u in U", in_u(u), "", True)
    yield equal("cost of u", cost(c, u, gamma), "R_gamma(c)", least)
    gap = relax([float(x) for x in c], gamma=float(gamma)).certificate().gap
    yield equal("gap of relax(c)", gap, "", 0)


@claim(
    id="A.5.one-particular",
    origin=Origin.READING,
    source="ICLR paper, before Corollary 3.1.1",
    statement="The corollary's one particular solution is obtained by setting S1 = S2 = ∅ in "
    "Theorem 3.1: U*_{∅,∅} holds nothing else",
    hypotheses="gamma > 0",
    verdict=CORRECTED,
    method="exact: all vertices of the argmin tested in the printed piece",
    instances=weight_problems(),
    correction="It is one element of U*_{∅,∅}, which holds every minimiser: the even split over "
    "I_min with nothing moved on I_big.",
    corrected=lambda c, gamma: even_split_is_inside(c, gamma),
    by_hand="u = 0 and the u that moves all of I_big to one cheapest sample keep every line of "
    "U*_{∅,∅}; with several cheapest samples nothing there says how freed mass is shared either.",
)
def one_particular(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """Count the minimisers in the piece."""
    _, vertices = minimum(c, gamma)
    inside = [u for u in vertices if in_printed_piece(TheoremVersion.APPENDIX, c, gamma, (), (), u)]
    yield equal("vertices in U*_{∅,∅}", len(inside), "", 1)


def even_split_is_inside(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """The mean over I_min's permutations of the vertex that moves nothing on I_big."""
    smallest, at_cut = tied(c, gamma)
    _, vertices = minimum(c, gamma)
    still = [u for u in vertices if all(u[i] == 0 for i in at_cut)]
    even = tuple(sum((u[i] for u in still), Fraction(0)) / len(still) for i in range(len(c)))
    inside = in_printed_piece(TheoremVersion.APPENDIX, c, gamma, (), (), even)
    yield equal("even split in U*_{∅,∅}", inside, "", True)
    shares = {even[i] for i in smallest}
    yield equal("different shares on I_min", len(shares), "", 1)
    for u in vertices:
        inside = in_printed_piece(TheoremVersion.APPENDIX, c, gamma, (), (), u)
        yield equal("any minimiser in U*_{∅,∅}", inside, "", True)


@claim(
    id="A.5.single",
    origin=Origin.OURS,
    source="ours, theory.md A.5; seen in the ICLR paper's Table 6",
    statement="If one sample alone has the smallest loss, it receives all freed mass",
    hypotheses="gamma > 0, |I_min| = 1",
    verdict=HOLDS,
    method=BY_CORNERS,
    instances=weight_problems(shift=st.just(Fraction(0)) | signed),
)
def all_to_one(c: Rationals, gamma: Fraction) -> Iterator[Comparison]:
    """In every minimiser."""
    smallest, _ = tied(c, gamma)
    if len(smallest) > 1:
        return
    for u in minimum(c, gamma)[1]:
        freed = -sum((x for x in u if x < 0), Fraction(0))
        yield equal("mass received by the smallest", u[smallest[0]], "mass freed", freed)


CLAIMS = (
    appendix,
    body,
    earlier,
    collapse,
    hull_needed,
    arbitrary,
    removed,
    no_reweighting,
    reweighting_at_equality,
    shape,
    unique,
    corollary,
    one_particular,
    all_to_one,
)
