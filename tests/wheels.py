"""Builds the wheels of this machine and tries each: python -m tests.wheels [--python PYTHON ...].

From an sdist, made first: a wheel by Python 3.10, and one by the oldest later Python, for all later
ones. Each is repaired by auditwheel, which gives it the platform tag that this machine's C library
allows, and packed again (tests/repack.py); the second is looked through by abi3audit, and none may
be larger than 2.5 MB. Every Python then gets a fresh environment: tests/wheel_trial.py with numpy
alone, then the tests named, from a folder without the package's sources.

What it needs is the dependency group `wheel` (pip install --group wheel).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.repack import repack

ROOT = Path(__file__).parent.parent
OUT = ROOT / "build" / "wheels"
MOST_BYTES = 2_500_000
TESTS = ["test_model.py", "test_kernels.py", "test_serialization.py", "test_codes.py"]


def say(*words: object) -> None:
    """Print at once."""
    print(*words, flush=True)


def call(*command: str | Path, **settings: object) -> None:
    """Run a command, with this Python's tools, but nothing that leads another to this checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    done = subprocess.run([str(part) for part in command], env=kept, **settings)  # type: ignore[call-overload]
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(map(str, command))}")


def version(python: str) -> tuple[int, int] | None:
    """Give a Python's version, if it runs."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    return None if done.returncode else (*map(int, done.stdout.split()),)  # type: ignore[return-value]


def pythons(named: list[str]) -> dict[tuple[int, int], str]:
    """Give the Pythons that were named, or those on the PATH, by version."""
    found = {}
    for python in named or [f"python3.{minor}" for minor in range(10, 30)]:
        which = version(python)
        if which and which >= (3, 10):
            found[which] = python
        elif named:
            raise SystemExit(f"--python {python}: want a Python that runs, 3.10 or later")
    if not found:
        raise SystemExit("no python3.10 or later on the PATH: --python names some")
    return dict(sorted(found.items()))


def environment(python: str, name: str) -> Path:
    """Make a fresh environment; give its interpreter."""
    folder = OUT / name
    call(python, "-m", "venv", folder)
    inside = folder / "bin" / "python"
    call(inside, "-m", "pip", "install", "-q", "--upgrade", "pip")
    return inside


def build(python: Path, sdist: Path, folder: Path, limited: bool) -> Path:
    """Build a wheel and repair it."""
    call(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "raw", sdist)
    (raw,) = (folder / "raw").iterdir()
    repair = ("repair", "--strip", "-w", folder, raw)
    call(sys.executable, "-m", "auditwheel", *repair, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    repack(wheel)
    if limited:
        if "-cp311-abi3-" not in wheel.name:
            raise SystemExit(f"{wheel.name}: want a wheel for cp311-abi3")
        call(sys.executable, "-m", "abi3audit", "--strict", "--assume-minimum-abi3", "3.11", wheel)
    size = wheel.stat().st_size
    say(f"{wheel.name}: {size:,} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"{wheel.name}: want at most {MOST_BYTES:,} bytes")
    return wheel


def main() -> None:
    """Build and try them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.wheels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tests", nargs="*", default=TESTS, help="files of tests/; . for all")
    parser.add_argument("--python", action="append", help="by default those on the PATH")
    arguments = parser.parse_args()
    found = pythons(arguments.python or [])
    say("Pythons:", ", ".join(f"{a}.{b}" for a, b in found))
    shutil.rmtree(OUT, ignore_errors=True)
    call(sys.executable, "-m", "build", "-q", "--sdist", "--outdir", OUT, ROOT)
    (sdist,) = OUT.glob("*.tar.gz")
    wheels: dict[bool, Path] = {}
    for which, python in found.items():
        name = "{}.{}".format(*which)
        inside = environment(python, name)
        limited = which >= (3, 11)
        if limited not in wheels:
            wheels[limited] = build(inside, sdist, OUT / f"for-{name}", limited)
        call(inside, "-m", "pip", "install", "-q", wheels[limited])
        trial = ROOT / "tests" / "wheel_trial.py"
        call(inside, trial, cwd=OUT)
        call(inside, "-m", "pip", "install", "-q", "--group", f"{ROOT / 'pyproject.toml'}:test")
        elsewhere = OUT / f"tests-{name}"
        without = shutil.ignore_patterns("lenet_c", "build", ".*", "*.egg-info")
        shutil.copytree(ROOT, elsewhere, ignore=without)
        tests = [elsewhere / "tests" / test for test in arguments.tests]
        call(inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, cwd=elsewhere)
        say(f"Python {name}: {wheels[limited].name} passes")


if __name__ == "__main__":
    main()
