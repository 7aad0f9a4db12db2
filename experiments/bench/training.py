"""Adversarial training of Table 5's network: our loop against the loop as it is usually written.

On a CPU each loop has a process of its own, as in use: ours with the memory settings that sweeps
give their workers, the usual one as python starts, and once more with ours, to see what they do.

Usual: a DataLoader over float images, batch by batch onto the device; FGSM by ``loss.backward()``;
convolution, ReLU, pooling in this order and in the default memory format. In float64, from the same
start and with the same batches, both end at the same network.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from experiments.bench.protocol import FASTER
from experiments.bench.reweight import target, timed
from experiments.catalogue import TABLES
from experiments.losses import pointwise_loss
from experiments.method import Method
from experiments.models import CNN_CHANNELS, CNN_HIDDEN, build, has_bfloat16
from experiments.outcome import THREADS
from experiments.problem import Problem
from experiments.spec import Run
from experiments.step import Step
from experiments.sweep import HEADROOM

SAMPLES = 2000
ROUNDS = 5
TIMES_FASTER = {"cpu": 2.0, "cuda": 10.0}
# Steps in float64 after which both loops have to be at the same place, up to rounding.
CHECKED_STEPS = 10
LARGEST_DIFFERENCE = 1e-10


def training(device: str) -> dict[str, Any]:
    """Time an epoch of both loops, and check that they do the same."""
    cells = TABLES["table5"].cells("authors_program", "reduced", 0)
    run = next(cell.run for cell in cells if cell.noise_rate == 0.2 and not cell.rrm)
    samples = _samples(device)
    bfloat16 = replace(run, precision="bfloat16")
    # First, since there is nothing to time if it fails.
    difference = _difference(run, device)
    with ExitStack() as open_processes:

        def peer(loop: str, run: Run, memory: dict[str, str]) -> Callable[[], object]:
            if device == "cuda":
                return EPOCHS[loop](run, samples, device)
            return open_processes.enter_context(_elsewhere(loop, run, memory))

        peers = {"usual": peer("usual", run, {}), "ours": peer("ours", run, HEADROOM)}
        if device == "cpu":
            peers["usual, our memory settings"] = peer("usual", run, HEADROOM)
        if has_bfloat16(device):
            peers["ours, bfloat16"] = peer("ours", bfloat16, HEADROOM)
        outcome = timed(
            f"An epoch of {SAMPLES} samples, FGSM and SGD, batches of {run.batch_size}, {device}",
            peers,
            reference="ours",
            rounds=ROUNDS,
            wait=torch.cuda.synchronize if device == "cuda" else lambda: None,
        )
    seconds = {one["peer"]: one["seconds"] for one in outcome["timings"]}
    usual = next(one for one in outcome["timings"] if one["peer"] == "usual")
    return outcome | {
        "device": device,
        "samples_per_second": {peer: SAMPLES / spent for peer, spent in seconds.items()},
        "difference_in_float64": difference,
        "targets": [target(f"{FASTER}usual", usual["ratio"], TIMES_FASTER[device])],
    }


def _samples(device: str, dtype: torch.dtype = torch.float32) -> Problem:
    """Return random images and labels: what is timed does not depend on them."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, 28, 28, generator=rng, dtype=dtype)
    labels = torch.randint(10, (SAMPLES,), generator=rng)
    return Problem(
        x=x,
        labels=labels,
        contaminated=np.zeros(SAMPLES, dtype=bool),
        x_eval=x[:0],
        folds=(),
        n_classes=10,
        shape=(28, 28),
        ink=(-0.4, 2.8),
    ).to(device)


