"""One step of SGD on a batch that is given by its sample indices, on the CPU or a GPU.

On a GPU the step of a small network is over before the next one is launched; there a batch of the
usual size is one graph, captured once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from experiments.attacks import Bounds, fgsm
from experiments.augmentation import crop_and_flip
from experiments.losses import PointwiseLoss
from experiments.method import Method
from experiments.problem import Problem
from experiments.spec import LANGUAGE_MODEL, OWN_MODEL, Run

# Steps before a capture, in which the libraries choose and allocate what they need.
WARM_UP = 3


class Step:
    """Augmentation, attack, weighted loss and update of one batch.

    Attributes
    ----------
    weight
        N p_i of every training sample, (N,) float32; written between epochs.
    moves
        How every training image is moved, int64 (N, 3); written between epochs. None without
        augmentation.
    objective
        What the latest step went down on, before the update; a scalar on the device.

    """

    def __init__(
        self,
        run: Run,
        problem: Problem,
        model: nn.Module,
        loss: PointwiseLoss,
        method: Method,
    ) -> None:
        # TensorFloat-32 would round the products of convolutions to ten bits.
        torch.backends.cudnn.allow_tf32 = False
        self.run, self.problem = run, problem
        self.model, self.loss, self.method = model, loss, method
        self.optimiser = torch.optim.SGD(
            model.parameters(),
            lr=run.learning_rate,
            momentum=run.momentum,
            nesterov=run.momentum > 0,
            weight_decay=run.weight_decay,
        )
        if run.momentum:
            # What torch's first step amounts to, and there already when a graph is captured.
            for parameter in filter(lambda one: one.requires_grad, model.parameters()):
                state = self.optimiser.state[parameter]
                state["momentum_buffer"] = torch.zeros_like(parameter)
        device, n = problem.x.device, len(problem.labels)
        self.weight = torch.ones(n, device=device)
        self.moves: Tensor | None = None
        if run.augment == "crop_and_flip":
            self.moves = torch.zeros(n, 3, dtype=torch.int64, device=device)
        self.objective = torch.zeros((), device=problem.x.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._index = torch.zeros(run.batch_size, dtype=torch.int64, device=problem.x.device)

    def __call__(self, index: Tensor) -> None:
        """Take a step on the samples ``index``, int64 (B,), on the samples' device."""
        # Whether a user's network can be replayed, or one of a package's, nobody knows.
        ours = OWN_MODEL not in self.run.model and self.run.model != LANGUAGE_MODEL
        replayed = index.is_cuda and self.method.replayable and ours
        if not replayed or len(index) != self.run.batch_size:
            self.take(index)
            return
        if self._graph is None:
            self._graph = self._capture()
        self._index.copy_(index)
        self._graph.replay()

    def take(self, index: Tensor) -> None:
        """Launch the operations of a step one by one."""
        run, problem = self.run, self.problem
        # index_select gathers what [index] does, with less to set up.
        x, labels, w = (t.index_select(0, index) for t in (problem.x, problem.labels, self.weight))
        if self.moves is not None:
            x = crop_and_flip(x, self.moves.index_select(0, index), problem.ink[0])
        x = perturbed(run, problem, self.model, self.loss, x, labels)
        self.method.prepare(index, w, x)
        labels = self.method.labels(index, labels)
        logits = self.model(x)
        supervised = self.loss(logits, labels)
        self.method.record(logits, index)
        w = w * self.method.factors(supervised.detach())
        objective = weighted(run, w, supervised, self.method(logits, index)).sum()
        share = len(problem.labels) if run.reduction == "batch_sum" else len(index)
        self.optimiser.zero_grad()
        torch.autograd.backward(objective / share)
        self.optimiser.step()
        self.objective.copy_(objective.detach())

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Return the recorded operations of a step, and leave everything as it was before."""
        tensors = [
            t for part in (self.model, self.method) for t in (*part.parameters(), *part.buffers())
        ]
        # The graph goes on using the optimiser's tensors: they are put back in place.
        tensors += [one["momentum_buffer"] for one in self.optimiser.state.values()]
        before = [tensor.detach().clone() for tensor in tensors]
        drawn = torch.cuda.get_rng_state()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.take(self._index)
        torch.cuda.current_stream().wait_stream(stream)
        # Gradients are to live in the graph's own memory.
        self.optimiser.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.take(self._index)
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
        torch.cuda.set_rng_state(drawn)
        return graph


def perturbed(
    run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss, x: Tensor, labels: Tensor
) -> Tensor:
    """Return what the run trains on: x, or with ``train_eps`` FGSM's perturbation of it."""
    if not run.train_eps:
        return x
    eps = in_units_of_x(run, problem, run.train_eps)
    return fgsm(model, loss, x, labels, eps, bounds=bounds(run, problem))


def in_units_of_x(run: Run, problem: Problem, eps: float) -> float:
    """Return a size that is given in the run's unit as the network's inputs see it."""
    none, full = problem.ink
    return eps * (full - none) if run.eps_unit == "pixel" else eps


def bounds(run: Run, problem: Problem) -> Bounds | None:
    """Return where perturbed inputs must stay, in the units of x; None for anywhere."""
    return problem.ink if run.clamp else None


def weighted(run: Run, weight: Tensor, supervised: Tensor, extra: Tensor) -> Tensor:
    """Return the batch's terms: RRM weighs the supervised one alone, or both."""
    if run.weighted_term == "total":
        return weight * (supervised + extra)
    return weight * supervised + extra
