"""Attributes by arithmetic on codes: slant and stroke width of handwritten digits; faces laid out by two codes.

    python benchmarks/attributes.py --data DIR [--rows 10000] [--epochs 30] [--only digits faces] [--out FOLDER]

DIR holds images/mnist.npz and images/freyfaces.npz, or is that folder itself.

digits: a VAE of 16 codes learns from so many training digits of MNIST, without their labels. The slant of a digit is its
horizontal shift for each row upwards, mu11 / mu02 of its ink; the stroke width, twice its ink over its total variation, which is
the length of its outline however blurred. ``latent_direction`` finds the step of codes that goes with a unit of each, on the
training rows alone. Each of 500 test digits is then moved by nine steps from -2 to 2 standard deviations of the attribute.
Printed: Spearman's correlation of step and change over all moved digits, and the mean of that within a digit; how much of the
step asked for is made (slope); and the share that a classifier trained on real digits still reads as their label.

faces: VAEs of two and of eight codes learn from 1,765 of the 1,965 Frey faces. Pictures, with ``--out``: the manifold of two
codes, a traversal of each of eight, and faces above their reconstructions; printed: log p a pixel of the other 200.
"""

import race  # noqa: F401  first: it limits the threads

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from digit_reader import SIDE, DigitReader, load
from scipy.stats import spearmanr

import skgen
from skgen.evaluate import (
    LatentManifoldDisplay,
    ReconstructionDisplay,
    SampleGridDisplay,
    latent_direction,
    move,
    traverse,
)

torch.set_num_threads(1)

FACE = (28, 20)
NETWORK = {"hidden_layer_sizes": (256,), "activation": "tanh", "batch_size": 64, "random_state": 0}
HELD_OUT, STEPS = 500, np.linspace(-2, 2, 9)


def slant(X: np.ndarray) -> np.ndarray:
    """Columns to the right for each row upwards, by the second moments of the ink."""
    ink = np.asarray(X).reshape(-1, SIDE, SIDE)
    ink = ink / ink.sum(axis=(1, 2), keepdims=True)
    up, right = -np.arange(SIDE)[:, None], np.arange(SIDE)[None]
    up = up - (ink * up).sum(axis=(1, 2), keepdims=True)
    right = right - (ink * right).sum(axis=(1, 2), keepdims=True)
    return (ink * up * right).sum(axis=(1, 2)) / (ink * up**2).sum(axis=(1, 2))


