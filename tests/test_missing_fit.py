"""EM with and without missing cells: its objective never falls, whatever the model, and missing cells cost little."""

import dataclasses
import importlib

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.impute import SimpleImputer

import skgen
from skgen import HMM, PPCA, ChowLiuTree, FactorAnalysis, GaussianMixture, MarkovChain, Mixture, NaiveBayes
from skgen.learn import em
from skgen.ops import products

ALPHA, SHRINKAGE = 0.7, 2.0
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ---- tables


def numbers(rng, n=150):
    centre = rng.integers(0, 3, n)[:, None] * [2.0, -1.0, 1.0, 0.5]
    return centre + rng.normal(size=(n, 4)) @ (np.eye(4) + 0.4 * rng.normal(size=(4, 4)))


def bits(rng, n=250):
    kind = rng.integers(0, 3, n)
    p = rng.random((3, 6))[kind]
    X = (rng.random(p.shape) < p).astype(float)
    X[:, 1] = np.where(rng.random(n) < 0.8, X[:, 0], X[:, 1])
    return X


def mixed(rng, n=200):
    X = numbers(rng, n)
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0, "c": pd.cut(X[:, 2], 3, labels=list("xyz")), "d": X[:, 3]})


def symbols(rng, n=120):
    X = np.cumsum(rng.random((n, 6)) < 0.4, axis=1) + rng.integers(0, 3, (n, 1))
    return (X % 3).astype(float)


def removed(X, share=0.3, seed=5):
    gone = np.random.default_rng(seed).random(X.shape) < share
    if isinstance(X, pd.DataFrame):
        return X.astype({name: "boolean" for name in X if X[name].dtype == bool}).mask(gone)
    return np.where(gone, np.nan, X)


# ---- log priors, written from the definitions


def prior_of_normals(part):
    """Each covariance has ``shrinkage`` pseudo-rows: -s/2 (log det S + t tr S^-1)."""
    covariance = part._gaussians.covariance
    K, d = part._gaussians.mean.shape
    if part.covariance_type == "tied":
        covariance = covariance[:1]
    if covariance.ndim == 2:
        covariance = np.stack([np.diag(np.broadcast_to(c, d)) for c in covariance])
    if part.covariance_type == "spherical":  # one variance, the pseudo-rows of one column
        covariance = covariance[:, :1, :1]
    t = K ** (-2 / d)
    return -part.shrinkage / 2 * sum(np.linalg.slogdet(S)[1] + t * np.trace(np.linalg.inv(S)) for S in covariance)


def prior_of_columns(spread):
    def prior(part):
        finite = part._tables.log_theta if part.alpha else np.zeros(1)
        v = part._normal.variance
        return part.alpha * finite.sum() - part.shrinkage / 2 * (np.log(v) + spread[: v.shape[1]] / v).sum()

    return prior


def prior_of_tree(part):
    tree, root = part._tree, part._tree.order[0]
    neighbour = tree.tables[tree.order[1]].shape[1]
    return part.alpha * sum((neighbour if i == root else 1) * t.sum() for i, t in enumerate(tree.log_tables))


def prior_of_components(inner):
    return lambda part: sum(inner(group) for group, _ in part._groups)


def prior_of_states(inner):
    return lambda part: part.alpha * (np.log(part.transmat_).sum() + np.log(part.startprob_).sum()) + inner(part._emission)


def each_density(inner):
    return lambda group: sum(inner(density) for density in group.densities_)


def prior_of_chain(part):
    return part.alpha * sum(np.log(table).sum() for table in part._tables)


def prior_of_factors(part):
    C = part._W @ part._W.T + np.diag(part._noise)
    return -part.shrinkage / 2 * (np.linalg.slogdet(C)[1] + np.trace(np.linalg.inv(C)))


# ---- wrong M-steps


def wider(monkeypatch):
    right = GaussianMixture._maximise
    monkeypatch.setattr(
        GaussianMixture, "_maximise", lambda self, m, before: right(self, dataclasses.replace(m, scatter=1.3 * m.scatter), before)
    )


def smoother(monkeypatch):
    right = products.TableBlock.fit.__func__
    monkeypatch.setattr(
        products.TableBlock, "fit", classmethod(lambda cls, c, n, X, w, alpha: right(cls, c, n, X, w, 3 * alpha + 1))
    )


def tempered(owner, method):
    def sabotage(monkeypatch):
        right = getattr(owner, method)

        def wrong(self, counts, *others):
            counts = [c**0.8 for c in counts] if isinstance(counts, list) else counts**0.8
            return right(self, counts, *others)

        monkeypatch.setattr(owner, method, wrong)

    return sabotage


