"""Classifiers trained on generated rows and judged on real ones, and whether a generated table looks like the one learnt from.

    python benchmarks/generated_tables.py --data DIR [--tables adult breast_cancer ...] [--models gan vae ...] [--rows 8000]
        [--seeds 3]

DIR holds ``tabular/adult.csv.gz`` and ``tabular/breast_cancer_wisconsin.csv.gz``; "breast_cancer" is scikit-learn's. Rows with
missing cells are left out, of both sides, since a GAN learns from whole rows. adult is learnt from ``--rows`` of its official
training rows drawn at random, and judged on all of its test rows; of breast_cancer a random half is learnt from.

Every model has its defaults; it is fitted on X and y, and draws as many rows, with labels, as it was fitted on. Printed are
means over seeds (of the division, the fit and the draw):

- logistic, boosting: accuracy (and area under the ROC curve) on real rows of classifiers that learnt from the draws; the row
  "real rows" learnt from what the models were fitted on;
- told apart: held-out accuracy of boosting that separates draws from real rows unseen, labels included; one half: it cannot;
- levels: share of the levels of categorical columns that occur among the draws, and of those rarer than 2 %, beside what as many
  real rows drawn with replacement would keep;
- types: whether names, dtypes and categories of the draws are those of the table given, and no cell is missing (it ends the
  run with an error where they are not);
- CPU s of a fit, one thread.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import skgen
from skgen.evaluate import category_coverage, classifier_two_sample, train_on_synthetic

torch.set_num_threads(1)

MODELS = ["naive_bayes", "mixture", "gaussian_mixture", "made", "vae", "gan"]
TARGETS = {"adult": "income", "breast_cancer_wisconsin": "class"}


def load(data: Path, name: str) -> tuple[pd.DataFrame, pd.Series, np.ndarray | None]:
    """Features, labels, and the official split if there is one."""
    if name == "breast_cancer":
        return *load_breast_cancer(return_X_y=True, as_frame=True), None
    frame = pd.read_csv(data / "tabular" / f"{name}.csv.gz").dropna(ignore_index=True)
    split = frame.pop("split").to_numpy()
    numbers = frame.select_dtypes("number")
    frame[numbers.columns] = numbers.astype({c: int for c in numbers if (numbers[c] % 1 == 0).all()})
    texts = frame.columns.difference(numbers.columns)
    frame[texts] = frame[texts].astype("category")
    y = frame.pop(TARGETS[name])
    return frame, y.astype(str), split if name == "adult" else None


def divide(X: pd.DataFrame, y: pd.Series, split: np.ndarray | None, rows: int, seed: int) -> list:
    """X_train, X_test, y_train, y_test."""
    if split is None:
        return train_test_split(X, y, test_size=0.5, stratify=y, random_state=seed)
    train = np.flatnonzero(split == "train")
    train = np.sort(np.random.default_rng(seed).choice(train, min(rows, len(train)), replace=False))
    test = np.flatnonzero(split == "test")
    return [X.iloc[train], X.iloc[test], y.iloc[train], y.iloc[test]]


def check_types(X: pd.DataFrame, drawn: pd.DataFrame) -> None:
    """A user puts draws where rows were: same columns, dtypes and categories."""
    wrong = [] if list(drawn.columns) == list(X.columns) else ["the columns differ"]
    for name in X.columns:
        a, b = X[name], drawn[name]
        if a.dtype != b.dtype:  # of a category: also its levels
            wrong.append(f"{name}: {a.dtype} came back as {b.dtype}")
        elif b.isna().any():
            wrong.append(f"{name}: missing cells were drawn")
    if wrong:
        raise AssertionError("; ".join(wrong))


def judge(X: pd.DataFrame, y: pd.Series, X_new: pd.DataFrame, y_new: np.ndarray, X_test: pd.DataFrame, y_test: pd.Series) -> dict:
    """The figures of one set of draws."""
    found = {}
    for scoring in ("accuracy", "roc_auc"):
        learnt = train_on_synthetic(X, y, X_new, y_new, X_test, y_test, scoring=scoring, random_state=0)
        for name in ("logistic", "boosting"):
            found[name, scoring] = learnt.loc[name, "generated"]
        if scoring == "accuracy":
            found["most frequent"] = learnt.loc["most frequent class", "real"]
    real, new = (
        table.assign(**{"label of the row": pd.Categorical(labels)}) for table, labels in ((X_test, y_test), (X_new, y_new))
    )
    found["apart"] = classifier_two_sample(real, new, random_state=0).accuracy
    kept = category_coverage(X, X_new)
    return found | {"levels": kept.share, "rare": kept.rare, "expected": kept.expected_rare, "n_rare": kept.n_rare}


def run(X: pd.DataFrame, y: pd.Series, split: np.ndarray | None, models: list[str], rows: int, seeds: int) -> dict[str, list[dict]]:
    """{model: figures of each seed}."""
    found: dict[str, list[dict]] = {}
    for seed in range(seeds):
        X_train, X_test, y_train, y_test = divide(X, y, split, rows, seed)
        found.setdefault("real rows", []).append(judge(X_train, y_train, X_train, y_train.to_numpy(), X_test, y_test))
        for name in models:
            if "categorical" not in skgen.make(name).kinds and len(X.select_dtypes("category").columns):
                continue
            began = time.process_time()
            model = skgen.make(name, task="classify", random_state=seed).fit(X_train, y_train)
            spent = time.process_time() - began
            X_new, y_new = model.sample(len(X_train), return_y=True)
            check_types(X_train, X_new)
            found.setdefault(name, []).append(judge(X_train, y_train, X_new, y_new, X_test, y_test) | {"seconds": spent})
    return found


def show(found: dict[str, list[dict]], models: list[str]) -> None:
    heads = ("logistic", "boosting", "told apart", "levels", "rare levels", "types", "CPU s")
    print("   {:18s}{:>16s}{:>16s}{:>12s}{:>8s}{:>15s}{:>7s}{:>8s}".format("", *heads))
    for name, rows in found.items():
        mean = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
        cells = [f"{mean[c, 'accuracy']:.3f} ({mean[c, 'roc_auc']:.3f})" for c in ("logistic", "boosting")]
        cells.append(f"{mean['apart']:.3f}")
        has_levels = not np.isnan(mean["levels"])
        cells += [f"{mean['levels']:.3f}", f"{mean['rare']:.2f} of {mean['expected']:.2f}"] if has_levels else ["-", "-"]
        cells += ["kept", f"{mean['seconds']:.1f}"] if "seconds" in mean else ["-", "-"]
        print("   {:18s}{:>16s}{:>16s}{:>12s}{:>8s}{:>15s}{:>7s}{:>8s}".format(name, *cells), flush=True)
    for name in set(models) - set(found):
        print(f"   {name} is left out: it takes no categorical columns")
    print(f"   always the most frequent class: {np.mean([row['most frequent'] for row in found['real rows']]):.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    tables = ["adult", "breast_cancer", "breast_cancer_wisconsin"]
    parser.add_argument("--tables", nargs="*", choices=tables, default=tables)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--rows", type=int, default=8000, help="of adult, to learn from")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", skgen.ColumnWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name in asked.tables:
        X, y, split = load(asked.data, name)
        X_train, X_test, _, _ = divide(X, y, split, asked.rows, 0)
        size = f"{len(X_train)} rows to learn from, {len(X_test)} to judge by, {X.shape[1]} columns"
        print(f"{name}: {size}, {asked.seeds} seeds; accuracy (AUC)", flush=True)
        show(run(X, y, split, asked.models, asked.rows, asked.seeds), asked.models)


if __name__ == "__main__":
    main()
