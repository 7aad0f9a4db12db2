"""Rockafellian reweighting inside a torch training loop."""

from rrm_theory.reweight.loss import rockafellian_loss
from rrm_theory.reweight.reweighter import Reweighter
from rrm_theory.reweight.reweighting import Reweighting, ReweightOutcome

__all__ = ["ReweightOutcome", "Reweighter", "Reweighting", "rockafellian_loss"]
