"""A weighted sample of one variable in bounded memory, for families whose statistics do not add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Digest"]

_MOST = 4096  # points; as many distinct values are kept as they are
_KEPT = 2048


@dataclass
class Digest:
    """Sorted ``values`` and their weights.

    Up to 4,096 distinct values are exact. Beyond, neighbours are merged into their mean, finer towards both ends, as in a
    t-digest (Dunning & Ertl 2019): mass and mean stay, and little else moves.

    Examples
    --------
    >>> Digest.of(np.array([2.0, 1.0, 2.0]), np.ones(3))
    Digest(values=array([1., 2.]), weight=array([1., 2.]))
    """

    values: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, weight: np.ndarray, integer: bool = False) -> Digest:
        """The observed cells of positive weight."""
        seen = ~np.isnan(x) & (weight > 0)
        values, where = np.unique(x[seen], return_inverse=True)
        weight = np.bincount(where, weight[seen], len(values))
        if len(values) <= _MOST:
            return cls(values, weight)
        q = (np.cumsum(weight) - weight / 2) / weight.sum()
        bin_of = np.floor(_KEPT * (np.arcsin(np.clip(2 * q - 1, -1, 1)) / np.pi + 0.5))
        _, bin_of = np.unique(bin_of, return_inverse=True)
        merged = np.bincount(bin_of, weight)
        mean = np.bincount(bin_of, weight * values) / merged
        return cls.of(np.round(mean), merged) if integer else cls(mean, merged)

    def add(self, x: np.ndarray, weight: np.ndarray, integer: bool = False) -> Digest:
        """With more cells."""
        return self.of(np.concatenate([self.values, x]), np.concatenate([self.weight, weight]), integer)
