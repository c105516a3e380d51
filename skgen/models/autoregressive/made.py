"""MADE: a network with masked weights, whose output i is a function of the inputs before i."""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from skgen.models.autoregressive._base import AutoregressiveModel, AutoregressiveModule
from skgen.ops.conditionals import Conditionals
from skgen.parameters import Interval
from skgen.tables import Columns

__all__ = ["MADE"]

_ROWS_READ = 20_000  # for the entropies of the columns


class _Network(AutoregressiveModule):
    r"""h_1 = relu((W_1 * M_1) x + b_1), h_l = relu((W_l * M_l) h_(l-1) + b_l), outputs (V * M_V) h_L + (A * M_A) x + b.

    Each hidden unit has a degree m: it sees the m first columns. M_1 = 1[place(x_k) < m], M_l = 1[m_l >= m_(l-1)],
    M_V = 1[place(x_i) >= m_L], M_A = 1[place(x_k) < place(x_i)] (Germain et al. 2015, eqs. 12, 13 and 16).

    Degree m is for the column at place m, the first to read such units, and gets as large a share of the units as that
    column has of the entropy of all: a column that is nearly constant has little to be told.
    """

    minds_places = True  # a column at place i reads the units of degrees up to i

    def __init__(self, *args: Any, sizes: tuple[int, ...], direct: bool, n_masks: int):
        super().__init__(*args)
        self._n_masks = n_masks
        widths = [self.n_features, *sizes]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.weight = nn.Parameter(torch.zeros(self.n_parameters, widths[-1]))
        self.direct = nn.Parameter(torch.zeros(self.n_parameters, self.n_features)) if direct else None
        self.hidden_by_class = nn.Linear(self.n_classes, sizes[0], bias=False) if self.n_classes else None
        for i, size in enumerate(sizes):
            self.register_buffer(f"degree_{i}", torch.from_numpy(np.ones((n_masks, size), dtype=np.int64)))

    @property
    def n_members(self) -> int:
        return max(len(self.orders), self._n_masks)

    def initialise(self, x: Tensor, weight: Tensor, c: Tensor | None) -> None:
        super().initialise(x, weight, c)
        upto = self._shares_of_degrees(x, weight).cumsum(0)
        for i in range(len(self.hidden)):
            degree = getattr(self, f"degree_{i}")
            size = degree.shape[1]
            for m in range(self._n_masks):  # the first mask has the quantiles of the shares, the others have draws
                u = torch.arange(size) / size if m == 0 else torch.rand(size)
                degree[m] = 1 + torch.searchsorted(upto[:-1], u.to(upto), right=True)

    def _shares_of_degrees(self, x: Tensor, weight: Tensor) -> Tensor:
        """What share of the hidden units has degree 1, 2, ...: that of the column at this place in the sum of entropies."""
        size = max(1, self.n_columns - 1)
        entropy = torch.ones(size, dtype=torch.float64)
        if self.n_columns > 1 and not self.any_order:  # in any order every column comes at every place
            found = _entropies(x, weight, self.conditionals)[self.orders[0].cpu().numpy()[1:]]
            if found.sum() > 0:
                entropy = torch.from_numpy(found)
        return entropy / entropy.sum()

    def _degrees(self, member: int) -> list[Tensor]:
        return [getattr(self, f"degree_{i}")[member % self._n_masks] for i in range(len(self.hidden))]

    def outputs(self, features: Tensor, c: Tensor | None, place: Tensor, member: int) -> Tensor:
        if place.ndim > 1:
            return self._outputs_each(features, c, place, member)
        degrees = self._degrees(member)
        shown, made_for = place[self.feature_owner], place[self.parameter_owner][:, None]
        h, seen = features, shown + 1  # a feature at place p is seen by degrees p + 1 and more
        for i, (layer, degree) in enumerate(zip(self.hidden, degrees, strict=True)):
            h = nn.functional.linear(h, layer.weight * (degree[:, None] >= seen), layer.bias)
            if i == 0 and c is not None:
                h = h + self.hidden_by_class(c)
            h, seen = torch.relu(h), degree
        out = nn.functional.linear(h, self.weight * (made_for >= seen), None) + self.output_bias(c)
        return out if self.direct is None else out + features @ (self.direct * (shown < made_for)).T

    def _outputs_each(self, features: Tensor, c: Tensor | None, place: Tensor, member: int) -> Tensor:
        """The same with the places of each row, (n, d): masks on what is shown and on hidden units instead of weights."""
        shown = place[:, self.feature_owner]
        state = self.begin_each(features, shown, c, member)
        for i in range(1, self.n_columns):
            self.advance(state, i)
        h, degree, out = state["hidden"][-1], self._degrees(member)[-1], []
        for j in range(self.n_columns):
            at, own = self.conditionals.parameters_of(j), place[:, j : j + 1]
            p = (h * (own >= degree)) @ self.weight[at].T
            out.append(p if self.direct is None else p + (features * (shown < own)) @ self.direct[at].T)
        return torch.cat(out, dim=1) + state["bias"]

    def n_free(self) -> int:
        """Weights that no mask holds at zero; all of them where masks or orders change."""
        every = sum(p.numel() for p in self.parameters())
        if self.any_order or self._n_masks > 1:
            return every
        place = self.place(self.orders[0])
        shown, made_for = place[self.feature_owner], place[self.parameter_owner][:, None]
        seen = shown + 1
        for degree in self._degrees(0):
            every -= int((degree[:, None] < seen).sum())
            seen = degree
        every -= int((made_for < seen).sum())
        return every if self.direct is None else every - int((shown >= made_for).sum())

    # ---- draws: a hidden unit is computed once, when the columns it sees have come

    def begin(self, n: int, c: Tensor | None, order: np.ndarray, member: int) -> dict:
        device = self.bias.device
        features, ends = self.feature_places(order)
        by_column = [np.flatnonzero(self._made_for == j) for j in order]
        parameters = torch.from_numpy(np.concatenate(by_column)).to(device)
        columns = torch.from_numpy(features).to(device)
        state: dict[str, Any] = {"ends": ends, "starts": np.r_[0, np.cumsum([len(p) for p in by_column])]}
        state["shown"] = self.bias.new_empty(len(features), n)  # read only up to where it was told
        state["layers"], before, n_before = [], columns, None
        for i, (layer, degree) in enumerate(zip(self.hidden, self._degrees(member), strict=True)):
            units = torch.argsort(degree, stable=True)
            upto = torch.searchsorted(degree[units].contiguous(), torch.arange(self.n_columns + 1, device=device), right=True)
            bias = layer.bias[units][:, None]
            if i == 0 and c is not None:
                bias = bias + self.hidden_by_class(c).T[units]
            h = self.bias.new_empty(len(units), n)
            state["layers"].append((layer.weight[units][:, before], bias, h, upto.tolist(), n_before))
            before, n_before = units, upto.tolist()
        state["weight"] = self.weight[parameters][:, before]
        state["direct"] = None if self.direct is None else self.direct[parameters][:, columns]
        state["bias"] = self.output_bias(c)[..., parameters].expand(n, -1).T
        state["known"] = 0  # degrees up to here are computed
        return state

    def parameters_at(self, state: dict, i: int) -> Tensor:
        shown, end = state["shown"], state["ends"]
        for degree in range(state["known"] + 1, i + 1):
            below = shown
            for weight, bias, h, upto, upto_below in state["layers"]:
                new = slice(upto[degree - 1], upto[degree])
                seen = end[degree] if upto_below is None else upto_below[degree]
                if new.start < new.stop:
                    torch.addmm(bias[new], weight[new, :seen], below[:seen], out=h[new])
                    h[new].relu_()
                below = h
            state["known"] = degree
        _, _, h, upto, _ = state["layers"][-1]
        at = slice(state["starts"][i], state["starts"][i + 1])
        out = torch.addmm(state["bias"][at], state["weight"][at, : upto[i]], h[: upto[i]])
        if state["direct"] is not None:
            out.addmm_(state["direct"][at, : end[i]], shown[: end[i]])
        return out.T

    def tell(self, state: dict, i: int, features: Tensor) -> None:
        state["shown"][state["ends"][i] : state["ends"][i + 1]] = features.T

    def begin_each(self, shown: Tensor, place: Tensor, c: Tensor | None, member: int) -> dict:
        n, start = len(shown), [layer.bias for layer in self.hidden]
        if c is not None:
            start[0] = start[0] + self.hidden_by_class(c)
        hidden = [self.bias.new_zeros(n, layer.out_features) for layer in self.hidden]
        bias = self.output_bias(c).expand(n, -1)
        return {"shown": shown.clone(), "place": place, "member": member, "start": start, "hidden": hidden, "bias": bias}

    def advance(self, state: dict, i: int) -> None:
        below = state["shown"] * (state["place"] < i)
        for k, (layer, degree) in enumerate(zip(self.hidden, self._degrees(state["member"]), strict=True)):
            new, h = torch.nonzero(degree == i)[:, 0], state["hidden"][k]
            units = torch.relu(below @ layer.weight[new].T + state["start"][k][..., new])
            # units of higher degrees are still zero
            below = h.index_copy(1, new, units) if torch.is_grad_enabled() else h.index_copy_(1, new, units)
            state["hidden"][k] = below

    def parameters_each(self, state: dict, j: int, rows: Tensor) -> Tensor:
        at = self.conditionals.parameters_of(j)
        out = state["hidden"][-1][rows] @ self.weight[at].T + state["bias"][rows, at]
        return out if self.direct is None else out + state["shown"][rows] @ self.direct[at].T

    def tell_each(self, state: dict, j: int, rows: Tensor, features: Tensor) -> None:
        state["shown"][rows[:, None], torch.nonzero(self.feature_owner == j)[:, 0]] = features


