"""What a run needs to go on to the same bits: every part's state, every generator, the log."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import torch

from experiments.augmentation import draw_moves
from experiments.log import Log
from experiments.noise import Stream, torch_seed
from experiments.spec import Run
from experiments.store import Checkpoint

# A kill costs at most the work of so many seconds, and the batch or evaluation in progress; or of
# so many times as long as it takes to save, where that is more.
CHECKPOINT_SECONDS = 1.0
CHECKPOINT_TIMES = 10


class State:
    """The state of a run in training, saved about once a second.

    Parameters
    ----------
    run
        Whose state it is; the global generators are seeded from it.
    device
        "cpu" or "cuda": its generator is part of the state.
    parts
        What has a state_dict, by its name in the checkpoint.
    checkpoint
        Where the state is kept, if anywhere.
    origin
        Digests of the user's data and network, if the run is made of those; a state of others is
        refused.

    Attributes
    ----------
    log
        The run's log, so far.
    epoch, position
        Finished epochs, and batches of the next one that are done.
    drawing
        Draws the order of samples of an epoch, and how images are moved.

    """

    def __init__(
        self,
        run: Run,
        device: str,
        parts: dict[str, Any],
        checkpoint: Checkpoint | None,
        origin: dict[str, str],
    ) -> None:
        self.origin = origin
        self.run, self.device, self.parts, self.checkpoint = run, device, parts, checkpoint
        self.log, self.epoch, self.position = Log(), 0, 0
        self.drawing = torch.Generator().manual_seed(torch_seed(run.seed, Stream.BATCHES))
        seed = torch_seed(run.seed, Stream.GLOBAL)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        state = checkpoint.load(run.key, origin) if checkpoint else None
        if state is not None:
            self._restore(state)
        if device not in self.log.devices:
            self.log.devices.append(device)
        self._start = self.drawing.get_state()
        self._saved, self._saving = time.perf_counter(), 0.0

    def draw_order(self, n: int) -> torch.Tensor:
        """Return the order of the next epoch's n samples, the one that was begun if it was."""
        self._start = self.drawing.get_state()
        return torch.randperm(n, generator=self.drawing)

    def draw_moves(self, n: int) -> torch.Tensor:
        """Return how n images are moved, of an epoch after its order; int64 (n, 3)."""
        return draw_moves(n, self.drawing)

    def due(self) -> bool:
        """Return whether it is time to save."""
        waited = time.perf_counter() - self._saved
        least = max(CHECKPOINT_SECONDS, CHECKPOINT_TIMES * self._saving)
        return self.checkpoint is not None and waited >= least

    def save(self, epoch: int, position: int) -> None:
        """Save the state after ``epoch`` epochs and ``position`` batches of the next."""
        if self.checkpoint is None:
            return
        start = time.perf_counter()
        self.checkpoint.save(
            {
                "key": self.run.key,
                "origin": self.origin,
                "epoch": epoch,
                "position": position,
                # Within an epoch its order is drawn again.
                "drawing": self._start if position else self.drawing.get_state(),
                "generators": _generators(self.device),
                "log": vars(self.log),
                **{name: part.state_dict() for name, part in self.parts.items()},
            }
        )
        self._saved = time.perf_counter()
        self._saving = self._saved - start

    def _restore(self, state: dict[str, Any]) -> None:
        """Put everything back to where it was."""
        self.log = Log(**state["log"])
        self.epoch, self.position = state["epoch"], state["position"]
        self.drawing.set_state(state["drawing"])
        _set_generators(state["generators"], self.device)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


def _generators(device: str) -> dict[str, Any]:
    """Return the states of the global generators, as a checkpoint can hold them."""
    name, words, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.array(words, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "device": torch.cuda.get_rng_state() if device == "cuda" else None,
    }


def _set_generators(states: dict[str, Any], device: str) -> None:
    """Put the global generators back to where they were."""
    random.setstate(states["python"])
    name, words, *rest = states["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if device == "cuda" and states["device"] is not None:
        torch.cuda.set_rng_state(states["device"])
