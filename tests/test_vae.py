"""The variational autoencoder against exact integrals: one-dimensional codes by quadrature, linear-Gaussian ones in closed form."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from codes import network, shaken
from nets import bits, labels, mixed, with_bug
from scipy import stats
from scipy.special import logsumexp

import skgen
from skgen.learn.gradient import seeded
from skgen.models.latent._bound import Network, fixed_noise, log_normal
from skgen.models.latent.vae import VAE

GRID = np.linspace(-9, 9, 3001)


def exact(net, x, c=None):
    """log p(observed cells of x | c) by quadrature over a one-dimensional code."""
    z = torch.from_numpy(GRID)[:, None]
    x = torch.as_tensor(x, dtype=torch.float64)
    c = None if c is None else torch.as_tensor(c, dtype=torch.float64)
    parameters = net.decode(z, None if c is None else c.expand(len(z), -1))
    each = net.outputs.log_prob(x, parameters.repeat(len(x), 1)) + net.log_prior(z[None], None if c is None else c[None])
    return torch.logsumexp(each, dim=1).numpy() + np.log(GRID[1] - GRID[0])


# ---- the terms of the bound


@pytest.mark.parametrize("prior", ["normal", "vamp"])
def test_analytic_kl_is_its_monte_carlo_mean(prior):
    net = network(shaken(bits(), n_components=3, prior=prior, n_pseudo=5))
    x = torch.from_numpy(bits()[:4]).double()
    mean, log_sd = net.posterior(net.show(x), None)
    z = mean[:, None] + torch.exp(log_sd)[:, None] * torch.randn(4, 40_000, 3, generator=seeded(1), dtype=torch.float64)
    ratio = log_normal(z, mean[:, None], log_sd[:, None]) - net.log_prior(z, None)
    kl = net.terms(x, None, tuple(map(torch.from_numpy, fixed_noise(4000, 3))))[:, 1]
    assert ((kl - ratio.mean(dim=1)).abs() < 5 * ratio.std(dim=1) / (200 if prior == "normal" else 60)).all()
    assert (kl > 0.01).all()


def test_elbo_terms_add_up_and_the_gap_is_the_divergence_from_the_posterior():
    X, y = bits(), labels()
    model = shaken(X, n_samples_score=3000)
    net, terms = network(model), model.elbo_terms(X)
    assert np.allclose(terms["elbo"], terms["reconstruction"] - terms["kl"])
    assert np.allclose(terms["log_prob"], model.score_samples(X))
    # KL(q(z|x) || p(z|x)) on the grid
    x, z = torch.from_numpy(X[:5]).double(), torch.from_numpy(GRID)[:, None]
    mean, log_sd = net.posterior(net.show(x), None)
    log_q = log_normal(z[None], mean[:, None], log_sd[:, None])
    joint = net.outputs.log_prob(x, net.decode(z, None).repeat(5, 1)) + net.log_prior(z[None], None)
    gap = (torch.exp(log_q) * (log_q - joint)).sum(dim=1).numpy() * (GRID[1] - GRID[0]) + exact(net, X[:5])
    assert np.allclose(terms["gap"][:5], gap, atol=0.02)
    labelled = shaken(X, y)
    terms = labelled.elbo_terms(X)
    assert np.allclose(terms["log_prob"], labelled.score_samples(X))
    assert (terms["gap"] > -0.2).all()
    of_class = labelled.elbo_terms(X, y)
    code = np.unique(y, return_inverse=True)[1]
    joint = labelled.predict_joint_log_proba(X) - labelled.class_log_prior_
    assert np.allclose(of_class["log_prob"], joint[np.arange(len(X)), code])


def test_beta_zero_is_the_reconstruction_alone():
    X = bits()
    net = network(shaken(X, beta=0.0))
    x = torch.from_numpy(X).double()
    net.train()
    loss = net.loss(x, None, seeded(5), 0.5)
    mean, log_sd = net.posterior(net.show(x), None)
    noise = torch.randn(len(x), 1, 1, generator=seeded(5)).double()
    z = mean[:, None] + torch.exp(log_sd)[:, None] * noise
    assert torch.allclose(loss, -net.log_likelihood(x, z, None)[:, 0])


def test_iwae_gradient_is_the_weighted_mean_of_the_gradients():
    X = bits(20)
    net = network(shaken(X, n_importance=7, n_components=2)).requires_grad_(True).train()
    x = torch.from_numpy(X).double()
    net.loss(x, None, seeded(2), 0.0).sum().backward()
    got = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    net.zero_grad()
    noise = torch.randn(20, 7, 2, generator=seeded(2)).double()
    _, log_w = net.weigh(x, None, (noise, torch.zeros(20, 7)))
    share = torch.softmax(log_w, dim=1).detach()
    # grad log 1/K sum_k w_k = sum_k w_k / (sum w) grad log w_k      (Burda et al. 2016, eq. 13)
    (-(share * log_w).sum()).backward()
    want = [p.grad for p in net.parameters() if p.grad is not None]
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(got, want, strict=True))


def test_while_the_kl_term_warms_up_only_its_gradient_shows_it():
    X = bits()
    x = torch.from_numpy(X).double()

    def slopes(progress, training=True, **parameters):
        net = network(shaken(X, n_components=2)).requires_grad_(True).train(training)
        vars(net).update(parameters, warm_up=0.5)
        loss = net.loss(x, None, seeded(2), progress)
        loss.sum().backward()
        return loss.detach(), torch.cat([p.grad.ravel() for p in net.encoder.parameters()])

    value, slope = slopes(0.25)
    whole, whole_slope = slopes(0.5)
    half, half_slope = slopes(0.5, beta=0.5)
    assert torch.allclose(value, whole)
    assert torch.allclose(slope, half_slope)
    assert not torch.allclose(slope, whole_slope)
    assert not torch.allclose(value, half)
    assert torch.allclose(slopes(0.25, training=False)[1], whole_slope)
    free, free_slope = slopes(0.5, free_bits=1e3)  # all of it is free
    assert torch.allclose(free, whole)
    assert torch.allclose(free_slope, slopes(0.5, beta=0.0)[1])


# ---- linear and Gaussian: everything in closed form


class LinearVAE(VAE):
    """x | z ~ N(W z + m, s^2 I) without a tail."""

    _astray = 0.0


def linear(q=2, **parameters):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 5)) + rng.normal(0, 0.5, (400, 5))
    keep = {"hidden_layer_sizes": (), "scale": "shared", "n_components": q, "early_stopping": False, "random_state": 0}
    return X, LinearVAE(**{**keep, **parameters})


def exact_normal(model, X):
    """log p(x) of a linear-Gaussian VAE, in data units."""
    net, columns = network(model), model.columns_
    z = torch.cat([torch.zeros(1, net.q), torch.eye(net.q)]).double()
    m = net.outputs.conditionals.mean(net.decode(z, None))
    W = (m[1:] - m[0]).T.numpy()
    peak = net.outputs.conditionals.log_prob(m[:1], net.decode(z[:1], None)).numpy()[0]
    s = np.exp(-peak) / np.sqrt(2 * np.pi)  # log N(m; m, s^2) = -log s - log(2 pi) / 2
    coded = (X - columns.loc) / columns.scale
    return stats.multivariate_normal(m[0].numpy(), W @ W.T + np.diag(s**2)).logpdf(coded) - np.log(columns.scale).sum()


def test_the_bound_is_below_exact_log_p_and_tightens():
    X, model = linear(max_epochs=3, learning_rate=0.02, batch_size=50)
    model.fit(X)
    want, net = exact_normal(model, X), network(model)
    x = torch.from_numpy((X - model.columns_.loc) / model.columns_.scale)
    gain, means = -np.log(model.columns_.scale).sum(), []
    for S in (1, 10, 100, 1000):  # noise of its own for each row: with shared noise, few draws are alike in all rows
        log_p = net.log_prob(x, None, net._noise(len(x), S, seeded(S), x)).numpy() + gain
        error = (log_p - want).std() / len(x) ** 0.5
        means.append(log_p.mean())
        assert means[-1] < want.mean() + 2 * error
    assert means[0] < means[1] < means[2] < want.mean() + 0.002
    assert want.mean() - means[3] < 0.02 < want.mean() - means[0]
    shared = [model.set_params(n_samples_score=S).score(X) for S in (100, 1000)]
    assert np.abs(want.mean() - shared).max() < 0.03


def test_the_optimum_of_a_linear_vae_is_ppca():
    X, model = linear(max_epochs=150, learning_rate=0.02, batch_size=100, n_iter_no_change=30)
    model.fit(X)
    want = skgen.make("ppca", n_components=2, shrinkage=0).fit(X).score(X)
    assert want - 0.05 < model.score(X) < want + 0.01
    assert want - 0.05 < exact_normal(model, X).mean() <= want + 1e-6
    assert model.elbo_terms(X)["gap"].mean() < 0.05  # the posterior is in the encoder's family


# ---- log p by quadrature


@pytest.mark.parametrize("prior", ["normal", "vamp"])
@pytest.mark.parametrize("labelled", [False, True])
def test_score_is_the_integral_over_the_code(prior, labelled):
    X, y = bits(60, 4), labels() if labelled else None
    model = shaken(X, y, prior=prior, n_pseudo=4, n_samples_score=4000)
    states = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
    holes = np.where(np.arange(4) == [[1], [2], [3]] * np.ones((3, 1), dtype=int), np.nan, states[[3, 6, 9]])
    holes = np.vstack([holes, [[np.nan, 1, np.nan, np.nan]], [[np.nan] * 4]])
    for rows in (states, holes):
        if labelled:
            got = model.predict_joint_log_proba(rows) - model.class_log_prior_
            want = np.column_stack([exact(network(model), rows, np.eye(3)[k]) for k in range(3)])
            assert np.allclose(model.score_samples(rows), logsumexp(got + model.class_log_prior_, axis=1))
        else:
            got, want = model.score_samples(rows), exact(network(model), rows)
        assert np.abs(got - want).max() < 0.03
        assert want.std() > 0.05
    assert model.score_samples(holes)[-1] == 0
    assert abs(np.exp(model.score_samples(states)).sum() - 1) < 0.01


def test_conditional_draws_follow_the_integral():
    model = shaken(bits(60, 4), n_samples_score=100)
    row = np.array([[1.0, np.nan, 0.0, np.nan]])
    drawn = model.sample_conditional(row, n_draws=4000, random_state=0)
    assert (drawn[:, [0, 2]] == [1, 0]).all()
    full = np.array([[1, a, 0, b] for a in (0.0, 1.0) for b in (0.0, 1.0)])
    want = np.exp(exact(network(model), full) - exact(network(model), row))
    got = np.bincount((2 * drawn[:, 1] + drawn[:, 3]).astype(int), minlength=4)
    assert stats.chisquare(got, 4000 * want / want.sum()).pvalue > 1e-3
    p = model.predict_missing(row, 1)
    assert np.allclose(p[0], [want[:2].sum(), want[2:].sum()], atol=0.03)


@pytest.mark.parametrize("labelled", [False, True])
def test_filled_cells_are_the_likelier_level(labelled):
    X = bits(60, 4)
    model = shaken(X, labels() if labelled else None, n_samples_score=2000)
    asked = np.where(np.arange(4) == [[0], [1], [2], [3]], np.nan, X[:4].astype(float))
    filled, sure = model.impute(asked), 0
    for i in range(4):
        full = np.tile(X[i].astype(float), (2, 1))
        full[:, i] = [0, 1]
        zero, one = model.score_samples(full)
        if abs(one - zero) > 0.1:
            sure += 1
            assert filled[i, i] == (one > zero)
    assert sure >= 3


def test_filled_numbers_are_the_conditional_means():
    X = mixed(300)
    X["x"] = X["x"] + 4 * (X["c"] == "u")
    model = VAE(n_components=1, hidden_layer_sizes=(12,), max_epochs=15, learning_rate=0.02, random_state=0).fit(X)
    asked = X.head(5).copy()
    asked["x"] = np.nan
    model.set_params(n_samples_score=400)
    assert np.allclose(model.impute(asked)["x"], model.predict_missing(asked, "x")[:, 0], atol=0.15)
    asked = X.head(5).astype({"b": "boolean"}).mask(np.tile([True, False, True, False, False], (5, 1)))
    p = model.predict_missing(asked, "c")
    filled = model.impute(asked)
    assert (filled["c"] == pd.Categorical.from_codes(p.argmax(axis=1), list("uvw"))).all()


def test_draws_follow_the_integral():
    model = shaken(bits(60, 3))
    states = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    drawn = model.sample(8000, random_state=1)
    want = np.exp(exact(network(model), states))
    assert stats.chisquare(np.bincount((drawn @ [4, 2, 1]).astype(int), minlength=8), 8000 * want / want.sum()).pvalue > 1e-3


def test_hidden_cells_leave_log_likelihood_to_the_others():
    X = mixed(60)
    model = shaken(X)
    net, Z = network(model), model.columns_.encode(X)[0][:6]
    holes = np.where(np.arange(5) % 2 == 0, np.nan, Z)
    z = torch.linspace(-1, 1, 6, dtype=torch.float64)[:, None, None]
    parameters = net.decode(z[:, 0], None)
    each = net.outputs.conditionals.log_prob(torch.from_numpy(Z), parameters)
    got = net.log_likelihood(torch.from_numpy(holes), z, None)[:, 0]
    assert torch.allclose(got, each[:, 1::2].sum(dim=1))
    features = net.show(torch.from_numpy(holes))
    assert torch.allclose(features[:, :3], net.absent[:3].expand(6, 3))  # the first column has three levels


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("weigh", "+ log_p - log_r", "- log_r"),
        ("weigh", "math.log(other / S)", "math.log(own)"),
        ("log_prior", ") - math.log(len(m))", ")"),
        ("log_prob", "- math.log(log_w.shape[1])", ""),
    ],
)
def test_a_planted_bug_is_seen(monkeypatch, method, old, new):
    monkeypatch.setattr(Network, method, with_bug(getattr(Network, method), old, new))
    with pytest.raises(AssertionError):
        test_score_is_the_integral_over_the_code("vamp", True)


# ---- grey pixels


def test_grey_pixels_train_by_cross_entropy_and_are_scored_as_a_density():
    X = np.clip(np.random.default_rng(0).beta(0.5, 2, (300, 6)), 0, 1)
    X[:, 1] = X[:, 0]
    settings = {"n_components": 1, "hidden_layer_sizes": 8, "max_epochs": 60, "learning_rate": 0.02, "beta": 0.05}
    model = VAE(column_kinds="bernoulli", random_state=0, **settings).fit(X)
    codes = model.transform(X)
    made = model.inverse_transform(codes)
    assert ((made > 0) & (made < 1)).all()
    assert np.corrcoef(made[:, 0], X[:, 0])[0, 1] > 0.8  # what two columns share is in the code
    net = network(model)
    z = torch.tensor(codes)
    entropy = net.log_likelihood(torch.tensor(X), z[:, None], None, cross_entropy=True)[:, 0]
    m = made.clip(1e-9, 1 - 1e-9)
    assert np.allclose(entropy, (X * np.log(m) + (1 - X) * np.log(1 - m)).sum(axis=1), atol=1e-6)
    # as a density of its own: one cell given nothing else integrates to one
    grid = np.linspace(0.0005, 0.9995, 1000)
    rows = np.full((1000, 6), np.nan)
    rows[:, 3] = grid
    assert np.exp(model.set_params(n_samples_score=1000).score_samples(rows)).mean() == pytest.approx(1, abs=0.03)
    drawn = model.sample(500, random_state=0)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert abs(drawn.mean() - X.mean()) < 0.05
    assert model.score_samples([[0.5] * 5 + [1.5]])[0] == -np.inf
