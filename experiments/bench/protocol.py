"""How anything is timed here: peers take turns on the same input, and ratios are what counts.

A round times every peer once; a ratio is a median over rounds of same-round quotients, with a
bootstrap interval. The reference also runs against itself, and that interval must contain 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 15
RESAMPLES = 2000
CONFIDENCE = (2.5, 97.5)
# A peer is repeated within a round until this much time has passed, so that the clock's own
# resolution does not show.
LEAST_SECONDS = 2e-3
# What a target says of two peers.
COPIES, FASTER = "copies", "times faster than "


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One peer: median seconds a call, and its ratio to the reference with a 95 % interval."""

    peer: str
    seconds: float
    ratio: float
    ratio_low: float
    ratio_high: float

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def interleave(
    peers: dict[str, Callable[[], object]],
    *,
    reference: str,
    rounds: int = ROUNDS,
    check: Callable[[], object] = lambda: None,
    wait: Callable[[], object] = lambda: None,
) -> list[Timing]:
    """Return a timing per peer, and one of the reference against itself, named "A/A".

    Parameters
    ----------
    peers
        What is timed, by name.
    reference
        The peer that others are multiples of.
    rounds
        How often each has its turn.
    check
        Called after every round, off the clock: to look at what the peers wrote.
    wait
        Called before the clock is read: to wait for a GPU.

    """
    contestants = peers | {"A/A": peers[reference]}
    repeats = {name: _repeats(call, wait) for name, call in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        # Whoever follows a heavy peer finds cold caches, so the order is drawn anew.
        for name in rng.permutation(list(contestants)).tolist():
            seconds[name].append(_time(contestants[name], repeats[name], wait))
        check()
    base = np.array(seconds[reference])
    return [_timing(name, np.array(spent), base) for name, spent in seconds.items()]


def _repeats(call: Callable[[], object], wait: Callable[[], object]) -> int:
    """Return how many calls make a round, after one to warm up."""
    call()
    once = _time(call, 1, wait)
    return max(1, int(np.ceil(LEAST_SECONDS / max(once, 1e-9))))


def _time(call: Callable[[], object], repeats: int, wait: Callable[[], object]) -> float:
    """Return the mean seconds of a call."""
    wait()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    wait()
    return (time.perf_counter() - start) / repeats


def _timing(peer: str, spent: NDArray[np.float64], base: NDArray[np.float64]) -> Timing:
    """Return the median and the bootstrap interval of the ratio of paired rounds."""
    ratios = spent / base
    rng = np.random.default_rng(0)
    resampled = np.median(rng.choice(ratios, size=(RESAMPLES, len(ratios))), axis=1)
    low, high = np.percentile(resampled, CONFIDENCE)
    return Timing(
        peer=peer,
        seconds=float(np.median(spent)),
        ratio=float(np.median(ratios)),
        ratio_low=float(low),
        ratio_high=float(high),
    )
