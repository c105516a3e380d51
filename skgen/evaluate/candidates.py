"""What is compared: names, instances and pipelines become labelled estimators that share one reading of the columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline

from skgen import registry
from skgen.base import GenerativeModel
from skgen.evaluate import rivals
from skgen.evaluate.datasets import near
from skgen.evaluate.named import load_class
from skgen.tables import Columns

__all__ = ["Candidate", "Settings", "candidates", "one_line"]

_SHOWN = 48  # characters of an instance's repr that label its row


@dataclass(frozen=True)
class Settings:
    """What every model is told."""

    columns: Columns
    y: np.ndarray
    missing: bool
    random_state: int = 0
    n_jobs: int | None = None
    device: str | None = None
    image_shape: tuple[int, ...] | None = None


@dataclass
class Candidate:
    """One row of the table to be: an unfitted estimator, or why there is none."""

    label: str
    estimator: Any = None
    error: str = ""
    own_columns: bool = False  # reads columns by itself, so its log p may have another base measure

    @property
    def last(self) -> Any:
        """The estimator, or the last step of a pipeline."""
        return self.estimator.steps[-1][1] if isinstance(self.estimator, Pipeline) else self.estimator

    @property
    def transformed(self) -> bool:
        """Whether a pipeline changes the columns before its last step, and with them the units of log p."""
        before = [step for _, step in self.estimator.steps[:-1]] if isinstance(self.estimator, Pipeline) else []
        return any(step not in (None, "passthrough") for step in before)


def one_line(error: BaseException) -> str:
    """Type and message of an error, on one line of bounded length."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else text[:297] + "..."


def candidates(models: Any, settings: Settings) -> tuple[list[Candidate], list[str]]:
    """Estimators in order, and notes on what was left out.

    Parameters
    ----------
    models : None, name, estimator, {label: either}, or iterable of names and estimators
        None is every registered model that takes the columns, and all rivals.

    Raises
    ------
    ValueError
        For an unknown name (near misses are suggested) or something that is no model.
    """
    if models is None:
        found, notes = _registered(settings)
        return found + [_make(name, name, settings) for name in rivals.RIVALS], notes
    if isinstance(models, Mapping):
        named = [(str(label), model) for label, model in models.items()]
    else:
        listed = [models] if isinstance(models, str) or hasattr(models, "fit") else models
        if not isinstance(listed, Iterable):
            raise ValueError(f"models={models!r} must be names, estimators, or {{label: either}}.")
        named = [(_label(model), model) for model in listed]
    if not named:
        raise ValueError("models is empty: name at least one, or leave it out for all that take the columns.")
    return _unique([_make(label, model, settings) for label, model in named]), []


def _label(model: Any) -> str:
    if isinstance(model, str):
        return model
    if isinstance(model, Pipeline):
        return " > ".join(step if isinstance(step, str) else type(step).__name__ for _, step in model.steps if step is not None)
    text = " ".join(repr(model).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _unique(found: list[Candidate]) -> list[Candidate]:
    seen: dict[str, int] = {}
    for candidate in found:
        seen[candidate.label] = count = seen.get(candidate.label, 0) + 1
        if count > 1:
            candidate.label += f" ({count})"
    return found


def _registered(settings: Settings) -> tuple[list[Candidate], list[str]]:
    """Every registered model that takes these columns; one that does not is named in a note."""
    found, notes = [], []
    for name in registry.names():
        entry = registry.find(name)
        if entry.missing_extra:
            notes.append(f"{name} is left out: it needs {entry.missing_extra}.")
            continue
        candidate = _make(name, name, settings)
        if candidate.estimator is not None:
            kinds = getattr(candidate.estimator, "kinds", frozenset())
            if "categorical" in settings.columns.kinds and "categorical" not in kinds:
                notes.append(f"{name} is left out: it takes no categorical columns.")
                continue
            if "step_features" in candidate.estimator.get_params(deep=False) and not _alike(settings.columns):
                notes.append(f"{name} is left out: its columns are steps of one variable, which these are not.")
                continue
            if settings.missing and not getattr(candidate.estimator, "missing_in_fit", False):
                notes.append(f"{name} is left out: it cannot be fitted with missing cells.")
                continue
        found.append(candidate)
    return found, notes


def _alike(columns: Columns) -> bool:
    """Whether all columns may be one variable many times: the same levels, or numbers that were read as tied."""
    first = columns.levels[0]
    if first is None:
        return len(np.unique(columns.group)) == 1 and len(set(columns.kinds)) == 1
    same = [levels is first or (levels is not None and levels.equals(first)) for levels in columns.levels]
    return all(same) and len(set(columns.kinds)) == 1


def _make(label: str, model: Any, settings: Settings) -> Candidate:
    """An estimator set up for this table; a registered model that cannot be loaded is a row with its error."""
    if isinstance(model, str):
        if model in rivals.RIVALS and model not in registry.names():
            return Candidate(label, rivals.make(model, settings.columns, settings.y, settings.random_state, settings.n_jobs))
        load = _find(model)
        try:
            estimator = load()()
        except (registry.PluginError, TypeError, ValueError) as error:
            return Candidate(label, error=one_line(error))
        if not (hasattr(estimator, "fit") and hasattr(estimator, "get_params")):
            raise ValueError(f"{model!r} is no model: it has no fit(X, y) and get_params().")
    else:
        if isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, "get_params")):
            raise ValueError(
                f"{model!r} is no model: give a name of skgen.names(), one of {', '.join(rivals.RIVALS)}, "
                "or an estimator (an instance)."
            )
        estimator = clone(model)
    candidate = Candidate(label, estimator)
    if not is_classifier(estimator) and not isinstance(candidate.last, GenerativeModel):
        return Candidate(
            label, error=f"{type(candidate.last).__name__} is no classifier: a density becomes one in skgen.GenerativeClassifier"
        )
    _tell(candidate, settings)
    return candidate


def _find(name: str) -> Callable[[], type]:
    """What loads the class of a registry name or of module:Class; an unknown one is refused here."""
    try:
        return registry.find(name).load
    except ValueError:
        known = [*registry.names(), *rivals.RIVALS]
        if ":" in name:
            found = load_class(name)
            return lambda: found
        if name in {entry.name for entry in registry.entries()}:
            raise
        raise ValueError(f"There is no model {name!r}.{near(name, known)} Known: {', '.join(known)}.") from None


def _tell(candidate: Candidate, settings: Settings) -> None:
    """Set what an estimator leaves open: the columns, the seed, and what only some have."""
    estimator, told = candidate.estimator, {}
    for name, value in estimator.get_params(deep=True).items():
        last = name.rpartition("__")[2]
        if last == "random_state" and value is None:
            told[name] = settings.random_state
        elif last == "device" and settings.device is not None:
            told[name] = settings.device
    own = candidate.last.get_params(deep=False) if isinstance(candidate.last, GenerativeModel) else {}
    prefix = f"{estimator.steps[-1][0]}__" if isinstance(estimator, Pipeline) else ""
    if "column_kinds" in own and not candidate.transformed:
        candidate.own_columns = not (isinstance(own["column_kinds"], str) and own["column_kinds"] == "auto")
        if not candidate.own_columns:
            told[prefix + "column_kinds"] = settings.columns
    if settings.image_shape is not None and own.get("image_shape", 0) is None and not candidate.transformed:
        told[prefix + "image_shape"] = settings.image_shape
    if own.get("n_jobs", 0) is None and settings.n_jobs is not None:
        told[prefix + "n_jobs"] = settings.n_jobs
    estimator.set_params(**told)
