"""What a network answers: losses of training samples, right answers with and without an attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from experiments.attacks import accumulating, alone, in_evaluation_mode, pgd
from experiments.augmentation import crop_and_flip
from experiments.log import Log
from experiments.losses import PointwiseLoss
from experiments.method import Method
from experiments.problem import Problem
from experiments.spec import LANGUAGE_MODEL, TEST_EPS, Run
from experiments.step import bounds, in_units_of_x, perturbed

# Large for the network that gains by it, and on a GPU; small where activations would leave caches.
EVALUATION_BATCH = {"linear": 4096, "mlp": 4096}
EVALUATION_BATCH_OTHERS = 100
EVALUATION_BATCH_GPU = 8192
# A language model holds 512 tokens of a sample at once.
EVALUATION_BATCH_GPU_OF = {LANGUAGE_MODEL: 128}
# Test images of each fold that are attacked by PGD as well, and its steps: the canary.
CANARY_IMAGES = 100
CANARY_STEPS = 10


def batches(samples: Tensor, run: Run) -> Sequence[Tensor]:
    """Return parts of the samples of the size in which they are evaluated."""
    size = EVALUATION_BATCH.get(run.model, EVALUATION_BATCH_OTHERS)
    if samples.is_cuda:
        size = EVALUATION_BATCH_GPU_OF.get(run.model, EVALUATION_BATCH_GPU)
    parts: Sequence[Tensor] = torch.split(samples, size)
    return parts


def sample_losses(
    run: Run,
    model: nn.Module,
    loss: PointwiseLoss,
    method: Method,
    problem: Problem,
    moves: Tensor | None = None,
) -> Tensor:
    """Return what the weights multiply for every training sample, shape (N,), in one pass.

    The network is in evaluation mode. With ``reweight_inputs="perturbed"`` the samples are attacked
    anew, as in a training step; with ``moves`` (N, 3) they are moved as in one.
    """
    parts = []
    everyone = torch.arange(len(problem.labels), device=problem.x.device)
    for index in batches(everyone, run):
        x, labels = problem.x[index], problem.labels[index]
        if moves is not None:
            x = crop_and_flip(x, moves[index], problem.ink[0])
        if run.reweight_inputs == "perturbed":
            x = perturbed(run, problem, model, loss, x, labels)
        with torch.no_grad(), in_evaluation_mode(model):
            logits = model(x)
            supervised = loss(logits, method.labels(index, labels))
            total = run.weighted_term == "total"
            parts.append(supervised + method(logits, index) if total else supervised)
    return torch.cat(parts)


def note_cleanness(
    log: Log,
    run: Run,
    model: nn.Module,
    loss: PointwiseLoss,
    method: Method,
    problem: Problem,
) -> None:
    """Write down how well the method tells right labels from wrong ones: the area under the curve.

    Nothing is written where it says nothing, or where no label is wrong or all are.
    """
    from sklearn.metrics import roc_auc_score

    wrong = problem.contaminated
    if not wrong.any() or wrong.all():
        return
    cleanness = method.cleanness(lambda: sample_losses(run, model, loss, Method(), problem))
    if cleanness is not None:
        log.cleanness_auc.append(float(roc_auc_score(~wrong, cleanness.cpu().numpy())))


@torch.no_grad()
def _predict(run: Run, model: nn.Module, x: Tensor) -> Tensor:
    """Return the predicted class of every sample, shape (len(x),)."""
    with in_evaluation_mode(model):
        return torch.cat([model(part).argmax(dim=1) for part in batches(x, run)])


def note_accuracy(
    log: Log, run: Run, model: nn.Module, loss: PointwiseLoss, problem: Problem
) -> None:
    """Count the right answers in every fold, on test images also under attack."""
    predicted = _predict(run, model, problem.x_eval)
    log.validation_correct.append(
        [int((predicted[f.validation] == f.validation_labels).sum()) for f in problem.folds]
    )
    log.clean_validation_correct.append(
        [int((predicted[f.validation] == f.clean_labels).sum()) for f in problem.folds]
    )
    log.test_correct.append(
        [int((predicted[f.test] == f.test_labels).sum()) for f in problem.folds]
    )
    if run.test_attack == "none":
        return
    log.attacked_validation_correct.append(
        [
            _count_under_training_attack(
                run, problem, model, loss, problem.x_eval[f.validation], f.validation_labels
            )
            for f in problem.folds
        ]
    )
    tests = [(problem.x_eval[f.test], f.test_labels) for f in problem.folds]
    log.attacked_correct.append(
        [_count_attacked(run, problem, model, loss, x, labels) for x, labels in tests]
    )
    x, labels = (
        torch.cat([part[:CANARY_IMAGES] for part in parts]) for parts in zip(*tests, strict=True)
    )
    log.canary.append(ask_the_canary(run, problem, model, loss, x, labels))


def _count_attacked(
    run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss, x: Tensor, labels: Tensor
) -> list[int]:
    """Return how many test images are classified right under each of TEST_EPS."""
    attack = alone if run.test_attack == "alone" else accumulating
    sizes = [in_units_of_x(run, problem, eps) for eps in TEST_EPS]
    limits = bounds(run, problem)
    counts = torch.zeros(len(sizes), dtype=torch.int64, device=x.device)
    for images, truth in zip(batches(x, run), batches(labels, run), strict=True):
        for k, moved in enumerate(attack(model, loss, images, truth, sizes, bounds=limits)):
            with torch.no_grad(), in_evaluation_mode(model):
                counts[k] += (model(moved).argmax(dim=1) == truth).sum()
    return [int(count) for count in counts]


def _count_under_training_attack(
    run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss, x: Tensor, labels: Tensor
) -> int:
    """Return how many images are given their label after an attack as in a training step."""
    count = 0
    for images, given in zip(batches(x, run), batches(labels, run), strict=True):
        moved = perturbed(run, problem, model, loss, images, given)
        with torch.no_grad(), in_evaluation_mode(model):
            count += int((model(moved).argmax(dim=1) == given).sum())
    return count


def ask_the_canary(
    run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss, x: Tensor, labels: Tensor
) -> dict[str, Any]:
    """Return how many of a few test images withstand FGSM and PGD of the training size.

    ``overfitted`` says that FGSM leaves more than twice what guessing gives and PGD less than half
    of that: catastrophic overfitting, the network has learnt the one step of its attack. Source:
    Wong, Rice & Kolter 2020.
    """
    right = {}
    limits = bounds(run, problem)
    eps = in_units_of_x(run, problem, run.train_eps or max(TEST_EPS))
    for name, steps in (("fgsm", 1), ("pgd", CANARY_STEPS)):
        size = eps if steps == 1 else None
        moved = pgd(model, loss, x, labels, eps, steps=steps, step_size=size, bounds=limits)
        with torch.no_grad(), in_evaluation_mode(model):
            right[name] = int((model(moved).argmax(dim=1) == labels).sum())
    seems_robust = right["fgsm"] * problem.n_classes > 2 * len(labels)
    overfitted = seems_robust and 2 * right["pgd"] < right["fgsm"]
    return {"images": len(labels), **right, "overfitted": overfitted}
