"""What one update of the weights saw and did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any


class ReweightOutcome(Enum):
    """What an update did; the value is the message."""

    REWEIGHTED = "Mass moved from the largest losses to the cheapest ones."
    NOTHING_PRUNED = "No move is worth its price; the target is the nominal weights."
    GAMMA_ZERO = (
        "The level is the smallest loss itself, so gamma = 0: outside Theorem 3.1. Everything "
        "above the minimum gives what it can; ask for less contamination, or set gamma."
    )
    NO_LEVEL = (
        "No level exists: more than (1 - contamination) N samples tie at the smallest loss. The "
        "weights stay as they were. Ask for less contamination, or set gamma."
    )
    INFINITE = (
        "Some mass cannot leave the +inf losses, and the weighted loss is +inf: raise the cap or "
        "the budget, or drop these samples."
    )


@dataclass(frozen=True, kw_only=True)
class Reweighting:
    """What one update saw and did.

    Attributes
    ----------
    minimum
        c_min, loss units.
    threshold
        A float64 that separates: losses above it are pruned, the others are not. Without a cap or a
        budget the largest that is kept, c_min + gamma rounded down or the level; NaN if no level
        exists.
    n_samples, n_minimum, n_pruned
        N, |I_min|, and how many samples the target leaves without mass: without a cap, |chi|.
    freed_mass
        Probability that u* moves, exact; without a cap or a budget, |chi| / N.
    outcome
        Which case occurred.

    """

    minimum: float
    threshold: float
    n_samples: int
    n_minimum: int
    n_pruned: int
    freed_mass: Fraction
    outcome: ReweightOutcome


class LateReweighting(Reweighting):
    """A `Reweighting` that is read from the device when something is first asked of it.

    Until then nothing waits for the device. From then on it is an ordinary `Reweighting`.
    """

    def __init__(self, look: Callable[[], Reweighting]) -> None:
        object.__setattr__(self, "_look", look)

    def _settle(self) -> Reweighting:
        """Look, and become what was seen."""
        seen = object.__getattribute__(self, "_look")()
        state = object.__getattribute__(self, "__dict__")
        state.clear()
        state.update(vars(seen))
        object.__setattr__(self, "__class__", Reweighting)
        return self

    def __getattribute__(self, name: str) -> Any:
        """Return what was seen; Python's own names ask nothing."""
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        return getattr(self._settle(), name)

    def __eq__(self, other: object) -> bool:
        """Return whether two updates saw and did the same."""
        return self._settle() == other

    def __hash__(self) -> int:
        """Return a hash of what was seen."""
        return hash(self._settle())

    def __repr__(self) -> str:
        """Return what was seen."""
        return repr(self._settle())
