"""One column given others: the distribution functions F(x_j | x_<j), and the draws of missing cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from skgen.base import GenerativeModel
from skgen.testing.result import CHECKS, CheckSkipped, Measured, check, require
from skgen.testing.subject import Subject
from skgen.testing.tables import Table

__all__: list[str] = []

_ROWS, _POINTS = 300, 64  # of the check of F(x_j | x_<j): rows, and values of a continuous column
_RANKED, _RANKED_QUICK, _BINS = 600, 400, 20  # of the check of conditional draws: rows, and bins of ranks


_TABLES = "plane", "bits", "mixed"
_TABLES_FULL = *_TABLES, "space", "counts", "blobs", "labelled_bits"


def _least(found: list[tuple[float, float, str]]) -> Measured:
    """The least of several (p, statistic, words), by Bonferroni."""
    p, statistic, words = min(found)
    return Measured(statistic, min(1.0, len(found) * p), words)


# ---- S5


def _conditional_mass(model: Any, table: Table, rows: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
    """F(x_j | x_<j) just below each cell of column j, and the mass of the cell itself, from log p of rows cut short after j."""
    column, seen = table.columns[j], table.codes(table.X)[:, j]
    x, log_width = rows[:, j], 0.0
    if column.kind == "continuous":
        # an even grid in u of Student's t with two degrees of freedom: dense where the data are, far into the tails
        middle, scale = np.median(seen), 1.5 * seen.std()
        u = (np.arange(_POINTS) + 0.5) / _POINTS
        half = np.sqrt(2 * u * (1 - u))
        nodes, log_width = middle + scale * (2 * u - 1) / half, -3 * np.log(half)
        z = (x - middle) / scale
        position = _POINTS * (0.5 + 0.5 * z / np.sqrt(2 + z * z))
        at = np.minimum(position.astype(int), _POINTS - 1)
    else:
        nodes = table.states(j)
        if column.kind == "integer":
            low, high = min(seen.min(), x.min()), max(seen.max(), x.max())
            reach = 5 + np.ceil((high - low) / 2)
            nodes = np.arange(low - reach, high + reach + 1)
        at = np.searchsorted(nodes, x)
    asked = np.repeat(rows, len(nodes), axis=0)
    asked[:, j] = np.tile(nodes, len(rows))
    asked[:, j + 1 :] = np.nan
    log_p = model.score_samples(table.wrap(asked)).reshape(len(rows), -1) + log_width
    # p(x_j | x_<j) = p(x_<j, x_j) / sum or integral of it over x_j
    mass = np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
    below, here = (np.cumsum(mass, axis=1) - mass)[np.arange(len(rows)), at], mass[np.arange(len(rows)), at]
    if column.kind != "continuous":
        return below, here
    return below + (position - at) * here, np.zeros(len(rows))


@check(
    "S5",
    statistical=True,
    likely="the conditional distribution is that of another column, or ignores the cells given.",
)
def conditionals_uniform(subject: Subject) -> Measured:
    """F(x_j | x_<j) of the model's own draws is uniform in every column, and independent between columns."""
    given = hasattr(subject.estimator, "conditional_cdf")
    if not given and subject.missing not in ("exact", "suffix"):
        raise CheckSkipped(f"has no conditional_cdf, and declares missing = {subject.missing!r}")

    def look(model: Any, table: Table, rng: np.random.Generator, factor: int) -> Measured:
        n, d = _ROWS * factor, len(table.columns)
        X = model.sample(n, random_state=int(rng.integers(2**31)))
        if given:
            u = np.asarray(model.conditional_cdf(X, random_state=int(rng.integers(2**31))), dtype=float)
            require(
                u.shape == (n, d) and ((u >= 0) & (u <= 1)).all(),
                f"On table {table.name!r}: conditional_cdf must give ({n}, {d}) numbers from 0 to 1.",
            )
        else:
            rows, u = table.codes(X), np.empty((n, d))
            for j in range(d):
                below, here = _conditional_mass(model, table, rows, j)
                u[:, j] = below + rng.random(n) * here  # a step of F is drawn from evenly
        names = [column.name for column in table.columns]
        found = []
        for j, name in enumerate(names):
            ks = stats.kstest(u[:, j], "uniform")
            words = f"F(x_j | x_<j) of column {name!r} on the model's draws is {ks.statistic:.3f} off uniform"
            found.append((float(ks.pvalue), float(ks.statistic), words))
        scores = stats.norm.ppf(np.clip(u, 1e-9, 1 - 1e-9))
        for j in range(d):
            for i in range(j):
                r = float(np.corrcoef(scores[:, i], scores[:, j])[0, 1])
                p = float(2 * stats.norm.sf(abs(np.arctanh(r)) * np.sqrt(n - 3)))  # Fisher's z
                words = f"F(x_j | x_<j) of columns {names[i]!r} and {names[j]!r} correlate on the model's draws, r = {r:.3f}"
                found.append((p, r, words))
        return _least(found)

    names = _TABLES_FULL if subject.full else _TABLES
    return subject.settle(
        "conditionals_uniform",
        subject.exact_cases(*names),
        look,
        "a conditional that forgets columns before it, noise used for two columns, or a wrong scale in one of them.",
    )


