"""From how many images on a group of lanes wins over one by one: python -m bench.few [--isa ISA].

A call with few images runs them one by one (csrc/kernels/kernels.h, `few`), and so does the last
block of a training batch. A group costs the same however many of its lanes are full, so few is best
just below the ratio printed here: the time of a full group over that of one image. For training it
is the time of the gradient that counts, without what a call costs however many images it has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from bench.common import add_isa, duration, markdown, parser, with_isa
from lenet_c import LENET5_28, LENET5_1998, LENET5_MODERN, LENET_3X3, LeNet5, cpu_info

ROUNDS, CALLS = 15, 200


def least(call: Callable[[], object]) -> float:
    """Give the least processor time of a call over some rounds."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            call()
        times.append((time.process_time() - began) / CALLS)
    return min(times)


def measure() -> list[list[str]]:
    """Give the table's lines for the instruction set of this process."""
    info = cpu_info()
    lanes = info["lanes"]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (lanes, 28, 28), np.uint8)
    labels = rng.integers(0, 10, lanes)
    rows = []
    for architecture in (LENET5_1998, LENET5_MODERN, LENET5_28, LENET_3X3):
        net = LeNet5(architecture)
        one, group = (least(partial(net.predict, images[:n], num_threads=1)) for n in (1, lanes))
        first, second, all_lanes = (
            least(partial(net.loss_and_gradient, images[:n], labels[:n], num_threads=1))
            for n in (1, 2, lanes)
        )
        learnt, group_learnt = second - first, all_lanes - 2 * first + second
        rows.append(
            [
                info["isa"],
                architecture.name,
                *(duration(seconds) for seconds in (one, group)),
                f"{group / one:.1f}",
                *(duration(seconds) for seconds in (learnt, group_learnt)),
                f"{group_learnt / learnt:.1f}",
            ]
        )
    return rows


def main() -> None:
    command = parser("few", __doc__)
    add_isa(command)
    command.add_argument("--here", action="store_true", help="this process's, as JSON")
    options = command.parse_args()
    if options.here:
        print(json.dumps(measure()))
        return
    rows = []
    for isa in options.isa:
        rows += with_isa(isa, "few", "--here")
    learning = ["one, learnt", "a group, learnt", "ratio"]
    print(markdown(["", "network", "one image", "a group", "ratio", *learning], rows))


if __name__ == "__main__":
    main()
