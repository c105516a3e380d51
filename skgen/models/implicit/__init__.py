"""x = G(z): a sampler without a density."""
