"""Faults while a network learns, as figures: Ctrl-C, kill -9, wild rates and cells, a full disk, threads.

Each line says how many of so many trials went as promised; ``--trials`` sets their number.
"""

import race  # noqa: F401, first: it limits the threads

import argparse
import contextlib
import os
import resource
import signal
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import skgen.learn.checkpoint
from skgen import MADE

torch.set_num_threads(1)
X, y = load_digits(return_X_y=True)
X = (X > 8).astype(int)


def model(**more):
    given = {"hidden_layer_sizes": (64,), "max_epochs": 12, "n_iter_no_change": 100, "random_state": 0}
    return MADE(**{**given, **more})


def bits(fitted):
    return b"".join(weight.tobytes() for weight in fitted._fitted._weights.values()) + fitted.score_samples(X[:50]).tobytes()


def interrupted(call, after):
    """Whether KeyboardInterrupt came out, and how long after the signal."""
    sent = []

    def send():
        time.sleep(after)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        call()
        came = False
    except KeyboardInterrupt:
        came = True
    end = time.perf_counter()
    with contextlib.suppress(KeyboardInterrupt):  # the fit was over before the signal
        sender.join()
    return came, (end - sent[0]) if came else np.nan


def told(name, good, trials, more=""):
    print(f"   {name:64s} {good:3d} of {trials:3d}   {more}", flush=True)


def interrupts(trials, rng):
    start = time.perf_counter()
    old = model().fit(X, y)
    seconds = time.perf_counter() - start
    before, came, whole, latency = bits(old), 0, 0, []
    for _ in range(trials):
        raised, late = interrupted(lambda: old.set_params(max_epochs=500).fit(X[::-1], y), rng.uniform(0.05, 0.8) * seconds)
        came, whole = came + raised, whole + (bits(old) == before)
        latency.append(late * 1e3)
    told(
        "SIGINT in a refit: KeyboardInterrupt",
        came,
        trials,
        f"ms: median {np.nanmedian(latency):.1f}, most {np.nanmax(latency):.1f}",
    )
    told("   old model bit-identical", whole, trials)
    came = usable = unfitted = 0
    for _ in range(trials):
        new = model(max_epochs=500)
        raised, _late = interrupted(lambda new=new: new.fit(X, y), rng.uniform(0.05, 0.8) * seconds)
        came += raised
        if hasattr(new, "columns_"):
            usable += bool(np.isfinite(new.score_samples(X)).all())
        else:
            unfitted += 1
    told("SIGINT in a first fit: KeyboardInterrupt", came, trials)
    told("   usable with the best weights so far", usable, trials, f"{unfitted} before training began")
    search = GridSearchCV(model(max_epochs=500), {"learning_rate": [1e-3, 1e-2]}, cv=3)
    raised, late = interrupted(lambda: search.fit(X, y), 2 * seconds)
    told("SIGINT in GridSearchCV: the search stops", int(raised), 1, f"after {late * 1e3:.1f} ms")


def kills(trials, rng):
    skgen.learn.checkpoint._SECONDS = 0.0  # a write after every epoch, so that kills fall into it
    start = time.perf_counter()
    whole = bits(model().fit(X, y))
    seconds = time.perf_counter() - start
    same = [0, 0]
    for trial in range(2 * trials):
        writing = trial % 2  # every other kill falls between a file's last byte and its name
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint"
            child = os.fork()
            if child == 0:
                try:
                    if writing:
                        _die_in_a_write(int(rng.integers(1, 11)))
                    model(checkpoint=path).fit(X, y)
                finally:
                    os._exit(0)
            if not writing:
                time.sleep(rng.uniform(0.1, 1.0) * seconds)
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            rng.integers(1, 11)
            same[writing] += bits(model(checkpoint=path).fit(X, y)) == whole
    told("kill -9 at a random moment, then the same call: bit-equal", same[0], trials)
    told("kill -9 in the middle of a write, the same: bit-equal", same[1], trials)


def _die_in_a_write(number):
    real, left = os.fsync, [number]

    def fsync(file):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(file)

    os.fsync = fsync


def wild():
    good = 0
    for early_stopping in (True, False):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = model(learning_rate=1e4, early_stopping=early_stopping).fit(X)
        good += any(issubclass(w.category, ConvergenceWarning) for w in caught) and np.isfinite(fitted.score_samples(X)).all()
    told("learning_rate=1e4: ConvergenceWarning and finite scores", int(good), 2)
    cells = load_digits().data.copy()
    cells[3, 20] = 1e300
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = model(n_components=2, max_epochs=3).fit(cells)
    said = sorted({str(w.message)[:60] for w in caught})
    told("a cell of 1e300: finite scores", int(np.isfinite(fitted.score_samples(cells)).all()), 1, f"said: {said}")


def full_disk():
    class Fill:
        def setup(self, estimator, context): ...

        def teardown(self, estimator, context): ...

        def on_fit_task_begin(self, estimator, context): ...

        def on_fit_task_end(self, estimator, context):
            if context.task_name == "epoch" and context.task_id == 2:
                self.before = path.read_bytes()
                resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))

    limits, fill, said = resource.getrlimit(resource.RLIMIT_FSIZE), Fill(), ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        try:
            model(checkpoint=path).set_callbacks(fill).fit(X, y)
        except OSError as error:
            said = str(error).partition(": ")[2][:60]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        good = bool(said) and path.read_bytes() == fill.before and len(list(Path(folder).iterdir())) == 1
    told("disk full: OSError, the file before whole, no litter", int(good), 1, said)


def threads():
    def fit(seed):
        return bits(model(max_epochs=3, random_state=seed).fit(X, y))

    before = torch.get_rng_state().numpy().tobytes(), str(np.random.get_state())  # noqa: NPY002
    serial = [fit(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(fit, range(8)))
    told("8 threads fit as one after another, bitwise", sum(a == b for a, b in zip(serial, parallel, strict=True)), 8)
    after = torch.get_rng_state().numpy().tobytes(), str(np.random.get_state())  # noqa: NPY002
    told("   global generators of torch and numpy untouched", int(before == after), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    trials, rng = parser.parse_args().trials, np.random.default_rng(0)
    print("Faults while a network learns (MADE, 1,797 x 64 binary, 10 classes)")
    interrupts(trials, rng)
    kills(trials, rng)
    wild()
    full_disk()
    threads()


if __name__ == "__main__":
    main()
