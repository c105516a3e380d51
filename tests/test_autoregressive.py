"""FVSBN, NADE and MADE as networks: they are normalised, blind to what comes later, and draw what they score."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from nets import NETWORKS, bits, grid, labels, log_joint, make, mixed, network, observed_first, shaken, slow_complete, with_bug
from scipy import stats

import skgen
from skgen.models.autoregressive import fvsbn, made, nade
from skgen.ops.conditionals import Conditionals

STATES = np.array(list(itertools.product([0, 1], repeat=8)))
every_network = pytest.mark.parametrize("which", NETWORKS)


def tensor(X):
    return torch.from_numpy(np.asarray(X, dtype=float))


# ---- normalised


@every_network
@pytest.mark.parametrize("n_orders", [1, 3])
@pytest.mark.parametrize("y", [None, "shared", "separate"])
def test_sums_to_one_over_bits(which, n_orders, y):
    model = make(which, n_orders=n_orders, order="random", class_conditional=y or "shared")
    model = shaken(model, bits(), None if y is None else labels())
    assert np.isclose(np.exp(model.score_samples(STATES)).sum(), 1, atol=1e-6)
    if y is not None:
        joint = np.exp(model.predict_joint_log_proba(STATES)).sum(axis=0)
        assert np.allclose(joint, np.exp(model.class_log_prior_), atol=1e-6)


@every_network
@pytest.mark.parametrize("n_orders", [1, 3])
@pytest.mark.parametrize("names", ["ct", "ctb", "cib", "cxt"])
def test_sums_to_one_over_mixed_columns(which, n_orders, names):
    X = mixed()[list(names)]
    model = shaken(make(which, n_orders=n_orders, order=list(names)[::-1]), X, noise=0.3)
    states, cell = grid(X, names)
    log_p = model.score_samples(states) + cell
    assert np.isclose(np.exp(log_p).sum(), 1, atol=1e-5 if "x" in names else 1e-6)
    assert np.exp(log_p).max() < 0.9


@pytest.mark.parametrize("hidden", [[], [1], [0, 3, 6]])
@every_network
def test_what_is_observed_sums_to_one(which, hidden):
    model = shaken(make(which, n_orders=3), bits())
    states = np.delete(STATES, hidden, axis=1)
    states = np.unique(states, axis=0)
    asked = np.full((len(states), 8), np.nan)
    asked[:, np.setdiff1d(np.arange(8), hidden)] = states
    assert np.isclose(np.exp(model.score_samples(asked)).sum(), 1, atol=1e-6)


# ---- blind to what comes later


def sensitivity(net, features, place, member, c=None):
    """max |d output / d feature| over rows, (P, F), by back-propagation."""
    features = features.clone().requires_grad_()
    out = net.outputs(features, c, place, member)
    rows = [torch.autograd.grad(out[:, p].sum(), features, retain_graph=True)[0].abs().amax(dim=0) for p in range(out.shape[1])]
    return torch.stack(rows)


def moved(net, features, place, member, c=None):
    """max |change of an output| when the features of one column change, (P, d), by forward passes alone."""
    before, out = net.outputs(features, c, place, member), []
    for j in range(net.n_columns):
        other = features.clone()
        at = net.feature_owner == j
        other[:, at] = features[:, at].roll(1, dims=0) + 0.3
        out.append((net.outputs(other, c, place, member) - before).abs().amax(dim=0))
    return torch.stack(out, dim=1)


def assert_blind(net, X, place, member, c=None, all_seen=True):
    """Outputs of a column depend on all columns before it and on nothing else; zeros are exact."""
    features = net.features(X)
    may = place[net.parameter_owner][:, None] > place[net.feature_owner]
    slope = sensitivity(net, features, place, member, c)
    assert (slope[~may] == 0).all(), "an output sees a column that has not come"
    change = moved(net, features, place, member, c)
    may_column = place[net.parameter_owner][:, None] > place
    assert (change[~may_column] == 0).all(), "an output moves with a column that has not come"
    if all_seen:
        assert (slope[may] > 0).all(), "an output does not see a column before it"
        assert (change[may_column] > 0).all(), "an output does not move with a column before it"


@every_network
@pytest.mark.parametrize("n_orders", [1, 3])
@pytest.mark.parametrize("order", [None, "random", [2, 0, 4, 1, 3]])
def test_outputs_see_the_columns_before_them_alone(which, n_orders, order):
    X = mixed()
    model = shaken(make(which, n_orders=n_orders, order=order), X, labels())
    net, Z = network(model), tensor(model.columns_.encode(X)[0])
    c = torch.eye(3, dtype=Z.dtype)[torch.arange(60) % 3]
    for m in range(net.n_members):
        # random degrees need not leave a path from every column to every later one
        assert_blind(net, Z, net.place(net.orders[m % len(net.orders)]), m, c, all_seen=which != "made masks")
    if n_orders > 1:
        assert_blind(net, Z, net.place(torch.randperm(5, generator=torch.Generator().manual_seed(3))), 0, c)


BUGS = [
    ("fvsbn", fvsbn._Network, "outputs", "< place[self.parameter_owner]", "<= place[self.parameter_owner]"),
    ("made", made._Network, "outputs", "shown < made_for", "shown <= made_for"),
    ("made deep", made._Network, "outputs", "degree[:, None] >= seen", "degree[:, None] + 1 >= seen"),
    ("made deep", made._Network, "outputs", "made_for >= seen", "made_for + 1 >= seen"),
    ("made", made._Network, "outputs", "made_for >= seen", "made_for > seen + 99"),
]


@pytest.mark.parametrize(("which", "owner", "method", "old", "new"), BUGS)
def test_planted_mask_bugs_are_found(which, owner, method, old, new, monkeypatch):
    X = bits()
    parameters = {} if "99" not in new else {"direct": False}
    net = network(shaken(make(which, **parameters), X))
    assert_blind(net, tensor(X), net.place(net.orders[0]), 0)
    monkeypatch.setattr(owner, method, with_bug(getattr(owner, method), old, new))
    with pytest.raises(AssertionError, match="an output"):
        assert_blind(net, tensor(X), net.place(net.orders[0]), 0)


def test_nade_told_before_it_answers_is_found(monkeypatch):
    X = bits()
    net, right = network(shaken(make("nade"), X)), nade._Scan.apply

    def early(a, x, W, V, *rest):  # a feature a column: each column is told itself first
        return right(a + x[:, :1] @ W[:1], x.roll(-1, dims=1), W.roll(-1, dims=0), V, *rest)

    monkeypatch.setattr(nade._Scan, "apply", staticmethod(early))
    with pytest.raises(AssertionError, match="an output sees a column that has not come"):
        assert_blind(net, tensor(X), net.place(net.orders[0]), 0)


# ---- where the hidden units of MADE are


def assert_units_by_entropy(X, order=None, **parameters):
    """Units of degree m are as many, to one, as the entropy of the column at place m asks for; the network stays blind."""
    size = 200
    model = shaken(skgen.make("made", hidden_layer_sizes=(size,), order=order, random_state=0, **parameters), X)
    net, p = network(model), np.mean(X, axis=0)[slice(None) if order is None else order]
    entropy = stats.entropy([p, 1 - p])[1:]
    units = np.bincount(net.degree_0[0].numpy(), minlength=X.shape[1])[1:]
    assert np.abs(units - size * entropy / entropy.sum()).max() <= 1, units
    assert_blind(net, tensor(X), net.place(net.orders[0]), 0)
    return net


@pytest.mark.parametrize("order", [None, [7, 2, 5, 0, 1, 6, 4, 3]])
def test_made_has_its_units_where_there_is_something_to_tell(order):
    X = (np.random.default_rng(1).random((300, 8)) < [0.5, 0.5, 0.02, 0.1, 0.5, 0.01, 0.3, 0.5]).astype(int)
    net = assert_units_by_entropy(X, order, column_kinds="binary", n_masks=2)
    for m in (0, 1):
        place = net.place(net.orders[0])
        assert_blind(net, tensor(X), place, m)
        states = net.log_prob_columns(tensor(STATES), None, m).sum(dim=1)
        assert np.isclose(torch.exp(states).sum(), 1, atol=1e-6)


def test_units_placed_by_another_column_are_found(monkeypatch):
    X = (np.random.default_rng(1).random((300, 8)) < [0.5, 0.5, 0.02, 0.1, 0.5, 0.01, 0.3, 0.5]).astype(int)
    wrong = with_bug(made._Network._shares_of_degrees, "numpy()[1:]", "numpy()[:-1]")
    monkeypatch.setattr(made._Network, "_shares_of_degrees", wrong)
    with pytest.raises(AssertionError):
        assert_units_by_entropy(X, column_kinds="binary")


@pytest.mark.parametrize(("X", "n_orders", "even"), [("constant", 1, True), ("bits", 3, True), ("mixed", 1, False)])
def test_every_degree_has_its_units(X, n_orders, even):
    """Evenly many where nothing speaks for more: constant columns, any order. No column of a mixed table is left out."""
    X = {"constant": np.zeros((20, 5), dtype=int), "bits": bits(30, 5), "mixed": mixed()}[X]
    kinds = "auto" if n_orders == 1 and not even else "binary"
    model = skgen.make("made", hidden_layer_sizes=(90,), n_orders=n_orders, n_components=1, column_kinds=kinds)
    units = np.bincount(network(shaken(model, X)).degree_0[0].numpy(), minlength=5)
    assert len(units) == 5
    assert units[0] == 0
    assert (units[1:] > 0).all()
    assert not even or np.ptp(units[1:]) <= 1


# ---- NADE's own way back


def plain_nade(net, features, place, c=None):
    """h_i = activation(c + sum_(k<i) W_k x_k), one matrix product a column, by automatic differentiation."""
    activation, out = (torch.relu if net._relu else torch.sigmoid), [None] * net.n_parameters
    for j in range(net.n_columns):
        before = (place[net.feature_owner] < place[j]).to(features)
        a = net.start + (features * before) @ net.input
        a = a if c is None else a + net.start_by_class(c)
        for p in torch.nonzero(net.parameter_owner == j)[:, 0].tolist():
            out[p] = activation(a) @ net.weight[p]
    bias = net.bias if c is None else net.bias + c @ net.bias_by_class
    return torch.stack(out, dim=1) + bias


def assert_gradients(net, x, c=None):
    """Outputs and all gradients of the scan are those of the plain loop, and of finite differences."""
    place = net.place(net.orders[0])
    leaves = [net.start, net.input, net.weight, net.bias]
    for p in net.parameters():
        p.requires_grad_()
    weight = torch.randn(len(x), net.n_parameters, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    features = net.features(x)
    ours, plain = net.outputs(features, c, place, 0), plain_nade(net, features, place, c)
    assert torch.allclose(ours, plain, atol=1e-10)
    found = torch.autograd.grad((ours * weight).sum(), leaves)
    expected = torch.autograd.grad((plain * weight).sum(), leaves)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-9)
    by_place, ends, parameters, starts = net._sorted(torch.argsort(place).numpy())
    start = net._from(len(x), c).detach().clone().requires_grad_()
    W, V = (w.detach()[at].clone().requires_grad_() for w, at in ((net.input, by_place), (net.weight, parameters)))
    fixed = ends.tolist(), starts.tolist(), net._relu
    shown = features[:, by_place]
    assert torch.autograd.gradcheck(lambda a, w, v: nade._Scan.apply(a, shown, w, v, *fixed), (start, W, V))


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("X", [bits(), mixed()[["c", "t"]], mixed()], ids=["bits", "categories", "mixed"])
@pytest.mark.parametrize("n_orders", [1, 2])
def test_nade_gradients_are_those_of_a_plain_loop(activation, X, n_orders):
    model = shaken(make("nade", activation=activation, n_orders=n_orders, order="random"), X, labels())
    Z = tensor(model.columns_.encode(X)[0])[:6]
    if n_orders > 1:
        Z[1, 0] = Z[3, 1] = torch.nan
    assert_gradients(network(model), Z, torch.eye(3, dtype=Z.dtype)[torch.arange(6) % 3])


def test_a_wrong_way_back_is_found(monkeypatch):
    net = network(shaken(make("nade"), bits()))
    wrong = with_bug(nade._Scan.backward, "out=grad_V_by[i])", "out=grad_V_by[i]).mul_(1.001)")
    monkeypatch.setattr(nade._Scan, "backward", staticmethod(wrong))
    with pytest.raises(AssertionError):
        assert_gradients(net, tensor(bits()[:6]))


def test_nade_keeps_one_hidden_state_whatever_the_columns():
    n, size, kept = 40, 11, {}
    for d in (6, 60):
        net = network(shaken(make("nade", hidden_layer_sizes=(size,)), bits(n, d)))
        net.requires_grad_(True)
        shapes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=shapes: s.append(tuple(t.shape)) or t, lambda t: t):
            net.log_prob(tensor(bits(n, d)), None)
        kept[d] = shapes.count((n, size))
        assert len(shapes) < 20
    assert kept[6] == kept[60] <= 2


def test_nade_gradient_by_the_data():
    net = network(shaken(make("nade"), bits()))
    x = tensor(bits()).requires_grad_()
    found = torch.autograd.grad(net.outputs(x, None, net.place(net.orders[0]), 0).sum(), x)[0]
    expected = torch.autograd.grad(plain_nade(net, x, net.place(net.orders[0])).sum(), x)[0]
    assert torch.allclose(found, expected)


# ---- draws


@every_network
@pytest.mark.parametrize("n_orders", [1, 3])
@pytest.mark.parametrize("classes", [False, True])
def test_draws_are_those_of_whole_passes(which, n_orders, classes):
    X = mixed()
    model = shaken(make(which, n_orders=n_orders, order="random"), X, labels() if classes else None, noise=0.4)
    net, n = network(model), 25
    c = torch.eye(3, dtype=torch.float64)[torch.arange(n) % 3] if classes else None
    with torch.inference_mode():
        fast = net.sample(n, c, torch.Generator().manual_seed(5))
        slow = slow_complete(net, torch.full((n, 5), torch.nan, dtype=torch.float64), c, torch.Generator().manual_seed(5))
        assert torch.allclose(fast, slow, rtol=1e-9, atol=1e-9)
        asked = tensor(model.columns_.encode(X)[0])[:n].clone()
        gaps = torch.rand(n, 5, generator=torch.Generator().manual_seed(6)) < 0.5
        if n_orders == 1:  # what is missing comes last in the order
            place = net.place(net.orders[0])
            gaps = place >= torch.randint(0, 6, (n, 1), generator=torch.Generator().manual_seed(6))
        asked[gaps] = torch.nan
        fast = net.complete(asked, c, torch.Generator().manual_seed(7))
        slow = slow_complete(net, asked, c, torch.Generator().manual_seed(7))
    assert torch.allclose(fast, slow, rtol=1e-9, atol=1e-9)
    assert torch.equal(fast[~gaps], asked[~gaps])
    assert torch.isnan(asked).any()
    assert not torch.isnan(fast).any()


def chi_square(drawn, states, p):
    """p-value of the counts of drawn rows against probabilities of all states."""
    code = 2 ** np.arange(states.shape[1])
    at = pd.Index(states @ code).get_indexer(np.asarray(drawn) @ code)
    counts = np.bincount(at, minlength=len(states))
    some = p * len(drawn) >= 5
    seen, expected = np.append(counts[some], counts[~some].sum()), np.append(p[some], p[~some].sum()) * len(drawn)
    kept = expected > 0
    return stats.chisquare(seen[kept], expected[kept] * seen[kept].sum() / expected[kept].sum()).pvalue


@every_network
@pytest.mark.parametrize("n_orders", [1, 3])
def test_draws_follow_the_density(which, n_orders):
    model = shaken(make(which, n_orders=n_orders, order="random"), bits(d=5))
    states = np.array(list(itertools.product([0, 1], repeat=5)))
    p = np.exp(model.score_samples(states))
    drawn = model.sample(20_000, random_state=1)
    assert chi_square(drawn, states, p) > 1e-4
    assert chi_square(drawn, states, p[::-1]) < 1e-12


@every_network
def test_missing_cells_follow_the_members(which):
    """p(missing | observed) = sum_m p(m | observed) p_m(missing | observed), each member in its order, observed first."""
    net = network(shaken(make(which, n_orders=3), bits(d=5), noise=1.0))
    seen = torch.tensor([False, True, False, True, False])
    row = torch.tensor([[torch.nan, 1.0, torch.nan, 0.0, torch.nan]], dtype=torch.float64)
    states = np.array(list(itertools.product([0, 1], repeat=3)))
    whole = row.repeat(8, 1)
    whole[:, ~seen] = tensor(states)
    with torch.inference_mode():
        log_p = torch.stack([log_joint(net, whole, m, observed_first(net, m, seen)) for m in range(net.n_members)])
        evidence = torch.stack([net.log_prob_columns(row, None, m).sum() for m in range(net.n_members)])
        p = (torch.softmax(evidence, dim=0)[:, None] * torch.softmax(log_p, dim=1)).sum(dim=0).numpy()
        drawn = net.complete(row.repeat(20_000, 1), None, torch.Generator().manual_seed(2))
    assert (drawn[:, seen] == row[:, seen]).all()
    assert chi_square(drawn[:, ~seen].numpy(), states, p) > 1e-4


# ---- members and missing cells


@every_network
def test_density_is_the_mean_over_members(which):
    X = bits()
    model = shaken(make(which, n_orders=3), X)
    net = network(model)
    with torch.inference_mode():
        each = torch.stack([log_joint(net, tensor(X), m) for m in range(3)])
    assert np.allclose(model.score_samples(X), (torch.logsumexp(each, dim=0) - np.log(3)).numpy())
    assert each.std(dim=0).mean() > 0.05


@every_network
def test_evidence_of_a_member_is_its_marginal(which):
    """With what is observed first in the order, p(observed) is the sum over the missing cells."""
    net = network(shaken(make(which, n_orders=3), bits(d=6), noise=1.0))
    rng = np.random.default_rng(0)
    row = rng.integers(0, 2, 6).astype(float)
    for m in range(3):
        seen = torch.from_numpy(rng.permutation(6) < 3)
        hidden = np.flatnonzero(~seen.numpy())
        whole = np.tile(row, (2 ** len(hidden), 1))
        whole[:, hidden] = list(itertools.product([0, 1], repeat=len(hidden)))
        asked = np.where(seen.numpy(), row, np.nan)[None]
        with torch.inference_mode():
            total = torch.logsumexp(log_joint(net, tensor(whole), m, observed_first(net, m, seen)), dim=0)
            assert torch.isclose(net.log_prob_columns(tensor(asked), None, m).sum(), total)


def test_all_missing_is_certain():
    for which in NETWORKS:
        X = mixed()
        model = shaken(make(which, n_orders=2), X)
        nothing = X[:2].astype({"b": "boolean", "i": "Int64"})
        nothing[["c", "i", "b", "t"]] = pd.NA
        nothing["x"] = np.nan
        assert np.allclose(model.score_samples(nothing.astype({"c": X.dtypes["c"], "t": X.dtypes["t"]})), 0)


def test_one_column_alone():
    for which in NETWORKS:
        X = np.arange(40)[:, None] % 3 == 0
        model = shaken(make(which), X)
        assert np.isclose(np.exp(model.score_samples(np.array([[False], [True]]))).sum(), 1)
        assert model.sample(5).shape == (5, 1)


def test_the_biases_start_at_the_marginals():
    columns = Conditionals(["binary"], [2])
    X = np.array([[0.0], [1.0], [1.0], [1.0]])
    assert torch.isclose(torch.sigmoid(columns.initialise(X, np.ones(4)))[0], torch.tensor(3.5 / 5, dtype=torch.float64))
