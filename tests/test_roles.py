"""The imputer: what it fills, against closed forms and against the model itself."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skgen import GaussianMixture, GenerativeImputer


@parametrize_with_checks([GenerativeImputer("naive_bayes", random_state=0), GenerativeImputer(random_state=0)])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def holes():
    rng = np.random.default_rng(0)
    X = rng.multivariate_normal([1.0, -2.0, 5.0], [[2.0, 1.2, 0.3], [1.2, 1.0, 0.1], [0.3, 0.1, 4.0]], 400)
    return X, np.where(rng.random(X.shape) < 0.2, np.nan, X)


def test_mean_is_the_conditional_mean_of_the_gaussian(holes):
    _, X = holes
    imputer = GenerativeImputer(GaussianMixture(n_components=1, shrinkage=0)).fit(X)
    filled = imputer.transform(X)
    mean, cov = imputer.model_.means_[0], imputer.model_.covariances_[0]
    for row, full in zip(X, filled, strict=True):
        hidden, seen = np.isnan(row), ~np.isnan(row)
        # E[x_h | x_s] = mu_h + S_hs S_ss^-1 (x_s - mu_s)
        wanted = mean[hidden] + cov[np.ix_(hidden, seen)] @ np.linalg.solve(cov[np.ix_(seen, seen)], row[seen] - mean[seen])
        np.testing.assert_allclose(full[hidden], wanted, atol=2e-3)
        np.testing.assert_array_equal(full[seen], row[seen])


def test_draws_keep_the_spread_that_means_lose(holes):
    whole, X = holes
    hidden = np.isnan(X)[:, 2]
    spread = {
        how: GenerativeImputer(GaussianMixture(n_components=1), how=how, random_state=0).fit_transform(X)[hidden, 2].std()
        for how in ("mean", "draw")
    }
    assert spread["mean"] < 0.5 * whole[:, 2].std() < 0.8 * whole[:, 2].std() < spread["draw"]


def test_frame_comes_back_as_it_was():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "n": pd.array(rng.poisson(4, 60), dtype="Int64"),
            "c": pd.Categorical(rng.choice(list("ab"), 60)),
            "x": rng.normal(size=60),
        },
        index=range(100, 160),
    )
    frame.loc[103, "n"], frame.loc[105, "c"], frame.loc[107, "x"] = pd.NA, None, np.nan
    filled = GenerativeImputer("naive_bayes").fit_transform(frame)
    assert not filled.isna().any().any()
    assert filled.dtypes.equals(frame.dtypes)
    assert filled.index.equals(frame.index)
    pd.testing.assert_frame_equal(filled.drop([103, 105, 107]), frame.drop([103, 105, 107]))


def test_inside_a_pipeline(holes):
    whole, X = holes
    y = (whole[:, 0] > 1).astype(int)
    model = make_pipeline(GenerativeImputer(GaussianMixture(n_components=1)), LogisticRegression())
    assert clone(model).fit(X, y).score(X, y) > 0.9


def test_model_without_missing_cells_is_refused():
    class NoMissing(GaussianMixture):
        missing = "none"

    with pytest.raises(ValueError, match="takes no missing cells"):
        GenerativeImputer(NoMissing()).fit(np.eye(3))
