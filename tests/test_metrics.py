"""Metrics against scikit-learn and by hand; scorers that judge the density although labels are there."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score

from skgen import NaiveBayes
from skgen.evaluate.metrics import accuracy, expected_calibration_error, log_loss
from skgen.evaluate.scorers import bits_per_dim, log_likelihood


def _draw(n, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([1, 1, 1], n)
    labels = np.array(["a", "b", "c"])[(proba.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)]
    return labels, proba


def test_log_loss_is_scikit_learns():
    labels, proba = _draw(500)
    assert log_loss(labels, proba, ["a", "b", "c"]) == pytest.approx(sklearn_log_loss(labels, proba), rel=1e-12)


def test_log_loss_of_an_unknown_label_is_large_and_finite():
    assert log_loss(["z"], [[0.5, 0.5]], ["a", "b"]) == pytest.approx(-np.log(np.finfo(float).eps))


def test_accuracy():
    assert accuracy(["a", "b", "b", "a"], ["a", "b", "a", "a"]) == 0.75


def test_calibration_error_by_hand():
    # bins of width 1/5: (0.4, 0.6] holds 0.55 (right), 0.6 (wrong); (0.8, 1] holds 1.0 (right)
    proba = [[0.55, 0.45], [0.4, 0.6], [1.0, 0.0]]
    expected = (abs(1 - 0.55 - 0.6) + abs(1 - 1.0)) / 3
    assert expected_calibration_error([0, 0, 0], proba, [0, 1], n_bins=5) == pytest.approx(expected)


def test_calibration_error_knows_a_calibrated_forecast_from_an_overconfident_one():
    labels, proba = _draw(20_000)
    sharpened = proba**4 / (proba**4).sum(axis=1, keepdims=True)
    classes = ["a", "b", "c"]
    assert expected_calibration_error(labels, proba, classes) < 0.02
    assert expected_calibration_error(labels, sharpened, classes) > 0.1


@pytest.mark.parametrize("n_bins", [0, -1, 2.5, True])
def test_calibration_error_refuses_bins(n_bins):
    with pytest.raises(ValueError, match="n_bins"):
        expected_calibration_error([0], [[1.0, 0.0]], [0, 1], n_bins=n_bins)


@pytest.mark.parametrize(
    ("labels", "proba", "message"),
    [
        ([0, 1], [[1.0, 0.0]], "shape"),
        ([0], [[1.0]], "shape"),
        ([0], [[np.nan, 1.0]], "NaN"),
        ([], np.empty((0, 2)), "empty"),
    ],
)
def test_what_does_not_fit_is_refused(labels, proba, message):
    with pytest.raises(ValueError, match=message):
        log_loss(labels, proba, [0, 1])


def test_a_search_with_labels_tunes_the_density():
    X, y = load_iris(return_X_y=True)
    model = NaiveBayes(distributions="normal", random_state=0)
    search = GridSearchCV(model, {"shrinkage": [0.0, 1.0, 1000.0]}, scoring=log_likelihood).fit(X, y)
    best = search.cv_results_["mean_test_score"]
    by_hand = cross_val_score(model.set_params(**search.best_params_), X, y, scoring=log_likelihood).mean()
    assert best.max() == pytest.approx(by_hand)
    assert best.min() < best.max()
    fitted = search.best_estimator_
    assert log_likelihood(fitted, X, y) == fitted.score_samples(X).mean() != fitted.score(X, y)


def test_bits_per_dim_is_greater_for_a_better_density():
    X, y = load_iris(return_X_y=True)
    good = NaiveBayes(distributions="normal").fit(X, y)
    poor = NaiveBayes(distributions="normal").fit(X)
    assert bits_per_dim(good, X) > bits_per_dim(poor, X)
    assert bits_per_dim(good, X, y) == pytest.approx(log_likelihood(good, X) / 4 / np.log(2))


def test_a_scorer_says_that_there_is_no_density():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(AttributeError, match="LogisticRegression has no score_samples"):
        log_likelihood(LogisticRegression(max_iter=500).fit(X, y), X)
