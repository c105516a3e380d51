"""What generated rows and a fitted model give away about the rows learnt from: attacks that were tried, no guarantee."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from skgen.evaluate.features import encode_alike, points
from skgen.evaluate.neighbours import above_chance, blocks, nearer, refuse_overlap
from skgen.evaluate.samples import auc_with_error, equally_many
from skgen.seeds import generator

__all__ = ["PrivacyReport", "PrivacyWarning", "privacy_report"]

_AUC = 0.6  # of membership, from which the report warns
_Z_AUC = 3.0  # and by so many standard errors above one half: small tables have wide intervals
_Z = 4.0


class PrivacyWarning(UserWarning):
    """A model or its draws tell which rows were learnt from."""


@dataclass(frozen=True)
class PrivacyReport:
    """What :func:`privacy_report` returns; printing it shows the table and the findings.

    Attributes
    ----------
    table : DataFrame
        One row an attack: "value"; "low" and "high", its 95 % interval (NaN: none); "unlearnt", what it would be of a model
        that gives nothing away; "z", how far from that.
    findings : list of str
        What an attack could tell, in words; empty if none could.
    title : str
    """

    table: pd.DataFrame
    findings: list[str]
    title: str

    def to_frame(self) -> pd.DataFrame:
        """The table, as numbers."""
        return self.table.copy()

    def __str__(self) -> str:
        width = max(len(name) for name in self.table.index)
        lines = [self.title, f"{'':{width}s}  {'value':>8s}  {'95 % interval':>16s}  {'unlearnt':>8s}  {'z':>6s}"]
        for name, row in self.table.iterrows():
            within = "" if np.isnan(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}"
            z = "" if np.isnan(row["z"]) else f"{row['z']:.1f}"
            lines.append(f"{name:{width}s}  {row['value']:8.3f}  {within:>16s}  {row['unlearnt']:8.3f}  {z:>6s}".rstrip())
        lines += ["", *(self.findings or ["None of these attacks could tell the rows learnt from."])]
        return "\n".join([*lines, "Attacks that were tried, and no guarantee: a stronger one may tell more."])

    __repr__ = __str__


def privacy_report(
    model: Any,
    X_train: Any,
    X_holdout: Any,
    *,
    n_samples: int = 2000,
    features: Any = None,
    random_state: Any = None,
) -> PrivacyReport:
    """What a fitted model gives away about the rows it learnt from.

    - Membership by log p: the AUC of ``score_samples`` in telling rows learnt from from held-out rows, and how many of the
      former are found at one false alarm in a hundred.
    - Membership by draws: the same of the distance to the nearest generated row, for whom no density is at hand.
    - Draws nearer to a row learnt from than to a held-out one, and how near the nearest is.
    - Copies: draws that equal a row learnt from, beside those that equal a held-out row.
    - Rare combinations: of the combinations of levels and integers that one real row alone has, the share that occur
      among the draws, for rows learnt from and held out.

    Parameters
    ----------
    model : fitted model
        With ``sample``; with ``score_samples`` if it has a density.
    X_train : array-like or data frame of shape (n, d)
        The rows it was fitted on.
    X_holdout : array-like or data frame of shape (m, d)
        Rows of the same origin, divided from these at random, that it has not seen.
    n_samples : int, default=2000
        Draws that are looked at.
    features : see :func:`skgen.evaluate.features.points`
        For the distances; None reads the columns as the model does. Copies and combinations are of the columns.
    random_state : None, int, RandomState or Generator
        None uses the model's own for the draws.

    Returns
    -------
    PrivacyReport

    Warns
    -----
    PrivacyWarning
        If membership can be told with an AUC above 0.6, three standard errors or more above one half, or if draws are nearer
        to rows learnt from, copy them or repeat their rare combinations by more than four standard deviations.

    References
    ----------
    Yeom et al. (2018), "Privacy risk in machine learning"; Carlini et al. (2022), "Membership inference attacks from first
    principles"; Chen et al. (2020), "GAN-Leaks"; Meehan, Chaudhuri & Dasgupta (2020), "A non-parametric test to detect
    data-copying in generative models".

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import GaussianMixture
    >>> from skgen.evaluate import privacy_report
    >>> X = np.random.default_rng(0).normal(size=(1000, 3))
    >>> report = privacy_report(GaussianMixture(random_state=0).fit(X[:500]), X[:500], X[500:], random_state=0)
    >>> report.findings
    []
    """
    if not hasattr(model, "sample"):
        raise ValueError(f"{type(model).__name__} draws no rows: give a fitted generative model.")
    if isinstance(n_samples, bool) or not isinstance(n_samples, (int, np.integer)) or n_samples < 1:
        raise ValueError(f"n_samples={n_samples!r} must be an int >= 1.")
    rng = generator(random_state)
    draws = model.sample(n_samples, random_state=None if random_state is None else int(rng.integers(2**31)))
    kinds = getattr(model, "columns_", None)
    P, Q, H = points(kinds if features is None else features, X_train, draws, X_holdout)
    if min(len(P), len(H)) < 2:
        raise ValueError(f"X_train has {len(P)} rows and X_holdout {len(H)}: give at least 2 of each.")
    refuse_overlap(P, H)
    rows: dict[str, dict[str, float]] = {}
    findings = []

    log_p = _log_density(model, X_train, X_holdout)
    scores = {} if log_p is None else {"log p": log_p}
    scores["draws"] = tuple(-np.concatenate([D.min(axis=1) for _, D in blocks(some, Q)]) for some in (P, H))
    for source, (learnt, held) in scores.items():
        auc, error = auc_with_error(learnt, held)
        low, high = max(auc - 1.96 * error, 0.0), min(auc + 1.96 * error, 1.0)
        z = (auc - 0.5) / error if error else 0.0 if auc == 0.5 else float(np.copysign(np.inf, auc - 0.5))
        rows[f"membership by {source}, AUC"] = {"value": auc, "low": low, "high": high, "unlearnt": 0.5, "z": z}
        found = float((learnt > np.quantile(held, 0.99, method="higher")).mean())
        rows[f"membership by {source}, found at 1 % false"] = {"value": found, "unlearnt": 0.01}
        if auc > _AUC and z > _Z_AUC:
            what = "log p of a row tells" if source == "log p" else "the distance to the nearest draw tells"
            findings.append(f"Membership: {what} whether it was learnt from with an AUC of {auc:.2f} ({low:.2f} to {high:.2f}).")

    near = nearer(P, Q, H)
    rows["draws nearer to a row learnt from"] = {"value": near.share, "unlearnt": near.expected, "z": near.z}
    if near.z > _Z:
        findings.append(
            f"Nearness: {near.share:.0%} of the draws are nearest to a row learnt from; chance has {near.expected:.0%}."
        )
    few = equally_many([P, H], None, rng)
    at = [np.concatenate([D.min(axis=1) for _, D in blocks(Q, some)]) for some in few]
    for name, q in (("5 % quantile", 0.05), ("median", 0.5)):
        learnt, held = (float(np.quantile(distance, q)) for distance in at)
        rows[f"distance of a draw to the nearest row, {name}"] = {"value": learnt, "unlearnt": held}

    columns, codes = encode_alike(kinds, X_train, draws, X_holdout)
    _copies(rows, findings, columns, codes)
    _combinations(rows, findings, columns, codes)
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=["value", "low", "high", "unlearnt", "z"])
    if findings:
        warnings.warn(f"{type(model).__name__} gives away rows it learnt from. " + " ".join(findings), PrivacyWarning, stacklevel=2)
    title = f"{type(model).__name__}: {len(P)} rows learnt from, {len(H)} held out, {len(Q)} draws"
    return PrivacyReport(table, findings, title)


def _log_density(model: Any, X_train: Any, X_holdout: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """log p of both tables; None for a model that can only draw."""
    if not hasattr(model, "score_samples"):
        return None
    try:
        return model.score_samples(X_train), model.score_samples(X_holdout)
    except NotImplementedError:  # what a model without _log_prob says
        return None


def _keys(codes: np.ndarray) -> list[bytes]:
    """One key a row; codes that differ by rounding alone have the same one."""
    return [row.tobytes() for row in np.ascontiguousarray(np.round(np.nan_to_num(codes, nan=-1e99), 9) + 0.0)]


def _copies(rows: dict, findings: list[str], columns: Any, codes: list[np.ndarray]) -> None:
    """Draws that equal a row learnt from, or a held-out row, in every column."""
    learnt, drawn, held = (_keys(Z) for Z in codes)
    twins: dict[bytes, list[int]] = {}
    for i, key in enumerate([*learnt, *held]):
        twins.setdefault(key, []).append(i)
    counts = np.zeros(len(learnt) + len(held))
    for key in drawn:
        counts[twins.get(key, [])] += 1 / len(twins.get(key, [0]))
    shares = [float(np.mean([key in some for key in drawn])) for some in (set(learnt), set(held))]
    z = above_chance(counts, len(learnt))
    rows["draws equal to a row learnt from"] = {"value": shares[0], "unlearnt": shares[1], "z": z}
    varies = columns.continuous & (columns.high > columns.low)
    if z > _Z or (shares[0] and not shares[1] and varies.any()):
        findings.append(f"Copies: {shares[0]:.1%} of the draws equal a row learnt from; {shares[1]:.1%} equal a held-out row.")


def _combinations(rows: dict, findings: list[str], columns: Any, codes: list[np.ndarray]) -> None:
    """Combinations of levels and integers that one real row alone has, and which of them the draws repeat."""
    discrete = ~columns.continuous
    if discrete.sum() < 2:
        return
    learnt, drawn, held = (_keys(Z[:, discrete]) for Z in codes)
    times: dict[bytes, int] = {}
    for key in [*learnt, *held]:
        times[key] = times.get(key, 0) + 1
    repeated = set(drawn)
    once = [[key in repeated for key in keys if times[key] == 1] for keys in (learnt, held)]
    if not (once[0] and once[1]):
        return
    shares = [float(np.mean(hits)) for hits in once]
    rows["rare combinations repeated"] = {"value": shares[0], "unlearnt": shares[1]}
    chance = fisher_exact([[sum(hits), len(hits) - sum(hits)] for hits in once], alternative="greater").pvalue
    if chance < 3e-5:  # four standard deviations
        findings.append(
            f"Rare combinations: {shares[0]:.1%} of those that one row learnt from has occur among the draws; {shares[1]:.1%} of "
            "those of a held-out row do."
        )
