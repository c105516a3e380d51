"""GenerativeModel: the template. A model writes p(x) of coded rows; classes, tables, units, seeds and chunks are here."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn import get_config
from sklearn.base import clone
from sklearn.utils import ClassifierTags, check_array, check_consistent_length
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from skgen import bayes, registry
from skgen.chain_rule import ChainRule
from skgen.containers import as_table
from skgen.conversions import Coding
from skgen.labels import is_missing, read_labels, warn_of_lonely, weights_by_class
from skgen.learn.em import fit_partly_labelled
from skgen.ops.logs import log_sum_exp
from skgen.parameters import Parameters
from skgen.questions import Questions
from skgen.reading import read, ties
from skgen.seeds import generator
from skgen.streams import Streams, may_stream
from skgen.tables import Columns

__all__ = ["GenerativeModel"]

#: Chunks hold a multiple of this many rows, so that results do not depend on the size of a chunk.
ROWS = 2048
_WEAKEST_FIRST = ("estimate", "bound", "exact")
_FLOATING = ("floating", "mixed-integer-float", "decimal")
#: Fitted state whose name does not end in "_".
_STATE = ("_fitted", "_coding", "_class_share", "_class_mass", "_learnt", "_batches")
_NO_GAPS = ("none", "suffix")  # answers to `missing` of models that need every cell but perhaps the last
_PART_ONLY = ("task", "priors", "unlabeled", "column_kinds")


def _may_predict(model: GenerativeModel) -> bool:
    name = type(model).__name__
    if model.task == "density":
        raise AttributeError(f"{name}(task='density') has no classes: use task='auto' and call fit(X, y) to predict.")
    if "columns_" in vars(model) and "classes_" not in vars(model):
        other = " predict_component(X) gives the component." if hasattr(type(model), "predict_component") else ""
        raise AttributeError(f"{name} was fitted as a density, without y: call fit(X, y) to predict classes.{other}")
    return True


def _check_shape(model: Any, call: str, got: Any, wanted: tuple[int, ...]) -> None:
    if np.shape(got) != wanted:
        raise ValueError(f"{type(model).__name__}.{call} must give an array of shape {wanted}, and gives {np.shape(got)}.")


class GenerativeModel(Questions, ChainRule, Streams, Parameters):
    r"""Base of all models: ``fit(X)`` learns p(x), ``fit(X, y)`` learns p(x|y) p(y).

    A subclass declares its parameters as annotated fields, its traits as plain class attributes, and writes ``_fit``,
    ``_log_prob`` and ``_sample`` on coded rows; ``self.columns_`` says what the columns are.

    Parameters
    ----------
    task : {"auto", "density", "classify"}
        "auto" classifies if ``fit`` gets y; "density" ignores y; "classify" requires it.
    priors : None, "uniform", array-like or {label: p}
        p(y). None is the class frequencies. ``set_params(priors=...)`` acts without a refit.
    unlabeled : None or scalar
        The value in y that marks a row without a label; np.nan matches NaN, None and pd.NA.
    column_kinds : "auto", str, dict or Columns
        How columns are read, see :func:`skgen.columns`.
    units : {"columns", "shared"}
        "shared" gives all continuous columns one loc and one scale.
    n_jobs : int or None
        Classes fitted at a time, through joblib.
    random_state : None, int, RandomState or Generator
        An int makes ``fit`` and each call of ``sample`` reproducible.

    Attributes
    ----------
    columns_ : Columns
    classes_ : array of shape (K,)
        After ``fit(X, y)`` only.
    class_log_prior_ : array of shape (K,)
    densities_ : list
        One fitted density a class; one in all after ``fit(X)``.
    likelihood_ : {"exact", "bound", "estimate"}
        What ``score_samples`` is: the weakest of the model and the conversions its columns needed.
    n_parameters_ : int
        Free parameters.
    """

    task: Literal["auto", "density", "classify"] = "auto"
    priors: Any = None
    unlabeled: Any = None
    column_kinds: Any = "auto"
    units: Literal["columns", "shared"] = "columns"
    n_jobs: int | None = None
    random_state: Any = None

    kinds = frozenset({"continuous"})
    likelihood = "exact"
    missing = "none"
    missing_in_fit = False
    keeps_rows = False
    quick = MappingProxyType({})
    known_gaps = MappingProxyType({})
    __skgen_api__ = 1

    # ---- what an author writes, on coded rows of one density

    def _fit(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        """Learn p(x) from rows (n, d) with positive weights (n,)."""
        raise NotImplementedError(f"{type(self).__name__} must define _fit(X, weight, rng).")

    def _log_prob(self, X: np.ndarray) -> np.ndarray:
        """log p(x) of each coded row, (n,)."""
        raise NotImplementedError(f"{type(self).__name__} must define _log_prob(X).")

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n exchangeable coded rows, (n, d)."""
        raise NotImplementedError(f"{type(self).__name__} must define _sample(n, rng).")

    def _update(self, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> None:
        """One improving step from the present state; a fit that has no better step starts afresh."""
        self._fit(X, weight, rng)

    # ---- the same for several classes at once; a model that shares work or parameters between classes overrides these

    def _fit_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        """One density a class from weights (n, K) = row weight x p(class | row)."""
        streams = rng.spawn(weights.shape[1])
        jobs = [(self.part(self.columns_), X, w, stream) for w, stream in zip(weights.T, streams, strict=True)]
        if self.n_jobs in (None, 1) or len(jobs) == 1:
            self.densities_ = [_fit_density(*job) for job in jobs]
        else:
            self.densities_ = Parallel(n_jobs=self.n_jobs)(delayed(_fit_density)(*job) for job in jobs)

    def _update_classes(self, X: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> None:
        """One improving step of every class."""
        for density, w, stream in zip(self.densities_, weights.T, rng.spawn(weights.shape[1]), strict=True):
            keep = w > 0
            density._update(X[keep], w[keep], stream)

    def _fit_partly_labelled(
        self, X: np.ndarray, weights: np.ndarray, weight: np.ndarray, known: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """The same where only the rows ``known`` have a label, the others no weight in any class; p(y), (K,)."""
        return fit_partly_labelled(self, X, weights, weight, known, rng, getattr(self, "max_iter", 100))

    def _log_prob_classes(self, X: np.ndarray) -> np.ndarray:
        """log p(x|y), (n, K), without the prior."""
        found = [density._log_prob(X) for density in self.densities_]
        _check_shape(self, "_log_prob(X)", found[0], (len(X),))
        return np.stack(found).T

    def _sample_class(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        """n exchangeable coded rows of class k."""
        drawn = self.densities_[k]._sample(n, rng)
        _check_shape(self, f"_sample({n}, rng)", drawn, (n, len(self.columns_)))
        return drawn

    def _log_smoothing(self) -> float:
        """What smoothing adds to the log-likelihood that a fit makes greatest: the log prior of the parameters."""
        return 0.0

    def _log_smoothing_classes(self) -> float:
        """The same for all classes: an outer EM climbs the sum, and may lose log-likelihood alone."""
        return sum(density._log_smoothing() for density in self.densities_)

    def part(self, columns: Columns) -> GenerativeModel:
        """A copy with the same parameters and ``columns_`` set: what ``_fit`` and the other hooks are called on.

        Raises
        ------
        ValueError
            If this model is set up to read tables or labels itself, which a part of another model never does.
        """
        new = copy.copy(self)
        vars(new).clear()
        # the fields are the parameters: get_params finds the same in the signature, and takes a hundred times as long
        vars(new).update({field.name: getattr(self, field.name) for field in dataclasses.fields(self)}, columns_=columns)
        return new

    def as_component(self, columns: Columns, role: str = "component") -> GenerativeModel:
        """``part`` for use inside another model, whose labels and tables this one must not read."""
        defaults = {name: type(self).__dataclass_fields__[name].default for name in _PART_ONLY}
        for name, default in defaults.items():
            if getattr(self, name) is not default and getattr(self, name) != default:
                raise ValueError(f"{role}={self!r} sets {name}: set it on the outer model, which reads tables and labels.")
        self._validate_parameters()
        return clone(self).part(columns)

    # ---- fit

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> GenerativeModel:
        """Learn p(x), or p(x|y) p(y) if labels are given and ``task`` is not "density".

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
        y : array-like of shape (n,), optional
        sample_weight : array-like of shape (n,), optional
            A weight of 2 is the row twice, 0 the row left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Naming the parameter, column or class at fault. An earlier fit stays whole.
        """
        before = dict(vars(self))
        try:
            self._validate_parameters()
            parameters = set(self.get_params(deep=False))
            for name in before:  # scikit-learn's own private state is not ours to drop
                if name not in parameters and (name.endswith("_") or name in _STATE):
                    delattr(self, name)
            self._fit_table(X, y, sample_weight)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        return self

    def _fit_table(self, X: Any, y: Any, sample_weight: Any) -> None:
        table, container, weight, (classes, codes) = self._rows(X, y, sample_weight, reset=True)
        if classes is not None:
            self.classes_ = classes
            warn_of_lonely(classes, codes)
        Z, weight, codes = self._first_rows(table, container, weight, codes)
        rng = generator(self.random_state)
        part = self._fitted
        self._class_mass = np.array([weight.sum()])
        if codes is None:
            part._fit_classes(Z, weight[:, None], rng)
        else:
            known = codes >= 0
            weights = weights_by_class(codes, weight, len(self.classes_))
            self._class_share = weights.sum(axis=0) / weights.sum()
            if known.all():
                part._fit_classes(Z, weights, rng)
            elif self.keeps_rows:
                raise ValueError(
                    f"{type(self).__name__} keeps the rows themselves, so each unlabelled row would vouch for its own label: leave "
                    "rows without a label out, or use a model with parameters, such as gaussian_mixture."
                )
            else:
                self._class_share = part._fit_partly_labelled(Z, weights, weight, known, rng)
        if codes is not None:
            self._class_mass = self._class_mass * self._class_share
            _ = self.class_log_prior_  # bad priors are told here, not at the first question
        if hasattr(self, "max_iter"):
            self.n_iter_ = max([getattr(density, "n_iter_", 1) for density in getattr(part, "densities_", [])] + [1])

    def _rows(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple[Any, Any, np.ndarray, tuple]:
        """The rows that count, checked: table, container, weights, and classes and codes (None without y)."""
        if self.n_jobs == 0:
            raise ValueError("n_jobs=0 has no meaning: use None or 1 for one at a time, -1 for all cores.")
        if y is None and self.task == "classify":
            raise ValueError("task='classify' requires y to be passed, but the target y is None.")
        y = None if self.task == "density" else y
        table, container = self._table(X, reset=reset, may_miss=self.missing_in_fit)
        weight = self._weight(sample_weight, len(table), may_vanish=not reset)
        classes, codes = None, None
        if y is not None:
            check_consistent_length(table, y)
            classes, codes = read_labels(y, weight > 0, self.unlabeled, may_all_miss=not reset)
        if not (weight > 0).all():  # weight 0 is the row left out, before kinds, scales, levels and classes are read
            keep = weight > 0
            table = table[keep] if isinstance(table, np.ndarray) else table[keep].reset_index(drop=True)
            weight, codes = weight[keep], None if codes is None else codes[keep]
        return table, container, weight, (classes, codes)

    def _first_rows(
        self, table: Any, container: Any, weight: np.ndarray, codes: Any, units_given: bool = False
    ) -> tuple[np.ndarray, np.ndarray, Any]:
        """Read the columns and make an unfitted part; the rows as it learns from them, with their weights and codes."""
        group = ties(table.shape[1], getattr(self, "image_shape", None), getattr(self, "step_features", None))
        columns = read(table, container, weight, self.column_kinds, group, self.units)
        if units_given and isinstance(self.column_kinds, Columns):
            columns.loc, columns.scale = self.column_kinds.loc.copy(), self.column_kinds.scale.copy()
        coded, _ = columns.encode(table, measured=not units_given)
        Z, copies = self._prepare(columns, coded, weight)
        return _copied(Z, copies, weight, codes)

    @property
    def _shown_as(self) -> str:
        """The name that messages about columns use."""
        return type(self).__name__

    def _prepare(self, columns: Columns, coded: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, int]:
        """Set the conversions and an unfitted part, and return the rows it learns from and how often each is there."""
        name, n_bins, n_classes = self._shown_as, getattr(self, "n_bins", None), len(vars(self).get("classes_", (0,)))
        self._coding = Coding(columns, set(self.kinds), name, coded, weight, n_bins, registry.taking, n_classes)
        self.columns_, self._fitted = columns, self.part(self._coding.columns)
        return self._coding.rows_to_fit(coded)

    def _weight(self, sample_weight: Any, n: int, may_vanish: bool = False) -> np.ndarray:
        if sample_weight is None:
            return np.ones(n)
        weight = check_array(sample_weight, ensure_2d=False, dtype=float, input_name="sample_weight")
        if weight.ndim != 1 or len(weight) != n:
            raise ValueError(f"sample_weight has shape {weight.shape}, but X has {n} rows: give one number a row.")
        if (weight < 0).any() or not (may_vanish or (weight > 0).any()):
            raise ValueError("sample_weight must be non-negative and not zero for every row.")
        return weight

    def _table(self, X: Any, *, reset: bool, may_miss: bool) -> tuple[Any, Any]:
        """``X`` checked: its shape, its column names, and that what must be finite is."""
        table, container = as_table(X, type(self).__name__)
        validate_data(self, table if isinstance(table, np.ndarray) else X, reset=reset, skip_check_array=True)
        if isinstance(table, np.ndarray):
            with np.errstate(over="ignore", invalid="ignore"):
                suspect = not may_miss and np.isnan(table.sum())
            if suspect and np.isnan(table).any():
                self._refuse_missing(int(np.argmax(np.isnan(table).any(axis=0))), fitting=reset)
            return table, container
        for name, column in zip(table.columns, table.items(), strict=True):
            cells = column[1]
            if not may_miss and cells.isna().any():
                self._refuse_missing(name, fitting=reset)
            floats = cells.dtype.kind == "f" or (cells.dtype == object and pd.api.types.infer_dtype(cells) in _FLOATING)
            if floats and np.isinf(cells.to_numpy(dtype=float, na_value=np.nan)).any():
                raise ValueError(f"Column {name!r} contains infinity: replace it, by NaN if it stands for a missing cell.")
        return table, container

    def _refuse_missing(self, name: Any, fitting: bool) -> None:
        what = "cannot be fitted with missing cells" if fitting and self.missing != "none" else "does not take missing cells"
        raise ValueError(
            f"Input X contains NaN (column {name!r}), and {type(self).__name__} {what}: fill them with "
            "sklearn.impute.SimpleImputer, or use a model that takes them, such as naive_bayes."
        )

    # ---- ask

    @property
    def class_log_prior_(self) -> np.ndarray:
        """log p(y), from ``priors`` or the class frequencies."""
        if "_class_share" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no classes: call fit(X, y).")
        with np.errstate(divide="ignore"):
            return np.log(bayes.class_priors(self.priors, self.classes_, self._class_share))

    @property
    def likelihood_(self) -> str:
        check_is_fitted(self, "columns_")
        return min(self._fitted.likelihood, self._coding.likelihood, key=_WEAKEST_FIRST.index)

    @property
    def n_parameters_(self) -> int:
        check_is_fitted(self, "columns_")
        densities = self._fitted.densities_
        if not hasattr(type(densities[0]), "_n_parameters"):
            raise AttributeError(f"{type(self).__name__} does not define its number of free parameters.")
        return sum(density._n_parameters() for density in densities) + len(densities) - 1

    def _log_density(self, X: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """(n, K) log p(x|y) in the units of the data (K = 1 without classes), and a mask of rows outside the support."""
        check_is_fitted(self, "columns_")
        table, _ = self._table(X, reset=False, may_miss=self.missing != "none")
        n, d = table.shape
        n_classes = len(vars(self).get("classes_", (0,)))
        memory = get_config()["working_memory"] * 2**20
        rows = int(min(65_536, 2**17 / d, memory / (64 * (d + n_classes)))) // ROWS * ROWS or ROWS
        if n <= rows:
            return self._log_density_chunk(table)
        out = np.empty((n_classes, n)).T
        outside = np.zeros(n, dtype=bool)
        for start in range(0, n, rows):
            chunk = slice(start, start + rows)
            out[chunk], bad = self._log_density_chunk(table[chunk])
            if bad is not None:
                outside[chunk] = bad
        return out, outside if outside.any() else None

    def _log_density_chunk(self, table: Any) -> tuple[np.ndarray, np.ndarray | None]:
        coded, outside = self.columns_.encode(table)
        if outside is not None and self.missing in _NO_GAPS:  # such a model cannot leave a cell out
            log_p = np.full((len(coded), len(vars(self).get("classes_", (0,)))), -np.inf)
            if not outside.all():
                log_p[~outside] = self._log_prob_coded(coded[~outside])
        else:
            log_p = self._log_prob_coded(coded)
        gain = self.columns_.log_jacobian(coded)
        log_p += gain if np.ndim(gain) == 0 else gain[:, None]
        return log_p, outside

    def _log_prob_coded(self, coded: np.ndarray) -> np.ndarray:
        """(n, K) log p(x|y) of coded rows, in coded units."""
        coding = self._coding
        if coding.n_offsets == 1:
            Z, gain = coding.encode(coded)
            log_p = self._log_prob_each(Z)
            log_p += gain if np.ndim(gain) == 0 else gain[:, None]
            return log_p
        at = []
        for m in range(coding.n_offsets):  # p(x) = int p(x + u) du, the mean over the offsets
            Z, gain = coding.encode(coded, m)
            at.append(self._log_prob_each(Z).T + gain)
        return (log_sum_exp(np.stack(at)) - np.log(len(at))).T

    def _sample_coded(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        """n exchangeable coded rows of class k, before the conversions."""
        return self._coding.decode(self._fitted._sample_class(self._place(k), n, rng), rng)

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)
            NaN is a cell that was not observed, and is integrated out (models with ``missing`` other than "none").

        Returns
        -------
        array of shape (n,)
            Nats, in the units of the data; -inf outside the support. With classes, log sum_y p(x|y) p(y).
        """
        log_p, outside = self._log_density(X)
        if "classes_" in vars(self):
            log_p = log_p + self.class_log_prior_
        log_p = log_sum_exp(log_p.T)
        if outside is not None:
            log_p[outside] = -np.inf
        return log_p

    @available_if(_may_predict)
    def predict_joint_log_proba(self, X: Any) -> np.ndarray:
        """log p(x|y) + log p(y), (n, K), nats, in the units of the data. A cell outside the support is left out."""
        log_p, outside = self._log_density(X)
        if outside is not None and self.missing in _NO_GAPS:
            raise ValueError(
                f"Row {int(np.argmax(outside))} of X has a cell outside what was seen in fit, and "
                f"{type(self).__name__} cannot leave a cell out, new or NaN: drop the row or declare the level in fit."
            )
        if outside is not None:
            warnings.warn(
                f"{int(outside.sum())} rows have a cell outside what was seen in fit: it is treated as not observed.",
                UserWarning,
                stacklevel=3,
            )
        log_p += self.class_log_prior_
        return log_p

    @available_if(_may_predict)
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """log p(y|x), (n, K), by Bayes' rule."""
        return bayes.log_posterior(self.predict_joint_log_proba(X), self.class_log_prior_)

    @available_if(_may_predict)
    def predict_proba(self, X: Any) -> np.ndarray:
        """p(y|x), (n, K), by Bayes' rule."""
        return np.exp(self.predict_log_proba(X))

    @available_if(_may_predict)
    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, argmax_y log p(x|y) + log p(y)."""
        joint = self.predict_joint_log_proba(X)
        return self.classes_[bayes.most_probable(joint, self.class_log_prior_)]

    @available_if(_may_predict)
    def estimate_priors(self, X: Any) -> dict:
        """Class priors of unlabelled rows by EM (Saerens et al. 2002), as a dict for ``set_params(priors=...)``."""
        p = bayes.estimate_priors(self._log_density(X)[0], np.exp(self.class_log_prior_))
        return dict(zip(self.classes_.tolist(), p.tolist(), strict=True))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log p(x) without y (nats a row); accuracy with y, rows without a label left out."""
        if y is None or self.task == "density":
            log_p = self.score_samples(X)
            return float(np.average(log_p, weights=None if sample_weight is None else self._weight(sample_weight, len(log_p))))
        y = np.asarray(y)
        check_consistent_length(X, y)
        right = self.predict(X) == y
        weight = self._weight(sample_weight, len(y))
        if self.unlabeled is not None:
            weight = weight * ~is_missing(y, self.unlabeled)
        return float(np.average(right, weights=weight))

    def bic(self, X: Any) -> float:
        """Bayesian information criterion, -2 sum log p + n_parameters_ log n; smaller is better."""
        log_p = self.score_samples(X)
        return float(-2 * log_p.sum() + self.n_parameters_ * np.log(len(log_p)))

    def aic(self, X: Any) -> float:
        """Akaike information criterion, -2 sum log p + 2 n_parameters_; smaller is better."""
        return float(-2 * self.score_samples(X).sum() + 2 * self.n_parameters_)

    def _log_marginal(self, coded: np.ndarray) -> np.ndarray:
        """log p of coded rows, classes summed out, in coded units."""
        log_p = self._log_prob_coded(coded)
        return log_sum_exp((log_p + self.class_log_prior_ if "classes_" in vars(self) else log_p).T)

    # ---- what scikit-learn reads

    def __getattr__(self, name: str) -> Any:
        """Fitted attributes of the inner model: of the one density, else the user is told where they are."""
        if name.startswith(("predict", "estimate_priors")) and hasattr(type(self), name):
            _may_predict(self)  # available_if has hidden the method; this raises, and says what to call
        if name == "partial_fit":
            may_stream(self)
        if name in ("_coding", "n_features_in_") and "columns_" in vars(self):
            raise AttributeError(
                f"This {type(self).__name__} is a part of a fitted model and sees coded rows: read its attributes, and ask the "
                "outer model, with priors={label: 1} for one class alone."
            )
        if name.endswith("_") and not name.startswith("_"):
            if name in vars(GenerativeModel):  # a property of the base, which says itself why there is no answer
                return object.__getattribute__(self, name)
            state = vars(self)
            if "_fitted" in state:
                return getattr(state["_fitted"], name)
            densities = state.get("densities_", state.get("_densities", ()))
            if len(densities) == 1:
                return getattr(densities[0], name)
            if densities and hasattr(densities[0], name):
                raise AttributeError(f"{name} is one a class: read densities_[k].{name}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}.")

    def __sklearn_is_fitted__(self) -> bool:
        return "columns_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "density_estimator" if self.task == "density" else "classifier"
        tags.classifier_tags = None if self.task == "density" else ClassifierTags()
        tags.target_tags.required = self.task == "classify"
        tags.input_tags.allow_nan = self.missing not in _NO_GAPS  # a cell anywhere, as scikit-learn means it
        tags.input_tags.categorical = tags.input_tags.string = "categorical" in self.kinds
        return tags


def _copied(Z: np.ndarray, copies: int, weight: np.ndarray, codes: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Weights and codes of rows that come ``copies`` times."""
    if copies == 1:
        return Z, weight, codes
    return Z, np.tile(weight / copies, copies), None if codes is None else np.tile(codes, copies)


def _fit_density(density: GenerativeModel, X: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> GenerativeModel:
    """One class: its rows, its weights, its stream."""
    keep = weight > 0
    if not keep.all():
        X, weight = X[keep], weight[keep]
    density._fit(X, weight, rng)
    return density
