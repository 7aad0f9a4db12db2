"""ICLR paper, Section 4.2.1: random crops and flips, as He et al. 2016, Section 4.2."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.augmentation import PADDING, crop_and_flip, distort, draw_distortions, draw_moves


def one_by_one(x, moves, black):
    """Return the moved images by padding, cutting and mirroring each, in numpy."""
    out = []
    for image, (down, right, mirrored) in zip(x.numpy(), moves.tolist(), strict=True):
        around = [(PADDING, PADDING)] * 2 + [(0, 0)] * (image.ndim - 2)
        padded = np.pad(image, around, constant_values=black)
        rows, columns = image.shape[:2]
        cut = padded[PADDING + down :, PADDING + right :][:rows, :columns]
        out.append(cut[:, ::-1] if mirrored else cut)
    return torch.from_numpy(np.stack(out))


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 6),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    channels=st.sampled_from([(), (1,), (3,)]),
)
def test_it_is_padding_cutting_and_mirroring(seed, n, rows, columns, channels):
    """Exactly, for grey and coloured images of any size; what comes in from outside is black."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, rows, columns, *channels, generator=rng)
    moves = draw_moves(n, rng)
    assert torch.equal(crop_and_flip(x, moves, -2.5), one_by_one(x, moves, -2.5))


def test_without_a_move_nothing_changes():
    """Zero shifts, not mirrored: the images themselves."""
    x = torch.randn(3, 5, 7, 3)
    assert torch.equal(crop_and_flip(x, torch.zeros(3, 3, dtype=torch.int64), 9.0), x)


def test_moves_are_uniform():
    """Nine shifts each way and two sides, each within five standard deviations of its share."""
    n = 9000
    moves = draw_moves(n, torch.Generator().manual_seed(0))
    for column, values in zip(moves.T, (range(-4, 5), range(-4, 5), range(2)), strict=True):
        share = 1 / len(values)
        slack = 5 * (n * share * (1 - share)) ** 0.5
        counts = [int((column == value).sum()) for value in values]
        assert sum(counts) == n
        assert max(abs(count - n * share) for count in counts) < slack


def test_moves_come_from_the_generator_alone():
    """One seed, one sequence; the next call goes on."""
    a, b = (torch.Generator().manual_seed(7) for _ in range(2))
    assert torch.equal(draw_moves(50, a), draw_moves(50, b))
    assert not torch.equal(draw_moves(50, a), draw_moves(50, torch.Generator().manual_seed(7)))


@pytest.mark.parametrize("mirrored", [0, 1])
def test_a_crop_comes_before_the_flip(mirrored):
    """Shifted right by one, the first column is lost; mirrored after that, it is lost on the left.

    [1, 2, 3] becomes [2, 3, black], and mirrored [black, 3, 2].
    """
    x = torch.tensor([[[1.0, 2.0, 3.0]]])
    moved = crop_and_flip(x, torch.tensor([[0, 1, mirrored]]), 0.0)[0, 0].tolist()
    assert moved == ([0.0, 3.0, 2.0] if mirrored else [2.0, 3.0, 0.0])


def distorted_one_by_one(x, distortions, ink):
    """Return the distorted images, pixel by pixel."""
    black, white = ink
    middle, out = (black + white) / 2, x.clone()
    n_rows, n_columns = x.shape[1:3]
    for b, (contrast, brightness, row, column) in enumerate(distortions.tolist()):
        for r in range(n_rows):
            for c in range(n_columns):
                value = contrast * (x[b, r, c] - middle) + middle + brightness * (white - black)
                near = (
                    abs(r - int(row * n_rows)) < n_rows / 4
                    and abs(c - int(column * n_columns)) < n_columns / 4
                )
                out[b, r, c] = black if near else value.clamp(black, white)
    return out


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    channels=st.sampled_from([(), (1,), (3,)]),
)
def test_a_distortion_is_contrast_brightness_and_a_black_square(seed, rows, columns, channels):
    """Every pixel by hand, in eighths of float64; nothing leaves the range of ink."""
    rng = torch.Generator().manual_seed(seed)
    ink = (-0.5, 2.0)
    x = -0.5 + 2.5 * torch.rand(3, rows, columns, *channels, generator=rng, dtype=torch.float64)
    distortions = (8 * draw_distortions(3, rng).double()).floor() / 8
    found = distort(x, distortions, ink)
    torch.testing.assert_close(found, distorted_one_by_one(x, distortions, ink))
    assert ink[0] <= found.min()
    assert found.max() <= ink[1]


def test_the_distortion_that_changes_nothing_leaves_a_square_black():
    """Contrast 1, brightness 0; the square of a side of 8 covers three pixels each way."""
    x = torch.ones(1, 8, 8)
    found = distort(x, torch.tensor([[1.0, 0.0, 0.5, 0.25]]), (0.0, 1.0))
    assert (found == 0).nonzero()[:, 1:].unique(dim=0).tolist() == [
        [r, c] for r in (3, 4, 5) for c in (1, 2, 3)
    ]
