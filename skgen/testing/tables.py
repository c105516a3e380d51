"""Small tables that the conformance kit owns, and a way between their cells and plain numbers."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Column", "Table", "all_tables", "table"]

_SPAN = 400  # integers this far beyond those seen are summed over: the tails of a fit are long gone there


@dataclass(frozen=True)
class Column:
    """What the kit knows about a column: its kind, and the levels of a discrete one (of an integer one: its range)."""

    name: Any
    kind: str
    levels: tuple = ()


@dataclass(frozen=True, eq=False)
class Table:
    """A table, its labels, and a numeric code for each cell: a level's position, the number itself otherwise."""

    name: str
    X: Any
    columns: tuple[Column, ...]
    y: np.ndarray | None = None

    @property
    def kinds(self) -> set[str]:
        return {column.kind for column in self.columns}

    @property
    def continuous(self) -> list[int]:
        """Positions of the continuous columns."""
        return [j for j, column in enumerate(self.columns) if column.kind == "continuous"]

    def __len__(self) -> int:
        return len(self.X)

    def codes(self, X: Any) -> np.ndarray:
        """(n, d) numbers, NaN where a cell is missing."""
        if isinstance(X, np.ndarray):
            return X.astype(float)
        out = np.empty(X.shape)
        for j, column in enumerate(self.columns):
            cells = X.iloc[:, j]
            if column.kind == "categorical":
                code = pd.Index(column.levels).get_indexer(pd.Index(cells.astype(object)))
                out[:, j] = np.where(code < 0, np.nan, code)
            else:
                out[:, j] = cells.to_numpy(dtype=float, na_value=np.nan)
        return out

    def wrap(self, codes: np.ndarray) -> Any:
        """A table like ``X`` from numbers; NaN is a missing cell."""
        missing = np.isnan(codes)
        if isinstance(self.X, np.ndarray):
            return codes.copy() if missing.any() else codes.astype(self.X.dtype)
        data = {}
        for j, column in enumerate(self.columns):
            x, lost = codes[:, j], missing[:, j]
            if column.kind == "categorical":
                data[column.name] = pd.Categorical.from_codes(np.where(lost, -1, x).astype(int), list(column.levels))
            elif column.kind == "continuous":
                data[column.name] = x
            else:
                to, nullable = (bool, "boolean") if column.kind == "binary" else (np.int64, "Int64")
                whole = pd.array(np.where(lost, 0, x).astype(to))
                if lost.any():
                    whole = whole.astype(nullable)
                    whole[lost] = pd.NA
                data[column.name] = whole
        return pd.DataFrame(data)

    def states(self, j: int) -> np.ndarray:
        """Every code that column j can hold; integers over a range wide enough for any tail."""
        column = self.columns[j]
        if column.kind == "integer":
            return np.arange(column.levels[0] - _SPAN, column.levels[1] + _SPAN + 1, dtype=float)
        return np.arange(len(column.levels), dtype=float)

    def all_states(self) -> np.ndarray | None:
        """Every row of codes there is, or None where a column is continuous."""
        if self.continuous:
            return None
        return np.array(list(itertools.product(*(self.states(j) for j in range(len(self.columns))))))

    def rows(self, which: Any) -> Any:
        """Some rows of ``X``."""
        return self.X[which] if isinstance(self.X, np.ndarray) else self.X.iloc[which].reset_index(drop=True)


def _continuous(names: Any) -> tuple[Column, ...]:
    return tuple(Column(name, "continuous") for name in names)


