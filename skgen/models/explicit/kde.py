"""Kernel density estimation: a small bump at every row seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize

from skgen.base import GenerativeModel
from skgen.ops.kernels import MANY, Kernel, KernelSum, distinct_rows

__all__ = ["KDE"]

_PAIRS = 2**22  # of a row left out and a kernel, in one look at a bandwidth
_QUERIES = 512  # rows left out at the least: log h then errs by some percent, and log p by thousandths
_COPIES = 5  # an incomplete row becomes so many complete ones
_DONORS = 2048  # rows that a missing cell is filled from
_RANGE = {"continuous": (1e-3, 10.0), "integer": (1e-3, 10.0), "binary": (1e-6, 1.0), "categorical": (1e-6, 1.0)}


class KDE(GenerativeModel):
    r"""Kernel density estimate, p(x) = sum_i w_i prod_j K_j(x_j, x_ij) / sum_i w_i over the rows i seen in ``fit``.

    Columns are independent within a kernel. K is normal for a continuous column, a discrete normal (normalised over all
    integers) for an integer one, and for a binary or categorical one it keeps the level with probability 1 - b and else draws
    it anew from all levels (Aitchison & Aitken 1976). The columns of one kind share a bandwidth, by default the one under which
    the rows are likeliest when each is left out of its own estimate.

    Parameters
    ----------
    bandwidth : "loo", "scott", float or {kind: float}, default="loo"
        "loo": the maximum of the leave-one-out likelihood, for each kind of column. "scott": n^(-1 / (d + 4)) for the d
        continuous and integer columns, n^(-2 / (d + 4)) for the others. A number is the bandwidth of continuous and integer
        columns, in standard deviations of the column over all rows (an integer column: over those of the class); for the
        others b, in (0, 1], is then "loo" unless a dict names "binary" or "categorical" too.

    Attributes
    ----------
    bandwidths_ : dict
        {column: bandwidth}, in data units for a continuous or integer column; b for the others.

    Notes
    -----
    Rows that are equal in all continuous columns are left out together: a repeated row would otherwise ask for a bandwidth of
    zero. Where there is no continuous column, one copy is left out, since repetition is information there. Bandwidths stay
    within 0.001 and 10 standard deviations, b above 1e-6; where leaving out leaves nothing, they are Scott's.
    With more than 2,048 distinct rows the bandwidth is chosen on an even part of them, against all.

    A missing cell of x is integrated out, exactly. A row seen in ``fit`` with missing cells stands with its observed ones, and
    with five values for each missing cell, drawn from rows that resemble it in what is observed (Titterington & Mill 1983).

    ``score_samples`` is exact, in nats and in the units of the data: to rounding with up to 4,096 rows in a
    class, to 1e-6 with more. There are as many parameters as rows, so
    ``n_parameters_`` is undefined. ValueError for a bandwidth that is not positive.

    References
    ----------
    Parzen (1962), "On estimation of a probability density function and mode"; Aitchison & Aitken (1976), "Multivariate
    binary discrimination by the kernel method"; Titterington & Mill (1983), "Kernel-based density estimates from incomplete
    data"; Habbema, Hermans & van den Broek (1974) on leave-one-out likelihood.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import KDE
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-3, 1, 300), rng.normal(3, 0.5, 300)])[:, None]
    >>> model = KDE().fit(X)
    >>> dense, empty = model.score_samples([[-3.0], [0.0]])
    >>> bool(dense > empty + 2)
    True
    """

    bandwidth: float | str | dict = "loo"

    kinds = frozenset({"continuous", "integer", "binary", "categorical"})
    missing = "exact"
    missing_in_fit = True
    keeps_rows = True

    # ---- fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        X, weight = _merge(X, weight)
        wanted = self._wanted()
        kernel = self._scott(X, weight)
        missing = bool(np.isnan(X.sum()))
        some = ~np.isnan(X).all(axis=1)
        if missing and some.any():  # a row of which nothing is known says nothing, unless all are
            X, weight = X[some], weight[some]
        for j, kind in enumerate(kernel.kinds):
            if isinstance(wanted[kind], float):
                kernel.bandwidth[j] = wanted[kind]
        free = sorted({kind for kind in kernel.kinds if wanted[kind] == "loo"})
        filled, mass, source, origin = X, weight, np.arange(len(X)), None
        if missing:
            filled, source, origin = fill(kernel, X, weight, rng)
            mass = weight[source] / np.bincount(source)[source]
        if free:
            _choose(kernel, free, X, weight, filled, mass, source, origin)
        self._sum = KernelSum(kernel, filled, mass)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        X, mass = _merge(X, weight)
        kernel = self._sum.kernel  # the bandwidths stand
        if np.isnan(X.sum()):
            X, source, _ = fill(kernel, X, mass, rng)
            mass = mass[source] / np.bincount(source)[source]
        self._sum = KernelSum(kernel, X, mass)

    def _wanted(self) -> dict[str, float | str]:
        """The bandwidth asked for each kind: a number, "loo" or "scott"."""
        asked = self.bandwidth
        if isinstance(asked, str):
            if asked not in ("loo", "scott"):
                raise ValueError(f"bandwidth={asked!r} must be 'loo', 'scott', a positive number or a dict of numbers by kind.")
            return dict.fromkeys(_RANGE, asked)
        given = dict(asked) if isinstance(asked, Mapping) else {"continuous": asked, "integer": asked}
        for kind, value in given.items():
            if kind not in _RANGE:
                raise ValueError(f"bandwidth names {kind!r}, which is no kind of column: choose from {', '.join(_RANGE)}.")
            if value in ("loo", "scott"):
                continue
            most = 1.0 if kind in ("binary", "categorical") else 1e100
            if not isinstance(value, (int, float, np.number)) or isinstance(value, bool) or not 0 < value <= most:
                raise ValueError(
                    f"bandwidth={value!r} for {kind} columns must be positive" + (" and at most 1." if most == 1 else ".")
                )
            if not np.isfinite(value):
                raise ValueError(f"bandwidth={value!r} for {kind} columns must be finite.")
        return {kind: value if isinstance(value := given.get(kind, "loo"), str) else float(value) for kind in _RANGE}

    def _scott(self, X: np.ndarray, weight: np.ndarray) -> Kernel:
        kinds, d = list(self.columns_.kinds), X.shape[1]
        metric = np.isin(kinds, ("continuous", "integer"))
        unit = np.ones(d)
        for j in np.flatnonzero(np.isin(kinds, "integer")):
            seen = ~np.isnan(X[:, j])
            if seen.any():
                spread = np.sqrt(np.cov(X[seen, j], aweights=weight[seen], bias=True)) if seen.sum() > 1 else 0.0
                unit[j] = spread if spread > 0 else 1.0
        h = max(float(weight.sum()), 1.0) ** (-1 / (metric.sum() + 4))
        return Kernel(kinds, self.columns_.n_levels, unit, np.where(metric, h, max(h**2, _RANGE["binary"][0])))

    # ---- log p and draws

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        return self._sum.log_prob(X)

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        weight = self._sum.weight
        return self._sum.kernel.draw(self._sum.X[rng.choice(len(weight), n, p=weight / weight.sum())], rng)

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        out = X.copy()
        rows = max(1, 2**22 // len(self._sum.weight))
        for start in range(0, len(X), rows):
            x = X[start : start + rows]
            # the kernel in proportion to what it makes of the observed cells, the rest from that kernel
            cumulated = np.cumsum(self._sum.shares(x), axis=1)
            u = rng.random(len(x)) * cumulated[:, -1]
            chosen = (cumulated <= u[:, None]).sum(axis=1).clip(max=cumulated.shape[1] - 1)
            out[start : start + rows] = np.where(np.isnan(x), self._sum.kernel.draw(self._sum.X[chosen], rng), x)
        return out

    # ---- what a user reads

    @property
    def bandwidths_(self) -> dict:
        kernel = self._sum.kernel
        unit = np.where(kernel.discrete, 1.0, kernel.unit * self.columns_.scale)
        return dict(zip(self.columns_.names, (kernel.bandwidth * unit).tolist(), strict=True))

    def _n_parameters(self) -> int:
        raise AttributeError("KDE keeps every row, so that n_parameters_, bic and aic are undefined: compare by held-out score.")


def _merge(X: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows and their weights, so that a row of weight 2 is that row twice."""
    first, which = distinct_rows(X)
    return X[first], np.bincount(which, weight, len(first))


