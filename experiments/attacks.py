r"""Perturbations of the inputs that raise the loss: FGSM and PGD in the L-infinity ball.

    FGSM:  x' = x + eps sign(dJ/dx);    PGD:  x' <- x' + a sign(dJ/dx'), back into |x' - x| <= eps

`alone` and `accumulating` are FGSM of several sizes: from x each time, or each from the last one.
`eps` and all else are in the units of x, as the network sees it. Only x is differentiated: no
gradient of a parameter is computed or changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real

import torch
from torch import Tensor, nn

# (logits (B, K), labels (B,)) -> (B,): what the attack raises.
Loss = Callable[[Tensor, Tensor], Tensor]
# The smallest and the largest value an input may have, in the units of x.
Bounds = tuple[float, float]


def fgsm(
    model: nn.Module,
    loss: Loss,
    x: Tensor,
    labels: Tensor,
    eps: float,
    *,
    bounds: Bounds | None = None,
) -> Tensor:
    r"""Return ``x + eps sign(dJ/dx)``, moved into the bounds if there are any.

    Parameters
    ----------
    model
        From inputs (B, ...) to logits (B, K). It is asked in evaluation mode, and left in the modes
        that its modules had.
    loss
        Per-sample losses (B,) from logits and labels; no sample's may depend on another's input.
    x, labels
        Inputs (B, ...) of a float type, and labels (B,).
    eps
        Size >= 0 of the step, in the units of x. With 0 the inputs are returned as they are, moved
        into the bounds.
    bounds
        Smallest and largest value of an input, in the units of x.

    Returns
    -------
    Tensor
        Perturbed inputs, of the shape and type of x, without gradient.

    Raises
    ------
    ValueError
        If ``eps`` is not a finite number >= 0, or ``bounds`` are not in order.

    Notes
    -----
    Source: ICLR paper, Section 3.5.2 and Algorithm 2; Goodfellow, Shlens & Szegedy 2015. Where the
    gradient is zero the input stays. Cost: one forward and one backward pass.

    Examples
    --------
    A linear score in two inputs: label 0 wants the difference small.

    >>> model = nn.Linear(2, 2, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[0.0, 0.0], [1.0, -2.0]]))
    >>> x, label = torch.tensor([[0.5, 0.5]]), torch.tensor([0])
    >>> cross_entropy = nn.CrossEntropyLoss(reduction="none")
    >>> fgsm(model, cross_entropy, x, label, 0.25)
    tensor([[0.7500, 0.2500]])
    >>> fgsm(model, cross_entropy, x, label, 0.25, bounds=(0.0, 0.7))
    tensor([[0.7000, 0.2500]])

    """
    _check(eps, bounds)
    x = x.detach()
    if eps:
        with in_evaluation_mode(model):
            x = x + eps * _gradient(model, loss, x, labels).sign()
    return _within(x, bounds)


def alone(
    model: nn.Module,
    loss: Loss,
    x: Tensor,
    labels: Tensor,
    sizes: Sequence[float],
    *,
    bounds: Bounds | None = None,
) -> Iterator[Tensor]:
    r"""Yield ``x + eps sign(dJ/dx)`` for every eps of ``sizes``, at the cost of one gradient.

    Parameters
    ----------
    model, loss, x, labels, bounds
        As for :func:`fgsm`.
    sizes
        Each eps >= 0, in the units of x.

    Yields
    ------
    Tensor
        What :func:`fgsm` returns for that eps, to the bit.

    Raises
    ------
    ValueError
        As :func:`fgsm`, before anything is yielded.

    Notes
    -----
    Source: ICLR paper, Section 4.2.2: test images under a list of eps. The text there prints the
    gradient without its sign, and calls it FGSM.

    Examples
    --------
    >>> model = nn.Linear(1, 2, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[0.0], [1.0]]))
    >>> x, label = torch.tensor([[0.5]]), torch.tensor([0])
    >>> cross_entropy = nn.CrossEntropyLoss(reduction="none")
    >>> [float(p) for p in alone(model, cross_entropy, x, label, [0, 0.25, 1])]
    [0.5, 0.75, 1.5]

    """
    for eps in sizes:
        _check(eps, bounds)
    x = x.detach()
    direction = torch.zeros_like(x)
    if any(sizes):
        with in_evaluation_mode(model):
            direction = _gradient(model, loss, x, labels).sign()
    for eps in sizes:
        yield _within(x + eps * direction if eps else x, bounds)


def accumulating(
    model: nn.Module,
    loss: Loss,
    x: Tensor,
    labels: Tensor,
    sizes: Sequence[float],
    *,
    bounds: Bounds | None = None,
) -> Iterator[Tensor]:
    r"""Yield ``x_k = x_{k-1} + eps_k sign(dJ/dx_{k-1})`` for every eps_k of ``sizes``.

    So sizes 0, 0.1, 0.25, 0.5, 1 are in truth up to 0, 0.1, 0.35, 0.85, 1.85 away from x.

    Parameters
    ----------
    model, loss, x, labels, bounds
        As for :func:`fgsm`.
    sizes
        Each eps_k >= 0, in the units of x.

    Yields
    ------
    Tensor
        Perturbed inputs, of the shape and type of x, without gradient.

    Raises
    ------
    ValueError
        As :func:`fgsm`.

    Notes
    -----
    Source: what the authors' published program does with the list of the ICLR paper's Table 5; the
    text means `alone`. Cost: a gradient for every eps but 0.

    Examples
    --------
    >>> model = nn.Linear(1, 2, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[0.0], [1.0]]))
    >>> x, label = torch.tensor([[0.5]]), torch.tensor([0])
    >>> cross_entropy = nn.CrossEntropyLoss(reduction="none")
    >>> [float(p) for p in accumulating(model, cross_entropy, x, label, [0, 0.25, 1])]
    [0.5, 0.75, 1.75]

    """
    for eps in sizes:
        x = fgsm(model, loss, x, labels, eps, bounds=bounds)
        yield x


def pgd(
    model: nn.Module,
    loss: Loss,
    x: Tensor,
    labels: Tensor,
    eps: float,
    *,
    steps: int = 10,
    step_size: float | None = None,
    start: torch.Generator | None = None,
    bounds: Bounds | None = None,
) -> Tensor:
    r"""Return x after ``x' <- x' + a sign(dJ/dx')``, each time moved back into ``|x' - x| <= eps``.

    Parameters
    ----------
    model, loss, x, labels, eps, bounds
        As for :func:`fgsm`.
    steps
        How many, at least 1.
    step_size
        a > 0, in the units of x; 2.5 eps / steps if not given, with which the far side of the ball
        can be reached.
    start
        Draws the start uniformly from the ball; at x itself if not given.

    Returns
    -------
    Tensor
        Perturbed inputs, of the shape and type of x, without gradient.

    Raises
    ------
    ValueError
        If ``steps`` or ``step_size`` is not positive; as :func:`fgsm` for the rest.

    Notes
    -----
    Source: Madry et al. 2018. One step of size eps from x is FGSM. Cost: a forward and a backward
    pass a step.

    Examples
    --------
    FGSM steps over a maximum that PGD finds: the loss is ``-|x - 1|``, and eps is 3.

    >>> bump = lambda logits, labels: -(logits[:, 0] - 1).abs()
    >>> x, label = torch.zeros(1, 1), torch.tensor([0])
    >>> fgsm(nn.Identity(), bump, x, label, 3.0), pgd(nn.Identity(), bump, x, label, 3.0, steps=30)
    (tensor([[3.]]), tensor([[1.]]))

    """
    _check(eps, bounds)
    if steps < 1:
        msg = f"steps must be a positive integer, got {steps!r}."
        raise ValueError(msg)
    size = 2.5 * eps / steps if step_size is None else step_size
    if step_size is not None and not step_size > 0:
        msg = f"step_size must be positive, got {step_size!r}."
        raise ValueError(msg)
    x = x.detach()
    low, high = x - eps, x + eps
    moved = x
    if start is not None:
        drawn = torch.rand(x.shape, generator=start, device=start.device).to(x)
        moved = x + eps * (2 * drawn - 1)
    with in_evaluation_mode(model):
        for _ in range(steps if eps else 0):
            moved = _within(moved, bounds)
            moved = moved + size * _gradient(model, loss, moved, labels).sign()
            moved = torch.minimum(torch.maximum(moved, low), high)
    return _within(moved, bounds)


def _gradient(model: nn.Module, loss: Loss, x: Tensor, labels: Tensor) -> Tensor:
    """Return dJ_i/dx_i of every sample, the shape of x."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(model(x), labels).sum(), x)
    return gradient


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode and its modules back into their own."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _within(x: Tensor, bounds: Bounds | None) -> Tensor:
    """Return x moved into the bounds."""
    return x if bounds is None else x.clamp(*bounds)


def _check(eps: float, bounds: Bounds | None) -> None:
    """Raise a ValueError unless the ball and the bounds are sets one can be in."""
    if isinstance(eps, bool) or not isinstance(eps, Real) or not 0 <= eps < float("inf"):
        msg = f"eps must be a finite number of at least 0, got {eps!r}."
        raise ValueError(msg)
    if bounds is not None and not bounds[0] <= bounds[1]:
        msg = f"bounds must be (smallest, largest), got {bounds!r}."
        raise ValueError(msg)
