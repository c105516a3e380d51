"""Fixed binarized MNIST: NADE and MADE with 500 hidden units, their test NLL beside the published ones, and a picture of draws.

    python benchmarks/binarized_mnist.py --data DIR [--model made nade] [--minutes 30] [--out FOLDER]

DIR holds images/binarized_mnist.npz, or is that folder itself. 50,000 rows are trained on, 10,000 valid rows say which weights
are kept, and the 10,000 test rows are scored once. ``--minutes`` of the processor, one thread, end a fit with the best
weights so far. The picture shows 100 draws beside 100 test rows taken at random, since those come sorted by class.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from density import fit, load
from published_density import PUBLISHED

torch.set_num_threads(1)

SIDE = 28
#: model -> parameters. The running mean of the weights pays where time, and not patience, ends a fit. MADE: the best on the
#: valid rows of short trials (4 to 16 epochs, one seed, not a full grid) of rates 0.002 and 0.004, decoupled decay of 0.05, 0.07,
#: 0.1 and 0.2, dropout of hidden units or of the direct connections, column-major order, sigmoid and tanh units, no direct
#: connections, four masks, and SGD; 0.07 and 0.1 were run for 12 and 40 epochs. NADE: batches of 128
#: and of 32, rates of 1e-3 and 2e-3.
SETTINGS: dict[str, dict] = {
    "made": {
        "hidden_layer_sizes": (500,),
        "learning_rate": 4e-3,
        "batch_size": 128,
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "averaging": 2.0,
        "n_iter_no_change": 4,
        "tol": 0.01,
    },
    "nade": {"hidden_layer_sizes": (500,), "learning_rate": 2e-3, "batch_size": 32, "averaging": 2.0},
}


def picture(draws: np.ndarray, rows: np.ndarray, title: str, path: Path) -> None:
    """Ten by ten draws beside ten by ten rows."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 5.4), layout="constrained")
    for axis, images, name in zip(axes, (draws, rows), (title, "test rows"), strict=True):
        tiles = images[:100].reshape(10, 10, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(10 * SIDE, 10 * SIDE)
        axis.imshow(tiles, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(name)
        axis.set_axis_off()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def run(name: str, rows: dict[str, np.ndarray], minutes: float, out: Path | None) -> None:
    began = time.process_time()
    model = fit(name, SETTINGS[name], rows, minutes)
    spent = (time.process_time() - began) / 60
    valid, test = -float(model.score(rows["valid"])), -float(model.score(rows["test"]))
    rate = model.history_["learning_rate"]
    print(f"{name}: {SETTINGS[name]}\n   {model.n_iter_} epochs, the last at a rate of {rate[-1]:g}, {spent:.1f} CPU minutes")
    print(f"   valid {valid:.3f}   test {test:.3f} nats", flush=True)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        some = np.random.default_rng(0).choice(len(rows["test"]), 100, replace=False)
        began = time.process_time()
        draws = np.asarray(model.sample(100, random_state=0))
        path = out / f"mnist_{name}.png"
        picture(draws, rows["test"][some], f"draws of {name}, test NLL {test:.2f} nats", path)
        print(f"   100 draws in {time.process_time() - began:.1f} s, shown in {path}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds images/binarized_mnist.npz, or that file")
    parser.add_argument("--model", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--minutes", type=float, default=30.0, help="most minutes of the processor of one fit")
    parser.add_argument("--out", type=Path, default=None, help="folder for the pictures; none are drawn without it")
    wanted = parser.parse_args()
    folder = wanted.data / "images" if (wanted.data / "images").is_dir() else wanted.data
    rows = load(folder, "binarized_mnist")
    published = PUBLISHED["images"]
    print(
        "published test NLL, nats: "
        + ", ".join(f"{who} {-nll:.2f}" for who, nll in zip(published["columns"], published["binarized_mnist"], strict=True)),
        flush=True,
    )
    for name in wanted.model:
        run(name, rows, wanted.minutes, wanted.out)


if __name__ == "__main__":
    main()
