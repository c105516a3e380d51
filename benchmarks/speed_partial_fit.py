"""A million rows, batch by batch: rows a second, and how far memory rises. Rivals: scikit-learn's partial_fit.

Batches of 10,000 rows are made, learnt and dropped, so that what is held does not grow with the table.
"""

from race import race  # first: it limits the threads

import argparse
import resource
from collections.abc import Iterator

import numpy as np
from sklearn.naive_bayes import CategoricalNB, GaussianNB

import skgen

_BATCH = 10_000


def numbers(n: int, seed: int, d: int = 20, n_classes: int = 4) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centre, mix = fixed.normal(0, 1, (n_classes, d)), fixed.normal(0, 0.2, (d, d)) + np.eye(d)
    for _ in range(n // _BATCH):
        y = rng.integers(0, n_classes, _BATCH)
        yield centre[y] + rng.normal(size=(_BATCH, d)) @ mix, y


def symbols(n: int, seed: int, d: int = 20) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    for _ in range(n // _BATCH):
        y = rng.integers(0, 4, _BATCH)
        yield ((np.cumsum(rng.random((_BATCH, d)) < 0.3, axis=1) + y[:, None]) % 4).astype(float), y


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    n = parser.parse_args().rows
    levels = skgen.columns(np.concatenate([x for x, _ in symbols(_BATCH, 0)]), column_kinds="categorical")
    tied = skgen.columns(next(symbols(_BATCH, 0))[0], column_kinds="categorical", step_features=1)
    models = {
        "skgen naive_bayes": (skgen.NaiveBayes(distributions={"continuous": "normal"}), numbers, True),
        "scikit-learn GaussianNB": (GaussianNB(), numbers, True),
        "skgen gaussian_mixture, 1 a class": (skgen.GaussianMixture(), numbers, True),
        "skgen gaussian_mixture, 4 components": (skgen.GaussianMixture(n_components=4, random_state=0), numbers, False),
        "skgen ppca, 5 components": (skgen.PPCA(n_components=5), numbers, False),
        "skgen naive_bayes, 4 levels": (skgen.NaiveBayes(column_kinds=levels), symbols, True),
        "scikit-learn CategoricalNB": (CategoricalNB(), symbols, True),
        "skgen chow_liu, 4 levels": (skgen.ChowLiuTree(column_kinds=levels), symbols, True),
        "skgen markov_chain, 4 levels": (skgen.MarkovChain(order=2, column_kinds=tied), symbols, False),
        "skgen hmm, 4 levels": (skgen.HMM(n_states=4, column_kinds=tied, max_iter=20, tol=1.0, random_state=0), symbols, False),
    }
    print(f"{n:,} rows x 20 in batches of {_BATCH:,}; making them is not counted; memory is what is added after the second")
    for name, (model, source, labelled) in models.items():
        before, spent = None, 0.0
        for i, (X, y) in enumerate(source(n, 0)):
            labels = {"y": y, "classes": np.arange(4)} if labelled and i == 0 else {"y": y} if labelled else {}
            spent += race({"skgen": lambda X=X, labels=labels, model=model: model.partial_fit(X, **labels)}, rounds=1)["skgen"][0]
            if i == 1:
                before = peak()
        X, y = next(source(_BATCH, 1))
        if labelled:
            found = f"accuracy {model.score(X, y):.4f}"
        else:
            found = f"mean log p {(model.score_samples(X) if hasattr(model, 'score_samples') else model.score(X)).mean():.4f}"
        print(f"   {name:44s} {n / spent:12,.0f} rows/s   memory +{peak() - before:5.1f} MB   {found}", flush=True)


if __name__ == "__main__":
    main()
