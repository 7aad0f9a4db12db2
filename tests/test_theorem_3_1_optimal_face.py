"""ICLR paper, Theorem 3.1; theory.md A.3, A.4: all minimisers, against double description."""

from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from oracles import exact_sets
from polytopes import (
    exact,
    from_piece,
    hull,
    masses,
    optimal_set,
    printed_piece,
    subsets,
    vertices,
)
from scipy.optimize import linprog
from strategies import (
    displacements,
    gammas,
    losses_next_to_the_cut,
    losses_with_infinities,
    tied_problems,
    tied_problems_and_nominal,
)

from rrm_theory import TheoremVersion, certify, optimal_face

TIED = (np.array([0.0, 0.0, 1.0, 3.0]), 1.0)
ALL_AT_THE_CUT = (np.array([0.0, 1.0, 1.0]), 1.0)
EPS = 2.0**-52

# Any float vector, in and out of U.
floats = st.lists(st.floats(-2, 2, width=32), min_size=8, max_size=8)


def index_sets(face):
    """Return (I_min, I_mid, I_big, chi) as lists."""
    return tuple(s.tolist() for s in (face.minimum, face.middle, face.boundary, face.pruned))


@given(losses_with_infinities(), gammas)
def test_the_index_sets_are_those_of_fractions(c, gamma):
    """I_min, I_big and chi as fractions decide them, I_mid is the rest."""
    assert index_sets(optimal_face(c, gamma=gamma)) == expected_sets(c, gamma)


@given(losses_next_to_the_cut())
def test_the_index_sets_are_exact_next_to_the_cut(problem):
    """Losses within two floats of c_min + gamma."""
    c, gamma = problem
    assert index_sets(optimal_face(c, gamma=gamma)) == expected_sets(c, gamma)


def expected_sets(c, gamma):
    """Return the partition, decided in fractions."""
    cheapest, boundary, pruned = exact_sets(c, gamma)
    middle = sorted(set(range(len(c))) - {*cheapest, *boundary, *pruned})
    return cheapest, middle, boundary, pruned


@given(tied_problems())
@example(TIED)
@example(ALL_AT_THE_CUT)
def test_the_vertices_are_those_of_double_description(problem):
    """As sets, in fractions; each is produced once, and counted."""
    c, gamma = problem
    face = optimal_face(c, gamma=gamma)
    ours = list(face.vertices())
    _, polytope = optimal_set(c, gamma=gamma)
    assert set(ours) == vertices(polytope)
    assert len(ours) == len(set(ours)) == face.n_vertices


@given(tied_problems_and_nominal())
def test_the_vertices_with_a_nominal_distribution(problem):
    """The same, where samples may have no mass."""
    c, gamma, q = problem
    face = optimal_face(c, gamma=gamma, nominal=q)
    ours = list(face.vertices())
    _, polytope = optimal_set(c, gamma=gamma, nominal=q)
    assert set(ours) == vertices(polytope)
    assert len(ours) == len(set(ours)) == face.n_vertices


@given(tied_problems_and_nominal())
@example((np.array([0.0, 0.0, 3.0]), 1.0, np.array([0.5, 0.5, 0.0])))
def test_the_dimension_is_that_of_the_polytope(problem):
    """With a nominal distribution and without; unique iff 0."""
    c, gamma, q = problem
    for nominal in (None, q):
        face = optimal_face(c, gamma=gamma, nominal=nominal)
        _, polytope = optimal_set(c, gamma=gamma, nominal=nominal)
        assert face.dimension == polytope.affine_dimension()
        assert face.is_unique == (face.n_vertices == 1)


def test_the_number_of_vertices_is_exact_when_it_is_long():
    """2 * 2^4000 + ... has more digits than a float holds."""
    c = np.repeat([0.0, 1.0, 2.0], [2, 4000, 1])
    assert optimal_face(c, gamma=1.0).n_vertices == 2 * 2**4000
    assert optimal_face(c[:-1], gamma=1.0).n_vertices == 2 * 2**4000 - 1


def test_vertices_are_lazy():
    """The first of 2^1000 comes at once."""
    face = optimal_face(np.repeat([0.0, 1.0, 2.0], [1, 1000, 1]), gamma=1.0)
    first = next(face.vertices())
    assert first[0] == Fraction(1, 1002)
    assert set(first[1:-1]) == {0}


