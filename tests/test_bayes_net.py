"""Bayesian networks: probabilities against enumeration, fits against counting, structure against what made the data."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone

from skgen import BayesianNetwork, ChowLiuTree
from skgen.evaluate.divergence import kl_divergence
from skgen.ops import graphs
from skgen.ops.junction import Network
from skgen.ops.linear_gaussian import MixedNetwork
from skgen.ops.structure import MixedScore, TableScore, hill_climb

# Lauritzen & Spiegelhalter (1988), section 2
ASIA = {
    "states": {name: ["yes", "no"] for name in ("asia", "tub", "smoke", "lung", "bronc", "either", "xray", "dysp")},
    "parents": {
        "asia": [],
        "tub": ["asia"],
        "smoke": [],
        "lung": ["smoke"],
        "bronc": ["smoke"],
        "either": ["lung", "tub"],
        "xray": ["either"],
        "dysp": ["bronc", "either"],
    },
    "tables": {
        "asia": [[0.01, 0.99]],
        "tub": [[0.05, 0.95], [0.01, 0.99]],
        "smoke": [[0.5, 0.5]],
        "lung": [[0.1, 0.9], [0.01, 0.99]],
        "bronc": [[0.6, 0.4], [0.3, 0.7]],
        "either": [[1, 0], [1, 0], [1, 0], [0, 1]],
        "xray": [[0.98, 0.02], [0.05, 0.95]],
        "dysp": [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.9]],
    },
}


def states_of(model):
    """All states as coded rows, and their probabilities by the product of the table's rows."""
    net = model.densities_[0]._net
    codes = np.array(list(itertools.product(*map(range, net.levels))))
    p = np.ones(len(codes))
    for i, above in enumerate(net.parents):
        p *= net.tables[i][tuple(codes[:, j] for j in (*above, i))]
    return codes, p


def random_network(rng, levels, most=3):
    parents = [sorted(rng.choice(i, rng.integers(0, min(i, most) + 1), replace=False).tolist()) for i in range(len(levels))]
    tables = [rng.dirichlet(np.ones(levels[i]), [levels[j] for j in above] or None) for i, above in enumerate(parents)]
    return Network(parents, tables)


def ancestral(n, seed=0):
    """Rows of a <- b -> c, c and d -> e, with 2, 3, 2, 2 and 3 levels."""
    rng = np.random.default_rng(seed)
    net = Network(
        [[1], [], [1], [], [2, 3]],
        [
            np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]),
            np.array([0.5, 0.3, 0.2]),
            np.array([[0.8, 0.2], [0.1, 0.9], [0.6, 0.4]]),
            np.array([0.4, 0.6]),
            np.array([[[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], [[0.2, 0.6, 0.2], [0.5, 0.4, 0.1]]]),
        ],
    )
    return net, net.sample(n, rng)


@pytest.fixture(scope="module")
def asia():
    return BayesianNetwork.from_dict(ASIA, random_state=0)


# ---- a network given whole


def test_log_p_is_the_product_of_the_tables(asia):
    codes, p = states_of(asia)
    table = asia.columns_.decode(codes.astype(float))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(asia.score_samples(table), np.log(p), rtol=0, atol=1e-12)
    assert asia.n_parameters_ == 18  # as the published network's


def test_published_posteriors(asia):
    # Lauritzen & Spiegelhalter (1988): margins of the network, and p(tub | asia, smoker, dyspnoea) by enumeration here
    margins = {name: p["yes"] for name, p in asia.marginals().items()}
    assert margins["tub"] == pytest.approx(0.0104)
    assert margins["lung"] == pytest.approx(0.055)
    assert margins["either"] == pytest.approx(0.064828)
    assert margins["dysp"] == pytest.approx(0.4359706)


def test_queries_equal_enumeration(asia):
    codes, p = states_of(asia)
    rng = np.random.default_rng(1)
    names = asia.columns_.names
    for row in asia.sample(100, random_state=2).to_dict("records"):
        some = rng.permutation(names)[: rng.integers(1, 7)].tolist()
        evidence = {name: row[name] for name in some}
        held = np.ones(len(codes), dtype=bool)
        for name in some:
            held &= codes[:, names.index(name)] == ASIA["states"][name].index(row[name])
        answer = asia.marginals(evidence)
        for j, name in enumerate(names):
            expected = p[held & (codes[:, j] == 0)].sum() / p[held].sum()
            assert answer[name]["yes"] == pytest.approx(expected, abs=1e-12)


