"""Which graph: greedy search over directed acyclic graphs whose score is a sum over columns given their parents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import gammaln, xlogy

from skgen.ops.graphs import reachable

__all__ = ["TableScore", "hill_climb"]

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


def hill_climb(
    score: TableScore,
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
