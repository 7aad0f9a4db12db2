"""Algorithms 1-3 in one visible loop, with a weight per training sample.

theta takes SGD steps on ``sum_batch weight_i J_i / N`` for sigma epochs, then every sample's loss
is computed and the weights ``N p_i`` are updated; plain training leaves them at 1.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.losses import PointwiseLoss, Regulariser, pointwise_loss, regulariser
from experiments.models import build
from experiments.noise import Stream, torch_seed
from experiments.problem import Problem
from experiments.spec import Run
from experiments.store import Checkpoint
from rrm_theory.reweight import Reweighter, Reweighting

# A kill costs at most this much work.
CHECKPOINT_SECONDS = 1.0
EVALUATION_BATCH = 4096


class DivergedError(ArithmeticError):
    """Training left the numbers: the loss is no longer finite."""


@dataclass(kw_only=True)
class Log:
    """What a run writes down as it goes; plain numbers, so that it can be part of a checkpoint.

    ``validation_correct[e][f]`` and ``test_correct[e][f]`` count right answers after epoch e in
    fold f; ``seconds`` adds up wall time by activity; ``u`` holds u after every re-weighting.
    """

    validation_correct: list[list[int]] = field(default_factory=list)
    test_correct: list[list[int]] = field(default_factory=list)
    reweightings: list[dict[str, Any]] = field(default_factory=list)
    u: list[Tensor] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def train(
    run: Run,
    problem: Problem,
    *,
    checkpoint: Checkpoint | None = None,
    after_epoch: Callable[[int], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Log | None:
    """Return the log of the finished run, or None if ``stop`` ended it after an epoch.

    Parameters
    ----------
    run, problem
        What to train, and on which samples.
    checkpoint
        Where the state is kept; an existing one is continued, to the same bits on the CPU.
    after_epoch
        Called with the number of finished epochs.
    stop
        Asked after every epoch; if it says yes the state is saved first.

    Raises
    ------
    DivergedError
        If the loss of an epoch's last batch is not finite.

    Notes
    -----
    Source: ICLR paper, Algorithms 1, 2, 3 with eps = 0. Cost: about 3 forward passes an epoch.

    """
    n = len(problem.labels)
    model = build(run, image=problem.image, n_classes=problem.n_classes)
    loss, extra = pointwise_loss(run), regulariser(run, n, problem.n_classes)
    optimiser = torch.optim.SGD(model.parameters(), lr=run.learning_rate)
    rw = _reweighter(run, n)
    batches = torch.Generator().manual_seed(torch_seed(run.seed, Stream.BATCHES))
    state = _State(run=run, parts=_parts(model, optimiser, extra, rw), batches=batches)
    log, first = state.restore(checkpoint)
    saved = time.perf_counter()

    for epoch in range(first, run.epochs):
        clock = _Clock(log.seconds)
        weight = torch.ones(n) if rw is None else rw.scaled_weights
        for index in torch.split(torch.randperm(n, generator=batches), run.batch_size):
            # index_select gathers what [index] does, with less to set up.
            x, labels, w = (t.index_select(0, index) for t in (problem.x, problem.labels, weight))
            logits = model(x)
            supervised = loss(logits, labels)
            extra.record(logits, index)
            objective = weighted(run, w, supervised, extra(logits, index)).sum()
            share = n if run.reduction == "batch_sum" else len(index)
            optimiser.zero_grad()
            torch.autograd.backward(objective / share)
            optimiser.step()
        if not torch.isfinite(objective):
            msg = f"diverged in epoch {epoch + 1}: the loss is {objective.item()}."
            raise DivergedError(msg)
        clock.lap("train")

        if rw is not None and (epoch + 1) % run.epochs_per_iteration == 0:
            losses = sample_losses(run, model, loss, extra, problem)
            clock.lap("reweighting losses")
            update = rw.update(losses)
            clock.lap("reweighting")
            _note_reweighting(log, epoch + 1, rw, update, problem)
        _note_accuracy(log, model, problem)
        clock.lap("evaluation")
        after_epoch(epoch + 1)
        stopping = epoch + 1 < run.epochs and stop()
        if checkpoint and (stopping or time.perf_counter() - saved >= CHECKPOINT_SECONDS):
            state.save(checkpoint, log, epoch + 1)
            saved = time.perf_counter()
            clock.lap("checkpoints")
        if stopping:
            return None
    return log


@torch.no_grad()
def sample_losses(
    run: Run,
    model: torch.nn.Module,
    loss: PointwiseLoss,
    extra: Regulariser,
    problem: Problem,
) -> Tensor:
    """Return what the weights multiply for every training sample, shape (N,), in one pass."""
    parts = []
    for index in torch.split(torch.arange(len(problem.labels)), EVALUATION_BATCH):
        logits = model(problem.x[index])
        supervised = loss(logits, problem.labels[index])
        total = run.weighted_term == "total"
        parts.append(supervised + extra(logits, index) if total else supervised)
    return torch.cat(parts)


@torch.no_grad()
def _predict(model: torch.nn.Module, x: Tensor) -> Tensor:
    """Return the predicted class of every image, shape (len(x),)."""
    return torch.cat([model(part).argmax(dim=1) for part in torch.split(x, EVALUATION_BATCH)])


def _note_accuracy(log: Log, model: torch.nn.Module, problem: Problem) -> None:
    """Count the right answers in every fold."""
    predicted = _predict(model, problem.x_eval)
    log.validation_correct.append(
        [int((predicted[f.validation] == f.validation_labels).sum()) for f in problem.folds]
    )
    log.test_correct.append(
        [int((predicted[f.test] == f.test_labels).sum()) for f in problem.folds]
    )


def _note_reweighting(
    log: Log, epoch: int, rw: Reweighter, update: Reweighting, problem: Problem
) -> None:
    """Write down what an update did to the contaminated and to the clean samples."""
    contaminated = int((rw.pruned.numpy() & problem.contaminated).sum())
    pruned = int(rw.pruned.sum())
    log.reweightings.append(
        {
            "epoch": epoch,
            "outcome": update.outcome.name,
            "minimum": update.minimum,
            "threshold": None if math.isnan(update.threshold) else update.threshold,
            "at_minimum": update.n_minimum,
            "pruned_contaminated": contaminated,
            "pruned_clean": pruned - contaminated,
            "largest_weight": float(rw[:].max()),
        }
    )
    log.u.append(rw.u)


def weighted(run: Run, weight: Tensor, supervised: Tensor, extra: Tensor) -> Tensor:
    """Return the batch's terms: RRM weighs the supervised one alone, or both."""
    if run.weighted_term == "total":
        return weight * (supervised + extra)
    return weight * supervised + extra


