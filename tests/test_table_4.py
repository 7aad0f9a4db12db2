"""ICLR paper, Tables 4 and 7, and CIFAR-10N: settings, networks, what is found, one's own data."""

import importlib
import json
import linecache
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures import as_trajectory, colour_arrays, same_but_for_clocks, train_until_killed
from torch.nn import functional as F

from experiments.__main__ import main
from experiments.augmentation import crop_and_flip, draw_moves
from experiments.catalogue import TABLES
from experiments.data import load
from experiments.losses import pointwise_loss
from experiments.method import Method
from experiments.models import build
from experiments.own import own_data
from experiments.problem import problem
from experiments.report import report, rows, sections, verdict
from experiments.resnet import RESNETS
from experiments.spec import Run
from experiments.step import Step
from experiments.store import Checkpoint, Store
from experiments.train import train
from experiments.trajectory import detection

ROOT = Path(__file__).parent.parent
REAL = Path(os.environ.get("RRM_DATA", "nowhere"), "cifar10.npz")
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


# The settings, the numbers and what becomes of them.


def test_table_4_has_the_published_numbers():
    """As printed: CCE at 20 % 86.98 and with RRM 90.44; MAE loses at 10 and 30 %."""
    cells = TABLES["table4"].cells("paper", "paper", 0)
    published = {(one.row, one.noise_rate, one.rrm): one.published for one in cells}
    assert len(published) == 18
    assert published["cce", 0.2, False] == (86.98,)
    assert published["cce", 0.2, True] == (90.44,)
    assert published["mae", 0.1, True] < published["mae", 0.1, False]
    assert published["mse", 0.3, True] == (89.95,)


def test_table_4_has_the_paper_s_settings():
    """ResNet-34, 12 x 15 epochs, lr 10 on batch sums over N, Nesterov 0.9, decay 1e-5, C' = C."""
    for cell in TABLES["table4"].cells("paper", "paper", 3):
        run = cell.run
        assert (run.model, run.iterations, run.epochs_per_iteration) == ("resnet34", 12, 15)
        assert (run.learning_rate, run.momentum, run.weight_decay) == (10.0, 0.9, 1e-5)
        assert (run.reduction, run.augment, run.step, run.seed) == (
            "batch_sum", "crop_and_flip", 1.0, 3,
        )  # fmt: skip
        assert run.contamination == (cell.noise_rate if cell.rrm else None)
        assert run.reweight_inputs == "clean"


def test_the_cpu_scale_keeps_the_size_of_a_step():
    """Learning rate over N, and learning rate times decay, are those of the paper's scale."""
    paper, cpu = (TABLES["table4"].cells("paper", scale, 0)[0].run for scale in ("paper", "cpu"))
    assert cpu.learning_rate / cpu.train_samples == paper.learning_rate / 50_000
    assert cpu.learning_rate * cpu.weight_decay == paper.learning_rate * paper.weight_decay
    assert (cpu.iterations, cpu.momentum) == (paper.iterations, paper.momentum)


def test_table_7_estimates_five_and_ten_points_more():
    """MSE, beside Table 4's cells, which it shares."""
    cells = TABLES["table7"].cells("paper", "cpu", 0)
    more = {(one.run.noise_rate, one.run.contamination): one.published for one in cells[6:]}
    assert more == {
        (0.1, 0.15): (92.55,), (0.2, 0.25): (91.29,), (0.3, 0.35): (89.43,),
        (0.1, 0.2): (91.73,), (0.2, 0.3): (90.6,), (0.3, 0.4): (88.47,),
    }  # fmt: skip
    assert {one.run.loss for one in cells} == {"mse"}
    assert {one.run for one in cells[:6]} <= {
        one.run for one in TABLES["table4"].cells("paper", "cpu", 0)
    }


def test_cifar10n_estimates_the_known_rate_and_about_ten_points_more():
    """For "worse" that is the paper's 0.5; its own labels are wrong already, so none are added."""
    cells = TABLES["cifar10n"].cells("paper", "cpu", 0)
    assert len(cells) == 27
    worse = [one.run for one in cells if one.run.dataset == "cifar10n_worse"]
    assert {(run.loss, run.contamination) for run in worse} == {
        (loss, estimate) for loss in ("cce", "gce", "elr") for estimate in (None, 0.4021, 0.5)
    }
    assert {one.run.noise_rate for one in cells} == {0.0}
    assert {one.run.validation for one in cells} == {0.1}


