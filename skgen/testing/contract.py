"""The contract of the calls: what goes in, what comes out, and that nothing else moves."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from skgen.testing.result import CheckFailed, brief, check, require, told
from skgen.testing.subject import Subject
from skgen.testing.tables import Table, table

__all__ = ["is_foreign_check", "refuses"]

_NAMED = 4  # of scikit-learn's checks that end in one error


def is_foreign_check(name: str) -> bool:
    """Whether a known gap is the name of one of scikit-learn's checks."""
    return name.startswith("check_")


def refuses(call: Callable[[], Any], what: str, *naming: str, kinds: tuple[type, ...] = (ValueError,)) -> str:
    """Fail unless ``call`` raises one of ``kinds`` itself, with a message that matches each of ``naming``."""
    try:
        call()
    except Exception as error:
        allowed = " or ".join(kind.__name__ for kind in kinds)
        if type(error).__module__.partition(".")[0] == "numpy" or not isinstance(error, kinds):
            raise CheckFailed(f"{what} must raise {allowed}, and raises {type(error).__name__}: {brief(error)}") from error
        for pattern in naming:
            require(
                re.search(pattern, str(error), re.IGNORECASE), f"{what} says {brief(error)!r}, which does not name {pattern!r}."
            )
        return str(error)
    raise CheckFailed(f"{what} must raise {' or '.join(kind.__name__ for kind in kinds)}, and is accepted.")


# ---- C1


@check("C1")
def sklearn_checks(subject: Subject) -> None:
    """scikit-learn's check_estimator, for each task."""
    gaps = {name: why for name, why in dict(subject.declares("known_gaps", {})).items() if is_foreign_check(name)}
    tasks = ("auto", "density", "classify") if "task" in subject.estimator.get_params(deep=False) else (None,)
    failed: dict[str, dict[tuple[str, Any], None]] = {}  # an error -> the checks and tasks that end in it
    still = set()
    for task in tasks:
        model = subject.new() if task is None else subject.new(task=task)
        for result in check_estimator(model, expected_failed_checks=gaps, on_fail=None, on_skip=None):
            if result["status"] == "xfail":
                still.add(result["check_name"])
            elif result["status"] == "failed":
                failed.setdefault(told(result["exception"]), {})[result["check_name"], task] = None
    if failed:
        names = {name for where in failed.values() for name, _ in where}
        said = []
        for error, where in sorted(failed.items(), key=lambda one: -len(one[1])):  # the cause first, then who met it
            for_tasks = {name: [repr(task) for other, task in where if other == name and task] for name, _ in where}
            listed = [f"{name} (task={'/'.join(given)})" if given else name for name, given in for_tasks.items()]
            more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
            said.append(f"{error} In {', '.join(listed[:_NAMED])}{more}.")
        text = f"{len(names)} of scikit-learn's checks fail. " + " ".join(said)
        if "check_estimators_pickle" in names and subject.missing != "none" and not subject.declares("missing_in_fit", False):
            text += f" Likely: missing = {subject.missing!r} without missing_in_fit = True, which scikit-learn takes for granted."
        raise CheckFailed(text, float(len(names)))
    if mended := set(gaps) - still:
        raise CheckFailed(f"known_gaps lists {', '.join(sorted(mended))}, which pass now: take them out of known_gaps.")


# ---- C2


def _same_container(data: Table, got: Any, n: int, where: str) -> None:
    if isinstance(data.X, np.ndarray):
        require(
            isinstance(got, np.ndarray) and got.shape == (n, data.X.shape[1]), f"{where} must be an array ({n}, {data.X.shape[1]})."
        )
        require(got.dtype == data.X.dtype, f"{where} has dtype {got.dtype}, but fit was given {data.X.dtype}.")
        return
    require(
        isinstance(got, pd.DataFrame) and got.shape == (n, data.X.shape[1]),
        f"{where} must be a DataFrame ({n}, {data.X.shape[1]}).",
    )
    require(list(got.columns) == list(data.X.columns), f"{where} has columns {list(got.columns)}.")
    wrong = [name for name in got.columns if got[name].dtype != data.X[name].dtype]
    require(
        not wrong, f"{where} has column {wrong and wrong[0]!r} of dtype {wrong and got[wrong[0]].dtype}, fit was given another."
    )
    require(got.index.equals(pd.RangeIndex(n)), f"{where} must have a fresh index 0..{n - 1}.")


