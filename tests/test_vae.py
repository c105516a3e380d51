"""The variational autoencoder against exact integrals: one-dimensional codes by quadrature, linear-Gaussian ones in closed form."""

import itertools
import pickle
import types
import warnings

import numpy as np
import pytest
import torch
from nets import bits, labels, mixed, with_bug
from scipy import stats
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from torch import nn

import skgen
from skgen.learn.gradient import Rows, seeded
from skgen.learn.labelled import labelled_loss
from skgen.models.latent._bound import Network, fixed_noise, log_normal
from skgen.models.latent.vae import VAE

SMALL = {"hidden_layer_sizes": (12,), "n_components": 1, "max_epochs": 1, "early_stopping": False, "random_state": 0}
GRID = np.linspace(-9, 9, 3001)


def shaken(X, y=None, noise=0.8, **parameters):
    """A VAE whose weights are random, and large enough for the code to matter; q stays wide enough to integrate with."""
    model = VAE(**{**SMALL, **parameters}).fit(X, y)
    generator = torch.Generator().manual_seed(3)
    for name, p in network(model).named_parameters():
        size = noise / max(1.0, p.shape[-1] / 4) ** 0.5 * (0.15 if "encoder" in name else 1.0)
        p.add_(size * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return model


def network(model):
    return model._fitted.densities_[0]._network


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


# ---- classes, labels and training


def test_rows_of_several_classes_each_have_their_own():
    X, y = bits(60, 4), labels()
    for prior in ("normal", "vamp"):
        net = network(shaken(X, y, prior=prior, n_pseudo=4, n_components=2))
        x, c = torch.from_numpy(X[:6]).double(), torch.eye(3).double()[[0, 1, 2, 2, 1, 0]]
        z = torch.randn(6, 5, 2, generator=seeded(1)).double()
        together = torch.stack([net.log_likelihood(x, z, c), net.log_prior(z, c)])
        for i in range(6):
            row = slice(i, i + 1)
            alone = torch.stack([net.log_likelihood(x[row], z[row], c[row]), net.log_prior(z[row], c[row])])
            assert torch.allclose(together[:, row], alone)


def test_classes_in_the_order_of_the_draws_are_seen(monkeypatch):
    wrong = with_bug(Network.log_likelihood, "c.repeat_interleave(S, dim=0)", "c.repeat(S, 1)")
    monkeypatch.setattr(Network, "log_likelihood", wrong)
    with pytest.raises(AssertionError):
        test_rows_of_several_classes_each_have_their_own()


def test_a_row_without_a_label_has_the_sum_over_classes():
    X, y = bits(), labels()
    net = network(shaken(X, y)).train()
    x, share = torch.from_numpy(X).double(), np.array([0.5, 0.3, 0.2])
    c = torch.full((len(X), 3), torch.nan, dtype=torch.float64)
    got = labelled_loss(share)(net, Rows(x, c, torch.ones(len(X)).double()), seeded(4), 0.0)
    generator = seeded(4)
    each = torch.stack([net.loss(x, torch.eye(3).double()[[k] * len(X)], generator, 0.0) for k in range(3)], dim=1)
    assert torch.allclose(got, -torch.logsumexp(torch.log(torch.from_numpy(share)) - each, dim=1))


def test_few_labels_are_enough_where_classes_are_clusters():
    rng = np.random.default_rng(0)
    y = np.arange(300) % 2
    X = rng.normal(0, 0.5, (300, 3)) + 2 * y[:, None]
    few = np.where(np.arange(300) < 10, y, -1)
    model = VAE(n_components=2, hidden_layer_sizes=(16,), max_epochs=20, learning_rate=0.01, unlabeled=-1, random_state=0)
    assert (model.fit(X, few).predict(X) == y).mean() > 0.95


def test_codes_of_classes_are_averaged_over_the_posterior():
    X, y = bits(), labels()
    model = shaken(X, y, n_components=2)
    by_class = np.stack([model.transform(X, label) for label in model.classes_])
    assert np.allclose(model.transform(X), np.einsum("nk,knq->nq", model.predict_proba(X), by_class))
    assert np.allclose(model.transform(X, y), by_class[np.unique(y, return_inverse=True)[1], np.arange(len(X))])
    assert model.inverse_transform(model.transform(X, y), y).shape == X.shape
    with pytest.raises(ValueError, match="y="):
        model.inverse_transform(np.zeros((1, 2)))
    separate = shaken(X, y, class_conditional="separate")
    assert separate.transform(X).shape == (len(X), 3)


def test_a_mixed_table_with_holes_is_learnt_and_filled():
    X = mixed(300)
    X["x"] = X["x"] + 4 * (X["c"] == "u") + 2 * X["b"]
    rng = np.random.default_rng(1)
    holes = X.astype({"i": "Int64", "b": "boolean"}).mask(rng.random(X.shape) < 0.2)
    model = VAE(n_components=2, hidden_layer_sizes=(16,), max_epochs=30, learning_rate=0.01, random_state=0).fit(holes)
    filled = model.impute(holes, "draw")
    assert not filled.isna().any(axis=None)
    assert (filled.dtypes == holes.dtypes).all()
    asked = holes.iloc[:1].copy()
    asked.loc[0] = [None] * 5
    asked.loc[0, "c"] = "u"
    other = asked.copy()
    other.loc[0, "c"] = "v"
    high, low = (model.predict_missing(row, "x")[0, 0] for row in (asked, other))
    assert high - low > 2
    back = model.inverse_transform(model.transform(holes))
    assert (back.dtypes == X.dtypes).sum() >= 3
    assert list(back) == list(X)


def test_collapse_is_told_of_and_seen_in_the_history():
    X = np.random.default_rng(0).normal(size=(300, 3))
    model = VAE(n_components=2, hidden_layer_sizes=(8,), max_epochs=12, beta=50.0, learning_rate=0.01, random_state=0)
    with pytest.warns(ConvergenceWarning, match="kl_warmup"):
        model.fit(X)
    assert model.history_["active_units"][-1] == 0
    t = np.random.default_rng(0).normal(size=(300, 1))
    active = VAE(n_components=2, hidden_layer_sizes=(8,), max_epochs=20, learning_rate=0.01, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        active.fit(t * [1, 2, 3] + 0.1 * X)
    history = active.history_
    assert history["active_units"][-1] >= 1
    assert history["kl"][-1] > 0.5
    assert len(history["kl"]) == active.n_iter_


def test_log_sd_of_the_code_is_bounded_whatever_the_encoder_says():
    net = network(shaken(bits(), n_components=2))
    for size in (-1e6, 0.0, 1e6):
        net.encoder[-1].bias.fill_(size)
        log_sd = net.posterior(net.show(torch.from_numpy(bits()).double()), None)[1]
        assert ((log_sd >= -7) & (log_sd <= 3)).all()


# ---- other architectures


class ResidualVAE(VAE):
    def _encoder(self, columns, n_inputs, n_outputs):
        block = nn.Sequential(nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 24))
        block.forward = types.MethodType(lambda self, h: h + nn.Sequential.forward(self, h), block)
        return nn.Sequential(nn.Linear(n_inputs, 24), block, nn.ReLU(), nn.Linear(24, n_outputs))


def test_another_encoder_is_a_short_subclass():
    X, y = bits(), labels()
    model = ResidualVAE(**SMALL).fit(X, y)
    assert {"encoder.1.0", "encoder.3", "decoder.0", "outputs"} <= set(model.summary()["layer"])
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.score_samples(X), model.score_samples(X))
    total = model.summary()["parameters"].sum()
    assert total == sum(p.numel() for p in network(model).parameters()) > model.n_parameters_


