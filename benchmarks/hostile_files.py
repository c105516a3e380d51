"""100,000 damaged and forged model files: `python benchmarks/hostile_files.py [--n 100000]`.

Half are damaged: bytes flipped, cut off, moved, repeated. Such a file must give a clean error or the very same model. Half are
forged: values of the description or whole arrays are replaced and the digest is put right, as somebody with bad intentions
would. Such a file may be another model; it must not run code, crash, hang or take memory. What a process does while it loads
is watched by an audit hook; memory is Python's own peak, NumPy's arrays included, beyond what the undamaged file takes (Python's
objects for a model of 10 kB are some 100 kB).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_iris

import skgen
from skgen.files import _digest
from skgen.storing import _HELD, _imported

MODELS = {"naive_bayes": {}, "gaussian_mixture": {"n_components": 2}, "chow_liu": {}, "mixture": {"n_components": 2}, "kde": {}}
CLEAN = (ValueError, skgen.PluginError, OSError)
SUSPICIOUS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.",
    "os.remove",
    "os.rename",
    "shutil.",
    "ctypes.",
)
NAMES = [
    *("os:system", "builtins:eval", "subprocess:Popen", "skgen:../../etc/passwd", "skgen.cli:main", "pickle:loads"),
    *("skgen:naive_bayes", "skgen:hmm", "skgen:made", "Columns", "Container", "Normal", "GenerativeClassifier", "__class__"),
    *("/etc/passwd", "../x", "\x00", "O", "V1000000000", "U99999999999", "i8", "<M8[D]", "array", "object", "dict", "tuple"),
]
VALUES = [*NAMES, None, True, 0, -1, 7, 2**31, 2**70, 1e308, float("nan"), [], {}, [[[]]], [2**40, 2**40], {"object": 0}]
seen: list[str] = []


def watch(event: str, arguments: tuple) -> None:
    if watching and (event.startswith(SUSPICIOUS) or (event == "open" and set(str(arguments[1])) & set("wax+"))):
        seen.append(f"{event} {arguments!r:.100}")


def damaged(rng: random.Random, whole: bytes) -> bytes:
    """Bytes flipped, cut off, moved, repeated."""
    out = bytearray(whole)
    for _ in range(rng.choice([1, 1, 1, 2, 5, 50])):
        at = rng.randrange(len(out)) if rng.random() < 0.5 else rng.randrange(min(len(out), 4000))
        how = rng.randrange(6)
        if how == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            out[at] = rng.randrange(256)
        elif how == 2:
            del out[at : at + rng.randrange(1, 64)]
        elif how == 3:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 16)))
        elif how == 4:
            out = out[: at + 1]
        else:
            out[at:at] = out[at : at + rng.randrange(1, 200)]
        if not out:
            return b""
    return bytes(out)


def places(node: object, found: list) -> list:
    """Every container of a JSON tree, with the keys in it."""
    if isinstance(node, (dict, list)):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            found.append((node, key))
            places(node[key], found)
    return found


def forged(rng: random.Random, told: dict, arrays: dict[str, np.ndarray], path: Path) -> None:
    """Values of the description, or arrays, replaced by others; the digest is right."""
    told, arrays = json.loads(json.dumps(told)), dict(arrays)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if rng.random() < 0.25 and arrays:
            name = rng.choice(list(arrays))
            a = np.atleast_1d(arrays[name])
            other = [
                *(a[:0], a.ravel(), a.astype("f4"), a.astype("i8"), a.view("u1"), np.full(a.shape, -1.0), np.zeros((0, 5))),
                *(np.full(a.shape, 2**62), np.full(a.shape, np.nan), np.repeat(a, 3), np.zeros((1, 1, 1, 1))),
            ]
            arrays[name] = np.ascontiguousarray(rng.choice(other))
            continue
        where = places(told, [])
        node, key = rng.choice(where)
        how = rng.randrange(4)
        if how == 0:
            del node[key]
        elif how == 1:
            other, at = rng.choice(where)
            try:
                node[key] = json.loads(json.dumps(other[at]))
            except (KeyError, IndexError):  # deleted before
                continue
        elif how == 2 and isinstance(node, dict) and isinstance(key, str):
            node[str(rng.choice(NAMES))] = node.pop(key)
        else:
            node[key] = rng.choice(VALUES)
    text = json.dumps(told)
    save_file(arrays, path, metadata={"skgen": text, "sha256": _digest(text, arrays)})


def answer(model: object, X: np.ndarray) -> bytes:
    return model.score_samples(X).tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = random.Random(asked.seed)
    X, y = load_iris(return_X_y=True)
    folder = Path(tempfile.mkdtemp())
    files = []
    for name, parameters in MODELS.items():
        path = folder / f"{name}.skgen"
        model = skgen.make(name, random_state=0, **parameters)
        model = model.fit(np.tile(X, (20, 1)) + rng.random()) if name == "kde" else model.fit(X, y)
        skgen.save(model, path)
        whole = path.read_bytes()
        told = json.loads(json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])["__metadata__"]["skgen"])
        skgen.load(path)  # what it imports, it imports now
        tracemalloc.start()
        skgen.load(path)
        files.append((whole, told, load_file(path), answer(model, X), tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    global watching
    sys.addaudithook(watch)
    path, counts, slowest, most = folder / "hostile.skgen", Counter(), (0.0, ""), (0, 0, "")
    for name in skgen.names():  # a forged file may name any: what their modules import is no act of the file
        skgen.get(name)
    for held in _HELD.values():
        _imported(held)
    start = time.perf_counter()
    for i in range(asked.n):
        whole, told, arrays, right, usual = rng.choice(files)
        kind = "damaged" if i % 2 else "forged"
        if kind == "damaged":
            path.write_bytes(damaged(rng, whole))
        else:
            forged(rng, told, arrays, path)
        size = path.stat().st_size
        if traced := kind == "forged" or i % 10 == 1:  # tracing takes most of the time, and the damaged are soon refused
            tracemalloc.start()
        began = time.perf_counter()
        watching, model, said = True, None, ""
        try:
            model = skgen.load(path)
        except CLEAN as error:
            said = "clean error"
            if not str(error):
                said = "an error without words"
        except BaseException as error:  # counted, and told of at the end: nothing else may come out
            said = f"{type(error).__name__}: {error}"
        watching = False
        slowest = max(slowest, (time.perf_counter() - began, said))
        if traced:
            most = max(most, (tracemalloc.get_traced_memory()[1] - usual, size, said))
            tracemalloc.stop()
        if model is not None:
            try:
                same = answer(model, X) == right
            except Exception:  # a forged model may be none that answers
                same = False
            said = "equal model" if same else "another model"
        counts[kind, said] += 1
    print(f"{asked.n:,} files in {time.perf_counter() - start:.0f} s, of {', '.join(MODELS)}; {len(files[0][0]):,} bytes and more")
    for (kind, said), count in sorted(counts.items()):
        print(f"{kind:8s} {said:30s} {count:8,d}")
    print(f"slowest load {1e3 * slowest[0]:.0f} ms ({slowest[1] or 'a model'})")
    print(f"most memory beyond the usual {most[0] / 1024:.0f} kB, for a file of {most[1] / 1024:.0f} kB ({most[2] or 'a model'})")
    print(f"suspicious acts while loading: {len(seen)}", *seen[:5], sep="\n")


watching = False
if __name__ == "__main__":
    main()
