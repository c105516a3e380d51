"""Generated digits: a GAN beside a VAE while they learn, and what a classifier trained on real digits makes of the draws.

    python benchmarks/generated_images.py --data DIR [--models dcgan vae:grey ...] [--rows 10000] [--epochs 1 10 25] [--out FOLDER]

DIR holds images/mnist.npz, or is that folder itself. Models learn p(x | y) of the first ``--rows`` training digits. "dcgan:grey"
learns from the pixels as they are, integers from 0 to 255; "dcgan:binary" from black and white ones (above 127). A name alone
takes what a user would: grey where the model makes images or normals, black and white where it gives columns of 0 and 1 a
probability each. Draws are compared with real digits of the same coding.

Each neural model is fitted once, and skgen.Snapshots draws ten digits a class after chosen epochs, from the same noise: with
``--out`` one picture shows models beside each other at these epochs, a row a class, and a gif all epochs.

The table compares 5,000 draws with 5,000 test digits, with labels of 5,000 others:

- read: share of the draws that a small convolutional network, trained on the 60,000 real training digits in both codings, reads as
  the class asked for;
- told apart: held-out accuracy of boosting that separates draws from real digits, by the 64 units before that network's
  answer, and by pixels; one half where it cannot;
- precision, recall: by nearest neighbours (k = 5) in these 64 units, and so the squared Frechet distance;
- CPU min: of the fit, one thread, without the draws while learning.

"real digits" are the other 5,000 test digits: what could be hoped for. No setting was chosen by test digits.
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
USUAL = {"dcgan": "grey", "gaussian_mixture": "grey", "naive_bayes": "grey"}  # others black and white
CODINGS = {"grey": lambda X: X, "binary": lambda X: (X > 127).astype(np.uint8)}
WHITE = {"grey": 1, "binary": 255}
CLASSES = np.arange(10)


def named(model: str) -> tuple[str, str]:
    """Name and coding of "dcgan" or "dcgan:grey"."""
    name, _, coding = model.partition(":")
    return name, coding or USUAL.get(name, "binary")


def both_codings(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Half of the images in black and white."""
    return torch.where(torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5, (x > 0.5).float(), x)


class Timed(skgen.Snapshots):
    """Snapshots that know what they cost."""

    spent = 0.0

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None) -> None:
        began = time.process_time()
        super().on_fit_task_end(estimator, context, fitted_estimator=fitted_estimator)
        self.spent += time.process_time() - began


def fit(name: str, X: np.ndarray, y: np.ndarray, epochs: list[int], seed: int) -> tuple:
    """The model, its draws {epoch: images}, and CPU minutes."""
    settings = SETTINGS.get(name, {})
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


def pictures(folder: Path, drawn: dict[str, dict[int, np.ndarray]], epochs: list[int]) -> None:
    """Models under each other, epochs beside each other; and all epochs one after another."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation, PillowWriter

    folder.mkdir(parents=True, exist_ok=True)
    look = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "nearest"}
    figure, axes = plt.subplots(
        len(drawn), len(epochs), figsize=(3.6 * len(epochs), 3.8 * len(drawn)), layout="constrained", squeeze=False
    )
    for row, (name, grids) in zip(axes, drawn.items(), strict=True):
        for ax, epoch in zip(row, epochs, strict=True):
            ax.set_axis_off()
            if epoch in grids:  # it may have stopped before
                ax.imshow(tiles(grids[epoch]), **look)
                ax.set_title(f"{name}, epoch {epoch}")
    still = folder / "digits.png"
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

    moving = folder / "digits.gif"
    FuncAnimation(figure, frame, frames=range(1, max(epochs) + 1)).save(moving, writer=PillowWriter(fps=3), dpi=60)
    plt.close(figure)
    print(f"   pictures: {still}, {moving}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    names = [name for name in SETTINGS if name in skgen.names()]
    known = [*names, *(f"{name}:{coding}" for name in names for coding in CODINGS)]
    usual = [name for name in names if name != "naive_bayes"]
    parser.add_argument("--models", nargs="*", choices=known, metavar="MODEL", default=usual)
    parser.add_argument("--rows", type=int, default=10_000, help="training digits")
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 10, 25], help="shown; the last one ends the fits")
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", skgen.ColumnWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    wanted = [(asked_for, *named(asked_for)) for asked_for in asked.models]

    X, y, X_test, y_test = load(asked.data)
    began = time.process_time()
    reader = DigitReader(augment=both_codings).fit(X, y)
    spent = time.process_time() - began
    reads = {coding: reader.score(code(X_test) * WHITE[coding], y_test) for coding, code in CODINGS.items()}
    print(f"MNIST, {asked.rows} digits to learn from; the network ({spent:.0f} CPU s) reads of the 10,000 test digits: {reads}")
    A, B = (half[: asked.draws] for half in np.array_split(np.random.default_rng(asked.seed).permutation(len(X_test)), 2))
    heads = ("read", "told apart", "by pixels", "precision", "recall", "Frechet^2", "epochs", "CPU min")
    print(f"   {'':18s}{'coding':>8s}" + "".join(f"{head:>11s}" for head in heads), flush=True)

    def line(name: str, coding: str, drawn: np.ndarray, *more: str) -> None:
        real = CODINGS[coding](X_test[A]) * WHITE[coding]
        figures = [f"{value:.3f}" for value in judge(real, drawn * WHITE[coding], y_test[B], reader)]
        print(f"   {name:18s}{coding:>8s}" + "".join(f"{cell:>11s}" for cell in (*figures, *more)), flush=True)

    for coding in dict.fromkeys(coding for _, _, coding in wanted):
        line("real digits", coding, CODINGS[coding](X_test[B]))
    grids: dict[str, dict[int, np.ndarray]] = {}
    for title, name, coding in wanted:
        model, seen, minutes = fit(name, CODINGS[coding](X[: asked.rows]), y[: asked.rows], asked.epochs, asked.seed)
        if seen:
            grids[title] = {epoch: np.asarray(images) * WHITE[coding] for epoch, images in seen.items()}
        epochs = str(model.n_iter_) if name in NEURAL else "-"
        line(name, coding, np.asarray(model.sample(y=y_test[B])), epochs, f"{minutes:.1f}")
    if asked.out is not None and grids:
        pictures(asked.out, grids, asked.epochs)


if __name__ == "__main__":
    main()
