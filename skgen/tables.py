"""Columns: from a table to a coded float matrix, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skgen.containers import Container, from_plain, to_plain

__all__ = ["FAR", "KINDS", "Columns", "listed", "numbers", "only_zero_one"]

KINDS = ("continuous", "integer", "binary", "categorical", "bernoulli")
#: Coded values are clipped here, so that their squares stay finite.
FAR = 1e100
_LARGEST = np.finfo(float).max


def numbers(column: Any) -> np.ndarray:
    """A numeric, boolean or date column as floats, NaN where missing; dates in seconds."""
    if isinstance(column, np.ndarray):
        return column
    if column.dtype.kind in "mM":
        stamps = column.to_numpy()
        if stamps.dtype.kind not in "mM":  # with a time zone
            stamps = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        unit = stamps.dtype.str[1] + "8[ns]"
        whole = stamps.astype(unit).astype(np.int64)
        return np.where(np.isnat(stamps), np.nan, whole / 1e9)
    return column.to_numpy(dtype=float, na_value=np.nan)


def _range(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest of each column; eight rows side by side, since a reduction over short rows is slow."""
    n, d = X.shape
    wide = X[: n // 8 * 8].reshape(-1, 8 * d) if X.flags.c_contiguous and n >= 8 else X[:0]
    rest = X[n // 8 * 8 :] if len(wide) else X
    low = np.vstack([wide.min(axis=0).reshape(-1, d), rest]) if len(wide) else rest
    high = np.vstack([wide.max(axis=0).reshape(-1, d), rest]) if len(wide) else rest
    return low.min(axis=0), high.max(axis=0)


def listed(names: Sequence) -> str:
    """Names of columns for a message: five of them, and how many more.

    Examples
    --------
    >>> listed(list("abcdefg"))
    "'a', 'b', 'c', 'd', 'e' and 2 more"
    """
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


class Columns:
    """How each column of a table is read.

    Made by :func:`skgen.columns` or by ``fit``, kept in ``columns_``, and accepted as ``column_kinds=``.

    Attributes
    ----------
    names : list
        Column names; positions for an array.
    kinds : list of str
        "continuous", "integer", "binary", "categorical" or "bernoulli" (grey values from 0 to 1; never chosen unasked).
    levels : list
        The levels of a binary or categorical column as a pandas Index, None for the others.
    n_levels : int array of shape (d,)
        Number of levels; 0 for a continuous or an integer column.
    loc, scale : float arrays of shape (d,)
        A continuous column is coded as (x - loc) / scale; 0 and 1 for the other kinds.
    low, high : float arrays of shape (d,)
        Least and greatest value seen, in data units; NaN for the discrete kinds with levels.
    group : int array of shape (d,)
        Tied columns share a number, and with it kind, levels, loc and scale.
    """

    def __init__(self, names: list, kinds: list[str], levels: list, group: np.ndarray, container: Container, dtypes: list):
        d = len(names)
        self.names, self.kinds, self.levels, self.group = names, kinds, levels, group
        self.container, self.dtypes = container, dtypes
        self.loc, self.scale = np.zeros(d), np.ones(d)
        self.low, self.high = np.full(d, np.nan), np.full(d, np.nan)

    @property
    def n_levels(self) -> np.ndarray:
        return np.array([0 if levels is None else len(levels) for levels in self.levels], dtype=int)

    @property
    def continuous(self) -> np.ndarray:
        """Boolean mask of the continuous columns."""
        return np.array([kind == "continuous" for kind in self.kinds], dtype=bool)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "levels": [to_plain(v) for v in self.levels], "dtypes": [to_plain(v) for v in self.dtypes]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, levels=[from_plain(v) for v in state["levels"]], dtypes=[from_plain(v) for v in state["dtypes"]])

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, positions: Any) -> Columns:
        """These columns alone, as read."""
        at = [int(j) for j in positions]
        some = Columns(
            [self.names[j] for j in at],
            [self.kinds[j] for j in at],
            [self.levels[j] for j in at],
            self.group[at],
            self.container,
            [self.dtypes[j] for j in at],
        )
        for name in ("loc", "scale", "low", "high"):
            setattr(some, name, getattr(self, name)[at])
        return some

    def __repr__(self) -> str:
        def seen(j: int) -> str:
            levels = self.levels[j]
            if levels is None:
                return f"{self.low[j]:.6g} to {self.high[j]:.6g}" if np.isfinite(self.low[j]) else "nothing observed"
            shown = ", ".join(map(str, levels[:6]))
            return f"{len(levels)} levels: {shown}" + (", ..." if len(levels) > 6 else "")

        width = max([len(str(name)) for name in self.names] + [6])
        lines = [f"{'column':{width}s}  {'kind':11s}  values"]
        shown = range(len(self)) if len(self) <= 60 else [*range(30), None, *range(len(self) - 10, len(self))]
        for j in shown:
            lines.append("..." if j is None else f"{self.names[j]!s:{width}s}  {self.kinds[j]:11s}  {seen(j)}")
        return "\n".join(lines)

    # ---- tables in

    def _column(self, table: Any, j: int) -> Any:
        return table.iloc[:, j] if isinstance(table, pd.DataFrame) else table[:, j]

    def measure(self, table: Any, weight: np.ndarray, units: str = "columns", range_given: bool = False) -> Columns:
        """Read loc, scale and range from the rows of ``table``."""
        numeric = np.flatnonzero([levels is None for levels in self.levels])
        group = np.where(self.continuous, -1, self.group) if units == "shared" else self.group
        untied = len(np.unique(group[numeric])) == len(numeric)
        if isinstance(table, np.ndarray) and untied and self.continuous.all() and self._measure_array(table, weight, range_given):
            return self
        for g in np.unique(group[numeric]):
            members = numeric[group[numeric] == g]
            self._measure_group(table, members, weight, range_given)
        return self

    def _measure_array(self, X: np.ndarray, weight: np.ndarray, range_given: bool) -> bool:
        """All columns of an array at once, in chunks that stay in cache; False where that would lose precision."""
        low, high = _range(X)
        if not (np.abs(low).max() < 1e100 and np.abs(high).max() < 1e100) or len(X) < 2:  # NaN too
            return False
        if ((high > low) & (high - low < 1e-100)).any():  # squares would vanish
            return False
        if not range_given:
            self.low, self.high = low, high
        near = X[:1000].mean(axis=0)  # close to the mean, so that the difference of squares below loses nothing
        first, second = np.zeros(X.shape[1]), np.zeros(X.shape[1])
        for start in range(0, len(X), 4096):
            z, w = X[start : start + 4096] - near, weight[start : start + 4096]
            first += w @ z
            second += w @ np.square(z, out=z)
        total = weight.sum()
        self.loc = near + first / total
        spread = np.sqrt(np.maximum(second / total - (first / total) ** 2, 0.0))
        varies = (high > low) & (spread > 1e-13 * np.abs(self.loc))
        self.scale = np.where(varies, spread, 1.0)
        return not (varies & ((spread < 1e-100) | (np.abs(first / total) > 1e3 * spread))).any()

    def _measure_group(self, table: Any, members: np.ndarray, weight: np.ndarray, range_given: bool) -> None:
        x = np.concatenate([numbers(self._column(table, j)) for j in members])
        w = np.tile(weight, len(members)) if len(members) > 1 else weight
        missing = np.isnan(x)
        if missing.any():
            x, w = x[~missing], w[~missing]
        if not len(x):
            return
        low, high = x.min(), x.max()
        if not range_given:
            self.low[members], self.high[members] = low, high
        if self.kinds[members[0]] != "continuous":
            return
        reach = max(abs(low), abs(high), np.finfo(float).tiny)
        unit = reach if reach > 1e100 or reach < 1e-100 else 1.0  # squares neither overflow nor vanish
        x = x / unit if unit != 1.0 else x
        total = w.sum()
        mean = (w @ x) / total
        x = x - mean
        spread = np.sqrt((w @ np.square(x, out=x)) / total)
        self.loc[members] = mean * unit
        self.scale[members] = spread * unit if high > low and spread > 1e-13 * abs(mean) else 1.0

    def encode(self, table: Any, measured: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """The coded matrix, NaN where not observed, and a mask of rows with a cell outside the support (None: no row).

        A cell outside the support (an undeclared level, 2.5 in an integer column) is coded as not observed. ``measured``:
        loc and scale are those of this very table, so that no code is extreme.
        """
        if isinstance(table, np.ndarray) and all(kind == "continuous" for kind in self.kinds):
            X = np.empty(table.shape)
            for start in range(0, len(X), 4096):
                chunk = slice(start, start + 4096)
                np.subtract(table[chunk], self.loc, out=X[chunk])
                X[chunk] /= self.scale
            return (X if measured else self._clip(X)), None
        X, bad = np.empty(table.shape), None
        if isinstance(table, np.ndarray) and self._all_01 and only_zero_one(table, X)[0]:
            return X, None  # a copy: what a model keeps is not the user's to change
        for j, (kind, levels) in enumerate(zip(self.kinds, self.levels, strict=True)):
            column = self._column(table, j)
            if levels is None:
                x = self._as_numbers(column, j)
                if kind == "continuous":
                    X[:, j] = (x - self.loc[j]) / self.scale[j]
                    continue
                wrong = (x < 0) | (x > 1) if kind == "bernoulli" else x != np.floor(x)
                wrong &= ~np.isnan(x)
                X[:, j] = x
            elif self.n_levels_are_01(j) and isinstance(column, np.ndarray):
                wrong = (column != 0) & (column != 1) & ~np.isnan(column)
                X[:, j] = column
            elif isinstance(column.dtype, pd.CategoricalDtype) and column.cat.categories.equals(levels):
                X[:, j] = column.cat.codes
                X[X[:, j] < 0, j] = np.nan
                continue
            elif self.kinds[j] == "binary" and self.n_levels_are_01(j) and pd.api.types.is_numeric_dtype(column.dtype):
                x = numbers(column)  # 0 and 1 stand for False and True, and the other way round
                wrong = (x != 0) & (x != 1) & ~np.isnan(x)
                X[:, j] = x
            else:
                code = self._codes(column, j)
                X[:, j] = code
                X[code < 0, j] = np.nan
                wrong = (code < 0) & ~pd.isna(column)
            if wrong.any():
                wrong = np.asarray(wrong)
                X[wrong, j] = np.nan
                bad = wrong if bad is None else bad | wrong
        return self._clip(X), bad

    def encode_cell(self, j: int, value: Any) -> float:
        """One value of column j, coded.

        Raises
        ------
        ValueError
            If the column cannot hold it.
        """
        levels = self.levels[j]
        if not pd.api.types.is_scalar(value):
            raise ValueError(f"Column {self.names[j]!r} takes one value, not {value!r}.")
        if pd.isna(value):
            return np.nan  # not given
        if levels is not None:
            code = levels.get_indexer([bool(value) if levels.dtype == bool and value in (0, 1) else value])[0]
            if code < 0:
                raise ValueError(f"Column {self.names[j]!r} has no level {value!r}: choose from {levels[:20].tolist()}.")
            return float(code)
        dated = getattr(self.dtypes[j], "kind", "f") in "mM" or isinstance(self.dtypes[j], pd.DatetimeTZDtype)
        try:
            x = numbers(pd.Series([value], dtype=self.dtypes[j]))[0] if dated else float(value)
        except (TypeError, ValueError):
            raise ValueError(f"Column {self.names[j]!r} is {self.kinds[j]} and cannot hold {value!r}.") from None
        integer = self.kinds[j] == "integer"
        grey = self.kinds[j] == "bernoulli"
        if not np.isfinite(x) or (integer and (x != np.floor(x) or abs(x) > 2**53)) or (grey and not 0 <= x <= 1):
            raise ValueError(f"Column {self.names[j]!r} is {self.kinds[j]} and cannot hold {value!r}.")
        code = (x - self.loc[j]) / self.scale[j]
        if abs(code) > FAR:
            raise ValueError(f"Column {self.names[j]!r} cannot hold {value!r}: it is beyond all scale of the rows seen in fit.")
        return float(code)

    def _as_numbers(self, column: Any, j: int) -> np.ndarray:
        dated = getattr(self.dtypes[j], "kind", "f") in "mM"
        if isinstance(column, pd.Series) and len(column) and (column.dtype.kind in "mM") != dated and column.notna().any():
            kinds = "dates or durations", "numbers"
            held, wanted = kinds if column.dtype.kind in "mM" else kinds[::-1]
            raise ValueError(f"Column {self.names[j]!r} held {wanted} in fit, and holds {held} now.")
        if column.dtype.kind == "c":
            raise ValueError(f"Column {self.names[j]!r} is complex now: give real numbers.")
        try:
            return numbers(column)
        except (TypeError, ValueError) as error:
            raise ValueError(f"Column {self.names[j]!r} is {self.kinds[j]}, but holds text or objects now ({error}).") from None

    def _codes(self, column: Any, j: int) -> np.ndarray:
        try:
            return self.levels[j].get_indexer(pd.Index(column) if isinstance(column, pd.Series) else column)
        except TypeError as error:
            raise ValueError(f"Column {self.names[j]!r} holds a cell that is neither text nor number ({error}).") from None

    def n_levels_are_01(self, j: int) -> bool:
        """Whether column j is coded as it comes: levels 0 and 1."""
        levels = self.levels[j]
        return len(levels) == 2 and levels[0] == 0 and levels[1] == 1

    @property
    def _all_01(self) -> bool:
        """Whether every column is coded as it comes: levels 0 and 1."""
        same: dict[int, bool] = {}  # columns of an array share one Index
        for j, levels in enumerate(self.levels):
            if id(levels) not in same:
                same[id(levels)] = levels is not None and self.n_levels_are_01(j)
            if not same[id(levels)]:
                return False
        return True

    @staticmethod
    def _clip(X: np.ndarray) -> np.ndarray:
        if X.size and not (X.max() <= FAR and X.min() >= -FAR):  # NaN compares false, and clip leaves it
            np.clip(X, -FAR, FAR, out=X)
        return X

    def log_jacobian(self, X: np.ndarray) -> np.ndarray | float:
        """log |d coded / d data| over the observed continuous cells of a coded matrix: (n,), or one number for all."""
        mask = self.continuous
        if not mask.any():
            return 0.0
        log_scale = np.log(self.scale[mask])
        if not np.isnan(X.sum()):  # one pass, and no cell is missing
            return -float(log_scale.sum())
        seen = ~np.isnan(X if mask.all() else X[:, mask])
        return -float(log_scale.sum()) if seen.all() else -(seen @ log_scale)

    # ---- and back

    def decode(self, X: np.ndarray) -> Any:
        """A table in the container given to ``fit``, with its names and dtypes, from a coded matrix."""
        X = np.asarray(X, dtype=float)
        if self.container.kind == "array" and self.container.dtype.kind == "f" and self.continuous.all():
            with np.errstate(over="ignore"):
                out = X * self.scale
                out += self.loc
            if self.scale.max() > 1e290:  # the tails of such columns lie beyond what a float holds
                np.clip(out, -_LARGEST, _LARGEST, out=out)
            return out.astype(self.container.dtype, copy=False)
        numeric = self.container.kind == "array" and self.container.dtype.kind in "fiub"
        if numeric and self._all_01 and (self.container.dtype.kind == "f" or not np.isnan(X).any()):
            return X.astype(self.container.dtype, order="C", copy=False)
        return self.container.wrap([self._decode_column(X[:, j], j) for j in range(len(self))], self.dtypes)

    def _decode_column(self, x: np.ndarray, j: int) -> Any:
        dtype, levels = self.dtypes[j], self.levels[j]
        if levels is not None:
            missing = np.isnan(x)
            code = np.where(missing, 0, x).astype(int)
            values = levels.take(code)
            if missing.any():
                values = values.astype(object).where(~missing, None)
            return pd.Series(values).to_numpy() if isinstance(dtype, np.dtype) else values
        with np.errstate(over="ignore"):
            x = np.round(x) if self.kinds[j] == "integer" else np.clip(x * self.scale[j] + self.loc[j], -_LARGEST, _LARGEST)
            x = np.clip(x, 0, 1) if self.kinds[j] == "bernoulli" else x
        if getattr(dtype, "kind", "f") in "mM" or isinstance(dtype, pd.DatetimeTZDtype):
            missing = np.isnan(x)
            unit = dtype.unit if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(dtype)[0]
            ticks = np.clip(np.where(missing, 0.0, x), -9.2e9, 9.2e9) * {"s": 1e0, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
            ticks = np.where(missing, pd.NaT.value, np.round(ticks).astype(np.int64))  # a coarser unit would round down
            if getattr(dtype, "kind", "M") == "m":
                return pd.to_timedelta(ticks.view(f"m8[{unit}]"))
            stamps = pd.to_datetime(ticks.view(f"M8[{unit}]"))
            return stamps.tz_localize("UTC").tz_convert(dtype.tz) if isinstance(dtype, pd.DatetimeTZDtype) else stamps
        if pd.api.types.is_integer_dtype(dtype) and not np.isnan(x).any():
            limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
            top = float(limits.max) if limits.bits < 64 else np.nextafter(float(limits.max), 0)  # the next float overflows
            return np.clip(x, float(limits.min), top).astype(np.int64 if limits.min < 0 else np.uint64)
        return x


def only_zero_one(table: np.ndarray, out: np.ndarray | None = None) -> tuple[bool, bool, bool]:
    """Whether every observed cell of a float array is 0 or 1, and whether 0 and 1 occur; ``out`` gets the rows looked at."""
    zero = one = False
    for begin in range(0, len(table), 1024):  # rows in cache; and the first of them mostly settle it
        cells = table[begin : begin + 1024]
        if out is not None:
            out[begin : begin + 1024] = cells
        with np.errstate(over="ignore"):
            squares = cells * cells
        if not (squares == cells).all():  # only 0 and 1 are their own squares; NaN is not
            if not ((squares == cells) | np.isnan(cells)).all():
                return False, zero, one
            cells = cells[~np.isnan(cells)]
        zero = zero or bool((cells == 0).any())
        one = one or bool((cells == 1).any())
    return True, zero, one
