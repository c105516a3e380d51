"""All metrics of generated rows in one table, each beside its value for two halves of the real rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from skgen.evaluate.features import encode_alike, foreign, points
from skgen.evaluate.neighbours import manifolds, nearer
from skgen.evaluate.samples import discrepancy, equally_many, frechet, separate
from skgen.evaluate.usefulness import label_array, learn_from, levels_kept
from skgen.seeds import generator
from skgen.tables import Columns

__all__ = ["SampleReport", "sample_report"]

_MEANING = {
    "two-sample accuracy": "0.5: a classifier cannot tell",
    "two-sample AUC": "0.5: a classifier cannot tell",
    "MMD^2": "0: equal",
    "Frechet distance^2": "0: equal moments",
    "precision": "generated rows among real ones",
    "recall": "real rows among generated ones",
    "density": "as precision, outliers weigh less; 1",
    "coverage": "real rows with a generated one near",
    "levels kept": "1: all",
    "rare levels kept": "1: all",
    "foreign rows": "with a cell that no real row could have",
    "nearer to rows learnt from": "0: no more than chance",
    "z of that": "above 3: hardly chance",
    "copies of rows learnt from": "beside held-out rows that are copies",
}


@dataclass(frozen=True)
class SampleReport:
    """What :func:`sample_report` returns; printing it shows the table.

    Attributes
    ----------
    table : DataFrame
        One row a metric: "generated", the mean for generated rows beside half of the real ones; "real", the same for the
        other half; "generated_sd", "real_sd" over divisions; "meaning".
    title : str
    """

    table: pd.DataFrame
    title: str

    def to_frame(self) -> pd.DataFrame:
        """The table, as numbers."""
        return self.table.copy()

    def __str__(self) -> str:
        width = max(len(name) for name in self.table.index)
        lines = [self.title, f"{'':{width}s}  {'generated':>17s}  {'two real halves':>17s}"]
        for name, row in self.table.iterrows():
            cells = [f"{row[who]:9.4f} +- {row[who + '_sd']:.3f}".rjust(17) for who in ("generated", "real")]
            lines.append("  ".join([f"{name:{width}s}", *cells, str(row["meaning"])]).rstrip())
        return "\n".join(lines)

    __repr__ = __str__


def sample_report(
    X_real: Any,
    X_generated: Any,
    *,
    y_real: Any = None,
    y_generated: Any = None,
    X_train: Any = None,
    features: Any = None,
    k: int = 5,
    max_rows: int | None = 2000,
    n_repeats: int = 3,
    random_state: Any = None,
) -> SampleReport:
    """Every metric of generated rows, and beside it the value for two halves of the real rows.

    The real rows are divided in halves A and B at random, ``n_repeats`` times; as many generated rows as B has are
    measured against A, and so is B. What the halves show is the best that can be hoped for with so many rows.

    Parameters
    ----------
    X_real : array-like or data frame of shape (n, d)
        Best rows that the model has not seen: of rows it repeats by heart, distances say that all is well.
    X_generated : array-like or data frame of shape (m, d)
    y_real, y_generated : array-likes, optional
        Labels: then classifiers are trained on the generated rows, and on B, and judged on A.
    X_train : array-like or data frame, optional
        What the model learnt from: then also whether generated rows lie nearer to these than chance has it, with X_real
        as the held-out rows.
    features : see :func:`skgen.evaluate.features.points`
    k : int
        Neighbours, of precision and recall.
    max_rows : int, optional
        Of each side of a comparison, drawn at random.
    n_repeats : int
    random_state : None, int, RandomState or Generator

    Returns
    -------
    SampleReport

    Notes
    -----
    A missing cell is part of a row: where real rows miss cells and generated ones, drawn whole, do not, the two are told
    apart by that. Complete the real rows first (``model.impute(X, how="draw")``), or judge complete rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen import GaussianMixture
    >>> from skgen.evaluate import sample_report
    >>> X, y = load_iris(return_X_y=True)
    >>> X_new, y_new = GaussianMixture(random_state=0).fit(X, y).sample(150, return_y=True)
    >>> report = sample_report(X, X_new, y_real=y, y_generated=y_new, n_repeats=2, random_state=0)
    >>> float(report.to_frame().loc["trained on it: logistic", "generated"]) > 0.9
    True
    """
    if (y_real is None) != (y_generated is None):
        raise ValueError("y_real and y_generated go together: give both, or neither.")
    if isinstance(n_repeats, bool) or not isinstance(n_repeats, (int, np.integer)) or n_repeats < 1:
        raise ValueError(f"n_repeats={n_repeats!r} must be an int >= 1.")
    rng = generator(random_state)
    tables = [X_real, X_generated] + ([] if X_train is None else [X_train])
    P, Q, *T = points(features, *tables)
    coded, strange = _coded(features, X_real, X_generated)
    labels = None if y_real is None else (label_array(y_real, P, "y_real"), label_array(y_generated, Q, "y_generated"))
    found: dict[str, dict[str, list[float]]] = {"generated": {}, "real": {}}
    for _ in range(n_repeats):
        A, B = train_test_split(np.arange(len(P)), test_size=0.5, random_state=int(rng.integers(2**31)))
        (B, G) = equally_many([B, np.arange(len(Q))], max_rows, rng)
        A = A if max_rows is None or len(A) <= max_rows else A[:max_rows]
        for who, other, rows in (("generated", Q, G), ("real", P, B)):
            values = dict(_distances(P[A], other[rows], k, rng))
            if coded is not None:
                columns, (real, generated) = coded
                kept = levels_kept(columns, real[A], (generated if who == "generated" else real)[rows], 0.02)
                values |= {"levels kept": kept.share, "rare levels kept": kept.rare}
                values["foreign rows"] = strange if who == "generated" else 0.0
            if labels is not None:
                y = labels[1] if who == "generated" else labels[0]
                learnt = learn_from(other[rows], y[rows], P[A], labels[0][A], None, "accuracy", rng)
                values |= {f"trained on it: {name}": value for name, value in learnt.items()}
            if T:
                near = nearer(T[0], other[rows], P[A])
                values |= {"nearer to rows learnt from": near.excess, "z of that": near.z}
                values["copies of rows learnt from"] = near.copies
            for name, value in values.items():
                found[who].setdefault(name, []).append(value)
    columns = {
        f"{who}{end}": {name: function(v) for name, v in values.items()}
        for who, values in found.items()
        for end, function in (("", np.mean), ("_sd", np.std))
    }
    table = pd.DataFrame(columns)[["generated", "real", "generated_sd", "real_sd"]].dropna(how="all")
    table["meaning"] = [_MEANING.get(name, "accuracy on real rows") for name in table.index]
    title = f"{len(Q)} generated rows beside {len(P)} real rows; means of {n_repeats} divisions into halves"
    return SampleReport(table, title)


def _coded(features: Any, X_real: Any, X_generated: Any) -> tuple[Any, float]:
    """Columns and codes of both tables if any column has levels, and the share of generated rows with a foreign cell."""
    kinds = features if isinstance(features, (Columns, dict)) else None
    columns, codes = encode_alike(kinds, X_real, X_generated)
    return ((columns, codes) if (columns.n_levels > 0).any() else None), foreign(columns, X_generated)


def _distances(P: np.ndarray, Q: np.ndarray, k: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """The metrics that look at points alone."""
    told = separate(P, Q, None, None, rng)
    yield "two-sample accuracy", told.accuracy
    yield "two-sample AUC", told.auc
    yield "MMD^2", discrepancy(P, Q, 0, 1000, rng).value
    yield "Frechet distance^2", frechet(P, Q)
    near = manifolds(P, Q, k, None, rng)
    yield from zip(("precision", "recall", "density", "coverage"), near, strict=True)
