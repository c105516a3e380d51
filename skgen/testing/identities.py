"""Identities that hold exactly: Bayes' rule, and what must not change when the table is written differently."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from skgen import GenerativeModel
from skgen.testing.result import FIRST_LEVEL, SECOND_LEVEL, CheckFailed, CheckSkipped, Measured, check, require
from skgen.testing.subject import Subject
from skgen.testing.tables import Table

__all__: list[str] = []


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


@check("S8", statistical=True)
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


@check("S15")
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


def _close(subject: Subject, got: np.ndarray, want: np.ndarray, what: str, likely: str) -> float:
    """Median difference in nats: 1e-6, or a held-out mean within 0.1 nat where the fit itself draws."""
    if subject.fit_draws():
        gap, allowed = float(abs(np.mean(got) - np.mean(want))), 0.1
    else:
        # an iteration may stop one rounding error earlier
        gap, allowed = float(np.median(np.abs(got - want))), 1e-3 if subject.declares("max_iter", None) else 1e-6
    if not gap <= allowed:
        raise CheckFailed(f"{what}: log p differs by {gap:.3g} nats a row, {allowed:g} allowed. Likely: {likely}", gap)
    return gap


@check("S9", full_only=True)
def unit_change(subject: Subject) -> Measured:
    """Rescaling a continuous column by a lowers log p by exactly log a, from 1e-12 to 1e12."""
    worst = 0.0
    for data, labelled in subject.cases("plane", "mixed", "blobs"):
        model, at = subject.fitted(data, labelled), data.continuous
        codes = data.codes(data.X)
        before = model.score_samples(data.X)
        # shifts are small beside the range, so that a column does not come to lie on one side of zero
        for scales in (np.resize([1e-4, 1e3], len(at)), np.full(len(at), 1e-12), np.full(len(at), 1e12)):
            changed = codes.copy()
            changed[:, at] = changed[:, at] * scales + 0.1 * scales
            X = data.wrap(changed)
            again = subject.new().fit(X, data.y) if labelled else subject.new().fit(X)
            after = again.score_samples(X) + np.log(scales).sum()
            what = f"On table {data.name!r}, continuous columns times {scales.tolist()}"
            worst = max(
                worst,
                _close(
                    subject,
                    after,
                    before,
                    what,
                    "a tolerance or bandwidth in absolute units, a start in raw units, or a forgotten Jacobian.",
                ),
            )
    return Measured(worst, 1.0)


def _has_order(subject: Subject) -> bool:
    """Whether p(x) is written as a product over the columns in their order: such a model answers about them in its own way."""
    own = getattr(type(subject.estimator), "score_columns", None) not in (None, GenerativeModel.score_columns)
    return own or subject.missing == "suffix" or hasattr(subject.estimator, "conditional_cdf")


@check("S10", full_only=True)
def column_permutation(subject: Subject) -> Measured:
    """The order of the columns does not matter (to a model with an order: not by more than 0.1 nat on average)."""
    worst = 0.0
    ordered = _has_order(subject)
    for data, labelled in subject.unconverted("plane", "bits", "mixed", "blobs"):
        order = np.arange(len(data.columns))[::-1]
        X = np.ascontiguousarray(data.X[:, order]) if isinstance(data.X, np.ndarray) else data.X.iloc[:, order]
        again = subject.new().fit(X, data.y) if labelled else subject.new().fit(X)
        got, want = again.score_samples(X), subject.fitted(data, labelled).score_samples(data.X)
        if ordered:
            gap = float(abs(got.mean() - want.mean()))
            if not gap < 0.1:
                raise CheckFailed(f"On table {data.name!r}, columns reversed: mean log p differs by {gap:.3g} nats.", gap)
        else:
            gap = _close(subject, got, want, f"On table {data.name!r}, columns reversed", "columns mixed up between fit and score.")
        worst = max(worst, gap)
    return Measured(worst, 1.0)


@check("S11", full_only=True)
def row_permutation(subject: Subject) -> Measured:
    """The order of the rows does not matter; a row of weight 2 is that row twice, and one of weight 0 is not there."""
    worst = 0.0
    weighted = "sample_weight" in inspect.signature(subject.estimator.fit).parameters
    for data, labelled in subject.cases("plane", "bits", "mixed", "blobs"):
        rng = subject.generator("row_permutation", data.name)
        want = subject.fitted(data, labelled).score_samples(data.X)

        def score(rows: np.ndarray, weight: np.ndarray | None = None, data: Table = data, labelled: bool = labelled) -> np.ndarray:
            y = {"y": data.y[rows]} if labelled else {}
            w = {} if weight is None else {"sample_weight": weight}
            return subject.new().fit(data.rows(rows), **y, **w).score_samples(data.X)

        n, where = len(data), f"On table {data.name!r}, "
        worst = max(
            worst,
            _close(subject, score(rng.permutation(n)), want, f"{where}rows shuffled", "a fit that reads the order of the rows."),
        )
        if not weighted:
            continue
        twice = np.concatenate([np.arange(n), rng.permutation(n)])
        worst = max(
            worst,
            _close(
                subject,
                score(twice, np.full(2 * n, 0.5)),
                want,
                f"{where}every row twice with half the weight",
                "counts of rows where sums of weights belong.",
            ),
        )
        weight = rng.integers(0, 3, n).astype(float)
        repeated = np.repeat(np.arange(n), weight.astype(int))
        got, want = score(np.arange(n), weight), score(repeated)
        worst = max(
            worst,
            _close(subject, got, want, f"{where}weights 0, 1, 2 against rows repeated", "weights left out of a step of the fit."),
        )
    return Measured(worst, 1.0)
