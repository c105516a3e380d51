"""Directed graphs as lists of parents: cycles, orders, moralisation, d-separation, and the order to eliminate nodes in.

A graph over nodes 0..d-1 is ``parents``, d lists of ints, throughout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["ancestors", "d_separated", "elimination", "find_cycle", "moral_graph", "reachable", "topological_order"]

Parents = Sequence[Sequence[int]]


def find_cycle(parents: Parents) -> list[int]:
    """The nodes of one directed cycle, each an arrow's start and the next its end; empty if there is none.

    Examples
    --------
    >>> find_cycle([[2], [0], [1]])
    [0, 1, 2]
    >>> find_cycle([[], [0], [0, 1]])
    []
    """
    state = [0] * len(parents)  # 1 on the path, 2 done
    for start in range(len(parents)):
        if state[start]:
            continue
        path, ways = [start], [iter(parents[start])]
        state[start] = 1
        while path:
            above = next(ways[-1], None)
            if above is None:
                state[path.pop()] = 2
                ways.pop()
            elif state[above] == 1:
                cycle = path[path.index(above) :]
                return [cycle[0], *cycle[:0:-1]]
            elif state[above] == 0:
                state[above] = 1
                path.append(above)
                ways.append(iter(parents[above]))
    return []


def topological_order(parents: Parents) -> list[int]:
    """The nodes, each after its parents, and otherwise in their own order.

    Raises
    ------
    ValueError
        If the graph has a cycle.

    Examples
    --------
    >>> topological_order([[1], [], [0, 1]])
    [1, 0, 2]
    """
    children: list[list[int]] = [[] for _ in parents]
    waiting = [len(set(above)) for above in parents]
    for i, above in enumerate(parents):
        for j in set(above):
            children[j].append(i)
    ready = [i for i, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    while ready:
        i = min(ready)
        ready.remove(i)
        order.append(i)
        for child in children[i]:
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
    if len(order) < len(parents):
        raise ValueError(f"The graph has a directed cycle through nodes {find_cycle(parents)}: remove one of its arrows.")
    return order


def ancestors(parents: Parents, nodes: Iterable[int]) -> set[int]:
    """``nodes`` and all that have a directed path to one of them."""
    found, waiting = set(), list(nodes)
    while waiting:
        i = waiting.pop()
        if i not in found:
            found.add(i)
            waiting.extend(parents[i])
    return found


def reachable(parents: Parents) -> np.ndarray:
    """Boolean (d, d): [j, i] says whether a directed path, perhaps of no arrow, leads from j to i.

    Examples
    --------
    >>> reachable([[], [0], [1]]).astype(int)
    array([[1, 1, 1],
           [0, 1, 1],
           [0, 0, 1]])
    """
    out = np.eye(len(parents), dtype=bool)
    for i in topological_order(parents):
        for j in parents[i]:
            out[:, i] |= out[:, j]
    return out


def moral_graph(parents: Parents, keep: Iterable[int] | None = None) -> dict[int, set[int]]:
    """Neighbours of each node once parents of one child are joined and directions dropped.

    Parameters
    ----------
    parents : d lists of ints
    keep : nodes, optional
        Leave the other nodes out; with a node its parents must be kept.

    Examples
    --------
    >>> moral_graph([[], [], [0, 1]])
    {0: {1, 2}, 1: {0, 2}, 2: {0, 1}}
    """
    nodes = range(len(parents)) if keep is None else sorted(keep)
    out: dict[int, set[int]] = {i: set() for i in nodes}
    for i in nodes:
        _join(out, {i, *parents[i]})
    return out


def _join(graph: dict[int, set[int]], nodes: Iterable[int]) -> None:
    members = set(nodes)
    for i in members:
        graph[i] |= members - {i}


def d_separated(parents: Parents, a: Iterable[int], b: Iterable[int], given: Iterable[int] = ()) -> bool:
    """Whether the graph says that a and b are independent given ``given``.

    That holds if ``given`` separates them in the moral graph of their common ancestral set (Lauritzen et al. 1990).

    Examples
    --------
    >>> collider = [[], [], [0, 1]]
    >>> d_separated(collider, [0], [1]), d_separated(collider, [0], [1], [2])
    (True, False)
    """
    a, b, given = set(a), set(b), set(given)
    graph = moral_graph(parents, ancestors(parents, a | b | given))
    seen, waiting = set(), list(a - given)
    while waiting:
        i = waiting.pop()
        if i in seen:
            continue
        if i in b:
            return False
        seen.add(i)
        waiting.extend(graph[i] - given)
    return True


def elimination(scopes: Iterable[Iterable[int]], levels: Sequence[int]) -> list[tuple[int, ...]]:
    """An order to sum nodes out in, and what each sum ranges over.

    Greedy: first the node whose removal joins the fewest neighbours not joined yet, each pair weighed by the size of
    its table (weighted min-fill; Kjaerulff 1990), then the one with the smallest table.

    Parameters
    ----------
    scopes : iterable of node sets
        One a factor.
    levels : d ints
        Size of each node's axis.

    Returns
    -------
    list of tuples
        (node, *the others in its clique), in the order of elimination; the others in their order of elimination too.

    Examples
    --------
    >>> elimination([(0, 1), (1, 2), (2, 3)], [2, 2, 2, 2])
    [(0, 1), (1, 2), (2, 3), (3,)]
    """
    graph: dict[int, set[int]] = {}
    for scope in scopes:
        members = set(scope)
        for i in members:
            graph.setdefault(i, set())
        _join(graph, members)

    def cost(i: int) -> tuple[float, float, int]:
        near = sorted(graph[i])
        fill = sum(levels[u] * levels[v] for at, u in enumerate(near) for v in near[at + 1 :] if v not in graph[u])
        size = float(levels[i])
        for u in near:
            size *= levels[u]
        return fill, size, i

    costs = {i: cost(i) for i in graph}
    order: list[int] = []
    cliques: list[set[int]] = []
    while graph:
        i = min(costs, key=costs.__getitem__)
        near = graph[i]
        order.append(i)
        cliques.append(near)
        _join(graph, near)
        changed = set(near)
        for u in near:
            graph[u].discard(i)
            changed |= graph[u]
        del graph[i], costs[i]
        for u in changed - {i}:
            costs[u] = cost(u)
    place = {i: at for at, i in enumerate(order)}
    return [(i, *sorted(near, key=place.__getitem__)) for i, near in zip(order, cliques, strict=True)]
