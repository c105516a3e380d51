"""The Chow-Liu tree against enumeration: its structure, its numbers, its sums over missing cells, its draws."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import mutual_info_score

import skgen
from skgen import ChowLiuTree, NaiveBayes
from skgen.ops import counts as counts_module
from skgen.ops.counts import PairCounts
from skgen.ops.trees import Tree, maximum_spanning_tree

LEVELS = (2, 3, 1, 4)


def coupled(n=400, levels=LEVELS, seed=0):
    """Codes of columns that depend on one another."""
    rng = np.random.default_rng(seed)
    hidden = rng.random(n)
    return np.column_stack([np.floor(k * np.clip(hidden + 0.25 * rng.standard_normal(n), 0, 0.999)) for k in levels])


def table(X, levels=LEVELS):
    """The same as a frame of categories whose levels are all declared."""
    return pd.DataFrame({f"c{j}": pd.Categorical.from_codes(X[:, j].astype(int), list("pqrs")[:k]) for j, k in enumerate(levels)})


def states(levels=LEVELS):
    return np.array(list(itertools.product(*map(range, levels))), dtype=float)


def density(X, levels=LEVELS, weight=None, **parameters):
    """A fitted part on coded rows, as inside another model."""
    columns = skgen.columns(table(np.zeros((1, len(levels))), levels))
    part = ChowLiuTree(**parameters).part(columns)
    part._fit(X, np.ones(len(X)) if weight is None else weight, np.random.default_rng(0))
    return part


def with_gaps(X, share=0.3, seed=1):
    gaps = np.random.default_rng(seed).random(X.shape) < share
    return np.where(gaps, np.nan, X)


# ---- counts and mutual information


def counted(X, i, j, weight):
    """A contingency table by its definition."""
    out = np.zeros((LEVELS[i], LEVELS[j]))
    for row, w in zip(X, weight, strict=True):
        if not np.isnan(row[[i, j]]).any():
            out[int(row[i]), int(row[j])] += w
    return out


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("weighting", ["one", "whole", "any"])
@pytest.mark.parametrize("held", [True, False])
def test_pair_counts_equal_their_definition(gaps, weighting, held, monkeypatch):
    X = with_gaps(coupled(), gaps)
    rng = np.random.default_rng(2)
    weight = {"one": np.ones(len(X)), "whole": rng.integers(1, 9, len(X)) * 1.0, "any": rng.gamma(1, size=len(X))}[weighting]
    if not held:  # tables too many to keep: strips of them, made twice
        monkeypatch.setattr(counts_module, "_HELD", 30)
    pairs = PairCounts(X, weight, np.array(LEVELS))
    assert (pairs._held is not None) == held
    assert pairs.complete == (gaps == 0)
    information = pairs.mutual_information(0.5)
    for i, j in itertools.permutations(range(4), 2):
        c = counted(X, i, j, weight)
        np.testing.assert_allclose(pairs.table(i, j), c, rtol=1e-12)
        p = (c + 0.5) / (c + 0.5).sum()
        by_hand = (p * np.log(p / (p.sum(axis=1, keepdims=True) * p.sum(axis=0)))).sum()
        assert information[i, j] == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("fractions", [False, True])
def test_binary_counts_equal_their_definition(gaps, fractions):
    X = with_gaps((coupled(5000, (2,) * 6) > 0) * 1.0, gaps)
    weight = np.random.default_rng(0).gamma(1, size=len(X)) if fractions else np.ones(len(X))
    pairs = PairCounts(X, weight, np.full(6, 2))
    for i, j in itertools.permutations(range(6), 2):
        for a, b in itertools.product((0, 1), repeat=2):
            by_hand = weight[(X[:, i] == a) & (X[:, j] == b)].sum()
            assert pairs.table(i, j)[a, b] == pytest.approx(by_hand, rel=1e-10)


def test_whole_weights_are_counted_exactly_whatever_their_sum():
    X = (np.random.default_rng(0).random((5000, 3)) < 0.5) * 1.0
    weight = np.full(len(X), 8191.0)  # a sum above 2**24, where single precision has no odd numbers
    expected = 8191 * (X[:, 0] @ X[:, 1])
    assert PairCounts(X, weight, np.full(3, 2)).table(0, 1)[1, 1] == expected
    assert PairCounts(X, weight * 1001, np.full(3, 2)).table(0, 1)[1, 1] == 1001 * expected


def test_mutual_information_without_smoothing_is_that_of_scikit_learn():
    X = coupled()
    information = PairCounts(X, np.ones(len(X)), np.array(LEVELS)).mutual_information(0.0)
    for i, j in itertools.permutations(range(4), 2):
        assert information[i, j] == pytest.approx(mutual_info_score(X[:, i], X[:, j]), abs=1e-12)


# ---- the tree


def spanning_trees(d):
    """Every spanning tree of d nodes, by its Pruefer sequence."""
    for sequence in itertools.product(range(d), repeat=d - 2):
        degree = np.bincount(sequence, minlength=d) + 1
        edges = []
        for node in sequence:
            leaf = int(np.flatnonzero(degree == 1)[0])
            edges.append((leaf, node))
            degree[leaf], degree[node] = 0, degree[node] - 1
        edges.append(tuple(np.flatnonzero(degree == 1)))
        yield edges


@pytest.mark.parametrize("d", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("root", [0, 1])
def test_no_spanning_tree_weighs_more(d, root):
    for seed in range(5):
        w = np.random.default_rng(seed).normal(size=(d, d))
        w = w + w.T
        parents, order = maximum_spanning_tree(w, root)
        found = sum(w[i, p] for i, p in enumerate(parents) if p >= 0)
        assert found == pytest.approx(max(sum(w[i, j] for i, j in edges) for edges in spanning_trees(d)))
        assert order[0] == root
        assert parents[root] == -1
        assert sorted(order) == list(range(d))
        place = np.argsort(order)
        assert all(place[p] < place[i] for i, p in enumerate(parents) if p >= 0)


def test_equal_edges_are_taken_in_the_order_of_columns_whatever_the_root():
    w = np.ones((5, 5))
    for root in range(5):
        parents, _ = maximum_spanning_tree(w, root)
        assert {(min(i, p), max(i, p)) for i, p in enumerate(parents) if p >= 0} == {(0, j) for j in range(1, 5)}


def test_no_tree_is_likelier_on_the_training_rows():
    levels = (2, 3, 2, 3, 2)
    X = coupled(300, levels)
    best = density(X, levels, alpha=0.0)._log_prob(X).sum()
    entropy = sum(stats.entropy(np.bincount(X[:, j].astype(int))) for j in range(5))
    information = {pair: mutual_info_score(X[:, pair[0]], X[:, pair[1]]) for pair in itertools.permutations(range(5), 2)}
    # a tree's log-likelihood is n (the sum of its edges' informations - the sum of the entropies)
    likelihoods = [300 * (sum(information[edge] for edge in edges) - entropy) for edges in spanning_trees(5)]
    assert best == pytest.approx(max(likelihoods))


@pytest.mark.parametrize("levels", [LEVELS, (2,) * 5])
def test_the_order_of_columns_changes_nothing(levels):
    X = coupled(300, levels)
    turned = density(X[:, ::-1], levels[::-1])
    np.testing.assert_allclose(density(X, levels)._log_prob(X), turned._log_prob(X[:, ::-1]), rtol=1e-10)


def test_another_root_changes_nothing_for_binary_columns():
    X = coupled(300, (2,) * 5)
    counts = PairCounts(X, np.ones(300), np.full(5, 2))
    log_p = []
    for root in range(5):
        parents, order = maximum_spanning_tree(counts.mutual_information(1.0), root)
        part = density(X, (2,) * 5)
        own = [counts.table(max(above, 0), i) for i, above in enumerate(parents)]
        own[root] = counts.table(root, root).diagonal()[None]
        log_p.append(Tree(parents, order, part._smooth(own, root, 2)).log_prob(X))
    np.testing.assert_allclose(log_p, np.broadcast_to(log_p[0], (5, 300)), rtol=1e-12)


# ---- the numbers


@pytest.mark.parametrize("levels", [LEVELS, (2, 2, 2, 2), (3, 2)])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_probabilities_of_all_states_sum_to_one_and_margins_to_their_completions(levels, alpha):
    part = density(coupled(200, levels), levels, alpha=alpha)
    everything = states(levels)
    p = np.exp(part._log_prob(everything))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    for pattern in itertools.product((False, True), repeat=len(levels)):
        for row in everything[::3]:
            question = np.where(pattern, np.nan, row)
            same = ((everything == row) | np.array(pattern)).all(axis=1)
            with np.errstate(divide="ignore"):
                assert part._log_prob(question[None])[0] == pytest.approx(np.log(p[same].sum()), abs=1e-10)


@pytest.mark.parametrize("levels", [(2,) * 80, (3, 2) * 40])
def test_rows_with_gaps_do_not_depend_on_the_batch_and_reach_complete_ones(levels):
    X = coupled(5000, levels)
    part = density(X, levels)
    gaps = with_gaps(X, 0.01)
    together = part._log_prob(gaps)
    np.testing.assert_allclose(together[::97], [part._log_prob(row[None])[0] for row in gaps[::97]], rtol=1e-10)
    complete = ~np.isnan(gaps).any(axis=1)
    assert 0 < complete.sum() < len(X)
    upward, _, _ = part._tree._upward(X[:100])  # the slow pass and the fast one on the same rows
    np.testing.assert_allclose(upward, part._log_prob(X[:100]), rtol=1e-12)


def test_smoothing_is_one_pseudo_count_in_each_cell_of_a_pairwise_table():
    X = pd.DataFrame({"a": [True, True, False, True, True], "b": [True, True, False, False, True]})
    model = ChowLiuTree().fit(X)
    assert model.parents_ == {"a": None, "b": "a"}
    assert model.graph_ == {"a": [], "b": ["a"]}
    # counts of (a, b): 1 0 / 1 3, with one more in each cell 2 1 / 2 4
    np.testing.assert_allclose(model.tables_["a"], [[3 / 9, 6 / 9]])
    np.testing.assert_allclose(model.tables_["b"], [[2 / 3, 1 / 3], [2 / 6, 4 / 6]])
    assert model.tables_["b"].loc[True, True] == pytest.approx(4 / 6)
    np.testing.assert_allclose(np.exp(model.score_samples(X)[:3]), [4 / 9, 4 / 9, 2 / 9])
    assert model.n_parameters_ == 3
    twice = ChowLiuTree(alpha=2.0).fit(X)
    np.testing.assert_allclose(twice.tables_["a"], [[5 / 13, 8 / 13]])


def test_smoothing_of_tables_with_more_levels_counts_their_cells():
    X = table(coupled(50, (2, 3)), (2, 3))
    a, b = X["c0"].cat.codes, X["c1"].cat.codes
    model = ChowLiuTree().fit(X)
    np.testing.assert_allclose(model.tables_["c0"], [(np.bincount(a, minlength=2) + 3) / 56])
    c = pd.crosstab(a, b).reindex(index=range(2), columns=range(3), fill_value=0).to_numpy() + 1
    np.testing.assert_allclose(model.tables_["c1"], c / c.sum(axis=1, keepdims=True))
    assert list(model.tables_["c1"].index) == ["p", "q"]
    assert list(model.tables_["c1"].columns) == ["p", "q", "r"]


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_a_weight_is_a_repetition(gaps):
    X = with_gaps(coupled(200), gaps)
    times = np.random.default_rng(0).integers(1, 4, len(X))
    weighted, repeated = density(X, weight=times * 1.0), density(np.repeat(X, times, axis=0))
    np.testing.assert_allclose(weighted._log_prob(states()), repeated._log_prob(states()), rtol=1e-9)
    assert not np.allclose(weighted._log_prob(states()), density(X)._log_prob(states()), rtol=1e-3)


def test_weights_of_a_table_to_be_binned():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3))
    times = rng.integers(0, 4, len(X))
    weighted = ChowLiuTree().fit(X, sample_weight=times).score_samples(X)
    repeated = ChowLiuTree().fit(np.repeat(X, times, axis=0)).score_samples(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7)


def test_bins_hold_equal_weight():
    x = np.random.default_rng(0).normal(size=(2000, 1))
    weight = np.where(x[:, 0] > 1, 9.0, 1.0)
    shares = ChowLiuTree(n_bins=5, alpha=0.0).fit(x, sample_weight=weight).tables_[0]
    np.testing.assert_allclose(shares, 0.2, atol=0.01)


@pytest.mark.parametrize("n_bins", [4, 30])
def test_a_value_that_many_rows_have_is_a_bin_of_its_own(n_bins):
    rng = np.random.default_rng(0)
    x = np.where(rng.random(2000) < 0.6, 0, rng.integers(100, 600, 2000))
    x = pd.DataFrame({"gain": np.where(rng.random(2000) < 0.3, 40, x)})
    model = ChowLiuTree(n_bins=n_bins).fit(x)
    p = np.exp(model.score_samples(pd.DataFrame({"gain": np.arange(-200, 5000)})))
    assert p.sum() == pytest.approx(1, abs=1e-3)
    assert p[200] == pytest.approx((x["gain"] == 0).mean(), abs=0.02)
    assert p[240] == pytest.approx((x["gain"] == 40).mean(), abs=0.02)
    assert {"0 and below", "40"} <= set(model.tables_["gain"].columns)


def test_one_column_is_naive_bayes():
    X = table(coupled(50, (3,)), (3,))
    np.testing.assert_allclose(ChowLiuTree().fit(X).score_samples(X), NaiveBayes().fit(X).score_samples(X))
    assert ChowLiuTree().fit(X).score_samples(pd.DataFrame({"c0": pd.Categorical([None], list("pqr"))}))[0] == 0


def test_constant_columns_and_levels_never_seen():
    X = np.column_stack([np.zeros(40), np.arange(40) % 2, np.ones(40)]).astype(int)
    model = ChowLiuTree(column_kinds="binary").fit(X)
    other = X.copy()
    other[:, 0] = 1  # declared by the kind, never seen
    assert np.isfinite(model.score_samples(other)).all()
    assert (model.score_samples(other) < model.score_samples(X)).all()
    strict = ChowLiuTree(column_kinds="binary", alpha=0.0).fit(X)
    assert (strict.score_samples(other) == -np.inf).all()
    np.testing.assert_allclose(strict.score_samples(X), np.log(0.5))
    gaps = np.where([False, True, False], np.nan, other)
    assert (strict.score_samples(gaps) == -np.inf).all()
    undeclared = X.copy()
    undeclared[0, 1] = 2
    assert model.score_samples(undeclared)[0] == -np.inf


def test_a_column_and_its_copy():
    a = np.random.default_rng(0).random(200) < 0.5
    model = ChowLiuTree(alpha=0.0).fit(np.column_stack([a, a, ~a]))
    np.testing.assert_allclose(model.score(np.column_stack([a, a, ~a])), -stats.entropy([a.mean(), 1 - a.mean()]))
    assert model.score_samples(np.array([[True, False, False]]))[0] == -np.inf


def test_binned_columns_keep_the_density_of_the_data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 1)) + 0.3 * rng.normal(size=(500, 2))
    model = ChowLiuTree(n_bins=6).fit(X)
    grid = np.linspace(-12, 12, 1201)
    cells = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    assert np.exp(model.score_samples(cells)).sum() * 0.02**2 == pytest.approx(1, abs=0.02)
    assert model.tables_[1].shape == (6, 6)
    assert str(model.tables_[0].columns[0]).startswith("below -")
    shifted = ChowLiuTree(n_bins=6).fit(10 * X + 3)
    np.testing.assert_allclose(shifted.score_samples(10 * X + 3), model.score_samples(X) - 2 * np.log(10), atol=1e-9)


def test_tables_too_large_are_refused_by_name():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({name: pd.Categorical(rng.integers(0, 6000, 50), range(6000)) for name in ("street", "city")})
    with pytest.raises(ValueError, match="'street' and 'city' have 6000 and 6000 levels"):
        ChowLiuTree().fit(X)


# ---- missing cells in fit


def observed_log_likelihood(part, X):
    return part._log_prob(X).sum()


def test_expected_counts_equal_enumeration():
    part = density(coupled(100))
    X = with_gaps(coupled(30, seed=3), 0.5)
    weight = np.random.default_rng(0).gamma(1, size=len(X))
    expected, total = part._tree.expected_counts(X, weight)
    everything = states()
    p = np.exp(part._log_prob(everything))
    by_hand = [np.zeros_like(c) for c in expected]
    for row, w in zip(X, weight, strict=True):
        fits = ((everything == row) | np.isnan(row)).all(axis=1)
        posterior = np.where(fits, p, 0) / p[fits].sum()
        for i, above in enumerate(part._tree.parents):
            rows = everything[:, above].astype(int) if above >= 0 else np.zeros(len(everything), dtype=int)
            np.add.at(by_hand[i], (rows, everything[:, i].astype(int)), w * posterior)
    for found, true in zip(expected, by_hand, strict=True):
        np.testing.assert_allclose(found, true, atol=1e-10)
    assert total == pytest.approx(weight @ part._log_prob(X))


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_em_on_missing_cells_never_falls(alpha):
    X = with_gaps(coupled(300), 0.4)
    values = []
    for steps in range(1, 12):
        part = density(X, alpha=alpha, max_iter=steps, tol=0.0)
        root_pseudo = part._tree.tables[part._tree.order[1]].shape[1]
        prior = 0.0
        if alpha:
            pseudo = [alpha * (root_pseudo if i == part._tree.order[0] else 1) for i in range(4)]
            prior = sum(a * t.sum() for a, t in zip(pseudo, part._tree.log_tables, strict=True))
        values.append(observed_log_likelihood(part, X) + prior)
    assert (np.diff(values) > -1e-9).all()
    assert values[-1] - values[0] > 1e-3
    before = values[-1]
    part._update(X, np.ones(len(X)), np.random.default_rng(0))
    now = observed_log_likelihood(part, X)
    if not alpha:
        assert now >= before - 1e-9


def test_em_finds_the_tables_where_cells_are_missing_at_random_but_not_completely():
    rng = np.random.default_rng(0)
    a = rng.random(20_000) < 0.5
    b = rng.random(20_000) < np.where(a, 0.9, 0.2)
    X = np.column_stack([b, a]).astype(float)
    X[a & (rng.random(20_000) < 0.8), 0] = np.nan  # b is hidden where a is true: its observed mean is far too low
    model = ChowLiuTree(column_kinds="binary").fit(X)
    assert np.nanmean(X[:, 0]) < 0.36
    b_margin = np.exp(model.score_samples(np.array([[1.0, np.nan]])))[0]
    assert b_margin == pytest.approx(0.55, abs=0.015)
    assert model.n_iter_ > 1


def test_fit_with_a_column_never_observed_in_a_class():
    X = table(coupled(40, (2, 3)), (2, 3))
    y = np.arange(40) % 2
    X.loc[y == 1, "c1"] = np.nan
    model = ChowLiuTree().fit(X, y)
    assert np.isfinite(model.predict_log_proba(X)).all()
    np.testing.assert_allclose(model.densities_[1].tables_["c1"], 1 / 3, atol=1e-3)


# ---- draws


@pytest.mark.parametrize("levels", [LEVELS, (2, 2, 2, 2)])
def test_draws_follow_the_tables(levels):
    part = density(coupled(200, levels), levels)
    everything = states(levels)
    place = np.cumprod([1, *levels[:0:-1]])[::-1]
    drawn = (part._sample(100_000, np.random.default_rng(0)) @ place).astype(int)
    p = np.exp(part._log_prob(everything))
    assert stats.chisquare(np.bincount(drawn, minlength=len(p)), 100_000 * p).pvalue > 1e-3


@pytest.mark.parametrize("levels", [LEVELS, (2, 2, 2, 2)])
def test_draws_of_missing_cells_follow_the_posterior(levels):
    part = density(coupled(200, levels), levels)
    everything = states(levels)
    place = np.cumprod([1, *levels[:0:-1]])[::-1]
    row = np.where([True, False, False, True], np.nan, 1.0 if levels[2] == 2 else [0, 1, 0, 0])
    filled = part._sample_missing(np.tile(row, (50_000, 1)), np.random.default_rng(0))
    p = np.exp(part._log_prob(everything))
    p[~((everything == row) | np.isnan(row)).all(axis=1)] = 0
    found = np.bincount((filled @ place).astype(int), minlength=len(p))
    assert found[p == 0].sum() == 0
    assert stats.chisquare(found[p > 0], 50_000 * p[p > 0] / p.sum()).pvalue > 1e-3


def test_a_level_without_mass_is_never_drawn():
    tree = Tree(np.array([-1, 0]), np.array([0, 1]), [np.array([[0.0, 1.0, 0.0]]), np.array([[1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]])])
    drawn = tree.sample(1000, np.random.default_rng(0))
    assert set(map(tuple, drawn)) == {(1, 0), (1, 2)}
    assert np.isneginf(tree.log_prob(np.array([[1.0, 1.0]])))
    assert np.isneginf(tree.log_prob(np.array([[0.0, np.nan]])))


def test_zero_one_tables_are_read_whole_and_checked_whole():
    X = (np.random.default_rng(0).random((3000, 3)) < 0.5) * 1.0
    model = ChowLiuTree(column_kinds="binary").fit(X)
    coded, outside = model.columns_.encode(X)
    assert outside is None
    assert not np.shares_memory(coded, X)
    np.testing.assert_array_equal(coded, X)
    odd = X.copy()
    odd[2999, 2], odd[2998, 0] = 0.5, np.nan
    log_p = model.score_samples(odd)
    assert np.flatnonzero(np.isneginf(log_p)).tolist() == [2999]
    np.testing.assert_allclose(log_p[:2998], model.score_samples(X)[:2998])


def test_the_container_given_is_the_container_returned():
    X = np.random.default_rng(0).random((50, 3)) < 0.5
    for dtype in (bool, np.uint8, np.int64, np.float32):
        model = ChowLiuTree(column_kinds="binary", random_state=0).fit(X.astype(dtype))
        drawn = model.sample(5)
        assert drawn.dtype == dtype
        assert drawn.flags.c_contiguous
        assert set(np.unique(drawn).astype(int)) <= {0, 1}


# ---- what it is for


def test_classes_that_differ_in_dependence_alone():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    a = rng.random(2000) < 0.5
    b = np.where(rng.random(2000) < 0.9, a ^ (y == 1), rng.random(2000) < 0.5)
    X = np.column_stack([a, b, rng.random(2000) < 0.5])
    assert ChowLiuTree().fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.9
    assert NaiveBayes().fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) < 0.8  # no sum over columns gets all of a ^ b


def test_opposing_children_do_not_underflow():
    """A hidden root with 600 children, half of them loud for 0 and half for 1: log p is near 300 log(p q), not -inf."""
    n_children = 600
    loud = np.array([[0.99, 0.01], [0.01, 0.99]])
    tree = Tree(np.array([-1] + [0] * n_children), np.arange(n_children + 1), [np.array([[0.5, 0.5]])] + [loud] * n_children)
    x = np.concatenate([[np.nan], np.zeros(n_children // 2), np.ones(n_children // 2)])[None]
    np.testing.assert_allclose(tree.log_prob(x), n_children / 2 * np.log(0.99 * 0.01), rtol=1e-12)
