"""Methods by name: one file each; what they share with RRM is the loop.

A new one is a file here with a `Method`, a line in `METHODS`, and its name in `spec.MethodName`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from experiments.losses import PointwiseLoss
from experiments.method import Method
from experiments.methods.early_learning import early_learning
from experiments.methods.flywheel import Flywheel
from experiments.methods.meta_weight import mnw_net, mw_net, rmnw_net
from experiments.methods.small_loss import SmallLoss
from experiments.problem import Problem
from experiments.spec import Run

METHODS: dict[str, Callable[[Run, Problem, nn.Module, PointwiseLoss], Method]] = {
    "none": lambda *_: Method(),
    "elr": early_learning,
    "small_loss": lambda *_: SmallLoss(),
    "mw_net": mw_net,
    "mnw_net": mnw_net,
    "rmnw_net": rmnw_net,
    "flywheel": Flywheel,
}


def method_of(run: Run, problem: Problem, model: nn.Module, loss: PointwiseLoss) -> Method:
    """Return the run's method; ELR is named by its loss, as in the ICLR paper's Table 8."""
    return METHODS["elr" if run.loss == "elr" else run.method](run, problem, model, loss)
