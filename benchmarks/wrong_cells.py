"""Wrong cells planted in adult, found by the terms of log p(x): AUROC over all cells, beside a z-score of each column.

    python benchmarks/wrong_cells.py --data DIR [--only made naive_bayes ...] [--rows 4000] [--orders 8]

DIR holds ``tabular/adult.csv.gz``: its training rows are fitted on, but for a tenth of them, which are the valid rows. In half
of the valid and of the test rows one observed cell is replaced by the cell of another row in the same column, one that differs
from it. Every observed cell gets a score; AUROC is over all of them (about one in 30 is wrong), test cells beside valid ones.
All 15 columns are one table, the label too; a missing category is a level of its own. Scores of a cell x_j:

- z: |x_j - mean| / sd of a number; -log frequency of a category;
- usual: -log p(x_j), the marginal; what a score that is -log p(x_j | ...) alone mostly finds is rare values. It is the model's
  own (``score_samples`` of a row with that cell alone) where the model can leave cells out, else that of naive Bayes;
- before: -log p(x_j | cells before), ``score_columns``;
- before - usual: log p(x_j) - log p(x_j | cells before): the log-likelihood ratio of "drawn anew" against "belongs here";
- rest: -log p(x_j | all other cells), ``score_samples`` with and without the cell, for models that can leave cells out;
- rest - usual: the same ratio, given all others.

A cell drawn anew is likely to be a usual value, but one that has to differ from a usual value is a rare one: so the ratio, which
would be best if any cell could be drawn, need not be. A wrong cell makes the others of its row look odd too.

Seconds of the processor, fit and scores apart; one thread.
"""

import race  # noqa: F401  first: it limits the threads

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score

import skgen


