"""Builds the C core."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = ["lenet_c/_core.pyx", *sorted(str(path) for path in Path("csrc").rglob("*.c"))]
HEADERS = sorted(str(path) for path in Path("csrc").rglob("*.h"))
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
OPENMP = "-fopenmp"
OPENMP_PROGRAM = """\
#include <omp.h>
int main(void)
{
    int n = 0;
#pragma omp parallel for reduction(+ : n) num_threads(2)
    for (int i = 0; i < 10; i++) n += omp_get_thread_num() >= 0;
    return n != 10;
}
"""


def switch(name: str) -> bool | None:
    """Read a switch from the environment: "0" or "1"; None if it is not set or empty."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise SystemExit(f"error: {name}={value}: want 0 or 1, or nothing for the default")
    return value == "1" if value else None


@contextlib.contextmanager
def kept_from_the_terminal(folder: str) -> Iterator[Path]:
    """Send what a compiler says on stderr to a file meanwhile."""
    path = Path(folder) / "said"
    sys.stderr.flush()
    before = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield path
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)


class BuildCore(build_ext):
    """Adds the flags of the compiler at hand.

    In the environment, LENET_C_OPENMP=0 builds without OpenMP's threads and 1 insists on them (by
    default they are there where the compiler has them), and LENET_C_SANITIZE=1 builds with
    sanitizers.
    """

    def build_extensions(self) -> None:
        """Build the extension."""
        core = self.extensions[0]
        if self.compiler.compiler_type == "msvc":
            if sanitize:
                raise SystemExit("error: LENET_C_SANITIZE=1: needs gcc or clang")
            core.extra_compile_args = ["/O2", "/std:c11"]
            if openmp is not False:
                core.extra_compile_args += ["/openmp"]
        else:
            core.extra_compile_args = ["-std=c11", "-O3", "-fno-math-errno", "-g0", "-pthread"]
            core.extra_link_args = ["-pthread"]
            if openmp is not False and self.has_openmp(insists=openmp is True):
                core.extra_compile_args += [OPENMP]
                core.extra_link_args += [OPENMP]
            if sanitize:
                core.extra_compile_args += [*SANITIZE, "-g", "-O1"]
                core.extra_link_args += SANITIZE
            self.compile_side_by_side()
        super().build_extensions()

    def compile_side_by_side(self) -> None:
        """Let the compiler take several sources at once: -j of them, or one a processor."""
        compile_in_turn = self.compiler.compile
        affinity = getattr(os, "sched_getaffinity", None)
        processors = len(affinity(0)) if affinity else os.cpu_count() or 1
        most = self.parallel if isinstance(self.parallel, int) else processors

        def compile(sources: list[str], **settings: Any) -> list[str]:
            longest_first = sorted(sources, key=lambda path: "isa_" not in path)
            with ThreadPoolExecutor(max(1, most)) as pool:
                done = pool.map(lambda source: compile_in_turn([source], **settings), longest_first)
                objects = dict(zip(longest_first, done, strict=True))
            return [name for source in sources for name in objects[source]]

        self.compiler.compile = compile

    def has_openmp(self, insists: bool) -> bool:
        """Tell whether the compiler makes programs with OpenMP; an error if one insists."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "openmp.c"
            source.write_text(OPENMP_PROGRAM)
            with kept_from_the_terminal(folder) as said:
                try:
                    objects = self.compiler.compile(
                        [str(source)], output_dir=folder, extra_postargs=[OPENMP]
                    )
                    self.compiler.link_executable(
                        objects, "openmp", output_dir=folder, extra_postargs=[OPENMP]
                    )
                except Exception as error:  # each compiler class raises its own
                    why = str(error)
                else:
                    return True
            if insists:
                text = said.read_text(errors="replace").strip()
                raise SystemExit(
                    f"error: LENET_C_OPENMP=1: the compiler makes no program with {OPENMP}:\n"
                    + (text or why)
                )
        print(f"{OPENMP}: not with this compiler; the core's own threads alone are built")
        return False


openmp, sanitize = switch("LENET_C_OPENMP"), switch("LENET_C_SANITIZE")
extension = Extension("lenet_c._core", SOURCES, include_dirs=["csrc"], depends=HEADERS)
setup(
    ext_modules=cythonize([extension], build_dir="build/cython"),
    cmdclass={"build_ext": BuildCore},
)
