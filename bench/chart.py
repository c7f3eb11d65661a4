"""Draws the README's chart: images a second of lenet_c and of each peer, on one thread.

python -m bench.chart [PAGE] [FILE] reads the table that python -m bench.peers printed into PAGE, by
default the copy in docs/measured that README.md quotes, and draws FILE, by default docs/peers.png.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.common import ROOT, need, parser
from lenet_c import plot

PANELS = {  # a column of the table: what it shows, and the images of one call
    "inference 1": ("reading, one image at a time", 1),
    "inference 1024": ("reading, 1,024 images at a time", 1024),
    "training 128, Adam": ("training, batches of 128", 128),
}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def quoted() -> Path:
    """Find the page that README.md quotes."""
    found = re.search(r"docs/measured/[\w-]+-peers\.md", (ROOT / "README.md").read_text("utf-8"))
    if not found:
        raise SystemExit("error: README.md links no docs/measured/*-peers.md: name a PAGE")
    return ROOT / found[0]


def speeds(page: str, column: str, images: int) -> dict[str, float]:
    """Give the images a second of each library that has a figure in a column.

    Parameters
    ----------
    page : str
    column : str
    images : int
        Of a call, whose time the table has.
    """
    table = page.partition("\n## 1 thread\n\n")[2].split("\n\n")[0]
    head, _, *rows = (line[2:-2].split(" | ") for line in table.splitlines())
    found = {}
    for name, *cells in rows:
        time = re.match(r"([\d.]+) (s|ms|us)\b", cells[head.index(column) - 1])
        if time and name != "**best peer**":
            found[name] = images / (float(time[1]) * SECONDS[time[2]])
    return found


def rounded(speed: float) -> str:
    """Write a speed with three digits: the page's times have no more."""
    return f"{float(f'{speed:.3g}'):,.0f}"


def main() -> None:
    """Write the chart."""
    command = parser("chart", __doc__)
    command.add_argument("page", nargs="?", type=Path)
    command.add_argument("file", nargs="?", type=Path, default=ROOT / "docs" / "peers.png")
    arguments = command.parse_args()
    need("matplotlib")
    from matplotlib.figure import Figure

    page = (arguments.page or quoted()).read_text(encoding="utf-8")
    figure = Figure(figsize=(9.6, 2.9), layout="constrained", facecolor="white")
    for ax, (column, (title, images)) in zip(
        figure.subplots(1, len(PANELS)), PANELS.items(), strict=True
    ):
        of_column = speeds(page, column, images)
        names = sorted(of_column, key=lambda name: of_column[name])
        bars = ax.barh(
            names,
            [of_column[name] for name in names],
            color=["#d1495b" if name == "lenet_c" else "#9aa5b1" for name in names],
        )
        ax.bar_label(bars, [rounded(of_column[name]) for name in names], padding=3, fontsize=8)
        ax.set_title(title, fontsize=10)
        ax.set_xlim(0, 1.3 * max(of_column.values()))
        ax.set_xticks([])
        ax.tick_params(left=False, labelsize=8)
        ax.spines[:].set_visible(False)
        print(
            f"{title}: " + ", ".join(f"{name} {rounded(of_column[name])}" for name in names[::-1])
        )
    figure.suptitle("images a second, one thread: longer is faster", fontsize=10)
    plot.save(figure, arguments.file, dpi=100)


if __name__ == "__main__":
    main()
