"""Checks of one fitted model against itself: the density, the sampler and the marginals must be of one distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from skgen.testing.proposal import Proposal, lattice
from skgen.testing.result import CheckFailed, CheckSkipped, Measured, check, require
from skgen.testing.subject import Subject
from skgen.testing.tables import Table

__all__: list[str] = []

_REPLICATES = 16
_SETTLED = 200  # an effective sample of fewer draws settles nothing


def _log_p(model: Any, table: Table, codes: np.ndarray) -> np.ndarray:
    return model.score_samples(table.wrap(codes))


def _smooth(table: Table) -> bool:
    """Few dimensions and nothing discrete: one smooth map and a lattice integrate best."""
    return len(table.columns) <= 2 and len(table.continuous) == len(table.columns)


def _integral(model: Any, table: Table, rng: np.random.Generator, factor: int, full: bool) -> Measured:
    """int p = 1, as the mean of p/q over shifted lattices mapped to the proposal q."""
    states = table.all_states()
    if states is not None:
        total = float(np.exp(_log_p(model, table, states)).sum())
        return Measured(total, 1.0 if abs(total - 1) < 1e-6 else 0.0, f"p sums to {total:.7g} over all {len(states):,} states")
    smooth = _smooth(table)
    proposal = Proposal(table, rng, 0 if smooth else 64)
    n = (4096 if smooth or full else 1024) * factor
    means, weights = np.empty(_REPLICATES), []
    for r in range(_REPLICATES):
        codes = proposal.draw(lattice(rng, n, proposal.dimensions))
        w = np.exp(_log_p(model, table, codes) - proposal.log_prob(codes))
        means[r] = w.mean()
        weights.append(w)
    w = np.concatenate(weights)
    effective = w.sum() ** 2 / max((w**2).sum(), 1e-300)
    total, error = float(means.mean()), float(means.std(ddof=1) / np.sqrt(_REPLICATES))
    # the floor forgives what 16 equal replicates of a lattice can still share
    p = float(2 * stats.t.sf(abs(total - 1) / np.hypot(error, 5e-4), _REPLICATES - 1))
    where = f"p integrates to {total:.5f} +- {error:.1g}"
    if effective < _SETTLED:
        return Measured(total, 1.0, f"{where}, by an effective sample of only {effective:.0f} points", conclusive=False)
    return Measured(total, p, where)


@check(
    "S1",
    statistical=True,
    likely="a constant of the density is wrong (2 pi, a log-determinant, a mixing weight), or mass lies outside the kind.",
)
def density_normalised(subject: Subject) -> Measured:
    """exp(score_samples) sums and integrates to one, in the units of the data."""
    names = ("line", "plane", "bits", "counts", "mixed", "blobs", "labelled_bits") + (("space",) if subject.full else ())

    def look(model: Any, table: Table, rng: np.random.Generator, factor: int) -> Measured:
        return _integral(model, table, rng, factor, subject.full)

    return subject.settle(
        "density_normalised",
        subject.exact_cases(*names),
        look,
        "a missing normaliser, log-determinant, Jacobian of an inner scaling or log-prior, or a bound "
        "declared likelihood = 'exact'.",
    )


def _features(table: Table, codes: np.ndarray, axes: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """(n, m): every column, the projections ``axes``, and log p itself."""
    scaled = np.clip(codes, -1e12, 1e12)
    return np.column_stack([scaled, scaled @ axes.T, log_p])


@check(
    "S2",
    full_only=True,
    statistical=True,
    likely="_sample and _log_prob differ: a variance as a standard deviation, weights left out, units of the data for coded ones.",
)
def sample_matches_density(subject: Subject) -> Measured:
    """Draws and density are of one distribution: shares of half-spaces and of density levels agree."""

    def look(model: Any, table: Table, rng: np.random.Generator, factor: int) -> Measured:
        n = 4000 * factor
        drawn = table.codes(model.sample(n, random_state=int(rng.integers(2**31))))
        require(drawn.shape == (n, len(table.columns)) and np.isfinite(drawn).all(), "sample() holds missing or undeclared cells.")
        reference = table.all_states()
        if reference is not None:
            log_w = _log_p(model, table, reference)
            exact = True
        else:
            proposal = Proposal(table, rng)
            reference = proposal.draw(rng.random((4 * n, proposal.dimensions)))
            log_w = _log_p(model, table, reference) - proposal.log_prob(reference)
            exact = False
        w = np.exp(log_w - logsumexp(log_w))
        if not exact and 1 / (w**2).sum() < _SETTLED:
            return Measured(np.nan, 1.0, f"an effective sample of only {1 / (w**2).sum():.0f} points", conclusive=False)
        seen = table.codes(table.X)
        axes = rng.standard_normal((6, seen.shape[1])) / np.maximum(seen.std(axis=0), 1e-3)
        f_drawn, f_reference, f_seen = (
            _features(table, codes, axes, _log_p(model, table, codes)) for codes in (drawn, reference, seen)
        )
        names = [f"column {c.name!r}" for c in table.columns] + ["a projection"] * len(axes) + ["log p"]
        worst, least, m = Measured(0.0, 1.0), 1.0, 0
        for j, name in enumerate(names):
            for cut in np.unique(np.quantile(f_seen[:, j], [0.05, 0.25, 0.5, 0.75, 0.95])):
                cut = cut + 1e-9 * max(1.0, abs(cut))  # one state scored in two batches may differ in the last digit
                got, under = float((f_drawn[:, j] <= cut).mean()), f_reference[:, j] <= cut
                want = float(w @ under)
                noise = 0.0 if exact else float((under - want) ** 2 @ w**2)
                # binomial variance of the draws, that of the importance weights, and one draw for small shares
                z = (got - want) / np.sqrt(want * (1 - want) / n + noise + 1 / n**2)
                p = float(2 * stats.norm.sf(abs(z)))
                m += 1
                if p < least:
                    least = p
                    worst = Measured(float(z), p, f"{name} <= {cut:.4g} in {got:.3f} of the draws, but with probability {want:.3f}")
        return Measured(worst.statistic, min(1.0, m * least), worst.where)

    names = ("line", "plane", "space", "bits", "counts", "mixed", "blobs", "labelled_bits")
    return subject.settle(
        "sample_matches_density",
        subject.exact_cases(*names),
        look,
        "a wrong scale, lost weights of components or classes, lost correlations, or copied rows.",
    )


@check(
    "S3",
    statistical=True,
    likely="_sample gives rows in an order, such as component by component: shuffle them.",
)
def rows_exchangeable(subject: Subject) -> Measured:
    """Rows of one sample() call come in no order and do not depend on their neighbours."""

    def look(model: Any, table: Table, rng: np.random.Generator, factor: int) -> Measured:
        n, seed = 2000 * factor, int(rng.integers(2**31))
        labels: list[np.ndarray] = []
        if "classes_" in vars(model):
            X, y = model.sample(n, return_y=True, random_state=seed)
            labels = [np.unique(y, return_inverse=True)[1]]
        else:
            X = model.sample(n, random_state=seed)
        codes = np.clip(table.codes(X), -1e12, 1e12)
        axes = rng.standard_normal((4, codes.shape[1])) / np.maximum(table.codes(table.X).std(axis=0), 1e-3)
        series = [*(codes @ axes.T).T, *labels]
        ps, worst = [], (1.0, 0.0, "")
        for x in series:
            if x.max() == x.min():
                continue
            rank = stats.rankdata(x)
            trend, serial = stats.pearsonr(np.arange(n), rank), stats.pearsonr(rank[:-1], rank[1:])
            for found, what in ((trend, "the position in the sample"), (serial, "the row before")):
                ps.append(found.pvalue)
                worst = min(
                    worst, (float(found.pvalue), float(found.statistic), f"rows correlate with {what}, r = {found.statistic:.3f}")
                )
        if not ps:
            return Measured(0.0, 1.0, "every draw is the same row")
        return Measured(worst[1], min(1.0, len(ps) * worst[0]), worst[2])

    cases = subject.cases("plane", "bits", "mixed", "blobs", "labelled_bits")
    return subject.settle(
        "rows_exchangeable", cases, look, "draws in blocks by component or class, an unmixed chain, or one stream used twice."
    )


@check(
    "S4",
    likely="_sample gives rows of X back.",
)
def not_memorised(subject: Subject) -> Measured:
    """A continuous sampler returns no training row, and no draw twice."""
    copies = 0
    for table, labelled in subject.cases("line", "plane", "mixed", "blobs"):
        model = subject.fitted(table, labelled)
        at = table.continuous
        drawn = table.codes(model.sample(2000, random_state=int(subject.generator("not_memorised").integers(2**31))))[:, at]
        known = {row.tobytes() for row in table.codes(table.X)[:, at]}
        copies = sum(row.tobytes() in known for row in drawn)
        if copies:
            raise CheckFailed(
                f"On table {table.name!r}: {copies} of 2,000 draws are training rows. Likely: a bootstrap "
                "or nearest-row generator, sold as a sampler.",
                float(copies),
            )
        twice = len(drawn) - len(np.unique(drawn, axis=0))
        if twice:
            raise CheckFailed(
                f"On table {table.name!r}: {twice} of 2,000 draws repeat another. Likely: one stream "
                "used for two chunks, or a sampler with few values.",
                float(twice),
            )
    return Measured(float(copies), 1.0)


# ---- S7


def _hidden_sets(subject: Subject, table: Table) -> list[list[int]]:
    """Columns to hide together: one, then one more, the last first (for models that see only a suffix hidden)."""
    d = len(table.columns)
    sets = [[d - 1]]
    if subject.missing == "exact":
        sets += [[j] for j in range(min(d - 1, 3))] + ([[d - 2, d - 1]] if d > 2 else [])
    return sets


def _integrate_out(model: Any, table: Table, rows: np.ndarray, j: int, fineness: int) -> np.ndarray:
    """log of the sum or integral of p over column j, other columns as they are (NaN stays NaN)."""
    kind = table.columns[j].kind
    if kind != "continuous":
        grid, log_width = table.states(j), np.zeros(1)
    else:
        seen = table.codes(table.X)[:, j]
        u = (np.arange(fineness) + 0.5) / fineness
        half = np.sqrt(2 * u * (1 - u))
        grid = np.median(seen) + 1.5 * seen.std() * (2 * u - 1) / half
        log_width = np.log(1.5 * seen.std() / fineness) - 3 * np.log(half)  # dx/du of Student's t quantile, 2 degrees
    big = np.repeat(rows, len(grid), axis=0)
    big[:, j] = np.tile(grid, len(rows))
    return logsumexp(_log_p(model, table, big).reshape(len(rows), -1) + log_width, axis=1)


@check(
    "S7",
    full_only=True,
    likely="a NaN cell is filled in or skipped and not integrated out.",
)
def marginal_consistent(subject: Subject) -> Measured:
    """score_samples with a cell missing is the log of p summed or integrated over that cell."""
    if subject.missing not in ("exact", "suffix"):
        raise CheckSkipped(f"declares missing = {subject.missing!r}")
    worst = 0.0
    for table, labelled in subject.exact_cases("plane", "bits", "counts", "mixed", "blobs"):
        model = subject.fitted(table, labelled)
        rows = table.codes(table.X)[:12]
        fineness = 8001
        for hidden in _hidden_sets(subject, table):
            asked = rows.copy()
            asked[:, hidden] = np.nan
            got = _log_p(model, table, asked)
            asked[:, hidden[0]] = 0.0  # the others stay missing
            want = _integrate_out(model, table, asked, hidden[0], fineness)
            error = float(np.abs(got - want).max())
            smooth = table.columns[hidden[0]].kind != "continuous"
            # a density with jumps costs a quadrature about one cell a jump
            allowed = (
                1e-6
                if smooth
                else 2e-3 + 3 * float(np.abs(want - _integrate_out(model, table, asked, hidden[0], fineness // 2)).max())
            )
            if not error < min(allowed, 0.05):
                names = [table.columns[j].name for j in hidden]
                raise CheckFailed(
                    f"On table {table.name!r}, columns {names} missing: log p is {error:.3g} nats off the marginal. "
                    "Likely: a fill-in sold as marginalisation, or cells mixed up.",
                    error,
                )
            worst = max(worst, error)
        if subject.missing == "exact":
            nothing = _log_p(model, table, np.full((1, rows.shape[1]), np.nan))[0]
            require(abs(nothing) < 1e-6, f"On table {table.name!r}: a row with every cell missing has log p {nothing:.3g}, not 0.")
    return Measured(worst, 1.0)
