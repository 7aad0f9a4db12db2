r"""LNL-flywheel: two networks, each of which is an EM that the other one feeds.

The main network g says which labels are clean, the auxiliary one f what the others should be.
Every epoch after the warm-up is a cycle:

    q_i = gamma g(x_i)[y~_i] / (gamma g(x_i)[y~_i] + (1 - gamma) eps_i)         Eq. (4)
    gamma <- mean q_i                                                           Eq. (6)
    q_i(y) = q_i [y = y~_i] + (1 - q_i) f(x_i)[y]                               Eq. (11)
    T[y, y'] = sum_{i: y~_i = y'} q_i(y) / sum_i q_i(y)
    T_c[y, y'] = sum_{i: y~_i = y'} (1 - q_i) f(x_i)[y] / sum_i (1 - q_i) f(x_i)[y]
    f goes down on the cross-entropy with q_i, images mixed in pairs            Eq. (13)
      + alpha times the contrast of two strongly augmented copies, if asked for Section 4.1
    eps_i = sum_y f(x_i)[y] T_c[y, y~_i]                                        Eq. (14)
    y^_i = argmax_y f(x_i)[y]
    g goes down on -log g(x_i)[y^_i] + lambda sum_y m_y log g(x_i)[y]           Eqs. (8), (9)

with m the share of every class among the y^_i; up to T_c f is the one before its training, after it
the trained one. f classifies in the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.attacks import in_evaluation_mode
from experiments.augmentation import crop_and_flip, distort, draw_distortions, draw_moves
from experiments.evaluation import batches
from experiments.losses import PointwiseLoss
from experiments.method import DivergedError, Method
from experiments.models import build
from experiments.noise import Stream, torch_seed
from experiments.problem import Problem
from experiments.spec import Run

# Of the contrastive term, which the paper leaves unsaid: Chen et al. 2020's for CIFAR-10, the
# projection's size and the temperature of its similarities.
PROJECTION, TEMPERATURE = 128, 0.5
# Added to probabilities in the confidence regulariser. Without it no lambda > 0 has a minimum (the
# ledger's C.3.empirical), and logits run off within an epoch.
FLOOR = 1e-8


class Flywheel(Method):
    """The two EMs beside the loop's network, which is g.

    Parameters
    ----------
    run
        ``warm_up`` epochs train both networks on the labels as they are; ``confidence_strength`` is
        lambda, ``contrastive_strength`` alpha. f is built like g, from a stream of its own, and
        trained with the same optimiser. With ``augment`` f is trained on weakly augmented images,
        and its word in the E-step is the mean over two such copies.
    problem, model
        The samples, and g.

    Attributes
    ----------
    clean
        q_i as the epoch began, (N,); 1 in the warm-up.
    target
        q_i(y), (N, K).
    resampled
        y^_i, (N,).
    corruption
        eps_i, (N,).
    matrix, corrupted_matrix
        T and T_c, (K, K).
    share
        m, (K,).

    Notes
    -----
    Source: LNL-flywheel paper, Sections 3.2, 3.3, 4.1. gamma starts at f's accuracy on the labels
    as they are, eps at 1/K. Images are mixed in proportions uniform in [1/2, 1]. The first term of
    g's objective is the run's loss, cross-entropy in the paper. Probabilities in the second have
    1e-8 added. With ``augment`` g is trained on weakly augmented images as well, as all networks
    are. Around it RRM weighs g's losses of the labels y^, and so judges those. Cost: three more
    passes an epoch (four with ``augment``), and the training of a second network.

    Raises
    ------
    ValueError
        If alpha is positive and there is no ``augment``, or the network has no ``features``.

    """

    replayable = False
    clean: Tensor
    target: Tensor
    resampled: Tensor
    corruption: Tensor
    matrix: Tensor
    corrupted_matrix: Tensor
    proportion: Tensor
    share: Tensor

    def __init__(self, run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss) -> None:
        del loss  # f has its own, and g's is the loop's
        super().__init__()
        self.run, self.problem = run, problem
        # Not a child: its parameters are not the method's.
        self._model = (model,)
        self.auxiliary = build(
            run,
            shape=problem.shape,
            n_classes=problem.n_classes,
            device=problem.x.device.type,
            stream=Stream.AUXILIARY,
        )
        n, k = len(problem.labels), problem.n_classes
        self.register_buffer("clean", torch.ones(n))
        self.register_buffer("target", F.one_hot(problem.labels.cpu(), k).float())
        self.register_buffer("resampled", problem.labels.cpu().clone())
        self.register_buffer("corruption", torch.full((n,), 1 / k))
        self.register_buffer("matrix", torch.eye(k))
        self.register_buffer("corrupted_matrix", torch.full((k, k), 1 / k))
        self.register_buffer("proportion", torch.ones(()))
        self.register_buffer("share", torch.zeros(k))
        self.drawing = torch.Generator().manual_seed(torch_seed(run.seed, Stream.AUXILIARY))
        self.projection: nn.Module = nn.Identity()
        if run.contrastive_strength:
            self.projection = self._projection()
        self.optimiser = torch.optim.SGD(
            [*self.auxiliary.parameters(), *self.projection.parameters()],
            lr=run.learning_rate,
            momentum=run.momentum,
            nesterov=run.momentum > 0,
            weight_decay=run.weight_decay,
        )
        self.epoch = 0

    def _projection(self) -> nn.Module:
        """Return what f's features are compared by."""
        run, output = self.run, getattr(self.auxiliary, "output", None)
        if run.augment == "none":
            msg = "contrastive_strength > 0 needs augment='crop_and_flip', got 'none'."
            raise ValueError(msg)
        if not hasattr(self.auxiliary, "features") or not isinstance(output, nn.Linear):
            msg = (
                "contrastive_strength > 0 needs a network with features(x) and a linear output, "
                f"got model={run.model!r}."
            )
            raise ValueError(msg)
        width = output.in_features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(run.seed, Stream.AUXILIARY))
            projection = nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION)
            )
        return projection.to(self.problem.x.device)

    def begin_epoch(self, order: list[Tensor]) -> None:
        """Turn the wheel once: E-steps, gamma, T, f, eps, new labels for g."""
        warm = self.epoch < self.run.warm_up
        if not warm:
            if self.epoch == self.run.warm_up:
                self.proportion.copy_(self._accuracy())
            self._expect()
        for index in order:
            self._train_auxiliary(index, mix=not warm)
        if not warm:
            self._relabel()
        self.epoch += 1

    def _accuracy(self) -> Tensor:
        """Return f's accuracy on the labels as they are, a first guess of gamma."""
        guess = self._probabilities(self.auxiliary).argmax(dim=1)
        return (guess == self.problem.labels).float().mean()

    def _expect(self) -> None:
        """Take both E-steps, and the M-steps for gamma and the matrices."""
        (model,) = self._model
        labels = self.problem.labels
        said = self._probabilities(model).gather(1, labels[:, None])[:, 0]
        self.clean.copy_(clean_posterior(said, self.corruption, self.proportion))
        self.proportion.copy_(self.clean.mean())
        guess = self._probabilities(self.auxiliary, weakly=True)
        self.target.copy_(class_posterior(self.clean, labels, guess))
        self.matrix.copy_(corruption_matrix(self.target, labels))
        self.corrupted_matrix.copy_(corruption_matrix((1 - self.clean)[:, None] * guess, labels))

    def _relabel(self) -> None:
        """Ask the trained f for eps and for new labels."""
        labels, f = self.problem.labels, self._probabilities(self.auxiliary)
        if not f.isfinite().all():
            msg = (
                f"diverged in epoch {self.epoch + 1}: the flywheel's second network is not finite."
            )
            raise DivergedError(msg)
        self.corruption.copy_((f * self.corrupted_matrix[:, labels].T).sum(dim=1))
        self.resampled.copy_(f.argmax(dim=1))
        self.share.copy_(torch.bincount(self.resampled, minlength=f.shape[1]) / len(labels))

    def _train_auxiliary(self, index: Tensor, *, mix: bool) -> None:
        """Take a step of f on a batch, its images and targets mixed in pairs after the warm-up."""
        x, target = self._weak(index), self.target[index]
        if mix:
            share = float(torch.rand((), generator=self.drawing))
            share = max(share, 1 - share)
            other = torch.randperm(len(index), generator=self.drawing).to(index.device)
            x = share * x + (1 - share) * x[other]
            target = share * target + (1 - share) * target[other]
        losses = -(target * self.auxiliary(x).log_softmax(dim=1)).sum(dim=1)
        objective = losses.sum()
        if mix and self.run.contrastive_strength:
            first, second = (self._view(index) for _ in range(2))
            objective = objective + self.run.contrastive_strength * contrast(first, second).sum()
        n = len(self.problem.labels) if self.run.reduction == "batch_sum" else len(index)
        self.optimiser.zero_grad()
        torch.autograd.backward(objective / n)
        self.optimiser.step()

    def _weak(self, index: Tensor) -> Tensor:
        """Return the images ``index``, augmented as the run says."""
        x = self.problem.x[index]
        if self.run.augment == "none":
            return x
        moves = draw_moves(len(index), self.drawing).to(x.device)
        return crop_and_flip(x, moves, self.problem.ink[0])

    def _view(self, index: Tensor) -> Tensor:
        """Return what strongly augmented copies of the images ``index`` are compared by, (B, P)."""
        distortions = draw_distortions(len(index), self.drawing).to(index.device)
        x = distort(self._weak(index), distortions, self.problem.ink)
        with _averages_kept(self.auxiliary):
            view: Tensor = self.projection(self.auxiliary.features(x))  # type: ignore[operator]
        return view

    @torch.no_grad()
    def _probabilities(self, network: nn.Module, *, weakly: bool = False) -> Tensor:
        """Return a network's probabilities of all training samples, (N, K).

        If they are to be augmented ``weakly``, and the run augments, the mean over two copies.
        """
        copies = 2 if weakly and self.run.augment != "none" else 1
        everyone = torch.arange(len(self.problem.labels), device=self.problem.x.device)
        with in_evaluation_mode(network):
            sums = [
                sum(
                    network(self._weak(index) if copies == 2 else self.problem.x[index]).softmax(1)
                    for _ in range(copies)
                )
                for index in batches(everyone, self.run)
            ]
        return torch.cat(sums) / copies

    def labels(self, index: Tensor, given: Tensor) -> Tensor:
        """Return y^_i; in the warm-up these are the labels as they are."""
        del given
        return self.resampled[index]

    def forward(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return ``lambda sum_y m_y log(g(x_i)[y] + 1e-8)``, (B,), after the warm-up."""
        del index
        if self.epoch <= self.run.warm_up:
            return logits.new_zeros(())
        logarithms = (logits.softmax(dim=1) + FLOOR).log()
        return self.run.confidence_strength * (logarithms * self.share).sum(dim=1)

    def predictor(self, model: nn.Module) -> nn.Module:
        """Return f."""
        del model
        return self.auxiliary

    def cleanness(self, losses: Callable[[], Tensor]) -> Tensor:
        """Return q_i, (N,)."""
        del losses
        return self.clean

    def summary(self) -> dict[str, Any]:
        """Return gamma, T and T_c."""
        return {
            "proportion": float(self.proportion),
            "matrix": self.matrix.tolist(),
            "corrupted_matrix": self.corrupted_matrix.tolist(),
        }

    def get_extra_state(self) -> dict[str, Any]:
        """Return what a checkpoint holds beside networks and posteriors."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "drawing": self.drawing.get_state(),
            "epoch": self.epoch,
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Put back what `get_extra_state` returned."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.drawing.set_state(state["drawing"])
        self.epoch = state["epoch"]


@contextmanager
def _averages_kept(network: nn.Module) -> Iterator[None]:
    """Let batch norms use their batches and forget them: f is asked about other images than these.

    A momentum of 0 leaves running averages where they are.
    """
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


def contrast(first: Tensor, second: Tensor) -> Tensor:
    """Return ``-log(exp(s_ij / t) / sum_{k != i} exp(s_ik / t))``, (B,), mean over both views.

    s are the cosines among all 2 B views, (B, P) each; j is the other view of i's image.

    Examples
    --------
    Of one image there is nothing else to confuse the other view with; of two images whose views
    agree and are orthogonal to the other's, exp(2) is compared with exp(2) + 2.

    >>> one = torch.tensor([[1.0, 0.0]])
    >>> float(contrast(one, one)) == 0
    True
    >>> two = torch.eye(2)
    >>> [round(float(v), 4) for v in contrast(two, 3 * two)]
    [0.2395, 0.2395]
    >>> round(-math.log(math.exp(2) / (math.exp(2) + 2)), 4)
    0.2395

    """
    n = len(first)
    views = F.normalize(torch.cat((first, second)), dim=1)
    similarity = (views @ views.T) / TEMPERATURE
    similarity = similarity.masked_fill(torch.eye(2 * n, device=views.device) == 1, -math.inf)
    other = torch.arange(2 * n, device=views.device).roll(n)
    losses = F.cross_entropy(similarity, other, reduction="none")
    return (losses[:n] + losses[n:]) / 2


def clean_posterior(likelihoods: Tensor, corruption: Tensor, proportion: Tensor) -> Tensor:
    """Return ``gamma g / (gamma g + (1 - gamma) eps)``, (N,): Eq. (4).

    Of a label that both parts say is impossible nothing is known: 1/2.
    """
    right, wrong = proportion * likelihoods, (1 - proportion) * corruption
    total = right + wrong
    return torch.where(total == 0, 0.5, right / total)


def class_posterior(clean: Tensor, labels: Tensor, auxiliary: Tensor) -> Tensor:
    """Return ``q_i [y = y~_i] + (1 - q_i) f_i(y)``, (N, K): Eq. (11)."""
    given = F.one_hot(labels, auxiliary.shape[1]).to(auxiliary.dtype)
    return clean[:, None] * given + (1 - clean[:, None]) * auxiliary


def corruption_matrix(mass: Tensor, labels: Tensor) -> Tensor:
    """Return ``sum_{i: label y'} q_i(y) / sum_i q_i(y)``, (K, K): Section 3.3.

    A class without mass is said to keep its labels.
    """
    k = mass.shape[1]
    joint = mass.T @ F.one_hot(labels, k).to(mass.dtype)
    total = joint.sum(dim=1, keepdim=True)
    keeps = torch.eye(k, dtype=mass.dtype, device=mass.device)
    return torch.where(total > 0, joint / total, keeps)
