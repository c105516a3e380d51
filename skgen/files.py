"""Model files: one safetensors file with JSON beside the arrays, from which nothing is run.

A file names classes of the registry and a closed list of skgen's own; what it cannot hold is refused when it is written. There
is no way from here to pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

import skgen
from skgen.learn.whole_files import written_whole

__all__ = ["load", "notes", "save", "trusted_types"]

FORMAT = 1
_MOST_TEXT = 2**26  # bytes of JSON: what is large is in arrays
_MOST_ARRAYS = 10**5
#: What reading a description that no Writer wrote may end in.
_OF_A_BAD_FILE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, StopIteration, RuntimeError)


def save(model: Any, path: str | os.PathLike, *, notes: dict[str, str] | None = None) -> None:
    """Write a model to a file that :func:`load` opens, anywhere.

    The file is written beside ``path`` and moved there when it is whole, so that a failure leaves an older file as it was.
    Numbers are kept bit for bit: the loaded model answers as this one does. Callbacks are not kept.

    Parameters
    ----------
    model : estimator
        A model of the registry, or one made of such: ``GenerativeClassifier``, ``TransformedDensity``, ``GenerativeImputer``,
        ``GenerativeOverSampler``. Fitted or not.
    path : str or path
    notes : {text: text}, optional
        Kept beside the model: where the data came from, what the target is called. :func:`notes` reads them.

    Raises
    ------
    ValueError
        If the model holds what a file cannot: a function, a random generator, another library's object. The message names the
        parameter or attribute.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, skgen
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = skgen.make("naive_bayes").fit(X, y)
    >>> path = tempfile.mkdtemp() + "/iris.skgen"
    >>> skgen.save(model, path)
    >>> bool((skgen.load(path).predict(X) == model.predict(X)).all())
    True
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    from skgen.storing import Writer

    path = Path(path)
    if isinstance(model, type) or not hasattr(model, "get_params"):
        raise ValueError(f"save writes a model, not {model!r}: give a model and then a path.")
    if not all(isinstance(word, str) for pair in (notes or {}).items() for word in pair):
        raise ValueError("notes must be a dict of text to text.")
    writer = Writer()
    root = writer.value(model, "The model")
    told = {"format": FORMAT, "version": skgen.__version__, "notes": notes or {}, "root": root, "objects": writer.objects}
    text = json.dumps(told, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    if len(text) > _MOST_TEXT or len(writer.arrays) > _MOST_ARRAYS:
        raise ValueError(
            f"The model is described by {len(text):,} bytes and {len(writer.arrays):,} arrays, too many for a model file."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} into.")
    try:
        with written_whole(path) as part:
            save_file(writer.arrays, part, metadata={"skgen": text, "sha256": _digest(text, writer.arrays)})
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}. What was there before is as it was.") from error


def load(path: str | os.PathLike) -> Any:
    """Open a file that :func:`save` wrote.

    No code of the file is run: it names models, which the registry looks up. torch is imported only if the model needs it.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    estimator

    Raises
    ------
    ValueError
        If the file is none of skgen's, damaged, or written by a newer skgen.
    PluginError
        If a model of it is not installed, or is gated; the message says what to install.
    OSError
        If the file cannot be read.
    """
    from skgen.registry import PluginError
    from skgen.storing import Reader

    path = Path(path)
    described, arrays = _opened(path)
    try:
        model = Reader(described["objects"], arrays).value(described["root"])
        if not hasattr(model, "get_params"):
            raise ValueError(f"it holds {type(model).__name__} in place of a model")
        return model
    except (PluginError, OSError):
        raise
    except _OF_A_BAD_FILE as error:
        raise ValueError(f"{path} cannot be opened: {type(error).__name__}: {error}.") from error


