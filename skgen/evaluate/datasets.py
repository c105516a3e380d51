"""A table and its labels: scikit-learn's bundled sets by name, and csv or parquet files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from skgen.containers import as_table

__all__ = ["BUNDLED", "Data", "from_frame", "load", "near", "read_table"]

BUNDLED = ("breast_cancer", "digits", "iris", "wine")
_SPLITS = {"train", "valid", "test"}


@dataclass
class Data:
    """What is compared on.

    Attributes
    ----------
    name : str
    X : array or DataFrame of shape (n, d)
    y : array of shape (n,), or None
    image_shape : tuple or None
    split : array of shape (n,) of "train", "valid", "test", or None
    heads : list of str
        All columns of the file, in its order, the target too.
    notes : list of str
        What was done to the table on the way, for the reader of the result.
    """

    name: str
    X: Any
    y: np.ndarray | None
    image_shape: tuple[int, ...] | None = None
    split: np.ndarray | None = None
    heads: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def near(name: Any, known: Iterable[str]) -> str:
    """ " Did you mean ...?", or nothing."""
    found = difflib.get_close_matches(str(name), [str(k) for k in known], 3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


def load(
    source: str,
    target: str | None = None,
    split_column: str | None = None,
    drop: Iterable[str] = (),
    drop_missing_target: bool = False,
    *,
    labels: Literal["all", "some", "none"] = "all",
) -> Data:
    """A bundled data set by name, or a csv or parquet file.

    Parameters
    ----------
    source : str
        One of ``BUNDLED``, or the path of a file; a csv may be compressed.
    target : str, optional
        The column of labels; required for a file, not for a bundled set.
    split_column : str, optional
        A column of "train", "valid" and "test".
    drop : iterable of str
        Columns to leave out.
    drop_missing_target : bool, default=False
        Leave out the rows of a file whose target is missing, with a note; else they are an error.
    labels : {"all", "some", "none"}
        Which rows need one: "some" takes rows without (their label is NaN, with a note), "none" a file without a target.

    Raises
    ------
    ValueError
        Naming the file or column, with near misses and the remedy.

    Examples
    --------
    >>> from skgen.evaluate.datasets import load
    >>> load("digits").image_shape
    (8, 8)
    """
    if source in BUNDLED:
        if target is not None or split_column is not None or tuple(drop):
            raise ValueError(f"{source} is bundled with its target and has no columns to drop or split by: those are for files.")
        return _bundled(source)
    path = Path(source)
    if path.is_dir():
        raise ValueError(f"{source} is a folder: name a csv or parquet file, or one of {', '.join(BUNDLED)}.")
    if not path.exists():
        raise ValueError(
            f"There is no file and no bundled data set {source!r}.{near(source, BUNDLED)} Bundled: {', '.join(BUNDLED)}."
        )
    return from_frame(read_table(path), target, split_column, drop, path.name.partition(".")[0], drop_missing_target, labels=labels)


def _bundled(name: str) -> Data:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")(as_frame=name != "digits")
    if name == "digits":  # whole counts 0 to 16, stored as floats
        return Data(name, found.data.astype(int), found.target, image_shape=(8, 8))
    labels = np.asarray(found.target_names, dtype=object)[found.target.to_numpy()]
    return Data(name, found.data, labels, heads=[*found.data.columns, "target"])


def read_table(path: Path) -> pd.DataFrame:
    """A csv, tsv (each may be compressed) or parquet file as it stands; integers with missing cells stay integers.

    Raises
    ------
    ValueError
        If it is no table, or names a column twice.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    try:
        if suffixes[-1:] in ([".parquet"], [".pq"]):
            return _read_parquet(path)
        first = pd.read_csv(path, sep="\x00", header=None, nrows=1, dtype=str, quoting=3, engine="python").iloc[0, 0]
        separator = _separator(str(first), ".tsv" in suffixes)
        frame = _read_text(path, separator)
        heads = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str).iloc[0].dropna()
    except (MemoryError, ImportError):
        raise
    except UnicodeError:
        raise ValueError(f"{path} is not text in UTF-8: save it as CSV UTF-8.") from None
    except Exception as error:  # readers raise what their decompressors and parsers raise
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise ValueError(f"{path} cannot be read as a table: {reason}") from error
    _refuse_twice(heads, path)  # pandas renames the second of two equal heads, and a second target would be learnt from
    return frame


def _separator(first: str, tabs: bool) -> str:
    """What stands between the cells: the comma, unless the first line has none and another that is used for it."""
    if tabs:
        return "\t"
    return "," if "," in first else next((mark for mark in (";", "\t", "|") if mark in first), ",")


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    """A comma is a decimal point where cells end with semicolons and more columns are numbers for it."""
    frame = pd.read_csv(path, sep=separator, dtype_backend="numpy_nullable")
    if separator != ";":
        return frame
    other = pd.read_csv(path, sep=separator, decimal=",", dtype_backend="numpy_nullable")
    n_numbers = [len(one.select_dtypes("number").columns) for one in (frame, other)]
    return other if n_numbers[1] > n_numbers[0] else frame


def _refuse_twice(heads: Any, where: Any) -> None:
    twice = pd.Index(heads)[pd.Index(heads).duplicated()]
    if len(twice):
        raise ValueError(f"{where} has more than one column {twice[0]!r}: rename or remove all but one.")


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, dtype_backend="numpy_nullable")
    except ImportError:
        try:
            import polars as pl
        except ImportError:
            raise ImportError(f"{path} is a parquet file, which needs a reader: pip install pyarrow.") from None
        return as_table(pl.read_parquet(path), "compare")[0]


