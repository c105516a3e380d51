"""Mixtures beside published figures: log-likelihoods of Gaussian mixtures, mixtures of Bernoullis, accuracy of one normal a class.

    python benchmarks/published_mixtures.py --data DIR [--only gaussian bic bernoulli accuracy]

DIR holds ``tabular/faithful.csv.gz``, ``tabular/galaxies.csv.gz`` and ``debd/{plants,baudio}.npz`` (train, valid, test).
The number of Bernoulli components and their smoothing are chosen on the validation rows.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import StratifiedKFold, cross_val_score

import skgen

#: Total log-likelihoods, the best of 30 starts.
GAUSSIAN = {
    "faithful": {
        ("full", 1): -1289.797,
        ("full", 2): -1130.264,
        ("tied", 2): -1140.187,
        ("tied", 3): -1126.316,
        ("full", 3): -1119.214,
    },
    "galaxies": {("full", 1): -240.338, ("full", 2): -220.058, ("full", 3): -203.179, ("full", 4): -202.161},
}
#: Mean test log-likelihoods to reach, and what learned sum-product networks (LearnSPN) have.
BERNOULLI = {"plants": (-13.5, -12.98), "baudio": (-40.2, -40.50)}


def gaussian(data: Path) -> None:
    print("maximum-likelihood Gaussian mixtures, total log-likelihood")
    for name, published in GAUSSIAN.items():
        X = pd.read_csv(data / "tabular" / f"{name}.csv.gz").to_numpy(dtype=float)
        X = X / 1000 if name == "galaxies" else X
        for (covariance_type, k), figure in published.items():
            model = skgen.make(
                "gaussian_mixture",
                n_components=k,
                covariance_type=covariance_type,
                shrinkage=0,
                n_init=30,
                max_iter=5000,
                tol=1e-9,
                column_kinds="continuous",
                random_state=0,
            ).fit(X)
            total = model.score_samples(X).sum()
            print(
                f"   {name:9s} {k} {covariance_type:5s} {total:11.3f}   published {figure:11.3f}   difference {total - figure:+.3f}"
            )


def bic(data: Path) -> None:
    print("BIC of Gaussian mixtures of the eruptions of Old Faithful, smaller is better; 2 or 3 components to be picked")
    X = pd.read_csv(data / "tabular" / "faithful.csv.gz").to_numpy(dtype=float)
    for covariance_type in ("full", "tied"):
        found = {}
        for k in range(1, 7):
            model = skgen.make("gaussian_mixture", n_components=k, covariance_type=covariance_type, column_kinds="continuous")
            found[k] = model.set_params(random_state=0).fit(X).bic(X)
        row = "  ".join(f"{k}: {value:.1f}" for k, value in found.items())
        print(f"   {covariance_type:5s} picks {min(found, key=found.__getitem__)}   {row}", flush=True)


def bernoulli(data: Path) -> None:
    print("mixtures of Bernoullis, mean log-likelihood (nats a row)")
    for name, (goal, spn) in BERNOULLI.items():
        with np.load(data / "debd" / f"{name}.npz") as file:
            train, valid, test = (file[part].astype(np.int64) for part in ("train", "valid", "test"))
        best = None
        for k in (50, 100, 200):
            for alpha in (0.1,):
                start = time.process_time()
                component = skgen.make("naive_bayes", alpha=alpha)
                model = skgen.make("mixture", component=component, n_components=k, column_kinds="binary", random_state=0).fit(train)
                found = model.score(valid)
                print(
                    f"   {name} K={k} alpha={alpha}: valid {found:.4f}, {model.n_iter_} iterations, "
                    f"{time.process_time() - start:.1f} s of CPU",
                    flush=True,
                )
                best = max(best or (-np.inf,), (found, k, model), key=lambda one: one[0])
        print(f"   {name:7s} test {best[2].score(test):.4f} with K={best[1]}   to reach {goal}, LearnSPN {spn}", flush=True)


def accuracy(data: Path) -> None:
    print("one normal a class, defaults, 5-fold accuracy")
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for name, load in (("wine", load_wine), ("breast_cancer", load_breast_cancer), ("digits", load_digits)):
        X, y = load(return_X_y=True)
        kinds = "auto"
        if name == "digits":
            X = X.astype(int)
            kinds = skgen.columns(X, image_shape=(8, 8))
        scores = cross_val_score(skgen.make("gaussian_mixture", column_kinds=kinds, random_state=0), X, y, cv=folds)
        print(f"   {name:13s} {scores.mean():.4f} +- {scores.std():.4f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=["gaussian", "bic", "bernoulli", "accuracy"])
    given = parser.parse_args()
    warnings.simplefilter("ignore", skgen.ColumnWarning)
    for part in (gaussian, bic, bernoulli, accuracy):
        if given.only is None or part.__name__ in given.only:
            part(given.data)
