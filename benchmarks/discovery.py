"""How long the models of 500 installed distributions take to list: `python benchmarks/discovery.py`.

Two made-up site-packages of 500 distributions each: ten of them have a model, or all. Each figure is the best of ten fresh
processes, beside the standard library's own reading of the entry points, which is the floor. The import of importlib.metadata,
which the first listing of a process needs, is told apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

N = 500
CODE = """
import time
start = time.perf_counter(); import skgen; imported = time.perf_counter()
import importlib.metadata; library = time.perf_counter()
skgen.names(); first = time.perf_counter()
skgen.names(); again = time.perf_counter()
from importlib.metadata import entry_points
before = time.perf_counter(); entry_points(group="skgen.models"); floor = time.perf_counter()
print(imported - start, library - imported, first - library, again - first, floor - before)
"""


def site(folder: Path, with_model: int) -> Path:
    """500 distributions as pip leaves them."""
    for i in range(N):
        info = folder / f"dist_{i}-1.0.dist-info"
        info.mkdir(parents=True)
        about = (
            f"Metadata-Version: 2.1\nName: dist-{i}\nVersion: 1.0\n"
            + "Classifier: one\n" * 20
            + "\n"
            + "A long description.\n" * 100
        )
        (info / "METADATA").write_text(about)
        group = "skgen.models" if i < with_model else "console_scripts"
        (info / "entry_points.txt").write_text(f"[{group}]\nmodel_{i} = module_{i}:Model\n")
    return folder


def measured(folder: Path) -> list[float]:
    """Seconds that a fresh process takes for each step."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    print(f"{N} distributions   import skgen   importlib.metadata   skgen.names()   again   entry_points() alone, ms, best of 10")
    with tempfile.TemporaryDirectory() as top:
        for with_model in (10, N):
            folder = site(Path(top) / str(with_model), with_model)
            runs = [measured(folder) for _ in range(10)]
            imported, library, first, again, floor = (1e3 * min(run[k] for run in runs) for k in range(5))
            print(f"{with_model:3d} with a model {imported:15.1f} {library:20.1f} {first:15.1f} {again:7.2f} {floor:10.1f}")


if __name__ == "__main__":
    main()
