"""Products of independent columns for K classes at once: one matrix product instead of a loop over columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["NormalBlock", "NormalSums", "TableBlock"]

_CHUNK = 2048  # rows: features of a chunk stay in cache
_LOG_2PI = np.log(2 * np.pi)
_TINY = 1e-9


@dataclass
class NormalSums:
    """Sums of w, w x and w x^2 of the observed cells, each (K, columns)."""

    mass: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, columns: np.ndarray, X: np.ndarray, weights: np.ndarray) -> NormalSums:
        K, d = weights.shape[1], len(columns)
        first, second, mass = np.zeros((K, d)), np.zeros((K, d)), np.zeros((K, d))
        everything = d == X.shape[1]
        complete = not np.isnan(X.sum())
        if complete:
            mass += weights.sum(axis=0)[:, None]
        for start in range(0, len(X) if d else 0, _CHUNK):
            z = X[start : start + _CHUNK] if everything else X[start : start + _CHUNK, columns]
            w = weights[start : start + _CHUNK].T
            if not complete:
                seen = ~np.isnan(z)
                mass += w @ seen
                z = np.where(seen, z, 0.0)
            first += w @ z
            second += w @ (z * z)
        return cls(mass, first, second)

    def __add__(self, other: NormalSums) -> NormalSums:
        return NormalSums(self.mass + other.mass, self.first + other.first, self.second + other.second)

    def insert(self, k: int) -> NormalSums:
        """With a class without rows at position k."""
        return NormalSums(*(np.insert(a, k, 0.0, axis=0) for a in (self.mass, self.first, self.second)))

    def pooled(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the rows of all classes, (columns,); unit variance where nothing was observed."""
        mass = self.mass.sum(axis=0)
        total = np.maximum(mass, np.finfo(float).tiny)
        mean = self.first.sum(axis=0) / total
        return mean, np.where(mass > 0, np.maximum(self.second.sum(axis=0) / total - mean**2, 0.0), 1.0)


@dataclass
class NormalBlock:
    """Independent normal columns: log p = sum_j -(x_j - m_j)^2 / 2 v_j - log(2 pi v_j) / 2, as linear in (x, x^2).

    ``mean`` and ``variance`` are (K, columns). Each variance has ``shrinkage`` pseudo-rows of variance ``spread``.
    """

    columns: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    shrinkage: float
    spread: np.ndarray

    @classmethod
    def fit(cls, columns: np.ndarray, X: np.ndarray, weights: np.ndarray, shrinkage: float) -> NormalBlock:
        sums = NormalSums.of(columns, X, weights)
        return cls.from_sums(columns, sums, shrinkage, sums.pooled())

    @classmethod
    def from_sums(
        cls, columns: np.ndarray, sums: NormalSums, shrinkage: float, pooled: tuple[np.ndarray, np.ndarray]
    ) -> NormalBlock:
        """``shrinkage`` pseudo-rows of the pooled variance; a class without rows has the pooled mean and variance."""
        mass, (centre, spread) = sums.mass, pooled
        mean = np.where(mass > 0, sums.first / np.maximum(mass, np.finfo(float).tiny), centre)
        scatter = np.maximum(sums.second - mass * mean**2, 0.0)
        variance = (scatter + shrinkage * spread) / np.maximum(mass + shrinkage, np.finfo(float).tiny)
        return cls(columns, mean, np.maximum(np.where(mass > 0, variance, spread), _TINY), shrinkage, spread)

    def log_smoothing(self) -> float:
        """What the pseudo-rows add to the log-likelihood, -s/2 sum (log v + spread / v)."""
        return -0.5 * self.shrinkage * float((np.log(self.variance) + self.spread / self.variance).sum())

    def add_log_prob(self, X: np.ndarray, out: np.ndarray) -> None:
        """Add log p(x) to ``out`` (K, n); a NaN cell adds nothing."""
        if not len(self.columns):
            return
        everything = len(self.columns) == X.shape[1]
        linear, square = self.mean / self.variance, -0.5 / self.variance
        constant = -0.5 * (self.mean**2 / self.variance + np.log(self.variance) + _LOG_2PI)
        for start in range(0, len(X), _CHUNK):
            z = X[start : start + _CHUNK] if everything else X[start : start + _CHUNK, self.columns]
            at = out[:, start : start + _CHUNK]
            if np.isnan(z.sum()):
                seen = ~np.isnan(z)
                at += constant @ seen.T
                z = np.where(seen, z, 0.0)
            else:
                at += constant.sum(axis=1)[:, None]
            at += linear @ z.T
            at += square @ (z * z).T

    def sample(self, k: int, X: np.ndarray, rng: np.random.Generator) -> None:
        """Fill these columns of X with draws of class k."""
        noise = rng.standard_normal((len(X), len(self.columns)))
        X[:, self.columns] = self.mean[k] + np.sqrt(self.variance[k]) * noise

    def take(self, k: int) -> NormalBlock:
        return NormalBlock(self.columns, self.mean[k : k + 1], self.variance[k : k + 1], self.shrinkage, self.spread)


