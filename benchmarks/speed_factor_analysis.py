"""Factor analysis: 50,000 rows x 20 columns made by 10 factors; the same likelihood, or a better one.

Rivals: scikit-learn's FactorAnalysis with its default (randomized) and with its exact (LAPACK) decomposition.
"""

from race import race, report  # first: it limits the threads

import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.decomposition import FactorAnalysis as Peer
from sklearn.exceptions import ConvergenceWarning

from skgen import PPCA, FactorAnalysis


def data(n: int = 50_000, d: int = 20, q: int = 10) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, q)) @ rng.normal(size=(q, d)) + rng.normal(size=(n, d)) * rng.uniform(0.8, 1.5, d)


def main() -> None:
    X = data()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the peer's 1,000 iterations do not always suffice
    ours = {"skgen factor_analysis": lambda: FactorAnalysis(n_components=10, shrinkage=0).fit(X)}
    peers = {
        "scikit-learn FactorAnalysis, lapack": lambda: Peer(10, svd_method="lapack").fit(X),
        "scikit-learn FactorAnalysis, randomized": lambda: Peer(10, random_state=0).fit(X),
    }
    fitted = race(ours, rounds=5) | race(peers, rounds=2, budget=20)
    report("factor analysis, fit", fitted, lambda name, m: f"mean log p {m.score(X):.6f}, {m.n_iter_} iterations")
    models = {name: model for name, (_, model) in fitted.items()}
    report("factor analysis, score", race({name: lambda name=name: models[name].score_samples(X) for name in list(models)[:2]}))
    fits = {
        "skgen ppca": lambda: PPCA(n_components=10, shrinkage=0, units="shared").fit(X),
        "scikit-learn PCA": lambda: PCA(10).fit(X),
    }
    report("probabilistic PCA, fit", race(fits), lambda name, m: f"mean log p {m.score(X):.6f}")
    asked = {name: call() for name, call in fits.items()}
    report("probabilistic PCA, score", race({name: lambda name=name: asked[name].score_samples(X) for name in asked}))


if __name__ == "__main__":
    main()