def notes(path: str | os.PathLike) -> dict[str, str]:
    """What was noted beside a model when it was saved; nothing of the model is made.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    {text: text}

    Raises
    ------
    ValueError, OSError
        As :func:`load`.

    Examples
    --------
    >>> import tempfile, skgen
    >>> path = tempfile.mkdtemp() + "/model.skgen"
    >>> skgen.save(skgen.make("naive_bayes"), path, notes={"data": "wine"})
    >>> skgen.files.notes(path)
    {'data': 'wine'}
    """
    path = Path(path)
    described, _ = _opened(path)
    try:
        return {str(name): str(text) for name, text in described.get("notes", {}).items()}
    except _OF_A_BAD_FILE as error:
        raise ValueError(f"{path} cannot be opened: {type(error).__name__}: {error}.") from error


def trusted_types(*plugins: str) -> list[str]:
    """The types that a skops file of a model of skgen holds, for ``skops.io.load(path, trusted=...)``.

    Parameters
    ----------
    *plugins : str
        Distributions that are trusted as well, such as "skgen-zuko", with all classes of the modules that their models bring
        along; those are imported.

    Returns
    -------
    list of str
        Models and the objects that they keep, all of skgen's own, and ``numpy.dtype``.

    Raises
    ------
    ValueError
        For a distribution without models.
    PluginError
        If one of its models cannot be loaded.

    Examples
    --------
    >>> import skgen
    >>> "skgen.models.explicit.naive_bayes.NaiveBayes" in skgen.trusted_types()
    True
    """
    from skgen.plugins import BUILT_IN, normal
    from skgen.registry import entries
    from skgen.storing import OWN_TYPES

    found = {target.replace(":", ".") for target in OWN_TYPES} | {"numpy.dtype"}
    found |= {entry.target.replace(":", ".") for entry in entries() if entry.distribution == BUILT_IN}
    for distribution in map(normal, plugins):
        theirs = [entry for entry in entries() if entry.distribution == distribution]
        if not theirs:
            raise ValueError(f"There is no distribution {distribution!r} with models: `skgen models` lists them.")
        packages = {entry.load().__module__.partition(".")[0] for entry in theirs}
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in packages:
                classes = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == name]
                found |= {f"{name}.{cls.__qualname__}" for cls in classes}
    return sorted(found)


def _opened(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The description of a file, and its arrays, held against the digest."""
    from safetensors import SafetensorError, safe_open

    _check_size(path)
    try:
        with safe_open(path, framework="numpy") as file:
            told = file.metadata() or {}
            if "skgen" not in told:
                raise ValueError(f"{path} is not a model file of skgen.")
            held = list(file.keys())
            if len(held) > _MOST_ARRAYS:
                raise ValueError(f"{path} holds {len(held):,} arrays, more than a model file may.")
            arrays = {name: file.get_tensor(name) for name in held}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a model file of skgen, or is damaged: {error}.") from None
    if _digest(told["skgen"], arrays) != told.get("sha256"):
        raise ValueError(f"{path} is damaged: its contents are not those that were written.")
    try:
        described = json.loads(told["skgen"])
        if described["format"] > FORMAT:
            raise ValueError(f"it was written by skgen {described['version']}, this is {skgen.__version__}: upgrade skgen")
    except _OF_A_BAD_FILE as error:
        raise ValueError(f"{path} cannot be opened: {type(error).__name__}: {error}.") from error
    return described, arrays


def _check_size(path: Path) -> None:
    """Before anything is allocated: the length that the file states for its header, held against the file."""
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    with open(path, "rb") as file:
        first, size = file.read(8), os.fstat(file.fileno()).st_size
    if len(first) < 8:
        raise ValueError(f"{path} is not a model file of skgen: it has {size} bytes.")
    stated = struct.unpack("<Q", first)[0]
    if stated > size - 8 or stated > 2 * _MOST_TEXT:
        raise ValueError(f"{path} is not a model file of skgen, or is cut off.")


def _digest(text: str, arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of all that a file holds."""
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        a = arrays[name]
        found.update(f"{name} {a.dtype.str} {a.shape}".encode())
        found.update(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
    return found.hexdigest()
