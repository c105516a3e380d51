"""Annealed importance sampling against integrals that have a closed form."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from skgen.ops.annealing import annealed_log_marginal

W = torch.tensor([[1.0, 0.5], [-0.7, 0.2], [0.3, 1.5]], dtype=torch.float64)
B = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def rows(sigma, n=20):
    generator = torch.Generator().manual_seed(0)
    z, noise = (torch.randn(n, k, generator=generator, dtype=torch.float64) for k in (2, 3))
    return z @ W.T + B + sigma * noise


def linear(x, sigma):
    """log N(x; W z + b, sigma^2 I)."""

    def log_likelihood(z):
        away = (x[:, None] - z @ W.T - B) / sigma
        return -0.5 * away.square().sum(dim=2) - 3 * math.log(sigma) - 1.5 * math.log(2 * math.pi)

    return log_likelihood


def exact(x, sigma):
    return multivariate_normal(B.numpy(), (W @ W.T + sigma**2 * torch.eye(3)).numpy()).logpdf(x.numpy())


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_a_linear_gaussian_model_has_its_closed_form(sigma):
    x = rows(sigma)
    found = annealed_log_marginal(linear(x, sigma), len(x), 2, x, n_steps=200, n_chains=32).numpy()
    assert np.abs(found - exact(x, sigma)).mean() < 0.25
    # a likelihood without its normaliser is seen by the same look
    wrong = annealed_log_marginal(lambda z: linear(x, sigma)(z) + 3 * math.log(2.0), len(x), 2, x, n_steps=200, n_chains=32)
    assert np.abs(wrong.numpy() - exact(x, sigma)).min() > 1


def test_temperatures_do_what_many_draws_from_the_prior_would():
    x = rows(0.05)
    errors = [
        np.abs(annealed_log_marginal(linear(x, 0.05), len(x), 2, x, n_steps=m, n_chains=8).numpy() - exact(x, 0.05)).mean()
        for m in (1, 30, 300)
    ]
    assert errors[0] > 10 * errors[2]  # one step is plain importance sampling from the prior
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.5


def test_the_estimate_of_p_is_unbiased():
    x = rows(0.3, n=4)
    ratio = [
        np.exp(annealed_log_marginal(linear(x, 0.3), 4, 2, x, n_steps=10, n_chains=50, seed=s).numpy() - exact(x, 0.3))
        for s in range(60)
    ]
    error = np.std(ratio, axis=0) / np.sqrt(60)
    assert (np.abs(np.mean(ratio, axis=0) - 1) < 4 * error + 1e-3).all()
    assert error.max() < 0.1  # the look is sharp enough to see a bias of a half


def test_a_row_is_estimated_apart_from_the_rows_beside_it():
    x = rows(0.3)
    together = annealed_log_marginal(linear(x, 0.3), len(x), 2, x)
    alone = torch.cat([annealed_log_marginal(linear(x[i : i + 1], 0.3), 1, 2, x) for i in range(5)])
    assert torch.allclose(together[:5], alone, rtol=1e-9)
    assert not torch.allclose(together[:5], annealed_log_marginal(linear(x[:5], 0.3), 5, 2, x, seed=1), rtol=1e-9)


def test_rows_far_out_have_a_small_number_and_not_none():
    x = rows(0.1) + 1e6
    found = annealed_log_marginal(linear(x, 0.1), len(x), 2, x, n_steps=20)
    assert torch.isfinite(found).all()
    assert (found < -1e6).all()
