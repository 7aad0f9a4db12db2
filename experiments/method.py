"""What a method adds to training by weighted losses: hooks around a step, all of them empty here.

A step goes down on ``sum_batch weight_i factor_i J(f(x_i), label_i) + term_i``. The weight is
RRM's, or 1; factor, label and term are the method's. So RRM wraps every method, and no method has a
loop of its own. A method is a module: what it remembers are buffers, parameters or its extra state,
and so part of every checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class DivergedError(ArithmeticError):
    """Training left the numbers: a loss, or what a network says, is no longer finite."""


class Method(nn.Module):
    """Training by weighted losses, and nothing else."""

    # Whether a step's operations are the same every time, so that a GPU can replay them.
    replayable = True

    def begin_epoch(self, order: list[Tensor]) -> None:
        """Do what comes before an epoch of these batches of sample indices."""

    def prepare(self, index: Tensor, weight: Tensor, x: Tensor) -> None:
        """Do what comes before a step on the samples ``index``, (B,), with these weights and x."""

    def labels(self, index: Tensor, given: Tensor) -> Tensor:
        """Return what the samples ``index`` are trained on, (B,); here the ``given`` labels."""
        del index
        return given

    def factors(self, losses: Tensor) -> Tensor:
        """Return what multiplies the supervised losses (B,), without gradient; here 1."""
        return torch.ones_like(losses)

    def record(self, logits: Tensor, index: Tensor) -> None:
        """Remember what the model says of the samples ``index``, before their terms are asked."""

    def forward(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return the term of the samples ``index``, shape (B,) or a scalar 0."""
        del index
        return logits.new_zeros(())

    def predictor(self, model: nn.Module) -> nn.Module:
        """Return the network that classifies, in the end."""
        return model

    def cleanness(self, losses: Callable[[], Tensor]) -> Tensor | None:
        """Return how right each training label seems, (N,), the larger the more; here unknown.

        ``losses`` returns those of the labels that the samples came with, by a pass over them.
        """
        del losses
        return None

    def summary(self) -> dict[str, Any]:
        """Return what is worth keeping of the method when a run ends, as plain data."""
        return {}