def inflated(monkeypatch):
    right = PPCA._shrunk
    for owner in (PPCA, FactorAnalysis):
        monkeypatch.setattr(owner, "_shrunk", lambda self, scatter, mass: right(self, 1.3 * scatter, mass))


NORMALS = {"n_components": 3, "shrinkage": SHRINKAGE}
BLOCKS = NaiveBayes(distributions={"continuous": "normal"}, alpha=ALPHA, shrinkage=SHRINKAGE)
SPREAD = object()  # variances of all observed cells, known when the table is
CASES = {
    **{
        f"gaussian_mixture {kind}": (
            GaussianMixture(covariance_type=kind, **NORMALS),
            numbers,
            {},
            prior_of_normals,
            wider,
        )
        for kind in ("full", "tied", "diag", "spherical")
    },
    "mixture of columns": (Mixture(BLOCKS), mixed, {}, SPREAD, smoother),
    "mixture of normals": (
        Mixture(GaussianMixture(shrinkage=SHRINKAGE)),
        numbers,
        {},
        prior_of_components(each_density(prior_of_normals)),
        wider,
    ),
    "mixture of trees": (
        Mixture(ChowLiuTree(alpha=ALPHA)),
        bits,
        {"column_kinds": "binary"},
        prior_of_components(each_density(prior_of_tree)),
        tempered(ChowLiuTree, "_smooth"),
    ),
    "hmm of levels": (
        HMM(NaiveBayes(alpha=ALPHA), n_states=2, alpha=ALPHA),
        symbols,
        {"column_kinds": "categorical"},
        prior_of_states(prior_of_columns(np.zeros(0))),
        tempered(HMM, "_maximise"),
    ),
    "hmm of normals": (
        HMM(GaussianMixture(shrinkage=SHRINKAGE), n_states=2, step_features=2, alpha=ALPHA),
        numbers,
        {},
        prior_of_states(each_density(prior_of_normals)),
        wider,
    ),
    "ppca": (PPCA(n_components=2, shrinkage=SHRINKAGE), numbers, {}, prior_of_factors, inflated),
    "factor_analysis": (FactorAnalysis(n_components=2, shrinkage=SHRINKAGE), numbers, {}, prior_of_factors, inflated),
    "chow_liu": (ChowLiuTree(alpha=ALPHA), bits, {"column_kinds": "binary"}, prior_of_tree, tempered(ChowLiuTree, "_smooth")),
    **{
        f"markov_chain {order} {same}": (
            MarkovChain(order=order, homogeneous=same, alpha=ALPHA),
            symbols,
            {"column_kinds": "categorical"},
            prior_of_chain,
            tempered(MarkovChain, "_set"),
        )
        for order, same in ((1, True), (1, False), (2, True))
    },
}
#: Models that complete rows fit at once: a step changes nothing there.
CLOSED = ("ppca", "chow_liu", "markov_chain")


def begun(name, holes):
    """A fit stopped at its start, as the model sees it: the part, its rows, and the log prior."""
    model, table, parameters, prior, _ = CASES[name]
    X = table(np.random.default_rng(0))
    X = removed(X) if holes else X
    short = {key: 1 for key in ("max_iter", "n_init") if key in model.get_params()}
    shell = skgen.make(type(model).__module__.rpartition(".")[2], **{**model.get_params(deep=False), **short, **parameters})
    shell.set_params(random_state=0).fit(X)
    Z = shell._coding.encode(shell.columns_.encode(shell._table(X, reset=False, may_miss=True)[0])[0])[0]
    part = shell._fitted.densities_[0]
    if prior is SPREAD:
        weight = weights(len(Z))
        at = np.ma.masked_invalid(Z[:, np.array(part.columns_.kinds) == "continuous"])
        mean = np.ma.average(at, axis=0, weights=weight)
        spread = np.asarray(np.ma.average((at - mean) ** 2, axis=0, weights=weight))
        prior = prior_of_components(prior_of_columns(spread))
    return part, Z, prior


def weights(n):
    return np.random.default_rng(1).uniform(0.5, 2, n)


def climbed(name, holes, steps=30):
    """Log-likelihood plus log prior, before each step and after the last."""
    part, Z, log_prior = begun(name, holes)
    weight, path = weights(len(Z)), []
    for _ in range(steps):
        path.append(weight @ part._log_prob(Z) + log_prior(part))
        part._update(Z, weight, np.random.default_rng(0))
    return np.array([*path, weight @ part._log_prob(Z) + log_prior(part)])


def falls(path):
    return (np.diff(path) < -1e-9 * np.abs(path[:-1])).any()


