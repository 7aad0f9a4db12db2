"""Files that survive a kill: results as one JSON a run, checkpoints with a digest, trajectories.

Every file is written beside its place, flushed, and moved there in one step; a reader sees the old
file or the new one, never a part.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from experiments.spec import Run
from experiments.trajectory import Trajectory
from rrm_theory._files import prepare_folder, write_atomically

RESULTS = Path(__file__).parent / "results"
WORK = Path("runs")
DIGEST_BYTES = 32
# Of checkpoints; raised when they hold something else, so that older ones are not misread.
FORMAT = 3

_log = logging.getLogger(__name__)


class BusyError(OSError):
    """Another process is training this run."""


class BrokenFileError(ValueError):
    """A result or checkpoint is truncated, damaged or not ours; the message names its path."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where the files of one experiment are: results are kept, work files may be deleted."""

    experiment: str
    results: Path = RESULTS
    work: Path = WORK

    def prepare(self) -> None:
        """Make both folders, or raise :class:`UnwritableError`."""
        prepare_folder(self.results / self.experiment)
        prepare_folder(self.work / self.experiment)

    def result_path(self, run: Run) -> Path:
        """Return the place of the run's JSON."""
        return self.results / self.experiment / f"{run.key}.json"

    def trajectory_path(self, run: Run) -> Path:
        """Return the place of the run's trajectory."""
        return self.results / self.experiment / f"{run.key}.npz"

    @contextmanager
    def lock(self, run: Run) -> Iterator[None]:
        """Hold the run for this process.

        Raises
        ------
        BusyError
            If another process holds it.

        """
        with (self.work / self.experiment / f"{run.key}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = "another process is training it"
                raise BusyError(msg) from error
            yield

    def checkpoint(self, run: Run) -> Checkpoint:
        """Return the run's checkpoint, which need not exist yet."""
        return Checkpoint(self.work / self.experiment / f"{run.key}.checkpoint")

    def save_result(self, run: Run, result: dict[str, Any]) -> None:
        """Write the run's JSON."""
        write_atomically(self.result_path(run), one_line_per_key(result).encode())

    def load_result(self, run: Run) -> dict[str, Any] | None:
        """Return the run's result, or None if it has not finished.

        Raises
        ------
        BrokenFileError
            If the file is damaged or belongs to another run.

        """
        path = self.result_path(run)
        if not path.is_file():
            return None
        try:
            result: dict[str, Any] = json.loads(path.read_text())
            key = result["key"]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{path} is not a result of this project ({error!r}); delete it to run again."
            raise BrokenFileError(msg) from error
        if key != run.key:
            msg = f"{path} holds the run {key}, not {run.key}; delete it to run again."
            raise BrokenFileError(msg)
        # The key leaves defaults out; should a default change, its old results do not pass for new.
        stored = result.get("run", {})
        for name, value in run.settings().items():
            if stored.get(name, value) != value:
                msg = f"{path} has {name}={stored[name]!r}, not {value!r}; delete it to run again."
                raise BrokenFileError(msg)
        return result

    def save_trajectory(self, run: Run, trajectory: Trajectory) -> None:
        """Write the run's trajectory, compressed."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **trajectory.arrays())
        write_atomically(self.trajectory_path(run), buffer.getvalue())

    def load_trajectory(self, run: Run) -> Trajectory | None:
        """Return the run's trajectory, or None if there is none.

        Raises
        ------
        BrokenFileError
            If the file is damaged.

        """
        path = self.trajectory_path(run)
        if not path.is_file():
            return None
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                return Trajectory.from_arrays(dict(file))
        except (
            ValueError,
            KeyError,
            TypeError,
            OSError,
            EOFError,
            BadZipFile,
            zlib.error,
        ) as error:
            msg = (
                f"{path} is not a trajectory of this project ({error!r}); delete it and "
                f"{self.result_path(run).name} to run again."
            )
            raise BrokenFileError(msg) from error


@dataclass(frozen=True)
class Checkpoint:
    """The last state of an unfinished run, and the one before it."""

    path: Path

    @property
    def previous(self) -> Path:
        """Place of the state before the last."""
        return self.path.with_suffix(".previous")

    def save(self, state: dict[str, Any]) -> None:
        """Write ``state`` (tensors, numbers, strings, lists, dicts), keeping the last good one."""
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **state}, buffer)
        content = buffer.getvalue()
        if self.path.is_file():
            self.path.replace(self.previous)
        write_atomically(self.path, hashlib.sha256(content).digest() + content)

    def load(self, key: str, origin: dict[str, str] | None = None) -> dict[str, Any] | None:
        """Return the newest good state of the run ``key``, or None if there is none.

        A file that is truncated, damaged, of another run, or of another ``origin`` is refused with
        a logged warning that names it, and the one before it is tried.
        """
        for path in (self.path, self.previous):
            if not path.is_file():
                continue
            try:
                return self._read(path, key, origin or {})
            except BrokenFileError as error:
                _log.warning("%s", error)
                # Left in place, the next save would keep it instead of the good one.
                path.unlink()
        return None

    def delete(self) -> None:
        """Remove both files."""
        self.path.unlink(missing_ok=True)
        self.previous.unlink(missing_ok=True)

    @staticmethod
    def _read(path: Path, key: str, origin: dict[str, str]) -> dict[str, Any]:
        """Return the state in ``path``, or raise :class:`BrokenFileError` naming it."""
        raw = path.read_bytes()
        digest, content = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            msg = f"refused the checkpoint {path}: truncated, damaged or foreign."
            raise BrokenFileError(msg)
        try:
            state: dict[str, Any] = torch.load(
                io.BytesIO(content), weights_only=True, map_location="cpu"
            )
            owner = state["key"]
        except (KeyError, TypeError, RuntimeError, UnpicklingError) as error:
            msg = f"refused the checkpoint {path}: not one of this project ({error!r})."
            raise BrokenFileError(msg) from error
        if state.get("format") != FORMAT:
            msg = f"refused the checkpoint {path}: its format is not {FORMAT}."
            raise BrokenFileError(msg)
        if owner != key:
            msg = f"refused the checkpoint {path}: it belongs to the run {owner}, not {key}."
            raise BrokenFileError(msg)
        if state.get("origin", {}) != origin:
            msg = f"refused the checkpoint {path}: made of other data, or another network."
            raise BrokenFileError(msg)
        return state


def one_line_per_key(result: dict[str, Any]) -> str:
    """Return strict JSON with one line per top-level key, so that a diff names what changed."""
    lines = (
        f" {json.dumps(key)}: {json.dumps(value, sort_keys=True, allow_nan=False)}"
        for key, value in result.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"
