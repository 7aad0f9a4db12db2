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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from queue import Empty
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.data import load
from experiments.outcome import THREADS, environment, result
from experiments.own import is_own, own_network, refuse_other
from experiments.problem import problem
from experiments.spec import OWN_MODEL, Run
from experiments.store import Store
from experiments.train import train, trajectory

POLL_SECONDS = 0.2
# glibc gives every training step's memory back to the system and takes page faults to get it
# again; with this many bytes of headroom the workers keep it. A headroom alone would freeze the
# threshold from which a tensor is mapped, and so faulted in, by itself at 128 KiB; this is the
# largest that glibc takes.
HEADROOM = {"MALLOC_TOP_PAD_": str(2**26), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
# How often a run may be at work when a process is killed before it counts as failed.
MOST_STRIKES = 2


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
    device: str = "cpu",
    console: Console,
) -> Sweep:
    """Train every run that has no result yet, and say how it went.

    Must be called from the main thread, where Ctrl-C arrives.

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
    device
        "cpu" or "cuda"; the processes share one GPU.
    console
        Where progress is shown, if it is a terminal.

    Raises
    ------
    ValueError
        If there is no such device or network, or a result was made of a user's file or network as
        it no longer is.
    UnwritableError
        If a folder cannot take files; nothing has been trained then.
    BrokenFileError
        If a result that is present cannot be read.

    """
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        msg = f"device must be cpu, or cuda where there is a GPU; got {device!r}."
        raise ValueError(msg)
    store.prepare()
    # Taken now: what is on disk when a run ends need not be what it was started from.
    provenance = environment(device)
    outcome = Sweep()
    wanted = list(dict.fromkeys(runs))
    for run in wanted:
        present = store.load_result(run)
        (outcome.unfinished if present is None else outcome.present).append(run)
        if present is not None and is_own(run):
            where = str(store.result_path(run))
            refuse_other(run, load(run.dataset), present["origin"], where)
    deadline = None if budget_seconds is None else time.monotonic() + budget_seconds
    strikes: Counter[Run] = Counter()
    try:
        with console.status("loading data") if console.is_terminal else nullcontext():
            for name in {run.dataset for run in outcome.unfinished}:
                load(name)  # a missing data set is one error here, not one in every process
            for run in {run.model: run for run in outcome.unfinished}.values():
                if OWN_MODEL in run.model:  # likewise
                    data = load(run.dataset)
                    own_network(run.model, data.shape, data.n_classes, run.seed)
        with _progress(console) as progress:
            task = progress.add_task("epochs", total=sum(run.epochs for run in wanted))
            progress.advance(task, sum(run.epochs for run in outcome.present))
            while (
                outcome.unfinished
                and not outcome.interrupted
                and (deadline is None or time.monotonic() < deadline)
            ):
                team = _Team(outcome, store, provenance, jobs, device)
                suspects = team.work(deadline, lambda epochs: progress.advance(task, epochs))
                # One of these took its process down; twice, and it is that run's fault.
                strikes.update(suspects)
                for run in suspects:
                    if strikes[run] == MOST_STRIKES:
                        outcome.failed[run] = f"its process was killed {MOST_STRIKES} times"
                        outcome.unfinished.remove(run)
    except KeyboardInterrupt:
        outcome.interrupted = True
    return outcome