def _mixture(rng: np.random.Generator, n: int, means: Any, shares: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a Gaussian mixture with a covariance of its own each, straddling zero, and their component."""
    means = np.asarray(means, dtype=float)
    d = means.shape[1]
    k = rng.choice(len(means), n, p=shares)
    roots = np.eye(d) * 0.8 + 0.35 * rng.standard_normal((len(means), d, d))
    return means[k] + np.einsum("nij,nj->ni", roots[k], rng.standard_normal((n, d))), k


def _line(rng: np.random.Generator) -> Table:
    k = rng.random(400) < 0.6
    x = np.where(k, -1 + 0.5 * rng.standard_normal(400), 1.5 + rng.standard_normal(400))
    return Table("line", x[:, None], _continuous([0]))


def _plane(rng: np.random.Generator) -> Table:
    X, _ = _mixture(rng, 500, [[-2, 0], [1.5, 1.5], [1, -2]], [0.5, 0.3, 0.2])
    return Table("plane", X, _continuous(range(2)))


def _space(rng: np.random.Generator) -> Table:
    X, _ = _mixture(rng, 800, 1.3 * rng.standard_normal((3, 5)), [0.5, 0.3, 0.2])
    return Table("space", X, _continuous(range(5)))


def _bits(rng: np.random.Generator) -> Table:
    k = rng.choice(3, 600, p=[0.5, 0.3, 0.2])
    on = rng.uniform(0.1, 0.9, (3, 8))
    X = (rng.random((600, 8)) < on[k]).astype(np.int64)
    return Table("bits", X, tuple(Column(j, "binary", (0, 1)) for j in range(8)))


_COLOURS = ("red", "green", "blue", "unseen")


def _counts(rng: np.random.Generator) -> Table:
    n = 500
    k = rng.random(n) < 0.4
    colour = np.where(k, rng.choice(3, n, p=[0.7, 0.2, 0.1]), rng.choice(3, n, p=[0.1, 0.3, 0.6]))
    visits = rng.poisson(np.where(k, 2.0, 7.0))
    flag = rng.random(n) < np.where(k, 0.8, 0.3)
    columns = (
        Column("colour", "categorical", _COLOURS),
        Column("flag", "binary", (False, True)),
        Column("visits", "integer", (int(visits.min()), int(visits.max()))),
    )
    made = Table("counts", pd.DataFrame(), columns)
    return Table("counts", made.wrap(np.column_stack([colour, flag, visits]).astype(float)), columns)


def _mixed(rng: np.random.Generator) -> Table:
    n = 600
    k = rng.choice(2, n, p=[0.65, 0.35])
    city = np.where(k == 0, rng.choice(3, n, p=[0.6, 0.3, 0.1]), rng.choice(3, n, p=[0.1, 0.3, 0.6]))
    member = rng.random(n) < np.where(k == 0, 0.25, 0.75)
    visits = rng.poisson(np.where(k == 0, 3.0, 6.0))
    balance = np.where(k == 0, -1.0, 2.0) + rng.standard_normal(n)
    rate = 0.5 * balance + 0.7 * rng.standard_normal(n)
    columns = (
        Column("city", "categorical", ("Bergen", "Lima", "Perth")),
        Column("member", "binary", (False, True)),
        Column("visits", "integer", (int(visits.min()), int(visits.max()))),
        Column("balance", "continuous"),
        Column("rate", "continuous"),
    )
    codes = np.column_stack([city, member, visits, balance, rate]).astype(float)
    y = np.where(rng.random(n) < 0.9, k, 1 - k)
    return Table("mixed", Table("mixed", pd.DataFrame(), columns).wrap(codes), columns, np.array(["no", "yes"])[y])


def _blobs(rng: np.random.Generator) -> Table:
    X, k = _mixture(rng, 300, [[-2, 0.5], [1, 2], [1.5, -1.5]], [0.55, 0.3, 0.15])
    return Table("blobs", X, _continuous(range(2)), np.array(["ash", "birch", "cedar"])[k])


def _labelled_bits(rng: np.random.Generator) -> Table:
    y = rng.choice(3, 400, p=[0.55, 0.3, 0.15])
    on = rng.uniform(0.1, 0.9, (3, 6))
    X = (rng.random((400, 6)) < on[y]).astype(np.int64)
    return Table("labelled_bits", X, tuple(Column(j, "binary", (0, 1)) for j in range(6)), y * 10)


_MAKERS: tuple[Callable[[np.random.Generator], Table], ...] = (
    _line,
    _plane,
    _space,
    _bits,
    _counts,
    _mixed,
    _blobs,
    _labelled_bits,
)


@functools.cache
def table(name: str) -> Table:
    """One of the kit's tables; the same cells always."""
    position = [maker.__name__[1:] for maker in _MAKERS].index(name)
    return _MAKERS[position](np.random.default_rng([20240229, position]))


def all_tables() -> list[Table]:
    """Every table of the kit: line, plane, space, bits, counts, mixed, blobs, labelled_bits."""
    return [table(maker.__name__[1:]) for maker in _MAKERS]
