"""Which settings train best: trains on 50,000 images of MNIST, tests on the other 10,000.

The 10,000 are the last ones of the training set. `python -m bench.settings` prints the table of
docs/accuracy.md, in half an hour or so on two free cores; --only picks a line by its number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.common import Data, hold_out, mnist, parser
from lenet_c import (
    LENET5_1998,
    LENET5_MODERN,
    Adam,
    Architecture,
    Distortion,
    LeNet5,
    Trainer,
    distort,
)
from lenet_c.losses import DEFAULT_J

STRONG = Distortion(1.5, 0.15, 0.15, 0.3, rotation=12)
MILD = Distortion(0.5, 0.05, 0.05, 0.1, rotation=5)


@dataclass(frozen=True)
class Settings:
    """One line of the table."""

    epochs: int
    rate: float = 8e-3
    decay: float = 0.05
    batch_size: int = 64
    distortion: Distortion | None = distort.AFFINE
    then: Distortion | None = None  # in the last fifth of the passes
    architecture: Architecture = LENET5_1998
    j: float = DEFAULT_J
    temperature: float = 1.0
    seeds: int = 1

    def __str__(self) -> str:
        shown = {
            None: "none",
            distort.AFFINE: "AFFINE",
            distort.WORLD: "WORLD",
            STRONG: "strong",
        }
        what = shown.get(self.distortion, "AFFINE, elastic 0.7")
        if self.then is not None:
            what += ", mild in the last fifth"
        if (self.j, self.temperature) != (DEFAULT_J, 1.0):
            what += f"; MAP's j {self.j:g}, temperature {self.temperature:g}"
        return (
            f"{self.architecture.name} | {what} | {self.rate:g} | {self.decay:g} "
            f"| {self.batch_size} | {self.epochs}"
        )


PLAIN = Settings(10, distortion=None, seeds=3)
FORTY = Settings(40)
WORLD = Settings(250, decay=0.01, batch_size=128, distortion=distort.WORLD)
SHORT = replace(WORLD, epochs=60, rate=6e-3, decay=0.03)
CANDIDATES = (
    replace(PLAIN, epochs=6, seeds=1),
    replace(PLAIN, epochs=8),
    replace(PLAIN, epochs=8, rate=5e-3),
    replace(PLAIN, epochs=8, rate=1e-2, batch_size=128, seeds=2),
    PLAIN,
    replace(PLAIN, epochs=20, seeds=1),
    replace(PLAIN, epochs=20, rate=5e-3, seeds=1),
    FORTY,
    replace(FORTY, decay=0.01),
    replace(FORTY, rate=4e-3),
    replace(FORTY, batch_size=128, decay=0.02),
    replace(FORTY, distortion=replace(distort.AFFINE, elastic=0.7)),
    replace(FORTY, distortion=STRONG, then=MILD),
    Settings(100, rate=6e-3, decay=0.03, batch_size=128),
    Settings(40, rate=3e-3, architecture=LENET5_MODERN),
    WORLD,
    replace(WORLD, decay=0.08),
    replace(WORLD, epochs=500),
    replace(WORLD, epochs=600, rate=6e-3, decay=0.03),
    SHORT,
    replace(SHORT, j=40.0),
    replace(SHORT, j=10.0, temperature=4.0),
    replace(SHORT, j=2.0, temperature=10.0),
    replace(SHORT, temperature=10.0),
    replace(SHORT, j=8.0, temperature=10.0, seeds=2),
    replace(SHORT, j=14.0, temperature=10.0),
    replace(SHORT, temperature=15.0),
    replace(SHORT, j=3.0, temperature=20.0),
    replace(SHORT, j=6.0, temperature=20.0),
    replace(SHORT, j=8.0, temperature=10.0, decay=0.01),
    replace(SHORT, j=8.0, temperature=10.0, epochs=600),
    replace(WORLD, epochs=60, rate=3e-3, decay=0.05, batch_size=64, architecture=LENET5_MODERN),
    replace(WORLD, epochs=200, rate=4e-3, decay=0.05, architecture=LENET5_MODERN),
)


class _Milder:
    """A trainer's callback that changes the distortion for the last fifth of the passes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        if self.settings.then and record["epoch"] >= 0.8 * self.settings.epochs:
            trainer.distort = self.settings.then


def error_rate(settings: Settings, data: Data, seed: int, threads: int | None) -> float:
    train, others = data
    net = LeNet5(settings.architecture, seed=seed)
    trainer = Trainer(
        net,
        Adam(settings.rate, schedule="one_cycle", weight_decay=settings.decay),
        j=settings.j,
        temperature=settings.temperature,
        batch_size=settings.batch_size,
        distort=settings.distortion,
        seed=seed,
        callbacks=[_Milder(settings)],
        num_threads=threads,
    )
    trainer.fit(*train, settings.epochs)
    return net.evaluate(*others).error_rate


def main(argv: list[str] | None = None) -> None:
    command = parser("settings", __doc__)
    lines = range(1, len(CANDIDATES) + 1)
    command.add_argument(
        "--only", type=int, nargs="+", choices=lines, metavar="LINE", help=f"1 to {lines[-1]}"
    )
    command.add_argument("--threads", type=int, metavar="N")
    arguments = command.parse_args(argv)
    data = hold_out(mnist()[0])
    print("| network | distortions | rate | decay | batch | passes | error, by seed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for line, settings in zip(lines, CANDIDATES, strict=True):
        if arguments.only is None or line in arguments.only:
            rates = [
                f"{error_rate(settings, data, seed, arguments.threads):.2%}"
                for seed in range(settings.seeds)
            ]
            print(f"| {settings} | {', '.join(rates)} |", flush=True)


if __name__ == "__main__":
    main()
