"""Algorithms 1-3 in one visible loop, with a weight per training sample.

theta takes SGD steps on ``sum_batch weight_i J_i / N`` for sigma epochs, then every sample's loss
is computed and the weights ``N p_i`` are updated; plain training leaves them at 1.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.attacks import accumulating, alone, pgd
from experiments.losses import PointwiseLoss, Regulariser, pointwise_loss, regulariser
from experiments.models import build
from experiments.noise import Stream, torch_seed
from experiments.problem import Problem
from experiments.spec import TEST_EPS, Run
from experiments.step import Step, bounds, in_units_of_x, perturbed
from experiments.store import Checkpoint
from experiments.trajectory import Trajectory
from rrm_theory.reweight import Reweighter, Reweighting

# A kill costs at most this much work.
CHECKPOINT_SECONDS = 1.0
# Large for the network that gains by it, and on a GPU; small where activations would leave caches.
EVALUATION_BATCH = {"mlp": 4096, "cnn": 100}
EVALUATION_BATCH_GPU = 8192
# Test images of each fold that are attacked by PGD as well, and its steps: the canary.
CANARY_IMAGES = 100
CANARY_STEPS = 10


class DivergedError(ArithmeticError):
    """Training left the numbers: the loss is no longer finite."""


@dataclass(kw_only=True)
class Log:
    """What a run writes down as it goes; plain numbers and tensors, as it is in checkpoints.

    ``validation_correct[e][f]`` and ``test_correct[e][f]`` count right answers in fold f at the
    e-th of the run's evaluations, by noisy labels and by the true ones;
    ``clean_validation_correct[e][f]`` the former by the true ones, which no selection may see,
    ``attacked_validation_correct[e][f]`` the former on images attacked as in training, and
    ``attacked_correct[e][f][k]`` the latter under the k-th of TEST_EPS.
    ``canary[e]`` compares FGSM with PGD. ``parts`` and ``shares`` are the trajectory; ``seconds``
    adds up wall time by activity.
    """

    validation_correct: list[list[int]] = field(default_factory=list)
    clean_validation_correct: list[list[int]] = field(default_factory=list)
    attacked_validation_correct: list[list[int]] = field(default_factory=list)
    test_correct: list[list[int]] = field(default_factory=list)
    attacked_correct: list[list[list[int]]] = field(default_factory=list)
    canary: list[dict[str, Any]] = field(default_factory=list)
    reweightings: list[dict[str, Any]] = field(default_factory=list)
    parts: list[Tensor] = field(default_factory=list)
    shares: list[Tensor] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


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
        If the loss of an epoch's last batch is not finite.

    Notes
    -----
    Source: ICLR paper, Algorithms 1, 2, 3. The global random generators are seeded here, for
    networks that draw from them. Cost: about 3 forward passes an epoch, 5 with ``train_eps``.

    """
    n = len(problem.labels)
    _seed_everything(run)
    problem = problem.to(device)
    model = build(run, image=problem.image, n_classes=problem.n_classes).to(device)
    loss, extra = pointwise_loss(run), regulariser(run, n, problem.n_classes).to(device)
    step = Step(run, problem, model, loss, extra)
    rw = _reweighter(run, n, device)
    drawing = torch.Generator().manual_seed(torch_seed(run.seed, Stream.BATCHES))
    state = _State(run=run, parts=_parts(step, rw), batches=drawing)
    log, first, done = state.restore(checkpoint)
    saved = time.perf_counter()

    for epoch in range(first, run.epochs):
        clock = _Clock(log.seconds)
        if rw is not None:
            step.weight.copy_(rw.scaled_weights)
        state.start_epoch()
        order = torch.split(torch.randperm(n, generator=drawing).to(device), run.batch_size)
        for position in range(done, len(order)):
            step(order[position])
            if checkpoint and time.perf_counter() - saved >= CHECKPOINT_SECONDS:
                clock.lap("train")
                state.save(checkpoint, log, epoch, position + 1)
                saved = time.perf_counter()
                clock.lap("checkpoints")
        done = 0
        if not torch.isfinite(step.objective):
            msg = f"diverged in epoch {epoch + 1}: the loss is {step.objective.item()}."
            raise DivergedError(msg)
        clock.lap("train")

        if rw is not None and (epoch + 1) % run.epochs_per_iteration == 0:
            losses = sample_losses(run, model, loss, extra, problem)
            clock.lap("reweighting losses")
            update = rw.update(losses)
            clock.lap("reweighting")
            _note_reweighting(log, epoch + 1, rw, update, problem)
        if epoch + 1 in run.evaluations:
            _note_accuracy(log, run, model, loss, problem)
        clock.lap("evaluation")
        after_epoch(epoch + 1)
        if epoch + 1 < run.epochs and stop():
            if checkpoint:
                state.start_epoch()
                state.save(checkpoint, log, epoch + 1, 0)
            return None
    return log


