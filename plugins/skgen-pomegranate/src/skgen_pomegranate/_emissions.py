"""Emissions of the hidden Markov model: pomegranate's nodes from arrays and back, where EM starts, and draws.

Normal emissions are a list of means (S, F) and covariances (S, F, F) or, diagonal, (S, F); tables are a list of arrays
(S, levels), one for each of the F columns of a step.
"""

from __future__ import annotations

import numpy as np
import torch
from pomegranate.distributions import Categorical, IndependentComponents, Normal
from pomegranate.kmeans import KMeans

from skgen_pomegranate._base import draw

__all__ = ["add_variance", "collapsed", "draw_steps", "make_nodes", "normal_start", "read_nodes", "table_start", "write_nodes"]

_FLOOR = 1e-6  # of the variances that EM starts from, so that there is a density at all


def normal_start(points: np.ndarray, weight: np.ndarray, S: int, full: bool, rng: np.random.Generator) -> list[np.ndarray]:
    """Means and covariances of the clusters of pomegranate's k-means after one iteration, as its ``DenseHMM.fit`` takes them.

    The centres are S distinct rows, each as likely as the weight it has. pomegranate would take any S rows whatever their
    weights, and where two are equal its clusters fall apart.

    Parameters
    ----------
    points : array of shape (N, F)
        Steps.
    weight : array of shape (N,)
    S : int
    full : bool
        Whether covariances are (F, F) or (F,).
    rng : Generator
    """
    rows, label = np.unique(points, axis=0, return_inverse=True)
    label = label.ravel()
    if 1 < S < len(rows):
        mass = np.bincount(label, weight)
        centres = rows[rng.choice(len(rows), S, replace=False, p=mass / mass.sum())]
        means = KMeans(centroids=torch.from_numpy(centres).float(), max_iter=1)
        found = means.fit_predict(torch.from_numpy(points).float(), sample_weight=torch.from_numpy(weight).float())
        label = found.numpy()
    elif S == 1:
        label = np.zeros(len(points), dtype=np.intp)
    centres, spreads = [], []
    for s in range(S):
        own = label == s if (label == s).any() else np.ones(len(points), dtype=bool)
        w = weight[own] / weight[own].sum()
        centre = w @ points[own]
        away = points[own] - centre
        spread = (away * w[:, None]).T @ away + _FLOOR * np.eye(len(centre))
        centres.append(centre)
        spreads.append(spread if full else np.diag(spread))
    return [np.array(centres), np.array(spreads)]


def table_start(codes: np.ndarray, weight: np.ndarray, levels: np.ndarray, S: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Tables drawn around the shares of the levels in all steps, Dirichlet(levels * share + 1)."""
    tables = []
    for column, k in zip(codes.T, levels.tolist(), strict=True):
        shares = np.bincount(column, weight, k) / weight.sum()
        tables.append(rng.dirichlet(k * shares + 1, S))
    return tables


def make_nodes(emission: list[np.ndarray], discrete: bool, pseudocount: float) -> list:
    """A node a state; normal ones are standard, in single precision, for their constructor cannot do otherwise."""
    nodes = []
    for s in range(len(emission[0])):
        if not discrete:
            mean, spread = (torch.zeros(one.shape[1:]) for one in emission)
            kind = "full" if spread.ndim == 2 else "diag"
            nodes.append(
                Normal(mean, spread + (torch.eye(len(mean)) if kind == "full" else 1.0), covariance_type=kind, check_data=False)
            )
            continue
        # one Categorical for all columns would give its pseudo-counts to levels that a column does not have
        each = [Categorical(torch.from_numpy(p[s : s + 1].copy()), pseudocount=pseudocount, check_data=False) for p in emission]
        nodes.append(each[0] if len(each) == 1 else IndependentComponents(each))
    return nodes


def write_nodes(nodes: list, emission: list[np.ndarray]) -> None:
    """Set the parameters of normal nodes; tables are made as they are."""
    for node, *parameters in zip(nodes, *emission, strict=True) if isinstance(nodes[0], Normal) else ():
        for one, value in zip((node.means, node.covs), parameters, strict=True):
            one.copy_(torch.from_numpy(value))


def add_variance(nodes: list, reg_covar: float) -> None:
    """Before an M-step: as if each step had a variance of its own, sum w (x x' + r I)."""
    for node in nodes if isinstance(nodes[0], Normal) else ():
        own = reg_covar * node._w_sum
        node._xxw_sum += torch.diag(own) if node.covariance_type == "full" else own


def read_nodes(nodes: list) -> list[np.ndarray]:
    """The arrays of nodes, copied."""
    if isinstance(nodes[0], Normal):
        return [torch.stack([getattr(node, name) for node in nodes]).detach().numpy() for name in ("means", "covs")]
    columns = [node.distributions if isinstance(node, IndependentComponents) else [node] for node in nodes]
    return [torch.cat([one.probs for one in column]).detach().double().numpy() for column in zip(*columns, strict=True)]


def collapsed(emission: list[np.ndarray], discrete: bool) -> bool:
    """Whether EM has left the parameters: NaN, or a variance of nothing, of which pomegranate makes +inf or says no word."""
    spread = None if discrete else emission[1]
    flat = spread is not None and not ((np.einsum("sff->sf", spread) if spread.ndim == 3 else spread) > 0).all()
    return bool(flat or any(np.isnan(one).any() for one in emission))


def draw_steps(emission: list[np.ndarray], discrete: bool, state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, F) steps of states (n,). pomegranate's diagonal ``sample`` takes the variance for a standard deviation."""
    if discrete:
        return np.column_stack([draw(p[state], rng) for p in emission]).astype(float)
    mean, spread = emission
    root = np.linalg.cholesky(spread) if spread.ndim == 3 else np.sqrt(spread)[:, :, None] * np.eye(mean.shape[1])
    return mean[state] + np.einsum("nfg,ng->nf", root[state], rng.standard_normal((len(state), mean.shape[1])))
