"""PPCA and factor analysis against closed forms, SciPy, scikit-learn and their own likelihood."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.decomposition import FactorAnalysis as PeerFactorAnalysis

from skgen import ColumnWarning
from skgen.models.latent.factor_analysis import FactorAnalysis
from skgen.models.latent.ppca import PPCA

BOTH = pytest.mark.parametrize("model", [PPCA, FactorAnalysis])


def table(n=400, d=6, q=2, seed=0, noise=(0.3, 1.5)):
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.2, 30, d)
    X = rng.normal(size=(n, q)) @ rng.normal(size=(q, d)) + rng.uniform(*noise, d) * rng.normal(size=(n, d))
    return X * scale + rng.normal(0, 50, d)


def holes(X, share=0.3, seed=1):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


def coded(model, X):
    """The density on coded rows, those rows, and weights of one."""
    Z, _ = model._coding.encode(model.columns_.encode(np.asarray(X, dtype=float))[0])
    return model._fitted.densities_[0], Z, np.ones(len(X))


# ---- against others


@BOTH
def test_log_p_is_that_of_the_normal_with_the_fitted_mean_and_covariance(model):
    X = table()
    m = model(n_components=2).fit(X)
    np.testing.assert_allclose(m.score_samples(X), multivariate_normal(m.mean_, m.covariance_).logpdf(X), rtol=1e-9)


def test_ppca_is_the_peers_pca_in_shared_units():
    X = table(d=7)
    for q in (1, 3, 5):
        m = PPCA(n_components=q, shrinkage=0, units="shared").fit(X)
        peer = PCA(q).fit(X)
        assert m.score(X) >= peer.score(X)  # the peer divides by n - 1, which is not the maximum of the likelihood
        peer.explained_variance_ *= 1 - 1 / len(X)
        peer.noise_variance_ *= 1 - 1 / len(X)
        assert m.score(X) == pytest.approx(peer.score(X), abs=1e-9)
        np.testing.assert_allclose(m.covariance_, peer.get_covariance(), rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(m.noise_variance_, peer.noise_variance_, rtol=1e-7)


def test_factor_analysis_is_the_peers_where_the_peer_has_converged():
    X = table(n=2000, d=8, q=2)
    m = FactorAnalysis(n_components=2, shrinkage=0, tol=1e-9).fit(X)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    peer = PeerFactorAnalysis(2, svd_method="lapack", tol=1e-9, max_iter=5000).fit(Z)
    assert m.score(X) == pytest.approx(peer.score(Z) - np.log(X.std(axis=0)).sum(), abs=1e-6)
    np.testing.assert_allclose(m.noise_variance_ / X.var(axis=0), peer.noise_variance_, atol=1e-3)


def test_the_likelihood_of_factor_analysis_has_no_slope():
    X = table(n=300, d=6)
    m = FactorAnalysis(n_components=2, shrinkage=0, tol=1e-12).fit(X)
    S, C = np.cov(X.T, bias=True), m.covariance_
    precision = np.linalg.inv(C)
    slope = precision - precision @ S @ precision  # of -2 log p a row in C
    assert np.abs(np.diag(slope) * m.noise_variance_).max() < 1e-4
    assert np.abs(slope @ m.components_.T * np.sqrt(np.diag(S))[:, None]).max() < 1e-4


@pytest.mark.parametrize("shrinkage", [0, 2.5])
def test_shrinkage_is_pseudo_rows(shrinkage):
    X = table(n=50, d=4)
    m = PPCA(n_components=3, shrinkage=shrinkage).fit(X)  # d - 1 components: any covariance
    S = np.cov(X.T, bias=True)
    want = (50 * S + shrinkage * np.diag(np.diag(S))) / (50 + shrinkage)
    np.testing.assert_allclose(m.covariance_, want, rtol=1e-9)


def test_fewer_rows_than_columns_take_the_shorter_way_to_the_same_fit():
    X = table(n=30, d=30)
    wide = PPCA(n_components=4).fit(X[:29])
    m = PPCA(n_components=4)
    part = wide._fitted.densities_[0]
    _, Z, weight = coded(wide, X[:29])
    long = m.part(wide.columns_)
    super(PPCA, long)._fit_complete(Z, weight)
    np.testing.assert_allclose(long._noise, part._noise, rtol=1e-10)
    np.testing.assert_allclose(long._W @ long._W.T, part._W @ part._W.T, atol=1e-10)


@BOTH
def test_more_columns_than_rows_is_regular(model):
    X = table(n=12, d=40)
    m = model(n_components=3).fit(X)
    assert np.linalg.eigvalsh(m.covariance_).min() > 0
    assert np.isfinite(m.score(table(n=50, d=40, seed=3)))
    many = model(n_components=25).fit(X)
    assert np.isfinite(many.score(X))


# ---- missing cells


@BOTH
def test_missing_cells_are_integrated_out(model):
    X = table(d=5)
    m = model(n_components=2).fit(X)
    asked = holes(X[:60], 0.5)
    for x, log_p in zip(asked, m.score_samples(asked), strict=True):
        o = ~np.isnan(x)
        want = multivariate_normal(m.mean_[o], m.covariance_[np.ix_(o, o)]).logpdf(x[o]) if o.any() else 0.0
        assert log_p == pytest.approx(want, rel=1e-9, abs=1e-9)
    assert m.score_samples(np.full((1, 5), np.nan))[0] == pytest.approx(0, abs=1e-12)


@BOTH
@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
def test_em_never_falls(model, shrinkage):
    M = holes(table(n=150, d=5), 0.4)
    M = M[~np.isnan(M).all(axis=1)]
    m = model(n_components=2, shrinkage=shrinkage).fit(M)
    _, Z, weight = coded(m, M)
    part = m.part(m.columns_)
    part._start(Z, weight)
    objective = [part._step(Z, weight) for _ in range(60)]
    assert np.diff(objective).min() > -1e-9 * abs(objective[-1])
    assert objective[-1] > objective[0] + 0.1


@BOTH
def test_em_ends_at_a_maximum_of_the_observed_likelihood(model):
    M = holes(table(n=200, d=4), 0.3)
    m = model(n_components=1, shrinkage=0, tol=1e-12, max_iter=5000).fit(M)
    part, Z, _ = coded(m, M)
    best, rng = part._log_prob(Z).mean(), np.random.default_rng(0)
    W, noise, mean = part._W, part._noise, part._mean
    for _ in range(40):
        part._W = W + 1e-3 * rng.normal(size=W.shape)
        part._mean = mean + 1e-3 * rng.normal(size=mean.shape)
        step = rng.normal() if model is PPCA else rng.normal(size=noise.shape)
        part._noise = noise * np.exp(1e-3 * step)
        assert part._log_prob(Z).mean() < best + 1e-9


@BOTH
def test_a_fit_with_missing_cells_is_close_to_the_complete_one(model):
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, 10))
    X = rng.normal(size=(4000, 3)) @ W + 0.7 * rng.normal(size=(4000, 10))
    complete = model(n_components=3).fit(X[:2000])
    partial = model(n_components=3).fit(holes(X[:2000]))
    assert abs(partial.score(X[2000:]) - complete.score(X[2000:])) < 0.1


@BOTH
def test_rows_and_columns_of_which_nothing_is_known(model):
    X = table(n=100, d=4)
    M = np.concatenate([holes(X), np.full((5, 4), np.nan)])
    with_them = model(n_components=2).fit(M)
    without = model(n_components=2).fit(M[~np.isnan(M).all(axis=1)])
    np.testing.assert_allclose(with_them.covariance_, without.covariance_, rtol=1e-9)
    X[:, 1] = np.nan
    with pytest.warns(ColumnWarning, match="without an observed cell"):
        m = model(n_components=2).fit(X)
    kept = model(n_components=2).fit(np.delete(X, 1, axis=1))
    assert np.isfinite(m.score(X))
    if model is FactorAnalysis:  # the noise of PPCA is shared with the column nobody has seen
        assert m.score(X) == pytest.approx(kept.score(np.delete(X, 1, axis=1)), abs=1e-2)


@BOTH
def test_an_update_never_falls(model):
    X = table(n=200, d=5)
    for rows in (X, holes(X)):
        m = model(n_components=2, shrinkage=0).fit(rows)
        part, Z, _ = coded(m, rows)
        weight = np.random.default_rng(0).random(len(Z)) + 0.1  # as an outer EM changes them
        before = weight @ part._log_prob(Z)
        part._update(Z, weight, np.random.default_rng(0))
        after = weight @ part._log_prob(Z)
        assert after >= before - 1e-9 * abs(before)


# ---- the latent variable, draws


@BOTH
def test_transform_is_the_posterior_mean_and_inverse_transform_the_decoder(model):
    X = table(d=5)
    m = model(n_components=2).fit(X)
    asked = holes(X[:20], 0.4)
    z = m.transform(asked)
    assert z.shape == (20, 2)
    W = m.components_.T
    for x, mine in zip(asked, z, strict=True):
        o = ~np.isnan(x)
        scaled = W[o] / m.noise_variance_[o, None]
        want = np.linalg.solve(np.eye(2) + W[o].T @ scaled, scaled.T @ (x[o] - m.mean_[o]))
        np.testing.assert_allclose(mine, want, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(m.inverse_transform(z), m.mean_ + z @ W.T, rtol=1e-10)
    assert list(m.get_feature_names_out()) == [f"{model.__name__.lower()}{i}" for i in range(2)]
    with pytest.raises(ValueError, match="2 components"):
        m.inverse_transform(np.zeros((3, 4)))


@BOTH
def test_draws_have_the_mean_and_covariance(model):
    m = model(n_components=2, random_state=0).fit(table(d=4))
    X = m.sample(40_000)
    spread = np.sqrt(np.diag(m.covariance_))
    np.testing.assert_allclose(X.mean(axis=0) / spread, m.mean_ / spread, atol=0.03)
    np.testing.assert_allclose(np.cov(X.T) / np.outer(spread, spread), m.covariance_ / np.outer(spread, spread), atol=0.03)


@BOTH
def test_conditional_draws_have_the_moments_of_the_conditional_normal(model):
    X = table(d=5)
    m = model(n_components=2, random_state=0).fit(X)
    x = X[0].copy()
    missing = np.array([True, False, True, False, False])
    x[missing] = np.nan
    C, o = m.covariance_, ~missing
    B = C[np.ix_(missing, o)] @ np.linalg.inv(C[np.ix_(o, o)])
    mean = m.mean_[missing] + B @ (x[o] - m.mean_[o])
    spread = C[np.ix_(missing, missing)] - B @ C[np.ix_(o, missing)]
    drawn = m.sample_conditional(x[None], 40_000)
    unit = np.sqrt(np.diag(spread))
    np.testing.assert_array_equal(drawn[:, o], np.tile(x[o], (40_000, 1)))
    np.testing.assert_allclose((drawn[:, missing].mean(axis=0) - mean) / unit, 0, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn[:, missing].T) / np.outer(unit, unit), spread / np.outer(unit, unit), atol=0.03)
    np.testing.assert_allclose((m.impute(x[None])[0, missing] - mean) / unit, 0, atol=1e-3)
    np.testing.assert_allclose(m.predict_missing(x[None], 0)[0], [mean[0], unit[0]], rtol=1e-3, atol=1e-3)


# ---- the contract


@BOTH
@pytest.mark.parametrize("missing", [False, True])
def test_weight_two_is_the_row_twice(model, missing):
    X = table(n=60, d=4)
    X = holes(X) if missing else X
    weight = np.arange(60) % 3
    a = model(n_components=1).fit(X, sample_weight=weight)
    b = model(n_components=1).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(a.covariance_, b.covariance_, rtol=1e-6)
    np.testing.assert_allclose(a.score_samples(X), b.score_samples(X), rtol=1e-6)


@BOTH
def test_units_cost_their_logarithm(model):
    X = table(d=6)
    a = np.array([1e-3, 2.0, 1.0, 1e5, 0.3, 7.0])
    for rows in (X, holes(X)):
        one, other = model(n_components=2).fit(rows), model(n_components=2).fit(rows * a)
        shift = (~np.isnan(rows)) @ np.log(a)
        # EM stops at a gain, which rounding may let it reach a step sooner
        near = 1e-7 if rows is X else 1e-4
        np.testing.assert_allclose(other.score_samples(rows * a), one.score_samples(rows) - shift, rtol=near, atol=near)


def test_free_parameters():
    X = table(d=6)
    assert PPCA(n_components=2).fit(X).n_parameters_ == 6 + (12 - 1) + 1
    assert FactorAnalysis(n_components=2).fit(X).n_parameters_ == 6 + (12 - 1) + 6
    assert PPCA(n_components=99).fit(X).n_parameters_ == 6 + 21  # a full covariance
    assert PPCA().fit(X, np.arange(len(X)) % 3).n_parameters_ == 3 * 18 + 2


@BOTH
def test_one_column_and_a_constant_one(model):
    x = np.random.default_rng(0).normal(5, 2, (300, 1))
    m = model(shrinkage=0).fit(x)
    np.testing.assert_allclose(m.score_samples(x), multivariate_normal(x.mean(), x.var()).logpdf(x[:, 0]), rtol=1e-10)
    assert m.transform(x).shape == (300, 0)
    assert m.sample(3).shape == (3, 1)
    constant = np.column_stack([x, np.ones(300), x + 1])
    with pytest.warns(UserWarning, match="Constant"):
        m = model(n_components=1).fit(constant)
    assert np.isfinite(m.score(constant))


@BOTH
def test_classes_have_a_density_each(model):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 6)) + rng.normal(size=(400, 6))
    y = np.repeat([0, 1], 200)
    X[y == 1] = X[y == 1] * rng.uniform(0.3, 3, 6) + 1
    m = model(n_components=2).fit(X, y)
    assert m.score(X, y) > 0.85
    assert m.transform(X).shape == (400, 4)
    with pytest.raises(ValueError, match="density"):
        m.inverse_transform(np.zeros((1, 4)))
    assert model(n_components=2, task="density").fit(X, y).transform(X).shape == (400, 2)


def test_parameters_out_of_range_are_named():
    with pytest.raises(ValueError, match="n_components"):
        PPCA(n_components=0).fit(table())
    with pytest.raises(ValueError, match="reg_covar"):
        FactorAnalysis(reg_covar=0.0).fit(table())
