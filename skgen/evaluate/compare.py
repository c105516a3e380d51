"""``skgen.compare``: generative classifiers beside discriminative ones, in one table."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import type_of_target

import skgen
from skgen.base import GenerativeModel
from skgen.containers import as_table
from skgen.evaluate import datasets, folds
from skgen.evaluate.candidates import Candidate, Settings, candidates
from skgen.evaluate.result import Comparison
from skgen.reading import columns
from skgen.tables import Columns

__all__ = ["compare"]

_LARGE = 20_000  # rows from which three folds say enough
_MOST_CLASSES = 1_000


def compare(
    models: Any = None,
    X: Any = None,
    y: Any = None,
    *,
    n_folds: int | None = None,
    split: Any = None,
    column_kinds: Any = "auto",
    image_shape: tuple[int, ...] | None = None,
    time_limit: float | None = None,
    device: str | None = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    progress: bool | None = None,
) -> Comparison:
    r"""Compare classifiers, generative and discriminative, by cross-validation.

    The columns are read once, on the whole table, so that every model and fold shares kinds, levels and base measure;
    each model is then fitted and judged on the same stratified folds. A model that fails is a row with its error.

    Parameters
    ----------
    models : None, name, estimator, iterable of these, or {label: either}
        Names of :func:`skgen.names`, of rivals ("logistic_regression", "rbf_svm", "random_forest",
        "hist_gradient_boosting", "k_nearest_neighbors", "mlp"), estimators or pipelines, which are cloned. None is every
        registered model that takes the columns, with its default parameters, and all rivals.
    X : array-like or data frame of shape (n, d), or name of a bundled data set or path of a csv or parquet file
        Bundled: "wine", "breast_cancer", "digits", "iris".
    y : array-like of shape (n,), or the name of a column of X
    n_folds : int, optional
        None is 5, and 3 for more than 20,000 rows; never more than the smallest class has rows.
    split : array-like of shape (n,), optional
        "train", "valid" or "test" for each row, instead of folds: learn on train and valid, judge on test.
    column_kinds : "auto", str, dict or Columns
        How columns are read, see :func:`skgen.columns`.
    image_shape : (height, width) or (height, width, channels), optional
        The columns are pixels; told to models that ask.
    time_limit : float, optional
        Seconds for each model, all its folds together. A fold that would end later, going by the folds before it, is not
        begun, and the row says so. The first fold always runs, and a fit that has begun is not cut short.
    device : str, optional
        Told to models that have such a parameter.
    n_jobs : int, optional
        Told to models that have such a parameter. Models and folds run one after another, so that their seconds compare.
    random_state : int, default=0
        Seeds folds, rivals and every model whose own is None.
    progress : bool, optional
        Show a progress bar on stderr; None shows one on a terminal.

    Returns
    -------
    Comparison
        ``table`` (DataFrame), ``notes``, ``to_json()``, ``to_csv()``; printing it shows all.

    Raises
    ------
    ValueError
        For a table, labels, folds or names that cannot be used; never for a model that fails.

    Notes
    -----
    Figures are over all held-out rows together: accuracy; log-loss in nats, a probability below 2.2e-16 counting as that;
    calibration error of the predicted class in 15 bins of equal width; mean log p(x) a row in nats and in units of the
    data, with what the number is. Seconds are means over folds; those of rivals hold their search for parameters.

    Examples
    --------
    >>> import skgen
    >>> result = skgen.compare("naive_bayes", "wine", random_state=0)
    >>> bool(result.table.loc["naive_bayes", "accuracy"] > 0.96)
    True
    """
    data = _data(X, y, split, image_shape)
    seed = _seed(random_state)
    _check_time_limit(time_limit)
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, (int, np.integer)) or n_jobs == 0):
        raise ValueError(f"n_jobs={n_jobs!r} must be None, a number of jobs from 1 on, or -1 for all processors.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = column_kinds if isinstance(column_kinds, Columns) else columns(data.X, column_kinds, image_shape=data.image_shape)
    notes = data.notes + [f"Columns: {' '.join(str(warning.message).split())}" for warning in caught]
    missing = bool(np.asarray(pd.isna(data.X)).any())
    settings = Settings(read, data.y, missing, seed, n_jobs, device, data.image_shape)
    chosen, left_out = candidates(models, settings)
    splits, how, fold_notes = _splits(data, n_folds, seed)
    classes = np.unique(data.y)
    records = []
    with _progress(progress, chosen, len(splits)) as advance:
        for candidate in chosen:
            records.append(folds.run(candidate, data.X, data.y, splits, classes, time_limit, advance(candidate.label)))
    table = pd.DataFrame({record.label: record.row(classes) for record in records}).T.infer_objects().rename_axis("model")
    about = {
        "skgen": skgen.__version__,
        "data": data.name,
        "rows": len(data.y),
        "columns": len(read),
        "classes": classes.tolist(),
        "folds": len(splits),
        "random_state": seed,
    }
    title = f"{data.name}: {len(data.y):,} rows, {_kinds(read)}, {len(classes)} classes; {how}"
    return Comparison(table, title, [*notes, *fold_notes, *left_out, *_notes(records, chosen, table, read, device)], about)


# ---- the data


def _data(X: Any, y: Any, split: Any, image_shape: Any) -> datasets.Data:
    """Table, labels, split, checked."""
    if X is None:
        raise ValueError("compare needs data: X and y, or the name of a bundled set: skgen.compare(None, 'wine').")
    if isinstance(X, datasets.Data):
        data = X
    elif isinstance(X, str):
        if y is not None and not isinstance(y, str):
            raise ValueError("With a bundled set or a file, y is the name of the target column.")
        data = datasets.load(X, y)
    elif isinstance(y, str):
        frame = as_table(X, "compare")[0]
        if not isinstance(frame, pd.DataFrame):
            raise ValueError(f"y={y!r} names a column, but X is an array without names: give the labels themselves.")
        data = datasets.from_frame(frame, y)
    else:
        if y is None:
            raise ValueError("compare needs labels: y=labels, or the name of the column of X that holds them.")
        data = datasets.Data("data", _table(X), pd.Series(np.ravel(y)).infer_objects().to_numpy())
    if image_shape is not None:
        data.image_shape = tuple(image_shape)
    check_consistent_length(data.X, data.y)
    if split is not None:
        data.split = datasets.split_values(pd.Series(np.ravel(split)), "split")
        check_consistent_length(data.X, data.split)
    _check_labels(data.y)
    return data


def _table(X: Any) -> Any:
    """A pandas frame or an array with its dtype."""
    if hasattr(X, "columns") and not isinstance(X, pd.DataFrame):
        return as_table(X, "compare")[0]
    if isinstance(X, pd.DataFrame):
        return X
    as_table(X, "compare")  # refuses what is no table
    return np.asarray(X)


def _check_labels(y: np.ndarray) -> None:
    missing = np.asarray(pd.isna(y))
    if missing.any():
        raise ValueError(f"y has {int(missing.sum())} missing labels (first at row {int(missing.argmax())}): drop those rows.")
    kind = type_of_target(y)
    n_classes = len(pd.unique(y))
    if kind.startswith("continuous"):
        raise ValueError(f"The target is continuous ({n_classes} distinct values): compare is for classes; bin it first.")
    if kind not in ("binary", "multiclass"):
        raise ValueError(f"The target cannot be read as classes (it is {kind}): give one label a row, all of one type.")
    if n_classes < 2:
        raise ValueError(f"The target has one class ({y[0]!r}): there is nothing to tell apart.")
    if n_classes > _MOST_CLASSES or n_classes > max(2, len(y) // 3):
        raise ValueError(
            f"The target has {n_classes} classes in {len(y)} rows, too many to learn and judge: is it a number or an "
            "identifier? Bin it, or choose another target."
        )


def _seed(random_state: Any) -> int:
    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)) or not 0 <= random_state < 2**32:
        raise ValueError(f"random_state={random_state!r} must be an int from 0 to 2**32 - 1.")
    return int(random_state)


def _check_time_limit(time_limit: Any) -> None:
    number = isinstance(time_limit, (int, float, np.number)) and not isinstance(time_limit, bool)
    if time_limit is not None and not (number and time_limit > 0):
        raise ValueError(f"time_limit={time_limit!r} must be None or seconds > 0.")


def _splits(data: datasets.Data, n_folds: int | None, seed: int) -> tuple[list, str, list[str]]:
    """(train, test) positions, how they were made, and what was cut."""
    y = data.y
    if data.split is not None:
        train, test = np.flatnonzero(data.split != "test"), np.flatnonzero(data.split == "test")
        if unseen := sorted(set(y[test].tolist()) - set(y[train].tolist()), key=str):
            raise ValueError(f"Class {unseen[0]!r} is in the test rows and not in the training rows: use folds instead.")
        return [(train, test)], f"one split, {len(train):,} rows to learn and {len(test):,} to judge; seed {seed}", []
    labels, counts = np.unique(y, return_counts=True)
    wanted = n_folds if n_folds is not None else min(5, len(y)) if len(y) <= _LARGE else 3
    if isinstance(wanted, bool) or not isinstance(wanted, (int, np.integer)) or not 2 <= wanted <= len(y):
        raise ValueError(f"n_folds={n_folds!r} must be an int from 2 to the number of rows, {len(y)}.")
    if counts.max() == 1:
        raise ValueError(
            f"Every class has one row ({', '.join(repr(label) for label in labels[:5].tolist())}), which cannot be both learnt "
            "and judged: give more rows of each, two at the least."
        )
    fewest, notes = int(counts.min()), []
    used = max(2, min(int(wanted), fewest))
    if used < wanted:
        notes.append(f"{used} folds instead of {wanted}: class {labels[counts.argmin()]!r} has {fewest} row{'s' * (fewest > 1)}.")
    if fewest == 1:
        lonely = ", ".join(repr(label) for label in labels[counts == 1][:5].tolist())
        notes.append(f"Classes of one row cannot be both learnt and judged, and count as errors: {lonely}.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # the note above says it
        made = list(StratifiedKFold(used, shuffle=True, random_state=seed).split(np.zeros(len(y)), y))
    return made, f"{used} stratified folds, seed {seed}", notes


# ---- the words around the table


def _kinds(read: Columns) -> str:
    counted = [(kind, read.kinds.count(kind)) for kind in dict.fromkeys(read.kinds)]
    if len(counted) == 1:
        return f"{len(read)} {counted[0][0]} columns"
    return f"{len(read)} columns ({', '.join(f'{count} {kind}' for kind, count in counted)})"


def _notes(
    records: list[folds.Record], chosen: list[Candidate], table: pd.DataFrame, read: Columns, device: str | None
) -> list[str]:
    """What the figures need to be read right, and each distinct warning once."""
    likelihood = table.loc[table["log_p"].notna(), "likelihood"]
    notes = [f"log p(x): mean nats a held-out row, {_measure(read)}."] if len(likelihood) else []
    if likelihood.nunique() > 1:
        said = "; ".join(f"{kind}: {', '.join(map(str, of.index))}" for kind, of in likelihood.groupby(likelihood, sort=False))
        notes.append(f"log p(x) of unlike kinds do not compare as they stand ({said}).")
    for candidate in chosen:
        if candidate.transformed and isinstance(candidate.last, GenerativeModel):
            notes.append(
                f"{candidate.label}: log p(x) is in the units of its last step, not of the data, and is left out; "
                "skgen.TransformedDensity(transformer, model) gives it in those of the data."
            )
        if candidate.own_columns:
            notes.append(f"{candidate.label}: reads columns by its own column_kinds; its log p(x) may not compare.")
    if device is not None and not any(_has_device(candidate) for candidate in chosen):
        notes.append(f"No model here has a device; {device!r} was told to none.")
    remarks: dict[str, list[str]] = {}
    for record in records:
        for remark in record.remarks:
            remarks.setdefault(remark, []).append(record.label)
    return notes + [f"{', '.join(labels)}: {remark}" for remark, labels in remarks.items()]


def _measure(read: Columns) -> str:
    """What log p(x) is a density with respect to."""
    if read.continuous.all():
        return "a density in units of the data"
    if not read.continuous.any():
        return "a probability, as all columns are discrete"
    return "a probability in the discrete columns and a density, in units of the data, in the continuous ones"


def _has_device(candidate: Candidate) -> bool:
    return candidate.estimator is not None and any(
        name.rpartition("__")[2] == "device" for name in candidate.estimator.get_params(deep=True)
    )


@contextlib.contextmanager
def _progress(wanted: bool | None, chosen: list[Candidate], n_folds: int) -> Iterator[Callable[[str], Callable[[], None]]]:
    """Gives ``advance(label)``, which gives what to call after each fold of that model."""
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield lambda label: lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    shown = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    console = Console(stderr=True)
    with Progress(*shown, console=console, transient=console.is_terminal) as bar:
        task = bar.add_task("", total=len(chosen) * n_folds)

        def advance(label: str) -> Callable[[], None]:
            bar.update(task, description=label)
            return lambda: bar.advance(task)

        yield advance
