"""The author kit: a complete distribution with a working model in it, for somebody to put their own in its place."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from skgen.registry import API, entries

__all__ = ["new_plugin"]

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "src/{package}/__init__.py": "model.py",
    "tests/test_conformance.py": "test_conformance.py",
    ".github/workflows/ci.yml": "ci.yml",
}


def new_plugin(name: str, folder: str | Path = ".") -> list[Path]:
    """Write a distribution ``skgen-NAME`` with one model, its entry point, a conformance test, a README and a CI file.

    Parameters
    ----------
    name : str
        Of the model in the registry, such as "wild_mixture": lower case letters, digits and underscores.
    folder : path, default="."
        Where the folder ``skgen-NAME`` is made.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        If the name is none for a model, or belongs to one.
    FileExistsError
        If there is such a folder: nothing is overwritten.

    Examples
    --------
    >>> import tempfile
    >>> [path.name for path in new_plugin("wild_mixture", tempfile.mkdtemp())]
    ['pyproject.toml', 'README.md', '__init__.py', 'test_conformance.py', 'ci.yml']
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        why = "it is a word of Python's" if keyword.iskeyword(name) else "take lower case letters, then digits and underscores too"
        raise ValueError(f"{name!r} is no name for a model: {why}. 'wild_mixture' would be one.")
    taken = [entry for entry in entries() if entry.name == name]
    if taken:
        raise ValueError(f"There is a model {name!r} already, of {taken[0].distribution}: choose another name.")
    names = {
        "name": name,
        "package": f"skgen_{name}",
        "distribution": f"skgen-{name.replace('_', '-')}",
        "class_name": "".join(part[:1].upper() + part[1:] for part in name.split("_")),
        "api": str(API),
    }
    top = Path(folder) / names["distribution"]
    if top.exists():
        raise FileExistsError(f"{top} is there already: remove it, or choose another name.")
    written = []
    for place, template in _FILES.items():
        path = top / place.format(**names)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (files("skgen") / "template" / f"{template}.txt").read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(names), encoding="utf-8")
        written.append(path)
    return written
