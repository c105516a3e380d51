"""Sums of product kernels over mixed columns: one squared distance a pair of rows, evaluated in blocks.

Every kernel is exp(-|f - f'|^2 / 2) in features f of the row, up to a factor of each column:

* continuous: f = x / h, the normal kernel;
* integer: the same, divided by its sum over all integers instead of its integral (a discrete normal);
* binary and categorical: one-hot f, so that a level is kept with probability 1 - b, else drawn anew from all
  (Aitchison & Aitken 1976).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skgen.ops.logs import log_sum_exp

__all__ = ["MANY", "Kernel", "KernelSum", "distinct_rows", "log_normaliser", "spatial_order"]

_LOG_2PI = np.log(2 * np.pi)
_QUERIES, _KERNELS = 128, 256  # rows of a block: the block stays in cache
_NEGLIGIBLE = 32.0  # nats: a block that far below the best kernel adds less than 1e-13 of the sum
_NARROW = 8
#: With more kernels than this, exponentials are float32.
MANY = 4096


def distinct_rows(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First place of each distinct row, in an order of what the rows hold, and which of them each row is."""
    if not X.shape[1]:
        return np.zeros(min(len(X), 1), dtype=np.intp), np.zeros(len(X), dtype=np.intp)
    X = np.where(np.isnan(X), np.nan, X + 0.0)  # one NaN and one zero
    key = np.ascontiguousarray(X).view(np.dtype((np.void, X.dtype.itemsize * X.shape[1]))).ravel()
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    # by their bytes, rows stand in an order that the last digit of a cell changes; by a projection, it hardly does
    order = np.argsort(np.nan_to_num(X[first]) @ np.sqrt(np.arange(2.0, X.shape[1] + 2)), kind="stable")
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return first[order], rank[which]


