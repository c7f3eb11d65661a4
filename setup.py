"""Builds the C core."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = ["lenet_c/_core.pyx", *sorted(str(path) for path in Path("csrc").glob("*.c"))]
HEADERS = sorted(str(path) for path in Path("csrc").glob("*.h"))
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


class BuildCore(build_ext):
    """Adds the flags of the compiler at hand.

    LENET_C_SANITIZE in the environment builds with sanitizers, LENET_C_OPENMP with OpenMP's threads
    instead of the core's own (see csrc/parallel.c).
    """

    def build_extensions(self) -> None:
        """Build the extension."""
        core = self.extensions[0]
        if self.compiler.compiler_type == "msvc":
            core.extra_compile_args = ["/O2", "/std:c11", "/openmp"]
        else:
            core.extra_compile_args = ["-std=c11", "-O3", "-fno-math-errno", "-g0", "-pthread"]
            core.extra_link_args = ["-pthread"]
            if "LENET_C_OPENMP" in os.environ:
                core.extra_compile_args += ["-fopenmp", "-DLENET_USE_OPENMP"]
                core.extra_link_args += ["-fopenmp"]
            if "LENET_C_SANITIZE" in os.environ:
                core.extra_compile_args += [*SANITIZE, "-g", "-O1"]
                core.extra_link_args += SANITIZE
        super().build_extensions()


extension = Extension("lenet_c._core", SOURCES, include_dirs=["csrc"], depends=HEADERS)
setup(
    ext_modules=cythonize([extension], build_dir="build/cython"),
    cmdclass={"build_ext": BuildCore},
)
