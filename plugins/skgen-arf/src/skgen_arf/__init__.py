"""Adversarial random forests (Watson, Blesch, Kapar & Wright 2023) for skgen."""

from skgen_arf.model import AdversarialRandomForest

__all__ = ["AdversarialRandomForest"]