def _seed_everything(run: Run) -> None:
    """Seed the generators that networks and libraries draw from unasked."""
    seed = torch_seed(run.seed, Stream.GLOBAL)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def batches(samples: Tensor, run: Run) -> Sequence[Tensor]:
    """Return parts of the samples of the size in which they are evaluated."""
    size = EVALUATION_BATCH_GPU if samples.is_cuda else EVALUATION_BATCH[run.model]
    parts: Sequence[Tensor] = torch.split(samples, size)
    return parts


def sample_losses(
    run: Run,
    model: nn.Module,
    loss: PointwiseLoss,
    extra: Regulariser,
    problem: Problem,
) -> Tensor:
    """Return what the weights multiply for every training sample, shape (N,), in one pass.

    With ``reweight_inputs="perturbed"`` the samples are attacked anew, as in a training step.
    """
    parts = []
    everyone = torch.arange(len(problem.labels), device=problem.x.device)
    for index in batches(everyone, run):
        x, labels = problem.x[index], problem.labels[index]
        if run.reweight_inputs == "perturbed":
            x = perturbed(run, problem, model, loss, x, labels)
        with torch.no_grad():
            logits = model(x)
            supervised = loss(logits, labels)
            total = run.weighted_term == "total"
            parts.append(supervised + extra(logits, index) if total else supervised)
    return torch.cat(parts)


@torch.no_grad()
def _predict(run: Run, model: nn.Module, x: Tensor) -> Tensor:
    """Return the predicted class of every image, shape (len(x),)."""
    return torch.cat([model(part).argmax(dim=1) for part in batches(x, run)])


def _note_accuracy(
    log: Log, run: Run, model: nn.Module, loss: PointwiseLoss, problem: Problem
) -> None:
    """Count the right answers in every fold, on test images also under attack."""
    predicted = _predict(run, model, problem.x_eval)
    log.validation_correct.append(
        [int((predicted[f.validation] == f.validation_labels).sum()) for f in problem.folds]
    )
    log.clean_validation_correct.append(
        [int((predicted[f.validation] == f.clean_labels).sum()) for f in problem.folds]
    )
    log.test_correct.append(
        [int((predicted[f.test] == f.test_labels).sum()) for f in problem.folds]
    )
    if run.test_attack == "none":
        return
    log.attacked_validation_correct.append(
        [
            _count_under_training_attack(
                run, problem, model, loss, problem.x_eval[f.validation], f.validation_labels
            )
            for f in problem.folds
        ]
    )
    tests = [(problem.x_eval[f.test], f.test_labels) for f in problem.folds]
    log.attacked_correct.append(
        [_count_attacked(run, problem, model, loss, x, labels) for x, labels in tests]
    )
    x, labels = (
        torch.cat([part[:CANARY_IMAGES] for part in parts]) for parts in zip(*tests, strict=True)
    )
    log.canary.append(ask_the_canary(run, problem, model, loss, x, labels))


def _count_attacked(
    run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss, x: Tensor, labels: Tensor
) -> list[int]:
    """Return how many test images are classified right under each of TEST_EPS."""
    attack = alone if run.test_attack == "alone" else accumulating
    sizes = [in_units_of_x(run, problem, eps) for eps in TEST_EPS]
    limits = bounds(run, problem)
    counts = torch.zeros(len(sizes), dtype=torch.int64, device=x.device)
    for images, truth in zip(batches(x, run), batches(labels, run), strict=True):
        for k, moved in enumerate(attack(model, loss, images, truth, sizes, bounds=limits)):
            with torch.no_grad():
                counts[k] += (model(moved).argmax(dim=1) == truth).sum()
    return [int(count) for count in counts]


