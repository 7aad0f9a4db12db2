"""The relaxed risk as a differentiable loss: its gradient is the weight vector."""

from __future__ import annotations

import torch
from torch import Tensor

from rrm_theory._checks import positive


def rockafellian_loss(losses: Tensor, gamma: float) -> Tensor:
    r"""Return ``R_gamma(c) = (1/N) sum_i min(c_i, c_min + gamma)`` with gradient p.

    p are the weights of Corollary 3.1.1: 0 above the cut, 1/N + |chi| / (N |I_min|) on the
    cheapest samples, 1/N elsewhere; so the value is computed as ``sum p c + gamma |chi| / N``.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), any float type, loss units. +inf is pruned, unless all are.
    gamma
        Price > 0 per unit of total variation in the convention of Eq. (2), loss units.

    Returns
    -------
    Tensor
        The relaxed risk, a scalar of the losses' type, float32 for shorter ones. NaN if a loss is.

    Raises
    ------
    ValueError
        If ``losses`` is not a non-empty vector of floats, or ``gamma`` is not positive and finite.

    Notes
    -----
    Source: ICLR paper, Eq. (2), Corollary 3.1.1; theory.md A.1, A.10. The cut is exact, so p is the
    gradient where the minimiser is unique and a supergradient elsewhere. Cost O(N); no host
    synchronisation; made of torch's own operations, so it works under ``torch.func``, autocast and
    ``torch.compile``. Not supported: second derivatives, which are 0 where they exist.

    Examples
    --------
    >>> c = torch.tensor([0.0, 1.0, 10.0, 20.0], requires_grad=True)
    >>> loss = rockafellian_loss(c, gamma=2.0)  # (0 + 1 + 2 + 2) / 4
    >>> loss.backward()
    >>> loss.item(), c.grad
    (1.25, tensor([0.7500, 0.2500, 0.0000, 0.0000]))

    """
    if losses.dim() != 1 or not losses.numel() or not losses.dtype.is_floating_point:
        msg = f"losses must be a non-empty vector of floats, got {losses.dtype}, {losses.shape}."
        raise ValueError(msg)
    price = positive(gamma, "gamma")
    short = torch.finfo(losses.dtype).bits < 32
    c = losses.float() if short else losses
    exact, n = c.detach().double(), losses.numel()
    minimum = exact.min()
    # c_min + gamma is s + error exactly (Knuth's TwoSum), so that rounding prunes nothing.
    s = minimum + price
    part = s - minimum
    error = (minimum - (s - part)) + (price - part)
    pruned = (exact > s) | ((exact == s) & (error < 0)) | (exact == torch.inf)
    cheapest = exact == minimum
    n_pruned, n_cheapest = pruned.sum().double(), cheapest.sum().double()
    heavy = (1 + n_pruned / n_cheapest) / n
    share = exact.new_full((), 1 / n)
    p = torch.where(cheapest, heavy, torch.where(pruned, 0 * share, share)).to(c.dtype)
    kept = torch.where(pruned, 0.0, c)
    nan = torch.where(torch.isnan(minimum), minimum, 0.0)
    return (p * kept).sum() + (price * n_pruned / n + nan).to(c.dtype)
