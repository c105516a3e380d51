"""Models made of other people's parts: Bayes' rule over any density, and a density behind a change of variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from inspect import signature
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone, is_outlier_detector
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PowerTransformer
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skgen import registry
from skgen.base import _WEAKEST_FIRST, GenerativeModel
from skgen.containers import Container
from skgen.jacobians import COLUMNWISE, flat_steps, forward, log_abs_det_jacobian
from skgen.oversampling import GenerativeOverSampler
from skgen.roles import GenerativeImputer
from skgen.tables import KINDS, Columns

__all__ = ["GenerativeClassifier", "GenerativeImputer", "GenerativeOverSampler", "TransformedDensity"]


# ---- other people's densities as models


def _as_model(density: Any, role: str = "density") -> GenerativeModel:
    """A skgen model for a registry name, a model, a pipeline that ends in a density, or a scikit-learn density."""
    if isinstance(density, str):
        return registry.get(density)()
    if isinstance(density, GenerativeModel):
        return density
    if isinstance(density, Pipeline):  # alone it would score in the units of its last step
        steps = [step for _, step in density.steps]
        return TransformedDensity(make_pipeline(*steps[:-1]), steps[-1]) if len(steps) > 1 else _as_model(steps[0], role)
    name = type(density).__name__
    if isinstance(density, type):
        raise ValueError(f"{role}={density.__name__} is a class: pass an instance, {density.__name__}().")
    if not (hasattr(density, "fit") and hasattr(density, "score_samples")):
        raise ValueError(f"{role}={density!r} has no fit and score_samples: pass a density such as KernelDensity() or a model.")
    if is_outlier_detector(density):
        raise ValueError(f"{role}={name}: its score_samples is an outlier score and no log density, so Bayes' rule is wrong.")
    if name == "BernoulliRBM":
        raise ValueError(f"{role}={name}: its score_samples is a stochastic pseudo-likelihood, so Bayes' rule is wrong.")
    return ForeignDensity(density)


def _seeded(estimator: Any, rng: np.random.Generator) -> Any:
    """A clone that draws from ``rng`` where the user set no seed."""
    new = clone(estimator)
    parameters = new.get_params(deep=False)
    return new.set_params(random_state=int(rng.integers(2**31))) if parameters.get("random_state", 0) is None else new


def _weight_argument(estimator: Any, weight: np.ndarray, needed: bool = True) -> dict[str, np.ndarray]:
    """``sample_weight`` for ``estimator.fit`` where rows differ in weight; refused where it would be lost."""
    if (np.abs(weight - 1) < 1e-12).all():  # shares of classes add up to one but for rounding
        return {}
    if has_fit_parameter(estimator, "sample_weight"):
        return {"sample_weight": weight}
    if needed and np.ptp(weight) > 1e-12 * weight.max():
        raise ValueError(f"{type(estimator).__name__} takes no sample_weight: drop the weights, or use a model that takes them.")
    return {}


class ForeignDensity(GenerativeModel):
    """Another library's density, scored in the units of the data, as a model.

    :class:`GenerativeClassifier` and :class:`TransformedDensity` wrap what they are given in one.

    Parameters
    ----------
    density : estimator
        With ``fit(X)`` and ``score_samples(X)``, log p(x) of each row; ``sample(n)`` if it can.
    """

    density: Any = field(default="naive_bayes", kw_only=False)

    @property
    def _shown_as(self) -> str:
        return type(self.density).__name__

    def _in_units(self, X: np.ndarray) -> np.ndarray:
        return X * self.columns_.scale + self.columns_.loc

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        estimator = _seeded(self.density, rng)
        self._estimator = estimator.fit(self._in_units(X), **_weight_argument(estimator, weight))

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        name = type(self.density).__name__
        log_p = np.asarray(self._estimator.score_samples(self._in_units(X)), dtype=float)
        if log_p.shape != (len(X),):
            raise ValueError(f"{name}.score_samples returned shape {log_p.shape} for {len(X)} rows: it must be one number a row.")
        if np.isnan(log_p).any():
            raise ValueError(f"{name}.score_samples returned NaN for row {int(np.argmax(np.isnan(log_p)))}.")
        return log_p + np.log(self.columns_.scale).sum()  # per coded unit, as the base expects

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        name, estimator = type(self.density).__name__, self._estimator
        if not hasattr(estimator, "sample"):
            raise ValueError(f"{name} cannot draw rows: it has no sample method.")
        if n == 0:
            return np.empty((0, len(self.columns_)))
        seed = int(rng.integers(2**31))
        try:
            if "random_state" in signature(estimator.sample).parameters:
                drawn = estimator.sample(n, random_state=seed)
            else:
                drawn = _reseeded(estimator, seed).sample(n)
        except NotImplementedError as error:
            raise ValueError(f"{estimator!r} cannot draw rows. {error}") from error
        X = np.asarray(drawn[0] if isinstance(drawn, tuple) else drawn, dtype=float)
        # scikit-learn's mixtures draw component after component
        return rng.permutation((X - self.columns_.loc) / self.columns_.scale)


def _reseeded(estimator: Any, seed: int) -> Any:
    """The same fitted estimator with another seed; the one given is left as it is."""
    if "random_state" not in estimator.get_params(deep=False):
        return estimator
    new = clone(estimator)
    vars(new).update(vars(estimator))
    return new.set_params(random_state=seed)


def _learn(
    model: GenerativeModel, columns: Columns, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator
) -> GenerativeModel:
    """A clone of ``model`` fitted to coded rows X with weights (n, K)."""
    model.as_component(columns, "density")  # refuses what only the outer model may set
    shell = clone(model)
    shell.n_features_in_ = len(columns)
    if all(isinstance(name, str) for name in columns.names):
        shell.feature_names_in_ = np.array(columns.names, dtype=object)
    Z, copies = shell._prepare(columns, X, weights.sum(axis=1))
    shell._fitted._fit_classes(Z, np.tile(weights / copies, (copies, 1)), rng)
    return shell


def _learn_more(shell: GenerativeModel, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
    """One improving step of what :func:`_learn` returned."""
    Z, copies = shell._coding.rows_to_fit(X)
    shell._fitted._update_classes(Z, np.tile(weights / copies, (copies, 1)), rng)


# ---- Bayes' rule


class GenerativeClassifier(GenerativeModel):
    r"""Bayes' rule over any density: p(y|x) is proportional to p(x|y) p(y), each class with a density of its own.

    Columns are read once, on the rows of all classes, so that classes agree on kinds and levels. A density of another
    library is fitted and scored in the units of the data; a pipeline that ends in a density is scored with its
    log-Jacobian (see :class:`TransformedDensity`), since the scaler of each class has its own units.

    Parameters
    ----------
    density : model, registry name, scikit-learn density or {label: any of these}
        The density of every class, or one for each. It is cloned, never fitted itself.

    Attributes
    ----------
    densities_ : list
        The fitted density of each class, in the order of ``classes_``.

    Notes
    -----
    ``score_samples`` is log sum_y p(x|y) p(y), nats, in the units of the data. Integer columns are dequantised for a
    continuous density, which is scored at eight offsets; ``column_kinds="continuous"`` takes them as they are.

    ValueError where a dict does not name the classes, a density takes no ``sample_weight`` and rows differ in weight,
    ``sample`` is asked of a density that cannot draw, or ``score_samples`` is known to be no log density (outlier
    detectors).

    References
    ----------
    Duda & Hart (1973), *Pattern Classification and Scene Analysis*, chapter 2.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KernelDensity
    >>> from skgen import GenerativeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = GenerativeClassifier(KernelDensity(bandwidth=0.3), random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    >>> model.sample(2, y=1).shape
    (2, 4)
    """

    density: Any = field(default="naive_bayes", kw_only=False)

    def _each(self) -> list[GenerativeModel]:
        """The models named in ``density``."""
        if isinstance(self.density, Mapping):
            return [_as_model(density, f"density[{label!r}]") for label, density in self.density.items()]
        return [_as_model(self.density)]

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(KINDS)  # each density converts what it must

    @property
    def likelihood(self) -> str:
        known = [shell.likelihood_ for shell in vars(self).get("_shells", ())] or [model.likelihood for model in self._each()]
        return min(known, key=_WEAKEST_FIRST.index)

    @property
    def missing(self) -> str:
        ways = {model.missing for model in self._each()}
        return ways.pop() if len(ways) == 1 else "none" if "none" in ways else "suffix" if "suffix" in ways else "estimate"

    @property
    def missing_in_fit(self) -> bool:
        return all(model.missing_in_fit for model in self._each())

    def part(self, columns: Columns) -> GenerativeClassifier:
        """See :meth:`GenerativeModel.part`; the densities are put in the order of the classes."""
        new = super().part(columns)
        new._class_labels = vars(self)["classes_"].tolist() if "classes_" in vars(self) else None
        new._models = new._by_class()
        return new

    def _by_class(self) -> list[GenerativeModel]:
        models, labels = self._each(), self._class_labels
        if not isinstance(self.density, Mapping):
            return models * len(labels or [None])
        if labels is None:
            raise ValueError("density is a dict, one density a class: call fit(X, y) with labels.")
        for label in labels:
            if label not in self.density:
                raise ValueError(f"density has no entry for class {label!r}: its keys are {list(self.density)}.")
        for key in self.density:
            if key not in labels:
                raise ValueError(f"density has an entry for {key!r}, which is not a class: the classes are {labels}.")
        by_label = dict(zip(self.density, models, strict=True))
        return [by_label[label] for label in labels]

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._fit_classes(X, weight[:, None], rng)

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        return self._log_prob_classes(X)[:, 0]

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._sample_class(0, n, rng)

    def _fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        labels = self._class_labels or [None]
        streams = rng.spawn(len(labels))
        jobs = [
            (model, self.columns_, X[w > 0], w[w > 0], stream, label)
            for model, w, stream, label in zip(self._models, weights.T, streams, labels, strict=True)
        ]
        self._shells = Parallel(n_jobs=self.n_jobs or 1)(delayed(_fit_class)(*job) for job in jobs)

    def _update_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        for shell, w, stream in zip(self._shells, weights.T, rng.spawn(len(self._shells)), strict=True):
            keep = w > 0
            _learn_more(shell, X[keep], w[keep, None], stream)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._update_classes(X, weight[:, None], rng)

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        return np.stack([shell._log_prob_coded(X)[:, 0] for shell in self._shells]).T

    def _log_smoothing(self) -> float:
        return self._log_smoothing_classes()

    def _log_smoothing_classes(self) -> float:
        return sum(shell._fitted._log_smoothing_classes() for shell in self._shells)

    def _sample_class(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._shells[k]._sample_coded(0, n, rng)

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._sample_missing_class(0, X, rng)

    def _missing_moments_class(self, k: int, X: np.ndarray) -> None:
        return None  # the inner model has coordinates of its own

    def _sample_missing_class(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._shells[k]._sample_missing_coded(0, X, rng)

    @property
    def densities_(self) -> list[Any]:
        """The fitted density of each class: a model, or the other library's estimator."""
        foreign = [isinstance(shell, ForeignDensity) for shell in self._shells]
        return [s._fitted.densities_[0]._estimator if f else s for s, f in zip(self._shells, foreign, strict=True)]

    @property
    def n_parameters_(self) -> int:
        """Free parameters of all densities and of the prior."""
        check_is_fitted(self, "columns_")
        shells = self._fitted._shells
        return sum(shell.n_parameters_ for shell in shells) + len(shells) - 1


def _fit_class(
    model: GenerativeModel, columns: Columns, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator, label: Any
) -> GenerativeModel:
    """The fitted density of one class, whose label is named in what goes wrong."""
    try:
        return _learn(model, columns, X, weight[:, None], rng)
    except ValueError as error:
        if label is None:
            raise
        raise ValueError(f"Class {label!r} ({len(X)} rows): {error}") from error


# ---- a change of variables


class TransformedDensity(GenerativeModel):
    r"""A density behind a change of variables, in the units of the data: log p(x) = log q(T(x)) + log \|det dT/dx\|.

    A pipeline scores in the units of its last step, so that its log-likelihood depends on the scaler and cannot be
    compared; this keeps the log-Jacobian and maps draws back. T is fitted on the rows of all classes. Its Jacobian is
    then common to them, so Bayes' rule gives the same answer before T and behind it.

    Parameters
    ----------
    transformer : scikit-learn transformer, pipeline of them, or "passthrough"
        One-to-one: see :func:`skgen.jacobians.log_abs_det_jacobian`. Cloned.
    density : model, registry name or scikit-learn density
        q. Cloned.

    Attributes
    ----------
    transformer_ : fitted transformer
    densities_ : list
        The densities behind it, one a class, in the units of its output.

    Notes
    -----
    Only continuous columns have a Jacobian; integers are dequantised, categories refused. Where T does not reach all
    reals (a Box-Cox), draws from q that no x maps to are drawn again, and log p(x) leaves their mass out. ValueError for
    a T that is not one-to-one (fewer components than columns, quantiles, clipping) or singular.

    References
    ----------
    Box & Cox (1964), "An analysis of transformations", section 3, for the Jacobian in the likelihood.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import PowerTransformer
    >>> from skgen import NaiveBayes, TransformedDensity
    >>> X = np.exp(np.random.default_rng(0).normal(3.0, 0.5, (500, 1)))
    >>> model = TransformedDensity(PowerTransformer("box-cox"), NaiveBayes(distributions="normal")).fit(X)
    >>> lognormal = NaiveBayes(distributions="lognormal").fit(X)
    >>> bool(abs(model.score(X) - lognormal.score(X)) < 0.01)
    True
    """

    transformer: Any = field(default="passthrough", kw_only=False)
    density: Any = field(default="naive_bayes", kw_only=False)

    @property
    def likelihood(self) -> str:
        return _as_model(self.density).likelihood

    @property
    def missing(self) -> str:
        columnwise = all(isinstance(one, COLUMNWISE) for one in flat_steps(self.transformer))
        return _as_model(self.density).missing if columnwise else "none"

    @property
    def missing_in_fit(self) -> bool:
        return self.missing != "none" and _as_model(self.density).missing_in_fit

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._fit_classes(X, weight[:, None], rng)

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        return self._log_prob_classes(X)[:, 0]

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._sample_class(0, n, rng)

    def _fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        weight = weights.sum(axis=1)
        at = X * self.columns_.scale + self.columns_.loc
        self._steps = []
        for one in flat_steps(self.transformer):
            step = _seeded(one, rng)
            step.fit(at, **_weight_argument(step, weight, needed=not isinstance(one, (MinMaxScaler, MaxAbsScaler))))
            log_abs_det_jacobian(step, at[:1])  # refuses what is not one-to-one before its result is used
            self._steps.append(step)
            at = forward(step, at)
        d = at.shape[1]
        names = self.columns_.names if all(isinstance(step, COLUMNWISE) for step in self._steps) else list(range(d))
        container, continuous = Container("array", dtype=np.dtype(float)), ["continuous"] * d
        columns = Columns(names, continuous, [None] * d, np.arange(d), container, [container.dtype] * d).measure(at, weight)
        self._shell = _learn(_as_model(self.density), columns, columns.encode(at)[0], weights, rng)

    def _forward(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """T(x) coded as the inner model takes it, and log |det| of the whole way from X; -inf where T is not defined."""
        at = X * self.columns_.scale + self.columns_.loc
        log_det = np.zeros(len(X))
        for step in self._steps:
            if isinstance(step, PowerTransformer) and step.method == "box-cox":
                outside = (at <= 0).any(axis=1)
                log_det[outside] = -np.inf
                at = np.where(outside[:, None], 1.0, at)
            log_det += log_abs_det_jacobian(step, at)
            at = forward(step, at)
        coded, _ = self._shell.columns_.encode(at)
        log_det += self._shell.columns_.log_jacobian(coded)
        log_det += np.where(np.isnan(X), 0.0, np.log(self.columns_.scale)).sum(axis=1)  # per coded unit of X
        return coded, log_det

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        coded, log_det = self._forward(X)
        return self._shell._log_prob_coded(coded) + log_det[:, None]

    def _log_smoothing(self) -> float:
        return self._log_smoothing_classes()

    def _log_smoothing_classes(self) -> float:
        return self._shell._fitted._log_smoothing_classes()

    def _update_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        coded, _ = self._forward(X)
        _learn_more(self._shell, coded, weights, rng)

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        self._update_classes(X, weight[:, None], rng)

    def _sample_class(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._back(n, lambda rows: self._shell._sample_coded(k, len(rows), rng))

    def _sample_missing(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._sample_missing_class(0, X, rng)

    def _missing_moments_class(self, k: int, X: np.ndarray) -> None:
        return None  # the inner model has coordinates of its own

    def _sample_missing_class(self, k: int, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        coded, _ = self._forward(X)
        drawn = self._back(len(X), lambda rows: self._shell._sample_missing_coded(k, coded[rows], rng))
        return np.where(np.isnan(X), drawn, X)

    def _back(self, n: int, draw: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """n rows in coded units of X from draws behind T; ``draw`` is asked again for rows that no x maps to."""
        out = np.empty((n, len(self.columns_)))
        wanted = np.arange(n)
        for _ in range(100):
            at = self._shell.columns_.decode(draw(wanted))
            with np.errstate(all="ignore"):
                for step in reversed(self._steps if len(at) else []):
                    at = np.asarray(step.inverse_transform(at), dtype=float)
            out[wanted] = (at - self.columns_.loc) / self.columns_.scale
            wanted = wanted[~np.isfinite(at).all(axis=1)]
            if not len(wanted):
                return out
        raise ValueError(
            f"Nearly every draw of {self.density!r} lies where {self.transformer!r} has no inverse: the two do not suit."
        )

    @property
    def transformer_(self) -> Any:
        return self._steps[0] if len(self._steps) == 1 else make_pipeline(*self._steps)

    @property
    def densities_(self) -> list[Any]:
        """The fitted densities behind the transformer, one a class."""
        densities = self._shell._fitted.densities_
        return [d._estimator if isinstance(d, ForeignDensity) else d for d in densities]

    @property
    def n_parameters_(self) -> int:
        """Not defined: a transformer does not tell how many it has."""
        raise AttributeError("n_parameters_ of TransformedDensity is not defined: a transformer does not tell how many it has.")
