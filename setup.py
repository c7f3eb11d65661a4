"""Builds the C core. What a compiler cannot do (OpenMP, mostly) is left out, not an error."""

import os
import sys
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = ["lenet_c/_core.pyx", *sorted(str(path) for path in Path("csrc").glob("*.c"))]
HEADERS = sorted(str(path) for path in Path("csrc").glob("*.h"))


class BuildCore(build_ext):
    """Adds the flags that the compiler at hand understands."""

    def build_extensions(self) -> None:
        """Build the extension with optimisation and, where it works, OpenMP."""
        extension = self.extensions[0]
        if self.compiler.compiler_type == "msvc":
            extension.extra_compile_args = ["/O2", "/std:c11"]
            candidates = [(["/openmp"], [])]
        else:
            extension.extra_compile_args = ["-std=c11", "-O3", "-fno-math-errno", "-g0"]
            candidates = [(["-fopenmp"], ["-fopenmp"])]
            if sys.platform == "darwin":
                candidates = [(["-Xpreprocessor", "-fopenmp"], ["-lomp"])]
            if "LENET_C_SANITIZE" in os.environ:
                flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]
                extension.extra_compile_args += flags
                extension.extra_link_args += flags[:2]
        for compile_args, link_args in candidates:
            if self.works(compile_args, link_args):
                extension.extra_compile_args += compile_args
                extension.extra_link_args += link_args
                break
        super().build_extensions()

    def works(self, compile_args: list[str], link_args: list[str]) -> bool:
        """Whether a program that needs OpenMP compiles and links with these flags."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text(
                "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
            )
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=compile_args
                )
                self.compiler.link_executable(
                    objects, "probe", output_dir=folder, extra_postargs=link_args
                )
            except Exception:
                return False
        return True


extension = Extension("lenet_c._core", SOURCES, include_dirs=["csrc"], depends=HEADERS)
setup(
    ext_modules=cythonize([extension], build_dir="build/cython"),
    cmdclass={"build_ext": BuildCore},
)
