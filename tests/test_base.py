"""The template: both modes, Bayes' rule, weights, seeds, containers and refusals, on naive Bayes and models of a few lines."""

import warnings
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_config
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.datasets import load_wine, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

import skgen
from skgen import GenerativeModel, Interval, NaiveBayes
from skgen.seeds import generator


class Gaussian(GenerativeModel):
    """One full-covariance normal, the least a model can be."""

    ridge: Annotated[float, Interval(0)] = 1e-9

    def _fit(self, X, weight, rng):
        self._mean = np.average(X, axis=0, weights=weight)
        centred = X - self._mean
        self._covariance = (centred.T * weight) @ centred / weight.sum() + self.ridge * np.eye(X.shape[1])

    def _log_prob(self, X):
        return stats.multivariate_normal(self._mean, self._covariance).logpdf(X).reshape(len(X))

    def _sample(self, n, rng):
        return rng.multivariate_normal(self._mean, self._covariance, n)

    def _n_parameters(self):
        d = len(self._mean)
        return d + d * (d + 1) // 2

    @property
    def means_(self):
        return self._mean * self.columns_.scale + self.columns_.loc


class Failing(Gaussian):
    """Refuses to be fitted on demand."""

    fail: bool = False

    def _fit(self, X, weight, rng):
        if self.fail:
            raise KeyboardInterrupt
        super()._fit(X, weight, rng)


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(600, centers=[[-4, 0], [4, 0], [0, 6]], random_state=0)


def bayes_rule(log_p, log_prior):
    joint = log_p + log_prior
    top = joint.max(axis=1, keepdims=True)
    p = np.exp(joint - top)
    return p / p.sum(axis=1, keepdims=True)


# ---- units and modes


def test_a_density_is_in_the_units_of_the_data(wine):
    X, _ = wine
    model = Gaussian().fit(X)
    exact = stats.multivariate_normal(X.mean(0), np.cov(X.T, bias=True)).logpdf(X)
    np.testing.assert_allclose(model.score_samples(X), exact, atol=1e-4)
    np.testing.assert_allclose(model.score(X), exact.mean(), atol=1e-4)
    np.testing.assert_allclose(model.means_, X.mean(0))  # delegated from the shell to its one density


@pytest.mark.parametrize("model", [Gaussian(), NaiveBayes()])
def test_log_p_falls_by_the_log_of_the_unit(wine, model):
    X, y = wine
    scale = np.exp(np.random.default_rng(0).uniform(-20, 20, X.shape[1]))
    plain, scaled = clone(model).fit(X, y), clone(model).fit(X * scale, y)
    np.testing.assert_allclose(plain.score_samples(X) - scaled.score_samples(X * scale), np.log(scale).sum(), atol=1e-6)
    np.testing.assert_allclose(plain.predict_proba(X), scaled.predict_proba(X * scale), atol=1e-8)


@pytest.mark.parametrize("unit", [1e-150, 1e-12, 1e12, 1e150])
def test_far_units_of_the_whole_table(wine, unit):
    X, _ = wine
    fall = Gaussian().fit(X).score_samples(X) - Gaussian().fit(X * unit).score_samples(X * unit)
    np.testing.assert_allclose(fall, X.shape[1] * np.log(unit), rtol=1e-9)


def test_bayes_rule_once(wine):
    X, y = wine
    model = Gaussian().fit(X, y)
    each = np.stack([Gaussian().fit(X[y == k]).score_samples(X) for k in range(3)]).T
    log_prior = np.log(np.bincount(y) / len(y))
    joint = model.predict_joint_log_proba(X)
    np.testing.assert_allclose(joint, each + log_prior, atol=1e-3, rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X), bayes_rule(joint, 0), atol=1e-12)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    np.testing.assert_allclose(model.score_samples(X), np.logaddexp.reduce(joint, axis=1))
    np.testing.assert_array_equal(model.predict(X), model.classes_[joint.argmax(1)])
    assert model.score(X, y) == np.mean(model.predict(X) == y)