def _reweighter(run: Run, n: int) -> Reweighter | None:
    """Return the run's reweighter; None for plain training."""
    if not run.reweights:
        return None
    return Reweighter(n, gamma=run.gamma, contamination=run.contamination, step=run.step)


class _Clock:
    """Adds the time since the last lap to the named activity."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self.last = seconds, time.perf_counter()

    def lap(self, activity: str) -> None:
        now = time.perf_counter()
        self.seconds[activity] = self.seconds.get(activity, 0.0) + now - self.last
        self.last = now


def _parts(
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    extra: Regulariser,
    rw: Reweighter | None,
) -> dict[str, Any]:
    """Return everything that has a state_dict, by its name in the checkpoint."""
    parts = {"model": model, "optimiser": optimiser, "regulariser": extra}
    return parts if rw is None else parts | {"reweighter": rw}


@dataclass(frozen=True, kw_only=True)
class _State:
    """Everything a checkpoint holds besides the log."""

    run: Run
    parts: dict[str, Any]
    batches: torch.Generator

    def save(self, checkpoint: Checkpoint, log: Log, epoch: int) -> None:
        checkpoint.save(
            {
                "key": self.run.key,
                "epoch": epoch,
                "batches": self.batches.get_state(),
                "log": vars(log),
                **{name: part.state_dict() for name, part in self.parts.items()},
            }
        )

    def restore(self, checkpoint: Checkpoint | None) -> tuple[Log, int]:
        """Load the newest good checkpoint, if any; return the log so far and the next epoch."""
        state = checkpoint.load(self.run.key) if checkpoint else None
        log = Log(**state["log"]) if state else Log()
        if state is None:
            return log, 0
        self.batches.set_state(state["batches"])
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return log, state["epoch"]


def trajectory(log: Log, problem: Problem) -> dict[str, NDArray[Any]]:
    """Return u after every re-weighting, (iterations, N) float64, and which labels are wrong."""
    return {"u": torch.stack(log.u).numpy(), "contaminated": problem.contaminated}
