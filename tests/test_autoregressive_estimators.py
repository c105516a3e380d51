"""FVSBN, NADE and MADE as estimators: orders, missing cells, chain-rule terms, classes, units."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from nets import NETWORKS, bits, labels, make, mixed, network, shaken
from scipy import stats
from scipy.special import logsumexp

import skgen
from skgen.testing.conditional import conditionals_uniform
from skgen.testing.result import CheckFailed
from skgen.testing.subject import Subject

every_network = pytest.mark.parametrize("which", NETWORKS)
MODELS = "fvsbn", "nade", "made"


def with_gaps(X, share, seed=0):
    """A copy with cells removed at random; ints and bools nullable."""
    gone = np.random.default_rng(seed).random(X.shape) < share
    if isinstance(X, np.ndarray):
        return np.where(gone, np.nan, X)
    nullable = {name: {"b": "boolean", "i": "Int64"}.get(dtype.kind) for name, dtype in X.dtypes.items() if dtype.kind in "bi"}
    return X.astype(nullable).mask(gone)


# ---- orders


@every_network
def test_order_by_name_by_number_and_none(which):
    X = mixed()
    by_name = shaken(make(which, order=["x", "t", "b", "c", "i"]), X)
    by_number = shaken(make(which, order=np.array([3, 4, 2, 0, 1])), X)
    assert by_name.order == ["x", "t", "b", "c", "i"]
    assert np.array_equal(by_name.score_samples(X), by_number.score_samples(X))
    assert network(by_name).orders.tolist() == [[3, 4, 2, 0, 1]]
    assert network(shaken(make(which), X)).orders.tolist() == [[0, 1, 2, 3, 4]]


def test_the_density_does_not_depend_on_where_a_column_stands():
    """Trained on a table and on the same table with its columns moved, in one order: one density, up to random weights."""
    X = mixed(400)
    for name in MODELS:
        one = skgen.make(name, max_epochs=15, n_components=1, learning_rate=0.02, random_state=0)
        other = skgen.make(name, order=list(X), max_epochs=15, n_components=1, learning_rate=0.02, random_state=0)
        moved = X[["t", "x", "i", "b", "c"]]
        assert abs(one.fit(X).score(X) - other.fit(moved).score(moved)) < 0.1


@every_network
def test_a_random_order_is_a_function_of_random_state(which):
    X = bits(60, 8)
    orders = []
    for seed in (0, 0, 1, 2):
        model = make(which, order="random", max_epochs=1, early_stopping=False, random_state=seed).fit(X)
        orders.append(network(model).orders[0].tolist())
        assert model.order == "random"
    assert orders[0] == orders[1]
    assert len(set(map(tuple, orders))) == 3


def test_members_have_orders_of_their_own_and_the_first_is_the_users():
    net = network(shaken(make("made", n_orders=5, order=[3, 1, 0, 2, 4]), mixed()))
    assert net.orders[0].tolist() == [3, 1, 0, 2, 4]
    assert len(set(map(tuple, net.orders.tolist()))) == 5
    assert (torch.sort(net.orders, dim=1).values == torch.arange(5)).all()


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (["x", "t", "b", "c"], r"order leaves out \['i'\]"),
        (["x", "t", "b", "c", "c"], "order names 'c' twice"),
        (["x", "t", "b", "c", "z"], "order names 'z', which is not a column"),
        ([0, 1, 2, 3, 5], "order names 5, which is not a column"),
        ([0.0, 1.0, 2.0, 3.0, 4.0], "order names 0.0"),
        ([4, 3, 2, 1, 1], "order names 1 twice"),
        ("sorted", "order='sorted' must be None"),
        (3, "order=3 must be None"),
    ],
)
def test_bad_orders_are_refused_by_name(order, words):
    with pytest.raises(ValueError, match=words):
        make("made", order=order).fit(mixed())


# ---- missing cells


def chain(n, seed=0):
    """Six bits, each a noisy copy of the one before."""
    rng = np.random.default_rng(seed)
    X = np.zeros((n, 6), dtype=bool)
    X[:, 0] = rng.random(n) < 0.4
    for j in range(1, 6):
        X[:, j] = X[:, j - 1] ^ (rng.random(n) < 0.12)
    return X


def chain_log_p(states):
    """log p of complete rows of ``chain``."""
    first = np.where(states[:, 0] == 1, 0.4, 0.6)
    same = (states[:, 1:] == states[:, :-1]).sum(axis=1)
    return np.log(first) + same * np.log(0.88) + (5 - same) * np.log(0.12)


@every_network
def test_one_order_answers_what_is_missing_at_its_end(which):
    X = mixed()
    model = shaken(make(which, order=["x", "i", "t", "c", "b"]), X, labels(), noise=0.4)
    assert model.missing == "suffix"
    rows = X[:7].reset_index(drop=True)
    each = [rows.assign(c=c, b=b) for c in "uvw" for b in (False, True)]
    each = [table.astype({"c": X.dtypes["c"]}) for table in each]
    asked = rows.astype({"b": "boolean"})
    asked["b"], asked["c"] = pd.NA, pd.Categorical([None] * 7, categories=X["c"].cat.categories)
    total = logsumexp([model.score_samples(table) for table in each], axis=0)
    assert np.allclose(model.score_samples(asked), total)
    joint = logsumexp([model.predict_joint_log_proba(table) for table in each], axis=0)
    assert np.allclose(model.predict_joint_log_proba(asked), joint)
    drawn = model.sample_conditional(asked, n_draws=3, random_state=0)
    assert drawn["x"].tolist() == rows["x"].repeat(3).tolist()
    assert drawn.dtypes.equals(X.dtypes)


@every_network
def test_one_order_refuses_gaps_and_names_the_column(which):
    X = with_gaps(mixed(), 0.0)
    model = shaken(make(which), mixed())
    X.loc[4, "i"] = pd.NA
    for call in (model.score_samples, model.sample_conditional, model.score_columns, model.conditional_cdf):
        with pytest.raises(ValueError, match=r"'i'.*'b'.*n_orders"):
            call(X)
    with pytest.raises(ValueError, match=r"'i'.*'b'.*n_orders"):
        make(which, max_epochs=1).fit(X)


@pytest.mark.parametrize("name", MODELS)
def test_fit_with_gaps(name):
    """A third of the cells missing, any (several orders) or the last (one order): close to a fit of complete rows."""
    train, test = chain(1500), chain(2000, seed=1)
    truth, alone = chain_log_p(test).mean(), -6 * np.log(2)
    settings = {"max_epochs": 60, "learning_rate": 0.01, "n_iter_no_change": 5, "random_state": 0}
    gaps = pd.DataFrame(train).astype("boolean").mask(np.random.default_rng(1).random(train.shape) < 0.3)
    any_order = skgen.make(name, n_orders=4, **settings).fit(gaps)
    assert any_order.missing == "estimate"
    assert any_order.score(pd.DataFrame(test)) > truth - 0.2
    cut = np.arange(6) >= np.random.default_rng(2).integers(3, 7, (1500, 1))
    suffix = skgen.make(name, **settings).fit(pd.DataFrame(train).astype("boolean").mask(cut))
    assert suffix.score(pd.DataFrame(test)) > truth - 0.1
    assert truth - alone > 1.4  # what there is to learn


@pytest.fixture(scope="module", params=MODELS)
def any_order(request):
    model = skgen.make(request.param, n_orders=4, max_epochs=60, learning_rate=0.02, n_iter_no_change=5, random_state=0)
    return model.fit(pd.DataFrame(chain(3000), columns=list("abcdef")))


def exact_answers(asked):
    """p(cell = 1 | observed) of ``chain`` by enumeration, and log p(observed)."""
    states = np.array(list(itertools.product([0, 1], repeat=6)))
    log_p, p_one, log_seen = chain_log_p(states), np.empty(asked.shape), np.empty(len(asked))
    for r, row in enumerate(asked):
        fits = np.where(np.isnan(row), True, states == row).all(axis=1)
        log_seen[r] = logsumexp(log_p[fits])
        p_one[r] = np.exp(log_p[fits] - log_seen[r]) @ states[fits]
    return p_one, log_seen


def test_missing_cells_against_enumeration(any_order):
    test = chain(300, seed=1).astype(float)
    asked = np.where(np.random.default_rng(3).random(test.shape) < 0.5, np.nan, test)
    gone = np.isnan(asked)
    table = pd.DataFrame(asked, columns=list("abcdef")).astype("boolean")
    p_one, log_seen = exact_answers(asked)
    alone = np.where(gone, 0, np.log(0.5)).sum(axis=1)
    assert np.abs(any_order.score_samples(table) - log_seen).mean() < 0.4 * np.abs(alone - log_seen).mean()
    draws = any_order.sample_conditional(table, n_draws=200, random_state=0).to_numpy(dtype=float).reshape(300, 200, 6)
    kept = np.repeat(~gone[:, None], 200, axis=1)
    assert (draws[kept] == np.repeat(test[:, None], 200, axis=1)[kept]).all()
    assert np.abs(draws.mean(axis=1) - p_one)[gone].mean() < 0.3 * np.abs(0.5 - p_one)[gone].mean()
    filled = any_order.impute(table, how="mode").to_numpy(dtype=float)
    sure = gone & (np.abs(p_one - 0.5) > 0.15)
    assert (filled[sure] == (p_one > 0.5)[sure]).mean() > 0.9
    for j, name in enumerate("af"):
        p = any_order.predict_missing(table, name)
        at = [0, 5][j]
        without = asked.copy()
        without[:, at] = np.nan
        exact = exact_answers(without)[0][:, at]
        assert np.abs(p[:, 1] - exact).mean() < 0.5 * np.abs(0.5 - exact).mean()


def test_given_cells(any_order):
    X = any_order.sample(4000, given={"a": True, "f": False}, random_state=0)
    assert X["a"].all()
    assert not X["f"].any()
    p_one, _ = exact_answers(np.array([[1, np.nan, np.nan, np.nan, np.nan, 0]]))
    assert np.allclose(X.mean().to_numpy(dtype=float), p_one[0], atol=0.15)


@every_network
def test_mixed_tables_with_gaps(which):
    """Every question, on a frame with categories, ints, bools and floats; n_orders > 1."""
    X = mixed(200)
    model = shaken(make(which, n_orders=3), with_gaps(X, 0.2), np.tile(labels(100), 2), noise=0.2)
    asked = with_gaps(X, 0.4, seed=5)
    seen = asked.notna().to_numpy()
    for how in ("mean", "mode", "draw"):
        filled = model.impute(asked, how=how, random_state=0)
        assert not filled.isna().to_numpy().any()
        assert (filled.astype(object) == X.astype(object)).to_numpy()[seen].all()
        assert filled["c"].cat.categories.tolist() == list("uvw")
    drawn = model.sample_conditional(asked, n_draws=2, y="b", random_state=1)
    assert drawn.index.tolist() == np.repeat(np.arange(200), 2).tolist()
    assert np.array_equal(drawn, model.sample_conditional(asked, n_draws=2, y="b", random_state=1))
    p = model.predict_missing(asked, "c")
    assert p.shape == (200, 3)
    assert np.allclose(p.sum(axis=1), 1)
    given = model.sample(50, given={"c": "v", "i": 3}, random_state=0)
    assert (given["c"] == "v").all()
    assert (given["i"] == 3).all()
    assert np.isfinite(model.score_samples(asked)).all()
    assert np.allclose(model.predict_proba(asked).sum(axis=1), 1)
    # a row's answer is its own, whatever stands beside it
    assert np.allclose(model.score_samples(asked[10:11]), model.score_samples(asked)[10])


@every_network
@pytest.mark.parametrize("n_orders", [1, 3])
def test_what_fit_did_not_see(which, n_orders):
    X = mixed()[["c", "b", "t"]]
    model = shaken(make(which, n_orders=n_orders, order=["b", "c", "t"]), X, labels())
    asked = X[:3].astype({"c": object})
    asked.loc[1, "c"] = "new"
    log_p, terms = model.score_samples(asked), model.score_columns(asked)
    assert np.isneginf(log_p).tolist() == [False, True, False]
    assert np.allclose(log_p[[0, 2]], model.score_samples(X[:3])[[0, 2]])
    assert np.isneginf(terms).sum() == np.isneginf(terms[1, 0]) == 1
    assert np.allclose(terms[[0, 2]], model.score_columns(X[:3])[[0, 2]])
    if n_orders > 1:
        with pytest.warns(UserWarning, match="not observed"):
            assert model.predict(asked).shape == (3,)
    else:
        with pytest.raises(ValueError, match="Row 1 of X"):
            model.predict(asked)


# ---- column by column


@every_network
@pytest.mark.parametrize("y", [None, "shared", "separate"])
@pytest.mark.parametrize("n_orders", [1, 3])
def test_terms_sum_to_the_score(which, y, n_orders):
    X = mixed()
    model = make(which, order="random", n_orders=n_orders, class_conditional=y or "shared")
    shaken(model, X, None if y is None else labels(), noise=0.4)
    terms = model.score_columns(X)
    assert terms.shape == X.shape
    assert np.allclose(terms.sum(axis=1), model.score_samples(X))
    if n_orders > 1:
        return
    # in the model's order the running sums are the marginals of what has come
    order, asked = network(model).orders[0].tolist(), with_gaps(X, 0.0)
    for i in reversed(range(5)):
        assert np.allclose(terms[:, order[: i + 1]].sum(axis=1), model.score_samples(asked))
        gone = np.arange(5) == order[i]
        asked = asked.mask(np.tile(gone, (len(asked), 1)))


@every_network
def test_terms_of_one_network_are_its_conditionals(which):
    X = mixed()
    model = shaken(make(which, order=[4, 2, 0, 3, 1]), X)
    net, Z = network(model), torch.from_numpy(model.columns_.encode(X)[0])
    if net.n_members > 1:
        return
    expected = net.log_prob_columns(Z, None).numpy() - np.log(np.where(model.columns_.continuous, model.columns_.scale, 1))
    assert np.allclose(model.score_columns(X), expected)


def wide(n, seed=0):
    """Fifty columns of three kinds, each leaning on the two before it."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, 50))
    for j in range(2, 50):
        Z[:, j] = 0.6 * Z[:, j - 1] - 0.4 * Z[:, j - 2] + 0.7 * Z[:, j]
    out = {}
    for j in range(50):
        z, level = Z[:, j], pd.Categorical.from_codes(np.digitize(Z[:, j], [-0.4, 0.5]), list("lmh"))
        out[f"k{j}"] = (z, z > 0, level, np.round(3 * z).astype(int))[j % 4]
    return pd.DataFrame(out)


