r"""Every sample's weight after every re-weighting, exactly, in a byte a sample and re-weighting.

The target N p* takes one of five values, so what is kept is which one a sample has
(`rrm_theory.reweight.parts.Part`) and the five values; the damped weights follow, bit for bit, from

    w <- w + mu (share[part] - w)

in float32, as the reweighter itself computes it. Compressed, a byte is about a bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rrm_theory.reweight.parts import Part

Weights = NDArray[np.float32]

# N u at which Table 6 of the ICLR paper divides: quarters of what a sample starts with.
BIN_EDGES = (-0.75, -0.5, -0.25)
BINS = ("up", "about 0", "(-1/4, 0)", "(-1/2, -1/4]", "(-3/4, -1/2]", "[-1, -3/4]")
# What counts as zero, of a weight or of N u. The paper writes "~ 0" and prints u / 1e-5 to two
# digits; at its N = 48,000 the numbers that print as 0.00 are these.
ABOUT_ZERO = 0.005e-5 * 48_000
# A weight N p at which a sample that was without counts as back (Appendix F).
BACK = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """The re-weightings of a run.

    Attributes
    ----------
    parts
        Part of every sample at every re-weighting, uint8 (T, N).
    shares
        N p* on every part, float32 (T, 5).
    step
        mu.
    contaminated
        Which labels are wrong, bool (N,).
    epochs
        Epochs finished at every re-weighting, int64 (T,).
    losses
        What the last re-weighting saw, float32 (N,); None in files from before they were kept.

    """

    parts: NDArray[np.uint8]
    shares: NDArray[np.float32]
    step: float
    contaminated: NDArray[np.bool_]
    epochs: NDArray[np.int64]
    losses: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together, naming them."""
        n_steps, n_samples = self.parts.shape
        expected = {
            "shares": (n_steps, len(Part)),
            "contaminated": (n_samples,),
            "epochs": (n_steps,),
        }
        if self.losses is not None:
            expected["losses"] = (n_samples,)
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                msg = f"{name} must have shape {shape}, got {getattr(self, name).shape}."
                raise ValueError(msg)

    def steps(self) -> Iterator[Weights]:
        """Yield N p of every sample after every re-weighting, (N,) each; cost O(N) a step."""
        weights = np.ones(self.parts.shape[1], dtype=np.float32)
        step = np.float32(self.step)
        for part, share in zip(self.parts, self.shares, strict=True):
            target = share[part]
            weights = target if step == 1 else weights + step * (target - weights)
            yield weights

    def scaled_weights(self) -> Weights:
        """Return N p after every re-weighting, float32 (T, N)."""
        return np.stack(list(self.steps()))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays by name, for a file."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: np.asarray(value) for name, value in named.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Trajectory:
        """Return the trajectory that `arrays` was called on."""
        others = {name: array for name, array in arrays.items() if name != "step"}
        return cls(step=float(arrays["step"]), **others)


def bins(weights: Weights) -> NDArray[np.int64]:
    """Return the bin of `BINS` that every sample's N u = N p - 1 falls in, (N,).

    Source: ICLR paper, Table 6, whose edges are quarters of 1/N. Exact zeros of p are in the last
    one, which the paper's notation leaves out.

    Examples
    --------
    >>> [BINS[b] for b in bins(np.array([0.0, 0.5, 0.625, 1.0, 1.5], dtype=np.float32))]
    ['[-1, -3/4]', '(-3/4, -1/2]', '(-1/2, -1/4]', 'about 0', 'up']

    """
    scaled_u = weights.astype(np.float64) - 1
    below = len(BINS) - 1 - np.searchsorted(BIN_EDGES, scaled_u, side="left")
    return np.where(scaled_u >= ABOUT_ZERO, 0, np.where(scaled_u > -ABOUT_ZERO, 1, below))