@pytest.mark.parametrize("version", ["appendix", "earlier"])
@given(problem=tied_problems(infinities=False))
@example(problem=TIED)
@example(problem=ALL_AT_THE_CUT)
def test_the_hull_of_the_printed_pieces_is_the_argmin(version, problem):
    """Theorem 3.1, both versions that ask for u in U; pieces and hull by double description."""
    c, gamma = problem
    sets = index_sets(optimal_face(c, gamma=gamma))
    pieces = [
        printed_piece(sets, s1, s2, len(c), version)
        for s1 in subsets(sets[0])
        for s2 in subsets(sets[2])
    ]
    _, argmin = optimal_set(c, gamma=gamma)
    assert hull(pieces, len(c)) == argmin


@given(tied_problems(infinities=False))
def test_in_the_appendix_one_piece_contains_the_others(problem):
    """The union collapses to S1 = S2 = empty, so it needs no hull."""
    c, gamma = problem
    sets = index_sets(optimal_face(c, gamma=gamma))
    _, argmin = optimal_set(c, gamma=gamma)
    assert printed_piece(sets, (), (), len(c), "appendix") == argmin


def test_in_the_earlier_version_the_hull_is_needed():
    """Losses 0 and 1, gamma 1: two pieces, each a point, and the segment between them."""
    face = optimal_face([0.0, 1.0], gamma=1.0)
    middle = [Fraction(1, 4), Fraction(-1, 4)]
    assert face.contains(middle)
    for s1 in subsets([0]):
        for s2 in subsets([1]):
            assert not face.piece(s1, s2, version=TheoremVersion.EARLIER).contains(middle)


def test_in_the_body_the_pieces_leave_u():
    """Without u in U the theorem is false: losses 0 and 3, gamma 1, u = (10, -1/2)."""
    face = optimal_face([0.0, 3.0], gamma=1.0)
    u = [10, Fraction(-1, 2)]
    assert face.piece((), (), version=TheoremVersion.BODY).contains(u)
    assert sum(u) != 0
    assert [*face.vertices()] == [(Fraction(1, 2), Fraction(-1, 2))]


@given(tied_problems(), st.data())
@pytest.mark.parametrize("version", list(TheoremVersion))
def test_our_pieces_are_the_printed_ones(version, problem, data):
    """Their inequalities describe the same polyhedron."""
    c, gamma = problem
    face = optimal_face(c, gamma=gamma)
    s1 = data.draw(st.sets(st.sampled_from(face.minimum.tolist())))
    s2 = data.draw(st.sets(st.sampled_from([*face.boundary.tolist(), None]))) - {None}
    printed = printed_piece(index_sets(face), s1, s2, len(c), version.name.lower())
    assert from_piece(face.piece([*s1], [*s2], version=version), len(c)) == printed


@given(tied_problems())
def test_the_inequalities_describe_the_face(problem):
    """As a polyhedron, exactly."""
    c, gamma = problem
    face = optimal_face(c, gamma=gamma)
    assert from_piece(face.piece((), ()), len(c)) == optimal_set(c, gamma=gamma)[1]


@given(tied_problems_and_nominal())
def test_the_inequalities_go_into_linprog(problem):
    """In its order; the smallest u_0 over the face is that of a vertex."""
    c, gamma, q = problem
    face = optimal_face(c, gamma=gamma, nominal=q)
    answer = linprog(np.eye(len(c))[0], *face.inequalities(), bounds=(None, None))
    assert answer.fun == pytest.approx(float(min(v[0] for v in face.vertices())), abs=1e-9)


def test_the_inequalities_are_sparse():
    """One entry a bound, and the row of the sum."""
    n = 100_000
    system = optimal_face(np.arange(n) % 7, gamma=5.0).inequalities()
    assert system.A_ub.nnz + system.A_eq.nnz <= 3 * n


@given(tied_problems_and_nominal())
def test_every_vertex_is_certified(problem):
    """Gap exactly 0, nothing repaired; and the face contains it."""
    c, gamma, q = problem
    for nominal in (None, q):
        face = optimal_face(c, gamma=gamma, nominal=nominal)
        for u in face.vertices():
            proof = certify(u, c, gamma=gamma, nominal=nominal)
            assert (proof.gap, proof.repair) == (0, 0)
            assert face.contains(u)


