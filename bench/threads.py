"""What the threads cost and gain: python -m bench.threads [--write].

The core's own team beside OpenMP's (libgomp) under its settings, on the machine as it is and beside
a process that never rests: the parallel loop from C, and inference, training and passes over MNIST
from Python. Then what each does to the process that it works in, and what it costs that one seed
gives the same bits for any number of threads. Builds bench/team.c, and lenet_c with LENET_C_OPENMP,
in a temporary folder: needs Linux, gcc or clang, Cython and setuptools. --write puts the report
into docs/threads.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from bench.common import add_output, markdown, parser
from bench.paths import DATA, NETWORKS, PEAK_ROUNDS, ROOT, time_call, training_set
from lenet_c import Adam, LeNet5, Trainer, __version__, _core, cpu_info

OUTPUT = ROOT / "docs" / "threads.md"
OPENMP = ["-fopenmp", "-DLENET_USE_OPENMP"]
SETTINGS = ("OMP_", "GOMP_")  # how their variables begin
ROUNDS = 41
SECONDS = 0.05
PASSES = 3
PASS_SECONDS = 3.0  # no further pass after that, of one batch size
MS, US = 1e3, 1e6

METHOD = """\
`python -m bench.threads --write` printed this. "Quiet" is the machine as it was; "busy" has one
more process that never rests. OpenMP is libgomp under the settings that the rows name.

An empty loop has two tasks with nothing to do. "Two tasks" is the time of two tasks of 100 us on
two threads beyond one alone: right after another loop, and after 50 ms of sleep; near 100 us means
that one thread did both. "Idle" is the processor time used in the second after a loop. Medians.

"Multiply-adds" is the core's loop of them in registers, once on one thread and once on each of two:
about how much two threads of this machine could gain. Inference and training are the 1998
network's, `predict` and `Trainer.step` with Adam. The three in turns, each on one thread and then
on two, medians of {rounds} rounds; "x" is the median of their gains. A pass is `Trainer.fit` over
60,000 shuffled images with Adam, by batches of 64 and of 128, two threads (in parentheses one): the
median of up to {passes}."""

HOST = """\
"Callers" is how many threads there are besides the program's own eight, when each of those has run
a loop on four threads. "A forked child" is how many threads work in a child's loop on four, after
the parent has run one. "No more threads" is what becomes of such a loop where the system has no
memory left for a thread's stack."""


@dataclass(frozen=True)
class Setup:
    """A build, and the environment in which it runs."""

    name: str
    openmp: bool = True
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Give this process's environment with these settings of OpenMP and no others."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        return kept | self.settings


SETUPS = (
    Setup("the team", openmp=False),
    Setup("OpenMP, as it comes"),
    Setup("OpenMP, OMP_WAIT_POLICY=active", settings={"OMP_WAIT_POLICY": "active"}),
    Setup("OpenMP, OMP_WAIT_POLICY=passive", settings={"OMP_WAIT_POLICY": "passive"}),
    Setup("OpenMP, GOMP_SPINCOUNT=4000", settings={"GOMP_SPINCOUNT": "4000"}),
)


# ---- builds --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Build:
    """The C program, and the folder from which Python imports lenet_c."""

    team: Path
    python: Path


def build_program(folder: Path, flags: list[str]) -> Path:
    """Compile bench/team.c together with the core."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit("bench.threads needs a C compiler: no gcc and no clang on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / "bench" / "team.c", *sorted((ROOT / "csrc").glob("*.c"))]
    command = [compiler, "-std=c11", "-O3", "-fno-math-errno", *flags, f"-I{ROOT / 'csrc'}"]
    target = folder / "team"
    subprocess.run([*command, *map(str, sources), "-o", str(target), "-lm"], check=True)
    return target


def build_python(folder: Path) -> Path:
    """Build lenet_c with OpenMP's threads in a copy."""
    hidden = shutil.ignore_patterns("*.so", "__pycache__", "_core.c")
    for name in ("bench", "csrc", "lenet_c"):
        shutil.copytree(ROOT / name, folder / name, ignore=hidden)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    environment = {**os.environ, "LENET_C_OPENMP": "1"}
    try:
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"LENET_C_OPENMP=1 {' '.join(command[1:])} failed (pip install cython?):\n"
            + error.stderr.decode(errors="replace")
        ) from None
    return folder


# ---- what is measured ----------------------------------------------------------------------------