def test_equal_densities_leave_the_priors():
    X = np.repeat(np.random.default_rng(0).normal(size=(50, 2)), 4, axis=0)
    y = np.tile([0, 0, 0, 1], 50)  # each row three times in class 0, once in class 1
    np.testing.assert_allclose(Gaussian().fit(X, y).predict_proba(X), np.tile([0.75, 0.25], (200, 1)), atol=1e-9)


def test_probabilities_far_away_are_finite_and_sum_to_one(wine):
    X, y = wine
    for model in (Gaussian().fit(X, y), NaiveBayes().fit(X, y)):
        for far in (X[:3] * 1e9, X[:3] * -1e9, np.full((1, 13), 1e300)):
            p = model.predict_proba(far)
            assert np.isfinite(p).all()
            np.testing.assert_allclose(p.sum(axis=1), 1)
            assert not np.isnan(model.score_samples(far)).any()
            assert (model.score_samples(far) < np.inf).all()


def test_where_every_class_is_impossible_the_priors_answer():
    X = np.array([[1.0], [2.0], [3.0], [10.0], [20.0], [31.0]])
    model = NaiveBayes(distributions="lognormal", priors=[0.2, 0.8]).fit(X, [0, 0, 0, 1, 1, 1])
    below = np.array([[-1.0]])
    assert model.score_samples(below)[0] == -np.inf
    np.testing.assert_allclose(model.predict_proba(below), [[0.2, 0.8]])
    assert model.predict(below)[0] == 1


def test_a_fit_without_labels_has_no_classes(wine):
    X, y = wine
    model = NaiveBayes().fit(X)
    for method in ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba"):
        assert not hasattr(model, method)
    with pytest.raises(AttributeError, match=r"fitted as a density.*fit\(X, y\)"):
        _ = model.predict
    with pytest.raises(AttributeError, match=r"no classes: call fit\(X, y\)"):
        _ = model.class_log_prior_
    with pytest.raises(ValueError, match=r"no classes: call fit\(X, y\)"):
        model.sample(2, y=1)
    with pytest.raises(AttributeError, match="task='density'"):
        _ = NaiveBayes(task="density").fit(X, y).predict


def test_refit_in_the_other_mode_leaves_nothing(wine):
    X, y = wine
    model = NaiveBayes(random_state=0).fit(X, y)
    assert hasattr(model, "classes_")
    model.fit(X)
    assert not hasattr(model, "classes_")
    assert not hasattr(model, "predict")
    np.testing.assert_array_equal(model.score_samples(X), NaiveBayes(random_state=0).fit(X).score_samples(X))
    np.testing.assert_array_equal(
        model.fit(X, y).predict_joint_log_proba(X), NaiveBayes(random_state=0).fit(X, y).predict_joint_log_proba(X)
    )


def test_task(wine):
    X, y = wine
    np.testing.assert_array_equal(
        NaiveBayes(task="density").fit(X, y).score_samples(X), NaiveBayes(task="density").fit(X).score_samples(X)
    )
    with pytest.raises(ValueError, match="requires y to be passed"):
        NaiveBayes(task="classify").fit(X)
    assert sklearn.base.is_classifier(NaiveBayes())
    assert not sklearn.base.is_classifier(NaiveBayes(task="density"))
    assert NaiveBayes(task="classify").__sklearn_tags__().target_tags.required
    with pytest.raises(ValueError, match=r"Unknown label type.*task='density'"):
        NaiveBayes().fit(X, X[:, 0] + 0.123)


def test_a_failed_fit_leaves_the_old_model_whole(wine):
    X, y = wine
    model = Failing(random_state=0).fit(X, y)
    before = model.predict_joint_log_proba(X)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(fail=True).fit(X[:, :3])
    with pytest.raises(ValueError, match="ridge=-1"):
        model.set_params(fail=False, ridge=-1).fit(X[:, :3])
    np.testing.assert_array_equal(model.predict_joint_log_proba(X), before)
    assert model.n_features_in_ == 13
    fresh = Failing(fail=True)
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(X)
    with pytest.raises(NotFittedError):
        fresh.score_samples(X)


