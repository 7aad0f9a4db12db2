r"""A weight per training sample, updated by the closed form of the weight problem.

    u <- mu u* + (1 - mu) u,    u*_i = -1/N on chi, |chi| / (N |I_min|) on I_min, 0 elsewhere

with mu = `step`, chi = {i : c_i > c_min + gamma}, p = 1/N + u = `weights`; a cap or a budget make
another u* (theory.md A.8, A.9). What is kept is each sample's part of u* and N p on the parts, so
that an untouched sample has exactly 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import cache, partial
from importlib import import_module
from numbers import Integral, Real
from types import ModuleType
from typing import Self

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import ArrayLike
from torch import Tensor
from torch._compile import _disable_dynamo

from rrm_theory._checks import at_least_one, fraction_of_samples, positive
from rrm_theory._exact import exact_cut, samples_to_prune
from rrm_theory.reweight import order
from rrm_theory.reweight.arguments import all_infinite, floats, integers, refusal, refuse
from rrm_theory.reweight.parts import Part, shares
from rrm_theory.reweight.reweighting import LateReweighting, Reweighting, ReweightOutcome
from rrm_theory.reweight.shards import Ranks, agree
from rrm_theory.reweight.target import Losses, Target, by_level, by_moves, by_price


# What _disable_dynamo marks is compiled already: torch.compile calls it and does not trace it. Its
# public name, torch.compiler.disable, would import the compiler here and not when it is needed.
class Reweighter(torch.nn.Module):
    r"""Weights ``p = 1/N + u`` with ``u <- mu u* + (1 - mu) u`` at every update.

    Parameters
    ----------
    n_samples
        N >= 1, the number of training samples; sample indices run from 0 to N - 1.
    gamma
        Price > 0 per unit of total variation in the convention of Eq. (2), loss units. Give
        exactly one of ``gamma``, ``contamination`` and ``budget``.
    contamination
        C' in [0, 1): every update cuts at the level of Section 3.5.1, so that at least this
        fraction is pruned. A float is read as the decimal that denotes it.
    budget
        rho in [0, 1), total variation: every update moves this much mass from the largest losses,
        the last of them in part, or less if there is no more to gain, as
        :func:`rrm_theory.trimmed_risk` does. Read likewise.
    cap
        kappa >= 1: no sample gets more than kappa / N. The mass then fills the smallest losses one
        after the other, as in :func:`rrm_theory.capped_relax`; with ``contamination`` at the price
        that the level less c_min is. Read likewise; no cap if not given.
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
        If an argument is outside its domain, or not exactly one of gamma, contamination and budget
        is given.

    Notes
    -----
    Source: ICLR paper, Corollary 3.1.1, Algorithms 1 and 3 (with u in its last line, theory.md
    A.6), Section 3.5.1 (theory.md A.7); theory.md A.8, A.9. Exact in the parts and all counts;
    weights rounded to ``dtype``. Cost O(N) an update: two passes over the losses at a fixed price,
    three at a contamination, one more for each bit of a loss with a cap. On the CPU numba compiles
    them, the first time for some seconds. On a GPU `update` at a price or a contamination, without
    a group, only queues Triton kernels; the rest, and other devices, are served by torch. State:
    ``parts`` (a byte for each sample), ``shares`` and, if step < 1, ``blended``, all buffers, so
    ``.to(device)`` and ``state_dict`` work; conversions such as ``.half()`` leave their types. Not
    supported: complex or -inf losses; being a part of a ``DistributedDataParallel`` model, which
    would overwrite the buffers.

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
    budget: Fraction | None
    cap: Fraction | None
    mu: float
    parts: Tensor
    shares: Tensor
    blended: Tensor | None
    refused: Tensor
    recorded: Tensor | None
    times: Tensor | None

    @torch.inference_mode(mode=False)
    def __init__(
        self,
        n_samples: int,
        *,
        gamma: float | None = None,
        contamination: float | Fraction | None = None,
        budget: float | Fraction | None = None,
        cap: float | Fraction | None = None,
        step: float = 1.0,
        dtype: torch.dtype = torch.float32,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        least = 1 if group is None else 0
        if isinstance(n_samples, bool) or not isinstance(n_samples, Integral) or n_samples < least:
            msg = f"n_samples must be an integer of at least {least}, got {n_samples!r}."
            raise ValueError(msg)
        if sum(given is not None for given in (gamma, contamination, budget)) != 1:
            msg = (
                "give exactly one of gamma, contamination and budget, got "
                f"gamma={gamma!r}, contamination={contamination!r}, budget={budget!r}."
            )
            raise ValueError(msg)
        if isinstance(step, bool) or not isinstance(step, Real) or not 0 < float(step) <= 1:
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
        self.budget = None if budget is None else fraction_of_samples(budget, "budget")
        self.cap = None if cap is None else at_least_one(cap, "cap")
        self.mu = float(step)
        self.register_buffer("parts", torch.full((n_samples,), Part.UNTOUCHED, dtype=torch.uint8))
        self.register_buffer("shares", torch.ones(len(Part), dtype=dtype))
        blended = None if step == 1 else torch.ones(n_samples, dtype=dtype)
        self.register_buffer("blended", blended)
        self.ranks = None if group is None else Ranks(group)
        self.n_total = self.n_samples
        if self.ranks is not None:
            self.n_total = int(self.ranks.total(torch.tensor([self.n_samples])))
            if not self.n_total:
                msg = "n_samples must be positive on some rank, got 0 on all."
                raise ValueError(msg)
        # Raised on a GPU by losses that were refused, until the host looks.
        self.register_buffer("refused", torch.zeros(2, dtype=torch.int64), persistent=False)
        self._last: Reweighting | tuple[Tensor, torch.dtype] | None = None
        # What the pass in progress has recorded: a pass is repeated, not resumed.
        self.register_buffer("recorded", None, persistent=False)
        self.register_buffer("times", None, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move to where a function moves tensors, and keep their types: weights stay exact."""
        del recurse
        device = fn(torch.empty(0, device=self.parts.device)).device
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = buffer.to(device)
        return self

    def extra_repr(self) -> str:
        """Return the settings, for ``repr``."""
        names = ("gamma", "contamination", "budget", "cap")
        given = {name: getattr(self, name) for name in names}
        settings = [f"{name}={value}" for name, value in given.items() if value is not None]
        return ", ".join([str(self.n_samples), *settings, f"step={self.mu}"])

    @_disable_dynamo
    @torch.inference_mode(mode=False)
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
            Minimum, threshold, counts, freed mass and outcome. If the update was queued on a GPU,
            asking for one of them waits for it.

        Raises
        ------
        ValueError
            If ``losses`` has not shape (N,), is outside the range above, or is NaN or -inf
            anywhere or +inf everywhere; the weights are then as before. Of values on a GPU this is
            heard when the host next looks: at this report, a later one, or `latest`.

        Examples
        --------
        >>> rw = Reweighter(3, contamination=0.3)  # one of three
        >>> rw.update(torch.tensor([0.5, 0.0, 9.0])).threshold
        0.5

        """
        if self.ranks is not None:
            return self._update_sharded(losses, self.ranks)
        c = self._losses(losses)
        kernels = _kernels(c.device.type)
        if kernels is not None and self.cap is None and self.budget is None:
            return self._queue(kernels, c.contiguous())
        seen = Losses(_operations(c.device.type), order.bits(c), c.dtype)
        refuse(c, seen.lowest, seen.highest)
        self._last = self._move(seen, self.parts)
        return self._last

    def _queue(self, kernels: ModuleType, c: Tensor) -> Reweighting:
        """Queue an update on the GPU, and return what can be asked about it later."""
        gamma = self.gamma
        price = None if gamma is None else c.new_full((1,), gamma, dtype=torch.float64)
        k = 0 if gamma is not None else self._least_pruned()
        # Triton launches on the current device.
        with torch.cuda.device_of(c):  # type: ignore[no-untyped-call]
            state: Tensor = kernels.update(
                c, gamma=price, k=k, parts=self.parts, shares=self.shares, flag=self.refused
            )
            if self.blended is not None:
                step = self.shares.new_full((1,), self.mu)
                kernels.blend(state, self.parts, self.shares, step, self.blended)
        self._last = (state, c.dtype)
        return LateReweighting(partial(self._look, state, c.dtype))

    def _look(self, state: Tensor, dtype: torch.dtype) -> Reweighting:
        """Wait for the GPU, and return what an update did, or raise if losses were refused."""
        lowest, cut, n_minimum, n_pruned, written, *mine = state.tolist()
        # What another update was refused for, and nobody has looked at, is heard of here too.
        unheard = self.refused.tolist()
        place, key = told = mine if mine[0] else unheard
        if told == unheard:
            self.refused.zero_()
        if place < 0:
            raise ValueError(all_infinite(self.n_samples))
        if place:
            raise ValueError(refusal(place - 1, order.value(key, dtype)))
        minimum, threshold = order.value(lowest, dtype), float("nan")
        if not written:
            n_pruned = 0
        elif self.gamma is None:
            threshold = order.value(cut, dtype)
        else:
            threshold = exact_cut(minimum, self.gamma)[0]
        free = self.gamma is None and threshold == minimum
        return Reweighting(
            minimum=minimum,
            threshold=threshold,
            n_samples=self.n_samples,
            n_minimum=n_minimum,
            n_pruned=n_pruned,
            freed_mass=Fraction(n_pruned, self.n_samples),
            outcome=_outcome(n_pruned, exists=bool(written), free=free),
        )

    def latest(self) -> Reweighting | None:
        """Return what the latest update saw and did; None before the first.

        On a GPU it is read from there now: also from an update that a captured graph repeats, if
        no other one followed. Update once before capturing: kernels are compiled then.

        Raises
        ------
        ValueError
            On a GPU, if an update since the last look was refused; the weights are as before it.

        """
        return self._look(*self._last) if isinstance(self._last, tuple) else self._last

    def _update_sharded(
        self, losses: Tensor | ArrayLike, ranks: Ranks, refusal: ValueError | None = None
    ) -> Reweighting:
        """Update this rank's shard by what all ranks found; nothing is written before all agree."""
        c, ends = torch.empty(0), None
        do = _operations(self.parts.device.type)
        try:
            c = self._losses(losses)
            if c.numel():
                ends = do.scan(order.bits(c))
                refuse(c, *ends)
        except ValueError as error:
            refusal = refusal or error
        asked = (self.gamma, self.contamination, self.budget, self.cap, self.mu, self.shares.dtype)
        seen = agree(ranks, asked, do, c, ends, refusal)
        # Other ranks may yet be lost; the weights are then as before.
        self._last = self._move(seen, torch.empty_like(self.parts))
        return self._last

    def _move(self, losses: Losses, parts: Tensor) -> Reweighting:
        """Set the weights by what can be asked about the losses, and return what was done."""
        infinite = order.infinite_key(losses.dtype)
        if losses.lowest == infinite:
            raise ValueError(all_infinite(self.n_total))
        target = self._target(losses)
        report = partial(Reweighting, minimum=losses.minimum, n_samples=self.n_total)
        if target is None:
            return report(
                threshold=float("nan"),
                n_minimum=losses.count_minimum(),
                n_pruned=0,
                freed_mass=Fraction(0),
                outcome=_outcome(0, exists=False, free=False),
            )
        sizes = losses.mark(target.cuts, parts)
        n_pruned = sizes[-1]
        if target.moved is None:
            n_minimum, moved = sizes[1], Fraction(n_pruned)
        else:
            n_minimum, moved = losses.count_minimum(), target.moved
        room = Fraction(0) if self.cap is None else self.cap - 1
        # Quotients of integers, rounded once to float64: the same bits everywhere.
        exact = [float(share) for share in shares(sizes, moved, room)]
        if parts is not self.parts:
            self.parts.copy_(parts)
        self.shares.copy_(torch.tensor(exact, dtype=torch.float64))
        if self.blended is not None:
            _operations(parts.device.type).blend(parts, self.shares, self.mu, self.blended)
        if losses.highest == infinite and target.cuts.pruned >= infinite:
            outcome = ReweightOutcome.INFINITE
        else:
            outcome = _outcome(moved, exists=True, free=target.free)
        return report(
            threshold=target.threshold,
            n_minimum=n_minimum,
            n_pruned=n_pruned,
            freed_mass=moved / self.n_total,
            outcome=outcome,
        )

    def _target(self, losses: Losses) -> Target | None:
        """Return where the parts end; None if no level exists."""
        room = None if self.cap is None else self.cap - 1
        if self.budget is not None:
            most = self.budget * self.n_total
            return by_moves(losses, price=Fraction(0), most=most, room=room)
        if self.gamma is not None and room is None:
            return by_price(losses, self.gamma)
        if self.gamma is not None:
            return by_moves(losses, price=Fraction(self.gamma), most=None, room=room)
        return by_level(losses, self._least_pruned(), room)

    def _least_pruned(self) -> int:
        """Return K, how many samples the contamination asks to prune at least."""
        assert self.contamination is not None
        return samples_to_prune(self.contamination, self.n_total)

    def _losses(self, losses: Tensor | ArrayLike) -> Tensor:
        """Return the losses of all samples here, as floats on this device."""
        c = floats(losses)
        if c.shape != (self.n_samples,):
            n, shape = self.n_samples, tuple(c.shape)
            msg = f"losses must have shape ({n},), one per sample, got {shape}."
            raise ValueError(msg)
        return c.to(self.parts.device)

    @_disable_dynamo
    @torch.inference_mode(mode=False)
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
        i = self._index(index).to(self.parts.device)
        c = floats(losses).to(self.parts.device)
        if i.dim() != 1 or c.shape != i.shape:
            msg = (
                "losses and index must be vectors of one length, got shapes "
                f"{tuple(c.shape)} and {tuple(i.shape)}."
            )
            raise ValueError(msg)
        if self.recorded is None or self.times is None:
            self.recorded = torch.empty(self.n_samples, dtype=c.dtype, device=c.device)
            self.times = torch.zeros(self.n_samples, dtype=torch.int32, device=c.device)
        if c.dtype != self.recorded.dtype:
            before = self.recorded.dtype
            msg = f"losses must keep their type in a pass, got {c.dtype} after {before}."
            raise ValueError(msg)
        once = torch.ones_like(i, dtype=torch.int32)
        self.times.index_add_(0, i, once)
        if i.device.type == "cpu" and (again := self.times[i] > 1).any():
            self.times.index_add_(0, i, -once)
            msg = f"index must not repeat in a pass, got sample {int(i[again][0])} again."
            raise ValueError(msg)
        self.recorded[i] = c

    @_disable_dynamo
    @torch.inference_mode(mode=False)
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
            themselves. What was recorded is then kept, unless an update was queued. With a group,
            all ranks hear of it.

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

    @property
    def scaled_weights(self) -> Tensor:
        """N p of the samples here, of type ``dtype``, shape (N,): 1 is untouched, 0 is removed."""
        return self[:]

    @property
    def pruned(self) -> Tensor:
        """Where the latest target is without mass, bool, shape (N,)."""
        return self.parts == Part.PRUNED

    @property
    def weights(self) -> Tensor:
        """Probabilities p of the samples here, float64; all of them sum to 1, up to rounding."""
        return self.scaled_weights.double() / self.n_total

    @property
    def u(self) -> Tensor:
        """Displacement ``p - 1/N`` of the samples here, float64, probability."""
        return (self.scaled_weights.double() - 1) / self.n_total

    def mass(self) -> Fraction:
        """Return the sum of the stored p_i here, exactly: 1 in all, up to their rounding.

        Examples
        --------
        >>> rw = Reweighter(4, gamma=2.0)
        >>> update = rw.update([0.0, 1.0, 10.0, 20.0])
        >>> rw.mass()  # 3/4 + 1/4
        Fraction(1, 1)

        """
        values, counts = np.unique(self.scaled_weights.cpu().numpy(), return_counts=True)
        pairs = zip(values.tolist(), counts.tolist(), strict=True)
        return sum((Fraction(value) * n for value, n in pairs), Fraction(0)) / self.n_total

    def __len__(self) -> int:
        """Return how many samples are here: N, or this rank's share of it."""
        return self.n_samples

    def __iter__(self) -> Iterator[Tensor]:
        """Return an iterator over the scaled weights."""
        return iter(self.scaled_weights)

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
            if self.blended is not None:
                return self.blended[index].clone()
            return self.shares.take(self.parts[index].long())
        i = self._index(index).to(self.parts.device)
        if self.blended is not None:
            return self.blended.take(i)
        return self.shares.take(self.parts.take(i).long())

    def _index(self, index: ArrayLike | Tensor) -> Tensor:
        """Return sample indices as int64, or raise a ValueError that names an unknown one."""
        i = index if isinstance(index, Tensor) else integers(index)
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


def _outcome(moved: int | Fraction, *, exists: bool, free: bool) -> ReweightOutcome:
    """Return what an update did: whether mass moved, a level exists, and moves cost nothing."""
    if not exists:
        return ReweightOutcome.NO_LEVEL
    if not moved:
        return ReweightOutcome.NOTHING_PRUNED
    return ReweightOutcome.GAMMA_ZERO if free else ReweightOutcome.REWEIGHTED


@cache
def _kernels(device: str) -> ModuleType | None:
    """Return the kernels for losses on a GPU where Triton can be imported."""
    if device == "cuda":
        with suppress(ImportError):
            return import_module("rrm_theory.reweight.kernels")
    return None


@cache
def _operations(device: str) -> ModuleType:
    """Return the loops for losses in main memory where numba can be imported, else plain torch."""
    if device == "cpu":
        with suppress(ImportError):
            return import_module("rrm_theory.reweight.compiled")
    return import_module("rrm_theory.reweight.plain")