@pytest.mark.parametrize("holes", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("name", CASES)
def test_the_objective_of_em_never_falls(name, holes):
    path = climbed(name, holes)
    assert not falls(path[1:] if not holes and name.startswith(CLOSED) else path)  # the start had other weights
    if holes or not name.startswith(CLOSED):
        assert path[-1] > path[1] + 1e-3
    else:
        np.testing.assert_allclose(path[1:], path[1], rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_m_step_is_noticed(name, monkeypatch):
    part, Z, log_prior = begun(name, holes=True)
    weight, rng, path = weights(len(Z)), np.random.default_rng(0), []
    for steps in (40, 1):
        for _ in range(steps):
            part._update(Z, weight, rng)
        path.append(weight @ part._log_prob(Z) + log_prior(part))
        CASES[name][-1](monkeypatch)
    assert falls(np.array(path))


@pytest.mark.parametrize("holes", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("chow_liu")])
def test_what_a_fit_is_stopped_by_never_falls(name, holes, monkeypatch):
    """The objective that a fit itself follows, from its starts to its end, under heavy smoothing too."""
    model, table, parameters, _, _ = CASES[name]
    paths = []

    def listen(step, max_iter, tol):
        path = []

        def heard():
            path.append(step())
            return path[-1]

        paths.append(path)
        return em.climb(heard, max_iter, tol)

    module = importlib.import_module(
        "skgen.models.latent._linear" if name in ("ppca", "factor_analysis") else type(model).__module__
    )
    monkeypatch.setattr(module, "climb", listen)
    X = table(np.random.default_rng(0))
    for factor in (1, 30):
        heavy = {
            key: factor * value
            for key, value in model.get_params().items()
            if key.rpartition("__")[2] in ("alpha", "shrinkage") and isinstance(value, float)
        }
        clone(model).set_params(random_state=0, **parameters, **heavy).fit(removed(X) if holes else X)
    assert paths or (not holes and name.startswith((*CLOSED, "factor_analysis")))
    for path in paths:
        assert not falls(np.array(path))


def test_networks_say_how_they_climbed():
    for alpha in (0.0, 0.5, 20.0):
        model = skgen.make("bayes_net", alpha=alpha, column_kinds="binary").fit(removed(bits(np.random.default_rng(0))))
        assert len(model.history_) > 2
        assert not falls(np.array(model.history_))


# ---- partly known labels


ITERATED = ("naive_bayes", "gaussian_mixture", "chow_liu", "bayes_net", "markov_chain", "hmm", "mixture", "ppca", "factor_analysis")


def labelled(name):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 60)
    if name in ("naive_bayes", "chow_liu", "mixture"):
        X = (rng.random((180, 8)) < rng.random((3, 8))[y]).astype(float)
        parameters = {"column_kinds": "binary", **({"n_components": 2} if name == "mixture" else {})}
    elif name in ("markov_chain", "hmm"):
        X = (np.cumsum(rng.random((180, 8)) < np.array([0.2, 0.5, 0.8])[y][:, None], axis=1) % 3).astype(float)
        parameters = {"column_kinds": "categorical"}
    else:
        X, parameters = rng.normal(size=(180, 4)) + 1.5 * rng.normal(size=(3, 4))[y], {}
    return X, y, {**parameters, **({"n_init": 1, "tol": 1e-2} if name in ("mixture", "hmm") else {})}


@pytest.mark.parametrize(
    ("holes", "wrong"), [(False, False), (True, False), (True, True)], ids=["complete", "missing", "wrong E-step"]
)
@pytest.mark.parametrize(
    "name",
    ["naive_bayes", "gaussian_mixture", "chow_liu", "bayes_net", "markov_chain", "hmm", "mixture", "ppca", "factor_analysis"],
)
def test_em_over_unknown_labels_never_falls(name, holes, wrong):
    X, y, parameters = labelled(name)
    X = removed(X) if holes else X
    partly = np.where(np.arange(180) % 60 < 8, y, -1)
    model = skgen.make(name, unlabeled=-1, random_state=0, **parameters).fit(X, partly)
    part, Z = model._fitted, model._coding.encode(model.columns_.encode(X)[0])[0]
    known, weight = partly >= 0, weights(180)
    W = np.where(known[:, None], (partly[:, None] == [0, 1, 2]) * weight[:, None], 0.0)
    share, path, rng = np.full(3, 1 / 3), [], np.random.default_rng(0)
    for _ in range(10):
        joint = part._log_prob_classes(Z) + np.log(share)
        log_p = np.where(known, np.where(W > 0, joint, 0).sum(axis=1), logsumexp(joint, axis=1))
        path.append(weight @ log_p + part._log_smoothing_classes())
        p = np.exp(joint[~known] - log_p[~known, None])
        p = p**3 / (p**3).sum(axis=1, keepdims=True) if wrong else p
        W[~known] = p * weight[~known, None]
        share = W.sum(axis=0) / weight.sum()
        part._update_classes(Z, W, rng)
    assert falls(np.array(path)) == wrong