# ---- priors


@pytest.mark.parametrize(
    ("priors", "expected"),
    [
        (None, [59 / 178, 71 / 178, 48 / 178]),
        ("uniform", [1 / 3] * 3),
        ([2, 1, 1], [0.5, 0.25, 0.25]),
        (np.array([0.0, 0.5, 0.5]), [0, 0.5, 0.5]),
        ({0: 0.7, 2: 0.2, 1: 0.1}, [0.7, 0.1, 0.2]),
    ],
)
def test_priors_act_without_a_refit(wine, priors, expected):
    X, y = wine
    model = NaiveBayes(random_state=0).fit(X, y)
    log_p = model.predict_joint_log_proba(X) - model.class_log_prior_
    model.set_params(priors=priors)
    np.testing.assert_allclose(np.exp(model.class_log_prior_), expected)
    with np.errstate(divide="ignore"):
        log_prior = np.log(expected)
    np.testing.assert_allclose(model.predict_proba(X), bayes_rule(log_p, log_prior), atol=1e-9)
    np.testing.assert_allclose(model.score_samples(X), np.logaddexp.reduce(log_p + log_prior, axis=1))
    _, drawn = model.sample(3000, return_y=True)
    share = np.bincount(drawn, minlength=3) / 3000
    np.testing.assert_allclose(share, expected, atol=0.04)


def test_priors_of_an_unlabelled_sample_are_found(blobs):
    X, y = blobs
    model = Gaussian().fit(X, y)
    rng = np.random.default_rng(1)
    rows = rng.choice(len(X), 2000, p=np.array([0.1, 0.2, 0.7])[y] / 200)
    found = model.estimate_priors(X[rows])
    np.testing.assert_allclose([found[k] for k in range(3)], np.bincount(y[rows]) / 2000, atol=0.01)
    np.testing.assert_allclose(np.exp(model.set_params(priors=found).class_log_prior_), list(found.values()))


# ---- labels that are missing


@pytest.mark.parametrize("marker", [-1, np.nan, None])
def test_unlabelled_rows_help(marker):
    X, y = make_blobs(400, centers=[[-2] * 4, [0] * 4], cluster_std=[0.6, 1.4], random_state=3)
    known = np.concatenate([np.flatnonzero(y == k)[:6] for k in (0, 1)])
    partly = np.full(400, marker, dtype=object if marker is None else float)
    partly[known] = y[known]
    if marker == -1:
        partly = partly.astype(int)
    few = Gaussian(ridge=0.01).fit(X[known], y[known])
    both = Gaussian(ridge=0.01, unlabeled=-1 if marker == -1 else np.nan).fit(X, partly)
    every = Gaussian(ridge=0.01).fit(X, y)
    assert both.classes_.tolist() == [0, 1]
    assert both.classes_.dtype.kind == "i"
    assert both.score_samples(X).mean() > few.score_samples(X).mean() + 0.1
    assert both.score(X, y) > few.score(X, y)
    assert abs(both.score_samples(X).mean() - every.score_samples(X).mean()) < 0.05
    np.testing.assert_allclose(np.exp(both.class_log_prior_), [0.5, 0.5], atol=0.05)
    # score leaves the unlabelled rows out
    assert both.score(X, partly) == both.score(X[known], y[known])


def test_a_missing_label_is_refused_with_the_remedy(wine):
    X, y = wine
    y = y.astype(float)
    y[7] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN \(first at row 7\).*unlabeled=np.nan"):
        NaiveBayes().fit(X, y)
    with pytest.raises(ValueError, match="no labelled row"):
        NaiveBayes(unlabeled=-1).fit(X, np.full(len(X), -1))
    text = np.array(["a", None] * 89, dtype=object)
    with pytest.raises(ValueError, match=r"unlabeled=np\.nan"):
        NaiveBayes().fit(X, text)
    assert NaiveBayes(unlabeled=np.nan).fit(X, text).classes_.tolist() == ["a"]