def finished(run, last):
    """Return a stored result with this accuracy under every selection."""
    return {
        "key": run.key,
        "run": run.settings(),
        "accuracy": dict.fromkeys(("last", "selected", "oracle"), last),
        "seconds": {"train": 1.0},
        "detection": {"auc": 0.75, "precision": None, "recall": 0.5, "pruned": 0.25}
        if run.reweights
        else None,
    }


def test_at_a_smaller_scale_the_report_compares_what_rrm_gains(tmp_path, capsys):
    """Pair by pair; no accuracy is called a disagreement. What the weights found is beside it."""
    store = Store(experiment="table4", results=tmp_path, work=tmp_path)
    store.prepare()
    for cell in TABLES["table4"].cells("paper", "cpu", 0):
        if cell.noise_rate == 0.2:
            last = 50.0 + 2 * cell.rrm - 3 * (cell.rrm and cell.row == "mae")
            store.save_result(cell.run, finished(cell.run, last))
    one = report(TABLES["table4"], store, preset="paper", scale="cpu")
    assert not any("!" in entry for line in rows(one) for entry in line)
    # CCE +2, MAE -1, MSE +2; published +3.46, +4.10, +2.00.
    assert verdict([one]) == [
        "paper, cpu: RRM ends above plain training in 2 of 3 cells, by +1.0 points on "
        "average; published, at full scale: 3 of 3, +3.2."
    ]
    folders = ["--results", str(tmp_path), "--scale", "cpu"]
    assert main(["report", "table4", *folders]) == 0
    printed = capsys.readouterr().out
    assert "Wrong labels found in the end" in printed
    assert "75.0" in printed
    assert main(["report", "table4", "--json", *folders]) == 0
    (data,) = json.loads(capsys.readouterr().out)
    found = {one["row"]: one["detection"] for one in data["cells"] if one["rrm"]}
    assert found["cce"] == {"auc": [0.75], "precision": [None], "recall": [0.5], "pruned": [0.25]}
    assert [one["detection"] for one in data["cells"] if not one["rrm"]] == [{}] * 3
    assert data["scale"] == "cpu"


def test_a_table_without_published_numbers_compares_nothing(tmp_path):
    """CIFAR-10N: a dash, and the gain over plain training alone."""
    store = Store(experiment="cifar10n", results=tmp_path, work=tmp_path)
    store.prepare()
    for cell in TABLES["cifar10n"].cells("paper", "cpu", 0):
        if cell.run.dataset == "cifar10n_worse" and cell.run.loss == "cce":
            store.save_result(cell.run, finished(cell.run, 40.0 + cell.rrm))
    one = report(TABLES["cifar10n"], store, preset="paper", scale="cpu")
    assert [line[:4] for line in rows(one)] == [
        ("CCE", "40 %", "plain", "-"),
        ("CCE, C' = 0.4021", "40 %", "+ RRM", "-"),
        ("CCE, C' = 0.5", "40 %", "+ RRM", "-"),
    ]
    (section,) = sections([one])
    assert section.header == ["loss", "noise", "", "last", "selected", "oracle", "seeds"]
    assert section.body[1] == ["CCE, C' = 0.4021", "40 %", "+ RRM", "41.0", "41.0", "41.0", "1"]
    assert verdict([one]) == [
        "paper, cpu: RRM ends above plain training in 2 of 2 cells, by +1.0 points on average."
    ]


def test_detection_is_by_hand():
    """Weights 0, 1 | 0, 3 of two wrong and two right labels.

    A wrong label has less weight in 2 of 4 pairs and as much in one: AUC 5/8. One of two pruned
    labels is wrong, one of two wrong labels is pruned.
    """
    wrong = [True, True, False, False]
    assert detection(as_trajectory([[1, 1, 1, 1], [0, 1, 0, 3]], wrong)) == {
        "auc": 0.625, "precision": 0.5, "recall": 0.5, "pruned": 0.5,
    }  # fmt: skip
    # Nothing is pruned: no precision. Nothing is known to be wrong: nothing can be said.
    assert detection(as_trajectory([[1, 1]], [False, True]))["precision"] is None
    assert detection(as_trajectory([[0, 1]], [False, False])) == {
        "auc": None, "precision": None, "recall": None, "pruned": 0.5,
    }  # fmt: skip


# The networks.


