r"""The weight problem as a linear program, by solvers: independent answers to compare with.

    min_{a, b}  sum_i (c_i + gamma/2) a_i + (gamma/2 - c_i) b_i
    s.t.        sum a = sum b,  a >= 0,  0 <= b <= q

a is the mass that arrives and b the mass that leaves, u = a - b. Written from Eq. (2); nothing here
is shared with the closed form. The solvers' tolerances are absolute, so they see masses multiplied
by the power of two next above N, which changes no digit. The multiplier is lambda in the Lagrangian
``cost(u) - lambda sum u``, as in `relax`: c_min + gamma/2 is optimal.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import fsum, isfinite, nan

import highspy
import numpy as np
from numpy.typing import ArrayLike

from rrm_theory._checks import Vector, distribution, loss_vector, nominal_floats, positive


class SolverOutcome(Enum):
    """What the solver said; the value is the message."""

    OPTIMAL = "Solved to the solver's tolerances."
    NOT_SOLVED = (
        "The solver did not reach optimality or refused the numbers; u and multiplier are NaN. "
        "Scale losses and gamma to the order of 1."
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearProgramSolution:
    """What a solver returns for the weight problem.

    Attributes
    ----------
    u
        Displacement, shape (N,), probability, as accurate as the solver is; NaN if not solved.
    value
        The objective at ``u``, loss units; NaN if not solved.
    multiplier
        An optimal multiplier of ``sum u = 0``, loss units, signed as in `relax`; NaN if not solved.
    outcome
        Whether it was solved.
    seconds
        Wall time for building the model and solving it.

    """

    u: Vector
    value: float
    multiplier: float
    outcome: SolverOutcome
    seconds: float


def solve_highs(
    losses: ArrayLike, *, gamma: float, nominal: ArrayLike | None = None, presolve: bool = False
) -> LinearProgramSolution:
    r"""Return ``argmin_u sum_i (q_i + u_i) c_i + (gamma/2) ||u||_1`` over U as HiGHS finds it.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), loss units; +inf is allowed unless all are.
    gamma
        Price > 0 per unit of total variation in the convention of Eq. (2), loss units.
    nominal
        Probabilities q, shape (N,); 1/N each if not given.
    presolve
        HiGHS' own default is True, which takes quadratic time on this program.

    Returns
    -------
    LinearProgramSolution
        u, value, multiplier, and whether it was solved.

    Raises
    ------
    ValueError
        As :func:`rrm_theory.relaxed_risk`.

    Notes
    -----
    Source: ICLR paper, Eq. (2). To tolerances of 1e-10, on masses times N and on losses; entries at
    their bounds are exact. About linear time in N without presolve.

    Examples
    --------
    >>> answer = solve_highs([0.0, 1.0, 10.0, 20.0], gamma=2.0)
    >>> answer.u, answer.value, answer.multiplier, answer.outcome.name
    (array([ 0.5 ,  0.  , -0.25, -0.25]), 1.25, 1.0, 'OPTIMAL')

    """
    model = _Model(losses, nominal, presolve=presolve)
    return model.solve(gamma)


def solve_highs_path(
    losses: ArrayLike, *, gammas: Iterable[float], nominal: ArrayLike | None = None
) -> list[LinearProgramSolution]:
    r"""Return the solution of :func:`solve_highs` for each gamma, each started from the one before.

    Parameters
    ----------
    losses, nominal
        As in :func:`solve_highs`.
    gammas
        Prices > 0, loss units; increasing or decreasing ones make the most of the hot start.

    Returns
    -------
    list of LinearProgramSolution
        One for each gamma, in order. The time of the first includes building the model.

    Raises
    ------
    ValueError
        As :func:`rrm_theory.relaxed_risk`.

    Notes
    -----
    Source: theory.md A.8. To HiGHS' tolerances.

    Examples
    --------
    >>> [round(s.value, 12) for s in solve_highs_path([0.0, 1.0, 1.0, 4.0], gammas=[0.5, 1.0, 4.0])]
    [0.375, 0.75, 1.5]

    """
    model = _Model(losses, nominal, presolve=False)
    return [model.solve(gamma) for gamma in gammas]


def solve_cvxpy(
    losses: ArrayLike, *, gamma: float, nominal: ArrayLike | None = None
) -> LinearProgramSolution:
    r"""Return ``argmin_u sum_i (q_i + u_i) c_i + (gamma/2) ||u||_1`` over U, so stated in CVXPY.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), loss units; +inf is allowed unless all are.
    gamma
        Price > 0 per unit of total variation in the convention of Eq. (2), loss units.
    nominal
        Probabilities q, shape (N,); 1/N each if not given.

    Returns
    -------
    LinearProgramSolution
        u, value, multiplier, and whether it was solved.

    Raises
    ------
    ValueError
        As :func:`rrm_theory.relaxed_risk`.

    Notes
    -----
    Source: ICLR paper, Eq. (2). By Clarabel, an interior-point method: N u is right to about eight
    digits, so the value to that of the largest finite loss; in the middle of the optimal face
    rather than at a vertex. For N up to 10,000.

    Examples
    --------
    >>> answer = solve_cvxpy([0.0, 1.0, 10.0, 20.0], gamma=2.0)
    >>> answer.u.round(6) + 0.0, round(answer.value, 6), round(answer.multiplier, 6)
    (array([ 0.5 ,  0.  , -0.25, -0.25]), 1.25, 1.0)

    """
    import cvxpy as cp

    started = time.perf_counter()
    c, price = loss_vector(losses), positive(gamma, "gamma")
    q = _distribution(c, nominal)
    infinite = np.isinf(c)
    costs, scale = np.where(infinite, 0.0, c), _scale(c.size)
    v = cp.Variable(c.size)
    balance = cp.sum(v) == 0
    constraints = [balance, v >= -scale * q, v[infinite] == -scale * q[infinite]]
    problem = cp.Problem(cp.Minimize(costs @ v + price / 2 * cp.norm1(v)), constraints)
    with warnings.catch_warnings():
        # That a solution may be inaccurate is said by the outcome.
        warnings.simplefilter("ignore", UserWarning)
        try:
            problem.solve(solver=cp.CLARABEL)
        except cp.SolverError:
            return _not_solved(c.size, started)
    if problem.status != cp.OPTIMAL:
        return _not_solved(c.size, started)
    u = v.value / scale
    return LinearProgramSolution(
        u=u,
        value=_cost(u, q, costs, price),
        # CVXPY adds the multiplier of an equation where we subtract it.
        multiplier=-float(balance.dual_value),
        outcome=SolverOutcome.OPTIMAL,
        seconds=time.perf_counter() - started,
    )


class _Model:
    """The program of one loss vector inside HiGHS; only its costs depend on gamma."""

    def __init__(self, losses: ArrayLike, nominal: ArrayLike | None, *, presolve: bool) -> None:
        started = time.perf_counter()
        c = loss_vector(losses)
        self.q = _distribution(c, nominal)
        infinite = np.isinf(c)
        # An infinite loss is no cost a solver takes: its mass must leave, and none may arrive.
        self.c = np.where(infinite, 0.0, c)
        self.scale = _scale(c.size)
        masses = self.scale * self.q
        self.solver = highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("presolve", "on" if presolve else "off"),
            # The least HiGHS accepts; with its default, 1e-7, mass may land on any of the samples
            # whose loss is within 1e-7 of the smallest.
            ("dual_feasibility_tolerance", 1e-10),
            ("primal_feasibility_tolerance", 1e-10),
        ):
            self.solver.setOptionValue(option, value)
        self.columns = np.arange(2 * c.size, dtype=np.int32)
        self.solver.passModel(
            self.columns.size,
            1,
            self.columns.size,
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            np.zeros(self.columns.size),
            np.concatenate((np.zeros(c.size), np.where(infinite, masses, 0.0))),
            np.concatenate((np.where(infinite, 0.0, np.inf), masses)),
            np.zeros(1),
            np.zeros(1),
            np.zeros(1, dtype=np.int32),
            self.columns,
            np.repeat([1.0, -1.0], c.size),
            # The kind of each variable, 0 for continuous; HiGHS refuses an empty array.
            np.zeros(self.columns.size, dtype=np.int32),
        )
        self.building = time.perf_counter() - started

    def solve(self, gamma: float) -> LinearProgramSolution:
        """Return the solution at gamma, started from the last one."""
        price, n = positive(gamma, "gamma"), self.c.size
        half = price / 2
        # The first solution pays for building the model.
        started, self.building = time.perf_counter() - self.building, 0.0
        costs = np.concatenate((self.c + half, half - self.c))
        accepted = self.solver.changeColsCost(self.columns.size, self.columns, costs)
        if accepted != highspy.HighsStatus.kOk:
            return _not_solved(n, started)
        self.solver.run()
        if self.solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return _not_solved(n, started)
        solution = self.solver.getSolution()
        # Each access to col_value copies it, so it is read once.
        arriving, leaving = np.array(solution.col_value).reshape(2, n)
        if not isfinite(self.solver.getInfo().objective_function_value):
            # From 1e20 on HiGHS takes a cost for infinite.
            return _not_solved(n, started)
        u = (arriving - leaving) / self.scale
        return LinearProgramSolution(
            u=u,
            value=_cost(u, self.q, self.c, price),
            multiplier=float(solution.row_dual[0]),
            outcome=SolverOutcome.OPTIMAL,
            seconds=time.perf_counter() - started,
        )


def _distribution(losses: Vector, nominal: ArrayLike | None) -> Vector:
    """Return q in float64."""
    n = losses.size
    return nominal_floats(None if nominal is None else distribution(nominal, n), n)


def _cost(u: Vector, q: Vector, losses: Vector, gamma: float) -> float:
    """Return the objective at u; the solver's own, relative to u = 0, would cancel."""
    return fsum(((q + u) * losses).tolist()) + gamma / 2 * fsum(np.abs(u).tolist())


def _scale(n: int) -> float:
    """Return the power of two next above n."""
    return 2.0 ** int(n).bit_length()


def _not_solved(n: int, started: float) -> LinearProgramSolution:
    """Return the named outcome of a failure."""
    return LinearProgramSolution(
        u=np.full(n, nan),
        value=nan,
        multiplier=nan,
        outcome=SolverOutcome.NOT_SOLVED,
        seconds=time.perf_counter() - started,
    )
