"""Random crops and flips of a batch of images, drawn on the CPU and applied where the images are.

An image is moved by up to `PADDING` pixels each way, what comes in from outside is black, and half
of the images are mirrored: He et al. 2016, Section 4.2, which Zhang & Sabuncu 2018 follow.
"""

from __future__ import annotations

import torch
from torch import Tensor

PADDING = 4


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
