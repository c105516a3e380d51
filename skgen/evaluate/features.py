"""Rows of any table as points, so that real and generated rows are measured with one ruler."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from skgen.containers import as_table
from skgen.reading import ColumnWarning, columns
from skgen.tables import Columns

__all__ = ["encode_alike", "foreign", "points"]

_FAR = 1e8  # standard deviations: a wild draw is far away, and its square finite
_LEAST = 1e-6  # of a classifier's probabilities, before the logarithm


def encode_alike(kinds: Any, *tables: Any) -> tuple[Columns, list[np.ndarray]]:
    """Codes of tables of the same columns: kinds, levels and units are those of the first.

    Parameters
    ----------
    kinds : None, Columns or {column: kind}
        How the first table is read; None goes by its dtypes.
    *tables : array-likes or data frames of shape (n, d)
        Frames are matched by name, arrays by position.

    Returns
    -------
    columns : Columns
    codes : list of float arrays of shape (n, d)
        NaN where a cell is missing, or holds what the first table's column cannot.

    Raises
    ------
    ValueError
        If the tables differ in columns; the message names one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColumnWarning)  # of densities; here only distances are wanted
        read = columns(tables[0], "auto" if kinds is None else kinds)
    return read, [read.encode(_matched(read, X))[0] for X in tables]


def _matched(read: Columns, X: Any) -> Any:
    """The table, its columns in the order of those read."""
    table, container = as_table(X, "evaluate")
    if container.kind != "array" and read.container.kind != "array" and list(table.columns) != read.names:
        odd = [name for name in read.names if name not in table.columns]
        if odd:
            raise ValueError(f"Column {odd[0]!r} of the real rows is not in the other table: give tables of the same columns.")
        table = table[read.names]
    if table.shape[1] != len(read):
        raise ValueError(f"The tables have {len(read)} and {table.shape[1]} columns: give tables of the same columns.")
    return table


def foreign(read: Columns, X: Any) -> float:
    """Share of the rows that hold a cell which the columns cannot: a level that no real row has, 2.5 among integers."""
    _, outside = read.encode(_matched(read, X))
    return 0.0 if outside is None else float(outside.mean())


def _default(kinds: Any, tables: tuple) -> list[np.ndarray]:
    """Numbers standardised by the first table, levels one-hot, and a mark for each column that misses cells.

    Two levels that differ are 2 apart, squared, which is what two independent standardised numbers are on average.
    """
    read, codes = encode_alike(kinds, *tables)
    blocks: list[list[np.ndarray]] = [[] for _ in codes]
    for j, n_levels in enumerate(read.n_levels):
        cells = [Z[:, j] for Z in codes]
        missing = [np.isnan(x) for x in cells]
        if n_levels > 2:
            coded = [np.where(m[:, None], 0.0, x[:, None] == np.arange(n_levels)) for x, m in zip(cells, missing, strict=True)]
        elif n_levels:
            coded = [np.where(m, np.sqrt(0.5), np.sqrt(2.0) * x)[:, None] for x, m in zip(cells, missing, strict=True)]
        else:
            centre, spread = 0.0, 1.0  # continuous columns are standardised as they are read
            seen = cells[0][~missing[0]]
            if read.kinds[j] == "integer" and len(seen):
                centre, spread = seen.mean(), seen.std() or 1.0
            coded = [
                np.clip(np.where(m, 0.0, (x - centre) / spread), -_FAR, _FAR)[:, None] for x, m in zip(cells, missing, strict=True)
            ]
        for block, columns_of_it, m in zip(blocks, coded, missing, strict=True):
            block.append(columns_of_it)
            if any(some.any() for some in missing):
                block.append(m.astype(float)[:, None])
    return [np.concatenate(block, axis=1) for block in blocks]


def points(features: Any, *tables: Any) -> list[np.ndarray]:
    """Each table as a float matrix of points, one a row.

    Parameters
    ----------
    features : None, Columns, {column: kind}, fitted transformer, fitted classifier or callable
        None reads the first table's columns by dtype: numbers are standardised, levels one-hot, missing cells marked. A
        Columns (``model.columns_``, say) or a dict of kinds says how they are read. A transformer gives ``transform(X)``;
        a classifier its log-probabilities; a callable what it returns.
    *tables : array-likes or data frames of shape (n, d)

    Returns
    -------
    list of float arrays of shape (n, p)

    Raises
    ------
    ValueError
        If the features are no finite matrix with one row for each row.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": [1.0, 3.0], "sex": ["F", "M"]})
    >>> points(None, frame)[0].round(2)
    array([[-1.  ,  0.  ],
           [ 1.  ,  1.41]])
    """
    if features is None or isinstance(features, (Columns, Mapping)):
        return _default(features, tables)
    if isinstance(features, type):
        raise ValueError(f"features={features.__name__} is a class: pass a fitted instance.")
    if hasattr(features, "transform"):
        found = [features.transform(X) for X in tables]
    elif hasattr(features, "predict_proba"):
        found = [np.log(np.maximum(features.predict_proba(X), _LEAST)) for X in tables]
    elif callable(features):
        found = [features(X) for X in tables]
    else:
        raise ValueError(
            f"features={features!r} must be None, a Columns, a fitted transformer or classifier, or a callable that gives a matrix."
        )
    out = []
    for X, F in zip(tables, found, strict=True):
        F = F.toarray() if sparse.issparse(F) else F.to_numpy() if isinstance(F, pd.DataFrame) else F
        F = np.asarray(F, dtype=float)
        F = F[:, None] if F.ndim == 1 else F
        if F.ndim != 2 or len(F) != len(X) or not np.isfinite(F).all():
            raise ValueError(
                f"features gave shape {F.shape} for {len(X)} rows, or a number that is not finite: give one finite row each."
            )
        out.append(F)
    return out
