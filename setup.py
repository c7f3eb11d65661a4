"""Builds the C core, and gives the links of README.md whole addresses."""

import contextlib
import importlib.machinery
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SOURCES = ["lenet_c/_core.pyx", *sorted(str(path) for path in Path("csrc").rglob("*.c"))]
HEADERS = sorted(str(path) for path in Path("csrc").rglob("*.h"))
SMALL = ["-Os"]  # for the bindings, which only hand on: the core is a tenth smaller
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
OPENMP = "-fopenmp"
GET_COMPILER = """\
install one: on Debian and Ubuntu `apt-get install gcc python3-dev`, on Fedora `dnf install \
gcc python3-devel`, on Alpine `apk add gcc musl-dev python3-dev`, on macOS \
`xcode-select --install`; or name one in the variable CC"""
GET_HEADERS = """\
install Python's headers, which on Debian and Ubuntu are in python3-dev (for another version, say \
python3.12-dev), on Fedora in python3-devel, on Alpine in python3-dev"""
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


def remove_what_hides(built: Path) -> None:
    """Remove cores of other builds that Python would import instead of this one."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        if built.name == f"_core{suffix}":
            break
        built.with_name(f"_core{suffix}").unlink(missing_ok=True)


class BuildCore(build_ext):
    """Adds the flags of the compiler at hand.

    In the environment, LENET_C_OPENMP=0 builds without OpenMP's threads and 1 insists on them (by
    default they are there where the compiler has them), LENET_C_SANITIZE=1 builds with
    sanitizers, and LENET_C_LIMITED_API=0 builds for this Python alone, not for 3.11 and later.
    """

    def build_extensions(self) -> None:
        """Build the extension."""
        core = self.extensions[0]
        self.want_compiler()
        if self.compiler.compiler_type == "msvc":
            if sanitize:
                raise SystemExit("error: LENET_C_SANITIZE=1: needs gcc or clang")
            core.extra_compile_args = ["/O2", "/std:c11"]
            if openmp is not False:
                core.extra_compile_args += ["/openmp"]
        else:
            core.extra_compile_args = ["-std=c11", "-O3", "-fno-math-errno", "-g0", "-pthread"]
            # no tables to unwind calls by: nothing throws here
            core.extra_compile_args += ["-fvisibility=hidden", "-fno-asynchronous-unwind-tables"]
            core.extra_link_args = ["-pthread"]
            if openmp is not False and self.has_openmp(insists=openmp is True):
                core.extra_compile_args += [OPENMP]
                core.extra_link_args += [OPENMP]
            if sanitize:
                core.extra_compile_args += [*SANITIZE, "-g1", "-O1"]
                core.extra_link_args += SANITIZE
            self.compile_side_by_side()
        try:
            super().build_extensions()
        except Exception as error:  # each compiler class raises its own
            headers = Path(sysconfig.get_path("include"), "Python.h")
            if headers.exists():
                raise
            raise SystemExit(f"error: {error}\nthere is no {headers}: {GET_HEADERS}") from error
        remove_what_hides(Path(self.get_ext_fullpath(core.name)))

    def want_compiler(self) -> None:
        """Stop with what to install where there is no compiler (MSVC's class does so itself)."""
        command = getattr(self.compiler, "compiler_so", None)
        if command and not shutil.which(command[0]):
            raise SystemExit(
                f"error: no C compiler: {command[0]} is not on the PATH; {GET_COMPILER}"
            )

    def copy_extensions_to_source(self) -> None:
        """Put the core into the checkout."""
        remove_what_hides(ROOT / self.get_ext_filename(self.extensions[0].name))
        super().copy_extensions_to_source()

    def compile_side_by_side(self) -> None:
        """Let the compiler take several sources at once: -j of them, or one a processor."""
        compile_in_turn = self.compiler.compile
        affinity = getattr(os, "sched_getaffinity", None)
        processors = len(affinity(0)) if affinity else os.cpu_count() or 1
        most = self.parallel if isinstance(self.parallel, int) else processors

        def compile_one(source: str, settings: dict[str, Any]) -> list[str]:
            if Path(source).name == "_core.c":
                settings = {**settings, "extra_postargs": [*settings["extra_postargs"], *SMALL]}
            return compile_in_turn([source], **settings)

        def compile(sources: list[str], **settings: Any) -> list[str]:
            longest_first = sorted(sources, key=lambda path: "isa_" not in path)
            with ThreadPoolExecutor(max(1, most)) as pool:
                done = pool.map(lambda source: compile_one(source, settings), longest_first)
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


class BuildPackage(build_py):
    """Puts lenet.h into the wheel, where `lenet_c.get_include` finds it."""

    def header(self) -> str:
        """Give the place of the copy."""
        return str(Path(self.build_lib, "lenet_c", "include", "lenet.h"))

    def run(self) -> None:
        """Build the package; a checkout that is installed in place has csrc."""
        super().run()
        if not self.editable_mode:
            self.mkpath(str(Path(self.header()).parent))
            self.copy_file("csrc/lenet.h", self.header())

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """List what is built."""
        made = super().get_outputs(include_bytecode)
        return made if self.editable_mode else [*made, self.header()]


def repository() -> str | None:
    """Give the project's address: LENET_C_REPOSITORY, or what the sdist was made with."""
    address = os.environ.get("LENET_C_REPOSITORY")
    if not address and (ROOT / "PKG-INFO").exists():
        said = (ROOT / "PKG-INFO").read_text(encoding="utf-8")
        found = re.search(r"^Project-URL: Repository, (\S+)$", said, re.MULTILINE)
        address = found[1] if found else None
    if address and not re.fullmatch(r"https://[^\s/]+/\S+", address):
        raise SystemExit(f"error: LENET_C_REPOSITORY={address}: want https://HOST/OWNER/NAME")
    return address.removesuffix("/") if address else None


def long_description(address: str | None) -> str:
    """Give README.md with links that work elsewhere, to the files of this version."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if not address:
        return text
    code = (ROOT / "lenet_c" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', code, re.MULTILINE)
    assert version
    tag = f"v{version[1]}"

    def whole(link: re.Match[str]) -> str:
        kind = "raw" if link["image"] else "blob"
        return f"{link['image']}[{link['text']}]({address}/{kind}/{tag}/{link['path']})"

    relative = r"(?P<image>!?)\[(?P<text>[^]]*)\]\((?P<path>(?![a-z]+:|#)[^)\s]+)\)"
    return re.sub(relative, whole, text)


def urls(address: str | None) -> dict[str, str]:
    """Give the addresses that PyPI shows."""
    if not address:
        return {}
    return {
        "Repository": address,
        "Documentation": f"{address}/tree/main/docs",
        "Changelog": f"{address}/blob/main/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


openmp, sanitize = switch("LENET_C_OPENMP"), switch("LENET_C_SANITIZE")
# Buffers are in the Limited API from 3.11 on; Python without the GIL has none yet.
can_be_limited = (
    sys.implementation.name == "cpython"
    and sys.version_info >= (3, 11)
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)
limited = can_be_limited and switch("LENET_C_LIMITED_API") is not False

if __name__ == "__main__":  # the tests import this file
    extension = Extension(
        "lenet_c._core",
        SOURCES,
        include_dirs=["csrc"],
        depends=HEADERS,
        define_macros=[("LENET_BUILD_SHARED", None)]
        + ([("Py_LIMITED_API", "0x030B0000")] if limited else []),
        py_limited_api=limited,
    )
    setup(
        ext_modules=cythonize([extension], build_dir="build/cython"),
        cmdclass={"build_ext": BuildCore, "build_py": BuildPackage},
        options={"bdist_wheel": {"py_limited_api": "cp311"}} if limited else {},
        long_description=long_description(repository()),
        long_description_content_type="text/markdown",
        project_urls=urls(repository()),
    )
