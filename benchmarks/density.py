"""Density estimation on binary tables: fitted on train, chosen on valid, reported on test, beside the published numbers.

    python benchmarks/density.py --data DIR [--models fvsbn nade made] [--sets nade debd/nltcs ...] [--search] [--minutes 10]

DIR holds nade/NAME.npz, debd/NAME.npz and images/binarized_mnist.npz with arrays train, valid and test of zeros and ones
(the images as packed bits). Any registered model will do. Without ``--search`` a model has its default parameters, or those
of ``--set``; with it, each setting of a small grid is fitted and the one with the best log-likelihood of the valid rows is
reported. Test rows are scored once, after that choice. Networks stop early on the valid rows; other models do not see
them. ``--minutes`` is the most that one fit may take: a network stops there with the best weights so far.

One thread. Numbers are mean log-likelihoods in nats a row. Minutes and seconds are of the processor, since the machine may
be shared; those of the chosen fit are printed, and those of all fits.
"""

import argparse
import ast
import os
import time
import warnings
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from published_density import PUBLISHED
from sklearn.exceptions import ConvergenceWarning

import skgen

#: model -> lists of values; the grid is their product. Not given here: the defaults alone.
GRIDS: dict[str, dict[str, list]] = {
    "fvsbn": {"weight_decay": [0.0, 1e-4, 1e-3], "learning_rate": [0.003, 0.01]},
    "nade": {"hidden_layer_sizes": [(100,), (500,)], "weight_decay": [0.0, 1e-4]},
    "made": {"hidden_layer_sizes": [(100,), (500,)], "weight_decay": [0.0, 1e-4]},
    "mixture": {"n_components": [8, 32, 128]},
}


class StopAfter:
    """A callback of scikit-learn that ends the training of a network after so many seconds of the processor."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def setup(self, estimator, context) -> None:
        self.began = time.process_time()

    def teardown(self, estimator, context) -> None:
        """Nothing to put away."""

    def on_fit_task_begin(self, estimator, context, **_) -> None:
        """Nothing to note."""

    def on_fit_task_end(self, estimator, context, **_) -> bool:
        return time.process_time() - self.began > self.seconds


def load(folder: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(folder / f"{name}.npz") as arrays:
        parts = {part: arrays[part] for part in ("train", "valid", "test")}
    return {k: np.unpackbits(v, axis=1) for k, v in parts.items()} if name == "binarized_mnist" else parts


def settings_of(model: str, search: bool, given: dict) -> list[dict]:
    grid = {k: v for k, v in GRIDS.get(model, {}).items() if k not in given} if search else {}
    return [given | dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def fit(name: str, setting: dict, rows: dict[str, np.ndarray], minutes: float):
    model = skgen.make(name, **{"column_kinds": "binary", "random_state": 0} | setting)
    extra = {}
    if hasattr(model, "early_stopping"):
        extra["X_val"] = rows["valid"]
        model.set_callbacks(StopAfter(60 * minutes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows["train"], **extra)


def run(folder: Path, group: str, name: str, models: list[str], wanted: argparse.Namespace) -> None:
    rows = load(folder / group, name)
    published = PUBLISHED[group]
    print(
        f"\n{group}/{name}: train {rows['train'].shape}, valid {len(rows['valid'])}, test {len(rows['test'])}\n   published: "
        + ", ".join(f"{who} {value:.3f}" for who, value in zip(published["columns"], published[name], strict=True)),
        flush=True,
    )
    found = []
    for model_name in models:
        tried, spent = [], 0.0
        for setting in settings_of(model_name, wanted.search, wanted.set):
            began = time.process_time()
            model = fit(model_name, setting, rows, wanted.minutes)
            seconds = time.process_time() - began
            spent += seconds
            tried.append((float(model.score(rows["valid"])), seconds, setting, model))
            if wanted.search:
                print(f"      {model_name:10s} valid {tried[-1][0]:9.3f} {seconds:7.1f} s  {setting}", flush=True)
        valid, seconds, setting, model = max(tried, key=lambda one: one[0])
        test = float(model.score(rows["test"]))
        found.append((valid, test, model_name))
        epochs = getattr(model, "n_iter_", 0)
        print(
            f"   {model_name:10s} valid {valid:9.3f}  test {test:9.3f}  {epochs:4d} epochs {seconds:7.1f} s of {spent:7.1f}  "
            f"{setting}",
            flush=True,
        )
    if len(found) > 1:
        valid, test, model_name = max(found)
        print(f"   -> best on valid: {model_name}, test {test:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds nade/, debd/ and images/")
    parser.add_argument("--models", nargs="+", default=["fvsbn", "nade", "made"], help="registry names")
    parser.add_argument("--sets", nargs="+", default=["nade", "debd"], help="folders, or FOLDER/NAME")
    parser.add_argument("--search", action="store_true", help="choose among the settings of GRIDS on the valid rows")
    parser.add_argument("--minutes", type=float, default=10.0, help="most minutes of one fit")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="parameters of all fits")
    wanted = parser.parse_args()
    wanted.set = {k: _value(v) for k, v in (one.split("=", 1) for one in wanted.set)}
    try:
        import torch

        torch.set_num_threads(1)
    except ImportError:
        print("torch is not installed: the networks will not run")
    for asked in wanted.sets:
        group, _, name = asked.partition("/")
        for one in [name] if name else [key for key in PUBLISHED[group] if key != "columns"]:
            run(wanted.data, group, one, wanted.models, wanted)


def _value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
