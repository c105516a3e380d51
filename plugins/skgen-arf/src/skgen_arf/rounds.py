"""The adversarial rounds: forests that tell real rows from synthetic ones, which are drawn from the forest before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from skgen_arf.trees import Trees

__all__ = ["Growth", "play"]

_MOST_DRAWS = 10  # rows of a bootstrap sample, in numbers of rows given: larger weights are a matter of scale


@dataclass(frozen=True)
class Growth:
    """How a forest is grown."""

    n_estimators: int
    min_samples_leaf: int
    max_depth: int | None
    max_features: float | str | None


def play(
    X: np.ndarray, weight: np.ndarray, how: Growth, max_iter: int, tol: float, rng: np.random.Generator
) -> tuple[Trees, list[float], bool]:
    """Rounds until synthetic rows are not told from real ones, or are told better than the round before.

    Parameters
    ----------
    X : array of shape (n, d)
        Complete coded rows.
    weight : array of shape (n,)
        Positive; a row of weight 2 is that row twice.
    max_iter : int
        Rounds after the first forest.
    tol : float
        delta: not told apart is an accuracy of at most 1/2 + delta.

    Returns
    -------
    trees : Trees
        The forest whose rows passed for real, or did so best.
    accuracy : list of float
        Out-of-bag accuracy of each forest grown.
    passed : bool
        Whether the last accuracy is at most 1/2 + delta.
    """
    n_draws = int(np.clip(np.rint(weight.sum()), 1, _MOST_DRAWS * len(X)))
    trees, accuracy = Trees.stump(), []
    for _ in range(max_iter + 1):
        after, told = _tell_apart(X, weight, _draw(trees, X, weight, n_draws, rng), n_draws, how, rng)
        accuracy.append(told)
        if len(accuracy) == 1:
            trees = after
        if told <= 0.5 + tol:
            return trees, accuracy, True
        if len(accuracy) > 1:
            if told >= accuracy[-2]:
                break
            trees = after
    return trees, accuracy, False


def _draw(trees: Trees, X: np.ndarray, weight: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n synthetic rows: a leaf by its coverage, then each cell from one of the real rows in it, the columns independently.

    With a single leaf that is the product of the marginals, from which the first round starts.
    """
    found = trees.find(X)
    T = found.shape[1]
    order = np.argsort(found, axis=None, kind="stable")
    row = order // T
    mass = np.concatenate([[0.0], np.cumsum(weight[row])])
    of_leaf = np.searchsorted(found.ravel()[order], np.arange(trees.n_leaves + 1))
    # a row by its weight, in a tree: its leaf has come with probability coverage
    chosen = found[rng.choice(len(X), n, p=weight / weight.sum()), rng.integers(T, size=n)]
    first, last = of_leaf[chosen], of_leaf[chosen + 1] - 1
    out = np.empty((n, X.shape[1]))
    for j in range(X.shape[1]):
        at = mass[first] + rng.random(n) * (mass[last + 1] - mass[first])
        out[:, j] = X[row[np.clip(np.searchsorted(mass, at, side="right") - 1, first, last)], j]
    return out


def _tell_apart(
    X: np.ndarray, weight: np.ndarray, fake: np.ndarray, n_draws: int, how: Growth, rng: np.random.Generator
) -> tuple[Trees, float]:
    """A forest that tells the rows X from ``fake``, and its accuracy on rows that a tree has not seen (out of bag).

    Each tree has its own bootstrap sample, as many real rows by their weights as synthetic ones; the least size of a leaf is
    counted in rows of that sample, so that a row of weight 2 counts twice there too.
    """
    both = np.concatenate([X, fake]).astype(np.float32)  # what scikit-learn's trees read
    real, share = np.arange(len(both)) < len(X), np.concatenate([weight / weight.sum(), np.full(len(fake), 1 / len(fake))])
    least = min(0.5, how.min_samples_leaf / (2 * n_draws))
    fitted, votes, asked = [], np.zeros(len(both)), np.zeros(len(both))
    for _ in range(how.n_estimators):
        count = np.concatenate([rng.multinomial(n_draws, share[real]), rng.multinomial(n_draws, share[~real])])
        tree = DecisionTreeClassifier(
            min_weight_fraction_leaf=least,
            max_depth=how.max_depth,
            max_features=how.max_features,
            random_state=int(rng.integers(2**31 - 1)),
        )
        bag = count > 0
        tree.fit(both[bag], real[bag], sample_weight=count[bag].astype(float))
        fitted.append(tree)
        if not bag.all():
            votes[~bag] += tree.predict_proba(both[~bag])[:, 1]
            asked[~bag] += 1
    p = votes / np.maximum(asked, 1)
    right = np.where(p == 0.5, 0.5, (p > 0.5) == real) * (asked > 0) * share
    share = share * (asked > 0)
    # half the mean accuracy of either kind of rows, as if there were as many
    halves = [right[kind].sum() / share[kind].sum() if share[kind].any() else 0.5 for kind in (real, ~real)]
    return Trees.of(fitted), float(np.mean(halves))
