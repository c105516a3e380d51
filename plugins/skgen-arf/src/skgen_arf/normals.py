"""Normals truncated to the box of their leaf: what a leaf makes of a continuous cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erf, log_ndtr, ndtri_exp

__all__ = ["Normals", "draw_truncated", "log_mass", "log_truncation", "moments_by_leaf"]

_LOG_2PI = np.log(2 * np.pi)
_ROOT_2 = np.sqrt(2.0)
_NARROW = 1e-3  # of an interval, in standard deviations: the normal is flat there, and its moments are those of the interval


def log_mass(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """log(Phi(high) - Phi(low)) for low <= high anywhere, in the left tail by symmetry."""
    flip = low > -high
    far, near = np.where(flip, -high, low), np.where(flip, -low, high)
    big, small = log_ndtr(near), log_ndtr(far)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isneginf(big), -np.inf, big + np.log1p(-np.exp(small - big)))


def log_truncation(mean: np.ndarray, sd: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """log(Phi(b) - Phi(a)) of intervals that hold the mean: a <= 0 <= b, so that nothing cancels."""
    return np.log(0.5 * (erf((upper - mean) / (sd * _ROOT_2)) + erf((mean - lower) / (sd * _ROOT_2))))


def draw_truncated(mean: np.ndarray, sd: np.ndarray, lower: np.ndarray, upper: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One draw of each normal inside its interval, lower < x <= upper, by the inverse of its distribution function."""
    a, b, u = (lower - mean) / sd, (upper - mean) / sd, 1.0 - rng.random(len(mean))  # in (0, 1]
    flip = a > -b  # the longer part to the left, where log Phi has all its digits
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)
    # Phi(z) = (1 - u) Phi(a) + u Phi(b)
    with np.errstate(divide="ignore"):
        z = ndtri_exp(np.logaddexp(np.log1p(-u) + log_ndtr(a), np.log(u) + log_ndtr(b)))
    x = mean + sd * np.where(flip, -z, z)
    return np.clip(x, np.nextafter(lower, np.inf), upper)


def moments_by_leaf(x: np.ndarray, weight: np.ndarray, leaf: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Weighted mean and scatter of one column in each leaf, (L,) each, and its variance over all rows.

    ``leaf`` (n, T) says where each row falls in each tree, ``mass`` (L,) is the weight there.
    """
    at, trees, L = leaf.ravel(), leaf.shape[1], len(mass)
    mean = np.bincount(at, np.repeat(weight * x, trees), L) / mass
    scatter = np.bincount(at, (weight[:, None] * (x[:, None] - mean[leaf]) ** 2).ravel(), L)
    return mean, scatter, float(np.average((x - np.average(x, weights=weight)) ** 2, weights=weight))


@dataclass
class Normals:
    """One normal a leaf and continuous column, N(mean, sd^2) truncated to lower < x <= upper: arrays are (L, columns)."""

    columns: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def __post_init__(self) -> None:
        self._constant = -np.log(self.sd) - 0.5 * _LOG_2PI - log_truncation(self.mean, self.sd, self.lower, self.upper)

    @classmethod
    def fit(
        cls,
        columns: np.ndarray,
        X: np.ndarray,
        weight: np.ndarray,
        leaf: np.ndarray,
        mass: np.ndarray,
        box: tuple[np.ndarray, np.ndarray],
        shrinkage: float,
        reg_covar: float,
    ) -> Normals:
        """Mean and variance of the rows in each leaf; ``shrinkage`` pseudo-rows have the variance of all rows.

        They are the parameters of the normal before it is cut, as in the paper (section 4), and not its moments after.
        """
        mean, sd = np.empty((len(mass), len(columns))), np.empty((len(mass), len(columns)))
        for c, j in enumerate(columns):
            mean[:, c], scatter, spread = moments_by_leaf(X[:, j], weight, leaf, mass)
            sd[:, c] = np.sqrt((scatter + shrinkage * spread) / (mass + shrinkage) + reg_covar)
        lower, upper = box[0][:, columns], box[1][:, columns]
        return cls(columns, np.clip(mean, lower, upper), sd, lower, upper)  # a mean may leave its leaf by a rounding error

    def add_log_prob(self, X: np.ndarray, row: np.ndarray, leaf: np.ndarray, out: np.ndarray) -> None:
        """Add log p of these cells of X[row] in their leaves to ``out`` (m,); a NaN cell is integrated out, a factor of one."""
        for c, j in enumerate(self.columns):
            x = X[row, j]
            with np.errstate(over="ignore"):
                z = (x - self.mean[leaf, c]) / self.sd[leaf, c]
                one = self._constant[leaf, c] - 0.5 * z * z
            out += np.where(np.isnan(x), 0.0, one)

    def draw(self, leaf: np.ndarray, out: np.ndarray, rng: np.random.Generator) -> None:
        """Fill these columns of ``out`` (n, d) with a draw from each leaf (n,)."""
        for c, j in enumerate(self.columns):
            at = leaf, c
            out[:, j] = draw_truncated(self.mean[at], self.sd[at], self.lower[at], self.upper[at], rng)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance after the cut, (L, columns) each."""
        a, b = (self.lower - self.mean) / self.sd, (self.upper - self.mean) / self.sd
        log_z = log_truncation(self.mean, self.sd, self.lower, self.upper)
        phi_a, phi_b = (np.exp(-0.5 * ends**2 - 0.5 * _LOG_2PI - log_z) for ends in (a, b))
        first = phi_a - phi_b
        # E z^2 = 1 + (a phi(a) - b phi(b)) / Z
        second = 1.0 + np.where(np.isinf(a), 0.0, a) * phi_a - np.where(np.isinf(b), 0.0, b) * phi_b
        narrow = b - a < _NARROW
        with np.errstate(invalid="ignore"):
            first = np.where(narrow, 0.5 * (a + b), first)
            variance = np.where(narrow, (b - a) ** 2 / 12, np.maximum(second - first**2, 0.0))
        return self.mean + self.sd * first, self.sd**2 * variance