def test_posteriors_agree_with_those_through_log_p(asia):
    rows = asia.sample(50)
    question = rows.mask(np.random.default_rng(0).random(rows.shape) < 0.5)
    np.testing.assert_allclose(
        asia.marginals(question.assign(bronc=None))["bronc"], asia.predict_missing(question, "bronc"), atol=1e-12
    )


def test_impossible_evidence(asia):
    row = asia.sample(1).assign(either="no", tub="yes", lung=None)
    assert asia.score_samples(row)[0] == -np.inf
    assert asia.score_samples(row.assign(xray=None, dysp=None))[0] == -np.inf
    with pytest.raises(ValueError, match="probability zero"):
        asia.marginals({"either": "no", "tub": "yes"})
    with pytest.raises(ValueError, match="probability zero"):
        asia.sample_conditional(row)


def test_nothing_observed_is_certain(asia):
    rows = asia.sample(3).mask(np.ones((3, 8), dtype=bool))
    np.testing.assert_allclose(asia.score_samples(rows), 0, atol=1e-12)


def test_kl_divergence_is_the_sum_over_states_and_not_symmetric(asia):
    rows = asia.sample(2000, random_state=1)
    other = BayesianNetwork(graph=ASIA["parents"]).fit(rows)
    _, p = states_of(asia)
    _, q = states_of(other)
    forward, back = kl_divergence(asia, other), kl_divergence(other, asia)
    held = p > 0
    assert forward.exact
    assert float(forward) == pytest.approx((p[held] * np.log(p[held] / q[held])).sum(), abs=1e-9)
    assert forward.value == pytest.approx(forward.log_p - forward.log_q, abs=1e-12)
    assert float(back) == np.inf  # smoothing gives mass to what the truth calls impossible
    smooth = BayesianNetwork(graph="empty").fit(rows)
    _, r = states_of(smooth)
    assert float(kl_divergence(other, smooth)) == pytest.approx((q * np.log(q / r)).sum(), abs=1e-9)
    assert float(kl_divergence(smooth, other)) == pytest.approx((r * np.log(r / q)).sum(), abs=1e-9)
    assert abs(float(kl_divergence(smooth, other)) - float(kl_divergence(other, smooth))) > 0.1


def test_kl_divergence_by_draws():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (500, 25))
    p, q = (BayesianNetwork(graph=g, random_state=0).fit(X) for g in ("chain", "empty"))
    found = kl_divergence(p, q, n_samples=4000)
    # sum over arrows of the mutual information under p
    net = p.densities_[0]._net
    exact = 0.0
    margins = p.marginals()
    for i in range(1, 25):
        joint = net.tables[i] * margins[i - 1].to_numpy()[:, None]
        exact += (joint * np.log(net.tables[i] / q.densities_[0]._net.tables[i])).sum()
    assert not found.exact
    assert abs(found.value - exact) < 5 * found.standard_error


def test_states_are_matched_by_name():
    net, X = ancestral(50)
    frame = pd.DataFrame(
        {
            "b": pd.Categorical.from_codes(X[:, 1].astype(int), ["low", "mid", "high"]),
            "a": pd.Categorical.from_codes(X[:, 0].astype(int), ["no", "yes"]),
        }
    )
    text = frame.astype(str)  # levels sorted: high, low, mid
    tables = {
        "b": {"low": 0.5, "mid": 0.3, "high": 0.2},
        "a": {"low": {"yes": 0.1, "no": 0.9}, "high": {"no": 0.5, "yes": 0.5}, "mid": {"no": 0.2, "yes": 0.8}},
    }
    model = BayesianNetwork(graph={"a": ["b"]}, tables=tables).fit(text)
    codes = X[:, :2].astype(int)
    expected = np.log(net.tables[1][codes[:, 1]] * net.tables[0][codes[:, 1], codes[:, 0]])
    np.testing.assert_allclose(model.score_samples(text), expected, atol=1e-12)
    again = BayesianNetwork(graph={"a": ["b"]}, tables=model.tables_).fit(frame)  # frames, levels in another order
    np.testing.assert_allclose(again.score_samples(frame), expected, atol=1e-12)


