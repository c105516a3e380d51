"""Identities that hold exactly: Bayes' rule, and what must not change when the table is written differently."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from skgen import GenerativeModel
from skgen.testing.result import FIRST_LEVEL, SECOND_LEVEL, CheckFailed, CheckSkipped, Measured, check, require
from skgen.testing.subject import Subject
from skgen.testing.tables import Table

__all__: list[str] = []

#: pair(**parameters): log p under a fit of the table written differently, and under one of the table itself.
Pair = Callable[..., tuple[np.ndarray, np.ndarray]]


def _gap(a: Any, b: Any) -> float:
    """Largest difference relative to max(1, |b|); the same infinities are equal."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        return np.inf
    same = a == b
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(a - b) / np.maximum(1.0, np.abs(np.where(np.isfinite(b), b, 1.0))))
    gap = np.where(np.isnan(gap), np.inf, gap)
    return float(gap.max(initial=0.0))


@check(
    "S8",
    statistical=True,
    likely="_log_prob_classes includes the prior, or classes share state that each fit overwrites.",
)
def bayes_identity(subject: Subject) -> Measured:
    """predict, predict_proba and score_samples are Bayes' rule over p(x|y) and the priors, and priors= moves them all."""
    cases = subject.labelled()
    if not cases:
        raise CheckSkipped("takes none of the kit's labelled tables")
    gaps = []
    for data in cases:
        model = subject.copy_of(data, labelled=True)
        where = f"On table {data.name!r}: "
        classes, counts = np.unique(data.y, return_counts=True)
        require(
            np.array_equal(model.classes_, classes), f"{where}classes_ is {model.classes_!r}, not the sorted labels {classes!r}."
        )
        frequency = counts / counts.sum()
        require(
            _gap(model.class_log_prior_, np.log(frequency)) < 1e-6,
            f"{where}class_log_prior_ is {model.class_log_prior_}, not the log frequencies {np.log(frequency)}.",
        )
        conditional = model.predict_joint_log_proba(data.X) - np.log(frequency)
        gaps.append(_bayes_gap(model, data, conditional, np.log(frequency), where))
        other = np.arange(1.0, len(classes) + 1) ** 2
        other /= other.sum()
        for priors in (other, dict(zip(classes.tolist(), other.tolist(), strict=True)), "uniform"):
            model.set_params(priors=priors)
            p = np.full(len(classes), 1 / len(classes)) if isinstance(priors, str) else other
            gaps.append(_bayes_gap(model, data, conditional, np.log(p), f"{where}with priors={priors!r}, "))
        _drawn_classes(subject, model.set_params(priors=other), other, where)
        _far_rows(model, data, where)
        plain = subject.fitted(data)
        try:
            plain.predict(data.X)
        except AttributeError as error:
            require("fit(X, y)" in str(error), f"After fit(X), predict says {str(error)!r}: name what to call, fit(X, y).")
        else:
            raise CheckFailed("After fit(X) without y, predict answers; it must raise AttributeError.")
    return Measured(max(gaps), 1.0)


