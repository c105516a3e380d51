"""One registered model, not imported: read from an entry point, gated by the environment, and loaded so that only its own row
suffers when it fails.

``SKGEN_DISABLE_PLUGINS=1`` hides all distributions but skgen, ``SKGEN_PLUGINS=dist1,dist2`` all but skgen and those named. This
is a gate and no sandbox: loading runs a plugin's code.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["API", "BUILT_IN", "GROUP", "Entry", "PluginError", "normal", "scan"]

GROUP = "skgen.models"
#: The author interface this skgen speaks; a class says which one it is written for in ``__skgen_api__``.
API = 1
BUILT_IN = "skgen"
#: Models whose import touched a global random generator, and which: seen once, since a module is imported once.
_SEEDED: dict[Entry, str] = {}


class PluginError(ImportError):
    """A registered model cannot be loaded; the message says why and what to do."""


class _OtherInterface(RuntimeError):
    """A class is written for another author interface."""


class Entry(NamedTuple):  # not a dataclass, whose import takes a third of the time that listing does
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
        """Import the class. The global random generators are left as they were, whatever the import does to them.

        Raises
        ------
        PluginError
            Gated, missing an extra, failing on import, no estimator class, or written for another author interface.
        """
        if self.hidden:
            raise PluginError(f"Model {self.distribution}:{self.name} is disabled: {self.blocked}.")
        if self.missing_extra:
            raise PluginError(f"Model {self.name!r} needs {', '.join(self.extras)}: {self.missing_extra}")
        imported = self.target.partition(":")[0] in sys.modules  # then nothing runs, and other threads may draw meanwhile
        try:
            with nullcontext([]) if imported else _global_generators_kept() as kept:
                found = self._imported()
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # a plugin may even call sys.exit on import: its row alone suffers
            raise PluginError(
                f"Model {self.name!r} of {self.distribution} {self.version} cannot be loaded "
                f"({type(error).__name__}: {' '.join(_text(error).split())}). {self._remedy(error)}"
            ) from error
        if kept:
            _SEEDED[self] = ", ".join(kept)
        return found

    def trial(self) -> str:
        """Load the class, and say what is wrong with it; empty if nothing is."""
        try:
            self.load()
        except PluginError as error:
            return str(error)
        return f"its import changed the global random state of {_SEEDED[self]} (put back)" if self in _SEEDED else ""

    def _imported(self) -> type:
        module, _, attribute = self.target.partition(":")
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
        if not isinstance(found, type):
            raise TypeError(f"{self.target} is not a class")
        speaks = getattr(found, "__skgen_api__", API)
        if speaks != API:
            older = "skgen" if isinstance(speaks, int) and speaks > API else self.distribution
            raise _OtherInterface(f"it is written for author interface {speaks}, this skgen has {API}: upgrade {older}")
        if lacking := [name for name in ("fit", "get_params", "set_params") if not callable(getattr(found, name, None))]:
            raise TypeError(f"{self.target} is no estimator: it has no {' and no '.join(lacking)}")
        return found

    def _remedy(self, error: BaseException) -> str:
        absent = [need for need in _needed(self.distribution) if not _installed(need)]
        if isinstance(error, ImportError) and absent:
            return f"Install what it needs: pip install {' '.join(absent)}"
        if isinstance(error, ModuleNotFoundError) and error.name and error.name != self.target.partition(":")[0].partition(".")[0]:
            return f"Install the distribution that has the module {error.name}, or uninstall {self.distribution}."
        if isinstance(error, _OtherInterface):
            return "Both sides must speak one interface."
        return f"Upgrade {self.distribution}, mend it if it is yours, or uninstall it."


def _text(error: BaseException) -> str:
    """A stranger's exception may fail even when it is printed."""
    try:
        return str(error)
    except Exception:
        return "(it cannot be printed)"


