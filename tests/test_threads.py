"""Whose threads run batches, how many, and what they do to the process that they work in."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import lenet_c

ROOT = Path(__file__).parent.parent
AVAILABLE = [*lenet_c.cpu_info()["available_threading"]]
KINDS = [name for name in AVAILABLE if name != "none"]
SETTINGS = ("OMP_", "GOMP_", "LENET_C_THREADS", "PYTHONWARNINGS")

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
with_openmp = pytest.mark.skipif("openmp" not in AVAILABLE, reason="built without OpenMP")
with_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
each_kind = pytest.mark.parametrize("kind", KINDS)

BEGIN = """
import os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import lenet_c

images = np.random.default_rng(0).integers(0, 256, (300, 28, 28)).astype(np.uint8)
labels = np.arange(300) % 10
net = lenet_c.LeNet5()

def count():
    return len(os.listdir("/proc/self/task"))

def until(condition):
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()
"""


def run(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process without the user's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**kept, "OMP_WAIT_POLICY": "passive", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def python(code: str, **environment: str) -> str:
    """The same, where it must say nothing on stderr; give what it prints."""
    child = run(code, environment)
    assert child.stderr == ""
    assert child.returncode == 0
    return child.stdout


# ---- whose ---------------------------------------------------------------------------------------


def test_whose_threads_is_chosen_at_run_time() -> None:
    code = """
import lenet_c
print(lenet_c.get_threading(), *lenet_c.cpu_info()["available_threading"])
for name in [*lenet_c.cpu_info()["available_threading"], None]:
    lenet_c.set_threading(name)
    print(lenet_c.get_threading(), lenet_c.cpu_info()["threading"])
"""
    for chosen in [*AVAILABLE, ""]:
        first = chosen or AVAILABLE[0]
        lines = [" ".join([first, *AVAILABLE]), *(f"{n} {n}" for n in [*AVAILABLE, first])]
        assert python(code, LENET_C_THREADS=chosen).splitlines() == lines


@pytest.mark.parametrize("name", ["many", "Team", "openmp ", "", "openmp"])
def test_threads_that_are_not_there(name: str) -> None:
    if name in AVAILABLE:
        pytest.skip("these are there")
    before = lenet_c.get_threading()
    with pytest.raises(ValueError, match=f"^name: got '{name}': .* here: {', '.join(AVAILABLE)}$"):
        lenet_c.set_threading(name)
    assert lenet_c.get_threading() == before


@pytest.mark.parametrize("name", [1, b"team", ["team"], True])
def test_threads_that_are_no_name(name: object) -> None:
    with pytest.raises(TypeError, match=r"^name: got .*, want the name of threads or None"):
        lenet_c.set_threading(name)


MISSING = [name for name in ("openmp", "team") if name not in AVAILABLE]


@pytest.mark.parametrize("name", ["many", "OpenMP", "team ", *MISSING])
def test_an_environment_that_names_none_is_an_error_at_first_use(name: str) -> None:
    code = """
import numpy as np
import lenet_c

print(lenet_c.LENET5_1998.n_parameters, lenet_c.get_num_threads() > 0)
for use in (
    lenet_c.LeNet5,
    lenet_c.cpu_info,
    lenet_c.get_threading,
    lambda: lenet_c.kernels.squash(1.0),
):
    try:
        use()
    except RuntimeError as error:
        print(error)
lenet_c.set_threading(lenet_c._core.available_threadings()[-1])
print(lenet_c.LeNet5().predict(np.zeros((64, 28, 28), np.uint8)).shape)
"""
    why = "this build lacks these threads" if name in MISSING else "no threads of that name"
    message = f"LENET_C_THREADS={name}: {why}; available here: {', '.join(AVAILABLE)}"
    want = ["60000 True", *[message] * 4, "(64,)"]
    assert python(code, LENET_C_THREADS=name).splitlines() == want


def test_same_bits_with_any_threads() -> None:
    code = """
