"""The terms of the chain rule: each column given those before it."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris, load_wine

import skgen


def test_terms_of_a_normal_are_its_regressions():
    X = load_iris().data
    model = skgen.GaussianMixture().fit(X)
    mean, S = model.means_[0], model.covariances_[0]
    terms = model.score_columns(X)
    for i in range(4):
        whole = multivariate_normal(mean[: i + 1], S[: i + 1, : i + 1]).logpdf(X[:, : i + 1])
        before = multivariate_normal(mean[:i], S[:i, :i]).logpdf(X[:, :i]) if i else 0.0
        assert np.allclose(terms[:, i], whole - before)


@pytest.mark.parametrize(
    "name", ["naive_bayes", "gaussian_mixture", "chow_liu", "bayes_net", "mixture", "kde", "ppca", "factor_analysis"]
)
def test_terms_sum_to_the_whole(name):
    X, y = load_wine(return_X_y=True)
    X = X[:, :5].copy()
    X[::3, 2] = np.nan
    model = skgen.make(name, random_state=0).fit(X, y)
    terms = model.score_columns(X)
    assert terms.shape == X.shape
    assert np.allclose(terms.sum(axis=1), model.score_samples(X))
    assert (terms[::3, 2] == 0).all()


def test_the_unlikely_cell_is_found():
    rng = np.random.default_rng(0)
    a = rng.normal(size=500)
    X = np.column_stack([a, a + 0.1 * rng.normal(size=500), a - 0.1 * rng.normal(size=500)])
    model = skgen.GaussianMixture().fit(X)
    X[7, 1] += 1.0  # within its column's range, and impossible beside its neighbour
    assert np.unravel_index(model.score_columns(X)[:, :2].argmin(), (500, 2)) == (7, 1)


def test_an_impossible_cell_is_minus_infinity_once():
    X = pd.DataFrame({"a": list("xyxy"), "b": list("uvuv"), "c": list("ssst")})
    model = skgen.NaiveBayes(alpha=0).fit(X)
    asked = pd.DataFrame({"a": ["x", "x", None], "b": ["?", "v", "?"], "c": ["s", "t", "?"]})
    with np.errstate(all="raise"):
        terms = model.score_columns(asked)
    assert np.allclose(terms, [[np.log(0.5), -np.inf, 0], [np.log(0.5), np.log(0.5), np.log(0.25)], [0, -np.inf, 0]])
    assert np.array_equal(terms.sum(axis=1), model.score_samples(asked))


def test_a_model_that_cannot_leave_cells_out_says_so():
    X = np.random.default_rng(0).normal(size=(50, 2))

    class NoMarginals(skgen.GaussianMixture):
        missing = "none"
        missing_in_fit = False

    with pytest.raises(ValueError, match="NoMarginals has no p"):
        NoMarginals().fit(X).score_columns(X)
