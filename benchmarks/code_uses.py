"""What codes are for: compression, denoising and fewer dimensions, an autoencoder and a VAE beside PCA.

    python benchmarks/code_uses.py [--data DIR] [--rows 10000] [--codes 2 4 8 16 32 64] [--only compression denoising reduction]

Images are scikit-learn's 1,797 digits of 8 x 8 grey values from 0 to 16, 70 % of each class to learn from and the others to be
judged by; with ``--data``, MNIST (DIR/images/mnist.npz, 0 to 255): so many training digits and every fifth test digit.

- compression: a code of q numbers is kept in q bytes, each a number between the 0.1 % and the 99.9 % quantile of its training
  rows in 256 steps; the mean squared error of a pixel after decoding the bytes, and beside it without rounding.
- denoising: normal noise on every pixel of the test rows, two thirds of a pixel's overall standard deviation; the mean squared
  error of the noisy pixels, of PCA's reconstruction (that many components which are best on a fifth of the training rows, held
  out), and of an autoencoder's that was trained to see through such noise.
- reduction: eight codes; the reconstruction error, and the accuracy of a logistic regression (standardised codes) that sees
  nothing else.

Pixels have one unit, and one scale given the code, so that a network's loss is PCA's. The networks (one hidden layer of 256)
and the small noise against overfitting were chosen among three on a fifth of the training digits of 8 x 8.
"""

import race  # noqa: F401  first: it limits the threads

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from digit_reader import load
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgen

torch.set_num_threads(1)

NETWORK = {"hidden_layer_sizes": (256,), "activation": "elu", "channels": None, "scale": "shared", "random_state": 0}
SETTINGS: dict[str, dict] = {
    "autoencoder": {"noise": "gaussian", "noise_level": 0.1},
    "vae": {},
}
DENOISER_CODES = 64
SHARE = 2 / 3  # of the noise, in standard deviations of a pixel


def make(name: str, shape: tuple[int, int], q: int, **other: Any) -> Any:
    if name == "PCA":
        return PCA(q, random_state=0)
    return skgen.make(name, **{**NETWORK, **SETTINGS[name], "image_shape": shape, "n_components": q, **other})


def error(A: np.ndarray, B: np.ndarray) -> float:
    return float(np.mean((np.asarray(A, dtype=float) - B) ** 2))


def in_bytes(Z: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Codes as they come back from one byte each."""
    low, high = np.quantile(seen, [0.001, 0.999], axis=0)
    step = np.where(high > low, (high - low) / 255, 1.0)
    return low + step * np.clip(np.round((Z - low) / step), 0, 255).astype(np.uint8)


def compression(X: np.ndarray, X_test: np.ndarray, shape: tuple[int, int], codes: list[int]) -> None:
    print(f"compression: {X.shape[1]} bytes an image; mean squared error of a pixel after decoding (before rounding)")
    print(f"   {'bytes':>5s}" + "".join(f"{name:>20s}" for name in ("PCA", *SETTINGS)) + f"{'CPU s':>10s}")
    for q in codes:
        began, cells = time.process_time(), []
        for name in ("PCA", *SETTINGS):
            model = make(name, shape, min(q, *X.shape) if name == "PCA" else q).fit(X)
            Z = model.transform(X_test)
            kept = in_bytes(Z, model.transform(X))
            whole, rounded = (error(model.inverse_transform(z), X_test) for z in (Z, kept))
            cells.append(f"{rounded:.3f} ({whole:.3f})")
        print(f"   {q:5d}" + "".join(f"{cell:>20s}" for cell in cells) + f"{time.process_time() - began:10.0f}", flush=True)


def denoising(X: np.ndarray, X_test: np.ndarray, shape: tuple[int, int]) -> None:
    rng, sd = np.random.default_rng(0), SHARE * X.std()
    noisy = X_test + rng.normal(0, sd, X_test.shape)
    fitted, held = train_test_split(X, test_size=0.2, random_state=0)
    held_noisy = held + rng.normal(0, sd, held.shape)
    mean, axes = fitted.mean(axis=0), PCA(random_state=0).fit(fitted).components_
    first = held_noisy - mean
    errors = [error(mean + first @ axes[:q].T @ axes[:q], held) for q in range(1, min(200, len(axes)))]
    q = int(np.argmin(errors)) + 1
    pca = PCA(q, random_state=0).fit(X)
    began = time.process_time()
    model = make("autoencoder", shape, DENOISER_CODES, noise_level=SHARE).fit(X)
    spent = time.process_time() - began
    before = error(noisy, X_test)
    print(f"denoising: noise of standard deviation {sd:.2f}; mean squared error of a pixel, and what is left of the noisy one's")
    for name, made in (
        ("noisy", noisy),
        (f"PCA, {q} components", pca.inverse_transform(pca.transform(noisy))),
        ("autoencoder", model.denoise(noisy)),
        ("  of clean digits", model.denoise(X_test)),
    ):
        left = error(made, X_test)
        print(f"   {name:22s} {left:9.3f} {left / before:8.1%}")
    print(f"   {spent:.0f} CPU s", flush=True)


def reduction(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, shape: tuple[int, int]) -> None:
    print("reduction to 8 codes: reconstruction error, accuracy of a logistic regression on the codes, CPU s")
    for name in ("PCA", *SETTINGS):
        began = time.process_time()
        model = make(name, shape, 8).fit(X)
        spent = time.process_time() - began
        reader = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000)).fit(model.transform(X), y)
        Z = model.transform(X_test)
        print(
            f"   {name:22s} {error(model.inverse_transform(Z), X_test):9.3f} {reader.score(Z, y_test):8.4f} {spent:7.0f}",
            flush=True,
        )
    reader = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000)).fit(X, y)
    print(f"   {'all pixels':22s} {'':9s} {reader.score(X_test, y_test):8.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="for MNIST")
    parser.add_argument("--rows", type=int, default=10_000, help="of MNIST, to learn from")
    parser.add_argument("--codes", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64])
    parts = ["compression", "denoising", "reduction"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    asked = parser.parse_args()
    if asked.data is None:
        X, y = load_digits(return_X_y=True)
        X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
        shape = (8, 8)
    else:
        X, y, X_test, y_test = load(asked.data)
        some = np.random.default_rng(0).choice(len(X), asked.rows, replace=False)
        X, y, X_test, y_test = X[some].astype(float), y[some], X_test[::5].astype(float), y_test[::5]
        shape = (28, 28)
    print(f"{len(X)} images of {shape[0]} x {shape[1]} to learn from, {len(X_test)} to be judged by", flush=True)
    if "compression" in asked.only:
        compression(X, X_test, shape, asked.codes)
    if "denoising" in asked.only:
        denoising(X, X_test, shape)
    if "reduction" in asked.only:
        reduction(X, y, X_test, y_test, shape)


if __name__ == "__main__":
    main()
