"""VAEs on fixed binarized MNIST: importance-weighted NLL, the bound for more and more draws, and pictures.

    python benchmarks/vae_mnist.py --data DIR [--which elbo iwae vamp] [--minutes 20] [--out FOLDER]

DIR holds images/binarized_mnist.npz, or is that folder itself. The three objectives share their networks (784-300-300-40 and
back) and all other settings: the evidence lower bound, the importance-weighted one of five draws (IWAE), and the bound with
a mixture of 500 posteriors for a prior (VampPrior). 50,000 rows are trained on, 10,000 valid rows say which weights are
kept, and the 10,000 test rows are scored once, by 500 draws. ``--minutes`` of the processor, one thread, end a fit with the
best weights so far. Published for one layer of codes: 89.8 (Burda et al. 2016 have 84.8 and 86.8 for stochastic binarization).
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from binarized_mnist import SIDE, picture
from density import fit, load

torch.set_num_threads(1)

NETWORKS = {
    "n_components": 40,
    "hidden_layer_sizes": (300, 300),
    "activation": "tanh",
    "learning_rate": 2e-3,
    "batch_size": 128,
    "averaging": 2.0,
    "n_iter_no_change": 5,
    "tol": 0.01,
    "n_samples_score": 500,
}
SETTINGS = {"elbo": {}, "iwae": {"n_importance": 5}, "vamp": {"prior": "vamp", "n_pseudo": 500}}


def run(which: str, rows: dict[str, np.ndarray], minutes: float, out: Path | None) -> None:
    began = time.process_time()
    model = fit("vae", NETWORKS | SETTINGS[which], rows, minutes)
    spent = (time.process_time() - began) / 60
    active = model.history_["active_units"][-1]
    print(f"{which}: {model.n_iter_} epochs, {spent:.1f} CPU minutes, {active} of 40 codes active", flush=True)
    terms = model.set_params(n_samples_score=1).elbo_terms(rows["test"][::10])
    print(f"   every tenth test row: -ELBO {-terms['elbo'].mean():.2f}, KL {terms['kl'].mean():.2f}", flush=True)
    for draws in (1, 10, 100, 500):
        some = -float(model.set_params(n_samples_score=draws).score(rows["test"][::10]))
        print(f"   every tenth test row, {draws:3d} draws: {some:.3f} nats", flush=True)
    print(f"   all test rows, 500 draws: {-float(model.score(rows['test'])):.3f} nats", flush=True)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        some = np.random.default_rng(0).choice(len(rows["test"]), 100, replace=False)
        z = np.random.default_rng(0).normal(size=(100, 40))
        shown = np.asarray(model.inverse_transform(z)) if which != "vamp" else np.asarray(model.sample(100, random_state=0))
        picture(shown.reshape(100, SIDE * SIDE), rows["test"][some], f"draws of a VAE ({which})", out / f"vae_{which}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds images/binarized_mnist.npz, or that file")
    parser.add_argument("--which", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--minutes", type=float, default=20.0, help="most minutes of the processor of one fit")
    parser.add_argument("--out", type=Path, default=None, help="folder for the pictures; none are drawn without it")
    wanted = parser.parse_args()
    folder = wanted.data / "images" if (wanted.data / "images").is_dir() else wanted.data
    rows = load(folder, "binarized_mnist")
    for which in wanted.which:
        run(which, rows, wanted.minutes, wanted.out)


if __name__ == "__main__":
    main()
