"""Exact polyhedra by the Parma Polyhedra Library: linear programs and double description in GMP.

Everything is written from the definitions in the papers; nothing here is shared with rrm_theory.
"""

from fractions import Fraction
from itertools import chain, combinations
from math import lcm

import numpy as np
from ppl import (
    C_Polyhedron,
    Constraint_System,
    Linear_Expression,
    MIP_Problem,
)


def exact(numbers):
    """Return the numbers as fractions."""
    return [Fraction(x) if isinstance(x, Fraction) else Fraction(float(x)) for x in numbers]


def masses(n, nominal):
    """Return q as fractions."""
    return [Fraction(1, n)] * n if nominal is None else exact(nominal)


def affine(coefficients, constant=0):
    """Return (expression, scale): scale times sum coefficients_i x_i + constant, in integers."""
    numbers = [Fraction(x) for x in (*coefficients, constant)]
    scale = lcm(*(x.denominator for x in numbers))
    *whole, last = (int(x * scale) for x in numbers)
    return Linear_Expression(whole, last), scale


def unit(i, n, sign=1):
    """Return sign times the i-th unit vector."""
    return [sign * (k == i) for k in range(n)]


def at_most(row, bound):
    """Return row . x <= bound."""
    return affine(row, -Fraction(bound))[0] <= 0


def equal(row, value):
    """Return row . x == value."""
    return affine(row, -Fraction(value))[0] == 0


def polyhedron(constraints, n):
    """Return the polyhedron in n dimensions."""
    answer = C_Polyhedron(n, "universe")
    answer.add_constraints(Constraint_System(constraints))
    return answer


def optimal_set(losses, *, gamma=0, nominal=None, cap=None, budget=None):
    """Return (value, polyhedron of all optimal u) of Eq. (2), of its capped or its budget form.

    Variables are (u, t) with t >= |u|; the exact optimum fixes the objective, and t is projected
    out. An infinite loss has no mass: u_i = -q_i.
    """
    n = len(losses)
    q = masses(n, nominal)
    infinite = np.isinf(losses)
    c = [
        Fraction(0) if gone else Fraction(float(x))
        for x, gone in zip(losses, infinite, strict=True)
    ]
    none = [0] * n
    constraints = [equal([1] * n + none, 0)]
    for i in range(n):
        row = unit(i, n)
        minus = unit(i, n, -1)
        constraints += [
            equal(row + none, -q[i]) if infinite[i] else at_most(minus + none, q[i]),
            at_most(row + minus, 0),
            at_most(minus + minus, 0),
        ]
        if cap is not None:
            constraints.append(at_most(row + none, (cap - 1) * q[i]))
    if budget is not None:
        constraints.append(at_most(none + [1] * n, 2 * budget))
    cost = c + [Fraction(gamma) / 2] * n
    start = sum(x * y for x, y in zip(q, c, strict=True))
    objective, scale = affine(cost)
    program = MIP_Problem(2 * n, Constraint_System(constraints), objective)
    program.set_optimization_mode("minimization")
    if not program.is_satisfiable():
        return None, C_Polyhedron(n, "empty")
    least = Fraction(str(program.optimal_value())) / scale
    answer = polyhedron([*constraints, equal(cost, least)], 2 * n)
    answer.remove_higher_space_dimensions(n)
    return start + least, answer


def vertices(polytope):
    """Return the vertices as a set of tuples of fractions; rays and lines must not occur."""
    found = set()
    for one in polytope.minimized_generators():
        assert one.is_point(), one
        found.add(tuple(Fraction(int(x), int(one.divisor())) for x in one.coefficients()))
    return found


def subsets(indices):
    """Return all subsets as tuples."""
    return chain.from_iterable(combinations(indices, r) for r in range(len(indices) + 1))


def printed_piece(sets, s1, s2, n, version):
    """Return U*_{S1,S2} as printed: version "appendix", "body" or "earlier"; uniform q.

    sets is (I_min, I_mid, I_big, chi).
    """
    i_min, i_mid, i_big, chi = sets
    whole = Fraction(-1, n)
    constraints = [at_most(unit(i, n, -1), 0) for i in i_min]
    constraints += [equal(unit(i, n), 0) for i in i_mid]
    constraints += [equal(unit(i, n), whole) for i in chi]
    constraints += [equal(unit(i, n), 0) for i in s1]
    if version == "earlier":
        constraints += [equal(unit(i, n), 0) for i in s2]
        constraints += [equal(unit(i, n), whole) for i in set(i_big) - set(s2)]
    else:
        constraints += [at_most(unit(i, n), 0) for i in i_big]
        constraints += [equal(unit(i, n), whole) for i in s2]
    if version != "body":
        constraints += [equal([1] * n, 0)]
        constraints += [at_most(unit(i, n, -1), Fraction(1, n)) for i in range(n)]
    return polyhedron(constraints, n)


def from_piece(piece, n):
    """Return a Piece of ours as a polyhedron, from its inequalities, 1/N put in for its float."""

    def fraction(x):
        """Return the right-hand side as the multiple of 1/n of which it is the rounding."""
        answer = Fraction(round(x * n), n)
        assert float(answer) == x
        return answer

    system = piece.inequalities()
    rows_at_most, rows_equal = system.A_ub.toarray().astype(int), system.A_eq.toarray().astype(int)
    return polyhedron(
        [at_most(r.tolist(), fraction(b)) for r, b in zip(rows_at_most, system.b_ub, strict=True)]
        + [equal(r.tolist(), fraction(b)) for r, b in zip(rows_equal, system.b_eq, strict=True)],
        n,
    )


def hull(polyhedra, n):
    """Return the convex hull of the union."""
    answer = C_Polyhedron(n, "empty")
    for one in polyhedra:
        answer.poly_hull_assign(one)
    return answer