def test_wrong_tables_are_noticed():
    codes = np.random.default_rng(0).integers(0, 2, (20, 2))
    turned = {0: [[0.2, 0.8]], 1: [[0.9, 0.1], [0.3, 0.7]]}
    right = BayesianNetwork(graph={1: [0]}, tables=turned).fit(codes)
    wrong = BayesianNetwork(graph={1: [0]}, tables={**turned, 1: [[0.3, 0.7], [0.9, 0.1]]}).fit(codes)
    rows = right.sample(2000, random_state=0)
    assert right.score(rows) - wrong.score(rows) > 0.3
    assert float(kl_divergence(right, wrong)) > 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tables": {**ASIA["tables"], "lung": [[0.1, 0.8], [0.01, 0.99]]}}, "'lung' at smoke='yes' sums to 0.9"),
        ({"tables": {**ASIA["tables"], "lung": [[-0.1, 1.1], [0.01, 0.99]]}}, "'lung' at smoke='yes' holds"),
        ({"tables": {**ASIA["tables"], "lung": [[0.1, 0.9]]}}, "'lung' has shape"),
        ({"tables": {**ASIA["tables"], "smoke": {"yes": 0.5, "maybe": 0.5}}}, "'smoke' lacks state 'no'"),
        ({"tables": {k: v for k, v in ASIA["tables"].items() if k != "xray"}}, "'xray' has no table"),
        ({"parents": {**ASIA["parents"], "asia": ["dysp"]}}, "cycle, 'asia' -> 'tub' -> 'either' -> 'dysp' -> 'asia'"),
        ({"parents": {**ASIA["parents"], "asia": ["smok"]}}, "'smok', which is not a column: did you mean 'smoke'"),
        ({"parents": {**ASIA["parents"], "lung": "smoke"}}, "give a list"),
        ({"parents": {**ASIA["parents"], "lung": ["smoke", "smoke"]}}, "twice"),
        ({"states": {**ASIA["states"], "lung": ["yes", "yes"]}}, "'lung' has states"),
        ({"nodes": ["asia"]}, "is not in both"),
    ],
)
def test_refusals_name_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        BayesianNetwork.from_dict({**ASIA, **change})


# ---- exact sums for many rows


