"""The fully visible sigmoid belief network: a logistic regression a column on those before it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from skgen.models.autoregressive._base import AutoregressiveModel, AutoregressiveModule
from skgen.parameters import Interval
from skgen.tables import Columns

__all__ = ["FVSBN"]


class _Network(AutoregressiveModule):
    """p(x_i = 1 | x_<i) = sigmoid(b_i + sum_(k < i) W_ik x_k): the weights of later columns are held at zero."""

    def __init__(self, columns: Columns, n_classes: int, n_components: int, order: Any, n_orders: int):
        super().__init__(columns, n_classes, n_components, order, n_orders)
        self.weight = nn.Parameter(torch.zeros(self.n_parameters, self.n_features))

    def outputs(self, features: Tensor, c: Tensor | None, place: Tensor, member: int) -> Tensor:
        before = place[self.feature_owner] < place[self.parameter_owner][:, None]
        return features @ (self.weight * before).T + self.output_bias(c)

    def n_free(self) -> int:
        place = self.place(self.orders[0])
        before, after = place[self.feature_owner], place[self.parameter_owner][:, None]
        used = int(((before != after) if self.any_order else (before < after)).sum())
        return used + sum(p.numel() for name, p in self.named_parameters() if name != "weight")

    # ---- draws: what a column adds to those after it is added once

    def begin(self, n: int, c: Tensor | None, order: np.ndarray, member: int) -> Any:
        bias = self.output_bias(c)
        by_column = [np.flatnonzero(self._made_for == j) for j in order]
        starts = np.r_[0, np.cumsum([len(p) for p in by_column])]
        parameters = torch.from_numpy(np.concatenate(by_column)).to(bias.device)
        features, ends = self.feature_places(order)
        weight = self.weight[parameters][:, torch.from_numpy(features).to(bias.device)]
        shown = bias.new_zeros(self.n_features, n)
        return weight, starts, ends, shown, bias[..., parameters].expand(n, -1).T

    def parameters_at(self, state: Any, i: int) -> Tensor:
        weight, starts, ends, shown, bias = state
        at = slice(starts[i], starts[i + 1])
        return (weight[at, : ends[i]] @ shown[: ends[i]] + bias[at]).T

    def tell(self, state: Any, i: int, features: Tensor) -> None:
        _, _, ends, shown, _ = state
        shown[ends[i] : ends[i + 1]] = features.T

    def begin_each(self, shown: Tensor, place: Tensor, c: Tensor | None, member: int) -> Any:
        return shown.clone(), self.output_bias(c).expand(len(shown), -1)

    def parameters_each(self, state: Any, j: int, rows: Tensor) -> Tensor:
        shown, bias = state
        at = self.conditionals.parameters_of(j)
        return shown[rows] @ self.weight[at].T + bias[rows, at]

    def tell_each(self, state: Any, j: int, rows: Tensor, features: Tensor) -> None:
        state[0][rows[:, None], torch.nonzero(self.feature_owner == j)[:, 0]] = features


class FVSBN(AutoregressiveModel):
    r"""The fully visible sigmoid belief network, p(x_i = 1 | x_<i) = sigmoid(b_i + sum_(k<i) W_ik x_k) (Neal 1992; Frey 1998).

    A categorical column is a softmax, an integer one a mixture of discretised logistics and a continuous one a mixture of
    Gaussians, all with parameters linear in the columns before.

    Parameters
    ----------
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
    Neal (1992), "Connectionist learning of belief networks"; Frey (1998), *Graphical Models for Machine Learning and
    Digital Communication*; Gan et al. (2015), "Learning deep sigmoid belief networks with data augmentation".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import FVSBN
    >>> rng = np.random.default_rng(0)
    >>> a = rng.random(1000) < 0.5
    >>> X = np.column_stack([a, a ^ (rng.random(1000) < 0.1)])  # the second mostly copies the first
    >>> model = FVSBN(random_state=0).fit(X)
    >>> bool(abs(model.score(X) - (np.log(0.5) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1))) < 0.06)
    True
    """

    learning_rate: Annotated[float, Interval(0, open_low=True)] = 0.005
    weight_decay: Annotated[float, Interval(0)] | Literal["auto"] = "auto"

    _prior_precision = 0.1  # its few weights have to be large where columns determine one another

    quick = MappingProxyType({"n_components": 1, "max_epochs": 3, "learning_rate": 0.1, "batch_size": 128})

    def _module(self, columns: Columns, n_classes: int) -> nn.Module:
        return _Network(columns, n_classes, self.n_components, self._checked_order(len(columns)), self.n_orders)
