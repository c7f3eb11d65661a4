"""What the threads cost and gain: python -m bench.threads [--write].

OpenMP's threads (libgomp) under its settings beside the core's own team, on the machine as it is
and beside a process that never rests: the parallel loop from C, and inference, training and passes
over MNIST from Python. Then what each does to the process that it works in, and what it costs that
one seed gives the same bits for any number of threads. Builds bench/team.c in a temporary folder:
needs Linux, and gcc or clang with OpenMP. --write puts the report into docs/threads.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from bench.common import ROOT, add_output, markdown, parser
from bench.paths import DATA, NETWORKS, PEAK_ROUNDS, time_call, training_set
from lenet_c import Adam, LeNet5, Trainer, __version__, _core, cpu_info

OUTPUT = ROOT / "docs" / "threads.md"
SETTINGS = ("OMP_", "GOMP_", "LENET_C_THREADS")  # how their variables begin
ROUNDS, QUICK_ROUNDS = 41, 3
SECONDS = 0.05
PASSES = 3
PASS_SECONDS = 3.0  # no further pass after that, of one batch size
MS, US = 1e3, 1e6

METHOD = """\
`python -m bench.threads --write` printed this. "Quiet" is the machine as it was; "busy" has one
more process that never rests. OpenMP is libgomp under the settings that the rows name; the team is
`LENET_C_THREADS=team` of the same build.

An empty loop has two tasks with nothing to do. "Two tasks" is the time of two tasks of 100 us on
two threads beyond one alone: right after another loop, and after 50 ms of sleep; near 100 us means
that one thread did both. "Idle" is the processor time used in the second after a loop. Medians.

"Multiply-adds" is the core's loop of them in registers, once on one thread and once on each of two:
about how much two threads of this machine could gain. Inference and training are the 1998
network's, `predict` and `Trainer.step` with Adam. The three in turns, each on one thread and then
on two, medians of {rounds} rounds; "x" is the median of their gains. A pass is `Trainer.fit` over
60,000 shuffled images with Adam, by batches of 64 and of 128, two threads (in parentheses one): the
median of up to {passes}."""

CHOICE = """\
**OpenMP** is the default: its threads are those that `OMP_NUM_THREADS` and threadpoolctl limit,
and that a host's other libraries share where they are linked with the same library. On processors
that have nothing else to do it is as fast as the team. At the end of a loop all its threads must
arrive, and they spin meanwhile and for milliseconds after, so that beside a busy process a loop
costs a time slice. A host with other work quiets it before the first library that uses OpenMP is
loaded: `GOMP_SPINCOUNT=4000` spins for microseconds (`OMP_WAIT_POLICY=passive`, the standard's
word for it, not at all).

**The team** (`LENET_C_THREADS=team`, `lenet_c.set_threading("team")`) is for processors that are
shared with other work, for hosts that fork, and where threads may be refused. The caller waits
only for tasks that somebody has begun; a thread without work sleeps after 100 us and ends after
five seconds, and a loop wakes only the threads that it wants. OpenMP ends those that a loop does
not want and starts them again for the next larger one."""

HOST = """\
One loop is at work at a time, on {of_each} threads here, and a caller that comes meanwhile works
alone. OpenMP's threads are those of the first caller as long as that thread lives; others have the
team. So there are twice {extra} threads at most, however many call: "callers" is how many there
are besides the program's own eight, when each of those has run some loops. OpenMP's threads do not
survive a fork, and waiting for them would hang, so a forked child has the team: "a forked child"
is how many threads work in its loop on {of_each}, after the parent has run one. "No more threads"
is what becomes of a loop where the system has no memory left for a thread's stack: GNU's OpenMP
ends the process, which no library can prevent. It is the one exception to the rule that the core
never aborts; the team works with the threads that it has. Inside a parallel region of the host,
where the processors have work already, a loop runs on the calling thread. Both block the signals
of the host's threads in their own."""

OF_EACH = 4  # threads of a loop in bench/team.c's host


@dataclass(frozen=True)
class Setup:
    """Threads, and the environment in which they run."""

    name: str
    threading: str = "openmp"
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Give this process's environment with these settings and no others."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        return kept | {"LENET_C_THREADS": self.threading} | self.settings


SETUPS = (
    Setup("OpenMP, as it comes"),
    Setup("OpenMP, OMP_WAIT_POLICY=active", settings={"OMP_WAIT_POLICY": "active"}),
    Setup("OpenMP, OMP_WAIT_POLICY=passive", settings={"OMP_WAIT_POLICY": "passive"}),
    Setup("OpenMP, GOMP_SPINCOUNT=4000", settings={"GOMP_SPINCOUNT": "4000"}),
    Setup("the team", threading="team"),
)
OPENMP, TEAM = SETUPS[0], SETUPS[-1]


