r"""The papers' objects straight from their definitions, in fractions, by enumeration.

Nothing here uses the toolkit's formulas: these are what the claims compare them with. For a few
samples only: costs grow with 2^N or M^N.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import combinations, product
from math import inf, lcm

from rrm_theory.optimal_face import TheoremVersion

Rationals = tuple[Fraction, ...]
Matrix = tuple[Rationals, ...]
ZERO = Fraction(0)


def uniform(n: int) -> Rationals:
    """Return 1/n for each of n samples."""
    return (Fraction(1, n),) * n


def mean(numbers: Sequence[Fraction]) -> Fraction:
    """Return the arithmetic mean."""
    return sum(numbers, ZERO) / len(numbers)


def cost(c: Rationals, u: Rationals, gamma: Fraction, q: Rationals | None = None) -> Fraction:
    """Return the objective of Eq. (2): ``sum (q + u) c + (gamma/2) sum |u|``."""
    q = uniform(len(c)) if q is None else q
    expectation = sum((x + y) * z for x, y, z in zip(q, u, c, strict=True))
    return expectation + gamma / 2 * sum(map(abs, u), ZERO)


def in_u(u: Rationals, q: Rationals | None = None) -> bool:
    """Whether ``sum u = 0`` and ``u >= -q``."""
    q = uniform(len(u)) if q is None else q
    return sum(u) == 0 and all(x >= -y for x, y in zip(u, q, strict=True))


def corners(q: Rationals) -> Iterator[Rationals]:
    """Yield every u of U that is -q on a set and 0 elsewhere but on one sample.

    The objective of Eq. (2) is linear wherever no u_i changes its sign. Such a part of U is cut out
    by one equation and bounds, so at its vertices all entries but one are at a bound, -q_i or 0.
    Hence a minimum is attained here, and the argmin is the hull of the minimisers found here.
    """
    n = len(q)
    yield (ZERO,) * n
    for size in range(1, n):
        for emptied in combinations(range(n), size):
            freed = sum((q[i] for i in emptied), ZERO)
            for receiver in set(range(n)) - set(emptied):
                yield tuple(
                    -q[i] if i in emptied else freed if i == receiver else ZERO for i in range(n)
                )


def minimum(
    c: Rationals, gamma: Fraction, q: Rationals | None = None
) -> tuple[Fraction, list[Rationals]]:
    """Return the value of Eq. (2) and the vertices of its argmin, by comparing all corners."""
    costs = {u: cost(c, u, gamma, q) for u in corners(uniform(len(c)) if q is None else q)}
    least = min(costs.values())
    return least, sorted(u for u, value in costs.items() if value == least)


def subsets(indices: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """Yield every subset."""
    whole = tuple(indices)
    for size in range(len(whole) + 1):
        yield from combinations(whole, size)


def tied(c: Rationals, gamma: Fraction) -> tuple[list[int], list[int]]:
    """Return I_min and I_big."""
    least = min(c)
    return (
        [i for i, x in enumerate(c) if x == least],
        [i for i, x in enumerate(c) if x == least + gamma],
    )


def in_printed_piece(
    version: TheoremVersion,
    c: Rationals,
    gamma: Fraction,
    s1: Sequence[int],
    s2: Sequence[int],
    u: Rationals,
) -> bool:
    """Whether u satisfies the lines of U*_{S1,S2} as that version prints them."""
    least, share = min(c), Fraction(1, len(c))
    earlier = version is TheoremVersion.EARLIER
    if version is not TheoremVersion.BODY and not in_u(u):
        return False
    for i, (x, moved) in enumerate(zip(c, u, strict=True)):
        at_cut = x == least + gamma
        zero = i in s1 or least < x < least + gamma or (earlier and i in s2)
        emptied = x > least + gamma or (at_cut and ((i in s2) != earlier))
        wrong_sign = (x == least and moved < 0) or (at_cut and moved > 0)
        if wrong_sign or (zero and moved != 0) or (emptied and moved != -share):
            return False
    return True


def earlier_vertices(c: Rationals, gamma: Fraction) -> list[Rationals]:
    """Return all vertices of the earlier version's pieces: all mass freed lands on one sample."""
    smallest, at_cut = tied(c, gamma)
    share, cut = Fraction(1, len(c)), min(c) + gamma
    found = set()
    for s2 in subsets(at_cut):
        emptied = [i for i, x in enumerate(c) if x > cut or (x == cut and i not in s2)]
        for receiver in smallest:
            u = [-share if i in emptied else ZERO for i in range(len(c))]
            u[receiver] = share * len(emptied)
            found.add(tuple(u))
    return sorted(found)


