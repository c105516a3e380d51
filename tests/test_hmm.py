"""Hidden Markov models against sums over all paths, Viterbi by brute force, closed forms and their own draws."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.exceptions import ConvergenceWarning

from skgen import HMM, ChowLiuTree, GaussianMixture, Mixture, NaiveBayes
from skgen.ops.chains import Chain, Layout, lengths, stationary
from skgen.sequences import pad, unpad

NORMAL = NaiveBayes(distributions="normal")


@pytest.fixture(autouse=True)
def _short_fits_are_fine():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def draw(n=150, T=6, S=2, seed=0):
    """Rows of one normal column a step, from a sticky chain of S states, means 3 apart."""
    rng = np.random.default_rng(seed)
    states = Chain(np.full(S, 1 / S), np.full((S, S), 0.2 / S) + 0.8 * np.eye(S)).sample(n, T, rng)
    return (3.0 * states + rng.normal(size=(T, n))).T, states.T


def paths(S, T):
    return list(itertools.product(range(S), repeat=T))


def brute(model, X):
    """log p(row, path) for all paths, in data units, (n, paths), from the public state of a fitted HMM; F from the model."""
    density = model._fitted.densities_[0]
    F = model.step_features
    columns = density._one_step
    Z = model._coding.encode(model.columns_.encode(np.asarray(X, dtype=float))[0])[0]
    T = Z.shape[1] // F
    steps = Z.reshape(len(Z), T, F)
    log_b = np.stack([[e._log_prob(steps[:, t]) for e in density.emissions_] for t in range(T)])
    log_b = np.where(np.isnan(steps).all(axis=2).T[:, None], 0.0, log_b)
    gain = (~np.isnan(Z)).reshape(len(Z), T, F) @ -np.log(columns.scale)
    out = []
    for path in paths(model.n_states, T):
        log_p = np.log(model.startprob_[path[0]]) + sum(np.log(model.transmat_[a, b]) for a, b in itertools.pairwise(path))
        out.append(log_p + sum(log_b[t, s] for t, s in enumerate(path)) + gain.sum(axis=1))
    return np.array(out).T


def gaps(X, share=0.3, seed=0):
    X = np.array(X, dtype=float)
    rng = np.random.default_rng(seed)
    X[rng.random(X.shape) < share] = np.nan
    return X


@pytest.mark.parametrize("start", ["free", "stationary"])
@pytest.mark.parametrize("emission", [NORMAL, GaussianMixture()])
def test_log_p_posteriors_and_path_are_those_of_all_paths(emission, start):
    X, _ = draw(n=80, T=5, S=3)
    X[:20, 3:] = np.nan
    model = HMM(emission, n_states=3, start=start, n_init=1, max_iter=30, random_state=0).fit(X)
    asked = gaps(X[:30])
    asked[0] = np.nan
    joint = brute(model, asked)
    want = np.log(np.exp(joint).sum(axis=1))
    np.testing.assert_allclose(model.score_samples(asked), want, atol=1e-9)
    assert model.score_samples(asked)[0] == 0.0
    all_paths = np.array(paths(3, 5))
    np.testing.assert_array_equal(model.decode(asked)[1:], all_paths[joint.argmax(axis=1)][1:])
    share = np.exp(joint - want[:, None])
    posterior = np.stack([[share[:, all_paths[:, t] == s].sum(axis=1) for s in range(3)] for t in range(5)])
    np.testing.assert_allclose(model.predict_states(asked), posterior.transpose(2, 0, 1), atol=1e-9)
    np.testing.assert_allclose(model.transform(asked), model.predict_states(asked).reshape(30, 15))


def test_marginals_of_mixed_steps():
    """Two columns a step, one of them discrete: the sum over a missing level, the integral over a missing number."""
    rng = np.random.default_rng(0)
    X, states = draw(n=120, T=3)
    level = (rng.random(X.shape) < 0.2 + 0.6 * states).astype(float)
    wide = np.stack([X, level], axis=2).reshape(len(X), -1)
    kinds = dict(enumerate(["continuous", "binary"] * 3))
    model = HMM(NORMAL, step_features=2, column_kinds=kinds, n_init=1, random_state=0).fit(wide)
    row = wide[:1].copy()
    np.testing.assert_allclose(model.score_samples(row), np.log(np.exp(brute(model, row)).sum(axis=1)), atol=1e-9)
    both = np.repeat(row, 2, axis=0)
    both[:, 3] = [0, 1]
    asked = row.copy()
    asked[0, 3] = np.nan
    np.testing.assert_allclose(model.score_samples(asked), np.logaddexp(*model.score_samples(both)), atol=1e-10)
    grid = np.linspace(-15, 20, 4001)
    many = np.repeat(row, len(grid), axis=0)
    many[:, 2] = grid
    asked = row.copy()
    asked[0, 2] = np.nan
    integral = np.trapezoid(np.exp(model.score_samples(many)), grid)
    np.testing.assert_allclose(model.score_samples(asked), np.log(integral), atol=1e-8)


def test_one_state_is_the_emission_at_every_step():
    X, _ = draw()
    model = HMM(NaiveBayes(distributions="normal", shrinkage=0), n_states=1).fit(X)
    want = norm(X.mean(), X.std()).logpdf(X).sum(axis=1)
    np.testing.assert_allclose(model.score_samples(X), want, atol=1e-9)
    assert model.n_parameters_ == 2


def test_independent_steps_are_a_mixture():
    """With equal rows in the transition matrix, each step is drawn from the same mixture."""
    X, _ = draw(n=50, T=4)
    model = HMM(NORMAL, n_init=1, max_iter=5, random_state=0).fit(X)
    part = model._fitted.densities_[0]
    part._chain = Chain(np.array([0.3, 0.7]), np.array([[0.3, 0.7], [0.3, 0.7]]))
    density = [e._normal for e in part.emissions_]
    z = (X - model.columns_.loc) / model.columns_.scale
    p = sum(w * norm(b.mean[0, 0], np.sqrt(b.variance[0, 0])).pdf(z) for w, b in zip((0.3, 0.7), density, strict=True))
    np.testing.assert_allclose(model.score_samples(X), np.log(p / model.columns_.scale).sum(axis=1), atol=1e-9)


def test_known_states_are_found():
    X, states = draw(n=300, T=10)
    model = HMM(NORMAL, random_state=0).fit(X)
    found = model.decode(X)
    agree = (found == states).mean()
    assert max(agree, 1 - agree) > 0.9
    np.testing.assert_allclose(np.sort(model.transmat_.diagonal()), [0.9, 0.9], atol=0.03)


@pytest.mark.parametrize("start", ["free", "stationary"])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_em_never_falls(start, alpha):
    X = gaps(draw(n=60, T=6, S=3)[0], 0.2)
    X[:20, 4:] = np.nan
    model = HMM(
        NaiveBayes(distributions="normal", shrinkage=0), n_states=3, start=start, alpha=alpha, n_init=1, max_iter=1, random_state=0
    ).fit(X)
    part = model._fitted.densities_[0]
    Z, weight = model.columns_.encode(X)[0], np.random.default_rng(0).uniform(0.5, 2, len(X))
    objective = []
    for _ in range(60):
        log_prior = np.log(part.transmat_).sum() + (np.log(part.startprob_).sum() if start == "free" else 0) if alpha else 0.0
        objective.append(weight @ part._log_prob(Z) + alpha * log_prior)
        part._update(Z, weight, np.random.default_rng(0))
        if start == "stationary":
            np.testing.assert_allclose(part.startprob_ @ part.transmat_, part.startprob_, atol=1e-12)
    assert (np.diff(objective) >= -1e-9 * np.abs(objective[:-1])).all()
    assert objective[-1] > objective[0] + 1


def test_stationary_m_step_finds_the_maximum():
    """Two states have a closed problem of two numbers: compare with a fine grid."""
    from skgen.models.latent.hmm import _maximise_stationary

    counts, first = np.array([[20.0, 5.0], [3.0, 9.0]]), np.array([1.0, 30.0])
    best = np.full((2, 2), 0.5)
    for _ in range(10):
        best = _maximise_stationary(counts, first, [best, counts / counts.sum(axis=1, keepdims=True)])

    def value(a, b):
        pi = np.array([b, a]) / (a + b)
        return counts[0] @ np.log([1 - a, a]) + counts[1] @ np.log([b, 1 - b]) + first @ np.log(pi)

    grid = np.linspace(0.005, 0.995, 199)
    most = max(value(a, b) for a in grid for b in grid)
    found = value(best[0, 1], best[1, 0])
    assert found >= most
    assert found - most < 0.02


def test_stationary_distribution():
    transmat = np.random.default_rng(0).dirichlet(np.ones(5), 5)
    pi = stationary(transmat)
    np.testing.assert_allclose(pi @ transmat, pi, atol=1e-14)
    np.testing.assert_allclose(pi, np.linalg.matrix_power(transmat, 200)[0], atol=1e-12)


def test_draws_follow_the_density():
    _, states = draw(n=300, T=4)
    level = (states + (np.random.default_rng(0).random(states.shape) < 0.1)) % 2
    model = HMM(column_kinds="binary", random_state=0).fit(level)
    rows = np.array(list(itertools.product([0, 1], repeat=4)))
    p = np.exp(model.score_samples(rows))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    n = 40_000
    drawn = model.sample(n)
    count = np.bincount((drawn @ [8, 4, 2, 1]).astype(int), minlength=16)
    assert ((count - n * p) ** 2 / (n * p)).sum() < 55  # 15 degrees of freedom: p = 2e-6
    row = np.array([[np.nan, 1, np.nan, np.nan]])
    drawn = model.sample_conditional(row, n_draws=n)
    rows = rows[rows[:, 1] == 1]
    p = np.exp(model.score_samples(rows) - model.score_samples(row))
    count = np.array([(drawn == r).all(axis=1).sum() for r in rows])
    assert ((count - n * p) ** 2 / (n * p)).sum() < 40  # 7 degrees of freedom
    assert model.sample(0).shape == (0, 4)


def test_missing_cells_of_a_step_are_drawn_given_the_state():
    """A full normal emission: the conditional mean of a cell, by the closed form for each state and its posterior."""
    rng = np.random.default_rng(0)
    X, _ = draw(n=400, T=2)
    second = 0.8 * X + 0.6 * rng.normal(size=X.shape)
    wide = np.stack([X, second], axis=2).reshape(len(X), -1)
    model = HMM(GaussianMixture(), step_features=2, n_init=1, random_state=0).fit(wide)
    row = np.array([[0.5, np.nan, 3.1, 2.0]])
    drawn = model.sample_conditional(row, n_draws=40_000)[:, 1]
    mean = 0.0
    for s, share in enumerate(model.predict_states(row)[0, 0]):
        emission = model._fitted.densities_[0].emissions_[s]
        m, C = emission.means_[0], emission.covariances_[0]
        mean += share * (m[1] + C[1, 0] / C[0, 0] * (0.5 - m[0]))
    assert drawn.mean() == pytest.approx(mean, abs=5 * drawn.std() / 200)
    s = int(model.predict_states(row)[0, 0].argmax())
    e = model._fitted.densities_[0].emissions_[s]
    assert multivariate_normal(e.means_[0], e.covariances_[0]).pdf([0.5, mean]) > 0


@pytest.mark.parametrize("padded", [False, True])
def test_padding_changes_nothing(padded):
    X, _ = draw(n=60, T=4)
    X[::3, 2:] = np.nan
    wider = np.hstack([X, np.full((len(X), 3), np.nan)])
    a = HMM(NORMAL, n_init=1, random_state=0).fit(X)
    b = HMM(NORMAL, n_init=1, random_state=0).fit(wider if padded else X)
    asked = wider if padded else X
    np.testing.assert_allclose(b.score_samples(asked), a.score_samples(X), rtol=1e-9)


def test_lists_and_long_frames():
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(t, 2)) + 4 * (rng.random((t, 1)) < 0.5) for t in rng.integers(1, 9, 40)]
    model = HMM(NORMAL, step_features=2, n_init=1, random_state=0).fit(pad(sequences))
    each = [model.score_samples(pad([s], length=8))[0] for s in sequences]
    np.testing.assert_allclose(model.score_samples(pad(sequences)), each, rtol=1e-9)
    frame = pd.DataFrame({"id": np.repeat(["a", "b", "c"], [3, 1, 2]), "n": [1, 5, 2, 7, 1, 0], "c": list("xyxyxx")})
    wide = pad(frame, group="id")
    model = HMM(step_features=2, n_init=1, max_iter=5, random_state=0).fit(wide)
    drawn = model.sample(4)
    assert list(drawn.columns) == list(wide.columns)
    assert len(unpad(drawn, 2)) == 12


def test_nothing_observed():
    X, _ = draw(n=20, T=3)
    X[4] = np.nan
    y = np.arange(20) % 2
    model = HMM(NORMAL, n_init=1, random_state=0).fit(X, y)
    assert model.score_samples(np.full((1, 3), np.nan))[0] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(model.predict_proba(np.full((1, 3), np.nan)), [[0.5, 0.5]])
    assert model.predict_states(X).shape == (20, 3, 4)
    np.testing.assert_allclose(model.predict_states(X).sum(axis=2), 1)
    path = model.decode(X)
    assert ((path // 2).std(axis=1) == 0).all()  # a row's states are those of one class
    np.testing.assert_array_equal(path[:, 0] // 2, model.predict(X))


def test_far_rows_are_scored_in_logarithms():
    X, _ = draw(n=100, T=6)
    model = HMM(NORMAL, n_init=1, random_state=0).fit(X)
    far = X[:5].copy()
    far[:, 2] += 1e4
    far[:, 4] -= 1e4
    np.testing.assert_allclose(model.score_samples(far), _log_brute(model, far), rtol=1e-10)
    part = model._fitted.densities_[0]
    part._chain = Chain(np.array([1.0, 0.0]), np.array([[1.0, 0.0], [1e-200, 1.0]]))  # states that are never reached
    both = np.vstack([far, X[:5]])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(model.score_samples(both), _log_brute(model, both), rtol=1e-10)
    weight = np.linspace(1, 2, len(both))
    from skgen.models.latent.hmm import _Steps

    gamma, xi, first, log_p = part._expect(_Steps(model.columns_.encode(both)[0], weight, 1, 2))
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(first, [weight.sum(), 0], atol=1e-9)
    assert gamma.sum() == pytest.approx(6 * weight.sum())
    assert xi[0, 0] == pytest.approx(5 * weight.sum())


def _log_brute(model, X):
    joint = brute(model, X)
    top = joint.max(axis=1)
    return top + np.log(np.exp(joint - top[:, None]).sum(axis=1))


def test_scaled_and_logarithmic_passes_agree():
    rng = np.random.default_rng(0)
    chain = Chain(rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), 3))
    length = np.array([4, 0, 7, 7, 2])
    layout = Layout(length)
    log_b = rng.normal(0, 3, (3, 7, 5))
    there = np.arange(7)[:, None] < length
    packed = log_b[:, layout.step, layout.row]
    weight = rng.uniform(0.5, 2, 5)
    filtered = chain.filter(packed.copy(), layout)
    log_p = filtered.log_p.copy()
    gamma, xi = chain.smooth(filtered, layout, weight)
    for i, T in enumerate(length):
        if T == 0:
            assert log_p[i] == 0
            continue
        one, pairs, want = chain.log_smooth(log_b[:, :T, i : i + 1], weight[i : i + 1])
        assert log_p[i] == pytest.approx(want[0], abs=1e-10)
        np.testing.assert_allclose(gamma[:, layout.row == i], one[:, :, 0], atol=1e-10)
        xi -= pairs
    np.testing.assert_allclose(xi, 0, atol=1e-9)
    assert there.sum() == len(layout)


def test_lengths_end_at_the_last_observed_step():
    X = np.array([[1, np.nan, np.nan, np.nan], [np.nan, np.nan, np.nan, 2], [np.nan] * 4, [np.nan, 1, np.nan, np.nan]])
    np.testing.assert_array_equal(lengths(X, 2), [1, 2, 0, 1])
    np.testing.assert_array_equal(lengths(X, 1), [1, 4, 0, 2])


def test_units_are_undone():
    X, _ = draw(n=60, T=5)
    model = HMM(NORMAL, n_init=1, random_state=0).fit(X)
    scaled = HMM(NORMAL, n_init=1, random_state=0).fit(1e3 * X)
    np.testing.assert_allclose(scaled.score_samples(1e3 * X), model.score_samples(X) - 5 * np.log(1e3), atol=1e-6)


def test_weights_are_repeats():
    X = gaps(draw(n=40, T=4)[0], 0.1)
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    a = HMM(NORMAL, random_state=0).fit(X, sample_weight=weight)
    b = HMM(NORMAL, random_state=0).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(a.score_samples(X), b.score_samples(X), rtol=1e-6)


def test_chunks_do_not_change_the_answer(monkeypatch):
    X = gaps(draw(n=50, T=6)[0], 0.2)
    X[:25, 3:] = np.nan
    whole = HMM(NORMAL, n_init=1, random_state=0).fit(X)
    monkeypatch.setattr("skgen.models.latent.hmm._HELD", 64)
    parts = HMM(NORMAL, n_init=1, random_state=0).fit(X)
    np.testing.assert_allclose(parts.score_samples(X), whole.score_samples(X), rtol=1e-8)
    np.testing.assert_allclose(parts.predict_states(X), whole.predict_states(X), atol=1e-6)
    np.testing.assert_array_equal(parts.decode(X), whole.decode(X))


def test_parameters_are_counted():
    X = np.random.default_rng(0).integers(0, 2, (40, 6))
    free = HMM(n_states=3, step_features=2, n_init=1, max_iter=3, random_state=0).fit(X)
    assert free.n_parameters_ == 3 * 2 + 6 + 2  # emissions, transitions, start
    tied = HMM(n_states=3, step_features=2, start="stationary", n_init=1, max_iter=3, random_state=0).fit(X)
    assert tied.n_parameters_ == 3 * 2 + 6


def test_a_tree_for_emission_and_a_mixture_of_chains():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2, (60, 5, 1))
    X = np.concatenate([one, one ^ (rng.random((60, 5, 1)) < 0.1)], axis=2).reshape(60, 10)
    tree = HMM(ChowLiuTree(), step_features=2, n_init=1, max_iter=10, random_state=0).fit(X)
    assert tree.score(X) > HMM(n_states=1, step_features=2).fit(X).score(X) + 1
    rows = np.array(list(itertools.product([0, 1], repeat=10)))
    assert np.exp(tree.score_samples(rows)).sum() == pytest.approx(1, abs=1e-9)
    both = Mixture(HMM(n_states=2, step_features=2, n_init=1, max_iter=5), n_components=2, n_init=1, max_iter=10, random_state=0)
    assert np.exp(both.fit(X).score_samples(rows)).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("model", "X", "says"),
    [
        (HMM(step_features=2), np.zeros((4, 3)), "step_features=2"),
        (HMM(emission=3), np.zeros((4, 3)), "emission=3"),
        (HMM(emission="nothing"), np.zeros((4, 3)), "nothing"),
        (HMM(NaiveBayes(priors="uniform"), column_kinds="continuous"), np.arange(12.0).reshape(4, 3), "priors"),
        (HMM(n_states=0), np.zeros((4, 3)), "n_states=0"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_errors_name_the_fault(model, X, says):
    with pytest.raises(ValueError, match=says):
        model.fit(X)
