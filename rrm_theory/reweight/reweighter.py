r"""A weight per training sample, updated by the closed form of the weight problem.

    u <- mu u* + (1 - mu) u,    u*_i = -1/N on chi, |chi| / (N |I_min|) on I_min, 0 elsewhere

with mu = `step`, chi = {i : c_i > c_min + gamma} = `pruned`, p = 1/N + u = `weights`. The module
stores N p, so that an untouched sample has exactly 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import cache
from importlib import import_module
from numbers import Integral, Real
from types import ModuleType

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import ArrayLike
from torch import Tensor

from rrm_theory._checks import (
    LARGEST,
    fraction_of_samples,
    loss_vector,
    positive,
    refuse_inexact_integers,
)
from rrm_theory._exact import exact_cut, samples_to_prune
from rrm_theory.reweight import order, plain
from rrm_theory.reweight.group import Ranks

# No key of any type is larger; -1 minus it is smaller than all.
LARGEST_KEY = 2**63 - 1


class ReweightOutcome(Enum):
    """What an update did; the value is the message."""

    REWEIGHTED = "Mass moved from the pruned samples to the cheapest ones."
    NOTHING_PRUNED = "No loss lies above the cut; the target is the nominal weights."
    GAMMA_ZERO = (
        "The level is the smallest loss itself, so gamma = 0: outside Theorem 3.1. Everything "
        "above the minimum was pruned; ask for less contamination, or set gamma."
    )
    NO_LEVEL = (
        "No level exists: more than (1 - contamination) N samples tie at the smallest loss. The "
        "weights stay as they were. Ask for less contamination, or set gamma."
    )


@dataclass(frozen=True, kw_only=True)
class Reweighting:
    """What one update saw and did.

    Attributes
    ----------
    minimum
        c_min, loss units.
    threshold
        The largest float64 that is kept: losses above it are pruned. NaN if no level exists.
    n_samples, n_minimum, n_pruned
        N, |I_min|, |chi|.
    outcome
        Which case occurred.

    """

    minimum: float
    threshold: float
    n_samples: int
    n_minimum: int
    n_pruned: int
    outcome: ReweightOutcome

    @property
    def freed_mass(self) -> Fraction:
        """Probability that u* moves, |chi| / N, exact."""
        return Fraction(self.n_pruned, self.n_samples)


class Reweighter(torch.nn.Module):
    r"""Weights ``p = 1/N + u`` with ``u <- mu u* + (1 - mu) u`` at every update.

    Parameters
    ----------
    n_samples
        N >= 1, the number of training samples; sample indices run from 0 to N - 1.
    gamma
        Price > 0 per unit of total variation in the convention of Eq. (2), loss units. Give
        either ``gamma`` or ``contamination``.
    contamination
        C' in [0, 1): every update cuts at the level of Section 3.5.1, so that at least this
        fraction is pruned. A float is read as the decimal that denotes it.
    step
        mu in (0, 1]. With ``contamination`` it must be 1, as Algorithm 1 sets it.
    dtype
        Type of ``rw[index]`` and of the stored weights: float32 or float64.
    group
        A ``torch.distributed`` group whose ranks hold shards of the data: ``n_samples`` and indices
        are then this rank's own, of any size, also 0; N is the sum. Constructing and updating are
        collective, and give the bits that one process would, however the data is sharded. The
        collectives work on the CPU or on the device of the weights, as the group does.

    Raises
    ------
    ValueError
        If an argument is outside its domain, or not exactly one of gamma and contamination is
        given.

    Notes
    -----
    Source: ICLR paper, Corollary 3.1.1, Algorithms 1 and 3 (with u in its last line, theory.md
    A.6), Section 3.5.1 (theory.md A.7). Exact in the pruned set and all counts; weights rounded to
    ``dtype``. Cost O(N) an update: two passes over losses in main memory (compiled by numba, the
    first time for a second or two), plain torch on other devices. State: ``scaled_weights`` and
    ``pruned``, both buffers of length N, so ``.to(device)`` and ``state_dict`` work. Not supported:
    complex or -inf losses.

    Examples
    --------
    >>> rw = Reweighter(4, gamma=2.0)
    >>> rw[[0, 1]]
    tensor([1., 1.])
    >>> rw.update([0.0, 1.0, 10.0, 20.0]).freed_mass  # two of four samples leave
    Fraction(1, 2)
    >>> rw[[0, 1, 2, 3]]  # and their mass lands on the cheapest one
    tensor([3., 1., 0., 0.])

    """

    n_samples: int
    n_total: int
    ranks: Ranks | None
    gamma: float | None
    contamination: Fraction | None
    mu: float
    scaled_weights: Tensor
    pruned: Tensor
    recorded: Tensor | None
    times: Tensor | None

    def __init__(
        self,
        n_samples: int,
        *,
        gamma: float | None = None,
        contamination: float | Fraction | None = None,
        step: float = 1.0,
        dtype: torch.dtype = torch.float32,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        least = 1 if group is None else 0
        if isinstance(n_samples, bool) or not isinstance(n_samples, Integral) or n_samples < least:
            msg = f"n_samples must be an integer of at least {least}, got {n_samples!r}."
            raise ValueError(msg)
        if (gamma is None) == (contamination is None):
            msg = (
                "give exactly one of gamma and contamination, got "
                f"gamma={gamma!r}, contamination={contamination!r}."
            )
            raise ValueError(msg)
        if not isinstance(step, Real) or not 0 < step <= 1:
            msg = f"step must lie in (0, 1], got {step!r}."
            raise ValueError(msg)
        if contamination is not None and step != 1:
            msg = f"step must be 1 with contamination (Algorithm 1), got {step!r}."
            raise ValueError(msg)
        if dtype not in (torch.float32, torch.float64):
            msg = f"dtype must be torch.float32 or torch.float64, got {dtype}."
            raise ValueError(msg)
        self.n_samples = int(n_samples)
        self.gamma = None if gamma is None else positive(gamma, "gamma")
        self.contamination = (
            None if contamination is None else fraction_of_samples(contamination, "contamination")
        )
        self.mu = float(step)
        self.register_buffer("scaled_weights", torch.ones(n_samples, dtype=dtype))
        self.register_buffer("pruned", torch.zeros(n_samples, dtype=torch.bool))
        self.ranks = None if group is None else Ranks(group)
        self.n_total = self.n_samples
        if self.ranks is not None:
            self.n_total = int(self.ranks.total(torch.tensor([self.n_samples])))
            if not self.n_total:
                msg = "n_samples must be positive on some rank, got 0 on all."
                raise ValueError(msg)
        # What the pass in progress has recorded: a pass is repeated, not resumed.
        self.register_buffer("recorded", None, persistent=False)
        self.register_buffer("times", None, persistent=False)

    def extra_repr(self) -> str:
        """Return the settings, for ``repr``."""
        price = (
            f"gamma={self.gamma}"
            if self.gamma is not None
            else f"contamination={self.contamination}"
        )
        return f"{self.n_samples}, {price}, step={self.mu}"

    @torch.no_grad()
    def update(self, losses: Tensor | ArrayLike) -> Reweighting:
        r"""Set ``u <- mu u*(losses) + (1 - mu) u`` and return what was pruned.

        Parameters
        ----------
        losses
            The loss of every sample, shape (N,), in the order of the sample indices, loss units.
            Every float type, and integers up to 2^53; at most 2^960 in absolute value, or +inf,
            which is pruned. Compared exactly.

        Returns
        -------
        Reweighting
            Minimum, threshold, counts, freed mass and outcome.

        Raises
        ------
        ValueError
            If ``losses`` has not shape (N,), is outside the range above, or is NaN or -inf
            anywhere or +inf everywhere; the weights are then as before.

        Examples
        --------
        >>> rw = Reweighter(3, contamination=0.3)  # one of three
        >>> rw.update(torch.tensor([0.5, 0.0, 9.0])).threshold
        0.5

        """
        if self.ranks is not None:
            return self._update_sharded(losses, self.ranks)
        c = _losses(losses, self.n_samples, self.scaled_weights.device)
        do, integers = _operations(c.device.type), order.bits(c)
        scanned = do.scan(integers)
        _refuse(c, scanned.lowest, scanned.highest)
        _refuse_infinite(scanned.lowest, c.dtype, self.n_total)
        minimum = order.value(scanned.lowest, c.dtype)
        smallest = order.largest_key(minimum, c.dtype)
        n_minimum = do.count_minimum(integers, scanned, smallest)
        threshold = self._threshold(do, integers, minimum, c.dtype)
        if threshold is None:
            return self._found(minimum, None, n_minimum, 0)
        cut, w = order.largest_key(threshold, c.dtype), self.scaled_weights
        if self.mu == 1:
            n_pruned = do.prune(integers, cut, w, self.pruned)
            do.place(integers, scanned, smallest, _heavy(n_minimum, n_pruned), w)
        else:
            n_pruned = do.count_pruned(integers, cut, self.pruned)
            do.blend(integers, smallest, _heavy(n_minimum, n_pruned), self.mu, w, self.pruned)
        return self._found(minimum, threshold, n_minimum, n_pruned)

    def _update_sharded(
        self, losses: Tensor | ArrayLike, ranks: Ranks, refusal: ValueError | None = None
    ) -> Reweighting:
        """Update this rank's shard by what all ranks found; nothing is written before all agree.

        A rank that refuses still takes part, so that the others hear of it and do not wait.
        """
        scanned, c = plain.Scan(lowest=LARGEST_KEY, highest=LARGEST_KEY), torch.empty(0)
        try:
            c = _losses(losses, self.n_samples, self.scaled_weights.device)
            do = _operations(c.device.type)
            if c.numel():
                scanned = do.scan(order.bits(c))
                _refuse(c, scanned.lowest, scanned.highest)
        except ValueError as error:
            refusal = refusal or error
        mine, kind = self._settings(), list(order.INTEGERS).index(c.dtype)
        # Without losses a rank agrees to any type of them.
        kinds = [kind, ~kind] if c.numel() else [LARGEST_KEY, LARGEST_KEY]
        same, other, kind, other_kind, fine, lowest = ranks.smallest(
            [mine, ~mine, *kinds, 0 if refusal is None else -1, scanned.lowest]
        )
        if refusal is not None:
            raise refusal
        if fine < 0:
            msg = "losses of another rank were refused; it says why."
            raise ValueError(msg)
        if same != ~other or kind != ~other_kind:
            msg = "the ranks must agree about gamma, contamination, step and types, and do not."
            raise ValueError(msg)
        c = c.to(list(order.INTEGERS)[kind])
        integers = order.bits(c)
        _refuse_infinite(lowest, c.dtype, self.n_total)
        minimum = order.value(lowest, c.dtype)
        smallest = order.largest_key(minimum, c.dtype)
        threshold = self._sharded_threshold(do, integers, minimum, c.dtype, ranks)
        cut = None if threshold is None else order.largest_key(threshold, c.dtype)
        marks = torch.zeros_like(self.pruned)
        counts = torch.zeros(2, dtype=torch.int64)
        if c.numel():
            counts[0] = do.count_minimum(integers, scanned, smallest)
            counts[1] = 0 if cut is None else do.count_pruned(integers, cut, marks)
        n_minimum, n_pruned = ranks.total(counts).tolist()
        if threshold is None or cut is None:
            return self._found(minimum, None, n_minimum, 0)
        if c.numel():
            heavy = _heavy(n_minimum, n_pruned)
            if self.mu == 1:
                do.prune(integers, cut, self.scaled_weights, self.pruned)
                do.place(integers, scanned, smallest, heavy, self.scaled_weights)
            else:
                self.pruned.copy_(marks)
                do.blend(integers, smallest, heavy, self.mu, self.scaled_weights, self.pruned)
        return self._found(minimum, threshold, n_minimum, n_pruned)

    def _sharded_threshold(
        self, do: ModuleType, integers: Tensor, minimum: float, dtype: torch.dtype, ranks: Ranks
    ) -> float | None:
        """Return the largest float64 that no rank prunes; None if no level exists."""
        if self.gamma is not None:
            return exact_cut(minimum, self.gamma)[0]
        assert self.contamination is not None
        k, width = samples_to_prune(self.contamination, self.n_total), order.width(dtype)
        bound = order.infinite_key(dtype)
        if k:

            def histogram(shift: int, prefix: int) -> Tensor:
                return ranks.total(do.histogram(integers, shift, prefix))

            bound = order.smallest_equal(order.kth_largest(histogram, width, k))
        below = do.largest_below(integers, bound) if integers.numel() else None
        nothing = -1 - LARGEST_KEY
        level = ~ranks.smallest([~(nothing if below is None else below)])[0]
        return None if level == nothing else order.value(level, dtype)

    def _settings(self) -> int:
        """Return a number that ranks share iff they were asked for the same."""
        asked = (self.gamma, self.contamination, self.mu, self.scaled_weights.dtype)
        return int.from_bytes(hashlib.sha256(repr(asked).encode()).digest()[:7])

    def _found(
        self, minimum: float, threshold: float | None, n_minimum: int, n_pruned: int
    ) -> Reweighting:
        """Return what an update saw and did."""
        if threshold is None:
            outcome, threshold = ReweightOutcome.NO_LEVEL, float("nan")
        else:
            outcome = _outcome(n_pruned, at_minimum=threshold == minimum)
        return Reweighting(
            minimum=minimum,
            threshold=threshold,
            n_samples=self.n_total,
            n_minimum=n_minimum,
            n_pruned=n_pruned,
            outcome=outcome,
        )

    @torch.no_grad()
    def record(self, index: ArrayLike | Tensor, losses: Tensor | ArrayLike) -> None:
        """Keep the losses of some samples until `step`, as an ordinary pass meets them.

        Parameters
        ----------
        index
            Which samples, integers in [0, N), shape (B,).
        losses
            Their losses, shape (B,), of one type throughout a pass.

        Raises
        ------
        ValueError
            If an index is unknown or was recorded before in this pass, or shapes or types differ.
            Nothing of the call is recorded then. On a GPU, which an inspection would stall, `step`
            finds out.

        Examples
        --------
        >>> rw = Reweighter(4, gamma=2.0)
        >>> rw.record([0, 1], [0.0, 1.0])
        >>> rw.record([3, 2], [20.0, 10.0])
        >>> rw.step().n_pruned
        2

        """
        i = self._index(index).to(self.scaled_weights.device)
        given = losses if isinstance(losses, Tensor) else torch.as_tensor(losses)
        c = given.detach().to(self.scaled_weights.device)
        if i.dim() != 1 or c.shape != i.shape:
            msg = (
                "losses and index must be vectors of one length, got shapes "
                f"{tuple(c.shape)} and {tuple(i.shape)}."
            )
            raise ValueError(msg)
        dtype = c.dtype if c.dtype in order.INTEGERS else torch.float64
        if self.recorded is None or self.times is None:
            self.recorded = torch.empty(self.n_samples, dtype=dtype, device=c.device)
            self.times = torch.zeros(self.n_samples, dtype=torch.int32, device=c.device)
        if dtype != self.recorded.dtype:
            before = self.recorded.dtype
            msg = f"losses must keep their type in a pass, got {dtype} after {before}."
            raise ValueError(msg)
        once = torch.ones_like(i, dtype=torch.int32)
        self.times.index_add_(0, i, once)
        if i.device.type == "cpu" and (again := self.times[i] > 1).any():
            self.times.index_add_(0, i, -once)
            msg = f"index must not repeat in a pass, got sample {int(i[again][0])} again."
            raise ValueError(msg)
        self.recorded[i] = c.to(dtype)

    def step(self) -> Reweighting:
        """Update with the losses recorded since the last step, and forget them.

        Returns
        -------
        Reweighting
            As `update`.

        Raises
        ------
        ValueError
            If a sample has no loss or, on a GPU, more than one; as `update` for the losses
            themselves. What was recorded is then kept. With a group, all ranks hear of it.

        """
        refusal = self._incomplete()
        recorded = torch.empty(0) if self.recorded is None else self.recorded
        if self.ranks is not None:
            update = self._update_sharded(recorded, self.ranks, refusal)
        elif refusal is not None:
            raise refusal
        else:
            update = self.update(recorded)
        self.recorded = self.times = None
        return update

    def _incomplete(self) -> ValueError | None:
        """Return why the pass in progress cannot be stepped on, None if it can."""
        if self.times is None:
            if not self.n_samples:
                return None
            return ValueError("step needs a loss of every sample, got none; call record first.")
        wrong = self.times != 1
        if not wrong.any():
            return None
        i = int(wrong.int().argmax())
        return ValueError(
            f"step needs one loss of every sample, got {int(self.times[i])} of sample {i} "
            f"({int(wrong.sum())} such samples)."
        )

    def _threshold(
        self, do: ModuleType, integers: Tensor, minimum: float, dtype: torch.dtype
    ) -> float | None:
        """Return the largest float64 that is not pruned; None if no level exists."""
        if self.gamma is not None:
            return exact_cut(minimum, self.gamma)[0]
        assert self.contamination is not None
        k = samples_to_prune(self.contamination, self.n_samples)
        # The level is the largest finite loss, below the K-th largest if K > 0.
        if k:
            level = do.level(integers, k)
        else:
            level = do.largest_below(integers, order.infinite_key(dtype))
        return None if level is None else order.value(level, dtype)

    @property
    def weights(self) -> Tensor:
        """Probabilities p of the samples here, float64; all of them sum to 1, up to rounding."""
        return self.scaled_weights.double() / self.n_total

    @property
    def u(self) -> Tensor:
        """Displacement ``p - 1/N`` of the samples here, float64, probability."""
        return (self.scaled_weights.double() - 1) / self.n_total

    def __len__(self) -> int:
        """Return how many samples are here: N, or this rank's share of it."""
        return self.n_samples

    def __iter__(self) -> Iterator[Tensor]:
        """Return an iterator over the scaled weights."""
        return iter(self.scaled_weights.clone())

    def __getitem__(self, index: int | slice | ArrayLike | Tensor) -> Tensor:
        """Return ``N p_i`` for the given sample indices: 1 is untouched, 0 is removed.

        Parameters
        ----------
        index
            An index, a slice, or integers of any shape, each in [0, N).

        Returns
        -------
        Tensor
            Scaled weights in the shape of ``index``, of type ``dtype``, without gradient.

        Raises
        ------
        ValueError
            If an index is unknown, that is, below 0, N or more, or not an integer. Indices on a
            GPU are not inspected, which would stall it: there torch stops on N or more, and takes
            -1 to -N from the end.

        """
        if isinstance(index, slice):
            return self.scaled_weights[index].clone()
        i = self._index(index)
        return self.scaled_weights.take(i.to(self.scaled_weights.device))

    def _index(self, index: ArrayLike | Tensor) -> Tensor:
        """Return sample indices as int64, or raise a ValueError that names an unknown one."""
        i = index if isinstance(index, Tensor) else _integers(index)
        if i.dtype.is_floating_point or i.dtype.is_complex or i.dtype == torch.bool:
            msg = f"index must hold integers, got {i.dtype}."
            raise ValueError(msg)
        i = i.long()  # torch would take uint8 for a mask
        if i.device.type == "cpu" and i.numel():
            low, high = int(i.min()), int(i.max())
            if low < 0 or high >= self.n_samples:
                unknown = low if low < 0 else high
                msg = f"index must lie in [0, {self.n_samples}), got the unknown sample {unknown}."
                raise ValueError(msg)
        return i


