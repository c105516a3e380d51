"""NADE: hidden units that each column updates as it comes, at a cost linear in the columns."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from skgen.models.autoregressive._base import AutoregressiveModel, AutoregressiveModule
from skgen.parameters import Interval
from skgen.tables import Columns

__all__ = ["NADE"]


_MANY = 5  # a column that tells more than a fifth of the rows something is told to all: that is faster


def _activate(a: Tensor, relu: bool) -> Tensor:
    return torch.relu(a) if relu else torch.sigmoid(a)


def _slope(h: Tensor, relu: bool) -> Tensor:
    """The derivative of the activation, from its value."""
    return (h > 0).to(h) if relu else torch.addcmul(h, h, h, value=-1)


class _Scan(torch.autograd.Function):
    """Outputs V_i h(a_i) of every column, a_i = a + sum_(k < i) x_k W_k.

    A row whose features of a column are all zero has the same hidden units after it as before. So only the other rows are
    taken up, at each column: with few ones in the data that is where the time goes. Likewise on the way back, where the
    gradients of an h that stood still are summed first, and go through the activation once. What is kept for it is the h
    that moved. Features and parameters come in the order of the columns; ``ends`` and ``starts`` say where those of a
    column begin; ``keep`` is False if there will be no way back.
    """

    @staticmethod
    def forward(ctx, a, x, W, V, ends, starts, relu, keep=True):
        a, out, d = a.clone(), a.new_empty(starts[-1], len(a)), len(ends) - 1
        h, told, before = _activate(a, relu), _told(x, ends), []
        widths, sizes = np.diff(ends).tolist(), np.diff(starts).tolist()
        for i, (W_i, V_i, out_i, (rows, x_i)) in enumerate(
            zip(W.split(widths), V.split(sizes), out.split(sizes), told, strict=True)
        ):
            torch.mm(V_i, h.T, out=out_i)
            if i == d - 1:
                break
            if keep:
                before.append(h if rows is None else h.index_select(0, rows))
            if rows is None:
                h = _activate(a.addmm_(x_i, W_i), relu)
            elif len(rows):
                moved = a.index_select(0, rows).addmm_(x_i, W_i)
                a.index_copy_(0, rows, moved)
                h.index_copy_(0, rows, torch.relu_(moved) if relu else torch.sigmoid_(moved))
        if keep:
            ctx.save_for_backward(h, x, W, V)
            ctx.widths, ctx.sizes, ctx.relu, ctx.told, ctx.before = widths, sizes, relu, told, before
        return out.T

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        h, x, W, V = ctx.saved_tensors
        relu, own = ctx.relu, False
        grad_h, grad_a = torch.zeros_like(h), torch.zeros_like(h)  # since h last moved; of all before
        grad_W, grad_V = torch.zeros_like(W), torch.empty_like(V)
        grad_x = torch.zeros_like(x) if ctx.needs_input_grad[1] else None
        W_by, grad_W_by, V_by = W.split(ctx.widths), grad_W.split(ctx.widths), V.split(ctx.sizes)
        grad_by, grad_V_by = grad.T.contiguous().split(ctx.sizes), grad_V.split(ctx.sizes)
        for i in reversed(range(len(V_by))):
            if i < len(ctx.before):
                rows, x_i = ctx.told[i]
                if grad_x is not None:
                    at = slice(sum(ctx.widths[:i]), sum(ctx.widths[: i + 1]))
                    torch.mm(grad_a.addcmul(grad_h, _slope(h, relu)), W_by[i].T, out=grad_x[:, at])
                if rows is None:
                    grad_a.addcmul_(grad_h, _slope(h, relu))
                    torch.mm(x_i.T, grad_a, out=grad_W_by[i])
                    torch.mm(grad_by[i].T, V_by[i], out=grad_h)
                    h, own = ctx.before[i], False
                elif len(rows):
                    due = grad_h.index_select(0, rows).mul_(_slope(h.index_select(0, rows), relu))
                    due.add_(grad_a.index_select(0, rows))
                    grad_a.index_copy_(0, rows, due)
                    torch.mm(x_i.T, due, out=grad_W_by[i])
                    grad_h.index_fill_(0, rows, 0.0)
                    h, own = h if own else h.clone(), True  # what was kept stays as it is
                    h.index_copy_(0, rows, ctx.before[i])
            if i == len(ctx.before) or ctx.told[i][0] is not None:
                grad_h.addmm_(grad_by[i].T, V_by[i])
            torch.mm(grad_by[i], h, out=grad_V_by[i])
        grad_a.addcmul_(grad_h, _slope(h, relu))
        return grad_a, grad_x, grad_W, grad_V, None, None, None, None


def _told(x: Tensor, ends: list[int]) -> list[tuple[Tensor | None, Tensor]]:
    """For each column the rows that it tells something and its features there; None for the rows where those are many."""
    d = len(ends) - 1
    whole = list(x.split(np.diff(ends).tolist(), dim=1))
    if x.device.type != "cpu" or x.shape[1] != d:  # a GPU is the faster without; else one feature a column
        return [(None, x_i) for x_i in whole]
    columns = x.T.contiguous()
    at = columns.nonzero()
    count = torch.bincount(at[:, 0], minlength=d).tolist()
    some = zip(at[:, 1].contiguous().split(count), columns[at[:, 0], at[:, 1]][:, None].split(count), strict=True)
    return [(None, x_i) if _MANY * m > len(x) else few for m, x_i, few in zip(count, whole, some, strict=True)]


class _Network(AutoregressiveModule):
    r"""h_i = sigmoid(c + sum_(k<i) W_k x_k),  outputs of column i = V_i h_i + b_i (Larochelle & Murray 2011, eqs. 4 and 5)."""

    def __init__(self, *args: Any, size: int, activation: str):
        super().__init__(*args)
        self._relu = activation == "relu"
        self.input = nn.Parameter(torch.empty(self.n_features, size))
        self.start = nn.Parameter(torch.zeros(size))
        self.weight = nn.Parameter(torch.zeros(self.n_parameters, size))
        self.start_by_class = nn.Linear(self.n_classes, size, bias=False) if self.n_classes else None
        nn.init.normal_(self.input, std=self.n_features**-0.5)

    def _from(self, n: int, c: Tensor | None) -> Tensor:
        return self.start.expand(n, -1) if c is None else self.start + self.start_by_class(c)

    def _sorted(self, order: np.ndarray) -> tuple[Tensor, np.ndarray, Tensor, np.ndarray]:
        """Features and parameters in the order of the columns, and where those of each column begin."""
        features, ends = self.feature_places(order)
        place = np.argsort(order)[self._made_for]
        parameters = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[parameters], np.arange(self.n_columns + 1))
        device = self.bias.device
        return torch.from_numpy(features).to(device), ends, torch.from_numpy(parameters).to(device), starts

    def outputs(self, features: Tensor, c: Tensor | None, place: Tensor, member: int) -> Tensor:
        by_place, ends, parameters, starts = self._sorted(torch.argsort(place).cpu().numpy())
        shown = features.index_select(1, by_place)
        how = (ends.tolist(), starts.tolist(), self._relu, torch.is_grad_enabled())
        out = _Scan.apply(self._from(len(features), c), shown, self.input[by_place], self.weight[parameters], *how)
        return out[:, torch.argsort(parameters)] + self.output_bias(c)

    def n_free(self) -> int:
        """All weights but those of the last column, which no other is given; all where orders change."""
        every = sum(p.numel() for p in self.parameters())
        last = self.place(self.orders[0])[self.feature_owner] == self.n_columns - 1
        return every if self.any_order else every - int(last.sum()) * self.input.shape[1]

    def begin(self, n: int, c: Tensor | None, order: np.ndarray, member: int) -> dict:
        by_place, ends, parameters, starts = self._sorted(order)
        bias = self.output_bias(c)[..., parameters].expand(n, -1)
        return {
            "a": self._from(n, c).clone(),
            "input": self.input[by_place],
            "weight": self.weight[parameters],
            "bias": bias,
            "ends": ends,
            "starts": starts,
        }

    def parameters_at(self, state: dict, i: int) -> Tensor:
        at = slice(state["starts"][i], state["starts"][i + 1])
        return _activate(state["a"], self._relu) @ state["weight"][at].T + state["bias"][:, at]

    def tell(self, state: dict, i: int, features: Tensor) -> None:
        state["a"].addmm_(features, state["input"][state["ends"][i] : state["ends"][i + 1]])

    def begin_each(self, shown: Tensor, place: Tensor, c: Tensor | None, member: int) -> Any:
        return self._from(len(shown), c) + shown @ self.input, self.output_bias(c).expand(len(shown), -1)

    def parameters_each(self, state: Any, j: int, rows: Tensor) -> Tensor:
        a, bias = state
        at = self.conditionals.parameters_of(j)
        return _activate(a[rows], self._relu) @ self.weight[at].T + bias[rows, at]

    def tell_each(self, state: Any, j: int, rows: Tensor, features: Tensor) -> None:
        state[0][rows] += features @ self.input[self.feature_owner == j]


class NADE(AutoregressiveModel):
    r"""Neural autoregressive distribution estimator: h_i = sigmoid(c + sum_(k<i) W_k x_k), p(x_i | x_<i) from V_i h_i + b_i.

    The hidden units of one column are those of the column before it and one more term, so that all conditionals cost as
    much as two matrix products (Larochelle & Murray 2011). Continuous columns make it RNADE, mixtures of Gaussians (Uria et
    al. 2013); several orders make it an ensemble for any order (Uria et al. 2014).

    Parameters
    ----------
    hidden_layer_sizes : int or tuple of one int, default=(256,)
    activation : {"sigmoid", "relu"}
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
    Larochelle & Murray (2011), "The neural autoregressive distribution estimator", AISTATS; Uria, Murray & Larochelle
    (2013), "RNADE: the real-valued neural autoregressive density-estimator"; (2014), "A deep and tractable density
    estimator".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import NADE
    >>> rng = np.random.default_rng(0)
    >>> a = rng.random((1000, 3)) < 0.5
    >>> X = np.column_stack([a, a.sum(axis=1) % 2 == 1])  # the last is the parity of the others
    >>> model = NADE(hidden_layer_sizes=(32,), learning_rate=0.02, random_state=0).fit(X)
    >>> bool(model.score(X) > 3.1 * np.log(0.5))
    True
    """

    hidden_layer_sizes: tuple | list | int = (256,)
    activation: Literal["sigmoid", "relu"] = "sigmoid"
    learning_rate: Annotated[float, Interval(0, open_low=True)] = 2e-3
    weight_decay: Annotated[float, Interval(0)] | Literal["auto"] = "auto"

    _prior_precision = 0.1  # more holds the weights at their start where only several columns together tell anything

    quick = MappingProxyType(
        {"hidden_layer_sizes": (16,), "n_components": 1, "max_epochs": 4, "learning_rate": 0.1, "batch_size": 64}
    )

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        size, *more = self._widths("hidden_layer_sizes")
        if more:
            raise ValueError(f"hidden_layer_sizes={self.hidden_layer_sizes!r} must be (n,): NADE has one hidden layer.")
        order = self._checked_order(len(columns))
        return _Network(columns, n_classes, self.n_components, order, self.n_orders, size=size, activation=self.activation)
