"""Markov chains of any order over steps of K symbols."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

import numpy as np
import pandas as pd

from skgen.base import GenerativeModel
from skgen.learn.em import climb, warn_not_converged
from skgen.ops.chains import Contexts, draw_codes, lengths
from skgen.parameters import Interval

__all__ = ["MarkovChain"]

_MOST_CELLS = 25_000_000  # of one table that is kept as an array: 200 MB
_HELD = 2**24  # numbers that a pass over contexts keeps at once


class MarkovChain(GenerativeModel):
    r"""A Markov chain of order k, p(x) = prod_t p(x_t | x_{t-k}, ..., x_{t-1}); a row is a sequence.

    A step is one column, or ``step_features`` columns whose combinations are its symbols. Shorter sequences end in NaN.
    Continuous and integer columns are cut into bins at their quantiles, the same at every step and exactly: log p stays
    that of the data. (Integers too: as symbols of their own they would give a value that was not seen no probability;
    ``n_bins`` above their number gives each its own bin.)

    Parameters
    ----------
    order : int, default=1
        Steps that the next one depends on. 0: steps are independent.
    homogeneous : bool, default=True
        One table for all steps from ``order`` on; the first steps, which see fewer before them, have their own. False: a
        table a step (2 T - 1 parameters for T binary steps and order 1).
    alpha : float, default=1.0
        Pseudo-counts in each cell of each table. 0 is maximum likelihood.
    step_features : int, default=1
        Columns a step, step-major.
    n_bins : int or None
        Bins a continuous or integer column; None lets the number of rows decide, see :mod:`skgen.conversions`.
    max_iter : int, default=100
        Most steps of EM, taken only where cells are missing inside sequences.
    tol : float, default=1e-6
        EM stops when a step adds less than this to the mean penalised log-likelihood (nats a row).

    Attributes
    ----------
    tables_ : dict of DataFrame
        {step: p(symbol | symbols before)}, a row for each context, the oldest symbol first. With one table for all
        later steps, it stands under ``order``.
    n_iter_ : int

    Notes
    -----
    ``score_samples`` is exact, in nats. Rows with missing cells are summed over all their completions by a forward pass
    over the K ** order contexts; NaN at the end costs nothing. Tables of more than 25 million cells are kept as the
    contexts that occur, and then NaN is answered at the end of a row only.

    ValueError if the contexts are too many to number, or too many to sum over where a row needs it.

    References
    ----------
    Shannon (1948), "A mathematical theory of communication", section 3; Anderson & Goodman (1957), "Statistical
    inference about Markov chains".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import MarkovChain
    >>> X = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]])
    >>> model = MarkovChain(alpha=0).fit(X)
    >>> np.exp(model.score_samples([[0, 1, 0, np.nan]])).round(3)
    array([0.667])
    >>> model.tables_[1].loc[0].tolist()
    [0.0, 1.0]
    """

    order: Annotated[int, Interval(0)] = 1
    homogeneous: bool = True
    alpha: Annotated[float, Interval(0)] = 1.0
    step_features: Annotated[int, Interval(1)] = 1
    n_bins: Annotated[int, Interval(2, 1000)] | None = None
    max_iter: Annotated[int, Interval(1)] = 100
    tol: Annotated[float, Interval(0)] = 1e-6

    kinds = frozenset({"binary", "categorical"})
    missing = "exact"
    missing_in_fit = True
    streams = True
    known_gaps = MappingProxyType(
        {
            "unit_change": "steps are one variable in one unit: columns multiplied by numbers of their own are another table",
            "column_permutation": "columns are steps in time: in another order they are other sequences",
        }
    )

    # ---- steps and symbols

    def _read_steps(self) -> None:
        """How many steps, symbols and contexts there are."""
        F, d = self.step_features, len(self.columns_)
        if d % F:
            raise ValueError(f"step_features={F} does not divide the {d} columns of X: columns are step-major.")
        levels = self.columns_.n_levels.reshape(-1, F)
        if (levels != levels[0]).any():
            j = int(np.argmax((levels != levels[0]).any(axis=0)))
            raise ValueError(
                f"Column {self.columns_.names[j]!r} has {levels[0, j]} levels at the first step and others later: "
                f"pass column_kinds=skgen.columns(X, step_features={F}), which reads them as one."
            )
        self._levels = levels[0]
        self._n_steps = len(levels)
        self._K = int(np.prod(self._levels.astype(object)))
        self._k = min(self.order, self._n_steps - 1)
        if self._K ** (self._k + 1) >= 2**62:
            raise ValueError(f"order={self.order} over {self._K} symbols has more contexts than can be numbered: lower order.")
        self._small = self._K ** (self._k + 1) <= _MOST_CELLS

    def _symbols(self, X: np.ndarray) -> np.ndarray:
        """Symbol of each step, (n, T) int, -1 where a cell of the step is missing."""
        if X.shape[1] == self._n_steps:
            return np.where(np.isnan(X), -1, X).astype(np.int64)
        steps = X.reshape(len(X), self._n_steps, self.step_features)
        place = np.cumprod(np.append(1, self._levels[:0:-1]))[::-1]
        code = steps @ place.astype(float)
        return np.where(np.isnan(code), -1, code).astype(np.int64)

    def _masks(self, X: np.ndarray) -> np.ndarray:
        """1 for the symbols that a row may have at a step, (T, K, n)."""
        values = np.stack(np.unravel_index(np.arange(self._K), tuple(self._levels)))
        steps = X.reshape(len(X), self._n_steps, self.step_features).transpose(1, 2, 0)
        out = np.ones((len(steps), self._K, len(X)))
        for f, value in enumerate(values):
            x = steps[:, f][:, None]
            out *= (x == value[:, None]) | np.isnan(x)
        return out

    def _split(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Symbols, lengths, and a mask of the rows that miss a cell before their end."""
        symbols, length = self._symbols(X), lengths(X, self.step_features)
        inside = np.arange(self._n_steps) < length[:, None]
        return symbols, length, ((symbols < 0) & inside).any(axis=1)

    def _group(self, t: int) -> int:
        """Which table step t has."""
        return min(t, self._k) if self.homogeneous else t

    def _cells(self, symbols: np.ndarray, length: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """For each table: its number, the cell of each (row, step) that uses it, and which of these exist."""
        n, T = symbols.shape
        safe = np.maximum(symbols, 0)
        out = []
        for g in range(self._k + 1 if self.homogeneous else T):
            steps = range(g, T) if self.homogeneous and g == self._k else range(g, g + 1)
            cell = np.zeros((n, len(steps)), dtype=np.int64)
            for lag in range(min(g, self._k), -1, -1):
                cell *= self._K
                cell += safe[:, steps.start - lag : steps.stop - lag]
            out.append((g, cell, np.arange(steps.start, steps.stop) < length[:, None]))
        return out

    # ---- fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._read_steps()
        symbols, length, gaps = self._split(X)
        if self.homogeneous or not gaps.any():
            # cells that are wholly observed count; EM goes on from there where others are not
            start = self._count(symbols, length, weight)
        else:
            start = self._count(symbols[~gaps], length[~gaps], weight[~gaps])
        self._set(start)
        self.n_iter_ = 1
        if gaps.any():
            complete = self._count(symbols[~gaps], length[~gaps], weight[~gaps])
            rows, w, total = X[gaps], weight[gaps], weight.sum()
            _, self.n_iter_, converged = climb(lambda: self._step(complete, rows, w, total), self.max_iter, self.tol)
            if not converged:
                warn_not_converged(type(self).__name__, self.max_iter, self.tol)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        symbols, length, gaps = self._split(X)
        complete = self._count(symbols[~gaps], length[~gaps], weight[~gaps])
        if gaps.any():
            self._step(complete, X[gaps], weight[gaps], weight.sum())
        else:
            self._set(complete)

    def _partial_fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._read_steps()
        counts = self._count(*self._split(X)[:2], weight)  # steps that miss a cell of their context are left out
        before = vars(self).get("_counts")
        if before is not None:
            counts = [a + b if self._small else _merged(a, b) for a, b in zip(before, counts, strict=True)]
        self._counts, self.n_iter_ = counts, 1
        self._set(counts)

    def _count(self, symbols: np.ndarray, length: np.ndarray, weight: np.ndarray) -> list:
        """Weights of the cells of each table, over those (context, symbol) that are wholly observed."""
        out, missing = [], symbols < 0
        for g, cell, there in self._cells(symbols, length):
            steps = range(g, self._n_steps) if self.homogeneous and g == self._k else range(g, g + 1)
            if missing.any():
                there = there.copy()
                for lag in range(min(g, self._k) + 1):
                    there &= ~missing[:, steps.start - lag : steps.stop - lag]
            at = cell[there]
            w = np.broadcast_to(weight[:, None], there.shape)[there]
            if self._small:
                cells = self._K ** (min(g, self._k) + 1)
                out.append(np.bincount(at, w, cells).astype(float).reshape(-1, self._K))  # of nothing, whole numbers
            else:
                keys, where = np.unique(at, return_inverse=True)
                out.append((keys, np.bincount(where, w, len(keys))))
        return out

    def _set(self, counts: list) -> None:
        """p(x | context) = (c(context, x) + alpha) / (c(context) + alpha K), equal shares where nothing is known."""
        if self._small:
            self._tables = []
            for c in counts:
                total = c.sum(axis=1, keepdims=True) + self.alpha * self._K
                self._tables.append(np.where(total > 0, (c + self.alpha) / np.where(total > 0, total, 1.0), 1 / self._K))
        else:
            self._tables = [_Sparse.make(keys, c, self._K, self.alpha) for keys, c in counts]

    def _step(self, complete: list, X: np.ndarray, weight: np.ndarray, total: float) -> float:
        """One EM iteration over rows with gaps; the mean penalised log-likelihood before it."""
        self._check_affordable()
        counts = [c.copy() for c in complete]
        objective = sum(float(c[c > 0] @ np.log(p[c > 0])) for c, p in zip(complete, self._tables, strict=True))
        if self.alpha > 0:
            objective += self.alpha * sum(float(np.log(p).sum()) for p in self._tables)
        for chunk in self._chunks(len(X)):
            found, log_p = self._contexts.counts(self._masks(X[chunk]), weight[chunk])
            objective += float(weight[chunk] @ np.maximum(log_p, -1e300))
            for t, pairs in enumerate(found):
                counts[self._group(t)] += pairs
        self._set(counts)
        return objective / total

    # ---- log p and draws

    @property
    def _contexts(self) -> Contexts:
        return Contexts([self._tables[self._group(t)] for t in range(self._n_steps)], self._k)

    def _check_affordable(self) -> None:
        if not self._small:
            raise ValueError(
                f"order={self.order} over {self._K} symbols has {self._K**self._k:,} contexts, too many to sum over those of a "
                "missing cell: lower order, or let NaN stand at the end of rows only."
            )

    def _chunks(self, n: int) -> list[slice]:
        size = max(1, _HELD // (self._n_steps * (self._K**self._k + self._K)))
        return [slice(begin, begin + size) for begin in range(0, n, size)]

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        symbols, length, gaps = self._split(X)
        out = np.zeros(len(X))
        with np.errstate(divide="ignore"):
            for g, cell, there in self._cells(symbols, length):
                table = self._tables[g]
                p = table.reshape(-1)[cell] if self._small else table.at(cell.ravel()).reshape(cell.shape)
                out += np.where(there, np.log(p), 0.0).sum(axis=1)
            if gaps.any():
                self._check_affordable()
                rows = np.flatnonzero(gaps)
                for chunk in self._chunks(len(rows)):
                    _, scale = self._contexts.filter(self._masks(X[rows[chunk]]))
                    out[rows[chunk]] = np.log(scale).sum(axis=0)
        return out

    def _log_smoothing(self) -> float:
        if not self.alpha or not self._small:
            return 0.0
        return self.alpha * sum(float(np.log(p).sum()) for p in self._tables)

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._continue(np.full((n, self._n_steps), -1), np.zeros(n, dtype=int), rng)

    def _continue(self, symbols: np.ndarray, length: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows that go on from their ends, drawn forwards."""
        symbols = symbols.copy()
        context = np.zeros(len(symbols), dtype=np.int64)
        for t in range(self._n_steps):
            drawn = np.flatnonzero(length <= t)
            if len(drawn):
                table = self._tables[self._group(t)]
                p = table[context[drawn]] if self._small else table.rows(context[drawn])
                symbols[drawn, t] = draw_codes(p.T, rng)
            context = (context * self._K + symbols[:, t]) % self._K ** min(t + 1, self._k)
        return self._cells_of(symbols)

    def _cells_of(self, symbols: np.ndarray) -> np.ndarray:
        """Coded rows of symbols (n, T)."""
        steps = np.stack(np.unravel_index(symbols, tuple(self._levels)), axis=-1)
        return steps.reshape(len(symbols), len(self.columns_)).astype(float)

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        symbols, length, gaps = self._split(X)
        out = np.empty(X.shape)
        out[~gaps] = self._continue(symbols[~gaps], length[~gaps], rng)
        if gaps.any():
            self._check_affordable()
            rows = np.flatnonzero(gaps)
            for chunk in self._chunks(len(rows)):
                out[rows[chunk]] = self._cells_of(self._contexts.draw(self._masks(X[rows[chunk]]), rng).T)
        return np.where(np.isnan(X), out, X)

    # ---- what a user reads

    @property
    def tables_(self) -> dict[int, pd.DataFrame]:
        tables = self._tables  # of a part: its levels are those that the tables have, intervals where there are bins
        own = [pd.Index(levels) for levels in self.columns_.levels[: self.step_features]]
        symbol = own[0] if len(own) == 1 else pd.MultiIndex.from_product(own).to_flat_index()
        out = {}
        for g, table in enumerate(tables):
            m = min(g, self._k)
            context = np.arange(self._K**m) if self._small else table.contexts
            p = table if self._small else table.rows(context)
            before = [symbol[context // self._K ** (m - 1 - i) % self._K] for i in range(m)]
            names = [f"step -{m - i}" for i in range(m)]
            rows = pd.MultiIndex.from_arrays(before, names=names) if m > 1 else pd.Index(before[0], name=names[0]) if m else None
            out[g] = pd.DataFrame(p.copy(), index=rows, columns=symbol)
        return out

    def _n_parameters(self) -> int:
        return sum(self._K ** min(g, self._k) * (self._K - 1) for g in range(len(self._tables)))


class _Sparse:
    """A table as the cells that occur: sorted ``keys`` = context * K + symbol, and the contexts among them."""

    def __init__(self, keys: np.ndarray, count: np.ndarray, contexts: np.ndarray, total: np.ndarray, K: int, alpha: float):
        self.keys, self.count, self.contexts, self.total, self.K, self.alpha = keys, count, contexts, total, K, alpha

    @classmethod
    def make(cls, keys: np.ndarray, count: np.ndarray, K: int, alpha: float) -> _Sparse:
        contexts, where = np.unique(keys // K, return_inverse=True)
        return cls(keys, count, contexts, np.bincount(where, count, len(contexts)), K, alpha)

    def at(self, cell: np.ndarray) -> np.ndarray:
        """Probability of each cell."""
        total = _look_up(self.contexts, self.total, cell // self.K) + self.alpha * self.K
        p = (_look_up(self.keys, self.count, cell) + self.alpha) / np.where(total > 0, total, 1.0)
        return np.where(total > 0, p, 1 / self.K)

    def rows(self, context: np.ndarray) -> np.ndarray:
        """p(. | context), (n, K)."""
        return self.at((context[:, None] * self.K + np.arange(self.K)).ravel()).reshape(-1, self.K)


def _merged(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Keys and counts of both."""
    keys, where = np.unique(np.concatenate([a[0], b[0]]), return_inverse=True)
    return keys, np.bincount(where, np.concatenate([a[1], b[1]]), len(keys))


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value of each wanted key, 0 where there is none."""
    if not len(keys):
        return np.zeros(len(wanted))
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0.0)
