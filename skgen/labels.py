"""Labels as they come: which rows have one, the classes, and their codes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

__all__ = ["is_missing", "read_labels", "warn_of_lonely", "weights_by_class"]


def is_missing(values: np.ndarray, marker: Any = np.nan) -> np.ndarray:
    """Where a label is ``marker``; NaN matches NaN, None and pd.NA."""
    if pd.api.types.is_scalar(marker) and pd.isna(marker):
        return np.asarray(pd.isna(values))
    equal = np.asarray(values, dtype=object) == marker
    return np.asarray(equal, dtype=bool) & np.ones(len(values), dtype=bool)


def read_labels(y: Any, counted: np.ndarray, unlabeled: Any, may_all_miss: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Sorted classes among the counted rows, and a code for each row, -1 where the label is unknown.

    Parameters
    ----------
    y : array-like of shape (n,)
    counted : boolean array of shape (n,)
        Rows of positive weight.
    unlabeled : None or scalar
        The value that marks a row without a label.
    may_all_miss : bool
        Take rows of which none has a label.

    Raises
    ------
    ValueError
        If a label is missing and ``unlabeled`` does not say so, no row has one, or y is no class.
    """
    y = column_or_1d(y.to_numpy() if isinstance(y, pd.Series) else y, warn=True)
    if y.dtype.kind == "f" and np.isinf(y).any():
        raise ValueError("Input y contains infinity or a value too large for a label.")
    missing = is_missing(y) if y.dtype.kind in "fOM" else np.zeros(len(y), dtype=bool)
    unknown = is_missing(y, unlabeled) if unlabeled is not None else np.zeros(len(y), dtype=bool)
    if (missing & ~unknown).any():
        raise ValueError(
            f"Input y contains NaN (first at row {int(np.argmax(missing & ~unknown))}): drop those rows, "
            "or pass unlabeled=np.nan to learn from them without a label."
        )
    known = ~unknown & counted
    if not known.any() and may_all_miss:
        return y[:0], np.full(len(y), -1)
    if not known.any():
        raise ValueError(f"y has no labelled row that counts (unlabeled={unlabeled!r}): label some, or call fit(X).")
    labels = y[known].astype(np.float32) if y.dtype == np.float16 else y[known]
    if unknown.any() and labels.dtype.kind == "f" and np.all(labels == np.floor(labels)):
        labels = labels.astype(int)  # a NaN made them float
    elif labels.dtype == object:
        found = pd.api.types.infer_dtype(labels)
        if found in ("mixed", "mixed-integer"):
            types = sorted({type(v).__name__ for v in labels})
            raise ValueError(f"y mixes labels of types {', '.join(types)}, which have no order: convert them to one.")
        labels = np.array(labels.tolist()) if found in ("boolean", "integer", "floating") else labels
    if labels.dtype.kind not in "iubSU":  # those are labels whatever their values
        try:
            check_classification_targets(labels)
        except ValueError as error:
            raise ValueError(f"{error} For a density that ignores y, use task='density'.") from None
    classes, known_codes = _classes_and_codes(labels)
    codes = np.full(len(y), -1)
    codes[known] = known_codes
    return classes, codes


def _classes_and_codes(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted classes and the code of each label."""
    if y.dtype.kind in "iu" and len(y) and int(y.max()) - int(y.min()) < 4 * len(y) + 1000:  # counting beats sorting
        shifted = (y - y.min()).astype(np.int64)
        present = np.flatnonzero(np.bincount(shifted))
        lookup = np.zeros(present[-1] + 1, dtype=np.intp)
        lookup[present] = np.arange(len(present))
        return present.astype(y.dtype) + y.min(), lookup[shifted]
    return np.unique(y, return_inverse=True)


def warn_of_lonely(classes: np.ndarray, codes: np.ndarray) -> None:
    """A class of one row has no spread of its own."""
    counts = np.bincount(codes[codes >= 0], minlength=len(classes))
    if (counts == 1).any() and len(counts) > 1:
        lonely = ", ".join(repr(c) for c in classes[counts == 1][:5].tolist())
        warnings.warn(f"Classes of one row: {lonely}. Their density is a guess around that row.", UserWarning, stacklevel=5)


def weights_by_class(codes: np.ndarray, weight: np.ndarray, n_classes: int) -> np.ndarray:
    """Weights (n, K) with one entry a labelled row, none where the code is -1."""
    by_class = np.zeros((n_classes, len(codes)))  # class first: a class's weights lie together
    rows = np.flatnonzero(codes >= 0)
    by_class.ravel()[codes[rows] * len(codes) + rows] = weight[rows]
    return by_class.T