def test_minus_one_is_a_label_unless_said_otherwise(blobs):
    X, y = blobs
    assert NaiveBayes().fit(X, y - 1).classes_.tolist() == [-1, 0, 1]
    assert NaiveBayes(unlabeled=-1).fit(X, y - 1).classes_.tolist() == [0, 1]


@pytest.mark.parametrize("labels", [["no", "yes", "maybe"], [True, False, True], [10, 20, 50], [0.0, 1.0, 2.0]])
def test_labels_of_any_type(blobs, labels):
    X, y = blobs
    named = np.array(labels)[y]
    model = NaiveBayes(random_state=0).fit(X, named)
    assert model.classes_.tolist() == sorted(set(labels))
    assert model.score(X, named) > 0.95
    assert set(model.sample(50, return_y=True)[1].tolist()) <= set(labels)
    assert model.score(X, pd.Series(named, index=range(5, 605))) > 0.95
    assert model.fit(X, pd.Series(named).astype("category")).classes_.tolist() == sorted(set(labels))


def test_mixed_labels_are_refused(blobs):
    X, _ = blobs
    with pytest.raises(ValueError, match="str"):
        NaiveBayes().fit(X, np.array([1, "a"] * 300, dtype=object))


def test_one_class_and_a_class_of_one_row(blobs):
    X, y = blobs
    alone = NaiveBayes().fit(X, np.zeros(len(X)))
    np.testing.assert_array_equal(alone.predict_proba(X), np.ones((len(X), 1)))
    y = y.copy()
    y[0] = 9
    with pytest.warns(UserWarning, match="Classes of one row: 9"):
        model = NaiveBayes().fit(X, y)
    assert np.isfinite(model.score_samples(X)).all()


# ---- weights


def test_a_weight_of_two_is_the_row_twice(wine):
    X, y = wine
    weight = np.arange(len(X)) % 3  # zeros too
    twice = np.repeat(np.arange(len(X)), weight)
    for model in (Gaussian(), NaiveBayes()):
        a, b = clone(model).fit(X, y, sample_weight=weight), clone(model).fit(X[twice], y[twice])
        np.testing.assert_allclose(a.predict_joint_log_proba(X), b.predict_joint_log_proba(X), rtol=1e-6)
        np.testing.assert_allclose(a.class_log_prior_, b.class_log_prior_)


def test_a_weight_of_zero_leaves_the_row_out_before_anything_is_read():
    frame = pd.DataFrame({"a": [0, 1, 0, 1, 7], "b": ["x", "y", "x", "y", "z"], "c": [0.5, 1.0, 1.5, 2.0, 1e6]})
    y = np.array([0, 1, 0, 1, 2])
    left, right = NaiveBayes().fit(frame, y, sample_weight=[1, 1, 1, 1, 0]), NaiveBayes().fit(frame[:4], y[:4])
    assert left.columns_.kinds == ["binary", "categorical", "continuous"]
    assert left.columns_.levels[1].tolist() == ["x", "y"]
    assert left.columns_.high[2] == 2.0
    assert left.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(left.predict_joint_log_proba(frame[:4]), right.predict_joint_log_proba(frame[:4]))


@pytest.mark.parametrize("weight", [[-1.0] * 178, [0.0] * 178, [1.0] * 3, [np.nan] * 178, "weights"])
def test_bad_weights(wine, weight):
    X, y = wine
    with pytest.raises(ValueError):
        NaiveBayes().fit(X, y, sample_weight=weight)


