"""The density of adversarial random forests, and what it is good for."""

import warnings

import numpy as np
import pandas as pd
import pytest
from arf_tables import FEW, edges, inner, like, mixed, nodes, plane, states
from scipy import stats
from scipy.integrate import quad
from scipy.special import logsumexp
from skgen_arf import AdversarialRandomForest
from skgen_arf.normals import log_mass

import skgen

# ---- the density


def test_a_leaf_is_a_product_of_truncated_normals():
    X = plane()
    model = AdversarialRandomForest(**FEW).fit(X)
    one, Z = inner(model), (X - model.columns_.loc) / model.columns_.scale
    leaf, (lower, upper) = one._trees.find(Z), one._trees.regions(2)
    assert len(one._trees.root) == 8
    assert one.n_leaves_ > 8
    p = np.zeros(len(X))
    for tree in leaf.T:
        for at in np.unique(tree):
            here = tree == at
            assert ((Z[here] > lower[at]) & (Z[here] <= upper[at])).all()
            inside = np.ones(int(here.sum())) * here.mean() / 8
            for j in range(2):
                x = Z[here, j]
                sd = np.sqrt((np.square(x - x.mean()).sum() + 0.1 * Z[:, j].var()) / (here.sum() + 0.1) + 1e-6)
                ends = (lower[at, j] - x.mean()) / sd, (upper[at, j] - x.mean()) / sd
                inside *= stats.truncnorm(*ends, x.mean(), sd).pdf(x)
            p[here] += inside
    np.testing.assert_allclose(model.score_samples(X), np.log(p) - np.log(model.columns_.scale).sum(), rtol=1e-9)


def test_the_density_integrates_to_one_in_the_plane():
    model = AdversarialRandomForest(**FEW | {"n_estimators": 2}).fit(plane())
    (x, u), (y, v) = (nodes(edges(model, j), 4) for j in range(2))
    pairs = np.column_stack([np.repeat(x, len(y)), np.tile(y, len(x))])
    assert np.outer(u, v).ravel() @ np.exp(model.score_samples(pairs)) == pytest.approx(1.0, abs=1e-4)


def test_a_marginal_is_the_integral_of_the_joint():
    X = plane()
    model = AdversarialRandomForest(**FEW).fit(X)
    y, v = nodes(edges(model, 1))
    for x in X[:5, 0]:
        joint = v @ np.exp(model.score_samples(np.column_stack([np.full(len(y), x), y])))
        assert model.score_samples([[x, np.nan]])[0] == pytest.approx(np.log(joint), abs=1e-5)


def test_a_mixed_table_sums_and_integrates_to_one():
    model = AdversarialRandomForest(**FEW).fit(mixed())
    x, w = nodes(edges(model, 3))
    # every state of the discrete columns with its length left out, and a few of them integrated over it
    every = states([np.nan])
    marginal = model.score_samples(every)
    assert np.exp(logsumexp(marginal)) == pytest.approx(1.0, abs=1e-6)
    for i in np.argsort(-marginal)[[0, 5, 40]]:
        row = every.iloc[[i] * len(x)].assign(length=x)
        assert np.log(w @ np.exp(model.score_samples(row))) == pytest.approx(marginal[i], abs=1e-5)
    # the table summed over an integer and over levels
    some = mixed(seed=1).iloc[:4]
    for name, cells in (("count", range(-40, 90)), ("colour", list("abcd")), ("flag", (False, True))):
        summed = [model.score_samples(some.assign(**{name: like(some[name], [cell] * 4)})) for cell in cells]
        missing = some.assign(**{name: like(some[name], [None] * 4)})
        np.testing.assert_allclose(logsumexp(summed, axis=0), model.score_samples(missing), atol=1e-6)


