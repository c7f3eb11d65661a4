"""Medians, spread and ratios of what was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.common import duration, markdown
from bench.peers.clock import Sample
from bench.peers.peer import OURS
from bench.peers.tasks import Task


@dataclass
class Result:
    """What one contender did in one task.

    Attributes
    ----------
    samples : list of Sample
        One a round, in the rounds' order.
    setting : str
        The fastest of those tried.
    error_rate : float, optional
        On the test images, after one pass over the training images.
    failure : str
        Why there are no samples.
    """

    samples: list[Sample] = field(default_factory=list)
    setting: str = ""
    error_rate: float | None = None
    failure: str = ""

    @property
    def seconds(self) -> list[float]:
        """Time of a call in each round."""
        return [sample.seconds for sample in self.samples]

    @property
    def processors(self) -> float:
        """Cores kept busy."""
        return median(sample.processors for sample in self.samples)


Results = dict[tuple[int, Task, str], Result]  # by threads, task and contender


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Give how many times as long theirs took: the median of the rounds' ratios."""
    return median(t / o for t, o in zip(theirs, ours, strict=True))


def versus(results: Results, threads: int, task: Task, name: str) -> float | None:
    """Give a contender's ratio to lenet_c, or None where one of them has no figure."""
    theirs, ours = results[threads, task, name], results[threads, task, OURS.name]
    return ratio(theirs.seconds, ours.seconds) if theirs.samples and ours.samples else None


def overview(results: Results, threads: int) -> str:
    """Give the table of one number of threads: contenders down, tasks across."""
    tasks = _distinct(task for n, task, _ in results if n == threads)
    names = _distinct(name for n, _, name in results if n == threads)
    rows = []
    for name in names:
        cells = [_cell(results, threads, task, name) for task in tasks]
        if set(cells) != {"-"}:
            rows.append([name, *cells])
    best = [_best_peer(results, threads, task, names) for task in tasks]
    rows.append(["**best peer**", *best])
    return markdown(["", *(task.name for task in tasks)], rows)


def details(results: Results) -> str:
    """Give the table of every measurement."""
    header = ["threads, task, contender", "median", "least", "most", "a second", "ratio", "cores",
              "setting"]  # fmt: skip
    rows = []
    for (threads, task, name), result in results.items():
        if not result.samples:
            continue
        times = result.seconds
        middle = median(times)
        images = "" if task.kind == "epoch" else f"{task.batch / middle:,.0f}"
        against = versus(results, threads, task, name)
        setting = result.setting
        if result.error_rate is not None:
            setting += f"; test error {result.error_rate:.2%}"
        rows.append(
            [f"{threads}, {task.name}, {name}", *map(duration, (middle, min(times), max(times))),
             images, "" if against is None else f"{against:.2f}", f"{result.processors:.2f}",
             setting]
        )  # fmt: skip
    return markdown(header, rows)


def failures(results: Results) -> list[str]:
    """Say who could not do what, and why; the same reason once."""
    said: dict[str, list[str]] = {}
    for (threads, task, name), result in results.items():
        if result.failure:
            said.setdefault(f"{name}: {result.failure}", []).append(f"{task.name} ({threads})")
    return [f"- {reason}: {', '.join(where)}" for reason, where in said.items()]


def _cell(results: Results, threads: int, task: Task, name: str) -> str:
    result = results[threads, task, name]
    if not result.samples:
        return "-"
    text = duration(median(result.seconds))
    against = versus(results, threads, task, name)
    return text if against is None or name == OURS.name else f"{text} ({against:.1f}x)"


def _best_peer(results: Results, threads: int, task: Task, names: list[str]) -> str:
    ratios = {n: versus(results, threads, task, n) for n in names if n != OURS.name}
    known = {name: value for name, value in ratios.items() if value is not None}
    if not known:
        return "-"
    name = min(known, key=known.__getitem__)
    return f"{known[name]:.2f}x, {name}"


def _distinct(items: Iterable[object]) -> list:
    return list(dict.fromkeys(items))
