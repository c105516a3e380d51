"""Imputers side by side: error of hidden cells, accuracy of what is learnt from the filled table, coverage of 90 % intervals.

    python benchmarks/imputation.py --data DIR [--only adult horse_colic wine] [--folds 5] [--rows 4000] [--hide 0.2]

DIR holds ``tabular/adult.csv.gz`` and ``tabular/horse_colic.csv.gz``; wine is scikit-learn's. A share of the observed
cells, drawn at random, is hidden in all rows. In each fold an imputer is fitted on the other folds' features, fills them
and the fold, and

- RMSE: root mean square error of the fold's hidden numeric cells, in standard deviations of the column;
- wrong: share of the fold's hidden cells of categorical columns that are filled with another level;
- logistic, boosting: accuracy on the filled fold of a classifier fitted on the other filled folds (one-hot columns);
- coverage: share of hidden numeric cells inside the central 90 % interval of draws, for the imputers that draw. Where
  draws equal the cell (integer columns) its rank among them is drawn, so that right draws give .90 there too.

scikit-learn's imputers get numbers standardised and categories one-hot, a missing category being missing in all its
columns; the level with the highest value is taken. Those named "ordinal" get the number of the level, rounded back. No
setting is tuned: every row but those that name a number of components or neighbours has its defaults.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

import skgen

DRAWS = 50


def load(name: str, data: Path, rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Features, integer columns nullable, and labels; an even sample of a large table."""
    if name == "wine":
        X, y = load_wine(return_X_y=True, as_frame=True)
        return X, y.to_numpy()
    frame = pd.read_csv(data / "tabular" / f"{name}.csv.gz").drop(columns="split")
    target = {"adult": "income", "horse_colic": "surgical_lesion"}[name]
    if len(frame) > rows:
        frame = frame.sample(rows, random_state=0).reset_index(drop=True)
    y = pd.factorize(frame.pop(target), sort=True)[0]
    for column in frame:
        if frame[column].dtype.kind in "iu":
            frame[column] = frame[column].astype("Int64")
        elif frame[column].dtype.kind != "f":
            frame[column] = frame[column].astype("category")
    return frame, y


def is_category(frame: pd.DataFrame) -> np.ndarray:
    return np.array([isinstance(dtype, pd.CategoricalDtype) for dtype in frame.dtypes])


class OneHot:
    """A mixed table as standardised numbers and categories one-hot (or by their number in order), and back."""

    def __init__(self, frame: pd.DataFrame, ordinal: bool = False) -> None:
        self.like, self.ordinal = frame, ordinal
        self.names = is_category(frame)
        numbers = frame.loc[:, ~self.names].astype(float)
        self.centre, self.width = numbers.mean().to_numpy(), numbers.std().replace(0, 1).to_numpy()
        self.levels = [frame[c].cat.categories for c in frame.columns[self.names]]

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        blocks = [(frame.loc[:, ~self.names].astype(float).to_numpy() - self.centre) / self.width]
        for c, levels in zip(frame.columns[self.names], self.levels, strict=True):
            codes = frame[c].cat.codes.to_numpy()
            if self.ordinal:
                blocks.append(np.where(codes < 0, np.nan, codes / len(levels))[:, None])
                continue
            blocks.append(np.where(codes[:, None] < 0, np.nan, codes[:, None] == np.arange(len(levels))))
        return np.concatenate(blocks, axis=1)

    def decode(self, Z: np.ndarray) -> pd.DataFrame:
        at = int((~self.names).sum())
        numbers = iter((Z[:, :at] * self.width + self.centre).T)
        out, levels = {}, iter(self.levels)
        for c, name in zip(self.like.columns, self.names, strict=True):
            if name:
                here = next(levels)
                if self.ordinal:
                    codes = np.clip(np.rint(Z[:, at] * len(here)), 0, len(here) - 1).astype(int)
                else:
                    codes = Z[:, at : at + len(here)].argmax(axis=1)
                out[c] = pd.Categorical.from_codes(codes, here)
                at += 1 if self.ordinal else len(here)
            else:
                out[c] = next(numbers)
        return pd.DataFrame(out)


class Rival:
    """An imputer of scikit-learn's behind the one-hot code."""

    def __init__(self, imputer, draws: int = 0, ordinal: bool = False) -> None:
        self.imputer, self.draws, self.ordinal = imputer, draws, ordinal

    def fit(self, X: pd.DataFrame) -> Rival:
        self.code = OneHot(X, self.ordinal)
        self.imputer.fit(self.code.encode(X))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return self.code.decode(self.imputer.transform(self.code.encode(X)))

    def draw(self, X: pd.DataFrame) -> np.ndarray | None:
        if not self.draws:
            return None
        return np.stack([numbers(self.transform(X)) for _ in range(self.draws)])


class Ours:
    """A model behind GenerativeImputer; kinds and levels are settled once, on the whole table."""

    def __init__(self, model) -> None:
        self.imputer = skgen.GenerativeImputer(model, random_state=0)

    def fit(self, X: pd.DataFrame) -> Ours:
        self.imputer.fit(X)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return self.imputer.transform(X)

    def draw(self, X: pd.DataFrame) -> np.ndarray:
        drawn = self.imputer.model_.sample_conditional(X, DRAWS, random_state=1)
        return numbers(drawn).reshape(len(X), DRAWS, -1).swapaxes(0, 1)


def numbers(frame: pd.DataFrame) -> np.ndarray:
    """The numeric columns."""
    return frame.loc[:, ~is_category(frame)].astype(float).to_numpy()


