"""Naive Bayes: the columns are independent given the class."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np

from skgen.base import GenerativeModel
from skgen.ops.digest import Digest
from skgen.ops.families import CONTINUOUS, INTEGER, Family, Separate, fit_family, has_heavy_tails
from skgen.ops.products import NormalBlock, NormalSums, TableBlock
from skgen.parameters import Interval

__all__ = ["NaiveBayes"]

_CHOICES = {"continuous": tuple(CONTINUOUS), "integer": tuple(INTEGER), "binary": ("bernoulli",), "categorical": ("categorical",)}
_CHOICE_ROWS = 50_000  # rows that families are chosen on, or so; more change no choice


_NONE: Mapping[int, Family] = MappingProxyType({})


class NaiveBayes(GenerativeModel):
    r"""Independent columns, p(x) = prod_j p(x_j), each of the family that suits it.

    A binary column is Bernoulli and a categorical one a table with ``alpha`` pseudo-counts a level. A continuous column
    is normal, lognormal, gamma or Student t, an integer one Poisson, negative binomial, discretised normal or a
    smoothed table: whichever has the highest leave-one-out likelihood (in closed form for a table, by Stone's 1977
    equivalence for the others), one choice for all classes. A cell that is not observed is a factor of one.

    Parameters
    ----------
    distributions : "auto", str or {column or kind: name}
        The family of a column, or of all columns of a kind: "normal", "lognormal", "gamma", "student_t" (continuous);
        "poisson", "negative_binomial", "normal", "table" (integer). A name alone is for every column it suits.
    alpha : float, default=1.0
        Pseudo-counts a level; for a smoothed table, pseudo-rows a distinct value.
    shrinkage : float, default=1.0
        Pseudo-rows that carry the spread of all rows into a class. 0 is maximum likelihood.

    Attributes
    ----------
    families_ : dict
        {column: family chosen}.

    Notes
    -----
    ``score_samples`` is exact, in nats and in the units of the data. Raises ValueError naming the column whose family
    does not suit its kind.

    References
    ----------
    Duda & Hart (1973), *Pattern Classification and Scene Analysis*; Hand & Yu (2001), "Idiot's Bayes: not so stupid
    after all?".

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skgen import NaiveBayes
    >>> X, y = load_wine(return_X_y=True)
    >>> model = NaiveBayes(random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.97)
    True
    >>> model.sample(2, y=0).shape
    (2, 13)
    """

    distributions: str | dict = "auto"
    alpha: Annotated[float, Interval(0)] = 1.0
    shrinkage: Annotated[float, Interval(0)] = 1.0

    kinds = frozenset({"continuous", "integer", "binary", "categorical"})
    missing = "exact"
    missing_in_fit = True
    streams = True

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._fit_classes(X, weight[:, None], rng)

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        return self._log_prob_classes(X)[:, 0]

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._sample_class(0, n, rng)

    def _fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        self._n_classes = weights.shape[1]
        self._families, ready = self._choose(X, weights)
        self._fit_families(X, weights, ready=ready)

    def _update_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        self._fit_families(X, weights, self._single)  # the choice stands, so that EM never falls

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._fit_families(X, weight[:, None], self._single)

    def _fit_families(
        self, X: np.ndarray, weights: np.ndarray, before: Mapping[int, Family] = _NONE, ready: Mapping[int, Family] = _NONE
    ) -> None:
        """Fit the families chosen, from those ``before`` where that helps; some may be ``ready``."""
        normal, tables, single = self._kinds_of_columns()
        self._normal = NormalBlock.fit(normal, X, weights, self.shrinkage)
        self._tables = TableBlock.fit(tables, self.columns_.n_levels, X, weights, self.alpha)
        self._single: dict[int, Family] = {
            j: ready.get(j) or self._fit_one(j, self._families[j], X[:, j], weights, before.get(j)) for j in single
        }

    def _kinds_of_columns(self) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Normal columns, columns of tables, and those of the other families."""
        kinds = np.array(self.columns_.kinds)
        normal = (kinds == "continuous") & (np.array(self._families) == "normal")
        tables = np.isin(kinds, ("binary", "categorical"))
        return np.flatnonzero(normal), np.flatnonzero(tables), np.flatnonzero(~normal & ~tables).tolist()

    def _fit_one(self, j: int, name: str, x: np.ndarray, weights: np.ndarray, before: Family | None = None) -> Family:
        integer = self.columns_.kinds[j] == "integer"
        return fit_family(name, integer, x + self._origin(j, name), weights, self.shrinkage, self.alpha, before)

    def _origin(self, j: int, name: str) -> float:
        """What turns a coded cell into v >= 0, the data in units of its scale, for the positive families."""
        continuous = self.columns_.kinds[j] == "continuous"
        return self.columns_.loc[j] / self.columns_.scale[j] if continuous and CONTINUOUS[name].positive else 0.0

    # ---- batch by batch

    def _partial_fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._partial_fit_classes(X, weight[:, None], rng)

    def _partial_fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        self._n_classes = weights.shape[1]
        if "_families" not in vars(self):
            self._families, _ = self._choose(X, weights)
        normal, tables, single = self._kinds_of_columns()
        levels, c = self.columns_.n_levels, self.columns_
        sums, counts = NormalSums.of(normal, X, weights), TableBlock.count(tables, levels, X, weights)
        values = {j: X[:, j] + self._origin(j, self._families[j]) for j in single}
        whole = {j: c.kinds[j] == "integer" for j in single}
        if "_sums" not in vars(self):
            # what classes share, the pseudo-rows and what tables back off to, stays that of the first batch
            self._shared = sums.pooled(), {j: Digest.of(x, weights.sum(axis=1), whole[j]) for j, x in values.items()}
            none = Digest(np.zeros(0), np.zeros(0))
            self._sums, self._counts = sums, counts
            self._digests = {j: [none] * self._n_classes for j in single}
            self._single = {j: Separate([None] * self._n_classes) for j in single}
        else:
            self._sums, self._counts = self._sums + sums, self._counts + counts
        pooled, reference = self._shared
        self._normal = NormalBlock.from_sums(normal, self._sums, self.shrinkage, pooled)
        self._tables = TableBlock.from_counts(tables, levels, self._counts, self.alpha)
        self._digests = {j: list(digests) for j, digests in self._digests.items()}
        self._single = {j: Separate(list(family.each)) for j, family in self._single.items()}
        for k, w in enumerate(weights.T):
            for j in single if (w > 0).any() or any(family.each[k] is None for family in self._single.values()) else ():
                self._digests[j][k] = own = self._digests[j][k].add(values[j], w, whole[j])
                every = reference[j]
                x = np.concatenate([own.values, every.values])
                W = np.zeros((len(x), 2))
                W[: len(own.values), 0], W[len(own.values) :, 1] = own.weight, every.weight
                self._single[j].each[k] = fit_family(self._families[j], whole[j], x, W, self.shrinkage, self.alpha).take(0)

    def _add_class(self, k: int) -> None:
        self._sums, self._counts = self._sums.insert(k), np.insert(self._counts, k, 0.0, axis=0)
        none = Digest(np.zeros(0), np.zeros(0))
        self._digests = {j: [*own[:k], none, *own[k:]] for j, own in self._digests.items()}
        self._single = {j: Separate([*family.each[:k], None, *family.each[k:]]) for j, family in self._single.items()}

    # ---- the choice of families

    def _candidates(self) -> list[tuple[str, ...]]:
        """The families each column may have: as asked, else all that its range allows."""
        c, asked = self.columns_, self.distributions
        by_name = dict(asked) if isinstance(asked, Mapping) else {}
        positions = {name: j for j, name in enumerate(c.names)}
        for key in by_name:
            if key not in _CHOICES and key not in positions:
                raise ValueError(f"distributions names {key!r}, which is neither a column nor a kind ({', '.join(_CHOICES)}).")
        known = {name for names in _CHOICES.values() for name in names} | {"auto"}
        for name in [*by_name.values(), *([asked] if isinstance(asked, str) else [])]:
            if name not in known:
                raise ValueError(f"distributions asks for {name!r}: choose from {', '.join(sorted(known))}.")
        out = []
        for j, (name, kind) in enumerate(zip(c.names, c.kinds, strict=True)):
            wanted: Any = by_name.get(name, by_name.get(kind, "auto"))
            if isinstance(asked, str) and asked in _CHOICES[kind]:
                wanted = asked
            if wanted != "auto" and wanted not in _CHOICES[kind]:
                raise ValueError(f"Column {name!r} is {kind} and cannot be {wanted!r}: choose from {', '.join(_CHOICES[kind])}.")
            able = [family for family in _CHOICES[kind] if self._in_range(family, j)]
            if wanted != "auto" and wanted not in able:
                raise ValueError(f"Column {name!r} holds {c.low[j]:g} and cannot be {wanted!r}, which takes positive values.")
            out.append(tuple(able) if wanted == "auto" else (wanted,))
        return out

    def _in_range(self, family: str, j: int) -> bool:
        low = self.columns_.low[j]
        if self.columns_.kinds[j] == "continuous":
            return not CONTINUOUS[family].positive or low > 0
        return self.columns_.kinds[j] != "integer" or not INTEGER[family].positive or low >= 0

    def _choose(self, X: np.ndarray, weights: np.ndarray) -> tuple[list[str], dict[int, Family]]:
        """Per column, the family under which the rows are likeliest when each is left out of the fit; and the fits made."""
        candidates = self._candidates()
        if all(len(names) == 1 for names in candidates):
            return [names[0] for names in candidates], {}
        everything = len(X) <= _CHOICE_ROWS
        if not everything:
            some = _scatter(X) < _CHOICE_ROWS / len(X)
            X, weights = X[some], weights[some]
        chosen, ready = [], {}
        for j, names in enumerate(candidates):
            scores, fits = {}, {}
            for name in names if len(names) > 1 else ():
                seen = ~np.isnan(X[:, j])
                if name == "student_t" and not has_heavy_tails(X[seen, j], weights[seen]):
                    continue  # its likelihood is greatest at infinite degrees of freedom, where it is the normal
                fits[name] = family = self._fit_one(j, name, X[:, j], weights)
                scores[name] = family.held_out(X[seen, j] + self._origin(j, name), weights[seen])
            chosen.append(max(scores, key=scores.__getitem__) if scores else names[0])
            if everything and chosen[-1] in fits:
                ready[j] = fits[chosen[-1]]
        return chosen, ready

    # ---- log p and draws

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        out = np.zeros((self._n_classes, len(X)))
        self._normal.add_log_prob(X, out)
        self._tables.add_log_prob(X, out)
        for j, family in self._single.items():
            x = X[:, j] + self._origin(j, self._families[j])
            seen = ~np.isnan(x)
            if seen.all():
                out += family.log_prob(x)
            elif seen.any():
                out[:, seen] += family.log_prob(x[seen])
        return out.T

    def _log_smoothing(self) -> float:
        return self._log_smoothing_classes()

    def _log_smoothing_classes(self) -> float:
        # of tables and normals, whose fit is the maximum of a posterior
        tables = self.alpha * float(self._tables.log_theta.sum()) if self.alpha else 0.0
        return tables + self._normal.log_smoothing()

    def _sample_class(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        X = np.empty((n, len(self.columns_)))
        self._normal.sample(k, X, rng)
        self._tables.sample(k, X, rng)
        for j, family in self._single.items():
            X[:, j] = family.sample(k, n, rng) - self._origin(j, self._families[j])
        return X

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.where(np.isnan(X), self._sample_class(0, len(X), rng), X)  # independent columns: nothing to learn from

    # ---- what a user reads

    @property
    def families_(self) -> dict:
        return dict(zip(self.columns_.names, self._families, strict=True))

    @property
    def densities_(self) -> list[NaiveBayes]:
        """One model a class."""
        return [self._take(k) for k in range(self._n_classes)]

    def _take(self, k: int) -> NaiveBayes:
        one = self.part(self.columns_)
        one._n_classes, one._families = 1, self._families
        one._normal, one._tables = self._normal.take(k), self._tables.take(k)
        one._single = {j: family.take(k) for j, family in self._single.items()}
        return one

    def _n_parameters(self) -> int:
        levels = self.columns_.n_levels
        tables = int((levels[self._tables.columns] - 1).sum())
        return 2 * len(self._normal.columns) + tables + sum(family.count(0) for family in self._single.values())


def _scatter(X: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each row that depends on what it holds, not on where it or a column stands."""
    return np.sin(1e4 * np.nan_to_num(X)).sum(axis=1) * 1e3 % 1.0
