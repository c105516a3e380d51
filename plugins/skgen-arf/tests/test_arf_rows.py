"""Draws of adversarial random forests, weights and missing cells of rows, and files."""

import numpy as np
import pandas as pd
import pytest
from arf_tables import FEW, edges, inner, mixed, nodes, plane
from scipy import stats
from skgen_arf import AdversarialRandomForest
from skgen_arf.rounds import _draw
from skgen_arf.trees import Trees

import skgen

# ---- draws


def test_draws_have_the_moments_of_the_leaves():
    model = AdversarialRandomForest(**FEW).fit(plane())
    drawn = model.sample(20_000, random_state=1)
    mean_sd = model.predict_missing([[np.nan, np.nan]], 0)[0]  # in closed form
    assert drawn[:, 0].mean() == pytest.approx(mean_sd[0], abs=4 * mean_sd[1] / np.sqrt(20_000))
    assert drawn[:, 0].std() == pytest.approx(mean_sd[1], rel=0.03)
    x, w = nodes(edges(model, 0))
    p = w * np.exp(model.score_samples(np.column_stack([x, np.full(len(x), np.nan)])))
    np.testing.assert_allclose([p @ x, np.sqrt(p @ x**2 - (p @ x) ** 2)], mean_sd, rtol=1e-6)
    # shares on either side of quantiles of the rows, against the density
    for cut in np.quantile(plane()[:, 0], [0.1, 0.5, 0.9]):
        assert (drawn[:, 0] <= cut).mean() == pytest.approx(p[x <= cut].sum(), abs=0.015)


def test_conditional_draws_follow_the_conditional_density():
    model = AdversarialRandomForest(**FEW).fit(plane())
    asked = np.array([[3.0, np.nan]])  # above the middle of the ring: two arcs
    drawn = model.sample_conditional(asked, n_draws=4000, random_state=0)[:, 1]
    y, v = nodes(edges(model, 1))
    p = np.exp(model.score_samples(np.column_stack([np.full(len(y), 3.0), y])) - model.score_samples(asked)[0]) * v
    assert p.sum() == pytest.approx(1.0, abs=1e-5)
    order = np.argsort(y)
    cdf = np.interp(drawn, y[order], np.cumsum(p[order]))
    assert stats.kstest(cdf, "uniform").pvalue > 1e-3
    assert 0.3 < (drawn > 50).mean() < 0.7
    assert np.abs(drawn - 50).mean() > 12


def test_cells_drawn_stay_in_the_box_of_their_leaf():
    one = inner(AdversarialRandomForest(**FEW).fit(mixed()))
    leaf = np.repeat(np.arange(one.n_leaves_), 20)
    Z, (lower, upper) = one._draw(leaf, np.random.default_rng(0)), one._trees.regions(4)
    assert ((lower[leaf] < Z) & (upper[leaf] >= Z)).all()
    assert (one._trees.find(Z)[np.arange(len(Z)), one._trees.tree_of_leaf[leaf]] == leaf).all()


# ---- rows: weights, missing cells


def test_weights_are_repetition_in_distribution():
    frame = mixed(300)
    weight = np.random.default_rng(1).integers(0, 4, 300)
    again, held = frame.loc[frame.index.repeat(weight)].reset_index(drop=True), mixed(400, seed=2)
    few = FEW | {"n_estimators": 30}
    gaps = []
    for seed in range(6):
        weighted = AdversarialRandomForest(**few | {"random_state": seed}).fit(frame, sample_weight=weight)
        repeated = AdversarialRandomForest(**few | {"random_state": seed + 100}).fit(again)
        assert weighted._fitted.densities_[0]._mass.sum() == pytest.approx(30 * weight.sum())
        gaps.append(weighted.score(held) - repeated.score(held))
    assert abs(np.mean(gaps)) < 0.02 + 4 * np.std(gaps, ddof=1) / np.sqrt(6)
    assert abs(np.mean(gaps)) < 0.15