def build_program(folder: Path, flags: list[str], without: Sequence[str] = ()) -> Path:
    """Compile bench/team.c together with the core, but for some instruction sets' kernels."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit("bench.threads needs a C compiler: no gcc and no clang on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / "bench" / "team.c", *sorted((ROOT / "csrc").rglob("*.c"))]
    command = [*shlex.split(compiler), "-std=c11", "-O3", "-fno-math-errno", *flags]
    for isa in without:
        sources.remove(ROOT / "csrc" / "kernels" / f"isa_{isa}.c")
        command.append(f"-Dlenet_kernels_{isa}=lenet_kernels_portable")
    target = folder / "team"
    command += [f"-I{ROOT / 'csrc'}", *map(str, sources), "-o", str(target), "-lm"]
    subprocess.run(command, check=True)
    return target


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


def from_python(setup: Setup, also_one: bool, quick: bool) -> dict[str, dict[str, float]]:
    """Measure inference, training and passes in a process of its own."""
    command = [sys.executable, "-m", "bench.threads", "--worker"]
    command += ["--one"] * also_one + ["--quick"] * quick
    answer = subprocess.run(
        command, cwd=ROOT, env=setup.environment(), stdout=subprocess.PIPE, text=True
    )
    if answer.returncode:
        raise SystemExit(f"error: cannot measure {setup.name}; what is wrong is said above")
    found = json.loads(answer.stdout)
    kind = found.pop("threading")
    if kind != setup.threading:
        raise SystemExit(f"{setup.name}: the threads in use are {kind}")
    return found


def work(also_one: bool, quick: bool) -> dict[str, object]:
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
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
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
        passes = 1 if quick else PASSES
        found[f"pass {batch}"] = {
            str(n): time_pass(images, labels, batch, n, passes) for n in threads
        }
    return found


def time_pass(images: object, labels: object, batch: int, threads: int, passes: int) -> float:
    """Time a pass over the training images, the median of some."""
    times: list[float] = []
    while len(times) < passes and sum(times) < PASS_SECONDS:
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
        "A batch of 128 on two threads (OpenMP's, as they come), four blocks of 32 whose gradients "
        f"are added in pairs, the pairs in order: {found['ordered']:.0f} us for the gradient. "
        "Without the order, each thread adding what it computes to a sum of its own (which is "
        "copied once, with a look for infinities), and the two sums added (one with the other's "
        f"lines still in its cache): {found['unordered']:.0f} us. The difference is "
        f"{more:+.0f} us, "
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
             "## Which to take", CHOICE, "## How it was measured",
             METHOD.format(rounds=ROUNDS, passes=PASSES)]  # fmt: skip
    loop = ["", "empty loop", "two tasks, warm", "two tasks, after sleep", "idle"]
    python = ["", "multiply-adds", "predict 1024, 1 and 2 threads", "step 128, 1 and 2 threads",
              "pass, batch 64", "pass, batch 128"]  # fmt: skip
    for name, (loops, rows) in tables.items():
        parts += [f"## {name.capitalize()}", markdown(loop, loops), markdown(python, rows)]
    guest = ["", "callers", "a forked child", "no more threads"]
    host = HOST.format(of_each=OF_EACH, extra=OF_EACH - 1)
    parts += ["## In a host process", host, markdown(guest, guests)]
    parts += ["## The same bits for any number of threads", bits]
    return "\n\n".join(parts)


def main() -> None:
    command = parser("threads", __doc__)
    add_output(command, OUTPUT)
    command.add_argument(
        "--quick", action="store_true", help="few rounds: to see that it works, not to be believed"
    )
    command.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    command.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.worker:
        json.dump(work(options.one, options.quick), sys.stdout)
        return
    training_set()  # ends here, not after the builds, if there is none
    load = os.getloadavg()[0]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lenet_c-") as name:
        text = measure(Path(name), load, began, options.quick)
    print(text)
    if options.write:
        options.output.write_text(text + "\n", encoding="utf-8")


def measure(folder: Path, load: float, began: float, quick: bool) -> str:
    """Build, measure all setups quiet and busy, and write the report."""
    program = build_program(folder, ["-pthread", "-fopenmp"])
    say("built", began)
    bits = same_bits(figures(program, "gradient", OPENMP))
    guests = [as_guest(program, setup) for setup in (OPENMP, TEAM)]
    tables: dict[str, tuple[list, list]] = {}
    for state in ("quiet", "busy"):
        loops, rows = tables[state] = [], []
        for setup in SETUPS:
            with hog(state == "busy"):
                loops.append(loop_row(setup, figures(program, "loop", setup)))
                found = from_python(setup, setup in (OPENMP, TEAM), quick)
                rows.append(python_row(setup, found))
            say(f"{state}, {setup.name}", began)
    return report(tables, guests, bits, load, (time.perf_counter() - began) / 60)


def say(what: str, began: float) -> None:
    """Tell how far it is."""
    print(f"{time.perf_counter() - began:4.0f} s: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
