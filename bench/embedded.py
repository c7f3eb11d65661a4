"""How large the C library is with some of its instruction sets, built by CMake.

python -m bench.embedded
"""

from __future__ import annotations

import platform
import subprocess
import tempfile
from pathlib import Path

from bench import common

CSRC = Path(__file__).parent.parent / "csrc"
LEFT_OUT = {
    "all": (),
    "without AVX-512": ("AVX512",),
    "without AVX2": ("AVX2",),
    "portable C alone": ("AVX512", "AVX2", "NEON"),
}


def size_of(left_out: tuple[str, ...], folder: Path) -> int:
    """Build a stripped shared library and give its size in bytes."""
    options = [f"-DLENET_{isa}=OFF" for isa in left_out]
    options += ["-DBUILD_SHARED_LIBS=ON", "-DLENET_OPENMP=OFF", "-DLENET_TESTS=OFF"]
    command = ["cmake", "-S", str(CSRC), "-B", str(folder), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(folder)], check=True, stdout=subprocess.DEVNULL)
    installed = folder / "installed"
    install = ["cmake", "--install", str(folder), "--prefix", str(installed), "--strip"]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    return max(path.stat().st_size for path in installed.glob("lib*/**/liblenet*"))


def main() -> None:
    """Read the command line, print the table."""
    common.parser("embedded", __doc__).parse_args()
    print(f"| {platform.machine()} | kB |\n| --- | ---: |")
    for name, left_out in LEFT_OUT.items():
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {name} | {size_of(left_out, Path(folder)) / 1000:.0f} |", flush=True)


if __name__ == "__main__":
    main()
