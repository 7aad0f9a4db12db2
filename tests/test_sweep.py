"""Sweeps: finished runs are skipped, killed ones continued, and nothing is done twice."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from experiments import sweep as sweeping
from experiments.data import load
from experiments.outcome import result
from experiments.problem import problem
from experiments.spec import Run
from experiments.store import Store
from experiments.sweep import sweep
from experiments.train import train, trajectory
from rrm_theory._files import UnwritableError

ROOT = Path(__file__).parent.parent
QUIET = Console(file=io.StringIO())
SHORT = Run(
    dataset="digits", model="mlp", loss="cce", noise_rate=0.4, seed=0,
    penalty=0.5, step=0.5, iterations=2, epochs_per_iteration=1,
)  # fmt: skip
# Long enough to be killed in the middle: some seconds, against one between checkpoints.
LONG = replace(SHORT, loss="elr", iterations=60, epochs_per_iteration=5)
PATIENCE = 120

SCRIPT = """
from pathlib import Path
from rich.console import Console
from experiments.store import Store
from experiments.sweep import sweep
from test_sweep import LONG, SHORT
if __name__ == "__main__":
    folder = Path({folder!r})
    store = Store(experiment="test", results=folder, work=folder)
    sweep([SHORT, LONG], store, jobs=1, console=Console())
"""


def store_in(folder):
    """Return a store with everything in one folder."""
    return Store(experiment="test", results=folder, work=folder)


def without_clock(outcome):
    """Return the result without what may differ between two identical runs."""
    changing = ("seconds", "peak_memory_bytes", "environment")
    return {key: value for key, value in outcome.items() if key not in changing}


def directly(run):
    """Return the run's result from an uninterrupted call of the training loop."""
    data = load(run.dataset)
    samples = problem(run, data)
    log = train(run, samples)
    path = trajectory(run, log, samples) if run.reweights else None
    return without_clock(result(run, data, samples, log, {}, path))


def test_results_are_those_of_the_loop_and_are_not_made_twice(tmp_path):
    """Equal runs are one; a second sweep finds everything present and touches nothing."""
    store, other = store_in(tmp_path), replace(SHORT, seed=1)
    first = sweep([SHORT, other, SHORT], store, jobs=2, console=QUIET)
    assert sorted(run.seed for run in first.finished) == [0, 1]
    for run in (SHORT, other):
        assert without_clock(store.load_result(run)) == directly(run)
    before = store.result_path(SHORT).stat().st_mtime_ns
    second = sweep([SHORT, other], store, jobs=2, console=QUIET)
    assert second.present == [SHORT, other]
    assert not second.finished
    assert store.result_path(SHORT).stat().st_mtime_ns == before


def test_sigkill_in_the_middle_costs_nothing_that_was_saved(tmp_path):
    """The finished run is skipped, the killed one continued from its checkpoint, to the bit."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(tmp_path)))
    places = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": places}
    )
    store = store_in(tmp_path)
    checkpoint = store.checkpoint(LONG)
    deadline = time.monotonic() + PATIENCE
    while not checkpoint.path.is_file():
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint in time"
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    # The worker follows its parent; wait until it no longer writes.
    last = -1
    while (now := checkpoint.path.stat().st_mtime_ns) != last:
        last = now
        time.sleep(1.5)
    saved = checkpoint.load(LONG.key)["epoch"]
    assert 0 < saved < LONG.epochs
    assert store.load_result(LONG) is None

    outcome = sweep([SHORT, LONG], store, jobs=1, console=QUIET)
    assert outcome.present == [SHORT]
    assert outcome.finished == [LONG]
    assert without_clock(store.load_result(LONG)) == directly(LONG)
    assert not checkpoint.path.is_file()


def test_a_failing_run_is_named_and_the_others_finish(tmp_path):
    """Its message is kept; its neighbour's result is there."""
    bad = replace(SHORT, learning_rate=1e10)
    outcome = sweep([bad, SHORT], store_in(tmp_path), jobs=1, console=QUIET)
    assert outcome.finished == [SHORT]
    assert outcome.unfinished == []
    assert "DivergedError: diverged in epoch 1: the loss is nan" in outcome.failed[bad]


def test_a_budget_stops_cleanly_and_the_same_call_goes_on(tmp_path):
    """With no time left nothing is lost, and what remains is said."""
    store = store_in(tmp_path)
    stopped = sweep([LONG, SHORT], store, jobs=1, budget_seconds=0.1, console=QUIET)
    assert set(stopped.unfinished) >= {SHORT}
    assert not stopped.failed
    rest = sweep([LONG, SHORT], store, jobs=2, console=QUIET)
    assert set(rest.finished) == {LONG, SHORT}
    for run in (LONG, SHORT):
        assert without_clock(store.load_result(run)) == directly(run)


def interrupt_here():
    """Send a Ctrl-C to this thread."""
    signal.raise_signal(signal.SIGINT)


def interrupt_in_a_thread():
    """Send a Ctrl-C to a thread that does not block it."""

    def interrupt():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        interrupt_here()

    thread = threading.Thread(target=interrupt)
    thread.start()
    thread.join()


