"""Numbers that say how good predicted probabilities are."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["accuracy", "expected_calibration_error", "log_loss"]

#: As in scikit-learn, a probability below this counts as this, so that one row cannot make a log-loss infinite.
SMALLEST = float(np.finfo(np.float64).eps)


def _codes(y_true: Any, proba: np.ndarray, classes: Any) -> np.ndarray:
    """The column of ``proba`` that holds each row's label, -1 where no column does."""
    y_true, classes = np.asarray(y_true), np.asarray(classes)
    if proba.ndim != 2 or proba.shape != (len(y_true), len(classes)):
        raise ValueError(
            f"proba has shape {proba.shape}, but y_true has {len(y_true)} rows and classes {len(classes)} labels: "
            "give one row a label and one column a class."
        )
    if not len(y_true):
        raise ValueError("y_true is empty: there is nothing to judge.")
    if np.isnan(proba).any():
        raise ValueError("proba contains NaN: probabilities must be finite.")
    position = {label: k for k, label in enumerate(classes.tolist())}
    return np.array([position.get(label, -1) for label in y_true.tolist()])


def accuracy(y_true: Any, y_pred: Any) -> float:
    """Share of labels that are right."""
    return float(np.mean(np.asarray(y_true) == np.asarray(y_pred)))


def log_loss(y_true: Any, proba: Any, classes: Any) -> float:
    """Mean of -log p(y|x), nats; a probability below 2.2e-16 counts as that, as in scikit-learn.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    proba : array-like of shape (n, K)
    classes : array-like of shape (K,)
        The label of each column; a label that is not among them has probability 0.

    Examples
    --------
    >>> from skgen.evaluate.metrics import log_loss
    >>> round(log_loss(["a", "b"], [[0.5, 0.5], [0.2, 0.8]], ["a", "b"]), 4)
    0.4581
    """
    proba = np.asarray(proba, dtype=float)
    codes = _codes(y_true, proba, classes)
    of_label = np.where(codes >= 0, proba[np.arange(len(codes)), codes], 0.0)
    return float(-np.log(np.clip(of_label, SMALLEST, 1.0)).mean())


def expected_calibration_error(y_true: Any, proba: Any, classes: Any, n_bins: int = 15) -> float:
    r"""Expected calibration error of the predicted class: how far confidence is from the share of right answers.

    Rows are put into ``n_bins`` bins of equal width by their highest probability, (0, 1/n_bins], ..., (1 - 1/n_bins, 1];
    the answer is sum_b n_b / n |accuracy_b - mean confidence_b|.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    proba : array-like of shape (n, K)
    classes : array-like of shape (K,)
        The label of each column.
    n_bins : int, default=15

    Returns
    -------
    float
        0 (calibrated) to 1.

    Raises
    ------
    ValueError
        If the shapes do not fit or ``n_bins`` is no positive int.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger (2017), "On calibration of modern neural networks", eq. 3.

    Examples
    --------
    Four rows answered with confidence 0.9, of which three are right:

    >>> from skgen.evaluate.metrics import expected_calibration_error
    >>> round(expected_calibration_error([0, 0, 0, 1], [[0.9, 0.1]] * 4, [0, 1]), 3)
    0.15
    """
    if isinstance(n_bins, bool) or not isinstance(n_bins, (int, np.integer)) or n_bins < 1:
        raise ValueError(f"n_bins={n_bins!r} must be an int >= 1.")
    proba = np.asarray(proba, dtype=float)
    right = _codes(y_true, proba, classes) == proba.argmax(axis=1)
    confidence = proba.max(axis=1)
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    # n_b |acc_b - conf_b| = |sum of right in b - sum of confidence in b|
    gap = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(right))
