"""Learning batch by batch: the sums of all batches are those of all rows."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

import skgen
from skgen.ops.digest import Digest
from skgen.ops.families import fit_family
from skgen.ops.gaussians import weighted_moments

EXACT = {
    "gaussian_mixture": ("continuous", {}),
    "ppca": ("continuous", {}),
    "factor_analysis": ("continuous", {"tol": 1e-10}),
    "naive_bayes": ("both", {"shrinkage": 0, "distributions": {"continuous": "normal"}}),
    "chow_liu": ("categorical", {}),
    "markov_chain": ("sequences", {"order": 2}),
}
STREAMING = sorted([*EXACT, "mixture", "hmm"])


def rows(kind, n, rng):
    """Rows of two classes, and their labels."""
    y = rng.integers(0, 2, n)
    z = rng.normal(size=(n, 1)) + 2 * y[:, None]
    X = z * [1.0, -2.0, 0.5, 1.0] + rng.normal(0, [0.5, 1, 2, 3], (n, 4))
    codes = np.clip(np.round(X), -2, 2).astype(int) + 2
    if kind == "continuous":
        return X, y
    letters = np.array(list("abcde"))[codes]
    if kind == "categorical":
        return pd.DataFrame(letters, columns=list("wxyz")).astype(pd.CategoricalDtype(list("abcde"))), y
    if kind == "sequences":
        return pd.DataFrame(letters).astype(pd.CategoricalDtype(list("abcde"))), y
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": pd.Categorical(letters[:, 2], list("abcde")), "d": codes[:, 3] > 2}), y


def take(X, at):
    return X.iloc[at] if isinstance(X, pd.DataFrame) else X[at]


def kinds_of(name, X):
    return skgen.columns(X, step_features=1) if name == "markov_chain" else skgen.columns(X)


def in_batches(model, X, y=None, size=70, **more):
    for start in range(0, len(X), size):
        at = slice(start, start + size)
        model.partial_fit(take(X, at), None if y is None else y[at], **{k: v[at] for k, v in more.items()})
    return model


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("name", sorted(EXACT))
def test_batches_learn_what_all_rows_at_once_teach(name, labelled):
    kind, parameters = EXACT[name]
    X, y = rows(kind, 300, np.random.default_rng(0))
    weight = np.random.default_rng(1).integers(0, 3, 300).astype(float)
    model = skgen.make(name, column_kinds=kinds_of(name, X), **parameters)
    if kind != "categorical" and kind != "sequences":
        weight[:] = 1.0  # weights move the scales that fit reads; given ones do not move
    whole = clone(model).fit(X, y if labelled else None, sample_weight=weight)
    stream = in_batches(clone(model), X, y if labelled else None, sample_weight=weight)
    tolerance = 1e-6 if name == "factor_analysis" else 1e-9
    assert np.allclose(stream.score_samples(X), whole.score_samples(X), rtol=0, atol=tolerance)
    if labelled:
        assert np.allclose(stream.predict_proba(X), whole.predict_proba(X), atol=tolerance)
        assert np.array_equal(stream.classes_, whole.classes_)


@pytest.mark.parametrize("name", sorted(EXACT))
def test_a_weight_of_two_is_the_row_twice_in_a_batch(name):
    kind, parameters = EXACT[name]
    X, y = rows(kind, 120, np.random.default_rng(2))
    model = skgen.make(name, column_kinds=kinds_of(name, X), **parameters)
    weight = np.random.default_rng(3).integers(1, 3, 120)
    at = np.repeat(np.arange(120), weight)
    a = clone(model).partial_fit(X, y, sample_weight=weight).partial_fit(X, y, sample_weight=weight)
    b = clone(model).partial_fit(take(X, at), y[at]).partial_fit(take(X, at), y[at])
    assert np.allclose(a.score_samples(X), b.score_samples(X), atol=1e-6 if name == "factor_analysis" else 1e-9)


def quick(name, **more):
    parameters = {"mixture": {"n_components": 2, "n_init": 1}, "hmm": {"n_init": 1}}.get(name, {})
    return skgen.make(name, random_state=0, **parameters, **more)


def table_for(name, n, rng):
    return rows(EXACT[name][0] if name in EXACT else "continuous", n, rng)


@pytest.mark.parametrize("name", STREAMING)
def test_a_class_added_later_leaves_the_others_bit_identical(name):
    X, y = table_for(name, 200, np.random.default_rng(4))
    y = np.where(y == 1, 5, 3)
    kinds = skgen.columns(X, step_features=1) if name in ("markov_chain", "hmm") else skgen.columns(X)
    model = quick(name, column_kinds=kinds).partial_fit(take(X, slice(0, 150)), y[:150])
    before = [pickle.dumps(density) for density in model.densities_]
    joint = [density._log_prob(model._coding.encode(model.columns_.encode(X)[0])[0]) for density in model.densities_]
    model.partial_fit(take(X, slice(150, 200)), np.full(50, 4), classes=[4])
    assert model.classes_.tolist() == [3, 4, 5]
    after = [model.densities_[0], model.densities_[2]]
    assert [pickle.dumps(density) for density in after] == before
    for density, then in zip(after, joint, strict=True):
        assert np.array_equal(density._log_prob(model._coding.encode(model.columns_.encode(X)[0])[0]), then)
    assert np.allclose(np.exp(model.class_log_prior_), [(y[:150] == 3).mean() * 0.75, 0.25, (y[:150] == 5).mean() * 0.75])
    assert model.predict_proba(X).shape == (200, 3)
    assert len(model.sample(5, y=4)) == 5


def test_a_declared_class_has_probability_zero_until_its_first_rows():
    X, y = load_iris(return_X_y=True)
    few = y < 2
    model = skgen.GaussianMixture().partial_fit(X[few], y[few], classes=[0, 1, 2])
    assert np.array_equal(model.predict_proba(X)[:, 2], np.zeros(150))
    assert np.isfinite(model.score_samples(X)).all()
    assert model.transform(X).shape == (150, 2)
    assert set(model.sample(100, return_y=True)[1]) == {0, 1}
    with pytest.raises(ValueError, match="Class 2 has had no rows yet"):
        model.sample(2, y=2)
    with pytest.raises(ValueError, match="label 3, which is none of the classes"):
        model.partial_fit(X[:3], [3, 3, 3])
    model.partial_fit(X[~few], y[~few])
    scales = skgen.columns(X[few])
    assert model.score(X, y) > 0.96
    whole = skgen.GaussianMixture(column_kinds=scales)
    whole = whole.partial_fit(X, y)
    assert np.allclose(model.score_samples(X), whole.score_samples(X), atol=1e-9)


def test_a_batch_that_fails_leaves_the_earlier_ones_whole():
    X, y = load_iris(return_X_y=True)
    for name in ("naive_bayes", "gaussian_mixture", "ppca"):
        model = skgen.make(name, random_state=0).partial_fit(X, y)
        before = model.score_samples(X)
        with pytest.raises(ValueError, match="none of the classes"):
            model.partial_fit(X, np.full(150, 7))
        with pytest.raises(ValueError, match="features"):
            model.partial_fit(X[:, :2], y)
        with pytest.raises(ValueError, match="needs y in this batch"):
            model.partial_fit(X)
        assert np.array_equal(model.score_samples(X), before)


def test_levels_are_declared_in_the_first_batch():
    X = pd.DataFrame({"city": ["Bern", "Rome", "Bern"]})
    model = skgen.NaiveBayes().partial_fit(X)
    with pytest.raises(ValueError, match=r"Column 'city' holds 'Oslo', which the first batch did not: declare it"):
        model.partial_fit(pd.DataFrame({"city": ["Oslo"]}))
    declared = pd.DataFrame({"city": pd.Categorical(["Bern", "Rome", "Bern"], ["Bern", "Oslo", "Rome"])})
    model = skgen.NaiveBayes(alpha=0).partial_fit(declared).partial_fit(pd.DataFrame({"city": ["Oslo"]}))
    assert np.allclose(np.exp(model.score_samples(pd.DataFrame({"city": ["Bern", "Oslo", "Rome"]}))), [0.5, 0.25, 0.25])


def test_what_cannot_be_streamed_says_so():
    X, y = load_iris(return_X_y=True)
    assert not hasattr(skgen.KDE(), "partial_fit")
    with pytest.raises(AttributeError, match="KDE keeps no running sums"):
        skgen.KDE().partial_fit(X)
    with pytest.raises(AttributeError, match="Mixture keeps no running sums"):
        skgen.Mixture(component="kde").partial_fit(X)
    model = skgen.PPCA().partial_fit(X, y).fit(X)
    assert not hasattr(model, "classes_")
    fresh = skgen.PPCA().fit(X)
    assert np.array_equal(model.score_samples(X), fresh.score_samples(X))


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("name", STREAMING)
def test_a_fit_goes_on_with_batches(name, labelled):
    X, y = table_for(name, 900, np.random.default_rng(12))
    kinds = skgen.columns(X, step_features=1) if name in ("markov_chain", "hmm") else skgen.columns(X)
    train, more, test = (take(X, slice(a, a + 300)) for a in (0, 300, 600))
    y = y if labelled else None
    model = quick(name, column_kinds=kinds).fit(train, None if y is None else y[:300])
    model.partial_fit(more, None if y is None else y[300:600])
    whole = quick(name, column_kinds=kinds).fit(take(X, slice(0, 600)), None if y is None else y[:600])
    assert abs(model.score_samples(test).mean() - whole.score_samples(test).mean()) < 0.05
    if labelled:
        assert abs(model.score(test, y[600:]) - whole.score(test, y[600:])) < 0.03
        assert np.allclose(model.class_log_prior_, whole.class_log_prior_)


def test_rows_without_a_label_count_by_the_present_model():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)
    X, y = X[order], y[order]
    hidden = np.where(np.arange(150) % 3 == 0, y, -1)
    model = skgen.GaussianMixture(unlabeled=-1, random_state=0)
    for start in range(0, 150, 50):
        model.partial_fit(X[start : start + 50], hidden[start : start + 50], classes=[0, 1, 2])
    known = skgen.GaussianMixture(random_state=0)
    for start in range(0, 150, 50):
        at = np.flatnonzero(hidden[start : start + 50] >= 0) + start
        known.partial_fit(X[at], y[at], classes=[0, 1, 2])
    assert model.score(X, y) > 0.95
    assert model.score_samples(X).mean() > known.score_samples(X).mean()
    assert np.isclose(np.exp(model.class_log_prior_).sum(), 1)
    assert np.isclose(model._class_mass.sum(), 150)


@pytest.mark.parametrize("name", ["gaussian_mixture", "mixture", "hmm"])
def test_stepwise_em_comes_near_em_over_all_rows(name):
    rng = np.random.default_rng(5)
    if name == "hmm":
        state = np.cumsum(rng.random((900, 8)) < 0.2, axis=1) % 2
        X = np.where(state, 4.0, -1.0) + rng.normal(size=(900, 8))
        kinds, more = skgen.columns(X, step_features=1), {"emission": skgen.GaussianMixture()}
    else:
        centre = np.array([[-4.0, 0.0], [0.0, 4.0], [4.0, 0.0]])
        X = centre[rng.choice(3, 900, p=[0.5, 0.3, 0.2])] + rng.normal(size=(900, 2))
        kinds, more = skgen.columns(X), {"n_components": 3}
    train, test = X[:600], X[600:]
    model = skgen.make(name, column_kinds=kinds, random_state=0, **more)
    whole = clone(model).fit(train).score(test)
    first = clone(model).partial_fit(train[:30])
    poor = first.score(test)
    stream = in_batches(first, train[30:], size=30).score(test)
    assert stream > poor
    assert stream > whole - 0.05


@pytest.mark.parametrize("name", ["gaussian_mixture", "ppca", "naive_bayes", "chow_liu", "markov_chain", "mixture", "hmm"])
def test_batches_may_miss_cells(name):
    X, _ = table_for(name, 600, np.random.default_rng(6))
    kinds = skgen.columns(X, step_features=1) if name in ("markov_chain", "hmm") else skgen.columns(X)
    gaps = np.random.default_rng(7).random((600, 4)) < 0.2
    shown = X.mask(gaps) if isinstance(X, pd.DataFrame) else np.where(gaps, np.nan, X)
    model = quick(name, column_kinds=kinds)
    complete = in_batches(clone(model), X, size=200).score(X)
    assert complete - 0.25 < in_batches(clone(model), shown, size=200).score(X) <= complete + 0.02


def test_a_batch_far_from_the_first_one_is_told():
    X = np.random.default_rng(0).normal(size=(100, 2))
    model = skgen.GaussianMixture().partial_fit(X)
    with pytest.warns(UserWarning, match=r"more than 10 standard deviations from the first batch in 1"):
        model.partial_fit(X + np.array([0.0, 30.0]))


@pytest.mark.parametrize("name", STREAMING)
def test_a_streamed_model_is_a_model(name):
    X, y = table_for(name, 200, np.random.default_rng(8))
    kinds = skgen.columns(X, step_features=1) if name in ("markov_chain", "hmm") else skgen.columns(X)
    model = in_batches(quick(name, column_kinds=kinds), X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.score_samples(X), model.score_samples(X))
    copy.partial_fit(X, y)
    model.partial_fit(X, y)
    assert np.array_equal(copy.score_samples(X), model.score_samples(X))
    assert model.n_parameters_ > 0
    assert len(model.sample(7)) == 7
    hidden = take(X, slice(0, 5)).copy()
    if isinstance(hidden, pd.DataFrame):
        hidden.iloc[:, 2] = None
        assert not model.impute(hidden).isna().any().any()
    else:
        hidden[:, 1] = np.nan
        assert np.isfinite(model.impute(hidden)).all()


def test_families_without_sums_are_refitted_from_a_digest():
    rng = np.random.default_rng(9)
    X = pd.DataFrame({"gamma": rng.gamma(2, 3, 4000), "t": rng.standard_t(3, 4000), "count": rng.negative_binomial(2, 0.1, 4000)})
    asked = {"gamma": "gamma", "t": "student_t", "count": "negative_binomial"}
    kinds = skgen.columns(X)
    whole = skgen.NaiveBayes(distributions=asked, column_kinds=kinds).fit(X)
    stream = in_batches(skgen.NaiveBayes(distributions=asked, column_kinds=kinds), X, size=500)
    assert stream.families_ == asked
    assert abs(stream.score(X) - whole.score(X)) < 1e-3


def test_digest_keeps_mass_and_mean_and_nearly_all_else():
    x = np.random.default_rng(10).standard_t(4, 50_000)
    digest = Digest(np.zeros(0), np.zeros(0))
    for some in np.split(x, 10):
        digest = digest.add(some, np.ones(5000))
    assert len(digest.values) <= 4096
    assert np.isclose(digest.weight.sum(), 50_000)
    assert np.isclose(digest.weight @ digest.values / 50_000, x.mean())
    assert np.isclose(digest.weight @ digest.values**2 / 50_000, (x**2).mean(), rtol=1e-3)
    a = fit_family("student_t", False, x, np.ones((50_000, 1)), 1.0, 1.0)
    b = fit_family("student_t", False, digest.values, digest.weight[:, None], 1.0, 1.0)
    assert a.df == b.df
    assert np.isclose(a.variance, b.variance, rtol=1e-2)


@pytest.mark.parametrize("diagonal", [False, True])
def test_moments_of_two_batches_are_those_of_all_rows(diagonal):
    rng = np.random.default_rng(11)
    X, w = rng.normal(3, 2, (50, 3)), rng.random(50)
    both = weighted_moments(X[:20], w[:20], diagonal) + weighted_moments(X[20:], w[20:], diagonal)
    whole = weighted_moments(X, w, diagonal)
    for field in ("mass", "mean", "scatter", "seen"):
        assert np.allclose(getattr(both, field), getattr(whole, field), atol=1e-10)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_a_small_batch_moves_a_mixture_by_little(covariance_type):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(-2, 1, (500, 2)), rng.normal(2, 0.5, (500, 2))])
    model = skgen.GaussianMixture(n_components=2, covariance_type=covariance_type, random_state=0).partial_fit(X)
    before = model.score(X)
    model.partial_fit(X[:2], sample_weight=[1e-9, 1e-9])
    assert abs(model.score(X) - before) < 1e-3
    model.partial_fit(X[:5])
    assert abs(model.score(X) - before) < 0.02


def test_a_batch_of_no_weight_is_not_there():
    X, y = load_iris(return_X_y=True)
    model = skgen.GaussianMixture().partial_fit(X, y)
    before = model.score_samples(X)
    model.partial_fit(X + 100, y, sample_weight=np.zeros(150))
    assert np.array_equal(model.score_samples(X), before)
    with pytest.raises(ValueError, match="not zero for every row"):
        skgen.GaussianMixture().partial_fit(X, y, sample_weight=np.zeros(150))


def test_a_batch_without_a_label_counts_by_the_model():
    X, y = load_iris(return_X_y=True)
    model = skgen.GaussianMixture(unlabeled=-1).partial_fit(X[::2], y[::2])
    model.partial_fit(X[1::2], np.full(75, -1))
    assert np.isclose(model._class_mass.sum(), 150)
    assert model.score(X, y) > 0.96


def test_half_a_unit_in_a_column_of_whole_numbers_names_the_kind():
    model = skgen.NaiveBayes().partial_fit(pd.DataFrame({"rooms": [1, 2, 3]}))
    with pytest.raises(ValueError, match=r"'rooms' holds 1.5, and only whole numbers .* column_kinds=\{'rooms': 'continuous'\}"):
        model.partial_fit(pd.DataFrame({"rooms": [1.5]}))