def _bayes_gap(model: Any, data: Table, conditional: np.ndarray, log_prior: np.ndarray, where: str) -> float:
    joint = conditional + log_prior
    log_p = logsumexp(joint, axis=1)
    wanted = {
        "predict_joint_log_proba": (model.predict_joint_log_proba(data.X), joint),
        "score_samples": (model.score_samples(data.X), log_p),
        "predict_log_proba": (model.predict_log_proba(data.X), joint - log_p[:, None]),
        "predict_proba": (model.predict_proba(data.X), np.exp(joint - log_p[:, None])),
    }
    gaps = {name: _gap(got, want) for name, (got, want) in wanted.items()}
    for name, gap in gaps.items():
        if not gap < 1e-6:
            raise CheckFailed(
                f"{where}{name} differs from Bayes' rule by {gap:.3g}. Likely: the prior forgotten, counted twice or "
                "not read at the call, or classes in another order.",
                gap,
            )
    ranked = np.sort(joint, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 1e-6 if joint.shape[1] > 1 else np.ones(len(joint), dtype=bool)
    predicted = np.asarray(model.predict(data.X))
    require(
        np.array_equal(predicted[clear], model.classes_[joint.argmax(axis=1)][clear]),
        f"{where}predict is not the class of the greatest joint log p.",
    )
    return max(gaps.values())


def _drawn_classes(subject: Subject, model: Any, priors: np.ndarray, where: str) -> None:
    """Shares of the classes among draws, in two stages."""
    for stage, (n, level) in enumerate(((2000, FIRST_LEVEL), (8000, SECOND_LEVEL))):
        seed = int(subject.generator("bayes_identity", stage).integers(2**31))
        _, y = model.sample(n, return_y=True, random_state=seed)
        counts = np.array([(y == label).sum() for label in model.classes_])
        p = stats.chisquare(counts, n * priors).pvalue
        if p >= level:
            return
    raise CheckFailed(
        f"{where}with priors={priors.round(3).tolist()}, drawn classes have shares {(counts / n).round(3).tolist()}. "
        "Likely: sample() reads other priors than predict().",
        None,
        float(p),
    )


def _far_rows(model: Any, data: Table, where: str) -> None:
    """Rows where every log p is hugely negative."""
    if not data.continuous:
        return
    codes = data.codes(data.X)[:50]
    for factor in (1e3, 1e9, 1e200):
        far = codes.copy()
        far[:, data.continuous] *= factor
        proba = model.predict_proba(data.wrap(far))
        require(
            np.isfinite(proba).all() and _gap(proba.sum(axis=1), np.ones(len(proba))) < 1e-9,
            f"{where}rows {factor:g} times as far out do not get finite probabilities that sum to one. Likely: exp before "
            "the sum, or -inf minus -inf.",
        )
        log_p = model.score_samples(data.wrap(far))
        require(
            not np.isnan(log_p).any() and not (log_p == np.inf).any(),
            f"{where}rows {factor:g} times as far out have log p NaN or +inf.",
        )


# ---- S15


def _own_rows(log_p: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(K, K) mean over the rows of class k of column j of ``log_p`` (n, K)."""
    return np.stack([log_p[code == k].mean(axis=0) for k in range(log_p.shape[1])])


@check(
    "S15",
    likely="_fit normalises or ignores the weights it is given, or a class reads rows whose weight is for another.",
)
def labelled_vs_split(subject: Subject) -> Measured:
    """A class's density is learnt from its own rows: it suits them best, as a fit on them alone says, whatever its name."""
    cases = subject.labelled()
    if not cases:
        raise CheckSkipped("takes none of the kit's labelled tables")
    worst = 0.0
    for data in cases:
        model, where = subject.fitted(data, labelled=True), f"On table {data.name!r}: "
        classes, code = np.unique(data.y, return_inverse=True)
        log_p = model.predict_joint_log_proba(data.X) - model.class_log_prior_
        suits = _own_rows(log_p, code)
        for k in range(len(classes)):
            j = int(suits[k].argmax())
            require(
                j == k and suits[k, k] > np.delete(suits[k], k).max(),
                f"{where}rows of class {classes[k]!r} have mean log p {suits[k, k]:.3f} under their own density and "
                f"{np.delete(suits[k], k).max():.3f} under another's. Likely: class codes mixed up, or one density in the place "
                "of another.",
            )
        draws = _labelled_fit_draws(subject, data, log_p)
        worst = max(worst, _renamed(subject, data, code, log_p, draws, where), _split(subject, data, code, log_p, draws, where))
    return Measured(worst, 1.0)


def _labelled_fit_draws(subject: Subject, data: Table, log_p: np.ndarray) -> bool:
    if not subject.needs_seed():
        return False
    other = subject.new(random_state=20_231).fit(data.X, data.y)
    return not np.allclose(other.predict_joint_log_proba(data.X) - other.class_log_prior_, log_p, rtol=1e-9, atol=1e-9)


def _apart(one: np.ndarray, log_p: np.ndarray, code: np.ndarray, k: int) -> tuple[float, float]:
    """On the rows of class k, how far a log p lies from the density of class k, and from the nearest of the others."""
    gaps = np.abs(one[code == k][:, None] - log_p[code == k]).mean(axis=0)
    return float(gaps[k]), float(np.delete(gaps, k).min())


def _renamed(subject: Subject, data: Table, code: np.ndarray, log_p: np.ndarray, draws: bool, where: str) -> float:
    """Names that sort the other way round change the order of the columns, and nothing else."""
    K = log_p.shape[1]
    names = np.array([f"class {K - 1 - k:03d}" for k in range(K)])
    model = subject.new().fit(data.X, names[code])
    again = (model.predict_joint_log_proba(data.X) - model.class_log_prior_)[:, ::-1]
    if not draws:
        gap = _gap(again, log_p)
        if not gap < 1e-6:
            raise CheckFailed(
                f"{where}with classes named in the opposite order, their densities differ by {gap:.3g}. Likely: state or a "
                "buffer that one class's fit leaves to the next.",
                gap,
            )
        return gap
    for k in range(K):
        own, other = _apart(again[:, k], log_p, code, k)
        if not own < 0.5 * other:
            raise CheckFailed(
                f"{where}with classes named in the opposite order, log p of one differs by {own:.3g} nats a row; another "
                f"class's differs by {other:.3g}. Likely: class codes mixed up.",
                own,
            )
    return 0.0


def _split(subject: Subject, data: Table, code: np.ndarray, log_p: np.ndarray, draws: bool, where: str) -> float:
    """A fit on the rows of one class alone, columns read as on all of them.

    Scales, bins and shrinkage may come from all rows, so that the two fits are near and not equal; they are equal where a
    model that has ``densities_`` takes levels as they are and does not draw.
    """
    model, worst, K = subject.fitted(data, labelled=True), 0.0, log_p.shape[1]
    exact = not draws and not data.continuous and data.kinds <= subject.kinds and len(getattr(model, "densities_", ())) == K
    for k in range(K):
        rows = np.flatnonzero(code == k)
        alone = np.full(len(code), np.nan)
        alone[rows] = subject.new(column_kinds=model.columns_).fit(data.rows(rows)).score_samples(data.rows(rows))
        own, other = _apart(alone, log_p, code, k)
        allowed = (1e-3 if subject.declares("max_iter", None) else 1e-6) if exact else 0.5 * other
        if not own <= allowed:
            raise CheckFailed(
                f"{where}a fit on the rows of class {model.classes_[k]!r} alone gives log p that differs from that class's "
                f"density by {own:.3g} nats a row, {allowed:.3g} allowed. Likely: a density learnt from other classes' rows too.",
                own,
            )
        worst = max(worst, own) if exact else worst
    return worst


# ---- refits on a table written differently


_NATS = 0.1  # a row, of the mean log p: what a refit that is no exact copy may differ by
_SEEDS = range(20_231, 20_239)


def _mean_gap(subject: Subject, pair: Pair, what: str, likely: str = "") -> float:
    """How far apart the mean log p of the two fits is: within 0.1 nat.

    Of a fit that draws, two seeds on one table may lie further apart than that. If the first look says so, both tables are
    fitted by fresh seeds: the mean difference over them is to be within 0.1 nat, or four standard errors of it as those
    seeds scatter.
    """
    got, want = pair()
    gap, allowed = float(abs(np.mean(got) - np.mean(want))), _NATS
    if not gap <= allowed and subject.fit_draws():
        each = [float(np.mean(got) - np.mean(want)) for got, want in (pair(random_state=seed) for seed in _SEEDS)]
        gap, allowed = float(abs(np.mean(each))), max(_NATS, 4 * float(np.std(each, ddof=1)) / len(each) ** 0.5)
    if not gap <= allowed:
        raise CheckFailed(f"{what}: mean log p differs by {gap:.3g} nats a row, {allowed:.3g} allowed.{likely}", gap)
    return gap


def _close(subject: Subject, pair: Pair, what: str, likely: str) -> float:
    """Median difference in nats: 1e-6, or that of the means where the fit itself draws."""
    likely = f" Likely: {likely}"
    if subject.fit_draws():
        return _mean_gap(subject, pair, what, likely)
    got, want = pair()
    # an iteration may stop one rounding error earlier
    gap, allowed = float(np.median(np.abs(got - want))), 1e-3 if subject.declares("max_iter", None) else 1e-6
    if not gap <= allowed:
        raise CheckFailed(f"{what}: log p differs by {gap:.3g} nats a row, {allowed:g} allowed.{likely}", gap)
    return gap


@check(
    "S9",
    full_only=True,
    likely="a constant in data units (a floor, a bandwidth, a penalty): hooks see standardised columns, so state it in those.",
)
def unit_change(subject: Subject) -> Measured:
    """Rescaling a continuous column by a lowers log p by exactly log a, from 1e-12 to 1e12."""
    gaps = []
    for data, labelled in subject.cases("plane", "mixed", "blobs"):
        d = len(data.continuous)
        for scales in (np.resize([1e-4, 1e3], d), np.full(d, 1e-12), np.full(d, 1e12)):
            gaps.append(_rescaled(subject, data, labelled, scales))
    return Measured(max(gaps), 1.0)


def _rescaled(subject: Subject, data: Table, labelled: bool, scales: np.ndarray) -> float:
    codes = data.codes(data.X)
    # shifts are small beside the range, so that a column does not come to lie on one side of zero
    codes[:, data.continuous] = codes[:, data.continuous] * scales + 0.1 * scales
    X = data.wrap(codes)

    def pair(**parameters: Any) -> tuple[np.ndarray, np.ndarray]:
        again = subject.refitted(data, labelled, X, **parameters)
        return again.score_samples(X) + np.log(scales).sum(), subject.own_scores(data, labelled, **parameters)

    likely = "a tolerance or bandwidth in absolute units, a start in raw units, or a forgotten Jacobian."
    return _close(subject, pair, f"On table {data.name!r}, continuous columns times {scales.tolist()}", likely)


def _has_order(subject: Subject) -> bool:
    """Whether p(x) is written as a product over the columns in their order: such a model answers about them in its own way."""
    own = getattr(type(subject.estimator), "score_columns", None) not in (None, GenerativeModel.score_columns)
    return own or subject.missing == "suffix" or hasattr(subject.estimator, "conditional_cdf")


@check(
    "S10",
    full_only=True,
    likely="a column is treated by its place: an order, a default, the first one.",
)
def column_permutation(subject: Subject) -> Measured:
    """The order of the columns does not matter: told of it where a model has ``order=``, else within 0.1 nat if it has one."""
    cases = subject.unconverted("plane", "bits", "mixed", "blobs")
    return Measured(max(_reversed(subject, data, labelled) for data, labelled in cases), 1.0)


def _reversed(subject: Subject, data: Table, labelled: bool) -> float:
    back = np.arange(len(data.columns))[::-1]
    X = np.ascontiguousarray(data.X[:, back]) if isinstance(data.X, np.ndarray) else data.X.iloc[:, back]
    ordered, what = _has_order(subject), f"On table {data.name!r}, columns reversed"
    as_before = {}
    if ordered and subject.estimator.get_params(deep=False).get("order", 0) is None:
        as_before, what = {"order": back.tolist()}, f"{what} and order= the one before"

    def pair(**parameters: Any) -> tuple[np.ndarray, np.ndarray]:
        again = subject.refitted(data, labelled, X, **as_before, **parameters)
        return again.score_samples(X), subject.own_scores(data, labelled, **parameters)

    if ordered and not as_before:
        return _mean_gap(subject, pair, what)
    return _close(subject, pair, what, "columns mixed up between fit and score.")


@check(
    "S11",
    full_only=True,
    likely="the fit reads rows in their order: a start from the first rows, or batches that are not shuffled.",
)
def row_permutation(subject: Subject) -> Measured:
    """The order of the rows does not matter; a row of weight 2 is that row twice, and one of weight 0 is not there."""
    cases = subject.cases("plane", "bits", "mixed", "blobs")
    return Measured(max(_rows_written_differently(subject, data, labelled) for data, labelled in cases), 1.0)


def _rows_written_differently(subject: Subject, data: Table, labelled: bool) -> float:
    rng, n = subject.generator("row_permutation", data.name), len(data)
    # a copy of a row that is trained on is not held out
    every_row = {"early_stopping": False} if "early_stopping" in subject.estimator.get_params(deep=False) else {}

    def score(rows: np.ndarray, weight: np.ndarray | None = None, of: Any = data.X, **parameters: Any) -> np.ndarray:
        return subject.refitted(data, labelled, data.rows(rows), rows, weight, **every_row, **parameters).score_samples(of)

    def compare(pair: Pair, what: str, likely: str) -> float:
        return _close(subject, pair, f"On table {data.name!r}, {what}", likely)

    def as_it_is(**parameters: Any) -> np.ndarray:
        return subject.own_scores(data, labelled, **every_row, **parameters)

    shuffled = rng.permutation(n)
    gap = compare(
        lambda **how: (score(shuffled, **how), as_it_is(**how)), "rows shuffled", "a fit that reads the order of the rows."
    )
    if "sample_weight" not in inspect.signature(subject.estimator.fit).parameters:
        return gap
    twice, half = np.concatenate([np.arange(n), rng.permutation(n)]), np.full(2 * n, 0.5)
    # a third of the rows left out, and most of the weight on rows high in the first column: without it p is another
    high = np.argsort(np.argsort(data.codes(data.X)[:, 0], kind="stable")) >= n // 2
    weight = np.where(rng.random(n) < 2 / 3, np.where(high, 5.0, 1.0), 0.0)
    every, repeated = np.arange(n), np.repeat(np.arange(n), weight.astype(int))
    heavy = data.rows(repeated)
    return max(
        gap,
        compare(
            lambda **how: (score(twice, half, **_steps(subject, 2.0), **how), as_it_is(**how)),
            "every row twice with half the weight",
            "counts of rows where sums of weights belong.",
        ),
        compare(
            lambda **how: (
                score(every, weight, heavy, **how),
                score(repeated, None, heavy, **_steps(subject, len(repeated) / (weight > 0).sum()), **how),
            ),
            "weights 0, 1, 5 against rows repeated",
            "weights left out of a step of the fit.",
        ),
    )


def _steps(subject: Subject, times: float) -> dict[str, int]:
    """A batch size by which so many times the rows take as many steps."""
    size = subject.estimator.get_params(deep=False).get("batch_size")
    return {"batch_size": max(1, round(times * size))} if isinstance(size, int) else {}