import hashlib
found = set()
for kind in [*lenet_c.cpu_info()["available_threading"]]:
    lenet_c.set_threading(kind)
    for n in (1, 2, 3, 5):
        net = lenet_c.LeNet5(seed=1)
        trainer = lenet_c.Trainer(net, lenet_c.Adam(1e-3), batch_size=150, num_threads=n)
        trainer.fit(images, labels, epochs=2)
        trained = net.parameters.tobytes() + net.forward(images, num_threads=n).tobytes()
        found.add(hashlib.sha256(trained).hexdigest())
print(len(found))
"""
    assert python(BEGIN + code) == "1\n"


@each_kind
def test_the_choice_may_change_during_a_call(kind: str) -> None:
    code = """
want = net.forward(images).tobytes()
stop = threading.Event()

def work(_):
    while True:
        over = stop.is_set()
        if net.forward(images, num_threads=3).tobytes() != want:
            return False
        if over:
            return True

with ThreadPoolExecutor(3) as pool:
    results = pool.map(work, range(3))
    for i in range(300):
        lenet_c.set_threading(lenet_c.cpu_info()["available_threading"][i % 2 - 1])
        time.sleep(0.001)
    stop.set()
    print(all(results))
"""
    assert python(BEGIN + code, LENET_C_THREADS=kind) == "True\n"


# ---- how many ------------------------------------------------------------------------------------


@linux
@each_kind
def test_when_threads_start(kind: str) -> None:
    """Not at import, and not for small work."""
    code = """
import os
import numpy as np

def count():
    return len(os.listdir("/proc/self/task"))

images = np.zeros((640, 28, 28), np.uint8)
counts = [count()]
import lenet_c
counts.append(count())
net = lenet_c.LeNet5()
net.predict(images[:1]); net.predict(images[:32], num_threads=4)
net.loss_and_gradient(images[:32], [0] * 32)
counts.append(count())
for _ in range(200):
    net.predict(images, num_threads=3)
    if count() - counts[0] >= 2:  # a loop may be over before its last thread is called
        break
counts.append(count())
print([c - counts[0] for c in counts])
"""
    assert python(code, OMP_NUM_THREADS="4", LENET_C_THREADS=kind) == "[0, 0, 0, 2]\n"


@linux
def test_how_many_threads() -> None:
    """set_num_threads, then OMP_NUM_THREADS, set after loading too, then the usable processors."""
    code = """
import os
import lenet_c

usable = sorted(os.sched_getaffinity(0))
print(1 <= lenet_c.get_num_threads() <= len(usable))
os.sched_setaffinity(0, usable[:1])
print(lenet_c.get_num_threads())
os.sched_setaffinity(0, usable)
for text in ("3", "5,2", "0", "-1", "many", ""):
    os.environ["OMP_NUM_THREADS"] = text
    print(lenet_c.get_num_threads() if text in ("3", "5,2") else
          lenet_c.get_num_threads() <= len(usable))
os.environ["OMP_NUM_THREADS"] = "3"
lenet_c.set_num_threads(2)
print(lenet_c.get_num_threads(), lenet_c.cpu_info()["threads"])
lenet_c.set_num_threads(4096)
print(lenet_c.get_num_threads())
lenet_c.set_num_threads(None)
print(lenet_c.get_num_threads())
del os.environ["OMP_NUM_THREADS"]
print(1 <= lenet_c.get_num_threads() <= len(usable))
"""
    want = ["True", "1", "3", "5", "True", "True", "True", "True", "2 2", "256", "3", "True"]
    assert python(code).split("\n") == [*want, ""]


@linux
def test_a_thread_has_its_own_processors() -> None:
    code = """
import os, threading
import lenet_c

def narrow():
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    print(lenet_c.get_num_threads())

before = lenet_c.get_num_threads()
thread = threading.Thread(target=narrow)
thread.start()
thread.join()
print(lenet_c.get_num_threads() == before)
"""
    assert python(code) == "1\nTrue\n"


@linux
def test_a_child_is_granted_the_processors_of_its_parent() -> None:
    """OpenMP says so many of itself when it is loaded, which is no limit that somebody set."""
    code = """
