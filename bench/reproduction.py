"""Trains the 1998 network as its paper did, and writes docs/reproduction.md with its pictures.

Run as `python -m bench.reproduction` from the top of the repository; it needs matplotlib, and
MNIST from the folder that LENET_C_DATA names, or downloaded. `--images 1000 --passes 2 --docs /tmp`
is a trial. Settings are compared on the last 10,000 training images; the runs at the end, whose
settings are fixed here, are the only ones that see the test set.
"""

from __future__ import annotations

import argparse
import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import lenet_c
from bench.common import HELD_OUT, hold_out, mnist, need, parser
from lenet_c import SDLM, Callback, LeNet5, Trainer
from lenet_c.losses import DEFAULT_J

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER_TEST, PAPER_TRAINING = 0.95, 0.35  # section III.B, errors in percent
MU = 0.5  # the paper's is 0.02; chosen on the validation images
LOSSES = {"mse": "MSE, eq. (8)", "map": "MAP, eq. (9)"}
SEEDS = 5
TRIAL_IMAGES, TRIAL_PASSES = 20_000, 4
FIRST_UPDATES = (1, 2, 3, 5, 10, 50)

Split = tuple[np.ndarray, np.ndarray]


def wide_weights(network: LeNet5, seed: int) -> None:
    """Draw weights uniform within sqrt(3 / F), variance 1 / F, in place of 2.4 / F."""
    rng = np.random.default_rng(seed)
    for name, fan_in in network.architecture.fan_in.items():
        view = network[name]
        limit = np.sqrt(3.0 / np.array(fan_in, float).reshape(-1, *[1] * (view.ndim - 1)))
        view[...] = limit * rng.uniform(-1.0, 1.0, view.shape)


@dataclass
class Reading:
    """One way to read the paper, and what came of it on the validation images."""

    name: str
    optimizer: SDLM
    wide: bool = False
    rates: tuple[float, float, float] = (0.0, 0.0, 0.0)  # least, median, greatest at the start
    errors: list[tuple[float, float]] = field(default_factory=list)  # training, validation; a pass

    def try_out(self, training: Split, validation: Split, passes: int, seed: int) -> None:
        """Train for some passes with the squared error."""
        network = LeNet5(seed=seed)
        if self.wide:
            wide_weights(network, seed)
        curvature = network.curvature(training[0][:500], training[1][:500], "mse")
        rates = self.optimizer.rates(self.optimizer.lr, curvature)
        self.rates = (float(rates.min()), float(np.median(rates)), float(rates.max()))
        trainer = Trainer(network, self.optimizer, "mse", seed=seed)
        history = trainer.fit(*training, epochs=passes, validation_data=validation)
        self.errors = [(e["error_rate"], e["val_error_rate"]) for e in history.epochs]
        print(f"{self.name}: {self.errors[-1][1]:.2%} after {passes} passes", flush=True)


def readings() -> list[Reading]:
    """List the settings to compare, the paper's first."""
    return [
        Reading("as printed: eta 0.0005, mu 0.02", SDLM()),
        Reading("eta / 10", SDLM(0.00005)),
        Reading("mu 0.1", SDLM(mu=0.1)),
        Reading("mu 0.2", SDLM(mu=0.2)),
        Reading("mu 0.5", SDLM(mu=0.5)),
        Reading("mu 1", SDLM(mu=1.0)),
        Reading("mu 2", SDLM(mu=2.0)),
        Reading("wider initial weights", SDLM(), wide=True),
        Reading("wider initial weights, mu 0.5", SDLM(mu=0.5), wide=True),
    ]


@dataclass
class Start:
    """The network after some of the first updates with the settings as printed."""

    update: int
    loss: float
    f6: float  # root of the mean square of F6's outputs
    promise: float  # the decrease that the next update promises to first order, over its loss


