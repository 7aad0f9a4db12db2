"""The smaller its loss, the more a label is believed: what plain training says of labels."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from experiments.method import Method


class SmallLoss(Method):
    """Training by weighted losses, of which the losses are asked for as well.

    Notes
    -----
    Source: ours, to compare with; networks fit right labels first (Arpit et al. 2017). Cost: a pass
    over the training samples at every evaluation.

    """

    def cleanness(self, losses: Callable[[], Tensor]) -> Tensor:
        """Return the losses' negatives, (N,)."""
        return -losses()