import os, subprocess, sys
usable = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, usable[:1])
show = "import os, lenet_c; print(lenet_c.get_num_threads()); "
show += f"os.sched_setaffinity(0, {usable}); print(lenet_c.get_num_threads() == {len(usable)})"
os.environ.pop("OMP_NUM_THREADS", None)
print(subprocess.run([sys.executable, "-c", show], capture_output=True, text=True).stdout)
"""
    first, wide = python(code).split()
    assert first == "1"
    if lenet_c.get_num_threads() == len(os.sched_getaffinity(0)):  # no quota here
        assert wide == "True"


@pytest.mark.parametrize("kind", AVAILABLE)
def test_openmp_num_threads_counts_from_the_start(kind: str) -> None:
    code = "import lenet_c; print(lenet_c.get_num_threads())"
    assert python(code, OMP_NUM_THREADS="7", LENET_C_THREADS=kind) == "7\n"
    assert python(code, OMP_NUM_THREADS="1", LENET_C_THREADS=kind) == "1\n"


@linux
@with_openmp
@pytest.mark.parametrize("kind", AVAILABLE)
def test_limits_of_threadpoolctl_hold(kind: str) -> None:
    """It sees the library's OpenMP, and what it limits that to counts, in its thread."""
    pytest.importorskip("threadpoolctl")
    code = """
import threadpoolctl

print("openmp" in [found["user_api"] for found in threadpoolctl.threadpool_info()])
before = lenet_c.get_num_threads()
with threadpoolctl.threadpool_limits(1):
    print(lenet_c.get_num_threads())
    threads = count()
    net.predict(images)
    assert count() == threads
    lenet_c.set_num_threads(3)
    print(lenet_c.get_num_threads())
    lenet_c.set_num_threads(None)
with threadpoolctl.threadpool_limits(5):
    print(lenet_c.get_num_threads())
print(lenet_c.get_num_threads() == before)
"""
    want = ["True", "1", "3", "5", "True"]
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one processor: one thread is what there is without a limit")
    assert python(BEGIN + code, LENET_C_THREADS=kind).splitlines() == want