def _outcome(n_pruned: int, *, at_minimum: bool) -> ReweightOutcome:
    """Return what an update did, from its counts and whether it cut at the smallest loss."""
    if not n_pruned:
        return ReweightOutcome.NOTHING_PRUNED
    return ReweightOutcome.GAMMA_ZERO if at_minimum else ReweightOutcome.REWEIGHTED


def _integers(index: ArrayLike) -> Tensor:
    """Return an index given as a number, a sequence or an array as int64, whatever its layout."""
    given = np.asarray(index)
    if given.size and given.dtype.kind not in "iu":
        msg = f"index must hold integers, got {given.dtype}."
        raise ValueError(msg)
    return torch.from_numpy(np.array(given, dtype=np.int64, order="C"))


def _heavy(n_minimum: int, n_pruned: int) -> float:
    """Return N p on I_min: one division of integers, rounded once, the same bits everywhere."""
    return (n_minimum + n_pruned) / n_minimum


@cache
def _operations(device: str) -> ModuleType:
    """Return the loops for losses in main memory where numba can be imported, else plain torch."""
    if device == "cpu":
        with suppress(ImportError):
            return import_module("rrm_theory.reweight.compiled")
    return import_module("rrm_theory.reweight.plain")


def _losses(losses: Tensor | ArrayLike, n: int, device: torch.device) -> Tensor:
    """Return the losses in their float type, or in float64 if they are not floats of torch."""
    given = losses if isinstance(losses, Tensor) else torch.from_numpy(loss_vector(losses))
    if given.shape != (n,):
        msg = f"losses must have shape ({n},), one per sample, got {tuple(given.shape)}."
        raise ValueError(msg)
    if given.dtype == torch.bool or given.dtype.is_complex:
        msg = f"losses must be real numbers, got {given.dtype}."
        raise ValueError(msg)
    if not given.dtype.is_floating_point:
        refuse_inexact_integers(given.tolist())
    # Types that are shorter still embed exactly in float64.
    dtype = given.dtype if given.dtype in order.INTEGERS else torch.float64
    return given.detach().to(device=device, dtype=dtype)


def _refuse(c: Tensor, lowest: int, highest: int) -> None:
    """Raise a ValueError if a loss is NaN or out of range."""
    infinite = order.infinite_key(c.dtype)
    if highest > infinite or lowest < -1 - infinite:
        msg = f"losses must not be NaN, got nan at index {int(torch.isnan(c).int().argmax())}."
        raise ValueError(msg)
    limit = order.largest_key(LARGEST, c.dtype)
    if lowest < -1 - limit or (highest > limit and limit < infinite):
        beyond = (c.abs().double() > LARGEST) & (c != torch.inf)
        if beyond.any():
            i = int(beyond.int().argmax())
            msg = f"losses must lie in [-2^960, 2^960] or be +inf, got {c[i]} at index {i}."
            raise ValueError(msg)


def _refuse_infinite(lowest: int, dtype: torch.dtype, n: int) -> None:
    """Raise a ValueError if all losses are +inf."""
    if lowest == order.infinite_key(dtype):
        msg = f"losses must hold a finite value, got only +inf ({n} of them)."
        raise ValueError(msg)
