"""What is true of the hidden Markov model alone, and what pomegranate does that the README says."""

import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from pomegranate.distributions import Normal
from pomegranate.hmm import DenseHMM
from scipy.stats import multivariate_normal
from skgen_pomegranate import PomegranateHMM
from sklearn.exceptions import ConvergenceWarning

import skgen

START = np.array([0.8, 0.2])
MOVE = np.array([[0.85, 0.15], [0.3, 0.7]])


def paths(n, T, rng):
    states = np.empty((n, T), dtype=int)
    states[:, 0] = rng.choice(2, n, p=START)
    for t in range(1, T):
        states[:, t] = rng.random(n) < MOVE[states[:, t - 1], 1]
    return states


def numbers(n=150, T=5, F=2, seed=0):
    rng = np.random.default_rng(seed)
    states = paths(n, T, rng)
    Y = np.array([[-1.5, 10.0], [1.5, 30.0]])[states][:, :, :F] + rng.normal(size=(n, T, F)) * [1.0, 5.0][:F]
    return Y.reshape(n, T * F)


def codes(n=200, T=4, seed=0):
    rng = np.random.default_rng(seed)
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    u = rng.random((n, T, 1))
    return (p.cumsum(axis=1)[paths(n, T, rng)] < u).sum(axis=2)


def fit(X, y=None, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return PomegranateHMM(**{"random_state": 0, **parameters}).fit(X, y)


def over_all_paths(model, log_emission):
    """log p(x | T) by a sum over every path of states; ``log_emission`` is (n, T, S)."""
    n, T, S = log_emission.shape
    joint, length = np.zeros(n), 0.0
    for path in itertools.product(range(S), repeat=T):
        p = model.startprob_[path[0]] * model.endprob_[path[-1]]
        p *= np.prod([model.transmat_[i, j] for i, j in itertools.pairwise(path)])
        joint += p * np.exp(sum(log_emission[:, t, s] for t, s in enumerate(path)))
        length += p
    return np.log(joint) - np.log(length)


def log_normal(model, X, F):
    steps = X.reshape(len(X), -1, F)
    spread = [np.diag(c) if c.ndim == 1 else c for c in model.covariances_]
    each = [multivariate_normal(m, c).logpdf(steps).reshape(steps.shape[:2]) for m, c in zip(model.means_, spread, strict=True)]
    return np.stack(each, axis=-1)


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
@pytest.mark.parametrize("F", [1, 2])
def test_log_p_is_the_sum_over_all_paths_and_that_of_a_forward_pass(covariance_type, F):
    X = numbers(F=F)
    model = fit(X, n_states=3, step_features=F, covariance_type=covariance_type)
    b = log_normal(model, X, F)
    np.testing.assert_allclose(model.score_samples(X), over_all_paths(model, b), rtol=1e-9)
    # the forward recursion, scaled at each step: a_t = (A' a_(t-1)) b_t
    log_p, a = np.zeros(len(X)), np.broadcast_to(model.startprob_, (len(X), 3))
    length = model.startprob_
    for t in range(b.shape[1]):
        if t:
            a, length = a @ model.transmat_, length @ model.transmat_
        a = a * np.exp(b[:, t])
        log_p += np.log(a.sum(axis=1))
        a = a / a.sum(axis=1, keepdims=True)
    expected = log_p + np.log(a @ model.endprob_) - np.log(length @ model.endprob_)
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-9)


def test_p_of_all_sequences_of_codes_sums_to_one_and_is_the_sum_over_all_paths():
    model = fit(codes(), column_kinds="categorical", max_iter=30)
    states = np.array(list(itertools.product(range(3), repeat=4)))
    log_p = model.score_samples(states)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)  # tables are counted in single precision
    b = np.log(model.probabilities_[0].T[states])
    np.testing.assert_allclose(log_p, over_all_paths(model, b), rtol=1e-9)


