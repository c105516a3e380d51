"""Sequences as rows of a table: a row is a sequence, steps stand side by side, and NaN fills what a shorter one lacks.

With F features a step, columns are step-major: t0f0, t0f1, ..., t1f0, ...; tell a model so by ``step_features=F``. NaN at
the end of a row is integrated out, which is exactly right given the length; a model of lengths too wants an end mark as
one more symbol.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["pad", "unpad", "window"]


def _as_steps(sequence: Any) -> np.ndarray:
    """(T, F) of one sequence; a string is a sequence of characters."""
    if isinstance(sequence, str):
        sequence = list(sequence)
    steps = np.asarray(sequence)
    if steps.dtype.kind in "US":
        steps = steps.astype(object)
    if steps.ndim == 1:
        steps = steps[:, None]
    if steps.ndim != 2:
        raise ValueError(f"A sequence has shape {np.shape(sequence)}: give one of shape (T,) or (T, F).")
    return steps


def pad(
    sequences: Any, *, group: Any = None, order: Any = None, length: int | None = None, columns: list | None = None
) -> np.ndarray | pd.DataFrame:
    """Sequences of unequal lengths as one table, a row each, padded with NaN at the end.

    Parameters
    ----------
    sequences : list of sequences, or long DataFrame
        A sequence is an array of shape (T,) or (T, F), a list, or a string (its characters are the steps). In a long
        frame each row is a step.
    group : column, for a frame
        Which sequence a step belongs to; sequences keep the order in which they first occur.
    order : column, for a frame, optional
        Steps are sorted by it; without it they stand as they come.
    length : int, optional
        Steps of the table; the longest sequence by default. A model takes rows as long as those it was fitted on: give the
        longest there will be.
    columns : list of columns, for a frame, optional
        The features; all but ``group`` and ``order`` by default.

    Returns
    -------
    array of shape (n, length * F)
        Of the dtype given where nothing had to be padded; else float with NaN, or object with None for text. Whole numbers
        that became floats so are read as continuous by a model: tell it ``column_kinds="integer"`` (or "categorical").
    DataFrame
        For a frame: indexed by ``group``, columns ``t0_name, ...``. Integers become Int64 and booleans boolean where
        padded, so that kinds stay what they were.

    Raises
    ------
    ValueError
        For sequences of different F, a sequence longer than ``length``, a missing column, or no sequence at all.

    Examples
    --------
    >>> pad([[1, 2, 3], [4]])
    array([[ 1.,  2.,  3.],
           [ 4., nan, nan]])
    """
    if isinstance(sequences, pd.DataFrame):
        return _pad_frame(sequences, group, order, length, columns)
    if group is not None or order is not None or columns is not None:
        raise ValueError("group, order and columns name columns of a pandas DataFrame: pass one (to_pandas()), or drop them.")
    steps = [_as_steps(sequence) for sequence in sequences]
    if not steps:
        raise ValueError("There is no sequence to pad: give at least one.")
    filled = [s for s in steps if len(s)] or steps[:1]
    widths = sorted({s.shape[1] for s in filled})
    if len(widths) > 1:
        raise ValueError(f"Sequences have {widths[0]} and {widths[1]} features a step: give all of them the same.")
    T = _length([len(s) for s in steps], length)
    if any(s.dtype.kind in "mM" for s in filled):
        raise ValueError("Steps are dates or durations: pass them as numbers, or in a long DataFrame with group=.")
    dtype = np.result_type(*[s.dtype for s in filled])
    ragged = any(len(s) < T for s in steps)
    if ragged and dtype.kind != "O":
        dtype = np.result_type(dtype, np.float32)  # what holds its values and NaN
    out = np.empty((len(steps), T, widths[0]), dtype=dtype)
    for i, s in enumerate(steps):
        out[i, : len(s)] = s.reshape(len(s), widths[0])
        if len(s) < T:
            out[i, len(s) :] = None if dtype.kind == "O" else np.nan
    return out.reshape(len(steps), -1)


def _length(found: Sequence[int], length: int | None) -> int:
    longest = max(found)
    if length is None:
        length = longest
    if longest > length:
        raise ValueError(f"length={length} is shorter than the longest sequence ({longest} steps): raise it, or use window.")
    if length < 1:
        raise ValueError("Every sequence has length zero: give length=, the number of steps of the table.")
    return int(length)


def _pad_frame(frame: pd.DataFrame, group: Any, order: Any, length: int | None, columns: list | None) -> pd.DataFrame:
    if group is None:
        raise ValueError("A long DataFrame needs group=, the column that says which sequence a step belongs to.")
    for what, name in (("group", group), ("order", order)):
        if isinstance(name, (list, tuple)) and name not in list(frame.columns):
            raise ValueError(f"{what}={name!r} must be one column: join several into one first.")
    features = [c for c in frame.columns if c not in (group, order)] if columns is None else list(columns)
    for name in [group, *([order] if order is not None else []), *features]:
        if name not in frame.columns:
            raise ValueError(f"There is no column {name!r}: choose from {list(frame.columns)}.")
    if not len(frame) or not features:
        raise ValueError("There is no sequence to pad: the DataFrame has no rows, or no column beside group and order.")
    code, names = pd.factorize(frame[group], sort=False)
    if (code < 0).any():
        raise ValueError(f"Column {group!r} is missing in row {int(np.argmax(code < 0))}: every step belongs to a sequence.")
    if order is not None:
        if frame[order].isna().any():
            raise ValueError(
                f"Column {order!r} is missing in row {int(frame[order].isna().to_numpy().argmax())}: a step needs its place."
            )
        at = frame[order].argsort(kind="stable").to_numpy()
        frame, code = frame.iloc[at], code[at]
    step = frame.groupby(code, sort=False).cumcount().to_numpy()
    T = _length([int(step.max()) + 1], length)
    wide = {}
    for t in range(T):
        rows = np.flatnonzero(step == t)
        for name in features:
            column = frame[name].iloc[rows]
            if len(rows) < len(names):
                kind = column.dtype
                if pd.api.types.is_bool_dtype(kind):
                    column = column.astype("boolean")
                elif pd.api.types.is_integer_dtype(kind):
                    column = column.astype("Int64")
            wide[f"t{t}_{name}"] = column.set_axis(code[rows]).reindex(np.arange(len(names)))
    out = pd.DataFrame(wide)
    out.index = pd.Index(names, name=group)
    return out


def unpad(table: Any, step_features: int | None = None, *, group: Any = None, order: Any = None) -> list[np.ndarray] | pd.DataFrame:
    """The sequences in a padded table: what :func:`pad` undoes. Trailing steps without any value are cut.

    Parameters
    ----------
    table : array or DataFrame of shape (n, T * step_features)
    step_features : int, optional
        By default 1, or as many as the names ``t0_...`` of a frame say.
    group, order : column names, for a frame
        Names of the columns that tell sequence and step; "sequence" (or the name of the index) and "step" by default.

    Returns
    -------
    list of arrays
        Of shape (T_i,), or (T_i, F) with more than one feature a step.
    long DataFrame
        For a frame: group, order and one column a feature, whose name is that of its first step without ``t0_``.

    Examples
    --------
    >>> unpad(np.array([[1.0, 2.0], [3.0, np.nan]]))
    [array([1., 2.]), array([3.])]
    """
    if not isinstance(table, pd.DataFrame):
        table = np.asarray(table)
    if np.ndim(table) != 2:
        raise ValueError(f"A padded table has two dimensions, a row a sequence: this has {np.ndim(table)}.")
    d = table.shape[1]
    if step_features is None:
        named = isinstance(table, pd.DataFrame) and all(re.match(r"t\d+_", str(name)) for name in table.columns)
        step_features = sum(str(name).startswith("t0_") for name in table.columns) if named else 1
    if step_features < 1 or d % step_features:
        raise ValueError(f"step_features={step_features!r} does not divide the {d} columns: columns are step-major.")
    T = d // step_features
    seen = ~np.asarray(pd.isna(table)).reshape(len(table), T, step_features).all(axis=2)
    count = np.where(seen.any(axis=1), T - np.argmax(seen[:, ::-1], axis=1), 0)
    if not isinstance(table, pd.DataFrame):
        steps = np.asarray(table).reshape(len(table), T, step_features)
        return [s[:c, 0] if step_features == 1 else s[:c] for s, c in zip(steps, count, strict=True)]
    row, step = np.repeat(np.arange(len(table)), count), np.concatenate([np.arange(c) for c in count] or [np.empty(0, int)])
    group = group if group is not None else table.index.name if table.index.name is not None else "sequence"
    out = {group: table.index[row], "step" if order is None else order: step}
    for f in range(step_features):
        names = list(table.columns[f::step_features])
        cells = pd.concat([table[name] for name in names], ignore_index=True)
        out[str(names[0]).removeprefix("t0_")] = cells.iloc[step * len(table) + row].array
    return pd.DataFrame(out)


def window(sequence: Any, length: int, overlap: int = 0) -> np.ndarray:
    """One long sequence cut into rows of ``length`` steps, each beginning with the last ``overlap`` steps of the one before.

    With an overlap of the order of a Markov chain, every step is seen with its whole context exactly once: log p of the
    sequence given its first ``overlap`` steps is the sum over rows of log p(row) - log p(its first ``overlap`` steps).

    Parameters
    ----------
    sequence : array of shape (T,) or (T, F), list or string
    length : int
        Steps a row.
    overlap : int, default=0
        Below ``length``.

    Returns
    -------
    array of shape (n, length * F)
        Of the dtype given if the last row is full; else float with NaN, or object with None for text.

    Examples
    --------
    >>> window([1, 2, 3, 4, 5], 3, overlap=1)
    array([[1, 2, 3],
           [3, 4, 5]])
    """
    if length < 1 or not 0 <= overlap < length:
        raise ValueError(f"length={length} and overlap={overlap}: length must be positive and overlap below it.")
    steps = _as_steps(sequence)
    T, F = steps.shape
    if not T:
        raise ValueError("The sequence has length zero: there is nothing to cut.")
    stride = length - overlap
    n = max(1, -(-(T - overlap) // stride))
    whole = (n - 1) * stride + length
    if whole > T:
        text = steps.dtype.kind == "O"
        dtype = steps.dtype if text else np.result_type(steps.dtype, np.float32)
        filler = np.full((whole - T, F), None if text else np.nan, dtype=dtype)
        steps = np.concatenate([steps.astype(dtype), filler])
    rows = np.lib.stride_tricks.sliding_window_view(steps, length, axis=0)[::stride]
    return np.ascontiguousarray(rows.transpose(0, 2, 1)).reshape(n, length * F)