@check(
    "C2",
    likely="_sample gives something else than n coded rows, (n, d): numbers, and levels as codes 0, 1, ...",
)
def sample_contract(subject: Subject) -> None:
    """sample gives n rows in the container given to fit, for n = 0 too, and refuses a bad n_samples by name."""
    for data, labelled in subject.cases("plane", "bits", "mixed", "blobs", "labelled_bits"):
        model = subject.fitted(data, labelled)
        for n in (0, 1, 7, 1000):
            where = f"sample({n}) after fit on table {data.name!r}"
            got = model.sample(n, random_state=1)
            _same_container(data, got, n, where)
            codes = data.codes(got)
            require(np.isfinite(codes).all(), f"{where} has missing, infinite or undeclared cells.")
            for j, column in enumerate(data.columns):
                whole = column.kind == "continuous" or np.array_equal(codes[:, j], np.round(codes[:, j]))
                require(whole, f"{where} has values between the levels of column {column.name!r}.")
                if column.kind in ("binary", "categorical"):
                    inside = (codes[:, j] >= 0) & (codes[:, j] < len(column.levels))
                    require(inside.all(), f"{where} has an undeclared level in column {column.name!r}.")
        if labelled:
            _sample_of_classes(model, data)
        else:
            refuses(lambda m=model: m.sample(3, return_y=True), "sample(return_y=True) after fit(X)", "fit\\(X, y\\)")
    for n_samples in (-1, 2.5, "3", None, True):
        what = f"sample({n_samples!r})"
        refuses(lambda m=model, n=n_samples: m.sample(n), what, "n_samples", kinds=(ValueError, TypeError))
    refuses(lambda: model.sample(10**13), "sample(10**13)", "n_samples", "bytes|memory", kinds=(ValueError, MemoryError))


def _sample_of_classes(model: Any, data: Table) -> None:
    X, y = model.sample(50, return_y=True, random_state=1)
    _same_container(data, X, 50, "sample(50, return_y=True)")
    require(len(y) == 50 and set(y) <= set(model.classes_), f"sample(return_y=True) gives labels {set(y)!r}.")
    label = model.classes_[-1]
    _, y = model.sample(20, y=label, return_y=True, random_state=1)
    require(set(y) == {label}, f"sample(20, y={label!r}) gives labels {set(y)!r}.")
    wanted = np.asarray(model.classes_)[[1, 0, 1, 1, 0]]
    X, y = model.sample(y=wanted, return_y=True, random_state=1)
    require(np.array_equal(y, wanted) and len(X) == 5, "sample(y=array) must give one row a label, in its order.")
    absent = "no such class" if isinstance(label, str) else 987654
    refuses(lambda: model.sample(3, y=absent), f"sample(3, y={absent!r})", re.escape(str(absent)), "class")


# ---- C3


def _global_state() -> list[Any]:
    state: list[Any] = [np.random.get_state()[1].tolist(), np.random.get_state()[2:], random.getstate()]  # noqa: NPY002
    torch = sys.modules.get("torch")
    if torch is not None:
        state += [torch.get_rng_state().tolist(), torch.get_default_dtype(), torch.get_num_threads()]
    return state


