"""Two players: losses in closed form, modes found, and what a user asks of them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import energy_distance as scipy_energy

from skgen.learn.adversarial import coverage, energy_distance
from skgen.learn.games import LOSSES
from skgen.models.implicit.gan import GAN

SMALL = {"hidden_layer_sizes": (32, 32), "n_latent": 4, "random_state": 0}


def ring(n, seed=0):
    rng = np.random.default_rng(seed)
    angle = np.pi / 2 * rng.integers(0, 4, n)
    return 2 * np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.1, (n, 2))


def test_losses_are_those_of_the_papers():
    real, fake = torch.tensor([0.3, -1.2], dtype=torch.float64), torch.tensor([0.7, 0.1], dtype=torch.float64)
    D, G = torch.sigmoid(real), torch.sigmoid(fake)
    d, g = LOSSES["minimax"](real, fake, 0.0)
    assert torch.allclose(d, -torch.log(D) - torch.log(1 - G))
    assert torch.allclose(g, torch.log(1 - G))
    d, g = LOSSES["non_saturating"](real, fake, 0.1)
    assert torch.allclose(d, -0.9 * torch.log(D) - 0.1 * torch.log(1 - D) - torch.log(1 - G))
    assert torch.allclose(g, -torch.log(G))
    d, g = LOSSES["least_squares"](real, fake, 0.0)
    assert torch.allclose(d, 0.5 * (real - 1) ** 2 + 0.5 * fake**2)
    assert torch.allclose(g, 0.5 * (fake - 1) ** 2)
    d, g = LOSSES["wasserstein"](real, fake, 0.0)
    assert torch.allclose(d, fake - real)
    assert torch.allclose(g, -fake)


def test_energy_distance_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=400), rng.normal(1, 2, 400)
    ours = energy_distance(torch.from_numpy(a[:, None]), torch.from_numpy(b[:, None]))
    # scipy's is the square root, and counts the distance of a row to itself
    assert np.isclose(ours, scipy_energy(a, b) ** 2, atol=0.01)
    assert abs(energy_distance(torch.from_numpy(a[:, None]), torch.from_numpy(rng.normal(size=(400, 1))))) < 0.02


def test_coverage_counts_the_modes_that_are_reached():
    X = torch.from_numpy(ring(400))
    half = X[X[:, 0] > -1]  # three of four
    assert coverage(X, torch.from_numpy(ring(400, seed=1))) > 0.9
    assert 0.6 < coverage(X, half) < 0.85


def test_all_modes_of_a_ring_are_drawn():
    model = GAN(max_epochs=40, learning_rate=2e-3, n_iter_no_change=40, **SMALL).fit(ring(1200))
    drawn = model.sample(1000)
    centres = 2 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    distance = np.linalg.norm(drawn[:, None] - centres, axis=2)
    near = distance.min(axis=1) < 0.5
    assert np.bincount(distance.argmin(axis=1)[near], minlength=4).min() > 50
    assert near.mean() > 0.7
    history = model.history_
    assert {"generator_loss", "discriminator_loss", "discriminator_accuracy", "energy_distance"} <= set(history)
    assert history["energy_distance"].min() < 0.4 * history["energy_distance"][0]


def test_a_mixed_table_comes_back_as_it_was():
    rng = np.random.default_rng(0)
    level = rng.integers(0, 3, 600)
    X = pd.DataFrame(
        {
            "x": level + rng.normal(0, 0.2, 600),
            "c": pd.Categorical.from_codes(level, list("uvw")),
            "b": rng.random(600) < 0.3,
            "n": rng.poisson(3, 600),
        }
    )
    y = np.where(level == 2, "high", "low")
    model = GAN(max_epochs=25, learning_rate=2e-3, **SMALL).fit(X, y)
    drawn, labels = model.sample(400, return_y=True)
    assert drawn.dtypes.equals(X.dtypes)
    assert set(labels) == {"high", "low"}
    assert np.isfinite(model.score_samples(X)).all()
    assert model.likelihood_ == "estimate"
    assert model.score(X, y) > 0.9
    assert model.discriminate(X, y).shape == (600,)
    assert len(model.inverse_transform(rng.normal(size=(5, 4)), y="high")) == 5
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.score_samples(X), model.score_samples(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # two epochs are few
def test_a_fit_is_a_function_of_its_seed():
    X = ring(200)
    one, other = (GAN(max_epochs=2, **SMALL).fit(X) for _ in range(2))
    assert np.array_equal(one.sample(20), other.sample(20))
    assert np.array_equal(one.score_samples(X), other.score_samples(X))
