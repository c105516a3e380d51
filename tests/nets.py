"""Small autoregressive networks with random weights, the slow way to draw from them, and source with a planted bug."""

from __future__ import annotations

import inspect
import itertools
import sys
import textwrap
import warnings

import numpy as np
import pandas as pd
import torch
from sklearn.exceptions import ConvergenceWarning

import skgen

#: name -> (model, parameters): every kind of network that there is.
NETWORKS = {
    "fvsbn": ("fvsbn", {}),
    "nade": ("nade", {"hidden_layer_sizes": (6,)}),
    "nade relu": ("nade", {"hidden_layer_sizes": (7,), "activation": "relu"}),
    "made": ("made", {"hidden_layer_sizes": (24,)}),
    "made deep": ("made", {"hidden_layer_sizes": (26, 24), "direct": False}),
    "made masks": ("made", {"hidden_layer_sizes": (24, 22), "n_masks": 3}),
}


def shaken(model, X, y=None, noise=0.7):
    """``model`` fitted for an epoch, and then with noise on every weight: nothing in it is zero by accident."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch is not meant to learn
        model.set_params(max_epochs=1, early_stopping=False, random_state=0).fit(X, y)
    generator = torch.Generator().manual_seed(1)
    for part in model._fitted.densities_:
        for p in part._network.parameters():
            p.add_(noise / max(1.0, p.shape[-1] / 8) ** 0.5 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return model


def make(which, **parameters):
    name, own = NETWORKS[which]
    return skgen.make(name, **{**own, "n_components": 2, **parameters})


def bits(n=60, d=8, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random((n, d)) < rng.uniform(0.3, 0.7, d)).astype(np.int64)


def labels(n=60):
    return np.array(["a", "b", "c"])[np.arange(n) % 3]


def mixed(n=60, seed=0):
    """Categories of three and two levels, a bool, an integer and a continuous column, in this order: c, i, b, x, t."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "c": pd.Categorical.from_codes(rng.permutation(n) % 3, list("uvw")),
            "i": rng.poisson(4, n),
            "b": rng.permutation(n) % 2 == 0,
            "x": 3 + 2 * rng.standard_normal(n),
            "t": pd.Categorical.from_codes(rng.permutation(n) % 2, ["no", "yes"]),
        }
    )


def grid(X, names, points=241):
    """Every state of these columns of ``mixed``, and the log of the cell of a continuous one; integers and reals far out."""
    each = {"c": list("uvw"), "i": range(-60, 80), "b": [False, True], "x": np.linspace(-37, 43, points), "t": ["no", "yes"]}
    states = pd.DataFrame(itertools.product(*(each[name] for name in names)), columns=list(names))
    cell = np.log(80 / (points - 1)) if "x" in names else 0.0
    return states.astype({name: X.dtypes[name] for name in names}), cell


def network(model, k=0):
    return model._fitted.densities_[k]._network


def slow_complete(net, x, c, generator):
    """What ``complete`` promises, a cell at a time and a whole pass of the network for each."""
    noise = net.conditionals.noise(len(x), generator, net.bias)
    out, weight = x.clone(), torch.zeros(len(x), net.n_members, dtype=x.dtype)
    for r, m in itertools.product(range(len(x)), range(net.n_members)):
        weight[r, m] = net.log_prob_columns(x[r : r + 1], None if c is None else c[r : r + 1], m).sum()
    choice = torch.rand(len(x), generator=generator, dtype=torch.float64) if net.n_members > 1 else torch.zeros(len(x))
    reached = torch.softmax(weight, dim=1).cumsum(dim=1)
    for r in range(len(x)):
        m = int((reached[r, :-1] < choice[r]).sum())
        order = observed_first(net, m, ~torch.isnan(x[r]))
        shown = torch.full_like(x[r : r + 1], torch.nan)
        for j in order.tolist():
            if torch.isnan(x[r, j]):
                p = net.outputs(net.features(shown), None if c is None else c[r : r + 1], net.place(order), m)
                own = p[:, net.conditionals.parameters_of(j)]
                out[r, j] = net.conditionals.sample_column(j, own, noise[r : r + 1, j])[0]
            shown[0, j] = out[r, j]
    return out


def observed_first(net, member, seen):
    order = net.orders[member % len(net.orders)]
    return torch.cat([order[seen[order]], order[~seen[order]]]) if net.any_order else order


def log_joint(net, x, member, order=None, c=None):
    """log p(x) of complete rows by one member, in an order."""
    order = net.orders[member % len(net.orders)] if order is None else order
    return net.conditionals.log_prob(x, net.outputs(net.features(x), c, net.place(order), member)).sum(dim=1)


def with_bug(function, old, new):
    """``function`` with a piece of its source replaced."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, (old, source)
    scope = dict(vars(sys.modules[function.__module__]))
    exec(source.replace(old, new), scope)
    made = scope[function.__name__]
    return made.__func__ if isinstance(made, staticmethod) else made
