r"""Weights learned from a small held-out set: MW-Net*, MNW-Net, RMNW-Net.

A network ``V(loss; Theta)``, 1-100-1, gives every sample of a batch its factor. Before a step on
the batch, Theta goes down on the held-out loss after a trial step:

    w^(Theta) = w - alpha grad_w sum_batch weight_i V(J_i(w); Theta) J_i(w)
    Theta <- Theta - beta grad_Theta mean_meta L(w^(Theta))

MW-Net* (`mw_net`) has true labels there and L = cross-entropy; MNW-Net (`mnw_net`) wrong ones too
and cross-entropy; RMNW-Net (`rmnw_net`) wrong ones too and L = ||p - onehot||_1, whose gradient
uniform noise only shrinks, by 1 - eta.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from experiments.losses import PointwiseLoss
from experiments.method import Method
from experiments.noise import Stream, torch_seed
from experiments.problem import Meta, Problem
from experiments.spec import Run

HIDDEN = 100
BATCH = 100
# RMNW-Net paper, Section 4; Adam as in Shu et al. 2019, since plain steps of 1e-3 hardly move.
WEIGHT_DECAY = 5e-4

MetaLoss = Callable[[Tensor, Tensor], Tensor]


def absolute(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``||softmax(z) - onehot(y)||_1`` per sample, (B,)."""
    return (logits.softmax(dim=1) - F.one_hot(labels, logits.shape[1])).abs().sum(dim=1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``-log softmax(z)_y`` per sample, (B,)."""
    return F.cross_entropy(logits, labels, reduction="none")


class MetaWeight(Method):
    """A weighting network that a held-out set trains, one look-ahead before every step.

    Parameters
    ----------
    run
        Its learning rate is alpha; ``meta_every`` says before which steps Theta is updated, and
        ``meta_learning_rate`` how far.
    problem
        Whose ``meta`` samples are held out.
    model, loss
        The network that is trained, and its supervised loss.
    meta_loss
        L, per sample.
    meta_labels
        Of the held-out samples, (M,): the true or the wrong ones.

    Notes
    -----
    Source: RMNW-Net paper, Section 3, Eqs. (2) to (4). The trial step is plain SGD, whatever the
    optimiser. In it batch norms use the batch, as in training, and running averages stay as they
    are: only real steps move them. Cost: about three more passes over a batch, and one over the
    held-out batch.

    """

    replayable = False

    def __init__(
        self,
        run: Run,
        problem: Problem,
        model: nn.Module,
        loss: PointwiseLoss,
        *,
        meta_loss: MetaLoss,
        meta_labels: Tensor,
    ) -> None:
        super().__init__()
        self.run, self.problem, self.loss, self.meta_loss = run, problem, loss, meta_loss
        self.meta_x, self.meta_labels = _held_out(problem).x, meta_labels
        # Not a child: its parameters are not the method's.
        self._model = (model,)
        self.drawing = torch.Generator().manual_seed(torch_seed(run.seed, Stream.META))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(run.seed, Stream.META))
            self.net = nn.Sequential(
                nn.Linear(1, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Sigmoid()
            )
        self.optimiser = torch.optim.Adam(
            self.net.parameters(), lr=run.meta_learning_rate, weight_decay=WEIGHT_DECAY
        )
        self.steps = 0

    def prepare(self, index: Tensor, weight: Tensor, x: Tensor) -> None:
        """Update Theta before every ``meta_every``-th step."""
        self.steps += 1
        if self.steps % self.run.meta_every:
            return
        n = len(self.meta_labels)
        chosen = torch.randint(n, (min(BATCH, n),), generator=self.drawing)
        chosen = chosen.to(self.meta_labels.device)
        gradient = self.meta_gradient(
            x, self.problem.labels[index], weight, self.meta_x[chosen], self.meta_labels[chosen]
        )
        for parameter, part in zip(self.net.parameters(), gradient, strict=True):
            parameter.grad = part
        self.optimiser.step()

    def meta_gradient(
        self, x: Tensor, labels: Tensor, weight: Tensor, meta_x: Tensor, meta_labels: Tensor
    ) -> tuple[Tensor, ...]:
        """Return ``grad_Theta mean_meta L(w^(Theta))``, a tensor for every parameter of V."""
        (model,) = self._model
        share = len(self.problem.labels) if self.run.reduction == "batch_sum" else len(labels)
        # Frozen ones stay what they are, and one that is not used gets no gradient.
        parameters = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        losses = self.loss(self._call(parameters, x), labels)
        objective = (weight * self._factors(losses.detach()) * losses).sum() / share
        gradients = torch.autograd.grad(
            objective, list(parameters.values()), create_graph=True, materialize_grads=True
        )
        trial = {
            name: parameter - self.run.learning_rate * gradient
            for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
        }
        meta = self.meta_loss(self._call(trial, meta_x), meta_labels).mean()
        return torch.autograd.grad(meta, list(self.net.parameters()))

    def _call(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the logits of the network with other parameters; its buffers stay as they are."""
        (model,) = self._model
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        logits: Tensor = functional_call(model, {**parameters, **buffers}, (x,))
        return logits

    def _factors(self, losses: Tensor) -> Tensor:
        """Return V(J_i), (B,), in (0, 1)."""
        factors: Tensor = self.net(losses[:, None])[:, 0]
        # Should the sigmoid be zero for all, the network would not learn any more.
        return torch.where(factors.sum() > 0, factors, torch.ones_like(factors))

    @torch.no_grad()
    def factors(self, losses: Tensor) -> Tensor:
        """Return V(J_i), (B,)."""
        return self._factors(losses)

    def cleanness(self, losses: Callable[[], Tensor]) -> Tensor:
        """Return V(J_i), (N,)."""
        return self.factors(losses())

    def summary(self) -> dict[str, Any]:
        """Return V at losses 0, 1/4, ..., 10."""
        at = torch.linspace(0, 10, 41, device=self.meta_labels.device)
        return {"losses": at.tolist(), "factors": self.factors(at).tolist()}

    def get_extra_state(self) -> dict[str, Any]:
        """Return what a checkpoint holds beside Theta."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "drawing": self.drawing.get_state(),
            "steps": self.steps,
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Put back what `get_extra_state` returned."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.drawing.set_state(state["drawing"])
        self.steps = state["steps"]


def _held_out(problem: Problem) -> Meta:
    """Return the held-out samples; a run with a weighting network has some."""
    assert problem.meta is not None
    return problem.meta


def mw_net(run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss) -> Method:
    """Return MW-Net*, which is given true labels of the held-out samples."""
    return MetaWeight(
        run,
        problem,
        model,
        loss,
        meta_loss=cross_entropy,
        meta_labels=_held_out(problem).clean_labels,
    )


def mnw_net(run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss) -> Method:
    """Return MNW-Net: labels as wrong as the others, cross-entropy."""
    return MetaWeight(
        run, problem, model, loss, meta_loss=cross_entropy, meta_labels=_held_out(problem).labels
    )


def rmnw_net(run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss) -> Method:
    """Return RMNW-Net: labels as wrong as the others, a loss that is robust to it."""
    return MetaWeight(
        run, problem, model, loss, meta_loss=absolute, meta_labels=_held_out(problem).labels
    )