@pytest.mark.parametrize("seed", range(6))
def test_sums_over_missing_cells_equal_enumeration(seed):
    rng = np.random.default_rng(seed)
    levels = rng.integers(1, 4, 7)
    net = random_network(rng, levels)
    codes = np.array(list(itertools.product(*map(range, levels)))).astype(float)
    p = np.exp(net.log_prob(codes))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    X = net.sample(90, rng)
    X[rng.random(X.shape) < 0.5] = np.nan
    X[:40, 2:4] = np.nan  # a block of its own
    X[60:, 1] = np.nan  # and few patterns
    X[60:, 3:] = np.where(np.isnan(X[60:, 3:]), 0, X[60:, 3:])
    for rows in (X, X[60:]):
        weight = rng.random(len(rows))
        held = ((codes[None] == rows[:, None]) | np.isnan(rows)[:, None]).all(axis=2) * p
        np.testing.assert_allclose(net.log_prob(rows), np.log(held.sum(axis=1)), atol=1e-10)
        posterior = held / held.sum(axis=1, keepdims=True)
        for i, margin in enumerate(net.marginals(rows)):
            expected = np.stack([posterior[:, codes[:, i] == k].sum(axis=1) for k in range(levels[i])], axis=1)
            np.testing.assert_allclose(margin, expected, atol=1e-12)
        counts, total = net.expected_counts(rows, weight)
        assert total == pytest.approx(weight @ np.log(held.sum(axis=1)))
        for found, expected in zip(counts, net.observed_counts(codes, weight @ posterior), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_row_does_not_depend_on_its_batch():
    net, X = ancestral(300)
    X[np.random.default_rng(1).random(X.shape) < 0.4] = np.nan
    one_by_one = np.concatenate([net.log_prob(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(net.log_prob(X), one_by_one, rtol=1e-12, atol=1e-12)


def test_many_opposing_messages_do_not_underflow():
    d = 601  # one cause, 300 effects for it and 300 against, each by a factor of a thousand
    table = np.array([[0.999, 0.001], [0.001, 0.999]])
    net = Network([[], *[[0]] * (d - 1)], [np.array([0.5, 0.5]), *[table] * (d - 1)])
    row = np.concatenate([[np.nan], np.zeros(300), np.ones(300)])[None]
    expected = 300 * np.log(0.999) + 300 * np.log(0.001)
    assert net.log_prob(row)[0] == pytest.approx(expected, rel=1e-12)
    X = np.vstack([row] * 70)
    X[np.arange(70), np.arange(1, 71)] = np.nan  # no two patterns alike: one plan for all rows
    assert np.isfinite(net.log_prob(X)).all()


def test_draws_of_missing_cells_follow_the_posterior(asia):
    codes, p = states_of(asia)
    row = asia.sample(1).assign(asia="no", xray="yes", dysp="yes")
    row.loc[:, ["tub", "smoke", "lung", "bronc", "either"]] = None
    drawn = asia.sample_conditional(row, n_draws=20_000, random_state=0)
    assert (drawn[["xray", "dysp"]] == "yes").all(axis=None)
    held = (codes[:, [0, 6, 7]] == [1, 0, 0]).all(axis=1)
    joint = p[held] / p[held].sum()
    place = np.stack([drawn[name].cat.codes for name in drawn], axis=1) @ 2 ** np.arange(8)
    share = np.bincount(place, minlength=256)[codes[held] @ 2 ** np.arange(8)] / len(drawn)
    assert np.abs(share - joint).max() < 5 * np.sqrt(0.25 / len(drawn))


def test_too_wide_a_sum_is_refused_by_name():
    d = 26
    X = np.random.default_rng(0).integers(0, 2, (40, d + 1))
    # one column that reads all others two at a time: moralised, everything is joined
    net = Network(
        [[]] * d + [[i, j] for i in range(d) for j in range(i)],
        [np.array([0.5, 0.5])] * d + [np.full((2, 2, 2), 0.5)] * (d * (d - 1) // 2),
    )
    row = np.full((1, len(net.levels)), np.nan)
    row[0, d:] = 0
    with pytest.raises(ValueError, match=r"treewidth 25.*max_parents"):
        net.log_prob(row)
    with pytest.raises(ValueError, match=r"Column 22 with its 22 parents needs a table"):
        BayesianNetwork(graph="complete").fit(X)


# ---- fit


def test_counting_the_parameters_of_the_textbook():
    X = np.random.default_rng(0).integers(0, 2, (300, 10))
    counted = {graph: BayesianNetwork(graph=graph).fit(X).n_parameters_ for graph in ("empty", "chain", "complete")}
    assert counted == {"empty": 10, "chain": 19, "complete": 1023}


def test_complete_graph_is_the_empirical_joint():
    X = (np.random.default_rng(0).random((400, 10)) < np.linspace(0.1, 0.9, 10)).astype(int)
    rows, counts = np.unique(X, axis=0, return_counts=True)
    model = BayesianNetwork(graph="complete", alpha=0).fit(X)
    np.testing.assert_allclose(np.exp(model.score_samples(rows)), counts / 400, rtol=1e-12)
    unseen = np.array([r for r in itertools.product([0, 1], repeat=10) if not (rows == r).all(axis=1).any()])
    assert (model.score_samples(unseen) == -np.inf).all()


def test_fitted_tables_are_smoothed_shares():
    _, X = ancestral(500)
    model = BayesianNetwork(graph={4: [2, 3]}, alpha=0.5, column_kinds="categorical").fit(X.astype(int))
    counts = np.zeros((2, 2, 3))
    np.add.at(counts, tuple(X[:, [2, 3, 4]].astype(int).T), 1)
    expected = (counts + 0.5) / (counts + 0.5).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(model.tables_[4].to_numpy(), expected.reshape(4, 3), rtol=1e-12)
    assert model.tables_[4].index.names == [2, 3]
    assert model.graph_ == {0: [], 1: [], 2: [], 3: [], 4: [2, 3]}


def test_weights_are_repeats():
    _, X = ancestral(120)
    X = X.astype(int)
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    for graph in ("chow_liu", "hill_climb"):
        model = BayesianNetwork(graph=graph, column_kinds="categorical", random_state=0)
        a = clone(model).fit(X, sample_weight=weight)
        b = clone(model).fit(np.repeat(X, weight, axis=0))
        np.testing.assert_allclose(a.score_samples(X), b.score_samples(X), rtol=1e-10)


def test_default_is_the_chow_liu_tree():
    _, X = ancestral(2000)
    X = X.astype(int)
    ours = BayesianNetwork(alpha=0, column_kinds="categorical").fit(X)
    tree = ChowLiuTree(alpha=0, column_kinds="categorical").fit(X)
    np.testing.assert_allclose(ours.score_samples(X), tree.score_samples(X), rtol=1e-10)


def test_em_climbs_and_finds_the_tables():
    net, X = ancestral(3000)
    X[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
    graph = dict(enumerate(net.parents))
    frame = pd.DataFrame(X, columns=range(5)).astype("Int64")
    for alpha in (0, 0.5):
        model = BayesianNetwork(graph=graph, alpha=alpha, column_kinds="categorical", tol=1e-8).fit(frame)
        history = model.history_
        assert len(history) > 3
        assert (np.diff(history) >= -1e-9 * np.abs(history[:-1])).all()
        assert history[-1] > history[0]
    for i, name in enumerate(frame):
        np.testing.assert_allclose(model.tables_[name], net.tables[i].reshape(-1, net.levels[i]), atol=0.08)
    # what maximises the likelihood of the observed cells cannot be bettered by the truth
    ml = BayesianNetwork(graph=graph, alpha=0, column_kinds="categorical", tol=1e-8).fit(frame)
    assert ml.score(frame) >= net.log_prob(X).mean()


def test_given_tables_stay_through_em():
    net, X = ancestral(500)
    X[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
    frame = pd.DataFrame(X, columns=range(5)).astype("Int64")
    model = BayesianNetwork(graph=dict(enumerate(net.parents)), tables={0: net.tables[0]}, column_kinds="categorical").fit(frame)
    np.testing.assert_array_equal(model.tables_[0], net.tables[0])
    assert not np.allclose(model.tables_[1], net.tables[1], atol=1e-4)


@pytest.mark.parametrize("criterion", ["bic", "bdeu"])
def test_hill_climbing_finds_what_made_the_data(criterion):
    net, X = ancestral(4000, seed=1)
    model = BayesianNetwork(graph="hill_climb", criterion=criterion, column_kinds="categorical").fit(X.astype(int))
    skeleton = {frozenset((i, j)) for i, above in model.graph_.items() for j in above}
    assert skeleton == {frozenset((0, 1)), frozenset((1, 2)), frozenset((2, 4)), frozenset((3, 4))}
    assert set(model.graph_[4]) == {2, 3}  # the collider is what data can tell
    _, test = ancestral(4000, seed=2)
    tree = ChowLiuTree(column_kinds="categorical").fit(X.astype(int))
    assert model.score(test.astype(int)) > tree.score(test.astype(int))
    assert net.log_prob(test).mean() - model.score(test.astype(int)) < 0.02


def test_hill_climbing_with_missing_cells_and_a_bound():
    _, X = ancestral(3000)
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    frame = pd.DataFrame(X, columns=range(5)).astype("Int64")
    model = BayesianNetwork(graph="hill_climb", max_parents=1, column_kinds="categorical", random_state=0).fit(frame)
    assert max(len(above) for above in model.graph_.values()) == 1
    assert model.score(frame) > BayesianNetwork(graph="empty", column_kinds="categorical").fit(frame).score(frame)


def test_scores_against_their_formulas():
    from scipy.special import gammaln

    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (200, 3)).astype(float)
    counts = np.zeros((3, 3))
    np.add.at(counts, (X[:, 0].astype(int), X[:, 1].astype(int)), 1)
    total = counts.sum(axis=1, keepdims=True)
    bic = (counts * np.log(counts / total)).sum() - np.log(200) / 2 * 6
    assert TableScore(X, np.ones(200), [3, 3, 3])(1, [0]) == pytest.approx(bic)
    cell = 5 / 9
    bdeu = (gammaln(3 * cell) - gammaln(total + 3 * cell)).sum() + (gammaln(counts + cell) - gammaln(cell)).sum()
    score = TableScore(X, np.ones(200), [3, 3, 3], "bdeu", 5.0)
    assert score(1, [0]) == pytest.approx(bdeu)
    assert score.with_each(1, [], [0, 2])[0] == pytest.approx(bdeu)


def test_no_single_change_betters_a_climbed_graph():
    rng = np.random.default_rng(3)
    net = random_network(rng, [2, 3, 2, 2, 3, 2])
    score = TableScore(net.sample(1500, rng), np.ones(1500), net.levels)
    found = hill_climb(score, 6)
    best = sum(score(i, above) for i, above in enumerate(found))
    for j, i in itertools.permutations(range(6), 2):
        for what in ("add", "drop", "turn"):
            other = [list(above) for above in found]
            if what == "add" and j not in other[i]:
                other[i].append(j)
            elif what != "add" and j in other[i]:
                other[i].remove(j)
                if what == "turn":
                    other[j].append(i)
            if not graphs.find_cycle(other):
                assert sum(score(i, above) for i, above in enumerate(other)) <= best + 1e-6


# ---- graphs


def test_d_separation_is_independence_in_random_networks():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(15):
        net = random_network(rng, [2] * 5, most=2)
        codes = np.array(list(itertools.product(range(2), repeat=5)))
        p = np.exp(net.log_prob(codes.astype(float))).reshape([2] * 5)
        for a, b, *rest in itertools.permutations(range(5), 4):
            given = rest[: rng.integers(0, 3)]
            others = tuple(i for i in range(5) if i not in (a, b, *given))
            joint = p.sum(axis=others, keepdims=True)
            independent = joint * joint.sum(axis=(a, b), keepdims=True) - joint.sum(axis=a, keepdims=True) * joint.sum(
                axis=b, keepdims=True
            )
            said = graphs.d_separated(net.parents, [a], [b], given)
            assert said == bool(np.abs(independent).max() < 1e-9)
            seen.add(said)
    assert seen == {True, False}


def test_is_independent_by_name(asia):
    assert asia.is_independent("asia", "smoke")
    assert not asia.is_independent("asia", "smoke", given="dysp")
    assert asia.is_independent("xray", ["smoke", "asia"], given=["either"])
    with pytest.raises(ValueError, match="did you mean 'smoke'"):
        asia.is_independent("smoky", "asia")


def test_elimination_covers_every_scope():
    rng = np.random.default_rng(0)
    net = random_network(rng, [2] * 12)
    scopes = [{*above, i} for i, above in enumerate(net.parents)]
    cliques = [set(clique) for clique in graphs.elimination(scopes, net.levels)]
    assert all(any(scope <= clique for clique in cliques) for scope in scopes)
    for at, clique in enumerate(cliques):  # running intersection: what is left of a clique lies in a later one
        rest = clique - {graphs.elimination(scopes, net.levels)[at][0]}
        assert not rest or any(rest <= later for later in cliques[at + 1 :])


# ---- as every model


def test_classes_have_graphs_of_their_own():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, (600, 1))
    same, apart = np.hstack([a, a, rng.integers(0, 2, (600, 1))]), np.hstack([rng.integers(0, 2, (600, 1)), a, a])
    X, y = np.vstack([same, apart]), np.repeat(["same", "apart"], 600)
    model = BayesianNetwork(random_state=0).fit(X, y)
    assert model.densities_[0].graph_ != model.densities_[1].graph_
    assert model.score(X, y) > 0.7
    p = model.marginals({0: 1, 1: 0})[2][1]
    assert p == pytest.approx(model.predict_missing(np.array([[1, 0, np.nan]]), 2)[0, 1], abs=1e-12)


def test_continuous_columns_in_bins():
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    X = pd.DataFrame({"x": x, "y": x + rng.normal(0, 0.5, 3000)})
    model = BayesianNetwork(graph={"y": ["x"]}).fit(X)
    assert model.score(X) > BayesianNetwork(graph="empty").fit(X).score(X) + 0.3
    assert model.likelihood_ == "exact"
    assert len(model.marginals({"x": 2.0})["y"]) == len(model.tables_["y"].columns)


def test_pickle_keeps_the_answers(asia):
    rows = asia.sample(20)
    question = rows.mask(np.random.default_rng(0).random(rows.shape) < 0.3)
    before = asia.score_samples(question)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(asia)).score_samples(question), before)


def test_an_unknown_name_of_a_graph():
    with pytest.raises(ValueError, match="'forest' must be a dict"):
        BayesianNetwork(graph="forest").fit(np.eye(3))


# ---- linear-Gaussian columns


def mixed_network():
    """a -> b, a -> c, (b, c) -> d -> e; a and c have 2 and 3 levels, the others are continuous."""
    return MixedNetwork(
        [[], [0], [0], [1, 2], [3]],
        [2, 0, 3, 0, 0],
        [np.array([0.3, 0.7]), np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])],
        [
            (np.array([[0.0], [2.0]]), np.array([1.0, 0.5])),
            (np.array([[0, 1.0], [1, -1], [2, 0.5]]), np.array([0.3, 0.6, 0.2])),
            (np.array([[0.5, 0.7]]), np.array([0.4])),
        ],
    )


def mixed_by_hand(x):
    """log p of one row of that network: the normals of its six configurations, written out."""
    terms = []
    for a, c in itertools.product(range(2), range(3)):
        if (not np.isnan(x[0]) and x[0] != a) or (not np.isnan(x[2]) and x[2] != c):
            continue
        p = [0.3, 0.7][a] * [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]][a][c]
        (b0, b1), v = [(0, 1.0), (1, -1), (2, 0.5)][c], [0.3, 0.6, 0.2][c]
        mean, var = [0, 2][a], [1, 0.5][a]
        m = np.array([mean, b0 + b1 * mean, 0.5 + 0.7 * (b0 + b1 * mean)])
        dd = b1**2 * var + v
        S = np.array([[var, b1 * var, 0.7 * b1 * var], [0, dd, 0.7 * dd], [0, 0, 0.49 * dd + 0.4]])
        S = np.triu(S) + np.triu(S, 1).T
        z = x[[1, 3, 4]]
        o = ~np.isnan(z)
        terms.append(np.log(p) + (stats.multivariate_normal(m[o], S[np.ix_(o, o)]).logpdf(z[o]) if o.any() else 0))
    return np.logaddexp.reduce(terms)