def off_uniform(model, X):
    """Least p-value, by Bonferroni: F(x_j | x_<j) uniform in every column, its normal scores uncorrelated in every pair."""
    u = model.conditional_cdf(X, random_state=1)
    assert ((u >= 0) & (u <= 1)).all()
    d = u.shape[1]
    columns = min(stats.kstest(u[:, j], "uniform").pvalue for j in range(d)) * d
    scores = stats.norm.ppf(np.clip(u, 1e-9, 1 - 1e-9))
    r = np.corrcoef(scores, rowvar=False)[np.triu_indices(d, 1)]
    pairs = 2 * stats.norm.sf(np.abs(np.arctanh(r)).max() * np.sqrt(len(u) - 3)) * len(r)
    return min(1.0, 2 * min(columns, pairs))


@pytest.fixture(scope="module", params=[(name, y) for name in NETWORKS for y in (False, True)], ids=str)
def wide_model(request):
    which, classes = request.param
    X = wide(600)
    size = {} if which == "fvsbn" else {"hidden_layer_sizes": tuple(64 for _ in NETWORKS[which][1]["hidden_layer_sizes"])}
    model = make(which, order="random", **size)
    return shaken(model, X, labels(600) if classes else None, noise=0.5 if which in ("nade", "made deep") else 0.25)


