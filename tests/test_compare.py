"""``skgen.compare``: one reading of the columns, one row a model, and every way it can go wrong."""

import json
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_wine
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import log_loss
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgen
from skgen import NaiveBayes
from skgen.evaluate import candidates, datasets, rivals
from skgen.evaluate import compare as compare_module
from skgen.evaluate.result import seconds


def mixed(n=120, seed=0, missing=True):
    """Two classes told apart by an integer, a continuous and a text column, with missing cells."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    frame = pd.DataFrame(
        {
            "count": pd.array(rng.poisson(2 + 4 * y), dtype="Int64"),
            "size": rng.normal(y, 1.0),
            "colour": pd.Categorical(np.where(rng.random(n) < 0.2 + 0.6 * y, "red", "blue")),
            "flag": pd.array(rng.random(n) < 0.3 + 0.4 * y, dtype="boolean"),
        }
    )
    if missing:
        for j, name in enumerate(frame.columns):
            frame.loc[j :: 7 + j, name] = pd.NA if name != "size" else np.nan
    return frame, np.where(y == 1, "yes", "no")


class Failing(ClassifierMixin, BaseEstimator):
    """Fails where it is told to."""

    def __init__(self, where="fit"):
        self.where = where

    def fit(self, X, y):
        if self.where == "fit":
            raise RuntimeError("planted\nfailure")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X) - (self.where == "predict"), self.classes_[0])

    def predict_proba(self, X):
        p = np.full((len(X), len(self.classes_)), 1 / len(self.classes_))
        return p * np.nan if self.where == "proba" else p[:, :-1] if self.where == "shape" else p


class Interrupted(Failing):
    def fit(self, X, y):
        raise KeyboardInterrupt


class Slow(Failing):
    """Says that a fold took a second, without taking it."""

    def fit(self, X, y):
        CLOCK[0] += 1.0
        self.classes_ = np.unique(y)
        return self


CLOCK = [0.0]


# ---- the figures


def test_figures_are_those_of_scikit_learn_on_the_same_folds():
    X, y = load_wine(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    row = skgen.compare({"lr": model}, X, y, n_folds=4, random_state=3).table.loc["lr"]
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    proba = cross_val_predict(model, X, y, cv=folds, method="predict_proba")
    assert row["accuracy"] == pytest.approx((proba.argmax(axis=1) == y).mean())
    assert row["log_loss"] == pytest.approx(log_loss(y, proba))
    assert np.isnan(row["log_p"])
    assert row["likelihood"] == ""
    assert row["folds"] == 4
    assert row["error"] == row["stopped"] == ""


def test_log_p_is_the_models_own_over_the_folds():
    X, y = load_wine(return_X_y=True)
    columns = skgen.columns(X)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = [NaiveBayes(column_kinds=columns, random_state=0).fit(X[a], y[a]).score_samples(X[b]) for a, b in folds.split(X, y)]
    row = skgen.compare("naive_bayes", X, y).table.loc["naive_bayes"]
    assert row["log_p"] == pytest.approx(np.concatenate(scores).mean())
    assert row["likelihood"] == "exact"
    assert row["accuracy"] > 0.96
    assert 0 < row["fit_seconds"] < 60
    assert 0 < row["sample_seconds"] < 60


def test_the_same_seed_gives_the_same_figures():
    X, y = mixed()
    figures = ["accuracy", "log_loss", "calibration_error", "log_p"]
    first = skgen.compare(["naive_bayes", "k_nearest_neighbors"], X, y, n_folds=2, random_state=5).table[figures]
    again = skgen.compare(["naive_bayes", "k_nearest_neighbors"], X, y, n_folds=2, random_state=5).table[figures]
    pd.testing.assert_frame_equal(first, again)


@pytest.mark.parametrize("name", rivals.RIVALS)
def test_a_rival_takes_a_mixed_table_with_missing_cells(name):
    X, y = mixed()
    row = skgen.compare(name, X, y, n_folds=2).table.loc[name]
    assert row["error"] == ""
    assert row["accuracy"] > 0.75
    assert row["log_loss"] < 1.5


def test_a_rival_is_fitted_on_a_subsample_and_says_so(monkeypatch):
    X, y = mixed(200)
    monkeypatch.setattr(rivals, "SVM_ROWS", 50)
    result = skgen.compare("rbf_svm", X, y, n_folds=2)
    assert "rbf_svm: fitted on a stratified subsample of 50 training rows" in result.notes


def test_a_subsample_keeps_every_class_and_the_shares():
    y = np.repeat(["a", "b", "c"], [900, 99, 1])
    rows = rivals.subsample(y, 100, np.random.default_rng(0))
    assert len(rows) == len(set(rows)) == 100
    assert dict(zip(*np.unique(y[rows], return_counts=True), strict=True)) == pytest.approx({"a": 89, "b": 10, "c": 1}, abs=1)


def test_by_default_all_that_take_the_columns_and_all_rivals(monkeypatch):
    from skgen import registry

    few = tuple(entry for entry in _REAL_ENTRIES if entry.name in ("naive_bayes", "chow_liu", "gaussian_mixture"))
    monkeypatch.setattr(registry, "entries", lambda: few)
    monkeypatch.setattr(rivals, "RIVALS", {"logistic_regression": rivals.RIVALS["logistic_regression"]})
    X, y = mixed()
    result = skgen.compare(None, X, y, n_folds=2)
    assert {"naive_bayes", "logistic_regression"} <= set(result.table.index)
    for name in set(skgen.names()) - set(result.table.index):
        assert any(note.startswith(f"{name} is left out:") for note in result.notes)
    assert result.table.loc["naive_bayes", "error"] == ""


# ---- columns are settled once


class Looking(NaiveBayes):
    """Remembers the columns of each fit."""

    seen = []  # noqa: RUF012

    def _fit_classes(self, X, weights, rng):
        super()._fit_classes(X, weights, rng)
        Looking.seen.append((self.columns_.n_levels.tolist(), list(self.columns_.kinds)))


def test_columns_are_settled_once_for_all_folds():
    X, y = mixed(60, missing=False)
    X["colour"] = X["colour"].astype(object)
    X.loc[7, "colour"] = "violet"  # in the training rows of one fold only
    X["rare"] = pd.array([0, 1] * 29 + [0, 7], dtype="Int64")  # without its last row, a binary column
    Looking.seen.clear()
    result = skgen.compare({"looking": Looking(), "knn": "k_nearest_neighbors"}, X, y, n_folds=2)
    assert (result.table["error"] == "").all()
    assert len(Looking.seen) == 2
    assert all(levels == [0, 0, 3, 2, 0] and kinds[4] == "integer" for levels, kinds in Looking.seen)
    assert np.isfinite(result.table.loc["looking", "log_p"])


def test_an_estimators_own_column_kinds_stand_and_are_told():
    X, y = load_wine(return_X_y=True)
    result = skgen.compare({"own": NaiveBayes(column_kinds="continuous")}, X, y, n_folds=2)
    assert any("own: reads columns by its own column_kinds" in note for note in result.notes)


def test_pipelines_are_left_alone_unless_they_keep_the_columns():
    X, y = load_wine(return_X_y=True)
    settings = candidates.Settings(skgen.columns(X), y, missing=False)
    scaled, kept = make_pipeline(StandardScaler(), NaiveBayes()), make_pipeline("passthrough", NaiveBayes())
    found, _ = candidates.candidates([scaled, kept], settings)
    assert found[0].last.column_kinds == "auto"
    assert found[1].last.column_kinds is not NaiveBayes().column_kinds
    assert isinstance(found[1].last.column_kinds, skgen.Columns)
    assert kept[-1].column_kinds == "auto"  # the user's own is not touched
    result = skgen.compare({"scaled": scaled}, X, y, n_folds=2)
    [note] = [note for note in result.notes if note.startswith("scaled: log p(x) is in the units of its last step")]
    assert "TransformedDensity" in note
    assert np.isnan(result.table.loc["scaled", "log_p"])
    assert result.table.loc["scaled", "likelihood"] == ""
    assert " - " in repr(result)


def test_pipelines_are_labelled_by_their_steps():
    X, y = load_wine(return_X_y=True)
    models = [make_pipeline(StandardScaler(), LogisticRegression(C=c)) for c in (0.1, 1.0)] + [
        make_pipeline("passthrough", NaiveBayes())
    ]
    table = skgen.compare(models, X, y, n_folds=2).table
    assert list(table.index) == [
        "StandardScaler > LogisticRegression",
        "StandardScaler > LogisticRegression (2)",
        "passthrough > NaiveBayes",
    ]
    assert np.isfinite(table.loc["passthrough > NaiveBayes", "log_p"])


def test_image_shape_device_and_jobs_reach_the_models_that_ask():
    class Asking(NaiveBayes):
        image_shape: tuple | None = None
        device: str = "auto"

    digits = datasets.load("digits")
    settings = candidates.Settings(
        skgen.columns(digits.X, image_shape=(8, 8)),
        digits.y,
        missing=False,
        random_state=7,
        n_jobs=2,
        device="cpu",
        image_shape=(8, 8),
    )
    (asking, plain), _ = candidates.candidates([Asking(), NaiveBayes(random_state=1)], settings)
    asked = asking.estimator.get_params()
    assert (asked["image_shape"], asked["device"], asked["n_jobs"], asked["random_state"]) == ((8, 8), "cpu", 2, 7)
    assert plain.estimator.random_state == 1


def test_a_device_nobody_has_is_told():
    X, y = mixed(missing=False)
    assert any("'cuda' was told to none" in note for note in skgen.compare("naive_bayes", X, y, n_folds=2, device="cuda").notes)


def test_digits_are_counts_with_one_scale_and_one_range():
    digits = datasets.load("digits")
    assert digits.X.dtype.kind == "i"
    columns = skgen.columns(digits.X, image_shape=digits.image_shape)
    assert set(columns.kinds) == {"integer"}
    assert set(columns.high) == {16.0}


# ---- what fails is a row


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("fit", "RuntimeError: planted failure"),
        ("predict", "predict gave shape"),
        ("proba", "predict_proba gave NaN"),
        ("shape", "predict_proba gave shape"),
    ],
)
def test_a_failing_model_is_a_row_and_the_rest_goes_on(where, message):
    X, y = mixed(missing=False)
    result = skgen.compare({"bad": Failing(where), "good": "naive_bayes"}, X, y, n_folds=3)
    assert message in result.table.loc["bad", "error"]
    assert result.table.loc["bad", "error"].startswith("fold 1 of 3: ")
    assert "\n" not in result.table.loc["bad", "error"]
    assert np.isnan(result.table.loc["bad", "accuracy"])
    assert result.table.loc["good", "folds"] == 3
    assert message in repr(result)


def test_an_estimator_that_does_not_take_the_table_is_a_row():
    X, y = mixed()
    assert "ValueError" in skgen.compare({"lr": LogisticRegression()}, X, y, n_folds=2).table.loc["lr", "error"]


def test_a_model_that_cannot_be_loaded_is_a_row(monkeypatch):
    from skgen import registry

    broken = registry.Entry("broken", "no_such_module:Model", "stranger", "2.0")
    monkeypatch.setattr(registry, "entries", lambda: (broken, registry.find("naive_bayes", _REAL_ENTRIES)))
    X, y = mixed(60, missing=False)
    table = skgen.compare(["broken", "naive_bayes"], X, y, n_folds=2).table
    assert "no_such_module" in table.loc["broken", "error"]
    assert table.loc["naive_bayes", "error"] == ""


_REAL_ENTRIES = __import__("skgen.registry", fromlist=["entries"]).entries()


def test_a_missing_extra_is_a_note(monkeypatch):
    from skgen import registry

    wanting = registry.Entry("wanting", "skgen.nowhere:Model", "skgen", "1", ("dear",))
    needs = property(lambda entry: 'pip install "skgen[dear]"' if entry.extras else "")
    monkeypatch.setattr(registry.Entry, "missing_extra", needs)
    few = [entry for entry in _REAL_ENTRIES if entry.name in ("naive_bayes", "chow_liu")]
    monkeypatch.setattr(registry, "entries", lambda: (*few, wanting))
    X, y = mixed(60, missing=False)
    monkeypatch.setattr(rivals, "RIVALS", {"logistic_regression": rivals.RIVALS["logistic_regression"]})
    result = skgen.compare(None, X, y, n_folds=2)
    assert 'wanting is left out: it needs pip install "skgen[dear]".' in result.notes


def test_a_model_that_takes_no_categories_or_no_missing_cells_is_left_out_by_default(monkeypatch):
    from skgen import registry

    class Narrow(NaiveBayes):
        kinds = frozenset({"continuous"})

    class Whole(NaiveBayes):
        missing_in_fit = False

    class Sequential(NaiveBayes):
        step_features: int = 1

    made = {"narrow": Narrow, "sequential": Sequential, "whole": Whole}
    monkeypatch.setattr(registry, "entries", lambda: tuple(registry.Entry(name, f"m:{name}", "stranger") for name in made))
    monkeypatch.setattr(registry.Entry, "load", lambda entry: made[entry.name])
    monkeypatch.setattr(rivals, "RIVALS", {"logistic_regression": rivals.RIVALS["logistic_regression"]})
    X, y = mixed()
    result = skgen.compare(None, X, y, n_folds=2)
    assert list(result.table.index) == ["logistic_regression"]
    assert "narrow is left out: it takes no categorical columns." in result.notes
    assert "sequential is left out: its columns are steps of one variable, which these are not." in result.notes
    assert "whole is left out: it cannot be fitted with missing cells." in result.notes


def test_no_classifier_is_a_row():
    X, y = load_wine(return_X_y=True)
    table = skgen.compare({"gm": GaussianMixture(2), "nb": NaiveBayes(task="density")}, X, y, n_folds=2).table
    assert "GaussianMixture is no classifier" in table.loc["gm", "error"]
    assert np.isnan(table.loc["nb", "accuracy"])
    assert np.isfinite(table.loc["nb", "log_p"])


def test_an_interrupt_goes_through():
    X, y = mixed(missing=False)
    with pytest.raises(KeyboardInterrupt):
        skgen.compare([Interrupted()], X, y, n_folds=2)


def test_a_classifier_without_probabilities_has_no_log_loss():
    X, y = load_wine(return_X_y=True)
    result = skgen.compare([RidgeClassifier()], X, y, n_folds=2)
    assert np.isnan(result.table["log_loss"]).all()
    assert result.table["accuracy"].item() > 0.9
    assert " - " in repr(result)


def test_a_time_limit_stops_between_folds(monkeypatch):
    from skgen.evaluate import folds

    monkeypatch.setattr(folds.time, "perf_counter", lambda: CLOCK[0])
    X, y = mixed(missing=False)
    result = skgen.compare({"slow": Slow("nowhere")}, X, y, n_folds=5, time_limit=2.5)
    row = result.table.loc["slow"]
    assert (row["folds"], row["stopped"], row["fit_seconds"]) == (2, "stopped after 2 of 5 folds", 1.0)
    assert "stopped after 2 of 5 folds" in repr(result)
    first = skgen.compare({"slow": Slow("nowhere")}, X, y, n_folds=5, time_limit=0.1).table.loc["slow"]
    assert first["folds"] == 1


def test_warnings_of_models_become_notes_once():
    class Warning_(DummyClassifier):
        def fit(self, X, y):
            warnings.warn("planted warning", UserWarning, stacklevel=1)
            return super().fit(X, y)

    X, y = mixed(missing=False)
    result = skgen.compare({"one": Warning_(), "two": Warning_()}, X, y, n_folds=3)
    assert [note for note in result.notes if "planted" in note] == ["one, two: UserWarning: planted warning"]


def test_warnings_about_columns_become_notes():
    X = np.column_stack([np.repeat([0.5, 1.5], 60), np.ones(120), np.random.default_rng(0).normal(size=120)])
    notes = skgen.compare("naive_bayes", X, np.repeat(["a", "b"], 60), n_folds=2).notes
    assert any(note.startswith("Columns: Constant continuous columns: 1") for note in notes)


def test_unlike_likelihoods_are_told_apart():
    class Estimate(NaiveBayes):
        likelihood = "estimate"

    X, y = load_wine(return_X_y=True)
    result = skgen.compare({"nb": "naive_bayes", "other": Estimate()}, X, y, n_folds=2)
    assert "log p(x) of unlike kinds do not compare as they stand (exact: nb; estimate: other)." in result.notes
    assert result.best("log_p") is None
    assert result.best("accuracy") == result.table["accuracy"].max()
    assert result.best("log_loss") == result.table["log_loss"].min()
    assert result.best("sample_seconds") is not None


def test_rows_outside_the_support_are_counted():
    class Refusing(NaiveBayes):
        def score_samples(self, X):
            return np.where(np.arange(len(X)) < 2, -np.inf, 0.0)

    X, y = load_wine(return_X_y=True)
    result = skgen.compare({"nb": Refusing()}, X, y, n_folds=2)
    assert result.table.loc["nb", "log_p"] == -np.inf
    assert any("2 held-out rows of a fold lie outside the support" in note for note in result.notes)
    assert json.loads(result.to_json())["models"][0]["log_p"] == "-inf"


# ---- data


def test_bundled_sets_by_name():
    for name in datasets.BUNDLED:
        data = datasets.load(name)
        assert len(data.X) == len(data.y)
    assert set(datasets.load("iris").y) == {"setosa", "versicolor", "virginica"}
    assert skgen.compare("naive_bayes", "iris", n_folds=2).title.startswith("iris: 150 rows, 4 continuous columns, 3 classes")


@pytest.fixture
def table(tmp_path):
    """A csv with missing cells and a split column."""
    X, y = mixed(90)
    X["answer"], X["split"] = y, np.resize(["train", "valid", "test"], 90)
    path = tmp_path / "table.csv.gz"
    X.to_csv(path, index=False)
    return path


def test_a_csv_keeps_integers_with_missing_cells(table):
    data = datasets.load(str(table), "answer")
    kinds = skgen.columns(data.X)
    assert dict(zip(kinds.names, kinds.kinds, strict=True)) == {
        "count": "integer",
        "size": "continuous",
        "colour": "categorical",
        "flag": "binary",
    }
    assert "Column 'split' (train, valid, test) is left out" in data.notes[0]
    result = skgen.compare("naive_bayes", str(table), "answer", n_folds=2)
    assert result.table.loc["naive_bayes", "error"] == ""
    assert any("Column 'split'" in note for note in result.notes)


def test_steps_of_one_variable_are_compared_by_sequence_models():
    numbers = np.zeros((4, 3)) + np.arange(4.0)[:, None]
    assert not candidates._alike(skgen.columns(numbers))  # three measurements, each in its own unit
    assert candidates._alike(skgen.columns(numbers, step_features=1))
    assert candidates._alike(skgen.columns(numbers, image_shape=(1, 3)))
    levels = pd.DataFrame({"a": ["x", "y"] * 3, "b": ["y", "x"] * 3, "c": ["z", "x"] * 3})
    assert candidates._alike(skgen.columns(levels[["a", "b"]]))
    assert not candidates._alike(skgen.columns(levels))
    assert not candidates._alike(skgen.columns(levels.assign(b=np.arange(6.0))))


def test_a_split_column_is_the_one_split(table):
    data = datasets.load(str(table), "answer", split_column="split", drop=["flag"])
    assert list(data.X.columns) == ["count", "size", "colour"]
    result = skgen.compare("naive_bayes", data)
    assert "60 rows to learn and 30 to judge" in result.title
    assert result.table.loc["naive_bayes", "folds"] == 1


def test_a_split_array():
    X, y = load_wine(return_X_y=True)
    split = np.where(np.arange(len(y)) % 3 == 0, "test", "train")
    row = skgen.compare("naive_bayes", X, y, split=split).table.loc["naive_bayes"]
    model = NaiveBayes(column_kinds=skgen.columns(X)).fit(X[split == "train"], y[split == "train"])
    assert row["accuracy"] == model.score(X[split == "test"], y[split == "test"])
    with pytest.raises(ValueError, match="must hold train, test"):
        skgen.compare("naive_bayes", X, y, split=np.full(len(y), "learn"))
    with pytest.raises(ValueError, match=r"Class 2 is in the test rows and not"):
        skgen.compare("naive_bayes", X, y, split=np.where(y == 2, "test", split))


def test_a_parquet_file_and_a_polars_frame(tmp_path):
    X, y = mixed(60, missing=False)
    frame = pl.DataFrame({**{name: X[name].to_list() for name in X}, "answer": list(y)})
    frame.write_parquet(tmp_path / "table.parquet")
    from_file = skgen.compare("naive_bayes", str(tmp_path / "table.parquet"), "answer", n_folds=2).table
    from_frame = skgen.compare("naive_bayes", frame.drop("answer"), y, n_folds=2).table
    named = skgen.compare("naive_bayes", frame, "answer", n_folds=2).table
    assert from_file["accuracy"].item() == from_frame["accuracy"].item() == named["accuracy"].item() > 0.7


def test_a_column_without_any_value_is_left_out():
    X, y = mixed(40, missing=False)
    data = datasets.from_frame(X.assign(nothing=pd.NA, answer=y), "answer")
    assert "nothing" not in data.X
    assert data.notes == ["Columns without any value are left out: nothing."]
    only_train = datasets.from_frame(X.assign(split="train", answer=y), "answer")
    assert "split" not in only_train.X
    kept = datasets.from_frame(X.assign(split=np.resize(["train", "other"], 40), answer=y), "answer")
    assert "split" in kept.X


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "twice.csv.gz"
    rows = [f"{i},{'ab'[i % 2]},{'ab'[i % 2]}" for i in range(20)]
    pd.DataFrame({"a,y,y": rows}).to_csv(path, index=False, quoting=3, escapechar=None, sep="\t")
    assert pd.read_csv(path).columns.tolist() == ["a", "y", "y.1"]  # what would leak the target
    with pytest.raises(ValueError, match="more than one column 'y'"):
        datasets.load(str(path), "y")
    X, y = mixed(40, missing=False)
    frame = pd.concat([X.assign(answer=y), pd.Series(y, name="answer")], axis=1)
    with pytest.raises(ValueError, match="more than one column 'answer'"):
        datasets.from_frame(frame, "answer")
    with pytest.raises(ValueError, match="two columns named 'answer'"):
        skgen.compare("naive_bayes", frame, "answer")


def test_classes_of_one_row_each_are_refused():
    with pytest.raises(ValueError, match=r"Every class has one row \('a', 'b'\)"):
        skgen.compare("naive_bayes", np.array([[0.0], [1.0]]), ["a", "b"])


def test_small_classes_get_fewer_folds():
    X, y = mixed(60, missing=False)
    y[:] = "no"
    y[:3] = "yes"
    result = skgen.compare("naive_bayes", X, y)
    assert "3 folds instead of 5: class 'yes' has 3 rows." in result.notes


def test_a_class_of_one_row_is_told_and_rivals_survive():
    X, y = mixed(60, missing=False)
    y = y.astype(object)
    y[0] = "perhaps"
    result = skgen.compare(["naive_bayes", "rbf_svm", "logistic_regression", "mlp", "k_nearest_neighbors"], X, y)
    assert (result.table["error"] == "").all()
    assert (result.table["folds"] == 2).all()
    assert "Classes of one row cannot be both learnt and judged, and count as errors: 'perhaps'." in result.notes


# ---- bad input


def test_unknown_names_suggest_near_ones():
    with pytest.raises(ValueError, match=r"There is no model 'naive_baye'\. Did you mean 'naive_bayes'\?"):
        skgen.compare(["naive_baye"], "wine")
    with pytest.raises(ValueError, match="Did you mean 'random_forest'"):
        skgen.compare("randomforest", "wine")
    with pytest.raises(ValueError, match=r"'wien'\. Did you mean 'wine'\?"):
        skgen.compare(None, "wien")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n_folds": 1}, "n_folds=1"),
        ({"n_folds": 2.5}, r"n_folds=2\.5"),
        ({"n_folds": 10**6}, "n_folds=1000000"),
        ({"n_jobs": 0}, "n_jobs=0"),
        ({"time_limit": 0}, "time_limit=0"),
        ({"time_limit": float("nan")}, "time_limit=nan"),
        ({"time_limit": "1"}, "time_limit='1'"),
        ({"random_state": -1}, "random_state=-1"),
        ({"random_state": None}, "random_state=None"),
        ({"image_shape": (4, 4)}, "image_shape"),
        ({"models": []}, "models is empty"),
        ({"models": 3}, "models=3"),
        ({"models": [3]}, "3 is no model"),
        ({"models": [NaiveBayes]}, "is no model"),
        ({"X": None}, "compare needs data"),
        ({"y": None}, "compare needs labels"),
        ({"y": "answer"}, "without names"),
        ({"X": "wine"}, "name of the target column"),
    ],
)
def test_bad_arguments_are_refused(keywords, message):
    X, y = load_wine(return_X_y=True)
    with pytest.raises(ValueError, match=message):
        skgen.compare(**{"models": "naive_bayes", "X": X, "y": y, **keywords})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.linspace(0, 1, 60), "continuous"),
        (np.arange(60), "60 classes in 60 rows"),
        (np.zeros(60, dtype=int), "one class"),
        (np.array([*"ab" * 29, "a", None], dtype=object), "1 missing labels"),
        (np.array([1, "a"] * 30, dtype=object), "cannot be read as classes"),
        (np.zeros(59, dtype=int), "inconsistent numbers of samples"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    X, _ = mixed(60, missing=False)
    with pytest.raises(ValueError, match=message):
        skgen.compare("naive_bayes", X, labels)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"target": None}, "Which column of t is the target"),
        ({"target": "anser"}, r"no column 'anser' \(target\) in t\. Did you mean 'answer'\?"),
        ({"target": "zzz"}, "The columns are count"),
        ({"drop": ["kolour"]}, "Did you mean 'colour'"),
        ({"split_column": "colour"}, "Split column 'colour' must hold"),
        ({"drop": ["answer"]}, "is the target and cannot be dropped"),
        ({"drop": ["count", "size", "colour", "flag"]}, "no column beside the target"),
    ],
)
def test_bad_columns_are_refused(keywords, message):
    X, y = mixed(40)
    with pytest.raises(ValueError, match=message):
        datasets.from_frame(X.assign(answer=y), **{"target": "answer", "name": "t", **keywords})


def test_a_target_with_missing_cells_is_refused():
    X, y = mixed(40)
    frame = X.assign(answer=pd.Series(y).where(np.arange(40) != 4))
    with pytest.raises(ValueError, match=r"'answer' has 1 missing cells \(first at row 4, counting from 0\): drop those rows"):
        datasets.from_frame(frame, "answer")
    data = datasets.from_frame(frame, "answer", drop_missing_target=True)
    assert data.notes == ["1 rows without a 'answer' are left out."]
    assert list(data.y) == list(np.delete(y, 4))
    assert data.X["size"].tolist() == pytest.approx(np.delete(X["size"].to_numpy(), 4).tolist(), nan_ok=True)
    with pytest.raises(ValueError, match="missing in every row"):
        datasets.from_frame(X.assign(answer=pd.NA), "answer", drop_missing_target=True)
    with pytest.raises(ValueError, match="has no rows"):
        datasets.from_frame(frame.iloc[:0], "answer")
    with pytest.raises(ValueError, match="bundled with its target"):
        datasets.load("wine", "class")


# ---- what is shown


def test_the_result_as_json_csv_and_text(tmp_path):
    X, y = mixed(missing=False)
    result = skgen.compare({"nb": "naive_bayes", "dummy": DummyClassifier()}, X, y, n_folds=2)
    read = json.loads(result.to_json(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text()) == read
    assert read["models"][1]["log_p"] is None
    assert read["classes"] == ["no", "yes"]
    assert (read["rows"], read["folds"]) == (120, 2)
    result.to_csv(tmp_path / "r.csv")
    back = pd.read_csv(tmp_path / "r.csv", index_col="model")
    assert back.loc["nb", "accuracy"] == pytest.approx(result.table.loc["nb", "accuracy"])
    text = repr(result)
    assert text.splitlines()[0].startswith("data: 120 rows, 4 columns (1 integer, 1 continuous, 1 categorical, 1 binary)")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 200


def test_the_best_are_marked_on_a_terminal():
    from io import StringIO

    from rich.console import Console

    X, y = mixed(missing=False)
    result = skgen.compare({"nb": "naive_bayes", "dummy": DummyClassifier()}, X, y, n_folds=2)
    out = StringIO()
    Console(file=out, force_terminal=True, width=150, color_system="standard").print(result)
    best = f"{result.table.loc['nb', 'accuracy']:.3f}"
    assert re.search(rf"\x1b\[1;32m *{re.escape(best)}", out.getvalue())


def test_a_narrow_terminal_keeps_every_figure():
    from io import StringIO

    from rich.console import Console

    X, y = mixed(missing=False)
    models = {"hist_gradient_boosting": "naive_bayes", "bad": Failing()}
    result = skgen.compare(models, X, y, n_folds=2)
    out = StringIO()
    Console(file=out, width=80, color_system=None).print(result)
    lines = out.getvalue().splitlines()
    row = next(line for line in lines if line.startswith("hist_gradient_boosting")).split()
    assert row[1] == f"{result.table.iloc[0]['accuracy']:.3f}"
    assert row[5] == "exact"
    assert "…" not in out.getvalue()
    assert any(line.startswith("  bad: fold 1 of 2: RuntimeError: planted failure") for line in lines)


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(pd.Categorical(["a", "b"] * 30)),
        pd.Series([True, False] * 30, dtype="boolean"),
        pd.Series([3, 5] * 30, dtype="Int64"),
        ["a", "b"] * 30,
        np.array([[1.0], [2.0]] * 30),
        pl.Series(["a", "b"] * 30),
    ],
)
def test_labels_come_in_many_containers(labels):
    X, _ = mixed(60, missing=False)
    table = skgen.compare(["naive_bayes", "logistic_regression"], X, labels, n_folds=2).table
    assert (table["error"] == "").all()
    assert table["accuracy"].between(0, 1).all()


def test_the_progress_bar_counts_folds(capfd):
    X, y = mixed(missing=False)
    skgen.compare("naive_bayes", X, y, n_folds=2, progress=True)
    assert "naive_bayes" in capfd.readouterr().err
    skgen.compare("naive_bayes", X, y, n_folds=2)
    assert capfd.readouterr().err == ""


def test_seconds_are_readable():
    assert [seconds(v) for v in (0.0, 0.0012, 0.25, 2.5, 25.0)] == ["<0.0001", "0.0012", "0.250", "2.50", "25"]


def test_labels_of_rows_are_short_and_distinct():
    X, y = load_wine(return_X_y=True)
    names = skgen.compare(
        [DummyClassifier(), DummyClassifier(), NaiveBayes(distributions=dict.fromkeys(range(13), "normal"))], X, y, n_folds=2
    ).table.index.tolist()
    assert names[:2] == ["DummyClassifier()", "DummyClassifier() (2)"]
    assert len(names[2]) <= 48


def test_large_tables_get_three_folds(monkeypatch):
    monkeypatch.setattr(compare_module, "_LARGE", 100)
    X, y = mixed(missing=False)
    assert skgen.compare("naive_bayes", X, y).table.loc["naive_bayes", "folds"] == 3
