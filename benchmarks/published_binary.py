"""Test log-likelihoods on the binary density-estimation sets beside the published ones.

    python benchmarks/published_binary.py --data DIR [--models chow_liu naive_bayes ...] [--sets nltcs plants ...]

DIR holds NAME.npz with arrays train, valid and test of zeros and ones. A model is fitted on train alone with its default
parameters, its columns declared binary (a few are constant in train). Published, nats a row: independent columns with
(n1 + 1) / (N + 2), and the Chow-Liu tree with one pseudo-count in each cell of each pairwise table, as reported by
N. Baker ("Machine Learning Project 4 Part 2 Report") and N. A. Khargonkar ("Scaling the learning of Chow Liu trees in
Cutset Networks") and recomputed to five digits.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import skgen

#: set: (independent columns, Chow-Liu tree), mean test log-likelihood
PUBLISHED = {
    "nltcs": (-9.23361, -6.75904),
    "msnbc": (-6.77014, -6.54013),
    "plants": (-31.26622, -16.52402),
    "baudio": (-49.33691, -44.37490),
    "bnetflix": (-64.56141, -60.25035),
    "accidents": (-45.55971, -33.18811),
    "tretail": (-11.42205, -10.94654),
    "dna": (-100.38590, -87.73478),
    "kosarek": (-13.32863, -11.49008),
    "book": (-41.12138, -37.84281),
    "cwebkb": (-179.98159, -163.47066),
    "c20ng": (-172.38940, -164.11668),
    "ad": (-63.81681, -16.91799),
}
#: the column of PUBLISHED that a model reproduces
REPRODUCES = {"naive_bayes": 0, "chow_liu": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds debd/NAME.npz")
    parser.add_argument("--models", nargs="+", default=list(REPRODUCES), help="registry names")
    parser.add_argument("--sets", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    wanted = parser.parse_args()
    print(
        f"{'set':10s} {'rows':>7s} {'columns':>7s} {'model':18s} {'test log p':>11s} {'independent':>11s} {'tree':>11s} "
        f"{'off by':>8s} {'fit s':>6s} {'score s':>7s}"
    )
    worst: dict[str, float] = {}
    for name in wanted.sets:
        with np.load(wanted.data / "debd" / f"{name}.npz") as arrays:
            train, test = arrays["train"], arrays["test"]
        for model_name in wanted.models:
            start = time.perf_counter()
            model = skgen.make(model_name, column_kinds="binary", random_state=0).fit(train)
            fitted = time.perf_counter()
            found = model.score(test)
            scored = time.perf_counter()
            independent, tree = PUBLISHED[name]
            off = ""
            if model_name in REPRODUCES:
                gap = found - PUBLISHED[name][REPRODUCES[model_name]]
                worst[model_name] = max(worst.get(model_name, 0.0), abs(gap))
                off = f"{gap:+.0e}"
            print(
                f"{name:10s} {len(train):7d} {train.shape[1]:7d} {model_name:18s} {found:11.5f} {independent:11.5f} {tree:11.5f} "
                f"{off:>8s} {fitted - start:6.2f} {scored - fitted:7.2f}",
                flush=True,
            )
    for model_name, gap in worst.items():
        print(f"{model_name}: largest distance from the published number {gap:.1e} nats")


if __name__ == "__main__":
    main()