def test_levels_excluded_by_the_splits_have_no_probability_and_the_others_some():
    frame = mixed()
    one = inner(AdversarialRandomForest(**FEW).fit(frame))
    lower, upper = one._trees.regions(4)
    theta, level = np.exp(one._levels.log_theta[:, :4]), np.arange(4)
    may = (level > lower[:, :1]) & (level <= upper[:, :1])
    assert not may.all()  # some tree has split there
    assert (theta[~may] == 0).all()
    assert (theta[may] > 0).all()
    np.testing.assert_allclose(theta.sum(axis=1), 1.0)
    # by hand, in one leaf: (c + alpha k q) / (n + alpha k)
    at = int(np.flatnonzero((~may).any(axis=1) & (may.sum(axis=1) > 1))[0])
    tree = int(one._trees.tree_of_leaf[at])
    codes = frame["colour"].cat.codes.to_numpy()
    Z = np.column_stack([codes, frame["flag"], frame["count"], (frame["length"] - one.columns_.loc[3]) / one.columns_.scale[3]])
    here = one._trees.find(Z.astype(float))[:, tree] == at
    q = (np.bincount(codes, minlength=4) + 0.1) * may[at]
    wanted = np.bincount(codes[here], minlength=4) + 0.1 * may[at].sum() * q / q.sum()
    np.testing.assert_allclose(theta[at], wanted / wanted.sum())


def test_without_smoothing_a_level_never_seen_is_impossible():
    row = mixed().iloc[:1].assign(colour=pd.Categorical(["d"], categories=list("abcd")))
    assert np.isneginf(AdversarialRandomForest(alpha=0.0, **FEW).fit(mixed()).score_samples(row)).all()
    assert np.isfinite(AdversarialRandomForest(**FEW).fit(mixed()).score_samples(row)).all()


def test_constant_columns_have_a_finite_density_that_integrates():
    X = np.column_stack([plane(200), np.full(200, 7.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the column that does not vary
        model = AdversarialRandomForest(**FEW).fit(X)
        whole = AdversarialRandomForest(column_kinds={2: "integer"}, **FEW).fit(X)
    assert np.isfinite(model.score_samples(X)).all()
    total = quad(lambda x: np.exp(model.score_samples([[np.nan, np.nan, x]])[0]), 6.99, 7.01, points=[7.0])[0]
    assert total == pytest.approx(1.0, abs=1e-6)
    assert whole.score_samples([[np.nan, np.nan, 7.0]])[0] == pytest.approx(0.0, abs=1e-2)


def test_masses_far_in_either_tail():
    low = np.array([-40.0, -1.0, 8.0, 39.0])
    np.testing.assert_allclose(log_mass(low, low + 1)[[0, 3]], stats.norm.logcdf(-39.0), rtol=1e-9)
    np.testing.assert_allclose(log_mass(low, low + 1)[1], np.log(stats.norm.cdf(0) - stats.norm.cdf(-1)))
    np.testing.assert_allclose(log_mass(low, low + 1)[2], np.log(stats.norm.sf(8) - stats.norm.sf(9)), rtol=1e-9)


# ---- what it is good for


def test_the_ring_is_learnt():
    train, test = plane(1500), plane(1500, seed=1)
    forest = AdversarialRandomForest(random_state=0).fit(train)
    gain = forest.score(test) - skgen.make("naive_bayes").fit(train).score(test)
    assert gain > 0.8  # nats a row; the dependence is worth about one
    assert forest.accuracies_[0] > 0.6  # independent columns are told from the ring


def test_independent_columns_are_not_told_apart():
    model = AdversarialRandomForest(tol=0.05, random_state=0).fit(np.random.default_rng(0).normal(size=(600, 3)))
    assert model.converged_
    assert model.n_iter_ == 1
    assert model.accuracies_.shape == (1,)


def test_spikes_of_an_integer_column_are_kept():
    """Heaped counts: a normal alone would spread them over the values between."""
    rng = np.random.default_rng(0)
    k = rng.random(1200) < 0.5
    hours = np.where(k, rng.choice([0, 40], 1200), rng.choice([40, 50, 60], 1200, p=[0.2, 0.3, 0.5]))
    frame = pd.DataFrame({"hours": hours, "pay": np.where(k, 0.0, 3.0) + rng.normal(size=1200)})
    model = AdversarialRandomForest(**FEW).fit(frame)
    drawn = model.sample(4000, random_state=1)["hours"]
    cells = pd.DataFrame({"hours": [0, 40, 50, 60, 20, 55], "pay": np.nan})
    p = np.exp(model.score_samples(cells))
    np.testing.assert_allclose(p[:4], [(hours == cell).mean() for cell in cells["hours"][:4]], atol=0.05)
    assert p[:4].sum() > 0.9
    assert (p[4:] > 0).all()
    np.testing.assert_allclose([(drawn == cell).mean() for cell in cells["hours"]], p, atol=0.03)
