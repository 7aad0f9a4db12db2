"""What a run writes down as it goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(kw_only=True)
class Log:
    """What a run writes down as it goes; plain numbers and tensors, as it is in checkpoints.

    ``validation_correct[e][f]`` and ``test_correct[e][f]`` count right answers in fold f at the
    e-th of the run's evaluations, by noisy labels and by the true ones;
    ``clean_validation_correct[e][f]`` the former by the true ones, which no selection may see,
    ``attacked_validation_correct[e][f]`` the former on images attacked as in training, and
    ``attacked_correct[e][f][k]`` the latter under the k-th of TEST_EPS.
    ``cleanness_auc[e]`` says how well a method tells right training labels from wrong ones.
    ``canary[e]`` compares FGSM with PGD. ``parts`` and ``shares`` are the trajectory, ``losses``
    what its last re-weighting saw, float32; ``method`` is
    what the method keeps when the run ends; ``seconds`` adds up wall time by activity;
    ``peak_memory`` is the most of it, in bytes, where that is known; ``devices`` are those the run
    was on, one after the other.
    """

    validation_correct: list[list[int]] = field(default_factory=list)
    clean_validation_correct: list[list[int]] = field(default_factory=list)
    attacked_validation_correct: list[list[int]] = field(default_factory=list)
    test_correct: list[list[int]] = field(default_factory=list)
    attacked_correct: list[list[list[int]]] = field(default_factory=list)
    canary: list[dict[str, Any]] = field(default_factory=list)
    cleanness_auc: list[float] = field(default_factory=list)
    method: dict[str, Any] = field(default_factory=dict)
    reweightings: list[dict[str, Any]] = field(default_factory=list)
    parts: list[Tensor] = field(default_factory=list)
    shares: list[Tensor] = field(default_factory=list)
    losses: Tensor | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory: int | None = None
    devices: list[str] = field(default_factory=list)


class Clock:
    """Adds the time since the last lap to the named activity, what a GPU has queued included."""

    def __init__(self, seconds: dict[str, float], device: str) -> None:
        self.seconds, self.device, self.last = seconds, device, time.perf_counter()

    def lap(self, activity: str) -> None:
        """Book the time since the last lap."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[activity] = self.seconds.get(activity, 0.0) + now - self.last
        self.last = now