@given(tied_problems_and_nominal(), st.integers(0, 2**32))
def test_every_sample_is_certified(problem, seed):
    """Gap exactly 0, contained, and inside all bounds that the face does not pin."""
    c, gamma, q = problem
    for nominal in (None, q):
        face = optimal_face(c, gamma=gamma, nominal=nominal)
        u = face.sample(np.random.default_rng(seed))
        assert certify(u, c, gamma=gamma, nominal=nominal).gap == 0
        assert face.contains(u)
        mass = np.full(len(c), 1 / len(c)) if nominal is None else q
        movable = face.boundary[mass[face.boundary] > 0]
        assert ((-mass[movable] < u[movable]) & (u[movable] < 0)).all()
        assert (u[face.minimum] > 0).all() or not any(map(any, face.vertices()))


def test_samples_spread_over_the_face():
    """Dirichlet on I_min, uniform on I_big: means and ranges over 4,000 draws, six sigma."""
    face = optimal_face([0.0, 0.0, 1.0, 3.0], gamma=1.0)
    rng = np.random.default_rng(0)
    u = np.array([face.sample(rng) for _ in range(4000)])
    freed = -(u[:, 2] + u[:, 3])
    for values, low, high in ((u[:, 2], -0.25, 0), (u[:, 0] / freed, 0, 1)):
        spread = (high - low) / np.sqrt(12 * len(u))
        assert abs(values.mean() - (low + high) / 2) < 6 * spread
        assert values.min() < low + 0.01 * (high - low)
        assert values.max() > high - 0.01 * (high - low)


@given(tied_problems_and_nominal(), st.data())
def test_the_projection_is_nearest(problem, data):
    """(u - Pu) . (v - Pu) <= 0 for every vertex v and Pu in F: exact, necessary and sufficient."""
    c, gamma, q = problem
    for nominal in (None, q):
        face = optimal_face(c, gamma=gamma, nominal=nominal)
        u = [Fraction(k, 8) for k in data.draw(st.lists(st.integers(-16, 16), min_size=len(c),
                                                        max_size=len(c)))]  # fmt: skip
        nearest = face.project(u)
        assert face.contains(nearest)
        for v in face.vertices():
            assert sum((x - p) * (y - p) for x, y, p in zip(u, v, nearest, strict=True)) <= 0
        proof = certify(nearest, c, gamma=gamma, nominal=nominal)
        assert (proof.gap, proof.repair) == (0, 0)


@given(tied_problems_and_nominal(), floats)
def test_the_projection_of_floats_is_the_rounded_one(problem, values):
    """Within the stated bound of the exact one; contained and certified all the same."""
    c, gamma, q = problem
    u = np.array(values[: len(c)])
    for nominal in (None, q):
        face = optimal_face(c, gamma=gamma, nominal=nominal)
        ours = face.project(u)
        exactly = np.array(face.project([Fraction(x) for x in u.tolist()]), dtype=float)
        assert np.abs(ours - exactly).sum() <= 8 * len(c) * EPS * (1 + np.abs(u).max())
        assert face.contains(ours)
        assert certify(ours, c, gamma=gamma, nominal=nominal).gap == 0


def test_the_projection_does_not_lose_mass_to_rounding():
    """theta is 1 - 2^-54, rounded to 1, where nothing would arrive of the 2^-53 that leave."""
    face = optimal_face([0.0, 0.0, 1.0], gamma=1.0)
    nearest = face.project([0.5, 1.0, 1 - 2.0**-53])
    assert nearest.tolist() == [0.0, 2.0**-53, -(2.0**-53)]
    # Where nothing moves, nothing is -0.0 either.
    assert str(optimal_face([0.0, 0.5], gamma=1.0).project([0.3, 0.1]).tolist()) == "[0.0, 0.0]"