def log_normaliser(sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log sum_k exp(-k^2 / 2 sigma^2) over all integers k, and its derivative in log sigma.

    From sigma = 2 on the sum is sigma sqrt(2 pi) to the last digit (Poisson summation: 1 + 2 exp(-2 pi^2 sigma^2)).

    Examples
    --------
    >>> log_normaliser(np.array([0.1, 3.0]))[0].round(4)
    array([0.    , 2.0176])
    """
    sigma = np.asarray(sigma, dtype=float)
    small = np.minimum(sigma, 2.0)[..., None]
    square = np.arange(-30.0, 31.0) ** 2
    terms = np.exp(-0.5 * square / small**2)
    total = terms.sum(axis=-1)
    slope = (terms * square).sum(axis=-1) / total / small[..., 0] ** 2
    wide = sigma >= 2
    return np.where(wide, np.log(sigma) + 0.5 * _LOG_2PI, np.log(total)), np.where(wide, 1.0, slope)


def spatial_order(F: np.ndarray, block: int) -> np.ndarray:
    """An order of rows in which each run of ``block`` lies close together: halves along the widest column, repeatedly."""
    order = np.arange(len(F))
    pending = [(0, len(F))]
    while pending and F.shape[1]:
        low, high = pending.pop()
        if high - low <= block:
            continue
        rows = order[low:high]
        part = F[rows]
        wide = int((part.max(axis=0) - part.min(axis=0)).argmax())
        half = ((high - low) // 2 + block - 1) // block * block  # whole blocks on the left
        half = half if half < high - low else block
        order[low:high] = rows[np.argpartition(part[:, wide], half)]
        pending += [(low, low + half), (low + half, high)]
    return order


@dataclass
class Kernel:
    """The product kernel: which features a column has, and its bandwidth.

    Attributes
    ----------
    kinds : list of str
    n_levels : int array of shape (d,)
    unit : array of shape (d,)
        The bandwidth of a continuous or integer column is in this unit.
    bandwidth : array of shape (d,)
        Of a binary or categorical column, the probability that a level is drawn anew.
    """

    kinds: list[str]
    n_levels: np.ndarray
    unit: np.ndarray
    bandwidth: np.ndarray

    @property
    def owner(self) -> np.ndarray:
        """The column of each feature."""
        wide = [n if kind == "categorical" else 1 for kind, n in zip(self.kinds, self.n_levels, strict=True)]
        return np.repeat(np.arange(len(self.kinds)), wide)

    @property
    def discrete(self) -> np.ndarray:
        return np.isin(self.kinds, ("binary", "categorical"))

    def raw(self, X: np.ndarray) -> np.ndarray:
        """Features before their scale, (n, D); NaN where not observed."""
        pieces = []
        for x, kind, n in zip(X.T, self.kinds, self.n_levels, strict=True):
            if kind == "categorical":
                pieces.append(np.where(np.isnan(x)[:, None], np.nan, x[:, None] == np.arange(n)))
            else:
                pieces.append(x[:, None])
        return np.concatenate(pieces, axis=1) if pieces else np.zeros((len(X), 0))

    def scales(self) -> tuple[np.ndarray, np.ndarray]:
        """What each feature is multiplied by, (D,), and the log of each column's factor, (d,)."""
        by_column, constant = np.ones(len(self.kinds)), np.zeros(len(self.kinds))
        for j, (kind, n, h) in enumerate(zip(self.kinds, self.n_levels, self.bandwidth, strict=True)):
            if kind in ("continuous", "integer"):
                by_column[j] = 1 / (h * self.unit[j])
                constant[j] = -np.log(h * self.unit[j]) - 0.5 * _LOG_2PI
                if kind == "integer":
                    constant[j] = -log_normaliser(h * self.unit[j])[0]
            else:
                n = max(int(n), 1)
                kept, other = 1 - h + h / n, h / n
                # |f - f'|^2 / 2 must be log(kept / other) where levels differ
                by_column[j] = np.sqrt((2.0 if kind == "binary" else 1.0) * np.log(kept / other))
                constant[j] = np.log(kept)
        return by_column[self.owner], constant

    def slope(self, distance: np.ndarray) -> np.ndarray:
        """d log K / d log bandwidth of each column, from the expected squared distance of each raw feature."""
        total = np.bincount(self.owner, distance, len(self.kinds))
        out = np.empty(len(self.kinds))
        for j, (kind, n, h) in enumerate(zip(self.kinds, self.n_levels, self.bandwidth, strict=True)):
            if kind in ("continuous", "integer"):
                sigma = h * self.unit[j]
                out[j] = total[j] / sigma**2 - (1.0 if kind == "continuous" else log_normaliser(sigma)[1])
            else:
                n = max(int(n), 1)
                differ = total[j] * (1.0 if kind == "binary" else 0.5)
                out[j] = (1 - differ) * (1 / n - 1) * h / (1 - h + h / n) + differ
        return out

    def draw(self, centre: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw from the kernel at each row of ``centre`` (n, d)."""
        X = np.empty(centre.shape)
        for j, (kind, n, h) in enumerate(zip(self.kinds, self.n_levels, self.bandwidth, strict=True)):
            x = centre[:, j]
            if kind == "continuous":
                X[:, j] = x + h * self.unit[j] * rng.standard_normal(len(x))
            elif kind == "integer":
                X[:, j] = x + _discrete_normal(h * self.unit[j], len(x), rng)
            else:
                anew = rng.random(len(x)) < h
                X[:, j] = np.where(anew, rng.integers(0, max(int(n), 1), len(x)), x)
        return X


def _discrete_normal(sigma: float, n: int, rng: np.random.Generator) -> np.ndarray:
    if sigma > 1e4:  # rounding differs from it by less than 1e-9 of each probability
        return np.round(sigma * rng.standard_normal(n))
    reach = int(np.ceil(9 * sigma)) + 1
    k = np.arange(-reach, reach + 1)
    edges = np.cumsum(np.exp(-0.5 * (k / sigma) ** 2))
    return k[np.searchsorted(edges, rng.random(n) * edges[-1], side="right")].astype(float)


class KernelSum:
    """log sum_i w_i K(x, x_i) for many x: blocks of near rows against blocks of near kernels.

    Exponents are float64. With more than 4,096 kernels the exponentials and a block's sum are float32, relative to the best of
    a few hundred kernels, so that log p errs by less than 1e-6. Kernels too far from a block of rows to change the twelfth
    digit are skipped.

    Parameters
    ----------
    kernel : Kernel
    X : array of shape (m, d)
        Complete rows.
    weight : array of shape (m,)
    """

    def __init__(self, kernel: Kernel, X: np.ndarray, weight: np.ndarray):
        self.kernel = kernel
        self.scale, self.constant = kernel.scales()
        F = kernel.raw(X)
        self.centre = np.where(np.isfinite(F.mean(axis=0)), F.mean(axis=0), 0.0)
        F = (F - self.centre) * self.scale
        order = spatial_order(F, _KERNELS)
        self.X, self.weight = X[order], weight[order]
        F = F[order]
        square = -0.5 * np.square(F)
        self._right = np.concatenate([F, square, np.ones((len(F), 1))], axis=1).T.copy()
        # for rows without missing cells, whose mask is all ones
        self._short = np.concatenate([F, square.sum(axis=1, keepdims=True), np.ones((len(F), 1))], axis=1).T.copy()
        starts = np.arange(0, len(F), _KERNELS)
        self._low, self._high = np.minimum.reduceat(F, starts, axis=0), np.maximum.reduceat(F, starts, axis=0)
        self._block_weight = np.log(np.add.reduceat(self.weight, starts))
        self._sketch = np.unique(np.linspace(0, len(F) - 1, min(len(F), _KERNELS)).astype(np.intp))
        self._dtype = np.float32 if len(F) > MANY else np.float64
        self._relative = (self.weight / self.weight.max()).astype(self._dtype)
        self._log_total = np.log(self.weight.sum())
        self._log_top = np.log(self.weight.max())

    def _left(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows such that left @ right is -|f - f'|^2 / 2 over the observed cells; their mask; the log of their factors."""
        F = (self.kernel.raw(X) - self.centre) * self.scale
        seen = ~np.isnan(F)
        F = np.where(seen, F, 0.0)
        factor = np.where(np.isnan(X), 0.0, self.constant).sum(axis=1)
        return np.concatenate([F, seen, -0.5 * np.square(F).sum(axis=1, keepdims=True)], axis=1), seen, factor

    def log_prob(self, X: np.ndarray) -> np.ndarray:
        """log of the weighted mean of the kernels at each row, over its observed cells, (n,)."""
        out = np.empty(len(X))
        gaps = np.isnan(X).any(axis=1)
        for rows in (np.flatnonzero(~gaps), np.flatnonzero(gaps)):  # complete rows take half the products
            for start in range(0, len(rows), 16 * _QUERIES):
                at = rows[start : start + 16 * _QUERIES]
                out[at] = self._log_prob(X[at])
        return out

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        left, seen, factor = self._left(X)
        D = seen.shape[1]
        complete = bool(seen.all())
        order = spatial_order(left[:, :D], _QUERIES)
        left, seen = left[order], seen[order]
        right = self._right
        if complete:
            left = np.concatenate([left[:, :D], np.ones((len(left), 1)), left[:, -1:]], axis=1)
            right = self._short
        block = np.empty((_QUERIES, _KERNELS))
        small = np.empty((_QUERIES, _KERNELS), dtype=self._dtype)
        out = np.empty(len(X))
        for start in range(0, len(left), _QUERIES):
            q = left[start : start + _QUERIES].copy()
            top = (q @ right[:, self._sketch]).max(axis=1)
            q[:, -1] -= top
            total = np.zeros(len(q))
            for b in self._near(q[:, :D], seen[start : start + _QUERIES], top):
                at = slice(b * _KERNELS, (b + 1) * _KERNELS)
                width = len(self.weight[at])
                t, e = block[: len(q), :width], small[: len(q), :width]
                np.matmul(q, right[:, at], out=t)
                with np.errstate(over="ignore", under="ignore"):
                    np.exp(t, out=e, dtype=self._dtype, casting="same_kind")
                    total += e @ self._relative[at]
            with np.errstate(divide="ignore"):
                out[start : start + _QUERIES] = np.log(total) + top
            lost = ~((total > 1e-6) & (total < 1e30))  # the sketch was far from the nearest kernel
            if lost.any():
                q[:, -1] += top
                out[start : start + _QUERIES][lost] = self._exactly(q[lost], right)
        result = np.empty(len(X))
        result[order] = out
        return result + factor + (self._log_top - self._log_total)

    def _near(self, F: np.ndarray, seen: np.ndarray, top: np.ndarray) -> np.ndarray:
        """Blocks of kernels that may show in the sum of some of these rows."""
        # an unobserved cell is near to everything
        low, high = np.where(seen, F, -np.inf), np.where(seen, F, np.inf)
        if F.shape[1] > _NARROW:  # boxes of rows against boxes of kernels; each row for itself pays in few dimensions
            low, high, top = low.min(axis=0, keepdims=True), high.max(axis=0, keepdims=True), top.min(keepdims=True)
        square = np.zeros((len(low), len(self._low)))
        for j in range(F.shape[1]):
            gap = np.maximum(self._low[:, j] - high[:, j, None], low[:, j, None] - self._high[:, j])
            square += np.square(np.maximum(gap, 0.0, out=gap))
        bound = self._block_weight - self._log_top - 0.5 * square
        return np.flatnonzero((bound > top[:, None] - _NEGLIGIBLE).any(axis=0))

    def _exactly(self, q: np.ndarray, right: np.ndarray) -> np.ndarray:
        """log sum_i w_i exp(q . right_i) / max w in float64, with a running maximum."""
        log_weight = np.log(self.weight) - self._log_top
        running = np.full(len(q), -np.inf)
        for start in range(0, right.shape[1], 8192):
            t = q @ right[:, start : start + 8192] + log_weight[start : start + 8192]
            running = log_sum_exp(np.concatenate([t.T, running[None]]))
        return running

    def shares(self, X: np.ndarray) -> np.ndarray:
        """w_i K(x, x_i) / sum over the observed cells of each row, (n, m)."""
        left, _, _ = self._left(X)
        t = left @ self._right
        t += np.log(self.weight)
        t -= t.max(axis=1, keepdims=True)
        np.exp(np.maximum(t, -690.0, out=t), out=t)
        return t / t.sum(axis=1, keepdims=True)
