"""A guard against slow-downs: python -m bench.check [--write].

Measures each path as a fraction of the multiply-add peak beside it, for each instruction set of
this processor, and fails where it lost more than 15% against bench/baseline.json: against what was
stored for this processor, or for one that is not there the least of all. What has no stored figure
is only reported. So that a busy machine does little harm, a path's figure is the
upper quartile of some rounds' fastest calls by the thread's own processor time (which needs a POSIX
system), and a path that fails is measured once more before it counts. --write stores what was
measured, for this processor.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from bench.common import ROOT, add_isa, markdown, parser
from bench.paths import PATHS, Report, run

BASELINE = ROOT / "bench" / "baseline.json"
TOLERANCE = 0.15
ROUNDS = 9
SECONDS = 0.08

Baseline = dict[str, dict[str, dict[str, float]]]  # by processor, instruction set and path


@dataclass(frozen=True)
class Comparison:
    """A path's fraction of the peak, as stored (None: never) and as measured."""

    isa: str
    path: str
    stored: float | None
    measured: float

    @property
    def loss(self) -> float | None:
        """What was lost of the stored fraction; below 0, won."""
        return None if self.stored is None else 1.0 - self.measured / self.stored

    @property
    def failed(self) -> bool:
        """Whether it lost more than it may."""
        return self.loss is not None and self.loss > TOLERANCE

    @property
    def cells(self) -> list[str]:
        """The line of the table."""
        stored = "-" if self.stored is None else f"{self.stored:.1%}"
        change = "-" if self.loss is None else f"{-self.loss:+.1%}"
        verdict = "no baseline" if self.stored is None else "FAILED" if self.failed else "ok"
        return [f"{self.isa}, {self.path}", stored, f"{self.measured:.1%}", change, verdict]


def upper_quartile(values: Sequence[float]) -> float:
    """Give the value that a quarter of them reach."""
    ordered = sorted(values)
    return ordered[(3 * len(ordered) - 1) // 4]


def ratios(report: Report) -> dict[str, float]:
    """Give each path's fraction of the peak."""
    return {
        name: upper_quartile(found.best_ratios(PATHS[name])) for name, found in report.paths.items()
    }


def compare(
    isa: str, processor: str, stored: Baseline, measured: dict[str, float]
) -> list[Comparison]:
    """Set the measured fractions of an instruction set beside the stored ones."""
    of_processors = [stored[processor]] if processor in stored else list(stored.values())
    known = [paths for of_isa in of_processors if (paths := of_isa.get(isa))]

    def least(name: str) -> float | None:
        return min((paths[name] for paths in known if name in paths), default=None)

    return [Comparison(isa, name, least(name), ratio) for name, ratio in measured.items()]


def measure(isa: str, stored: Baseline) -> tuple[dict[str, float], Report]:
    """Measure an instruction set's paths; those that fail once more, and the better counts."""
    report = run(isa, rounds=ROUNDS, seconds=SECONDS)
    measured = ratios(report)
    failed = [each.path for each in compare(isa, report.processor, stored, measured) if each.failed]
    if failed:
        print(f"{isa}: once more: {', '.join(failed)}", file=sys.stderr, flush=True)
        again = ratios(run(isa, failed, rounds=ROUNDS, seconds=SECONDS))
        measured |= {name: max(measured[name], ratio) for name, ratio in again.items()}
    return measured, report


def main(argv: list[str] | None = None) -> int:
    command = parser("check", __doc__)
    command.add_argument("--write", action="store_true", help="store what was measured")
    command.add_argument("--baseline", type=FilePath, default=BASELINE, help="default: %(default)s")
    add_isa(command)
    options = command.parse_args(argv)
    stored: Baseline = {}
    if options.baseline.exists():
        stored = json.loads(options.baseline.read_text(encoding="utf-8"))
    found: list[Comparison] = []
    new = dict(stored)
    for isa in options.isa:
        measured, report = measure(isa, {} if options.write else stored)
        found += compare(isa, report.processor, stored, measured)
        rounded = {name: round(ratio, 4) for name, ratio in measured.items()}
        new[report.processor] = {**new.get(report.processor, {}), isa: rounded}
    header = ["path", "stored", "measured", "change", ""]
    print(markdown(header, [comparison.cells for comparison in found]))
    if options.write:
        options.baseline.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
        return 0
    failed = [f"{each.isa}, {each.path}" for each in found if each.failed]
    if failed:
        print(f"\nlost more than {TOLERANCE:.0%}: {'; '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
