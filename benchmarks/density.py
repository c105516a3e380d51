"""Density estimation on binary tables: fitted on train, chosen on valid, reported on test, beside the published numbers.

    python benchmarks/density.py --data DIR [--models fvsbn nade made] [--sets nade debd/nltcs ...] [--search] [--minutes 10]

DIR holds nade/NAME.npz, debd/NAME.npz and images/binarized_mnist.npz with arrays train, valid and test of zeros and ones
(the images as packed bits). Any registered model will do. Without ``--search`` a model has its default parameters, or those
of ``--set``; with it, each of a few settings, the defaults first, is fitted and the one with the best log-likelihood of the
valid rows is reported beside the defaults. Test rows are scored after that choice. Networks stop early on the valid rows;
other models do not see them. ``--minutes`` is the most that one fit may take: a network stops there with the best weights
so far.

One thread. Numbers are mean log-likelihoods in nats a row. Minutes and seconds are of the processor, since the machine may
be shared; those of the chosen fit are printed, and those of all fits. A table of all sets comes last: of the models asked
for, the best on the valid rows.
"""

import argparse
import ast
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from published_density import PUBLISHED
from sklearn.exceptions import ConvergenceWarning

import skgen


def per_row(c: float) -> Callable[[int], float]:
    """Weight decay of a Gaussian prior of precision c on each weight; "auto" is 1 a row for made, 0.1 for fvsbn and nade."""
    return lambda n: c / n


#: model -> settings tried beside the defaults; a function is called with the number of training rows.
SEARCH: dict[str, list[dict]] = {
    "fvsbn": [{"weight_decay": per_row(1.0)}],
    "nade": [{"weight_decay": per_row(1.0)}, {"hidden_layer_sizes": (500,)}],
    "made": [{"n_masks": 8}, {"n_masks": 8, "weight_decay": per_row(10.0)}],
    "mixture": [{"n_components": k} for k in (8, 32, 128)],
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


def settings_of(model: str, search: bool, given: dict, n: int) -> list[dict]:
    others = SEARCH.get(model, []) if search else []
    settings = [{k: v(n) if callable(v) else v for k, v in own.items()} | given for own in ({}, *others)]
    return [setting for i, setting in enumerate(settings) if setting not in settings[:i]]


def fit(name: str, setting: dict, rows: dict[str, np.ndarray], minutes: float):
    model = skgen.make(name, **{"column_kinds": "binary", "random_state": 0} | setting)
    extra = {}
    if hasattr(model, "early_stopping"):
        extra["X_val"] = rows["valid"]
        model.set_callbacks(StopAfter(60 * minutes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows["train"], **extra)


def run(folder: Path, group: str, name: str, models: list[str], wanted: argparse.Namespace) -> tuple[str, ...]:
    """Fit and print; a line of the table: the set, the defaults, what the search chose, and what was published."""
    rows = load(folder / group, name)
    published = dict(zip(PUBLISHED[group]["columns"], PUBLISHED[group][name], strict=True))
    print(
        f"\n{group}/{name}: train {rows['train'].shape}, valid {len(rows['valid'])}, test {len(rows['test'])}\n   published: "
        + ", ".join(f"{who} {value:.3f}" for who, value in published.items()),
        flush=True,
    )
    defaults, chosen = [], []
    for model_name in models:
        tried, spent = [], 0.0
        for setting in settings_of(model_name, wanted.search, wanted.set, len(rows["train"])):
            began = time.process_time()
            model = fit(model_name, setting, rows, wanted.minutes)
            seconds = time.process_time() - began
            spent += seconds
            tried.append((float(model.score(rows["valid"])), seconds, setting, model))
            if wanted.search:
                print(f"      {model_name:10s} valid {tried[-1][0]:9.3f} {seconds:7.1f} s  {_words(setting)}", flush=True)
        best = max(tried, key=lambda one: one[0])
        for one, found in ((tried[0], defaults), (best, chosen)):
            valid, seconds, setting, model = one
            again = found is chosen and one is tried[0]
            test = defaults[-1][1] if again else float(model.score(rows["test"]))
            found.append((valid, test, model_name, _words(setting)))
            if not again:
                print(
                    f"   {model_name:10s} valid {valid:9.3f}  test {test:9.3f}  {getattr(model, 'n_iter_', 0):4d} epochs "
                    f"{seconds:7.1f} s of {spent:7.1f}  {_words(setting)}",
                    flush=True,
                )
    for found in (defaults, chosen) if wanted.search else (defaults,):
        print("   -> best on valid: {2}, test {1:.3f}  {3}".format(*max(found)), flush=True)
    told = ["{1:.3f} {2} {3}".format(*max(found)).strip() for found in (defaults, chosen)]
    return f"{group}/{name}", *(told if wanted.search else told[:1]), *(f"{value:.3f}" for value in published.values())


def _words(setting: dict) -> str:
    return ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in setting.items())


def tabulate(lines: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    print("\n" + "\n".join("  ".join(f"{cell:{width}s}" for cell, width in zip(line, widths, strict=True)) for line in lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds nade/, debd/ and images/")
    parser.add_argument("--models", nargs="+", default=["fvsbn", "nade", "made"], help="registry names")
    parser.add_argument("--sets", nargs="+", default=["nade", "debd"], help="folders, or FOLDER/NAME")
    parser.add_argument("--search", action="store_true", help="choose among the settings of SEARCH on the valid rows")
    parser.add_argument("--minutes", type=float, default=10.0, help="most minutes of one fit")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="parameters of all fits")
    wanted = parser.parse_args()
    wanted.set = {k: _value(v) for k, v in (one.split("=", 1) for one in wanted.set)}
    try:
        import torch

        torch.set_num_threads(1)
    except ImportError:
        print("torch is not installed: the networks will not run")
    groups: dict[str, list[tuple[str, ...]]] = {}
    for asked in wanted.sets:
        group, _, name = asked.partition("/")
        heading = ("set", "defaults", *(["searched"] if wanted.search else []), *PUBLISHED[group]["columns"])
        lines = groups.setdefault(group, [heading])
        for one in [name] if name else [key for key in PUBLISHED[group] if key != "columns"]:
            lines.append(run(wanted.data, group, one, wanted.models, wanted))
    for lines in groups.values():
        tabulate(lines)


def _value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
