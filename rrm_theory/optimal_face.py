r"""Theorem 3.1 exactly: every minimiser of the weight problem, as one polytope.

    F = { u : sum u = 0;  u >= 0 on I_min;  u = 0 on I_mid;  -q <= u <= 0 on I_big;  u = -q on chi }

with I_min, I_mid, I_big and chi the samples whose loss is c_min, strictly between c_min and
c_min + gamma, exactly c_min + gamma, and above; q is `nominal`, 1/N each unless given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from itertools import chain, combinations
from math import fsum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rrm_theory._checks import (
    Displacement,
    Vector,
    displacement,
    distribution,
    loss_vector,
    nominal_floats,
    positive,
    tolerance,
)
from rrm_theory._exact import exact_cut, nominal_masses, over_one_denominator

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Indices = NDArray[np.int64]


class TheoremVersion(Enum):
    """Which printed form of Theorem 3.1 a piece U*_{S1,S2} belongs to; the value says where."""

    APPENDIX = "ICLR paper, Appendix A.1: with u in U; S1 pinned to 0, S2 to -1/N."
    BODY = "ICLR paper, Section 3: as the appendix, but without u in U."
    EARLIER = "The earlier version: with u in U; S1 and S2 pinned to 0, the rest of I_big to -1/N."


class LinearSystem(NamedTuple):
    """``A_ub u <= b_ub`` and ``A_eq u == b_eq``, in the order of scipy.optimize.linprog."""

    A_ub: csr_array
    b_ub: Vector
    A_eq: csr_array
    b_eq: Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """The set ``{u : lower_i q_i <= u_i <= upper_i q_i, and sum u = 0 if balanced}``.

    Attributes
    ----------
    lower, upper
        Bounds in multiples of q_i, shape (N,): -1, 0 or infinite. So -1 means -q_i, exactly.
    balanced
        Whether ``sum u = 0`` is asked for.
    nominal
        Probabilities q, shape (N,); None is 1/N each, exactly.

    """

    lower: Vector
    upper: Vector
    balanced: bool
    nominal: Vector | None

    def contains(self, u: Displacement, *, tol: float = 0.0) -> bool:
        """Whether ``lower q - tol <= u <= upper q + tol`` and ``|sum u| <= tol``, if balanced.

        Parameters
        ----------
        u
            Displacement, shape (N,). Fractions are compared exactly. Floats are taken for the
            rounding of something: -q_i is rounded to their type, and the sum may also miss 0 by
            ``eps sum |u_i|``, eps being the spacing of their type at 1.
        tol
            What every bound and the sum may be missed by, probability, >= 0.

        Returns
        -------
        bool
            For floats whose type holds the q_i and u_i as normal numbers: True for every element of
            the set rounded entry by entry; and if True for the optimal face, an element of it lies
            within ``3 eps + (2 N + 1) tol`` of u in L1 norm, up to terms of second order.

        Raises
        ------
        ValueError
            If ``u`` is not a vector of N finite real numbers, or ``tol`` is not a finite number of
            at least 0.

        Notes
        -----
        Source: theory.md A.3. Cost O(N).

        """
        moved, slack = displacement(u, self.lower.size), tolerance(tol, "tol")
        if moved.dtype == object:
            return self._contains_exactly(moved.tolist(), Fraction(slack))
        eps = float(np.finfo(moved.dtype).eps)
        low, high = (bound.astype(moved.dtype).astype(np.float64) for bound in self._bounds())
        entries = moved.astype(np.float64)
        if not ((entries >= low - slack) & (entries <= high + slack)).all():
            return False
        rounding = eps * fsum(np.abs(entries).tolist())
        return not self.balanced or abs(fsum(entries.tolist())) <= slack + rounding

    def inequalities(self) -> LinearSystem:
        """Return ``A_ub u <= b_ub`` and ``A_eq u == b_eq`` with one row per bound, sparse.

        Returns
        -------
        LinearSystem
            scipy CSR arrays with entries -1, 0, 1, and float64 right-hand sides -q_i, q_i or 0.
            Entries pinned by equal bounds are equations, before ``sum u = 0``.

        Notes
        -----
        Source: theory.md A.3. The matrices are exact, q_i is rounded once. Cost O(N).

        """
        from scipy.sparse import csr_array, eye_array, vstack

        n = self.lower.size
        low, high = self._bounds()
        pinned = self.lower == self.upper
        floor = ~pinned & np.isfinite(self.lower)
        ceiling = ~pinned & np.isfinite(self.upper)
        unit = csr_array(eye_array(n))
        total = csr_array(np.ones((int(self.balanced), n)))
        return LinearSystem(
            A_ub=csr_array(vstack([-unit[floor], unit[ceiling]])),
            b_ub=np.concatenate((-low[floor], high[ceiling])),
            A_eq=csr_array(vstack([unit[pinned], total])),
            b_eq=np.concatenate((low[pinned], np.zeros(int(self.balanced)))),
        )

    def _bounds(self) -> tuple[Vector, Vector]:
        """Return the bounds in probability, -q_i rounded once."""
        q = nominal_floats(self.nominal, self.lower.size)
        return np.where(self.lower == -1, -q, self.lower), np.where(
            self.upper == -1, -q, self.upper
        )

    def _contains_exactly(self, u: list[Fraction], tol: Fraction) -> bool:
        """Whether the bounds and the sum hold within ``tol``, compared as integers."""
        masses, per_mass = _masses(self.nominal, len(u))
        (*moved, slack), per_move = over_one_denominator([*u, tol])
        for k, m, low, high in zip(
            moved, masses, self.lower.tolist(), self.upper.tolist(), strict=True
        ):
            whole = -m * per_move
            if (k + slack) * per_mass < (whole if low == -1 else low):
                return False
            if (k - slack) * per_mass > (whole if high == -1 else high):
                return False
        return not self.balanced or abs(sum(moved)) <= slack


@dataclass(frozen=True, kw_only=True, eq=False)
class OptimalFace:
    """All minimisers of the weight problem (Theorem 3.1): a polytope, decided exactly.

    Attributes
    ----------
    losses, nominal, gamma
        The problem as solved, losses in float64, shape (N,); nominal None is 1/N each, exactly.
    minimum, middle, boundary, pruned
        I_min, I_mid, I_big and chi: sorted indices, which partition 0..N-1.

    """

    losses: Vector
    nominal: Vector | None
    gamma: float
    minimum: Indices
    middle: Indices
    boundary: Indices
    pruned: Indices

    @property
    def dimension(self) -> int:
        """``|I_min| - 1 + |I_big|`` if chi or I_big has mass, else 0; only samples with mass count.

        Source: theory.md A.4. Exact.
        """
        return self.minimum.size + self._choices.size - 1 if self._anything_moves else 0

    @property
    def n_vertices(self) -> int:
        """``m 2^b`` if chi has mass, else ``1 + m (2^b - 1)``; m = |I_min|, b = |I_big| with mass.

        Source: theory.md A.4. Exact, however long the integer.
        """
        m, subsets = self.minimum.size, 1 << self._choices.size
        return m * subsets if self._frees else 1 + m * (subsets - 1)

    @property
    def is_unique(self) -> bool:
        """Whether ``dimension == 0``: the weight problem has one minimiser only."""
        return self.dimension == 0

    def vertices(self) -> Iterator[tuple[Fraction, ...]]:
        """Yield ``u = -q on chi and S, all freed mass on one j in I_min`` for all S in I_big and j.

        Where nothing is freed the vertex is 0. Smaller S come first.

        Yields
        ------
        tuple of Fraction
            Displacement, N fractions, exact; each vertex once.

        Notes
        -----
        Source: theory.md A.4. Exact. Cost O(N) a vertex; there are ``n_vertices``.

        Examples
        --------
        >>> for u in optimal_face([0.0, 1.0], gamma=1.0).vertices():  # the loss 1 may go or stay
        ...     print(*u)
        0 0
        1/2 -1/2

        """
        masses, unit = _masses(self.nominal, self.losses.size)
        subsets = chain.from_iterable(
            combinations(self._choices.tolist(), size) for size in range(self._choices.size + 1)
        )
        for chosen in subsets:
            emptied = [*self.pruned.tolist(), *chosen]
            u = [Fraction(0)] * self.losses.size
            for i in emptied:
                u[i] = Fraction(-masses[i], unit)
            freed = Fraction(sum(masses[i] for i in emptied), unit)
            # Without freed mass all landing places give the same vertex.
            for j in self.minimum.tolist() if freed else self.minimum.tolist()[:1]:
                u[j] = freed
                yield tuple(u)
                u[j] = Fraction(0)

    def inequalities(self) -> LinearSystem:
        """Return F as ``A_ub u <= b_ub`` and ``A_eq u == b_eq``; see :meth:`Piece.inequalities`."""
        return self.piece((), ()).inequalities()

    def contains(self, u: Displacement, *, tol: float = 0.0) -> bool:
        """Whether u is in F, exactly for fractions; for floats see :meth:`Piece.contains`."""
        return self.piece((), ()).contains(u, tol=tol)

    def piece(
        self,
        s1: Iterable[int],
        s2: Iterable[int],
        *,
        version: TheoremVersion = TheoremVersion.APPENDIX,
    ) -> Piece:
        """Return the theorem's ``U*_{S1,S2}`` as printed in the given place.

        With ``S1 = S2 = ()`` the appendix's piece is F itself and contains all the others; in the
        earlier version only the hull of all pieces is F; in the body the pieces are unbounded.

        Parameters
        ----------
        s1, s2
            Indices: a subset of I_min, and one of I_big.
        version
            Where the theorem is printed. The earlier version prices ``theta ||u||_1``; the face
            must then be built with ``gamma = 2 theta``.

        Returns
        -------
        Piece
            The polyhedron; possibly empty.

        Raises
        ------
        ValueError
            If ``s1`` is not a subset of I_min, ``s2`` not one of I_big, or ``version`` no
            TheoremVersion.

        Notes
        -----
        Source: ICLR paper, Theorem 3.1 (Section 3 and Appendix A.1), and its earlier version;
        theory.md A.3. Exact. Cost O(N).

        Examples
        --------
        Without ``u in U`` the theorem is false: the sum below is not 0.

        >>> face = optimal_face([0.0, 3.0], gamma=1.0)
        >>> face.piece((), (), version=TheoremVersion.BODY).contains([10, Fraction(-1, 2)])
        True
        >>> face.contains([10, Fraction(-1, 2)]), [*map(str, *face.vertices())]
        (False, ['1/2', '-1/2'])

        """
        printed = TheoremVersion(version)
        pinned_min = _subset(s1, self.minimum, "s1", "I_min")
        chosen = _subset(s2, self.boundary, "s2", "I_big")
        lower, upper = np.zeros(self.losses.size), np.zeros(self.losses.size)
        lower[self.pruned] = upper[self.pruned] = -1
        upper[self.minimum] = np.inf
        upper[pinned_min] = 0
        if printed is TheoremVersion.EARLIER:
            lower[self.boundary] = upper[self.boundary] = -1
            lower[chosen] = upper[chosen] = 0
        else:
            lower[self.boundary] = -np.inf if printed is TheoremVersion.BODY else -1
            lower[chosen] = upper[chosen] = -1
        balanced = printed is not TheoremVersion.BODY
        return Piece(lower=lower, upper=upper, balanced=balanced, nominal=self.nominal)

    def project(self, u: Displacement) -> NDArray[Any]:
        r"""Return the nearest point of F, ``u_i - theta`` clipped to the bounds of i, in L2 norm.

        theta is the one number for which the clipped entries, pinned ones included, sum to 0.

        Parameters
        ----------
        u
            Displacement, shape (N,): fractions, or floats (taken as the exact numbers they are).

        Returns
        -------
        array
            Shape (N,). For fractions the projection itself, in fractions. For floats, float64,
            within ``8 N eps (1 + max |u|)`` of it in L1 norm, and contained and certified as an
            element of F like one that is rounded entry by entry.

        Raises
        ------
        ValueError
            If ``u`` is not a vector of N finite real numbers.

        Notes
        -----
        Source: theory.md A.3. Exact for fractions. Cost O(N log N), for fractions with integers as
        long as their common denominator.

        Examples
        --------
        >>> face = optimal_face([0.0, 0.0, 3.0], gamma=1.0)  # u_3 = -1/3, the others share 1/3
        >>> print(*face.project([Fraction(1, 6), Fraction(0), Fraction(0)]))
        1/4 1/12 -1/3

        """
        given = displacement(u, self.losses.size)
        if given.dtype == object:
            masses, per_mass = _masses(self.nominal, given.size)
            numerators, unit = over_one_denominator([*given, Fraction(1, per_mass)])
            q = np.array(masses, dtype=object) * (unit // per_mass)
            exact: NDArray[Any] = self._nearest(np.array(numerators[:-1], dtype=object), q)
            exact *= Fraction(1, unit)
            return exact
        moved = given.astype(np.float64)
        result = self._nearest(moved, nominal_floats(self.nominal, given.size))
        received = result[self.minimum]
        arrived, freed = fsum(received.tolist()), fsum(np.maximum(-result, 0.0).tolist())
        # What arrives is made what has left, to the last digit, so that the result is in F.
        if arrived > 0:
            result[self.minimum] = received * (freed / arrived)
        else:
            result[self.minimum[moved[self.minimum].argmax()]] = freed
        return result

    def sample(self, rng: np.random.Generator) -> Vector:
        """Return a random u in F: ``-f_i q_i`` on I_big, f uniform; on I_min a Dirichlet share.

        Its support is the whole relative interior, up to a grid of 2^-32 in f; where q_i and their
        products are normal floats, no sample is on the relative boundary.

        Parameters
        ----------
        rng
            Source of randomness; the same state gives the same sample.

        Returns
        -------
        array
            Displacement, float64, shape (N,), contained and certified as an element of F like one
            that is rounded entry by entry.

        Notes
        -----
        Source: theory.md A.3. Cost O(N).

        Examples
        --------
        >>> face = optimal_face([0.0, 3.0], gamma=1.0)
        >>> face.sample(np.random.default_rng(0))  # only one element
        array([ 0.5, -0.5])

        """
        q = nominal_floats(self.nominal, self.losses.size)
        u = np.zeros(self.losses.size)
        u[self.pruned] = -q[self.pruned]
        u[self._choices] = -q[self._choices] * _inside(rng, self._choices.size)
        # Exponential numbers over their sum are a Dirichlet share.
        share = -np.log(_inside(rng, self.minimum.size))
        u[self.minimum] = -fsum(u.tolist()) * (share / fsum(share.tolist()))
        return u

    @property
    def _choices(self) -> Indices:
        """I_big without the samples that have no mass to move."""
        return (
            self.boundary
            if self.nominal is None
            else self.boundary[self.nominal[self.boundary] > 0]
        )

    @property
    def _frees(self) -> bool:
        """Whether chi has mass, so that some is freed whatever happens on I_big."""
        return bool(self.pruned.size if self.nominal is None else self.nominal[self.pruned].any())

    @property
    def _anything_moves(self) -> bool:
        """Whether some element of F is not 0."""
        return self._frees or self._choices.size > 0

    def _nearest(self, u: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
        """Return the projection, of floats up to rounding, of integers exactly.

        theta solves sum_i clip(u_i - theta) = 0. The sum falls as theta rises, linearly between
        knots: an entry of I_min is free below u_i, one of I_big between u_i and u_i + q_i. We walk
        down from the largest knot, where everything is at its lower bound, until what has been
        gained equals what that lower bound lacks.
        """
        result = np.zeros_like(u)
        result[self.pruned] = -q[self.pruned]
        if not self._anything_moves:
            return result
        low, big, mass = u[self.minimum], u[self._choices], q[self._choices]
        knots = np.concatenate((low, big + mass, big))
        change = np.repeat([1, 1, -1], [low.size, big.size, big.size])
        down = np.argsort(knots, kind="stable")[::-1]
        knots, free = knots[down], np.cumsum(change[down])
        gained = np.cumsum(free[:-1] * (knots[:-1] - knots[1:]))
        lacking = _total(mass) + _total(q[self.pruned])
        k = int(np.searchsorted(gained, np.array(lacking, dtype=u.dtype)))
        # Between this knot and the next one it is known which entries are free: solve for theta.
        top = knots[k]
        free_low, at_floor = low[low >= top], big + mass < top
        free_big = big[~at_floor & (big < top)]
        fixed = _total(mass[at_floor]) + _total(q[self.pruned])
        theta = (_total(free_low) + _total(free_big) - fixed) / (free_low.size + free_big.size)
        # Rounding may have chosen the segment beside; its end is then nearer than its solution.
        theta = min(theta, top) if k + 1 == knots.size else min(max(theta, knots[k + 1]), top)
        result[self._choices] = np.clip(big - theta, -mass, 0)
        result[self.minimum] = np.maximum(low - theta, 0)
        return result


def optimal_face(
    losses: ArrayLike, *, gamma: float, nominal: ArrayLike | None = None
) -> OptimalFace:
    r"""Return ``argmin_u sum_i (q_i + u_i) c_i + (gamma/2) ||u||_1`` over U, as one polytope.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), loss units, as in :func:`rrm_theory.relaxed_risk`.
    gamma
        Price in (0, 2^960] per unit of total variation in the convention of Eq. (2), loss units.
    nominal
        Probabilities q, shape (N,), taken as the exact floats they are; 1/N each if not given.
        Samples with q_i = 0 have no mass to free and do not count as choices.

    Returns
    -------
    OptimalFace
        The four index sets, dimension, vertices, membership, projection, sampling.

    Raises
    ------
    ValueError
        As :func:`rrm_theory.relaxed_risk`.

    Notes
    -----
    Source: ICLR paper, Theorem 3.1; theory.md A.3, A.4. Exact. Cost O(N).

    Examples
    --------
    >>> face = optimal_face([0.0, 0.0, 1.0, 3.0], gamma=1.0)
    >>> face.minimum, face.boundary, face.pruned
    (array([0, 1]), array([2]), array([3]))
    >>> face.dimension, face.n_vertices  # 2 - 1 + 1, and 2 * 2^1
    (2, 4)

    """
    c = loss_vector(losses)
    price = positive(gamma, "gamma")
    minimum = c.min()
    cut, attained = exact_cut(float(minimum), price)
    cheapest, pruned = c == minimum, c > cut
    boundary = (c == cut) & attained
    return OptimalFace(
        losses=c,
        nominal=None if nominal is None else distribution(nominal, c.size),
        gamma=price,
        minimum=np.flatnonzero(cheapest),
        middle=np.flatnonzero(~(cheapest | boundary | pruned)),
        boundary=np.flatnonzero(boundary),
        pruned=np.flatnonzero(pruned),
    )


def _masses(nominal: Vector | None, n: int) -> tuple[list[int], int]:
    """Return q as integers over one denominator."""
    return nominal_masses(None if nominal is None else nominal.tolist(), n)


def _subset(given: Iterable[int], whole: Indices, name: str, set_name: str) -> Indices:
    """Return ``given`` as indices of ``whole``, or raise a ValueError that shows the odd ones."""
    indices = np.array(list(given)) if isinstance(given, Iterable) else np.array(given)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        msg = f"{name} must be a collection of indices, got {given!r}."
        raise ValueError(msg)
    odd = np.setdiff1d(indices, whole)
    if odd.size:
        msg = f"{name} must be a subset of {set_name}, got {odd.tolist()} outside it."
        raise ValueError(msg)
    return indices.astype(np.int64)


def _inside(rng: np.random.Generator, n: int) -> Vector:
    """Return n multiples of 2^-32 in (0, 1): their product with q is rounded neither to 0 nor q."""
    return rng.integers(1, 2**32, n) / 2**32


def _total(numbers: NDArray[Any]) -> Any:
    """Return the sum: of integers as a fraction, of floats rounded once."""
    return Fraction(sum(numbers.tolist())) if numbers.dtype == object else fsum(numbers.tolist())