class _Team:
    """Processes that work on a sweep's unfinished runs until all are done or it is stopped."""

    def __init__(
        self, outcome: Sweep, store: Store, provenance: dict[str, Any], jobs: int, device: str
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.outcome = outcome
        self.stop = context.Event()
        self.epochs: Queue[tuple[Run, int]] = context.Queue()
        self.reached: dict[Run, int] = {}
        self.pool = ProcessPoolExecutor(
            min(jobs, len(outcome.unfinished)),
            mp_context=context,
            initializer=_start_worker,
            initargs=(self.stop, self.epochs),
        )
        self.work_on = partial(_train_one, store=store, provenance=provenance, device=device)
        self.pending: dict[Future[bool], Run] = {}

    def work(self, deadline: float | None, advance: Callable[[int], None]) -> set[Run]:
        """Wait for the runs; return those in progress when a process was killed, if one was.

        If none was in progress, the processes cannot even start, and all runs are returned.
        """
        with _interrupts_held() as held:
            try:
                broken = not self._start()
                while self.pending and not broken and not held:
                    done, _ = wait(self.pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                    self._advance(advance)
                    for future in done:
                        broken |= self._collect(future)
                    if deadline is not None and time.monotonic() > deadline:
                        self.stop.set()
            finally:
                self.stop.set()
                self.pool.shutdown(wait=True, cancel_futures=True)
                for future in list(self.pending):
                    self._collect(future)
                self._advance(advance)
        self.outcome.interrupted = bool(held)
        unfinished = set(self.outcome.unfinished)
        return (unfinished & set(self.reached) or unfinished) if broken else set()

    def _start(self) -> bool:
        """Hand out the runs, which starts the processes; return whether none was killed yet.

        Processes inherit a blocked Ctrl-C: in a terminal it reaches them too, and theirs is to let
        the parent decide.
        """
        os.environ.update(HEADROOM)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for run in self.outcome.unfinished:
                self.pending[self.pool.submit(self.work_on, run)] = run
        except BrokenProcessPool:
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return True

    def _collect(self, future: Future[bool]) -> bool:
        """Enter one run's end into the outcome; return whether its process was killed."""
        run = self.pending.pop(future)
        if future.cancelled():
            return False
        try:
            finished = future.result()
        except BrokenProcessPool:
            return True
        except Exception as error:  # one run's failure must not lose the others
            self.outcome.failed[run] = f"{type(error).__name__}: {error}"
        else:
            if not finished:
                return False
            self.outcome.finished.append(run)
        self.outcome.unfinished.remove(run)
        return False

    def _advance(self, advance: Callable[[int], None]) -> None:
        """Report the epochs that the processes have finished since the last time."""
        while True:
            try:
                run, epoch = self.epochs.get_nowait()
            except Empty:
                return
            advance(epoch - self.reached.get(run, 0))
            self.reached[run] = epoch


@contextmanager
def _interrupts_held() -> Iterator[list[int]]:
    """Yield a list that fills with Ctrl-C's as they come, in place of what they would do."""
    held: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, as in the background of a script
        yield held
        return
    signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)


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


# Set once in every worker process, by its initialiser.
_worker: dict[str, Any] = {}


def _start_worker(stop: Event, epochs: Queue[tuple[Run, int]]) -> None:
    """Prepare a worker: its number of threads, and no life after the parent's."""
    torch.set_num_threads(THREADS)
    _worker.update(stop=stop, epochs=epochs)
    parent = multiprocessing.parent_process()

    def follow_parent() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()


def _train_one(run: Run, store: Store, provenance: dict[str, Any], device: str) -> bool:
    """Train a run to its end and store it, or to the sweep's stop; return whether it ended."""
    if _worker["stop"].is_set():
        return False
    with store.lock(run):
        if store.load_result(run) is not None:
            return True  # another sweep made it in the meantime
        _worker["epochs"].put((run, 0))
        data = load(run.dataset)
        samples = problem(run, data)
        checkpoint = store.checkpoint(run)
        log = train(
            run,
            samples,
            device=device,
            checkpoint=checkpoint,
            after_epoch=lambda epoch: _worker["epochs"].put((run, epoch)),
            stop=_worker["stop"].is_set,
        )
        if log is None:
            return False
        path = trajectory(run, log, samples) if run.reweights else None
        if path is not None:
            store.save_trajectory(run, path)
        store.save_result(run, result(run, data, samples, log, provenance, path))
        checkpoint.delete()
    return True
