"""Models by name: the entry points of group "skgen.models", ours and strangers' alike, loaded at first use.

Listing imports no model and never raises. ``SKGEN_DISABLE_PLUGINS=1`` hides all distributions but skgen,
``SKGEN_PLUGINS=dist1,dist2`` all but skgen and those named. This is a gate and no sandbox: loading runs a plugin's code.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Entry", "PluginError", "entries", "get", "make", "names", "scan"]

GROUP = "skgen.models"
#: The author interface this skgen speaks; a class says which one it is written for in ``__skgen_api__``.
API = 1
_BUILT_IN = "skgen"


class PluginError(ImportError):
    """A registered model cannot be loaded; the message says why and what to do."""


@dataclass(frozen=True)
class Entry:
    """One registered model, not imported.

    Attributes
    ----------
    name, target : str
        The registry name, and ``module:Class``.
    distribution, version : str
    extras : tuple of str
        Extras of the distribution that the model needs.
    blocked : str
        Why it cannot be had by its bare name or at all; empty if it can.
    hidden : bool
        Gated by the environment: not to be loaded under any name.
    """

    name: str
    target: str
    distribution: str
    version: str = ""
    extras: tuple[str, ...] = ()
    blocked: str = ""
    hidden: bool = False

    @property
    def class_name(self) -> str:
        return self.target.rpartition(":")[2].rpartition(".")[2]

    @property
    def family(self) -> str:
        """The folder the model stands in: how it represents p(x)."""
        parts = self.target.partition(":")[0].split(".")
        return parts[2] if parts[:2] == ["skgen", "models"] and len(parts) > 3 else "plugin"

    @property
    def missing_extra(self) -> str:
        """The command that installs what the model needs and is not there; empty if nothing is missing."""
        absent = [extra for extra in self.extras if not all(map(_installed, _needed(self.distribution, extra)))]
        return f'pip install "{self.distribution}[{",".join(absent)}]"' if absent else ""

    def load(self) -> type:
        """Import the class.

        Raises
        ------
        PluginError
            Gated, missing an extra, failing on import, not a class, or written for another author interface.
        """
        if self.hidden:
            raise PluginError(f"Model {self.distribution}:{self.name} is disabled: {self.blocked}.")
        if self.missing_extra:
            raise PluginError(f"Model {self.name!r} needs {', '.join(self.extras)}: {self.missing_extra}")
        module, _, attribute = self.target.partition(":")
        try:
            found = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
            if not isinstance(found, type):
                raise TypeError(f"{self.target} is not a class")
            speaks = getattr(found, "__skgen_api__", API)
            if speaks != API:
                older = "skgen" if speaks > API else self.distribution
                raise RuntimeError(f"it is written for author interface {speaks}, this skgen has {API}: upgrade {older}")
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # a plugin may even call sys.exit on import: its row alone suffers
            raise PluginError(
                f"Model {self.name!r} of {self.distribution} {self.version} cannot be loaded "
                f"({type(error).__name__}: {error}). Upgrade or uninstall {self.distribution}."
            ) from error
        return found


def _needed(distribution: str, extra: str) -> list[str]:
    """The distributions that an extra stands for; none if its distribution is not installed, as for a made-up entry."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        return []
    mine = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    return [re.match(r"[\w.-]+", line)[0] for line in lines if mine.search(line)]


def _installed(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def scan(points: Iterable[EntryPoint], environ: dict[str, str] | os._Environ = os.environ) -> tuple[Entry, ...]:
    """Entries from entry points, gated by the environment; built-ins cannot be shadowed. Pure, for tests."""
    off = environ.get("SKGEN_DISABLE_PLUGINS", "") not in ("", "0")
    only = {_normal(name) for name in environ.get("SKGEN_PLUGINS", "").split(",") if name.strip()}
    found: list[Entry] = []
    for point in points:
        distribution = _normal(point.dist.name) if point.dist else "unknown"
        blocked, hidden = "", False
        if distribution != _BUILT_IN and off:
            blocked, hidden = "SKGEN_DISABLE_PLUGINS is set", True
        elif distribution != _BUILT_IN and only and distribution not in only:
            blocked, hidden = "it is not among SKGEN_PLUGINS", True
        elif not re.fullmatch(r"[a-z][a-z0-9_]*", point.name):
            blocked = "its name must be lower case letters, digits and underscores"
        version = point.dist.version if point.dist else ""
        target, _, extras = point.value.replace(" ", "").partition("[")
        extras = tuple(filter(None, extras.rstrip("]").split(",")))
        if not re.fullmatch(r"[\w.]+:[\w.]+", target):
            blocked = blocked or f"its entry point {point.value!r} is not module:Class"
        found.append(Entry(point.name, target, distribution, version, extras, blocked, hidden))
    ours = {entry.name for entry in found if entry.distribution == _BUILT_IN}
    shadows = [e for e in found if e.name in ours and e.distribution != _BUILT_IN and not e.blocked]
    for entry in shadows:
        why = f"{entry.name!r} is built in; ask for {entry.distribution}:{entry.name}"
        found[found.index(entry)] = Entry(entry.name, entry.target, entry.distribution, entry.version, entry.extras, why)
    return tuple(sorted(set(found), key=lambda e: (e.name, e.distribution != _BUILT_IN, e.distribution)))


@functools.cache
def _scanned(off: str, only: str) -> tuple[Entry, ...]:
    from importlib.metadata import entry_points

    return scan(entry_points(group=GROUP), {"SKGEN_DISABLE_PLUGINS": off, "SKGEN_PLUGINS": only})


def entries() -> tuple[Entry, ...]:
    """Every registered model, blocked ones too; nothing is imported."""
    return _scanned(os.environ.get("SKGEN_DISABLE_PLUGINS", ""), os.environ.get("SKGEN_PLUGINS", ""))


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
    claimed = [entry.name for entry in usable]
    return [e.name if claimed.count(e.name) == 1 else f"{e.distribution}:{e.name}" for e in usable]


def find(name: str, known: Iterable[Entry] | None = None) -> Entry:
    """The entry that ``name`` or ``distribution:name`` stands for.

    Raises
    ------
    ValueError
        Unknown (near misses are suggested), or claimed by two distributions (both are named).
    """
    known = entries() if known is None else tuple(known)
    distribution, _, bare = str(name).rpartition(":")
    matching = [e for e in known if e.name == bare and (not distribution or e.distribution == _normal(distribution))]
    if not distribution:
        matching = [e for e in matching if not e.blocked] or matching
    if not matching:
        near = difflib.get_close_matches(bare, sorted({e.name for e in known}), 3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"There is no model {name!r}.{hint} skgen.names() lists them all.")
    if len(matching) > 1:
        raise ValueError(
            f"{bare!r} is claimed by {' and '.join(e.distribution for e in matching)}: ask for "
            f"{' or '.join(f'{e.distribution}:{e.name}' for e in matching)}."
        )
    return matching[0]


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
        if entry.distribution == _BUILT_IN and not entry.missing_extra:
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
