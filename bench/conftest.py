"""What benchmarks share: images, the peak of multiply-adds, and the table at the end.

A benchmark asks the `measure` fixture to time a call. The peak is what the core's own loop of
multiply-adds does, on as many threads, right before and right after: clocks drift.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench import paths
from bench.common import duration
from lenet_c import _core, datasets

ROWS = pytest.StashKey[list[dict[str, object]]]()
PEAK = pytest.StashKey[float]()
PEAK_SECONDS = 0.05

COLUMNS = ("path", "isa", "threads", "median", "images/s", "GFLOP/s", "% of peak")


def peak_flops(threads: int = 1) -> float:
    """Floating-point operations a second in the best window of each thread, added up."""
    if threads == 1:
        return paths.peak_flops(PEAK_SECONDS)
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(paths.peak_flops, [PEAK_SECONDS] * threads))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.fixture(scope="session", autouse=True)
def _session_peak(pytestconfig: pytest.Config) -> None:
    pytestconfig.stash[PEAK] = max(peak_flops() for _ in range(5))


@pytest.fixture(scope="session")
def mnist() -> datasets.Arrays:
    """MNIST's training set from LENET_C_DATA, or else random images as many and as large."""
    return paths.training_set()


@pytest.fixture(scope="session")
def data_name() -> str:
    """Tell what `mnist` gives."""
    return paths.DATA


@pytest.fixture
def measure(benchmark, pytestconfig: pytest.Config) -> Callable[..., None]:
    """Time a call, of `flops` an image (None: not counted), and keep a row for the table."""

    def run(
        path: str,
        call: Callable[[], object],
        images: int,
        flops: int | None,
        *,
        threads: int = 1,
        rounds: int | None = None,
        **info: object,
    ) -> None:
        peak = peak_flops(threads)
        if rounds is None:
            benchmark(call)
        else:
            benchmark.pedantic(call, rounds=rounds)
        if benchmark.stats is None:  # --benchmark-disable
            return
        peak = max(peak, peak_flops(threads))
        median = benchmark.stats["median"]
        row = {
            "path": path,
            "isa": _core.isa()[0],
            "threads": threads,
            "images": images,
            "median_seconds": median,
            "images_per_second": images / median,
            "peak_gflops": peak / 1e9,
        }
        if flops is not None:
            rate = flops * images / median
            row |= {
                "flops_per_image": flops,
                "gflops": rate / 1e9,
                "percent_of_peak": 100.0 * rate / peak,
            }
        benchmark.extra_info.update(row | info)
        pytestconfig.stash[ROWS].append(row)

    return run


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    return (
        str(row["path"]),
        str(row["isa"]),
        str(row["threads"]),
        duration(row["median_seconds"]),
        f"{row['images_per_second']:,.0f}",
        f"{row['gflops']:.1f}" if "gflops" in row else "-",
        f"{row['percent_of_peak']:.1f}" if "gflops" in row else "-",
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows = config.stash[ROWS]
    if not rows:
        return
    lines = [COLUMNS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    terminalreporter.section("speed")
    for line in lines:
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        terminalreporter.line("  ".join(cells))
    terminalreporter.line(
        f"images: {paths.DATA}; peak of one thread at the start: "
        f"{config.stash[PEAK] / 1e9:.0f} GFLOP/s; % of peak: of the multiply-adds that as many "
        "threads did right before or after"
    )
    terminalreporter.line(
        "kernels: by lenet_c.kernels, one thread, with its checks and its change of layout; "
        "the network does neither between layers. A squash has no agreed count of operations."
    )
