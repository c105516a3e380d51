"""Labels of any sort, and one fit after another."""

from __future__ import annotations

import numpy as np

from skgen.testing.contract import refuses
from skgen.testing.result import CheckFailed, CheckSkipped, check, require
from skgen.testing.subject import Subject

__all__: list[str] = []


# ---- C8


@check(
    "C8",
    likely="a class of one row or of equal rows has no spread (add reg_covar or alpha), or a hook reads labels.",
)
def labels(subject: Subject) -> None:
    """Labels of any sort come back as they came; one class and a class of one row work; bad labels are refused by name."""
    data = next(iter(subject.labelled()), None)
    if data is None:
        raise CheckSkipped("takes none of the kit's labelled tables")
    rows = np.arange(150)
    X, code = data.rows(rows), np.unique(data.y[rows], return_inverse=True)[1]
    base = subject.new().fit(X, code).predict_proba(X)
    for what, names in {
        "strings": np.array(["b", "c", "z"]),
        "objects": np.array(["b", "c", "z"], dtype=object),
        "integers with gaps": np.array([-3, 7, 100]),
        "floats": np.array([0.0, 2.0, 5.0]),
    }.items():
        model = subject.new().fit(X, names[code])
        require(np.array_equal(model.classes_, names[np.unique(code)]), f"With labels as {what}, classes_ is {model.classes_!r}.")
        require(np.allclose(model.predict_proba(X), base, atol=1e-9), f"With labels as {what}, predict_proba changes.")
        require(set(model.predict(X)) <= set(names), f"With labels as {what}, predict gives {set(model.predict(X))!r}.")
    model = subject.new().fit(X, code == 0)
    require(model.predict(X).dtype == bool, f"With bool labels, predict gives {model.predict(X).dtype}.")
    model = subject.new().fit(X, np.zeros(len(rows), dtype=int))
    require(np.array_equal(model.predict_proba(X), np.ones((len(rows), 1))), "With one class, predict_proba is not 1.")
    lonely = np.where(rows == 5, "lonely", "usual")
    try:
        model = subject.new().fit(X, lonely)
    except ValueError as error:
        require("lonely" in str(error), f"A class of one row is refused with {str(error)!r}, which does not name the class.")
    else:
        proba = model.predict_proba(X)
        require(
            np.isfinite(proba).all() and np.allclose(proba.sum(axis=1), 1), "With a class of one row, predict_proba is not finite."
        )
        require(not np.isnan(model.score_samples(X)).any(), "With a class of one row, score_samples is NaN.")
        require(np.isfinite(data.codes(model.sample(5, y="lonely"))).all(), "Draws of a class of one row are not finite.")
    bad = code.astype(float)
    bad[3] = np.nan
    refuses(lambda: subject.new().fit(X, bad), "fit with NaN in y", "NaN", "unlabeled")
    refuses(
        lambda: subject.new().fit(X, np.linspace(0, 1, len(rows)) ** 2),
        "fit with continuous y",
        "Unknown label type",
        "task='density'",
    )
    refuses(lambda: subject.new().fit(X, code[:-1]), "fit with too few labels", "inconsistent|length|samples")
    refuses(lambda: subject.new(task="classify").fit(X), "task='classify' without y", "requires y")


# ---- C10


@check(
    "C10",
    likely="_fit goes on from what the last fit left on self, or puts state there before it can fail.",
)
def refit(subject: Subject) -> None:
    """A refit leaves nothing of the fit before, a failed one leaves it whole, and both equal a clone's."""
    data = next(iter(subject.labelled()), None)
    if data is None:
        raise CheckSkipped("takes none of the kit's labelled tables")
    model = subject.new().fit(data.X, data.y)
    kept = model.predict_proba(data.X), model.score_samples(data.X)
    for what, call in {
        "an empty table": lambda: model.fit(data.rows(np.arange(0)), data.y[:0]),
        "too few labels": lambda: model.fit(data.X, data.y[:-1]),
        "a negative weight": lambda: model.fit(data.X, data.y, sample_weight=-np.ones(len(data))),
    }.items():
        try:
            call()
        except (ValueError, TypeError):
            pass
        else:
            raise CheckFailed(f"fit on {what} is accepted.")
        same = np.array_equal(model.predict_proba(data.X), kept[0]) and np.array_equal(model.score_samples(data.X), kept[1])
        require(same, f"A fit that fails on {what} changes the model that was there.")
    model.fit(data.X)
    require(
        not hasattr(model, "classes_") and not hasattr(model, "predict"),
        "fit(X) after fit(X, y) leaves classes_ or predict behind.",
    )
    require(
        np.array_equal(model.score_samples(data.X), subject.new().fit(data.X).score_samples(data.X)),
        "fit(X) after fit(X, y) differs from the fit of a clone.",
    )
    model.fit(data.X, data.y)
    require(np.array_equal(model.score_samples(data.X), kept[1]), "fit(X, y) after fit(X) differs from the first fit.")
    density = subject.new(task="density").fit(data.X, data.y)
    require(
        np.array_equal(density.score_samples(data.X), subject.new().fit(data.X).score_samples(data.X)), "task='density' reads y."
    )
