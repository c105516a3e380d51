"""Models by name: the entry points of group "skgen.models", ours and strangers' alike, loaded at first use.

Listing imports no model and never raises.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from skgen.plugins import API, BUILT_IN, GROUP, Entry, PluginError, normal, scan

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["API", "Entry", "PluginError", "entries", "find", "get", "make", "names", "refresh", "scan"]


def _installed() -> tuple[list[EntryPoint], list[Entry]]:
    """The group's entry points, and a row for each distribution whose own cannot be parsed: it takes nobody's with it."""
    from importlib.metadata import distributions, entry_points

    try:
        return list(entry_points(group=GROUP)), []
    except Exception:  # one malformed entry_points.txt ends the listing of all, by whatever its parser raises
        found, broken = [], []
        for distribution in distributions():
            try:
                found += distribution.entry_points.select(group=GROUP)
            except Exception as error:  # this is the malformed one
                if GROUP in (distribution.read_text("entry_points.txt") or ""):
                    why = f"its entry_points.txt cannot be read ({type(error).__name__}: {error})"
                    name = normal(distribution.name or "unknown")
                    broken.append(Entry("?", "", name, str(distribution.version or ""), blocked=why, hidden=True))
        return list(dict.fromkeys(found)), broken


@functools.cache
def _scanned(off: str, only: str) -> tuple[Entry, ...]:
    points, broken = _installed()
    return (*scan(points, {"SKGEN_DISABLE_PLUGINS": off, "SKGEN_PLUGINS": only}), *broken)


def entries() -> tuple[Entry, ...]:
    """Every registered model, blocked ones too; nothing is imported."""
    return _scanned(os.environ.get("SKGEN_DISABLE_PLUGINS", ""), os.environ.get("SKGEN_PLUGINS", ""))


def refresh() -> None:
    """Look again at what is installed: the registry reads it once a process."""
    import importlib

    importlib.invalidate_caches()
    _scanned.cache_clear()


def names() -> list[str]:
    """Names of the registered models.

    Returns
    -------
    list of str
        Sorted. A name that two distributions claim appears once for each, as ``distribution:name``.

    Examples
    --------
    >>> import skgen
    >>> "naive_bayes" in skgen.names()
    True
    """
    usable = [entry for entry in entries() if not entry.blocked]
    claims = Counter(entry.name for entry in usable)
    return [e.name if claims[e.name] == 1 else f"{e.distribution}:{e.name}" for e in usable]


def find(name: str, known: Iterable[Entry] | None = None) -> Entry:
    """The entry that ``name`` or ``distribution:name`` stands for.

    Raises
    ------
    ValueError
        Unknown (near misses are suggested), or claimed by two distributions (both are named).
    """
    known = entries() if known is None else tuple(known)
    distribution, _, bare = str(name).rpartition(":")
    matching = [e for e in known if e.name == bare and (not distribution or e.distribution == normal(distribution))]
    if not distribution:
        matching = [e for e in matching if not e.blocked] or matching
    if not matching:
        import difflib

        near = difflib.get_close_matches(bare, sorted({e.name for e in known}), 3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"There is no model {name!r}.{hint} skgen.names() and `skgen models` list them all.")
    if len(matching) > 1 and not all(entry.hidden for entry in matching):
        raise ValueError(
            f"{bare!r} is claimed by {' and '.join(e.distribution for e in matching)}: ask for "
            f"{' or '.join(f'{e.distribution}:{e.name}' for e in matching)}."
        )
    return matching[0]


def remark(entry: Entry) -> str:
    """What there is to say of a row without loading it: why it is blocked, what to install, who else claims its name."""
    if entry.blocked:
        return entry.blocked
    if entry.missing_extra:
        return f"needs: {entry.missing_extra}"
    claims = [other.distribution for other in entries() if other.name == entry.name and not other.blocked]
    if len(claims) == 1:
        return ""
    return f"{entry.name!r} is claimed by {' and '.join(claims)}; ask for {entry.distribution}:{entry.name}"


def get(name: str) -> type:
    """The class registered under ``name``.

    Parameters
    ----------
    name : str
        A name of :func:`names`, or ``distribution:name``.

    Raises
    ------
    ValueError
        For an unknown or doubly claimed name.
    PluginError
        If the class cannot be loaded.

    Examples
    --------
    >>> import skgen
    >>> skgen.get("naive_bayes").__name__
    'NaiveBayes'
    """
    return find(name).load()


def make(name: str, **parameters: Any) -> Any:
    """A model by name: ``make("mixture", n_components=3)`` is ``get("mixture")(n_components=3)``.

    Examples
    --------
    >>> import skgen
    >>> skgen.make("naive_bayes", alpha=0.5)
    NaiveBayes(alpha=0.5)
    """
    return get(name)(**parameters)


def taking(kinds: set[str]) -> str:
    """Built-in models that take columns of all these kinds natively or by conversion, for messages."""
    able = []
    for entry in entries():
        if entry.distribution == BUILT_IN and not entry.missing_extra:
            try:
                model = entry.load()()
            except PluginError:  # its own row tells; this is about another model's columns
                continue
            native = set() if getattr(model, "step_features", None) else model.kinds
            if kinds <= native or (
                "categorical" in native and kinds <= {"binary", "categorical", "integer", "continuous", "bernoulli"}
            ):
                able.append(entry.name)
    return ", ".join(able) or "none that is installed"