def _count_under_training_attack(
    run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss, x: Tensor, labels: Tensor
) -> int:
    """Return how many images are given their label after an attack as in a training step."""
    count = 0
    for images, given in zip(batches(x, run), batches(labels, run), strict=True):
        moved = perturbed(run, problem, model, loss, images, given)
        with torch.no_grad():
            count += int((model(moved).argmax(dim=1) == given).sum())
    return count


def ask_the_canary(
    run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss, x: Tensor, labels: Tensor
) -> dict[str, Any]:
    """Return how many of a few test images withstand FGSM and PGD of the training size.

    ``overfitted`` says that FGSM leaves more than twice what guessing gives and PGD less than half
    of that: catastrophic overfitting, the network has learnt the one step of its attack. Source:
    Wong, Rice & Kolter 2020.
    """
    right = {}
    limits = bounds(run, problem)
    eps = in_units_of_x(run, problem, run.train_eps or max(TEST_EPS))
    for name, steps in (("fgsm", 1), ("pgd", CANARY_STEPS)):
        size = eps if steps == 1 else None
        moved = pgd(model, loss, x, labels, eps, steps=steps, step_size=size, bounds=limits)
        with torch.no_grad():
            right[name] = int((model(moved).argmax(dim=1) == labels).sum())
    seems_robust = right["fgsm"] * problem.n_classes > 2 * len(labels)
    overfitted = seems_robust and 2 * right["pgd"] < right["fgsm"]
    return {"images": len(labels), **right, "overfitted": overfitted}


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


class _Clock:
    """Adds the time since the last lap to the named activity."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self.last = seconds, time.perf_counter()

    def lap(self, activity: str) -> None:
        now = time.perf_counter()
        self.seconds[activity] = self.seconds.get(activity, 0.0) + now - self.last
        self.last = now


def _parts(step: Step, rw: Reweighter | None) -> dict[str, Any]:
    """Return everything that has a state_dict, by its name in the checkpoint."""
    parts = step.state_parts()
    return parts if rw is None else parts | {"reweighter": rw}


@dataclass(kw_only=True)
class _State:
    """Everything a checkpoint holds besides the log."""

    run: Run
    parts: dict[str, Any]
    batches: torch.Generator
    epoch_start: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))

    def start_epoch(self) -> None:
        """Remember from where this epoch's order of samples is drawn."""
        self.epoch_start = self.batches.get_state()

    def save(self, checkpoint: Checkpoint, log: Log, epoch: int, position: int) -> None:
        """Save the state after ``position`` batches of an epoch."""
        checkpoint.save(
            {
                "key": self.run.key,
                "epoch": epoch,
                "position": position,
                "batches": self.epoch_start,
                "generators": _generators(),
                "log": vars(log),
                **{name: part.state_dict() for name, part in self.parts.items()},
            }
        )

    def restore(self, checkpoint: Checkpoint | None) -> tuple[Log, int, int]:
        """Load the newest good checkpoint, if any; return the log so far, epoch and position."""
        state = checkpoint.load(self.run.key) if checkpoint else None
        if state is None:
            return Log(), 0, 0
        self.batches.set_state(state["batches"])
        _set_generators(state["generators"])
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return Log(**state["log"]), state["epoch"], state["position"]


def _generators() -> dict[str, Any]:
    """Return the states of the global generators, as a checkpoint can hold them."""
    name, words, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.array(words, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "device": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_generators(states: dict[str, Any]) -> None:
    """Put the global generators back to where they were."""
    random.setstate(states["python"])
    name, words, *rest = states["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["device"]:
        torch.cuda.set_rng_state_all(states["device"])


def trajectory(run: Run, log: Log, problem: Problem) -> Trajectory:
    """Return every sample's weight after every re-weighting."""
    return Trajectory(
        parts=torch.stack(log.parts).numpy(),
        shares=torch.stack(log.shares).numpy(),
        step=run.step,
        contaminated=problem.contaminated,
        epochs=np.array([entry["epoch"] for entry in log.reweightings]),
    )
