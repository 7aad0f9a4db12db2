"""What the shards of a data set tell each other: integers, so all shardings give the same bits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


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

    def total(self, counts: Tensor) -> Tensor:
        """Return, entry by entry, the sum of all ranks' counts."""
        return self._reduced(counts, dist.ReduceOp.SUM)

    def _reduced(self, numbers: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
        """Return numbers reduced over the group, in main memory."""
        travelling = numbers.clone().to(self.device)
        try:
            dist.all_reduce(travelling, op=operation, group=self.group)
        except RuntimeError as error:
            msg = f"a rank of the group is gone, or later than the group's timeout: {error}"
            raise RuntimeError(msg) from error
        return travelling.cpu()
