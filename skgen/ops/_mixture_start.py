"""A mixture for each column alone, by a short EM over bins: where a network's output biases begin."""

from __future__ import annotations

import numpy as np

__all__ = ["MOST_ROWS", "mixture_start", "within_fences"]

_BINS = 256  # a value repeated more often than one row in 256 is a bin of its own
MOST_ROWS = 20_000  # a bias needs no more than these, evenly spaced
_STEPS = 40
_TOGETHER = 8  # columns: what they need stays in cache
_FAR = 1e30  # single precision holds it
_SAMPLE = 5000  # rows for a quantile
_LEAST = 1e-6  # rows of a component that has none
_NARROW = 1e-12  # least variance, in squared widths
_ATOM = 10  # rows of one value that make it a value that will come again


def within_fences(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cells (n,) without NaN, those far outside brought to a fence, so that one wild cell does not set a column's unit.

    The fences lie ten times q95 - q5 outside these quantiles, which are read from at most 5000 evenly spaced cells.
    """
    every = -(-len(x) // _SAMPLE)
    some = np.clip(x, -_FAR, _FAR)
    order = np.argsort(some[::every])
    reached = np.cumsum(weight[::every][order])
    low, high = some[::every][order[np.searchsorted(reached, np.array([0.05, 0.95]) * reached[-1])]]
    reach = 10 * (high - low)
    return np.clip(some, low - reach, high + reach) if reach > 0 else some


def _bins(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mass, mean, variance of at most ``2 * _BINS`` bins of about equal mass, and which are atoms; a value is never split."""
    value, at = np.unique(x, return_inverse=True)
    mass = np.bincount(at, weight)
    # where the middle of the value lies among the masses; a heavy value lies alone, since it moves its neighbours' places
    place = np.floor((np.cumsum(mass) - mass / 2) / mass.sum() * _BINS).astype(int)
    heavy = mass >= mass.sum() / _BINS
    first = np.r_[True, (np.diff(place) > 0) | heavy[1:] | heavy[:-1]]
    number = np.cumsum(first) - 1
    total = np.bincount(number, mass)
    lonely = np.bincount(number) == 1
    mean = np.where(lonely, value[first], np.bincount(number, mass * value) / total)
    return total, mean, np.bincount(number, mass * (value - mean[number]) ** 2) / total, lonely & (total >= _ATOM)


def _spread_out(mass: np.ndarray, n_components: int) -> np.ndarray:
    """A component for each bin of one column: neighbours with about equal mass in sum, and a heavy bin for itself."""
    owner = np.zeros(len(mass), dtype=int)
    left, k, inside = mass.sum(), 0, 0.0
    for b, m in enumerate(mass):
        full = left / (n_components - k)  # what this component should hold of what was left when it began
        if inside and k < n_components - 1 and (inside + m / 2 > full or m >= full):
            k, left, inside = k + 1, left - inside, 0.0
        owner[b] = k
        inside += m
    return owner


def mixture_start(
    X: np.ndarray, weight: np.ndarray, n_components: int, width: np.ndarray, blur: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares, means and variances of a Gaussian mixture for each column alone.

    Parameters
    ----------
    X : array of shape (n, d)
        NaN is left out. A column without a cell gets components with mean 0 and variance ``width**2``.
    weight : array of shape (n,)
        Positive; a row of weight 2 counts as two rows.
    n_components : int
    width : array of shape (d,)
        Scale of each column. One pseudo-row with this deviation joins the rows, and widens the components as well, each by
        its C-th part: not those that hold a value seen many times, which would lose the point that they are.
    blur : float
        Variance that is added while rows are divided among components (1/12: the cell of a rounded value).

    Returns
    -------
    share, mean, variance : arrays of shape (d, n_components)
    """
    every = -(-len(X) // MOST_ROWS)
    X, weight = X[::every], weight[::every] * every
    pieces = [slice(j, j + _TOGETHER) for j in range(0, X.shape[1], _TOGETHER)]
    found = [_expectation_maximisation(X[:, some], weight, n_components, width[some], blur) for some in pieces]
    share, mean, variance = (np.concatenate(part) for part in zip(*found, strict=True))
    return share, mean, variance


def _expectation_maximisation(
    X: np.ndarray, weight: np.ndarray, n_components: int, width: np.ndarray, blur: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    d, C = X.shape[1], n_components
    # the pseudo-row is the last bin of each column
    mass, at, within, loose = (np.zeros((d, 2 * _BINS + 1)) for _ in range(4))
    R = np.zeros((C, d, 2 * _BINS + 1))  # the share of each component in each bin
    R[:, :, -1] = 1 / C
    mass[:, -1], within[:, -1] = 1, width**2
    for j in range(d):
        seen = ~np.isnan(X[:, j]) & (weight > 0)
        if seen.any():
            m, mean, variance, atom = _bins(within_fences(X[seen, j], weight[seen]), weight[seen])
            b = len(m)
            mass[j, :b], at[j, :b], within[j, :b], loose[j, :b] = m, mean, variance, ~atom
            at[j, -1] = np.average(mean, weights=m)
            R[_spread_out(m, C), j, np.arange(b)] = 1
    used = (mass > 0).any(axis=0)
    mass, at, within, loose, R = mass[:, used], at[:, used], within[:, used], loose[:, used], R[..., used]
    for step in range(_STEPS + 1):
        part = R * mass
        count = part.sum(axis=2)
        safe = np.maximum(count, _LEAST)
        mean = np.where(count > _LEAST, (part * at).sum(axis=2) / safe, at[:, -1])
        scatter = (part * (within + (at - mean[..., None]) ** 2)).sum(axis=2)
        free = np.where(count > _LEAST, (part * loose).sum(axis=2) / safe, 1.0)  # its rows that are in no atom
        variance = (scatter + free * width**2 / C) / (count + free / C + _LEAST) + _NARROW * width**2
        share = (count + _LEAST) / (count + _LEAST).sum(axis=0)
        if step == _STEPS or C == 1:  # one component has every row from the start
            break
        wide = (variance + blur)[..., None]
        # E log N over the bin: -1/2 ((mean of bin - mean)^2 + variance of bin) / v
        log_r = np.log(share)[..., None] - 0.5 * (np.log(wide) + ((at - mean[..., None]) ** 2 + within) / wide)
        log_r -= log_r.max(axis=0)
        R = np.exp(np.maximum(log_r, -690.0))
        R /= R.sum(axis=0)
    return share.T, mean.T, variance.T
