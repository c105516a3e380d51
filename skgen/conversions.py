"""The correct ways to show a column to a model that does not take its kind; everything else is refused.

=============================  ==========================================================================  =========
from -> to                     how                                                                         log p is
=============================  ==========================================================================  =========
binary, integer -> continuous  uniform dequantisation: x + u on fixed offsets u, the cell's mass their mean  estimate
continuous -> categorical      quantile bins; uniform inside, exponential tails                              exact
integer -> categorical         the same bins; uniform over the integers inside, geometric tails              exact
continuous, integer -> binary  the bits of 2^b such bins                                                     exact
bernoulli -> continuous        as a number, standardised; draws are brought into [0, 1]                      exact
=============================  ==========================================================================  =========

Here "bernoulli" is binned as "continuous" is.

What a dequantised column's density holds outside the values that a binary column can take is lost from log p, while a
draw there becomes the nearer value: with a flexible density a few hundredths of a nat, with one wide normal up to 0.2.

A category has no correct number, so nothing turns categorical columns into another kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from skgen.tables import Columns

__all__ = ["N_OFFSETS", "Coding"]

#: Offsets at which a dequantised row is scored.
N_OFFSETS = 8
_DISTINCT = 128  # with so many distinct rows a fit sees each at one offset, chosen by the row itself; with fewer, at all


@dataclass
class Bins:
    """Intervals between ``edges``, uniform inside, with tails of mean excess ``left`` and ``right`` beyond the ends."""

    edges: np.ndarray
    left: float
    right: float
    integer: bool

    @classmethod
    def from_values(cls, x: np.ndarray, weight: np.ndarray, n_bins: int, integer: bool) -> Bins:
        """Edges at the quantiles of ``x``. For integers an edge is the first integer of its bin.

        A value that more than one row in ``n_bins`` has is a bin of its own, and the quantiles are those of the rest:
        there may be a few bins more than asked for.
        """
        values, where = np.unique(x, return_inverse=True)
        mass = np.bincount(where, weight)
        heavy = mass > mass.sum() / n_bins
        if integer and len(values) <= n_bins:
            # every value its own bin; a gap goes to the value that ends it, but for the last, where the tail starts
            cuts = np.append(values[:-2] + 1, values[-1:])
        else:
            left, rest = max(n_bins - int(heavy.sum()), 1), np.where(heavy, 0.0, mass)
            share = np.cumsum(rest) - rest / 2  # of a value: a row of weight 2 is the row twice
            cuts = values[np.searchsorted(share, np.arange(1, left) / left * rest.sum()).clip(max=len(values) - 1)]
        following = np.append(values[1:], values[-1] + 1)[heavy]
        if integer:  # the bin after a heavy value begins with the next integer, not with the next value seen
            cuts, following = np.setdiff1d(cuts, following), values[heavy] + 1
        edges = np.unique(np.concatenate([cuts, values[heavy], following]))
        edges = edges[(edges > values[0]) & (edges <= values[-1])]
        if not len(edges):
            edges = values[-1:]
        below, above = x < edges[0], x >= edges[-1]
        start = edges[0] - 1 if integer else edges[0]  # where the left tail begins
        prior = (1.0 if integer else max(values[-1] - values[0], 1.0)) / n_bins  # one pseudo-row: a tail is never a point

        def excess(distance: np.ndarray, w: np.ndarray) -> float:
            return float((w @ distance + prior) / (w.sum() + 1))

        return cls(edges, excess(start - x[below], weight[below]), excess(x[above] - edges[-1], weight[above]), integer)

    def __len__(self) -> int:
        return len(self.edges) + 1

    def encode(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bin of each value (NaN stays), and log p(x | bin): 0 where not observed."""
        missing = np.isnan(x)
        x = np.where(missing, self.edges[0], x)
        code = np.searchsorted(self.edges, x, side="right")
        # p(x | bin) = 1 / width inside, exp(-excess / mean) / mean in a tail (geometric for integers)
        log_p = np.append(0.0, np.append(-np.log(np.diff(self.edges)), 0.0))[code]
        lowest, highest = code == 0, code == len(self.edges)
        log_p[lowest] = self._log_tail(self._start - x[lowest], self.left)
        log_p[highest] = self._log_tail(x[highest] - self.edges[-1], self.right)
        log_p[missing] = 0.0
        return np.where(missing, np.nan, code), log_p

    @property
    def _start(self) -> float:
        return self.edges[0] - 1 if self.integer else self.edges[0]

    def _log_tail(self, excess: np.ndarray, mean: float) -> np.ndarray:
        if self.integer:  # (1 - q) q^excess with q = mean / (1 + mean)
            return excess * np.log(mean / (1 + mean)) - np.log1p(mean)
        return -excess / mean - np.log(mean)

    def decode(self, code: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A value drawn from each bin."""
        missing = np.isnan(code)
        code = np.where(missing, 0, code).astype(int)
        low = np.append(self._start, self.edges)[code]
        width = np.append(0.0, np.append(np.diff(self.edges), 0.0))[code]
        x = low + width * rng.random(len(code))
        x = np.floor(x) if self.integer else x
        lowest, highest = code == 0, code == len(self.edges)
        x[lowest] = self._start - self._draw_tail(lowest.sum(), self.left, rng)
        x[highest] = self.edges[-1] + self._draw_tail(highest.sum(), self.right, rng)
        x[missing] = np.nan
        return x

    def _draw_tail(self, n: int, mean: float, rng: np.random.Generator) -> np.ndarray:
        return rng.geometric(1 / (1 + mean), n) - 1.0 if self.integer else rng.exponential(mean, n)


class Coding:
    """The way from coded columns to the columns a model takes, and back.

    Parameters
    ----------
    columns : Columns
        Those of the data.
    kinds : set of str
        What the model takes natively.
    model : str
        Its name, for messages.
    X : array of shape (n, d)
        Coded rows that bins and scales are read from.
    weight : array of shape (n,)
    n_bins : int or None
        None: the cube root of the number of rows a class, between 2 and 16. What is binned is fitted a class at a time,
        and a table of two such columns then has fewer cells than its class has rows; with the cube root of all rows,
        trees had a higher log-loss on six of eight sets.
    advice : callable
        Given a set of kinds, the registered models that take them; for the message.
    n_classes : int
        Classes of the rows.

    Raises
    ------
    ValueError
        Naming the column, its kind and models that take it, where no correct conversion exists.
    """

    def __init__(
        self,
        columns: Columns,
        kinds: set[str],
        model: str,
        X: np.ndarray,
        weight: np.ndarray,
        n_bins: int | None,
        advice: Callable[[set[str]], str],
        n_classes: int = 1,
    ):
        self.source = columns
        self.bins: dict[int, Bins] = {}
        self.bits: dict[int, int] = {}
        self.offset: np.ndarray | None = None  # (N_OFFSETS, d), where dequantised
        how = [self._route(kind, kinds) for kind in columns.kinds]
        for j, way in enumerate(how):
            if way is None:
                raise ValueError(
                    f"Column {columns.names[j]!r} is {columns.kinds[j]}, which {model} cannot take: it takes "
                    f"{', '.join(sorted(kinds))}. Models that take it: {advice(set(columns.kinds))}."
                )
        self.dequantised = np.array([way == "dequantise" for way in how], dtype=bool)
        self.rescaled = np.array([way == "rescale" for way in how], dtype=bool)
        self.identity = all(way == "as is" for way in how)
        if self.identity:
            self.columns = columns
            return
        if n_bins is None:
            n_bins = int(np.clip(round(float(np.cbrt(weight.sum() / n_classes))), 2, 16))
        for j, way in enumerate(how):
            if way in ("bins", "bits"):
                first = int(np.flatnonzero(columns.group == columns.group[j])[0])
                self.bins[j] = self.bins[first] if first in self.bins else self._fit_bins(X, weight, j, n_bins, way == "bits")
                if way == "bits":
                    self.bits[j] = int(np.log2(len(self.bins[j])))
        self.columns = self._view(X, weight)

    @staticmethod
    def _route(kind: str, kinds: set[str]) -> str | None:
        if kind in kinds or (kind == "binary" and "categorical" in kinds):
            return "as is"
        if kind in ("binary", "integer") and "continuous" in kinds:
            return "dequantise"
        if kind == "bernoulli" and "continuous" in kinds:
            return "rescale"
        if kind in ("continuous", "integer", "bernoulli") and "categorical" in kinds:
            return "bins"
        if kind in ("continuous", "integer", "bernoulli") and "binary" in kinds:
            return "bits"
        return None

    def _fit_bins(self, X: np.ndarray, weight: np.ndarray, j: int, n_bins: int, power_of_two: bool) -> Bins:
        members = np.flatnonzero(self.source.group == self.source.group[j])
        x, w = X[:, members].T.ravel(), np.tile(weight, len(members))
        seen = ~np.isnan(x)
        x, w = (x[seen], w[seen]) if seen.any() else (np.zeros(1), np.ones(1))
        integer = self.source.kinds[j] == "integer"
        bins = Bins.from_values(x, w, n_bins, integer)
        while power_of_two and len(bins) & (len(bins) - 1):  # one-to-one needs 2^b bins
            kept = np.linspace(0, len(bins.edges) - 1, 2 ** int(np.log2(len(bins))) - 1).round().astype(int)
            bins = Bins(bins.edges[np.unique(kept)], bins.left, bins.right, integer)
        return bins

    def _interval_names(self, j: int) -> pd.Index:
        """The bins of column j in the units of the data: "below 1.5", "1.5 to 2", "2 and above"."""
        bins = self.bins[j]
        if bins.integer:
            low, high = bins.edges[:-1], bins.edges[1:] - 1
            inside = [f"{a:.0f}" if a == b else f"{a:.0f} to {b:.0f}" for a, b in zip(low, high, strict=True)]
            return pd.Index([f"{bins.edges[0] - 1:.0f} and below", *inside, f"{bins.edges[-1]:.0f} and above"])
        edges = self.source._decode_column(bins.edges, j)
        if isinstance(edges, np.ndarray):
            digits = next((p for p in range(4, 17) if len({f"{v:.{p}g}" for v in edges}) == len(edges)), 17)
            cuts = [f"{v:.{digits}g}" for v in edges]
        else:
            cuts = [str(v) for v in edges]  # dates
        return pd.Index([f"below {cuts[0]}", *(f"{a} to {b}" for a, b in pairwise(cuts)), f"{cuts[-1]} and above"])

    def _view(self, X: np.ndarray, weight: np.ndarray) -> Columns:
        """The columns as the model sees them."""
        source = self.source
        names, kinds, levels, parent = [], [], [], []
        for j in range(len(source)):
            if j in self.bits:
                for b in range(self.bits[j]):
                    names.append(f"{source.names[j]}[bit {b}]")
                    kinds.append("binary")
                    levels.append(pd.Index([0, 1]))
                    parent.append(j)
                continue
            names.append(source.names[j])
            parent.append(j)
            numeric = self.dequantised[j] or self.rescaled[j]
            kinds.append("categorical" if j in self.bins else "continuous" if numeric else source.kinds[j])
            levels.append(self._interval_names(j) if j in self.bins else None if self.dequantised[j] else source.levels[j])
        view = Columns(names, kinds, levels, source.group[parent], source.container, [None] * len(names))
        self.parent = view.parent = np.array(parent)
        view.loc, view.scale = source.loc[parent], source.scale[parent]
        view.low, view.high = source.low[parent], source.high[parent]
        if self.dequantised.any():
            # a fixed Latin hypercube: each column sees the midpoints of N_OFFSETS equal slices of its cell
            slices = np.random.default_rng(0).permuted(np.tile(np.arange(N_OFFSETS), (len(source), 1)), axis=1)
            self.offset = (slices.T + 0.5) / N_OFFSETS
        for which, extra in ((self.dequantised, 1 / 12), (self.rescaled, 0.0)):  # the variance of u, where x + u is shown
            for g in np.unique(source.group[which]):
                members = np.flatnonzero(which & (source.group == g))
                x = X[:, members] + (0.5 if extra else 0.0)
                w = np.where(np.isnan(x), 0, weight[:, None])
                mean = (w * np.nan_to_num(x)).sum() / max(w.sum(), np.finfo(float).tiny)
                variance = (w * np.nan_to_num(x - mean) ** 2).sum() / max(w.sum(), np.finfo(float).tiny) + extra
                at = np.isin(self.parent, members)
                view.loc[at], view.scale[at] = mean, np.sqrt(variance) if variance > 1e-26 else 1.0
        return view

    @property
    def likelihood(self) -> str:
        return "estimate" if self.dequantised.any() else "exact"

    @property
    def n_offsets(self) -> int:
        return N_OFFSETS if self.dequantised.any() else 1

    def encode(self, X: np.ndarray, offset: int | None = None) -> tuple[np.ndarray, np.ndarray | float]:
        """Rows as the model takes them, and what log p gains: log p(x) = log p(Z) + that.

        ``offset=None`` places each dequantised row at an offset of its own, a function of its cells.
        """
        if self.identity:
            return X, 0.0
        pieces, gain = [], np.zeros(len(X))
        which = self._own_offset(X) if offset is None and self.offset is not None else offset
        for j in range(X.shape[1]):
            x = X[:, j]
            if self.dequantised[j] or self.rescaled[j]:
                at = int(np.searchsorted(self.parent, j))
                u = self.offset[which, j] if self.dequantised[j] else 0.0
                pieces.append((x + u - self.columns.loc[at]) / self.columns.scale[at])
                gain -= np.where(np.isnan(x), 0, np.log(self.columns.scale[at]))
            elif j in self.bins:
                code, log_p = self.bins[j].encode(x)
                gain += log_p
                pieces.extend(self._to_bits(code, self.bits[j]) if j in self.bits else [code])
            else:
                pieces.append(x)
        return np.column_stack(pieces), gain

    def rows_to_fit(self, X: np.ndarray) -> tuple[np.ndarray, int]:
        """Rows as the model learns from them, and how often each row of X is among them, to divide its weight by.

        A few values would each come with one offset only, and their mean would be off: then a row is seen at all.
        """
        if self.offset is None or len(np.unique(self._scatter(X))) >= _DISTINCT:
            return self.encode(X)[0], 1
        return np.concatenate([self.encode(X, m)[0] for m in range(N_OFFSETS)]), N_OFFSETS

    def _own_offset(self, X: np.ndarray) -> np.ndarray:
        return (N_OFFSETS * self._scatter(X)).astype(int) % N_OFFSETS

    def _scatter(self, X: np.ndarray) -> np.ndarray:
        """A number in [0, 1) for each row, the same wherever the row stands."""
        cells = np.nan_to_num(X[:, self.dequantised])
        mixed = cells * np.sqrt(np.arange(2, 2 + cells.shape[1]))  # irrational multiples: their fractional parts scatter
        return mixed.sum(axis=1) * 0.6180339887498949 % 1.0

    @staticmethod
    def _to_bits(code: np.ndarray, b: int) -> list[np.ndarray]:
        missing = np.isnan(code)
        whole = np.where(missing, 0, code).astype(int)
        return [np.where(missing, np.nan, whole >> i & 1) for i in range(b)]

    def decode(self, Z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Coded rows of the data from rows of the model; a value inside a bin or cell is drawn."""
        if self.identity:
            return Z
        X = np.empty((len(Z), len(self.source)))
        for j in range(X.shape[1]):
            at = np.flatnonzero(self.parent == j)
            if j in self.bits:
                code = (Z[:, at] * 2.0 ** np.arange(len(at))).sum(axis=1)
                X[:, j] = self.bins[j].decode(code, rng)
            elif j in self.bins:
                X[:, j] = self.bins[j].decode(Z[:, at[0]], rng)
            elif self.dequantised[j]:
                x = np.floor(Z[:, at[0]] * self.columns.scale[at[0]] + self.columns.loc[at[0]])
                X[:, j] = np.clip(x, 0, 1) if self.source.kinds[j] == "binary" else x
            elif self.rescaled[j]:
                X[:, j] = np.clip(Z[:, at[0]] * self.columns.scale[at[0]] + self.columns.loc[at[0]], 0, 1)
            else:
                X[:, j] = Z[:, at[0]]
        return X
