"""What the shards of a data set tell each other: integers, so all shardings give the same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import ModuleType

import torch
import torch.distributed as dist
from torch import Tensor

from rrm_theory.reweight import order
from rrm_theory.reweight.parts import Cuts
from rrm_theory.reweight.target import Losses

# No key of any type is larger; -1 minus it is smaller than all.
LARGEST_KEY = 2**63 - 1


class Ranks:
    """The processes of a ``torch.distributed`` group.

    Parameters
    ----------
    group
        The group; with NCCL numbers travel on this process's current GPU, else in main memory.

    """

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.group = group
        self.device = torch.device("cuda" if dist.get_backend(group) == "nccl" else "cpu")

    def smallest(self, numbers: Sequence[int]) -> list[int]:
        """Return, entry by entry, the smallest of all ranks' numbers."""
        given = torch.tensor(list(numbers), dtype=torch.int64)
        answer: list[int] = self._reduced(given, dist.ReduceOp.MIN).tolist()
        return answer

    def total(self, counts: Sequence[int] | Tensor) -> Tensor:
        """Return, entry by entry, the sum of all ranks' counts."""
        given = counts if isinstance(counts, Tensor) else torch.tensor(list(counts))
        return self._reduced(given, dist.ReduceOp.SUM)

    def _reduced(self, numbers: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
        """Return numbers reduced over the group, in main memory."""
        travelling = numbers.clone().to(self.device)
        try:
            dist.all_reduce(travelling, op=operation, group=self.group)
        except RuntimeError as error:
            msg = f"a rank of the group is gone, or later than the group's timeout: {error}"
            raise RuntimeError(msg) from error
        return travelling.cpu()


class ShardedLosses(Losses):
    """The losses of all ranks together; every question is a collective."""

    def __init__(
        self, do: ModuleType, bits: Tensor, dtype: torch.dtype, ranks: Ranks, ends: tuple[int, int]
    ) -> None:
        self.do, self.bits, self.dtype, self.ranks = do, bits, dtype, ranks
        self.lowest, self.highest = ends

    def count(self, limit: int, cut: int) -> tuple[int, int]:
        """Return how many losses are at most the limit, and how many are above the cut."""
        low, high = self.ranks.total(self.do.count(self.bits, limit, cut)).tolist()
        return low, high

    def kth_largest(self, k: int) -> int:
        """Return the K-th largest loss, 1 <= K <= N."""

        def histogram(shift: int, digit: int, prefix: int) -> Tensor:
            mine = self.do.histogram(self.bits, self.lowest, shift, digit, prefix)
            return self.ranks.total(mine)

        return order.kth_largest(histogram, self.lowest, self.highest, k)

    def level(self, k: int) -> int | None:
        """Return the largest finite loss, below the K-th largest one if K > 0; None if none is."""
        bound = order.smallest_equal(self.kth_largest(k)) if k else order.infinite_key(self.dtype)
        below = self.do.largest_below(self.bits, bound)
        nothing = -1 - LARGEST_KEY
        level = ~self.ranks.smallest([~(nothing if below is None else below)])[0]
        return None if level == nothing else level

    def mark(self, cuts: Cuts, parts: Tensor) -> list[int]:
        """Write the samples' parts; return how many are full, raised, thinned, pruned on all."""
        sizes: list[int] = self.ranks.total(
            self.do.mark(self.bits, self.lowest, cuts, parts)
        ).tolist()
        return sizes


def agree(
    ranks: Ranks,
    settings: object,
    do: ModuleType,
    losses: Tensor,
    ends: tuple[int, int] | None,
    refusal: ValueError | None,
) -> ShardedLosses:
    """Return the losses of all ranks, or raise on all of them.

    Parameters
    ----------
    ranks
        The group.
    settings
        What all ranks must have asked for, told apart by its ``repr``.
    do
        The operations that serve the losses' device.
    losses
        This rank's, shape (n,).
    ends
        Their smallest and largest key; None if there are none.
    refusal
        Why this rank cannot go on. It takes part all the same, so that the others hear of it.

    Raises
    ------
    ValueError
        ``refusal`` where there is one; on the other ranks, and if ranks disagree, one that says so.

    """
    digest = int.from_bytes(hashlib.sha256(repr(settings).encode()).digest()[:7])
    # Without losses a rank agrees to any type of them, and its ends are no news.
    mine = [LARGEST_KEY] * 4
    if ends is not None:
        kind = list(order.INTEGERS).index(losses.dtype)
        mine = [kind, ~kind, ends[0], ~ends[1]]
    same, other, fine, kind, other_kind, lowest, above = ranks.smallest(
        [digest, ~digest, 0 if refusal is None else -1, *mine]
    )
    if refusal is not None:
        raise refusal
    if fine < 0:
        msg = "losses of another rank were refused; it says why."
        raise ValueError(msg)
    if same != ~other or kind != ~other_kind:
        msg = (
            "the ranks must agree about gamma, contamination, budget, cap, step and types, and "
            "do not."
        )
        raise ValueError(msg)
    dtype = list(order.INTEGERS)[kind]
    return ShardedLosses(do, order.bits(losses.to(dtype)), dtype, ranks, (lowest, ~above))