def mixed_frame(X):
    frame = pd.DataFrame(X, columns=list("abcde"))
    for name, states in (("a", ["n", "y"]), ("c", ["p", "q", "r"])):
        frame[name] = pd.Categorical.from_codes(X[:, "abcde".index(name)].astype(int), states)
    return frame


MIXED = {"b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d"]}


def test_mixed_log_p_and_posteriors_equal_the_sums_by_hand():
    rng = np.random.default_rng(0)
    net = mixed_network()
    X = net.sample(150, rng)
    X[50:][rng.random((100, 5)) < 0.5] = np.nan
    np.testing.assert_allclose(net.log_prob(X), [mixed_by_hand(x) for x in X], atol=1e-10)
    question = np.array([[np.nan, np.nan, np.nan, 0.3, 1.0]])
    margins = net.marginals(question)
    both = np.array([[mixed_by_hand(np.array([a, np.nan, c, 0.3, 1.0])) for c in range(3)] for a in range(2)])
    joint = np.exp(both - mixed_by_hand(question[0]))
    np.testing.assert_allclose(margins[0][0], joint.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(margins[2][0], joint.sum(axis=0), atol=1e-12)
    grid = np.linspace(-5, 7, 151)
    p = np.exp([mixed_by_hand(np.array([np.nan, b, np.nan, 0.3, 1.0])) for b in grid])
    mean = (grid * p).sum() / p.sum()
    assert margins[1][0, 0] == pytest.approx(mean, abs=1e-6)
    assert margins[1][0, 1] == pytest.approx(np.sqrt((grid**2 * p).sum() / p.sum() - mean**2), abs=1e-6)
    drawn = net.sample_missing(np.repeat(question, 20_000, axis=0), rng)
    assert (drawn[:, 3:] == question[0, 3:]).all()
    assert np.abs(np.bincount(drawn[:, 2].astype(int)) / len(drawn) - margins[2][0]).max() < 0.02
    assert stats.kstest(drawn[:, 1], lambda b: np.interp(b, grid, (np.cumsum(p) - p / 2) / p.sum())).pvalue > 1e-3


def test_mixed_fit_finds_the_parameters_and_em_climbs():
    rng = np.random.default_rng(0)
    net = mixed_network()
    X = net.sample(4000, rng)
    frame = mixed_frame(X)
    model = BayesianNetwork(graph=MIXED, continuous="linear_gaussian", alpha=0).fit(frame)
    assert model.n_parameters_ == 1 + 4 + 4 + 9 + 3
    d = model.tables_["d"]
    for c, state in enumerate("pqr"):  # least squares, and the units of the data
        at = X[:, 2] == c
        u = np.column_stack([np.ones(at.sum()), X[at, 1]])
        b, residual, *_ = np.linalg.lstsq(u, X[at, 3], rcond=None)
        np.testing.assert_allclose(d.loc[state, ["intercept", "b", "sd"]], [*b, np.sqrt(residual[0] / at.sum())], rtol=1e-8)
    assert net.log_prob(X).mean() <= model.score(frame) < net.log_prob(X).mean() + 0.01
    gaps = frame.mask(rng.random(frame.shape) < 0.3).iloc[:600]
    for alpha in (0, 0.5):
        fitted = BayesianNetwork(graph=MIXED, continuous="linear_gaussian", alpha=alpha).fit(gaps)
        assert (np.diff(fitted.history_) >= -1e-9).all()
        assert fitted.history_[-1] > fitted.history_[0]
        assert fitted.score(frame) > net.log_prob(X).mean() - 0.08


def test_complete_gaussian_graph_is_one_normal():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)) * [1, 10, 100, 0.1] + 5
    model = BayesianNetwork(graph="complete", continuous="linear_gaussian", alpha=0).fit(X)
    mean, cov = X.mean(axis=0), np.cov(X.T, bias=True)
    X[rng.random(X.shape) < 0.4] = np.nan
    seen = ~np.isnan(X)
    expected = [
        stats.multivariate_normal(mean[o], cov[np.ix_(o, o)]).logpdf(x[o]) if o.any() else 0.0 for x, o in zip(X, seen, strict=True)
    ]
    np.testing.assert_allclose(model.score_samples(X), expected, atol=1e-9)
    margins = model.marginals({0: 6.0})
    gain = cov[1, 0] / cov[0, 0]
    assert margins[1]["mean"] == pytest.approx(mean[1] + gain * (6 - mean[0]))
    assert margins[1]["sd"] == pytest.approx(np.sqrt(cov[1, 1] - gain * cov[0, 1]))


