"""Write model files of this release to tests/golden: what a later release must still open.

`python tools/make_golden.py` adds those of the present version, and never writes over one; a test opens them all.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

import skgen

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
MODELS = {
    "naive_bayes": {},
    "gaussian_mixture": {"n_components": 2},
    "chow_liu": {},
    "mixture": {"n_components": 2, "max_iter": 50, "tol": 1e-2},
    "made": {"max_epochs": 2, "hidden_layer_sizes": 8},
    "vae": {"max_epochs": 2, "hidden_layer_sizes": 8, "n_components": 2},
}


def table(name: str) -> pd.DataFrame:
    """Thirty rows without chance, of numbers, levels, counts and truths; numbers alone for a model of such."""
    i = np.arange(30)
    frame = pd.DataFrame(
        {
            "size": np.sin(i) + i % 3,
            "colour": pd.Categorical(np.array(["red", "blue", "green"])[i * i % 3], categories=["red", "blue", "green", "none"]),
            "count": i * 7 % 5,
            "on": i % 4 == 0,
        }
    )
    return frame if "categorical" in skgen.make(name).kinds else frame[["size", "count"]].astype(float)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, parameters in MODELS.items():
        path = FOLDER / f"{name}-{skgen.__version__}.skgen"
        if path.exists():
            continue
        X = table(name)
        model = skgen.make(name, random_state=0, **parameters).fit(X, np.array(["no", "yes"])[np.arange(30) % 2])
        skgen.save(model, path)
        told = {"log_p": model.score_samples(X).tolist(), "proba": model.predict_proba(X).tolist()}
        path.with_suffix(".json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
