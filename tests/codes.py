"""A variational autoencoder with random weights."""

import torch

from skgen.models.latent.vae import VAE

SMALL = {"hidden_layer_sizes": (12,), "n_components": 1, "max_epochs": 1, "early_stopping": False, "random_state": 0}


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
