"""What the exact theory costs at full size, and HiGHS beside it, with and without its presolve."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import version
from typing import Any

import numpy as np

from rrm_theory import capped_relax, certify, gamma_path, optimal_face, relax, trimmed_risk
from rrm_theory.wasserstein import ground_cost, optimistic_value, optimistic_value_lp

MILLION = 1_000_000
GAMMA = 1.0
# Each operation is timed this often, and the median counts; the slow solver once.
REPEATS = 5
N_CERTIFIED = 100_000
N_SOLVED = 50_000
# Samples, and as many support points, that may move; and what the dual must gain by it.
N_MOVED = 1000
RADIUS = 0.2
TIMES_FASTER = 100
TARGETS = {"face": 2.0, "certify": 10.0, "solve": 2.0}
# How far the solver may be from the closed form, relative.
AGREEMENT = 1e-9


def theory() -> dict[str, Any]:
    """Time the optimal face, certificates, the capped family and HiGHS."""
    rng = np.random.default_rng(0)
    families = {
        # Cross-entropy-like: many small losses, a long tail, nothing tied.
        "untied": rng.exponential(size=MILLION) ** 3,
        # Forty levels, one of them exactly at the cut.
        "tied": rng.integers(0, 40, MILLION) / 8,
    }
    operations = [row for name, c in families.items() for row in _face(name, c, rng)]
    return {
        "operations": operations,
        "solver": _solver(),
        "path": _path(),
        "transport": _transport(),
        "versions": {name: version(name) for name in ("highspy", "scipy")},
    }


def _face(family: str, c: np.ndarray[Any, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return the timings of one family of losses."""
    face = optimal_face(c, gamma=GAMMA)
    u, part = rng.normal(size=MILLION) / MILLION, c[:N_CERTIFIED]
    inside, in_fractions = face.sample(rng), next(face.vertices())
    jobs: list[tuple[str, int, Callable[[], object], float | None]] = [
        ("index sets", MILLION, lambda: optimal_face(c, gamma=GAMMA), TARGETS["face"]),
        ("dimension", MILLION, lambda: face.dimension, TARGETS["face"]),
        ("number of vertices", MILLION, lambda: face.n_vertices, TARGETS["face"]),
        ("contains, floats", MILLION, lambda: face.contains(inside), TARGETS["face"]),
        ("contains, fractions", MILLION, lambda: face.contains(in_fractions), TARGETS["face"]),
        ("project", MILLION, lambda: face.project(u), TARGETS["face"]),
        (
            "certify",
            N_CERTIFIED,
            lambda: certify(u[:N_CERTIFIED], part, gamma=GAMMA),
            TARGETS["certify"],
        ),
        ("sample", MILLION, lambda: face.sample(np.random.default_rng(0)), None),
        ("capped_relax, cap 2", MILLION, lambda: capped_relax(c, gamma=GAMMA, cap=2), None),
        ("trimmed_risk, 30 %", MILLION, lambda: trimmed_risk(c, budget=0.3), None),
    ]
    rows = []
    for operation, n, job, target in jobs:
        seconds = float(np.median([_seconds(job) for _ in range(REPEATS)]))
        rows.append(
            {
                "operation": operation,
                "losses": family,
                "n": n,
                "seconds": seconds,
                "target_seconds": target,
                "met": target is None or seconds < target,
            }
        )
    return rows


def _solver() -> dict[str, Any]:
    """Return how HiGHS does on one large program, and how far it is from the closed form."""
    # Here, so that the harness runs where no solver is installed.
    from rrm_theory.linear_program import solve_highs

    c = np.random.default_rng(0).exponential(size=N_SOLVED) ** 3
    r = relax(c, gamma=GAMMA)
    fast = [solve_highs(c, gamma=GAMMA) for _ in range(REPEATS)]
    answer = fast[0]
    slow = solve_highs(c, gamma=GAMMA, presolve=True)
    seconds = float(np.median([one.seconds for one in fast]))
    value_error = abs(answer.value / r.value - 1)
    multiplier_error = abs(answer.multiplier / r.multiplier - 1)
    proof = certify(answer.u, c, gamma=GAMMA)
    return {
        "n": N_SOLVED,
        "seconds_presolve_off": seconds,
        "seconds_presolve_on": slow.seconds,
        "target_seconds": TARGETS["solve"],
        "value_error": value_error,
        "multiplier_error": multiplier_error,
        "certified_gap": _as_text(proof.gap),
        "agreement": AGREEMENT,
        "met": seconds < TARGETS["solve"] and max(value_error, multiplier_error) <= AGREEMENT,
    }


def _path() -> dict[str, Any]:
    """Return the time for R_gamma at 20 prices: HiGHS hot, HiGHS cold, and ours."""
    from rrm_theory.linear_program import solve_highs, solve_highs_path

    c = np.random.default_rng(0).exponential(size=N_SOLVED) ** 3
    prices = np.linspace(0.1, 5.0, 20).tolist()
    hot = solve_highs_path(c, gammas=prices)
    cold = [solve_highs(c, gamma=gamma) for gamma in prices]
    start = time.perf_counter()
    path = gamma_path(c)
    values = [path(gamma) for gamma in prices]
    return {
        "n": N_SOLVED,
        "prices": len(prices),
        "seconds_hot": sum(one.seconds for one in hot),
        "seconds_cold": sum(one.seconds for one in cold),
        "seconds_ours": time.perf_counter() - start,
        "largest_difference": max(
            abs(one.value / value - 1) for one, value in zip(hot, values, strict=True)
        ),
    }


def _transport() -> dict[str, Any]:
    """Return the time for the optimistic Wasserstein value: one variable, and the transport."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(N_MOVED, 5)), rng.integers(0, 3, N_MOVED)
    losses = rng.exponential(size=N_MOVED)
    cost = ground_cost(x, y, x, y, label_price=1.0)
    ours = optimistic_value(losses, cost, radius=RADIUS)
    seconds = float(
        np.median(
            [
                _seconds(lambda: optimistic_value(losses, cost, radius=RADIUS))
                for _ in range(REPEATS)
            ]
        )
    )
    start = time.perf_counter()
    program = optimistic_value_lp(losses, cost, radius=RADIUS)
    seconds_program = time.perf_counter() - start
    error = abs(ours.value / program.value - 1)
    return {
        "n": N_MOVED,
        "seconds": seconds,
        "seconds_program": seconds_program,
        "times_faster": seconds_program / seconds,
        "target_times_faster": TIMES_FASTER,
        "value_error": error,
        "met": seconds_program >= TIMES_FASTER * seconds and error <= AGREEMENT,
    }


def _seconds(job: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _as_text(gap: Fraction | float) -> str:
    """Return an exact gap as text: JSON has no fractions."""
    return "0" if gap == 0 else f"{float(gap):.3g}"