@contextmanager
def _global_generators_kept() -> Iterator[list[str]]:
    """The global states of random, NumPy and torch after the block are those before it: seeding is the user's affair.

    The list that it gives names, after the block, those that were put back; not Python's own, from which well-kept libraries
    draw a name on import.
    """
    import random

    python = random.getstate()
    ways = {}
    if numpy := sys.modules.get("numpy"):
        ways["numpy"] = (numpy.random.get_state, numpy.random.set_state, lambda s: (s[0], s[1].tobytes(), *s[2:]))
    if torch := sys.modules.get("torch"):
        ways["torch"] = (torch.get_rng_state, torch.set_rng_state, lambda s: s.numpy().tobytes())
    before = {name: get() for name, (get, _, _) in ways.items()}
    put_back: list[str] = []
    try:
        yield put_back
    finally:
        random.setstate(python)
        for name, (get, put, plain) in ways.items():
            if plain(get()) != plain(before[name]):
                put(before[name])
                put_back.append(name)


def _needed(distribution: str, extra: str = "") -> list[str]:
    """The distributions that one requires, or that an extra of it stands for; none if it is not installed."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        return []
    mine = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""") if extra else re.compile(r"^[^;]*$")
    return [re.match(r"[\w.-]+", line)[0] for line in lines if mine.search(line)]


def _installed(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def normal(distribution: str) -> str:
    """A distribution's name as comparisons want it: lower case, hyphens."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def scan(points: Iterable[EntryPoint], environ: dict[str, str] | os._Environ = os.environ) -> tuple[Entry, ...]:
    """Entries from entry points, gated by the environment; built-ins cannot be shadowed. Pure, for tests."""
    off = environ.get("SKGEN_DISABLE_PLUGINS", "") not in ("", "0")
    only = {normal(name) for name in environ.get("SKGEN_PLUGINS", "").split(",") if name.strip()}
    points = list(points)
    origins = {id(point.dist): _origin(point.dist) for point in {id(point.dist): point for point in points}.values()}
    found = list(dict.fromkeys(_read(point, *origins[id(point.dist)], off, only) for point in points))
    ours = {entry.name for entry in found if entry.distribution == BUILT_IN}
    claims = Counter((entry.distribution, entry.name) for entry in found)
    for i, entry in enumerate(found):
        if entry.blocked:
            continue
        if entry.distribution != BUILT_IN and entry.name in ours:
            found[i] = entry._replace(blocked=f"{entry.name!r} is built in; ask for {entry.distribution}:{entry.name}")
        elif claims[entry.distribution, entry.name] > 1:
            found[i] = entry._replace(blocked=f"{entry.distribution} claims {entry.name!r} more than once", hidden=True)
    return tuple(sorted(found, key=lambda e: (e.name, e.distribution != BUILT_IN, e.distribution, e.target)))


def _read(point: EntryPoint, distribution: str, version: str, off: bool, only: set[str]) -> Entry:
    blocked, hidden = "", False
    if distribution != BUILT_IN and off:
        blocked, hidden = "SKGEN_DISABLE_PLUGINS is set", True
    elif distribution != BUILT_IN and only and distribution not in only:
        blocked, hidden = "it is not among SKGEN_PLUGINS", True
    elif not re.fullmatch(r"[a-z][a-z0-9_]*", point.name):
        blocked, hidden = "its name must be lower case letters, digits and underscores", True
    target, _, extras = point.value.replace(" ", "").partition("[")
    extras = tuple(filter(None, extras.rstrip("]").split(",")))
    if not re.fullmatch(r"[\w.]+:[\w.]+", target):
        blocked, hidden = blocked or f"its entry point {point.value!r} is not module:Class", True
    return Entry(point.name, target, distribution, version, extras, blocked, hidden)


def _origin(distribution: Any) -> tuple[str, str]:
    """Name and version, from the head of the metadata (a whole parse takes ten times as long); damaged metadata have none."""
    try:
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        head = dict(re.findall(r"^(Name|Version):[ \t]*(\S+)", text.partition("\n\n")[0], flags=re.MULTILINE))
        return normal(head.get("Name") or distribution.name), head.get("Version", "")
    except Exception:  # metadata are read by a parser that raises whatever it meets
        return "unknown", ""
