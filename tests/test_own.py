"""A user's data and network: checked, reproducible, and recognised when they have changed."""

import importlib
import linecache
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures import colour_arrays

from experiments.__main__ import main
from experiments.data import load
from experiments.models import build
from experiments.own import own_data
from experiments.problem import problem
from experiments.spec import Run
from experiments.store import Checkpoint
from experiments.train import train

ROOT = Path(__file__).parent.parent
RUN = Run(
    dataset="own.npz",
    model="resnet8",
    loss="cce",
    noise_rate=0.0,
    seed=0,
    contamination=0.25,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=1e-3,
    augment="crop_and_flip",
    reweight_inputs="augmented",
    batch_size=32,
    iterations=2,
    epochs_per_iteration=2,
    reduction="batch_mean",
    initialisation="torch",
    validation=0.1,
)


@pytest.fixture
def samples(tmp_path):
    """A run's samples, from a user's file of small colour images."""
    np.savez(tmp_path / "own.npz", **colour_arrays())
    return problem(RUN, own_data(str(tmp_path / "own.npz")))


# One's own data and network.

NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 3))

not_a_network = list
"""


def test_readme_s_command_trains_one_s_own_network(tmp_path):
    """The line of the README, in a folder with data.npz and nets.py; the report names the gain."""
    np.savez(tmp_path / "data.npz", **colour_arrays())
    (tmp_path / "nets.py").write_text(NETWORK)
    readme = (ROOT / "README.md").read_text()
    own_settings = "own --set dataset=data.npz --set model=nets:net"
    for command in ("run", "report"):
        line = f"python -m experiments {command} {own_settings}"
        assert line in readme
        answer = subprocess.run(
            [sys.executable, *line.split()[1:], "--results", "results"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert "RRM ends above plain training in" in answer.stdout
    assert "Wrong labels found" in answer.stdout
    assert len(list((tmp_path / "results" / "own").glob("*.json"))) == 4


def own_command(folder, *settings):
    """Return a command line that trains on folder/data.npz for a moment."""
    command = ["own", "--set", f"dataset={folder / 'data.npz'}", "--set", "iterations=1"]
    for one in settings:
        command += ["--set", one]
    return [*command, "--results", str(folder), "--work", str(folder)]


@pytest.fixture
def data_file(tmp_path):
    """A user's file in a folder; nothing of it is remembered before or after."""
    load.cache_clear()
    np.savez(tmp_path / "data.npz", **colour_arrays())
    yield tmp_path
    load.cache_clear()


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Return a function that writes a module of networks which can be imported as `nets`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source):
        sys.modules.pop("nets", None)
        linecache.clearcache()
        importlib.invalidate_caches()
        (tmp_path / "nets.py").write_text(source)

    yield write
    sys.modules.pop("nets", None)


@pytest.mark.parametrize("command", ["run", "report"])
@pytest.mark.parametrize("layout", [False, True])
def test_results_of_other_data_are_not_taken_for_these(layout, command, data_file, capsys):
    """The file is changed in between, or only its shape: an error that names the result."""
    assert main(["run", *own_command(data_file)]) == 0
    assert main(["report", *own_command(data_file)]) == 0
    load.cache_clear()
    other = colour_arrays(seed=1)
    if layout:
        other = colour_arrays()
        for part in ("x_train", "x_test"):
            other[part] = other[part].reshape(len(other[part]), 4, 16, 3)
    np.savez(data_file / "data.npz", **other)
    assert main([command, *own_command(data_file)]) == 2
    assert "was made with another dataset=" in capsys.readouterr().err


def test_results_of_another_network_are_not_taken_for_these(data_file, nets, capsys, monkeypatch):
    """Its source is changed in between."""
    monkeypatch.setenv("PYTHONPATH", f"{data_file}{os.pathsep}{ROOT}")
    command = own_command(data_file, "model=nets:net")
    nets(NETWORK)
    assert main(["run", *command]) == 0
    nets(NETWORK.replace("32", "33"))
    assert main(["run", *command]) == 2
    assert "was made with another model='nets:net'" in capsys.readouterr().err


def test_a_checkpoint_of_other_data_is_refused(tmp_path, caplog):
    """The same name, other arrays: the run starts over."""
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    before, after = (problem(RUN, own_data_of(tmp_path / "own.npz", seed=seed)) for seed in (0, 1))
    train(RUN, before, checkpoint=checkpoint, stop=lambda: True)
    assert checkpoint.load(RUN.key, before.origin)
    resumed = train(RUN, after, checkpoint=checkpoint)
    assert "made of other data, or another network" in caplog.text
    assert resumed.test_correct == train(RUN, after).test_correct


