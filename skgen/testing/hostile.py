"""Tables that break estimators: a finite answer or an error that names the matter, and nothing else."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from skgen.testing.result import CheckFailed, brief, check, require
from skgen.testing.subject import Subject
from skgen.testing.tables import table

__all__: list[str] = []

_SECONDS = 10
_NAMES = r"column|row|sample|feature|class|label|scale|component|state|\bX\b|\by\b|NaN|infinity|inf\b|missing|dtype|\bdim"


class _Hang(Exception):
    pass


@contextlib.contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    """Raise after so many seconds, where signals reach this thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _try(what: str, call: Any) -> Any:
    """The answer of ``call``, or None if it refuses well; fails on a foreign error, a mute one, or a hang."""
    try:
        with _deadline(_SECONDS):
            return call()
    except _Hang:
        raise CheckFailed(f"{what}: no answer within {_SECONDS} s.") from None
    except Exception as error:
        # LinAlgError and its like are ValueErrors of someone else
        if type(error) not in (ValueError, TypeError):
            name = f"{type(error).__module__}.{type(error).__name__}"
            raise CheckFailed(f"{what}: raises {name}: {brief(error)}") from error
        require(
            re.search(_NAMES, str(error), re.IGNORECASE), f"{what}: says {brief(error)!r}, which names no column, row or class."
        )
        return None


def _sound(subject: Subject, what: str, X: Any, y: Any = None, ask: Any = None) -> None:
    """Fit and ask: every log p below +inf and no NaN, every drawn cell finite."""
    model = _try(f"fit on {what}", lambda: subject.new().fit(X) if y is None else subject.new().fit(X, y))
    if model is None:
        return
    asked = X if ask is None else ask
    log_p = _try(f"score_samples on {what}", lambda: model.score_samples(asked))
    if log_p is not None:
        bad = np.isnan(log_p) | (log_p == np.inf)
        require(not bad.any(), f"score_samples on {what}: row {int(np.argmax(bad))} has log p {log_p[np.argmax(bad)]}.")
    drawn = _try(f"sample after fit on {what}", lambda: model.sample(5, random_state=0))
    if drawn is not None:
        frame = pd.DataFrame(drawn)
        numbers = frame.select_dtypes("number").to_numpy(dtype=float)
        require(
            np.isfinite(numbers).all() and not frame.isna().any(axis=None), f"sample after fit on {what} holds NaN or infinity."
        )
    if y is not None:
        proba = _try(f"predict_proba on {what}", lambda: model.predict_proba(asked))
        if proba is not None:
            fine = np.isfinite(proba).all() and np.allclose(proba.sum(axis=1), 1)
            require(fine, f"predict_proba on {what} is not finite or does not sum to one.")


def _continuous_tables() -> dict[str, np.ndarray]:
    """Tables of floats, by what is odd about them."""
    X = np.ascontiguousarray(table("plane").X[:120])
    huge = X.copy()
    huge[7, 1] = 1e300
    return {
        "two rows": X[:2],
        "fewer rows than columns": np.random.default_rng(0).standard_normal((3, 6)),
        "one column": X[:, :1],
        "a constant column": np.column_stack([X, np.full(len(X), 3.0)]),
        "all columns constant": np.full((30, 2), 2.5),
        "a duplicate column": np.column_stack([X, X[:, 0]]),
        "each row twice": np.repeat(X, 2, axis=0),
        "two distinct rows": np.tile(X[:2], (20, 1)),
        "values near 1e-12": X * 1e-12,
        "values near 1e12": X * 1e12,
        "values near 1e160": X * 1e160,
        "values near 1e-160": X * 1e-160,
        "one cell of 1e300": huge,
        "an offset of 1e9": X + 1e9,
        "columns of very unlike scales": X * [1e-150, 1e150],
        "repeated values": np.round(X),
    }


