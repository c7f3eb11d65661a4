"""Builds tests/c_fuzz.c and runs it with every instruction set, pages behind and before.

python -m tests.fuzz.plans [--seconds N | --plans N] [--seed S]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lenet_c import cpu_info
from tests.fuzz.engine import ROOT
from tests.sanitized import without

STACK = 64 << 10  # bytes, of the thread that calls


def compiler() -> list[str] | None:
    """Give the C compiler, if there is one."""
    named = os.environ.get("CC")
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    return shlex.split(named) if named else [found] if found else None


def build(isas: Sequence[str]) -> Path:
    """Compile it, with the core and the core's own threads, unless that was done before.

    The kernels of instruction sets that are not wanted are left out: they take longest.
    """
    cc = compiler()
    if cc is None:
        raise FileNotFoundError("no C compiler: set CC")
    core = ROOT / "csrc"
    sources = [ROOT / "tests" / "c_fuzz.c", *sorted(core.glob("**/*.c"))]
    flags = ["-std=c11", "-Og", "-g1", "-Wall", "-Wextra", "-Werror", f"-I{core}", "-pthread"]
    for source in core.glob("**/isa_*.c"):
        isa = source.stem.partition("_")[2]
        if isa not in isas:
            sources.remove(source)
            flags.append(f"-Dlenet_kernels_{isa}=lenet_kernels_{isas[-1]}")
    digest = hashlib.sha256(repr([*cc, *flags]).encode())
    for source in [*sources, *sorted(core.glob("**/*.h"))]:
        digest.update(source.read_bytes())
    folder = ROOT / "build" / "fuzz" / digest.hexdigest()[:16]
    program = folder / "c_fuzz"
    if program.exists():
        return program
    folder.mkdir(parents=True, exist_ok=True)

    def compiled(source: Path) -> str:
        made = folder / f"{source.parent.name}-{source.stem}-{os.getpid()}.o"
        subprocess.run([*cc, *flags, "-c", str(source), "-o", str(made)], check=True)
        return str(made)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        objects = list(pool.map(compiled, sources))
    made = folder / f"c_fuzz-{os.getpid()}"
    subprocess.run([*cc, "-pthread", *objects, "-o", str(made), "-lm"], check=True)
    os.replace(made, program)
    for name in objects:
        os.unlink(name)
    return program


def run(
    seconds: float | None = None,
    plans: int | None = None,
    first: int = 0,
    stack: int = STACK,
    isas: Sequence[str] | None = None,
) -> tuple[dict[str, int], list[str]]:
    """Run so many plans, or seconds, in all; plans by instruction set, and what was found."""
    isas = isas or list(map(str, cpu_info()["available"]))  # type: ignore[call-overload]
    ways = [(isa, page) for isa in isas for page in ("behind", "before")]
    counts = dict.fromkeys(isas, 0)
    found = []
    program = build(isas)
    for isa, page in ways:
        time = 1e6 if seconds is None else seconds / len(ways)
        most = 1 << 60 if plans is None else -(-plans // len(ways))
        settings = [str(time), str(first), str(most), page, str(stack)]
        result = subprocess.run(
            [str(program), *settings], capture_output=True, text=True,
            env={**without(), "LENET_C_ISA": isa},
        )  # fmt: skip
        number = re.match(r"(\d+) plans", result.stdout)
        if result.returncode == 0 and number is not None:
            counts[isa] += int(number[1])
        else:
            seed = re.search(r"in plan (\d+)", result.stderr)
            where = seed[1] if seed else "?"
            counts[isa] += int(where) - first if seed else 0
            found.append(
                f"{isa}: {result.stderr.strip()[-300:]} (code {result.returncode})\n"
                f"    again: LENET_C_ISA={isa} c_fuzz 60 {where} 1 {page} {stack}"
            )
    return counts, found


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.plans", description=__doc__)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--plans", type=int)
    parser.add_argument("--seed", type=int, default=0, help="number of the first plan")
    parser.add_argument("--stack", type=int, default=STACK)
    arguments = parser.parse_args()
    if arguments.seconds is None and arguments.plans is None:
        arguments.seconds = 30.0
    counts, found = run(arguments.seconds, arguments.plans, arguments.seed, arguments.stack)
    for what in found:
        print(f"  {what}")
    told = ", ".join(f"{n:,} on {isa}" for isa, n in counts.items())
    print(f"plans: {sum(counts.values()):,} ({told}); {len(found)} found; seed {arguments.seed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