@check(
    "C3",
    likely="randomness that does not come from the rng a hook is given (np.random, random, torch's default generator).",
)
def random_state(subject: Subject) -> None:
    """An int gives the same fit and rows bit for bit, a RandomState advances, None is fresh; no global state moves."""
    if not subject.needs_seed():
        raise CheckFailed("The model has no random_state parameter.")
    data = subject.numeric()
    before = _global_state()
    one, two = subject.new(random_state=3).fit(data.X), subject.new(random_state=3).fit(data.X)
    require(
        np.array_equal(one.score_samples(data.X), two.score_samples(data.X)), "Two fits with one random_state score differently."
    )
    first, second = one.sample(20), two.sample(20)
    require(np.array_equal(first, second), "Two fits with one random_state sample different rows.")
    require(np.array_equal(one.sample(20), first), "With an int random_state, two calls of sample(20) give different rows.")
    require(_global_state() == before, "fit, score_samples or sample moved a global generator, default dtype or thread count.")
    asked = one.sample(20, random_state=8)
    require(np.array_equal(asked, one.sample(20, random_state=8)), "sample(random_state=8) differs between two calls.")
    require(not np.array_equal(asked, one.sample(20, random_state=9)), "sample ignores its random_state.")
    moving = np.random.RandomState(5)
    rows = [one.sample(20, random_state=moving) for _ in range(2)]
    require(not np.array_equal(*rows), "sample does not advance the RandomState it is given.")
    generator = np.random.default_rng(5)
    rows = [one.sample(20, random_state=generator) for _ in range(2)]
    require(not np.array_equal(*rows), "sample does not advance the Generator it is given.")
    fresh = subject.new(random_state=None).fit(data.X)
    require(
        not np.array_equal(fresh.sample(20), fresh.sample(20)), "With random_state=None, two calls of sample give the same rows."
    )
    require(_global_state() == before, "sample moved a global generator.")


# ---- C5


@check(
    "C5",
    likely="_log_prob uses a statistic of the rows it is given, such as their mean, or keeps something from call to call.",
)
def batches(subject: Subject) -> None:
    """A row's score does not depend on the rows beside it, their number or their order."""
    for data, labelled in subject.cases("plane", "bits", "mixed", "blobs"):
        model, rows = subject.fitted(data, labelled), np.arange(60)
        whole = model.score_samples(data.rows(rows))
        require(
            whole.shape == (60,) and whole.dtype == np.float64,
            f"score_samples gives {whole.dtype} {whole.shape}, not float64 (60,).",
        )
        alone = np.concatenate([model.score_samples(data.rows(rows[i : i + 1])) for i in range(30)])
        require(np.allclose(alone, whole[:30], rtol=1e-7, atol=1e-7), f"On table {data.name!r}, rows scored one by one differ.")
        order = rows[::-1].copy()
        require(
            np.allclose(model.score_samples(data.rows(order)), whole[order], rtol=1e-7, atol=1e-7),
            f"On table {data.name!r}, rows in another order score differently.",
        )
        if labelled:
            proba = model.predict_proba(data.rows(rows))
            single = np.concatenate([model.predict_proba(data.rows(rows[i : i + 1])) for i in range(10)])
            require(np.allclose(single, proba[:10], atol=1e-7), f"On table {data.name!r}, predict_proba depends on the batch.")


# ---- C6


def _polars(frame: pd.DataFrame) -> Any:
    import polars as pl

    data = {}
    for name, cells in frame.items():
        if isinstance(cells.dtype, pd.CategoricalDtype):
            data[name] = pl.Series(cells.astype(object).tolist(), dtype=pl.Enum(list(cells.cat.categories)))
        else:
            data[name] = pl.Series(cells.tolist())
    return pl.DataFrame(data)


@check(
    "C6",
    likely="a hook writes into the X it is given, or fit, score_samples or sample is overridden past the base.",
)
def containers(subject: Subject) -> None:
    """Lists, Fortran order, read-only arrays, float32, pandas and polars give the same model and come back as they came."""
    data = subject.numeric()
    want = subject.fitted(data).score_samples(data.X)
    frozen = data.X.copy()
    frozen.setflags(write=False)
    strided = np.repeat(data.X, 2, axis=0)[::2]
    named = pd.DataFrame(data.X, columns=[f"c{j}" for j in range(data.X.shape[1])])
    given = {
        "a list": data.X.tolist(),
        "Fortran order": np.asfortranarray(data.X),
        "read-only": frozen,
        "strided": strided,
        "pandas": named,
    }
    if len(data.continuous) < len(data.columns):
        given["bool"] = data.X.astype(bool)
        given["float"] = data.X.astype(float)
    for what, X in given.items():
        model = subject.new().fit(X)
        require(
            np.allclose(model.score_samples(X), want, rtol=1e-9, atol=1e-9), f"Given as {what}, the same table makes another model."
        )
    require(isinstance(model.sample(2), type(X)), f"Fitted on {what}, sample gives {type(model.sample(2)).__name__}.")
    changed = data.X.copy()
    subject.new().fit(changed).score_samples(changed)
    require(np.array_equal(changed, data.X), "fit or score_samples changes the array it is given.")
    if data.continuous:
        short = data.X.astype(np.float32)
        model = subject.new().fit(short)
        wide = subject.new().fit(short.astype(float)).score_samples(short.astype(float))
        require(
            np.allclose(model.score_samples(short), wide, rtol=1e-4, atol=1e-4), "float32 makes another model, by more than 1e-4."
        )
        require(model.sample(3).dtype == np.float32, f"Fitted on float32, sample gives {model.sample(3).dtype}.")
    if subject.takes("mixed"):
        _mixed_containers(subject, table("mixed"))