def own_data_of(path, **options):
    """Return the data of a file that is written now."""
    np.savez(path, **colour_arrays(**options))
    return own_data(str(path))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere:net", "model='nowhere:net' must be package.module:name .*ModuleNotFoundError"),
        ("math:net", "got AttributeError"),
        ("math:gcd.x", "got AttributeError"),
        ("torch.nn:Linear", "when called without arguments; got TypeError"),
        ("builtins:dict", r"model='builtins:dict' must return a torch.nn.Module, got dict"),
        ("nets:broken", "got ZeroDivisionError"),
        (
            "torch.nn:Flatten",
            r"must return logits \(2, 3\) for samples \(2, 8, 8, 3\), got \(2, 192",
        ),
        ("nets:narrow", r"must return logits \(2, 3\) for samples .*, got RuntimeError"),
        ("nets:frozen", "model='nets:frozen' has no parameter that can be trained"),
        ("nets:writes", "must leave its input as it is, but writes to it"),
        ("nets:pair", r"must return logits \(2, 3\) .*, got tuple"),
    ],
)
def test_a_network_of_one_s_own_that_does_not_fit_is_refused(path, message, nets):
    """The error shows the path, what it must be or do, and what came of it."""
    nets(NETWORK + ODD_NETWORKS)
    with pytest.raises(ValueError, match=message):
        build(replace(RUN, model=path), shape=(8, 8, 3), n_classes=3)


ODD_NETWORKS = """
def broken():
    return 1 / 0

def narrow():
    return nn.Sequential(nn.Flatten(), nn.Linear(5, 3))

def frozen():
    return net().requires_grad_(False)

class writes(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net()

    def forward(self, x):
        x -= 1
        return self.net(x)

class pair(writes):
    def forward(self, x):
        return (self.net(x), x) if self.training else self.net(x)

def lazy():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))

def by_numpy():
    import numpy
    network = net()
    network[1].bias.data.fill_(numpy.random.rand())
    return network.eval()
"""


@pytest.mark.parametrize("name", ["net", "lazy", "by_numpy"])
def test_one_s_own_network_depends_on_the_seed_alone(name, nets):
    """Layers that wait for their first input too, and generators of other libraries."""
    nets(NETWORK + ODD_NETWORKS)
    run = replace(RUN, model=f"nets:{name}")
    first = build(run, shape=(8, 8, 3), n_classes=3)
    torch.rand(7)
    np.random.rand(7)  # noqa: NPY002
    again = build(run, shape=(8, 8, 3), n_classes=3)
    other = build(replace(run, seed=1), shape=(8, 8, 3), n_classes=3)
    pairs = [list(one.parameters()) for one in (first, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(pairs[0], pairs[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(pairs[0], pairs[2], strict=True))
    assert first.training


def test_a_wrong_import_path_is_one_error_before_any_run(tmp_path, capsys):
    """Not one for every run."""
    command = ["run", "own", "--set", "model=math:pi", "--results", str(tmp_path)]
    assert main([*command, "--work", str(tmp_path)]) == 2
    assert "error: model='math:pi' must be package.module:name" in capsys.readouterr().err


def test_a_file_sorted_by_class_is_refused(tmp_path):
    """The last fifth is held out: a class that only it has would never be learned."""
    arrays = colour_arrays()
    order = np.argsort(arrays["y_clean"], kind="stable")
    for name in ("x_train", "y_train", "y_clean"):
        arrays[name] = arrays[name][order]
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(ValueError, match=r"class 2 is in none of the \d+ samples that train"):
        problem(replace(RUN, validation=0.5), own_data(str(tmp_path / "own.npz")))


def test_nothing_published_stands_beside_one_s_own_data(data_file, capsys):
    """Table 4's numbers are CIFAR-10's."""
    command = ["table4", "--scale", "smoke", "--only", "loss=cce", "--only", "noise_rate=0.2"]
    for one in (f"dataset={data_file / 'data.npz'}", "train_samples=null", "test_samples=null"):
        command += ["--set", one]
    np.savez(data_file / "data.npz", **{k: v for k, v in colour_arrays().items() if k != "y_clean"})
    command += ["--results", str(data_file), "--work", str(data_file)]
    assert main(["run", *command]) == 0
    capsys.readouterr()
    assert main(["report", *command, "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert "published |" not in printed
    assert "published," not in printed
    assert "| CCE | 20 % | + RRM |" in printed


def test_one_s_own_loss_is_a_setting(data_file, capsys):
    """Rows of `own` are estimates, so the loss may change; the seed may not."""
    assert main(["run", *own_command(data_file, "loss=gce")]) == 0
    assert main(["run", *own_command(data_file, "seed=3")]) == 2
    assert "--set seed=3 would make one cell another" in capsys.readouterr().err
