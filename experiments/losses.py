"""Per-sample losses J(theta; x_i, y_i) from logits.

`logits` have shape (B, K), `labels` shape (B,), every loss shape (B,). With p = softmax(logits):
cce = -log p_y, mae = ||p - onehot||_1, mse = ||p - onehot||_2^2, gce = (1 - p_y^q) / q.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from experiments.spec import Run

PointwiseLoss = Callable[[Tensor, Tensor], Tensor]


def pointwise_loss(run: Run) -> PointwiseLoss:
    """Return the supervised loss (logits (B, K), labels (B,)) -> (B,), in the run's convention.

    Notes
    -----
    Source: ICLR paper, Appendix C (cce, mae, mse, elr), Zhang & Sabuncu 2018 (gce). ELR's
    supervised term is cross-entropy. With ``probability_clip`` the cross-entropy is that of a
    softmax clipped to [clip, 1 - clip], whose gradient vanishes outside.

    Examples
    --------
    >>> import torch
    >>> from experiments.spec import Run
    >>> run = Run(dataset="digits", model="mlp", loss="mae", noise_rate=0.0, seed=0)
    >>> pointwise_loss(run)(torch.zeros(1, 4), torch.tensor([2]))  # |1/4 - 1| + 3/4
    tensor([1.5000])

    """

    def cce(logits: Tensor, labels: Tensor) -> Tensor:
        if not run.probability_clip:
            return F.cross_entropy(logits, labels, reduction="none")
        p = logits.softmax(dim=1).gather(1, labels[:, None])[:, 0]
        return -p.clamp(run.probability_clip, 1 - run.probability_clip).log()

    def over_classes(entries: Tensor) -> Tensor:
        return entries.sum(dim=1) if run.class_reduction == "sum" else entries.mean(dim=1)

    def residual(logits: Tensor, labels: Tensor) -> Tensor:
        return logits.softmax(dim=1) - F.one_hot(labels, logits.shape[1])

    def gce(logits: Tensor, labels: Tensor) -> Tensor:
        log_p = F.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
        return (1 - (run.gce_q * log_p).exp()) / run.gce_q

    losses: dict[str, PointwiseLoss] = {
        "cce": cce,
        "elr": cce,
        "gce": gce,
        "mae": lambda logits, labels: over_classes(residual(logits, labels).abs()),
        "mse": lambda logits, labels: over_classes(residual(logits, labels).square()),
    }
    return losses[run.loss]
