"""Mixtures of any model: enumerated, against the Gaussian mixture, and what EM promises."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import skgen
from skgen import GaussianMixture, Mixture, NaiveBayes

BITS = np.array(list(itertools.product([0, 1], repeat=6)))


def planted(n=3000, seed=0):
    """Rows of a mixture of two products of Bernoullis, and its parameters."""
    rng = np.random.default_rng(seed)
    weights, p = np.array([0.3, 0.7]), np.array([[0.9, 0.9, 0.9, 0.1, 0.1, 0.1], [0.1, 0.2, 0.1, 0.8, 0.9, 0.7]])
    z = rng.choice(2, n, p=weights)
    return (rng.random((n, 6)) < p[z]).astype(int), weights, p


def mixed(n=200, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.integers(0, 2, n)
    return pd.DataFrame(
        {
            "size": 3.0 * z + rng.normal(size=n),
            "colour": pd.Categorical(np.where(rng.random(n) < 0.2 + 0.6 * z, "red", "blue"), categories=["red", "blue", "green"]),
            "count": rng.poisson(2 + 10 * z),
            "flag": rng.random(n) < 0.3 + 0.4 * z,
        }
    )


@pytest.mark.parametrize("component", ["naive_bayes", Mixture(n_components=2), ["naive_bayes", NaiveBayes(alpha=3.0)]])
def test_the_probabilities_of_all_states_sum_to_one(component):
    X, _, _ = planted()
    model = Mixture(component, n_components=None if isinstance(component, list) else 3, tol=1e-3, random_state=0).fit(X)
    assert np.exp(model.score_samples(BITS)).sum() == pytest.approx(1, abs=1e-9)
    draws = model.sample(40_000)
    counted = np.bincount(draws @ 2 ** np.arange(6)[::-1], minlength=64) / len(draws)
    np.testing.assert_allclose(counted, np.exp(model.score_samples(BITS)), atol=0.012)  # five standard errors of the largest


def test_a_planted_mixture_of_bernoullis_is_found():
    X, weights, p = planted(n=20_000)
    model = Mixture(NaiveBayes(alpha=0.01), n_components=2, tol=1e-9, max_iter=1000, random_state=0).fit(X)
    order = np.argsort(model.weights_)
    np.testing.assert_allclose(model.weights_[order], weights, atol=0.02)
    for k, row in zip(order, p, strict=True):
        draws = model._fitted.densities_[0].components_[k]._sample(40_000, np.random.default_rng(0))
        np.testing.assert_allclose(draws.mean(axis=0), row, atol=0.03)
    truth = np.logaddexp.reduce(np.log(weights)[:, None] + (np.log(p) @ BITS.T + np.log1p(-p) @ (1 - BITS).T))
    mass = np.exp(truth)
    assert mass @ (truth - model.score_samples(BITS)) < 1e-3  # KL, nats


def test_posterior_of_a_component_is_bayes_rule():
    X, _, _ = planted()
    model = Mixture(n_components=3, random_state=0, tol=1e-2).fit(X)
    density = model._fitted.densities_[0]
    joint = np.stack([np.exp(c._log_prob(BITS.astype(float))) for c in density.components_]).T * model.weights_
    np.testing.assert_allclose(model.transform(BITS), joint / joint.sum(axis=1, keepdims=True), atol=1e-12)
    np.testing.assert_array_equal(model.predict_component(BITS), joint.argmax(axis=1))
    with pytest.raises(AttributeError, match="predict_component"):
        model.predict(BITS)


@pytest.mark.parametrize("data", ["bits", "numbers", "holes"])
def test_no_step_of_maximum_likelihood_em_lowers_the_likelihood(data):
    X = planted(n=400)[0].astype(float)
    component = NaiveBayes(alpha=0.0, shrinkage=0.0)
    columns = skgen.columns(X)
    if data != "bits":
        rng = np.random.default_rng(0)
        X = np.concatenate([rng.normal(size=(60, 3)), rng.normal(2, 2, size=(60, 3))])
        component = GaussianMixture(shrinkage=0.0)
        columns = skgen.columns(X)
        if data == "holes":
            X[rng.random(X.shape) < 0.2] = np.nan
    part = Mixture(component, n_components=3).part(columns)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    rng = np.random.default_rng(0)
    part._begin(X, part._first_shares(X, weight, rng), rng)
    path = np.array([part._step(X, weight, rng) for _ in range(40)])
    assert path[-1] > path[0]
    assert np.diff(path).min() > -1e-9


def test_components_with_long_tails_improve_from_step_to_step():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.standard_t(2.5, size=(150, 2)), 8 + rng.standard_t(2.5, size=(100, 2))])
    component = NaiveBayes(distributions={"continuous": "student_t"}, shrinkage=0.0)
    part = Mixture(component, n_components=2).part(skgen.columns(X))
    weight, rng = np.ones(len(X)), np.random.default_rng(0)
    part._begin(X, part._first_shares(X, weight, rng), rng)
    path = np.array([part._step(X, weight, rng) for _ in range(60)])
    assert np.diff(path).min() > -1e-9
    shares = np.exp(part._log_joint(X) - part._log_prob(X)).T
    refitted = Mixture(component, n_components=2).part(skgen.columns(X))
    refitted._begin(X, shares, rng)
    assert path[-1] == pytest.approx(weight @ refitted._log_prob(X) / len(X), abs=1e-3)


def test_a_mixture_of_gaussians_reaches_what_the_gaussian_mixture_does():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(150, 2)), rng.normal(size=(150, 2)) @ [[2, 1], [0, 1]] + [6, 0]])
    same = {"n_components": 2, "tol": 1e-9, "max_iter": 2000, "random_state": 0}
    one, other = Mixture(GaussianMixture(shrinkage=0), **same).fit(X), GaussianMixture(shrinkage=0, **same).fit(X)
    np.testing.assert_allclose(one.score_samples(X), other.score_samples(X), atol=1e-3)
    assert one.n_parameters_ == other.n_parameters_ == 11


def test_trees_mixed():
    if "chow_liu" not in skgen.names():
        pytest.skip("no trees here")
    X, _, _ = planted()
    model = Mixture("chow_liu", n_components=2, random_state=0, tol=1e-3).fit(X)
    assert np.exp(model.score_samples(BITS)).sum() == pytest.approx(1, abs=1e-9)
    assert model.score(X) > skgen.make("chow_liu").fit(X).score(X)


def test_unlike_components_share_the_rows():
    rng = np.random.default_rng(0)
    tube = rng.normal(size=300)
    X = np.concatenate([np.column_stack([tube, tube + 0.05 * rng.normal(size=300)]), rng.normal(4, 1, size=(300, 2))])
    model = Mixture(["gaussian_mixture", "naive_bayes"], random_state=0).fit(X)
    assert [type(c).__name__ for c in model.components_] == ["GaussianMixture", "NaiveBayes"]
    assert model.score(X) > Mixture("naive_bayes", n_components=2, random_state=0).fit(X).score(X) - 0.05
    assert len(model.weights_) == 2


# ---- traits, parameters


def test_traits_come_from_the_components():
    assert Mixture().kinds == NaiveBayes().kinds
    assert Mixture("gaussian_mixture").kinds == {"continuous"}
    assert Mixture(["gaussian_mixture", "naive_bayes"]).kinds == {"continuous"}
    assert Mixture().missing == "exact"
    assert Mixture().missing_in_fit
    assert Mixture().likelihood == "exact"

    class Blunt(NaiveBayes):
        likelihood = "bound"
        missing = "none"
        missing_in_fit = False

    both = Mixture([Blunt(), "naive_bayes"])
    assert (both.likelihood, both.missing, both.missing_in_fit) == ("bound", "none", False)
    assert not both.__sklearn_tags__().input_tags.allow_nan


def test_parameters_of_the_component_are_reached():
    model = Mixture(NaiveBayes(alpha=2.0), n_components=4)
    assert model.get_params()["component__alpha"] == 2.0
    again = clone(model).set_params(component__alpha=0.5)
    assert (again.component.alpha, model.component.alpha) == (0.5, 2.0)
    X, _, _ = planted(n=200)
    before = model.component.get_params()
    model.set_params(n_components=2, random_state=0).fit(X)
    assert model.component.get_params() == before
    assert "columns_" not in vars(model.component)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"component": []}, "is empty"),
        ({"component": 3}, "must be a model"),
        ({"component": "no_such_model"}, "no model"),
        ({"component": NaiveBayes(task="density")}, "sets task"),
        ({"component": ["naive_bayes"] * 2, "n_components": 3}, "n_components=3"),
        ({"n_components": 0}, "n_components=0"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters, said):
    X, _, _ = planted(n=100)
    with pytest.raises(ValueError, match=said):
        Mixture(**parameters).fit(X)


def test_too_few_iterations_warn_and_name_the_parameter():
    X, _, _ = planted()
    with pytest.warns(ConvergenceWarning, match="max_iter=1 "):
        Mixture(n_components=2, max_iter=1, tol=0, random_state=0).fit(X)


# ---- rows


def test_weight_two_is_the_row_twice():
    X, _, _ = planted(n=300)
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    model = Mixture(n_components=3, random_state=0)
    weighted = model.fit(X, sample_weight=weight).score_samples(BITS)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0)).score_samples(BITS)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7)


def test_a_missing_cell_is_summed_out():
    X, _, _ = planted()
    model = Mixture(n_components=3, random_state=0, tol=1e-2).fit(X)
    row = np.array([[1.0, np.nan, 0, np.nan, 1, 1]])
    agree = BITS[(BITS[:, 0] == 1) & (BITS[:, 2] == 0) & (BITS[:, 4] == 1) & (BITS[:, 5] == 1)]
    assert model.score_samples(row)[0] == pytest.approx(np.log(np.exp(model.score_samples(agree)).sum()))
    holed = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    with_holes = Mixture(n_components=2, random_state=0, column_kinds="binary").fit(holed)
    assert with_holes.score(X.astype(float)) == pytest.approx(model.score(X), abs=0.03)


def test_a_table_of_all_kinds_comes_back_as_it_came():
    X = mixed()
    model = Mixture(n_components=2, random_state=0).fit(X)
    draws = model.sample(50)
    assert (draws.dtypes == X.dtypes).all()
    assert list(draws.columns) == list(X.columns)
    z = model.predict_component(X)
    assert abs(np.corrcoef(z, X["size"])[0, 1]) > 0.6


def test_classes_have_a_mixture_each():
    X = mixed(400)
    y = np.where(X.pop("flag"), "yes", "no")
    model = Mixture(n_components=2, random_state=0).fit(X, y)
    assert model.transform(X).shape == (400, 4)
    np.testing.assert_allclose(model.transform(X)[:, :2].sum(axis=1), model.predict_proba(X)[:, 0], atol=1e-9)
    assert model.score(X, y) > 0.6


def test_a_component_that_lost_its_rows_is_started_again():
    X = planted()[0].astype(float)
    part = Mixture(n_components=2).part(skgen.columns(X))
    weight, rng = np.ones(len(X)), np.random.default_rng(0)
    shares = np.column_stack([weight, np.zeros(len(X))])
    part._begin(X, shares, rng)
    part._restarted = set()
    part._step(X, weight, rng)
    assert part._restarted == {1}
    path = [part._step(X, weight, rng) for _ in range(100)]
    assert part.weights_.min() > 0.2
    assert path[-1] > path[0] + 0.1


def test_starts_find_distant_groups_in_every_kind_of_column():
    X = mixed()
    X["colour"] = np.where(X["size"] > 1.5, "red", "blue")
    model = Mixture(n_components=2, n_init=1, random_state=0).fit(X)
    assert model.weights_.min() > 0.3
    assert model.converged_
