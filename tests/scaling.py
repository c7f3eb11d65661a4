"""Runs the examples of docs/scale.md: python -m tests.scaling [KIND...] [--fresh PACKAGE].

An example is a block whose first line names its file; dask_read.py is of the kind "dask". Those run
whose packages are here, and of the others it is said that they are skipped. With --fresh each kind
runs in an environment of its own, into which pip installs what it needs and lenet_c: a wheel, or a
folder with the sources. Then nothing is skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
BLOCK = re.compile(r"```python\n(# (\w+\.py)\n.*?)```", re.DOTALL)
SHARDS = "shards.py"  # makes what the others read
LIMIT = 300  # seconds

FOR_ALL = {"fsspec": "fsspec", "sklearn": "scikit-learn>=1.6"}  # what is imported: how pip calls it
NEEDS = {
    "joblib": {"joblib": "joblib"},
    "dask": {"dask": "dask[array]", "distributed": "distributed"},
    "ray": {"ray": "ray[data]"},
    "spark": {"pyspark": "pyspark>=4", "pandas": "pandas", "pyarrow": "pyarrow"},
    "optuna": {"optuna": "optuna"},
    "mpi": {"mpi4py": "mpi4py"},
}
PROGRAMS = {"spark": "java", "mpi": "mpiexec"}
RANKS = (1, 2, 3)


def examples(kind: str) -> dict[str, str]:
    """Give the blocks of a kind, by the names of their files."""
    found = {name: code for code, name in BLOCK.findall(PAGE.read_text(encoding="utf-8"))}
    return {name: code for name, code in found.items() if name.startswith(f"{kind}_")}


def lacks(kind: str) -> list[str]:
    """Give what an example needs and is not here."""
    needed = {**FOR_ALL, **NEEDS[kind]}
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if kind in PROGRAMS and not program(PROGRAMS[kind], sys.executable):
        missing.append(PROGRAMS[kind])
    return missing


def program(name: str, python: str) -> str | None:
    """Find a program beside an interpreter, or on the PATH."""
    return shutil.which(name, path=str(Path(python).parent)) or shutil.which(name)


def run(kind: str, folder: Path, python: str = sys.executable) -> list[str]:
    """Run the examples of a kind in a folder; give what each prints, of mpi for each of RANKS."""
    settings = dict(os.environ)
    if python != sys.executable:
        settings = {k: v for k, v in settings.items() if not k.startswith("PYTHON")}
    # each process of Spark and Ray is of this Python; no telemetry; several ranks on one core
    settings |= {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PYSPARK_PYTHON": python,
        "RAY_USAGE_STATS_ENABLED": "0",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    everything = dict(map(reversed, BLOCK.findall(PAGE.read_text(encoding="utf-8"))))
    printed = []
    for name in (SHARDS, *examples(kind)):
        (folder / name).write_text(everything[name], encoding="utf-8")
        commands = [[python, name]]
        if kind == "mpi" and name != SHARDS:
            mpiexec = program("mpiexec", python) or "mpiexec"
            commands = [
                [mpiexec, "-n", str(ranks), python, "-m", "mpi4py", name] for ranks in RANKS
            ]
        for command in commands:
            done = subprocess.run(
                command, cwd=folder, env=settings, capture_output=True, text=True, timeout=LIMIT
            )
            if done.returncode:
                raise RuntimeError(f"{name} ended with {done.returncode}:\n{done.stderr[-4000:]}")
            if name != SHARDS:
                printed.append(done.stdout)
    return printed


def fresh(kind: str, package: str, folder: Path) -> str:
    """Make an environment that has what a kind needs and no more; give its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = str(folder / "venv" / "bin" / "python")
    needed = [*FOR_ALL.values(), *NEEDS[kind].values()]
    if kind == "mpi" and not shutil.which("mpiexec"):
        needed.append("mpich")
    settings = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [python, "-m", "pip", "install", "-q", package, *needed]
    subprocess.run(command, check=True, env=settings)
    return python


def main() -> None:
    command = argparse.ArgumentParser(
        prog="python -m tests.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("kinds", nargs="*", choices=[*NEEDS, []], metavar="KIND")
    command.add_argument("--fresh", metavar="PACKAGE", help="a wheel or a folder")
    options = command.parse_args()
    for kind in options.kinds or NEEDS:
        if not options.fresh and (missing := lacks(kind)):
            print(f"{kind}: skipped, for want of {', '.join(missing)}", flush=True)
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            python = sys.executable
            if options.fresh:
                python = fresh(kind, str(Path(options.fresh).resolve()), folder)
            for line in "".join(run(kind, folder, python)).splitlines():
                print(f"{kind}: {line}", flush=True)


if __name__ == "__main__":
    main()
