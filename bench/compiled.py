"""What a compiled network gains: python -m bench.compiled [--isa ISA] [--rounds N].

`LeNet5.predict` and the same call of what `LeNet5.compile` gives, in turns, on one thread, with
MNIST's uint8 images, for each network whose weights come with the library. Times are medians of
the rounds, in processor time. A ratio is the median of the rounds' ratios, compiled over not.
Beside it stands that of a copy of the network: what it differs from 1 by is the machine's doing.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from bench.common import add_isa, duration, hold_out, markdown, mnist, parser, with_isa
from lenet_c import CompiledLeNet5, LeNet5, cpu_info

NETWORKS = ("mnist", "mnist-modern")  # that come with the library, one of each architecture
SIZES = (1, 2, 8, 16, 32, 64, 256, 1024)
ROUNDS = 61
SECONDS = 0.004  # of a call in a round


def seconds(call: Callable[[], object], times: int) -> float:
    """Give the processor time of a call."""
    began = time.thread_time()
    for _ in range(times):
        call()
    return (time.thread_time() - began) / times


def compare(calls: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Give the processor times of each of some calls, taken in turns that begin with each."""
    for call in calls:
        call()
    times = max(1, round(SECONDS / min(seconds(call, 3) for call in calls)))
    found: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds):
        for k in range(len(calls)):
            which = (turn + k) % len(calls)
            found[which].append(seconds(calls[which], times))
    return found


def measure(rounds: int) -> list[list[str]]:
    """Give the table's lines for the instruction set of this process."""
    (images, _), _ = hold_out(mnist()[0])
    rows = []
    for name in NETWORKS:
        net = LeNet5.pretrained(name)
        readers: list[LeNet5 | CompiledLeNet5] = [net, net.compile(), copy.deepcopy(net)]
        for n in SIZES:
            calls = [partial(one.predict, images[:n], num_threads=1) for one in readers]
            plain, compiled, again = compare(list(calls), rounds)
            ratio, nothing = (
                median(a / b for a, b in zip(other, plain, strict=True))
                for other in (compiled, again)
            )
            times = (duration(median(one)) for one in (plain, compiled))
            rows.append([cpu_info()["isa"], name, str(n), *times, f"{ratio:.3f}", f"{nothing:.3f}"])
    return rows


def main() -> None:
    command = parser("compiled", __doc__)
    add_isa(command)
    command.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    command.add_argument("--here", action="store_true", help="this process's, as JSON")
    options = command.parse_args()
    if options.rounds < 1:
        command.error("--rounds: want 1 or more")
    if options.here:
        print(json.dumps(measure(options.rounds)))
        return
    rows = []
    for isa in options.isa:
        rows += with_isa(isa, "compiled", "--here", "--rounds", str(options.rounds))
    header = ["", "network", "images", "predict", "compiled", "ratio", "a copy's ratio"]
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
