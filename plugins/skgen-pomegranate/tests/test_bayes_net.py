"""What is true of the Bayesian network alone, and what pomegranate does that the README says."""

import itertools
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from pomegranate.bayesian_network import BayesianNetwork as Theirs
from skgen_pomegranate import PomegranateBayesianNetwork

import skgen

GRAPH = {1: [0], 2: [0, 1], 3: [2]}
LEVELS = (2, 3, 2, 4)


def rows(n=3000, seed=0):
    """Codes of a network over GRAPH in which every combination occurs."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2, n)
    b = np.where(rng.random(n) < 0.6, a, rng.integers(0, 3, n))
    c = np.where(rng.random(n) < 0.7, (a + b) % 2, rng.integers(0, 2, n))
    d = np.where(rng.random(n) < 0.5, 2 * c, rng.integers(0, 4, n))
    return np.column_stack([a, b, c, d])


def fit(X, **parameters):
    return PomegranateBayesianNetwork(column_kinds="categorical", **parameters).fit(X)


STATES = np.array(list(itertools.product(*map(range, LEVELS))))


@pytest.mark.parametrize("how", [{"graph": GRAPH}, {}, {"algorithm": "exact", "pseudocount": 1.0}])
def test_p_sums_to_one_over_all_states_and_is_the_product_of_the_tables(how):
    model = fit(rows(), **how)
    log_p = model.score_samples(STATES)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
    product = np.zeros(len(STATES))
    for node, above in model.graph_.items():
        product += np.log(model.tables_[node][tuple(STATES[:, j] for j in (*above, node))])
    np.testing.assert_allclose(log_p, product, rtol=1e-12)


def test_log_p_is_pomegranates_own():
    X = rows()
    model = fit(X, graph=GRAPH, inertia=0)
    theirs = Theirs(structure=((), (0,), (0, 1), (2,))).fit(torch.from_numpy(X))
    np.testing.assert_allclose(model.score_samples(STATES), theirs.log_probability(torch.from_numpy(STATES)).numpy(), atol=2e-6)
    np.testing.assert_allclose(model.score_samples(STATES), model.network_.log_probability(torch.from_numpy(STATES)), atol=2e-6)


def test_it_differs_from_skgens_by_the_smoothing_alone():
    X = rows()
    ours = skgen.BayesianNetwork(graph=GRAPH, alpha=0, column_kinds="categorical").fit(X)
    np.testing.assert_allclose(fit(X, graph=GRAPH, inertia=0).score_samples(STATES), ours.score_samples(STATES), atol=2e-6)
    # theirs mixes each row of a table with the even one, ours adds alpha to each count
    blend = fit(X, graph=GRAPH, inertia=0.2)
    for node, table in blend.tables_.items():
        likeliest = ours.tables_[node].to_numpy().reshape(table.shape)
        np.testing.assert_allclose(table, 0.2 / table.shape[-1] + 0.8 * likeliest, atol=1e-6)


def test_draws_are_of_the_density():
    model = fit(rows(), graph=GRAPH)
    n = 100_000
    drawn = model.sample(n, random_state=1)
    code = np.ravel_multi_index(tuple(drawn.T.astype(int)), LEVELS)
    share, p = np.bincount(code, minlength=len(STATES)) / n, np.exp(model.score_samples(STATES))
    assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-5).all()


@pytest.mark.parametrize("algorithm", ["chow-liu", "exact"])
def test_a_weight_is_so_many_rows(algorithm):
    X = rows(400)
    weight = np.random.default_rng(1).integers(0, 4, len(X))
    weighted = PomegranateBayesianNetwork(column_kinds="categorical", algorithm=algorithm, pseudocount=1.0)
    weighted.fit(X, sample_weight=weight)
    repeated = fit(np.repeat(X, weight, axis=0), algorithm=algorithm, pseudocount=1.0)
    assert weighted.graph_ == repeated.graph_
    np.testing.assert_allclose(weighted.score_samples(STATES), repeated.score_samples(STATES), atol=1e-6)
    assert np.abs(weighted.score_samples(STATES) - fit(X, algorithm=algorithm, pseudocount=1.0).score_samples(STATES)).max() > 0.1


def test_a_class_is_its_own_network():
    X = rows()
    y = X[:, 0]
    model = PomegranateBayesianNetwork(graph=GRAPH, column_kinds="categorical").fit(X, y)
    read = skgen.columns(X, "categorical")
    for k in range(2):
        alone = PomegranateBayesianNetwork(graph=GRAPH, column_kinds=read).fit(X[y == k])
        np.testing.assert_allclose(
            model.predict_joint_log_proba(STATES)[:, k] - np.log(np.mean(y == k)), alone.score_samples(STATES)
        )
    assert model.score(X, y) == 1.0


def test_a_level_that_was_declared_and_not_seen_has_the_smoothing():
    X = pd.DataFrame({"a": pd.Categorical(["x", "y"] * 50, ["x", "y", "z"]), "b": [True, False] * 50})
    model = PomegranateBayesianNetwork(graph={"b": ["a"]}, inertia=0.3).fit(X)
    np.testing.assert_allclose(model.tables_["a"], [0.45, 0.45, 0.1], atol=1e-6)
    np.testing.assert_allclose(model.tables_["b"][2], [0.5, 0.5], atol=1e-6)
    assert PomegranateBayesianNetwork(graph={}, inertia=0).fit(X).tables_["a"][2] == 0


def test_copies_and_files_are_bit_for_bit(tmp_path):
    X = rows()
    model = fit(X, random_state=0)
    skgen.save(model, tmp_path / "net.skgen")
    for other in (pickle.loads(pickle.dumps(model)), skgen.load(tmp_path / "net.skgen")):
        np.testing.assert_array_equal(other.score_samples(X), model.score_samples(X))
        np.testing.assert_array_equal(other.sample(50), model.sample(50))
    assert len(pickle.dumps(model)) < 10_000  # the arrays alone


def test_an_update_mixes_with_the_tables_as_they_are():
    X = rows()
    model = fit(X, graph=GRAPH, inertia=0.5)
    density = model.densities_[0]
    before = model.tables_
    density._log_prob(STATES.astype(float))  # the object that is kept must not outlive the arrays
    density._update(X.astype(float), np.ones(len(X)), None)
    likeliest = fit(X, graph=GRAPH, inertia=0).tables_
    for node, table in model.tables_.items():
        np.testing.assert_allclose(table, 0.5 * before[node] + 0.5 * likeliest[node], atol=1e-6)
    product = sum(np.log(t[tuple(STATES[:, j] for j in (*model.graph_[i], i))]) for i, t in model.tables_.items())
    np.testing.assert_allclose(model.score_samples(STATES), product, rtol=1e-12)


def test_no_global_generator_moves():
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(rows(), random_state=0).sample(100)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_the_import_leaves_the_threads_of_torch():
    code = "import torch; torch.set_num_threads(1); import skgen_pomegranate; assert torch.get_num_threads() == 1"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("graph", "says"),
    [({0: [1], 1: [0]}, "cycle"), ({0: ["a"]}, "'a'"), ({9: []}, "9"), ({0: "b"}, "list of columns"), ({0: [0]}, "cycle")],
)
def test_a_graph_that_is_none_is_refused(graph, says):
    with pytest.raises(ValueError, match=says):
        fit(rows(50), graph=graph)


def test_a_table_of_too_many_cells_is_refused():
    X = np.random.default_rng(0).integers(0, 50, (2000, 5))
    with pytest.raises(ValueError, match=r"column|Column .* fewer parents"):
        fit(X, graph={0: [1, 2, 3, 4]})


def test_exact_without_enough_weight_names_the_remedy():
    with pytest.raises(ValueError, match="max_parents"):
        PomegranateBayesianNetwork(algorithm="exact", column_kinds="categorical").fit(rows(50), sample_weight=np.full(50, 1e-3))
