"""One model over the folds: fit, predict, score and draw, with seconds, until it fails or its time is up."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier

from skgen.evaluate import metrics
from skgen.evaluate.candidates import Candidate, one_line

__all__ = ["N_DRAWN", "Record", "run"]

#: Rows drawn to time sampling.
N_DRAWN = 1_000


@dataclass
class Record:
    """What was measured of one model; lists have one entry a finished fold."""

    label: str
    n_folds: int
    error: str = ""
    stopped: str = ""
    likelihood: str = ""
    right: list[np.ndarray] = field(default_factory=list)
    proba: list[np.ndarray] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    log_p: list[np.ndarray] = field(default_factory=list)
    fit_seconds: list[float] = field(default_factory=list)
    predict_seconds: list[float] = field(default_factory=list)
    sample_seconds: list[float] = field(default_factory=list)
    remarks: dict[str, None] = field(default_factory=dict)  # distinct, in order

    @property
    def folds(self) -> int:
        return len(self.fit_seconds)

    def row(self, classes: np.ndarray) -> dict[str, Any]:
        """The figures of this model: over all held-out rows together; seconds are means over folds."""

        def pooled(parts: list[np.ndarray], judge: Callable[[np.ndarray], float]) -> float:
            return judge(np.concatenate(parts)) if parts else np.nan

        y = np.concatenate(self.labels) if self.labels else None
        return {
            "accuracy": pooled(self.right, lambda r: float(r.mean())),
            "log_loss": pooled(self.proba, lambda p: metrics.log_loss(y, p, classes)),
            "calibration_error": pooled(self.proba, lambda p: metrics.expected_calibration_error(y, p, classes)),
            "log_p": pooled(self.log_p, lambda v: float(v.mean())),
            "likelihood": self.likelihood if self.log_p else "",
            "fit_seconds": float(np.mean(self.fit_seconds)) if self.fit_seconds else np.nan,
            "predict_seconds": float(np.mean(self.predict_seconds)) if self.predict_seconds else np.nan,
            "sample_seconds": float(np.mean(self.sample_seconds)) if self.sample_seconds else np.nan,
            "folds": self.folds,
            "stopped": self.stopped,
            "error": self.error,
        }


@dataclass
class _Fold:
    """One fold's figures, entered into the record only when the fold is whole."""

    seconds: dict[str, float] = field(default_factory=dict)

    def timed(self, what: str, call: Callable[..., Any], *args: Any) -> Any:
        start = time.perf_counter()
        answer = call(*args)
        self.seconds[what] = time.perf_counter() - start
        return answer


def run(
    candidate: Candidate,
    X: Any,
    y: np.ndarray,
    splits: list[tuple[np.ndarray, np.ndarray]],
    classes: np.ndarray,
    time_limit: float | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Record:
    """Measure one model.

    Parameters
    ----------
    candidate : Candidate
    X, y : table and labels
    splits : list of (train, test) positions
    classes : array of all labels, sorted
    time_limit : float, optional
        Seconds for all folds together. It is looked at before each fold but the first: a fold that would end beyond it,
        going by those before it, is not begun. A fit that has begun is not cut short.
    advance : callable
        Called after each fold, done or not.

    Returns
    -------
    Record
        Whatever a model raises ends its own row alone; an interrupt by the user goes through.
    """
    record = Record(candidate.label, len(splits), error=candidate.error)
    start = time.perf_counter()
    for k, (train, test) in enumerate(splits):
        spent = time.perf_counter() - start
        if time_limit is not None and k and not record.error and not record.stopped and spent + spent / k > time_limit:
            record.stopped = f"stopped after {k} of {len(splits)} folds"
        if not record.error and not record.stopped:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    _fold(record, candidate, X, y, train, test, classes)
                except Exception as error:  # a model may raise anything: its row says what, the others go on
                    where = "" if len(splits) == 1 else f"fold {k + 1} of {len(splits)}: "
                    record.error = where + one_line(error)
            for warning in caught:
                record.remarks[f"{warning.category.__name__}: {' '.join(str(warning.message).split())}"] = None
        advance()
    return record


def _rows(X: Any, rows: np.ndarray) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def _fold(
    record: Record, candidate: Candidate, X: Any, y: np.ndarray, train: np.ndarray, test: np.ndarray, classes: np.ndarray
) -> None:
    model, fold = clone(candidate.estimator), _Fold()
    X_train, X_test, y_test = _rows(X, train), _rows(X, test), y[test]
    fold.timed("fit", model.fit, X_train, y[train])
    right = proba = log_p = None
    if is_classifier(model):
        predicted = np.asarray(fold.timed("predict", model.predict, X_test))
        if predicted.shape != y_test.shape:
            raise ValueError(f"predict gave shape {predicted.shape} for {len(y_test)} rows")
        right = predicted == y_test
        if hasattr(model, "predict_proba"):
            proba = _aligned(np.asarray(model.predict_proba(X_test), dtype=float), model.classes_, classes)
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if hasattr(last, "likelihood_") and hasattr(model, "score_samples") and not candidate.transformed:
        log_p = np.asarray(model.score_samples(X_test), dtype=float)
        if np.isnan(log_p).any():
            raise ValueError("score_samples gave NaN")
        if lost := int(np.isneginf(log_p).sum()):
            record.remarks[f"{lost} held-out rows of a fold lie outside the support: log p(x) is -inf"] = None
        record.likelihood = last.likelihood_
    if hasattr(model, "sample"):
        fold.timed("sample", model.sample, N_DRAWN)
    for part, into in [(right, record.right), (proba, record.proba), (log_p, record.log_p)]:
        if part is not None:
            into.append(part)
    record.labels.append(y_test)
    record.fit_seconds.append(fold.seconds["fit"])
    if "predict" in fold.seconds:
        record.predict_seconds.append(fold.seconds["predict"])
    if "sample" in fold.seconds:
        record.sample_seconds.append(fold.seconds["sample"])
    record.remarks.update(dict.fromkeys(getattr(last, "notes_", ())))


def _aligned(proba: np.ndarray, known: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Columns in the order of all classes; one that the training rows lacked has probability 0."""
    if proba.ndim != 2 or proba.shape[1] != len(known):
        raise ValueError(f"predict_proba gave shape {proba.shape} for {len(known)} classes")
    if np.isnan(proba).any():
        raise ValueError("predict_proba gave NaN")
    whole = np.zeros((len(proba), len(classes)))
    whole[:, np.searchsorted(classes, known)] = proba
    return whole
