"""p(x) = sum over z, or integral, of p(x|z) p(z)."""
