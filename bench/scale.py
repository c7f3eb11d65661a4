"""What clusters cost beside threads of one process: python -m bench.scale [--write].

MNIST's training images in files, read by one process with one thread and with all, and by as many
workers as there are cores of joblib, Dask, Ray and Spark, those of them that are installed
(pip install --group scale; Spark needs Java too). Then updates of a training over MPI, by the
example of docs/scale.md. From that follows what more machines would gain, on paper. Each way runs
in a process of its own; start-up is the time until each worker has answered once, imports included.
--write puts the tables into docs/scale.md.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.common import ROOT, markdown, mnist, parser
from lenet_c import Adam, LeNet5, Trainer, cpu_info, get_num_threads

PAGE = ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- python -m bench.scale --write: from here -->", "<!-- to here -->"
FILES, PER_FILE = 12, 20_000
TASKS = 400
ROUNDS = 3
BATCHES = (256, 2048)  # images an update
BLOCK = 32
LINE = 1.25e9  # bytes a second of a cluster's network, 10 Gbit/s
MACHINES = (2, 10, 100)

Map = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]


@dataclass
class Way:
    """A way to read pictures, and what it took.

    Attributes
    ----------
    name : str
    start, task : float
        Seconds until all workers have answered, and a task that does nothing.
    rate : float
        Pictures a second and core.
    beside : float
        Pictures a second beside those of the threads of one process, taken in turns.
    memory : float
        MB a worker: its private memory, and its share of what is shared.
    threads : int
        That a call would take in a worker if nothing is said.
    """

    name: str
    start: float
    task: float
    rate: float
    beside: float
    memory: float
    threads: int = 1


# ---- what workers do -----------------------------------------------------------------------------

_nets: list[LeNet5] = []


def read(job: tuple[str, int]) -> int:
    """Read the pictures of a file with some threads; give how many are sevens."""
    file, threads = job
    if not _nets:
        _nets.append(LeNet5.pretrained("mnist"))
    return int((_nets[0].predict(np.load(file), num_threads=threads) == 7).sum())


def nothing(job: int) -> int:
    """Do nothing."""
    return job


def about(job: int) -> tuple[int, float, int]:
    """Give a worker's number, its MB, and its threads."""
    time.sleep(0.05)  # so that each worker has one of these to do
    with open("/proc/self/smaps_rollup", encoding="utf-8") as file:
        (kilobytes,) = re.findall(r"^Pss: +(\d+) kB", file.read(), re.MULTILINE)
    return os.getpid(), int(kilobytes) / 1e3, get_num_threads()


# ---- ways to run them ----------------------------------------------------------------------------


@contextlib.contextmanager
def in_process(cores: int) -> Iterator[Map]:
    """One after the other, here."""
    yield lambda function, jobs: [function(job) for job in jobs]


@contextlib.contextmanager
def by_joblib(cores: int) -> Iterator[Map]:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=cores) as pool:
        yield lambda function, jobs: pool(delayed(function)(job) for job in jobs)