def first_updates(training: Split, seed: int) -> list[Start]:
    """Watch the first updates with the settings as printed."""
    network, optimizer = LeNet5(seed=seed), SDLM()
    images, labels = training
    some = slice(0, 500)
    curvature = network.curvature(images[some], labels[some], "mse")
    rates = optimizer.rates(optimizer.lr, curvature)
    starts = []
    for k in range(max(FIRST_UPDATES)):
        loss, gradient = network.loss_and_gradient(images[k : k + 1], labels[k : k + 1], "mse")
        if k + 1 in FIRST_UPDATES:
            mean = network.evaluate(images[some], labels[some], "mse").loss
            f6 = float(np.sqrt((network.activations(images[some])["F6"] ** 2).mean()))
            promise = float((rates * gradient**2).sum() / loss)
            starts.append(Start(k + 1, mean, f6, promise))
        network.parameters[...] -= rates * gradient
    return starts


class AfterEachPass(Callback):
    """The training error of the weights at the end of each pass."""

    def __init__(self, training: Split) -> None:
        self.training = training

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Add it to the record."""
        result = trainer.network.evaluate(*self.training, trainer.loss, j=trainer.j)
        record["training_error_rate"] = result.error_rate
        print(
            f"{trainer.loss} pass {record['epoch']}: training {record['error_rate']:.2%}, at its "
            f"end {result.error_rate:.2%}, test {record['val_error_rate']:.2%}, "
            f"{record['seconds']:.1f} s",
            flush=True,
        )


@dataclass
class Run:
    """A training run by the recipe."""

    network: LeNet5
    epochs: list[dict[str, float]]
    seconds: float

    def errors(self, key: str) -> list[float]:
        """Give the error rates of a key of the records, in percent."""
        return [100 * record[key] for record in self.epochs]


def train(loss: str, training: Split, test: Split, passes: int, seed: int) -> Run:
    """Run the recipe with one of the criteria."""
    network = LeNet5(seed=seed)
    trainer = Trainer(network, SDLM(mu=MU), loss, seed=seed, callbacks=[AfterEachPass(training)])
    history = trainer.fit(*training, epochs=passes, validation_data=test)
    seconds = sum(record["seconds"] for record in history.epochs)
    return Run(network, history.epochs, seconds)


# ---- pictures ------------------------------------------------------------------------------------


def _save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a small PNG: 16 greys."""
    from matplotlib import pyplot
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=dpi)
    pyplot.close(figure)
    Image.open(drawn).convert("L").quantize(16).save(path, optimize=True)


