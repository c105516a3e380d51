"""Chow-Liu tree: 50,000 rows x 64 binary columns drawn from a random tree; fit, log p of every row, 50,000 draws.

Rival, where installed: pomegranate's BayesianNetwork(algorithm="chow-liu"). It needs minutes to score or draw all rows, so
it gets a part of them and its time is scaled to all.
"""

from race import race, report  # first: it limits the threads

import numpy as np

from skgen import ChowLiuTree

N, D = 50_000, 64
SCORED, DRAWN = 5_000, 250  # the rival's rows


class Truth:
    """A random tree: column i depends on one of the five before it."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.parents = [-1] + [int(rng.integers(max(0, i - 5), i)) for i in range(1, D)]
        self.p = rng.beta(0.7, 0.7, (D, 2))  # p(x_i = 1 | parent)

    def _p(self, X: np.ndarray, i: int) -> np.ndarray:
        return self.p[i, X[:, self.parents[i]]] if self.parents[i] >= 0 else np.full(len(X), self.p[i, 0])

    def draw(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        X = np.zeros((n, D), np.uint8)
        for i in range(D):
            X[:, i] = rng.random(n) < self._p(X, i)
        return X

    def log_prob(self, X: np.ndarray) -> np.ndarray:
        return sum(np.log(np.where(X[:, i] == 1, self._p(X, i), 1 - self._p(X, i))) for i in range(D))


def scaled(raced: dict, share: dict[str, float]) -> dict:
    """Times of contenders that did a share of the work, as if they had done it all."""
    return {name: (seconds / share.get(name, 1.0), result) for name, (seconds, result) in raced.items()}


def main() -> None:
    truth = Truth()
    X, test = truth.draw(N, 1), truth.draw(10_000, 2)
    print(f"{N} x {D} binary; the true tree has {truth.log_prob(test).mean():.4f} nats a row on {len(test)} test rows")
    inputs = {f"skgen chow_liu, {np.dtype(dtype)}": X.astype(dtype) for dtype in (np.uint8, np.int64, np.float64)}
    fits = {name: lambda rows=rows: ChowLiuTree(random_state=0).fit(rows) for name, rows in inputs.items()}
    pomegranate = "pomegranate chow-liu"
    try:
        import torch
        from pomegranate.bayesian_network import BayesianNetwork

        torch.set_num_threads(1)
        rows, few = torch.from_numpy(X.astype(np.int32)), torch.from_numpy(test[:SCORED].astype(np.int32))
        fits[pomegranate] = lambda: BayesianNetwork(algorithm="chow-liu").fit(rows)
    except ImportError:
        print("pomegranate is not installed: its rows are left out")
    fitted = race(fits, rounds=5)
    models = {name: model for name, (_, model) in fitted.items()}

    def likelihood(name: str, model: object) -> str:
        if name == pomegranate:
            return f"test log p {float(model.log_probability(few).mean()):.4f} on {SCORED} rows"
        return f"test log p {model.score(test):.4f}, on the first {SCORED} rows {model.score(test[:SCORED]):.4f}"

    report("fit", fitted, likelihood)
    scores = {name: lambda name=name: models[name].score_samples(inputs[name]) for name in inputs}
    draws = {name: lambda name=name: models[name].sample(N) for name in inputs}
    if pomegranate in models:
        scores[pomegranate] = lambda: models[pomegranate].log_probability(few).numpy()
        draws[pomegranate] = lambda: models[pomegranate].sample(DRAWN).numpy()
    scored = scaled(race(scores, rounds=3, budget=30), {pomegranate: SCORED / N})
    report(f"log p of {N} rows", scored, lambda name, log_p: f"mean {log_p.mean():.4f} on {len(log_p)} rows")
    drawn = scaled(race(draws, rounds=3, budget=30), {pomegranate: DRAWN / N})
    report(f"{N} draws", drawn, lambda name, rows: f"true log p of the draws {truth.log_prob(np.asarray(rows, int)).mean():.3f}")
    gaps = test.astype(float)
    gaps[np.random.default_rng(3).random(gaps.shape) < 0.2] = np.nan
    ours = models["skgen chow_liu, float64"]
    seconds, log_p = race({"gaps": lambda: ours.score_samples(gaps)})["gaps"]
    print(f"   rows with a fifth of the cells missing: {len(gaps) / seconds:,.0f} a second, mean log p {log_p.mean():.4f}")


if __name__ == "__main__":
    main()