def load(data: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The table with the label, integers and categories by dtype, and which rows are train, valid and test."""
    frame = pd.read_csv(data / "tabular" / "adult.csv.gz")
    split = frame.pop("split").to_numpy(dtype=object)
    train = np.flatnonzero(split == "train")
    split[np.random.default_rng(0).choice(train, len(train) // 10, replace=False)] = "valid"
    for column in frame:
        if frame[column].dtype.kind not in "iu":
            frame[column] = frame[column].fillna("missing").astype("category")
    return frame, split


def planted(clean: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A copy with one wrong cell in every other row, and where they are."""
    rng = np.random.default_rng(seed)
    seen = clean.notna().to_numpy()
    wrong = np.zeros(clean.shape, dtype=bool)
    for i in rng.permutation(len(clean))[: len(clean) // 2]:
        wrong[i, rng.choice(np.flatnonzero(seen[i]))] = True
    out = clean.copy()
    for j, name in enumerate(clean):
        cells = clean[name].to_numpy(dtype=object)
        pool = cells[seen[:, j]]
        drawn = cells.copy()
        for i in np.flatnonzero(wrong[:, j]):
            while drawn[i] == cells[i]:
                drawn[i] = rng.choice(pool)
        out[name] = pd.Series(drawn, index=clean.index).astype(clean[name].dtype)
    return out, wrong


def z_score(train: pd.DataFrame, X: pd.DataFrame) -> np.ndarray:
    out = np.zeros(X.shape)
    for j, name in enumerate(X):
        if X[name].dtype.kind in "iu":
            out[:, j] = np.abs(X[name] - train[name].mean()) / train[name].std()
        else:
            share = train[name].value_counts(normalize=True)
            out[:, j] = -np.log(X[name].astype(object).map(share.to_dict()).fillna(1 / len(train)).to_numpy(dtype=float))
    return out


def without(X: pd.DataFrame, names: list) -> pd.DataFrame:
    """A copy in which nothing of these columns is observed."""
    hidden = X.copy()
    for name in names:
        hidden[name] = pd.Series(pd.NA, index=X.index).astype("Int64" if X[name].dtype.kind in "iu" else X[name].dtype)
    return hidden


def given_the_rest(model: Any, X: pd.DataFrame) -> np.ndarray:
    """log p(x_j | all other cells)."""
    whole = model.score_samples(X)
    return np.column_stack([whole - model.score_samples(without(X, [name])) for name in X])


def alone(model: Any, X: pd.DataFrame) -> np.ndarray:
    """log p(x_j), nothing else observed."""
    return np.column_stack([model.score_samples(without(X, [other for other in X if other != name])) for name in X])


def scores(model: Any, X: pd.DataFrame, usual: np.ndarray) -> dict[str, np.ndarray]:
    found = {}
    terms = {"before": model.score_columns(X)}
    if model.missing in ("exact", "estimate"):
        terms["rest"] = given_the_rest(model, X)
        usual = alone(model, X)
    for name, log_p in terms.items():
        found[name] = -log_p
        found[f"{name} - usual"] = usual - log_p
    return found


def models(orders: int) -> dict[str, Any]:
    make = skgen.make
    return {
        "chow_liu": make("chow_liu"),
        "mixture": make("mixture", n_components=30, random_state=0),
        "made": make("made", random_state=0),
        f"made, {orders} orders": make("made", n_orders=orders, random_state=0),
    }


def auroc(score: np.ndarray, wrong: np.ndarray, seen: np.ndarray) -> float:
    return float(roc_auc_score(wrong[seen], np.clip(score[seen], -1e6, 1e6)))


def by_column(score: np.ndarray, wrong: np.ndarray, seen: np.ndarray, names: list[str]) -> str:
    return ", ".join(f"{name} {auroc(score[:, [j]], wrong[:, [j]], seen[:, [j]]):.2f}" for j, name in enumerate(names))


def main(data: Path, only: list[str] | None, rows: int, orders: int) -> None:
    frame, split = load(data)
    kinds = skgen.columns(frame)
    train = frame[split == "train"]
    parts = {}
    for seed, part in enumerate(("valid", "test")):
        clean = frame[split == part]
        clean = clean.sample(min(rows, len(clean)), random_state=0)
        parts[part] = (*planted(clean, seed), clean.notna().to_numpy())
    counts = ", ".join(f"{part} {len(X)} with {wrong.sum()} wrong cells" for part, (X, wrong, _) in parts.items())
    print(f"adult: {len(train)} training rows, {train.shape[1]} columns; {counts}")
    print(f"   {'':16s} {'score':16s} {'valid':>7s} {'test':>7s} {'fit s':>8s} {'score s':>8s}")
    marginals = skgen.make("naive_bayes", column_kinds=kinds).fit(train)
    usual = {part: marginals.score_columns(X) for part, (X, _, _) in parts.items()}
    simple = {
        "z": {part: z_score(train, X) for part, (X, _, _) in parts.items()},
        "usual": {part: -log_p for part, log_p in usual.items()},
    }
    for name, each in simple.items():
        found = [auroc(each[part], wrong, seen) for part, (_, wrong, seen) in parts.items()]
        print(f"   {'each column':16s} {name:16s} {found[0]:7.4f} {found[1]:7.4f}", flush=True)
    best: tuple = (0.0,)
    for label, model in models(orders).items():
        if only and label not in only:
            continue
        start = time.process_time()
        model.set_params(column_kinds=kinds).fit(train)
        fitted = time.process_time()
        found = {part: scores(model, X, usual[part]) for part, (X, _, _) in parts.items()}
        spent = time.process_time() - fitted
        for name in found["test"]:
            value = [auroc(found[part][name], wrong, seen) for part, (_, wrong, seen) in parts.items()]
            print(f"   {label:16s} {name:16s} {value[0]:7.4f} {value[1]:7.4f} {fitted - start:8.1f} {spent:8.1f}", flush=True)
            best = max(best, (value[0], label, name, value[1], found["test"][name]), key=lambda one: one[0])
    _, label, name, value, score = best
    _, wrong, seen = parts["test"]
    print(f"   best on valid: {label}, {name}: test {value:.4f}; by column: {by_column(score, wrong, seen, list(frame))}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="models to run, by the names in the table")
    parser.add_argument("--rows", type=int, default=4000, help="valid and test rows, at most")
    parser.add_argument("--orders", type=int, default=8)
    given = parser.parse_args()
    warnings.simplefilter("ignore", skgen.ColumnWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    main(given.data, given.only, given.rows, given.orders)