def test_the_base_takes_these_steps(monkeypatch):
    """Objectives that ``fit`` passes over unknown labels, read where it updates the classes."""
    X, y, _ = labelled("gaussian_mixture")
    partly = np.where(np.arange(180) % 60 < 8, y, -1)
    seen = []
    step = GaussianMixture._update_classes

    def update(self, Z, W, rng):
        step(self, Z, W, rng)
        one = (W > 0).sum(axis=1) == 1
        joint = self._log_prob_classes(Z) + np.log(W.sum(axis=0) / W.sum())
        known = one & (partly >= 0)
        log_p = np.where(known, np.where(W > 0, joint, 0).sum(axis=1), logsumexp(joint, axis=1))
        seen.append((W.sum(axis=1), W.sum(axis=1) @ log_p + self._log_smoothing_classes()))

    monkeypatch.setattr(GaussianMixture, "_update_classes", update)
    GaussianMixture(unlabeled=-1).fit(removed(X), partly)
    last = [value for mass, value in seen if np.allclose(mass, seen[-1][0])]
    assert len(last) > 3
    assert not falls(np.array(last))


# ---- components without rows


def test_a_restart_ends_higher_or_is_undone(monkeypatch):
    rng = np.random.default_rng(5)
    X = (rng.random((60, 5)) < rng.random((3, 5))[rng.integers(0, 3, 60)]).astype(int)
    tried = []
    restart = Mixture._restart

    def listen(self, X, weight, objective, rng):
        restart(self, X, weight, objective, rng)
        after = (weight @ self._log_prob(X) + self._log_smoothing()) / weight.sum()
        tried.append((objective, after))
        assert "_restarted" not in vars(self)

    monkeypatch.setattr(Mixture, "_restart", listen)
    for seed in range(6):
        Mixture(n_components=25, random_state=seed, tol=1e-6).fit(X)
    assert tried
    assert all(after >= before - 1e-9 for before, after in tried)


# ---- what missing cells cost


def test_missing_cells_cost_little_of_a_gaussian_and_of_five():
    rng = np.random.default_rng(0)
    roots, centres = rng.normal(size=(5, 6, 6)) * 0.3 + np.eye(6), rng.normal(size=(5, 6))
    kind = rng.integers(0, 5, 5000)
    X = 3 * centres[kind] + np.einsum("nd,nde->ne", rng.normal(size=(5000, 6)), roots[kind])
    train, test = X[:3000], X[3000:]
    for k, allowed in ((1, 0.1), (5, 0.3)):
        model = GaussianMixture(n_components=k, random_state=0)
        whole = model.fit(train).score(test)
        assert -0.1 < whole - model.fit(removed(train)).score(test) < allowed
        filled = SimpleImputer().fit_transform(removed(train))
        assert whole - model.fit(filled).score(test) > 2 * allowed


def test_missing_cells_cost_little_of_a_mixture_of_bernoullis_and_of_a_tree():
    rng = np.random.default_rng(0)
    X = bits(rng, 6000)
    for model in (Mixture(n_components=3, random_state=0), ChowLiuTree()):
        model.set_params(column_kinds="binary")
        whole = model.fit(X[:3000]).score(X[3000:])
        gaps = model.fit(removed(X[:3000])).score(X[3000:])
        assert abs(gaps - whole) < 0.03 * abs(whole)


def test_bic_finds_the_two_kinds_of_eruptions():
    # a stand-in for the 272 eruptions of Old Faithful: their two groups' shares, means and covariances
    rng = np.random.default_rng(0)
    short = rng.multivariate_normal([2.04, 54.5], [[0.069, 0.43], [0.43, 33.7]], 97)
    long = rng.multivariate_normal([4.29, 80.0], [[0.17, 0.94], [0.94, 36.0]], 175)
    X = np.concatenate([short, long])
    for covariance_type in ("full", "tied"):
        fits = {k: GaussianMixture(n_components=k, covariance_type=covariance_type, random_state=0) for k in range(1, 6)}
        bic = {k: model.fit(X).bic(X) for k, model in fits.items()}
        assert min(bic, key=bic.__getitem__) in (2, 3)
        assert bic[1] > bic[2] + 100