@dataclass
class TableBlock:
    """Independent categorical columns: log p = sum_j log theta_j[x_j], as one product with the one-hot rows.

    ``log_theta`` is (K, sum of levels); column j has its entries at ``start[j] : start[j] + n_levels[j]``.
    """

    columns: np.ndarray
    n_levels: np.ndarray
    log_theta: np.ndarray

    @classmethod
    def fit(cls, columns: np.ndarray, n_levels: np.ndarray, X: np.ndarray, weights: np.ndarray, alpha: float) -> TableBlock:
        return cls.from_counts(columns, n_levels, cls.count(columns, n_levels, X, weights), alpha)

    @staticmethod
    def count(columns: np.ndarray, n_levels: np.ndarray, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Weight of each level of each column, (K, sum of levels)."""
        levels = n_levels[columns]
        K = weights.shape[1]
        counts = np.zeros((K, int(levels.sum())))
        if len(columns) and (levels == 2).all():
            for begin in range(0, len(X), _CHUNK):
                x = X[begin : begin + _CHUNK, columns]
                w = weights[begin : begin + _CHUNK].T
                seen = ~np.isnan(x)
                complete = bool(seen.all())
                one = w @ (x if complete else np.where(seen, x, 0.0))
                counts[:, 1::2] += one
                counts[:, 0::2] += np.maximum((w.sum(axis=1)[:, None] if complete else w @ seen.astype(float)) - one, 0.0)
        else:
            for j, n, begin in zip(columns, levels, np.cumsum(levels) - levels, strict=True):
                seen = ~np.isnan(X[:, j])
                code = X[seen, j].astype(np.intp)
                for k in range(K):
                    counts[k, begin : begin + n] = np.bincount(code, weights[seen, k], n)
        return counts

    @classmethod
    def from_counts(cls, columns: np.ndarray, n_levels: np.ndarray, counts: np.ndarray, alpha: float) -> TableBlock:
        """theta = (c + alpha) / (sum c + alpha levels), equal shares where nothing is known."""
        levels, K = n_levels[columns], len(counts)
        owner = np.repeat(np.arange(len(columns)), levels)
        totals = np.stack([np.bincount(owner, row, len(columns)) for row in counts]) if len(columns) else np.zeros((K, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            theta = (counts + alpha) / (totals + alpha * levels)[:, owner]
            theta = np.where(np.isnan(theta), 1 / levels[owner], theta)  # nothing seen and no pseudo-count
            return cls(columns, levels, np.log(theta))

    @property
    def _start(self) -> np.ndarray:
        return np.cumsum(self.n_levels) - self.n_levels

    def add_log_prob(self, X: np.ndarray, out: np.ndarray) -> None:
        """Add log p(x) to ``out`` (K, n); a NaN cell adds nothing."""
        if not len(self.columns):
            return
        if (self.n_levels == 2).all() and np.isfinite(self.log_theta).all():
            zero, one = self.log_theta[:, 0::2], self.log_theta[:, 1::2]
            for begin in range(0, len(X), _CHUNK):
                x = X[begin : begin + _CHUNK, self.columns]
                at = out[:, begin : begin + _CHUNK]
                seen = ~np.isnan(x)
                if seen.all():
                    at += zero.sum(axis=1)[:, None]
                    at += (one - zero) @ x.T
                else:
                    at += zero @ seen.T
                    at += (one - zero) @ np.where(seen, x, 0.0).T
            return
        for j, begin, n in zip(self.columns, self._start, self.n_levels, strict=True):
            code = np.where(np.isnan(X[:, j]), n, X[:, j]).astype(np.intp)
            padded = np.concatenate([self.log_theta[:, begin : begin + n], np.zeros((len(out), 1))], axis=1)
            out += padded[:, code]

    def sample(self, k: int, X: np.ndarray, rng: np.random.Generator) -> None:
        """Fill these columns of X with draws of class k."""
        for j, begin, n in zip(self.columns, self._start, self.n_levels, strict=True):
            edges = np.cumsum(np.exp(self.log_theta[k, begin : begin + n]))
            X[:, j] = np.searchsorted(edges / edges[-1], rng.random(len(X)), side="right")

    def take(self, k: int) -> TableBlock:
        return TableBlock(self.columns, self.n_levels, self.log_theta[k : k + 1])
