"""Methods side by side, alone and wrapped by RRM, on MNIST and CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from experiments.catalogue.cell import SMOKE, Cell, Table
from experiments.spec import Noise, Run

# Methods side by side, alone and wrapped by RRM: the same data, noise, network, samples that train,
# steps and selection. All hold out what the weighting networks need, whether they use it or not.
# One setting is not its paper's: a flywheel of a network without normalisation breaks at lambda = 3
# (LOG.md).
METHODS_BASE = Run(
    dataset="mnist",
    model="cnn",
    loss="cce",
    noise_rate=0.4,
    seed=0,
    learning_rate=0.02,
    momentum=0.9,
    weight_decay=5e-4,
    batch_size=100,
    iterations=6,
    epochs_per_iteration=2,
    reduction="batch_mean",
    initialisation="torch",
    validation=0.1,
    meta_samples=1000,
    meta_every=4,
    # Of no effect without a weighting network; stored results of such rows are known by it.
    meta_learning_rate=0.05,
    warm_up=2,
    confidence_strength=0.4,
)
METHODS_SCALES: dict[str, dict[str, Any]] = {
    "reduced": {"train_samples": 14_000, "test_samples": 2000},
    "smoke": SMOKE | {"train_samples": 600, "test_samples": 200, "meta_samples": 100, "warm_up": 1},
}
# RMNW-Net paper, Section 4.
META_LEARNING_RATE = 1e-3
METHODS_ROWS: dict[str, dict[str, Any]] = {
    "cross-entropy": {"method": "small_loss"},
    "ELR": {"loss": "elr"},
    "MW-Net*": {"method": "mw_net", "meta_learning_rate": META_LEARNING_RATE},
    "MNW-Net": {"method": "mnw_net", "meta_learning_rate": META_LEARNING_RATE},
    "RMNW-Net": {"method": "rmnw_net", "meta_learning_rate": META_LEARNING_RATE},
    "LNL-flywheel": {"method": "flywheel", "warm_up": 3},
}
# Kinds of noise at METHODS_BASE's rate, and the share of labels that are wrong in the end: uniform
# noise over ten classes keeps a tenth of what it draws.
METHODS_NOISE: dict[Noise, float] = {"uniform_or_kept": 0.36, "flip": 0.4}
# The same with colour images and batch norms, so with the flywheel paper's lambda; its contrastive
# term is left out. `reduced` is for minutes on a GPU.
METHODS_CIFAR_BASE = replace(
    METHODS_BASE,
    dataset="cifar10",
    model="resnet8",
    augment="crop_and_flip",
    confidence_strength=3.0,
    meta_learning_rate=META_LEARNING_RATE,
    iterations=8,
    epochs_per_iteration=3,
    train_samples=5000,
    test_samples=2000,
)
METHODS_CIFAR_SCALES: dict[str, dict[str, Any]] = {
    "reduced": {
        "model": "resnet18",
        "precision": "bfloat16",
        "epochs_per_iteration": 5,
        "warm_up": 10,
        "train_samples": None,
        "test_samples": None,
    },
    "cpu": {"warm_up": 6},
    "smoke": METHODS_SCALES["smoke"],
}
# RMNW-Net paper, Tables 1 and 3: 40 % uniform noise, mean accuracy of five runs in percent, and the
# AUC of wrong labels at its best epoch.
METHODS_CIFAR: dict[str, tuple[float, ...]] = {
    "cross-entropy": (68.07,),
    "MW-Net*": (90.35, 97.14),
    "MNW-Net": (88.8, 93.46),
    "RMNW-Net": (90.8, 98.48),
}


def _methods(
    base: Run, scales: dict[str, dict[str, Any]], published: dict[str, tuple[float, ...]]
) -> Callable[[str, str, int], tuple[Cell, ...]]:
    """Return the cells of a table of methods; published is what is known under uniform noise."""

    def cells(preset: str, scale: str, seed: int) -> tuple[Cell, ...]:
        """Return 24: two kinds of noise, six methods, alone and with RRM that knows the rate."""
        del preset
        return tuple(
            Cell(
                row=f"{row}, {'uniform' if uniform else noise}",
                noise_rate=wrong,
                rrm=rrm,
                published=published.get(row, ()) if uniform and not rrm else (),
                run=replace(
                    replace(base, seed=seed, noise=noise, **changes),
                    contamination=wrong if rrm else None,
                    **scales[scale],
                ),
            )
            for noise, wrong in METHODS_NOISE.items()
            for uniform in (noise == "uniform_or_kept",)
            for row, changes in METHODS_ROWS.items()
            for rrm in (False, True)
        )

    return cells


# What --set cannot change in a table of methods, since its rows are made of it.
METHODS_FIXED = ("seed", "noise_rate", "loss", "noise", "method", "contamination")


TABLES = (
    Table(
        name="methods",
        title="Methods side by side on MNIST, test accuracy (%), alone and wrapped by RRM",
        source="ours; RMNW-Net paper, LNL-flywheel paper",
        scales=("reduced", "smoke"),
        presets=("paper",),
        cells=_methods(METHODS_BASE, METHODS_SCALES, {}),
        experiment="methods",
        shows="methods",
        fixed=METHODS_FIXED,
    ),
    Table(
        name="methods_cifar10",
        title="Methods side by side on CIFAR-10, test accuracy (%), alone and wrapped by RRM",
        source="ours; RMNW-Net paper, Tables 1 and 3",
        scales=("reduced", "cpu", "smoke"),
        presets=("paper",),
        cells=_methods(METHODS_CIFAR_BASE, METHODS_CIFAR_SCALES, METHODS_CIFAR),
        experiment="methods_cifar10",
        shows="methods",
        fixed=METHODS_FIXED,
        differences=(
            "WRN-28-10 there",
            "120 epochs there, with a learning rate of 0.05 that drops twice, here a constant 0.02",
            "the weighting network is updated before every step there",
            "how an accuracy's epoch is chosen is not said there; an AUC's is the best one",
            "of the flywheel nothing is published at this rate",
        ),
    ),
)