@given(tied_problems(), st.data())
def test_the_projection_leaves_the_face_alone(problem, data):
    """A convex combination of vertices is projected on itself."""
    c, gamma = problem
    face = optimal_face(c, gamma=gamma)
    chosen = data.draw(st.lists(st.sampled_from([*face.vertices()]), min_size=1, max_size=4))
    u = [sum(column) / len(chosen) for column in zip(*chosen, strict=True)]
    assert face.project(u).tolist() == u


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("uniform", [True, False])
def test_the_projection_is_that_of_a_quadratic_program(seed, uniform):
    """CVXPY minimises ||v - u||^2 over the face's inequalities; N = 60 with ties.

    In units of 1/N. The objective is strongly convex, so ||v - v*||^2 is at most its error, and
    Clarabel's is 1e-8 of an objective of the order of 60.
    """
    n, rng = 60, np.random.default_rng(seed)
    c = rng.integers(0, 5, n) / 2
    face = optimal_face(c, gamma=1.0, nominal=None if uniform else rng.dirichlet(np.ones(n)))
    u = rng.normal(size=n) / 20
    v = cp.Variable(n)
    system = face.inequalities()
    constraints = [system.A_ub @ v <= n * system.b_ub, system.A_eq @ v == n * system.b_eq]
    problem = cp.Problem(cp.Minimize(cp.sum_squares(v - n * u)), constraints)
    distance_squared = problem.solve(solver=cp.CLARABEL)
    np.testing.assert_allclose(
        n * face.project(u), v.value, rtol=0, atol=np.sqrt(1e-8 * (1 + distance_squared))
    )


@given(tied_problems(infinities=False), st.data())
def test_a_feasible_u_is_in_the_face_iff_its_gap_is_0(problem, data):
    """And the gap is what it costs beyond R_gamma; membership is decided exactly."""
    c, gamma = problem
    u = data.draw(displacements(masses(len(c), None)))
    face = optimal_face(c, gamma=gamma)
    proof = certify(u, c, gamma=gamma)
    assert proof.repair == 0
    assert face.contains(u) == (proof.gap == 0)


@given(tied_problems_and_nominal(), st.booleans(), st.data())
def test_leaving_what_the_face_pins_costs(problem, uniform, data):
    """A coordinate with one value on F: any feasible step that changes it has a positive gap."""
    c, gamma, q = problem
    nominal = None if uniform else q
    face = optimal_face(c, gamma=gamma, nominal=nominal)
    corners = [*face.vertices()]
    pinned = [i for i in range(len(c)) if len({v[i] for v in corners}) == 1]
    assume(pinned and len(c) > 1)
    i = data.draw(st.sampled_from(pinned))
    j = data.draw(st.sampled_from([j for j in range(len(c)) if j != i]))
    u = list(data.draw(st.sampled_from(corners)))
    step = data.draw(st.sampled_from([Fraction(1, 10**9), Fraction(-1, 10**9), Fraction(1, 64)]))
    u[i] += step
    u[j] -= step
    assume(all(x >= -m for x, m in zip(u, masses(len(c), nominal), strict=True)))
    proof = certify(u, c, gamma=gamma, nominal=nominal)
    assert proof.repair == 0
    assert proof.gap > 0
    assert not proof.is_optimal
    assert not face.contains(u)


@given(tied_problems_and_nominal(), st.sampled_from([np.float64, np.float32, np.float16]))
def test_a_rounded_element_is_contained(problem, dtype):
    """Every vertex, and their mean, rounded entry by entry."""
    c, gamma, q = problem
    for nominal in (None, q):
        face = optimal_face(c, gamma=gamma, nominal=nominal)
        corners = [*face.vertices()]
        mean = [sum(column) / len(corners) for column in zip(*corners, strict=True)]
        for u in (*corners[:4], mean):
            assert face.contains(np.array([float(x) for x in u]).astype(dtype))


@given(tied_problems(), floats, st.sampled_from([0.0, 2.0**-20, 2.0**-7]), st.data())
def test_what_is_contained_is_near_the_face(problem, values, tol, data):
    """Within 3 eps + (2 N + 1) tol in L1 norm, shown by an element of the face.

    Put into its bounds, u misses the sum by some amount, which I_min takes, or I_min and I_big give
    back: both are possible, since I_min has no upper bound and all of F has sum 0.
    """
    c, gamma = problem
    face = optimal_face(c, gamma=gamma)
    n, (_, i_mid, i_big, chi) = len(c), expected_sets(c, gamma)
    centre = data.draw(st.sampled_from([*face.vertices()]))
    u = np.array([float(x) for x in centre]) + (tol + EPS) * np.array(values[:n])
    if not face.contains(u, tol=tol):
        return
    low, high = [Fraction(0)] * n, [Fraction(2)] * n
    for i in i_mid:
        high[i] = Fraction(0)
    for i in (*i_big, *chi):
        low[i], high[i] = Fraction(-1, n), Fraction(-1, n) if i in chi else Fraction(0)
    exactly = [Fraction(x) for x in u.tolist()]
    inside = [min(max(x, a), b) for x, a, b in zip(exactly, low, high, strict=True)]
    moved = sum(abs(x - y) for x, y in zip(exactly, inside, strict=True))
    second_order = 1 + Fraction(1, 10**6)
    assert (
        moved + abs(sum(inside)) <= (3 * Fraction(EPS) + (2 * n + 1) * Fraction(tol)) * second_order
    )