@check(
    "C7",
    likely="a division by a variance or count of zero (add reg_covar or alpha), or units of the data where a hook sees coded ones.",
)
def hostile_tables(subject: Subject) -> None:
    """Empty, constant, duplicate, huge, tiny, infinite and foreign tables: a finite answer or an error that names the matter."""
    numeric = subject.numeric()
    for what, X in {
        "a table without rows": numeric.X[:0],
        "a table without columns": numeric.X[:, :0],
        "a vector": numeric.X[:, 0],
        "three dimensions": numeric.X[None],
        "infinity": np.where(np.arange(len(numeric)) == 3, np.inf, numeric.X.T.astype(float)).T,
        "complex numbers": numeric.X * 1j,
    }.items():
        require(_try(f"fit on {what}", lambda X=X: subject.new().fit(X)) is None, f"fit on {what} is accepted.")
    _sound(subject, "one row", numeric.X[:1])
    model = subject.fitted(numeric)
    for what, X in {
        "too many columns": np.column_stack([numeric.X, numeric.X]),
        "no rows": numeric.X[:0],
        "infinity": np.full(numeric.X[:2].shape, np.inf),
    }.items():
        got = _try(f"score_samples on {what}", lambda X=X: model.score_samples(X))
        require(
            got is None or not (np.isnan(got).any() or (got == np.inf).any() or what == "too many columns"),
            f"score_samples on {what} is accepted.",
        )
    if subject.takes("plane"):
        for what, X in _continuous_tables().items():
            _sound(subject, what, X)
        plane = table("plane").X
        _sound(subject, "a usual table, asked far out", plane, ask=plane[:20] * 1e200)
        _sound(subject, "three classes, values near 1e160", plane[:90] * 1e160, np.arange(90) % 3)
        _sound(subject, "a class of one row", plane[:40], (np.arange(40) == 3).astype(int))
        _sound(subject, "a class of equal rows", np.vstack([plane[:30], np.ones((10, 2))]), np.repeat([0, 1], [30, 10]))
    _foreign_cells(subject)
    _new_levels(subject)


def _foreign_cells(subject: Subject) -> None:
    """Cells of all sorts, in arrays and frames."""
    n = 60
    rng = np.random.default_rng(0)
    x = rng.standard_normal(n)
    for what, X in {
        "an array of text": np.array([["a", "b"], ["b", "a"]] * 20),
        "text beside numbers": np.array([["a", 1.5], ["b", 2.5]] * 20, dtype=object),
        "empty strings": pd.DataFrame({"x": x, "t": ["", "full"] * (n // 2)}),
        "dates": pd.DataFrame({"x": x, "day": pd.date_range("2020-01-01", periods=n)}),
        "an identifier": pd.DataFrame({"x": x, "id": [f"id {i}" for i in range(n)]}),
        "integers beyond 2^53": pd.DataFrame({"x": x, "big": rng.integers(0, 2**62, n)}),
        "negative integers": pd.DataFrame({"x": x, "k": rng.integers(-5, 5, n)}),
        "an integer column of one value": pd.DataFrame({"x": x, "k": np.full(n, 4)}),
        "a bool column of one value": pd.DataFrame({"x": x, "b": np.full(n, True)}),
        "a category of one row": pd.DataFrame({"x": x, "c": pd.Categorical(["rare"] + ["usual"] * (n - 1))}),
        "a column of missing cells": pd.DataFrame({"x": x, "none": np.full(n, np.nan)}),
        "two columns of one name": pd.DataFrame(np.column_stack([x, x]), columns=["x", "x"]),
        "lists as cells": pd.DataFrame({"x": x, "l": [[1]] * n}),
    }.items():
        _sound(subject, what, X)


def _new_levels(subject: Subject) -> None:
    """Cells at predict time that fit never saw."""
    if not subject.takes("mixed"):
        return
    data = table("mixed")
    model = subject.fitted(data, labelled=True)
    for name, cell in {"city": "Quito", "visits": 2.5, "member": 2, "balance": 1e300}.items():
        X = data.X.iloc[:5].copy()
        X[name] = X[name].astype(object)
        X.loc[2, name] = cell
        what = f"{cell!r} in column {name!r}"
        log_p = _try(f"score_samples on {what}", lambda X=X: model.score_samples(X))
        if log_p is not None:
            require(not np.isnan(log_p).any() and not (log_p == np.inf).any(), f"score_samples on {what} gives {log_p[2]}.")
            require(
                name == "balance" or log_p[2] == -np.inf,
                f"score_samples on {what} gives {log_p[2]:.4g}, not -inf: it is outside the support.",
            )
        proba = _try(f"predict_proba on {what}", lambda X=X: model.predict_proba(X))
        if proba is not None:
            fine = np.isfinite(proba).all() and np.allclose(proba.sum(axis=1), 1)
            require(fine, f"predict_proba on {what} is not finite or does not sum to one.")