def draw_curves(runs: dict[str, Run], path: Path) -> None:
    """Draw error rates over passes, as the paper's figure 5 does."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(runs), figsize=(9, 3.6), sharey=True, squeeze=False)
    for ax, (loss, run) in zip(panels[0], runs.items(), strict=True):
        passes = [record["epoch"] for record in run.epochs]
        ax.plot(passes, run.errors("val_error_rate"), "k-", label="test")
        ax.plot(passes, run.errors("error_rate"), "k--", label="training, as it goes")
        ax.plot(passes, run.errors("training_error_rate"), "k:", label="training, after the pass")
        ax.axhline(PAPER_TEST, color="0.6", linewidth=0.8)
        ax.axhline(PAPER_TRAINING, color="0.6", linewidth=0.8, linestyle="--")
        ax.set_title(LOSSES[loss], fontsize=10)
        ax.set_xlabel("passes over the training set")
        ax.set_xlim(0, len(passes))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_ylim(0, 5)
        ax.legend(frameon=False, fontsize=9)
    panels[0][0].set_ylabel("error rate (%)")
    figure.tight_layout()
    _save(figure, path, 90)


def draw_errors(network: LeNet5, test: Split, path: Path) -> None:
    """Draw every misread test image above "label -> answer", as the paper's figure 8 does."""
    from matplotlib import pyplot

    images, labels = test
    answers = network.predict(images)
    wrong = np.flatnonzero(answers != labels)[:200]
    columns = 14
    rows = max(1, -(-len(wrong) // columns))
    figure, axes = pyplot.subplots(rows, columns, figsize=(columns * 0.55, rows * 0.68))
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, i in zip(axes.flat, wrong, strict=False):
        ax.imshow(255 - images[i], cmap="gray", vmin=0, vmax=255)
        ax.set_title(f"{labels[i]}→{answers[i]}", fontsize=7, y=-0.42)
    figure.subplots_adjust(0.01, 0.04, 0.99, 1.0, wspace=0.1, hspace=0.35)
    _save(figure, path, 80)


# ---- the document --------------------------------------------------------------------------------

DOCUMENT = """\
# The paper's training, reproduced

`python -m bench.reproduction{command}` wrote this page: every figure on it, but for the
paper's, was measured by that run{trial}.

## The recipe

As in LeCun et al. 1998: weights uniform in ±2.4/F; stochastic diagonal Levenberg-Marquardt, one
image at a time, rates eta / (mu + h) with the curvature h of each parameter estimated on 500
training images before each pass (appendix C); eta 0.0005, 0.0002, 0.0001, 0.00005 and 0.00001 from
passes 1, 3, 6, 9 and 13 on (section III.B); no distortions; {seeds}. One setting is not the
paper's: mu is {mu}, not 0.02. The next section says why.

```python
trainer = lenet_c.Trainer(lenet_c.LeNet5(), lenet_c.SDLM(mu={mu}), loss="map")
trainer.fit(x, y, epochs={passes})
```

| {passes} passes, {images:,} images | test error | training error, as it goes | after | time |
| --- | --- | --- | --- | --- |
{results}| the paper | {paper_test}%, after about 10 passes | {paper_training}%, after 19 | | |

"As it goes" counts each image of the last pass before its own update, as the paper's curve does;
"after" reads the whole training set again. The test error is that of the last pass, whatever the
passes before had; MAP's j is {j:g}. The time is that of training, on one thread with {isa}. The
test error of one network has a standard error of about 0.1%, from the number of test images alone.

![Error rates over the passes](reproduction-curves.png)

Seed 0. Grey lines: the paper's test error, and (dashed) its training error.

The test images that the network trained with MAP (seed 0) misreads, with right class and answer:

![Misread test images](reproduction-errors.png)

## With the settings as printed it does not learn

A few updates with eta = 0.0005 and mu = 0.02, squared error, one image each:

| before update | mean penalty of the right class | F6, root mean square | promised / loss |
| --- | --- | --- | --- |
{starts}
The last column is the decrease that the update promises to first order, sum of eps_k g_k^2, over
the loss of its image. More than 4 is too far even if the loss were a parabola down to 0. Initial
weights of 2.4/F are so small that C5 and F6 are almost 0, so is the curvature of most parameters,
and {capped:.0%} of them get more than half of the greatest rate there can be, eta / mu = 0.025. A
few updates later the units are active and the curvature is many times what it was, but the rates
are those of before: the units of F6 are driven to ±1.7159 and stay there.

So the rates of the first pass cannot have been those. The paper says that they lay between about
7e-5 and 0.016; with its eta and mu, that means that no curvature was below 0.011.

Other readings, with the squared error on the first {trial_images:,} training images and read on the
last {held_out:,}, {trial_passes} passes each:

| settings | first rates: least, median, greatest | training error, each pass | validation error |
| --- | --- | --- | --- |
{readings}
"Wider initial weights": uniform in ±sqrt(3/F), so that every layer is active from the start.

What a larger mu does is what a smaller criterion would do: with E / s for E, an update of E's
gradient has the rates eta / (mu s + h). A criterion that is some mean where eqs. (8) and (9) have a
sum would explain the difference; which one it was, the paper does not say, and no reading tried
here has both the printed settings and the printed range of rates.

With mu = 0.5 the training error of MAP comes to the paper's, so the network learns as much; the
test error stays about a tenth of a per cent above 0.95%, as much as the standard error of either.
None of the readings explains that rest. Other ways to train the same network without distortions
go below it ([accuracy.md](accuracy.md)).
"""


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}%"
    return f"{np.median(values):.2f}% ({min(values):.2f} to {max(values):.2f})"


def _percent(values: list[float]) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values)


