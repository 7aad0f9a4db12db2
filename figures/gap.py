"""What one move a sample costs against splitting samples, over N, with its bound max J / N."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.style import CLEAN, CONTAMINATED, STYLE, TEXT_WIDTH
from rrm_theory.wasserstein import one_move_value, optimistic_value

SIZES = (1, 2, 4, 8, 16, 32, 64)
INSTANCES = 12
# Of the family that comes near the bound: all moves cost this much, and the last is not paid for.
SHORT, LACKING = 1 / 16, 1 / 256
# Below this the solver's tolerance is all there is.
VISIBLE = 1e-5


def gap(j: NDArray[np.float64], cost: NDArray[np.float64], radius: float) -> float:
    """Return one_move_value - v_N."""
    mixed = one_move_value(j, cost, radius=radius).value
    return mixed - optimistic_value(j, cost, radius=radius).value


def costs(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return d of samples that may stay or go to one other point each, at these prices."""
    n = len(prices)
    d = np.full((n, 2 * n), np.inf)
    d[np.arange(n), np.arange(n)] = 0.0
    d[np.arange(n), n + np.arange(n)] = prices
    return d


def random_gaps(n: int, rng: np.random.Generator) -> list[float]:
    """Return gaps of random instances with max J = 1."""
    found = []
    for _ in range(INSTANCES):
        own, other = rng.uniform(0.2, 1, n), rng.uniform(0, 0.5, n)
        own[0] = 1.0
        prices = rng.uniform(0.02, 0.8, n)
        radius = float(rng.uniform(0.2, 0.8) * prices.mean())
        found.append(gap(np.concatenate([own, other]), costs(prices), radius))
    return found


def worst_gap(n: int) -> float:
    """Return the gap of the family: half the samples can move, and one nearly."""
    moves = n // 2 + 1
    radius = (moves * SHORT - LACKING) / n
    return gap(np.repeat([1.0, 0.0], n), costs(np.full(n, SHORT)), radius)


def draw() -> Figure:
    """Return the figure."""
    rng = np.random.default_rng(0)
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 3.2))
        for n in SIZES:
            gaps = np.array(random_gaps(n, rng))
            seen = gaps[gaps > VISIBLE]
            label = "random instances" if n == SIZES[0] else None
            axis.plot(np.full(len(seen), n), seen, ".", color=CLEAN, alpha=0.6, label=label)
        worst = [worst_gap(n) for n in SIZES]
        axis.plot(
            SIZES,
            worst,
            "D-",
            color=CONTAMINATED,
            markersize=4,
            label="near the bound: one move short",
        )
        sizes = np.array(SIZES, dtype=float)
        axis.plot(sizes, 1 / sizes, color="black", label="max J / N")
        axis.plot(sizes, 1 / (2 * sizes), color="black", linestyle=":", label="half of it")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(SIZES, [str(n) for n in SIZES])
        axis.set_xlabel("samples N")
        axis.set_ylabel("one-move value - $v_N$")
        axis.legend(frameon=False, loc="lower left")
    return figure