@pytest.mark.parametrize("pseudocount", [0.0, 2.0])
def test_steps_of_columns_with_unlike_levels(pseudocount):
    Y = np.stack([codes(300, 2), codes(300, 2, seed=1) // 2], axis=2)
    frame = pd.DataFrame({f"{j}{t}": [("abc", "xy")[j][c] for c in Y[:, t, j]] for t in range(2) for j in range(2)})
    model = fit(frame, step_features=2, pseudocount=pseudocount, max_iter=20)
    every = pd.DataFrame(list(itertools.product("abc", "xy", "abc", "xy")), columns=frame.columns)
    assert np.exp(model.score_samples(every)).sum() == pytest.approx(1, abs=1e-6)


def test_the_density_integrates_to_one():
    X = numbers(T=2, F=1)
    model = fit(X)
    grid = np.linspace(-9, 9, 400)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    assert np.exp(model.score_samples(points)).sum() * (grid[1] - grid[0]) ** 2 == pytest.approx(1, abs=1e-6)


def test_log_p_is_pomegranates_own_less_that_of_the_length():
    X = numbers(T=4, F=1)
    model = fit(X, n_states=2)
    c = model.columns_
    joint = model.hmm_.log_probability(torch.from_numpy((X - c.loc) / c.scale)[:, :, None]).numpy()
    length = model.startprob_ @ np.linalg.matrix_power(model.transmat_, 3) @ model.endprob_
    np.testing.assert_allclose(model.score_samples(X), joint - np.log(length) - np.log(c.scale).sum(), rtol=1e-9)


def test_em_never_falls_and_finds_what_pomegranate_finds_from_the_same_start():
    X = numbers(300, 6, 1)
    model = fit(X, tol=1e-9, max_iter=300)
    assert model.converged_
    assert np.diff(model.history_[:-1]).min() > -1e-9
    steps = torch.from_numpy((X - model.columns_.loc) / model.columns_.scale)[:, :, None].float()
    nodes = [Normal(torch.tensor([m]), torch.eye(1)) for m in (-1.0, 1.0)]
    theirs = DenseHMM(nodes, edges=[[0.45, 0.45]] * 2, starts=[0.5, 0.5], ends=[0.1, 0.1], tol=1e-4).fit(steps)
    order = np.argsort(model.means_[:, 0])
    np.testing.assert_allclose(model.transmat_[order][:, order], theirs.edges.exp().numpy(), atol=0.02)
    np.testing.assert_allclose(model.endprob_[order], theirs.ends.exp().numpy(), atol=0.02)


def test_it_beats_one_state_and_is_near_skgens_hmm():
    X, held_out = numbers(400, 8, 1), numbers(400, 8, 1, seed=1)
    two, one = fit(X).score(held_out), fit(X, n_states=1).score(held_out)
    ours = skgen.HMM(n_states=2, random_state=0).fit(X).score(held_out)
    assert two > one + 0.5
    assert two == pytest.approx(ours, abs=0.05)


@pytest.mark.parametrize(("X", "kinds"), [(numbers(F=1), "auto"), (codes(), "categorical")])
def test_draws_are_of_the_density(X, kinds):
    model = fit(X, column_kinds=kinds, max_iter=15)
    # state 1 mostly ends a sequence: draws that forget the length would be in it too often before the last step
    chain = {"starts": [0.5, 0.5], "edges": [[0.59, 0.4], [0.2, 0.1]], "ends": [0.01, 0.7]}
    model.densities_[0]._chain = {name: np.log(p) for name, p in chain.items()}
    model.densities_[0]._forget()
    drawn = model.sample(20_000, random_state=1)
    own = model.score_samples(drawn)
    assert np.isfinite(own).all()
    if kinds == "categorical":
        states = np.array(list(itertools.product(range(3), repeat=4)))
        p = np.exp(model.score_samples(states))
        share = np.bincount(np.ravel_multi_index(tuple(drawn.T.astype(int)), (3,) * 4), minlength=81) / len(drawn)
        assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / len(drawn)) + 1e-5).all()
    else:
        # mean and covariance of x by the margins of the states
        A, e = model.transmat_, model.endprob_
        left = [e]
        for _ in range(4):
            left.insert(0, A @ left[0])
        p = model.startprob_ * left[0]
        for t in range(5):
            p = p / p.sum()
            sd = drawn[:, t].std() / np.sqrt(len(drawn))
            assert drawn[:, t].mean() == pytest.approx(float(p @ model.means_[:, 0]), abs=5 * sd)
            second = p @ (model.covariances_[:, 0, 0] + model.means_[:, 0] ** 2)
            assert np.square(drawn[:, t]).mean() == pytest.approx(float(second), rel=0.05)
            p = (p / left[t]) @ A * left[t + 1] if t < 4 else p


