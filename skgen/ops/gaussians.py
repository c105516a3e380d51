"""Several multivariate normals at once: log p, marginals where cells are not observed, and the moments an EM step needs.

Components come first and rows last. Rows are worked on in chunks of ``CHUNK`` counted from the first row, so that a
result does not depend on how many rows are asked about at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from skgen.ops.logs import softmax

__all__ = ["DiagonalGaussians", "FullGaussians", "Moments", "has_missing", "weighted_moments"]

CHUNK = 2048
_LOG_2PI = np.log(2 * np.pi)
#: Quadratic features lose digits in proportion to precision x (1 + mean^2), some 1e-8 nats here: beyond it, rows are
#: whitened instead.
_STEEP = 1e7
#: With more columns than this, features cost more than whitening.
_WIDE = 48
#: A pattern of missing cells that so many rows have is worked on by itself.
_MANY = 8


@dataclass
class Moments:
    """What the M-step reads.

    Attributes
    ----------
    mass : array of shape (K,)
        Weight of each component.
    mean : array of shape (K, d)
    scatter : array of shape (K, d, d), or (K, d) if only its diagonal is wanted
        sum of weight x (x - mean)(x - mean)'.
    seen : array of shape (K, 1) or (K, d)
        Weight behind each column's mean: ``mass``, less where cells are missing and left out.
    log_likelihood : float
        Sum of weight x log p(x) at the parameters the moments were taken with.
    """

    mass: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray
    seen: np.ndarray
    log_likelihood: float

    def __add__(self, other: Moments) -> Moments:
        """The moments of both sets of rows (Chan, Golub & LeVeque 1979)."""
        seen = self.seen + other.seen
        share = other.seen / np.maximum(seen, np.finfo(float).tiny)
        gap = other.mean - self.mean
        square = gap[:, :, None] * gap[:, None, :] if self.scatter.ndim == 3 else np.square(gap)
        between = (self.seen * share)[..., None] * square if self.scatter.ndim == 3 else self.seen * share * square
        mean, scatter = self.mean + share * gap, self.scatter + other.scatter + between
        return Moments(self.mass + other.mass, mean, scatter, seen, np.nan)

    def __mul__(self, c: float) -> Moments:
        """The moments of rows of ``c`` times the weight."""
        return Moments(c * self.mass, self.mean, c * self.scatter, c * self.seen, np.nan)


def weighted_moments(X: np.ndarray, weight: np.ndarray, diagonal: bool) -> Moments:
    """The moments of complete rows for one component: what a closed-form fit needs. Rows of weight 0 are left out."""
    d = X.shape[1]
    rows = np.flatnonzero(weight != 0)
    if not len(rows):
        none = np.zeros(1)
        return Moments(none, np.zeros((1, d)), np.zeros((1, d) if diagonal else (1, d, d)), none[:, None], np.nan)
    whole = len(rows) == len(X)
    equal = weight[rows[0]] if (weight[rows] == weight[rows[0]]).all() else None
    # sums about a point near the mean: one pass, and no digits lost to the distance from zero
    centre = X[rows[:CHUNK]].mean(axis=0)
    first, second = np.zeros(d), np.zeros(d if diagonal else (d, d))
    buffer = np.empty((min(len(rows), CHUNK), d))
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        away = buffer[: len(some)]
        if whole:
            np.subtract(X[start : start + CHUNK], centre, out=away)
        else:
            np.take(X, some, axis=0, out=away, mode="clip")
            away -= centre
        w = np.full(len(some), equal) if equal is not None else weight[some]
        first += w @ away
        if diagonal:
            second += w @ np.square(away)
        elif equal is not None:
            second += equal * (away.T @ away)  # a symmetric product costs half
        else:
            second += (away * w[:, None]).T @ away
    mass = equal * len(rows) if equal is not None else weight.sum()
    shift = first / mass
    scatter = second - (shift * first if diagonal else np.outer(shift, first))
    mass = np.array([mass])
    return Moments(mass, (centre + shift)[None], scatter[None], mass[:, None], np.nan)


@functools.cache
def _upper(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each pair i <= j, in the order of the features."""
    return np.triu_indices(d)


