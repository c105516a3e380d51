"""The variational autoencoder in training and as a transformer: classes, labels, holes, collapse, other architectures."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from codes import SMALL, network, shaken
from nets import bits, labels, mixed, with_bug
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from skgen.learn.gradient import Rows, seeded
from skgen.learn.labelled import labelled_loss
from skgen.models.latent._bound import Network, fixed_noise
from skgen.models.latent.vae import VAE

# ---- classes and labels


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
    wrong = with_bug(Network.log_likelihood, "c.repeat_interleave(z.shape[1], dim=0)", "c.repeat(z.shape[1], 1)")
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


@pytest.mark.filterwarnings("ignore::skgen.reading.ColumnWarning")
@pytest.mark.parametrize(("scale", "told"), [("free", True), ("shared", False)])
def test_a_scale_at_its_floor_is_told_of_with_the_column(scale, told):
    X = load_digits().data[:500, :9] / 16  # the first pixel is constant and has no other scale; the second is nearly so
    net = {"n_components": 2, "hidden_layer_sizes": (32,), "learning_rate": 0.02, "batch_size": 50, "max_epochs": 60}
    model = VAE(**net, scale=scale, random_state=0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model.fit(X)
    floors = [str(w.message) for w in seen if "at its floor" in str(w.message)]
    assert bool(floors) == told
    assert all("floor in column 1:" in message for message in floors)


def test_log_sd_of_the_code_is_bounded_whatever_the_encoder_says():
    net = network(shaken(bits(), n_components=2))
    for size in (-1e6, 0.0, 1e6):
        net.encoder[-1].bias.fill_(size)
        log_sd = net.posterior(net.show(torch.from_numpy(bits()).double()), None)[1]
        assert ((log_sd >= -7) & (log_sd <= 3)).all()


# ---- other architectures


class Residual(nn.Sequential):
    def forward(self, h):
        return h + super().forward(h)


class ResidualVAE(VAE):
    def _encoder(self, columns, n_inputs, n_outputs):
        block = Residual(nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 24))
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
