"""What autoregressive networks share: orders of the columns, missing cells, ensembles, and draws column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from skgen.neural import NeuralModel
from skgen.ops.conditionals import Conditionals
from skgen.parameters import Interval
from skgen.tables import Columns

__all__ = ["AutoregressiveModel", "AutoregressiveModule"]


class AutoregressiveModule(nn.Module):
    r"""p(x) = prod_i p(x_o(i) | x_o(<i)) for an order o of the columns; with several orders, the mean of their densities.

    A network writes ``outputs``: the parameters of all conditionals, those of a column a function of the columns before it;
    and, so that a draw costs one pass in all, ``begin``, ``parameters_at`` and ``tell``.

    With several orders it is trained for any order: each batch has one of its own, and a column that has not come yet is
    told from a zero by an input that says whether a column has come (Uria, Murray & Larochelle 2014). A cell that is
    missing is a column that never comes.
    """

    def __init__(self, columns: Columns, n_classes: int, n_components: int, order: Any, n_orders: int):
        super().__init__()
        d = len(columns)
        self.conditionals = Conditionals(columns.kinds, columns.n_levels, n_components)
        self.n_columns, self.n_classes, self.any_order = d, n_classes, n_orders > 1
        self._fixed_order = None if isinstance(order, str) else order
        first = np.arange(d) if self._fixed_order is None else np.asarray(order)
        self.register_buffer("orders", torch.from_numpy(np.tile(first, (n_orders, 1)).astype(np.int64)))
        owner = self.conditionals.feature_owner.cpu().numpy()
        if self.any_order:
            owner = np.concatenate([owner, np.arange(d)])
        self._owner, self._made_for = owner, self.conditionals.parameter_owner.cpu().numpy()
        self.register_buffer("feature_owner", torch.from_numpy(owner), persistent=False)
        self.register_buffer("parameter_owner", torch.from_numpy(self._made_for), persistent=False)
        self._random = isinstance(order, str)
        self.bias = nn.Parameter(torch.zeros(self.n_parameters))
        if n_classes:
            self.bias_by_class = nn.Parameter(torch.zeros(n_classes, self.n_parameters))

    @property
    def n_features(self) -> int:
        return len(self._owner)

    @property
    def n_parameters(self) -> int:
        return self.conditionals.n_parameters

    @property
    def n_members(self) -> int:
        """Densities whose mean is p(x)."""
        return len(self.orders)

    def initialise(self, x: Tensor, weight: Tensor, c: Tensor | None) -> None:
        """Start from columns that are independent, given the class: naive Bayes; and draw what is random about the orders."""
        self.bias.copy_(self.conditionals.initialise(x, weight))
        if c is not None:
            by_class = torch.nan_to_num(c) * weight[:, None]
            self.bias_by_class.copy_(self.conditionals.initialise_classes(x, by_class, self.bias.double()))
        for m in range(len(self.orders)):
            if self._random or m > 0:
                self.orders[m] = torch.randperm(self.n_columns)

    # ---- what a network writes

    #: Whether the conditional of a column depends on its place, and not only on what has come before.
    minds_places = False

    def outputs(self, features: Tensor, c: Tensor | None, place: Tensor, member: int) -> Tensor:
        """(n, P) from features (n, F); those of column j may depend only on columns k with place[k] < place[j].

        With ``minds_places``, places may be one a row, (n, d).
        """
        raise NotImplementedError(f"{type(self).__name__} must define outputs(features, c, place, member).")

    def begin(self, n: int, c: Tensor | None, order: np.ndarray, member: int) -> Any:
        """State before the first column has come."""
        raise NotImplementedError(f"{type(self).__name__} must define begin, parameters_at and tell.")

    def parameters_at(self, state: Any, i: int) -> Tensor:
        """(n, p_j) of the column j = order[i], when those before it have been told."""
        raise NotImplementedError(f"{type(self).__name__} must define begin, parameters_at and tell.")

    def tell(self, state: Any, i: int, features: Tensor) -> None:
        """The features (n, f_j) of the column order[i] as drawn."""
        raise NotImplementedError(f"{type(self).__name__} must define begin, parameters_at and tell.")

    # the same where each row has an order of its own, told of what is observed before the first column is drawn

    def begin_each(self, shown: Tensor, place: Tensor, c: Tensor | None, member: int) -> Any:
        """State from the features (n, F) of what is observed, and where in a row's order each feature comes, (n, F)."""
        raise NotImplementedError(f"{type(self).__name__} must define begin_each, parameters_each and tell_each.")

    def advance(self, state: Any, i: int) -> None:
        """The first i columns of every row have come."""

    def parameters_each(self, state: Any, j: int, rows: Tensor) -> Tensor:
        """(m, p_j) of column j in these rows, where it comes next."""
        raise NotImplementedError(f"{type(self).__name__} must define begin_each, parameters_each and tell_each.")

    def tell_each(self, state: Any, j: int, rows: Tensor, features: Tensor) -> None:
        """The features (m, f_j) of column j as drawn in these rows."""
        raise NotImplementedError(f"{type(self).__name__} must define begin_each, parameters_each and tell_each.")

    # ---- log p

    def output_bias(self, c: Tensor | None) -> Tensor:
        return self.bias if c is None else self.bias + c @ self.bias_by_class

    def features(self, x: Tensor) -> Tensor:
        """What the network is shown of rows (n, d); nothing of a missing cell."""
        shown = self.conditionals.features(x)
        return torch.cat([shown, (~torch.isnan(x)).to(shown)], dim=1) if self.any_order else shown

    def features_of(self, j: int, x: Tensor) -> Tensor:
        """The same of cells (n,) of column j."""
        shown = self.conditionals.feature_column(j, x)
        return torch.cat([shown, torch.ones_like(shown[:, :1])], dim=1) if self.any_order else shown

    def feature_places(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features in the order of their columns, and where those of the i-th column start, (d + 1,)."""
        place = np.argsort(order)[self._owner]
        by_place = np.argsort(place, kind="stable")
        return by_place, np.searchsorted(place[by_place], np.arange(self.n_columns + 1))

    def place(self, order: Tensor) -> Tensor:
        """Where each column comes in an order."""
        return torch.argsort(order)

    def log_prob_columns(self, x: Tensor, c: Tensor | None, member: int = 0) -> Tensor:
        """log p(x_j | columns before it), (n, d), in the order of one member; 0 where a cell is missing."""
        place = self.place(self.orders[member % len(self.orders)])
        if self.any_order and self.minds_places and torch.isnan(x.sum()):
            # what is observed comes first, as in training, where all columns before a place have come
            place = self.place(torch.argsort(torch.isnan(x) * self.n_columns + place, dim=1))
        return self.conditionals.log_prob(x, self.outputs(self.features(x), c, place, member))

    def log_prob(self, x: Tensor, c: Tensor | None) -> Tensor:
        """log of the mean over members of p(x), (n,)."""
        each = [self.log_prob_columns(x, c, m).sum(dim=1) for m in range(self.n_members)]
        return each[0] if len(each) == 1 else torch.logsumexp(torch.stack(each), dim=0) - np.log(len(each))

    def loss(self, x: Tensor, c: Tensor | None, generator: torch.Generator, progress: float) -> Tensor:
        if self.n_members == 1:
            return -self.log_prob(x, c)
        member = int(torch.randint(self.n_members, (1,), generator=generator))
        order = torch.randperm(self.n_columns, generator=generator).to(x.device) if self.any_order else self.orders[0]
        parameters = self.outputs(self.features(x), c, self.place(order), member)
        return -self.conditionals.log_prob(x, parameters).sum(dim=1)

    # ---- draws

    def sample(self, n: int, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """n rows: each by one member, column by column."""
        x = torch.full((n, self.n_columns), torch.nan, dtype=self.bias.dtype, device=self.bias.device)
        return self.complete(x, c, generator)

    def complete(self, x: Tensor, c: Tensor | None, generator: torch.Generator) -> Tensor:
        """A copy of rows whose NaN cells are drawn given the others; each row by the member its evidence speaks for."""
        noise = self.conditionals.noise(len(x), generator, self.bias)
        if self.n_members == 1:
            return self._complete(x, c, self.orders[0].cpu().numpy(), 0, noise)
        log_p = torch.stack([self.log_prob_columns(x, c, m).sum(dim=1) for m in range(self.n_members)])
        choice = torch.rand(len(x), generator=generator, dtype=torch.float64).to(log_p.device)
        member = (choice > torch.softmax(log_p, dim=0).cumsum(dim=0)[:-1]).sum(dim=0).cpu()
        out = x.clone()
        for m, rows in _groups(member.numpy()[:, None]):
            rows = torch.from_numpy(rows).to(x.device)
            order = self.orders[m[0] % len(self.orders)].cpu().numpy()
            hidden = torch.isnan(x[rows]).cpu().numpy()
            own = order
            if self.any_order:  # what is observed comes first, each part in the member's order
                own = order[np.argsort(hidden[:, order], axis=1, kind="stable")]
            if own.ndim > 1 and (own == own[0]).all():
                own = own[0]
            complete = self._complete if own.ndim == 1 else self._complete_each
            out[rows] = complete(x[rows], None if c is None else c[rows], own, int(m[0]), noise[rows])
        return out

    def _complete(self, x: Tensor, c: Tensor | None, order: np.ndarray, member: int, noise: Tensor) -> Tensor:
        out = x.clone()
        state = self.begin(len(x), c, order, member)
        hidden = torch.isnan(x)
        some, every = hidden.any(dim=0).tolist(), hidden.all(dim=0).tolist()
        for i, j in enumerate(order.tolist()):
            cells = x[:, j]
            if some[j]:
                drawn = self.conditionals.sample_column(j, self.parameters_at(state, i), noise[:, j])
                out[:, j] = cells = drawn if every[j] else torch.where(hidden[:, j], drawn, cells)
            self.tell(state, i, self.features_of(j, cells))
        return out

    def _complete_each(self, x: Tensor, c: Tensor | None, order: np.ndarray, member: int, noise: Tensor) -> Tensor:
        """The same with an order a row, (n, d), what is observed first: rows that draw one column are taken together."""
        out, owner = x.clone(), self.feature_owner
        place = torch.from_numpy(np.argsort(order, axis=1)).to(x.device)[:, owner]
        state = self.begin_each(self.features(x), place, c, member)
        hidden = torch.isnan(x).cpu().numpy()
        for i in range(self.n_columns):
            self.advance(state, i)
            now = order[:, i]
            drawing = np.flatnonzero(hidden[np.arange(len(x)), now])
            for (j,), some in _groups(now[drawing][:, None]):
                rows = torch.from_numpy(drawing[some]).to(x.device)
                drawn = self.conditionals.sample_column(j, self.parameters_each(state, j, rows), noise[rows, j])
                out[rows, j] = drawn
                self.tell_each(state, j, rows, self.features_of(j, drawn))
        return out


def _groups(keys: np.ndarray) -> Iterator[tuple[tuple, np.ndarray]]:
    """Each distinct row of ``keys``, and the numbers of the rows that are like it."""
    if not len(keys):
        return
    values, which = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    for value, rows in zip(values, np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1]), strict=True):
        yield tuple(value.tolist()), rows


class AutoregressiveModel(NeuralModel):
    """p(x) = prod_i p(x_i | x_<i), the conditionals by a network.

    ``missing`` is "suffix" with one order: exact where the missing cells are the last in that order. With ``n_orders`` > 1
    it is "estimate": what is observed comes first, and each answer is exact in that order, though answers to different
    questions need not agree.
    """

    order: Any = None
    n_orders: Annotated[int, Interval(1)] = 1
    n_components: Annotated[int, Interval(1)] = 5

    @property
    def missing(self) -> str:
        return "estimate" if self.n_orders > 1 else "suffix"

    @property
    def missing_in_fit(self) -> bool:
        return True

    def _checked_order(self, d: int) -> Any:
        """``order`` as an array of column numbers, None or "random"."""
        if self.order is None or (isinstance(self.order, str) and self.order == "random"):
            return self.order
        names, must = list(self.columns_.names), f"must be None, 'random' or all {d} columns, each once, by name or number"
        if isinstance(self.order, str) or not isinstance(self.order, (Sequence, np.ndarray, pd.Index)):
            raise ValueError(f"order={self.order!r} {must}.")
        numbers = []
        for a in self.order:
            whole = isinstance(a, (int, np.integer)) and not isinstance(a, (bool, np.bool_))
            named = a in names and (
                whole or type(a) in {type(name) for name in names}
            )  # True and 1.0 are equal to a column called 1
            if not named and not (whole and 0 <= a < d):
                raise ValueError(f"order names {a!r}, which is not a column; it {must}.")
            numbers.append(names.index(a) if a in names else int(a))
            if numbers.count(numbers[-1]) > 1:
                raise ValueError(f"order names {a!r} twice; it {must}.")
        left = [names[j] for j in range(d) if j not in numbers]
        if left:
            raise ValueError(f"order leaves out {left[:20]}; it {must}.")
        return np.array(numbers, dtype=int)

    def _settle_order(self, rng: np.random.Generator) -> None:
        """One random order for all classes, where each has a network of its own."""
        if isinstance(self.order, str) and self.order == "random" and not self._is_shared:
            self.order = [self.columns_.names[j] for j in rng.permutation(len(self.columns_))]  # a part's, not the user's

    def _fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        self._settle_order(rng)
        super()._fit_classes(X, weights, rng)

    def _partial_fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        self._settle_order(rng)
        super()._partial_fit_classes(X, weights, rng)

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        self._refuse_gaps(X)
        return super()._log_prob_classes(X)

    def _refuse_gaps(self, X: np.ndarray) -> None:
        """With one order, what is missing must come last."""
        if self.n_orders > 1 or not np.isnan(X.sum()) or "_network" not in vars(self):
            return
        self._refuse_gaps_in(X, self._network.orders[0].cpu().numpy())

    def _refuse_gaps_in(self, X: np.ndarray, order: np.ndarray) -> None:
        hidden = np.isnan(X[:, order])
        wrong = hidden[:, :-1] & ~hidden[:, 1:]
        if wrong.any():
            i = np.argwhere(wrong)[0, 1]
            a, b = self.columns_.names[order[i]], self.columns_.names[order[i + 1]]
            raise ValueError(
                f"{a!r} is missing (NaN) where {b!r} is given, which comes after it in {type(self).__name__}'s order: use "
                "n_orders=2 or more and fit again, which answers any question, order= with what is missing last, or a model whose "
                "`missing` is exact, such as mixture."
            )

    def _train(self, X: np.ndarray, *args: Any, **kwargs: Any) -> None:
        if self.n_orders == 1 and np.isnan(X.sum()):
            order = self._checked_order(X.shape[1])
            if isinstance(order, str):
                raise ValueError("With order='random', rows to fit on cannot have NaN: give the order, or n_orders=2 or more.")
            self._refuse_gaps_in(X, np.arange(X.shape[1]) if order is None else order)
        super()._train(X, *args, **kwargs)

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._sample_missing_class(0, X, rng)

    def _sample_missing_class(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if "_network" not in vars(self):
            return super()._sample_missing_class(k, X, rng)
        self._refuse_gaps(X)
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        with torch.inference_mode():
            x = self._tensor(X)
            return self._network.complete(x, self._class(x, k), generator).cpu().numpy().astype(float)

    # ---- column by column

    def _column_order(self) -> np.ndarray | None:
        """The one order of the chain rule; None for a mean over several."""
        return None if self.n_orders > 1 else self.densities_[0]._network.orders[0].cpu().numpy()

    def _columns_classes(self, X: np.ndarray, what: Literal["log_prob", "cdf"], u: np.ndarray | None = None) -> np.ndarray:
        """log p or the distribution function of each cell given those before it, (K, n, d)."""
        if "_network" not in vars(self):
            return np.concatenate([density._columns_classes(X, what, u) for density in self.densities_])
        self._refuse_gaps(X)
        out = []
        with torch.inference_mode():
            x, net = self._tensor(X), self._network
            place = net.place(net.orders[0])
            for k in range(max(1, self._n_classes)):
                c = self._class(x, k)
                parameters = [net.outputs(net.features(x), c, place, m) for m in range(net.n_members)]
                log_p = torch.stack([net.conditionals.log_prob(x, p) for p in parameters])
                if what == "cdf":
                    cdf = torch.stack([net.conditionals.cdf(x, p, self._tensor(u)) for p in parameters])
                    out.append((torch.exp(_shares(log_p, place)) * cdf).sum(dim=0).cpu().numpy())
                else:
                    out.append(torch.logsumexp(_shares(log_p, place) + log_p, dim=0).cpu().numpy())
        return np.stack(out)


def _shares(log_p: Tensor, place: Tensor) -> Tensor:
    """log p(member | columns before), (M, n, d), of members that share an order, from their log p of each cell."""
    in_order = log_p[..., torch.argsort(place)]
    before = in_order.cumsum(dim=2) - in_order
    return torch.log_softmax(before, dim=0)[..., place]
