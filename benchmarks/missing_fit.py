"""Fit where training cells are missing: what it costs in log-likelihood of complete test rows.

    python benchmarks/missing_fit.py --data DIR [--seeds 5] [--share 0.3] [--only wine_quality plants]

DIR holds ``tabular/wine_quality.csv.gz`` and ``debd/plants.npz``. ``--share`` of the training cells are removed at random,
another choice each seed. Beside the fit on what is left stand the fit on all cells, and the same model fitted after
imputation, as a user without EM would. wine_quality: float columns, in nats a row; the gap allowed is 0.1 for one Gaussian
and 0.3 for five. plants: 3 % of the mean log-likelihood of the complete fit.
"""

import race  # noqa: F401  first: it limits the threads

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

import skgen

Found = dict[tuple[str, str], list[tuple[float, float, float]]]


def removed(X: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(X.shape) < share, np.nan, X)


def race_fits(
    models: dict[str, tuple[dict, float]],
    imputers: dict[str, Callable[[int], Any]],
    train: np.ndarray,
    test: np.ndarray,
    seeds: int,
    share: float,
) -> tuple[Found, dict[str, float]]:
    """Per (model, what was done to the cells): gap to the complete fit of the same seed, log-likelihood and seconds."""
    found: Found = defaultdict(list)
    for seed in range(seeds):
        holes = removed(train, share, np.random.default_rng(seed))
        filled = {name: make(seed).fit_transform(holes) for name, make in imputers.items()}
        for name, parameters in models.items():
            complete = 0.0
            for what, X in {"complete": train, "missing cells, EM": holes, **filled}.items():
                start = time.process_time()
                model = skgen.make(parameters["name"], **parameters["with"], random_state=seed).fit(X)
                seconds, score = time.process_time() - start, model.score(test)
                complete = score if what == "complete" else complete
                found[name, what].append((complete - score, score, seconds))
    return found, {name: parameters["allowed"] for name, parameters in models.items()}


def show(title: str, found: Found, allowed: dict[str, float], relative: bool) -> None:
    table = Table(title=title, title_justify="left")
    for head in ("model", "fitted on"):
        table.add_column(head)
    for head in ("log p", "gap", "+-", "allowed", "s"):
        table.add_column(head, justify="right")
    for (name, what), runs in found.items():
        gap, score, seconds = np.array(runs).T
        first = what == "complete"
        gap = 100 * gap / np.abs(score + gap) if relative else gap
        unit = " %" if relative else ""
        table.add_row(
            name if first else "",
            what,
            f"{score.mean():.4f}",
            "" if first else f"{gap.mean():+.4f}{unit}",
            "" if first else f"{gap.std():.4f}",
            f"{allowed[name]:g}{unit}" if what.startswith("missing") else "",
            f"{seconds.mean():.1f}",
        )
    Console(width=120).print(table)


def wine_quality(data: Path, seeds: int, share: float) -> None:
    frame = pd.read_csv(data / "tabular" / "wine_quality.csv.gz")
    X = frame.select_dtypes("float").to_numpy()
    at = frame["split"].to_numpy()
    models = {
        "one Gaussian": {"name": "gaussian_mixture", "with": {}, "allowed": 0.1},
        "5 Gaussians": {"name": "gaussian_mixture", "with": {"n_components": 5}, "allowed": 0.3},
    }
    imputers = {
        "mean imputation": lambda seed: SimpleImputer(),
        "kNN imputation": lambda seed: KNNImputer(),
        "iterative imputation": lambda seed: IterativeImputer(random_state=seed),
    }
    found, allowed = race_fits(models, imputers, X[at == "train"], X[at == "test"], seeds, share)
    show(f"wine_quality: {share:.0%} of training cells removed, {seeds} seeds (nats a row)", found, allowed, relative=False)


def plants(data: Path, seeds: int, share: float) -> None:
    with np.load(data / "debd" / "plants.npz") as file:
        train, test = file["train"].astype(float), file["test"].astype(float)
    kinds = {"column_kinds": "binary"}
    component = skgen.make("naive_bayes", alpha=0.1)
    models = {
        "mixture of 50 Bernoullis": {
            "name": "mixture",
            "with": {"component": component, "n_components": 50, **kinds},
            "allowed": 3.0,
        },
        "chow_liu": {"name": "chow_liu", "with": kinds, "allowed": 3.0},
    }
    imputers = {"most frequent": lambda seed: SimpleImputer(strategy="most_frequent")}
    found, allowed = race_fits(models, imputers, train, test, seeds, share)
    show(f"plants: {share:.0%} of training cells removed, {seeds} seeds (nats a row, gap in %)", found, allowed, relative=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--only", nargs="*", choices=["wine_quality", "plants"])
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # ties, and fits that stop at max_iter: the log-likelihoods say what they cost
    for part in (wine_quality, plants):
        if asked.only is None or part.__name__ in asked.only:
            part(asked.data, asked.seeds, asked.share)
