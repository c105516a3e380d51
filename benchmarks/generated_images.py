"""Generated digits: a GAN beside a VAE while they learn, and what a classifier trained on real digits makes of the draws.

    python benchmarks/generated_images.py --data DIR [--models dcgan vae gan gaussian_mixture ...] [--rows 20000]
        [--coding grey] [--epochs 1 10 25] [--out FOLDER]

DIR holds images/mnist.npz, or is that folder itself. Models learn p(x | y) of the first ``--rows`` training digits. Rows are
coded as a user would: ``grey`` gives the pixels as they are, integers from 0 to 255; ``binary`` gives black and white (pixels
above 127), where every model here has a likelihood or a draw made for its columns.

Each neural model is fitted once, and skgen.Snapshots draws ten digits a class after chosen epochs, from the same noise: with
``--out`` one picture shows models beside each other at these epochs, a row a class, and a gif all epochs.

The table compares 5,000 draws with 5,000 test digits, with the same labels:

- read: share of the draws that a small convolutional network trained on 60,000 real digits reads as the class asked for;
- told apart: held-out accuracy of boosting that separates draws from real digits, by the 64 units before that network's
  answer, and by pixels; one half where it cannot;
- precision, recall: by nearest neighbours (k = 5) in these 64 units, and so the squared Frechet distance;
- CPU min: of the fit, one thread, without the draws while learning.

"real digits" are the other 5,000 test digits: what could be hoped for.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from digit_reader import SIDE, DigitReader, load
from sklearn.exceptions import ConvergenceWarning

import skgen
from skgen.evaluate import classifier_two_sample, frechet_distance, precision_recall

torch.set_num_threads(1)

SHAPE = {"image_shape": (SIDE, SIDE)}
#: model -> parameters that are not defaults. A Parzen window over images is a poor density, and dear: it is kept small.
SETTINGS: dict[str, dict] = {
    "dcgan": {**SHAPE, "batch_size": 64, "n_parzen": 100},
    "gan": {"hidden_layer_sizes": (256, 256), "batch_size": 64, "n_parzen": 100},
    "vae": {**SHAPE, "n_components": 16, "hidden_layer_sizes": (256, 256), "batch_size": 64},
    "gaussian_mixture": {},
    "naive_bayes": {},
    "pixel_cnn": SHAPE,
}
NEURAL = ("dcgan", "gan", "vae", "pixel_cnn")
CODINGS = {"grey": lambda X: X, "binary": lambda X: (X > 127).astype(np.uint8)}
WHITE = {"grey": 1, "binary": 255}
CLASSES = np.arange(10)


class Timed(skgen.Snapshots):
    """Snapshots that know what they cost."""

    spent = 0.0

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None) -> None:
        began = time.process_time()
        super().on_fit_task_end(estimator, context, fitted_estimator=fitted_estimator)
        self.spent += time.process_time() - began


def fit(name: str, X: np.ndarray, y: np.ndarray, epochs: list[int], seed: int, extra: dict) -> tuple:
    """The model, its draws {epoch: images}, and CPU minutes."""
    settings = SETTINGS.get(name, {}) | extra
    seen = Timed(range(1, max(epochs) + 1), 100, y=np.repeat(CLASSES, 10))
    if name in NEURAL:
        settings = {"max_epochs": max(epochs), **settings}
    model = skgen.make(name, task="classify", random_state=seed, **settings)
    if name in NEURAL:
        model.set_callbacks(seen)
    began = time.process_time()
    model.fit(X, y)
    return model, getattr(seen, "samples_", {}), (time.process_time() - began - seen.spent) / 60


def judge(real: np.ndarray, drawn: np.ndarray, labels: np.ndarray, reader: DigitReader) -> list[float]:
    near = precision_recall(real, drawn, features=reader, random_state=0)
    return [
        reader.score(drawn, labels),
        classifier_two_sample(real, drawn, features=reader, random_state=0).accuracy,
        classifier_two_sample(real, drawn, features=lambda X: X, random_state=0).accuracy,
        near.precision,
        near.recall,
        frechet_distance(real, drawn, features=reader),
    ]


def tiles(images: np.ndarray) -> np.ndarray:
    """A hundred images, ten a class, as one, a row a class."""
    return np.asarray(images).reshape(10, 10, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(10 * SIDE, 10 * SIDE)


def pictures(folder: Path, drawn: dict[str, dict[int, np.ndarray]], epochs: list[int], coding: str) -> None:
    """Models under each other, epochs beside each other; and all epochs one after another."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation, PillowWriter

    folder.mkdir(parents=True, exist_ok=True)
    most = 255 / WHITE[coding]
    look = {"cmap": "gray", "vmin": 0, "vmax": most, "interpolation": "nearest"}
    figure, axes = plt.subplots(
        len(drawn), len(epochs), figsize=(3.6 * len(epochs), 3.8 * len(drawn)), layout="constrained", squeeze=False
    )
    for row, (name, grids) in zip(axes, drawn.items(), strict=True):
        for ax, epoch in zip(row, epochs, strict=True):
            ax.set_axis_off()
            if epoch in grids:  # it may have stopped before
                ax.imshow(tiles(grids[epoch]), **look)
                ax.set_title(f"{name}, epoch {epoch}")
    still = folder / f"digits_{coding}.png"
    figure.savefig(still, dpi=90)
    plt.close(figure)

    figure, axes = plt.subplots(1, len(drawn), figsize=(3.6 * len(drawn), 3.9), layout="constrained", squeeze=False)
    shown = [ax.imshow(np.zeros((10 * SIDE, 10 * SIDE)), **look) for ax in axes[0]]
    for ax in axes[0]:
        ax.set_axis_off()

    def frame(epoch: int) -> list:
        for ax, image, (name, grids) in zip(axes[0], shown, drawn.items(), strict=True):
            last = max(e for e in grids if e <= epoch)
            image.set_data(tiles(grids[last]))
            ax.set_title(f"{name}, epoch {last}")
        return shown

    moving = folder / f"digits_{coding}.gif"
    FuncAnimation(figure, frame, frames=range(1, max(epochs) + 1)).save(moving, writer=PillowWriter(fps=3), dpi=60)
    plt.close(figure)
    print(f"   pictures: {still}, {moving}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    known = [name for name in SETTINGS if name in skgen.names()]
    parser.add_argument("--models", nargs="*", choices=known, default=[name for name in known if name != "naive_bayes"])
    parser.add_argument("--rows", type=int, default=20_000, help="training digits")
    parser.add_argument("--coding", choices=list(CODINGS), default="grey")
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 10, 25], help="shown; the last one ends the fits")
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", skgen.ColumnWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)

    code, white = CODINGS[asked.coding], WHITE[asked.coding]
    X, y, X_test, y_test = load(asked.data)
    began = time.process_time()
    reader = DigitReader().fit(code(X) * white, y)
    right, spent = reader.score(code(X_test) * white, y_test), time.process_time() - began
    size = f"MNIST, {asked.coding}, {asked.rows} digits to learn from"
    print(f"{size}; the network reads {right:.4f} of the test digits ({spent:.0f} CPU s)", flush=True)
    A, B = np.array_split(np.random.default_rng(asked.seed).permutation(len(X_test)), 2)
    A, B = A[: asked.draws], B[: asked.draws]
    real, labels = code(X_test[A]) * white, y_test[B]
    heads = ("read", "told apart", "by pixels", "precision", "recall", "Frechet^2", "epochs", "CPU min")
    print(f"   {'':18s}" + "".join(f"{head:>11s}" for head in heads), flush=True)

    def line(name: str, drawn: np.ndarray, *more: str) -> None:
        figures = [f"{value:.3f}" for value in judge(real, drawn, labels, reader)]
        print(f"   {name:18s}" + "".join(f"{cell:>11s}" for cell in (*figures, *more)), flush=True)

    line("real digits", code(X_test[B]) * white)
    grids: dict[str, dict[int, np.ndarray]] = {}
    for name in asked.models:
        model, seen, minutes = fit(name, code(X[: asked.rows]), y[: asked.rows], asked.epochs, asked.seed, {})
        if seen:
            grids[name] = seen
        epochs = str(model.n_iter_) if name in NEURAL else "-"
        line(name, np.asarray(model.sample(y=labels)) * white, epochs, f"{minutes:.1f}")
    if asked.out is not None and grids:
        pictures(asked.out, grids, asked.epochs, asked.coding)


if __name__ == "__main__":
    main()
