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


def _activate(a: Tensor, relu: bool) -> Tensor:
    return torch.relu(a) if relu else torch.sigmoid(a)


class _Scan(torch.autograd.Function):
    """Outputs V_i h(a_i) of every column, a_i = a + sum_(k < i) x_k W_k, in memory that does not grow with the columns.

    The way back takes each x_k W_k off again instead of keeping every a_i. Features and parameters come in the order of
    the columns; ``ends`` and ``starts`` say where those of a column begin.
    """

    @staticmethod
    def forward(ctx, a, x, W, V, ends, starts, relu):
        a = a.clone()
        out = a.new_empty(len(a), starts[-1])
        for i in range(len(ends) - 1):
            p, f = slice(starts[i], starts[i + 1]), slice(ends[i], ends[i + 1])
            out[:, p] = _activate(a, relu) @ V[p].T
            if i < len(ends) - 2:
                a.addmm_(x[:, f], W[f])
        ctx.save_for_backward(a, x, W, V)
        ctx.ends, ctx.starts, ctx.relu = ends, starts, relu
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        a, x, W, V = ctx.saved_tensors
        a, ends, starts = a.clone(), ctx.ends, ctx.starts
        back = torch.zeros_like(a)
        grad_W, grad_V = torch.zeros_like(W), torch.empty_like(V)
        grad_x = torch.zeros_like(x) if ctx.needs_input_grad[1] else None
        for i in reversed(range(len(ends) - 1)):
            p, f = slice(starts[i], starts[i + 1]), slice(ends[i], ends[i + 1])
            if i < len(ends) - 2:
                torch.mm(x[:, f].T, back, out=grad_W[f])
                if grad_x is not None:
                    torch.mm(back, W[f].T, out=grad_x[:, f])
                a.addmm_(x[:, f], W[f], alpha=-1)
            h = _activate(a, ctx.relu)
            torch.mm(grad[:, p].T, h, out=grad_V[p])
            slope = (h > 0).to(h) if ctx.relu else h * (1 - h)
            back.addcmul_(grad[:, p] @ V[p], slope)
        return back, grad_x, grad_W, grad_V, None, None, None


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
        by_column = [np.flatnonzero(self._made_for == j) for j in order]
        starts = np.r_[0, np.cumsum([len(p) for p in by_column])]
        device = self.bias.device
        return torch.from_numpy(features).to(device), ends, torch.from_numpy(np.concatenate(by_column)).to(device), starts

    def outputs(self, features: Tensor, c: Tensor | None, place: Tensor, member: int) -> Tensor:
        by_place, ends, parameters, starts = self._sorted(torch.argsort(place).cpu().numpy())
        a = self._from(len(features), c)
        out = _Scan.apply(
            a, features[:, by_place], self.input[by_place], self.weight[parameters], ends.tolist(), starts.tolist(), self._relu
        )
        return out[:, torch.argsort(parameters)] + self.output_bias(c)

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


class NADE(AutoregressiveModel):
    r"""Neural autoregressive distribution estimator: h_i = sigmoid(c + sum_(k<i) W_k x_k), p(x_i | x_<i) from V_i h_i + b_i.

    The hidden units of one column are those of the column before it and one more term, so that all conditionals cost as
    much as two matrix products (Larochelle & Murray 2011). Continuous columns make it RNADE, mixtures of Gaussians (Uria et
    al. 2013); several orders make it an ensemble for any order (Uria et al. 2014).

    Parameters
    ----------
    hidden_layer_sizes : tuple of one int, default=(256,)
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

    hidden_layer_sizes: tuple = (256,)
    activation: Literal["sigmoid", "relu"] = "sigmoid"
    learning_rate: Annotated[float, Interval(0, open_low=True)] = 2e-3

    quick = MappingProxyType(
        {"hidden_layer_sizes": (16,), "n_components": 1, "max_epochs": 6, "learning_rate": 0.03, "batch_size": 64}
    )

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        sizes = tuple(self.hidden_layer_sizes)
        if len(sizes) != 1 or isinstance(sizes[0], bool) or not isinstance(sizes[0], (int, np.integer)) or sizes[0] < 1:
            raise ValueError(f"hidden_layer_sizes={self.hidden_layer_sizes!r} must be (n,): NADE has one hidden layer.")
        order = self._checked_order(len(columns))
        return _Network(columns, n_classes, self.n_components, order, self.n_orders, size=int(sizes[0]), activation=self.activation)
