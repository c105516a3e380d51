"""Kernel densities: 20,000 rows seen, 2,000 asked about (1,000 in 30 dimensions), the same bandwidth for all.

Rivals: scikit-learn's KernelDensity as it comes, and with one leaf, where its sum is exact. The error is against a float64
sum over all pairs.
"""

from race import race, report  # first: it limits the threads

import time

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity

from skgen import KDE


def data(n_asked: int, d: int, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 2, (5, d))
    X, asked = (centre[rng.integers(0, 5, m)] + rng.normal(size=(m, d)) for m in (n, n_asked))
    return X, asked


def direct(X: np.ndarray, asked: np.ndarray, h: float) -> np.ndarray:
    n, d = X.shape
    square = cdist(asked, X, "sqeuclidean")
    return logsumexp(-0.5 * square / h**2, axis=1) - np.log(n) - d * np.log(h) - 0.5 * d * np.log(2 * np.pi)


def compare(n_asked: int, d: int) -> None:
    X, asked = data(n_asked, d)
    ours = KDE(units="shared", bandwidth=len(X) ** (-1 / (d + 4)) / 2).fit(X)
    h = ours.bandwidths_[0]
    models = {
        "skgen kde": ours,
        "scikit-learn KernelDensity": KernelDensity(bandwidth=h).fit(X),
        "scikit-learn KernelDensity, one leaf": KernelDensity(bandwidth=h, leaf_size=len(X) + 1).fit(X),
    }
    exact = direct(X, asked, h)
    raced = race({name: lambda name=name: models[name].score_samples(asked) for name in models}, rounds=3)
    report(
        f"KDE score, 20,000 rows x {d}, {n_asked} asked",
        raced,
        lambda name, log_p: f"mean log p {log_p.mean():.4f}, largest error {np.abs(log_p - exact).max():.1e} nats",
    )
    start = time.process_time()
    chosen = KDE().fit(X)
    print(f"   fit with bandwidth='loo': {time.process_time() - start:.2f} s, mean log p {chosen.score(asked):.4f}")


def main() -> None:
    for n_asked, d in ((2000, 2), (2000, 10), (1000, 30)):
        compare(n_asked, d)


if __name__ == "__main__":
    main()
