"""A network as a user writes it, {node: [parents]} and tables by state names, read against the columns of a table."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skgen.containers import Container
from skgen.ops.graphs import find_cycle
from skgen.tables import Columns

__all__ = ["columns_of", "position", "read_graph", "read_table"]

_SUM = 1e-5  # how far from one the sum of a given distribution may be; published tables are rounded


def position(columns: Columns, name: Any, what: str) -> int:
    """The place of a column given by name, or by position.

    Raises
    ------
    ValueError
        If there is none; ``what`` says where the name stood.
    """
    try:
        if name in columns.names:
            return columns.names.index(name)
    except TypeError:
        pass
    if isinstance(name, (int, np.integer)) and not isinstance(name, (bool, np.bool_)) and 0 <= name < len(columns):
        return int(name)
    near = difflib.get_close_matches(str(name), [str(n) for n in columns.names], 1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {columns.names[:20]}."
    raise ValueError(f"{what} names {name!r}, which is not a column: {hint}")


def read_graph(graph: Mapping, columns: Columns) -> list[list[int]]:
    """{node: [parents]} as lists of positions; a column that is no key has no parents.

    Raises
    ------
    ValueError
        For an unknown node, a parent named twice or a cycle.
    """
    parents: list[list[int]] = [[] for _ in columns.names]
    for node, above in graph.items():
        i = position(columns, node, "graph")
        if above is None:
            continue
        if isinstance(above, str) or not isinstance(above, (Sequence, np.ndarray, set, frozenset, pd.Index)):
            raise ValueError(f"graph gives node {node!r} the parents {above!r}: give a list of columns, [] for none.")
        parents[i] = [position(columns, parent, f"graph[{node!r}]") for parent in above]
        if len(set(parents[i])) < len(parents[i]):
            raise ValueError(f"graph gives node {node!r} a parent twice: {list(above)!r}.")
    cycle = find_cycle(parents)
    if cycle:
        way = " -> ".join(repr(columns.names[i]) for i in [*cycle, cycle[0]])
        raise ValueError(f"graph has a directed cycle, {way}: remove or turn one of its arrows.")
    return parents


def read_table(given: Any, i: int, parents: Sequence[int], columns: Columns) -> np.ndarray:
    """One given table, (levels of each parent ..., levels), rows divided by their sums.

    Parameters
    ----------
    given : DataFrame, mapping or array-like
        By names: a frame with a row for each configuration of the parents and a column for each state; or a mapping,
        {state: p} without parents, {parent's state or tuple of them: {state: p}} with them. By place: an array whose
        rows run over the parents' levels, the last parent fastest.
    i : int
    parents : ints
    columns : Columns

    Raises
    ------
    ValueError
        Naming the node, the configuration and what is wrong with it.
    """
    node, levels = columns.names[i], columns.levels[i]
    shape = [len(columns.levels[j]) for j in (*parents, i)]
    if isinstance(given, Mapping):
        rows = given if parents else {(): given}
        given = pd.DataFrame([{**row} for row in rows.values()])
        given.index = _index([key if isinstance(key, tuple) else (key,) for key in rows], parents)
    if isinstance(given, pd.DataFrame):
        flat = _by_name(given, i, parents, columns)
    else:
        flat = np.asarray(given, dtype=float)
        if flat.size != int(np.prod(shape)):
            raise ValueError(
                f"The table of node {node!r} has shape {flat.shape}, but its parents and states make {tuple(shape)}: give a row "
                "for each configuration of the parents, the last one fastest, and a column for each state."
            )
        flat = flat.reshape(-1, shape[-1])
    bad = ~np.isfinite(flat) | (flat < 0)
    total = np.where(bad, 0, flat).sum(axis=1)
    for row in np.flatnonzero(bad.any(axis=1) | (np.abs(total - 1) > _SUM))[:1]:
        at = np.unravel_index(row, shape[:-1]) if parents else ()
        where = ", ".join(f"{columns.names[j]}={columns.levels[j].tolist()[a]!r}" for j, a in zip(parents, at, strict=True))
        wrong = f"sums to {total[row]:.6g}, not to 1" if not bad[row].any() else f"holds {flat[row][bad[row]].tolist()[0]!r}"
        raise ValueError(f"The table of node {node!r}{' at ' + where if where else ''} {wrong}: probabilities of {list(levels)}.")
    return (flat / total[:, None]).reshape(shape)


def _index(keys: list[tuple], parents: Sequence[int]) -> pd.Index:
    return pd.MultiIndex.from_tuples(keys) if len(parents) > 1 else pd.Index([key[0] if key else 0 for key in keys])


def _by_name(frame: pd.DataFrame, i: int, parents: Sequence[int], columns: Columns) -> np.ndarray:
    """A frame's cells in the order of the columns' levels."""
    node, names = columns.names[i], [columns.names[j] for j in parents]
    at = columns.levels[i].get_indexer(frame.columns)
    lacking = [level for level in columns.levels[i] if level not in frame.columns]
    if lacking or (at < 0).any():
        odd = f"lacks state {lacking[0]!r}" if lacking else f"has state {frame.columns[at < 0][0]!r}, which the column does not"
        raise ValueError(f"The table of node {node!r} {odd}: its states are {list(columns.levels[i])}.")
    cells = frame.iloc[:, np.argsort(at)].to_numpy(dtype=float)  # by name, True and False would be a mask
    if not parents:
        if len(cells) != 1:
            raise ValueError(f"The table of node {node!r} has {len(cells)} rows, but the node has no parents: give one.")
        return cells
    index = frame.index
    if index.nlevels != len(parents):
        raise ValueError(f"The table of node {node!r} is given by {index.nlevels} parents, but the graph gives it {names}.")
    order = list(range(len(parents)))
    if all(name is not None for name in index.names):
        if set(index.names) != set(names):
            raise ValueError(f"The table of node {node!r} is given by {list(index.names)}, but its parents are {names}.")
        order = [index.names.index(name) for name in names]
    place = np.zeros(len(cells), dtype=int)
    for j, level in zip(parents, order, strict=True):
        code = columns.levels[j].get_indexer(index.get_level_values(level))
        if (code < 0).any():
            state = index.get_level_values(level)[code < 0][0]
            raise ValueError(f"The table of node {node!r} names state {state!r} of {columns.names[j]!r}, which has none such.")
        place = place * len(columns.levels[j]) + code
    configurations = int(np.prod([len(columns.levels[j]) for j in parents]))
    if len(np.unique(place)) != configurations or len(place) != configurations:
        raise ValueError(
            f"The table of node {node!r} has {len(np.unique(place))} distinct configurations of its parents {names} in "
            f"{len(place)} rows: give each of the {configurations} once."
        )
    out = np.empty_like(cells)
    out[place] = cells
    return out


def columns_of(states: Mapping[Any, Sequence]) -> Columns:
    """The columns of a network given whole: categorical, in a pandas frame, states in the order declared.

    Raises
    ------
    ValueError
        Naming a node without states or with one twice.
    """
    levels = {}
    for node, declared in states.items():
        levels[node] = pd.Index(list(declared))
        if not len(levels[node]) or levels[node].has_duplicates:
            raise ValueError(f"Node {node!r} has states {list(declared)!r}: name at least one, each once.")
    names = list(levels)
    dtypes = [pd.CategoricalDtype(index) for index in levels.values()]
    container = Container("pandas", columns=pd.Index(names))
    return Columns(names, ["categorical"] * len(names), list(levels.values()), np.arange(len(names)), container, dtypes)
