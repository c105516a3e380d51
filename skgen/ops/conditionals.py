"""From a network's outputs to log p, draws and distribution functions of the columns of a mixed table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skgen.ops._conditional_kinds import Binary, Categorical, Continuous, Integer
from skgen.ops._grey import Grey
from skgen.ops._mixture_start import MOST_ROWS, within_fences

__all__ = ["FEATURE_LIMIT", "Conditionals"]

#: A numeric cell is shown to a network within so many widths of its column's centre: one wild cell cannot throw the
#: weights about. What is conditioned on is only told less exactly; every conditional stays normalised.
FEATURE_LIMIT = 20.0
_LEAST_UNIFORM = 2.0**-25  # single precision holds neither less from 1 nor exactly 0


class Conditionals(nn.Module):
    r"""log p(x_j | outputs of a network), a column each: binary, K-way, integer and continuous columns side by side.

    ============  =================================================================  ================================
    kind          conditional                                                        outputs of the network
    ============  =================================================================  ================================
    binary        Bernoulli, p(1) = sigmoid(z)                                       z
    bernoulli     continuous Bernoulli of mean sigmoid(z), for grey values in [0, 1] z
    categorical   softmax over K levels                                              K logits
    continuous    mixture of Gaussians (MADE-MoG, RNADE: Uria et al. 2013)           C logits, C means, C log-scales
    integer       mixture of logistics, the mass on [x - 1/2, x + 1/2]               the same
                  (Salimans et al. 2017), over all whole numbers and so normalised
    ============  =================================================================  ================================

    Means and scales are in widths of the column around its centre. A log-scale s is bounded smoothly: m + h tanh((s - m) / h)
    between log 1e-3 and log 1e3 widths, so that log p of a continuous cell is at most 5.99 - log(width) nats even where a
    value repeats; a component of an integer column has a scale of at least 0.05 whole numbers.

    An output for a mean counts from where ``initialise`` put that component, in units of its scale there: a step of a
    network then moves every component by as much of its own width, be it that of a repeated value or of a tail.

    The module has no trainable parameters; ``centre``, ``width``, ``start`` and ``unit`` are its state. It follows dtype and
    device of its inputs.

    Parameters
    ----------
    kinds : sequence of str
        "binary" (coded 0, 1), "bernoulli" (from 0 to 1), "categorical" (0..K-1), "integer" (whole numbers) or "continuous"
        (standardised reals).
    n_levels : sequence of int
        K of the categorical columns; not read for the others.
    n_components : int, default=5
        C, for integer and continuous columns.
    astray : float, default=1e-3
        Probability that such a cell is drawn from a wide logistic about its column's centre whatever the network says: being
        too sure of itself then costs some ten nats a cell and not a million.

    Attributes
    ----------
    n_columns, n_parameters, n_features : int
        d, P (outputs that a network must give) and F (inputs that it is shown).
    parameter_owner, feature_owner : LongTensor of shape (P,), (F,)
        The column of each output and of each input, ascending.
    centre, width : buffers of shape (d,)
        0 and 1 until ``initialise``, and always for binary and categorical columns.

    Raises
    ------
    ValueError
        On an unknown kind, a categorical column without levels, or no component.

    Examples
    --------
    >>> columns = Conditionals(["binary", "categorical", "continuous"], [2, 3, 0], n_components=1, astray=0)
    >>> columns.parameter_owner.tolist(), columns.feature_owner.tolist()
    ([0, 1, 1, 1, 2, 2, 2], [0, 1, 1, 1, 2])
    >>> x = torch.tensor([[1.0, 2.0, 0.5], [0.0, torch.nan, 0.0]])
    >>> columns.features(x).tolist()
    [[1.0, 0.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.0, 0.0, 0.0]]
    >>> columns.log_prob(x, torch.zeros(2, 7))
    tensor([[-0.6931, -1.0986, -1.0439],
            [-0.6931,  0.0000, -0.9189]])
    """

    def __init__(self, kinds: Sequence[str], n_levels: Sequence[int], n_components: int = 5, astray: float = 1e-3):
        super().__init__()
        kinds, n_levels = list(kinds), [int(k) for k in n_levels]
        _check(kinds, n_levels, n_components)
        d = self.n_columns = len(kinds)
        self.kinds, self.n_components = kinds, n_components
        made = [_group_of(kinds, n_levels, columns, n_components, astray) for columns in _alike(kinds, n_levels)]
        sizes, widths = np.zeros(d, dtype=int), np.ones(d, dtype=int)
        for j, kind in enumerate(kinds):
            sizes[j] = n_levels[j] if kind == "categorical" else 1 if kind in ("binary", "bernoulli") else 3 * n_components
            widths[j] = n_levels[j] if kind == "categorical" else 1
        self._starts = np.r_[0, np.cumsum(sizes)]
        self._feature_starts = np.r_[0, np.cumsum(widths)]
        self.n_parameters, self.n_features = int(sizes.sum()), int(widths.sum())
        self.parameter_owner = torch.from_numpy(np.repeat(np.arange(d), sizes))
        self.feature_owner = torch.from_numpy(np.repeat(np.arange(d), widths))
        self.groups = nn.ModuleList(group for group, _ in made)
        self._members = [columns for _, columns in made]
        # the same draw for one column; a column of a padded group is taken without its padding
        self._alone = {j: group.alone(n_levels[j]) for group, columns in made for j in columns}

        self.register_buffer("centre", torch.zeros(d, dtype=torch.float64))
        self.register_buffer("width", torch.ones(d, dtype=torch.float64))
        self.register_buffer("start", torch.zeros(self.n_parameters))
        self.register_buffer("unit", torch.ones(self.n_parameters))
        self._numeric = bool({"integer", "continuous"} & set(kinds))
        # where the outputs of each group lie, group after group; padding points at output 0 and is masked later
        order = [self._positions(j, group.n_parameters) for group, columns in made for j in columns]
        self._keep("_order", np.concatenate(order))
        self._keep("_columns", np.concatenate(self._members))
        self._keep("_back", np.argsort(np.concatenate(self._members)))
        self._in_order = len(made) == 1 and made[0][0].n_parameters * d == self.n_parameters
        # a level for each input, -1 for a number
        level = [np.arange(w) if kinds[j] == "categorical" else np.array([-1]) for j, w in enumerate(widths)]
        self._keep("_level", np.concatenate(level))
        self._keep("_owner", self.feature_owner.numpy())
        self._categories, self._binary = "categorical" in kinds, set(kinds) <= {"binary", "bernoulli"}

    def _keep(self, name: str, value: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, dtype=np.int64)), persistent=False)

    def _positions(self, j: int, size: int) -> np.ndarray:
        own = np.arange(self._starts[j], self._starts[j + 1])
        return np.r_[own, np.zeros(size - len(own), dtype=int)]

    def parameters_of(self, j: int) -> slice:
        """Where the outputs of column j lie."""
        return slice(int(self._starts[j]), int(self._starts[j + 1]))

    def features_of(self, j: int) -> slice:
        """Where the inputs that show column j lie."""
        return slice(int(self._feature_starts[j]), int(self._feature_starts[j + 1]))

    # ---- what a network is shown

    def features(self, x: Tensor) -> Tensor:
        """Coded rows (n, d) as inputs (n, F) of a network; a NaN cell gives zeros.

        A binary column stays 0/1: the equations of FVSBN, NADE and MADE are written so, an absent unit adds nothing to a
        sum, and -1/+1 is the same model up to its biases. A categorical one is one-hot, a number is (x - centre) / width
        within ``FEATURE_LIMIT``.
        """
        if self._binary:
            return torch.nan_to_num(x)
        return self._shown(x, self._owner, self._level, self.centre, self.width)

    def feature_column(self, j: int, x: Tensor) -> Tensor:
        """The inputs (n, f_j) that show cells x (n,) of column j."""
        if self.kinds[j] in ("binary", "bernoulli"):
            return torch.nan_to_num(x)[:, None]
        at = self.features_of(j)
        owner = torch.zeros_like(self._owner[at])
        return self._shown(x[:, None], owner, self._level[at], self.centre[j : j + 1], self.width[j : j + 1])

    def _shown(self, x: Tensor, owner: Tensor, level: Tensor, centre: Tensor, width: Tensor) -> Tensor:
        z = torch.nan_to_num((x - centre.to(x)) / width.to(x)).clamp(-FEATURE_LIMIT, FEATURE_LIMIT)
        if not self._categories:
            return z
        return torch.where(level < 0, z.index_select(1, owner), (x.index_select(1, owner) == level).to(x))

    # ---- columns in groups

    def _grouped(self, parameters: Tensor) -> list[Tensor]:
        """The outputs of each group as (n_p, n, g), or (n_p, g, n) if its kind wants rows last."""
        n, out = len(parameters), []
        if self._numeric:
            parameters = torch.addcmul(self.start.to(parameters), self.unit.to(parameters), parameters)
        if not self._in_order:
            parameters = parameters.index_select(1, self._order)
        sizes = [len(columns) * group.n_parameters for group, columns in zip(self.groups, self._members, strict=True)]
        for group, p in zip(self.groups, parameters.split(sizes, dim=1), strict=True):
            p = p.reshape(n, -1, group.n_parameters)
            out.append(p.permute(2, 1, 0).contiguous() if group.rows_last else p.permute(2, 0, 1))
        return out

    def _split(self, x: Tensor) -> list[Tensor]:
        """Cells (n, d) of each group, rows last where its kind wants that."""
        if len(self.groups) > 1:
            x = x.index_select(1, self._columns)
        parts = x.split([len(columns) for columns in self._members], dim=1)
        return [part.T.contiguous() if group.rows_last else part for group, part in zip(self.groups, parts, strict=True)]

    def _join(self, parts: list[Tensor]) -> Tensor:
        flat = [part.T if group.rows_last else part for group, part in zip(self.groups, parts, strict=True)]
        return flat[0] if len(flat) == 1 else torch.cat(flat, dim=1).index_select(1, self._back)

    def _units(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self._split(self.centre[None]), self._split(self.width[None]), strict=True))

    # ---- the four questions

    def log_prob(self, x: Tensor, parameters: Tensor, cross_entropy: bool = False) -> Tensor:
        """log p(x_j | outputs of column j), nats, of coded cells; 0 where a cell is NaN.

        Parameters
        ----------
        x : tensor of shape (n, d)
            Cells within their column's support. A whole number beyond 2**24 needs float64 here to be told from its neighbour.
        parameters : tensor of shape (n, P)
        cross_entropy : bool
            Of grey columns, what fits their mean in training, instead of log p.

        Returns
        -------
        tensor of shape (n, d)
            In the dtype of ``parameters``; continuous columns as a density in the units of ``x``.
        """
        x, hidden = _without_nan(x)
        parts = [
            group.cross_entropy(cells, p) if cross_entropy and isinstance(group, Grey) else group.log_prob(cells, p, centre, width)
            for group, cells, p, (centre, width) in zip(
                self.groups, self._split(x), self._grouped(parameters), self._units(), strict=True
            )
        ]
        out = self._join(parts)
        return out if hidden is None else out.masked_fill(hidden, 0.0)

    def cdf(self, x: Tensor, parameters: Tensor, u: Tensor) -> Tensor:
        """F(x_j | outputs of column j) of a continuous column; F(x_j - 1) + u_j p(x_j) of a discrete one.

        With u uniform this is uniform for cells that follow the model (the randomised probability integral transform);
        levels of a category are taken in the order of their codes.

        Parameters
        ----------
        x, u : tensors of shape (n, d)
        parameters : tensor of shape (n, P)

        Returns
        -------
        tensor of shape (n, d)
            In [0, 1], NaN where a cell is.
        """
        x, hidden = _without_nan(x)
        parts = [
            group.cdf(cells, p, v.to(p), centre, width)
            for group, cells, p, v, (centre, width) in zip(
                self.groups, self._split(x), self._grouped(parameters), self._split(u), self._units(), strict=True
            )
        ]
        out = self._join(parts).clamp(0.0, 1.0)
        return out if hidden is None else out.masked_fill(hidden, torch.nan)

    def mean(self, parameters: Tensor) -> Tensor:
        """Expected value (n, d) of each column: p(1) of a binary one; for a categorical one, which has no mean, the code of
        its most probable level, so that every cell of a row can be filled in."""
        parts = [
            group.mean(p, centre, width)
            for group, p, (centre, width) in zip(self.groups, self._grouped(parameters), self._units(), strict=True)
        ]
        return self._join(parts)

    def noise(self, n: int, generator: torch.Generator, like: Tensor) -> Tensor:
        """Two uniforms a cell, (n, d, 2), in the open interval (0, 1), with dtype and device of ``like``.

        Drawn in double precision where the device of ``generator`` has it, so that both precisions see the same noise.
        """
        wide = torch.float32 if generator.device.type == "mps" else torch.float64
        u = torch.rand(n, self.n_columns, 2, generator=generator, dtype=wide, device=generator.device)
        return u.to(like).clamp(_LEAST_UNIFORM, 1 - 2 * _LEAST_UNIFORM)

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """A draw (n, d) of coded cells given outputs (n, P): ``sample_column`` of each column with ``noise``."""
        u = self.noise(len(parameters), generator, parameters)
        first, second = self._split(u[..., 0]), self._split(u[..., 1])
        parts = [
            group.draw(p, torch.stack((v, w)), centre, width)
            for group, p, v, w, (centre, width) in zip(
                self.groups, self._grouped(parameters), first, second, self._units(), strict=True
            )
        ]
        return self._join(parts)

    def sample_column(self, j: int, parameters: Tensor, u: Tensor) -> Tensor:
        """Draws (n,) of column j by inversion.

        Parameters
        ----------
        j : int
        parameters : tensor of shape (n, p_j)
            The outputs of this column alone.
        u : tensor of shape (n, 2)
            Uniforms in (0, 1): the first chooses the level or the component, the second the place within the component.
        """
        unit = (self.centre[j : j + 1, None], self.width[j : j + 1, None])
        if self._numeric:
            at = self.parameters_of(j)
            parameters = torch.addcmul(self.start[at].to(parameters), self.unit[at].to(parameters), parameters)
        return self._alone[j].draw(parameters.T[:, None], u.T[:, None].to(parameters), *unit)[0]

    # ---- the start

    def initialise(self, X: np.ndarray | Tensor, weight: np.ndarray | Tensor, tied: np.ndarray | None = None) -> Tensor:
        """Read ``centre`` and ``width`` from data, and give the output biases at which every conditional is its column's marginal.

        A network whose last layer has zero weights and these biases is the model of independent columns. Centre and
        width are the weighted mean and standard deviation (1 for a constant continuous column, at least 1/2 for an
        integer one). One wild cell does not set a column's unit: cells are first brought within ten times q95 - q5 of
        these quantiles, where that is not zero. Frequencies and mixtures are smoothed by one pseudo-row; a mixture is
        fitted by a short EM to the column alone, on at most 20,000 evenly spaced rows. No randomness.

        Parameters
        ----------
        X : array of shape (n, d)
            Coded rows; NaN is left out.
        weight : array of shape (n,)
            Positive.
        tied : int array of shape (d,), optional
            Columns of one number have one centre and one width: pixels, which are one variable many times.

        Returns
        -------
        tensor of shape (P,), float64, on the CPU
        """
        X, weight = (torch.as_tensor(a).detach().to("cpu", torch.float64).numpy() for a in (X, weight))
        centre, width, spreads = np.zeros(self.n_columns), np.ones(self.n_columns), np.zeros(self.n_columns)
        for j, kind in enumerate(self.kinds):
            if kind not in ("integer", "continuous"):
                continue
            x = X[:, j].copy()  # next to one another in memory for the passes below
            seen = ~np.isnan(x)
            if not seen.any():
                continue
            w = weight[seen]
            x = within_fences(x[seen], w)
            centre[j] = np.average(x, weights=w)
            spread = np.sqrt(np.average((x - centre[j]) ** 2, weights=w))
            varies = spread > 1e-12 * max(1e-100, np.abs(centre[j]))
            width[j] = max(spread, 0.5) if kind == "integer" else spread if varies else 1.0
            spreads[j] = spread
        numeric = np.isin(self.kinds, ("integer", "continuous"))
        for g in () if tied is None else np.unique(tied[numeric]):
            own = numeric & (tied == g)
            if own.sum() > 1:
                middle = centre[own].mean()
                spread = np.sqrt(np.mean(spreads[own] ** 2 + (centre[own] - middle) ** 2))
                least = 0.5 if self.kinds[int(np.argmax(own))] == "integer" else 1e-12 * max(1e-100, np.abs(middle))
                centre[own], width[own] = middle, spread if spread > least else 0.5 if least == 0.5 else 1.0
        with torch.no_grad():
            self.centre.copy_(torch.from_numpy(centre))
            self.width.copy_(torch.from_numpy(width))
        biases, begin, unit = np.zeros(self.n_parameters), np.zeros(self.n_parameters), np.ones(self.n_parameters)
        for group, columns in zip(self.groups, self._members, strict=True):
            own = X if len(columns) == self.n_columns else X[:, columns]
            start = group.start(own, weight, centre[columns], width[columns])
            for j, found in zip(columns, start, strict=True):
                at = self.parameters_of(j)
                biases[at] = found[: at.stop - at.start]
                if self.kinds[j] in ("integer", "continuous"):
                    means = slice(at.start + self.n_components, at.start + 2 * self.n_components)
                    begin[means], biases[means] = biases[means], 0.0
                    unit[means] = group.scale_at(found, width[j])
        with torch.no_grad():
            self.start.copy_(torch.from_numpy(begin))
            self.unit.copy_(torch.from_numpy(unit))
        return torch.from_numpy(biases)

    def initialise_classes(self, X: np.ndarray | Tensor, weights: np.ndarray | Tensor, biases: Tensor) -> Tensor:
        """What each class adds to the output biases: every column given the class alone, shrunk to its marginal.

        Parameters
        ----------
        X : array of shape (n, d)
            Coded rows; NaN is left out. At most 20,000 of them, evenly spaced, are read.
        weights : array of shape (n, K)
            Of each row in each class.
        biases : tensor of shape (P,)
            From ``initialise``.

        Returns
        -------
        tensor of shape (K, P), float64, on the CPU
        """
        every = -(-len(X) // MOST_ROWS)
        X, weights = (torch.as_tensor(a).detach().to("cpu", torch.float64).numpy()[::every] for a in (X, weights))
        out = np.zeros((weights.shape[1], self.n_parameters))
        centre, width = self.centre.cpu().numpy(), self.width.cpu().numpy()
        marginal = torch.addcmul(self.start.to(biases), self.unit.to(biases), biases).cpu().numpy()
        for group, columns in zip(self.groups, self._members, strict=True):
            at = np.stack([self._positions(j, group.n_parameters) for j in columns])
            real = np.arange(group.n_parameters) < (self._starts[np.array(columns) + 1] - self._starts[columns])[:, None]
            start = np.where(real, marginal[at], -np.inf)  # a level that is not there
            found = group.start_of_classes(X[:, columns], weights.T, start, centre[columns], width[columns])
            out[:, at[real]] = found[:, real]
        return torch.from_numpy(out)

    def extra_repr(self) -> str:
        return f"n_columns={self.n_columns}, n_parameters={self.n_parameters}, n_features={self.n_features}"


def _check(kinds: list[str], n_levels: list[int], n_components: int) -> None:
    if not kinds or len(kinds) != len(n_levels):
        raise ValueError(f"kinds and n_levels name one column each; got {len(kinds)} and {len(n_levels)}")
    if n_components < 1:
        raise ValueError(f"n_components must be at least 1, not {n_components}")
    for j, (kind, k) in enumerate(zip(kinds, n_levels, strict=True)):
        if kind not in ("binary", "bernoulli", "categorical", "integer", "continuous"):
            raise ValueError(
                f"column {j} has unknown kind {kind!r}; use 'binary', 'bernoulli', 'categorical', 'integer' or 'continuous'"
            )
        if kind == "categorical" and k < 1:
            raise ValueError(f"column {j} is categorical and needs n_levels of at least 1, not {k}")


def _alike(kinds: list[str], n_levels: list[int]) -> list[list[int]]:
    """Columns that are computed together: of one kind, and categorical ones whose level counts have the same power of two
    above them, so that padding at most doubles the work."""
    found: dict[tuple[str, int], list[int]] = {}
    for j, kind in enumerate(kinds):
        found.setdefault((kind, (n_levels[j] - 1).bit_length() if kind == "categorical" else 0), []).append(j)
    return list(found.values())


def _group_of(
    kinds: list[str], n_levels: list[int], columns: list[int], n_components: int, astray: float
) -> tuple[nn.Module, list[int]]:
    kind = kinds[columns[0]]
    if kind in ("binary", "bernoulli"):
        return (Binary if kind == "binary" else Grey)(), columns
    if kind == "categorical":
        return Categorical([n_levels[j] for j in columns]), columns
    return (Integer if kind == "integer" else Continuous)(n_components, astray), columns


def _without_nan(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """NaN cells as zeros, and where they are; None where there are none, which a sum tells ten times faster than a search."""
    if torch.isfinite(x.sum()):
        return x, None
    hidden = x.isnan()
    return x.masked_fill(hidden, 0.0), hidden
