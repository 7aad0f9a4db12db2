"""ICLR paper, Tables 4 and 7, and CIFAR-10N: settings, networks, training, what is found."""

import json
import os
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
