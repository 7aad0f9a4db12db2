"""What is timed: a re-weighting, a step of a network, whole runs, the theory, the estimator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from experiments.bench.estimator import estimator
from experiments.bench.resnet import resnet
from experiments.bench.reviews import reviews
from experiments.bench.reweight import reweight, reweight_gpu, timed
from experiments.bench.theory import theory
from experiments.bench.training import training
from experiments.catalogue import TABLES
from experiments.models import MLP
from experiments.reviews import FILE
from experiments.sources import in_folder
from experiments.store import Store
from experiments.sweep import sweep

# Seconds a run of Table 8 may take on one core, without and with re-weighting; and the share of
# it that re-weighting itself may take.
TARGET_SECONDS = {False: 35.0, True: 50.0}
TARGET_SHARE = 0.01


def table8() -> dict[str, Any]:
    """Time one whole run of Table 8 without and with RRM (cross-entropy, 60 %), as a sweep does."""
    chosen = [
        cell.run
        for cell in TABLES["table8"].cells("authors_program", "paper", 0)
        if (cell.row, cell.noise_rate) == ("cce", 0.60)
    ]
    runs = []
    with TemporaryDirectory() as folder:
        store = Store(experiment="bench", results=Path(folder), work=Path(folder))
        outcome = sweep(chosen, store, jobs=1, console=Console(quiet=True))
        for run in chosen:
            result = store.load_result(run)
            if result is None:
                msg = f"the run did not finish: {outcome.failed.get(run, 'stopped')}"
                raise RuntimeError(msg)
            total = sum(result["seconds"].values())
            share = result["seconds"].get("reweighting", 0.0) / total
            runs.append(
                {
                    "rrm": run.reweights,
                    "seconds": total,
                    "by_activity": result["seconds"],
                    "target_seconds": TARGET_SECONDS[run.reweights],
                    "reweighting_share": share,
                    "target_share": TARGET_SHARE,
                    "met": total <= TARGET_SECONDS[run.reweights] and share <= TARGET_SHARE,
                }
            )
    return {"runs": runs}


def step() -> dict[str, Any]:
    """Time one training step of Table 8's network with oneDNN and with torch's default BLAS."""
    run = TABLES["table8"].cells("authors_program", "paper", 0)[0].run
    model = MLP(28 * 28, 3)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(run.batch_size, 28, 28, generator=rng)
    labels = torch.randint(3, (run.batch_size,), generator=rng)
    optimiser = torch.optim.SGD(model.parameters(), lr=run.learning_rate)

    def default_blas(x: Tensor) -> Tensor:
        h = x.flatten(1)
        *hidden, last = model.layers
        for layer in hidden:
            h = F.relu(layer(h))
        logits: Tensor = last(h)
        return logits

    def one_step(network: Callable[[Tensor], Tensor]) -> None:
        optimiser.zero_grad()
        torch.autograd.backward(F.cross_entropy(network(x), labels))
        optimiser.step()

    return timed(
        "One training step, 784-320-320-200-3, batch 100",
        {"oneDNN": lambda: one_step(model), "default BLAS": lambda: one_step(default_blas)},
        reference="oneDNN",
    )


SUITES: dict[str, Callable[[], dict[str, Any]]] = {
    "resnet": partial(resnet, "cpu"),
    "reweight": reweight,
    "sklearn": estimator,
    "step": step,
    "table8": table8,
    "theory": theory,
    "train": partial(training, "cpu"),
}
SUITES_OF_A_GPU: dict[str, Callable[[], dict[str, Any]]] = {
    "resnet_gpu": partial(resnet, "cuda"),
    "reweight_gpu": reweight_gpu,
    "train_gpu": partial(training, "cuda"),
}
if torch.cuda.is_available():
    SUITES |= SUITES_OF_A_GPU
if in_folder(FILE) is not None:
    SUITES["imdb"] = reviews
