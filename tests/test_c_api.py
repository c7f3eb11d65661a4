"""The C interface by itself: a C program against csrc/, with the warnings as errors."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lenet_c import cpu_info

ROOT = Path(__file__).parent.parent
CC = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

MISSING_ISA = "avx2" if "neon" in cpu_info()["available"] else "neon"  # no processor has both
THREADS = {"team": ["-pthread"], "openmp": ["-pthread", "-fopenmp"]}
# The portable kernels alone, as a compiler without vector types (MSVC) builds them.
PLAIN_LANES = [
    *THREADS["team"],
    "-DLENET_PLAIN_LANES",
    *(f"-Dlenet_kernels_{isa}=lenet_kernels_portable" for isa in ("avx2", "avx512", "neon")),
]


CSRC = ROOT / "csrc"
# -Og compiles twice as quickly as -O1; -O0 warns that it ignores the pragmas that unroll.
FLAGS = ["-std=c11", "-Og", "-Wall", "-Wextra", "-Werror", f"-I{CSRC}"]


def compiler(flags=()):
    """Give the compiler's command, or skip the test."""
    if CC is None:
        pytest.skip("no C compiler here")
    if "-fopenmp" in flags and "openmp" not in cpu_info()["available_threading"]:
        pytest.skip("no OpenMP here")
    return [*CC.split(), *FLAGS, *flags]


def build(name, flags, folder, kernels=(), files=None):
    """Build tests/NAME.c with these kernels and the rest of the core, or with some of its files."""
    target = folder / name
    core = {*CSRC.rglob("*.c")} - {*CSRC.rglob("isa_*.c")}
    if files is not None:
        core = {CSRC / file for file in files}
    sources = [ROOT / "tests" / f"{name}.c", *sorted(core), *kernels]
    command = [*compiler(flags), *map(str, sources), "-o", str(target), "-lm"]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """All kernels, which take longest to compile, as objects."""
    folder = tmp_path_factory.mktemp("kernels")
    command = [*compiler(["-pthread"]), "-c"]
    running = {
        folder / f"{source.stem}.o": subprocess.Popen(
            [*command, str(source), "-o", str(folder / f"{source.stem}.o")]
        )
        for source in sorted(CSRC.rglob("isa_*.c"))
    }
    assert {process.wait() for process in running.values()} == {0}
    return list(running)


@pytest.fixture(scope="module", params=THREADS.values(), ids=THREADS)
def program(request, tmp_path_factory, compiled):
    """The test program, built with the core's own threads and with OpenMP's."""
    return build("c_api", request.param, tmp_path_factory.mktemp("c_api"), compiled)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory, compiled):
    return build("c_kernels", THREADS["team"], tmp_path_factory.mktemp("c_kernels"), compiled)


def run(program, isa):
    result = subprocess.run(
        [program], env={**os.environ, "LENET_C_ISA": isa}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.mark.parametrize("isa", cpu_info()["available"])
def test_a_c_program_trains_and_reads(program, isa):
    assert f"on {isa}" in run(program, isa)


@pytest.mark.parametrize(("isa", "status"), [("mmx", 6), (MISSING_ISA, 7)])
def test_a_c_program_is_told_that_the_instruction_set_is_not_there(program, isa, status):
    assert f"refused with status {status}" in run(program, isa)


@pytest.mark.parametrize("isa", cpu_info()["available"])
def test_each_kernel_agrees_with_plain_loops(kernels, isa):
    assert f"on {isa}" in run(kernels, isa)


def test_each_kernel_agrees_with_plain_loops_without_vector_types(tmp_path):
    program = build("c_kernels", PLAIN_LANES, tmp_path, [CSRC / "kernels" / "isa_portable.c"])
    assert "on portable" in run(program, "portable")


def test_the_clock_times_what_is_checked(kernels):
    arguments = ["--bench", "conv_of_one", "--isa", "portable"]
    done = subprocess.run([kernels, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    first, _, *rows = done.stdout.splitlines()
    peak = float(re.fullmatch(r"portable: at most (\S+) G multiply-adds a second", first)[1])
    assert len(rows) == 4
    for row in rows:
        pattern = r"conv_of_one +(.+ kernel \d x \d) +(\d+) +(\S+) +(\d+)% +(\S+)x"
        shape, ns, speed, share, plain = re.fullmatch(pattern, row).groups()
        ins, outs, height, width, side, _ = map(int, re.findall(r"\d+", shape))
        connections = 60 if ins == 6 else ins * outs  # C3 of 1998
        products = connections * height * width * side**2
        # printed to a tenth: 0.35 is 0.4, on a machine with other work
        assert products / float(ns) == pytest.approx(float(speed), rel=0.1, abs=0.06)
        assert float(speed) / peak == pytest.approx(int(share) / 100, abs=0.02 + 0.06 / peak)
        assert float(plain) > 1


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--bench", "no_such"], 1, 'no kernel has "no_such" in its name'),
        (["--isa", "mmx"], 1, "no such instruction set"),
        (["--clock"], 2, "usage"),
    ],
)
def test_the_clock_refuses(kernels, arguments, code, text):
    done = subprocess.run([kernels, *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert text in done.stdout


@pytest.mark.parametrize(
    ("source", "lacks"),
    [("tests/c_kernels.c", "check_unfinished"), ("csrc/kernels/isa_portable.c", "unfinished")],
)
def test_a_kernel_that_lacks_something_does_not_compile(source, lacks, tmp_path):
    """One more in the list: it has neither a check nor an implementation."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    kernels = (CSRC / "kernels" / "list.h").read_text()
    added = "KERNEL(void, unfinished, (const float *in, float *out))\n\n#undef KERNEL"
    assert kernels.count("#undef KERNEL") == 1
    (folder / "list.h").write_text(kernels.replace("#undef KERNEL", added))
    command = [*compiler(), "-fsyntax-only", str(ROOT / source)]
    subprocess.run(command, check=True)
    command.insert(1, f"-I{tmp_path}")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert lacks in done.stderr


@pytest.mark.parametrize("flags", [[], ["-march=native"]], ids=["portable", "native"])
def test_variants_that_lost_give_the_same_numbers(flags, tmp_path):
    source = ROOT / "bench" / "variants.c"
    if not source.exists():
        pytest.skip("no bench here")
    command = [*compiler(flags), str(source), "-o", str(tmp_path / "variants"), "-lm"]
    subprocess.run(command, check=True)
    done = subprocess.run([tmp_path / "variants"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    found = re.findall(r"^.{36} +[\d.]+ us, +[\d.]+ of the kept one; ", done.stdout, re.M)
    looks_up = flags and "avx512" in cpu_info()["available"]
    assert len(found) == len(done.stdout.splitlines()) == (5 if looks_up else 4)


LOOP = [f"sys/{name}.c" for name in ("parallel", "openmp", "team", "processors")]


@pytest.mark.skipif(os.name != "posix", reason="a program for POSIX")
@pytest.mark.parametrize("kind", THREADS)
def test_the_loop_by_itself(kind, tmp_path):
    """Several callers, what is woken and kept, whose threads run, forks, the quota."""
    program = build("c_threads", [*THREADS[kind], "-Dfopen=open_in_test"], tmp_path, files=LOOP)
    drop = ("OMP_", "GOMP_", "LENET_C_THREADS", "LD_PRELOAD")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
    for chosen in {kind, "team"}:
        environment["LENET_C_THREADS"] = chosen
        done = subprocess.run([program], env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"loops run with {chosen}\n")
