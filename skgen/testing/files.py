"""Copies of a fitted model, through memory and through files, answer as the model does."""

from __future__ import annotations

import copy
import pickle
import tempfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone

from skgen.files import load, save
from skgen.storing import registered_name
from skgen.testing.result import CheckSkipped, check, require
from skgen.testing.subject import Subject
from skgen.testing.tables import Table

__all__: list[str] = []


def _cases(subject: Subject) -> list[tuple[Table, bool]]:
    return subject.cases("plane", "bits", "mixed", "blobs", "labelled_bits")


def _answers(model: Any, data: Table, labelled: bool) -> list[np.ndarray]:
    out = [model.score_samples(data.X), data.codes(model.sample(20, random_state=4))]
    return [*out, model.predict_proba(data.X), model.predict(data.X)] if labelled else out


def _same(model: Any, other: Any, data: Table, labelled: bool, how: str) -> None:
    pairs = zip(_answers(model, data, labelled), _answers(other, data, labelled), strict=True)
    equal = all(np.array_equal(a, b) for a, b in pairs)
    require(equal, f"After {how}, the model fitted on table {data.name!r} answers differently.")


@check(
    "C4",
    likely="state on self that is neither array nor plain value: a generator, a function, an open file, another library's object.",
)
def copies(subject: Subject) -> None:
    """clone is unfitted and equal; deepcopy, pickle and joblib keep every answer bit for bit."""
    for data, labelled in _cases(subject):
        model = subject.fitted(data, labelled)
        bare = clone(model)
        require(
            not hasattr(bare, "columns_") and repr(bare) == repr(subject.estimator), "clone is fitted, or has other parameters."
        )
        _same(model, copy.deepcopy(model), data, labelled, "copy.deepcopy")
        for protocol in range(2, 6):
            stored = pickle.dumps(model, protocol)
            _same(model, pickle.loads(stored), data, labelled, f"pickle protocol {protocol}")
        require(len(stored) < 2**20, f"A pickle of the model fitted on table {data.name!r} has {len(stored):,} bytes.")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.joblib"
            joblib.dump(model, path)
            _same(model, joblib.load(path), data, labelled, "joblib")
            _same(model, joblib.load(path, mmap_mode="r"), data, labelled, "joblib, memory-mapped")


@check(
    "C4",
    full_only=True,
    likely="state on self that is neither array nor plain value: a function, a generator, another library's object.",
)
def skops_file(subject: Subject) -> None:
    """skops, scikit-learn's exchange format, keeps every answer."""
    try:
        from skops import io
    except ImportError:
        raise CheckSkipped("skops is not installed") from None
    for data, labelled in _cases(subject):
        model = subject.fitted(data, labelled)
        stored = io.dumps(model)
        loaded = io.loads(stored, trusted=io.get_untrusted_types(data=stored))
        _same(model, loaded, data, labelled, "skops")


@check(
    "C4",
    likely="state on self that is neither array nor plain value, or _get_state() and _set_state() that forget some of it.",
)
def skgen_file(subject: Subject) -> None:
    """skgen.save and skgen.load keep every answer."""
    if not registered_name(type(subject.estimator)):
        raise CheckSkipped("the class is not registered, and a model file names registered ones: install its distribution")
    for data, labelled in _cases(subject):
        model = subject.fitted(data, labelled)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.skgen"
            save(model, path)
            _same(model, load(path), data, labelled, "skgen.save and load")
