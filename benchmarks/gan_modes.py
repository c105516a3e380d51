"""Modes that a GAN finds: a ring of eight Gaussians and a grid of twenty-five, and one column beside its quantile function.

    python benchmarks/gan_modes.py [--seeds 5] [--losses non_saturating wasserstein least_squares minimax] [--rows 5000]
        [--laws lognormal mixture uniform] [--out FOLDER]

The ring has radius 2 and modes of deviation 0.02, the grid a spacing of 2 and 0.05, as in the papers on mode collapse. A
draw is of high quality within three deviations of a mode, in each direction together; a mode is found if it has one. All
settings are the defaults, but for ``minimax``, which is shown as in the paper of 2014: no penalty, one row at a time.

One column: the largest distance between the distribution functions of 10,000 draws and of the law they were learnt from
(5,000 rows), where inverse transform sampling would have about 0.01; and mean D on fresh real and on generated rows.
``--out`` receives a picture of G's draws beside the quantile functions. One thread; seconds are of the processor.
"""

import argparse
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

import skgen

CENTRES = {
    "ring": 2 * np.column_stack([np.cos(np.pi / 4 * np.arange(8)), np.sin(np.pi / 4 * np.arange(8))]),
    "grid": 2.0 * np.column_stack([np.arange(25) // 5 - 2, np.arange(25) % 5 - 2]),
}
DEVIATION = {"ring": 0.02, "grid": 0.05}
AS_IN_2014 = {"gradient_penalty": 0.0, "averaging": 0.0}


class Mixture:
    """0.3 N(-2, 0.3^2) + 0.7 N(1, 0.5^2), as scipy's distributions are asked."""

    parts = ((0.3, stats.norm(-2, 0.3)), (0.7, stats.norm(1, 0.5)))

    def cdf(self, x):
        return sum(share * law.cdf(x) for share, law in self.parts)

    def rvs(self, n, random_state):
        first = random_state.random(n) < self.parts[0][0]
        return np.where(first, *(law.rvs(n, random_state=random_state) for _, law in self.parts))


LAWS = {"lognormal": stats.lognorm(0.75), "mixture": Mixture(), "uniform": stats.uniform(0, 1)}


def rows_of(name: str, n: int, rng: np.random.Generator) -> np.ndarray:
    centres = CENTRES[name]
    return centres[rng.integers(0, len(centres), n)] + rng.normal(0, DEVIATION[name], (n, 2))


def modes(name: str, drawn: np.ndarray) -> tuple[int, float]:
    """Modes found, and the share of draws near one."""
    distance = np.linalg.norm(drawn[:, None] - CENTRES[name], axis=2)
    near = distance.min(axis=1) < 3 * DEVIATION[name]
    return len(np.unique(distance.argmin(axis=1)[near])), float(near.mean())


def fit(X: np.ndarray, seed: int, **settings):
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = skgen.make("gan", random_state=seed, **settings).fit(X)
    return model, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--losses", nargs="*", default=["non_saturating", "wasserstein", "least_squares", "minimax"])
    parser.add_argument("--laws", nargs="*", choices=list(LAWS), default=list(LAWS), help="of the one column")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for loss in asked.losses:
        for name in CENTRES:
            for seed in range(asked.seeds):
                X = rows_of(name, asked.rows, np.random.default_rng(seed))
                model, seconds = fit(X, seed, loss=loss, **(AS_IN_2014 if loss == "minimax" else {}))
                found, quality = modes(name, model.sample(2500))
                print(
                    f"{name} {loss:15s} seed {seed}: {found:2d}/{len(CENTRES[name])} modes, {quality:.3f} of high quality, "
                    f"{model.n_iter_} epochs, {seconds:.0f} s",
                    flush=True,
                )
    drawn = {}
    for name in asked.laws:
        law = LAWS[name]
        for seed in range(asked.seeds):
            model, seconds = fit(law.rvs(asked.rows, random_state=np.random.default_rng(seed))[:, None], seed)
            drawn[name] = model.sample(10_000)[:, 0]
            real = law.rvs(10_000, random_state=np.random.default_rng(100 + seed))
            on_real, on_drawn = (float(model.discriminate(x[:, None]).mean()) for x in (real, drawn[name]))
            print(
                f"{name:9s} seed {seed}: Kolmogorov distance {stats.kstest(drawn[name], law.cdf).statistic:.4f} (inverse transform "
                f"{stats.kstest(real, law.cdf).statistic:.4f}), mean D {on_real:.3f} on real rows, {on_drawn:.3f} on generated, "
                f"{seconds:.0f} s",
                flush=True,
            )
    if asked.out is not None and drawn:
        picture(asked.out, drawn)


def picture(folder: Path, drawn: dict[str, np.ndarray]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, len(drawn), figsize=(4 * len(drawn), 3.5), layout="constrained")
    u = (np.arange(10_000) + 0.5) / 10_000
    for ax, (name, x) in zip(np.atleast_1d(axes), drawn.items(), strict=True):
        grid = np.quantile(LAWS[name].rvs(200_000, random_state=np.random.default_rng(0)), u)
        ax.plot(u, grid, label="quantile function")
        ax.plot(u, np.sort(x), "--", label="draws of the generator")
        ax.set(title=name, xlabel="probability", ylabel="x")
    axes[0].legend()
    figure.savefig(folder / "gan_quantiles.png", dpi=120)


if __name__ == "__main__":
    main()