@pytest.mark.parametrize(
    ("name", "count"), [("resnet34", 21_282_122), ("resnet18", 11_173_962), ("resnet8", 78_042)]
)
def test_the_networks_have_their_sizes(name, count):
    """Of 10 classes and three colours: the count of every weight, factor and shift."""
    model = build(replace(RUN, model=name), shape=(32, 32, 3), n_classes=10)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    blocks, widths = RESNETS[name]
    # By hand: 3x3 convolutions, two numbers a channel to normalise, 1x1 shortcuts, the last layer.
    expected, channels = 9 * 3 * widths[0] + 2 * widths[0], widths[0]
    for stage, (n, width) in enumerate(zip(blocks, widths, strict=True)):
        for place in range(n):
            expected += 9 * channels * width + 9 * width * width + 4 * width
            expected += channels * width + 2 * width if stage and not place else 0
            channels = width
    assert expected + 10 * channels + 10 == count


def test_a_residual_network_is_what_one_writes_down(samples):
    """In float64, in training mode: stem, blocks with shortcuts, averages; batch by batch."""
    model = build(RUN, shape=samples.shape, n_classes=3).double()
    x = samples.x[:16].double()
    parts = dict(model.named_parameters())

    def normalised(maps, name):
        mean, var = maps.mean((0, 2, 3)), maps.var((0, 2, 3), unbiased=False)
        scaled = (maps - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        weight, bias = parts[f"{name}.weight"], parts[f"{name}.bias"]
        return scaled * weight[:, None, None] + bias[:, None, None]

    maps = F.conv2d(x.movedim(3, 1), parts["stem.weight"], padding=1)
    maps = F.relu(normalised(maps, "stem_norm"))
    for k, stride in enumerate((1, 2, 2)):
        name = f"blocks.{k}"
        inner = F.conv2d(maps, parts[f"{name}.first.weight"], stride=stride, padding=1)
        inner = F.relu(normalised(inner, f"{name}.first_norm"))
        inner = F.conv2d(inner, parts[f"{name}.second.weight"], padding=1)
        inner = normalised(inner, f"{name}.second_norm")
        if stride == 2:
            maps = F.conv2d(maps, parts[f"{name}.shortcut.0.weight"], stride=2)
            maps = normalised(maps, f"{name}.shortcut.1")
        maps = F.relu(inner + maps)
    expected = maps.mean((2, 3)) @ parts["output.weight"].T + parts["output.bias"]
    torch.testing.assert_close(model(x), expected, rtol=1e-10, atol=1e-10)


def test_residual_networks_keep_channels_last():
    """Their weights lie as the images do, which is what makes them fast."""
    model = build(RUN, shape=(32, 32, 3), n_classes=10)
    assert model.stem.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_network_refuses_samples_it_is_not_made_for():
    """The error names the model and the shape."""
    with pytest.raises(ValueError, match=r"model='resnet8' is for samples \(rows, .*\), got \(8,"):
        build(RUN, shape=(8, 8), n_classes=3)
    with pytest.raises(ValueError, match=r"model='cnn' is for samples \(rows, columns\), got"):
        build(replace(RUN, model="cnn"), shape=(8, 8, 3), n_classes=3)


# Training.


def test_a_step_is_nesterov_s_with_decay(samples):
    """Against the recurrence in float64: g + w theta, v = m v + g, theta - lr (g + m v)."""
    run = replace(RUN, augment="none", reweight_inputs="clean", model="mlp")
    samples = replace(samples, x=samples.x.double())
    model = build(run, shape=samples.shape, n_classes=3).double()
    step = Step(run, samples, model, pointwise_loss(run), Method())
    theta = [parameter.detach().clone() for parameter in model.parameters()]
    velocity = [torch.zeros_like(parameter) for parameter in theta]
    reference = build(run, shape=samples.shape, n_classes=3).double()
    for index in torch.arange(96).split(32):
        with torch.no_grad():
            for parameter, value in zip(reference.parameters(), theta, strict=True):
                parameter.copy_(value)
        loss = F.cross_entropy(reference(samples.x[index]), samples.labels[index])
        gradients = torch.autograd.grad(loss, list(reference.parameters()))
        for k, gradient in enumerate(gradients):
            g = gradient + run.weight_decay * theta[k]
            velocity[k] = run.momentum * velocity[k] + g
            theta[k] = theta[k] - run.learning_rate * (g + run.momentum * velocity[k])
        step(index)
    for parameter, value in zip(model.parameters(), theta, strict=True):
        torch.testing.assert_close(parameter.detach(), value, rtol=1e-12, atol=1e-12)


def test_training_moves_images_and_evaluation_does_not(samples, monkeypatch):
    """Every batch is moved by its samples' own moves; re-weighting losses only if asked to be."""
    from experiments import evaluation, step

    seen = []

    def watch(where):
        def record(x, moves, black):
            assert black == samples.ink[0]
            seen.append((where, len(x), len(moves)))
            return x

        return record

    monkeypatch.setattr(step, "crop_and_flip", watch("training"))
    monkeypatch.setattr(evaluation, "crop_and_flip", watch("re-weighting"))
    train(RUN, samples)
    n = len(samples.labels)
    moved = {where: sum(size for one, size, _ in seen if one == where) for where, *_ in seen}
    assert moved == {"training": 4 * n, "re-weighting": 2 * n}
    seen.clear()
    train(replace(RUN, reweight_inputs="clean"), samples)
    assert {where for where, *_ in seen} == {"training"}


def test_every_image_is_moved_by_its_own_moves(samples, monkeypatch):
    """In a step by those of its epoch, in the losses for re-weighting by others."""
    from experiments import evaluation, step

    moves = draw_moves(len(samples.labels), torch.Generator().manual_seed(3))
    model = build(RUN, shape=samples.shape, n_classes=3)
    one, index = Step(RUN, samples, model, pointwise_loss(RUN), Method()), torch.arange(100).flip(0)
    one.moves.copy_(moves)
    seen = []
    monkeypatch.setattr(step, "perturbed", lambda *a: (seen.append(a[4]), a[4])[1])
    one(index[:32])
    expected = crop_and_flip(samples.x[index[:32]], moves[index[:32]], samples.ink[0])
    assert torch.equal(seen[0], expected)
    losses = evaluation.sample_losses(RUN, model, one.loss, one.method, samples, moves)
    with torch.no_grad():
        x = crop_and_flip(samples.x, moves, samples.ink[0])
        known = F.cross_entropy(model.eval()(x), samples.labels, reduction="none")
    torch.testing.assert_close(losses, known)


def test_the_network_is_asked_in_evaluation_mode(samples):
    """Losses and predictions use the running averages and leave them; a step moves them."""
    from experiments.evaluation import sample_losses
    from experiments.log import Log

    run = replace(RUN, reweight_inputs="clean")
    model = build(run, shape=samples.shape, n_classes=3)
    step = Step(run, samples, model, pointwise_loss(run), Method())
    before = model.stem_norm.running_mean.clone()
    losses = sample_losses(run, model, step.loss, step.method, samples)
    from experiments.evaluation import note_accuracy

    note_accuracy(Log(), run, model, step.loss, samples)
    assert torch.equal(model.stem_norm.running_mean, before)
    assert model.training
    with torch.no_grad():
        expected = F.cross_entropy(model.eval()(samples.x), samples.labels, reduction="none")
    torch.testing.assert_close(losses, expected)
    model.train()
    step(torch.arange(32))
    assert not torch.equal(model.stem_norm.running_mean, before)


@pytest.mark.parametrize("saves", [1, 4, 5, 9, 11])
def test_a_killed_run_ends_the_same(saves, samples, tmp_path):
    """Momentum, running averages and moves are in the checkpoint: the weights agree to the bit."""
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    train_until_killed(RUN, samples, checkpoint, saves=saves)
    resumed = train(RUN, samples, checkpoint=checkpoint)
    assert same_but_for_clocks(RUN, samples, resumed, train(RUN, samples))


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


def test_a_last_batch_of_one_joins_the_one_before(samples):
    """Batch norms have no deviation of one sample; every sample is in one batch."""
    sizes = []
    ordinary = Step.__call__
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            Step, "__call__", lambda self, index: (sizes.append(len(index)), ordinary(self, index))
        )
        run = replace(RUN, batch_size=107, iterations=1, epochs_per_iteration=1)
        train(run, samples)
    assert len(samples.labels) == 108
    assert sizes == [108]


@pytest.mark.skipif(not REAL.is_file(), reason="no real CIFAR-10 in RRM_DATA")
def test_a_smoke_run_on_cifar10(tmp_path):
    """Cross-entropy at 20 %, plain and RRM: seconds, and everything is connected."""
    only = ["--only", "noise_rate=0.2", "--only", "loss=cce"]
    folders = ["--results", str(tmp_path), "--work", str(tmp_path)]
    assert main(["run", "table4", "--scale", "smoke", "--jobs", "2", *only, *folders]) == 0
    results = [json.loads(path.read_text()) for path in (tmp_path / "table4").glob("*.json")]
    assert len(results) == 2
    assert {one["samples"]["contaminated"] for one in results} == {120}
