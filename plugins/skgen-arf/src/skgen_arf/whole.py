"""Masses on the integers: what a leaf makes of a cell of an integer column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from skgen_arf.normals import draw_truncated, log_mass, log_truncation, moments_by_leaf

__all__ = ["Whole"]

_FLOOR = 1e-2  # of a variance: within a tenth of an integer all mass is on it
_PAIRS = 20_000  # of a row and a leaf of it, on which the share of the back-off is found
_STEPS = 50  # of the EM that finds it
_LEAST = np.finfo(float).tiny


def _log_logistic(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    """log of sigma((x + 1/2 - c) / s) - sigma((x - 1/2 - c) / s), in the left tail by symmetry."""
    distance, half = np.abs(x - centre) / width, 0.5 / width
    upper, lower = half - distance, -half - distance
    with np.errstate(divide="ignore"):
        return np.where(upper < -30, upper, np.log(expit(upper))) + np.log(expit(-lower)) + np.log(-np.expm1(-2 * half))


@dataclass
class Whole:
    r"""One integer column, p_leaf(x) = (1 - e) N_leaf(x) + e m(x | box): a normal's masses, and the column's own table.

    N_leaf(x) is the mass of [x - 1/2, x + 1/2] under a truncated normal. m is the table of the values of all rows, with
    ``alpha`` pseudo-rows of a discretised logistic for values never seen, both restricted to the leaf's box: it knows of spikes
    and gaps that a normal does not. e is one number a column, by which each row is likeliest when it is left out of its leaf's
    normal (deleted interpolation, Jelinek & Mercer 1980). ``lower`` and ``upper`` lie halfway between integers.
    """

    column: int
    mean: np.ndarray
    sd: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    share: float
    values: np.ndarray
    count: np.ndarray
    logistic: np.ndarray  # centre, width, and the pseudo-rows it has

    def __post_init__(self) -> None:
        centre, width, alpha = self.logistic
        self._log_z = log_truncation(self.mean, self.sd, self.lower, self.upper)
        self._cumulated = np.concatenate([[0.0], np.cumsum(self.count)])
        # weight of the table and of the logistic inside each box
        self._first, self._last = np.searchsorted(self.values, self.lower), np.searchsorted(self.values, self.upper)
        self._inside = self._cumulated[self._last] - self._cumulated[self._first]
        self._p = expit((self.lower - centre) / width), expit((self.upper - centre) / width)
        self._log_total = np.log(np.maximum(self._inside + alpha * (self._p[1] - self._p[0]), _LEAST))
        with np.errstate(divide="ignore"):
            known = np.exp(_log_logistic(self.values, centre, width))
            self._log_value = np.log(self.count + alpha * known)
            self._log_alpha, self._log_share = np.log(alpha), (np.log1p(-self.share), np.log(self.share))

    @classmethod
    def fit(
        cls,
        column: int,
        X: np.ndarray,
        weight: np.ndarray,
        leaf: np.ndarray,
        mass: np.ndarray,
        box: tuple[np.ndarray, np.ndarray],
        shrinkage: float,
        alpha: float,
        rng: np.random.Generator,
    ) -> Whole:
        x = X[:, column]
        lower, upper = (np.floor(ends[:, column]) + 0.5 for ends in box)
        mean, scatter, spread = moments_by_leaf(x, weight, leaf, mass)
        mean = np.clip(mean, lower, upper)
        values, where = np.unique(x, return_inverse=True)
        # the standard deviation of a logistic is pi s / sqrt(3)
        logistic = np.array([np.average(x, weights=weight), max(np.sqrt(3 * spread) / np.pi, 0.3), alpha])
        count = np.bincount(where, weight, len(values))
        one = cls(column, mean, _sd(scatter, mass, spread, shrinkage), lower, upper, 0.5, values, count, logistic)

        # each of some rows against the others of its leaf: mean and scatter without it
        at = rng.permutation(leaf.size)[:_PAIRS]
        row, at = at // leaf.shape[1], leaf.ravel()[at]
        less = np.minimum(weight[row], 1.0)  # weight 3 is the row three times: two remain
        others = mass[at] - less
        kept = others > 1e-9 * mass[at]
        if not kept.any():
            return one
        row, at, less, others = row[kept], at[kept], less[kept], others[kept]
        away = x[row] - mean[at]
        m = np.clip(mean[at] - less * away / others, lower[at], upper[at])
        sd = _sd(np.maximum(scatter[at] - less * away**2 * mass[at] / others, 0.0), others, spread, shrinkage)
        normal = _log_normal(x[row], m, sd) - log_truncation(m, sd, lower[at], upper[at])
        ahead = np.clip(one._log_table(x[row], at) - normal, -700.0, 700.0)
        share = 0.5
        for _ in range(_STEPS):
            share = np.average(share / (share + (1 - share) * np.exp(-ahead)), weights=weight[row])
            share = float(np.clip(share, 1e-4, 1 - 1e-4))
        return cls(column, mean, one.sd, lower, upper, share, values, count, logistic)

    def _log_table(self, x: np.ndarray, leaf: np.ndarray) -> np.ndarray:
        """log m(x | box)."""
        at = np.searchsorted(self.values, x).clip(max=len(self.values) - 1)
        never = self._log_alpha + _log_logistic(x, *self.logistic[:2])
        return np.where(self.values[at] == x, self._log_value[at], never) - self._log_total[leaf]

    def add_log_prob(self, X: np.ndarray, row: np.ndarray, leaf: np.ndarray, out: np.ndarray) -> None:
        """Add log p of the cells of X[row] in their leaves to ``out`` (m,); a NaN cell is summed out, a factor of one."""
        x = X[row, self.column]
        seen = ~np.isnan(x)
        x, leaf = x[seen], leaf[seen]
        normal = _log_normal(x, self.mean[leaf], self.sd[leaf]) - self._log_z[leaf]
        out[seen] += np.logaddexp(self._log_share[0] + normal, self._log_share[1] + self._log_table(x, leaf))

    def draw(self, leaf: np.ndarray, out: np.ndarray, rng: np.random.Generator) -> None:
        """Fill the column of ``out`` (n, d) with a draw from each leaf (n,)."""
        (centre, width, _), n = self.logistic, len(leaf)
        lower, upper = self.lower[leaf], self.upper[leaf]
        x = draw_truncated(self.mean[leaf], self.sd[leaf], lower, upper, rng)
        backed = rng.random(n) < self.share
        p = self._p[0][leaf] + rng.random(n) * (self._p[1] - self._p[0])[leaf]
        unseen = centre + width * logit(np.clip(p, 1e-300, 1 - 1e-16))
        at = self._cumulated[self._first[leaf]] + rng.random(n) * self._inside[leaf]
        last = np.maximum(self._last[leaf] - 1, self._first[leaf])
        place = np.clip(np.searchsorted(self._cumulated, at, side="right") - 1, self._first[leaf], last)
        tabled = rng.random(n) * np.exp(self._log_total[leaf]) < self._inside[leaf]
        table = np.where(tabled, self.values[place.clip(max=len(self.values) - 1)], unseen)
        # from halfway below an integer to halfway above it
        out[:, self.column] = np.clip(np.ceil(np.where(backed, table, x) - 0.5), lower + 0.5, upper - 0.5)


def _sd(scatter: np.ndarray, mass: np.ndarray, spread: float, shrinkage: float) -> np.ndarray:
    """Of the normal whose masses on the integers have this variance (Sheppard's correction)."""
    return np.sqrt(np.maximum((scatter + shrinkage * spread) / (mass + shrinkage) - 1 / 12, _FLOOR))


def _log_normal(x: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """log of the mass of [x - 1/2, x + 1/2]."""
    middle = (x - mean) / sd
    with np.errstate(over="ignore"):
        mass = log_mass(middle - 0.5 / sd, middle + 0.5 / sd)
        # where the difference underflows, the density at the middle of the cell
        return np.where(np.isfinite(mass), mass, -0.5 * (middle**2 + np.log(2 * np.pi)) - np.log(sd))