def test_conditionals_are_uniform_at_width_fifty(wide_model):
    assert off_uniform(wide_model, wide_model.sample(1500, random_state=0)) > 1e-3


def test_a_prefix_forgotten_halfway_is_found(wide_model, monkeypatch):
    net = network(wide_model)
    if getattr(net, "direct", 0) is None:
        pytest.skip("two layers of random weights hardly pass on what they see")
    begin, parameters_at, tell = net.begin, net.parameters_at, net.tell
    with monkeypatch.context() as patched:
        patched.setattr(net, "begin", lambda *args: (begin(*args), begin(*args)), raising=False)
        patched.setattr(net, "parameters_at", lambda state, i: parameters_at(state[i >= 25], i), raising=False)

        def forgetful(state, i, features):
            tell(state[0], i, features)
            tell(state[1], i, features if i >= 25 else torch.zeros_like(features))

        patched.setattr(net, "tell", forgetful, raising=False)
        X = wide_model.sample(2500, random_state=0)
    assert off_uniform(wide_model, X) < 1e-6


def test_rows_of_another_law_are_found():
    X = wide(600)
    model = shaken(make("made"), X, noise=0.25)
    assert off_uniform(model, X) < 1e-6


@pytest.mark.parametrize("which", ["fvsbn", "nade", "made"])
def test_the_kit_asks_the_networks_themselves(which, monkeypatch):
    """S5 reads conditional_cdf: a distribution function that is wrong in one column fails it."""
    model = make(which, max_epochs=2, batch_size=64, random_state=0)
    conditionals_uniform(Subject(model))
    ours = type(model).conditional_cdf

    def wrong(self, X, random_state=None):
        u = ours.__get__(self)(X, random_state)
        u[:, -1] = u[:, -1] ** 1.5
        return u

    monkeypatch.setattr(type(model), "conditional_cdf", wrong)
    with pytest.raises(CheckFailed, match="off uniform"):
        conditionals_uniform(Subject(model))


