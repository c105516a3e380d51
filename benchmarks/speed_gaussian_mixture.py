"""Gaussian mixtures and one normal a class, against scikit-learn and pomegranate: time, with the log-likelihood beside it.

    OMP_NUM_THREADS=1 python benchmarks/speed_gaussian_mixture.py [--profile]

CPU time, contenders taken in turn, least of several rounds. pomegranate is measured where it is installed.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib.util
import os
import pstats
import time
import warnings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.mixture import GaussianMixture

import skgen


def race(calls: dict, rounds: int) -> tuple[dict, dict]:
    """Least CPU seconds and last result of each call."""
    least, result = dict.fromkeys(calls, np.inf), {}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            result[name] = call()
            least[name] = min(least[name], time.process_time() - start)
    return least, result


def show(title: str, least: dict, note: dict | None = None) -> None:
    print(title)
    for name, seconds in least.items():
        ratio = least["skgen"] / seconds
        print(f"   {name:28s} {seconds * 1e3:8.1f} ms   {1 / ratio:5.2f} x skgen's time   {(note or {}).get(name, '')}", flush=True)


def mixture(rounds: int, profile: bool) -> None:
    n, d, k = 100_000, 20, 10
    rng = np.random.default_rng(0)
    means = rng.normal(0, 1.5, (k, d))
    roots = [np.tril(rng.normal(0, 0.3, (d, d)), -1) + np.diag(rng.uniform(0.5, 1.2, d)) for _ in range(k)]
    z = rng.choice(k, n, p=rng.dirichlet(np.full(k, 5.0)))
    X = np.empty((n, d))
    for c in range(k):
        X[z == c] = means[c] + rng.normal(size=((z == c).sum(), d)) @ roots[c].T
    # five iterations each; scikit-learn's cheapest start, so that what is compared is EM
    ours = skgen.GaussianMixture(n_components=k, shrinkage=0, n_init=1, max_iter=5, tol=0, random_state=0)
    calls = {"skgen": lambda: skgen.make("gaussian_mixture", **ours.get_params()).fit(X)}
    for start in ("random_from_data", "kmeans"):
        calls[f"sklearn {start}"] = lambda start=start: GaussianMixture(
            k, init_params=start, max_iter=5, tol=0, random_state=0
        ).fit(X)
    least, models = race(calls, rounds)
    show(
        f"fit, {n} x {d}, {k} full covariances, 5 iterations",
        least,
        {name: f"log-likelihood {m.score(X):.4f} a row, {m.n_iter_} iterations" for name, m in models.items()},
    )
    pair = {"skgen": models["skgen"], "sklearn": models["sklearn kmeans"]}
    show("score_samples", race({name: lambda m=m: m.score_samples(X) for name, m in pair.items()}, rounds + 4)[0])
    show("sample", race({name: lambda m=m: m.sample(n) for name, m in pair.items()}, rounds + 4)[0])
    if profile:
        for call in (calls["skgen"], lambda: pair["skgen"].score_samples(X), lambda: pair["skgen"].sample(n)):
            _profile(call)


def classes(rounds: int, profile: bool) -> None:
    n, d, k = 100_000, 20, 10
    rng = np.random.default_rng(0)
    means, y = rng.normal(0, 1, (k, d)), rng.integers(0, k, n)
    roots = rng.normal(0, 0.3, (k, d, d)) + np.eye(d)
    X = means[y] + np.einsum("nij,nj->ni", roots[y], rng.normal(size=(n, d)))
    fits = {
        "skgen": lambda: skgen.GaussianMixture().fit(X, y),
        "sklearn QDA": lambda: QuadraticDiscriminantAnalysis(tol=1e-8).fit(X, y),
    }
    tables = dict.fromkeys(fits, X)
    if importlib.util.find_spec("pomegranate"):
        import torch
        from pomegranate.bayes_classifier import BayesClassifier
        from pomegranate.distributions import Normal

        torch.set_num_threads(1)
        labels = torch.from_numpy(y)
        for dtype in ("float32", "float64"):
            name = f"pomegranate {dtype}"
            tables[name] = torch.from_numpy(X.astype(dtype))

            def fit(name: str = name, dtype: str = dtype) -> BayesClassifier:
                empty = [
                    Normal(torch.zeros(d, dtype=getattr(torch, dtype)), torch.eye(d, dtype=getattr(torch, dtype))) for _ in range(k)
                ]
                return BayesClassifier(empty if dtype == "float64" else [Normal() for _ in range(k)]).fit(tables[name], labels)

            fits[name] = fit
    least, models = race(fits, rounds)
    show(f"one normal a class: fit, {n} x {d}, {k} classes", least)
    least, answers = race({name: lambda m=m, name=name: m.predict(tables[name]) for name, m in models.items()}, rounds + 4)
    show("predict", least, {name: f"accuracy {np.mean(np.asarray(a) == y):.4f}" for name, a in answers.items()})
    if profile:
        _profile(fits["skgen"])
        _profile(lambda: models["skgen"].predict(X))


def _profile(call) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(call)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(12)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--only", choices=["mixture", "classes"])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for part in (mixture, classes):
        if given.only in (None, part.__name__):
            part(given.rounds, given.profile)
