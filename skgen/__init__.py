"""Generative models as scikit-learn estimators: ``fit(X)`` learns p(x), ``fit(X, y)`` learns p(x|y) p(y).

Importing skgen imports neither scikit-learn, pandas nor torch: a name below, or the class of a registered model, is
imported when it is first asked for (PEP 562).
"""

from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Columns": "skgen.tables",
    "columns": "skgen.reading",
    "ColumnWarning": "skgen.reading",
    "GenerativeImputer": "skgen.roles",
    "GenerativeModel": "skgen.base",
    "GenerativeOverSampler": "skgen.oversampling",
    "Interval": "skgen.parameters",
    "GenerativeClassifier": "skgen.compose",
    "TransformedDensity": "skgen.compose",
    "NeuralModel": "skgen.neural",
    "PluginError": "skgen.registry",
    "names": "skgen.registry",
    "get": "skgen.registry",
    "make": "skgen.registry",
    "load": "skgen.files",
    "save": "skgen.files",
    "trusted_types": "skgen.files",
    "compare": "skgen.evaluate.compare",
    "Snapshots": "skgen.evaluate.snapshots",
    "HistoryDisplay": "skgen.evaluate.displays",
}


def __getattr__(name: str) -> Any:
    if name in ("evaluate", "sequences", "testing"):
        from importlib import import_module

        return import_module(f"skgen.{name}")
    if name in _LAZY:
        from importlib import import_module

        found = getattr(import_module(_LAZY[name]), name)
    elif name == "__all__":  # what `from skgen import *` asks for
        return [public for public in __dir__() if public != "__version__"]
    elif name.startswith("_"):
        raise AttributeError(f"module 'skgen' has no attribute {name!r}")
    else:
        from skgen.registry import entries

        matching = [entry for entry in entries() if entry.class_name == name and entry.distribution == "skgen"]
        if not matching:
            raise AttributeError(f"module 'skgen' has no attribute {name!r}")
        found = matching[0].load()
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    from skgen.registry import entries

    return sorted({*_LAZY, *(entry.class_name for entry in entries() if entry.distribution == "skgen"), "__version__"})
