"""Judging models through the public contract alone: metrics, scorers, and one table for many models."""

from typing import Any

#: Imported when first asked for: a metric needs no torch, a display no more than its own plot.
_LAZY = {
    "HistoryDisplay": "displays",
    "LatentManifoldDisplay": "latent_displays",
    "LatentScatterDisplay": "latent_displays",
    "PrivacyWarning": "privacy",
    "ReconstructionDisplay": "latent_displays",
    "SampleGridDisplay": "latent_displays",
    "Snapshots": "snapshots",
    "category_coverage": "usefulness",
    "classifier_two_sample": "samples",
    "expected_calibration_error": "metrics",
    "frechet_distance": "samples",
    "interpolate": "codes",
    "kl_divergence": "divergence",
    "latent_direction": "codes",
    "maximum_mean_discrepancy": "samples",
    "memorisation": "neighbours",
    "move": "codes",
    "precision_recall": "neighbours",
    "privacy_report": "privacy",
    "sample_report": "sample_reports",
    "scorers": None,
    "train_on_synthetic": "usefulness",
    "traverse": "codes",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _LAZY:
        raise AttributeError(f"module 'skgen.evaluate' has no attribute {name!r}: it has {', '.join(sorted(_LAZY))}")
    where = _LAZY[name]
    return import_module(f"skgen.evaluate.{name}") if where is None else getattr(import_module(f"skgen.evaluate.{where}"), name)


def __dir__() -> list[str]:
    return sorted(_LAZY)
