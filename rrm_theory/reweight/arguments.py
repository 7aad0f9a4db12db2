"""Arguments of a reweighter as tensors, or a ValueError that names them and shows the value."""

from __future__ import annotations

from math import isnan

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rrm_theory._checks import LARGEST, exact_vector, refuse_inexact_integers
from rrm_theory.reweight import order


def floats(losses: Tensor | ArrayLike) -> Tensor:
    """Return losses in their float type, or in float64 if they are not floats of torch."""
    if isinstance(losses, Tensor):
        given = losses.detach()
    else:
        vector = exact_vector(losses)
        given = torch.from_numpy(vector if vector.flags.writeable else vector.copy())
    if given.dtype == torch.bool or given.dtype.is_complex:
        msg = f"losses must be real numbers, got {given.dtype}."
        raise ValueError(msg)
    if not given.dtype.is_floating_point:
        refuse_inexact_integers(given.flatten().tolist())
    # Types that are shorter still embed exactly in float64.
    return given.to(given.dtype if given.dtype in order.INTEGERS else torch.float64)


def integers(index: ArrayLike) -> Tensor:
    """Return an index given as a number, a sequence or an array as int64, whatever its layout."""
    given = np.asarray(index)
    if given.size and given.dtype.kind not in "iu":
        msg = f"index must hold integers, got {given.dtype}."
        raise ValueError(msg)
    return torch.from_numpy(np.array(given, dtype=np.int64, order="C"))


def refuse(c: Tensor, lowest: int, highest: int) -> None:
    """Raise a ValueError if a loss is NaN or out of range."""
    infinite, limit = order.infinite_key(c.dtype), order.largest_key(LARGEST, c.dtype)
    bad = torch.isnan(c) if highest > infinite or lowest < -1 - infinite else None
    # In short types no number is out of range, so that +inf costs nothing.
    if bad is None and (lowest < -1 - limit or (highest > limit and limit < infinite - 1)):
        bad = (c.abs().double() > LARGEST) & (c != torch.inf)
    if bad is not None and bad.any():
        i = int(bad.int().argmax())
        raise ValueError(refusal(i, float(c[i])))


def refusal(index: int, loss: float) -> str:
    """Return why a loss is refused."""
    if isnan(loss):
        return f"losses must not be NaN, got nan at index {index}."
    return f"losses must lie in [-2^960, 2^960] or be +inf, got {loss} at index {index}."


def all_infinite(n: int) -> str:
    """Return why losses without a finite one are refused."""
    return f"losses must hold a finite value, got only +inf ({n} of them)."
