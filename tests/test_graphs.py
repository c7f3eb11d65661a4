"""Penalties of graphs: the paper's worked example, and all paths one by one."""

from __future__ import annotations

import numpy as np
import pytest

from lenet_c.criteria import forward_loss, viterbi_loss
from lenet_c.graphs import (
    Graph,
    discriminative_loss,
    forward_penalty,
    select_paths,
    viterbi_penalty,
)

# Fig. 20 of Proc. IEEE 86(11), 1998: three pieces of ink, each a character or joined with the next,
# two labels each with the penalties that are printed in the figure. Where an arc lies follows from
# the printed graphs and sums: "34" has the paths 0.1 + 0.6 and 3.4 + 2.4, the best of all is "341".
FIGURE_20 = [
    (0, 1, "3", 0.1),
    (0, 1, "5", 2.3),
    (1, 2, "4", 0.4),
    (1, 2, "2", 1.3),
    (2, 3, "1", 0.1),
    (2, 3, "4", 2.4),
    (0, 2, "3", 3.4),
    (0, 2, "4", 4.4),
    (1, 3, "4", 0.6),
    (1, 3, "9", 1.2),
]


def graph_of(arcs):
    sources, targets, labels, penalties = zip(*arcs, strict=True)
    return Graph(sources, targets, penalties, labels)


def all_paths(graph):
    """Every path from start to end, as a list of arcs."""
    found, todo = [], [(graph.start, [])]
    while todo:
        node, path = todo.pop()
        if node == graph.end:
            found.append(path)
        for arc in np.flatnonzero(graph.sources == node):
            todo.append((graph.targets[arc], [*path, arc]))
    return found


def spelling(graph, string):
    return [p for p in all_paths(graph) if [graph.labels[a] for a in p] == list(string)]


def one_by_one(graph, paths, forward):
    """The penalty of some paths, and its derivatives."""
    penalties = np.array([graph.penalties[path].sum() for path in paths])
    if forward:
        penalty = -np.log(np.exp(-penalties).sum())
        weights = np.exp(penalty - penalties)
    else:
        penalty = penalties.min()
        weights = (np.arange(len(paths)) == penalties.argmin()).astype(float)
    derivatives = np.zeros(len(graph.penalties))
    for path, weight in zip(paths, weights, strict=True):
        derivatives[path] += weight
    return penalty, derivatives


def test_figure_20():
    """The sums 0.7, 0.6 and 0.1, and the derivatives +1, -1 and 0, as they are printed."""
    graph = graph_of(FIGURE_20)
    selected, arcs = select_paths(graph, "34")
    used = {arc for path in all_paths(selected) for arc in arcs[path]}
    assert [FIGURE_20[arc][2:] for arc in sorted(used)] == [
        ("3", 0.1),
        ("4", 2.4),
        ("3", 3.4),
        ("4", 0.6),
    ]
    right, by_selected = viterbi_penalty(selected)
    assert right == pytest.approx(0.7)
    assert {FIGURE_20[arc][2:]: d for arc, d in zip(arcs, by_selected, strict=True) if d} == {
        ("3", 0.1): 1.0,
        ("4", 0.6): 1.0,
    }
    best, by_arc = viterbi_penalty(graph)
    assert best == pytest.approx(0.6)
    assert (
        "".join(label for (_, _, label, _), d in zip(FIGURE_20, by_arc, strict=True) if d) == "341"
    )
    loss, derivatives = discriminative_loss(graph, "34")
    assert loss == pytest.approx(0.1)
    assert derivatives.tolist() == [0, 0, -1, 0, -1, 0, 0, 0, 1, 0]


def test_figure_20_forward():
    """Its forward penalties, which are not printed, from all paths one by one."""
    graph = graph_of(FIGURE_20)
    everything = one_by_one(graph, all_paths(graph), True)
    right = one_by_one(graph, spelling(graph, "34"), True)
    assert len(spelling(graph, "34")) == 2
    penalty, shares = forward_penalty(graph)
    assert penalty == pytest.approx(everything[0])
    assert penalty < 0.6
    np.testing.assert_allclose(shares, everything[1], atol=1e-14)
    loss, derivatives = discriminative_loss(graph, "34", forward=True)
    assert loss == pytest.approx(right[0] - everything[0])
    np.testing.assert_allclose(derivatives, right[1] - everything[1], atol=1e-14)


