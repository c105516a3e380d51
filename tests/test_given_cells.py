"""Any cell given any others: moments, draws and classes of rows with missing cells, against closed forms."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.datasets import load_digits, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgen
from skgen import PPCA, FactorAnalysis, GaussianMixture, Mixture


def removed(X, share=0.3, seed=5):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


# ---- conditionals in closed form


def by_hand(model, row, j):
    """Mean and standard deviation of cell j given the observed ones, and log p(cell | observed) as a function."""
    o = np.flatnonzero(~np.isnan(row) & (np.arange(len(row)) != j))
    shares, means, variances = [], [], []
    for w, m, S in zip(model.weights_, model.means_, model.covariances_, strict=True):
        slope = np.linalg.solve(S[np.ix_(o, o)], S[o, j]) if len(o) else np.zeros(0)
        means.append(m[j] + slope @ (row[o] - m[o]))
        variances.append(S[j, j] - slope @ S[o, j])
        shares.append(np.log(w) + (multivariate_normal(m[o], S[np.ix_(o, o)]).logpdf(row[o]) if len(o) else 0.0))
    share = np.exp(np.array(shares) - logsumexp(shares))
    means, variances = np.array(means), np.array(variances)
    mean = share @ means
    sd = np.sqrt(share @ (variances + (means - mean) ** 2))
    return mean, sd, lambda x: logsumexp([norm(m, np.sqrt(v)).logpdf(x) for m, v in zip(means, variances, strict=True)], b=share)


@pytest.mark.parametrize("apart", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("k", [1, 3])
def test_conditionals_of_gaussian_mixtures_are_those_of_the_closed_form(k, apart):
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(3, 4, 4)) * 0.4 + np.eye(4)
    X = np.concatenate([rng.normal(size=(120, 4)) @ root + apart * rng.normal(size=4) for root in roots]) * [1, 0.1, 100, 1]
    unit = X.std(axis=0)
    asked = removed(X[::36])
    for model in (
        GaussianMixture(n_components=k, random_state=0).fit(X),
        Mixture(GaussianMixture(), n_components=k, random_state=0).fit(X),
    ):
        if isinstance(model, Mixture):
            model.means_ = np.concatenate([one.means_ for one in model.components_])
            model.covariances_ = np.concatenate([one.covariances_ for one in model.components_])
        filled = model.impute(asked)
        for j in range(4):
            found = model.predict_missing(asked, j)
            for row, done, (mean, sd) in zip(asked, filled, found, strict=True):
                want, spread, log_p = by_hand(model, row, j)
                assert mean == pytest.approx(want, abs=1e-8 * unit[j])
                assert sd == pytest.approx(spread, rel=1e-8)
                both = np.where(np.arange(4) == j, want + 0.3 * spread, row)
                alone = np.where(np.arange(4) == j, np.nan, row)
                given = np.subtract(*model.score_samples([both, alone]))
                assert given == pytest.approx(log_p(both[j]), abs=1e-8)
                if np.isnan(row[j]):
                    assert done[j] == pytest.approx(want, abs=1e-8 * unit[j])


def test_classes_are_summed_out_of_a_conditional():
    X, y = load_wine(return_X_y=True)
    X = X[:, :4]
    model = GaussianMixture(priors=[0.2, 0.3, 0.5]).fit(X, y)
    asked = removed(X[::9])
    joined = SimpleNamespace(
        weights_=np.array([0.2, 0.3, 0.5]),
        means_=np.concatenate([one.means_ for one in model.densities_]),
        covariances_=np.concatenate([one.covariances_ for one in model.densities_]),
    )
    for row, (mean, sd) in zip(asked, model.predict_missing(asked, 1), strict=True):
        want, spread, _ = by_hand(joined, row, 1)
        np.testing.assert_allclose([mean, sd], [want, spread], rtol=1e-8)


@pytest.mark.parametrize("model", [PPCA, FactorAnalysis])
def test_conditionals_of_factors_are_those_of_their_covariance(model):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2)) @ rng.normal(size=(2, 4)) + 0.5 * rng.normal(size=(150, 4))
    fitted = model(n_components=2).fit(X)
    joined = SimpleNamespace(weights_=np.ones(1), means_=fitted.mean_[None], covariances_=fitted.covariance_[None])
    asked = removed(X[:20])
    for row, (mean, sd) in zip(asked, fitted.predict_missing(asked, 2), strict=True):
        np.testing.assert_allclose([mean, sd], by_hand(joined, row, 2)[:2], rtol=1e-8, atol=1e-9)


def test_draws_given_the_rest_follow_the_closed_form():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(100, 3)), rng.normal(3, 2, size=(100, 3))])
    model = GaussianMixture(n_components=2, random_state=0).fit(X)
    row = np.array([X[0, 0], np.nan, np.nan])
    draws = model.sample_conditional(row[None], n_draws=40_000)
    for j in (1, 2):
        mean, sd, _ = by_hand(model, row, j)
        assert draws[:, j].mean() == pytest.approx(mean, abs=5 * sd / 200)
        assert draws[:, j].std() == pytest.approx(sd, rel=0.03)


@pytest.mark.filterwarnings("ignore::skgen.ColumnWarning")
def test_missing_features_are_better_left_out_than_filled():
    X, y = load_digits(return_X_y=True)
    kinds = skgen.columns(X, "continuous", image_shape=(8, 8))
    train = np.arange(len(X)) % 3 > 0
    holes = removed(X[~train], 0.6)
    model = GaussianMixture(column_kinds=kinds).fit(X[train], y[train])
    assert model.score(holes, y[~train]) >= 0.9
    rival = make_pipeline(StandardScaler(), SimpleImputer(), LogisticRegression(max_iter=1000)).fit(X[train], y[train])
    assert model.score(holes, y[~train]) > rival.score(holes, y[~train]) + 0.1
