"""A training step on CIFAR-10: what share of the machine's matrix rate it reaches.

On a GPU Table 4's ResNet-34 in bfloat16, on a CPU the small network of scale `cpu` in float32. The
rate of a step counts the floating-point operations of its convolutions and products alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.bench.reweight import target, timed
from experiments.catalogue import TABLES
from experiments.losses import pointwise_loss
from experiments.method import Method
from experiments.models import build
from experiments.problem import Problem
from experiments.spec import Run
from experiments.step import Step

SAMPLES = 1024
ROUNDS = 7
# Side of the square matrices whose product is timed, and its type.
SIDES = {"cpu": 2048, "cuda": 8192}
TYPES = {"cpu": torch.float32, "cuda": torch.bfloat16}
SCALES = {"cpu": "cpu", "cuda": "paper"}
LEAST_SHARE = 0.25


def resnet(device: str) -> dict[str, Any]:
    """Time a step of Table 4's training, and a matrix product of the same type."""
    cells = TABLES["table4"].cells("paper", SCALES[device], 0)
    run = next(cell.run for cell in cells if not cell.rrm)
    # One by one: the operations inside a captured graph are not seen. And a step of its own: what
    # ran outside a graph is not to be captured later.
    counted, index = _step(run, device)
    with FlopCounterMode(display=False) as counter:
        counted.take(index)
    del counted
    step, index = _step(run, device)
    operations = counter.get_total_flops()
    outcome = timed(
        f"A step of {run.model} on {run.batch_size} images, {run.precision}, {device}",
        {"step": lambda: step(index), "matrix product": _product(device)},
        reference="matrix product",
        rounds=ROUNDS,
        wait=torch.cuda.synchronize if device == "cuda" else lambda: None,
    )
    seconds = {one["peer"]: one["seconds"] for one in outcome["timings"]}
    rates = {
        "step": operations / seconds["step"],
        "matrix product": 2 * SIDES[device] ** 3 / seconds["matrix product"],
    }
    share = rates["step"] / rates["matrix product"]
    return outcome | {
        "device": device,
        "operations_of_a_step": operations,
        "operations_per_second": rates,
        "samples_per_second": {"step": run.batch_size / seconds["step"]},
        "targets": [target("share of the matrix rate", share, LEAST_SHARE)]
        if device == "cuda"
        else [],
    }


def _step(run: Run, device: str) -> tuple[Step, torch.Tensor]:
    """Return a step on random images, and the indices of a batch."""
    rng = torch.Generator().manual_seed(0)
    samples = Problem(
        x=torch.randn(SAMPLES, 32, 32, 3, generator=rng),
        labels=torch.randint(10, (SAMPLES,), generator=rng),
        contaminated=np.zeros(SAMPLES, dtype=bool),
        x_eval=torch.zeros(0, 32, 32, 3),
        folds=(),
        n_classes=10,
        shape=(32, 32, 3),
        ink=(-1.9, 2.1),
    ).to(device)
    model = build(run, shape=samples.shape, n_classes=10, device=device)
    step = Step(run, samples, model, pointwise_loss(run), Method())
    return step, torch.randperm(SAMPLES, generator=rng)[: run.batch_size].to(device)


def _product(device: str) -> Callable[[], object]:
    """Return a call that multiplies two square matrices."""
    side = SIDES[device]
    a, b = torch.randn(2, side, side).to(device, TYPES[device])
    return lambda: a @ b
