"""Limits of pomegranate 1.1.2, shown as they are: where one of these tests fails, the README is out of date."""

import itertools

import numpy as np
import pytest
import torch
from pomegranate.bayesian_network import BayesianNetwork
from pomegranate.distributions import Categorical, IndependentComponents, Normal
from pomegranate.hmm import DenseHMM
from skgen_pomegranate import PomegranateBayesianNetwork

import skgen


def net(X, **parameters):
    return PomegranateBayesianNetwork(column_kinds="categorical", **parameters).fit(X)


def states(n=200, T=4):
    """Paths that mostly stay."""
    rng = np.random.default_rng(0)
    return (np.cumsum(rng.random((n, T)) < 0.2, axis=1) + rng.integers(0, 2, (n, 1))) % 2


def numbers():
    return np.random.default_rng(1).normal(size=(150, 5))


def codes():
    u = np.random.default_rng(1).random((200, 4, 1))
    return (np.array([[0.7, 0.9, 1.0], [0.1, 0.3, 1.0]])[states()] < u).sum(axis=2)


def chain(levels, n=4000):
    """Columns 0 - 2 - 3 - 1, each mostly the one before, and one on its own of as many levels as given."""
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 2, n)]
    for _ in range(3):
        x.append(np.where(rng.random(n) < 0.9, x[-1], 1 - x[-1]))
    return np.column_stack([x[0], x[3], x[1], x[2], rng.integers(0, levels, n)])


def test_the_tree_is_the_likeliest_where_all_columns_have_as_many_levels():
    X = chain(2)
    ours = skgen.ChowLiuTree(alpha=0, column_kinds="categorical").fit(X)
    assert net(X, inertia=0).score(X) == pytest.approx(ours.score(X), abs=1e-5)


@pytest.mark.parametrize("pseudocount", [0.0, 1.0])
def test_the_tree_is_a_star_where_they_have_not(pseudocount):
    X = chain(3)
    model = net(X, inertia=0, pseudocount=pseudocount)
    assert model.graph_ == {0: [], 1: [0], 2: [0], 3: [0], 4: [0]}
    assert model.score(X) < skgen.ChowLiuTree(alpha=0, column_kinds="categorical").fit(X).score(X) - 0.1


def test_exact_takes_every_parent_where_levels_never_meet_unless_given_pseudo_counts():
    X = chain(3)
    without, given = (net(X, algorithm="exact", pseudocount=p) for p in (0.0, 1.0))
    assert sum(map(len, without.graph_.values())) == 10
    assert sum(map(len, given.graph_.values())) == 3


def test_tables_have_no_pseudo_counts():
    X = torch.tensor([[0, 0], [1, 1]] * 20)
    model = BayesianNetwork(algorithm="chow-liu", pseudocount=5.0).fit(X)
    assert float(model.distributions[1].probs[0][0, 1]) == 0


def test_p_of_all_sequences_of_one_length_is_that_of_ending_then():
    nodes = [Categorical([[0.7, 0.3]]), Categorical([[0.2, 0.8]])]
    model = DenseHMM(nodes, edges=[[0.6, 0.2], [0.3, 0.5]], starts=[0.5, 0.5], ends=[0.2, 0.2])
    every = torch.tensor(list(itertools.product([0, 1], repeat=3)))[:, :, None]
    assert float(model.log_probability(every).exp().sum()) == pytest.approx(0.8 * 0.8 * 0.2)


def test_pomegranates_fit_refuses_weights_where_it_has_to_start():
    steps = torch.from_numpy(numbers()).float()[:, :, None]
    with pytest.raises(ValueError, match="sample_weight"):
        DenseHMM([Normal(), Normal()]).fit(steps, sample_weight=torch.ones(len(steps)))


def test_pomegranates_start_is_no_distribution_so_that_its_fit_stops_after_a_step():
    X = codes()
    steps = torch.from_numpy(X)[:, :, None]
    tables = [[[0.5, 0.3, 0.2]], [[0.2, 0.3, 0.5]]]
    short = DenseHMM([Categorical(p) for p in tables]).fit(steps)
    longer = DenseHMM([Categorical(p) for p in tables], edges=[[0.375] * 2] * 2, starts=[0.5] * 2, ends=[0.25] * 2).fit(steps)
    assert float(longer.log_probability(steps).mean()) > float(short.log_probability(steps).mean()) + 0.01


def test_pomegranate_has_no_emission_of_both_kinds():
    nodes = [IndependentComponents([Normal([m], [1.0], covariance_type="diag"), Categorical([[0.5, 0.5]])]) for m in (-1.0, 1.0)]
    model = DenseHMM(nodes, edges=[[0.4, 0.4]] * 2, starts=[0.5, 0.5], ends=[0.2, 0.2])
    with pytest.raises(IndexError, match="tensors used as indices"):
        model.log_probability(torch.zeros(3, 2, 2))


def test_pomegranates_min_cov_is_not_used():
    assert float(Normal(min_cov=0.1).fit(torch.zeros(5, 1)).covs) == 0