def test_mixed_scores_are_the_bic_of_their_regressions():
    X = mixed_network().sample(500, np.random.default_rng(0))
    levels = [2, 0, 3, 0, 0]
    score = MixedScore(X, np.ones(500), levels, TableScore(X, np.ones(500), levels), alpha=0.0)
    expected = 0.0
    for c in range(3):
        at = X[:, 2] == c
        u = np.column_stack([np.ones(at.sum()), X[at, 1]])
        b = np.linalg.lstsq(u, X[at, 3], rcond=None)[0]
        rest = X[at, 3] - u @ b
        expected += stats.norm(0, np.sqrt(np.mean(rest**2))).logpdf(rest).sum() - np.log(500) / 2 * 3
    assert score(3, [2, 1]) == pytest.approx(expected)
    assert score.with_each(3, [2], [1])[0] == pytest.approx(expected)


def test_mixed_graphs_are_found():
    frame = mixed_frame(mixed_network().sample(4000, np.random.default_rng(0)))
    scores = {}
    for graph in ("empty", "chow_liu", "chain", "hill_climb", "complete"):
        model = BayesianNetwork(graph=graph, continuous="linear_gaussian").fit(frame)
        scores[graph] = model.score(frame)
        assert all(not {"b", "d", "e"} & set(model.graph_[name]) for name in "ac")
        if graph == "hill_climb":
            assert {k: set(v) for k, v in model.graph_.items() if k in "bde"} == {"b": {"a"}, "d": {"b", "c"}, "e": {"d"}}
    assert scores["empty"] < scores["chow_liu"] < scores["hill_climb"] <= scores["complete"]


