"""The long run, in parts that are kept, and the table of docs/reliability.md.

python -m tests.fuzz.long [--write] [--again] [--seed S] [--share X] [PART...]

Two parts run at a time. A part that went through, with the same seed and the library as it is, is
not run again (--again does); --share 0.01 makes all a hundredth as long, to try it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.fuzz import engine, plans
from tests.fuzz.engine import ROOT
from tests.fuzz.interrupts import Interrupts

PAGE = ROOT / "docs" / "reliability.md"
KEPT = ROOT / "build" / "fuzz" / "long"
MARKS = "<!-- counts: begin -->", "<!-- counts: end -->"

INPUTS = {
    "arguments": 420_000,
    "core": 220_000,
    "idx": 240_000,
    "files": 70_000,
    "sequences": 40_000,
    "pictures": 40_000,
}
PLANS = 54_000
SOAK = 15.0  # minutes, with each kind of threads
INTERRUPTS = 150.0  # seconds

Part = Callable[[int, float], dict[str, Any]]


def fuzz(name: str) -> Part:
    """Give the part that runs a fuzzer."""

    def run(seed: int, share: float) -> dict[str, Any]:
        folder = KEPT / "found"
        folder.mkdir(parents=True, exist_ok=True)
        limits = engine.Limits(seed=seed, inputs=max(1, int(INPUTS[name] * share)))
        (outcome,) = engine.run_all([name], limits, folder, 1)
        told = f"{outcome.inputs:,} inputs, of which {outcome.refused:,} were refused"
        found = [str(found["what"]) for found in outcome.found]
        return {"told": told, "inputs": outcome.inputs, "found": found}

    return run


def run_plans(seed: int, share: float) -> dict[str, Any]:
    """Run the C program."""
    counts, found = plans.run(plans=max(1, int(PLANS * share)), first=seed)
    told = ", ".join(f"{n:,} on {isa}" for isa, n in counts.items())
    return {
        "told": f"{sum(counts.values()):,} plans: {told}", "plans": sum(counts.values()),
        "found": found,
    }  # fmt: skip


def run_interrupts(seed: int, share: float) -> dict[str, Any]:
    """Kill and interrupt."""
    trials = Interrupts(seed)
    found = trials.run(INTERRUPTS * share)
    told = ", ".join(f"{n:,} {kind}" for kind, n in trials.counts.items())
    return {"told": told, "found": sorted(set(found))}


def soak(kind: str) -> Part:
    """Give the part that runs for minutes with a kind of threads."""

    def run(seed: int, share: float) -> dict[str, Any]:
        minutes = max(0.2, SOAK * share)
        command = [sys.executable, "-m", "tests.fuzz.soak", "--minutes", str(minutes)]
        command += ["--threading", kind, "--seed", str(seed)]
        process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
        code = process.wait()
        found = [line.strip() for line in lines if line.startswith("  found:")]
        if code and not found:
            found = [f"ended with {code}: {' '.join(lines[-3:])}"]
        calls = re.search(r"([\d,]+) calls", lines[-1] if lines else "")
        flat = "; ".join(line.strip() for line in lines if " at first, " in line)
        told = f"{minutes:g} minutes, {calls[1] if calls else 'no'} calls; {flat}"
        return {"told": told, "found": found}

    return run


PARTS: dict[str, Part] = {
    "soak-openmp": soak("openmp"),
    **{name: fuzz(name) for name in INPUTS},
    "interrupts": run_interrupts,
    "plans": run_plans,
    "soak-team": soak("team"),
}
# Each lane runs its parts one after the other; a soak has one of the two processors to itself.
LANES = [["soak-openmp", "soak-team"], [*INPUTS, "interrupts", "plans"]]


def library() -> str:
    """Give a hash of the library's files: what went through with others says little of these."""
    digest = hashlib.sha256()
    for folder in ("csrc", "lenet_c"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in {".c", ".h", ".py", ".pyx", ".npz"}:
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def run_lane(names: list[str], seed: int, share: float, again: bool) -> None:
    """Run parts that have not gone through yet."""
    state = {"seed": seed, "share": share, "library": library()}
    for name in names:
        file = KEPT / f"{name}.json"
        if not again and file.exists():
            kept = json.loads(file.read_text())
            if not kept["found"] and kept.items() >= state.items():
                print(f"{name}: kept from before", flush=True)
                continue
        began = time.monotonic()
        try:
            outcome = PARTS[name](seed, share)
        except Exception as error:
            outcome = {"told": "did not run", "found": [f"{type(error).__name__}: {error}"]}
        outcome |= {**state, "seconds": time.monotonic() - began}
        file.write_text(json.dumps(outcome, indent=1))
        print(f"{name}: {outcome['told']}; {len(outcome['found'])} found", flush=True)
        for what in outcome["found"]:
            print(f"  found: {what}", flush=True)


def table() -> str:
    """Give the counts of the parts that have run, as Markdown."""
    lines = ["| what | counts | time | found |", "| --- | --- | --- | --- |"]
    inputs, now, earlier = 0, library(), []
    for name in PARTS:
        file = KEPT / f"{name}.json"
        if not file.exists():
            continue
        kept = json.loads(file.read_text())
        inputs += kept.get("inputs", 0)
        if kept.get("library") != now:
            earlier.append(name)
        minutes = kept["seconds"] / 60
        lines.append(f"| {name} | {kept['told']} | {minutes:.1f} min | {len(kept['found'])} |")
    import lenet_c

    about = lenet_c.cpu_info()
    lines += ["", f"{inputs:,} inputs in all, on {about['processor']} ({about['compiler']})."]
    if earlier:
        lines.append(f"Of an earlier state of the library: {', '.join(earlier)}.")
    return "\n".join(lines)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.long", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--write", action="store_true", help="print the table into the page")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in arguments.parts:
        if name not in PARTS:
            parser.error(f"no part {name!r}, want some of {', '.join(PARTS)}")
    engine.hear_interrupts()
    KEPT.mkdir(parents=True, exist_ok=True)
    wanted = arguments.parts or list(PARTS)
    lanes = [
        threading.Thread(
            target=run_lane,
            args=(
                [n for n in lane if n in wanted],
                arguments.seed,
                arguments.share,
                arguments.again,
            ),
        )
        for lane in LANES
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    counts = table()
    print(counts)
    if arguments.write:
        text = PAGE.read_text("utf-8")
        begin, end = (text.index(mark) for mark in MARKS)
        PAGE.write_text(f"{text[: begin + len(MARKS[0])]}\n{counts}\n{text[end:]}", "utf-8")
    kept = [json.loads((KEPT / f"{name}.json").read_text()) for name in wanted]
    return 1 if any(part["found"] for part in kept) else 0


if __name__ == "__main__":
    sys.exit(main())
