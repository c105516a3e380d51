"""A check of models whose ``score_samples`` is a bound: it may lie below log p, and not above."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from scipy import stats

from skgen.testing.proposal import Proposal, lattice
from skgen.testing.result import CheckSkipped, Measured, check, require
from skgen.testing.subject import Subject
from skgen.testing.tables import Table

__all__: list[str] = []

_DRAWS = "n_samples_score"  # the parameter of models that average over draws
_MANY, _RISING = 200, (10, 100, 1000)
_ABOVE = 0.02  # of an integral: fixed noise, shared by all rows, leaves as much
_FALLS = 0.05  # nats
_REPLICATES, _POINTS, _ROWS = 8, 256, 100


def _with_draws(model: Any, n: int) -> Any:
    return copy.deepcopy(model).set_params(**{_DRAWS: n})


def _total(model: Any, table: Table, rng: np.random.Generator, factor: int) -> Measured:
    """Whether the integral of exp(bound) is above 1: one-sided."""
    states = table.all_states()
    if states is not None:
        total, error = float(np.exp(model.score_samples(table.wrap(states))).sum()), 0.0
    else:
        smooth = len(table.columns) <= 2 and len(table.continuous) == len(table.columns)
        proposal, means = Proposal(table, rng, 0 if smooth else 64), np.empty(_REPLICATES)
        for r in range(_REPLICATES):
            codes = proposal.draw(lattice(rng, _POINTS * factor, proposal.dimensions))
            means[r] = np.exp(model.score_samples(table.wrap(codes)) - proposal.log_prob(codes)).mean()
        total, error = float(means.mean()), float(means.std(ddof=1) / np.sqrt(_REPLICATES))
    p = float(stats.t.sf((total - 1 - _ABOVE) / max(error, 1e-9), _REPLICATES - 1))
    return Measured(total, p, f"exp(score_samples) adds up to {total:.4f} +- {error:.1g}, above one")


@check(
    "S12",
    statistical=True,
    likely="the bound lies above log p: a sign, or a KL term left out.",
)
def bound_valid(subject: Subject) -> Measured:
    """A bound stays below log p: exp of it adds up to at most one, and more draws of ``n_samples_score`` do not lower it."""
    names = ("line", "plane", "bits", "labelled_bits") + (("counts", "blobs", "mixed") if subject.full else ())
    cases = [(t, y) for t, y in subject.cases(*names) if getattr(subject.fitted(t, y), "likelihood_", "") == "bound"]
    if not cases:
        raise CheckSkipped("score_samples is not declared a bound on any table of this check")
    draws = _DRAWS in subject.estimator.get_params(deep=False)

    def look(model: Any, table: Table, rng: np.random.Generator, factor: int) -> Measured:
        return _total(_with_draws(model, _MANY) if draws else model, table, rng, factor)

    if draws:
        for data, labelled in cases:
            model, rows = subject.fitted(data, labelled), data.X[:_ROWS]
            means = [float(np.mean(_with_draws(model, n).score_samples(rows))) for n in _RISING]
            require(
                (np.diff(means) > -_FALLS).all(),
                f"On table {data.name!r}: of {', '.join(map(str, _RISING))} draws the mean bound is "
                f"{', '.join(f'{m:.3f}' for m in means)}: it falls. Likely: a sign, or log(number of draws) left out.",
            )
    return subject.settle(
        "bound_valid", cases, look, "a bound above log p: log q(z|x), the entropy or log(number of draws) left out, or a sign."
    )