@contextmanager
def _elsewhere(loop: str, run: Run, memory: dict[str, str]) -> Iterator[Callable[[], object]]:
    """Give a call that trains an epoch in a process started with these variables."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(loop, run, there), daemon=True)
    before = {name: os.environ.get(name) for name in HEADROOM}
    for name in HEADROOM:
        os.environ.pop(name, None)
    os.environ.update(memory)
    try:
        process.start()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    there.close()  # so that a death over there is the end of the file here

    def epoch() -> None:
        here.send(True)
        here.recv()

    try:
        yield epoch
    finally:
        process.terminate()
        process.join()


def _serve(loop: str, run: Run, pipe: Connection) -> None:
    """Train an epoch for every message."""
    torch.set_num_threads(THREADS)
    epoch = EPOCHS[loop](run, _samples("cpu"), "cpu")
    while True:
        pipe.recv()
        epoch()
        pipe.send(True)


def _our_epochs(run: Run, samples: Problem, device: str) -> Callable[[], object]:
    """Return a call that trains an epoch as `experiments.train` does."""
    model = build(run, shape=(28, 28), n_classes=10, device=device)
    step = Step(run, samples, model, pointwise_loss(run), Method())
    drawing = torch.Generator().manual_seed(0)

    def epoch() -> None:
        order = torch.randperm(SAMPLES, generator=drawing).to(samples.x.device)
        for place in range(0, SAMPLES, run.batch_size):
            step(order[place : place + run.batch_size])

    return epoch


class UsualCNN(nn.Module):
    """The network of Table 5 as one writes it down."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in zip((1, *CNN_CHANNELS), CNN_CHANNELS, strict=False):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(CNN_CHANNELS[-1] * 16, CNN_HIDDEN)
        self.output = nn.Linear(CNN_HIDDEN, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.output(F.relu(self.hidden(self.features(x))))
        return logits


def _usual_epochs(run: Run, samples: Problem, device: str) -> Callable[[], object]:
    """Return a call that trains an epoch the usual way."""
    model = _usual_model(run).to(device)
    images = samples.x.cpu().unsqueeze(1)
    loader = DataLoader(
        TensorDataset(images, samples.labels.cpu()), batch_size=run.batch_size, shuffle=True
    )
    optimiser = torch.optim.SGD(model.parameters(), lr=run.learning_rate)

    def epoch() -> None:
        for x, labels in loader:
            _usual_step(run, model, optimiser, x.to(device), labels.to(device))

    return epoch


# What is timed, by name.
EPOCHS: dict[str, Callable[[Run, Problem, str], Callable[[], object]]] = {
    "ours": _our_epochs,
    "usual": _usual_epochs,
}


def _usual_model(run: Run) -> UsualCNN:
    """Return the usual network with our initial weights."""
    model = UsualCNN()
    ours = build(run, shape=(28, 28), n_classes=10)
    with torch.no_grad():
        for mine, theirs in zip(ours.parameters(), model.parameters(), strict=True):
            theirs.copy_(mine)
    return model


def _usual_step(
    run: Run, model: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, labels: Tensor
) -> None:
    """Take a step on one batch: attack by a backward pass, then another one for the weights."""
    loss = pointwise_loss(run)
    x = x.clone().requires_grad_()
    torch.autograd.backward(loss(model(x), labels).sum())
    assert x.grad is not None
    attacked = (x + run.train_eps * x.grad.sign()).detach()
    optimiser.zero_grad()
    torch.autograd.backward(loss(model(attacked), labels).sum() / SAMPLES)
    optimiser.step()


def _difference(run: Run, device: str) -> float:
    """Return by how much the loops' weights differ in the end, or raise if it is too much."""
    samples = _samples(device, torch.float64)
    ours, usual = build(run, shape=(28, 28), n_classes=10), _usual_model(run)
    ours, usual = ours.double().to(device), usual.double().to(device)
    step = Step(run, samples, ours, pointwise_loss(run), Method())
    optimiser = torch.optim.SGD(usual.parameters(), lr=run.learning_rate)
    for index in _batches(run, device):
        step(index)
        _usual_step(run, usual, optimiser, samples.x[index].unsqueeze(1), samples.labels[index])
    both = zip(ours.parameters(), usual.parameters(), strict=True)
    difference = max(float((a - b).detach().abs().max()) for a, b in both)
    if not difference <= LARGEST_DIFFERENCE:
        msg = f"the loops differ by {difference} after {CHECKED_STEPS} steps in float64."
        raise AssertionError(msg)
    return difference


def _batches(run: Run, device: str) -> Iterator[Tensor]:
    """Yield the indices of the steps that are compared."""
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(1)).to(device)
    for k in range(CHECKED_STEPS):
        yield order[k * run.batch_size : (k + 1) * run.batch_size]
