"""Memory, chunks and imports."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn import config_context

from skgen.testing.result import CheckFailed, CheckSkipped, Measured, check, require
from skgen.testing.subject import Subject

__all__: list[str] = []

_ALLOWANCE = 300 * 2**20
_PATIENCE = 20.0  # processor seconds of scoring or drawing in the memory check
_HEAVY = ("torch", "sklearn", "pandas")


@check(
    "C13",
    likely="_log_prob depends on how many rows it is given, or _sample draws otherwise for another n.",
)
def chunks(subject: Subject) -> None:
    """The size of a chunk, set by scikit-learn's working_memory, changes no bit of an answer."""
    for data, labelled in subject.cases("plane", "bits", "mixed", "blobs"):
        model = subject.fitted(data, labelled)
        X = data.rows(np.arange(9000) % len(data))
        want = model.score_samples(X)
        for megabytes in (1, 4096):
            with config_context(working_memory=megabytes):
                got = model.score_samples(X)
            require(
                np.array_equal(got, want),
                f"With working_memory={megabytes}, log p on table {data.name!r} changes by up to {np.abs(got - want).max():.3g}.",
            )


_CHILD = """
import json, pickle, resource, sys
import numpy as np
model, X, n = pickle.loads(open(sys.argv[1], "rb").read())
model.score_samples(X); model.sample(len(X))
X = X[np.arange(n) % len(X)]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = peak()
model.score_samples(X)
scored = peak()
model.sample(n)
print(json.dumps([before, scored, peak(), X.nbytes]))
"""


@check(
    "C13",
    full_only=True,
    likely="an array of rows x rows, or of rows x components x columns: make one component at a time.",
)
def memory(subject: Subject) -> Measured:
    """Scoring or drawing a million rows takes at most 300 MB beside the rows themselves."""
    data = subject.numeric()
    model = subject.fitted(data)
    if "__main__" in type(model).__module__:
        raise CheckSkipped("a class of __main__ cannot be loaded in another process")
    X = data.rows(np.arange(20 * len(data)) % len(data))
    start = time.process_time()
    model.score_samples(X)
    model.sample(len(X))
    n = int(min(1e6, _PATIENCE * len(X) / (time.process_time() - start)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pickle"
        path.write_bytes(pickle.dumps((model, data.X, n)))
        path_of_modules = os.pathsep.join(p for p in sys.path if p)
        command = [sys.executable, "-W", "ignore", "-c", _CHILD, str(path)]
        environment = {**os.environ, "PYTHONPATH": path_of_modules}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise CheckFailed(f"Scoring or drawing {n:,} rows ends with status {done.returncode}: {done.stderr.strip()[-300:]}")
    before, scored, drawn, rows = json.loads(done.stdout)
    # each peak is the highest so far; scoring gives n floats, drawing gives the rows themselves
    extra = max(scored - before - 8 * n, drawn - before - rows)
    if extra > _ALLOWANCE:
        raise CheckFailed(f"score_samples or sample of {n:,} rows takes {extra / 2**20:.0f} MB beside the rows.", float(extra))
    return Measured(float(extra), 1.0, f"{n:,} rows, {extra / 2**20:.0f} MB beside them")


@check(
    "C14",
    likely="a heavy module is imported at the top of a module that skgen imports.",
)
def imports(subject: Subject) -> None:
    """``import skgen`` and ``skgen.names()`` import neither torch, scikit-learn, pandas nor the model itself."""
    module = type(subject.estimator).__module__
    code = "import sys, skgen; skgen.names(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{code!r} ends with status {done.returncode}: {done.stderr.strip()[-300:]}")
    loaded = set(done.stdout.split())
    for heavy in (*_HEAVY, module):
        require(heavy not in loaded, f"import skgen and skgen.names() import {heavy}.")
