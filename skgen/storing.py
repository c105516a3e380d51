"""What a fitted model holds, as JSON and arrays, and back: no code is named by a file, so that none can run."""

from __future__ import annotations

import math
import re
from importlib import import_module
from typing import Any

import numpy as np

from skgen.registry import PluginError, entries, find

__all__ = ["OWN_TYPES", "Reader", "Unstorable", "Writer", "registered_name"]

#: Objects that models keep beside arrays: the only classes, with registered models, that a file can name.
_HELD = {
    name: f"skgen.{module}:{name}"
    for module, names in {
        "tables": "Columns",
        "containers": "Container",
        "conversions": "Bins Coding",
        "ops.chains": "Chain Contexts Layout",
        "ops.digest": "Digest",
        "ops.families": "Normal LogNormal Gamma StudentT Poisson NegativeBinomial DiscretisedNormal Separate SmoothedTable",
        "ops.gaussians": "FullGaussians DiagonalGaussians",
        "ops.junction": "Network Plan",
        "ops.kernels": "Kernel KernelSum",
        "ops.products": "NormalBlock TableBlock",
        "ops.trees": "Tree",
        "models.implicit._window": "Window Observation",
    }.items()
    for name in names.split()
}
#: scikit-learn's, which models stand behind or in front of; they hold numbers and each other.
_HELD |= {
    name: f"sklearn.{module}:{name}"
    for module, names in {
        "decomposition": "PCA",
        "mixture": "GaussianMixture BayesianGaussianMixture",
        "pipeline": "Pipeline",
        "preprocessing": "StandardScaler MinMaxScaler MaxAbsScaler RobustScaler PowerTransformer",
    }.items()
    for name in names.split()
}
#: Estimators that wrap models and are no models of the registry.
_MADE_OF_MODELS = {
    "GenerativeClassifier": "skgen.compose:GenerativeClassifier",
    "TransformedDensity": "skgen.compose:TransformedDensity",
    "ForeignDensity": "skgen.compose:ForeignDensity",
    "GenerativeImputer": "skgen.roles:GenerativeImputer",
    "GenerativeOverSampler": "skgen.oversampling:GenerativeOverSampler",
}
#: Those of skgen, as ``module:Class``.
OWN_TYPES = tuple(path for path in (*_HELD.values(), *_MADE_OF_MODELS.values()) if path.startswith("skgen."))
_WIDEST = 2**16  # bytes of a cell
_DEEPEST = 100  # of values within values


class Unstorable(ValueError):
    """A value that a file cannot hold; the message names it."""


def registered_name(cls: type) -> str:
    """``distribution:name`` of a registered class, or the name of an estimator made of models; empty if it is neither."""
    path = f"{cls.__module__}:{cls.__qualname__}"
    if _MADE_OF_MODELS.get(cls.__name__) == path:
        return cls.__name__
    top = cls.__module__.partition(".")[0]
    for entry in entries():
        near = entry.class_name == cls.__name__ and entry.target.partition(":")[0].partition(".")[0] == top
        if not entry.hidden and (entry.target == path or (near and entry.load() is cls)):
            return f"{entry.distribution}:{entry.name}"
    return ""


def _is_held(cls: type) -> bool:
    path = _HELD.get(cls.__name__, "")
    return cls.__module__.partition(".")[0] == path.partition(".")[0] and _imported(path) is cls