def test_score_with_weights(wine):
    X, y = wine
    weight = np.random.default_rng(0).random(len(X))
    model = Gaussian().fit(X, y)
    np.testing.assert_allclose(model.score(X, y, weight), np.average(model.predict(X) == y, weights=weight))
    np.testing.assert_allclose(model.score(X, sample_weight=weight), np.average(model.score_samples(X), weights=weight))
    density = Gaussian(task="density").fit(X, y)
    np.testing.assert_allclose(density.score(X, y), density.score_samples(X).mean())


# ---- draws


def test_draws_look_like_the_rows(blobs):
    X, y = blobs
    model = Gaussian(random_state=1).fit(X, y)
    drawn, labels = model.sample(4000, return_y=True)
    for k in range(3):
        np.testing.assert_allclose(drawn[labels == k].mean(0), X[y == k].mean(0), atol=0.15)
        np.testing.assert_allclose(np.cov(drawn[labels == k].T), np.cov(X[y == k].T), atol=0.2)
    for column in drawn.T:  # exchangeable: no drift with the row number, no dependence on the row before
        assert abs(stats.spearmanr(np.arange(4000), column).statistic) < 0.06
        assert abs(stats.spearmanr(column[1:], column[:-1]).statistic) < 0.06


def test_y_as_a_label_or_an_array(blobs):
    X, y = blobs
    model = Gaussian(random_state=0).fit(X, np.array(["left", "right", "up"])[y])
    assert set(model.predict(model.sample(50, y="up"))) == {"up"}
    wanted = np.array(["up", "left", "up", "right", "left"] * 20)
    drawn, labels = model.sample(y=wanted, return_y=True)
    np.testing.assert_array_equal(labels, wanted)
    assert np.mean(model.predict(drawn) == wanted) > 0.95
    assert len(model.sample(100, y=wanted)) == 100
    with pytest.raises(ValueError, match=r"y='down' is not a class: choose from \['left', 'right', 'up'\]"):
        model.sample(3, y="down")
    with pytest.raises(ValueError, match="n_samples=7 and y has 100 labels"):
        model.sample(7, y=wanted)


@pytest.mark.parametrize("bad", [-1, 2.5, "3", True, None, 10**13])
def test_bad_n_samples(wine, bad):
    X, y = wine
    for model in (NaiveBayes().fit(X), NaiveBayes().fit(X, y)):
        with pytest.raises(ValueError, match="n_samples"):
            model.sample(bad)


@pytest.mark.parametrize("n", [0, 1, 7, np.int64(5)])
def test_n_samples(wine, n):
    X, y = wine
    assert NaiveBayes().fit(X).sample(n).shape == (n, 13)
    rows, labels = NaiveBayes().fit(X, y).sample(n, return_y=True)
    assert rows.shape == (n, 13)
    assert labels.shape == (n,)


def test_random_state(wine):
    X, y = wine
    np.random.seed(5)  # noqa: NPY002 - the global generator is what is watched
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    model = NaiveBayes(random_state=3).fit(X, y)
    np.testing.assert_array_equal(model.sample(5), model.sample(5))
    assert not np.array_equal(model.sample(5), model.sample(5, random_state=4))
    np.testing.assert_array_equal(model.sample(5, random_state=9), model.sample(5, random_state=9))
    free = NaiveBayes().fit(X, y)
    assert not np.array_equal(free.sample(5), free.sample(5))
    moving = np.random.default_rng(0)
    given = NaiveBayes(random_state=moving).fit(X, y)
    assert not np.array_equal(given.sample(5), given.sample(5))
    legacy = np.random.RandomState(0)
    assert not np.array_equal(free.sample(5, random_state=legacy), free.sample(5, random_state=legacy))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    for bad in (-1, "seed", 1.5, True):
        with pytest.raises(ValueError, match="random_state"):
            NaiveBayes(random_state=bad).fit(X, y)


def test_the_streams_of_fit_and_sample_are_apart():
    fit, sample = generator(0, 0), generator(0, 1)
    assert not np.array_equal(fit.random(8), sample.random(8))
    rng = np.random.default_rng(1)
    assert generator(rng) is rng