@pytest.mark.parametrize("version", list(TheoremVersion))
@given(
    kinds=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=3, max_size=3),
    u=st.lists(st.integers(-16, 24), min_size=4, max_size=4),
    balanced=st.booleans(),
    tol=st.sampled_from([0, 1, 2, 4]),
)
def test_membership_is_what_the_definition_says(version, kinds, u, balanced, tol):
    """Four samples, u and tol in 32nds: floats, fractions and the printed piece agree."""
    c = np.array([0.0, *kinds])
    face = optimal_face(c, gamma=1.0)
    if balanced:
        u = [-sum(u[1:]), *u[1:]]
    exactly = [Fraction(k, 32) for k in u]
    # The printed piece, with every bound moved out by tol and the sum by tol.
    slack = Fraction(tol, 32)
    low = {0.0: 0, 0.5: 0, 1.0: Fraction(-1, 4), 3.0: Fraction(-1, 4)}
    high = {0.0: 10, 0.5: 0, 1.0: 0, 3.0: Fraction(-1, 4)}
    if version is TheoremVersion.BODY:
        low[1.0] = -10
    if version is TheoremVersion.EARLIER:
        high[1.0] = Fraction(-1, 4)
    inside = all(low[k] - slack <= x <= high[k] + slack for x, k in zip(exactly, c, strict=True))
    expected = inside and (version is TheoremVersion.BODY or abs(sum(exactly)) <= slack)
    piece = face.piece([], [], version=version)
    assert piece.contains(exactly, tol=float(slack)) == expected
    for dtype in (np.float64, np.float32):
        assert piece.contains(np.array(exactly, dtype=dtype), tol=float(slack)) == expected


@pytest.mark.parametrize("change", [0.25, -0.25, 2.0**-40, -(2.0**-40)])
@pytest.mark.parametrize("i", range(4))
def test_a_float_off_the_face_is_not_contained(i, change):
    """Losses 0, 1/2, 1, 3 at gamma 1: one entry changed is seen, and forgiven within tol."""
    face = optimal_face([0.0, 0.5, 1.0, 3.0], gamma=1.0)
    u = np.array([0.5, 0.0, -0.25, -0.25])
    assert face.contains(u)
    u[i] += change
    assert not face.contains(u)
    assert face.contains(u, tol=abs(change))


def test_mass_must_balance():
    """Within all bounds, but with a sum that is not 0."""
    face = optimal_face([0.0, 1.0, 3.0], gamma=1.0)
    third = Fraction(1, 3)
    assert face.contains([third, 0, -third])
    assert not face.contains([2 * third, 0, -third])
    assert not face.contains([2 / 3, 0.0, -1 / 3])


def test_indices_are_checked():
    """Errors name the set and show what is outside."""
    face = optimal_face([0.0, 0.5, 1.0, 3.0], gamma=1.0)
    with pytest.raises(ValueError, match=r"s1 must be a subset of I_min, got \[2\] outside it"):
        face.piece([0, 2], [])
    with pytest.raises(ValueError, match=r"s2 must be a subset of I_big, got \[0, 3\] outside it"):
        face.piece([], [0, 2, 3])
    with pytest.raises(ValueError, match=r"s1 must be a collection of indices, got array\(\[ True"):
        face.piece(np.array([True, False, False, False]), [])
    with pytest.raises(ValueError, match=r"s2 must be a collection of indices, got 2"):
        face.piece([], 2)
    with pytest.raises(ValueError, match=r"'body' is not a valid TheoremVersion"):
        face.piece([], [], version="body")


def test_any_collection_of_indices_is_a_subset():
    """Sets, ranges, arrays and tuples give the same piece."""
    face = optimal_face([0.0, 0.0, 1.0, 3.0], gamma=1.0)
    for s1 in ({0, 1}, range(2), np.array([0, 1]), (0, 1, 1)):
        piece = face.piece(s1, {2})
        assert piece.upper.tolist() == [0, 0, -1, -1]
        assert piece.lower.tolist() == [0, 0, -1, -1]


