"""Acyclic graphs of arcs with penalties, as in sections V and VI of Proc. IEEE 86(11), 1998.

For study: a path's penalty is the sum of its arcs', and a graph's is that of its best path
(`viterbi_penalty`) or of all its paths together (`forward_penalty`), each with its derivative for
every arc. `select_paths` keeps the paths that spell a string; `discriminative_loss` is what a
network learns from by the two. On a network's outputs `lenet_c.criteria` has the same sums, in C.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import checks

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Graph:
    """A directed acyclic graph whose arcs have penalties and, perhaps, labels.

    Parameters
    ----------
    sources, targets : sequence of int
        The nodes that each arc leads from and to: 0 or more, in any order.
    penalties : float array (arcs,)
        Finite.
    labels : sequence, optional
        What each arc reads, as a character or a class.
    start, end : int
        The nodes between which paths lead; `end` None: the highest.
    """

    sources: Integers
    targets: Integers
    penalties: Doubles
    labels: tuple[Hashable, ...]
    start: int
    end: int

    def __init__(
        self,
        sources: ArrayLike,
        targets: ArrayLike,
        penalties: ArrayLike,
        labels: Sequence[Hashable] | None = None,
        start: int = 0,
        end: int | None = None,
    ) -> None:
        values = checks.numbers("penalties", penalties).astype(np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError("penalties: want a finite number for each arc")
        ends = {"sources": _nodes("sources", sources), "targets": _nodes("targets", targets)}
        for name, nodes in ends.items():
            if len(nodes) != len(values):
                raise ValueError(
                    f"{name}: got {len(nodes)}, want {len(values)}: a node for each arc"
                )
        names = (None,) * len(values) if labels is None else tuple(labels)
        if len(names) != len(values):
            raise ValueError(f"labels: got {len(names)}, want {len(values)}: one for each arc")
        highest = max((int(nodes.max()) for nodes in ends.values() if nodes.size), default=0)
        object.__setattr__(self, "sources", ends["sources"])
        object.__setattr__(self, "targets", ends["targets"])
        object.__setattr__(self, "penalties", values)
        object.__setattr__(self, "labels", names)
        object.__setattr__(self, "start", checks.whole("start", start, 0))
        object.__setattr__(self, "end", highest if end is None else checks.whole("end", end, 0))
        _order(self)  # that there is one

    @property
    def n_nodes(self) -> int:
        """How many nodes there are, up to the highest that is named."""
        named = (self.start, self.end, *self.sources.tolist(), *self.targets.tolist())
        return int(max(named)) + 1


def viterbi_penalty(graph: Graph) -> tuple[float, Doubles]:
    """Penalty of the best path (eq. 10), and its derivatives.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    penalty : float
        Infinite if no path leads from start to end.
    derivatives : float64 array (arcs,)
        1 for the arcs of that path, of equal ones that with the arcs that come first, else 0.
    """
    best = np.full(graph.n_nodes, np.inf)
    best[graph.start] = 0.0
    taken = np.full(graph.n_nodes, -1)
    for node in _order(graph):
        for arc in np.flatnonzero(graph.targets == node):
            penalty = best[graph.sources[arc]] + graph.penalties[arc]
            if penalty < best[node]:
                best[node], taken[node] = penalty, arc
    derivatives = np.zeros(len(graph.penalties))
    node = graph.end
    while taken[node] >= 0:
        derivatives[taken[node]] = 1.0
        node = int(graph.sources[taken[node]])
    return float(best[graph.end]), derivatives


def forward_penalty(graph: Graph) -> tuple[float, Doubles]:
    r"""Minus the logarithm of the sum of e^-penalty over all paths (eq. 13, 14), and derivatives.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    penalty : float
        Infinite if no path leads from start to end.
    derivatives : float64 array (arcs,)
        The share that the paths through an arc have in the sum (eq. 15 and 16).

    Notes
    -----
    Over paths :math:`p` with penalties :math:`c_p`, which are the sums of those of their arcs,

    .. math:: -\log \sum_p e^{-c_p}.
    """
    order = _order(graph)
    to_node, from_node = np.full((2, graph.n_nodes), np.inf)
    to_node[graph.start] = from_node[graph.end] = 0.0
    for node in order:
        arcs = graph.targets == node
        if node != graph.start:
            to_node[node] = _logadd(to_node[graph.sources[arcs]] + graph.penalties[arcs])
    for node in reversed(order):
        arcs = graph.sources == node
        if node != graph.end:
            from_node[node] = _logadd(from_node[graph.targets[arcs]] + graph.penalties[arcs])
    penalty = float(to_node[graph.end])
    if math.isinf(penalty):
        return penalty, np.zeros(len(graph.penalties))
    through = to_node[graph.sources] + graph.penalties + from_node[graph.targets]
    return penalty, np.exp(penalty - through)


def select_paths(graph: Graph, string: Sequence[Hashable]) -> tuple[Graph, Integers]:
    """Compose a graph with a string: the paths that spell it (the path selector, VI.A).

    Parameters
    ----------
    graph : Graph
        With labels.
    string : sequence
        A label for each arc of a path, as "34".

    Returns
    -------
    selected : Graph
        Perhaps without any path.
    arcs : int array
        The arc of `graph` that each arc of `selected` stands for.
    """
    arcs, sources, targets = [], [], []
    length = len(string)
    for place, label in enumerate(string):
        for arc in (i for i, name in enumerate(graph.labels) if name == label):
            arcs.append(arc)
            sources.append(graph.sources[arc] * (length + 1) + place)
            targets.append(graph.targets[arc] * (length + 1) + place + 1)
    chosen = np.array(arcs, np.int64)
    selected = Graph(
        np.array(sources, np.int64),
        np.array(targets, np.int64),
        graph.penalties[chosen],
        [graph.labels[arc] for arc in arcs],
        graph.start * (length + 1),
        graph.end * (length + 1) + length,
    )
    return selected, chosen


def discriminative_loss(
    graph: Graph, string: Sequence[Hashable], forward: bool = False
) -> tuple[float, Doubles]:
    """Penalty of the paths that spell a string less that of all paths, and its derivatives.

    Parameters
    ----------
    graph : Graph
        With labels: the interpretation graph.
    string : sequence
        The right answer.
    forward : bool
        Whether the penalties are forward penalties (VI.D, eq. 17), or those of the best paths
        (VI.B, eq. 12).

    Returns
    -------
    loss : float
    derivatives : float64 array (arcs,)
        By each arc's penalty.

    Raises
    ------
    ValueError
        If no path spells the string.
    """
    penalty_of = forward_penalty if checks.truth("forward", forward) else viterbi_penalty
    selected, arcs = select_paths(graph, string)
    right, by_selected = penalty_of(selected)
    if math.isinf(right):
        raise ValueError(
            f"string: got {checks.short(string)}, want one that a path of the graph spells"
        )
    penalty, derivatives = penalty_of(graph)
    derivatives *= -1.0
    np.add.at(derivatives, arcs, by_selected)
    return right - penalty, derivatives


# ---- how -----------------------------------------------------------------------------------------


def _nodes(name: str, value: Any) -> Integers:
    given = checks.array(name, value)
    if given.ndim != 1 or (given.size and (given.dtype.kind not in "iu" or given.min() < 0)):
        raise ValueError(f"{name}: want whole numbers of at least 0, one for each arc")
    return given.astype(np.int64)


def _logadd(penalties: Doubles) -> float:
    """Eq. 14, with the smallest penalty taken out of the logarithm."""
    least = penalties.min(initial=np.inf)
    if np.isinf(least):
        return math.inf
    return float(least - np.log(np.exp(least - penalties).sum()))


def _order(graph: Graph) -> list[int]:
    """List the nodes so that arcs lead onward; raise ValueError if they lead in a circle."""
    before = np.bincount(graph.targets, minlength=graph.n_nodes)
    order = [int(node) for node in np.flatnonzero(before == 0)]
    for node in order:
        for target in graph.targets[graph.sources == node]:
            before[target] -= 1
            if before[target] == 0:
                order.append(int(target))
    if len(order) < graph.n_nodes:
        raise ValueError("sources, targets: arcs lead in a circle, want an acyclic graph")
    return order