# ---- scikit-learn's machinery


def test_rows_stand_alone_whatever_the_batch(wine):
    X, y = wine
    X = np.tile(X, (40, 1)) + np.random.default_rng(0).normal(size=(40 * len(X), 13))
    y = np.tile(y, 40)
    model = NaiveBayes().fit(X, y)
    whole = model.score_samples(X)
    with sklearn.config_context(working_memory=1):
        np.testing.assert_array_equal(model.score_samples(X), whole)
    np.testing.assert_allclose(model.score_samples(X[::-1])[::-1], whole, rtol=1e-12)
    np.testing.assert_allclose([model.score_samples(X[i : i + 1])[0] for i in range(20)], whole[:20], rtol=1e-10)


def test_n_jobs_changes_nothing(wine):
    X, y = wine
    one = Gaussian(random_state=0).fit(X, y)
    with parallel_config("threading"):
        two = Gaussian(random_state=0, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), two.predict_joint_log_proba(X))


def test_searches_and_validation(wine):
    X, y = wine
    search = GridSearchCV(NaiveBayes(distributions="normal"), {"shrinkage": [0.0, 1.0, 1e4]}, cv=3).fit(X, y)
    assert search.best_params_["shrinkage"] < 1e4
    assert cross_val_score(NaiveBayes(task="density"), X, y, cv=3).mean() < -15  # mean log p, not accuracy


def test_information_criteria(wine):
    X, y = wine
    model = Gaussian().fit(X)
    k, n = 13 + 13 * 14 // 2, len(X)
    assert model.n_parameters_ == k
    np.testing.assert_allclose(model.bic(X), -2 * model.score_samples(X).sum() + k * np.log(n))
    np.testing.assert_allclose(model.aic(X), -2 * model.score_samples(X).sum() + 2 * k)
    assert Gaussian().fit(X, y).n_parameters_ == 3 * k + 2


def test_n_parameters_where_undefined(wine):
    class Uncounted(GenerativeModel):
        """A model that does not say how many parameters it has."""

        def _fit(self, X, weight, rng):
            pass

    X, y = wine
    for model in (Uncounted().fit(X), Uncounted().fit(X, y)):
        with pytest.raises(AttributeError, match="Uncounted does not define its number of free parameters"):
            _ = model.n_parameters_


def test_the_mode_of_the_numbers(wine):
    X, _ = wine
    assert Gaussian().fit(X).likelihood_ == "exact"
    assert Gaussian().fit(X.astype(int)).likelihood_ == "estimate"  # integers are dequantised
    assert NaiveBayes().fit(X.astype(int)).likelihood_ == "exact"


def test_missing_cells_are_refused_where_they_cannot_be_taken(wine):
    X, y = wine
    holes = X.copy()
    holes[3, 5] = np.nan
    with pytest.raises(ValueError, match=r"NaN \(column 5\).*Gaussian.*SimpleImputer"):
        Gaussian().fit(holes, y)
    with pytest.raises(ValueError, match=r"column 5"):
        Gaussian().fit(X, y).predict(holes)
    frame = pd.DataFrame(holes, columns=[f"c{j}" for j in range(13)])
    with pytest.raises(ValueError, match="column 'c5'"):
        Gaussian().fit(frame, y)
    assert np.isfinite(NaiveBayes().fit(holes, y).score_samples(holes)).all()
    assert not Gaussian().__sklearn_tags__().input_tags.allow_nan
    assert NaiveBayes().__sklearn_tags__().input_tags.allow_nan


def test_a_cell_outside_the_support():
    frame = pd.DataFrame({"colour": ["red", "blue"] * 10, "n": [1, 5, 2, 7, 3] * 4})
    y = np.tile([0, 1], 10)
    model = NaiveBayes().fit(frame, y)
    new = pd.DataFrame({"colour": ["red", "green", "blue"], "n": [1.0, 2.0, 2.5]})
    log_p = model.score_samples(new)
    assert np.isfinite(log_p).tolist() == [True, False, False]
    with pytest.warns(UserWarning, match="2 rows have a cell outside"):
        p = model.predict_proba(new)
    hidden = pd.DataFrame({"colour": ["red", None, "blue"], "n": [1.0, 2.0, np.nan]})
    np.testing.assert_allclose(p, model.predict_proba(hidden))  # as if not observed


