"""Classification where test cells are missing: a joint density leaves them out, other classifiers have them filled.

    python benchmarks/missing_features.py [--data DIR] [--seeds 5] [--share 0.6] [--only digits wine breast_cancer adult]

Training rows are complete; ``--share`` of the test cells are removed at random, on another stratified 70/30 split a seed.
adult (``DIR/tabular/adult.csv.gz``) is taken as it comes, with the missing cells and the split it has: all of them lie in
columns of categories, which are filled by the most frequent level or are a level of their own. Then with ``--share`` of its
test cells removed as well.
Accuracy and log-loss (nats a row), mean and standard deviation over the seeds. Rivals have scikit-learn's defaults;
"trained on masked copies" has seen five copies of the training rows, each with as many cells removed as in the test rows.
"""

import race  # noqa: F401  first: it limits the threads

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skgen

BUNDLED = {"digits": load_digits, "wine": load_wine, "breast_cancer": load_breast_cancer}
COPIES = 5
Found = dict[str, list[tuple[float, float, float]]]


def removed(X: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(X.shape) < share, np.nan, X)


def show(title: str, found: Found) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("classifier")
    for head in ("accuracy", "+-", "log-loss", "+-", "seconds"):
        table.add_column(head, justify="right")
    for name, runs in found.items():
        accuracy, loss, seconds = np.array(runs).T
        figures = (f"{accuracy.mean():.4f}", f"{accuracy.std():.4f}", f"{loss.mean():.3f}", f"{loss.std():.3f}")
        table.add_row(name, *figures, f"{seconds.mean():.1f}")
    Console(width=110).print(table)


def enter(found: Found, name: str, model: Any, train: tuple, test: tuple) -> None:
    start = time.process_time()
    model.fit(*train)
    p = model.predict_proba(test[0])
    seconds = time.process_time() - start
    p = np.maximum(p, 1e-15)
    accuracy = np.mean(model.classes_[p.argmax(axis=1)] == test[1])
    found[name].append((accuracy, log_loss(test[1], p / p.sum(axis=1, keepdims=True), labels=model.classes_), seconds))


def numeric(name: str, seeds: int, share: float) -> None:
    """A table of numbers, complete in training."""
    X, y = BUNDLED[name](return_X_y=True)
    X = X.astype(float)
    kinds = skgen.columns(X, image_shape=(8, 8), column_kinds="continuous") if name == "digits" else "continuous"
    found: Found = defaultdict(list)
    # on complete rows the imputer would stop after one round, since no cell of them changes: tol=0 gives it all ten
    rounds = IterativeImputer(tol=0, random_state=0)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        train, test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
        test = removed(test, share, rng)
        both = (train, y_train), (test, y_test)
        enter(found, "skgen gaussian_mixture, marginalised", skgen.make("gaussian_mixture", column_kinds=kinds), *both)
        enter(found, "skgen naive_bayes, marginalised", skgen.make("naive_bayes", column_kinds=kinds), *both)
        for filled, imputer in (("mean", SimpleImputer()), ("kNN", KNNImputer()), ("iterative", rounds)):
            logistic = make_pipeline(StandardScaler(), imputer, LogisticRegression(max_iter=3000))
            enter(found, f"logistic regression, {filled} imputation", logistic, *both)
        boosting = HistGradientBoostingClassifier(random_state=seed)
        enter(found, "HistGradientBoosting, native NaN", boosting, *both)
        copies = np.concatenate([removed(train, share, rng) for _ in range(COPIES)])
        masked = (copies, np.tile(y_train, COPIES)), both[1]
        enter(found, "HistGradientBoosting, trained on masked copies", boosting, *masked)
    show(f"{name}: {share:.0%} of test cells removed, {seeds} seeds, {len(X)} rows", found)


def adult_models(categories: Iterable[str], numbers: Iterable[str]) -> dict[str, Any]:
    fill = SimpleImputer(strategy="most_frequent")
    one_hot = OneHotEncoder(handle_unknown="ignore")
    scaled = make_pipeline(StandardScaler(), SimpleImputer())

    def logistic(steps: Any) -> Any:
        return make_pipeline(make_column_transformer((scaled, numbers), (steps, categories)), LogisticRegression(max_iter=3000))

    return {
        "skgen naive_bayes": skgen.make("naive_bayes"),
        "skgen chow_liu": skgen.make("chow_liu"),
        "skgen bayes_net (its tree)": skgen.make("bayes_net"),
        "skgen bayes_net (hill climbing)": skgen.make("bayes_net", graph="hill_climb"),
        "logistic regression, mean and most frequent": logistic(make_pipeline(fill, one_hot)),
        "logistic regression, mean and missing as a level": logistic(one_hot),
        "HistGradientBoosting, native NaN": HistGradientBoostingClassifier(random_state=0, categorical_features="from_dtype"),
    }


def adult(data: Path, seeds: int, share: float) -> None:
    """A mixed table with missing cells of its own, in training too."""
    frame = pd.read_csv(data / "tabular" / "adult.csv.gz")
    at = frame.pop("split") == "train"
    y = frame.pop("income").to_numpy(dtype=object)
    for name in frame.select_dtypes(exclude="number"):
        frame[name] = frame[name].astype("category")
    categories = [name for name in frame if frame[name].dtype == "category"]
    numbers = [name for name in frame if name not in categories]
    train, test = frame[at].reset_index(drop=True), frame[~at].reset_index(drop=True)
    as_it_comes: Found = defaultdict(list)
    more: Found = defaultdict(list)
    models = adult_models(categories, numbers)
    for name, model in models.items():
        enter(as_it_comes, name, model, (train, y[at]), (test, y[~at]))
    show(
        f"adult as it comes: {test.isna().to_numpy().mean():.1%} of test cells missing, its own split, {len(frame)} rows",
        as_it_comes,
    )
    for seed in range(seeds):
        gone = np.random.default_rng(seed).random(test.shape) < share
        whole_or_missing = dict.fromkeys(numbers, "Int64")
        for name, model in models.items():
            holes = test.astype(whole_or_missing if name.startswith("skgen") else dict.fromkeys(numbers, float))
            holes = holes.mask(gone)
            start = time.process_time()
            p = np.maximum(model.predict_proba(holes), 1e-15)
            accuracy = np.mean(model.classes_[p.argmax(axis=1)] == y[~at])
            loss = log_loss(y[~at], p / p.sum(axis=1, keepdims=True), labels=model.classes_)
            more[name].append((accuracy, loss, time.process_time() - start))
    show(f"adult: {share:.0%} of test cells removed as well, {seeds} seeds (seconds to predict)", more)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="for adult, which is left out without it")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.6)
    parser.add_argument("--only", nargs="*", choices=[*BUNDLED, "adult"])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # ties, convergence of imputers: the figures say what they cost
    for one in asked.only or [*BUNDLED, "adult"]:
        if one != "adult":
            numeric(one, asked.seeds, asked.share)
        elif asked.data is not None:
            adult(asked.data, asked.seeds, asked.share)
