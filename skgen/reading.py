"""How a table is read: the kind and levels of each column, settled once, on all its rows."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from skgen.containers import Container, as_table
from skgen.tables import KINDS, Columns, listed, numbers, only_zero_one

__all__ = ["MAX_LEVELS", "ColumnWarning", "columns", "read", "shape_of_images", "ties"]

MAX_LEVELS = 10_000
_FEW = 20  # a continuous column with this many distinct values or fewer is called repeated


class ColumnWarning(UserWarning):
    """How a column was read deserves a look."""


def _raw_kind(column: Any) -> str:
    """Kind by dtype alone: continuous, integer, bool or categorical."""
    dtype = column.dtype
    if dtype.kind == "c":
        raise ValueError(f"Complex data not supported (column {column.name!r}): give its parts as real columns.")
    if isinstance(dtype, pd.CategoricalDtype):
        return "categorical"
    if pd.api.types.is_bool_dtype(dtype):
        return "bool"
    if pd.api.types.is_integer_dtype(dtype):
        return "integer"
    if pd.api.types.is_object_dtype(dtype):
        found = pd.api.types.infer_dtype(column, skipna=True)
        names = {
            "boolean": "bool",
            "integer": "integer",
            "floating": "continuous",
            "mixed-integer-float": "continuous",
            "decimal": "continuous",
        }
        return names.get(found, "categorical")
    if pd.api.types.is_numeric_dtype(dtype) or dtype.kind in "mM" or isinstance(dtype, pd.DatetimeTZDtype):
        return "continuous"
    return "categorical"


def _sorted_levels(column: Any, name: Any) -> pd.Index:
    """The levels of one categorical column: declared ones as declared, else the sorted distinct values."""
    if isinstance(column, pd.Series) and isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.categories
    values = pd.Series(column).dropna()
    try:
        distinct = values.unique()
    except TypeError:
        odd = next(v for v in values if not getattr(type(v), "__hash__", None))
        raise TypeError(f"argument must be a string or a real number, not {type(odd).__name__!r} (column {name!r}).") from None
    try:
        levels = pd.Index(np.sort(distinct) if isinstance(distinct, np.ndarray) else sorted(distinct))
    except TypeError:  # text beside numbers
        levels = pd.Index(sorted(distinct, key=lambda v: (type(v).__name__, str(v))), dtype=object)
    return levels


def shape_of_images(image_shape: Any) -> tuple[int, int, int]:
    """Height, width and channels.

    Raises
    ------
    ValueError
        If they are not two or three positive ints.
    """
    shape = tuple(image_shape)
    whole = all(isinstance(s, (int, np.integer)) and not isinstance(s, bool) and s > 0 for s in shape)
    if not whole or len(shape) not in (2, 3):
        raise ValueError(f"image_shape={image_shape!r} must be (height, width) or (height, width, channels), positive ints.")
    return (*shape, 1)[:3]


def ties(d: int, image_shape: Any, step_features: Any) -> np.ndarray:
    """Which columns are one variable many times: pixels of a channel, a feature over all steps."""
    if image_shape is not None and step_features is not None:
        raise ValueError("image_shape and step_features say two things about the columns: give one of them.")
    if image_shape is not None:
        shape = shape_of_images(image_shape)
        if int(np.prod(shape)) != d:
            raise ValueError(
                f"image_shape={image_shape!r} has {int(np.prod(shape))} pixels, but X has {d} columns: "
                "give (height, width) or (height, width, channels) whose product is the number of columns."
            )
        return np.arange(d) % shape[2]
    if step_features is not None:
        if step_features < 1 or d % step_features:
            raise ValueError(f"step_features={step_features!r} does not divide the {d} columns of X: columns are step-major.")
        return np.arange(d) % int(step_features)
    return np.arange(d)


def _wanted(column_kinds: Any, names: list) -> dict[int, str]:
    """{position: kind} that the user asked for."""
    if isinstance(column_kinds, str):
        if column_kinds == "auto":
            return {}
        column_kinds = dict.fromkeys(range(len(names)), column_kinds)
    if not isinstance(column_kinds, Mapping):
        raise ValueError(f"column_kinds={column_kinds!r} must be 'auto', one of {', '.join(KINDS)}, a dict or a Columns object.")
    positions = {name: j for j, name in enumerate(names)}
    found = {}
    for key, kind in column_kinds.items():
        if kind not in (*KINDS, "auto"):
            raise ValueError(f"column_kinds says {kind!r} for column {key!r}: choose one of {', '.join(KINDS)}.")
        if key not in positions and not (isinstance(key, (int, np.integer)) and 0 <= key < len(names)):
            near = difflib.get_close_matches(str(key), [str(n) for n in names], 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"column_kinds names {key!r}, which is not a column.{hint}")
        if kind != "auto":
            found[positions.get(key, key)] = kind
    return found


def columns(
    X: Any,
    column_kinds: Any = "auto",
    *,
    image_shape: tuple[int, ...] | None = None,
    step_features: int | None = None,
    units: str = "columns",
    sample_weight: Any = None,
) -> Columns:
    """How each column of ``X`` is read; printing the answer shows it, and ``column_kinds=`` accepts it.

    Parameters
    ----------
    X : array-like or data frame of shape (n, d)
    column_kinds : "auto", a kind for all, or {column: kind}
        "auto" goes by dtype: float is continuous, integer is integer, bool is binary, text and category are
        categorical; an integer column holding both 0 and 1 and nothing else is binary, and so is an array of zeros
        and ones.
    image_shape : (height, width) or (height, width, channels), optional
        The columns are pixels: kind, levels and scale are read once a channel.
    step_features : int, optional
        The columns are steps of so many features, step-major: kind, levels and scale are read once a feature.
    units : {"columns", "shared"}
        "shared" gives all continuous columns one loc and one scale.

    Returns
    -------
    Columns

    Raises
    ------
    ValueError
        Naming the column that cannot be read as asked.

    Examples
    --------
    >>> import pandas as pd, skgen
    >>> skgen.columns(pd.DataFrame({"age": [31, 44, 50], "sex": ["F", "M", "F"], "height": [1.6, 1.8, 1.7]}))
    column  kind         values
    age     integer      31 to 50
    sex     categorical  2 levels: F, M
    height  continuous   1.6 to 1.8
    """
    table, container = as_table(X, "columns")
    weight = np.ones(len(table)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    group = ties(table.shape[1], image_shape, step_features)
    return read(table, container, weight, column_kinds, group, units)


def read(table: Any, container: Container, weight: np.ndarray, column_kinds: Any, group: np.ndarray, units: str) -> Columns:
    """Settle kinds and levels on all rows of ``table`` (those of ``column_kinds`` if it is a Columns), then units."""
    framed = isinstance(table, pd.DataFrame)
    names = list(table.columns) if framed and container.kind != "array" else list(range(table.shape[1]))
    dtypes = list(table.dtypes) if framed else [container.dtype] * table.shape[1]
    if isinstance(column_kinds, Columns):
        known = column_kinds
        if len(known) != len(names) or (known.container.kind != "array" and framed and known.names != names):
            raise ValueError(
                f"column_kinds was read from columns {known.names[:5]}..., but X has {names[:5]}...: read it from this table."
            )
        fresh = Columns(names, known.kinds, known.levels, known.group, container, dtypes)
        fresh.low, fresh.high = known.low.copy(), known.high.copy()
        return fresh.measure(table, weight, units, range_given=True)
    wanted = _wanted(column_kinds, names)
    if not framed:
        kinds, levels = _read_array(table, container, wanted, group)
    else:
        kinds, levels = _read_frame(table, names, wanted, group)
    found = Columns(names, kinds, levels, group, container, dtypes).measure(table, weight, units)
    _warn(found, table, asked=set(wanted))
    return found


def _read_array(table: np.ndarray, container: Container, wanted: dict, group: np.ndarray) -> tuple[list, list]:
    """One dtype, so one kind for all columns that are not asked to be something else."""
    d = table.shape[1]
    if len(wanted) == d and set(wanted.values()) == {"continuous"}:
        return ["continuous"] * d, [None] * d
    kind = {"b": "bool", "i": "integer", "u": "integer"}.get(container.dtype.kind, "continuous")
    only_01 = kind == "bool"
    if not only_01:
        only_01, zero, one = only_zero_one(table)
        kind = "binary" if only_01 and zero and one else kind
    zero_one = pd.Index([False, True]) if kind == "bool" else pd.Index([0, 1])
    if not wanted or (only_01 and len(wanted) == d and set(wanted.values()) == {"binary"}):
        kind = "binary" if kind == "bool" or wanted else kind
        return [kind] * d, [zero_one if kind == "binary" else None] * d
    raw = ["binary" if kind == "bool" else kind] * d
    return _settle([table[:, j] for j in range(d)], list(range(d)), raw, wanted, group)


def _read_frame(table: pd.DataFrame, names: list, wanted: dict, group: np.ndarray) -> tuple[list, list]:
    cells = [table.iloc[:, j] for j in range(table.shape[1])]
    return _settle(cells, names, [_raw_kind(c) for c in cells], wanted, group)


def _settle(cells: list, names: list, raw: list[str], wanted: dict, group: np.ndarray) -> tuple[list, list]:
    """Kind and levels of each column: as wanted, else by its dtype and, for 0/1, its values; once a tied group."""
    kinds: list = [None] * len(cells)
    levels: list = [None] * len(cells)
    for g in np.unique(group):
        members = np.flatnonzero(group == g)
        asked = {wanted[j] for j in members if j in wanted}
        if len(asked) > 1:
            raise ValueError(f"Tied columns {names[members[0]]!r}, ... cannot be both {' and '.join(sorted(asked))}.")
        found = {raw[j] for j in members}
        if asked:
            kind = asked.pop()
        elif len(found) > 1 and found & {"categorical", "bool"}:
            first, odd = members[0], next(j for j in members if raw[j] != raw[members[0]])
            raise ValueError(
                f"Columns {names[first]!r} ({raw[first]}) and {names[odd]!r} ({raw[odd]}) are tied, one variable many "
                "times, and cannot be of two kinds: convert one, or use a model that ties no columns."
            )
        elif "categorical" in found:
            kind = "categorical"
        elif "continuous" in found:
            kind = "continuous"
        elif found <= {"bool", "binary"}:
            kind = "binary"
        else:
            values = np.unique(np.concatenate([numbers(cells[j])[~np.isnan(numbers(cells[j]))] for j in members]))
            kind = "binary" if np.array_equal(values, [0, 1]) else "integer"
        shared = _levels_of(kind, [cells[j] for j in members], [names[j] for j in members], raw[members[0]])
        for j in members:
            kinds[j], levels[j] = kind, shared
    return kinds, levels


def _levels_of(kind: str, cells: list, names: list, raw: str) -> pd.Index | None:
    """The levels that tied columns share, or None; refuses a column that cannot be of this kind."""
    if kind in ("continuous", "integer", "bernoulli"):
        for column, name in zip(cells, names, strict=True):
            if isinstance(column, pd.Series) and _raw_kind(column) == "categorical":
                raise ValueError(f"Column {name!r} holds text or categories and cannot be {kind}: drop it from column_kinds.")
            if kind == "integer":
                x = numbers(column)
                odd = x[(x != np.floor(x)) & ~np.isnan(x)]
                if len(odd):
                    raise ValueError(f"Column {name!r} holds {odd[0]:g} and cannot be integer: round it or read it as continuous.")
            if kind == "bernoulli":
                x = numbers(column)
                odd = x[(x < 0) | (x > 1)]
                if len(odd):
                    raise ValueError(
                        f"Column {name!r} holds {odd[0]:g} and cannot be bernoulli, a grey value from 0 to 1: divide by the white "
                        "one, or read it as continuous."
                    )
        return None
    if kind == "binary" and raw in ("bool", "binary") and not isinstance(cells[0], np.ndarray):
        return pd.Index([False, True]) if raw == "bool" else pd.Index([0, 1])
    found = [_sorted_levels(column, name) for column, name in zip(cells, names, strict=True)]
    levels = found[0]
    for other in found[1:]:
        levels = levels.union(other, sort=None) if not levels.equals(other) else levels
    if kind == "binary":
        if len(levels) > 2:
            raise ValueError(f"Column {names[0]!r} has {len(levels)} distinct values and cannot be binary: read it as categorical.")
        if len(levels) < 2:
            levels = pd.Index([0, 1]) if len(levels) == 0 or levels[0] in (0, 1) else levels
    rows = sum(int(pd.Series(column).notna().sum()) for column in cells)
    declared = isinstance(cells[0], pd.Series) and isinstance(cells[0].dtype, pd.CategoricalDtype)
    if len(levels) > MAX_LEVELS or (len(levels) == rows and rows >= 50 and not declared):
        why = f"{len(levels)} levels in {rows} cells" + (", more than 10,000" if len(levels) > MAX_LEVELS else ", one a row")
        raise ValueError(
            f"Column {names[0]!r} has {why}: an identifier or free text has no distribution to learn. Drop the column."
        )
    if not len(levels):
        raise ValueError(
            f"Column {names[0]!r} has no observed value, so its levels are unknown: drop it or declare its categories."
        )
    return levels


def _wild_cell(found: Columns, table: Any, j: int) -> float | None:
    """The outermost cell of a continuous column, if it leaves no unit in which the others differ."""
    low, high = ((end / found.scale[j] - found.loc[j] / found.scale[j]) for end in (found.low[j], found.high[j]))
    far = found.low[j] if -low > high else found.high[j]
    # the code of one of n cells is at most sqrt(n - 1), when it alone has all of the variance
    if len(table) < _FEW or not max(-low, high) > 0.99 * np.sqrt(len(table)):
        return None
    x = numbers(found._column(table, j))
    low, high = np.nanpercentile(x, [5, 95]) / found.scale[j]
    return float(far) if low < high and max(abs(far / found.scale[j] - low), 1.0) / 1e6 > high - low else None


def _warn(found: Columns, table: Any, asked: set) -> None:
    """One warning each, naming the columns, for what makes a density mislead."""
    constant, repeated, whole = [], [], []
    rows = len(table)
    suspects = np.flatnonzero(found.continuous)
    numeric = np.array([levels is None for levels in found.levels], dtype=bool)
    unseen = [found.names[j] for j in np.flatnonzero(numeric & np.isnan(found.low))]
    wild = [f"{found.names[j]!r} ({x:g})" for j in suspects if (x := _wild_cell(found, table, j)) is not None]
    if isinstance(table, np.ndarray) and len(suspects):  # one look at all columns: most have too many values to repeat
        some = np.sort(table[:: max(1, rows // 200), suspects], axis=0)
        suspects = suspects[(some[1:] != some[:-1]).sum(axis=0) <= _FEW]
    for j in suspects:
        if found.high[j] == found.low[j] and rows > 1:
            constant.append(found.names[j])
            continue
        x = numbers(found._column(table, j))
        if len(np.unique(x[:: max(1, rows // 200)])) > _FEW + 1:
            continue
        seen = x[~np.isnan(x)]
        values = np.unique(seen)
        floats = isinstance(table, pd.DataFrame) and table.dtypes.iloc[j].kind == "f"  # and no date
        if j not in asked and floats and 0 < len(seen) < len(x) and np.all(values == np.floor(values)):
            whole.append(found.names[j])
        elif 0 < len(values) <= _FEW and len(seen) >= 10 * len(values):
            repeated.append(found.names[j])

    if unseen:
        warnings.warn(
            f"Columns without an observed cell: {listed(unseen)}. Nothing is learnt there, and what is drawn there is invented. "
            "Drop them.",
            ColumnWarning,
            stacklevel=5,
        )
    if wild:
        warnings.warn(
            f"Columns with a cell a million times as far out as the others lie apart: {', '.join(wild[:5])}. Beside it they are "
            "one point. Correct the cell, or make it NaN.",
            ColumnWarning,
            stacklevel=5,
        )
    if constant:
        warnings.warn(
            f"Constant continuous columns: {listed(constant)}. The density there is in units of 1, whatever the unit. Drop them.",
            ColumnWarning,
            stacklevel=5,
        )
    if whole:
        warnings.warn(
            f"Float columns of whole numbers and NaN, as integers read with missing cells are: {listed(whole)}. "
            "They are read as continuous; pass column_kinds={name: 'integer'} if they count or code something.",
            ColumnWarning,
            stacklevel=5,
        )
    if repeated:
        warnings.warn(
            f"Continuous columns with few distinct values: {listed(repeated)}. A density on repeated values diverges. "
            "Pass column_kinds='integer' or 'categorical' for them.",
            ColumnWarning,
            stacklevel=5,
        )