def imputers(X: pd.DataFrame) -> dict:
    """Name -> imputer; those whose model takes the kinds of the table."""
    make = skgen.make
    mixed = is_category(X).any()
    # scikit-learn's numeric columns are standardised, so that the mean is 0 and the most frequent level the largest mean
    out = {
        "SimpleImputer": lambda: Rival(SimpleImputer()),
        "KNNImputer 5": lambda: Rival(KNNImputer()),
        "KNNImputer 20": lambda: Rival(KNNImputer(n_neighbors=20)),
        "IterativeImputer": lambda: Rival(IterativeImputer(random_state=0, max_iter=5 if mixed else 10)),
        "GenerativeImputer": lambda: Ours(skgen.GenerativeImputer().model),
        "naive_bayes": lambda: Ours("naive_bayes"),
        "mixture 3": lambda: Ours(make("mixture", n_components=3)),
        "mixture 10": lambda: Ours(make("mixture", n_components=10)),
        "mixture 30": lambda: Ours(make("mixture", n_components=30)),
        "bayes_net": lambda: Ours("bayes_net"),
        "chow_liu": lambda: Ours("chow_liu"),
    }
    if mixed:  # one-hot columns that are missing together only tell of each other
        out["IterativeImputer, ordinal"] = lambda: Rival(IterativeImputer(random_state=0), ordinal=True)
        out["IterativeImputer, ordinal, drawing"] = lambda: Rival(IterativeImputer(random_state=0, sample_posterior=True), 20, True)
    else:
        out["IterativeImputer, drawing"] = lambda: Rival(IterativeImputer(random_state=0, sample_posterior=True), 20)
        out["gaussian_mixture 1"] = lambda: Ours("gaussian_mixture")
        out["gaussian_mixture 3"] = lambda: Ours(make("gaussian_mixture", n_components=3))
        out["factor_analysis 3"] = lambda: Ours(make("factor_analysis", n_components=3))
        out["ppca 3"] = lambda: Ours(make("ppca", n_components=3))
    return out


def covered(draws: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whether each cell lies in the central 90 % of its draws (m, n), by its rank among them."""
    below, equal = (draws < truth).sum(axis=0), (draws == truth).sum(axis=0)
    rank = (below + rng.random(len(truth)) * (equal + 1)) / (len(draws) + 1)
    return (rank > 0.05) & (rank < 0.95)


def accuracy(model, train: pd.DataFrame, y_train: np.ndarray, test: pd.DataFrame, y_test: np.ndarray) -> float:
    code = OneHot(train)
    return model.fit(code.encode(train), y_train).score(code.encode(test), y_test)


def run(X: pd.DataFrame, y: np.ndarray, make, folds: int, hide: float, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    names = is_category(X)
    hidden = (rng.random(X.shape) < hide) & X.notna().to_numpy()
    seen = X.mask(hidden)
    scale = X.loc[:, ~names].astype(float).std().to_numpy()
    found: dict[str, list] = {key: [] for key in ("square", "wrong", "logistic", "boosting", "coverage")}
    start = time.process_time()
    spent = 0.0
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(X, y):
        begun = time.process_time()
        imputer = make().fit(seen.iloc[train])
        filled, filled_test = imputer.transform(seen.iloc[train]), imputer.transform(seen.iloc[test])
        spent += time.process_time() - begun
        at = hidden[test][:, ~names]
        truth, width = numbers(X.iloc[test]), np.broadcast_to(scale, at.shape)
        found["square"].append((((numbers(filled_test) - truth) / width)[at]) ** 2)
        for j in np.flatnonzero(names):
            rows = hidden[test][:, j]
            right = filled_test.iloc[:, j].astype(str).to_numpy() == X.iloc[test, j].astype(str).to_numpy()
            found["wrong"].append(~right[rows])
        draws = imputer.draw(seen.iloc[test])
        if draws is not None:
            found["coverage"].append(covered(draws[:, at], truth[at], rng))
        for key, model in (
            ("logistic", LogisticRegression(max_iter=2000)),
            ("boosting", HistGradientBoostingClassifier(max_iter=100, random_state=0)),
        ):
            found[key].append([accuracy(model, filled, y[train], filled_test, y[test])])
    mean = {key: float(np.concatenate(values).mean()) if values else np.nan for key, values in found.items()}
    mean["rmse"] = np.sqrt(mean.pop("square"))
    mean["seconds"] = spent / folds
    mean["total"] = time.process_time() - start
    return mean


def main(data: Path, only: list[str], folds: int, rows: int, hide: float, seed: int, rivals: list[str] | None) -> None:
    for name in only:
        X, y = load(name, data, rows)
        n_numeric = int((~is_category(X)).sum())
        print(
            f"{name}: {len(X)} rows, {n_numeric} numeric and {X.shape[1] - n_numeric} categorical columns, "
            f"{X.isna().to_numpy().mean():.0%} missing as it comes, {hide:.0%} of the rest hidden, {folds} folds"
        )
        print(f"   {'':34s} {'RMSE':>6s} {'wrong':>6s} {'logistic':>8s} {'boosting':>8s} {'coverage':>8s} {'s / fold':>8s}")
        for label, make in imputers(X).items():
            if rivals and not any(label.startswith(one) for one in rivals):
                continue
            try:
                r = run(X, y, make, folds, hide, seed)
            except ValueError as error:
                print(f"   {label:34s} {str(error)[:110]}")
                continue
            print(
                f"   {label:34s} {r['rmse']:6.3f} {r['wrong']:6.3f} {r['logistic']:8.3f} {r['boosting']:8.3f} "
                f"{r['coverage']:8.3f} {r['seconds']:8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=["adult", "horse_colic", "wine"], default=["wine", "horse_colic", "adult"])
    parser.add_argument("--imputers", nargs="*", help="beginnings of the names of those to run")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--hide", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore", skgen.ColumnWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    main(given.data, given.only, given.folds, given.rows, given.hide, given.seed, given.imputers)
