"""Many runs on several processes: finished ones are skipped, unfinished ones are continued.

Each process trains with one thread; on small networks a second thread slows torch down. Whatever
ends the sweep (Ctrl-C, a budget, a kill), the same command goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from queue import Empty
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.data import load
from experiments.outcome import result
from experiments.problem import problem
from experiments.spec import Run
from experiments.store import Store
from experiments.train import train, trajectory

POLL_SECONDS = 0.2


@dataclass(kw_only=True)
class Sweep:
    """How a sweep ended, run by run."""

    present: list[Run] = field(default_factory=list)
    finished: list[Run] = field(default_factory=list)
    failed: dict[Run, str] = field(default_factory=dict)
    unfinished: list[Run] = field(default_factory=list)
    interrupted: bool = False


def sweep(
    runs: Sequence[Run],
    store: Store,
    *,
    jobs: int = 1,
    budget_seconds: float | None = None,
    console: Console,
) -> Sweep:
    """Train every run that has no result yet, and say how it went.

    Parameters
    ----------
    runs
        What to train; equal runs are trained once.
    store
        Where results and work files go; its folders must take files.
    jobs
        Number of processes, each with one thread.
    budget_seconds
        After this wall time no run is started, and those in progress stop after their epoch.
    console
        Where progress is shown, if it is a terminal.

    Raises
    ------
    UnwritableError
        If a folder cannot take files; nothing has been trained then.
    BrokenFileError
        If a result that is present cannot be read.

    """
    store.prepare()
    outcome = Sweep()
    wanted = list(dict.fromkeys(runs))
    for run in wanted:
        (outcome.unfinished if store.load_result(run) is None else outcome.present).append(run)
    for name in {run.dataset for run in outcome.unfinished}:
        load(name)  # a missing data set is one error here, not one in every process
    if not outcome.unfinished:
        return outcome

    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    epochs: Queue[tuple[Run, int]] = context.Queue()
    pool = ProcessPoolExecutor(
        min(jobs, len(outcome.unfinished)),
        mp_context=context,
        initializer=_start_worker,
        initargs=(stop, epochs),
    )
    deadline = None if budget_seconds is None else time.monotonic() + budget_seconds
    total = sum(run.epochs for run in wanted)
    with _progress(console) as progress:
        task = progress.add_task("epochs", total=total)
        progress.advance(task, sum(run.epochs for run in outcome.present))
        pending = {pool.submit(_train_one, run, store): run for run in outcome.unfinished}
        reached = dict.fromkeys(outcome.unfinished, 0)
        try:
            while pending:
                done, _ = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    _collect(future, pending.pop(future), outcome)
                _advance(progress, task, epochs, reached)
                if deadline is not None and time.monotonic() > deadline and not stop.is_set():
                    _wind_down(stop, pending)
        except KeyboardInterrupt:
            outcome.interrupted = True
            _wind_down(stop, pending)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        for future, run in pending.items():
            _collect(future, run, outcome)
    return outcome


def _wind_down(stop: Event, pending: dict[Future[bool], Run]) -> None:
    """Let running runs save and stop, and keep waiting ones from starting."""
    stop.set()
    for future in pending:
        future.cancel()


def _collect(future: Future[bool], run: Run, outcome: Sweep) -> None:
    """Enter one run's end into the outcome."""
    if future.cancelled():
        return
    try:
        finished = future.result()
    except BrokenProcessPool:
        outcome.failed[run] = "its process was killed"
    except Exception as error:  # one run's failure must not lose the others
        outcome.failed[run] = f"{type(error).__name__}: {error}"
    else:
        if not finished:
            return
        outcome.finished.append(run)
    outcome.unfinished.remove(run)


def _progress(console: Console) -> Progress:
    """Return the progress bar, silent where the output is not a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _advance(
    progress: Progress, task: Any, epochs: Queue[tuple[Run, int]], reached: dict[Run, int]
) -> None:
    """Move the bar by the epochs the processes report."""
    while True:
        try:
            run, epoch = epochs.get_nowait()
        except Empty:
            return
        progress.advance(task, epoch - reached[run])
        reached[run] = epoch


# Set once in every worker process, by its initialiser.
_worker: dict[str, Any] = {}


def _start_worker(stop: Event, epochs: Queue[tuple[Run, int]]) -> None:
    """Prepare a worker: one thread, Ctrl-C left to the parent, no life after the parent's."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker.update(stop=stop, epochs=epochs)
    parent = multiprocessing.parent_process()

    def follow_parent() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()


def _train_one(run: Run, store: Store) -> bool:
    """Train a run to its end and store it, or to the sweep's stop; return whether it ended."""
    data = load(run.dataset)
    samples = problem(run, data)
    checkpoint = store.checkpoint(run)
    log = train(
        run,
        samples,
        checkpoint=checkpoint,
        after_epoch=lambda epoch: _worker["epochs"].put((run, epoch)),
        stop=_worker["stop"].is_set,
    )
    if log is None:
        return False
    if run.reweights:
        store.save_trajectory(run, **trajectory(log, samples))
    store.save_result(run, result(run, data, samples, log))
    checkpoint.delete()
    return True