@pytest.mark.parametrize(("X", "kinds"), [(numbers(F=1), "auto"), (codes(), "categorical")])
def test_a_weight_is_so_many_rows(X, kinds):
    weight = np.random.default_rng(2).integers(0, 4, len(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weighted = PomegranateHMM(random_state=0, column_kinds=kinds, max_iter=20).fit(X, sample_weight=weight)
        repeated = PomegranateHMM(random_state=0, column_kinds=kinds, max_iter=20).fit(np.repeat(X, weight, axis=0))
        alike = PomegranateHMM(random_state=0, column_kinds=kinds, max_iter=20).fit(X)
    np.testing.assert_allclose(weighted.score_samples(X), repeated.score_samples(X), atol=2e-3)
    assert weighted.n_iter_ == repeated.n_iter_
    assert np.abs(weighted.score_samples(X) - alike.score_samples(X)).max() > 0.02


def test_a_class_is_its_own_hmm():
    X = np.vstack([numbers(150, 5, 1), -2 * numbers(150, 5, 1, seed=1)])
    y = np.repeat(["a", "b"], 150)
    model = fit(X, y)
    assert model.score(X, y) > 0.7
    assert len(model.densities_) == 2
    read = skgen.columns(X, step_features=1)
    alone = fit(X[:150], column_kinds=read)
    mean = (model.predict_joint_log_proba(X[:150])[:, 0] - np.log(0.5)).mean()
    assert mean == pytest.approx(alone.score(X[:150]), abs=0.1)


def test_copies_and_files_are_bit_for_bit(tmp_path):
    for X, kinds in ((numbers(), "auto"), (codes(), "categorical")):
        model = fit(X, step_features=2, column_kinds=kinds, max_iter=3)
        skgen.save(model, tmp_path / "hmm.skgen")
        for other in (pickle.loads(pickle.dumps(model)), skgen.load(tmp_path / "hmm.skgen")):
            np.testing.assert_array_equal(other.score_samples(X), model.score_samples(X))
            np.testing.assert_array_equal(other.sample(50), model.sample(50))
        assert len(pickle.dumps(model)) < 10_000  # the arrays alone


def test_no_global_generator_moves():
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(numbers()).sample(100)
    fit(codes(), column_kinds="categorical").sample(100)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_a_state_without_volume_is_no_density_and_keeps_the_estimate_before_it():
    X = np.vstack([np.zeros((40, 4)), numbers(40, 4, 1)])
    with pytest.warns(ConvergenceWarning, match="keeps the estimate"):
        model = PomegranateHMM(n_states=2, reg_covar=0, random_state=0, max_iter=500, tol=0).fit(X)
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(fit(X).score_samples(X)).all()


def test_a_sequence_that_no_path_gives_has_no_density():
    X = np.tile([0, 1, 0, 1], (30, 1))
    model = fit(X, column_kinds="categorical", n_states=2)
    model.densities_[0]._emission = [np.array([[1.0, 0.0], [1.0, 0.0]])]
    model.densities_[0]._forget()
    assert model.score_samples(X[:1]) == -np.inf


@pytest.mark.parametrize(
    ("X", "parameters", "says"),
    [
        (numbers(F=1)[:, :1], {}, "two steps or more"),
        (numbers(F=1), {"step_features": 2}, "does not divide"),
    ],
)
def test_what_cannot_be_fitted_is_refused(X, parameters, says):
    with pytest.raises(ValueError, match=says):
        fit(X, **parameters)


def test_steps_that_were_read_apart_are_refused():
    X = pd.DataFrame({"a": list("xy") * 30, "b": list("xyz") * 20})
    with pytest.raises(ValueError, match="'a' and 'b' are one variable at two steps"):
        fit(X, column_kinds=skgen.columns(X))
    assert np.isfinite(fit(X).score_samples(X)).all()


def test_a_mixture_of_them():
    mixture = skgen.Mixture(PomegranateHMM(max_iter=5), n_components=2, max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert np.isfinite(mixture.fit(numbers(60, 3, 1)).score_samples(numbers(60, 3, 1))).all()


def test_steps_of_both_kinds_are_refused_unless_converted():
    X = numbers(100, 2, 1)
    frame = pd.DataFrame({"x0": X[:, 0], "c0": list("ab") * 50, "x1": X[:, 1], "c1": list("ba") * 50})
    with pytest.raises(ValueError, match="'c0' is discrete and column 'x0' continuous"):
        fit(frame, step_features=2)
    binned = fit(frame, step_features=2, emission="categorical", max_iter=5)
    assert np.isfinite(binned.score_samples(frame)).mean() > 0.9


def test_what_is_asked_of_the_other_emission_says_what_to_read():
    with pytest.raises(AttributeError):
        _ = fit(numbers(F=1)).probabilities_
    with pytest.raises(AttributeError):
        _ = fit(codes(), column_kinds="categorical").means_


def test_n_parameters():
    assert fit(numbers(), step_features=2, n_states=3).n_parameters_ == 2 + 9 + 3 * (2 + 3)
    assert fit(numbers(), step_features=2, n_states=3, covariance_type="diag").n_parameters_ == 2 + 9 + 3 * 4
    assert fit(codes(), column_kinds="categorical").n_parameters_ == 1 + 4 + 2 * 2
