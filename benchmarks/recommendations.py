"""Recommendations: one liked title of each user is hidden, and the titles not seen are ranked by p(x_i = 1 | rest).

    python benchmarks/recommendations.py --data DIR [--models popularity chow_liu mixture made vae] [--users 3000] [--seed 0]

DIR holds debd/bnetflix.npz, 100 titles (1: liked), or is that folder itself. 15,000 users are learnt from. Of every test user who
likes two titles or more one is taken away at random, and recall@10 is the share of users in whose first ten of the unseen
titles it comes back; ties count half.

How to ask. A row of the table says 0 of a title that is not liked, so the user shown is a row with one 1 turned into a 0, and
which one it was follows Bayes' rule: p(i was hidden | shown) is in proportion to p(shown, but x_i = 1), which is the odds of
p(x_i = 1 | all others as shown). One call of ``score_samples`` on these rows ranks them, of any model. The other way, every
unseen title as NaN, asks what is liked by a user of whom nothing but the liked titles is known; here that throws away that a
user with few likes did not like the rest. On 700 valid users both are printed, "as 0" and "as NaN"; test is asked "as 0",
which was better there for every model but popularity, which has no answer to change.

"encoded" is what a VAE gives in one pass: the decoder's p(x_i = 1) at the code of the row as shown.

Chosen by recall on the valid users: the mixture's components (20 of 20, 50 and 100), the VAE's network (of six).
"""

import race  # noqa: F401  first: it limits the threads

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from density import load

import skgen

torch.set_num_threads(1)

FIRST = 10
SETTINGS: dict[str, dict] = {
    "popularity": {},
    "chow_liu": {},
    "mixture": {"n_components": 20, "random_state": 0},
    "made": {"random_state": 0},
    "vae": {
        "n_components": 16,
        "hidden_layer_sizes": (256,),
        "activation": "tanh",
        "n_samples_score": 50,
        "random_state": 0,
    },
}


def hidden(rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows with one liked title turned into 0, and which."""
    rng = np.random.default_rng(seed)
    shown = rows[rows.sum(axis=1) > 1].astype(float)
    gone = np.array([rng.choice(np.flatnonzero(row)) for row in shown])
    shown[np.arange(len(shown)), gone] = 0
    return shown, gone


def scores(model: Any, shown: np.ndarray, unseen: float, step: int = 100) -> np.ndarray:
    """log p of each row with one unseen title liked and the other unseen ones as they are asked for, (n, d)."""
    out = np.full(shown.shape, -np.inf)
    for start in range(0, len(shown), step):
        some = shown[start : start + step]
        i, j = np.nonzero(some == 0)
        rows = np.where(some == 0, unseen, some)[i]
        rows[np.arange(len(i)), j] = 1
        out[start + i, j] = model.score_samples(rows)
    return out


def recall(given: np.ndarray, shown: np.ndarray, gone: np.ndarray) -> float:
    given = np.where(shown == 1, -np.inf, given)
    own = np.take_along_axis(given, gone[:, None], axis=1)
    above, ties = (given > own).sum(axis=1), (given == own).sum(axis=1) - 1
    return float(np.mean(above + ties / 2 < FIRST))


def run(name: str, rows: dict[str, np.ndarray], users: int, seed: int) -> None:
    began = time.process_time()
    popular = name == "popularity"
    model = skgen.make("naive_bayes" if popular else name, **SETTINGS[name]).fit(rows["train"])
    spent = time.process_time() - began
    valid, test = hidden(rows["valid"], seed + 1), hidden(rows["test"], seed)
    valid, test = (valid[0][:700], valid[1][:700]), (test[0][:users], test[1][:users])
    cells = [recall(scores(model, valid[0], 0.0), *valid)]
    # of models that leave cells out
    cells.append(recall(scores(model, valid[0], np.nan), *valid) if model.missing in ("exact", "estimate") else np.nan)
    began = time.process_time()
    cells.append(recall(scores(model, test[0], 0.0), *test))
    asked = time.process_time() - began
    cells.append(recall(np.asarray(model.reconstruct(test[0].astype(int))), *test) if hasattr(model, "reconstruct") else np.nan)
    figures = "".join(f"{'-' if np.isnan(cell) else f'{cell:.3f}':>10s}" for cell in cells)
    nll = -float(model.score(rows["valid"]))
    print(f"   {name:12s}{figures}{nll:10.2f}{spent:9.1f}{asked:9.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--users", type=int, default=3000, help="test users, at most")
    parser.add_argument("--seed", type=int, default=0, help="of what is hidden")
    asked = parser.parse_args()
    rows = load(asked.data / "debd" if (asked.data / "debd").is_dir() else asked.data, "bnetflix")
    shown, _ = hidden(rows["test"][: asked.users], asked.seed)
    unseen = (shown == 0).sum(axis=1)
    chance = np.minimum(1, FIRST / unseen).mean()
    print(f"recall@{FIRST} of {len(shown)} test users with {unseen.mean():.0f} titles unseen; by chance {chance:.3f}")
    heads = ("as 0", "as NaN", "test", "encoded", "-valid", "CPU s", "to ask")
    print("   {:12s}{:>10s}{:>10s}{:>10s}{:>10s}{:>10s}{:>9s}{:>9s}".format("", *heads), flush=True)
    for name in asked.models:
        run(name, rows, asked.users, asked.seed)


if __name__ == "__main__":
    main()
