"""The container given is the container returned: arrays and data frames in, pandas inside, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_array

__all__ = ["Container", "as_table", "from_plain", "to_plain", "with_index_of"]


_ARGUMENTS = ("categories", "time_unit", "time_zone")  # of a narwhals dtype


def to_plain(value: Any) -> Any:
    """A pandas index or dtype as lists, arrays and text, for files that hold no pandas objects; anything else as it is."""
    if isinstance(value, pd.RangeIndex):
        return {"pandas": "range", "stop": value.stop} if (value.start, value.step) == (0, 1) else value
    if isinstance(value, pd.MultiIndex):
        return value
    if isinstance(value, pd.Index):
        cells = value.to_numpy() if isinstance(value.dtype, np.dtype) and value.dtype != object else value.tolist()
        return {"pandas": "index", "cells": cells, "dtype": str(value.dtype), "name": value.name}
    if isinstance(value, pd.CategoricalDtype):
        return {"pandas": "category", "categories": to_plain(value.categories), "ordered": value.ordered}
    if isinstance(value, pd.api.extensions.ExtensionDtype):
        return {"pandas": "dtype", "dtype": str(value)}
    if type(value).__module__ == "narwhals.dtypes":
        return {"narwhals": type(value).__name__, "arguments": {a: getattr(value, a) for a in _ARGUMENTS if hasattr(value, a)}}
    return value


def from_plain(value: Any) -> Any:
    """The way back from ``to_plain``."""
    if isinstance(value, dict) and "narwhals" in value:
        import narwhals as nw

        dtype = getattr(nw, value["narwhals"])
        if not (isinstance(dtype, type) and issubclass(dtype, nw.dtypes.DType)):
            raise ValueError(f"{value['narwhals']!r} is no type of a column")
        return dtype(**value["arguments"])
    kind = value.get("pandas") if isinstance(value, dict) else None
    if kind == "range":
        return pd.RangeIndex(value["stop"])
    if kind == "index":
        return pd.Index(value["cells"], dtype=_modest(value["dtype"]), name=value["name"], tupleize_cols=False)
    if kind == "category":
        return pd.CategoricalDtype(from_plain(value["categories"]), value["ordered"])
    return _modest(value["dtype"]) if kind == "dtype" else value


def _modest(name: str) -> Any:
    """A dtype of a column or an index; not bytes of any width, by which one word of a file would take gigabytes."""
    dtype = pd.api.types.pandas_dtype(name)
    if isinstance(dtype, np.dtype) and dtype.kind not in "biufcmMO":
        raise ValueError(f"{name!r} is no type of a column")
    return dtype


@dataclass(frozen=True)
class Container:
    """What a table came in: ``kind`` "array", "pandas" or "narwhals" (polars, pyarrow, ...), and how to make another."""

    kind: str
    dtype: Any = None
    columns: Any = None
    schema: dict[str, Any] = field(default_factory=dict)
    backend: Any = None

    def __getstate__(self) -> dict[str, Any]:
        schema = {name: to_plain(dtype) for name, dtype in self.schema.items()}
        return {**vars(self), "columns": to_plain(self.columns), "schema": schema}

    def __setstate__(self, state: dict[str, Any]) -> None:
        schema = {name: from_plain(dtype) for name, dtype in state["schema"].items()}
        vars(self).update(state, columns=from_plain(state["columns"]), schema=schema)

    def wrap(self, data: list[np.ndarray], dtypes: list[Any]) -> Any:
        """A table of this container from one array a column."""
        if self.kind == "array":
            if not data or self.dtype == object:
                rows = len(data[0]) if data else 0
                out = np.empty((rows, len(data)), dtype=self.dtype)
                for j, values in enumerate(data):
                    out[:, j] = values
                return out
            return np.column_stack(data).astype(self.dtype, copy=False)
        series = {j: pd.Series(values).astype(dtype) for j, (values, dtype) in enumerate(zip(data, dtypes, strict=True))}
        frame = pd.DataFrame(series)
        frame.columns = self.columns
        if self.kind == "pandas":
            return frame
        import narwhals as nw

        cells = [frame.iloc[:, j].astype(object) for j in range(len(self.columns))]
        as_lists = {name: column.where(column.notna(), None).tolist() for name, column in zip(self.columns, cells, strict=True)}
        return nw.from_dict(as_lists, schema=self.schema, backend=self.backend).to_native()


def _from_narwhals(frame: Any) -> tuple[pd.DataFrame, Container]:
    """A pandas frame of the same cells; categories keep their order and nulls stay missing."""
    import narwhals as nw

    data = {}
    for j, name in enumerate(frame.columns):
        series = frame.get_column(name)
        dtype, cells = series.dtype, series.to_list()
        if isinstance(dtype, (nw.Categorical, nw.Enum)):
            data[j] = pd.Categorical(cells, categories=list(dtype.categories) if isinstance(dtype, nw.Enum) else None)
        elif dtype == nw.Boolean:
            data[j] = pd.array(cells, dtype="boolean")
        elif dtype.is_integer():
            data[j] = pd.array(cells, dtype="Int64")
        elif dtype.is_numeric():
            data[j] = np.array([np.nan if c is None else c for c in cells], dtype=float)
        elif dtype.is_temporal():
            data[j] = pd.to_timedelta(pd.Series(cells)) if dtype == nw.Duration else pd.to_datetime(pd.Series(cells))
        else:
            data[j] = pd.Series(cells, dtype=object)
    table = pd.DataFrame(data, columns=range(len(frame.columns)))
    table.columns = frame.columns
    return table, Container("narwhals", columns=list(frame.columns), schema=dict(frame.schema), backend=frame.implementation.value)


def with_index_of(X: Any, rows: Any) -> Any:
    """Rows that answer those of X one by one; in a pandas frame, with its index."""
    if isinstance(X, pd.DataFrame) and isinstance(rows, pd.DataFrame):
        rows.index = X.index
    return rows


def as_table(X: Any, name: str) -> tuple[np.ndarray | pd.DataFrame, Container]:
    """``X`` as a numeric array (one dtype) or a pandas frame (a dtype each column).

    Parameters
    ----------
    X : array-like or data frame of shape (n, d)
    name : str
        The estimator, for messages.

    Returns
    -------
    table : float array or DataFrame
    container : Container

    Raises
    ------
    ValueError
        For an empty, one-dimensional, infinite or complex table.
    TypeError
        For a sparse one, or a cell that is neither text nor number.
    """
    if sparse.issparse(X):
        raise TypeError(f"Sparse data was passed, but {name} needs dense data: call X.toarray().")
    if isinstance(X, pd.DataFrame):
        table, container = X, Container("pandas", columns=X.columns)
    elif hasattr(X, "collect") and hasattr(X, "select"):  # asked before its columns are, which would plan the query
        raise TypeError(f"X is a lazy frame, but {name} needs its rows: call X.collect().")
    elif not isinstance(X, np.ndarray) and hasattr(X, "columns"):
        import narwhals as nw

        table, container = _from_narwhals(nw.from_native(X, eager_only=True))
    else:
        if isinstance(X, np.ma.MaskedArray):
            X = X.astype(float).filled(np.nan)
        table = np.asarray(X)  # a matrix too becomes an array
        if table.dtype.kind == "S":
            table = table.astype(str)
        dtype = table.dtype
        if dtype.kind in "OUS" and table.ndim == 2 and table.size:
            if dtype.kind != "O" or pd.api.types.infer_dtype(table.ravel(), skipna=True) in ("string", "mixed", "mixed-integer"):
                for cell in table.flat if dtype.kind == "O" else ():
                    if isinstance(cell, (dict, list, set)):
                        raise TypeError(f"argument must be a string or a real number, not {type(cell).__name__!r}.")
                return pd.DataFrame(table).infer_objects(), Container("array", dtype=dtype)
        elif dtype.kind in "mM":
            return pd.DataFrame(table), Container("array", dtype=dtype)
        if dtype.kind == "c":
            raise ValueError(f"Complex data not supported by {name}: give the columns of X as real numbers.")
        with np.errstate(over="ignore", invalid="ignore"):  # of sums that only look for NaN
            if dtype == np.float64 and table.ndim == 2 and table.size and np.isfinite(table.sum()):
                return table, Container("array", dtype=dtype)  # what check_array would say, for less
            table = check_array(table, dtype=float, ensure_all_finite="allow-nan", estimator=name, input_name="X")
        return table, Container("array", dtype=np.dtype(float) if dtype.kind == "O" else dtype)
    if min(table.shape) == 0:
        what = "sample(s)" if len(table) == 0 else "feature(s)"
        raise ValueError(f"Found array with 0 {what} (shape={table.shape}) while a minimum of 1 is required by {name}.")
    doubled = table.columns[table.columns.duplicated()]
    if len(doubled):
        raise ValueError(f"X has two columns named {doubled[0]!r}: give each its own name.")
    return table, container
