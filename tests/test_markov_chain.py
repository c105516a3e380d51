"""Markov chains against sums over all sequences, counts by hand and their own draws."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from skgen import MarkovChain
from skgen.models.explicit import markov_chain as module


def chain_data(n=400, T=5, K=3, seed=0):
    rng = np.random.default_rng(seed)
    X = np.empty((n, T), dtype=int)
    X[:, 0] = rng.integers(0, K, n)
    for t in range(1, T):
        X[:, t] = np.where(rng.random(n) < 0.6, (X[:, t - 1] + 1) % K, rng.integers(0, K, n))
    return X


def everything(K, T):
    return np.array(list(itertools.product(range(K), repeat=T)), dtype=float)


def marginals(rows, log_p, asked):
    """log of the sum over the rows that agree with what is observed."""
    out = []
    for row in asked:
        agree = (np.isnan(row) | (rows == row)).all(axis=1)
        out.append(np.log(np.exp(log_p[agree]).sum()))
    return np.array(out)


def with_gaps(X, share, seed=0):
    X = np.array(X, dtype=float)
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


@pytest.mark.parametrize("homogeneous", [True, False])
@pytest.mark.parametrize("order", [0, 1, 2, 4, 9])
def test_normalised_and_marginals_are_sums(order, homogeneous):
    X = chain_data(T=4)
    model = MarkovChain(order=order, homogeneous=homogeneous, alpha=0.5, column_kinds="categorical").fit(X)
    rows = everything(3, 4)
    log_p = model.score_samples(rows)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-12)
    asked = with_gaps(rows, 0.4)
    np.testing.assert_allclose(model.score_samples(asked), marginals(rows, log_p, asked), atol=1e-12)


def test_several_features_a_step_are_joint_symbols():
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.integers(0, 2, 200), rng.integers(0, 3, 200), rng.integers(0, 2, 200), rng.integers(0, 3, 200)])
    kinds = dict(enumerate(["binary", "categorical"] * 2))
    model = MarkovChain(step_features=2, column_kinds=kinds).fit(X)
    rows = np.array(list(itertools.product(range(2), range(3), range(2), range(3))), dtype=float)
    log_p = model.score_samples(rows)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-12)
    asked = with_gaps(rows, 0.3, seed=1)
    np.testing.assert_allclose(model.score_samples(asked), marginals(rows, log_p, asked), atol=1e-12)
    assert model.tables_[1].shape == (6, 6)


def test_tables_are_counts():
    X = np.array([[0, 1, 1, 0], [1, 1, 0, 1]])
    model = MarkovChain(alpha=0).fit(X)
    np.testing.assert_allclose(model.tables_[0].to_numpy(), [[0.5, 0.5]])
    np.testing.assert_allclose(model.tables_[1].to_numpy(), [[0, 1], [0.5, 0.5]])  # 0->1 twice; 1->1 twice, 1->0 twice
    smoothed = MarkovChain(alpha=1).fit(X).tables_[1]
    np.testing.assert_allclose(smoothed.to_numpy(), [[1 / 4, 3 / 4], [3 / 6, 3 / 6]])
    own = MarkovChain(alpha=0, homogeneous=False).fit(X)
    np.testing.assert_allclose(own.tables_[2].to_numpy(), [[0.5, 0.5], [0.5, 0.5]])  # 0 never came before: equal shares
    assert own.tables_[3].loc[1, 0] == 1.0


def test_second_order_table_names_its_contexts():
    frame = pd.DataFrame([["a", "b", "a", "b", "c"], ["b", "a", "b", "c", "a"]])
    table = MarkovChain(order=2, alpha=0).fit(frame).tables_[2]
    assert table.loc[("a", "b"), "c"] == pytest.approx(2 / 3)
    assert table.loc[("a", "b"), "a"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("n", [2, 10])
def test_parameters_of_the_textbook(n):
    X = np.random.default_rng(0).integers(0, 2, (60, n))
    assert MarkovChain(order=1, homogeneous=False).fit(X).n_parameters_ == 2 * n - 1
    assert MarkovChain(order=0, homogeneous=False).fit(X).n_parameters_ == n
    assert MarkovChain(order=n - 1).fit(X).n_parameters_ == 2**n - 1
    assert MarkovChain(order=1).fit(X).n_parameters_ == 3


def test_full_order_is_the_empirical_joint():
    X = chain_data(n=300, T=3, K=2)
    model = MarkovChain(order=2, alpha=0).fit(X)
    found, count = np.unique(X, axis=0, return_counts=True)
    np.testing.assert_allclose(np.exp(model.score_samples(found)), count / len(X), atol=1e-12)


@pytest.mark.parametrize("homogeneous", [True, False])
def test_padding_and_empty_rows(homogeneous):
    X = chain_data(T=4).astype(float)
    X[:100, 2:] = np.nan
    X[0] = np.nan
    model = MarkovChain(column_kinds="categorical", homogeneous=homogeneous).fit(X)
    assert model.n_iter_ == 1  # nothing is missing inside a sequence: counting is enough
    assert model.score_samples(np.full((1, 4), np.nan))[0] == 0.0
    tables = model.tables_
    want = np.log(tables[0].iloc[0, 1]) + np.log(tables[1].iloc[1, 2])
    assert model.score_samples([[1, 2, np.nan, np.nan]])[0] == pytest.approx(want, abs=1e-12)


def test_em_with_gaps_never_falls_and_finds_the_maximum():
    X = with_gaps(chain_data(n=300), 0.25)
    weight = np.ones(len(X))
    shell = MarkovChain(column_kinds="categorical", alpha=0.3, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        part = shell.fit(X)._fitted.densities_[0]
    Z = shell.columns_.encode(X)[0]
    objective = []
    for _ in range(40):
        log_prior = 0.3 * sum(np.log(p).sum() for p in part._tables)
        objective.append(part._log_prob(Z).sum() + log_prior)
        part._update(Z, weight, np.random.default_rng(0))
    assert (np.diff(objective) > -1e-9 * abs(objective[0])).all()
    best = objective[-1]
    rng = np.random.default_rng(1)
    kept = [p.copy() for p in part._tables]
    for _ in range(20):  # no neighbour is better
        part._tables = [p * np.exp(rng.normal(0, 0.02, p.shape)) for p in kept]
        part._tables = [p / p.sum(axis=1, keepdims=True) for p in part._tables]
        assert part._log_prob(Z).sum() + 0.3 * sum(np.log(p).sum() for p in part._tables) < best


def test_gaps_in_fit_cost_little():
    X, test = chain_data(n=3000, seed=1), chain_data(n=2000, seed=2)
    whole = MarkovChain(column_kinds="categorical").fit(X).score(test)
    gaps = MarkovChain(column_kinds="categorical").fit(with_gaps(X, 0.3)).score(test)
    assert gaps > whole - 0.03


@pytest.mark.parametrize("order", [1, 2])
def test_draws_follow_the_density(order):
    model = MarkovChain(order=order, column_kinds="categorical", random_state=0).fit(chain_data(T=4))
    rows = everything(3, 4)
    p = np.exp(model.score_samples(rows))
    n = 40_000
    drawn = model.sample(n) @ 3 ** np.arange(3, -1, -1)
    count = np.bincount(drawn.astype(int), minlength=81)
    assert (((count - n * p) ** 2 / (n * p)).sum() - 80) / np.sqrt(160) < 5


@pytest.mark.parametrize("row", [[np.nan, 1, np.nan, 0], [np.nan, np.nan, 2, np.nan], [1, np.nan, np.nan, np.nan]])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_missing_cells_are_drawn_given_the_rest(row, order):
    model = MarkovChain(order=order, column_kinds="categorical", random_state=0).fit(chain_data(T=4))
    n = 20_000
    drawn = model.sample_conditional([row], n_draws=n)
    rows = everything(3, 4)
    rows = rows[(np.isnan(row) | (rows == row)).all(axis=1)]
    p = np.exp(model.score_samples(rows) - model.score_samples([row]))
    count = np.array([(drawn == r).all(axis=1).sum() for r in rows])
    assert count.sum() == n
    assert (((count - n * p) ** 2 / (n * p)).sum() - len(p) + 1) / np.sqrt(2 * len(p)) < 5


def test_weights_are_repeats():
    X = with_gaps(chain_data(n=60), 0.1)
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    a = MarkovChain(column_kinds="categorical").fit(X, sample_weight=weight)
    b = MarkovChain(column_kinds="categorical").fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(a.score_samples(X), b.score_samples(X), rtol=1e-9)


def test_tables_by_their_cells_say_the_same(monkeypatch):
    X = chain_data(T=6).astype(float)
    X[:50, 3:] = np.nan
    dense = MarkovChain(order=2, column_kinds="categorical", random_state=0).fit(X)
    monkeypatch.setattr(module, "_MOST_CELLS", 10)
    sparse = MarkovChain(order=2, column_kinds="categorical", random_state=0).fit(X)
    np.testing.assert_allclose(sparse.score_samples(X), dense.score_samples(X), atol=1e-12)
    np.testing.assert_array_equal(sparse.sample(50), dense.sample(50))
    both = sparse.tables_[2].align(dense.tables_[2], join="left")
    np.testing.assert_allclose(both[0].to_numpy(), both[1].to_numpy())
    assert np.isfinite(sparse.sample_conditional(X[:5])).all()  # NaN at the end needs no sum
    X[0, 1] = np.nan
    with pytest.raises(ValueError, match=r"order=2 .* too many to sum over"):
        sparse.score_samples(X)


def test_continuous_and_integer_steps_are_binned_alike_at_every_step():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)).cumsum(axis=1)
    model = MarkovChain(random_state=0).fit(X)
    independent = MarkovChain(order=0).fit(X)
    assert model.score(X) > independent.score(X) + 0.5
    moved = MarkovChain().fit(X * 10)
    np.testing.assert_allclose(moved.score_samples(X * 10), model.score_samples(X) - 4 * np.log(10), atol=1e-8)
    counts = rng.poisson(3, (300, 4))
    whole = MarkovChain(n_bins=50).fit(counts)
    grid = np.column_stack([np.full(300, 2), np.full(300, 3), np.full(300, 1), np.arange(-150, 150)])
    given = np.exp(whole.score_samples(grid) - whole.score_samples([[2, 3, 1, np.nan]]))
    assert given.sum() == pytest.approx(1, abs=1e-6)  # over all integers, seen or not


def test_classes_and_predictions():
    a, b = chain_data(n=200, T=8, seed=0), chain_data(n=200, T=8, seed=1)[:, ::-1]
    X, y = np.vstack([a, b]), np.repeat([0, 1], 200)
    model = MarkovChain(column_kinds="categorical").fit(X, y)
    assert model.score(X, y) > 0.9
    np.testing.assert_allclose(model.predict_proba(np.full((1, 8), np.nan)), [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("model", "X", "says"),
    [
        (MarkovChain(step_features=2), np.zeros((4, 3), dtype=int), "step_features=2"),
        (MarkovChain(order=40, column_kinds="categorical"), chain_data(n=50, T=50), "order=40"),
        (MarkovChain(order=-1), chain_data(n=5), "order=-1"),
    ],
)
def test_errors_name_the_fault(model, X, says):
    with pytest.raises(ValueError, match=says):
        model.fit(X)


@pytest.mark.parametrize("more", [{}, {"n_bins": 3}, {"homogeneous": False}, {"order": 2}])
def test_tables_of_binned_steps_name_intervals(more):
    X = np.random.default_rng(0).poisson(3, (50, 5))
    model = MarkovChain(**more).fit(X)
    table = model.tables_[1]
    assert np.allclose(table.sum(axis=1), 1)
    assert all(isinstance(name, str) for name in table.columns)
    assert "and above" in table.columns[-1]