def figures(program: Path, mode: str, setup: Setup) -> dict[str, float]:
    """Run the C program; give its figures by name."""
    answer = subprocess.run(
        [program, mode], env=setup.environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return {name: float(value) for name, value in map(str.split, answer.stdout.splitlines())}


def as_guest(program: Path, setup: Setup) -> list[str]:
    """Write a line of the table of what the threads do to the process that they work in."""
    host = figures(program, "host", setup)
    refused = subprocess.run(
        [program, "refused"], env=setup.environment(), capture_output=True, text=True
    )
    if refused.returncode == 0:
        outcome = f"runs on {refused.stdout.split()[1]}"
    else:
        outcome = f"ends the process with code {refused.returncode}: {refused.stderr.strip()}"
    return [setup.name, f"{host['besides']:.0f}", f"{host['child']:.0f}", outcome]


def from_python(folder: Path, setup: Setup, also_one: bool) -> dict[str, dict[str, float]]:
    """Measure inference, training and passes in a process that imports lenet_c from `folder`."""
    command = [sys.executable, "-m", "bench.threads", "--worker", *(["--one"] if also_one else [])]
    answer = subprocess.run(
        command, cwd=folder, env=setup.environment(), stdout=subprocess.PIPE, text=True
    )
    if answer.returncode:
        raise SystemExit(f"error: cannot measure {setup.name}; what is wrong is said above")
    found = json.loads(answer.stdout)
    kind = found.pop("threading")
    if (kind == "OpenMP") != setup.openmp:
        raise SystemExit(f"{setup.name}: the build has threads of the kind {kind}")
    return found


def work(also_one: bool) -> dict[str, object]:
    """Measure in this process: seconds by task and threads; passes on one thread only if asked."""
    found: dict[str, object] = {"threading": cpu_info()["threading"]}
    images, labels = training_set()
    net = LeNet5(NETWORKS["1998"])
    trainers = {n: Trainer(LeNet5(), Adam(1e-4), num_threads=n) for n in (1, 2)}
    pool = ThreadPoolExecutor(2)
    calls = {
        "multiply-adds": lambda n: list(pool.map(_core.multiply_adds, [PEAK_ROUNDS] * n)),
        "inference": lambda n: net.predict(images[:1024], num_threads=n),
        "training": lambda n: trainers[n].step(images[:128], labels[:128]),
    }
    seconds: dict[str, dict[int, list[float]]] = {task: {1: [], 2: []} for task in calls}
    for _ in range(ROUNDS):
        for task, call in calls.items():
            for n, times in seconds[task].items():
                times.append(time_call(partial(call, n), SECONDS)[0])
    for task, times in seconds.items():
        gain = median(one / two for one, two in zip(*times.values(), strict=True))
        if task == "multiply-adds":
            gain *= 2  # two threads did the work twice
        found[task] = {"1": median(times[1]), "2": median(times[2]), "gain": gain}
    for batch in (64, 128):
        threads = (1, 2) if also_one else (2,)
        found[f"pass {batch}"] = {str(n): time_pass(images, labels, batch, n) for n in threads}
    return found


def time_pass(images: object, labels: object, batch: int, threads: int) -> float:
    """Time a pass over the training images, the median of some."""
    times: list[float] = []
    while len(times) < PASSES and sum(times) < PASS_SECONDS:
        trainer = Trainer(LeNet5(), Adam(1e-3), batch_size=batch, num_threads=threads)
        trainer.fit(images, labels, epochs=1)
        times.append(trainer.history.epochs[0]["seconds"])
    return median(times)


@contextmanager
def hog(busy: bool) -> Iterator[subprocess.Popen[bytes] | None]:
    """Keep a processor busy meanwhile, by a process that ends with this one."""
    if not busy:
        yield None
        return
    rest_never = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
    process = subprocess.Popen([sys.executable, "-c", rest_never])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


# ---- the report ----------------------------------------------------------------------------------


def loop_row(setup: Setup, found: dict[str, float]) -> list[str]:
    """Write a line of the table of loops."""
    names = ("empty", "warm", "asleep")
    return [setup.name, *(f"{found[name]:.1f} us" for name in names), f"{found['idle']:.1f} ms"]


def python_row(setup: Setup, found: dict[str, dict[str, float]]) -> list[str]:
    """Write a line of the table of inference, training and passes."""
    cells = [setup.name, f"{found['multiply-adds']['gain']:.2f}x"]
    for task in ("inference", "training"):
        one, two, gain = (found[task][key] for key in ("1", "2", "gain"))
        cells.append(f"{one * MS:.2f}, {two * MS:.2f} ms: {gain:.2f}x")
    for batch in (64, 128):
        times = found[f"pass {batch}"]
        alone = f" ({times['1']:.2f} s)" if "1" in times else ""
        cells.append(f"{times['2']:.2f} s{alone}")
    return cells


def same_bits(found: dict[str, float]) -> str:
    """Say what the fixed order of sums costs."""
    more = found["ordered"] - found["unordered"]
    return (
        "A batch of 128 on two threads, four blocks of 32 whose gradients are added in pairs, the "
        f"pairs in order: {found['ordered']:.0f} us for the gradient. Without the order, each "
        "thread adding what it computes to a sum of its own (which is copied once, with a look for "
        "infinities), and the two sums added (one with the other's lines still in its cache): "
        f"{found['unordered']:.0f} us. The difference is {more:+.0f} us, "
        f"{more / found['step']:+.1%} of a step with Adam ({found['step']:.0f} us). On one thread "
        "the second pair is kept and added in one more pass. Medians of 400, in turns."
    )


def report(
    tables: dict[str, tuple[list, list]], guests: list, bits: str, load: float, minutes: float
) -> str:
    """Write the whole report; tables: the rows of loops and of Python by "quiet" and "busy"."""
    cpu = cpu_info()
    about = [
        f"lenet_c {__version__}, {cpu['compiler']}, {cpu['isa']}; images: {DATA}",
        f"{cpu['processor']}, {os.cpu_count()} processors; {load:.1f} other processes wanted one",
        f"{datetime.date.today()}; {minutes:.1f} minutes",
    ]
    parts = ["# What the threads cost and gain", "\n".join(f"- {line}" for line in about),
             METHOD.format(rounds=ROUNDS, passes=PASSES)]  # fmt: skip
    loop = ["", "empty loop", "two tasks, warm", "two tasks, after sleep", "idle"]
    python = ["", "multiply-adds", "predict 1024, 1 and 2 threads", "step 128, 1 and 2 threads",
              "pass, batch 64", "pass, batch 128"]  # fmt: skip
    for name, (loops, rows) in tables.items():
        parts += [f"## {name.capitalize()}", markdown(loop, loops), markdown(python, rows)]
    guest = ["", "callers", "a forked child", "no more threads"]
    parts += ["## In a host process", HOST, markdown(guest, guests)]
    parts += ["## The same bits for any number of threads", bits]
    return "\n\n".join(parts)


def main() -> None:
    command = parser("threads", __doc__)
    add_output(command, OUTPUT)
    command.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    command.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.worker:
        json.dump(work(options.one), sys.stdout)
        return
    training_set()  # ends here, not after the builds, if there is none
    load = os.getloadavg()[0]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lenet_c-") as name:
        text = measure(Path(name), load, began)
    print(text)
    if options.write:
        options.output.write_text(text + "\n", encoding="utf-8")


def measure(folder: Path, load: float, began: float) -> str:
    """Build, measure all setups quiet and busy, and write the report."""
    with ThreadPoolExecutor() as pool:
        python = pool.submit(build_python, folder / "python")
        posix_team = pool.submit(build_program, folder / "posix", ["-pthread"])
        openmp_team = pool.submit(build_program, folder / "openmp", OPENMP)
        builds = {
            False: Build(posix_team.result(), ROOT),
            True: Build(openmp_team.result(), python.result()),
        }
    say("built", began)
    bits = same_bits(figures(builds[False].team, "gradient", SETUPS[0]))
    guests = [as_guest(builds[setup.openmp].team, setup) for setup in SETUPS[:2]]
    tables: dict[str, tuple[list, list]] = {}
    for state in ("quiet", "busy"):
        loops, rows = tables[state] = [], []
        for setup in SETUPS:
            build = builds[setup.openmp]
            with hog(state == "busy"):
                loops.append(loop_row(setup, figures(build.team, "loop", setup)))
                found = from_python(build.python, setup, also_one=not setup.openmp)
                rows.append(python_row(setup, found))
            say(f"{state}, {setup.name}", began)
    return report(tables, guests, bits, load, (time.perf_counter() - began) / 60)


def say(what: str, began: float) -> None:
    """Tell how far it is."""
    print(f"{time.perf_counter() - began:4.0f} s: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