def write(
    path: Path,
    runs: dict[str, list[Run]],
    tried: list[Reading],
    starts: list[Start],
    capped: float,
    options: argparse.Namespace,
) -> None:
    """Fill in the document."""
    keys = ("val_error_rate", "error_rate", "training_error_rate")
    results = "".join(
        f"| {LOSSES[loss]} | "
        + " | ".join(_spread([run.errors(key)[-1] for run in same]) for key in keys)
        + f" | {np.median([run.seconds for run in same]):.0f} s |\n"
        for loss, same in runs.items()
    )
    rows = "".join(
        f"| {each.name} | {each.rates[0]:.1e}, {each.rates[1]:.1e}, {each.rates[2]:.1e} | "
        f"{_percent([e[0] for e in each.errors])}% | {each.errors[-1][1]:.2%} |\n"
        for each in tried
    )
    text = DOCUMENT.format(
        trial="" if options.images is None else f" (a trial on {options.images:,} images)",
        command="" if options.seeds == SEEDS else f" --seeds {options.seeds}",
        seeds="seed 0"
        if options.seeds == 1
        else f"median of seeds 0 to {options.seeds - 1}, with the range",
        mu=MU,
        passes=options.passes,
        images=options.images or 60_000,
        results=results,
        paper_test=PAPER_TEST,
        paper_training=PAPER_TRAINING,
        isa=lenet_c.cpu_info()["isa"],
        j=DEFAULT_J,
        starts="".join(
            f"| {s.update} | {s.loss:.1f} | {s.f6:.2f} | {s.promise:.2f} |\n" for s in starts
        ),
        capped=capped,
        trial_images=min(TRIAL_IMAGES, options.images or TRIAL_IMAGES),
        trial_passes=min(TRIAL_PASSES, options.passes),
        held_out=HELD_OUT,
        readings=rows,
    )
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, draw and write."""
    command = parser("reproduction", __doc__)
    command.add_argument("--passes", type=int, default=20)
    command.add_argument("--images", type=int, help="train on so many only: a trial")
    command.add_argument("--seeds", type=int, default=SEEDS, help="runs with each criterion")
    command.add_argument("--docs", type=Path, default=Path("docs"), help="folder to write to")
    options = command.parse_args()
    if not options.docs.is_dir():
        command.error(f"argument --docs: got {options.docs}, want a folder that is there")
    need("matplotlib", "PIL")
    began = time.perf_counter()
    (x, y), test = mnist()

    n = min(TRIAL_IMAGES, options.images or TRIAL_IMAGES)
    _, validation = hold_out((x, y))
    starts = first_updates((x[:n], y[:n]), 0)
    curvature = LeNet5().curvature(x[:500], y[:500], "mse")
    capped = float((curvature < SDLM().mu).mean())  # a rate above half of eta / mu
    tried = readings()
    for reading in tried:
        reading.try_out((x[:n], y[:n]), validation, min(TRIAL_PASSES, options.passes), 0)

    training = x[: options.images], y[: options.images]
    runs = {
        loss: [train(loss, training, test, options.passes, seed) for seed in range(options.seeds)]
        for loss in LOSSES
    }
    first = {loss: same[0] for loss, same in runs.items()}
    draw_curves(first, options.docs / "reproduction-curves.png")
    draw_errors(first["map"].network, test, options.docs / "reproduction-errors.png")
    write(options.docs / "reproduction.md", runs, tried, starts, capped, options)
    print(f"{options.docs / 'reproduction.md'}: {time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
