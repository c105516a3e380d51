"""Classes balanced by generated rows, beside what costs less: does it help a classifier?

    python benchmarks/oversampling.py --data DIR [--tables mammography ...] [--models gaussian_mixture kde ...] [--folds 5]

DIR holds ``tabular/mammography.csv.gz`` (11,183 rows, 260 of the rarer class) and others. In each of stratified folds the other
folds are resampled, after the split, and logistic regression and gradient boosting learn from them; the fold is never
resampled. Printed are means over the folds, with the standard error of the difference to class weights, fold by fold:

- balanced: accuracy averaged over the classes, at the classifier's own threshold. Where classes are not balanced its
  threshold answers another question, so "threshold" is the classifier fitted on the rows as they are that predicts the
  rarer class where its probability exceeds that class's share of the rows learnt from;
- precision: average precision of the ranking, which no threshold changes;
- CPU s: to resample one fold.

"gain" counts what exceeds the best of the rows above it by two standard errors of the paired difference. Every model has its
defaults; nothing is tuned.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgen
from skgen import GenerativeOverSampler

TARGETS = {"mammography": "class", "phoneme": "class", "pima_diabetes": "diabetes"}


def load(data: Path, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Features, and whether a row is of the rarer class."""
    frame = pd.read_csv(data / "tabular" / f"{name}.csv.gz").drop(columns="split")
    y = frame.pop(TARGETS[name])
    return frame, (y == y.value_counts().index[-1]).to_numpy().astype(int)


class Repeat:
    """Rows of the rarer class repeated at random until the classes have as many."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit_resample(self, X: pd.DataFrame, y: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        rare = np.flatnonzero(y == 1)
        again = np.random.default_rng(self.seed).choice(rare, (y == 0).sum() - len(rare))
        at = np.concatenate([np.arange(len(y)), again])
        return X.iloc[at], y[at]


def classifiers(seed: int) -> dict:
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        "boosting": HistGradientBoostingClassifier(random_state=seed),
    }


def weighted(model: object) -> object:
    """The same with class_weight="balanced"."""
    name = next(key for key in model.get_params() if key.split("__")[-1] == "class_weight")
    return clone(model).set_params(**{name: "balanced"})


def run(X: pd.DataFrame, y: np.ndarray, models: list[str], folds: int, seed: int) -> dict:
    """{treatment: {(classifier, measure): one value a fold}}."""
    found: dict[str, dict] = {}

    def note(treatment: str, key: str, model: object, test: np.ndarray, threshold: float | None = None) -> None:
        p = model.predict_proba(X.iloc[test])[:, 1]
        said = model.predict(X.iloc[test]) if threshold is None else p > threshold
        row = found.setdefault(treatment, {})
        row.setdefault((key, "balanced"), []).append(balanced_accuracy_score(y[test], said))
        row.setdefault((key, "precision"), []).append(average_precision_score(y[test], p))

    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(X, y):
        X_train, y_train = X.iloc[train], y[train]
        for key, model in classifiers(seed).items():
            plain = clone(model).fit(X_train, y_train)
            note("nothing", key, plain, test)
            note("nothing, threshold", key, plain, test, y_train.mean())
            note("class weights", key, weighted(model).fit(X_train, y_train), test)
        samplers = {"random oversampling": Repeat(seed)}
        samplers |= {name: GenerativeOverSampler(name, random_state=seed) for name in models}
        for treatment, sampler in samplers.items():
            begun = time.process_time()
            X_more, y_more = sampler.fit_resample(X_train, y_train)
            spent = time.process_time() - begun
            found.setdefault(treatment, {}).setdefault("seconds", []).append(spent)
            for key, model in classifiers(seed).items():
                note(treatment, key, clone(model).fit(X_more, y_more), test)
    return found


def show(found: dict, models: list[str]) -> None:
    """The table, and whether any model gains."""
    keys = [(c, m) for c in ("logistic", "boosting") for m in ("balanced", "precision")]
    print(f"   {'':22s}" + "".join(f"{c + ' ' + m:>24s}" for c, m in keys) + f"{'CPU s':>8s}")
    base = found["class weights"]
    for treatment, row in found.items():
        cells = []
        for key in keys:
            apart = np.subtract(row[key], base[key])
            error = apart.std(ddof=1) / np.sqrt(len(apart))
            cells.append(f"{np.mean(row[key]):.3f} ({apart.mean():+.3f} +- {error:.3f})")
        spent = f"{np.mean(row['seconds']):8.2f}" if "seconds" in row else ""
        print(f"   {treatment:22s}" + "".join(f"{cell:>24s}" for cell in cells) + spent)
    cheap = [name for name in found if name not in models]
    for key in keys:
        best = max(cheap, key=lambda name: np.mean(found[name][key]))
        words = []
        for name in models:
            apart = np.subtract(found[name][key], found[best][key])
            error = apart.std(ddof=1) / np.sqrt(len(apart))
            verdict = "gain" if apart.mean() > 2 * error else "loss" if apart.mean() < -2 * error else "no difference"
            words.append(f"{name} {verdict} ({apart.mean():+.3f})")
        print(f"   {' '.join(key)}, beside {best}: " + "; ".join(words))


def main(data: Path, tables: list[str], models: list[str], folds: int, seed: int) -> None:
    for name in tables:
        X, y = load(data, name)
        print(f"{name}: {len(X)} rows, {y.sum()} of the rarer class, {X.shape[1]} columns, {folds} folds, seed {seed}; in")
        print("   brackets the difference to class weights and its standard error")
        show(run(X, y, models, folds, seed), models)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", nargs="*", choices=list(TARGETS), default=["mammography"])
    parser.add_argument("--models", nargs="*", default=["gaussian_mixture", "kde", "naive_bayes"])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore", skgen.ColumnWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    main(given.data, given.tables, given.models, given.folds, given.seed)
