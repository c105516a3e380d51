"""Half of the cells of test rows removed: networks trained for any order, beside exact joint densities and the column means.

    python benchmarks/missing_autoregressive.py --data DIR [--name plants] [--share 0.5] [--rows 500] [--orders 8]
        [--minutes 5] [--only made]

DIR holds ``debd/NAME.npz`` with arrays train, valid and test of zeros and ones. Models learn from complete rows; networks stop
by the valid rows, and after ``--minutes`` of the processor at the latest. From ``--rows`` test rows ``--share`` of the cells
are removed at random. Printed are, for the removed cells,

- log-loss: -log p(x_j | observed cells of the row), mean nats a cell (``predict_missing``);
- error: share of the removed cells whose more probable value is the wrong one;

and log p(observed): mean nats a row of ``score_samples`` of what is left; log p(x): of whole test rows. "column mean" is what
SimpleImputer knows: the column's frequency in train. Components of the mixture are chosen on the valid rows. Seconds of the
processor, one thread: fit, and answers to the questions about removed cells.
"""

import race  # noqa: F401  first: it limits the threads

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from density import StopAfter
from sklearn.exceptions import ConvergenceWarning

import skgen

COMPONENTS = (16, 64, 256)


def removed_cells(model: Any, holes: np.ndarray) -> np.ndarray:
    """p(1) of each NaN cell given the observed ones of its row."""
    p = np.full(holes.shape, np.nan)
    for j in range(holes.shape[1]):
        rows = np.isnan(holes[:, j])
        p[rows, j] = model.predict_missing(holes[rows], j)[:, 1]
    return p


def losses(p: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    asked = ~np.isnan(p)
    q, one = np.clip(p[asked], 1e-12, 1 - 1e-12), truth[asked] == 1
    return float(-np.where(one, np.log(q), np.log1p(-q)).mean()), float(np.mean((q > 0.5) != one))


def mixture(train: np.ndarray, valid: np.ndarray) -> Any:
    fitted = [skgen.make("mixture", n_components=k, column_kinds="binary", random_state=0).fit(train) for k in COMPONENTS]
    return max(fitted, key=lambda model: model.score(valid))


def fits(train: np.ndarray, valid: np.ndarray, orders: int, minutes: float) -> dict:
    def network(name: str) -> Any:
        model = skgen.make(name, n_orders=orders, column_kinds="binary", random_state=0)
        return model.set_callbacks(StopAfter(60 * minutes)).fit(train, X_val=valid)

    return {
        "chow_liu": lambda: skgen.make("chow_liu", column_kinds="binary").fit(train),
        "mixture": lambda: mixture(train, valid),
        "fvsbn": lambda: network("fvsbn"),
        "nade": lambda: network("nade"),
        "made": lambda: network("made"),
    }


def main(data: Path, name: str, share: float, rows: int, orders: int, minutes: float, only: list[str] | None) -> None:
    with np.load(data / "debd" / f"{name}.npz") as arrays:
        train, valid, test = (arrays[part].astype(float) for part in ("train", "valid", "test"))
    rng = np.random.default_rng(0)
    truth = test[rng.choice(len(test), min(rows, len(test)), replace=False)]
    holes = np.where(rng.random(truth.shape) < share, np.nan, truth)
    print(
        f"{name}: {len(train)} training rows, {train.shape[1]} columns; {len(truth)} test rows, {np.isnan(holes).mean():.0%} of "
        f"their cells removed; networks with {orders} orders"
    )
    print(f"   {'':16s} {'log-loss':>8s} {'error':>7s} {'log p(observed)':>16s} {'log p(x)':>9s} {'fit s':>8s} {'answer s':>9s}")
    loss, error = losses(np.where(np.isnan(holes), train.mean(axis=0), np.nan), truth)
    print(f"   {'column mean':16s} {loss:8.4f} {error:7.4f}", flush=True)
    for label, fit in fits(train, valid, orders, minutes).items():
        if only and label not in only:
            continue
        start = time.process_time()
        model = fit()
        fitted = time.process_time()
        loss, error = losses(removed_cells(model, holes), truth)
        answered = time.process_time()
        shown = f"{label} {model.n_components}" if label == "mixture" else label
        print(
            f"   {shown:16s} {loss:8.4f} {error:7.4f} {model.score(holes):16.3f} {model.score(test):9.3f} {fitted - start:8.1f} "
            f"{answered - fitted:9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", default="plants")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--rows", type=int, default=500, help="test rows, at most")
    parser.add_argument("--orders", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=5.0, help="most minutes of one network's fit")
    parser.add_argument("--only", nargs="*")
    given = parser.parse_args()
    warnings.simplefilter("ignore", skgen.ColumnWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    main(given.data, given.name, given.share, given.rows, given.orders, given.minutes, given.only)