def test_a_cell_outside_the_support_of_a_model_that_needs_every_cell():
    X = np.tile(np.array([[1, 5], [2, 9], [4, 5], [3, 3], [1, 2]]), (4, 1))
    model = Gaussian().fit(X, np.tile([0, 1], 10))
    np.testing.assert_array_equal(np.isfinite(model.score_samples([[1.5, 5.0], [2.0, 5.0]])), [False, True])
    with pytest.raises(ValueError, match="Row 0 of X has a cell outside"):
        model.predict([[1.5, 5.0]])


def test_a_missing_cell_is_marginalised(wine):
    X, y = wine
    model = NaiveBayes(distributions="normal").fit(X[:, :2], y)
    grid = np.linspace(-40, 60, 20001)
    at = np.column_stack([np.full_like(grid, 13.0), grid])
    integral = np.trapezoid(np.exp(model.score_samples(at)), grid)
    np.testing.assert_allclose(model.score_samples([[13.0, np.nan]]), np.log(integral), atol=1e-6)
    filled = model.score_samples([[13.0, X[:, 1].mean()]])  # what filling with the mean would say
    assert abs(filled - np.log(integral)) > 0.1
    np.testing.assert_allclose(model.score_samples([[np.nan, np.nan]]), 0, atol=1e-12)
    np.testing.assert_allclose(model.predict_proba([[np.nan, np.nan]])[0], np.exp(model.class_log_prior_))


def test_parts_of_other_models():
    inner = NaiveBayes(priors="uniform")
    columns = skgen.columns(np.random.default_rng(0).normal(size=(20, 2)))
    with pytest.raises(ValueError, match=r"component=.*sets priors: set it on the outer model"):
        inner.as_component(columns)
    component = NaiveBayes(alpha=0.5).as_component(columns)
    assert component.alpha == 0.5
    assert component.columns_ is columns


def test_wrong_tables(wine):
    X, y = wine
    model = NaiveBayes().fit(X, y)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :3])
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(X[:0], y[:0])
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(X, y[:5])
    with pytest.raises(ValueError, match="infinity"):
        model.fit(np.where(X > 14, np.inf, X), y)
    with pytest.raises(TypeError, match="toarray"):
        model.fit(sparse.csr_array(X), y)
    with pytest.raises(ValueError, match=r"3D|dim"):
        model.fit(np.zeros((3, 2, 2)))
    frame = pd.DataFrame(X[:, :2], columns=["a", "b"])
    with pytest.raises(ValueError, match="feature names"):
        NaiveBayes().fit(frame, y).predict(frame[["b", "a"]])


def test_hostile_tables_give_finite_numbers_or_a_named_refusal(wine):
    X, _ = wine
    rng = np.random.default_rng(0)
    tables = {
        "constant column": np.column_stack([X[:, 0], np.full(len(X), 3.0)]),
        "one row": X[:1],
        "identical rows": np.tile(X[:1], (30, 1)),
        "more columns than rows": X[:5],
        "one huge cell": np.where(np.arange(X.size).reshape(X.shape) == 7, 1e300, X),
        "offset": X[:, :3] + 1e9,
        "tiny": rng.normal(size=(50, 2)) * 1e-300,
        "huge": rng.normal(size=(50, 2)) * 1e160,
    }
    for what, table in tables.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", skgen.ColumnWarning)
            model = NaiveBayes(random_state=0).fit(table)
            log_p = model.score_samples(table)
        assert np.isfinite(log_p).all(), what
        assert np.isfinite(model.sample(20)).all(), what
