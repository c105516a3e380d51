"""Which graph: greedy search over directed acyclic graphs whose score is a sum over columns given their parents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import gammaln, xlogy

from skgen.ops.counts import count_pair
from skgen.ops.graphs import reachable
from skgen.ops.linear_gaussian import add_moments, regress

__all__ = ["MixedScore", "TableScore", "hill_climb", "mixed_information"]

#: Scores closer than this are equal: of two graphs that say the same, the arrow is taken that comes first.
_DIGITS = 7


class TableScore:
    r"""Score of a categorical column given its parents, from complete rows.

    With N_jk the weight of the rows with parents at configuration j and the column at level k, and N_j their sum:

    "bic": sum N_jk log(N_jk / N_j) - log(N) / 2 * q (K - 1) (Schwarz 1978), q configurations, K levels, N rows;
    "bdeu": the log marginal likelihood of a Dirichlet prior of ``ess`` rows spread evenly over the q K cells
    (Heckerman et al. 1995).

    Parameters
    ----------
    X : array of shape (n, d)
        Codes, no NaN.
    weight : array of shape (n,)
    levels : d ints
    kind : {"bic", "bdeu"}
    ess : float
        Equivalent sample size of the BDeu prior.
    most_cells : int
        A larger table scores -inf.

    Examples
    --------
    >>> X = np.array([[0.0, 0], [0, 0], [1, 1], [1, 1]])
    >>> score = TableScore(X, np.ones(4), [2, 2])
    >>> bool(score(1, [0]) > score(1, []))
    True
    """

    def __init__(
        self,
        X: np.ndarray,
        weight: np.ndarray,
        levels: Sequence[int],
        kind: Literal["bic", "bdeu"] = "bic",
        ess: float = 10.0,
        most_cells: int = 2**20,
    ):
        self.codes = np.ascontiguousarray(X.T).astype(np.intp)
        self.weight = None if (weight == 1).all() else weight
        self.levels, self.kind, self.ess, self.most_cells = list(levels), kind, ess, most_cells
        self.log_rows = float(np.log(weight.sum()))

    def __call__(self, child: int, parents: Sequence[int]) -> float:
        """The score of one column with these parents."""
        base, size = self._base(child, parents)
        return self._of(self._count(base, size), child, size // self.levels[child])

    def with_each(self, child: int, parents: Sequence[int], others: Sequence[int]) -> np.ndarray:
        """The score of the column with these parents and one of ``others``, an array."""
        base, size = self._base(child, parents)
        out = np.full(len(others), -np.inf)
        for at, j in enumerate(others):
            cells = size * self.levels[j]
            if cells <= self.most_cells:
                out[at] = self._of(self._count(base + size * self.codes[j], cells), child, cells // self.levels[child])
        return out

    def _base(self, child: int, parents: Sequence[int]) -> tuple[np.ndarray, int]:
        """Place of each row in a table whose last axis is the child, and its size."""
        place, size = self.codes[child], self.levels[child]
        for j in parents:
            place = place + size * self.codes[j]
            size *= self.levels[j]
        return place, size

    def _count(self, place: np.ndarray, cells: int) -> np.ndarray:
        return np.bincount(place, self.weight, cells)

    def _of(self, counts: np.ndarray, child: int, configurations: int) -> float:
        K = self.levels[child]
        counts = counts.reshape(-1, K).astype(float)
        total = counts.sum(axis=1)
        if self.kind == "bic":
            fit = xlogy(counts, counts).sum() - xlogy(total, total).sum()
            return float(fit - self.log_rows / 2 * configurations * (K - 1))
        cell = self.ess / (configurations * K)
        seen, held = counts[counts > 0], total[total > 0]  # the others contribute nothing
        cells = gammaln(seen + cell) - gammaln(cell)
        return float(cells.sum() - (gammaln(held + cell * K) - gammaln(cell * K)).sum())


class MixedScore:
    r"""The same where some columns are continuous: those by the BIC of one linear regression a configuration.

    -1/2 sum_q N_q (log 2 pi v_q + 1) - log(N) / 2 * q (continuous parents + 2), v_q the residual variance; -inf where
    there are more parameters than rows.

    Parameters
    ----------
    X : array of shape (n, d)
        Codes of discrete columns, standardised values of continuous ones; no NaN.
    weight : array of shape (n,)
    levels : d ints
        0 for a continuous column.
    tables : TableScore
        Of ``X``, for the discrete columns.
    alpha : float
        Pseudo-rows of each regression.
    """

    def __init__(self, X: np.ndarray, weight: np.ndarray, levels: Sequence[int], tables: TableScore, alpha: float):
        self.levels, self.tables, self.alpha, self.weight = list(levels), tables, alpha, weight
        self.continuous = [i for i, k in enumerate(levels) if not k]
        self.place = {i: 1 + at for at, i in enumerate(self.continuous)}
        self.u = np.column_stack([np.ones(len(X)), X[:, self.continuous]])
        self._moments: dict[tuple[int, ...], np.ndarray] = {}

    def __call__(self, child: int, parents: Sequence[int]) -> float:
        if self.levels[child]:
            return self.tables(child, parents)
        switches = tuple(sorted(j for j in parents if self.levels[j]))
        at = np.array([0, *(self.place[j] for j in parents if not self.levels[j]), self.place[child]])
        if parents and float(np.prod([self.levels[j] for j in switches], dtype=float)) * len(at) > len(self.u):
            return -np.inf
        moments = self._of(switches)
        part = moments[:, at][:, :, at]
        _, variance = regress(part, self.alpha)
        fit = -0.5 * float(part[:, 0, 0] @ (np.log(2 * np.pi * variance) + 1))
        return fit - self.tables.log_rows / 2 * len(part) * len(at)

    def with_each(self, child: int, parents: Sequence[int], others: Sequence[int]) -> np.ndarray:
        """The score of the column with these parents and one of ``others``, an array."""
        if self.levels[child]:
            return self.tables.with_each(child, parents, others)
        return np.array([self(child, [*parents, j]) for j in others])

    def _of(self, switches: tuple[int, ...]) -> np.ndarray:
        """Moments (Q, 1 + continuous, 1 + continuous) of the rows at each configuration of discrete columns."""
        if switches not in self._moments:
            code, Q = np.zeros(len(self.u), dtype=np.intp), 1
            for j in switches:
                code, Q = code * self.levels[j] + self.tables.codes[j], Q * self.levels[j]
            out = np.zeros((Q, self.u.shape[1], self.u.shape[1]))
            add_moments(out, code, self.weight, self.u)
            self._moments[switches] = out
        return self._moments[switches]


def mixed_information(X: np.ndarray, weight: np.ndarray, levels: Sequence[int], alpha: float) -> np.ndarray:
    r"""Mutual information of all pairs of columns in nats, from the rows that observe both.

    Two discrete columns: of their smoothed table. Two continuous: -1/2 log(1 - r^2), of the normal with their correlation.
    One of each: 1/2 log v - 1/2 sum_k p_k log v_k, v_k the variance at level k and v that of the mixture of normals as one.

    Parameters
    ----------
    X : array of shape (n, d)
    weight : array of shape (n,)
    levels : d ints
        0 for a continuous column.
    alpha : float
        Pseudo-counts a cell, pseudo-rows of mean 0 and variance 1 a level.

    Returns
    -------
    array of shape (d, d)
        Symmetric.
    """
    d = len(levels)
    out = np.zeros((d, d))
    for i in range(d):
        for j in range(i):
            seen = ~np.isnan(X[:, i] + X[:, j])
            x, y, w = X[seen, i], X[seen, j], weight[seen]
            if levels[i] and levels[j]:
                p = count_pair(x, y, w, levels[i], levels[j]) + alpha
                p /= max(p.sum(), np.finfo(float).tiny)
                found = xlogy(p, p).sum() - xlogy(p.sum(axis=0), p.sum(axis=0)).sum() - xlogy(p.sum(axis=1), p.sum(axis=1)).sum()
            elif levels[i] or levels[j]:
                x, y, k = (x, y, levels[i]) if levels[i] else (y, x, levels[j])
                m = np.stack([np.bincount(x.astype(np.intp), w * y**power, k) for power in range(3)]).T + alpha * np.array(
                    [1, 0, 1]
                )
                found = 0.5 * (np.log(_variance(m.sum(axis=0))) - m[:, 0] / max(m[:, 0].sum(), 1e-300) @ np.log(_variance(m)))
            else:
                u = np.column_stack([np.ones(len(x)), x, y])
                moments = (u * w[:, None]).T @ u
                alone, given = (regress(part[None], alpha)[1][0] for part in (moments[[0, 2]][:, [0, 2]], moments))
                found = 0.5 * np.log(alone / given)
            out[i, j] = out[j, i] = found
    return out


def _variance(moments: np.ndarray) -> np.ndarray:
    """From sums of 1, y and y^2 in the last axis; no less than a billionth."""
    mass = np.maximum(moments[..., 0], np.finfo(float).tiny)
    return np.maximum(moments[..., 2] / mass - (moments[..., 1] / mass) ** 2, 1e-9)


def hill_climb(
    score: TableScore | MixedScore,
    d: int,
    max_parents: int | None = None,
    allowed: np.ndarray | None = None,
    start: Sequence[Sequence[int]] | None = None,
) -> list[list[int]]:
    """Add, remove or reverse the one arrow that gains most, until none gains.

    Parameters
    ----------
    score : callable with ``with_each``
        As :class:`TableScore`: the score of a column and its parents.
    d : int
        Number of columns.
    max_parents : int, optional
    allowed : boolean array of shape (d, d), optional
        [j, i]: whether an arrow from j to i may be drawn.
    start : d lists of ints, optional
        The graph to begin with; without arrows by default.

    Returns
    -------
    d sorted lists of ints
        The parents of each column.

    Examples
    --------
    >>> X = np.random.default_rng(0).integers(0, 2, (300, 3)).astype(float)
    >>> X[:, 2] = X[:, 0]
    >>> hill_climb(TableScore(X, np.ones(300), [2, 2, 2]), 3)
    [[], [], [0]]
    """
    parents = [sorted(above) for above in start] if start is not None else [[] for _ in range(d)]
    allowed = ~np.eye(d, dtype=bool) if allowed is None else allowed & ~np.eye(d, dtype=bool)
    most = d if max_parents is None else max_parents
    add, drop = np.full((d, d), -np.inf), np.full((d, d), -np.inf)  # gain of the arrow j -> i, at [j, i]

    def refresh(i: int) -> None:
        now = score(i, parents[i])
        others = np.flatnonzero(allowed[:, i])
        others = others[~np.isin(others, parents[i])]
        add[:, i], drop[:, i] = -np.inf, -np.inf
        if len(parents[i]) < most:
            add[others, i] = score.with_each(i, parents[i], others.tolist()) - now
        for j in parents[i]:
            drop[j, i] = score(i, [k for k in parents[i] if k != j]) - now

    for i in range(d):
        refresh(i)
    while True:
        path = reachable(parents)
        moves = [(np.where(path.T, -np.inf, add), "add"), (drop, "drop")]
        turn = np.full((d, d), -np.inf)
        for i in range(d):
            for j in parents[i]:
                if allowed[i, j] and not any(path[j, k] for k in parents[i] if k != j):  # else another way leads from j to i
                    turn[j, i] = drop[j, i] + add[i, j]
        moves.append((turn, "turn"))
        best = [np.round(gain, _DIGITS).max() for gain, _ in moves]
        gain, what = moves[int(np.argmax(best))]
        if not max(best) > 0:
            return [sorted(above) for above in parents]
        j, i = divmod(int(np.argmax(np.round(gain, _DIGITS))), d)
        if what != "add":
            parents[i].remove(j)
        if what != "drop":
            child, new = (i, j) if what == "add" else (j, i)
            parents[child].append(new)
            refresh(child)
        if what != "add":
            refresh(i)