def rank(vectors: Sequence[Rationals]) -> int:
    """Return the rank of a list of rational vectors, by elimination."""
    rows, found = [list(v) for v in vectors], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column] != 0), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            factor = rows[i][column] / rows[found][column]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


def weight_budget(j: Rationals, eps: Fraction) -> Fraction:
    """Return ``min (1/N) sum w J`` with ``(1/N) sum |w - 1| <= eps``, over the vertices.

    At a vertex every w is 0 or 1 but one, which takes what is left of the budget.
    """
    n = len(j)
    best = mean(j)
    for size in range(n):
        for gone in combinations(range(n), size):
            left = eps * n - size
            if left < 0:
                continue
            rest = [x for i, x in enumerate(j) if i not in gone]
            best = min(best, (sum(rest, ZERO) - min(left, Fraction(1)) * max(rest)) / n)
    return best


def one_move(
    j: Rationals, d: tuple[tuple[Fraction | float, ...], ...], eps: Fraction
) -> Fraction | float:
    """Return the least mean loss if every sample moves to one (w, z'), over all choices of z'."""
    n = len(d)
    best: Fraction | float = inf
    for chosen in product(range(len(j)), repeat=n):
        spent = sum((d[i][k] for i, k in enumerate(chosen)), ZERO)
        left = eps * n - spent
        if left < 0:
            continue
        # Each unit of weight costs 1, so the largest losses lose theirs first.
        total = ZERO
        for loss in sorted((j[k] for k in chosen), reverse=True):
            removed = min(Fraction(left), Fraction(1))
            total += (1 - removed) * loss
            left -= removed
        best = min(best, total / n)
    return best


def transport(
    j: Rationals, d: tuple[tuple[Fraction | float, ...], ...], eps: Fraction
) -> Fraction | float:
    """Return the least mean loss over all transports within the budget, over the vertices.

    A transport sends shares of sample i to (1, z_k) at the price d_ik, or to weight 0 at its
    cheapest point. One row per sample and one for the budget: at a vertex at most one sample has
    two destinations.
    """
    n = len(d)
    options = [
        [(Fraction(p), loss) for p, loss in zip(row, j, strict=True) if p != inf]
        + [(1 + Fraction(min(row)), ZERO)]
        for row in d
    ]
    best: Fraction | float = inf
    for plan in product(*options):
        price = sum((p for p, _ in plan), ZERO) - eps * n
        loss = sum((x for _, x in plan), ZERO)
        if price <= 0:
            best = min(best, loss / n)
            continue
        for i, (p, x) in enumerate(plan):
            for other_price, other_loss in options[i]:
                saved = p - other_price
                if saved >= price:
                    best = min(best, (loss + price / saved * (other_loss - x)) / n)
    return best


def likelihood_power(shares: Sequence[Fraction], exponents: Sequence[Fraction]) -> Fraction:
    """Return ``prod shares^(exponents d)``, d the least that makes the exponents whole.

    A rational number that grows with ``sum exponents log shares``.
    """
    d = lcm(*(x.denominator for x in exponents))
    answer = Fraction(1)
    for share, exponent in zip(shares, exponents, strict=True):
        answer *= share ** int(exponent * d)
    return answer
