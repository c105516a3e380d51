"""Rows without a label: what they add, and that EM over the classes is what it says."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skgen import ChowLiuTree, GaussianMixture, NaiveBayes
from skgen.learn import em


@pytest.fixture(scope="module")
def digits():
    """Components of digits, labels of two rows a class (-1: none), and which rows are left for a test."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(113).permutation(len(y))
    known = np.concatenate([order[y[order] == k][:2] for k in range(10)])
    train = np.concatenate([known, order[~np.isin(order, known)][:1200]])
    Z = PCA(20, random_state=0).fit(X[train]).transform(X)
    return Z[train], np.concatenate([y[known], np.full(1200, -1)]), np.delete(Z, train, axis=0), np.delete(y, train)


def test_two_labels_a_class_and_many_rows_without(digits):
    X, partly, X_test, y_test = digits
    model = GaussianMixture(units="shared", unlabeled=-1)
    known = partly >= 0
    alone = GaussianMixture(units="shared").fit(X[known], partly[known]).score(X_test, y_test)
    with_all = model.fit(X, partly).score(X_test, y_test)
    assert with_all >= 0.9  # 0.84 from the labelled rows straight to EM
    assert with_all >= alone + 0.08


def overlapping(n=300, seed=0):
    """Three clusters in four columns that touch, labels of three rows each."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], n // 3)
    X = rng.normal(size=(n, 4)) * 0.8 + np.array([[0, 0, 0, 0], [2, 2, 0, 0], [0, 2, 2, 2]])[y]
    partly = np.where(np.arange(n) % (n // 3) < 3, y, -1)
    order = rng.permutation(n)
    return X[order], y[order], partly[order]


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "with gaps"])
@pytest.mark.parametrize(
    "model", [GaussianMixture(shrinkage=0), GaussianMixture(covariance_type="diag", shrinkage=0), NaiveBayes(alpha=0, shrinkage=0)]
)
def test_the_likelihood_never_falls(model, gaps, monkeypatch):
    X, _, partly = overlapping()
    if gaps:
        X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    seen = []

    def watch(part, X, share):
        joint = log_joint(part, X, share)
        if len(X) == len(partly):  # EM's own steps; the start asks about the unlabelled rows alone
            own = np.take_along_axis(joint, np.maximum(partly, 0)[:, None], axis=1)[:, 0]
            seen.append(np.where(partly >= 0, own, np.logaddexp.reduce(joint, axis=1)).sum())
        return joint

    log_joint = em._log_joint
    monkeypatch.setattr(em, "_log_joint", watch)
    model.set_params(unlabeled=-1).fit(X, partly)
    assert len(seen) > 3
    assert np.diff(seen).min() > -1e-9 * abs(seen[-1])


def test_a_dense_class_does_not_swallow_the_others():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [300, 300])
    X = np.concatenate([rng.normal(0, 0.3, (300, 5)), rng.normal(1.5, 1.5, (300, 5))])
    partly = np.where(np.arange(600) % 300 < 4, y, -1)
    model = GaussianMixture(unlabeled=-1).fit(X, partly)
    assert model.score(X, y) > 0.95
    np.testing.assert_allclose(np.exp(model.class_log_prior_), 0.5, atol=0.04)


@pytest.mark.parametrize("model", [GaussianMixture(), NaiveBayes()])
def test_a_row_of_weight_two_is_that_row_twice(model):
    X, _, partly = overlapping()
    weight = np.random.default_rng(1).integers(1, 4, len(X))
    model.set_params(unlabeled=-1)
    weighted = model.fit(X, partly, sample_weight=weight).predict_log_proba(X)
    repeated = model.fit(np.repeat(X, weight, axis=0), np.repeat(partly, weight)).predict_log_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-6)


def test_the_order_of_rows_changes_nothing():
    X, _, partly = overlapping()
    order = np.random.default_rng(2).permutation(len(X))
    model = GaussianMixture(unlabeled=-1)
    before = model.fit(X, partly).predict_log_proba(X)
    np.testing.assert_allclose(model.fit(X[order], partly[order]).predict_log_proba(X), before, atol=1e-6)


def test_rows_with_missing_cells_take_part():
    X, y, partly = overlapping(600)
    X[np.random.default_rng(1).random(X.shape) < 0.25] = np.nan
    X[np.flatnonzero(partly < 0)[:3]] = np.nan  # rows that say nothing
    model = GaussianMixture(unlabeled=-1).fit(X, partly)
    alone = GaussianMixture().fit(X[partly >= 0], partly[partly >= 0])
    assert model.score(X, y) > alone.score(X, y) + 0.02
    assert np.isfinite(model.score_samples(X)).all()


def test_structure_is_chosen_on_all_rows():
    # two copies of a column in each class; two labelled rows cannot tell which
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 400)
    X = rng.integers(0, 2, (800, 4)).astype(float)
    X[:, 1] = np.where(y == 0, X[:, 0], 1 - X[:, 0])
    X[:, 3] = np.where(y == 0, X[:, 2], 1 - X[:, 2])
    partly = np.where(np.arange(800) % 400 < 2, y, -1)
    X[(rng.random(X.shape) < 0.05) & (partly < 0)[:, None]] = np.nan  # with gaps the tree stands while EM runs
    model = ChowLiuTree(unlabeled=-1, column_kinds="binary").fit(X, partly)
    assert model.score(X, y) > 0.93
    for tree in model.densities_:
        assert {frozenset(edge) for edge in tree.parents_.items()} >= {frozenset({0, 1}), frozenset({2, 3})}