def interrupted_at(moment, monkeypatch, interrupt=interrupt_here):
    """Let a Ctrl-C come whenever the pool is asked for that; return the list of its calls."""
    original = getattr(sweeping.ProcessPoolExecutor, moment)
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(args)
        interrupt()
        return original(*args, **kwargs)

    monkeypatch.setattr(sweeping.ProcessPoolExecutor, moment, interrupted)
    return calls


@pytest.mark.parametrize("moment", ["submit", "shutdown"])
@pytest.mark.parametrize("interrupt", [interrupt_here, interrupt_in_a_thread])
def test_a_single_ctrl_c_is_never_lost(moment, interrupt, tmp_path, monkeypatch):
    """Not even one that comes while processes are started or ended."""
    interrupted_at(moment, monkeypatch, interrupt)
    outcome = sweep([SHORT], store_in(tmp_path), jobs=1, console=QUIET)
    assert outcome.interrupted
    assert (outcome.unfinished if moment == "submit" else outcome.finished) == [SHORT]


@pytest.fixture
def handled_by():
    """Set what handles a Ctrl-C, and put back what did."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda handler: signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGINT, before)


def test_a_ctrl_c_ends_the_sweep_whatever_else_handles_it(tmp_path, monkeypatch, handled_by):
    """Also where a library's handler, which need not raise, was there before."""
    handled_by(lambda *_: None)
    interrupted_at("submit", monkeypatch)
    outcome = sweep([SHORT], store_in(tmp_path), jobs=1, console=QUIET)
    assert (outcome.interrupted, outcome.unfinished) == (True, [SHORT])


def test_an_ignored_ctrl_c_stays_ignored(tmp_path, monkeypatch, handled_by):
    """As a shell's background jobs have it: the sweep goes on, in the same processes."""
    handled_by(signal.SIG_IGN)
    calls = interrupted_at("submit", monkeypatch)
    outcome = sweep([SHORT], store_in(tmp_path), jobs=1, console=QUIET)
    assert (outcome.interrupted, outcome.finished, len(calls)) == (False, [SHORT], 1)


def test_a_ctrl_c_does_not_hide_an_error(tmp_path, monkeypatch):
    """What fails meanwhile is raised as it is."""

    def failing(*_):
        signal.raise_signal(signal.SIGINT)
        return 1 / 0

    monkeypatch.setattr(sweeping.ProcessPoolExecutor, "submit", failing)
    with pytest.raises(ZeroDivisionError):
        sweep([SHORT], store_in(tmp_path), jobs=1, console=QUIET)


def test_a_process_killed_while_runs_are_handed_out_costs_a_retry(tmp_path, monkeypatch):
    """The pool refuses the second run; new processes finish both."""
    calls = []

    def refusing(self, *args):
        calls.append(1)
        if len(calls) == 2:
            raise BrokenProcessPool
        return original(self, *args)

    original = sweeping.ProcessPoolExecutor.submit
    monkeypatch.setattr(sweeping.ProcessPoolExecutor, "submit", refusing)
    runs = [SHORT, replace(SHORT, seed=1)]
    outcome = sweep(runs, store_in(tmp_path), jobs=1, console=QUIET)
    assert set(outcome.finished) == set(runs)
    assert not outcome.failed


def test_a_killed_worker_costs_its_run_a_retry_and_the_others_nothing(tmp_path):
    """Its runs go on in new processes; every result is the loop's."""
    store = store_in(tmp_path)
    killer = threading.Thread(target=kill_a_worker_after, args=(store.checkpoint(LONG),))
    killer.start()
    others = [replace(SHORT, seed=seed) for seed in range(3)]
    outcome = sweep([LONG, *others], store, jobs=2, console=QUIET)
    killer.join()
    assert not outcome.failed
    assert set(outcome.finished) == {LONG, *others}
    assert without_clock(store.load_result(LONG)) == directly(LONG)


def kill_a_worker_after(checkpoint):
    """SIGKILL the processes of this sweep once the checkpoint is there."""
    deadline = time.monotonic() + PATIENCE
    while not checkpoint.path.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    for child in multiprocessing.active_children():
        child.kill()


def test_two_sweeps_do_not_train_one_run_twice(tmp_path):
    """While another process holds a run it is reported as busy, and left alone."""
    store = store_in(tmp_path)
    store.prepare()
    with store.lock(SHORT):
        outcome = sweep([SHORT], store, jobs=1, console=QUIET)
    assert outcome.failed == {SHORT: "BusyError: another process is training it"}
    assert store.load_result(SHORT) is None
    assert sweep([SHORT], store, jobs=1, console=QUIET).finished == [SHORT]


def test_an_unwritable_folder_fails_before_training(tmp_path):
    """No process is started for results that could not be kept."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableError, match="cannot write to"):
        sweep([SHORT], store_in(tmp_path / "file"), jobs=1, console=QUIET)


def test_processes_that_cannot_start_end_the_sweep(tmp_path, monkeypatch):
    """Two attempts, then every run is failed by name; not a loop without end."""
    monkeypatch.setattr(sweeping, "_start_worker", os._exit)  # called with two arguments: an error
    outcome = sweep([SHORT], store_in(tmp_path), jobs=1, console=QUIET)
    assert outcome.failed == {SHORT: "its process was killed 2 times"}
    assert outcome.unfinished == []
