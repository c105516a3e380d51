"""The VAE of the textbooks on grey MNIST (784-128-4, cross-entropy, RMSprop, 50 epochs), and what beta does to its codes.

    python benchmarks/textbook_vae.py --data DIR [--rows 60000] [--epochs 50] [--out FOLDER]

DIR holds images/mnist.npz, or is that folder itself. The tutorials' loss is the mean cross-entropy over 784 pixels plus 1e-4
times the KL term (with the factor 1/2 outside its sum, 5e-5 of it): in nats a row that is beta = 0.0392 or 0.0784; the former is
taken. First the example itself, with that weight and with beta = 1, and pictures of draws and of two of the codes. Then an
autoencoder beside VAEs of beta 0.01, 0.1, 1 and 4:

- completeness: the share of 2,000 draws from the prior (for the autoencoder: a normal with the mean and covariance of its
  codes) that a classifier of digits, trained on the real ones, reads with a confidence above 0.9;
- continuity: the largest step between neighbouring pictures of 20 along a line between the codes of two test digits, as a share of
  the whole way (0.05 if every step is alike), mean of 200 lines; and the mean squared error of the test digits' reconstruction.

One thread; seconds are of the processor.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier

from skgen import VAE, Autoencoder
from skgen.evaluate import LatentManifoldDisplay, SampleGridDisplay, interpolate

torch.set_num_threads(1)

CODES = 4
LINES, STEPS = 200, 20
TUTORIAL = 0.0392


def textbook(beta: float, epochs: int) -> VAE:
    """The example: the model as a user would write it."""
    return VAE(
        n_components=CODES,
        hidden_layer_sizes=128,
        image_shape=(28, 28),
        channels=None,
        column_kinds="bernoulli",
        beta=beta,
        optimizer="rmsprop",
        batch_size=100,
        max_epochs=epochs,
        early_stopping=False,
        n_iter_no_change=epochs,
        random_state=0,
    )


def prior_draws(model, X: np.ndarray, n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    if isinstance(model, VAE):
        return rng.normal(size=(n, CODES))
    Z = model.transform(X)
    return rng.multivariate_normal(Z.mean(axis=0), np.cov(Z.T), n)


def judge(model, reader: MLPClassifier, X: np.ndarray, test: np.ndarray) -> tuple[float, float, float]:
    drawn = np.asarray(model.inverse_transform(prior_draws(model, X[:10000], 2000)))
    sure = float((reader.predict_proba(drawn).max(axis=1) > 0.9).mean())
    made = np.asarray(interpolate(model, test[:LINES], test[LINES : 2 * LINES], STEPS)).reshape(LINES, STEPS, -1)
    steps = np.linalg.norm(np.diff(made, axis=1), axis=2)
    jump = float((steps.max(axis=1) / steps.sum(axis=1)).mean())
    error = float(((np.asarray(model.reconstruct(test)) - test) ** 2).mean())
    return sure, jump, error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds images/mnist.npz, or that file")
    parser.add_argument("--rows", type=int, default=60000)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--betas", type=float, nargs="+", default=[0.01, 0.1, 1.0, 4.0])
    parser.add_argument("--out", type=Path, default=None, help="folder for the pictures; none are drawn without it")
    wanted = parser.parse_args()
    folder = wanted.data / "images" if (wanted.data / "images").is_dir() else wanted.data
    with np.load(folder / "mnist.npz") as arrays:
        X = arrays["X_train"].reshape(-1, 784)[: wanted.rows] / 255
        y = arrays["y_train"][: wanted.rows]
        X_test, y_test = arrays["X_test"].reshape(-1, 784) / 255, arrays["y_test"]

    began = time.process_time()
    reader = MLPClassifier((100,), early_stopping=True, random_state=0).fit(X, y)
    print(
        f"the reader is right about {reader.score(X_test, y_test):.4f} of the test digits, {time.process_time() - began:.0f} s",
        flush=True,
    )

    models = {f"vae, beta {beta:g}": textbook(beta, wanted.epochs) for beta in (TUTORIAL, *wanted.betas)}
    same = {k: v for k, v in models[f"vae, beta {TUTORIAL:g}"].get_params().items() if k in Autoencoder().get_params()}
    models["autoencoder"] = Autoencoder(**same)
    print(f"{'':18s} {'sure of draws':>13s} {'largest step':>12s} {'squared error':>13s} {'log p':>9s} {'seconds':>8s}", flush=True)
    for name, model in models.items():
        began = time.process_time()
        model.fit(X)
        spent = time.process_time() - began
        sure, jump, error = judge(model, reader, X, X_test)
        log_p = float(model.score(X_test[::50]))
        print(f"{name:18s} {sure:13.3f} {jump:12.3f} {error:13.5f} {log_p:9.1f} {spent:8.0f}", flush=True)
        if wanted.out is not None:
            show(model, name, X, wanted.out)


def show(model, name: str, X: np.ndarray, out: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    out.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.8), layout="constrained")
    drawn = model.inverse_transform(prior_draws(model, X[:10000], 100))
    SampleGridDisplay.from_rows(drawn, image_shape=(28, 28), ax=axes[0])
    LatentManifoldDisplay.from_estimator(model, None if isinstance(model, VAE) else X[:10000], n=15, ax=axes[1])
    axes[0].set_title(f"{name}: means of draws")
    axes[1].set_title("codes 0 (rightwards) and 1 (upwards)")
    figure.savefig(out / f"textbook_{name.replace(', ', '_').replace(' ', '_')}.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