def test_several_orders_have_no_conditional_distribution_function():
    model = shaken(make("made", n_orders=2), mixed())
    with pytest.raises(ValueError, match="n_orders=1"):
        model.conditional_cdf(mixed())


# ---- classes


@every_network
@pytest.mark.parametrize("how", ["shared", "separate"])
def test_predict_is_bayes_rule(which, how):
    X, y = bits(90, 6), labels(90)
    model = shaken(make(which, n_orders=2, class_conditional=how, priors={"a": 0.5, "b": 0.3, "c": 0.2}), X, y)
    log_p = []
    with torch.inference_mode():
        Z = torch.from_numpy(X.astype(float))
        for k in range(3):
            net = network(model, k if how == "separate" else 0)
            c = None if how == "separate" else torch.eye(3, dtype=Z.dtype)[[k]].expand(90, 3)
            log_p.append(net.log_prob(Z, c).numpy())
    joint = np.array(log_p).T + np.log([0.5, 0.3, 0.2])
    assert np.allclose(model.predict_joint_log_proba(X), joint)
    assert np.array_equal(model.predict(X), model.classes_[joint.argmax(axis=1)])
    assert np.allclose(model.score_samples(X), logsumexp(joint, axis=1))
    drawn, given = model.sample(3000, return_y=True, random_state=0)
    assert np.allclose([np.mean(given == k) for k in "abc"], [0.5, 0.3, 0.2], atol=0.05)
    rows = model.sample(4000, y="b", random_state=0)
    states = np.array(list(itertools.product([0, 1], repeat=6)))
    p = np.exp(model.predict_joint_log_proba(states)[:, 1] - np.log(0.3))
    assert np.allclose(rows.mean(axis=0), p @ states, atol=0.04)
    assert drawn.shape == (3000, 6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("how", ["shared", "separate"])
def test_classes_that_differ_in_marginals_and_in_dependence(name, how):
    """Class c is told from a by a column's frequency, and from b by how two columns go together alone."""
    rng = np.random.default_rng(0)

    def draw(n):
        y = rng.integers(0, 3, n)
        one = rng.random(n) < 0.5
        copy = np.where(y == 1, ~one, one) ^ (rng.random(n) < 0.05)
        return np.column_stack([one, copy, rng.random(n) < np.where(y == 0, 0.95, 0.05)]), np.array(list("abc"))[y]

    (X, y), (X_test, y_test) = draw(1500), draw(1500)
    model = skgen.make(name, class_conditional=how, max_epochs=80, learning_rate=0.03, n_iter_no_change=5, random_state=0)
    accuracy = model.fit(X, y).score(X_test, y_test)
    # FVSBN's classes share its weights and differ in biases, so that dependence cannot differ unless each has its own
    assert accuracy > (0.6 if name == "fvsbn" and how == "shared" else 0.88)


# ---- units, parameters, files


@every_network
def test_units_of_the_data(which):
    X = mixed()
    X["z"] = X["x"] * 0.5 + np.random.default_rng(1).standard_normal(60)
    model = shaken(make(which), X, labels())
    scaled = X.assign(x=X["x"] * 1024, z=X["z"] * 2.0**-5)
    other = shaken(make(which), scaled, labels())
    fallen = np.log(1024) - 5 * np.log(2)
    assert np.allclose(other.score_samples(scaled), model.score_samples(X) - fallen)
    assert np.allclose(other.predict_proba(scaled), model.predict_proba(X))
    assert np.allclose(other.score_columns(scaled)[:, 3], model.score_columns(X)[:, 3] - np.log(1024))
    assert np.allclose(other.sample(20, random_state=0)["x"], 1024 * model.sample(20, random_state=0)["x"])


@every_network
@pytest.mark.parametrize("n_orders", [1, 2])
def test_free_parameters_are_those_that_move_the_density(which, n_orders):
    X = mixed(300)
    model = shaken(make(which, n_orders=n_orders, order=[3, 1, 2, 4, 0]), X)
    net, Z = network(model), torch.from_numpy(model.columns_.encode(X)[0])
    net.requires_grad_(True)
    moving = {name: torch.zeros(p.shape, dtype=bool) for name, p in net.named_parameters()}
    generator = torch.Generator().manual_seed(0)
    for m in range(40 if n_orders > 1 else 1):
        order = torch.randperm(5, generator=generator) if n_orders > 1 else net.orders[0]
        net.zero_grad()
        out = net.outputs(net.features(Z), None, net.place(order), m)
        (out * torch.randn(out.shape, generator=generator, dtype=out.dtype)).sum().backward()
        for name, p in net.named_parameters():
            moving[name] |= p.grad != 0
    if which not in ("fvsbn", "nade") or (n_orders > 1 and which != "fvsbn"):  # a relu may be dead on these rows
        assert model.n_parameters_ >= sum(int(each.sum()) for each in moving.values())
    else:
        assert model.n_parameters_ == sum(int(each.sum()) for each in moving.values())


@every_network
@pytest.mark.parametrize("n_orders", [1, 2])
def test_pickles_keep_orders_and_masks(which, n_orders):
    X = mixed()
    model = make(which, n_orders=n_orders, order="random", max_epochs=2, early_stopping=False, random_state=0).fit(X, labels())
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.score_samples(X), model.score_samples(X))
    assert again.sample(10, random_state=1).equals(model.sample(10, random_state=1))


@pytest.mark.parametrize(
    ("which", "parameters", "words"),
    [
        ("made", {"hidden_layer_sizes": ()}, "hidden_layer_sizes"),
        ("made", {"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes"),
        ("nade", {"hidden_layer_sizes": (8, 8)}, "one hidden layer"),
        ("nade", {"activation": "tanh"}, "activation"),
        ("fvsbn", {"n_orders": 0}, "n_orders"),
        ("made", {"n_masks": 0}, "n_masks"),
        ("made", {"n_components": 0}, "n_components"),
    ],
)
def test_bad_parameters_are_refused_by_name(which, parameters, words):
    with pytest.raises(ValueError, match=words):
        make(which, **parameters).fit(mixed())