# ---- S6


def _hidden(subject: Subject, d: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Columns to hide together: the last, and half of them (the last half, where only the end of a row may be missing)."""
    some = np.arange(d - d // 2, d) if subject.missing == "suffix" else np.sort(rng.permutation(d)[: d // 2])
    sets = [np.array([d - 1])]
    return sets if d == 2 and some[0] == d - 1 else [*sets, some]


def _rank_test(values: np.ndarray, rng: np.random.Generator, what: str, hidden: list) -> tuple[float, float, str]:
    """p, chi-square and words on the ranks of the first of each row among the others, ties broken at random."""
    true, draws = values[:, :1], values[:, 1:]
    ties = (draws == true).sum(axis=1)
    rank = (draws < true).sum(axis=1) + rng.integers(0, ties + 1)
    found = stats.chisquare(np.bincount(rank * _BINS // values.shape[1], minlength=_BINS))
    words = f"with columns {hidden} missing, {what} ranks among its conditional draws with chi-square {found.statistic:.0f}"
    return float(found.pvalue), float(found.statistic), f"{words}, {_BINS - 1} expected"


def _skip_without_draws(subject: Subject, cases: list[tuple[Table, bool]]) -> None:
    """Skip a model that answers for missing cells and cannot draw them."""
    data, labelled = cases[0]
    asked = data.codes(data.X)[:1]
    asked[:, -1] = np.nan
    try:
        subject.fitted(data, labelled).sample_conditional(data.wrap(asked), random_state=0)
    except ValueError as error:
        if "cannot draw missing cells" not in str(error):
            raise
        raise CheckSkipped(str(error)) from None


@check(
    "S6",
    statistical=True,
    likely="_sample_missing ignores cells that are given, or draws each missing cell by itself.",
)
def conditional_calibrated(subject: Subject) -> Measured:
    """A cell drawn by sample ranks evenly among draws of it from sample_conditional, towards the others and in log p too."""
    if subject.missing == "none":
        raise CheckSkipped("declares missing = 'none'")
    if not hasattr(subject.estimator, "sample_conditional"):
        raise CheckSkipped("has no sample_conditional")
    cases = subject.exact_cases(*(_TABLES_FULL if subject.full else ("bits", "mixed", "space")))
    _skip_without_draws(subject, cases)

    def look(model: Any, table: Table, rng: np.random.Generator, factor: int) -> Measured:
        n, n_draws = (_RANKED, 5 * _BINS - 1) if subject.full else (_RANKED_QUICK, _BINS - 1)
        n, d = n * factor, len(table.columns)
        rows = table.codes(model.sample(n, random_state=int(rng.integers(2**31))))
        found = []
        for hidden in _hidden(subject, d, rng):
            asked = rows.copy()
            asked[:, hidden] = np.nan
            X = model.sample_conditional(table.wrap(asked), n_draws=n_draws, random_state=int(rng.integers(2**31)))
            drawn = table.codes(X).reshape(n, n_draws, d)
            both = np.concatenate([rows[:, None], drawn], axis=1)
            kept = np.delete(both, hidden, axis=2)
            require(
                (kept == kept[:, :1]).all() and not np.isnan(drawn).any(),
                f"On table {table.name!r}: sample_conditional changes an observed cell, or leaves one missing.",
            )
            # one row scored at two places may differ in the last digit
            log_p = np.round(model.score_samples(table.wrap(both.reshape(-1, d))), 9).reshape(n, -1)
            names = [table.columns[j].name for j in hidden]
            # which side of a random plane the observed cells lie on; where they are not looked at, the hidden ones do not follow
            seen = np.delete(rows, hidden, axis=1)
            seen = (seen - seen.mean(axis=0)) / np.maximum(seen.std(axis=0), 1e-9)
            side = np.where(seen @ rng.standard_normal(seen.shape[1]) < 0, -1.0, 1.0)[:, None]
            for j, name in zip(hidden, names, strict=True):
                found.append(_rank_test(both[:, :, j], rng, f"column {name!r}", names))
                found.append(_rank_test(side * both[:, :, j], rng, f"column {name!r} times the side of the others", names))
            found.append(_rank_test(log_p, rng, "log p", names))
        return _least(found)

    return subject.settle(
        "conditional_calibrated",
        cases,
        look,
        "conditional draws that leave out a part of the evidence: weights of components or classes that it does not move, "
        "columns read as independent, or a fill-in without spread.",
    )


# ---- S13


@check(
    "S13",
    full_only=True,
    statistical=True,
    likely="_missing_moments(X) gives (mean, variance), each (n, d), of the NaN cells given the rest, in the units that _fit sees.",
)
def moments_of_missing(subject: Subject) -> Measured:
    """Mean and standard deviation of a missing continuous cell, by predict_missing, are those of its conditional draws."""
    own = getattr(type(subject.estimator), "_missing_moments", GenerativeModel._missing_moments)
    if subject.missing == "none" or own is GenerativeModel._missing_moments:
        raise CheckSkipped("leaves these moments to the base, which finds them on a grid")
    cases = [case for case in subject.exact_cases("plane", "space", "blobs", "mixed") if case[0].continuous]
    if not cases:
        raise CheckSkipped("takes no continuous columns")
    _skip_without_draws(subject, cases)

    def look(model: Any, table: Table, rng: np.random.Generator, factor: int) -> Measured:
        n, n_draws, j = 40, 400 * factor, table.continuous[-1]
        asked = table.codes(model.sample(n, random_state=int(rng.integers(2**31))))
        asked[:, slice(j, None) if subject.missing == "suffix" else j] = np.nan
        X, name = table.wrap(asked), table.columns[j].name
        mean, sd = np.asarray(model.predict_missing(X, j if isinstance(X, np.ndarray) else name), dtype=float).T[:, :, None]
        drawn = table.codes(model.sample_conditional(X, n_draws=n_draws, random_state=int(rng.integers(2**31))))
        z = (drawn[:, j].reshape(n, n_draws) - mean) / np.maximum(sd, 1e-300)
        off = float((n_draws * z.mean(axis=1) ** 2).sum())  # chi-square with n degrees of freedom
        spread = np.square(z).mean()
        wide = (spread - 1) / np.square(z).std() * np.sqrt(z.size)
        words = f"draws of column {name!r} given the rest have a mean squared distance {spread:.3f} from its mean, in variances"
        return _least(
            [
                (float(stats.chi2.sf(off, n)), off, f"{words}, and their means are off by {np.abs(z.mean(axis=1)).max():.2f} sd"),
                (float(2 * stats.norm.sf(abs(wide))), float(spread), words),
            ]
        )

    return subject.settle("moments_of_missing", cases, look, CHECKS["moments_of_missing"].likely)