def count_bins(trajectory: Trajectory) -> dict[str, NDArray[np.int64]]:
    """Return how many samples are in each bin after every re-weighting, (T, 6) by kind of label.

    Source: ICLR paper, Table 6. Cost O(T N).
    """
    wrong = trajectory.contaminated
    counts = {
        kind: [np.bincount(bins(w[mask]), minlength=len(BINS)) for w in trajectory.steps()]
        for kind, mask in (("contaminated", wrong), ("clean", ~wrong))
    }
    return {kind: np.array(count) for kind, count in counts.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class CloseCalls:
    """Clean samples by what became of them, bool (N,) each: Appendix F of the ICLR paper.

    *Never zero*: N p stayed at `ABOUT_ZERO` or above. The others were zero at some re-weighting:
    errors of *Type 1* are so at the end, a *close call* ends with N p >= 1/2, and what is *in
    between* the text does not name (it has none).
    """

    never_zero: NDArray[np.bool_]
    type_1: NDArray[np.bool_]
    close_calls: NDArray[np.bool_]
    in_between: NDArray[np.bool_]

    def counts(self) -> dict[str, int]:
        """Return the sizes, which sum to the number of clean samples."""
        return {field.name: int(getattr(self, field.name).sum()) for field in fields(self)}


def close_calls(trajectory: Trajectory) -> CloseCalls:
    """Return which clean samples were never without weight, were lost, came back, or nearly.

    Notes
    -----
    Source: ICLR paper, Appendix F. With mu < 1 a weight is halved (mu = 1/2) by every pruning and
    reaches `ABOUT_ZERO` only after several of them. Cost O(T N).
    """
    weights = trajectory.scaled_weights()
    clean = ~trajectory.contaminated
    ever = clean & (weights < ABOUT_ZERO).any(axis=0)
    gone, back = weights[-1] < ABOUT_ZERO, weights[-1] >= BACK
    return CloseCalls(
        never_zero=clean & ~ever,
        type_1=ever & gone,
        close_calls=ever & back,
        in_between=ever & ~gone & ~back,
    )


def pruning_quality(trajectory: Trajectory) -> dict[str, NDArray[np.float64]]:
    """Return precision and recall of the pruned set after every re-weighting, (T,) each.

    Precision is the share of wrong labels among the samples without target mass, nan if there are
    none; recall is the share of the wrong labels that are among them, nan if no label is wrong.
    """
    pruned = trajectory.parts == Part.PRUNED
    caught = (pruned & trajectory.contaminated).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return {
            "precision": caught / pruned.sum(axis=1),
            "recall": caught / trajectory.contaminated.sum(),
        }


def detection(trajectory: Trajectory) -> dict[str, float | None]:
    """Return how well the last weights tell wrong labels from right ones.

    ``auc`` is the probability that a wrong label has less weight than a right one, ties counting
    half; ``precision`` and ``recall`` are the pruned samples', `pruning_quality`, and ``pruned``
    their share of all. Where no label is known to be wrong all but ``pruned`` are None; so is
    ``auc`` where all are wrong, and ``precision`` where nothing is pruned. Cost O(T N + N log N).
    """
    wrong = trajectory.contaminated
    found: dict[str, float | None] = {"auc": _auc(wrong, trajectory.scaled_weights()[-1])}
    for name, values in pruning_quality(trajectory).items():
        known = wrong.any() and not np.isnan(values[-1])
        found[name] = float(values[-1]) if known else None
    found["pruned"] = float((trajectory.parts[-1] == Part.PRUNED).mean())
    return found


def weights_auc(trajectory: Trajectory) -> list[float | None]:
    """Return `detection`'s ``auc`` after every re-weighting; cost O(T N log N)."""
    return [_auc(trajectory.contaminated, weights) for weights in trajectory.steps()]


def _auc(wrong: NDArray[np.bool_], weights: NDArray[np.floating]) -> float | None:
    """Return how probably a wrong label has less weight than a right one, if there are both."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(wrong, -weights)) if wrong.any() and not wrong.all() else None


def distance_to_ideal(trajectory: Trajectory) -> NDArray[np.float64]:
    r"""Return the total variation ``1/2 sum_i |p_i - p*_i|`` after every re-weighting, (T,).

    The ideal p* is uniform on the samples whose label is right. At the start the distance is the
    fraction of wrong labels.
    """
    clean = ~trajectory.contaminated
    ideal = clean / clean.sum()
    n = len(clean)
    return np.array(
        [np.abs(w.astype(np.float64) / n - ideal).sum() / 2 for w in trajectory.steps()]
    )