def test_a_discrete_column_has_no_continuous_parent():
    frame = mixed_frame(mixed_network().sample(100, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"'c' is discrete and has the continuous parent 'b'.*continuous='bins'"):
        BayesianNetwork(graph={"c": ["b"]}, continuous="linear_gaussian").fit(frame)
    assert np.isfinite(BayesianNetwork(graph={"c": ["b"]}).fit(frame).score(frame))
    with pytest.raises(ValueError, match="'b', a continuous column"):
        BayesianNetwork(graph={}, tables={"b": [[1.0]]}, continuous="linear_gaussian").fit(frame)


def test_too_many_configurations_are_refused_by_name():
    d = 13
    net = MixedNetwork([[] for _ in range(d)] + [[i] for i in range(d)], [2] * d + [0] * d)
    row = np.full((1, 2 * d), np.nan)
    row[0, d:] = 0
    with pytest.raises(ValueError, match="misses 13 discrete columns"):
        net.log_prob(row)
    row[0, 0] = 1
    assert net.log_prob(row)[0] == pytest.approx(np.log(0.5) + d * stats.norm.logpdf(0))


def test_states_may_be_booleans():
    parents = {"rain": [], "wet": ["rain"]}
    tables = {"rain": {True: 0.3, False: 0.7}, "wet": {True: {True: 0.9, False: 0.1}, False: {True: 0.2, False: 0.8}}}
    states = {"rain": [True, False], "wet": [False, True]}
    model = BayesianNetwork.from_dict({"states": states, "parents": parents, "tables": tables})
    rows = pd.DataFrame({"rain": [True, False], "wet": [False, True]})
    assert np.allclose(np.exp(model.score_samples(rows)), [0.3 * 0.1, 0.7 * 0.2])
    again = BayesianNetwork.from_dict({"states": states, "parents": parents, "tables": model.tables_})
    assert np.allclose(again.score_samples(rows), model.score_samples(rows))