@pytest.mark.parametrize(
    ("u", "message"),
    [
        ([0.0, 0.0], r"u must have shape \(3,\) like losses, got \(2,\)"),
        ([0.0, np.nan, 0.0], r"u must be finite \(at most 2\^960\), got nan at index 1"),
        ([0.0, 0.0, -np.inf], r"u must be finite \(at most 2\^960\), got -inf at index 2"),
        ([True, False, False], r"u must hold real numbers, got dtype bool"),
        ([Fraction(0), "x", 0], r"u must hold real numbers, got 'x' at index 1"),
        ([Fraction(0), 0, np.inf], r"u must be finite, got inf at index 2"),
    ],
)
def test_displacements_are_checked(u, message):
    """The same in contains, project and certify."""
    c = [0.0, 0.5, 3.0]
    face = optimal_face(c, gamma=1.0)
    given_u = np.array(u, dtype=object) if any(isinstance(x, Fraction) for x in u) else u
    for call in (face.contains, face.project, lambda v: certify(v, c, gamma=1.0)):
        with pytest.raises(ValueError, match=message):
            call(given_u)


def test_tolerances_are_checked():
    """Not negative, not NaN, not infinite, a number."""
    face = optimal_face([0.0, 3.0], gamma=1.0)
    for tol in (-1e-9, float("nan"), float("inf"), None, "a", True):
        with pytest.raises(ValueError, match=r"tol must be a finite number of at least 0, got "):
            face.contains([0.5, -0.5], tol=tol)
    assert face.contains([Fraction(1, 2), Fraction(-1, 2)], tol=np.float32(0.1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_tol_is_not_rounded_to_the_type_of_u(dtype):
    """A bound missed by one spacing is not forgiven by a tol a little below it."""
    face = optimal_face([0.0, 0.5, 3.0, 3.0], gamma=1.0)
    u = np.array([0.5, 0.0, -0.25, -0.25], dtype=dtype)
    miss = float(np.spacing(dtype(0.25)))
    u[2] += dtype(miss)
    u[0] -= dtype(miss)
    assert not face.contains(u, tol=0.9 * miss)
    assert face.contains(u, tol=miss)


def test_integers_and_mixtures_are_displacements():
    """Whole numbers are taken as they are; one fraction makes all of them exact."""
    face = optimal_face([0.0, 0.5], gamma=1.0)
    assert face.contains([0, 0])
    assert face.contains([Fraction(0), 0.0])
    assert exact(face.project([1, 0])) == [0, 0]
    assert face.contains(np.array([Fraction(0), np.float32(0)], dtype=object))
    assert not face.contains([Fraction(0), 10**400])


def test_fractions_of_numpy_integers_do_not_wrap():
    """Fraction keeps int64 inside, whose products overflow silently."""
    k = np.array([119, 145, -446, 631, 341, -199])
    d = np.array([395, 143, 555, 34, 765, 146])
    wrapped = [Fraction(x, y) for x, y in zip(k, d, strict=True)]
    plain = [Fraction(int(x), int(y)) for x, y in zip(k, d, strict=True)]
    c = np.arange(6.0)
    assert certify(wrapped, c, gamma=1.5) == certify(plain, c, gamma=1.5)
    face = optimal_face(c, gamma=1.5)
    assert face.project(wrapped).tolist() == face.project(plain).tolist()


def test_the_projection_keeps_its_bound_where_knots_crowd():
    """40,006 samples whose knots lie within rounding of the solution: the float walk may err."""
    m = b = 20_000
    t = 5
    n = 1 + m + b + t
    face = optimal_face(np.repeat([0.0, 1.0, 3.0], [1 + m, b, t]), gamma=1.0)
    ahead = 1 + np.random.default_rng(0).random(b)
    u = np.r_[0.25, np.full(m, 0.25 - t / n + 1600 * EPS), ahead, np.zeros(t)]
    exactly = face.project([Fraction(x) for x in u.tolist()])
    ours = face.project(u)
    distance = sum(abs(Fraction(x) - y) for x, y in zip(ours.tolist(), exactly, strict=True))
    assert distance <= 8 * n * EPS * (1 + np.abs(u).max())
    assert face.contains(ours)
