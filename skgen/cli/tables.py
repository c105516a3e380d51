"""Tables and model files, in and out of the command line, and words as cells of a column."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ORDER",
    "TARGET",
    "any_unlabelled",
    "as_frame",
    "cell",
    "check_output",
    "given_cells",
    "impossible",
    "label_of",
    "name_of",
    "opened",
    "sizes",
    "tables",
    "writer",
]

CHUNK = 10_000  # rows drawn, completed or scored at a time
#: Notes in a model file: what the column of labels is called, and the order of all columns.
TARGET, ORDER = "target", "columns"


def any_unlabelled(y: Any, target: str | None) -> bool:
    """Whether some rows have no label; what cannot be one is refused."""
    import pandas as pd

    values = pd.Series(y).dropna()
    if pd.api.types.is_float_dtype(values.infer_objects()) and (values.astype(float) % 1 != 0).any():
        raise ValueError(
            f"Column {target!r} holds decimals, such as {values.iloc[0]}, and is no class: leave --target out, and it is learnt "
            "as a column beside the others."
        )
    return bool(pd.isna(y).any())


def opened(path: str) -> tuple[Any, dict[str, str]]:
    """A fitted model, and the notes beside it."""
    import skgen
    from skgen.files import notes

    model = skgen.load(path)
    if not hasattr(model, "columns_") or not hasattr(model, "sample"):
        raise ValueError(
            f"{path} holds {type(model).__name__}, which is no fitted model of rows: use a file that `skgen fit` wrote."
        )
    return model, notes(path)


def tables(path: str, model: Any) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """A table in chunks: all of its columns, and those of the model in the model's order."""
    from skgen.evaluate.datasets import near, read_table

    frame = read_table(Path(path))
    frame.columns = [str(name) for name in frame.columns]
    wanted = [str(name) for name in model.columns_.names]
    if absent := [name for name in wanted if name not in frame.columns]:
        raise ValueError(f"{path} has no column {absent[0]!r}, which the model was fitted on.{near(absent[0], frame.columns)}")
    if not len(frame):
        raise ValueError(f"{path} has no rows.")
    for start in range(0, len(frame), CHUNK):
        part = frame.iloc[start : start + CHUNK].copy()
        X = part[wanted].set_axis(model.columns_.names, axis=1)
        yield part, X


def as_frame(X: Any, model: Any) -> pd.DataFrame:
    """Rows of a model that was fitted on an array, with its names."""
    import pandas as pd

    return X if isinstance(X, pd.DataFrame) else pd.DataFrame(X, columns=[str(name) for name in model.columns_.names])


def sizes(n: int) -> Iterator[int]:
    """Chunks that n rows are drawn in; of no rows one, for the heads."""
    if n < 0:
        raise ValueError(f"-n {n} must be a number of rows, 0 or more.")
    yield from [CHUNK] * (n // CHUNK) + ([n % CHUNK] if n % CHUNK or not n else [])


@contextmanager
def writer(path: str) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that writes frames one after the other, the heads once; a file is there whole or not at all."""
    separator = "\t" if ".tsv" in path.lower() else ","
    with _text(path) as stream:
        first = True

        def write(frame: pd.DataFrame) -> None:
            nonlocal first
            frame.to_csv(stream, index=False, header=first, sep=separator)
            first = False

        yield write


@contextmanager
def _text(path: str) -> Iterator[TextIO]:
    import gzip

    from skgen.learn.whole_files import written_whole

    if path == "-":
        yield sys.stdout
        return
    if Path(path).suffix.lower() in (".parquet", ".pq", ".xlsx", ".zip"):
        raise ValueError(f"{path} must be a csv or tsv file, or one of them with .gz: other tables are not written row by row.")
    opened = gzip.open if path.lower().endswith(".gz") else open
    with written_whole(Path(path)) as part, opened(part, "wt", encoding="utf-8", newline="") as stream:
        yield stream


def check_output(path: str, *inputs: str) -> None:
    """An output goes to a folder that is there, and over no input."""
    if path == "-":
        return
    place = Path(path).resolve()
    if not place.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {Path(path).parent} to write {Path(path).name} into.")
    if place.is_dir() or place in {Path(given).resolve() for given in inputs}:
        raise ValueError(f"-o {path} is {'a folder' if place.is_dir() else 'what is read'}: name another file.")


def impossible(X: pd.DataFrame, log_p: Any, model: Any) -> str:
    """Which rows have no density, and the first cell that no model of these columns could hold."""
    import numpy as np

    rows, columns = np.flatnonzero(np.isneginf(log_p)), model.columns_
    told = f"{len(rows):,} rows have log_p -inf"
    for j, name in enumerate(columns.names):
        if columns.levels[j] is None:
            continue
        cells = X[name].iloc[rows]
        odd = cells[cells.notna() & ~cells.astype(str).isin({str(level) for level in columns.levels[j]})]
        if len(odd):
            return f"{told}: row {odd.index[0]}, for one, has {odd.iloc[0]!r} in column {name!r}, which fit did not see."
    return f"{told}, the first of them row {X.index[rows[0]]}: a cell there is outside of what the model holds possible."


# ---- words into cells


def given_cells(words: list[str], names: list[str]) -> dict[str, str]:
    """``age=40`` of each word, by the names there are, in which there may be signs of equality too."""
    cells: dict[str, str] = {}
    for word in words:
        ends = [i for i, letter in enumerate(word) if letter == "="]
        if not ends:
            raise ValueError(f"--given {word!r} must be column=value, such as age=40.")
        known = [i for i in ends if word[:i] in names or word[:i].strip() in names]
        name, value = word[: (known or ends)[0]], word[(known or ends)[0] + 1 :]
        name = name if name in names else name.strip()
        if name in cells:
            raise ValueError(f"--given names {name!r} twice.")
        cells[name] = value.strip()
    return cells


def name_of(model: Any, name: str) -> Any:
    """The column that a word names."""
    from skgen.evaluate.datasets import near

    for known in model.columns_.names:
        if str(known) == name:
            return known
    raise ValueError(f"--given names {name!r}, which is no column of the model.{near(name, model.columns_.names)}")


def cell(model: Any, name: str, value: str) -> Any:
    """A word as the value of a column: one of its levels, or a number."""
    columns = model.columns_
    j = columns.names.index(name_of(model, name))
    if columns.levels[j] is not None:
        return label_of(value, columns.levels[j], name)
    try:
        return float(value)
    except ValueError:
        return value  # a date; else the model says what the column holds


def label_of(value: str, known: Any, name: str) -> Any:
    """One of the known values by what it looks like: ``1`` and ``1.0``, ``true`` and ``True`` are one."""
    for one in known:
        if str(one) == value or (str(one).lower() == value.lower() and str(one) in ("True", "False")):
            return one
    for one in known:
        try:
            if float(one) == float(value):
                return one
        except (TypeError, ValueError):
            continue
    raise ValueError(f"{name} has no value {value!r}: choose from {', '.join(str(one) for one in list(known)[:20])}.")