# ---- the bandwidth


def _choose(
    kernel: Kernel,
    free: list[str],
    X: np.ndarray,
    weight: np.ndarray,
    filled: np.ndarray,
    mass: np.ndarray,
    source: np.ndarray,
    origin: np.ndarray | None,
) -> None:
    """Set the bandwidths of the free kinds to the maximum of the leave-one-out likelihood of the observed cells."""
    kinds = np.array(kernel.kinds)
    continuous = np.flatnonzero(kinds == "continuous")
    n = len(X)
    # queries: the rows, or an even part of them, in an order of what they hold
    rows = (
        np.arange(n) if n * len(filled) <= _PAIRS else np.linspace(0, n - 1, max(_PAIRS // len(filled), _QUERIES)).astype(np.intp)
    )
    group = distinct_rows(X[:, continuous])[1] if len(continuous) else np.arange(n)
    left_out = _LeftOut(rows, weight, group, mass, source, origin, copies=not len(continuous))
    bounds = [tuple(np.log(_RANGE[kind])) for kind in free]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        for kind, value in zip(free, theta, strict=True):
            kernel.bandwidth[kinds == kind] = np.exp(value)
        value, slope = left_out.likelihood(kernel, X, filled)
        return -value, -np.array([slope[kinds == kind].sum() for kind in free])

    if not left_out.any(filled):
        return
    start = np.array([np.log(np.clip(kernel.bandwidth[kinds == kind][0], *_RANGE[kind])) for kind in free])
    # on a part of the rows the likelihood itself is good to 1e-3
    options = {"maxiter": 30, "ftol": 1e-5, "gtol": 1e-3} if len(rows) < n else {"maxiter": 50, "ftol": 1e-11, "gtol": 1e-6}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    for kind, value in zip(free, found.x, strict=True):
        kernel.bandwidth[kinds == kind] = np.exp(value)


class _LeftOut:
    """Which kernels each row is scored without: its own, its equals, and those that hold a cell of it."""

    def __init__(
        self,
        rows: np.ndarray,
        weight: np.ndarray,
        group: np.ndarray,
        mass: np.ndarray,
        source: np.ndarray,
        origin: np.ndarray | None,
        copies: bool,
    ):
        self.rows, self.weight, self.copies = rows, weight[rows] / weight[rows].sum(), copies
        self.group_of_row, self.group_of_kernel = group[rows], group[source]
        self.log_mass = np.log(mass)
        place = np.full(len(weight), -1)
        place[rows] = np.arange(len(rows))
        self.received = np.zeros((2, 0), dtype=np.intp)
        if origin is not None:
            kernel, cell = np.nonzero(origin >= 0)
            donor = place[origin[kernel, cell]]
            self.received = np.stack([donor, kernel])[:, donor >= 0]
        own = mass[rows] if copies and origin is None else np.zeros(len(rows))
        with np.errstate(divide="ignore"):
            self.log_rest = np.log(np.maximum(own - 1.0, 0.0))  # weight 3 is the row three times: two remain

    def _mask(self, t: np.ndarray, at: slice) -> None:
        """-inf where a kernel is left out of a row's sum; t is (rows of the slice, kernels)."""
        equal = self.group_of_row[at, None] == self.group_of_kernel
        if self.copies:
            row, kernel = np.nonzero(equal)
            t[row, kernel] += np.where(np.isfinite(self.log_rest[at][row]), self.log_rest[at][row] - self.log_mass[kernel], -np.inf)
        else:
            t[equal] = -np.inf
        donor, kernel = self.received
        here = (donor >= at.start) & (donor < at.stop)
        t[donor[here] - at.start, kernel[here]] = -np.inf

    def any(self, filled: np.ndarray) -> bool:
        """Whether some row keeps a kernel."""
        for at in self._chunks(len(filled)):
            t = np.zeros((len(self.rows[at]), len(filled)))
            self._mask(t, at)
            if np.isfinite(t).any():
                return True
        return False

    def _chunks(self, m: int) -> list[slice]:
        step = max(1, 2**20 // m)  # enough rows that reading the kernels does not take longer than the products
        return [slice(start, min(start + step, len(self.rows))) for start in range(0, len(self.rows), step)]

    def likelihood(self, kernel: Kernel, X: np.ndarray, filled: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean leave-one-out log-likelihood up to a constant, and its slope in the log bandwidth of each column."""
        scale, constant = kernel.scales()
        raw = kernel.raw(filled)
        centre = raw.mean(axis=0)
        raw = raw - centre
        F = raw * scale
        right = np.concatenate([F, -0.5 * np.square(F)], axis=1).T.copy()
        dtype = np.float32 if len(filled) > MANY else np.float64
        both = np.concatenate([raw, np.square(raw)], axis=1).astype(dtype)
        owner, D = kernel.owner, F.shape[1]
        value, slope = 0.0, np.zeros(len(kernel.kinds))
        whole = not np.isnan(X.sum())
        for at in self._chunks(len(filled)):
            q, w = kernel.raw(X[self.rows[at]]) - centre, self.weight[at]
            seen = ~np.isnan(q)
            q = np.where(seen, q, 0.0)
            t = np.concatenate([q * scale, seen], axis=1) @ right
            t += self.log_mass
            self._mask(t, at)
            top = t.max(axis=1, keepdims=True)
            kept = np.isfinite(top[:, 0])
            t -= np.where(kept[:, None], top, 0.0)
            with np.errstate(under="ignore", over="ignore"):
                r = np.exp(t, dtype=dtype, casting="same_kind")
            total = r.sum(axis=1, dtype=float)
            total[~kept] = 1.0
            factor = seen[:, np.searchsorted(owner, np.arange(len(slope)))] @ constant if len(owner) else np.zeros(len(q))
            log_p = np.log(total) + top[:, 0] - 0.5 * np.square(q * scale).sum(axis=1) + factor
            w = np.where(kept, w, 0.0)
            value += float(w[kept] @ log_p[kept])
            # E[(u - u_i)^2] under the kernels' shares; a cell that is not observed has no part in the slope
            expected = (r @ both) / total[:, None]
            square = np.maximum(q**2 - 2 * q * expected[:, :D] + expected[:, D:], 0.0)
            if whole:
                slope += w.sum() * kernel.slope((w @ square) / max(w.sum(), 1e-300))
            else:
                share = w @ seen
                mean = np.where(share > 0, (w @ np.where(seen, square, 0.0)) / np.where(share > 0, share, 1.0), 0.0)
                first = np.searchsorted(owner, np.arange(len(slope)))
                slope += share[first] * kernel.slope(mean)
        return value, slope


# ---- rows with missing cells


def fill(kernel: Kernel, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Complete rows for incomplete ones: each missing cell from rows alike in the cells observed or filled before.

    Parameters
    ----------
    X : array of shape (n, d)
        Rows with NaN.
    weight : array of shape (n,)

    Returns
    -------
    filled : array of shape (m, d)
        Complete rows once, then the copies of incomplete ones. A column never observed is 0 throughout.
    source : int array of shape (m,)
        The row of X that each is.
    origin : int array of shape (m, d)
        The row of X that gave a filled cell, -1 where it was observed.
    """
    gaps = np.isnan(X)
    X = np.where(gaps & (weight @ ~gaps == 0), 0.0, X)
    gaps = np.isnan(X)
    incomplete = np.flatnonzero(gaps.any(axis=1))
    source = np.repeat(incomplete, _COPIES)
    copies = X[source]
    origin = np.full(copies.shape, -1)
    scale, constant = kernel.scales()
    owner = kernel.owner
    first = np.searchsorted(owner, np.arange(X.shape[1]))
    may_give = [_evenly(np.flatnonzero(~gaps[:, j])) for j in range(X.shape[1])]
    # log p of each observed cell by itself, in the rows that ask or give
    margin = _margins(kernel, X, weight, np.unique(np.concatenate([incomplete, *may_give])))
    margins = margin[source]
    for j in np.argsort(gaps.sum(axis=0), kind="stable"):
        ask = np.flatnonzero(np.isnan(copies[:, j]))
        if not len(ask):
            continue
        donors = may_give[j]
        R = kernel.raw(X[donors]) * scale
        has = ~np.isnan(R)
        R = np.where(has, R, 0.0)
        right = np.concatenate([R, has, -0.5 * np.square(R)], axis=1).T.copy()
        spread = (np.arange(_COPIES) + rng.random((len(incomplete), 1))) / _COPIES  # a stratum a copy
        u = rng.permuted(spread, axis=1).ravel()[ask]
        for start in range(0, len(ask), 1024):
            at = ask[start : start + 1024]
            F = kernel.raw(copies[at]) * scale
            known = ~np.isnan(F)
            F = np.where(known, F, 0.0)
            # log K where both have the cell; the margin where only the asking row has it
            gain = np.zeros(F.shape)
            gain[:, first] = np.where(np.isnan(copies[at]), 0.0, constant - margins[at])
            t = np.concatenate([F, gain - 0.5 * np.square(F), known], axis=1) @ right
            t += np.log(weight[donors])
            t -= t.max(axis=1, keepdims=True)
            cumulated = np.cumsum(np.exp(np.maximum(t, -690.0)), axis=1)
            wanted = u[start : start + 1024] * cumulated[:, -1]
            chosen = donors[(cumulated <= wanted[:, None]).sum(axis=1).clip(max=len(donors) - 1)]
            copies[at, j], origin[at, j], margins[at, j] = X[chosen, j], chosen, margin[chosen, j]
    complete = np.flatnonzero(~gaps.any(axis=1))
    filled = np.concatenate([X[complete], copies])
    return filled, np.concatenate([complete, source]), np.concatenate([np.full((len(complete), X.shape[1]), -1), origin])


def _evenly(rows: np.ndarray) -> np.ndarray:
    """At most ``_DONORS`` of the rows, evenly."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _DONORS)).astype(np.intp))]


def _margins(kernel: Kernel, X: np.ndarray, weight: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """log p of each observed cell of ``rows`` under the estimate of its column alone, (n, d); 0 in the other rows."""
    out = np.zeros(X.shape)
    for j in range(X.shape[1]):
        seen = np.flatnonzero(~np.isnan(X[:, j]))
        part = Kernel([kernel.kinds[j]], kernel.n_levels[j : j + 1], kernel.unit[j : j + 1], kernel.bandwidth[j : j + 1])
        if len(seen):
            values, mass = _merge(X[seen, j : j + 1], weight[seen])
            asked = rows[~np.isnan(X[rows, j])]
            distinct, which = np.unique(X[asked, j], return_inverse=True)
            out[asked, j] = KernelSum(part, values, mass).log_prob(distinct[:, None])[which]
    return out
