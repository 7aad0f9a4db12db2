"""Early-learning regularisation (ELR): what the network said before keeps it from memorising."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from experiments.losses import PointwiseLoss
from experiments.method import Method
from experiments.problem import Problem
from experiments.spec import Run

# Liu et al. (2020) clip the probabilities that enter ELR's memory and logarithm by this much.
ELR_CLIP = 1e-4


class EarlyLearning(Method):
    r"""ELR's ``lambda log(1 - <p_i, t_i>)`` with ``t_i <- beta t_i + (1 - beta) p_i``.

    Notes
    -----
    Source: Liu et al. 2020, Eqs. (6) and (9). The memory t, shape (N, K), starts at 0; p enters it
    clipped, renormalised and without gradient.
    """

    target: Tensor

    def __init__(self, labels: Tensor, n_classes: int, *, decay: float, strength: float) -> None:
        super().__init__()
        self.given, self.decay, self.strength = labels, decay, strength
        self.register_buffer("target", torch.zeros(len(labels), n_classes))

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

    def cleanness(self, losses: Callable[[], Tensor]) -> Tensor:
        """Return what the memory says of the labels as they are, (N,)."""
        del losses
        return self.target.gather(1, self.given[:, None])[:, 0]


def early_learning(run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss) -> Method:
    """Return ELR for the run."""
    del model, loss
    return EarlyLearning(
        problem.labels, problem.n_classes, decay=run.elr_decay, strength=run.elr_strength
    )
