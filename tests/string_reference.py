"""Sums over paths through outputs, slow and obvious, in float64: what lenet_c.criteria is held to.

Nothing here touches the C core. A grammar is (next, accept) as `lenet_c.criteria` has it, and a
string is the grammar of itself alone. The rubbish class is one more column, which the paths of a
string do not take and those of a grammar take as they take a blank.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Array = Any


def log_probabilities(outputs: Array, scale: float, j: float | None) -> Array:
    """(positions, classes + 1), the last of them the rubbish class's."""
    evidence = np.asarray(outputs, np.float64) * scale
    rubbish = np.full((len(evidence), 1), -np.inf if j is None else -j)
    evidence = np.concatenate([evidence, rubbish], axis=1)
    top = evidence.max(axis=1, keepdims=True)
    return evidence - top - np.log(np.exp(evidence - top).sum(axis=1, keepdims=True))


def spells(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(c for c, _ in itertools.groupby(path) if c != blank)


def accepts(grammar: Any, string: tuple[int, ...]) -> bool:
    following, accept = grammar
    state = 0
    for c in string:
        state = following[state][c]
        if state < 0:
            return False
    return bool(accept[state])


def only(string: Any, classes: int) -> Any:
    """The grammar that accepts this string alone."""
    following = np.full((len(string) + 1, classes), -1)
    for state, c in enumerate(string):
        following[state, c] = state + 1
    return following, np.arange(len(string) + 1) == len(string)


def by_all_paths(logs: Array, grammar: Any, blank: int, rubbish: bool, best: bool) -> Any:
    """Logarithm of the sum (of the best) of all paths, one by one, and its derivatives."""
    positions, columns = logs.shape
    total, shares = -np.inf, np.zeros_like(logs)
    for path in itertools.product(range(columns if rubbish else columns - 1), repeat=positions):
        read = tuple(blank if c == columns - 1 else c for c in path)
        if not accepts(grammar, spells(read, blank)):
            continue
        at = (np.arange(positions), list(path))
        value = logs[at].sum()
        if best:
            if value > total:
                total, shares = value, np.zeros_like(logs)
                shares[at] = 1.0
        else:
            total = np.logaddexp(total, value)
            shares[at] += np.exp(value)
    return total, shares if best else shares / np.exp(total)


def by_arcs(logs: Array, grammar: Any, blank: int, rubbish: bool, best: bool) -> Any:
    """The same over a list of arcs between (state, class just then)."""
    following, accept = grammar
    columns = logs.shape[1]
    nodes = {(0, blank): 0}
    todo, arcs = [(0, blank)], []
    for state, last in todo:
        for c in range(columns if rubbish else columns - 1):
            if c in (blank, columns - 1):
                on = (state, blank)
            elif c == last:
                on = (state, c)
            elif following[state][c] >= 0:
                on = (int(following[state][c]), c)
            else:
                continue
            if on not in nodes:
                nodes[on] = len(nodes)
                todo.append(on)
            arcs.append((nodes[state, last], nodes[on], c))
    sources, targets, classes = np.array(arcs).T
    add = np.maximum if best else np.logaddexp
    forward = np.full((len(logs) + 1, len(nodes)), -np.inf)
    backward = forward.copy()
    forward[0, 0] = 0.0
    backward[-1, [i for (state, _), i in nodes.items() if accept[state]]] = 0.0
    for t in range(len(logs)):
        add.at(forward[t + 1], targets, forward[t, sources] + logs[t, classes])
        back = -1 - t
        add.at(backward[back - 1], sources, backward[back, targets] + logs[back, classes])
    total = add.reduce(forward[-1] + backward[-1])
    shares = np.zeros_like(logs)
    for t in range(len(logs)):
        through = forward[t, sources] + logs[t, classes] + backward[t + 1, targets]
        on_best = (through > total - 1e-10 * (1 - total)).astype(float)  # there is but one
        np.add.at(shares[t], classes, on_best if best else np.exp(through - total))
    return total, shares


def loss(
    kind: str,
    outputs: Array,
    string: Any,
    blank: int,
    scale: float = 1.0,
    j: float | None = None,
    grammar: Any = None,
    paths: Any = by_arcs,
) -> tuple[float, Array]:
    """A strip's loss, and its derivatives for the outputs."""
    logs = log_probabilities(outputs, scale, j)
    right, shares = paths(logs, only(string, logs.shape[1] - 1), blank, False, kind == "viterbi")
    total, others = 0.0, np.exp(logs)
    if kind == "discriminative" and grammar is not None:
        total, others = paths(logs, grammar, blank, True, False)
    return total - right, scale * (others - shares)[:, :-1]
