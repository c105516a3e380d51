"""Tables and quadrature for the tests of this plugin."""

import itertools

import numpy as np
import pandas as pd

FEW = {"n_estimators": 8, "min_samples_leaf": 10, "random_state": 0}


def inner(model):
    return model._fitted.densities_[0]


def plane(n=400, seed=0):
    """Two columns on a ring: uncorrelated and dependent."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([3 + 2 * np.cos(angle), 50 + 20 * np.sin(angle)]) + rng.normal(size=(n, 2)) * [0.2, 2]


def mixed(n=500, seed=0):
    """A table of all four kinds, one latent class behind it; level "d" is declared and never seen."""
    rng = np.random.default_rng(seed)
    k = rng.random(n) < 0.4
    colour = np.where(k, rng.choice(list("abc"), n, p=[0.7, 0.2, 0.1]), rng.choice(list("abc"), n, p=[0.1, 0.2, 0.7]))
    return pd.DataFrame(
        {
            "colour": pd.Categorical(colour, categories=list("abcd")),
            "flag": rng.random(n) < np.where(k, 0.8, 0.1),
            "count": np.where(rng.random(n) < 0.5, 0, rng.poisson(np.where(k, 2, 9))),
            "length": np.where(k, -2.0, 2.0) + rng.normal(size=n),
        }
    )


def states(lengths, counts=range(-40, 90)):
    """All cells of the discrete columns of ``_mixed`` times the lengths given."""
    cells = list(itertools.product("abcd", (False, True), counts, lengths))
    frame = pd.DataFrame(cells, columns=["colour", "flag", "count", "length"])
    return frame.assign(colour=pd.Categorical(frame["colour"], categories=list("abcd")))


def edges(model, j):
    """Where the density jumps in a continuous column, in data units, and far ends."""
    trees, c = inner(model)._trees, model.columns_
    cuts = trees.threshold[trees.feature == j] * c.scale[j] + c.loc[j]
    ends = c.loc[j] + np.array([-8.0, 8.0]) * c.scale[j]
    return np.unique(np.concatenate([ends, cuts, np.linspace(*ends, 40)]))


def nodes(edges, order=8):
    """Gauss-Legendre nodes and weights on each piece between the jumps."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges) / 2
    return ((edges[:-1] + half)[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


def like(column, cells):
    """Cells as a column of the same dtype, nullable where they are missing."""
    dtype = {"i": "Int64", "b": "boolean"}.get(column.dtype.kind if hasattr(column.dtype, "kind") else "O", column.dtype)
    return pd.Series(cells, dtype=dtype, index=column.index)