def _entropies(x: Tensor, weight: Tensor, conditionals: Conditionals) -> np.ndarray:
    """Entropy of each column, nats; of a numeric one as rounded to half its width. At most some 20,000 rows are read."""
    at = slice(None, None, -(-len(x) // _ROWS_READ))
    x, weight = x[at].double().cpu(), weight[at].double().cpu().numpy()
    z = torch.round(2 * (x - conditionals.centre.cpu()) / conditionals.width.cpu()).numpy()
    out = np.zeros(z.shape[1])
    for j, cells in enumerate(z.T):
        seen = ~np.isnan(cells)
        if seen.any():
            p = np.bincount(np.unique(cells[seen], return_inverse=True)[1], weights=weight[seen])
            p = p[p > 0] / p.sum()
            out[j] = -(p * np.log(p)).sum()
    return np.maximum(out, 0.0)


class MADE(AutoregressiveModel):
    r"""Masked autoencoder for distribution estimation: p(x) = prod_i p(x_i | x_<i) by one network (Germain et al. 2015).

    Its weights are masked so that the outputs for column i are a function of the columns before it: all conditionals at
    the price of one pass. Binary, categorical, integer and continuous columns may stand side by side; a continuous one is
    a mixture of Gaussians.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int or int, default=(256,)
    direct : bool, default=True
        Direct connections from the columns before to the outputs, beside the hidden layers.
    n_masks : int, default=1
        Connectivities trained in turn; p(x) is the mean over them.
    order : None, "random" or sequence of columns
        None is the order of the table.
    n_orders : int, default=1
        With more than one, trained for any order, and the mean of the densities of so many random ones: a better density,
        and any cells may be missing. The first order is ``order``.
    n_components : int, default=5
        Mixture components of a numeric column.

    Attributes
    ----------
    n_iter_ : int
        Epochs.
    history_ : dict of arrays

    Notes
    -----
    The other parameters are those of :class:`skgen.NeuralModel`. ``score_samples`` is exact, in nats and data units.
    With one order, missing cells are answered where they come last in it (``missing = "suffix"``).

    References
    ----------
    Germain, Gregor, Murray & Larochelle (2015), "MADE: Masked autoencoder for distribution estimation", ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen import MADE
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MADE(hidden_layer_sizes=(32,), n_components=1, max_epochs=100, random_state=0).fit(X, y)
    >>> model.score_columns(X).shape
    (150, 4)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    hidden_layer_sizes: tuple | list | int = (256,)
    direct: bool = True
    n_masks: Annotated[int, Interval(1)] = 1
    learning_rate: Annotated[float, Interval(0, open_low=True)] = 2e-3
    weight_decay: Annotated[float, Interval(0)] | Literal["auto"] = "auto"

    quick = MappingProxyType(
        {"hidden_layer_sizes": (16,), "n_components": 1, "max_epochs": 3, "learning_rate": 0.1, "batch_size": 64}
    )

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        order = self._checked_order(len(columns))
        shape = {"sizes": self._widths("hidden_layer_sizes"), "direct": self.direct, "n_masks": self.n_masks}
        return _Network(columns, n_classes, self.n_components, order, self.n_orders, **shape)
