"""Algorithms 1-3 in one visible loop, with a weight per training sample.

theta takes SGD steps on ``sum_batch weight_i J_i / N`` for sigma epochs, then every sample's loss
is computed and the weights ``N p_i`` are updated; plain training leaves them at 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from experiments.evaluation import note_accuracy, note_cleanness, sample_losses
from experiments.log import Clock, Log
from experiments.losses import pointwise_loss
from experiments.memory import PeakMemory
from experiments.method import DivergedError
from experiments.methods import method_of
from experiments.models import build
from experiments.problem import Problem
from experiments.spec import Run
from experiments.state import State
from experiments.step import Step
from experiments.store import Checkpoint
from experiments.trajectory import Trajectory
from rrm_theory.reweight import Reweighter, Reweighting


def train(
    run: Run,
    problem: Problem,
    *,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
    after_epoch: Callable[[int], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Log | None:
    """Return the log of the finished run, or None if ``stop`` ended it after an epoch.

    Parameters
    ----------
    run, problem
        What to train, and on which samples.
    device
        Where samples, network and weights live: "cpu" or "cuda".
    checkpoint
        Where the state is kept, about once a second, also within an epoch; an existing one is
        continued, to the same bits on the CPU.
    after_epoch
        Called with the number of finished epochs.
    stop
        Asked after every epoch; if it says yes the state is saved first.

    Raises
    ------
    DivergedError
        If the loss of an epoch's last batch is not finite, or a method's own network is not.
    ValueError
        If there is no such network, or it does not answer with logits.

    Notes
    -----
    Source: ICLR paper, Algorithms 1, 2, 3. The global random generators are seeded, for networks
    that draw from them. Cost: about 3 forward passes an epoch, 5 with ``train_eps``.

    """
    n, memory = len(problem.labels), PeakMemory(device)
    problem = problem.to(device)
    model = build(run, shape=problem.shape, n_classes=problem.n_classes, device=device)
    loss = pointwise_loss(run)
    method = method_of(run, problem, model, loss).to(device)
    step, rw = Step(run, problem, model, loss, method), _reweighter(run, n, device)
    parts = {"model": model, "optimiser": step.optimiser, "method": method}
    if rw is not None:
        parts["reweighter"] = rw
    state = State(run, device, parts, checkpoint, problem.origin)
    log = state.log

    for epoch in range(state.epoch, run.epochs):
        clock = Clock(log.seconds, device)
        if rw is not None:
            step.weight.copy_(rw.scaled_weights)
        order = _batches(state.draw_order(n).to(device), run.batch_size)
        if step.moves is not None:
            step.moves.copy_(state.draw_moves(n))
        first = state.position if epoch == state.epoch else 0
        if not first:
            method.begin_epoch(order)
        for position in range(first, len(order)):
            step(order[position])
            if state.due():
                _refuse_divergence(step, epoch)
                clock.lap("train")
                state.save(epoch, position + 1)
                clock.lap("checkpoints")
        _refuse_divergence(step, epoch)
        clock.lap("train")

        if rw is not None and (epoch + 1) % run.epochs_per_iteration == 0:
            augmented = run.reweight_inputs == "augmented"
            moves = state.draw_moves(n).to(device) if augmented else None
            losses = sample_losses(run, model, loss, method, problem, moves)
            clock.lap("reweighting losses")
            update = rw.update(losses)
            clock.lap("reweighting")
            _note_reweighting(log, epoch + 1, rw, update, problem)
            log.losses = losses.float().cpu()
        if epoch + 1 in run.evaluations:
            note_accuracy(log, run, method.predictor(model), loss, problem)
            note_cleanness(log, run, model, loss, method, problem)
        clock.lap("evaluation")
        log.peak_memory = max(filter(None, (log.peak_memory, memory())), default=None)
        after_epoch(epoch + 1)
        stopping = epoch + 1 < run.epochs and stop()
        if stopping or state.due():
            state.save(epoch + 1, 0)
            clock.lap("checkpoints")
        if stopping:
            return None
    log.method = method.summary()
    return log


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Return the batches of an epoch; a last one of a single sample joins the one before.

    Batch norms have no deviation of one sample.
    """
    parts = list(torch.split(order, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _refuse_divergence(step: Step, epoch: int) -> None:
    """Raise DivergedError unless the latest loss is finite."""
    if not torch.isfinite(step.objective):
        msg = f"diverged in epoch {epoch + 1}: the loss is {step.objective.item()}."
        raise DivergedError(msg)


def _note_reweighting(
    log: Log, epoch: int, rw: Reweighter, update: Reweighting, problem: Problem
) -> None:
    """Write down what an update did to the contaminated and to the clean samples."""
    gone = rw.pruned.cpu().numpy()
    contaminated = int((gone & problem.contaminated).sum())
    pruned = int(gone.sum())
    log.reweightings.append(
        {
            "epoch": epoch,
            "outcome": update.outcome.name,
            "minimum": update.minimum,
            "threshold": update.threshold if math.isfinite(update.threshold) else None,
            "at_minimum": update.n_minimum,
            "pruned_contaminated": contaminated,
            "pruned_clean": pruned - contaminated,
            "largest_weight": float(rw[:].max()),
        }
    )
    log.parts.append(rw.parts.to("cpu", copy=True))
    log.shares.append(rw.shares.to("cpu", copy=True))


def _reweighter(run: Run, n: int, device: str) -> Reweighter | None:
    """Return the run's reweighter; None for plain training."""
    if not run.reweights:
        return None
    return Reweighter(
        n, gamma=run.gamma, contamination=run.contamination, cap=run.cap, step=run.step
    ).to(device)


def trajectory(run: Run, log: Log, problem: Problem) -> Trajectory:
    """Return every sample's weight after every re-weighting."""
    return Trajectory(
        parts=torch.stack(log.parts).numpy(),
        shares=torch.stack(log.shares).numpy(),
        step=run.step,
        contaminated=problem.contaminated,
        epochs=np.array([entry["epoch"] for entry in log.reweightings]),
        losses=None if log.losses is None else log.losses.numpy(),
    )
