"""SIGKILL a run at random moments, resume it, compare: PYTHONPATH=. python tests/kill.py [KILLS].

The run is A-RRM of Table 5 at 20 % noise on a stand-in for MNIST: attacks, damped weights, the CNN.
Whatever the moments, result and trajectory have to be those of a run that was left alone.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from fixtures import stand_in_mnist

from experiments.store import Checkpoint

ROOT = Path(__file__).parents[1]
SETTINGS = {"iterations": 5, "epochs_per_iteration": 2, "train_samples": 2000, "test_samples": 300}


def command(folder):
    """Return how to start the run, or to continue it."""
    changes = [f"--set={name}={value}" for name, value in SETTINGS.items()]
    chosen = ["--scale", "smoke", "--only", "noise_rate=0.2", "--only", "penalty=2.0"]
    places = ["--results", str(folder / "results"), "--work", str(folder / "work")]
    return [sys.executable, "-m", "experiments", "run", "table5", *chosen, *changes, *places]


def environment(data):
    """Return the variables of a run's processes."""
    return os.environ | {"RRM_DATA": str(data), "PYTHONPATH": str(ROOT)}


def outcome(folder):
    """Return what a run left, but for clocks and provenance: result, and trajectory's bytes."""
    (path,) = (folder / "results" / "table5").glob("*.json")
    result = json.loads(path.read_text())
    # A commit made meanwhile is another provenance, not another result.
    del result["seconds"], result["peak_memory_bytes"], result["environment"]
    return result, path.with_suffix(".npz").read_bytes()


def survives(kills, seed):
    """Kill the run as often at moments up to its length; yield a line about each, and the verdict.

    A kill counts if it met a run that had saved its state and had not ended. The last line is
    "bit-identical" or "DIFFERENT".
    """
    rng, same = random.Random(seed), True
    with tempfile.TemporaryDirectory() as place:
        data = Path(place)
        np.savez(data / "mnist.npz", **stand_in_mnist())
        start = time.monotonic()
        start_run(data / "alone", data).wait()
        length = time.monotonic() - start
        expected = outcome(data / "alone")
        done, runs, folder = 0, 0, data / "killed"
        while True:
            process = start_run(folder, data)
            moment = rng.uniform(0.0, length) if done < kills else None
            try:
                process.wait(timeout=moment)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                found = left_behind(folder)
                done += found != "nothing"
                yield f"killed after {moment:.1f} s of {length:.1f}, found {found}"
                continue
            same &= outcome(folder) == expected
            if done == kills:
                break
            runs += 1
            folder = data / f"killed, run {runs}"
    yield "bit-identical" if same else "DIFFERENT"


def start_run(folder, data):
    """Return the process of the run, or of its continuation."""
    return subprocess.Popen(
        command(folder),
        env=environment(data),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def left_behind(folder):
    """Return how far the run had come by its newest good checkpoint; nothing without one."""
    if list((folder / "results").rglob("*.json")):
        return "nothing"
    for path in (folder / "work").rglob("*.checkpoint"):
        key = path.name.partition(".")[0]
        state = Checkpoint(path).load(key)
        if state is not None:
            return f"epoch {state['epoch']}, batch {state['position']}"
    return "nothing"


def main(kills, seed=0):
    """Print what happens and return the exit code."""
    line = ""
    for line in survives(kills, seed):
        print(line, flush=True)
    return 0 if line == "bit-identical" else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