@linux
@with_openmp
def test_a_limit_from_before_the_import_holds() -> None:
    pytest.importorskip("threadpoolctl")
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one processor: one thread is what there is without a limit")
    name = next(
        line.split()[-1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if re.search(r"/lib[gi]?omp[^/]*\.so", line)
    )
    code = f"""
import ctypes
import threadpoolctl

ctypes.CDLL({name!r}, ctypes.RTLD_GLOBAL)
with threadpoolctl.threadpool_limits(1):
    import lenet_c
    print(lenet_c.get_num_threads())
print(lenet_c.get_num_threads() > 1)
"""
    first, after = python(code).split()
    assert first == "1"
    assert after == str(lenet_c.get_num_threads() > 1)


@with_openmp
@pytest.mark.parametrize(
    "settings",
    [
        {"OMP_THREAD_LIMIT": "2"},
        {"OMP_DYNAMIC": "true"},
        {"OMP_NESTED": "true", "OMP_MAX_ACTIVE_LEVELS": "3"},
        {"OMP_PROC_BIND": "true"},
        {"OMP_SCHEDULE": "static"},
    ],
    ids=str,
)
def test_what_openmp_may_be_told(settings: dict[str, str]) -> None:
    code = """
want = net.forward(images, num_threads=1)
before = lenet_c.get_num_threads()
print(all((net.forward(images, num_threads=n) == want).all() for n in (2, 8, 3, 8)))
print(lenet_c.get_num_threads() == before, before)
"""
    same, number, n = python(BEGIN + code, **settings).split()
    assert (same, number) == ("True", "True")
    if "OMP_THREAD_LIMIT" in settings:
        assert int(n) <= 2
    elif "OMP_PROC_BIND" in settings and sys.platform == "linux":
        assert int(n) == lenet_c.get_num_threads()


# ---- in a host process ---------------------------------------------------------------------------


@linux
@each_kind
def test_many_callers_have_two_teams_at_most(kind: str) -> None:
    """In turns, one after another, and at once: a team each would be 3 threads for each caller."""
    code = """
callers, n = 8, 4
before = count()
barrier = threading.Barrier(callers)
want = net.predict(images).tolist()

def at_once(_):
    barrier.wait()
    for _ in range(5):
        assert net.predict(images, num_threads=n).tolist() == want
    barrier.wait()
    return count()

with ThreadPoolExecutor(callers) as pool:
    most = max(pool.map(at_once, range(callers)))
    print(most - before - callers <= 2 * (n - 1))

    turn = threading.Lock()
    def in_turns(_):
        barrier.wait()
        with turn:
            net.predict(images, num_threads=n)
        barrier.wait()
        return count()
    most = max(pool.map(in_turns, range(callers)))
    print(most - before - callers <= 2 * (n - 1))
print(until(lambda: count() - before <= 2 * (n - 1)))
"""
    assert python(BEGIN + code, LENET_C_THREADS=kind) == "True\n" * 3


@linux
@each_kind
def test_the_hosts_signals_stay_with_its_threads(kind: str) -> None:
    """A thread's own faults do not: a handler of theirs must be able to tell of them."""
    code = """
def blocked(task):
    with open(f"/proc/self/task/{task}/status") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("SigBlk:"))
    return {number for number in signal.valid_signals() if mask >> number - 1 & 1}

before = {*os.listdir("/proc/self/task")}
net.predict(images, num_threads=2)

def new():
    net.predict(images, num_threads=4)
    return {*os.listdir("/proc/self/task")} - before

print(until(lambda: len(new()) == 3))  # a loop may be over before its last thread is called
new = {*os.listdir("/proc/self/task")} - before
print(all({signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1} <= blocked(task)
          for task in new))
print(any({signal.SIGSEGV, signal.SIGFPE, signal.SIGBUS} & blocked(task) for task in new))
print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    assert python(BEGIN + code, LENET_C_THREADS=kind) == "True\nTrue\nFalse\nFalse\n"


@linux
@each_kind
def test_threads_without_work_end(kind: str) -> None:
    """OpenMP's beyond those of the last loop at once, the team's after some seconds."""
    code = """
before = count()
net.predict(images, num_threads=9)
most = count() - before
print(1 <= most <= 8)
if lenet_c.get_threading() == "openmp":
    net.predict(images, num_threads=2)
    print(until(lambda: count() - before <= 1))
else:
    print(until(lambda: count() == before))
print((net.predict(images, num_threads=9) == net.predict(images, num_threads=1)).all())
"""
    assert python(BEGIN + code, LENET_C_THREADS=kind) == "True\n" * 3


@each_kind
def test_the_process_ends_while_threads_have_no_work_or_some(kind: str) -> None:
    idle = "net.predict(images, num_threads=4); print('end')"
    at_work = """
begun = threading.Event()

def work():
    while True:
        net.predict(images, num_threads=4)
        begun.set()

threading.Thread(target=work, daemon=True).start()
begun.wait()
print('end')
"""
    for code in (idle, at_work):
        assert python(BEGIN + code, LENET_C_THREADS=kind) == "end\n"


# ---- forks ---------------------------------------------------------------------------------------

FORKS = """
import multiprocessing, warnings

warnings.simplefilter("ignore", DeprecationWarning)  # Python's, about fork beside threads
want = net.forward(images, num_threads=3)
gradient = net.loss_and_gradient(images, labels, num_threads=3)[1]

def same(_=None):
    return ((net.forward(images, num_threads=3) == want).all()
            and (net.loss_and_gradient(images, labels, num_threads=3)[1] == gradient).all())

def in_child(work):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a hang ends here
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@with_fork
@each_kind
def test_a_forked_child_computes(kind: str) -> None:
    """After the parent has run a team of threads; also in a child of the child, and in a pool."""
    code = """
print(in_child(same))
print(in_child(lambda: in_child(same)))
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(all(pool.map_async(same, range(4)).get(timeout=60)))
print(same())
"""
    assert python(BEGIN + FORKS + code, LENET_C_THREADS=kind) == "True\n" * 4


@with_fork
@linux
@each_kind
def test_a_forked_child_has_threads(kind: str) -> None:
    """The team's; in a child of the child too."""
    code = """
def has_threads():
    before = count()
    found = 0
    for _ in range(200):  # a loop may be over before its last thread is called
        net.predict(images, num_threads=3)
        found = max(found, count() - before)
        if found == 2:
            break
    lenet_c.set_threading("team")
    return lenet_c.get_threading() == "team" and before == 1 and found == 2

print(in_child(lambda: lenet_c.get_threading() == "team" and has_threads()))
print(in_child(lambda: in_child(has_threads)))
print(lenet_c.get_threading())
"""
    assert python(BEGIN + FORKS + code, LENET_C_THREADS=kind) == f"True\nTrue\n{kind}\n"


@with_fork
@each_kind
def test_a_fork_while_another_thread_is_in_a_loop(kind: str) -> None:
    code = """
stop = threading.Event()

def work():
    while not stop.is_set():
        net.predict(images, num_threads=3)

for threads in (1, 3):
    others = [threading.Thread(target=work) for _ in range(threads)]
    stop.clear()
    for other in others:
        other.start()
    print(all(in_child(same) for _ in range(10)))
    stop.set()
    for other in others:
        other.join()
print(same())
"""
    assert python(BEGIN + FORKS + code, LENET_C_THREADS=kind) == "True\n" * 3


# ---- the build -----------------------------------------------------------------------------------

FAKE_COMPILER = """\
#!/bin/sh
# A compiler without OpenMP, whose every other compilation fails too, and is noted
echo "$*" >> "$0.log"
case " $* " in *" -fopenmp "*) echo "unsupported option '-fopenmp'" >&2; exit 1;; esac
exit 1
"""


def build(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    names = ("LENET_C_OPENMP", "LENET_C_SANITIZE")
    kept = {k: v for k, v in os.environ.items() if k not in (*names, "LD_PRELOAD")}
    where = ["--build-temp", str(folder / "temp"), "--build-lib", str(folder / "lib")]
    return subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", *where, *arguments],
        cwd=ROOT,
        env=kept | settings,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ["LENET_C_OPENMP", "LENET_C_SANITIZE"])
def test_a_switch_of_the_build_is_0_or_1(name: str, tmp_path: Path) -> None:
    for value in ("yes", "2", "00"):
        done = build(tmp_path, **{name: value})
        assert done.returncode != 0
        assert f"error: {name}={value}: want 0 or 1, or nothing" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a script")
@pytest.mark.parametrize("openmp", ["", "0", "1"])
@pytest.mark.parametrize("sanitize", ["", "0", "1"])
def test_a_compiler_without_openmp(openmp: str, sanitize: str, tmp_path: Path) -> None:
    """It builds the team alone, unless OpenMP is insisted on."""
    compiler = tmp_path / "cc"
    compiler.write_text(FAKE_COMPILER)
    compiler.chmod(0o755)
    switches = {"LENET_C_OPENMP": openmp, "LENET_C_SANITIZE": sanitize}
    done = build(tmp_path, CC=shlex.quote(str(compiler)), **switches)
    assert done.returncode != 0
    calls = [line.split() for line in Path(f"{compiler}.log").read_text().splitlines()]
    if openmp == "1":
        assert "error: LENET_C_OPENMP=1: the compiler makes no program with -fopenmp" in done.stderr
        assert "unsupported option '-fopenmp'" in done.stderr
        assert all("-fopenmp" in call for call in calls)
        return
    assert sum("-fopenmp" in call for call in calls) == (openmp == "")
    assert "-fopenmp" not in calls[-1]
    assert any("-fsanitize=address" in part for part in calls[-1]) == (sanitize == "1")


MEETING_COMPILER = """\
#!/bin/sh
# Fails once another has begun too, or after some seconds
echo >> "$0.begun"
for turn in $(seq 100); do
    if [ "$(wc -l < "$0.begun")" -ge 2 ]; then echo "two met" >&2; exit 1; fi
    sleep 0.1
done
exit 1
"""


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a script")
def test_sources_are_compiled_side_by_side(tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(MEETING_COMPILER)
    compiler.chmod(0o755)
    done = build(tmp_path, "-j", "2", CC=shlex.quote(str(compiler)), LENET_C_OPENMP="0")
    assert done.returncode != 0
    assert "two met" in done.stderr
