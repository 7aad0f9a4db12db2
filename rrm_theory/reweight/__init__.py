"""Rockafellian reweighting inside a torch training loop."""

from rrm_theory.reweight.reweighter import Reweighter, Reweighting, ReweightOutcome

__all__ = ["ReweightOutcome", "Reweighter", "Reweighting"]