def _mixed_containers(subject: Subject, data: Table) -> None:
    want = subject.fitted(data).score_samples(data.X) if ("mixed", False) in subject._fits else None
    model = subject.new().fit(data.X)
    want = model.score_samples(data.X) if want is None else want
    moved = data.X.set_index(np.arange(len(data))[::-1] + 7)
    require(np.allclose(subject.new().fit(moved).score_samples(moved), want), "A DataFrame with another index makes another model.")
    text = data.X.assign(city=data.X["city"].astype(object))
    require(np.allclose(subject.new().fit(text).score_samples(text), want), "Text in place of categories makes another model.")
    try:
        frame = _polars(data.X)
    except ImportError:
        return
    model = subject.new().fit(frame)
    require(np.allclose(model.score_samples(frame), want), "A polars frame makes another model than pandas.")
    drawn = model.sample(4)
    require(
        type(drawn) is type(frame) and drawn.schema == frame.schema,
        "Fitted on polars, sample does not give polars with its schema.",
    )


# ---- C16


@check(
    "C16",
    likely="a class attribute (kinds, likelihood, missing) is not one of those allowed, or an attribute of fit is not set.",
)
def traits(subject: Subject) -> None:
    """What the class declares holds, and what it does not declare is refused with a remedy."""
    likelihoods, levels = ("exact", "bound", "estimate"), ("exact", "estimate", "suffix", "none")
    require(subject.declares("likelihood", None) in likelihoods, f"likelihood must be one of {likelihoods}.")
    require(subject.missing in levels, f"missing must be one of {levels}.")
    data = subject.numeric()
    model = subject.fitted(data)
    require(model.likelihood_ in likelihoods, f"likelihood_ is {model.likelihood_!r}, none of {likelihoods}.")
    holes = data.codes(data.X)[:20]
    holes[::2, -1] = np.nan
    if subject.missing == "none":
        refuses(lambda: model.score_samples(holes), "score_samples with NaN where missing = 'none'", "NaN", "SimpleImputer")
    else:
        require(
            np.isfinite(model.score_samples(holes)).all(), f"missing = {subject.missing!r}, but a row with NaN has no finite log p."
        )
    learn = data.codes(data.X)
    learn[::7, -1] = np.nan
    if subject.declares("missing_in_fit", False):
        require(
            np.isfinite(subject.new().fit(learn).score_samples(data.X)).all(),
            "missing_in_fit, but a fit with NaN has no finite log p.",
        )
    else:
        refuses(lambda: subject.new().fit(learn), "fit with NaN where missing_in_fit is False", "NaN", "SimpleImputer")
    for other in ("plane", "bits", "counts"):
        if not subject.takes(other):
            names = "|".join(re.escape(str(c.name)) for c in table(other).columns)
            refuses(
                lambda name=other: subject.new().fit(table(name).X), f"fit on table {other!r}, whose kinds it does not take", names
            )
    require(hasattr(model, "n_features_in_") and model.n_features_in_ == len(data.columns), "n_features_in_ is missing or wrong.")
    unfitted = subject.new()
    for call in ("score_samples", "sample"):
        arguments = (data.X,) if call == "score_samples" else (2,)
        refuses(lambda c=call, a=arguments: getattr(unfitted, c)(*a), f"{call} before fit", "fit", kinds=(NotFittedError,))
