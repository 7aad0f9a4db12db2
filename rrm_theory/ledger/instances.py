"""Instances to search: small, rational, with the ties that make statements fail."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from rrm_theory.ledger.claim import Instance
from rrm_theory.ledger.definitions import Rationals

# Whole numbers come first, so that counterexamples shrink to them.
nonnegative = st.integers(0, 4).map(Fraction) | st.integers(0, 32).map(lambda k: Fraction(k, 8))
signed = nonnegative | nonnegative.map(lambda x: -x)
positive = st.integers(1, 4).map(Fraction) | st.integers(1, 32).map(lambda k: Fraction(k, 8))
unit = st.sampled_from([Fraction(0), Fraction(1)]) | st.integers(0, 8).map(lambda k: Fraction(k, 8))
open_unit = st.sampled_from([Fraction(1, 2)]) | st.integers(1, 7).map(lambda k: Fraction(k, 8))


@st.composite
def losses(draw: DrawFn, gamma: Fraction, *, most: int, shift: SearchStrategy[Fraction]) -> Any:
    """Return up to ``most`` losses: some cheapest, some exactly gamma above, some anything."""
    entry = nonnegative | st.just(gamma) | st.just(Fraction(0))
    others = draw(st.lists(entry, max_size=most - 1))
    by = draw(shift)
    return tuple(x + by for x in draw(st.permutations([Fraction(0), *others])))


@st.composite
def weight_problems(
    draw: DrawFn,
    /,
    *,
    most: int = 5,
    shift: SearchStrategy[Fraction] = signed,
    **others: Callable[[int], SearchStrategy[Any]],
) -> Instance:
    """Return losses c, a price gamma, and what else is asked for, each given N."""
    gamma = draw(positive)
    c = draw(losses(gamma, most=most, shift=shift))
    return {"c": c, "gamma": gamma} | {name: draw(of(len(c))) for name, of in others.items()}


@st.composite
def distributions(draw: DrawFn, n: int, *, least: int = 0) -> Rationals:
    """Return n probabilities, whole numbers over their sum; with least = 1 none is 0."""
    mass = draw(st.lists(st.integers(least, 4), min_size=n, max_size=n))
    if least == 0:
        mass[draw(st.integers(0, n - 1))] += 1
    return tuple(Fraction(x, sum(mass)) for x in mass)


@st.composite
def dyadic_distributions(draw: DrawFn, n: int) -> Rationals:
    """Return n probabilities in 64ths, which floats hold."""
    cuts = sorted(draw(st.lists(st.integers(0, 64), min_size=n - 1, max_size=n - 1)))
    return tuple(Fraction(b - a, 64) for a, b in pairwise([0, *cuts, 64]))


@st.composite
def displacements(draw: DrawFn, n: int) -> Rationals:
    """Return a u of U, as the difference of a distribution and 1/n."""
    return tuple(x - Fraction(1, n) for x in draw(distributions(n)))


def vectors(n: int, entries: SearchStrategy[Fraction] = signed) -> SearchStrategy[Rationals]:
    """Return n numbers."""
    return st.lists(entries, min_size=n, max_size=n).map(tuple)


def indices(n: int, k: int) -> SearchStrategy[tuple[int, ...]]:
    """Return n of the numbers 0 to k - 1."""
    return st.lists(st.integers(0, k - 1), min_size=n, max_size=n).map(tuple)


radii = st.integers(0, 2).map(Fraction) | st.integers(0, 32).map(lambda k: Fraction(k, 16))


@st.composite
def transports(
    draw: DrawFn, *, most_samples: int = 3, most_others: int = 1, metric: bool = False
) -> Instance:
    """Return losses J at support points, costs d with forbidden moves, a radius eps.

    The first support points are the samples themselves, where staying costs nothing. With
    ``metric``, moves between different points and the radius are positive.
    """
    n = draw(st.integers(1, most_samples))
    m = n + draw(st.integers(0, most_others))
    least = positive | open_unit
    price: SearchStrategy[Any] = (least if metric else nonnegative | least) | st.just(inf)
    d = tuple(tuple(Fraction(0) if i == k else draw(price) for k in range(m)) for i in range(n))
    eps = draw(radii.filter(bool) if metric else radii)
    return {"J": draw(vectors(m, nonnegative)), "d": d, "eps": eps}
