"""Run lenet_c and every peer that is installed, in turns, and write docs/peers.md.

Needs a POSIX system; `pip install -e ".[peers]"` installs the peers.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import lenet_c
from bench.common import duration, parser
from bench.peers import report
from bench.peers.peer import CONTENDERS, OURS, Contender, Failure
from bench.peers.report import Result, Results
from bench.peers.tasks import TASKS, Task, data, data_name
from bench.peers.worker import Worker

OUTPUT = Path(__file__).resolve().parents[2] / "docs" / "peers.md"

METHOD = """\
Each contender has a process of its own, limited to the threads, and is stopped while another is
measured. The rounds go through them in turn; a round's figure is the median of some windows of
calls, the tables give the median, least and most of {rounds} rounds ({passes} for a pass over
MNIST), and the ratio is the median of the rounds' ratios of the contender's time to lenet_c's:
above 1, lenet_c is faster. The network of inference and training is `LENET5_MODERN`, of the pass
over MNIST `LENET5_28`, with the same first weights everywhere. Before anything is timed, the
logits, or the losses of the first four steps, must be within 1e-4 of lenet_c's; after its first
pass over MNIST each contender's weights read the test set. Everything is float32.

Peers get float32 images that are already padded and normalised, in the layout that they like best,
and keep weights in it; lenet_c gets the raw uint8 images. Each peer runs in several documented
settings, and the one that was fastest in trials beforehand is measured; the last column says
which ("64 at a time": the batch is cut up). Compilation and warming up are not counted. Training
takes batches of one image by plain SGD, batches of 128 by Adam; a pass over MNIST is 60,000 images
by Adam in batches of 128, with the shuffling. "cores" is processor time over wall time."""


CAFFE = "The network of the tasks that begin with `caffe:` is `LENET_CAFFE`, begun as Keras does."


def main() -> None:
    """Parse the command line, measure, print and write the report."""
    command = parser("peers", __doc__)
    command.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    command.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    names = [contender.name for contender in CONTENDERS]
    command.add_argument("--peers", nargs="+", choices=names, default=names, metavar="NAME",
                         help=f"of {', '.join(names)}")  # fmt: skip
    tasks = [task.name for task in TASKS]
    command.add_argument("--tasks", nargs="+", choices=tasks, default=tasks, metavar="TASK",
                         help="some of them; default: all")  # fmt: skip
    command.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    options = command.parse_args()
    if os.name != "posix":
        raise SystemExit("error: needs a POSIX system, whose signals stop and wake processes")
    data()  # ends here if there is none

    chosen = [c for c in CONTENDERS if c.name in options.peers or c is OURS]
    rounds, passes, seconds = (2, 1, 0.15) if options.quick else (7, 3, 0.4)
    began = time.perf_counter()
    results: Results = {}
    for threads in options.threads:
        run(chosen, threads, rounds, passes, seconds, results, options.tasks)
    minutes = (time.perf_counter() - began) / 60
    method = METHOD.format(rounds=rounds, passes=passes)
    if any(task.network == "caffe" for _, task, _ in results):
        method += f"\n\n{CAFFE}"
    text = write_up(results, chosen, options.threads, method, minutes)
    options.output.write_text(text, encoding="utf-8")
    print(text)


def run(
    contenders: list[Contender],
    threads: int,
    rounds: int,
    passes: int,
    seconds: float,
    results: Results,
    names: list[str] | None = None,
) -> None:
    """Measure tasks with one number of threads, in rounds through all contenders."""
    tasks = [task for task in TASKS if names is None or task.name in names]
    results |= {(threads, task, c.name): Result() for task in tasks for c in contenders}
    workers: dict[str, Worker] = {}
    try:
        for contender in contenders:
            start(contender, threads, workers, results)
        for task in tasks:
            for _ in range(passes if task.kind == "epoch" else rounds):
                for name, worker in workers.items():
                    measure(worker, task, seconds, results[threads, task, name])
            say(f"{task.name}, {threads} threads: measured")
    finally:
        for worker in workers.values():
            worker.close()


def start(contender: Contender, threads: int, workers: dict[str, Worker], results: Results) -> None:
    """Start a contender's process and get all tasks ready in it."""
    mine = {
        task: result for (n, task, name), result in results.items()
        if (n, name) == (threads, contender.name)
    }  # fmt: skip
    try:
        contender.versions()
        worker = workers[contender.name] = Worker(contender.spec, threads)
    except (PackageNotFoundError, Failure) as error:
        missing = isinstance(error, PackageNotFoundError)
        for result in mine.values():
            result.failure = f"{error.name} is not installed" if missing else str(error)
        return
    for task, result in mine.items():
        began = time.perf_counter()
        try:
            answer = worker.prepare(task)
        except Failure as error:
            result.failure = str(error)
            say(f"{contender.name}, {task.name}: {error}")
            continue
        result.setting, result.error_rate = answer["setting"], answer.get("error_rate")
        trials = [f"{name} {duration(t)}" for name, t in answer["trials"].items()]
        took = time.perf_counter() - began
        say(f"{contender.name}, {task.name}, {threads} threads, ready in {took:.0f} s: "
            f"{'; '.join([*trials, *answer['errors'].values()])}")  # fmt: skip


def measure(worker: Worker, task: Task, seconds: float, result: Result) -> None:
    """Take one sample, unless the contender failed at this before."""
    if result.failure:
        return
    try:
        result.samples.append(worker.measure(task, seconds))
    except Failure as error:
        result.samples.clear()
        result.failure = str(error)


def write_up(
    results: Results,
    contenders: list[Contender],
    threads: list[int],
    method: str,
    minutes: float,
) -> str:
    """Write the report."""
    cpu = lenet_c.cpu_info()
    versions = dict(sorted(v for c in contenders for v in installed(c).items()))
    about = [
        f"{cpu['processor']}, {os.cpu_count()} processors, {cpu['isa']}, {cpu['compiler']}",
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"{datetime.date.today()}; {minutes:.0f} minutes; images: {data_name()}",
        f"lenet_c's threads: {cpu['threading']}",
    ]
    parts = ["# Beside other libraries", "`python -m bench.peers` printed this.",
             "\n".join(f"- {line}" for line in about), method]  # fmt: skip
    for n in threads:
        parts += [f"## {n} thread{'s' if n > 1 else ''}", report.overview(results, n)]
    parts += ["## Every measurement", report.details(results)]
    lines = report.failures(results)
    if lines:
        parts += ["## Not measured", "Task, and threads in parentheses:", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def installed(contender: Contender) -> dict[str, str]:
    """Give the versions of what a contender needs, or nothing if some of it is not there."""
    try:
        return contender.versions()
    except PackageNotFoundError:
        return {}


def say(line: str) -> None:
    """Tell how far it is."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
