"""Builds the core for other systems and runs its tests there: python -m tests.cross [TARGET ...].

Each target is compiled with all warnings as errors, by Debian's MinGW or by the compiler of the
PyPI package ziglang, and tests/c_kernels.c and tests/c_api.c are linked with it. They run where the
target is this machine's own or an emulator is on the PATH (Debian's packages wine and qemu-user);
else the line says that they were only built.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "csrc").rglob("*.c"))
PROGRAMS = ("c_kernels", "c_api")
FLAGS = ["-std=c11", "-O2", "-fno-math-errno", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'csrc'}"]
ISAS = {"x86_64": ("portable", "avx2", "avx512"), "aarch64": ("portable", "neon")}
MISSING = "this processor or build has no such instruction set"


class Target(NamedTuple):
    """A system to build for, what builds for it and what runs it."""

    compiler: list[str] | None = None  # or zig's
    flags: tuple[str, ...] = ()
    links: tuple[str, ...] = ("-static",)
    runner: str | None = None  # "": needs none here


def linux(machine: str) -> Target:
    own = machine == platform.machine() and sys.platform == "linux"
    return Target(flags=("-pthread",), runner="" if own else f"qemu-{machine}")


MINGW = Target(["x86_64-w64-mingw32-gcc"], ("-fopenmp",), runner="wine")
TARGETS = {
    "x86_64-w64-mingw32": MINGW,
    "x86_64-windows-gnu": Target(runner="wine"),
    "aarch64-windows-gnu": Target(),
    "x86_64-macos": Target(flags=("-pthread",), links=()),
    "aarch64-macos": Target(flags=("-pthread",), links=()),
    "x86_64-linux-musl": linux("x86_64"),
    "aarch64-linux-musl": linux("aarch64"),
}


def compiler(name: str) -> list[str] | None:
    """Give the command that compiles for a target, if it is here."""
    target = TARGETS[name]
    if target.compiler:
        return target.compiler if shutil.which(target.compiler[0]) else None
    if importlib.util.find_spec("ziglang") is None:
        return None
    return [sys.executable, "-m", "ziglang", "cc", "-target", name]


def build(name: str, compile: list[str], folder: Path, jobs: int) -> dict[str, Path]:
    """Build the programs."""
    target = TARGETS[name]
    command = [*compile, *FLAGS, *target.flags]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def make(source: Path) -> str:
        made = str(folder / f"{source.parent.name}-{source.stem}.o")
        subprocess.run([*command, "-c", str(source), "-o", made], check=True)
        return made

    # the vector files take longest
    longest_first = sorted(SOURCES, key=lambda path: not path.name.startswith("isa_"))
    with ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(make, longest_first))
    end = ".exe" if "windows" in name or "mingw" in name else ""
    programs = {program: folder / f"{program}{end}" for program in PROGRAMS}
    for program, path in programs.items():
        source = str(ROOT / "tests" / f"{program}.c")
        links = [*target.links, "-o", str(path), "-lm"]
        subprocess.run([*command, source, *objects, *links], check=True)
    return programs


def run(name: str, programs: dict[str, Path]) -> list[str]:
    """Run the programs under each instruction set; say which there were."""
    runner = TARGETS[name].runner
    before = [runner] if runner else []
    said = []
    for isa in ISAS.get(name.partition("-")[0], ("portable",)):
        settings = {"LENET_C_ISA": isa, "WINEDEBUG": "-all", "DISPLAY": ""}
        for path in programs.values():
            done = subprocess.run(
                [*before, str(path)], env=os.environ | settings, capture_output=True, text=True
            )
            if MISSING in done.stdout:
                said.append(f"no {isa} here")
                break
            if done.returncode:
                raise SystemExit(f"{name}: {path.name}, {isa}:\n{done.stdout}{done.stderr}")
        else:
            said.append(isa)
    return said


def main() -> None:
    """Build and run what was named, or everything."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cross",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at once")
    arguments = parser.parse_args()
    unknown = sorted({*arguments.targets} - {*TARGETS})
    if unknown:
        parser.error(f"got {', '.join(unknown)}, want some of {', '.join(TARGETS)}")
    for name in arguments.targets or TARGETS:
        command = compiler(name)
        if command is None:
            wanted = (
                "gcc-mingw-w64-x86-64 of Debian" if name.endswith("mingw32") else "ziglang of PyPI"
            )
            if arguments.targets:
                raise SystemExit(f"{name}: no compiler; it is in {wanted}")
            print(f"{name}: skipped, no compiler; it is in {wanted}", flush=True)
            continue
        try:
            programs = build(name, command, ROOT / "build" / "cross" / name, arguments.jobs)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{name}: failed: {' '.join(error.cmd[:8])} ...") from None
        runner = TARGETS[name].runner
        if runner is None or (runner and not shutil.which(runner)):
            print(f"{name}: built; not run, for want of {runner or 'an emulator'}", flush=True)
            continue
        said = ", ".join(run(name, programs))
        print(
            f"{name}: {' and '.join(PROGRAMS)} pass{f' under {runner}' * bool(runner)}: {said}",
            flush=True,
        )


if __name__ == "__main__":
    main()
