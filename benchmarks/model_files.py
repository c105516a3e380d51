"""Every registered model, plugins too, through skgen.save, pickle, joblib and skops: `python benchmarks/model_files.py`.

Each is fitted with its quick settings on a mixed table of 300 rows (or numbers alone, where it takes no other) with labels of
two classes. What comes back must score bit for bit as before and draw the same rows for the same seed. Sizes are in kB.
"""

from __future__ import annotations

import io
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io

import skgen
from skgen.registry import find

N = 300


def table(name: str) -> Any:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=N),
            "colour": pd.Categorical(rng.choice(["red", "blue", "green"], N)),
            "count": rng.integers(0, 9, N),
            "on": rng.random(N) < 0.5,
        }
    )
    kinds = skgen.make(name).kinds
    steps = {"hmm", "markov_chain"} & set(name.split("_")) or name.endswith(("hmm", "markov_chain"))
    if steps or "categorical" not in kinds:
        numbers = frame[["size", "count"]].astype(float)
        return numbers if "continuous" in kinds else (numbers > 0).astype(int)
    return frame


def with_skgen(model: Any, trusted: list[str]) -> tuple[Any, int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skgen"
        skgen.save(model, path)
        return skgen.load(path), path.stat().st_size


def with_pickle(model: Any, trusted: list[str]) -> tuple[Any, int]:
    stored = pickle.dumps(model)
    return pickle.loads(stored), len(stored)


def with_joblib(model: Any, trusted: list[str]) -> tuple[Any, int]:
    stored = io.BytesIO()
    joblib.dump(model, stored)
    size = stored.tell()
    stored.seek(0)
    return joblib.load(stored), size


def with_skops(model: Any, trusted: list[str]) -> tuple[Any, int]:
    stored = skops.io.dumps(model)
    return skops.io.loads(stored, trusted=trusted), len(stored)


WAYS: dict[str, Callable] = {"skgen": with_skgen, "pickle": with_pickle, "joblib": with_joblib, "skops": with_skops}


def equal(a: Any, b: Any) -> bool:
    return a.equals(b) if hasattr(a, "equals") else np.array_equal(a, b)


def main() -> None:
    warnings.simplefilter("ignore")
    print(f"{'model':24s}" + "".join(f"{way + ' kB':>11s}" for way in WAYS) + "   load ms   answers")
    for name in skgen.names():
        cls = skgen.get(name)
        model, X, y = cls(**cls.quick, random_state=0), table(name), np.array(["no", "yes"])[np.arange(N) % 2]
        model.fit(X, y)
        want = model.score_samples(X), model.predict_proba(X)
        drawn = model.sample(100, random_state=1)
        distribution = find(name).distribution
        trusted = skgen.trusted_types(*([] if distribution == "skgen" else [distribution]))
        sizes, wrong, seconds = [], [], 0.0
        for way, through in WAYS.items():
            start = time.perf_counter()
            back, size = through(model, trusted)
            seconds = seconds or time.perf_counter() - start
            sizes.append(size)
            same = all(np.array_equal(a, b) for a, b in zip(want, (back.score_samples(X), back.predict_proba(X)), strict=True))
            if not (same and equal(back.sample(100, random_state=1), drawn)):
                wrong.append(way)
        told = f"differ: {', '.join(wrong)}" if wrong else "equal, bit for bit"
        print(f"{name:24s}" + "".join(f"{size / 1024:11.1f}" for size in sizes) + f"{1e3 * seconds:10.1f}   {told}", flush=True)


if __name__ == "__main__":
    main()
