"""Random changes of a batch of images, drawn on the CPU and applied where the images are.

Weak ones, crops and flips: an image is moved by up to `PADDING` pixels each way, what comes in from
outside is black, and half of the images are mirrored: He et al. 2016, Section 4.2, which Zhang &
Sabuncu 2018 follow. Strong ones beside them: another contrast and brightness, and a black square.
"""

from __future__ import annotations

import torch
from torch import Tensor

PADDING = 4
# Contrast is multiplied by up to this much more or less, brightness moved by up to this share of
# the range; a square of half the image's side goes black. Fewer kinds than RandAugment's fourteen.
CONTRAST, BRIGHTNESS = 0.6, 0.4


def draw_moves(n: int, generator: torch.Generator) -> Tensor:
    """Return the moves of n images, int64 (n, 3): rows down, columns right, mirrored or not.

    Examples
    --------
    >>> moves = draw_moves(1000, torch.Generator().manual_seed(0))
    >>> moves.amin(dim=0).tolist(), moves.amax(dim=0).tolist()
    ([-4, -4, 0], [4, 4, 1])

    """
    shifts = torch.randint(-PADDING, PADDING + 1, (n, 2), generator=generator)
    mirrored = torch.randint(2, (n, 1), generator=generator)
    return torch.cat((shifts, mirrored), dim=1)


def crop_and_flip(x: Tensor, moves: Tensor, black: float) -> Tensor:
    """Return ``x[b, r + down, c + right]``, c counted from the right if mirrored, else black.

    Parameters
    ----------
    x
        Images (B, rows, columns, ...).
    moves
        Of each image, int64 (B, 3): as from `draw_moves`.
    black
        Value of the pixels outside of an image.

    Notes
    -----
    Cost: one gather, O(B rows columns channels).

    Examples
    --------
    >>> x = torch.tensor([[[1, 2], [3, 4]]])
    >>> crop_and_flip(x, torch.tensor([[0, 0, 1]]), black=0).tolist()
    [[[2, 1], [4, 3]]]
    >>> crop_and_flip(x, torch.tensor([[1, 0, 0]]), black=0).tolist()
    [[[3, 4], [0, 0]]]

    """
    n_rows, n_columns = x.shape[1:3]
    down, right, mirrored = moves[:, None].unbind(dim=2)  # (B, 1) each
    rows = torch.arange(n_rows, device=x.device) + down
    columns = torch.arange(n_columns, device=x.device).expand(len(x), -1)
    columns = torch.where(mirrored == 1, n_columns - 1 - columns, columns) + right
    batch = torch.arange(len(x), device=x.device)[:, None, None]
    moved = x[
        batch,
        rows.clamp(0, n_rows - 1)[:, :, None],
        columns.clamp(0, n_columns - 1)[:, None, :],
    ]
    inside = ((rows >= 0) & (rows < n_rows))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < n_columns))[:, None, :]
    return torch.where(inside.reshape(*inside.shape, *[1] * (x.ndim - 3)), moved, black)


def draw_distortions(n: int, generator: torch.Generator) -> Tensor:
    """Return distortions of n images, float (n, 4): contrast, brightness, row and column.

    Examples
    --------
    >>> drawn = draw_distortions(1000, torch.Generator().manual_seed(0))
    >>> [round(v, 1) for v in drawn.amin(dim=0).tolist()]
    [0.4, -0.4, 0.0, 0.0]
    >>> [round(v, 1) for v in drawn.amax(dim=0).tolist()]
    [1.6, 0.4, 1.0, 1.0]

    """
    low = torch.tensor([1 - CONTRAST, -BRIGHTNESS, 0.0, 0.0])
    high = torch.tensor([1 + CONTRAST, BRIGHTNESS, 1.0, 1.0])
    return low + (high - low) * torch.rand(n, 4, generator=generator)


def distort(x: Tensor, distortions: Tensor, ink: tuple[float, float]) -> Tensor:
    """Return ``c (x - m) + m + b (white - black)`` within its range, a square of it black.

    Parameters
    ----------
    x
        Images (B, rows, columns, ...).
    distortions
        Of each image, (B, 4): as from `draw_distortions`; c, b, and where in the image the middle
        of the square is, as shares of rows and columns.
    ink
        Black and white, in the units of x; m is halfway between them.

    Notes
    -----
    Source: ours, for the strong augmentation of the LNL-flywheel paper, Section 4.1. Cost:
    O(B rows columns channels).

    Examples
    --------
    >>> x = torch.tensor([[[0.0, 0.5], [1.0, 0.5]]])
    >>> distort(x, torch.tensor([[0.5, 0.25, 0.0, 0.0]]), (0.0, 1.0)).tolist()
    [[[0.0, 0.75], [1.0, 0.75]]]

    """
    black, white = ink
    middle = (black + white) / 2
    n_rows, n_columns = x.shape[1:3]
    contrast, brightness, row, column = distortions.T.reshape(4, -1, *[1] * (x.ndim - 1))
    changed = contrast * (x - middle) + middle + brightness * (white - black)
    axes = [1] * (x.ndim - 3)
    rows = torch.arange(n_rows, device=x.device).reshape(-1, 1, *axes)
    columns = torch.arange(n_columns, device=x.device).reshape(-1, *axes)
    inside = ((rows - (row * n_rows).floor()).abs() < n_rows / 4) & (
        (columns - (column * n_columns).floor()).abs() < n_columns / 4
    )
    return torch.where(inside, black, changed.clamp(black, white))