@pytest.mark.parametrize("colours", [1, 2])
def test_images_are_convolved(colours):
    rng = np.random.default_rng(0)
    shape = (5, 7) if colours == 1 else (5, 7, 2)
    X = rng.normal(size=(60, int(np.prod(shape))))
    X[:, ::2] += 3 * rng.normal(size=(60, 1))
    model = VAE(image_shape=shape, channels=(3, 4), **SMALL).fit(X, labels())
    assert (model.summary()["kind"] == "Conv2d").sum() == 4
    assert model.score_samples(X).shape == (60,)
    assert model.sample(3, y="a").shape == X[:3].shape
    # a pixel's features stay at its place: the inputs of the convolutions are the image
    net = network(model)
    seen = []
    net.encoder.convolutions.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model.transform(X, "a")
    columns = net.outputs.conditionals
    assert all(len(np.unique(columns.width[k::colours].numpy())) == 1 for k in range(colours))  # pixels have one unit
    Z = (model.columns_.encode(X)[0] - columns.centre.numpy()) / columns.width.numpy()
    assert np.allclose(seen[0].permute(0, 2, 3, 1).reshape(60, -1).numpy(), Z, atol=1e-9)
    dense = VAE(image_shape=shape, channels=None, **SMALL).fit(X)
    assert (dense.summary()["kind"] != "Conv2d").all()


def test_more_draws_need_no_refit_and_noise_is_shared_and_fixed():
    X = bits()
    model = shaken(X, noise=1.5)
    few = model.set_params(n_samples_score=2).score_samples(X)
    many = model.set_params(n_samples_score=500).score_samples(X)
    assert not np.allclose(few, many)
    assert many.mean() > few.mean()
    assert np.array_equal(model.score_samples(X[::-1])[::-1].round(9), many.round(9))
    normal, uniform = fixed_noise(100, 3)
    assert np.array_equal(np.sort(np.floor(100 * stats.norm.cdf(normal)), axis=0), np.tile(np.arange(100)[:, None], (1, 3)))
    assert np.array_equal(np.sort(np.floor(100 * uniform)), np.arange(100))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"free_bits": 1.0, "n_importance": 5}, "n_importance=1"),
        ({"optimizer": "lbfgs", "kl_warmup": 5}, "kl_warmup=0"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes"),
        ({"image_shape": (2, 4), "channels": ()}, "channels"),
        ({"beta": -1.0}, "beta"),
    ],
)
def test_bad_parameters_are_named(parameters, words):
    with pytest.raises(ValueError, match=words):
        VAE(**{**SMALL, **parameters}).fit(bits())
