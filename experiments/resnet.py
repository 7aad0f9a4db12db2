"""Residual networks for 32 x 32 images: a 3x3 stem, stages of basic blocks, global averages.

With 10 classes and 3 colours: `resnet34` has 21,282,122 parameters, `resnet18` 11,173,962, and
`resnet8`, of three narrow stages, 78,042: the one that a CPU trains in minutes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Blocks of each stage, and its channels.
RESNETS = {
    "resnet8": ((1, 1, 1), (16, 32, 64)),
    "resnet18": ((2, 2, 2, 2), (64, 128, 256, 512)),
    "resnet34": ((3, 4, 6, 3), (64, 128, 256, 512)),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, batch-normalised, beside a shortcut: He et al. 2016, Figure 5."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return feature maps (B, width, rows / stride, columns / stride)."""
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network: images (B, rows, columns, channels) -> logits (B, K)."""

    def __init__(self, name: str, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        blocks, widths = RESNETS[name]
        self.stem = nn.Conv2d(shape[2], widths[0], 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        layers: list[nn.Module] = []
        channels = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            for place in range(count):
                layers.append(BasicBlock(channels, width, 2 if stage and not place else 1))
                channels = width
        self.blocks = nn.Sequential(*layers)
        self.output = nn.Linear(channels, n_classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.output(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """Return what the logits are linear in, (B, channels of the last stage)."""
        # Images whose last axis is colour are channels-last already.
        maps = F.relu(self.stem_norm(self.stem(x.permute(0, 3, 1, 2))))
        averages: Tensor = self.blocks(maps).mean(dim=(2, 3))
        return averages
