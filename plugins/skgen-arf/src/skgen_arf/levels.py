"""Tables of levels: what a leaf makes of a binary or categorical cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Levels"]


@dataclass
class Levels:
    """One table a leaf and column: theta = (c + alpha k q) / (n + alpha k) for the k levels that the leaf's box holds.

    q is the table of all rows, with ``alpha`` pseudo-counts a level, restricted to the box, so that a level never seen has some
    probability, and one that the splits above a leaf exclude has none. The counts c, (L, sum of levels) with a column after the
    other, are few beside the levels: ``where`` (m,) is the flat position of those that are not zero, ``count`` (m,) what they are.
    """

    columns: np.ndarray
    n_levels: np.ndarray
    where: np.ndarray
    count: np.ndarray
    total: np.ndarray  # (sum of levels,) weight over all rows
    lower: np.ndarray  # the boxes, (L, columns)
    upper: np.ndarray
    alpha: float

    def __post_init__(self) -> None:
        self._start = np.cumsum(self.n_levels) - self.n_levels
        theta = np.zeros((len(self.lower), len(self.total)))
        theta.ravel()[self.where] = self.count
        for c, (first, n) in enumerate(zip(self._start, self.n_levels, strict=True)):
            level, here = np.arange(n), slice(first, first + n)
            may = (level > self.lower[:, c, None]) & (level <= self.upper[:, c, None])
            q = may * (self.total[here] + self.alpha)
            theta[:, here] += self.alpha * may.sum(axis=1, keepdims=True) * q / q.sum(axis=1, keepdims=True)
            theta[:, here] /= theta[:, here].sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            self.log_theta = np.log(theta, out=theta)

    @classmethod
    def fit(
        cls,
        columns: np.ndarray,
        n_levels: np.ndarray,
        X: np.ndarray,
        weight: np.ndarray,
        leaf: np.ndarray,
        mass: np.ndarray,
        box: tuple[np.ndarray, np.ndarray],
        alpha: float,
    ) -> Levels:
        """From complete rows and their leaves (n, T); ``n_levels`` is of these columns."""
        trees, at, levels = leaf.shape[1], leaf.ravel(), int(n_levels.sum())
        where, count, total = [np.zeros(0, dtype=np.intp)], [np.zeros(0)], [np.zeros(0)]
        for j, first, n in zip(columns, np.cumsum(n_levels) - n_levels, n_levels, strict=True):
            code = X[:, j].astype(np.intp)
            counts = np.bincount(at * n + np.repeat(code, trees), np.repeat(weight, trees), len(mass) * n)
            some = np.flatnonzero(counts)
            where.append(some // n * levels + first + some % n)
            count.append(counts[some])
            total.append(np.bincount(code, weight, n))
        found = (np.concatenate(each) for each in (where, count, total))
        return cls(columns, n_levels, *found, box[0][:, columns], box[1][:, columns], alpha)

    def add_log_prob(self, X: np.ndarray, row: np.ndarray, leaf: np.ndarray, out: np.ndarray) -> None:
        """Add log p of these cells of X[row] in their leaves to ``out`` (m,); a NaN cell is summed out, a factor of one."""
        for j, first in zip(self.columns, self._start, strict=True):
            x = X[:, j]
            code = np.where(np.isnan(x), -1, x).astype(np.intp)[row]
            out += np.where(code < 0, 0.0, self.log_theta[leaf, first + code])

    def draw(self, leaf: np.ndarray, out: np.ndarray, rng: np.random.Generator) -> None:
        """Fill these columns of ``out`` (n, d) with a draw from each leaf (n,)."""
        for j, first, n in zip(self.columns, self._start, self.n_levels, strict=True):
            cumulated = np.cumsum(np.exp(self.log_theta[leaf, first : first + n]), axis=1)
            total = cumulated[:, -1:]
            u = np.minimum(rng.random((len(leaf), 1)) * total, np.nextafter(total, 0.0))
            out[:, j] = (cumulated <= u).sum(axis=1)
