"""Gaussian mixtures against closed forms, scipy, scikit-learn and quadrature."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Reference

import skgen
from skgen import GaussianMixture
from skgen.ops import gaussians
from skgen.ops.gaussians import DiagonalGaussians, FullGaussians, weighted_moments

TYPES = ("full", "tied", "diag", "spherical")


def clusters(n=120, d=3, k=3, seed=0):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(k, d, d)) * 0.4 + np.eye(d)
    return np.concatenate([rng.normal(size=(n, d)) @ root + 5 * rng.normal(size=d) for root in roots])


def with_holes(X, share=0.2, seed=1):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


def full_covariances(model):
    """(K, d, d) in data units, whatever the type."""
    K, _d = model.means_.shape
    covariance = model.covariances_
    if model.covariance_type == "tied":
        return np.tile(covariance, (K, 1, 1))
    return covariance if covariance.ndim == 3 else np.stack([np.diag(c) for c in covariance])


def by_scipy(model, X):
    parts = [
        multivariate_normal(m, S, allow_singular=False).logpdf(X)
        for m, S in zip(model.means_, full_covariances(model), strict=True)
    ]
    return np.logaddexp.reduce(np.stack(parts) + np.log(model.weights_)[:, None])


# ---- the density


def test_one_component_is_the_sample_mean_and_covariance():
    X = clusters(k=1) * [0.1, 1, 100]
    model = GaussianMixture(shrinkage=0).fit(X)
    np.testing.assert_allclose(model.means_[0], X.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(model.covariances_[0], np.cov(X.T, ddof=0), rtol=1e-9)
    np.testing.assert_allclose(
        model.score_samples(X), multivariate_normal(X.mean(axis=0), np.cov(X.T, ddof=0)).logpdf(X), rtol=1e-9
    )
    assert model.n_iter_ == 1
    assert model.converged_


def test_shrinkage_adds_pseudo_rows_of_the_spread_of_all_rows():
    X, y = load_iris(return_X_y=True)
    model = GaussianMixture(shrinkage=7).fit(X, y)
    for k, density in enumerate(model.densities_):
        own = X[y == k]
        expected = (len(own) * np.cov(own.T, ddof=0) + 7 * np.diag(X.var(axis=0))) / (len(own) + 7)
        np.testing.assert_allclose(density.covariances_[0], expected, rtol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [1, 3])
def test_log_p_is_that_of_scipy_and_of_scikit_learn_at_the_same_parameters(covariance_type, k):
    X = clusters() * [0.1, 1, 100] + [0, 5, -1e4]
    model = GaussianMixture(n_components=k, covariance_type=covariance_type, random_state=0).fit(X)
    log_p = model.score_samples(X)
    np.testing.assert_allclose(log_p, by_scipy(model, X), rtol=1e-8)
    reference = Reference(k)
    reference.weights_, reference.means_, reference.covariances_ = model.weights_, model.means_, full_covariances(model)
    reference.precisions_cholesky_ = np.linalg.inv(np.linalg.cholesky(full_covariances(model))).transpose(0, 2, 1)
    np.testing.assert_allclose(log_p, reference.score_samples(X), rtol=1e-8)
    np.testing.assert_allclose(model.transform(X), reference.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_maximum_likelihood_is_that_of_scikit_learn(covariance_type):
    X = clusters()
    same = {"covariance_type": covariance_type, "max_iter": 2000, "tol": 1e-10, "random_state": 0}
    model = GaussianMixture(n_components=3, shrinkage=0, n_init=5, **same).fit(X)
    standard = (X - X.mean(axis=0)) / X.std(axis=0)  # spherical means round in standardised columns
    reference = Reference(3, n_init=5, reg_covar=1e-12, **same).fit(standard)
    assert model.score(X) == pytest.approx(reference.score(standard) - np.log(X.std(axis=0)).sum(), abs=1e-6)
    assert model.n_parameters_ == reference._n_parameters()
    assert model.bic(X) == pytest.approx(reference.bic(standard) + 2 * len(X) * np.log(X.std(axis=0)).sum(), rel=1e-6)


def test_density_integrates_to_one_and_the_test_sees_a_wrong_normaliser(monkeypatch):
    x = np.concatenate([np.random.default_rng(0).normal(-300, 50, 100), np.random.default_rng(1).normal(500, 10, 50)])[:, None]

    def mass():
        model = GaussianMixture(n_components=2, random_state=0).fit(x)
        edges = np.linspace(-1500, 1500, 61)
        return sum(quad(lambda t: np.exp(model.score_samples([[t]])[0]), a, b)[0] for a, b in itertools.pairwise(edges))

    assert mass() == pytest.approx(1, abs=1e-7)
    monkeypatch.setattr(gaussians, "_LOG_2PI", np.log(2 * np.pi) + 0.01)
    assert abs(mass() - 1) > 1e-3


def test_rescaled_data_give_the_same_density_in_their_units():
    X = clusters()
    a = np.array([1e-3, 7.0, 1e5])
    one, other = (GaussianMixture(n_components=3, random_state=0).fit(data) for data in (X, X * a))
    np.testing.assert_allclose(other.score_samples(X * a), one.score_samples(X) - np.log(a).sum(), rtol=1e-7)


# ---- EM


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
def test_no_step_lowers_the_penalised_likelihood(covariance_type, holes, shrinkage):
    X = clusters(n=40, d=3)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    X = with_holes(X) if holes else X
    weight = np.random.default_rng(2).uniform(0.5, 2, len(X))
    part = GaussianMixture(n_components=5, covariance_type=covariance_type, shrinkage=shrinkage, n_init=1)
    part._start(X, weight, np.random.default_rng(0))
    path = np.array([part._step(X, weight) for _ in range(60)])
    assert path[-1] > path[0] + 1e-3
    assert np.diff(path).min() > -1e-10


def test_a_collapsing_component_stops_at_the_floor_and_the_likelihood_still_climbs():
    X = np.concatenate([np.random.default_rng(0).normal(size=(60, 2)), np.full((20, 2), 0.3)])
    part = GaussianMixture(n_components=2, shrinkage=0, reg_covar=1e-4)
    part._gaussians = FullGaussians.make(np.array([[0.0, 0.0], [0.3, 0.3]]), np.stack([np.eye(2), 0.01 * np.eye(2)]), 1e-4)
    part._log_weight = np.log([0.5, 0.5])
    path = np.array([part._step(X, np.ones(80)) for _ in range(60)])
    assert np.diff(path).min() > -1e-10
    np.testing.assert_allclose(np.linalg.eigvalsh(part._gaussians.covariance)[1], 1e-4, rtol=1e-6)


def test_missing_cells_give_the_maximum_likelihood_of_a_monotone_pattern():
    # x2 is seen in the first rows only: Anderson (1957), regression on x1 carried over to all rows
    rng = np.random.default_rng(0)
    x1 = rng.normal(size=300)
    x2 = 0.8 * x1 + 0.5 * rng.normal(size=300)
    X = np.column_stack([x1, np.where(x1 < 0.2, x2, np.nan)])
    model = GaussianMixture(shrinkage=0, tol=1e-13, max_iter=5000).fit(X)
    seen = ~np.isnan(X[:, 1])
    slope, intercept = np.polyfit(x1[seen], x2[seen], 1)
    residual = np.mean((x2[seen] - intercept - slope * x1[seen]) ** 2)
    assert model.means_[0, 1] == pytest.approx(intercept + slope * x1.mean(), abs=1e-5)
    assert model.covariances_[0, 0, 1] == pytest.approx(slope * x1.var(), abs=1e-5)
    assert model.covariances_[0, 1, 1] == pytest.approx(residual + slope**2 * x1.var(), abs=1e-5)


def test_diagonal_covariances_use_the_cells_there_are():
    X = with_holes(clusters(k=1))
    model = GaussianMixture(covariance_type="diag", shrinkage=0, tol=1e-12).fit(X)
    np.testing.assert_allclose(model.means_[0], np.nanmean(X, axis=0), rtol=1e-6)
    np.testing.assert_allclose(model.covariances_[0], np.nanvar(X, axis=0), rtol=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_fit_with_holes_is_better_on_them_than_the_fit_without(covariance_type):
    X = clusters()
    holed = with_holes(X, 0.3)
    same = {
        "n_components": 3,
        "covariance_type": covariance_type,
        "shrinkage": 0,
        "n_init": 5,
        "tol": 1e-8,
        "random_state": 0,
        "max_iter": 5000,
    }
    here, complete = GaussianMixture(**same).fit(holed), GaussianMixture(**same).fit(X)
    assert complete.score(holed) <= here.score(holed) < complete.score(holed) + 0.2


def test_too_few_iterations_warn_and_name_the_parameter():
    with pytest.warns(ConvergenceWarning, match="max_iter=2 "):
        model = GaussianMixture(n_components=5, max_iter=2, tol=0, random_state=0).fit(clusters(k=1))
    assert model.n_iter_ == 2
    assert not model.converged_


# ---- missing cells


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_missing_cell_is_integrated_out(covariance_type):
    X = clusters()
    model = GaussianMixture(n_components=3, covariance_type=covariance_type, random_state=0).fit(X)
    holed = with_holes(X[::10], 0.4)
    expected = []
    for row in holed:
        o = ~np.isnan(row)
        parts = [
            np.log(w) + (multivariate_normal(m[o], S[np.ix_(o, o)]).logpdf(row[o]) if o.any() else 0.0)
            for w, m, S in zip(model.weights_, model.means_, full_covariances(model), strict=True)
        ]
        expected.append(np.logaddexp.reduce(parts))
    np.testing.assert_allclose(model.score_samples(holed), expected, rtol=1e-8, atol=1e-12)


def test_the_marginal_is_the_integral_of_the_joint():
    X = clusters(d=2)
    model = GaussianMixture(n_components=3, random_state=0).fit(X)
    x0, span = X[0, 0], (X[:, 1].min() - 20, X[:, 1].max() + 20)
    edges = np.linspace(*span, 41)
    mass = sum(quad(lambda t: np.exp(model.score_samples([[x0, t]])[0]), a, b)[0] for a, b in itertools.pairwise(edges))
    assert np.log(mass) == pytest.approx(model.score_samples([[x0, np.nan]])[0], abs=1e-7)


# ---- weights, rows, chunks


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [1, 3])
def test_weight_two_is_the_row_twice(covariance_type, k):
    X = clusters()
    weight = np.random.default_rng(3).integers(0, 4, len(X))
    model = GaussianMixture(n_components=k, covariance_type=covariance_type, random_state=0)
    weighted = model.fit(X, sample_weight=weight).score_samples(X)
    repeated = skgen.make("gaussian_mixture", **model.get_params()).fit(np.repeat(X, weight, axis=0)).score_samples(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7)


def test_a_start_does_not_depend_on_where_rows_stand():
    X = clusters()
    order = np.random.default_rng(0).permutation(len(X))
    one, other = (GaussianMixture(n_components=3, random_state=0).fit(data) for data in (X, X[order]))
    np.testing.assert_allclose(one.score_samples(X), other.score_samples(X), rtol=1e-7)


@pytest.mark.parametrize("steep", [False, True])
def test_quadratic_features_agree_with_whitening_up_to_where_they_are_used(steep):
    rng = np.random.default_rng(0)
    least = 1e-8 if steep else 2e-6
    mean = rng.normal(size=(4, 6))
    vector = np.linalg.qr(rng.normal(size=(4, 6, 6)))[0]
    value = np.exp(rng.uniform(np.log(least), 0, (4, 6)))
    value[:, 0] = least
    made = FullGaussians.make(mean, (vector * value[:, None, :]) @ vector.mT, 1e-12)
    assert (made.theta is None) == steep
    X = np.concatenate(
        [m + rng.normal(size=(300, 6)) @ np.linalg.cholesky(S).T for m, S in zip(mean, made.covariance, strict=True)]
    )
    linear = FullGaussians._linear(made.mean, made.whiten, made.log_det)
    fast = FullGaussians(made.mean, made.covariance, made.whiten, made.log_det, linear).log_prob(X)
    slow = FullGaussians(made.mean, made.covariance, made.whiten, made.log_det, None).log_prob(X)
    own = np.repeat(np.arange(4), 300), np.arange(1200)
    exact = np.stack([multivariate_normal(m, S).logpdf(X) for m, S in zip(mean, made.covariance, strict=True)])
    np.testing.assert_allclose(slow[own], exact[own], atol=1e-6 if steep else 1e-8)
    if not steep:
        np.testing.assert_allclose(fast[own], slow[own], atol=1e-7)
        np.testing.assert_allclose(fast, slow, rtol=1e-7)
    weight = rng.uniform(0.5, 2, len(X))
    for theta in (made.theta, None):  # both forms of the E-step, against sums over responsibilities
        form = FullGaussians(made.mean, made.covariance, made.whiten, made.log_det, theta)
        found = form.moments(X, weight, np.log(np.full(4, 0.25)))
        share = np.exp(exact - np.logaddexp.reduce(exact)) * weight
        np.testing.assert_allclose(found.mass, share.sum(axis=1), rtol=1e-6)
        np.testing.assert_allclose(found.mean, share @ X / share.sum(axis=1)[:, None], rtol=1e-6)
        away = X - found.mean[:, None, :]
        np.testing.assert_allclose(found.scatter, np.einsum("kn,kni,knj->kij", share, away, away), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
@pytest.mark.parametrize("noise", [1.0, 1e-5])
def test_a_row_is_scored_alone_as_in_company(covariance_type, noise):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 4))
    X[:, 3] = X[:, 0] + noise * X[:, 3]
    X[::7, 1] = np.nan
    model = GaussianMixture(n_components=2, covariance_type=covariance_type, shrinkage=0, reg_covar=1e-10, random_state=0, tol=0.1)
    model.fit(X)
    together = model.score_samples(X)
    some = np.r_[0:20, 2040:2060, 4990:5000]
    np.testing.assert_allclose([model.score_samples(X[[i]])[0] for i in some], together[some], rtol=1e-7)
    np.testing.assert_allclose(model.score_samples(X[::-1])[::-1], together, rtol=1e-7)
    np.testing.assert_array_equal(model.score_samples(X[:4096]), together[:4096])


def test_moments_of_one_component_leave_rows_of_no_weight_out():
    X = np.random.default_rng(0).normal(3, 1, (5000, 3))
    for weight in (np.ones(5000), (np.arange(5000) % 3 == 0) * 2.0, np.arange(5000) % 7 * 0.5):
        found = weighted_moments(X, weight, diagonal=False)
        mean = np.average(X, axis=0, weights=weight)
        np.testing.assert_allclose(found.mean[0], mean, rtol=1e-10)
        np.testing.assert_allclose(found.scatter[0], (X - mean).T @ ((X - mean) * weight[:, None]), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(weighted_moments(X, weight, diagonal=True).scatter[0], np.diag(found.scatter[0]), rtol=1e-9)


# ---- classes


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [1, 2])
def test_classes_scored_in_one_pass_are_the_densities_one_by_one(covariance_type, k):
    X, y = load_wine(return_X_y=True)
    model = GaussianMixture(n_components=k, covariance_type=covariance_type, random_state=0).fit(X, y)
    part = model._fitted
    Z = (X - model.columns_.loc) / model.columns_.scale
    alone = np.stack([density._log_prob(Z) for density in part.densities_]).T
    np.testing.assert_allclose(part._log_prob_classes(Z), alone, rtol=1e-9)
    joint = model.predict_joint_log_proba(X)
    np.testing.assert_allclose(joint, alone - np.log(model.columns_.scale).sum() + model.class_log_prior_, rtol=1e-9)
    assert model.transform(X).shape == (178, 3 * k)
    np.testing.assert_allclose(model.transform(X).sum(axis=1), 1)
    by_class = model.transform(X).reshape(178, 3, k).sum(axis=2)
    np.testing.assert_allclose(by_class, model.predict_proba(X), atol=1e-9)


def test_classes_of_unlike_condition_are_scored_together():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 2)), np.repeat([0, 1], 200)
    X[y == 1, 1] = X[y == 1, 0] + 1e-4 * X[y == 1, 1]
    model = GaussianMixture(n_components=2, shrinkage=0, reg_covar=1e-10, random_state=0).fit(X, y)
    assert [density._gaussians.theta is None for density in model.densities_] == [False, True]
    joint = model.predict_joint_log_proba(X) - model.class_log_prior_
    for k, density in enumerate(model.densities_):
        own = y == k
        np.testing.assert_allclose(joint[own, k], by_scipy(density, X[own]), rtol=1e-6)


def test_unlabelled_rows_help_by_em():
    X, y = clusters(), np.repeat([0, 1, 2], 120)
    partly = np.where(np.arange(len(y)) % 60 < 2, y, -1)
    model = GaussianMixture(unlabeled=-1).fit(X, partly)
    assert model.score(X, y) > 0.95
    alone = GaussianMixture().fit(X[partly >= 0], y[partly >= 0])
    assert model.score_samples(X).mean() > alone.score_samples(X).mean() + 0.5


# ---- draws


@pytest.mark.parametrize("covariance_type", TYPES)
def test_draws_have_the_moments_of_the_density(covariance_type):
    X = clusters() * [1e-2, 1, 1e2]
    model = GaussianMixture(n_components=3, covariance_type=covariance_type, random_state=0).fit(X)
    draws = model.sample(40_000)
    mean = model.weights_ @ model.means_
    away = model.means_ - mean
    covariance = np.einsum("k,kij->ij", model.weights_, full_covariances(model) + away[:, :, None] * away[:, None, :])
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(draws.mean(axis=0) / scale, mean / scale, atol=0.03)  # six standard errors
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=0.05)
    shares = np.bincount(model.predict_component(draws), minlength=3) / len(draws)
    np.testing.assert_allclose(shares, model.transform(draws).mean(axis=0), atol=0.02)
    np.testing.assert_allclose(shares[0], np.mean(model.predict_component(draws[:20_000]) == 0), atol=0.02)  # exchangeable


# ---- what tables bring


@pytest.mark.filterwarnings("ignore::skgen.ColumnWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
@pytest.mark.parametrize("k", [1, 3])
def test_degenerate_tables_have_finite_answers(covariance_type, shrinkage, k):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(30, 3))
    tables = {
        "duplicate columns": np.column_stack([base, base]),
        "more columns than rows": rng.normal(size=(5, 20)),
        "constant column": np.column_stack([base, np.full(30, 7.0)]),
        "one row": base[:1],
        "two rows": base[:2],
        "identical rows": np.tile(base[:1], (10, 1)),
        "large": base * 1e160,
        "one far cell": np.where(np.arange(90).reshape(30, 3) == 4, 1e300, base),
        "offset": base + 1e9,
        "a column never seen": np.column_stack([base, np.full(30, np.nan)]),
        "hardly anything seen": np.where(rng.random((30, 3)) < 0.9, np.nan, base),
    }
    for name, X in tables.items():
        model = GaussianMixture(n_components=k, covariance_type=covariance_type, shrinkage=shrinkage, random_state=0, n_init=1).fit(
            X
        )
        assert np.isfinite(model.score_samples(X)).all(), name
        assert np.isfinite(model.sample(5)).all(), name
        np.testing.assert_allclose(model.transform(X).sum(axis=1), 1, err_msg=name)


def test_a_far_row_has_a_finite_score_and_the_priors_of_a_lost_one():
    X, y = load_iris(return_X_y=True)
    model = GaussianMixture().fit(X, y)
    far = np.full((1, 4), 1e250)
    assert np.isfinite(model.score_samples(far)).all()
    np.testing.assert_allclose(model.predict_proba(far).sum(), 1)


@pytest.mark.parametrize(
    "wrong", [{"n_components": 0}, {"covariance_type": "round"}, {"reg_covar": 0}, {"shrinkage": -1}, {"n_init": 0}, {"tol": -1}]
)
def test_parameters_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GaussianMixture(**wrong).fit(clusters())


def test_without_classes_predict_says_what_to_call():
    model = GaussianMixture(n_components=2, random_state=0).fit(clusters())
    with pytest.raises(AttributeError, match="predict_component"):
        model.predict(clusters())


def test_it_is_a_transformer_with_names():
    X = clusters()
    model = GaussianMixture(n_components=3, random_state=0).set_output(transform="pandas")
    out = model.fit_transform(X)
    assert list(out.columns) == ["gaussianmixture0", "gaussianmixture1", "gaussianmixture2"]
    np.testing.assert_array_equal(model.predict_component(X), out.to_numpy().argmax(axis=1))


def test_a_pickle_scores_the_same_and_carries_no_copy():
    X, y = load_wine(return_X_y=True)
    model = GaussianMixture().fit(X, y)
    before = model.predict_joint_log_proba(X)
    again = pickle.loads(pickle.dumps(model))
    assert "_together" not in vars(again._fitted)
    np.testing.assert_array_equal(again.predict_joint_log_proba(X), before)


def test_accuracy_on_wine_with_defaults():
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    X, y = load_wine(return_X_y=True)
    assert cross_val_score(GaussianMixture(), X, y, cv=StratifiedKFold(5, shuffle=True, random_state=0)).mean() >= 0.97


def test_a_diagonal_component_far_from_zero_keeps_its_digits():
    mean, variance = np.array([[1e3, -2e3]]), np.array([[1e-8, 1e-6]])
    X = mean + np.sqrt(variance) * np.random.default_rng(0).normal(size=(50, 2))
    found = DiagonalGaussians.make(mean, variance, 1e-12).log_prob(X)[0]
    np.testing.assert_allclose(found, multivariate_normal(mean[0], np.diag(variance[0])).logpdf(X), rtol=1e-6)


def test_nothing_warns_on_an_ordinary_table():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(n_components=3, random_state=0).fit(clusters())


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
def test_a_class_that_lost_its_rows_is_as_spread_as_all(covariance_type, shrinkage):
    X = clusters(k=1)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    part = GaussianMixture(covariance_type=covariance_type, shrinkage=shrinkage).part(skgen.columns(X))
    part._fit_classes(X, np.column_stack([np.ones(len(X)), np.zeros(len(X))]), np.random.default_rng(0))
    lost = part.densities_[1]._gaussians
    np.testing.assert_allclose(lost.mean, 0)
    np.testing.assert_allclose(
        np.broadcast_to(lost.covariance, (1, 3, 3) if lost.covariance.ndim == 3 else (1, 3))[0],
        np.eye(3) if lost.covariance.ndim == 3 else np.ones(3),
    )
    assert np.isfinite(part._log_prob_classes(X)).all()


@pytest.mark.parametrize("covariance_type", TYPES)
def test_missing_cells_are_drawn_from_what_the_others_say(covariance_type):
    X = clusters(d=3)
    model = GaussianMixture(n_components=3, covariance_type=covariance_type, random_state=0).fit(X)
    row = np.array([[np.nan, X[0, 1], np.nan]])
    draws = model.sample_conditional(row, n_draws=20_000)
    np.testing.assert_array_equal(draws[:, 1], row[0, 1])
    # responsibilities given the observed cell, then the conditional mean of each component
    covariance = full_covariances(model)
    log_w = np.log(model.weights_) + multivariate_normal(0, 1).logpdf(
        (row[0, 1] - model.means_[:, 1]) / np.sqrt(covariance[:, 1, 1])
    )
    w = np.exp(log_w - 0.5 * np.log(covariance[:, 1, 1]))
    w /= w.sum()
    slope = covariance[:, :, 1] / covariance[:, 1, 1][:, None]
    expected = w @ (model.means_ + slope * (row[0, 1] - model.means_[:, 1])[:, None])
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=0.15)
    several = np.tile(row, (3, 1))
    several[1] = [X[1, 0], np.nan, np.nan]
    assert np.isfinite(model.sample_conditional(several)).all()
