"""The autoencoder: its corruptions, tied weights and reconstructions, and its estimate of log p against quadrature."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from nets import bits, labels, mixed, with_bug
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skgen.learn.gradient import seeded
from skgen.models.latent.autoencoder import Autoencoder

SMALL = {"hidden_layer_sizes": (12,), "n_components": 1, "max_epochs": 4, "early_stopping": False, "random_state": 0}
STATES = np.array(list(itertools.product([0.0, 1.0], repeat=4)))


def network(model):
    return model._fitted.densities_[0]._network


def exact(model, X):
    """log p(x | y) by quadrature over a one-dimensional code, (n, K), in coded units."""
    part, net = model._fitted.densities_[0], network(model)
    centre, spread = part._codes.columns_.loc[0], part._codes.columns_.scale[0]
    z = centre + spread * np.linspace(-15, 15, 12_001)[:, None]
    with torch.no_grad():
        parameters = net.decode(torch.from_numpy(z))
        log_px = net.outputs.log_prob(torch.from_numpy(X).double(), parameters.repeat(len(X), 1)).numpy()
    joint = log_px[:, :, None] + part._log_prob_codes(z)[None]
    return np.logaddexp.reduce(joint, axis=1) + np.log(z[1, 0] - z[0, 0])


# ---- what is encoded in training


def test_corruptions_hit_the_share_of_cells_asked_for():
    X = mixed(600)
    for noise, level in (("masking", 0.25), ("salt_and_pepper", 0.4), ("gaussian", 0.5)):
        model = Autoencoder(**{**SMALL, "max_epochs": 1}, noise=noise, noise_level=level).fit(X)
        net, x = network(model), torch.from_numpy(model.columns_.encode(X)[0])
        clean = net.outputs.conditionals.features(x)
        seen = net.corrupt(clean, seeded(1))
        # features: c one-hot (3), i, b, x, t one-hot (2)
        if noise == "gaussian":
            assert abs((seen - clean).std() - level) < 0.02
            continue
        share = ((seen - clean)[:, 5].abs() > 1e-9).double().mean()
        assert abs(share - level) < 0.06
        if noise == "masking":
            gone = (seen[:, :3] == 0).all(dim=1)
            assert abs(gone.double().mean() - level) < 0.06
        else:
            assert (seen[:, :3].sum(dim=1) == 1).all()
            hit = (seen != clean)[:, 5]
            ends = torch.stack([clean[:, 5].min(), clean[:, 5].max()])
            assert (seen[hit, 5][:, None] - ends).abs().amin(dim=1).max() < 1e-5
            levels = (seen[:, :3] != clean[:, :3]).any(dim=1).double().mean()
            assert abs(levels - level * 2 / 3) < 0.06  # one level in three is the old one
        assert np.array_equal(net.corrupt(clean, seeded(1)), seen)


def test_the_clean_row_is_the_target():
    X = mixed(60)
    model = Autoencoder(**SMALL, noise="masking", noise_level=1.0).fit(X)
    net, x = network(model), torch.from_numpy(model.columns_.encode(X)[0])
    hidden = torch.zeros_like(net.outputs.conditionals.features(x))
    want = -net.outputs.log_prob(x, net.decode(net.encoder(hidden)))[:, 0]
    assert torch.allclose(net.loss(x, None, seeded(0), 0.0), want)


# ---- networks


def test_tied_weights_are_the_encoders_transposed():
    X = mixed(60)
    model = Autoencoder(**{**SMALL, "hidden_layer_sizes": (7, 5), "n_components": 2}, tied_weights=True).fit(X)
    net = network(model)
    first, _, second, _, third = net.encoder
    z = torch.randn(6, 2, generator=seeded(0)).double()
    h = torch.relu(z @ third.weight + net.decoder.biases[0])
    h = torch.relu(h @ second.weight + net.decoder.biases[1]) @ first.weight
    made = net.decode(z) - net.outputs(torch.zeros(6, net.outputs.n_outputs).double())
    # outputs: c 3 logits, i (logit, mean, scale), b logit, x (logit, mean, scale), t 2 logits; features: 3, 1, 1, 1, 2
    assert torch.allclose(made[:, [0, 1, 2, 4, 6, 8, 10, 11]], h)
    assert (made[:, [3, 5, 7, 9]] == 0).all()
    untied = Autoencoder(**{**SMALL, "hidden_layer_sizes": (7, 5), "n_components": 2}).fit(X)
    assert untied.n_parameters_ > model.n_parameters_
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.transform(X), model.transform(X))
    with pytest.raises(ValueError, match="tied_weights"):
        Autoencoder(**SMALL, tied_weights=True, image_shape=(2, 4), channels=(3,)).fit(bits())


@pytest.mark.filterwarnings("ignore::skgen.reading.ColumnWarning")  # pixels repeat
def test_digits_are_reconstructed_better_than_by_as_many_principal_components():
    X = load_digits().data / 16
    X = X[:, X.std(axis=0) > 0]
    train, test = X[:1200], X[1200:]
    model = Autoencoder(
        n_components=8, scale="shared", units="shared", max_epochs=60, learning_rate=3e-3, batch_size=64, random_state=0
    ).fit(train)
    pca = PCA(8).fit(train)
    error = np.mean((model.reconstruct(test) - test) ** 2)
    linear = np.mean((pca.inverse_transform(pca.transform(test)) - test) ** 2)
    assert error < 0.9 * linear


def test_noise_is_taken_off():
    rng = np.random.default_rng(0)
    t = rng.uniform(0, 2 * np.pi, (900, 1))
    X = np.cos(t + np.arange(12))
    noisy = X + rng.normal(0, 0.5, X.shape)
    model = Autoencoder(
        n_components=2,
        hidden_layer_sizes=(48,),
        noise="gaussian",
        noise_level=0.7,
        max_epochs=50,
        learning_rate=5e-3,
        random_state=0,
    ).fit(X[:600])
    assert np.mean((model.denoise(noisy[600:]) - X[600:]) ** 2) < 0.35 * np.mean((noisy[600:] - X[600:]) ** 2)


def test_images_and_frames_come_back_in_their_containers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 35))
    model = Autoencoder(image_shape=(5, 7), channels=(3, 4), **SMALL).fit(X)
    assert (model.summary()["kind"] == "Conv2d").sum() == 4
    assert model.reconstruct(X).shape == X.shape
    table = mixed(60)
    model = Autoencoder(**SMALL).fit(table)
    back = model.reconstruct(table)
    assert isinstance(back, pd.DataFrame)
    assert (back.dtypes == table.dtypes).all()
    zeros = bits().astype(np.int64)
    p = Autoencoder(**SMALL).fit(zeros).reconstruct(zeros)
    assert ((p > 0) & (p < 1)).all()


# ---- the estimate of log p


@pytest.mark.parametrize("labelled", [False, True])
def test_the_estimate_is_near_the_integral(labelled):
    X, y = bits(200, 4), np.tile(labels(50), 4) if labelled else None
    y = None if y is None else np.where(X[:, 0] > 0, "a", np.where(X[:, 1] > 0, "b", "c"))
    model = Autoencoder(**{**SMALL, "max_epochs": 12, "learning_rate": 0.02}, n_samples_score=4000).fit(X, y)
    want = exact(model, STATES)
    got = model._fitted._log_prob_classes(STATES)
    assert np.abs(got - want).max() < 0.1
    assert want.std() > 0.3
    if labelled:
        assert np.allclose(model.predict_joint_log_proba(STATES), got + model.class_log_prior_)
    assert np.allclose(np.exp(want).sum(axis=0), 1, atol=1e-4)
    assert model.likelihood_ == "estimate"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("log_pz - log_r[:, :, None]", "0 * log_pz - log_r[:, :, None]"),
        ("- q * np.log(w)", ""),
        ("-0.5 * q * math.log(2 * math.pi)", "0.0"),
        ("np.log(len(anywhere) / S)", "0.0"),
    ],
)
def test_a_planted_bug_in_the_estimate_is_seen(monkeypatch, old, new):
    monkeypatch.setattr(Autoencoder, "_estimate", with_bug(Autoencoder._estimate, old, new))
    with pytest.raises(AssertionError):
        test_the_estimate_is_near_the_integral(True)


def test_draws_follow_the_integral():
    X = bits(200, 4)
    model = Autoencoder(**SMALL).fit(X)
    want = np.exp(exact(model, STATES)[:, 0])
    drawn = model.sample(8000, random_state=1)
    assert stats.chisquare(np.bincount((drawn @ [8, 4, 2, 1]).astype(int), minlength=16), 8000 * want / want.sum()).pvalue > 1e-3


def test_the_density_is_estimated_in_data_units():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 1)) @ [[1.0, 2.0, -1.0]] + rng.normal(0, 0.3, (500, 3))
    parameters = {"hidden_layer_sizes": (), "scale": "shared", "n_components": 1, "max_epochs": 40, "learning_rate": 0.02}
    model = Autoencoder(**parameters, code_density="ppca", random_state=0).fit(X)
    want = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T)).logpdf(X).mean()
    assert abs(model.score(X) - want) < 0.15
    scaled = Autoencoder(**parameters, code_density="ppca", random_state=0).fit(1000 * X)
    assert abs(scaled.score(1000 * X) + 3 * np.log(1000) - model.score(X)) < 0.02


# ---- classes


def test_networks_do_not_see_the_class_and_rows_without_a_label_count():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    X = rng.normal(0, 0.5, (400, 3)) + 2.5 * y[:, None]
    few = np.where(np.arange(400) < 10, y, -1)
    model = Autoencoder(n_components=2, hidden_layer_sizes=(16,), max_epochs=15, learning_rate=0.01, random_state=0)
    model.set_params(unlabeled=-1).fit(X, few)
    assert (model.predict(X) == y).mean() > 0.95
    assert model.transform(X).shape == (400, 2)
    assert model.inverse_transform(model.transform(X)).shape == X.shape
    assert len(model._fitted._codes.densities_) == 2
    separate = Autoencoder(**SMALL, class_conditional="separate").fit(X, y)
    assert separate.transform(X).shape == (400, 2)
    assert (separate.predict(X) == y).mean() > 0.9


def test_refusals_name_the_remedy():
    X = bits()
    with pytest.raises(ValueError, match="code_density"):
        Autoencoder(**SMALL, code_density="chow_liu").fit(X)
    with pytest.raises(ValueError, match="noise_level"):
        Autoencoder(**SMALL, noise="masking", noise_level=2.0).fit(X)
    model = Autoencoder(**SMALL).fit(X.astype(float))
    with pytest.raises(ValueError, match="NaN"):
        model.score_samples(np.full((1, 8), np.nan))
    with pytest.raises(ValueError, match="outside"):
        model.transform(np.full((1, 8), 2.0))
    with pytest.raises(ValueError, match="n_components"):
        model.inverse_transform(np.zeros((1, 3)))
    assert not hasattr(model, "partial_fit")
