"""Fitted trees as plain arrays: where a row falls, which leaves an incomplete row may fall in, and what region a leaf is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeClassifier

__all__ = ["Trees"]


@dataclass
class Trees:
    """T trees side by side, M nodes and L leaves in all; a cell at most the threshold goes left.

    ``feature`` (M,) is -1 at a leaf, which is its own child; ``leaf`` (M,) numbers the leaves from 0, tree by tree, and is -1
    elsewhere; ``root`` (T,) is each tree's first node. A parent comes before its children.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    root: np.ndarray

    def __post_init__(self) -> None:
        ends = self.feature < 0
        self.leaf = np.where(ends, np.cumsum(ends) - 1, -1)
        self.n_leaves = int(ends.sum())
        self.tree_of_leaf = (np.searchsorted(self.root, np.flatnonzero(ends), side="right") - 1).astype(np.intp)

    @classmethod
    def of(cls, fitted: Sequence[DecisionTreeClassifier]) -> Trees:
        """From scikit-learn's trees."""
        grown = [tree.tree_ for tree in fitted]
        sizes = np.array([tree.node_count for tree in grown])
        root = np.cumsum(sizes) - sizes
        left, right = (
            np.concatenate([getattr(tree, side) + first for tree, first in zip(grown, root, strict=True)])
            for side in ("children_left", "children_right")
        )
        feature = np.concatenate([np.where(tree.children_left < 0, -1, tree.feature) for tree in grown])
        here, ends = np.arange(len(feature)), feature < 0
        threshold = np.where(ends, np.inf, np.concatenate([tree.threshold for tree in grown]))
        return cls(feature, threshold, np.where(ends, here, left), np.where(ends, here, right), root)

    @classmethod
    def stump(cls) -> Trees:
        """One tree of one leaf."""
        one = np.zeros(1, dtype=np.intp)
        return cls(one - 1, np.array([np.inf]), one, one, one)

    # ---- where rows fall

    def find(self, X: np.ndarray) -> np.ndarray:
        """The leaf of each complete row in each tree.

        Parameters
        ----------
        X : array of shape (n, d)

        Returns
        -------
        int array of shape (n, T)
        """
        row = np.arange(len(X))[:, None]
        node = np.repeat(self.root[None], len(X), axis=0)
        while (self.feature[node] >= 0).any():
            node = np.where(X[row, self.feature[node]] <= self.threshold[node], self.left[node], self.right[node])
        return self.leaf[node]

    def reach(self, X: np.ndarray, most: int | None = None) -> tuple[np.ndarray, np.ndarray] | None:
        """Every leaf that a row with missing cells may fall in: a missing cell goes both ways.

        Returns
        -------
        row, leaf : int arrays of shape (m,)
            Pairs in the order of the rows; None if there are more than ``most`` at a time.
        """
        row, node = np.repeat(np.arange(len(X)), len(self.root)), np.tile(self.root, len(X))
        rows, leaves = [], []
        while len(node):
            if most is not None and len(node) > most:
                return None
            ends = self.feature[node] < 0
            rows.append(row[ends])
            leaves.append(self.leaf[node[ends]])
            row, node = row[~ends], node[~ends]
            x, cut = X[row, self.feature[node]], self.threshold[node]
            to_left, to_right = ~(x > cut), ~(x <= cut)  # both of a NaN
            node = np.concatenate([self.left[node[to_left]], self.right[node[to_right]]])
            row = np.concatenate([row[to_left], row[to_right]])
        row, leaf = np.concatenate(rows), np.concatenate(leaves)
        order = np.lexsort((leaf, row))
        return row[order], leaf[order]

    def regions(self, d: int) -> tuple[np.ndarray, np.ndarray]:
        """The box of each leaf, lower < x <= upper, (L, d) each; infinite where the tree did not split."""
        lower, upper = np.full((len(self.feature), d), -np.inf), np.full((len(self.feature), d), np.inf)
        level = self.root[self.feature[self.root] >= 0]
        while len(level):
            left, right, split, cut = self.left[level], self.right[level], self.feature[level], self.threshold[level]
            for child in (left, right):
                lower[child], upper[child] = lower[level], upper[level]
            upper[left, split] = cut
            lower[right, split] = cut
            level = np.concatenate([left, right])
            level = level[self.feature[level] >= 0]
        ends = self.feature < 0
        return lower[ends], upper[ends]

    # ---- leaves with too few rows

    def prune(self, X: np.ndarray, weight: np.ndarray, least: float) -> Trees:
        """Without leaves in which rows X weigh less than ``least``: the other side of the split takes the parent's place.

        Held-out rows would have probability zero in a leaf without real rows, and a normal of one row is none.
        """
        found, trees = self.find(X), len(self.root)
        mass = np.zeros(len(self.feature))
        mass[self.feature < 0] = np.bincount(found.ravel(), np.repeat(weight, trees), self.n_leaves)
        feature, left, right = self.feature.copy(), self.left.copy(), self.right.copy()
        stands = np.arange(len(feature))  # what takes the place of a node; -1 for nothing
        for node in range(len(feature) - 1, -1, -1):  # children before their parents
            if feature[node] < 0:
                stands[node] = node if mass[node] >= least else -1
                continue
            mass[node] = mass[left[node]] + mass[right[node]]
            a, b = stands[left[node]], stands[right[node]]
            if a >= 0 and b >= 0:
                left[node], right[node] = a, b
            elif a >= 0 or b >= 0:
                stands[node] = max(a, b)
            else:  # together they may have enough
                feature[node], stands[node] = -1, node if mass[node] >= least else -1
        root = np.where(stands[self.root] >= 0, stands[self.root], self.root)
        feature[self.root[stands[self.root] < 0]] = -1
        return Trees(feature, self.threshold, left, right, root)._compressed()

    def _compressed(self) -> Trees:
        """Without the nodes that no root leads to."""
        kept = np.zeros(len(self.feature), dtype=bool)
        level = self.root
        while len(level):
            kept[level] = True
            inner = level[self.feature[level] >= 0]
            level = np.concatenate([self.left[inner], self.right[inner]])
        place = np.cumsum(kept) - 1
        feature, here = self.feature[kept], np.arange(int(kept.sum()))
        ends = feature < 0
        left, right = (np.where(ends, here, place[side[kept]]) for side in (self.left, self.right))
        return Trees(feature, np.where(ends, np.inf, self.threshold[kept]), left, right, place[self.root])