@pytest.mark.parametrize("seed", range(30))
def test_all_paths_one_by_one(seed):
    """Random graphs, whose nodes are in no order, with arcs side by side."""
    rng = np.random.default_rng(seed)
    nodes = rng.permutation(7)
    arcs = []
    for _ in range(rng.integers(6, 20)):
        a, b = sorted(rng.choice(7, 2, replace=False))
        arcs.append((nodes[a], nodes[b], rng.choice(list("ab")), rng.normal()))
    arcs += [(nodes[i], nodes[i + 1], "a", rng.normal()) for i in range(6)]
    sources, targets, labels, penalties = zip(*arcs, strict=True)
    graph = Graph(sources, targets, penalties, labels, start=int(nodes[0]), end=int(nodes[6]))
    for forward, penalty_of in ((False, viterbi_penalty), (True, forward_penalty)):
        want, slopes = one_by_one(graph, all_paths(graph), forward)
        penalty, derivatives = penalty_of(graph)
        assert penalty == pytest.approx(want)
        np.testing.assert_allclose(derivatives, slopes, atol=1e-12)
        right, by_right = one_by_one(graph, spelling(graph, "aaaaaa"), forward)
        loss, derivatives = discriminative_loss(graph, "aaaaaa", forward)
        assert loss == pytest.approx(right - want)
        np.testing.assert_allclose(derivatives, by_right - slopes, atol=1e-12)


def test_a_strip_as_a_graph(rng):
    """The criteria in C are those of a graph whose nodes are a position and what is read so far."""
    outputs, string, blank = rng.normal(size=(6, 4)), (1, 0, 0), 3
    penalties = -outputs + np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    numbers, arcs = {(0, 0, blank): 0}, []
    for t, row in enumerate(penalties):
        for at, place, last in [node for node in numbers if node[0] == t]:
            for c, penalty in enumerate(row):
                if c in (blank, last):
                    on = (t + 1, place, c)
                elif place < len(string) and string[place] == c:
                    on = (t + 1, place + 1, c)
                else:
                    continue
                numbers.setdefault(on, len(numbers))
                arcs.append((numbers[at, place, last], numbers[on], (t, c), penalty))
    end = len(numbers)
    arcs += [(i, end, None, 0.0) for (t, place, _), i in numbers.items() if (t, place) == (6, 3)]
    graph = graph_of(arcs)
    for loss_of, penalty_of in ((forward_loss, forward_penalty), (viterbi_loss, viterbi_penalty)):
        (loss,), gradients = loss_of(outputs[None], [string], blank=blank)
        penalty, derivatives = penalty_of(graph)
        assert loss == pytest.approx(penalty, rel=1e-6)
        want = np.exp(-penalties)
        for (_, _, label, _), share in zip(arcs, derivatives, strict=True):
            if label is not None:
                want[label] -= share
        np.testing.assert_allclose(gradients[0], want, atol=1e-6)


def test_penalties_of_any_size():
    graph = graph_of([(0, 1, "a", 5000.0), (0, 1, "b", 5000.0), (1, 2, "c", -9000.0)])
    penalty, derivatives = forward_penalty(graph)
    assert penalty == pytest.approx(-4000 - np.log(2))
    np.testing.assert_allclose(derivatives, [0.5, 0.5, 1.0])
    assert viterbi_penalty(graph)[1].tolist() == [1, 0, 1]  # the first of equal ones


def test_without_a_path():
    graph = Graph([0, 2], [1, 3], [1.0, 2.0], "ab")
    for penalty_of in (viterbi_penalty, forward_penalty):
        penalty, derivatives = penalty_of(graph)
        assert penalty == np.inf
        assert derivatives.tolist() == [0, 0]
    with pytest.raises(ValueError, match="string: got 'a', want one that a path"):
        discriminative_loss(graph, "a")
    nothing = Graph([], [], [])
    assert viterbi_penalty(nothing)[0] == forward_penalty(nothing)[0] == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [1, 0], [1.0, 1.0]), "arcs lead in a circle"),
        (([0], [0], [1.0]), "arcs lead in a circle"),
        (([0], [1], [np.nan]), "penalties: want a finite number"),
        (([0], [1], ["a"]), "penalties: dtype"),
        (([0, 1], [1], [1.0]), "sources: got 2, want 1"),
        (([0], [-1], [1.0]), "targets: want whole numbers"),
        (([0.5], [1], [1.0]), "sources: want whole numbers"),
        (([0], [1], [1.0], "ab"), "labels: got 2, want 1"),
        (([0], [1], [1.0], "a", -1), "start: got -1"),
        (([0], [1], [1.0], "a", 0, 1.5), "end: got 1.5"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Graph(*arguments)