def has_missing(X: np.ndarray) -> bool:
    """Whether any cell is NaN, in one pass over the cells."""
    return bool(np.isnan(X.sum()))


def _pattern_blocks(seen: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Distinct rows of ``seen`` (p, d), the rows (n,) that have one of them, and which (n,).

    A pattern of many rows comes by itself, those of a few rows together, so that neither a row nor a pattern costs a
    turn of a loop; blocks keep to some 16 MB with ``size`` numbers a pattern.
    """
    packed = np.ascontiguousarray(np.packbits(seen, axis=1))
    key = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    stop = np.cumsum(counts)
    for i in np.flatnonzero((counts >= _MANY) | seen[first].all(axis=1)):
        rows = order[stop[i] - counts[i] : stop[i]]
        step = len(rows) if seen[first[i]].all() else CHUNK
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            yield seen[first[i]][None], some, np.zeros(len(some), dtype=int)
    few = np.flatnonzero((counts < _MANY) & ~seen[first].all(axis=1))
    step = max(1, 2**20 // (size * 2))
    for start in range(0, len(few), step):
        block = few[start : start + step]
        rows = np.concatenate([order[stop[i] - counts[i] : stop[i]] for i in block])
        yield seen[first[block]], rows, np.repeat(np.arange(len(block)), counts[block])


def _apply(matrices: np.ndarray, which: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The matrix (p, K, d, d) of each row's pattern and component times that row of x (n, K, d)."""
    if len(matrices) == 1:
        return np.matmul(x.transpose(1, 0, 2), matrices[0].mT).transpose(1, 0, 2)
    return np.matmul(matrices[which], x[..., None])[..., 0]


def _feature_rows(d: int) -> int:
    """Rows whose features fit in the cache; a power of two that divides ``CHUNK``."""
    rows = CHUNK
    while rows > 128 and rows * (d + 1) * (d + 2) // 2 > 2**19:
        rows //= 2
    return rows


def _add_features(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """phi(x) = [x_i x_j (i <= j), x, 1], one column a row of ``x``, into ``out``."""
    n, d = x.shape
    z = out[-1 - d : -1, :n]
    z[...] = x.T
    at = 0
    for i in range(d):
        np.multiply(z[i], z[i:], out=out[at : at + d - i, :n])
        at += d - i
    out[-1, :n] = 1.0
    return out[:, :n]


class _Stacked:
    """Arrays with the component axis first."""

    @classmethod
    def stack(cls, several: list) -> _Stacked:
        """All components of ``several`` in one; a field that one of them lacks is left out."""
        arrays = [[getattr(one, field.name) for one in several] for field in fields(cls)]
        return cls(*(None if any(a is None for a in column) else np.concatenate(column) for column in arrays))

    def take(self, k: slice) -> _Stacked:
        """Some of the components."""
        arrays = [getattr(self, field.name) for field in fields(self)]
        return type(self)(*(None if a is None else a[k].copy() for a in arrays))


@dataclass
class FullGaussians(_Stacked):
    """Normals with covariance matrices.

    ``whiten`` turns x - mean into independent unit normals, so that its Gram matrix is the precision. ``theta`` holds
    log p as a linear function of the quadratic features, or is None where that would lose digits or time.
    """

    mean: np.ndarray
    covariance: np.ndarray
    whiten: np.ndarray
    log_det: np.ndarray
    theta: np.ndarray | None

    @classmethod
    def make(cls, mean: np.ndarray, covariance: np.ndarray, floor: float) -> FullGaussians:
        """From means (K, d) and covariances (K, d, d) or (1, d, d), whose eigenvalues are raised to ``floor``.

        That is the maximum-likelihood covariance among those with no eigenvalue below the floor.
        """
        value, vector = np.linalg.eigh(covariance)
        low = value[:, 0] < floor
        value = np.maximum(value, floor)
        if low.any():
            covariance = covariance.copy()
            covariance[low] = (vector[low] * value[low, None, :]) @ vector[low].mT
        whiten = vector.mT / np.sqrt(value)[:, :, None]
        log_det = np.log(value).sum(axis=1)
        theta = None
        if mean.shape[1] <= _WIDE and (1 + np.square(mean).max()) / value[:, 0].min() <= _STEEP:
            theta = cls._linear(mean, whiten, log_det)
        if len(covariance) < len(mean):
            covariance, whiten, log_det = (np.repeat(a, len(mean), axis=0) for a in (covariance, whiten, log_det))
        return cls(mean, covariance, whiten, log_det, theta)

    @staticmethod
    def _linear(mean: np.ndarray, whiten: np.ndarray, log_det: np.ndarray) -> np.ndarray:
        # log N(x) = -1/2 x'Px + (Pm)'x - 1/2 (m'Pm + log det + d log 2 pi)
        d = mean.shape[1]
        P = np.broadcast_to(whiten.mT @ whiten, (len(mean), d, d))
        b = np.einsum("kij,kj->ki", P, mean)
        i, j = _upper(d)
        constant = -0.5 * (np.einsum("kj,kj->k", b, mean) + log_det + d * _LOG_2PI)
        return np.concatenate([P[:, i, j] * np.where(i == j, -0.5, -1.0), b, constant[:, None]], axis=1)

    @property
    def trace_of_precision(self) -> np.ndarray:
        return np.square(self.whiten).sum(axis=(1, 2))

    # ---- log p

    def log_prob(self, X: np.ndarray, log_weight: np.ndarray | float = 0.0) -> np.ndarray:
        """log p(x | k) + ``log_weight``, (K, n); a NaN cell is integrated out."""
        if not has_missing(X):
            return self._log_prob_complete(X, log_weight)
        out = np.empty((len(self.mean), len(X)))
        for patterns, rows, which in _pattern_blocks(~np.isnan(X), self.covariance.size):
            if patterns.all():
                out[:, rows] = self._log_prob_complete(X[rows], log_weight)
            else:
                out[:, rows] = self._log_prob_observed(X[rows], patterns, which, *self._marginal(patterns), log_weight)[1]
        return out

    def _log_prob_complete(self, X: np.ndarray, log_weight: np.ndarray | float) -> np.ndarray:
        out = np.empty((len(self.mean), len(X)))
        if self.theta is None:
            for at, log_p in self._whitened(X, log_weight):
                out[:, at] = log_p
            return out
        theta = self.theta.copy()
        theta[:, -1] += log_weight
        step = _feature_rows(X.shape[1])
        phi = np.empty((theta.shape[1], min(len(X), step)))
        for start in range(0, len(X), step):
            np.matmul(theta, _add_features(X[start : start + step], phi), out=out[:, start : start + step])
        return out

    def _whitened(self, X: np.ndarray, log_weight: np.ndarray | float) -> Iterator[tuple[slice, np.ndarray]]:
        """Each chunk of complete rows and its log p(x | k) + log_weight, from |W (x - m)|^2 = |W x - W m|^2."""
        K, d = self.mean.shape
        shift = np.einsum("kij,kj->ki", self.whiten, self.mean).reshape(K * d, 1)
        constant = (log_weight - 0.5 * (self.log_det + d * _LOG_2PI))[:, None]
        for start in range(0, len(X), CHUNK // 4):
            at = slice(start, start + CHUNK // 4)
            z = self.whiten.reshape(K * d, d) @ X[at].T
            z -= shift
            z = z.reshape(K, d, -1)
            yield at, constant - 0.5 * np.einsum("kdn,kdn->kn", z, z)

    def _marginal(self, patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whitening (p, K, d, d) and log-determinants (p, K) of the cells that patterns (p, d) observe.

        A missing cell becomes an independent unit normal, which adds nothing, so that all patterns have one shape.
        """
        both = patterns[:, None, :, None] & patterns[:, None, None, :]
        factor = np.linalg.cholesky(np.where(both, self.covariance, np.eye(patterns.shape[1])))
        return np.linalg.inv(factor), 2 * np.log(np.diagonal(factor, axis1=2, axis2=3)).sum(axis=2)

    def _log_prob_observed(self, X, patterns, which, root, log_det, log_weight) -> tuple[np.ndarray, np.ndarray]:
        """x - m of each row and component (n, K, d), 0 where missing, and log p of what is observed (K, n)."""
        seen = patterns[which]
        centred = np.where(seen[:, None, :], X[:, None, :] - self.mean, 0.0)
        z = _apply(root, which, centred)
        log_p = -0.5 * (log_det[which] + seen.sum(axis=1)[:, None] * _LOG_2PI + np.square(z).sum(axis=2))
        return centred, (log_p + log_weight).T

    def _conditional(self, patterns: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """B and the covariance of the hidden cells (p, K, d, d), given the observed ones, whose whitening is ``root``."""
        # E[x | observed] = m + B (x_o - m_o),  Cov = S - B S  with B = S_.o (S_oo)^-1
        B = (self.covariance * patterns[:, None, None, :]) @ (root.mT @ root)
        either = patterns[:, None, :, None] | patterns[:, None, None, :]
        left = np.where(either, 0.0, self.covariance - B @ self.covariance)
        # an observed cell is itself, to the last digit
        return np.where(patterns[:, None, :, None], np.eye(patterns.shape[1]), B), left

    # ---- EM

    def moments(self, X: np.ndarray, weight: np.ndarray, log_weight: np.ndarray) -> Moments:
        """E-step: moments of the components under p(k | x), missing cells in expectation (Ghahramani & Jordan 1994)."""
        K, d = self.mean.shape
        total = _Sums(np.zeros(K), np.zeros((K, d)), np.zeros((K, d, d)))
        if not has_missing(X):
            self._add_complete(X, weight, log_weight, total)
        else:
            for patterns, rows, which in _pattern_blocks(~np.isnan(X), self.covariance.size):
                if patterns.all():
                    self._add_complete(X[rows], weight[rows], log_weight, total)
                else:
                    self._add_observed(X[rows], weight[rows], log_weight, patterns, which, total)
        mass = np.maximum(total.mass, np.finfo(float).tiny)
        shift = total.first / mass[:, None]
        scatter = total.second - shift[:, :, None] * total.first[:, None, :]
        return Moments(total.mass, self.mean + shift, scatter, total.mass[:, None], total.log_likelihood)

    def _add_complete(self, X: np.ndarray, weight: np.ndarray, log_weight: np.ndarray, total: _Sums) -> None:
        d = X.shape[1]
        if self.theta is None:
            for at, joint in self._whitened(X, log_weight):
                x = X[at]
                share = total.add_shares(joint, weight[at])
                for k, m in enumerate(self.mean):
                    total.add_rows(k, x - m, share[k])
            return
        theta = self.theta.copy()
        theta[:, -1] += log_weight
        raw = np.zeros(theta.shape)
        step = _feature_rows(d)
        phi = np.empty((theta.shape[1], min(len(X), step)))
        for start in range(0, len(X), step):
            w = weight[start : start + step]
            features = _add_features(X[start : start + step], phi)
            raw += total.add_shares(theta @ features, w) @ features.T
        mass, first = raw[:, -1], raw[:, -1 - d : -1]
        second = np.empty((len(raw), d, d))
        i, j = _upper(d)
        second[:, i, j] = second[:, j, i] = raw[:, : -1 - d]
        # about the present mean m: sum r (x - m) = s - r m,  sum r (x - m)(x - m)' = S - s m' - m s' + r m m'
        m, cross = self.mean, first[:, :, None] * self.mean[:, None, :]
        total.first += first - mass[:, None] * m
        total.second += second - cross - cross.mT + mass[:, None, None] * m[:, :, None] * m[:, None, :]

    def _add_observed(self, X, weight, log_weight, patterns, which, total) -> None:
        root, log_det = self._marginal(patterns)
        B, left = self._conditional(patterns, root)
        centred, joint = self._log_prob_observed(X, patterns, which, root, log_det, log_weight)
        share = total.add_shares(joint, weight)
        expected = _apply(B, which, centred)
        for k in range(len(self.mean)):
            total.add_rows(k, expected[:, k], share[k])
            total.second[k] += np.tensordot(np.bincount(which, share[k], len(patterns)), left[:, k], 1)

    # ---- draws

    def sample(self, component: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw of each component listed, (n, d)."""
        roots = np.linalg.cholesky(self.covariance)
        return _draw(component, self.mean, lambda k, z: z @ roots[k].T, rng)

    def sample_missing(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A copy of rows whose NaN cells are drawn from component k given the others."""
        one = self.take(slice(k, k + 1))
        full = X.copy()
        for patterns, rows, which in _pattern_blocks(~np.isnan(X), one.covariance.size):
            if patterns.all():
                continue
            root, log_det = one._marginal(patterns)
            B, left = one._conditional(patterns, root)
            centred, _ = one._log_prob_observed(X[rows], patterns, which, root, log_det, 0.0)
            value, vector = np.linalg.eigh(left)  # a root that rounding cannot break
            noise = rng.standard_normal((len(rows), 1, X.shape[1]))
            noise = _apply(vector * np.sqrt(np.maximum(value, 0.0))[:, :, None, :], which, noise)
            drawn = self.mean[k] + (_apply(B, which, centred) + noise)[:, 0]
            full[rows] = np.where(patterns[which], X[rows], drawn)
        return full

    def missing_moments(self, k: int, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of each NaN cell given the others in component k, (n, d); observed cells, and variance 0."""
        one = self.take(slice(k, k + 1))
        mean, variance = X.copy(), np.zeros(X.shape)
        for patterns, rows, which in _pattern_blocks(~np.isnan(X), one.covariance.size):
            if patterns.all():
                continue
            root, log_det = one._marginal(patterns)
            B, left = one._conditional(patterns, root)
            centred, _ = one._log_prob_observed(X[rows], patterns, which, root, log_det, 0.0)
            mean[rows] = np.where(patterns[which], X[rows], self.mean[k] + _apply(B, which, centred)[:, 0])
            diagonal = np.diagonal(left, axis1=-2, axis2=-1).reshape(len(patterns), -1)
            variance[rows] = np.where(patterns, 0.0, np.maximum(diagonal, 0.0))[which]
        return mean, variance


@dataclass
class _Sums:
    """Sums of r, r (x - m) and r (x - m)(x - m)' about the present means m."""

    mass: np.ndarray
    first: np.ndarray
    second: np.ndarray
    log_likelihood: float = 0.0

    def add_shares(self, joint: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """weight x p(k | x), (K, n), from log p(x, k), which is overwritten."""
        share, log_p = softmax(joint)
        share *= weight
        self.log_likelihood += float(weight @ log_p)
        self.mass += share.sum(axis=1)
        return share

    def add_rows(self, k: int, away: np.ndarray, share: np.ndarray) -> None:
        """Rows x - m (n, d), and their shares in component k."""
        self.first[k] += share @ away
        scaled = away * np.sqrt(share)[:, None]
        self.second[k] += scaled.T @ scaled  # a symmetric product costs half


@dataclass
class DiagonalGaussians(_Stacked):
    """Normals whose columns are independent. A missing cell is a factor of one."""

    mean: np.ndarray
    covariance: np.ndarray  # its diagonal, (K, d)

    @classmethod
    def make(cls, mean: np.ndarray, covariance: np.ndarray, floor: float) -> DiagonalGaussians:
        return cls(mean, np.broadcast_to(np.maximum(covariance, floor), mean.shape).copy())

    @property
    def log_det(self) -> np.ndarray:
        return np.log(self.covariance).sum(axis=1)

    @property
    def trace_of_precision(self) -> np.ndarray:
        return (1 / self.covariance).sum(axis=1)

    def _chunks(self, X: np.ndarray, log_weight: np.ndarray | float):
        """Each chunk's slice, rows without NaN, mask of observed cells (None: all) and log p(x | k) + log_weight."""
        precision = 1 / self.covariance
        linear = self.mean * precision
        steep = bool(((1 + np.square(self.mean).max()) * precision.max()) > _STEEP)
        constant = -0.5 * (np.log(self.covariance) + _LOG_2PI)
        if not steep:
            constant -= 0.5 * self.mean * linear
        whole = (constant.sum(axis=1) + log_weight)[:, None]
        incomplete = has_missing(X)
        for start in range(0, len(X), CHUNK):
            at = slice(start, start + CHUNK)
            x, seen = X[at], None
            if incomplete:
                seen = ~np.isnan(x)
                x = np.where(seen, x, 0.0)
            log_p = np.empty((len(self.mean), len(x)))
            if steep:  # differences first: squares of large numbers would swallow them
                for k, (m, p) in enumerate(zip(self.mean, precision, strict=True)):
                    away = np.square(x - m) if seen is None else np.where(seen, np.square(x - m), 0.0)
                    log_p[k] = away @ (-0.5 * p)
            else:
                np.matmul(linear, x.T, out=log_p)
                log_p += (-0.5 * precision) @ np.square(x).T
            log_p += whole if seen is None else constant @ seen.T + np.reshape(log_weight, (-1, 1))
            yield at, x, seen, log_p

    def log_prob(self, X: np.ndarray, log_weight: np.ndarray | float = 0.0) -> np.ndarray:
        """log p(x | k) + ``log_weight``, (K, n)."""
        out = np.empty((len(self.mean), len(X)))
        for at, _, _, log_p in self._chunks(X, log_weight):
            out[:, at] = log_p
        return out

    def moments(self, X: np.ndarray, weight: np.ndarray, log_weight: np.ndarray) -> Moments:
        """E-step: moments of the observed cells under p(k | x)."""
        K, d = self.mean.shape
        mass, first, second, seen_mass, log_likelihood = np.zeros(K), np.zeros((K, d)), np.zeros((K, d)), np.zeros((K, 1)), 0.0
        centre = self.mean.mean(axis=0)
        for at, x, seen, log_p in self._chunks(X, log_weight):
            share, log_total = softmax(log_p)
            share *= weight[at]
            log_likelihood += float(weight[at] @ log_total)
            here = share.sum(axis=1)
            mass += here
            seen_mass = seen_mass + (here[:, None] if seen is None else share @ seen)
            away = x - centre if seen is None else np.where(seen, x - centre, 0.0)
            first += share @ away
            second += share @ np.square(away)
        safe = np.maximum(seen_mass, np.finfo(float).tiny)
        shift = np.where(seen_mass > 0, first / safe, self.mean - centre)
        scatter = np.maximum(second - shift * first, 0.0)
        return Moments(mass, centre + shift, scatter, seen_mass, log_likelihood)

    def sample(self, component: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw of each component listed, (n, d)."""
        spread = np.sqrt(self.covariance)
        return _draw(component, self.mean, lambda k, z: z * spread[k], rng)

    def sample_missing(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A copy of rows whose NaN cells are drawn from component k; its columns are independent."""
        return np.where(np.isnan(X), self.sample(np.full(len(X), k), rng), X)

    def missing_moments(self, k: int, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of each NaN cell in component k, (n, d); observed cells, and variance 0."""
        unseen = np.isnan(X)
        return np.where(unseen, self.mean[k], X), np.where(unseen, self.covariance[k], 0.0)


def _draw(component: np.ndarray, mean: np.ndarray, colour: Callable, rng: np.random.Generator) -> np.ndarray:
    """Rows in the order of ``component``, made where they belong: ``colour(k, z)`` of unit normals, plus the mean."""
    out = np.empty((len(component), mean.shape[1]))
    fast = np.random.Generator(np.random.SFC64(rng.integers(2**63, size=4)))  # normals are nearly all of the time
    for start in range(0, len(out), CHUNK):
        here, z = component[start : start + CHUNK], out[start : start + CHUNK]
        fast.standard_normal(out=z)
        if len(mean) == 1:
            z[...] = colour(0, z) + mean[0]
            continue
        for k in np.unique(here):
            at = np.flatnonzero(here == k)
            z[at] = colour(k, z[at]) + mean[k]
    return out
