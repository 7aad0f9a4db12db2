"""Per-sample losses J(theta; x_i, y_i) from logits, and the ELR regulariser with its memory.

`logits` have shape (B, K), `labels` shape (B,), every loss shape (B,). With p = softmax(logits):
cce = -log p_y, mae = ||p - onehot||_1, mse = ||p - onehot||_2^2, gce = (1 - p_y^q) / q.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.spec import Run

PointwiseLoss = Callable[[Tensor, Tensor], Tensor]

# Liu et al. (2020) clip the probabilities that enter ELR's memory and logarithm by this much.
ELR_CLIP = 1e-4


def pointwise_loss(run: Run) -> PointwiseLoss:
    """Return the supervised loss (logits (B, K), labels (B,)) -> (B,), in the run's convention.

    Notes
    -----
    Source: ICLR paper, Appendix C (cce, mae, mse, elr), Zhang & Sabuncu 2018 (gce). ELR's
    supervised term is cross-entropy. With ``probability_clip`` the cross-entropy is that of a
    softmax clipped to [clip, 1 - clip], whose gradient vanishes outside.

    Examples
    --------
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


class Regulariser(torch.nn.Module):
    """The term a method adds to its supervised loss, per sample; here none.

    ``record`` is called on every training batch before ``forward`` and updates what the method
    remembers; whatever it remembers is a buffer, so it is part of every checkpoint.
    """

    def record(self, logits: Tensor, index: Tensor) -> None:
        """Remember what the model says of the samples ``index``."""

    def forward(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return the term for the samples ``index``, shape (B,) or a scalar 0."""
        del index
        return logits.new_zeros(())


class EarlyLearning(Regulariser):
    r"""ELR's ``lambda log(1 - <p_i, t_i>)`` with ``t_i <- beta t_i + (1 - beta) p_i``.

    Notes
    -----
    Source: Liu et al. 2020, Eqs. (6) and (9). The memory t, shape (N, K), starts at 0; p enters it
    clipped, renormalised and without gradient.
    """

    target: Tensor

    def __init__(self, n_samples: int, n_classes: int, *, decay: float, strength: float) -> None:
        super().__init__()
        self.decay, self.strength = decay, strength
        self.register_buffer("target", torch.zeros(n_samples, n_classes))

    @torch.no_grad()
    def record(self, logits: Tensor, index: Tensor) -> None:
        """Move the memory of the samples ``index`` towards the present probabilities."""
        p = logits.softmax(dim=1).clamp(ELR_CLIP, 1 - ELR_CLIP)
        p = p / p.sum(dim=1, keepdim=True)
        self.target[index] = self.decay * self.target[index] + (1 - self.decay) * p

    def forward(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return ``lambda log(1 - <p_i, t_i>)``, shape (B,)."""
        p = logits.softmax(dim=1).clamp(ELR_CLIP, 1 - ELR_CLIP)
        return self.strength * (1 - (self.target[index] * p).sum(dim=1)).log()


def regulariser(run: Run, n_samples: int, n_classes: int) -> Regulariser:
    """Return the term that ``run.loss`` adds to its supervised part."""
    if run.loss == "elr":
        return EarlyLearning(n_samples, n_classes, decay=run.elr_decay, strength=run.elr_strength)
    return Regulariser()