def test_weights_count_in_the_rounds():
    """Dependence in rows that weigh next to nothing is not told from synthetic rows, which come by weight as well."""
    rng = np.random.default_rng(0)
    ring = (plane(500) - [3, 50]) / [1, 10]
    X = np.concatenate([ring, np.array([8, 0]) + rng.normal(size=(500, 2))])
    weight = np.repeat([1e-6, 1.0], 500)
    light, even = (AdversarialRandomForest(**FEW).fit(X, sample_weight=w) for w in (weight, None))
    assert light.accuracies_[0] < 0.56
    assert even.accuracies_[0] > 0.6
    drawn = _draw(Trees.stump(), X, weight, 1000, rng)
    assert (drawn[:, 0] > 4).all()
    assert set(drawn[:, 1]) <= set(X[500:, 1])


def test_missing_cells_in_fit():
    full, held = plane(1500), plane(1000, seed=1)
    holes = full.copy()
    hidden = np.random.default_rng(9).random(len(full)) < 0.5
    holes[hidden, 1] = np.nan
    model = AdversarialRandomForest(random_state=0).fit(holes)
    blind = skgen.make("naive_bayes").fit(holes).score(held)
    assert model.score(held) > blind + 0.5  # dependence survives
    whole = AdversarialRandomForest(random_state=0).fit(full[~hidden]).score(held)
    assert model.score(held) > whole - 0.1  # and rows with holes do little harm
    # holes where the first column is high: what is left of the second lies too low, what is filled in less so
    tilted = np.column_stack([full[:, 0], full[:, 0] + 0.1 * full[:, 1]])
    tilted[(tilted[:, 0] > 3.5) & (np.random.default_rng(9).random(1500) < 0.8), 1] = np.nan
    mean = AdversarialRandomForest(random_state=0).fit(tilted).predict_missing([[np.nan, np.nan]], 1)[0, 0]
    assert mean > np.nanmean(tilted[:, 1]) + 0.15


# ---- files and seeds


def test_a_fit_is_reproducible_and_kept_bit_for_bit(tmp_path):
    frame, y = mixed(), np.arange(500) % 2
    fits = [AdversarialRandomForest(**FEW).fit(frame, y) for _ in range(2)]
    other = AdversarialRandomForest(**FEW | {"random_state": 1}).fit(frame, y)
    skgen.save(fits[0], tmp_path / "m.skgen")
    loaded = skgen.load(tmp_path / "m.skgen")
    holes = frame.assign(length=np.where(y == 1, np.nan, frame["length"]))
    for again in (fits[1], loaded):
        assert np.array_equal(fits[0].score_samples(holes), again.score_samples(holes))
        pd.testing.assert_frame_equal(fits[0].sample(20), again.sample(20))
    assert not np.allclose(fits[0].score_samples(holes), other.score_samples(holes))
    assert loaded.n_parameters_ == fits[0].n_parameters_
    assert (tmp_path / "m.skgen").stat().st_size < 500_000


def test_pieces_of_work_change_nothing(monkeypatch):
    X = np.random.default_rng(0).normal(size=(60, 5))
    X[:, 1] += X[:, 0]
    model = AdversarialRandomForest(**FEW).fit(X)
    holes = np.where(np.random.default_rng(1).random(X.shape) < 0.6, np.nan, X)
    before = model.score_samples(holes)
    monkeypatch.setattr("skgen_arf.model._PAIRS", 50)
    np.testing.assert_allclose(model.score_samples(holes), before, rtol=1e-12, atol=1e-12)


def test_pruned_leaves_have_enough_rows_and_share_out_the_space():
    one = inner(AdversarialRandomForest(**FEW).fit(plane()))
    assert one._mass.min() >= 10
    assert one._mass.sum() == pytest.approx(8 * 400)
    Z = np.random.default_rng(0).normal(size=(300, 2)) * 3
    lower, upper = one._trees.regions(2)
    inside = ((Z[:, None] > lower) & (Z[:, None] <= upper)).all(axis=2)
    for tree in range(8):
        assert (inside[:, one._trees.tree_of_leaf == tree].sum(axis=1) == 1).all()