@contextlib.contextmanager
def by_dask_threads(cores: int) -> Iterator[Map]:
    import dask

    def run(function: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        tasks = [dask.delayed(function)(job) for job in jobs]
        return list(dask.compute(*tasks, scheduler="threads", num_workers=cores))

    yield run


@contextlib.contextmanager
def by_dask(cores: int) -> Iterator[Map]:
    from dask.distributed import Client

    with Client(n_workers=cores, threads_per_worker=1, dashboard_address=None) as client:
        yield lambda function, jobs: client.gather(client.map(function, jobs, pure=False))


@contextlib.contextmanager
def by_ray(cores: int) -> Iterator[Map]:
    import ray

    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level="error")

    def run(function: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        remote = ray.remote(function)
        return ray.get([remote.remote(job) for job in jobs])

    yield run
    ray.shutdown()


@contextlib.contextmanager
def by_spark(cores: int) -> Iterator[Map]:
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", "false")
    spark = session.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")

    def run(function: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        return spark.sparkContext.parallelize(jobs, len(jobs)).map(function).collect()

    yield run
    spark.stop()


@dataclass(frozen=True)
class Runner:
    """How a way is named and begun, and which packages and programs it needs."""

    name: str
    begin: Callable[[int], contextlib.AbstractContextManager[Map]]
    needs: tuple[str, ...] = ()
    program: str = ""
    threads: int = 1  # of a call; 0: as many as there are cores


RUNNERS = {
    "one": Runner("one process, one thread", in_process),
    "threads": Runner("one process, its threads", in_process, threads=0),
    "joblib": Runner("joblib, processes", by_joblib, ("joblib",)),
    "dask-threads": Runner("Dask, threads", by_dask_threads, ("dask",)),
    "dask": Runner("Dask, workers", by_dask, ("distributed",)),
    "ray": Runner("Ray, tasks", by_ray, ("ray",)),
    "spark": Runner("Spark, tasks", by_spark, ("pyspark",), "java"),
}


def timed(call: Callable[[], object]) -> float:
    """Give the seconds of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure(which: str, folder: Path, cores: int) -> Way:
    """Run a way in this process."""
    runner = RUNNERS[which]
    files = sorted(map(str, folder.glob("*.npy")))
    jobs = [(file, runner.threads or cores) for file in files]
    began = time.perf_counter()
    with runner.begin(cores) as run:
        run(nothing, range(cores))
        start = time.perf_counter() - began
        run(read, jobs[: 2 * cores])  # each has loaded the network
        here = [(file, cores) for file in files]
        seconds, alone, empty = [], [], []
        read(here[0])
        for _ in range(ROUNDS):
            seconds.append(timed(lambda: run(read, jobs)))
            alone.append(timed(lambda: [read(job) for job in here]))
            empty.append(timed(lambda: run(nothing, range(TASKS))) / TASKS)
        found = {pid: rest for pid, *rest in run(about, range(4 * cores))}
    workers = [tuple(rest) for rest in found.values()]
    images = sum(len(np.load(file, mmap_mode="r")) for file in files)
    used = 1 if which == "one" else cores
    return Way(
        runner.name,
        start,
        min(empty),
        images / min(seconds) / used,
        median(other / own for own, other in zip(seconds, alone, strict=True)),
        median(memory for memory, _ in workers),
        max(threads for _, threads in workers),
    )


def is_here(runner: Runner) -> bool:
    """Tell whether a way's packages and program are installed."""
    packages = all(importlib.util.find_spec(name) is not None for name in runner.needs)
    return packages and (not runner.program or shutil.which(runner.program) is not None)


def in_a_process(*arguments: str, mpiexec: Sequence[str] = ()) -> Any:
    """Run this module with arguments in a process of its own; give the JSON that it prints."""
    settings = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "RAY_USAGE_STATS_ENABLED": "0",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    command = [*mpiexec, sys.executable, "-m", "bench.scale", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# ---- training ------------------------------------------------------------------------------------


def example() -> dict[str, Any]:
    """Give the functions of the page's example of training over MPI, for any communicator."""
    (code,) = re.findall(r"```python\n# mpi_train\.py\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    code = code[: code.index("\ntrainer = ")].replace("from mpi4py import MPI\n", "")
    found: dict[str, Any] = {}
    exec(code, found)
    return found


def updates(make: Callable[[int], Callable[[], object]]) -> list[float]:
    """Give the seconds of an update, the shortest of some, for each of BATCHES."""
    found = []
    for batch in BATCHES:
        step = make(batch)
        step()
        times = []
        for _ in range(max(20, 20_000 // batch)):
            times.append(timed(step))
        found.append(min(times))
    return found


def by_threads(threads: int) -> list[float]:
    """Time updates of one process."""
    (x, y), _ = mnist()
    trainer = Trainer(LeNet5(), Adam(1e-3), num_threads=threads)
    return updates(lambda batch: lambda: trainer.step(x[:batch], y[:batch]))


def by_ranks() -> list[float] | None:
    """Time updates over MPI, as one of its ranks; the first one gives the times."""
    from mpi4py import MPI

    (x, y), _ = mnist()
    of_page = example()
    trainer = Trainer(LeNet5(), Adam(1e-3))

    def make(batch: int) -> Callable[[], object]:
        def step() -> None:
            of_page["BLOCKS"] = batch // BLOCK
            found = of_page["gradient"](MPI.COMM_WORLD, trainer.network, x[:batch], y[:batch])
            trainer.apply(found, batch)

        return step

    seconds = updates(make)
    return seconds if MPI.COMM_WORLD.rank == 0 else None


# ---- on paper ------------------------------------------------------------------------------------


def a_picture(way: Way, machines: int, cores: int) -> float:
    """Give the seconds that a picture adds: of the cores, or of one scheduler if that is slower."""
    return max(way.task / PER_FILE, 1.0 / (way.rate * machines * cores))


def on_paper(way: Way, n: float, machines: int, cores: int) -> float:
    """Give the seconds that n pictures take, 20,000 a task, on machines like this one."""
    return way.start + n * a_picture(way, machines, cores)


def breaks_even(way: Way, alone: float, machines: int, cores: int) -> float | None:
    """Give for how many seconds one machine's threads have work when these are as soon as they.

    alone : float
        Pictures a second of one machine's threads. For other work per picture it is the same
        number of seconds, as long as tasks take as long.
    """
    gained = 1.0 - alone * a_picture(way, machines, cores)
    return way.start / gained if gained > 0 else None


# ---- the report ----------------------------------------------------------------------------------


def number(value: float) -> str:
    """Write a number with two digits that count."""
    digits = f"{value:.2g}"
    return f"{float(digits):,.0f}" if value >= 10 else f"{float(digits):g}"


def inference(ways: dict[str, Way], cores: int) -> str:
    rows = []
    for which, way in ways.items():
        used = 1 if which == "one" else cores
        beside = "" if which == "threads" else f"{way.beside:.2f}"
        rows.append(
            [
                way.name,
                f"{way.start:.2f} s",
                f"{way.task * 1e3:.3f} ms",
                f"{way.rate * used / 1e3:,.0f},000",
                beside,
                f"{way.memory:.0f} MB",
                str(way.threads),
            ]
        )
    header = ["", "start-up", "a task", "pictures/s", "beside threads", "a worker", "its threads"]
    return markdown(header, rows)


def paper(ways: dict[str, Way], cores: int) -> str:
    alone = ways["threads"].rate * cores
    rows = []
    for which in ("dask", "ray", "spark"):
        if which not in ways:
            continue
        cells = [ways[which].name]
        for machines in MACHINES:
            seconds = breaks_even(ways[which], alone, machines, cores)
            cells.append("never" if seconds is None else f"{number(seconds)} s")
        seconds = breaks_even(ways[which], alone, 100, cores)
        cells.append("never" if seconds is None else f"{seconds * alone / 1e6:,.1f} million")
        cells += [f"{number(on_paper(ways[which], 1e9, m, cores))} s" for m in (10, 100)]
        rows.append(cells)
    header = [
        "",
        *(f"{machines} machines" for machines in MACHINES),
        "pictures, 100 machines",
        "10^9 pictures, 10 machines",
        "100 machines",
    ]
    return markdown(header, rows)


def training(rows: dict[str, list[float]], block: float, size: float) -> str:
    """Lay out the table of updates; block: seconds of a block's gradient, of so many bytes."""
    lines = [
        [name, *(f"{value * 1e3:.2f} ms" for value in values)] for name, values in rows.items()
    ]
    for ranks in (8, 64):
        cells = []
        for batch in BATCHES:
            most = -(-(batch // BLOCK) // ranks)  # of the rank that has most
            seconds = most * (block + size / LINE) + size / LINE
            cells.append(f"{seconds * 1e3:.2f} ms")
        lines.append([f"on paper: MPI, {ranks} ranks by 10 Gbit/s", *cells])
    return markdown(["an update of", *(f"{batch:,} images" for batch in BATCHES)], lines)


def report(ways: dict[str, Way], rows: dict[str, list[float]], cores: int, size: float) -> str:
    versions = []
    for package in ("joblib", "dask", "ray", "pyspark", "mpi4py"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    alone = ways["threads"].rate * cores
    parts = [
        f"""`python -m bench.scale --write` printed the tables, on {cores} cores with
        {cpu_info()["isa"]} and a load of {os.getloadavg()[1]:.0f}; {", ".join(versions)}.
        {FILES * PER_FILE:,} pictures in files of {PER_FILE:,}, a task each. "Beside threads" is
        the median of {ROUNDS} rounds, each way in turns with the threads of one process, whose
        best gives the pictures a second; "its threads" are those that a call takes in a worker if
        nothing is said, "a worker" its private memory and a share of the rest.""",
        inference(ways, cores),
    ]
    if {"dask", "ray", "spark"} & ways.keys():
        parts += [
            f"""On paper, with machines like this one that have the files at hand: for how long one
            machine's threads must have work until so many machines are sooner, how many pictures
            of 28x28 that are, and what 10^9 of them would take ({number(1e9 / alone)} s by one
            machine's threads). Of pictures that take longer to prepare than to read it is as many
            fewer. Where all come from one store, by a line of 10 Gbit/s, it gives
            {LINE / 784 / 1e6:.1f} million a second, and more than
            {LINE / 784 / ways["one"].rate:.0f} cores gain nothing.""",
            paper(ways, cores),
        ]
    if rows:
        block = rows["one process, one thread"][-1] / (BATCHES[-1] / BLOCK)
        parts += [
            """Training: the 1998 network with Adam, by `Trainer.step` and by the example above.""",
            training(rows, block, size),
        ]
    return "\n\n".join(part if part[0] == "|" else paragraph(part) for part in parts)


def paragraph(text: str) -> str:
    """Fill lines."""
    return textwrap.fill(" ".join(text.split()), 108, break_on_hyphens=False)


def write(text: str, page: Path = PAGE) -> None:
    """Put the report between its marks in the page."""
    before, mark, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"error: {page} has no place for the tables")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def make_files(folder: Path) -> None:
    """Write MNIST's training images, again and again, in files."""
    (images, _), _ = mnist()
    for k in range(FILES):
        rows = np.arange(k * PER_FILE, (k + 1) * PER_FILE) % len(images)
        np.save(folder / f"{k:03}.npy", images[rows])


def trained(cores: int) -> dict[str, list[float]]:
    """Time updates in one process, and over MPI where it is here."""
    rows = {
        "one process, one thread": in_a_process("--threads", "1"),
        f"one process, {cores} threads": in_a_process("--threads", str(cores)),
    }
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec and importlib.util.find_spec("mpi4py"):
        for ranks in sorted({1, cores}):
            rows[f"MPI, {ranks} rank{'s' * (ranks > 1)}"] = in_a_process(
                "--rank", mpiexec=(mpiexec, "-n", str(ranks))
            )
    return rows


def main() -> None:
    command = parser("scale", __doc__)
    command.add_argument("--write", action="store_true", help="write docs/scale.md as well")
    command.add_argument("--only", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    command.add_argument("--way", nargs=3, metavar=("WAY", "FOLDER", "CORES"), help="for itself")
    command.add_argument("--threads", type=int, help="for itself")
    command.add_argument("--rank", action="store_true", help="for itself")
    options = command.parse_args()
    if options.way:
        which, folder, cores = options.way
        print(json.dumps(asdict(measure(which, Path(folder), int(cores)))))
        return
    if options.threads:
        print(json.dumps(by_threads(options.threads)))
        return
    if options.rank:
        found = by_ranks()
        if found is not None:
            print(json.dumps(found))
        return
    cores = len(os.sched_getaffinity(0))
    ways = {}
    with tempfile.TemporaryDirectory() as name:
        make_files(Path(name))
        for which in ("one", "threads", *(name for name in options.only if name in RUNNERS)):
            if which not in ways and is_here(RUNNERS[which]):
                ways[which] = Way(**in_a_process("--way", which, name, str(cores)))
                print(f"{which}: {ways[which]}", file=sys.stderr)
    alone = ways["threads"].rate * cores
    for which, way in ways.items():  # by the ratios, which hold where the machine's speed does not
        if which != "threads":
            way.rate = way.beside * alone / (1 if which == "one" else cores)
    text = report(ways, trained(cores), cores, 4.0 * LeNet5().n_parameters)
    print(text)
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