def stroke_width(X: np.ndarray) -> np.ndarray:
    """Pixels: an area of ink A with an outline of length P is a stroke 2 A / P wide."""
    ink = np.pad(np.asarray(X).reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
    across, down = np.diff(ink, axis=2)[:, 1:], np.diff(ink, axis=1)[:, :, 1:]
    return 2 * ink.sum(axis=(1, 2)) / np.hypot(across, down).sum(axis=(1, 2))


def save(display, path: Path) -> None:
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(display.figure_)
    print(f"   {path}", flush=True)


def digits(data: Path, n: int, epochs: int, out: Path | None) -> None:
    X, y, X_test, y_test = load(data)
    began = time.process_time()
    reader = DigitReader(2000).fit(X, y)
    some = np.random.default_rng(0).choice(len(X), n, replace=False)
    held = np.random.default_rng(1).choice(len(X_test), HELD_OUT, replace=False)
    X, X_test, y_test = X[some] / 255, X_test[held] / 255, y_test[held]
    print(f"{HELD_OUT} test digits, {reader.score(255 * X_test, y_test):.3f} read as their label", end="")
    print(f" ({time.process_time() - began:.0f} CPU s to learn to read)", flush=True)
    began = time.process_time()
    model = skgen.make("vae", n_components=16, column_kinds="bernoulli", max_epochs=epochs, **NETWORK).fit(X)
    active = model.history_["active_units"][-1]
    print(f"vae: {model.n_iter_} epochs on {n} digits, {active} of 16 codes active, {time.process_time() - began:.0f} CPU s")
    print(f"   reconstructions read as the label: {reader.score(255 * model.reconstruct(X_test), y_test):.3f}", flush=True)
    for name, measure in (("slant", slant), ("stroke width", stroke_width)):
        attribute = measure(X)
        direction = latent_direction(model, X, attribute)
        steps = STEPS * attribute.std()
        moved = np.stack([move(model, X_test, direction, step) for step in steps])  # (steps, rows, pixels)
        values = np.stack([measure(images) for images in moved])
        change = values - values[len(STEPS) // 2]
        whole = spearmanr(np.repeat(steps, HELD_OUT), change.ravel()).statistic
        within = np.mean([spearmanr(steps, change[:, i]).statistic for i in range(HELD_OUT)])
        slope = np.polyfit(np.repeat(steps, HELD_OUT), change.ravel(), 1)[0]
        read = [reader.score(255 * images, y_test) for images in moved]
        print(f"   {name}: rank correlation {whole:.3f}, within a digit {within:.3f}, slope {slope:.2f}; read {np.mean(read):.3f}")
        print("      " + "  ".join(f"{s:+.1f} sd {r:.3f}" for s, r in zip(STEPS, read, strict=True)), flush=True)
        if out is not None:
            first = [int(np.flatnonzero(y_test == k)[0]) for k in range(10)]
            rows = moved[:, first].swapaxes(0, 1).reshape(-1, SIDE * SIDE)
            shown = SampleGridDisplay.from_rows(rows, image_shape=(SIDE, SIDE), n_columns=len(STEPS))
            save(shown, out / f"attribute_{name.replace(' ', '_')}.png")


def faces(data: Path, epochs: int, out: Path | None) -> None:
    folder = data / "images" if (data / "images").is_dir() else data
    with np.load(folder / "freyfaces.npz") as found:
        X = found["X"].reshape(-1, FACE[0] * FACE[1]).astype(float)
    order = np.random.default_rng(0).permutation(len(X))
    X, X_test = X[order[200:]], X[order[:200]]
    for q in (2, 8):
        began = time.process_time()
        model = skgen.make(
            "vae", n_components=q, image_shape=FACE, channels=None, scale="shared", max_epochs=5 * epochs, **NETWORK
        ).fit(X)
        bits = model.score(X_test) / X.shape[1]
        error = np.sqrt(np.mean((model.reconstruct(X_test) - X_test) ** 2))
        print(f"faces, {q} codes: log p a pixel {bits:.3f} nats, reconstructions {error:.1f} grey levels off (rms), ", end="")
        print(f"{model.n_iter_} epochs, {time.process_time() - began:.0f} CPU s", flush=True)
        if out is None:
            continue
        if q == 2:
            save(LatentManifoldDisplay.from_estimator(model, n=15), out / "faces_manifold.png")
        else:
            middle = X.mean(axis=0)
            lines = np.concatenate([traverse(model, middle, j, np.linspace(-2.5, 2.5, 11)) for j in range(q)])
            save(SampleGridDisplay.from_rows(lines, image_shape=FACE, n_columns=11), out / "faces_codes.png")
            save(ReconstructionDisplay.from_estimator(model, X_test[:20]), out / "faces_reconstructed.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=10_000, help="of MNIST, to learn from")
    parser.add_argument("--epochs", type=int, default=30, help="most epochs over digits; five times as many over faces")
    parser.add_argument("--only", nargs="+", choices=["digits", "faces"], default=["digits", "faces"])
    parser.add_argument("--out", type=Path, default=None, help="folder for the pictures; none are drawn without it")
    asked = parser.parse_args()
    if asked.out is not None:
        import matplotlib as mpl

        mpl.use("Agg")
    if "digits" in asked.only:
        digits(asked.data, asked.rows, asked.epochs, asked.out)
    if "faces" in asked.only:
        faces(asked.data, asked.epochs, asked.out)


if __name__ == "__main__":
    main()