class Writer:
    """Values to JSON; arrays go to ``arrays``, and objects, each once, to ``objects``."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.objects: list[dict] = []
        self._seen: dict[int, tuple[int, Any]] = {}  # with the object itself, so that no other gets its id

    def value(self, v: Any, where: str) -> Any:
        """What stands for ``v`` in JSON.

        Raises
        ------
        Unstorable
            Naming ``where`` the value was found.
        """
        if v is None or isinstance(v, (bool, str)) or type(v) is int:
            return v
        if isinstance(v, float) and not isinstance(v, np.generic):
            return v if math.isfinite(v) else {"number": str(v)}
        if isinstance(v, list):
            return [self.value(one, where) for one in v]
        if isinstance(v, tuple):
            return {"tuple": [self.value(one, where) for one in v]}
        if isinstance(v, dict):
            return {"dict": [[self.value(k, where), self.value(one, where)] for k, one in v.items()]}
        if isinstance(v, slice):
            return {"slice": [self.value(one, where) for one in (v.start, v.stop, v.step)]}
        if isinstance(v, np.dtype):
            return {"dtype": v.str}
        if isinstance(v, type) and issubclass(v, np.generic):
            return {"type": np.dtype(v).str}
        if isinstance(v, np.generic):
            return {"scalar": self.array(np.asarray(v), where)}
        if isinstance(v, np.ndarray):
            return self.array(v, where)
        return {"object": self.object(v, where)}

    def array(self, a: np.ndarray, where: str) -> dict:
        """The same for an array: numbers as they are, text as bytes and lengths, other objects one by one."""
        kind, shape = a.dtype.kind, list(a.shape)
        if kind in "biufmM" and a.dtype.itemsize <= 8:
            fortran = a.flags.f_contiguous and not a.flags.c_contiguous  # sums may differ in their last bit by order
            plain = np.ascontiguousarray(a.T if fortran else a).reshape(shape[::-1] if fortran else shape)
            plain = plain.view("i8") if kind in "mM" else plain.astype(a.dtype.newbyteorder("="), copy=False)
            found = {"array": self._keep(plain), "dtype": a.dtype.str}
            return found | {"fortran": True} if fortran else found
        if kind == "U" or (kind == "O" and a.size and all(type(cell) is str for cell in a.flat)):
            cells = a.ravel().tolist()
            text = np.frombuffer("".join(cells).encode("utf-8", "surrogatepass"), dtype=np.uint8)
            lengths = np.array([len(cell) for cell in cells], dtype=np.int64)
            return {"text": self._keep(text), "lengths": self._keep(lengths), "dtype": a.dtype.str, "shape": shape}
        if kind == "O":
            return {"cells": [self.value(cell, where) for cell in a.ravel().tolist()], "shape": shape}
        raise Unstorable(f"{where} is an array of {a.dtype}, which a model file cannot hold.")

    def _keep(self, a: np.ndarray) -> str:
        name = str(len(self.arrays))
        self.arrays[name] = a
        return name

    def object(self, v: Any, where: str) -> int:
        """Place of an object among ``objects``."""
        if id(v) in self._seen:
            return self._seen[id(v)][0]
        cls = type(v)
        held = _is_held(cls)
        name = cls.__name__ if held else registered_name(cls) if hasattr(cls, "get_params") else ""
        if not name:
            remedy = (
                "register the class as an entry point of group 'skgen.models'"
                if hasattr(v, "score_samples")
                else "give the model _get_state() and _set_state(), or use joblib or skops"
            )
            raise Unstorable(f"{where} is {_article(cls)}, which a model file cannot hold: {remedy}.")
        at, line = len(self.objects), {}
        self._seen[id(v)] = at, v
        self.objects.append(line)
        state = v.__getstate__()
        if not isinstance(state, dict):
            raise Unstorable(f"{where} is {_article(cls)}, whose state is no dict: a model file cannot hold it.")
        if held:
            line |= {"held": name, "state": self._state(state, lambda key: f"{where}, {cls.__name__}.{key},")}
            return at
        parameters = set(v.get_params(deep=False))
        own = v._get_state() if hasattr(v, "_get_state") else None
        state = {key: one for key, one in state.items() if key not in ("_sklearn_version", "_skl_callbacks")}
        if own is not None:
            state = {key: one for key, one in state.items() if key in parameters or self._can_hold(one)}

        def of(key: str) -> str:
            return f"The {'parameter' if key in parameters else 'attribute'} {key} of {cls.__name__}"

        line |= {"model": name, "state": self._state(state, of)}
        if own is not None:
            line["own"] = self._state(own, lambda key: f"The item {key!r} of {cls.__name__}._get_state()")
        return at

    def _state(self, state: dict, where: Any) -> list:
        return [[key, self.value(one, where(key))] for key, one in state.items()]

    def _can_hold(self, v: Any) -> bool:
        trial = Writer()
        try:
            trial.value(v, "")
        except Unstorable:
            return False
        return True


def _article(cls: type) -> str:
    return f"{'an' if cls.__name__[:1] in 'AEIOU' else 'a'} {cls.__module__}.{cls.__qualname__}"


class Reader:
    """The way back. Raises ValueError, KeyError, TypeError and the like at anything that a Writer does not write."""

    def __init__(self, objects: list, arrays: dict[str, np.ndarray]):
        self.lines, self.arrays = objects, arrays
        self._made: dict[int, Any] = {}

    def value(self, v: Any, depth: int = 0) -> Any:
        """The value that JSON stands for."""
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        if v is None or isinstance(v, (bool, str, int, float)):
            return v
        deeper = depth + 1
        if isinstance(v, list):
            return [self.value(one, deeper) for one in v]
        what = next(iter(v))
        if what == "number":
            return float(v["number"])
        if what == "tuple":
            return tuple(self.value(one, deeper) for one in v["tuple"])
        if what == "dict":
            return {self.value(k, deeper): self.value(one, deeper) for k, one in v["dict"]}
        if what == "slice":
            return slice(*(self.value(one, deeper) for one in v["slice"]))
        if what == "dtype":
            dtype = np.dtype(v["dtype"])
            if dtype.itemsize > _WIDEST:
                raise ValueError(f"a cell of {dtype.itemsize:,} bytes is too wide")
            return dtype
        if what == "type":
            return np.dtype(v["type"]).type
        if what == "scalar":
            return self.array(v["scalar"], deeper)[()]
        if what == "object":
            return self.object(v["object"], deeper)
        return self.array(v, deeper)

    def array(self, v: dict, depth: int) -> np.ndarray:
        if "array" in v:
            a, dtype = self.arrays[v["array"]], np.dtype(v["dtype"])
            if dtype.kind in "mM":
                a = a.view(dtype)
            elif a.dtype != dtype:
                a = a.astype(dtype, casting="equiv")
            return a.T if v.get("fortran") else a
        if "text" in v:
            text, cells, start = self.arrays[v["text"]].tobytes().decode("utf-8", "surrogatepass"), [], 0
            for length in self.arrays[v["lengths"]].tolist():
                if length < 0:
                    raise ValueError("a text has a negative length")
                cells.append(text[start : start + length])
                start += length
            if start != len(text):
                raise ValueError("texts do not fill their bytes")
            dtype = np.dtype(v["dtype"])
            if dtype.kind not in "UO" or dtype.itemsize > max(8, 4 * max(map(len, cells), default=1)):
                raise ValueError("texts have another type")
        else:
            cells, dtype = [self.value(cell, depth + 1) for cell in v["cells"]], np.dtype(object)
        out = np.empty(len(cells), dtype=dtype)
        out[:] = cells
        return out.reshape(v["shape"])

    def object(self, at: int, depth: int) -> Any:
        if at in self._made:
            return self._made[at]
        if type(at) is not int or not 0 <= at < len(self.lines):
            raise ValueError(f"it has no object {at!r}")
        line = self.lines[at]
        if "held" in line:
            cls = _imported(_HELD[line["held"]])
        elif ":" in line["model"]:
            cls = _model(line["model"])
        else:
            cls = _imported(_MADE_OF_MODELS[line["model"]])
        made = self._made[at] = cls.__new__(cls)
        state = self._state(line["state"], depth)
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            vars(made).update(state)
        if "own" in line:
            made._set_state(self._state(line["own"], depth))
        return made

    def _state(self, pairs: list, depth: int) -> dict:
        state = {}
        for key, v in pairs:
            if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z_]\w*", key) or key.startswith("__"):
                raise ValueError(f"{key!r} is no name of an attribute")
            state[key] = self.value(v, depth + 1)
        return state


def _imported(path: str) -> type:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _model(name: str) -> type:
    """The registered class; its distribution must be installed, and not be gated."""
    distribution = name.partition(":")[0]
    try:
        entry = find(name)
    except ValueError:
        raise PluginError(f"The file holds a model {name!r}, which is not installed: pip install {distribution}") from None
    return entry.load()
