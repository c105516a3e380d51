"""Weighted contingency tables of all pairs of columns, by matrix products, and the mutual information in them."""

from __future__ import annotations

import copy

import numpy as np
from scipy.special import xlogy

__all__ = ["PairCounts"]

_CHUNK = 2048  # rows: the features of a chunk stay in cache
#: Cells of the matrix of all pairwise tables that are held at once (32 MiB each for a table and its logarithms).
_HELD = 2**22
_STRIP = 2**17  # cells of it that are worked on at a time


class PairCounts:
    r"""c_ij(a, b) = sum of the weights of the rows with x_i = a and x_j = b, both observed.

    With H the one-hot coding of the rows, (n, F), F the levels of all columns together, every table is a block of
    H' diag(w) H; for binary columns without missing cells x itself will do, since c(0, b) = c(b) - c(1, b).

    Parameters
    ----------
    X : array of shape (n, d)
        Codes 0..levels-1; NaN where not observed.
    weight : array of shape (n,)
    levels : int array of shape (d,)

    Attributes
    ----------
    complete : bool
        Whether no cell is missing.

    Notes
    -----
    Whole-numbered weights are counted in single precision, a chunk of rows at a time, where every sum is a whole number
    below 2**24 and so exact; other weights in double precision.

    Examples
    --------
    >>> counts = PairCounts(np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]), np.ones(3), np.array([2, 2]))
    >>> counts.table(0, 1)
    array([[0., 1.],
           [1., 1.]])
    """

    def __init__(self, X: np.ndarray, weight: np.ndarray, levels: np.ndarray):
        self.X, self.weight, self.levels = X, weight, np.asarray(levels)
        self.start = np.append(0, np.cumsum(self.levels))  # the features of column j are start[j] : start[j + 1]
        small = weight.max(initial=0.0) * _CHUNK < 2**24
        self._dtype = np.float32 if small and bool((weight == np.floor(weight)).all()) else np.float64
        self._held: np.ndarray | None = None
        if bool((self.levels == 2).all()):
            ones = self._products_of_ones()
            self.complete = not np.isnan(ones.diagonal()).any()  # a missing cell makes its column's count NaN
            if self.complete:
                self._held = self._from_ones(ones)
        else:
            self.complete = not np.isnan(X).any()
        if self._held is None and self.start[-1] ** 2 <= _HELD:
            self._held = self._rows_of_tables(0, len(self.levels))
        self._total: np.ndarray | float | None = None

    def __add__(self, other: PairCounts) -> PairCounts:
        """The tables of both sets of rows, without the rows.

        Raises
        ------
        ValueError
            If there are too many levels to hold all tables at once.
        """
        if self._held is None or other._held is None:
            F = int(self.start[-1])
            raise ValueError(f"The columns have {F} levels together, and all {F * F:,} cells of their tables are too many to keep.")
        out = copy.copy(self)
        out.X = out.weight = None
        out._held, out.complete = self._held + other._held, self.complete and other.complete
        out._total = self._totals() + other._totals()
        return out

    def _products_of_ones(self) -> np.ndarray:
        """X' diag(w) X: for 0/1 columns the weight of the rows where both are 1."""
        out = np.zeros((len(self.levels), len(self.levels)))
        plain = bool((self.weight == 1).all())
        for begin in range(0, len(self.X), _CHUNK):
            x = self.X[begin : begin + _CHUNK].astype(self._dtype)
            # x' x with one and the same x costs half: the product is known to be symmetric
            out += x.T @ x if plain else (x * self.weight[begin : begin + _CHUNK, None].astype(self._dtype)).T @ x
        return out

    def _from_ones(self, ones: np.ndarray) -> np.ndarray:
        """All tables of binary columns without missing cells, from the counts of (1, 1)."""
        total, one = self.weight.sum(), ones.diagonal()
        out = np.empty((2 * len(one), 2 * len(one)))
        out[1::2, 1::2] = ones
        np.subtract(one[:, None], ones, out=out[1::2, 0::2])
        out[0::2, 1::2] = out[1::2, 0::2].T
        np.subtract(total - one, out[1::2, 0::2], out=out[0::2, 0::2])
        return np.maximum(out, 0.0, out=out)  # a difference of sums of fractions may fall below 0 by their rounding

    def _rows_of_tables(self, first: int, last: int) -> np.ndarray:
        """The tables of columns first..last-1 with every column, (their levels, F)."""
        at = slice(self.start[first], self.start[last])
        out = np.zeros((at.stop - at.start, int(self.start[-1])))
        plain = bool((self.weight == 1).all())
        for begin in range(0, len(self.X), _CHUNK):
            h = self._one_hot(self.X[begin : begin + _CHUNK])
            if plain:
                out += h[:, at].T @ h
            else:
                out += (h[:, at] * self.weight[begin : begin + _CHUNK, None].astype(self._dtype)).T @ h
        return out

    def _one_hot(self, X: np.ndarray) -> np.ndarray:
        """(n, F) zeros and ones; zeros where not observed."""
        out = np.zeros((len(X), int(self.start[-1])), dtype=self._dtype)
        place = X + self.start[:-1]
        place += (np.arange(len(X)) * out.shape[1])[:, None]
        place = place.ravel() if self.complete else place[~np.isnan(place)]
        out.reshape(-1)[place.astype(np.intp)] = 1
        return out

    def table(self, i: int, j: int) -> np.ndarray:
        """c_ij, (levels of i, levels of j)."""
        if self._held is not None:
            return self._held[self.start[i] : self.start[i + 1], self.start[j] : self.start[j + 1]]
        return count_pair(self.X[:, i], self.X[:, j], self.weight, int(self.levels[i]), int(self.levels[j]))

    def mutual_information(self, alpha: float) -> np.ndarray:
        r"""I_ij = sum_ab p(a, b) log p(a, b) / (p(a) p(b)) in nats, p = (c_ij + alpha) / (sum c_ij + alpha K_i K_j).

        p(a) and p(b) are the margins of that same table.

        Parameters
        ----------
        alpha : float
            Pseudo-counts in each cell of each table.

        Returns
        -------
        array of shape (d, d)
            Symmetric. The diagonal means nothing.
        """
        d, F = len(self.levels), int(self.start[-1])
        cells, rows = np.empty((d, d)), np.empty((d, d))
        most = (_HELD if self._held is None else _STRIP) // F  # levels of a strip: made anew, or in cache
        first, held = 0, self._held
        while first < d:
            last = max(first + 1, int(np.searchsorted(self.start, self.start[first] + most, side="right")) - 1)
            strip = self._rows_of_tables(first, last) if held is None else held[self.start[first] : self.start[last]]
            cells[first:last], rows[first:last] = self._sums(strip, first, last, alpha)
            first = last
        total = self._totals() + alpha * np.outer(self.levels, self.levels)
        safe = np.where(total > 0, total, 1.0)
        # with c the smoothed table, r and s its margins, T its sum:
        # I = (sum c log c - sum r log r - sum s log s) / T + log T
        return (cells - rows - rows.T) / safe + np.log(safe)

    def _sums(self, tables: np.ndarray, first: int, last: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """sum_ab c log c and sum_a r log r, each (last - first, d), of a strip of tables."""
        margin = self._add_levels(tables, 0, len(self.levels)) + alpha * self.levels
        c = tables + alpha
        if alpha > 0:
            c *= np.log(c)
            margin *= np.log(margin)
        else:
            c, margin = xlogy(c, c), xlogy(margin, margin)
        cells = self._add_levels(c, 0, len(self.levels))
        return self._add_levels(cells.T, first, last).T, self._add_levels(margin.T, first, last).T

    def _add_levels(self, a: np.ndarray, first: int, last: int) -> np.ndarray:
        """Sums over the levels of each of columns first..last-1, which lie along the last axis."""
        levels = self.levels[first:last]
        if (levels == levels[0]).all():  # strided sums: a few times faster than segments
            out = a[:, :: levels[0]].copy()
            for k in range(1, levels[0]):
                out += a[:, k :: levels[0]]
            return out
        return np.add.reduceat(a, self.start[first:last] - self.start[first], axis=1)

    def _totals(self) -> np.ndarray | float:
        """The weight of the rows where both columns are observed, (d, d) or one number."""
        if self._total is not None:
            return self._total
        if self.complete:
            return float(self.weight.sum())
        seen = ~np.isnan(self.X)
        return (seen * self.weight[:, None]).T @ seen


def count_pair(x: np.ndarray, y: np.ndarray, weight: np.ndarray, n_x: int, n_y: int) -> np.ndarray:
    """One weighted contingency table, (n_x, n_y), of the rows where both codes are observed."""
    place = x * n_y + y
    seen = ~np.isnan(place)
    if not seen.all():
        place, weight = place[seen], weight[seen]
    return np.bincount(place.astype(np.intp), weight, n_x * n_y).reshape(n_x, n_y)
