"""Runs the fuzzers: python -m tests.fuzz [--seconds N | --inputs N] [--seed S] [NAME...]."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from tests.fuzz import FUZZERS, engine, made


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FUZZERS)}; all")
    parser.add_argument("--seconds", type=float, help="each fuzzer; 10, without --inputs")
    parser.add_argument("--inputs", type=int, help="each fuzzer, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, help="for what is found; by default a new one")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--dump", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in FUZZERS and name != "selftest":
            parser.error(f"no fuzzer {name!r}, want some of {', '.join(FUZZERS)}")
    if arguments.worker:
        limits = engine.Limits(**json.loads(arguments.worker))
        engine.work(made(arguments.names[0]), limits, arguments.folder, arguments.dump)
        return 0
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="lenet_c-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.seconds is None and arguments.inputs is None:
        arguments.seconds = 10.0
    limits = engine.Limits(arguments.seed, arguments.first, arguments.inputs, arguments.seconds)
    outcomes = engine.run_all(
        arguments.names or list(FUZZERS), limits, folder, max(1, arguments.jobs)
    )
    inputs = sum(outcome.inputs for outcome in outcomes)
    found = sum(len(outcome.found) for outcome in outcomes)
    print(f"{'total':<10} {inputs:>10,} inputs, {found} found; seed {arguments.seed}")
    if found:
        print(f"what was found, with its inputs: {folder}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
