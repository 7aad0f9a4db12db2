"""Networks by name: the two of the MNIST tables, of exactly the published size, and others.

The two are written for speed on one core where that changes nothing but the order of sums (bench
train, bench step). Residual networks are in `experiments.resnet`.

`mlp`: inputs-320-320-200-classes, ReLU, no biases (784 inputs, 3 classes: 417,880 parameters).
`cnn`: three 3x3 convolutions with max-pooling, 1024-100-10 (28 x 28, 10 classes: 159,254).
`linear`: inputs-classes with a bias, logistic regression.
`distilbert`: a language model, in `experiments.language`.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.language import DistilBert
from experiments.noise import Stream, torch_seed
from experiments.own import own_network
from experiments.resnet import RESNETS, ResNet
from experiments.spec import LANGUAGE_MODEL, META_METHODS, OWN_MODEL, Run

MLP_HIDDEN = (320, 320, 200)
CNN_CHANNELS = (32, 64, 64)
CNN_HIDDEN = 100
# Tokens cannot be attacked or mixed, and what was learnt before is not drawn anew.
FOR_TOKENS = {
    "dataset": "imdb_tokens",
    "normalisation": "unit",
    "initialisation": "torch",
    "train_eps": 0.0,
    "method": "none",
}


def takes_onednn(x: Tensor) -> bool:
    """Return whether oneDNN's own tensors can hold what a network makes of x: float32, on a CPU."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return (
        available
        and bool(torch.backends.mkldnn.enabled)
        and x.device.type == "cpu"
        # Autocast chooses its kernels by itself.
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


class MLP(nn.Module):
    """Fully connected, ReLU, without biases: (B, ...) -> logits (B, K).

    ``onednn`` allows oneDNN's own tensors, which are faster and have no second derivative.
    """

    def __init__(self, n_inputs: int, n_classes: int, *, onednn: bool = True) -> None:
        super().__init__()
        self.onednn = onednn
        widths = (n_inputs, *MLP_HIDDEN, n_classes)
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = x.flatten(1)
        # oneDNN's kernels: torch's default BLAS keeps to AVX2 on AMD processors (bench step).
        onednn = self.onednn and takes_onednn(x)
        if onednn:
            x = x.to_mkldnn()
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        logits: Tensor = self.layers[-1](x.to_dense() if onednn else x)
        return logits


class CNN(nn.Module):
    """Three convolutions and two dense layers: (B, rows, columns) -> logits (B, K).

    ``onednn`` as for the `MLP`.
    """

    def __init__(self, shape: tuple[int, ...], n_classes: int, *, onednn: bool = True) -> None:
        super().__init__()
        self.onednn = onednn
        rows, columns = shape
        channels = (1, *CNN_CHANNELS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, kernel_size=3, padding=1) for a, b in pairwise(channels)
        )
        for _ in CNN_CHANNELS:
            rows, columns = -(-rows // 2), -(-columns // 2)
        self.hidden = nn.Linear(CNN_CHANNELS[-1] * rows * columns, CNN_HIDDEN)
        self.output = nn.Linear(CNN_HIDDEN, n_classes)
        for convolution in self.convolutions:
            convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.output(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """Return what the logits are linear in, (B, 100)."""
        # oneDNN pools several times as fast: of a largest value it keeps one byte, not eight.
        onednn = self.onednn and takes_onednn(x)
        x = x.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        if onednn:
            x = x.to_mkldnn()
        for convolution in self.convolutions:
            # The largest of four rectified values is their largest, rectified: a quarter of work.
            x = F.relu(F.max_pool2d(convolution(x), kernel_size=2, stride=2, ceil_mode=True))
        return F.relu(self.hidden((x.to_dense() if onednn else x).flatten(1)))


class Autocast(nn.Module):
    """A network whose products are rounded to bfloat16; weights and logits stay float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            logits: Tensor = self.network(x)
        return logits.float()

    def features(self, x: Tensor) -> Tensor:
        """Return what the logits are linear in, if the network says it."""
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            features: Tensor = self.network.features(x)  # type: ignore[operator]
        return features.float()

    @property
    def output(self) -> nn.Module | None:
        """The network's last layer, if it has one of that name."""
        output: nn.Module | None = getattr(self.network, "output", None)
        return output


def build(
    run: Run,
    *,
    shape: tuple[int, ...],
    n_classes: int,
    device: str = "cpu",
    stream: Stream = Stream.INITIALISATION,
) -> nn.Module:
    """Return the run's network, initialised from a stream of the run's seed and nothing else.

    Raises
    ------
    ValueError
        If the network is not made for samples of this shape, or a user's does not do what one
        must (`own.own_network`); or if the run asks for bfloat16 and the device has no instructions
        for it: emulated, it is many times slower than float32.

    """
    if run.precision == "bfloat16" and not has_bfloat16(device):
        msg = f"precision='bfloat16' is emulated on this {device}; use 'float32'."
        raise ValueError(msg)
    seed = torch_seed(run.seed, stream)
    if OWN_MODEL in run.model:
        model = own_network(run.model, shape, n_classes, seed)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _named(run, shape, n_classes)
            if run.initialisation == "glorot":
                _glorot(model)
    return (Autocast(model) if run.precision == "bfloat16" else model).to(device)


def _glorot(model: nn.Module) -> None:
    """Draw weights as Glorot does, uniform, and set biases to zero."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.ndim > 1:  # the factors of a batch norm stay 1
            nn.init.xavier_uniform_(parameter)


def _named(run: Run, shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return one of our networks, for samples of the shape."""
    name = run.model
    # Weighting networks differentiate twice.
    onednn = run.method not in META_METHODS
    if name == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), n_classes))
    if name == "mlp":
        return MLP(math.prod(shape), n_classes, onednn=onednn)
    if name == LANGUAGE_MODEL:
        for field, needed in FOR_TOKENS.items():
            if getattr(run, field) != needed:
                msg = f"model={name!r} needs {field}={needed!r}, got {getattr(run, field)!r}."
                raise ValueError(msg)
        return DistilBert(n_classes)
    axes = ("rows", "columns", "channels") if name in RESNETS else ("rows", "columns")
    if len(shape) != len(axes):
        msg = f"model={name!r} is for samples ({', '.join(axes)}), got {shape}."
        raise ValueError(msg)
    if name in RESNETS:
        return ResNet(name, shape, n_classes)
    return CNN(shape, n_classes, onednn=onednn)


def has_bfloat16(device: str) -> bool:
    """Return whether a device multiplies bfloat16 numbers itself."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())