def from_frame(
    frame: pd.DataFrame,
    target: str | None,
    split_column: str | None = None,
    drop: Iterable[str] = (),
    name: str = "table",
    drop_missing_target: bool = False,
    *,
    labels: Literal["all", "some", "none"] = "all",
) -> Data:
    """Labels, split and columns of one frame; text becomes categories.

    Raises
    ------
    ValueError
        For a column that is not there or there twice, a target with missing cells, a split that is none.
    """
    _refuse_twice(frame.columns, name)
    if not len(frame):
        raise ValueError(f"{name} has no rows.")
    if target is None and labels == "all":
        raise ValueError(f"Which column of {name} is the target? Give --target, one of: {_some(frame.columns)}.")
    for wanted, role in [(target, "target"), (split_column, "split column"), *((column, "column to drop") for column in drop)]:
        if wanted is not None and wanted not in frame.columns:
            hint = near(wanted, frame.columns) or f" The columns are {_some(frame.columns)}."
            raise ValueError(f"There is no column {wanted!r} ({role}) in {name}.{hint}")
    if target is not None and target in (split_column, *drop):
        raise ValueError(f"{target!r} is the target and cannot be dropped or split by as well.")
    notes = []
    if drop_missing_target and (unknown := frame[target].isna()).any():
        notes.append(f"{int(unknown.sum())} rows without a {target!r} are left out.")
        frame = frame[~unknown].reset_index(drop=True)
        if not len(frame):
            raise ValueError(f"The target {target!r} of {name} is missing in every row.")
    split = None if split_column is None else split_values(frame[split_column], split_column)
    left_out = [*(() if target is None else (target,)), *drop] + ([] if split_column is None else [split_column])
    if (
        split_column is None
        and "split" in frame.columns
        and "split" not in left_out
        and set(frame["split"].astype(object)) <= _SPLITS
    ):
        left_out.append("split")
        notes.append("Column 'split' (train, valid, test) is left out; --split-column split uses it as the one split.")
    X = frame.drop(columns=left_out)
    if empty := [column for column in X.columns if X[column].isna().all()]:
        X = X.drop(columns=empty)
        notes.append(f"Columns without any value are left out: {_some(empty)}.")
    if not X.shape[1]:
        raise ValueError(f"{name} has no column beside the target {target!r}: there is nothing to learn from.")
    y = None
    if target is not None:
        unknown = frame[target].isna().to_numpy()
        y = _labels(frame[target], target) if labels == "all" or not unknown.any() else _labels_of_some(frame[target], unknown)
        if labels != "all" and unknown.any():
            notes.append(f"{int(unknown.sum())} rows have no {target!r}, and are learnt from without it.")
    heads = [str(column) for column in frame.columns]
    return Data(name, _text_to_categories(X), y, split=split, heads=heads, notes=notes + _oddities(X))


def _some(columns: Iterable[Any], most: int = 12) -> str:
    listed = [str(column) for column in columns]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _oddities(X: pd.DataFrame) -> list[str]:
    """Notes on what is likely an accident: numbers that one cell of text makes categories, a first row taken for names."""
    notes = []
    for name, dtype in X.dtypes.items():
        if not isinstance(dtype, pd.StringDtype):
            continue
        levels = pd.Series(X[name].dropna().unique())
        numbers = pd.to_numeric(levels.astype(object), errors="coerce").notna()
        if numbers.sum() > len(levels) / 2:
            text = levels[~numbers]
            odd = f", but {_some(map(repr, text), 3)} {'is' if len(text) == 1 else 'are'} not" if len(text) else ""
            notes.append(f"Column {name!r} is read as categories: {numbers.sum()} of its {len(levels)} values are numbers{odd}.")
    if len(X.columns) > 1 and pd.to_numeric(pd.Series(X.columns.map(str)), errors="coerce").notna().all():
        notes.append(f"The names of the columns are numbers ({_some(X.columns, 3)}): does the file have a first row of names?")
    return notes


def _text_to_categories(X: pd.DataFrame) -> pd.DataFrame:
    """Text as categories; with a value a row it stays text, which is refused where columns are read, not declared levels."""
    text = [name for name, dtype in X.dtypes.items() if isinstance(dtype, pd.StringDtype)]
    return X.astype({name: "category" if X[name].nunique() < X[name].count() else object for name in text})


def _labels(column: pd.Series, name: str) -> np.ndarray:
    """The target as a plain array, without a missing cell."""
    missing = column.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"The target {name!r} has {int(missing.sum())} missing cells (first at row {int(missing.argmax())}, counting from 0): "
            "drop those rows (--drop-missing-target does), a comparison needs every row's label."
        )
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", column.dtype))
    return column.astype(object).to_numpy()


def _labels_of_some(column: pd.Series, unknown: np.ndarray) -> np.ndarray:
    """The target with NaN where it is missing."""
    y = np.full(len(column), np.nan, dtype=object)
    y[~unknown] = _labels(column[~unknown], str(column.name)).tolist()
    return y


def _is_split(column: pd.Series) -> bool:
    values = set(column.dropna().astype(str))
    return not column.isna().any() and values <= _SPLITS and {"train", "test"} <= values


def split_values(column: pd.Series, name: str) -> np.ndarray:
    """The split of each row, "train", "test" or "valid"; ValueError naming the column if it holds anything else."""
    if not _is_split(column):
        found = _some(column.astype(object).unique(), 5)
        raise ValueError(f"Split column {name!r} must hold train, test and perhaps valid, in every row; it holds {found}.")
    return column.astype(object).to_numpy()
