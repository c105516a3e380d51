"""The model under test: its clones, its fits on the kit's tables, and what it declares to be able to do."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import random
import shlex
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone

from skgen.testing.result import SECOND_LEVEL, CheckFailed, CheckInconclusive, CheckSkipped, Measured, two_stage
from skgen.testing.tables import Table, all_tables, table

__all__ = ["Subject"]

#: Columns of the first kind can be shown to a model that takes one of the others, see design, "Columns".
_CONVERSIONS = {
    "continuous": {"categorical", "binary"},
    "integer": {"continuous", "categorical", "binary"},
    "binary": {"categorical", "continuous"},
    "categorical": set(),
}


class Subject:
    """A model class or instance, with the fits that the checks share.

    Parameters
    ----------
    estimator : class or instance
        A class is made with its ``quick`` parameters and ``random_state=0``.
    tier : {"quick", "full"}
    seed : int
        Of every draw the checks make.
    """

    def __init__(self, estimator: Any, tier: str = "quick", seed: int = 0):
        if tier not in ("quick", "full"):
            raise ValueError(f"tier={tier!r} must be 'quick' or 'full'.")
        if inspect.isclass(estimator):
            parameters = dict(getattr(estimator, "quick", {}))
            if "random_state" in inspect.signature(estimator).parameters:
                parameters.setdefault("random_state", 0)
            estimator = estimator(**parameters)
        self.estimator, self.tier, self.seed = estimator, tier, seed
        self.seconds = 0.0
        self.failed: set[str] = set()  # names of the checks that have failed
        self._warm = False
        self._draws: bool | None = None
        self._fits: dict[tuple, Any] = {}

    @property
    def name(self) -> str:
        return type(self.estimator).__name__

    def warm(self) -> None:
        """Fit once, untimed: what a library imports at its first use is no cost of the model (torch: seconds)."""
        if not self._warm:
            self._warm = True
            # a model that seeds the global generators is found by its check
            before = random.getstate(), np.random.get_state()  # noqa: NPY002
            with contextlib.suppress(Exception):  # the checks say what is wrong
                self.new().fit(self.numeric().rows(np.arange(30)))
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002

    @property
    def full(self) -> bool:
        return self.tier == "full"

    # ---- what it declares

    def declares(self, trait: str, default: Any) -> Any:
        return getattr(self.estimator, trait, default)

    @property
    def missing(self) -> str:
        return self.declares("missing", "none")

    @property
    def kinds(self) -> set[str]:
        return set(self.declares("kinds", {"continuous"}))

    def takes(self, what: Table | str) -> bool:
        """Whether the model takes a table's columns, natively or by a correct conversion."""
        data = table(what) if isinstance(what, str) else what
        wanted = data.kinds
        tied = any(self.declares(name, None) is not None for name in ("step_features", "image_shape"))
        if tied and len({(column.kind, column.levels) for column in data.columns}) > 1:
            return False  # steps and pixels are one variable many times
        return all(kind in self.kinds or _CONVERSIONS[kind] & self.kinds for kind in wanted)

    def needs_seed(self) -> bool:
        return "random_state" in self.estimator.get_params(deep=False)

    # ---- fits

    def new(self, **parameters: Any) -> Any:
        """An unfitted clone with these parameters changed."""
        made = clone(self.estimator)
        return made.set_params(**parameters) if parameters else made

    def fitted(self, what: Table | str, labelled: bool = False, **parameters: Any) -> Any:
        """A fit on one of the kit's tables, made once and not to be changed; ``.copy_of`` gives one that may be."""
        data = table(what) if isinstance(what, str) else what
        key = (data.name, labelled, *sorted(parameters.items()))
        if key not in self._fits:
            self._fits[key] = self.refitted(data, labelled, data.X, **parameters)
        return self._fits[key]

    def refitted(
        self, data: Table, labelled: bool, X: Any, rows: Any = slice(None), weight: np.ndarray | None = None, **parameters: Any
    ) -> Any:
        """A fit on ``X``, made of those rows of a table, with their labels and weights."""
        how = {} if weight is None else {"sample_weight": weight}
        return self.new(**parameters).fit(X, data.y[rows], **how) if labelled else self.new(**parameters).fit(X, **how)

    def own_scores(self, data: Table, labelled: bool, **parameters: Any) -> np.ndarray:
        """log p of a table's rows under the fit on it."""
        return self.fitted(data, labelled, **parameters).score_samples(data.X)

    def copy_of(self, what: Table | str, labelled: bool = False) -> Any:
        return copy.deepcopy(self.fitted(what, labelled))

    def numeric(self) -> Table:
        """A two-column table that the model takes natively: continuous if it can, else bits."""
        for name in ("plane", "bits") if "continuous" in self.kinds else ("bits", "plane"):
            if self.takes(name):
                return table(name)
        raise CheckSkipped(f"takes {', '.join(sorted(self.kinds))} columns only, and the kit has no such table")

    def labelled(self) -> list[Table]:
        """The labelled tables that the model takes."""
        return [t for t in all_tables() if t.y is not None and self.takes(t)]

    def cases(self, *names: str) -> list[tuple[Table, bool]]:
        """(table, fitted with labels) of those named that the model takes; all of them in the full tier."""
        chosen = [table(name) for name in names if self.takes(name)]
        if not chosen:
            raise CheckSkipped(f"takes {', '.join(sorted(self.kinds))} columns, and this check has no such table")
        return [(t, t.y is not None) for t in chosen]

    def exact_cases(self, *names: str) -> list[tuple[Table, bool]]:
        """The cases whose ``likelihood_`` is exact."""
        cases = [(t, y) for t, y in self.cases(*names) if getattr(self.fitted(t, y), "likelihood_", "exact") == "exact"]
        if not cases:
            raise CheckSkipped("score_samples is declared a bound or an estimate on every table of this check")
        return cases

    def unconverted(self, *names: str) -> list[tuple[Table, bool]]:
        """The cases that no dequantisation stands before: that one places rows by column and so knows their order."""
        cases = [
            (t, y)
            for t, y in self.cases(*names)
            if getattr(self.fitted(t, y), "likelihood_", "") == self.declares("likelihood", "")
        ]
        if not cases:
            raise CheckSkipped("reaches every table of this check through dequantisation")
        return cases

    def fit_draws(self) -> bool:
        """Whether the fit itself depends on the seed: then a refit on changed data equals only in distribution."""
        if self._draws is None:
            data = self.numeric()
            self._draws = self.needs_seed() and not np.allclose(
                *(self.new(random_state=s).fit(data.X).score_samples(data.X) for s in (0, 1)), rtol=1e-9, atol=1e-9
            )
        return self._draws

    # ---- seeds and statistical checks

    def generator(self, *purpose: Any) -> np.random.Generator:
        """A stream of its own for each purpose, from the kit's seed and the model's name."""
        words = zlib.crc32("/".join(map(str, (self.name, *purpose))).encode())
        return np.random.default_rng([self.seed, words])

    def settle(
        self, name: str, cases: list, look: Callable[[Any, Table, np.random.Generator, int], Measured], wrong: str
    ) -> Measured:
        """Two-stage looks at each case; fails on the first that is wrong, else the least p-value of all.

        ``look(model, table, rng, factor)`` measures once; ``wrong`` says what is most likely the matter.
        """
        measured = []
        for data, labelled in cases:
            model = self.fitted(data, labelled)
            found = two_stage(
                lambda rng, factor, model=model, data=data: look(model, data, rng, factor),
                lambda stage, data=data: self.generator(name, data.name, stage),
            )
            if found.conclusive and found.p_value < SECOND_LEVEL:
                raise CheckFailed(
                    f"On table {data.name!r}: {found.where} (p = {found.p_value:.1e} on four times the draws). Likely: {wrong}",
                    found.statistic,
                    found.p_value,
                )
            measured.append((data.name, found))
        vague = [f"{table_name}: {found.where}" for table_name, found in measured if not found.conclusive]
        if vague:
            raise CheckInconclusive("; ".join(vague))
        return min((found for _, found in measured), key=lambda found: found.p_value)

    # ---- replay

    def replay(self, check_name: str) -> str:
        """The command that runs one check again, as it ran here."""
        cls = type(self.estimator)
        given = {
            key: value
            for key, value in self.estimator.get_params(deep=False).items()
            if value is not inspect.signature(cls).parameters[key].default
            and value != inspect.signature(cls).parameters[key].default
        }
        usual = {**dict(getattr(cls, "quick", {})), **({"random_state": 0} if self.needs_seed() else {})}
        words = ["python", "-m", "skgen.testing", f"{cls.__module__}:{cls.__qualname__}", "--only", check_name]
        words += ["--tier", self.tier, "--seed", str(self.seed)]
        if given != usual:
            words += ["--params", json.dumps(given, default=repr)]
        return shlex.join(words)
