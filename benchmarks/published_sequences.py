"""Sequences against published figures: earthquakes, tinyshakespeare, JSB chorales. `--data DIR` holds sequences/NAME.npz.

Earthquakes: maximised log-likelihood of Poisson mixtures and Poisson hidden Markov models (Zucchini & MacDonald 2009,
table 3.1 and section 6.2; the free start computed with another program). tinyshakespeare: nats a character of the
validation text under add-0.1 Markov chains. JSB chorales: nats a frame of 88 keys; the LSTM of Bai et al. (2018) has
-8.45 on the same files.
"""

from race import report  # noqa: F401  first: it limits the threads

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import skgen
from skgen import HMM, MarkovChain, NaiveBayes
from skgen.sequences import pad, window

EARTHQUAKES = {
    "mixture": {1: -391.9189, 2: -360.3690, 3: -356.8489, 4: -356.7337},
    "stationary": {2: -342.3183, 3: -329.4603, 4: -327.8316},
    "free": {2: -341.8787, 3: -328.5275, 4: -326.4106},
}
TEXT = {1: 2.484, 2: 2.046, 3: 1.784, 4: 1.788}
CHORALES = {30: -7.7, 100: -6.9}


def check(name: str, found: float, wanted: float, good: bool, seconds: float) -> bool:
    verdict = "ok" if good else "MISSED"
    print(f"   {name:44s} {found:12.4f}   published or asked {wanted:10.4f}   {seconds:7.1f} s   {verdict}", flush=True)
    return good


def earthquakes(folder: Path) -> bool:
    counts = np.load(folder / "earthquakes.npz")["counts"].astype(int)
    poisson = NaiveBayes(distributions="poisson", shrinkage=0)
    good = True
    print("earthquakes, log-likelihood of 107 years")
    for m, wanted in EARTHQUAKES["mixture"].items():
        begin = time.process_time()
        X = counts[:, None]
        model = skgen.make("mixture", component=poisson, n_components=m, n_init=5, max_iter=100_000, tol=1e-10, random_state=0)
        found = model.set_params(column_kinds="integer").fit(X).score_samples(X).sum()
        good &= check(f"Poisson mixture, {m}", found, wanted, abs(found - wanted) < 1e-3, time.process_time() - begin)
    row = counts[None, :]
    for start in ("stationary", "free"):
        for m, wanted in EARTHQUAKES[start].items():
            n_init = 50 if start == "free" else 10  # four free states have many local maxima
            begin = time.process_time()
            model = HMM(poisson, n_states=m, start=start, alpha=0.0, n_init=n_init, max_iter=20_000, tol=1e-8, random_state=0)
            found = float(model.fit(row).score_samples(row)[0])
            good &= check(
                f"Poisson HMM, {m} states, {start} start", found, wanted, abs(found - wanted) < 1e-3, time.process_time() - begin
            )
    return good


def text(folder: Path, length: int = 200) -> bool:
    z = np.load(folder / "tinyshakespeare.npz")
    good = True
    print("tinyshakespeare, nats a character of the validation text")
    for order, wanted in TEXT.items():
        begin = time.process_time()
        train, valid = window(z["train"], length, overlap=order), window(z["valid"], length, overlap=order)
        model = MarkovChain(order=order, alpha=0.1, column_kinds="categorical").fit(train)
        context = np.where(np.arange(length) < order, valid, np.nan)
        given = model.score_samples(valid).sum() - model.score_samples(context).sum()
        found = -given / (len(z["valid"]) - order)
        good &= check(f"Markov chain, order {order}", found, wanted, abs(found - wanted) < 5e-3, time.process_time() - begin)
    return good


def chorales(folder: Path) -> bool:
    z = np.load(folder / "jsb_chorales.npz")
    parts = {}
    for name in ("train", "test"):
        parts[name] = [s.astype(float) for s in np.split(z[name], np.cumsum(z[f"{name}_lengths"])[:-1])]
    steps = max(len(s) for sequences in parts.values() for s in sequences)
    train, test = (pad(parts[name], length=steps) for name in ("train", "test"))
    frames = int(z["test_lengths"].sum())
    good = True
    print("JSB chorales, nats a frame of the test sequences")
    for n_states, wanted in CHORALES.items():
        begin = time.process_time()
        emission = NaiveBayes(alpha=0.1)  # 88 keys: a whole pseudo-count for each would blur a state of a hundred frames
        model = HMM(
            emission, n_states=n_states, step_features=88, column_kinds="binary", n_init=1, max_iter=100, tol=1e-2, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = model.fit(train).score_samples(test).sum() / frames
        name = f"HMM, {n_states} states ({model.n_iter_} iterations)"
        good &= check(name, found, wanted, found > wanted, time.process_time() - begin)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("only", nargs="*", help="earthquakes, text or chorales; all by default")
    asked = parser.parse_args()
    runs = {"earthquakes": earthquakes, "text": text, "chorales": chorales}
    missed = [name for name in asked.only or runs if not runs[name](asked.data / "sequences")]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
